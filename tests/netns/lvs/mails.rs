//! The mails of a whole story, as a real SMTP server gets them from both daemons: header by header, line by line.

use super::kit::{self, Mail, Server, dns, echo, mail, mails, needs_lvs, silent, web};
use crate::lan::{Injector, Kind, Lan, Router, advert_v2, multicast_frame};

const RIVAL: [u8; 4] = [10, 99, 0, 2];
const VIP: [u8; 4] = [10, 99, 0, 100];

/// What one daemon is told to do and goes through, and the mails of each step.
struct Story<'a> {
    lan: &'a Lan,
    kind: Kind,
    rival: Injector,
    router: Option<Router>,
    steps: Vec<(&'static str, Vec<Mail>)>,
    /// Mails of the steps before.
    heard: usize,
}

impl Story<'_> {
    fn start(&mut self, config: &str) {
        self.router = Some(kit::start(self.lan, self.kind, config));
    }

    /// Ends a step: waits until mails with these subjects have come in it, and no others.
    fn mailed(&mut self, step: &'static str, subjects: &[&str]) {
        self.mailed_but(step, subjects, &[]);
    }

    /// The same, but keepalived has sent more.
    fn mailed_but(&mut self, step: &'static str, subjects: &[&str], only_theirs: &[&str]) {
        let mut subjects = subjects.to_vec();
        if self.kind == Kind::Debian {
            subjects.extend(only_theirs);
        }
        let (lan, enough) = (self.lan, self.heard + subjects.len());
        lan.sees(|seen| seen.lines('b', "\"greeting\"").count() >= enough);
        // Each has a connection of its own with keepalived, and one may overtake another.
        let mut mails = mails(lan).split_off(self.heard);
        self.heard += mails.len();
        mails.sort_by(|a, b| a.subject().cmp(b.subject()));
        subjects.sort_unstable();
        let came: Vec<&str> = mails.iter().map(Mail::subject).collect();
        assert_eq!(came, subjects, "{:?}, {step}", self.kind);
        if self.kind == Kind::Debian {
            mails.retain(|mail| !only_theirs.contains(&mail.subject()));
        }
        self.steps.push((step, mails));
    }

    fn touch(&self, name: &str) {
        std::fs::write(self.lan.home('a').join("run").join(name), "").unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.lan.home('a').join("run").join(name)).unwrap();
    }

    fn hears(&self, text: &str) {
        self.lan.wait_line('a', text, std::time::Duration::ZERO);
    }

    fn reload(&self, config: &str) {
        self.lan.configure('a', config);
        self.router.as_ref().expect("it runs").signal(nix::sys::signal::Signal::SIGHUP);
    }

    /// Ends the daemon, which has mails to send. keepalived opens a connection for each and ends before it has said a
    /// word: few arrive, if any.
    fn stop(&mut self, subjects: &[&str]) {
        assert!(self.router.take().expect("it runs").stop().success());
        if self.kind == Kind::Ours {
            self.mailed("stop", subjects);
            self.steps.pop();
        } else {
            let late = mails(self.lan).split_off(self.heard);
            assert!(late.iter().all(|mail| subjects.contains(&mail.subject())), "{late:?}");
        }
    }
}

/// Tells the story to one daemon and gives the mails of each step.
fn told(kind: Kind, story: impl Fn(&mut Story<'_>)) -> Vec<(&'static str, Vec<Mail>)> {
    let lan = Lan::new(2);
    let _server = kit::mail_server(&lan, "friendly");
    let rival = Injector::new(&lan, 'b');
    let mut telling = Story { lan: &lan, kind, rival, router: None, steps: Vec::new(), heard: 0 };
    story(&mut telling);
    telling.steps
}

/// Tells the story to both and compares their mails.
fn both_mail(story: impl Fn(&mut Story<'_>) + Sync) {
    needs_lvs!();
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| told(Kind::Ours, &story));
        let theirs = scope.spawn(|| told(Kind::Debian, &story));
        (ours.join().expect("ours ran"), theirs.join().expect("theirs ran"))
    });
    assert_eq!(ours.len(), theirs.len());
    for ((step, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        assert_eq!(comparable(ours), theirs.iter().map(as_newest).collect::<Vec<_>>(), "{step}");
    }
}

