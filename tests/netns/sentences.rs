//! The same story told to both daemons, on LANs of their own: the log sentences are the same ones, each as often. Where
//! they differ, the story's list says so.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::lan::{Injector, Kind, Lan, Router, advert_v2, advert_v3, eventually, multicast_frame, now};
use crate::setup::needs;

/// What one daemon is told to do and goes through; the rival is host `b`.
struct Story<'a> {
    lan: &'a Lan,
    kind: Kind,
    rival: Injector,
    /// The router, while it runs.
    router: Option<Router>,
}

const RIVAL: [u8; 4] = [10, 99, 0, 2];
const VIP: [u8; 4] = [10, 99, 0, 100];

impl Story<'_> {
    fn start(&mut self, config: &str) {
        self.router = Some(self.lan.start('a', self.kind, config));
    }

    /// Waits for this line, `count` times by now.
    fn hears(&self, text: &str, count: usize) {
        let what = format!("{:?} says \"{text}\" {count} times", self.kind);
        self.lan.wait(&what, |seen| (seen.lines('a', text).count() >= count).then_some(()));
    }

    /// Waits until it has become MASTER, `count` times by now, and is done with all that belongs to it.
    fn becomes_master(&self, count: usize) {
        self.hears("Entering MASTER STATE", count);
        self.hears("Sending/queueing", count);
        self.lan.wait_held('a', VIP.into());
    }

    fn rival_sends(&self, packet: &[u8]) {
        self.rival.send(&multicast_frame(RIVAL, packet));
    }

    fn stop(&mut self) {
        let router = self.router.take().expect("it runs");
        assert!(router.stop().success());
        self.hears("Stopped", 1);
    }
}

/// Lines that are about the engine's work, without what tells two runs apart.
fn engine_lines(lan: &Lan) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    let begin = [
        "(VI_",
        "VRRP_Script(",
        "Script `",
        "Track script",
        "Netlink reports",
        "Interface ",
        "Unknown VRID",
        "IPv4 VRRP",
        "Assigned address",
        "Deassigned address",
        "Delay",
        "Warning - script",
        "VRRP thread",
    ];
    lan.seen(|seen| {
        for line in seen.lines('a', "") {
            let text = line.text.as_str();
            // keepalived puts the date before its lines on a console
            let text = begin.iter().filter_map(|begin| text.find(begin)).min().map_or("", |at| &text[at..]);
            if !text.is_empty() {
                // 2.2.7 does not say yet from whom a bad packet came
                let text = text.replace(" with 10.99.0.2 mine", " mine");
                let is_election = text.contains("received advert") || text.contains("Received advert");
                let text = if is_election { text } else { text.replace(" from 10.99.0.2", "") };
                *lines.entry(text).or_default() += 1;
            }
        }
    });
    lines
}

/// A difference that is meant: the beginning of the line, and why.
type Meant = (&'static str, &'static str);

/// In every story.
const ALWAYS: [Meant; 2] = [
    ("Assigned address fe80", "whether it is usable already when it is read is a matter of time"),
    ("Deassigned address fe80", "and whether it goes before its interface"),
];

/// Tells the story to both and compares what they said.
fn both_say(story: impl Fn(&mut Story<'_>) + Sync, meant: &[Meant]) {
    compare(story, meant, |count| count);
}

/// The same, but for `counted` of how often each line was said.
fn compare(story: impl Fn(&mut Story<'_>) + Sync, meant: &[Meant], counted: fn(usize) -> usize) {
    needs!();
    let said = |kind| {
        let lan = Lan::new(2);
        let mut telling = Story { lan: &lan, kind, rival: Injector::new(&lan, 'b'), router: None };
        story(&mut telling);
        engine_lines(&lan)
    };
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| said(Kind::Ours));
        let theirs = scope.spawn(|| said(Kind::Debian));
        (ours.join().expect("ours ran"), theirs.join().expect("theirs ran"))
    });
    let mut differ = String::new();
    let mut used = vec![false; meant.len()];
    for line in ours.keys().chain(theirs.keys().filter(|line| !ours.contains_key(*line))) {
        let count = |lines: &BTreeMap<String, usize>| counted(lines.get(line).copied().unwrap_or(0));
        let known = meant.iter().position(|(begin, _)| line.starts_with(begin));
        if count(&ours) == count(&theirs) || ALWAYS.iter().any(|(begin, _)| line.starts_with(begin)) {
            continue;
        }
        match known {
            Some(known) => used[known] = true,
            None => differ += &format!("ours {}, theirs {}: {line}\n", count(&ours), count(&theirs)),
        }
    }
    assert!(differ.is_empty(), "{differ}");
    let unused: Vec<_> = meant.iter().zip(&used).filter(|(_, used)| !**used).map(|((begin, _), _)| begin).collect();
    assert!(unused.is_empty(), "these no longer differ: {unused:?}");
}

fn config(more: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority 150\n advert_int 1\n \
         garp_master_delay 0\n garp_lower_prio_delay 0\n {more}\n virtual_ipaddress {{\n 10.99.0.100/24\n }}\n}}\n"
    )
}

