//! Reloads: what they change, and that nothing changes when they are refused.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;

use crate::kit::{Daemon, Dir, eventually, ip, proc_file, router, scratch};

fn addresses() -> String {
    ip("-o -4 addr show dev eth0")
}

fn master(dir: &Dir, global: &str) -> Daemon {
    dir.write("k.conf", &format!("{global}{}", router("VI_1", 51, &["10.0.0.100/24"])));
    let mut daemon = Daemon::start(dir, &[]);
    daemon.wait_for("(VI_1) Entering MASTER STATE");
    eventually("the address is there", || addresses().contains("10.0.0.100/24"));
    daemon
}

#[test]
fn a_reload_says_what_it_changed_and_the_state_stays() {
    scratch(|| {
        let dir = Dir::new();
        let mut daemon = master(&dir, "");
        let two = router("VI_1", 51, &["10.0.0.100/24", "10.0.0.101/24"]).replace("priority 150", "priority 160");
        dir.write("k.conf", &two);
        let ran = dir.ask("reload");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(
            ran.stdout,
            "vrrp_instance VI_1: priority 150 is now 160\n\
             vrrp_instance VI_1: address 10.0.0.101/24 on eth0 added\nreload complete\n"
        );
        eventually("both addresses are there", || ["100/24", "101/24"].iter().all(|a| addresses().contains(a)));
        let status = dir.ask("status");
        assert!(status.stdout.contains("VI_1: MASTER for "), "{}", status.stdout);
        assert!(status.stdout.contains("reloads: 1 done, 0 refused\n"), "{}", status.stdout);
        assert!(daemon.stop().success());
        assert_eq!(daemon.count("Entering BACKUP STATE"), 1, "only the first one");
    });
}

/// E08: the daemon ended.
#[test]
fn a_file_that_keepalived_would_die_of_changes_nothing() {
    scratch(|| {
        let dir = Dir::new();
        let mut daemon = master(&dir, "");
        for bad in ["vrrp_instance VI_1 {\n  interface eth0\n}\n", ""] {
            match bad {
                "" => std::fs::remove_file(dir.path("k.conf")).unwrap(),
                text => _ = dir.write("k.conf", text),
            }
            let ran = dir.ask("reload");
            assert_eq!(ran.code, Some(1), "{ran:?}");
            assert!(ran.stdout.contains("reload refused, nothing has changed: "), "{ran:?}");
            daemon.signal(Signal::SIGHUP);
            daemon.wait_for("Reload refused: the running configuration stays");
        }
        let status = dir.ask("status").stdout;
        assert!(status.contains("VI_1: MASTER for ") && status.contains("last reload refused: "), "{status}");
        assert!(addresses().contains("10.0.0.100/24"));
        dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"]));
        assert_eq!(dir.ask("reload").stdout, "nothing has changed\nreload complete\n");
        assert!(!dir.ask("status").stdout.contains("last reload refused"));
        assert!(daemon.stop().success());
    });
}

#[test]
fn a_lesser_error_is_refused_only_with_reload_check_config() {
    scratch(|| {
        let dir = Dir::new();
        let mut daemon = master(&dir, "");
        let broken = format!("nonsense\n{}", router("VI_1", 51, &["10.0.0.101/24"]));
        dir.write("k.conf", &broken);
        let ran = dir.ask("reload");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains("nonsense"), "it is said all the same: {ran:?}");
        assert!(daemon.stop().success());

        let log = dir.path("findings");
        let mut daemon = master(&dir, &format!("global_defs {{\n  reload_check_config {}\n}}\n", log.display()));
        dir.write("k.conf", &broken);
        assert_eq!(dir.ask("reload").code, Some(1));
        daemon.wait_for(&format!("New config failed validation, see {} for details", log.display()));
        assert!(dir.read("findings").contains("nonsense"));
        assert!(addresses().contains("10.0.0.100/24"));
        assert!(daemon.stop().success());
    });
}

/// The files are what they were, but not what they speak of.
#[test]
fn a_reload_of_the_same_files_says_the_same_until_the_machine_is_another() {
    scratch(|| {
        let dir = Dir::new();
        let script = dir.path("check");
        let block = format!("vrrp_script check {{\n  script {}\n  interval 1\n}}\n", script.display());
        let routers =
            router("VI_1", 51, &["10.0.0.100/24"]).replacen("{\n", "{\n  track_script {\n    check\n  }\n", 1);
        dir.write("k.conf", &format!("{block}{routers}"));
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("(VI_1) Entering MASTER STATE");
        let missing = format!("'{}' does not exist", script.display());
        let reload = || dir.ask("reload").stdout;
        let first = reload();
        assert!(first.contains(&missing) && first.ends_with("nothing has changed\nreload complete\n"), "{first}");
        assert_eq!((reload(), reload()), (first.clone(), first));
        let path = dir.write("check", "#!/bin/sh\nexit 1\n");
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        let found = reload();
        assert!(!found.contains(&missing) && !found.contains("nothing has changed"), "{found}");
        daemon.wait_for("(VI_1) Entering FAULT STATE");
        assert!(daemon.stop().success());
    });
}

#[test]
fn what_only_a_restart_can_change_is_named_and_refused() {
    scratch(|| {
        let dir = Dir::new();
        let mut daemon = master(&dir, "");
        let routers = router("VI_1", 51, &["10.0.0.100/24"]);
        dir.write("k.conf", &format!("net_namespace elsewhere\n{routers}"));
        let ran = dir.ask("reload");
        assert_eq!(ran.code, Some(1));
        let sentence = "Cannot change network namespace at a reload - please restart keepalived";
        assert!(ran.stdout.contains(sentence), "{ran:?}");
        daemon.wait_for(sentence);
        assert!(daemon.stop().success());
    });
}

#[test]
fn a_child_that_the_new_configuration_needs_is_started_and_one_it_does_not_need_ends() {
    scratch(|| {
        let dir = Dir::new();
        dir.write("k.conf", "global_defs {\n}\n");
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("Startup complete");
        dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"]));
        assert_eq!(dir.ask("reload").code, Some(0));
        daemon.wait_for("Starting VRRP child process, pid=");
        daemon.wait_for("(VI_1) Entering BACKUP STATE (init)");
        // E14: the pid file of a child that a reload has started is there and right.
        assert!(proc_file(dir.pid("v.pid"), "stat").contains(&format!(" {} ", daemon.pid())));
        assert!(!dir.path("c.pid").exists() && !dir.path("b.pid").exists());
        dir.write("k.conf", "global_defs {\n}\n");
        assert_eq!(dir.ask("reload").code, Some(0));
        eventually("the child has ended", || !dir.ask("status").stdout.contains("vrrp: "));
        eventually("its pid file is gone", || !dir.path("v.pid").exists());
        assert!(daemon.stop().success());
    });
}

#[test]
fn nonsense_on_the_control_socket_is_answered_and_harms_nobody() {
    use std::io::{Read, Write};
    scratch(|| {
        let dir = Dir::new();
        dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"]));
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("Startup complete");
        let long = format!("{}\n", "x".repeat(200_000));
        for request in ["\n", "{\"version\":1}\n", "{\"version\":9,\"order\":\"status\"}\n", &long] {
            let mut stream = UnixStream::connect(dir.path("k.sock")).unwrap();
            // It may hang up before it has read everything.
            let _ = stream.write_all(request.as_bytes());
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            assert!(answer.is_empty() || answer.contains("\"ok\":false"), "{answer}");
        }
        assert_eq!(dir.ask("status").code, Some(0));
        assert!(daemon.stop().success());
    });
}
