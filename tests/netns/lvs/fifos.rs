//! What both daemons write into their FIFOs in the same story, and what becomes of the FIFOs.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

use super::kit::{self, Server, needs_lvs, silent};
use crate::lan::{Injector, Kind, Lan, Router, advert_v2, eventually, multicast_frame};

const RIVAL: [u8; 4] = [10, 99, 0, 2];
const VIP: [u8; 4] = [10, 99, 0, 100];
/// A reader as it should be: it goes on until the end of the file.
const READER: &str = "trap '' TERM
echo \"$*\" >>/run/$1.arguments
exec cat \"$2\" >>/run/$1.lines";

struct Story<'a> {
    lan: &'a Lan,
    kind: Kind,
    rival: Injector,
    router: Option<Router>,
}

impl Story<'_> {
    fn start(&mut self, config: &str) {
        self.router = Some(kit::start(self.lan, self.kind, config));
    }

    /// Waits until the log has this line so often.
    fn hears(&self, text: &str, count: usize) {
        let what = format!("{:?} says \"{text}\" {count} times", self.kind);
        self.lan.wait(&what, |seen| (seen.lines('a', text).count() >= count).then_some(()));
    }

    fn rival_sends(&self, priority: u8) {
        self.rival.send(&multicast_frame(RIVAL, &advert_v2(51, priority, 1, VIP)));
    }

    fn run(&self, name: &str) -> std::path::PathBuf {
        self.lan.home('a').join("run").join(name)
    }

    fn read(&self, name: &str) -> Vec<String> {
        std::fs::read_to_string(self.run(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Waits until a reader has got this line so often.
    fn reads(&self, name: &str, line: &str, count: usize) {
        eventually(&format!("{:?}: {name} has {line} {count} times", self.kind), || {
            self.read(name).iter().filter(|l| l.as_str() == line).count() >= count
        });
    }

    fn stop(&mut self) {
        assert!(self.router.take().expect("it runs").stop().success());
    }
}

/// Tells the story to one daemon.
fn told<T>(kind: Kind, story: impl Fn(&mut Story<'_>) -> T) -> T {
    let lan = Lan::new(2);
    let rival = Injector::new(&lan, 'b');
    story(&mut Story { lan: &lan, kind, rival, router: None })
}

/// Tells the story to both.
fn both<T: Send>(story: impl Fn(&mut Story<'_>) -> T + Sync) -> [T; 2] {
    std::thread::scope(|scope| {
        let both = [Kind::Ours, Kind::Debian].map(|kind| {
            let story = &story;
            scope.spawn(move || told(kind, story))
        });
        both.map(|told| told.join().expect("it ran"))
    })
}

fn config(global: &str) -> String {
    format!(
        "global_defs {{
    script_user root
    enable_script_security
    {global}
}}
vrrp_script check {{
    script /etc/keepalived/check.sh
    interval 1
    timeout 20
    weight -20
    rise 1
    fall 1
}}
vrrp_instance VI_1 {{
    interface eth0
    virtual_router_id 51
    priority 150
    garp_master_delay 0
    virtual_ipaddress {{
        10.99.0.100/24
    }}
    track_interface {{
        dum0
    }}
    track_script {{
        check
    }}
}}
virtual_server 10.99.1.1 80 {{
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    quorum 2
    omega
    sorry_server 127.0.0.9 80
    real_server 127.0.1.1 80 {{
        TCP_CHECK {{
            connect_timeout 10
            retry 0
        }}
    }}
    real_server 127.0.1.2 80 {{
        TCP_CHECK {{
            connect_timeout 10
            retry 0
        }}
    }}
}}
virtual_server fwmark 7 {{
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    alpha
    real_server 127.0.1.8 80 {{
        TCP_CHECK {{
            connect_timeout 10
            retry 0
        }}
    }}
}}
virtual_server fwmark 8 {{
    lb_algo rr
    lb_kind NAT
    real_server 127.0.1.9 80 {{
    }}
}}
"
    )
}

const FIFOS: &str = "vrrp_notify_priority_changes
    notify_fifo /run/all.fifo
    notify_fifo_script \"/etc/keepalived/read.sh all\"
    vrrp_notify_fifo /run/vrrp.fifo
    vrrp_notify_fifo_script \"/etc/keepalived/read.sh vrrp\"
    lvs_notify_fifo /run/lvs.fifo
    lvs_notify_fifo_script \"/etc/keepalived/read.sh lvs\"";

/// The lines about each instance or virtual server and its servers, in order. Which of two that have nothing to do with
/// each other comes first is chance.
type Lines = BTreeMap<String, Vec<String>>;

fn sorted(lines: Vec<String>) -> Lines {
    let mut sorted = Lines::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let about = match words[0] {
            "INSTANCE" => words[1].to_owned(),
            "VS" => words[1..words.len() - 1].join(" "),
            _ => words[2..words.len() - 1].join(" "),
        };
        sorted.entry(about).or_default().push(line);
    }
    sorted
}

/// What the readers got, and what their FIFOs were.
#[derive(Debug, PartialEq)]
struct Told {
    vrrp: Lines,
    lvs: Lines,
    all: Lines,
    arguments: [Vec<String>; 3],
    modes: [u32; 3],
}

fn whole_story(story: &mut Story<'_>) -> Told {
    let lan = story.lan;
    kit::make_dum0(lan);
    lan.script('a', "check.sh", "[ ! -e /run/broken ] || exit 3");
    lan.script('a', "read.sh", READER);
    let serve = |n| Server::tcp(lan, 'a', &format!("127.0.1.{n}:80"), silent);
    let (first, second) = (serve(1), serve(2));
    story.start(&config(FIFOS));
    story.hears("TCP connection to [127.0.1.1]", 1);
    story.hears("TCP connection to [127.0.1.2]", 1);
    story.reads("all.lines", "RS [127.0.1.8]:none:80 FWM 7 DOWN", 1);
    story.reads("vrrp.lines", "INSTANCE \"VI_1\" MASTER 150", 1);
    let modes = ["all", "vrrp", "lvs"].map(|name| {
        let fifo = std::fs::metadata(story.run(&format!("{name}.fifo"))).unwrap();
        assert!(fifo.file_type().is_fifo());
        fifo.mode()
    });

    story.rival_sends(100);
    story.reads("vrrp.lines", "INSTANCE \"VI_1\" MASTER_RX_LOWER_PRI 150", 1);
    std::fs::write(story.run("broken"), "").unwrap();
    story.reads("vrrp.lines", "INSTANCE \"VI_1\" MASTER_PRIORITY 130", 1);
    std::fs::remove_file(story.run("broken")).unwrap();
    story.reads("vrrp.lines", "INSTANCE \"VI_1\" MASTER_PRIORITY 150", 1);
    story.rival_sends(200);
    story.reads("vrrp.lines", "INSTANCE \"VI_1\" MASTER 150", 2);
    lan.ip('a', "link set dum1 down");
    story.reads("vrrp.lines", "INSTANCE \"VI_1\" FAULT 150", 1);
    lan.ip('a', "link set dum1 up");
    story.reads("vrrp.lines", "INSTANCE \"VI_1\" MASTER 150", 3);

    drop(first);
    story.reads("lvs.lines", "VS [10.99.1.1]:tcp:80 DOWN", 1);
    drop(second);
    story.reads("lvs.lines", "RS [127.0.1.2]:tcp:80 [10.99.1.1]:tcp:80 DOWN", 1);
    let _first = serve(1);
    story.reads("lvs.lines", "RS [127.0.1.1]:tcp:80 [10.99.1.1]:tcp:80 UP", 1);
    let _second = serve(2);
    story.reads("lvs.lines", "VS [10.99.1.1]:tcp:80 UP", 2);
    story.stop();

    for name in ["all", "vrrp", "lvs"] {
        assert!(!story.run(&format!("{name}.fifo")).exists(), "{:?} leaves {name}.fifo", story.kind);
    }
    // The readers see the end of the file when the daemon is gone.
    story.reads("vrrp.lines", "INSTANCE \"VI_1\" STOP 150", 1);
    story.reads("all.lines", "INSTANCE \"VI_1\" STOP 150", 1);
    story.reads("all.lines", "VS [10.99.1.1]:tcp:80 DOWN", 2);
    story.reads("lvs.lines", "VS [10.99.1.1]:tcp:80 DOWN", 2);
    Told {
        vrrp: sorted(story.read("vrrp.lines")),
        lvs: sorted(story.read("lvs.lines")),
        all: sorted(story.read("all.lines")),
        arguments: ["all", "vrrp", "lvs"].map(|name| story.read(&format!("{name}.arguments"))),
        modes,
    }
}

#[test]
fn a_whole_story() {
    needs_lvs!();
    let [ours, theirs] = both(whole_story);
    assert_eq!(ours, theirs);
    let mut all = ours.vrrp.clone();
    all.extend(ours.lvs.clone());
    assert_eq!(ours.all, all);
    assert_eq!(ours.all.keys().collect::<Vec<_>>(), ["\"VI_1\"", "FWM 7", "FWM 8", "[10.99.1.1]:tcp:80"]);
    assert_eq!(ours.arguments[0], ["all /run/all.fifo"]);
    assert_eq!(ours.modes, [0o010_600; 3]);
}

/// A reload that changes nothing, and one that takes an instance away: the lines, and how often their reader was started.
fn reloaded(story: &mut Story<'_>) -> (Lines, usize) {
    let lan = story.lan;
    kit::make_dum0(lan);
    lan.script('a', "check.sh", "exit 0");
    lan.script('a', "read.sh", READER);
    let second = "vrrp_instance VI_2 {\n    state BACKUP\n    interface eth0\n    virtual_router_id 52\n    priority 50\n    \
                  notify_deleted\n    track_interface {\n        dum0\n    }\n    virtual_ipaddress {\n        10.99.0.102/24\n    }\n}\n";
    let global = format!("{FIFOS}\n    fifo_write_vrrp_states_on_reload");
    let alone = config(&global);
    story.start(&[&*alone, second].concat());
    story.reads("vrrp.lines", "INSTANCE \"VI_1\" MASTER 150", 1);
    story.reads("vrrp.lines", "INSTANCE \"VI_2\" MASTER 50", 1);
    lan.ip('a', "link set dum1 down");
    story.reads("vrrp.lines", "INSTANCE \"VI_1\" FAULT 150", 1);
    story.reads("vrrp.lines", "INSTANCE \"VI_2\" FAULT 50", 1);
    let reload = |story: &Story<'_>, config: &str| {
        lan.configure('a', config);
        story.router.as_ref().expect("it runs").signal(nix::sys::signal::Signal::SIGHUP);
    };
    reload(story, &[&*alone, second].concat());
    story.reads("vrrp.lines", "INSTANCE \"VI_1\" FAULT 150", 2);
    story.reads("vrrp.lines", "INSTANCE \"VI_2\" FAULT 50", 2);
    reload(story, &alone);
    story.reads("vrrp.lines", "INSTANCE \"VI_2\" DELETED 50", 1);
    story.reads("vrrp.lines", "INSTANCE \"VI_1\" FAULT 150", 3);
    story.stop();
    story.reads("vrrp.lines", "INSTANCE \"VI_1\" STOP 150", 1);
    (sorted(story.read("vrrp.lines")), story.read("vrrp.arguments").len())
}

