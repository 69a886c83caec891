//! Mail servers that do not do as they should. Mail waits for them; nothing else does.

use super::kit::{self, Server, mails, needs_lvs, silent};
use crate::lan::{Kind, Lan, Router, Seen, eventually, now};

/// A router and a virtual server that mail all that happens to them, through host `b`.
fn config(timeout_secs: u32) -> String {
    format!(
        "global_defs {{
    notification_email {{
        ops@example.com
        second@example.com
    }}
    notification_email_from ka@example.com
    smtp_server 10.99.0.2
    smtp_connect_timeout {timeout_secs}
    smtp_alert
    router_id LAB_A
}}
vrrp_instance VI_1 {{
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 1
    virtual_ipaddress {{
        10.99.0.100/24
    }}
}}
virtual_server 10.99.1.1 80 {{
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 127.0.1.1 80 {{
        TCP_CHECK {{
            connect_timeout 10
            retry 0
        }}
    }}
}}
"
    )
}

/// What the router mails until it is MASTER.
const OF_THE_ROUTER: [&str; 2] =
    ["VRRP Instance VI_1 - Entering BACKUP state", "VRRP Instance VI_1 - Entering MASTER state"];
/// What the checks mail when the server goes and comes back.
const OF_THE_CHECKS: [&str; 5] = [
    "Virtualserver [10.99.1.1]:tcp:80 - UP",
    "Realserver [127.0.1.1]:tcp:80 of virtual server [10.99.1.1]:tcp:80 - DOWN",
    "Virtualserver [10.99.1.1]:tcp:80 - DOWN",
    "Realserver [127.0.1.1]:tcp:80 of virtual server [10.99.1.1]:tcp:80 - UP",
    "Virtualserver [10.99.1.1]:tcp:80 - UP",
];

/// Starts the daemon and goes through all that [`OF_THE_ROUTER`] and [`OF_THE_CHECKS`] tell of; the checks go on
/// whatever becomes of the mail, and so do the adverts.
fn live(lan: &Lan, timeout_secs: u32) -> (Router, Server) {
    let serve = || Server::tcp(lan, 'a', "127.0.1.1:80", silent);
    let server = serve();
    let router = kit::start(lan, Kind::Ours, &config(timeout_secs));
    lan.wait_line('a', "success", std::time::Duration::ZERO);
    drop(server);
    lan.wait_line('a', "Lost quorum", std::time::Duration::ZERO);
    let server = serve();
    lan.wait("the quorum is back", |seen| (seen.lines('a', "Gained quorum").count() >= 1).then_some(()));
    lan.wait_line('a', "Entering MASTER STATE", std::time::Duration::ZERO);
    (router, server)
}

/// Waits until the mails of each process have come to each recipient, in the order in which things happened. A server
/// that puts off one recipient and takes the other gets a mail in two parts.
fn all_come(lan: &Lan) {
    let all = OF_THE_ROUTER.len() + OF_THE_CHECKS.len();
    let recipients = ["ops@example.com", "second@example.com"];
    let has_all = |seen: &Seen, to: &str| seen.lines('b', &format!("\"{to}\"")).count() >= all;
    lan.sees(|seen| recipients.iter().all(|to| has_all(seen, to)));
    let mails = mails(lan);
    for to in recipients {
        let of = |begin: &str| {
            let own = mails.iter().filter(|mail| mail.to.iter().any(|name| name == to));
            own.map(kit::Mail::subject).filter(|subject| subject.starts_with(begin)).collect::<Vec<_>>()
        };
        let of_the_checks =
            |begin: &str| OF_THE_CHECKS.into_iter().filter(|s| s.starts_with(begin)).collect::<Vec<_>>();
        assert_eq!(of("VRRP"), OF_THE_ROUTER, "{to}");
        assert_eq!(of("Virtualserver"), of_the_checks("Virtualserver"), "{to}");
        assert_eq!(of("Realserver"), of_the_checks("Realserver"), "{to}");
    }
}

/// How many mails both processes count, by this name of a counter.
fn counted(lan: &Lan, name: &str) -> u64 {
    let program = Kind::Ours.program();
    let status = lan.run('a', &program.to_string_lossy(), &["status"]);
    let text = String::from_utf8(status.stdout).unwrap();
    let of = |text: &str| text.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<u64>().ok();
    text.split([',', '\n']).filter_map(|part| of(part.trim())).sum()
}