/// Our mails, without when they were sent and with keepalived's greeting.
fn comparable(mails: &[Mail]) -> Vec<Mail> {
    let as_theirs = |mail: &Mail| {
        // It is what the package says; a server that does not know it gets HELO.
        assert_eq!(mail.greeting, "EHLO");
        Mail { greeting: "HELO".into(), ..undated(mail) }
    };
    mails.iter().map(as_theirs).collect()
}

/// A mail of 2.2.7 as 2.4.3 sends it.
fn as_newest(mail: &Mail) -> Mail {
    let mut mail = undated(mail);
    let to = mail.lines.iter().position(|line| line.starts_with("To: ")).expect("header To");
    // one line for each recipient
    let folded: Vec<String> = mail.lines[to].replace(", ", ",\n ").lines().map(str::to_owned).collect();
    mail.lines.splice(to..=to, folded);
    for line in &mut mail.lines {
        // one sentence for both kinds of it
        *line = line.replace("HTTP request failed", "HTTP/SSL request failed");
    }
    mail
}

/// Without when it was sent, which is told in one form only.
fn undated(mail: &Mail) -> Mail {
    let mut mail = mail.clone();
    let date = mail.lines[0].strip_prefix("Date: ").expect("the first header is Date");
    let form = |c: char| if c.is_ascii_digit() { '9' } else { c };
    let [day, rest] = [&date[..5], &date[5..]].map(|part| part.chars().map(form).collect::<String>());
    assert!(day.ends_with(", ") && rest.starts_with("99 ") && rest.ends_with(" 9999 99:99:99 +9999"), "{date}");
    mail.lines[0] = "Date:".into();
    mail
}

const GLOBAL: &str = "
global_defs {
    notification_email {
        ops@example.com
        second@example.com
    }
    notification_email_from ka@example.com
    smtp_server 10.99.0.2
    smtp_helo_name a.example.com
    smtp_connect_timeout 5
    router_id LAB_A
    script_user root
    enable_script_security
}
";

const INSTANCE: &str = "
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 150
    smtp_alert
    virtual_ipaddress {
        10.99.0.100/24
    }
    track_interface {
        dum0
    }
}
";

const SERVERS: &str = "
virtual_server_group mailers {
    10.99.1.3 25
}
virtual_server 10.99.1.1 80 {
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    quorum 2
    smtp_alert
    sorry_server 127.0.0.9 80
    real_server 127.0.1.1 80 {
        TCP_CHECK {
            connect_timeout 10
            retry 0
        }
    }
    real_server 127.0.1.2 80 {
        TCP_CHECK {
            connect_timeout 10
            retry 0
        }
    }
}
virtual_server fwmark 7 {
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    alpha
    omega
    smtp_alert
    real_server 127.0.2.1 80 {
        HTTP_GET {
            url {
                path /
                status_code 200
            }
            connect_timeout 10
            retry 0
        }
    }
}
virtual_server group mailers {
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 127.0.3.1 25 {
        SMTP_CHECK {
            connect_timeout 10
            retry 0
            helo_name a.example.com
        }
    }
}
virtual_server 10.99.1.4 53 {
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol UDP
    real_server 127.0.4.1 53 {
        DNS_CHECK {
            type A
            name www.example.com
            connect_timeout 10
            retry 0
        }
    }
}
virtual_server 10.99.1.5 7 {
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol UDP
    real_server 127.0.5.1 7 {
        UDP_CHECK {
            connect_timeout 10
            payload hello
            require_reply hello
            retry 0
        }
    }
}
virtual_server 10.99.1.6 80 {
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 127.0.6.1 80 {
        MISC_CHECK {
            misc_path \"/etc/keepalived/check.sh\"
            misc_timeout 10
            retry 0
        }
    }
}
virtual_server 10.99.1.7 80 {
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.99.0.77 80 {
        PING_CHECK {
            connect_timeout 3
            retry 0
        }
    }
}
";