#[test]
fn a_life_with_a_rival() {
    both_say(
        |story| {
            story.start(&config(""));
            story.becomes_master(1);
            story.lan.wait_advert('a', now() + Duration::from_secs(1));
            story.rival_sends(&advert_v2(51, 100, 1, VIP));
            story.hears("forcing new election", 1);
            story.rival_sends(&advert_v2(51, 0, 1, VIP));
            story.hears("Master received priority 0", 1);
            story.rival_sends(&advert_v2(51, 200, 1, VIP));
            story.hears("Entering BACKUP STATE", 2);
            story.rival_sends(&advert_v2(51, 120, 1, VIP));
            story.hears("discarding", 1);
            story.rival_sends(&advert_v2(51, 0, 1, VIP));
            story.becomes_master(2);
            story.rival_sends(&advert_v2(51, 150, 1, VIP));
            story.hears("higher IP address", 1);
            story.becomes_master(3);
            story.stop();
        },
        &[],
    );
}

#[test]
fn a_link_that_goes_and_comes() {
    both_say(
        |story| {
            story.start(&config(""));
            story.becomes_master(1);
            story.lan.cut('a');
            story.hears("Entering FAULT STATE", 1);
            story.lan.mend('a');
            story.becomes_master(2);
            story.stop();
        },
        &[],
    );
}

#[test]
fn a_backup_whose_link_goes_and_comes() {
    both_say(
        |story| {
            story.start(&config("").replace("advert_int 1", "advert_int 10"));
            story.hears("Entering BACKUP STATE (init)", 1);
            story.lan.pass(Duration::from_secs(1));
            story.lan.cut('a');
            story.hears("Netlink reports eth0 down", 1);
            story.lan.pass(Duration::from_secs(1));
            story.lan.mend('a');
            story.hears("Entering BACKUP STATE", 2);
            story.stop();
        },
        &[],
    );
}

/// VRRPv3: what is learnt from the master, and what it says of its going.
#[test]
fn a_backup_of_another_master() {
    both_say(
        |story| {
            let packet = |priority| advert_v3(RIVAL, 51, priority, 50, VIP);
            story.start(&config("preempt_delay 20\n version 3"));
            story.hears("Entering BACKUP STATE (init)", 1);
            for _ in 0..5 {
                story.rival_sends(&packet(100));
                story.lan.pass(Duration::from_millis(100));
            }
            story.rival_sends(&packet(0));
            story.becomes_master(1);
            story.stop();
        },
        &[
            ("(VI_1) advertisement interval mismatch", "2.4.3 says it, 2.2.7 did not yet"),
            ("(VI_1) master set to", "2.4.3 says it, 2.2.7 did not yet"),
        ],
    );
}

#[test]
fn an_interface_that_goes_and_comes() {
    both_say(
        |story| {
            story.start(&config(""));
            story.becomes_master(1);
            story.lan.remove_interface('a');
            story.hears("Entering FAULT STATE", 1);
            story.lan.make_interface('a');
            story.becomes_master(2);
            story.stop();
        },
        &[("(VI_1): send advert error 19", "keepalived sends two adverts of priority 0")],
    );
}

#[test]
fn a_start_with_the_link_down() {
    both_say(
        |story| {
            story.lan.cut('a');
            // The kernel does not tell it at once.
            eventually("the link is down", || story.lan.ip('a', "link show dev eth0").contains("NO-CARRIER"));
            story.start(&config(""));
            story.hears("entering FAULT state", 1);
            story.lan.mend('a');
            story.becomes_master(1);
            story.stop();
        },
        &[],
    );
}

#[test]
fn a_start_without_an_address() {
    both_say(
        |story| {
            story.lan.ip('a', "addr flush dev eth0");
            story.start(&config(""));
            story.hears("entering FAULT state", 1);
            story.lan.ip('a', "addr add 10.99.0.1/24 dev eth0");
            story.becomes_master(1);
            story.lan.ip('a', "addr del 10.99.0.1/24 dev eth0");
            story.hears("Entering FAULT STATE", 1);
            story.stop();
        },
        &[
            ("(VI_1) eth0 has no IPv4 address to send from", "what we find in the file"),
            ("(VI_1) Netlink reflector reports IP 10.99.0.100 removed", "it went with its primary: we put it back"),
            ("(VI_1) Entering BACKUP STATE", "keepalived goes to BACKUP first for the address"),
            ("(VI_1) Sending/queueing gratuitous ARPs", "and announce it"),
        ],
    );
}

const SCRIPTS: &str = "global_defs {\n script_user root\n enable_script_security\n}\nvrrp_script check {\n \
    script /etc/keepalived/check.sh\n interval 1\n fall 1\n rise 1\n}\n";

fn scripted(story: &Story<'_>, weight: &str) -> String {
    story.lan.script('a', "check.sh", "[ -e /run/slow ] && sleep 5; [ ! -e /run/broken ] || exit 3");
    format!("{SCRIPTS}{}", config(&format!("track_script {{\n check {weight}\n }}")))
}

