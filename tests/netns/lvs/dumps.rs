//! `keepalived_check.data` beside that of Debian's keepalived for the same file, and what `keepalived-rs status` shows of
//! checks.

use super::kit::{self, Server, needs_lvs, silent, web};
use crate::lan::{Kind, Lan, eventually};

const CONFIG: &str = "global_defs {
    script_user root
    enable_script_security
    smtp_alert_checker
}
SSL {
    password secret
}
track_file file {
    file /run/number
}
virtual_server_group web {
    10.8.1.1-3 80
    10.8.2.1 8080
    fwmark 9
}
virtual_server 10.8.0.1 80 {
    delay_loop 1
    lb_algo wrr
    lb_kind NAT
    flag-1
    protocol TCP
    persistence_timeout 60
    persistence_granularity 255.255.255.0
    omega
    quorum 5
    hysteresis 1
    quorum_up \"/usr/bin/true up\"
    quorum_down \"/usr/bin/true down\"
    weight 4
    snmp_name service
    sorry_server 10.7.0.9 8001
    sorry_server_inhibit
    real_server 127.0.1.1 8001 {
        weight 3
        uthreshold 100
        lthreshold 50
        inhibit_on_failure
        notify_up \"/usr/bin/true a\"
        notify_down \"/usr/bin/true b\"
        snmp_name server
        delay_loop 2
        TCP_CHECK {
            connect_timeout 10
            retry 2
            delay_before_retry 3
            warmup 1
            bindto 127.0.0.1
            connect_ip 127.0.1.2
            connect_port 9
            bind_if lo
        }
        HTTP_GET {
            url {
                path /x
                status_code 200-204 302
                digest 0123456789abcdef0123456789abcdef
                virtualhost u.example.com
                regex ^foo
                regex_min_offset 3
                regex_max_offset 300
                regex_no_match
            }
            url {
                path /y
            }
            http_protocol 1.1
            fast_recovery
            log_all_failures
        }
    }
    real_server 127.0.1.2 8001 {
        lvs_method DR
        SSL_GET {
            enable_sni
            url {
                path /z
                virtualhost z.example.com
            }
        }
        SMTP_CHECK {
            helo_name a.example.com
        }
    }
}
virtual_server fwmark 7 {
    delay_loop 1
    lb_algo mh
    mh-port
    lb_kind TUN
    inhibit_on_failure
    real_server 127.0.1.3 {
        lvs_method TUN type gue port 6080 csum
        DNS_CHECK {
            type A
            name www.example.com
        }
        UDP_CHECK {
            payload 68656c6c6f
            require_reply 68656c6c6f
            min_reply_length 5
            max_reply_length 6
        }
    }
    real_server 127.0.1.4 {
        lvs_method TUN type gre csum
        PING_CHECK {
        }
        MISC_CHECK {
            misc_path \"/usr/bin/true x y\"
            misc_timeout 3
            misc_dynamic
        }
        FILE_CHECK {
            track_file file
            weight 3
        }
    }
}
virtual_server group web {
    lb_algo sh
    sh-port
    lb_kind DR
    protocol TCP
    real_server 127.0.1.5 {
        lvs_method TUN
    }
}
virtual_server fwmark 8 {
    lb_algo rr
    lb_kind TUN
    ip_family inet6
    persistence_timeout 300
    persistence_granularity 64
    real_server 2001:db8::1 {
    }
}
virtual_server 10.8.0.2 53 {
    lb_algo rr
    lb_kind NAT
    protocol UDP
    alpha
    ops
    real_server 127.0.1.6 53 {
        weight 2
    }
}
";

/// The dump of a daemon whose checks have all come to a verdict.
fn dump(kind: Kind) -> String {
    let lan = Lan::new(1);
    let _servers = ["127.0.1.2:9", "127.0.1.1:8001"]
        .map(|at| Server::tcp(&lan, 'a', at, if at.ends_with('9') { silent } else { web }));
    std::fs::write(lan.home('a').join("run/number"), "5\n").unwrap();
    let router = kit::start(&lan, kind, CONFIG);
    for line in [
        "TCP connection to [127.0.1.1]:tcp:8001 success",
        "_CHECK on service [127.0.1.2]:tcp:80 failed",
        "HTTP_CHECK on service [127.0.1.1]:tcp:8001 failed",
        "SMTP_CHECK ",
        "DNS_CHECK (",
        "UDP_CHECK on service",
        "ICMP connection to [127.0.1.4]",
        "Misc check for [[127.0.1.4]",
    ] {
        lan.wait_line('a', line, std::time::Duration::ZERO);
    }
    router.signal(nix::sys::signal::Signal::SIGUSR1);
    let path = lan.home('a').join("tmp/keepalived_check.data");
    eventually("the dump is there", || path.exists());
    // It is written to its end before the signal to stop is looked at.
    assert!(router.stop().success());
    std::fs::read_to_string(&path).unwrap()
}