#[test]
fn a_whole_story() {
    both_mail(|story| {
        let lan = story.lan;
        kit::make_dum0(lan);
        lan.ip('b', "addr add 10.99.0.77/32 dev eth0");
        lan.script('a', "check.sh", "[ ! -e /run/broken ] || exit 3");
        let first = Server::tcp(lan, 'a', "127.0.1.1:80", silent);
        let second = Server::tcp(lan, 'a', "127.0.1.2:80", silent);
        let all = || {
            (
                (Server::tcp(lan, 'a', "127.0.2.1:80", web), Server::tcp(lan, 'a', "127.0.3.1:25", mail)),
                (Server::udp(lan, 'a', "127.0.4.1:53", dns), Server::udp(lan, 'a', "127.0.5.1:7", echo)),
            )
        };
        let others = all();
        story.start(&[GLOBAL, INSTANCE, SERVERS].concat());
        story.mailed_but(
            "start",
            &[
                "VRRP Instance VI_1 - Entering BACKUP state",
                "VRRP Instance VI_1 - Entering MASTER state",
                "Virtualserver [10.99.1.1]:tcp:80 - UP",
                "Virtualserver FWM 7 - UP",
                "Realserver [127.0.2.1]:none:80 of virtual server FWM 7 - UP",
            ],
            &["Realserver [127.0.6.1]:tcp:80 of virtual server [10.99.1.6]:tcp:80 - UP"],
        );
        story.rival.send(&multicast_frame(RIVAL, &advert_v2(51, 200, 1, VIP)));
        story.mailed(
            "a rival that goes",
            &["VRRP Instance VI_1 - Entering BACKUP state", "VRRP Instance VI_1 - Entering MASTER state"],
        );
        lan.ip('a', "link set dum1 down");
        story.mailed("a link that is lost", &["VRRP Instance VI_1 - Entering FAULT state"]);
        lan.ip('a', "link set dum1 up");
        story.mailed(
            "a link that is back",
            &["VRRP Instance VI_1 - Entering BACKUP state", "VRRP Instance VI_1 - Entering MASTER state"],
        );
        const FIRST: &str = "Realserver [127.0.1.1]:tcp:80 of virtual server [10.99.1.1]:tcp:80 - ";
        const SECOND: &str = "Realserver [127.0.1.2]:tcp:80 of virtual server [10.99.1.1]:tcp:80 - ";
        const SERVICE: &str = "Virtualserver [10.99.1.1]:tcp:80 - ";
        let [first_down, second_down, service_down] = [FIRST, SECOND, SERVICE].map(|who| format!("{who}DOWN"));
        let [first_up, second_up, service_up] = [FIRST, SECOND, SERVICE].map(|who| format!("{who}UP"));
        drop(first);
        story.mailed("a server that goes, and the quorum with it", &[&first_down, &service_down]);
        drop(second);
        story.mailed("the last server goes: the sorry server comes", &[&second_down]);
        let _first = Server::tcp(lan, 'a', "127.0.1.1:80", silent);
        story.mailed("a server that is back", &[&first_up]);
        let _second = Server::tcp(lan, 'a', "127.0.1.2:80", silent);
        story.mailed("the quorum that is back", &[&second_up, &service_up]);

        drop(others);
        lan.ip('b', "addr del 10.99.0.77/32 dev eth0");
        story.touch("broken");
        let rest = |state: &str| {
            [
                "Realserver [127.0.2.1]:none:80 of virtual server FWM 7",
                "Virtualserver FWM 7",
                "Realserver [127.0.3.1]:tcp:25 of virtual server [mailers]:0",
                "Realserver [127.0.4.1]:udp:53 of virtual server [10.99.1.4]:udp:53",
                "Realserver [127.0.5.1]:udp:7 of virtual server [10.99.1.5]:udp:7",
                "Realserver [127.0.6.1]:tcp:80 of virtual server [10.99.1.6]:tcp:80",
                "Realserver [10.99.0.77]:tcp:80 of virtual server [10.99.1.7]:tcp:80",
            ]
            .map(|who| format!("{who} - {state}"))
        };
        let (down, up) = (rest("DOWN"), rest("UP"));
        story.mailed("checks of every kind that fail", &down.each_ref().map(String::as_str));
        let _others = all();
        lan.ip('b', "addr add 10.99.0.77/32 dev eth0");
        story.remove("broken");
        story.mailed("checks of every kind that succeed", &up.each_ref().map(String::as_str));

        let without_first = SERVERS.replacen("127.0.1.1 80 ", "127.0.1.3 80 ", 1);
        let _third = Server::tcp(lan, 'a', "127.0.1.3:80", silent);
        story.reload(&[GLOBAL, INSTANCE, &without_first].concat());
        // keepalived counts what is left before it counts what is new, and never says that the quorum is back (2.4.3, too).
        story.mailed_but("a reload that takes a server away", &[&first_down], &[&service_down]);
        story.stop(&[
            "VRRP Instance VI_1 - Stopping",
            "Realserver [127.0.2.1]:none:80 of virtual server FWM 7 - DOWN",
            "Virtualserver FWM 7 - DOWN",
        ]);
    });
}