fn touch(lan: &Lan, name: &str) {
    std::fs::write(lan.home('a').join("run").join(name), "").unwrap();
}

fn remove(lan: &Lan, name: &str) {
    std::fs::remove_file(lan.home('a').join("run").join(name)).unwrap();
}

#[test]
fn a_script_that_holds_the_instance_in_fault() {
    both_say(
        |story| {
            let config = scripted(story, "");
            touch(story.lan, "broken");
            story.start(&config);
            story.hears("failed (exited", 1);
            remove(story.lan, "broken");
            story.becomes_master(1);
            touch(story.lan, "broken");
            story.hears("failed (exited", 2);
            story.hears("Entering FAULT STATE", 1);
            remove(story.lan, "broken");
            story.becomes_master(2);
            story.stop();
        },
        &[("(VI_1) Entering FAULT STATE", "a first result that is bad: keepalived is in FAULT without a word")],
    );
}

#[test]
fn a_script_that_changes_the_priority() {
    both_say(
        |story| {
            let config = scripted(story, "weight -20");
            story.start(&config);
            story.becomes_master(1);
            touch(story.lan, "broken");
            story.hears("Changing effective priority from 150 to 130", 1);
            remove(story.lan, "broken");
            story.hears("Changing effective priority from 130 to 150", 1);
            touch(story.lan, "slow");
            story.hears("timed", 1);
            remove(story.lan, "slow");
            story.hears("Changing effective priority from 130 to 150", 2);
            story.stop();
        },
        &[],
    );
}

#[test]
fn a_reload_that_changes_priority_and_addresses() {
    both_say(
        |story| {
            story.start(&config(""));
            story.becomes_master(1);
            let after = config("").replace("priority 150", "priority 160").replace("10.99.0.100", "10.99.0.101");
            story.lan.configure('a', &after);
            let begun = now();
            story.router.as_ref().expect("it runs").signal(nix::sys::signal::Signal::SIGHUP);
            story.lan.wait_held('a', "10.99.0.101".parse().unwrap());
            story.lan.wait_advert('a', begun + Duration::from_secs(2));
            story.stop();
        },
        &[("Assigned address 10.99.0.1", "keepalived reads all interfaces anew")],
    );
}

/// A packet of VRID 51 with one thing wrong, checksum right.
fn packet(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut packet = vec![0x21, 51, 100, 1, 1, 1, 0, 0];
    packet.extend(VIP);
    packet.extend(*b"s3cret\0\0");
    change(&mut packet);
    packet[6..8].copy_from_slice(&[0, 0]);
    let sum = crate::lan::checksum(&packet);
    packet[6..8].copy_from_slice(&sum.to_be_bytes());
    packet
}

#[test]
fn bad_packets_of_each_kind() {
    // 2.2.7 says each every time, 2.4.3 and we once
    compare(
        |story| {
            story.start(&format!(
                "global_defs {{\n log_unknown_vrids\n}}\n{}",
                config("authentication {\n auth_type PASS\n auth_pass s3cret\n }")
            ));
            story.becomes_master(1);
            let good = |packet: &[u8]| multicast_frame(RIVAL, packet);
            let mut frames = vec![
                good(&packet(|p| p[0] = 0x31)),
                good(&packet(|p| p[0] = 0x22)),
                good(&packet(|p| p[4] = 0)),
                good(&packet(|p| p[4] = 7)),
                good(&packet(|p| p[5] = 2)),
                good(&packet(|p| p[13] ^= 1)),
                good(&packet(|p| p[3] = 2)),
                good(&packet(|p| p[1] = 99)),
                good(&packet(|p| p[11] = 101)),
                good(&[0x21, 51, 100]),
            ];
            let mut wrong_sum = packet(|_| ());
            wrong_sum[6] ^= 1;
            frames.push(good(&wrong_sum));
            let mut low_ttl = good(&packet(|_| ()));
            low_ttl[14 + 8] = 254;
            low_ttl[14 + 10..14 + 12].copy_from_slice(&[0, 0]);
            let sum = crate::lan::checksum(&low_ttl[14..34]);
            low_ttl[14 + 10..14 + 12].copy_from_slice(&sum.to_be_bytes());
            frames.push(low_ttl);
            for frame in frames.iter().chain(&frames) {
                story.rival.send(frame);
                // one at a time: keepalived stops reading behind some of them
                story.lan.pass(Duration::from_millis(150));
            }
            story.stop();
        },
        &[
            ("(VI_1) ip address associated with VRID 51 not present", "2.2.7 has other words, and refuses the advert"),
            ("(VI_1) Received advert", "so it does not answer it"),
            ("(VI_1) vrrp packet too short", "too long and too short are one kind"),
        ],
        |count| count.min(1),
    );
}

#[test]
fn a_startup_delay() {
    both_say(
        |story| {
            story.start(&format!("global_defs {{\n vrrp_startup_delay 2\n}}\n{}", config("")));
            story.becomes_master(1);
            story.stop();
        },
        &[("Delayed start completed", "2.4.3 says it, 2.2.7 did not yet")],
    );
}