fn said(lan: &Lan, text: &str) -> usize {
    lan.seen(|seen| seen.lines('a', text).count())
}

#[test]
fn a_dead_server_is_told_of_once_and_gets_all_mails_when_it_is_back() {
    needs_lvs!();
    let lan = Lan::new(2);
    let (router, _server) = live(&lan, 20);
    lan.wait("both processes say it", |seen| {
        (seen.lines('a', "SMTP connection ERROR to [10.99.0.2]:25 (Connection refused").count() == 2).then_some(())
    });
    let _mail = kit::mail_server(&lan, "friendly");
    all_come(&lan);
    eventually("all mails are counted", || counted(&lan, "mails_sent") == 7);
    assert_eq!(counted(&lan, "mails_lost"), 0);
    assert_eq!((said(&lan, "SMTP connection ERROR"), said(&lan, "The mail is lost")), (2, 0));
    assert!(router.stop().success());
}

#[test]
fn a_server_that_says_nothing_holds_up_neither_adverts_nor_checks_nor_the_stop() {
    needs_lvs!();
    let lan = Lan::new(2);
    // It takes connections and is silent.
    let listener = lan.within('b', || std::net::TcpListener::bind("10.99.0.2:25").unwrap());
    let (router, server) = live(&lan, 600);
    let (_client, _) = listener.accept().unwrap();
    // Both processes wait for it now, and will for minutes.
    for _ in 0..3 {
        lan.wait_advert('a', now());
    }
    drop(server);
    lan.wait("the next failure of the server is seen", |seen| {
        (seen.lines('a', "Lost quorum").count() == 2).then_some(())
    });
    assert!(router.stop().success());
    // Two of the router before it stopped and one of that; of the checks seven.
    lan.wait_line('a', "3 mails are lost: their server did not take them in time", std::time::Duration::ZERO);
    lan.wait_line('a', "7 mails are lost: their server did not take them in time", std::time::Duration::ZERO);
}

#[test]
fn a_server_that_is_not_there_at_all_delays_nothing_and_is_tried_again() {
    needs_lvs!();
    let lan = Lan::new(2);
    lan.ip('b', "addr del 10.99.0.2/24 dev eth0");
    let (router, _server) = live(&lan, 1);
    lan.wait("both processes say it", |seen| {
        (seen.lines('a', "SMTP server [10.99.0.2]:25").count() == 2).then_some(())
    });
    lan.ip('b', "addr add 10.99.0.2/24 dev eth0");
    let _mail = kit::mail_server(&lan, "friendly");
    all_come(&lan);
    assert!(router.stop().success());
}

#[test]
fn mails_that_are_refused_for_good_are_said_with_the_reason_and_counted() {
    needs_lvs!();
    let lan = Lan::new(2);
    let _mail = kit::mail_server(&lan, "refusing");
    let (router, _server) = live(&lan, 5);
    eventually("all mails are counted as lost", || counted(&lan, "mails_lost") == 7);
    assert_eq!(counted(&lan, "mails_sent"), 0);
    let reason = "Error processing RCPT cmd on SMTP server [10.99.0.2]:25. SMTP status code = 550 (permanent error (550): \
                  5.1.1 no such mailbox). The mail is lost.";
    assert_eq!(said(&lan, reason), 7);
    // Nobody is asked again.
    assert_eq!(lan.seen(|seen| seen.lines('b', "refused ").count()), 14);
    assert!(router.stop().success());
}

#[test]
fn a_server_that_wants_to_be_asked_again_later_gets_each_mail_once() {
    needs_lvs!();
    let lan = Lan::new(2);
    let _mail = kit::mail_server(&lan, "greylisting");
    let (router, _server) = live(&lan, 5);
    all_come(&lan);
    eventually("all mails are counted", || counted(&lan, "mails_sent") == 7);
    assert_eq!((counted(&lan, "mails_lost"), said(&lan, "The mail is lost")), (0, 0));
    assert!(said(&lan, "SMTP status code = 451") >= 1);
    assert!(router.stop().success());
}