/// An instance that is not tracked by anything, and what more it says.
fn instance(number: u8, more: &str) -> String {
    INSTANCE
        .replace("VI_1", &format!("VI_{number}"))
        .replace("51", &format!("5{number}"))
        .replace("10.99.0.100", &format!("10.99.0.10{number}"))
        .replace("dum0", "lo")
        .replace("smtp_alert", more)
}

#[test]
fn switches_of_what_is_mailed() {
    let global = GLOBAL.replace("router_id", "smtp_alert\n    no_email_faults\n    router_id");
    let first = INSTANCE.replace("smtp_alert", "");
    let service = |number: u8, more: &str| {
        format!(
            "virtual_server 10.99.2.{number} 80 {{\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n {more}
            real_server 127.0.1.1 80 {{\n TCP_CHECK {{\n connect_timeout 10\n retry 0\n }}\n }}
            real_server 127.0.1.2 80 {{\n smtp_alert off\n inhibit_on_failure\n TCP_CHECK {{\n connect_timeout 10
            retry 0\n }}\n }}\n}}\n"
        )
    };
    both_mail(|story| {
        let lan = story.lan;
        kit::make_dum0(lan);
        let servers = ["127.0.1.1:80", "127.0.1.2:80"].map(|at| Server::tcp(lan, 'a', at, silent));
        let stays = [&first, &*service(1, "")].concat();
        let goes = [
            instance(2, "smtp_alert off"),
            instance(3, "notify_deleted"),
            instance(4, ""),
            service(2, "smtp_alert off"),
            service(3, ""),
        ];
        story.start(&[&*global, &stays, &goes.concat()].concat());
        let routers =
            [1, 3, 4].map(|n| ["BACKUP", "MASTER"].map(|to| format!("VRRP Instance VI_{n} - Entering {to} state")));
        let started: Vec<&str> = routers
            .iter()
            .flatten()
            .map(String::as_str)
            .chain(["Virtualserver [10.99.2.1]:tcp:80 - UP", "Virtualserver [10.99.2.3]:tcp:80 - UP"])
            .collect();
        story.mailed("start", &started);
        lan.ip('a', "link set dum1 down");
        story.hears("Entering FAULT STATE");
        lan.ip('a', "link set dum1 up");
        story.mailed("a fault, which is not mailed", &[&routers[0][0], &routers[0][1]]);
        drop(servers);
        story.mailed(
            "servers that go",
            &[
                "Realserver [127.0.1.1]:tcp:80 of virtual server [10.99.2.1]:tcp:80 - DOWN",
                "Realserver [127.0.1.1]:tcp:80 of virtual server [10.99.2.2]:tcp:80 - DOWN",
                "Realserver [127.0.1.1]:tcp:80 of virtual server [10.99.2.3]:tcp:80 - DOWN",
                "Virtualserver [10.99.2.1]:tcp:80 - DOWN",
                "Virtualserver [10.99.2.3]:tcp:80 - DOWN",
            ],
        );
        story.reload(&[&*global, &stays].concat());
        story.mailed("a reload that takes away routers and services", &["VRRP Instance VI_3 - Deleted"]);
        story.stop(&["VRRP Instance VI_1 - Stopping"]);
    });
}