#[test]
fn reloads() {
    needs_lvs!();
    let [(ours, our_readers), (theirs, their_readers)] = both(reloaded);
    assert_eq!(ours, theirs);
    // A FIFO that stays as it was stays open, and its reader runs on; keepalived makes both anew.
    assert_eq!((our_readers, their_readers), (1, 3));
}

/// FIFOs that were there before the daemon, with nobody who reads, then somebody who does: all lines have waited.
fn found(story: &mut Story<'_>) -> (Vec<String>, bool) {
    let lan = story.lan;
    kit::make_dum0(lan);
    lan.script('a', "check.sh", "exit 0");
    let path = story.run("vrrp.fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o640)).unwrap();
    story.start(&config("vrrp_notify_fifo /run/vrrp.fifo"));
    story.hears("Entering MASTER STATE", 1);
    let reader = std::fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&path).unwrap();
    story.stop();
    let text = std::io::read_to_string(reader).unwrap();
    let mode = std::fs::metadata(&path).unwrap().mode();
    (text.lines().map(str::to_owned).collect(), mode == 0o010_640)
}

#[test]
fn a_fifo_that_was_there_stays_and_keeps_its_lines_for_a_late_reader() {
    needs_lvs!();
    let [ours, theirs] = both(found);
    assert_eq!(ours, theirs);
    let states = ["BACKUP", "MASTER", "STOP"].map(|state| format!("INSTANCE \"VI_1\" {state} 150"));
    assert_eq!(ours, (states.to_vec(), true));
}