/// What 2.2.7 prints and we do not.
const ONLY_THEIRS: [&str; 11] = [
    "System is compiled with LVS",
    // of the group, which services have
    "Alive: ",
    // its own marks for a reload
    "reloaded = ",
    "Reloaded = ",
    "previous effective_weight",
    // what checkers inherit; each has its own below
    "connection timeout = ",
    "Default delay before retry",
    "Last errno = ",
    "Last ran = ",
    "Regex ref count",
    // of the track file, which only virtual routers inherit
    "Weight = ",
];

/// What we print and 2.2.7 does not.
const ONLY_OURS: [&str; 4] = ["Probes = ", "Last failure = ", "serves = ", "SNI = "];

/// The lines about virtual servers, without what is meant to differ.
fn lines(text: &str, without: &[&str]) -> Vec<String> {
    let at = text.find("------< SSL definitions").expect("the section is there");
    let mut before = "";
    let mut lines = Vec::new();
    for line in text[at..].lines() {
        let trimmed = line.trim_start();
        // what real servers inherit: of a delay only seconds have decimals, and the other is a service's
        let is_inherited = (trimmed.starts_with("Delay loop") && !line.ends_with("us"))
            || (trimmed.starts_with("Inhibit on failure") && before.trim_start().starts_with("omega is"));
        before = line;
        let differs = without.iter().any(|begin| trimmed.starts_with(begin))
            // ours counts from none, theirs from all where there was no failure yet
            || trimmed.starts_with("Retries iterations");
        if !differs && !is_inherited {
            // 2.4.3 says of what; and no password is for showing around
            lines.push(line.replace("VS alive", "alive").replace("Password : secret", "Password : ********"));
        }
    }
    lines
}

#[test]
fn keepalived_check_data_has_keepalives_lines_in_its_order() {
    needs_lvs!();
    let [ours, theirs] = std::thread::scope(|scope| {
        let both = [Kind::Ours, Kind::Debian].map(|kind| scope.spawn(move || dump(kind)));
        both.map(|dump| dump.join().expect("it ran"))
    });
    let (our_lines, their_lines) = (lines(&ours, &ONLY_OURS), lines(&theirs, &ONLY_THEIRS));
    for (ours, theirs) in our_lines.iter().zip(&their_lines) {
        assert_eq!(ours, theirs, "\n{our_lines:#?}");
    }
    assert_eq!(our_lines.len(), their_lines.len());
    assert!(ours.contains("     serves = yes\n") && !ours.contains("secret"));
    assert!(ours.contains("   Last failure = 127.0.1.2:8001: Connection refused\n"), "{ours}");
}

#[test]
fn status_shows_servers_with_what_is_wrong_with_them() {
    needs_lvs!();
    let lan = Lan::new(1);
    let server = Server::tcp(&lan, 'a', "127.0.1.1:80", silent);
    let check = "TCP_CHECK {\n connect_timeout 2\n retry 0\n }\n";
    let config = format!(
        "virtual_server 10.8.0.1 80 {{\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n sorry_server 127.0.1.9 80\n
         real_server 127.0.1.1 80 {{\n {check} }}\n real_server 127.0.1.2 80 {{\n weight 3\n {check} }}\n}}\n"
    );
    let router = kit::start(&lan, Kind::Ours, &config);
    lan.wait_line('a', "TCP connection to [127.0.1.1]:tcp:80 success", std::time::Duration::ZERO);
    lan.wait_line('a', "Removing service [127.0.1.2]:tcp:80", std::time::Duration::ZERO);
    let status = || {
        let done = lan.run('a', &Kind::Ours.program().to_string_lossy(), &["status"]);
        String::from_utf8(done.stdout).unwrap()
    };
    let text = status();
    let servers: Vec<&str> =
        text.lines().skip_while(|line| !line.starts_with("[10.8.0.1]:tcp:80: UP")).skip(1).collect();
    let [first, of_first, second, of_second, ..] = servers[..] else { panic!("{text}") };
    assert_eq!((first, second), ("  [127.0.1.1]:tcp:80: UP, weight 1", "  [127.0.1.2]:tcp:80: DOWN, weight 3"));
    assert!(of_first.starts_with("    TCP_CHECK: UP for ") && of_first.ends_with(" probes, 0 failed)"), "{text}");
    assert!(of_second.starts_with("    TCP_CHECK: DOWN for "), "{text}");
    assert!(of_second.contains(": 127.0.1.2:80: Connection refused ("), "{text}");
    assert!(text.contains("alive 1,") && text.contains("real_servers 2,"), "{text}");
    drop(server);
    lan.wait_line('a', "Removing service [127.0.1.1]:tcp:80", std::time::Duration::ZERO);
    let text = status();
    assert!(text.contains("[10.8.0.1]:tcp:80: DOWN, the sorry server serves\n"), "{text}");
    assert!(router.stop().success());
}
