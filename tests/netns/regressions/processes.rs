//! The life of the processes, and what they write.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{VIP, ip, quick};
use crate::lan::{Kind, Lan, eventually, now};
use crate::setup::needs;

/// E13: both ran.
#[test]
fn of_two_daemons_that_start_at_once_one_runs() {
    needs!();
    let lan = Lan::new(1);
    lan.configure('a', &quick("V", 51, 150, VIP, ""));
    let both = [lan.start_again('a', Kind::Ours), lan.start_again('a', Kind::Ours)];
    lan.wait_line('a', "daemon is already running", Duration::ZERO);
    eventually("one of them ended", || both.iter().filter(|r| r.is_alive()).count() == 1);
    lan.wait_held('a', ip(VIP));
    let ended = both.iter().find(|r| !r.is_alive()).and_then(|r| r.end(Duration::from_secs(1)));
    assert!(ended.is_some_and(|status| status.success()), "keepalived ends with 0 then: {ended:?}");
    assert_eq!(both.iter().filter(|r| r.is_alive()).count(), 1);
}

#[test]
fn a_stale_pid_file_does_not_prevent_a_start() {
    needs!();
    let lan = Lan::new(1);
    // The pid of a process that lives, and has nothing to do with it.
    for file in ["keepalived.pid", "vrrp.pid"] {
        fs::write(lan.home('a').join("run").join(file), format!("{}\n", std::process::id())).unwrap();
    }
    let a = lan.start('a', Kind::Ours, &quick("V", 51, 150, VIP, ""));
    lan.wait_held('a', ip(VIP));
    let pid = fs::read_to_string(lan.home('a').join("run/keepalived.pid")).unwrap();
    assert_eq!(pid, format!("{}\n", a.pid));
}

#[test]
fn the_pid_files_are_gone_after_a_stop() {
    needs!();
    let lan = Lan::new(1);
    let a = lan.start('a', Kind::Ours, &quick("V", 51, 150, VIP, ""));
    lan.wait_held('a', ip(VIP));
    assert!(a.stop().success());
    for file in ["keepalived.pid", "vrrp.pid"] {
        assert!(!lan.home('a').join("run").join(file).exists(), "{file} is left");
    }
    assert!(a.processes().len() <= 1, "processes are left");
}

/// E16: a crash, or exit status 0.
#[test]
fn a_file_that_cannot_run_is_a_clear_error_at_start() {
    needs!();
    let whole = quick("V", 51, 150, VIP, "");
    let broken = [
        (whole.replace("interface eth0", ""), "interface"),
        (whole.replace("interface eth0", "interface nope7"), "nope7"),
    ];
    for (config, word) in broken {
        let lan = Lan::new(1);
        let a = lan.start('a', Kind::Ours, &config);
        let status = a.end(Duration::from_secs(20)).expect("it does not run");
        assert!(!status.success(), "exit status 0 for {word}");
        assert!(lan.sees(|seen| seen.lines('a', word).next().is_some()), "nothing was said about {word}");
    }
}

/// E29: a crash while it stopped.
#[test]
fn sigterm_right_after_the_start_is_a_clean_end() {
    needs!();
    let lan = Lan::new(1);
    for pause in [0, 3, 10, 30, 100, 300] {
        lan.configure('a', &quick("V", 51, 150, VIP, ""));
        let a = lan.start_again('a', Kind::Ours);
        a.first_instruction();
        lan.pass(Duration::from_millis(pause));
        let status = a.stop();
        assert!(status.success(), "{pause} ms after the start: {status:?}");
        lan.wait_released('a', ip(VIP));
    }
    lan.seen(|seen| assert!(seen.adverts().next().is_none(), "it was never MASTER"));
}

/// E29: a crash while it stopped.
#[test]
fn sigterm_during_the_startup_delay_is_a_clean_end() {
    needs!();
    let lan = Lan::new(1);
    let delayed = format!("global_defs {{\n vrrp_startup_delay 100\n}}\n{}", quick("V", 51, 150, VIP, ""));
    let a = lan.start('a', Kind::Ours, &delayed);
    lan.wait_line('a', "Entering BACKUP STATE", Duration::ZERO);
    assert!(a.stop().success());
    lan.seen(|seen| assert!(seen.adverts().next().is_none(), "it was never MASTER"));
}

/// E23: the target was overwritten.
#[test]
fn a_dump_does_not_follow_a_planted_link() {
    needs!();
    let lan = Lan::new(1);
    let victim = lan.home('a').join("victim");
    let dump = lan.home('a').join("tmp/keepalived.data");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, &dump).unwrap();
    let a = lan.start('a', Kind::Ours, &quick("V", 51, 150, VIP, ""));
    lan.wait_held('a', ip(VIP));
    a.signal(Signal::SIGUSR1);
    eventually("the dump is written", || fs::symlink_metadata(&dump).is_ok_and(|m| m.is_file() && m.len() > 0));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(fs::metadata(&dump).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&dump).unwrap();
    assert!(text.contains("VRRP Instance = V"), "{text}");
}

/// E31: What cannot be meant is said, one complaint for each.
#[test]
fn duplicates_are_diagnosed() {
    needs!();
    let lan = Lan::new(1);
    let unicast =
        |peers: &str| quick("V", 51, 150, VIP, &format!("unicast_src_ip 10.99.0.1\n unicast_peer {{\n {peers}\n }}"));
    let doubtful = [
        ("a peer twice", unicast("10.99.0.2\n 10.99.0.2")),
        ("ourselves as a peer", unicast("10.99.0.1")),
        ("an address twice", quick("V", 51, 150, "10.99.0.100\n 10.99.0.100", "")),
        ("a VRID twice", quick("V", 51, 150, VIP, "") + &quick("W", 51, 150, "10.99.0.101", "")),
        ("a name twice", quick("V", 51, 150, VIP, "") + &quick("V", 52, 150, "10.99.0.101", "")),
    ];
    for (what, config) in doubtful {
        lan.configure('a', &config);
        let tested = lan.run('a', &Kind::Ours.program().to_string_lossy(), &["--config-test"]);
        let said = [tested.stdout, tested.stderr].concat();
        assert!(!said.is_empty(), "nothing was said about {what}");
    }
}

/// C23: The same story has the same words for scripts, whoever runs them.
#[test]
fn notify_scripts_get_the_words_that_keepalived_gives_them() {
    needs!();
    let told = |kind: Kind| {
        let lan = Lan::new(2);
        lan.script('a', "notify.sh", "echo \"$@\" >>/run/notified");
        lan.script('a', "specific.sh", "echo \"$@\" >>/run/specific");
        let scripts = "notify /etc/keepalived/notify.sh\n notify_master \"/etc/keepalived/specific.sh master one\"\n \
                       notify_backup \"/etc/keepalived/specific.sh backup\"\n \
                       notify_fault /etc/keepalived/specific.sh\n notify_stop \"/etc/keepalived/specific.sh stop\"";
        let config = format!(
            "global_defs {{\n script_user root\n enable_script_security\n}}\n{}",
            quick("V", 51, 150, VIP, scripts)
        );
        let read = |file: &str| fs::read_to_string(lan.home('a').join("run").join(file)).unwrap_or_default();
        let lines = |n: usize| eventually(&format!("{n} notifications"), || read("notified").lines().count() >= n);
        let a = lan.start('a', kind, &config);
        lines(2);
        lan.cut('a');
        lines(3);
        lan.mend('a');
        lines(5);
        let before = now();
        let _b = lan.start('b', Kind::Debian, &quick("V", 51, 200, VIP, ""));
        lines(6);
        lan.wait_advert('b', before);
        // Either may start two scripts at once, which then write in any order.
        eventually("the specific script ran, too", || read("specific").lines().count() >= 6);
        a.stop();
        lines(7);
        eventually("the last specific script ran", || read("specific").lines().count() >= 7);
        (read("notified"), read("specific"))
    };
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| told(Kind::Ours));
        let theirs = scope.spawn(|| told(Kind::Debian));
        (ours.join().unwrap(), theirs.join().unwrap())
    });
    assert_eq!(ours, theirs);
}
