//! Start, stop, pid files, deaths of processes.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kit::{Daemon, Dir, Ran, eventually, ip, proc_file, router, scratch};

fn addresses() -> String {
    addresses_of("eth0")
}

fn addresses_of(link: &str) -> String {
    ip(&format!("-o -4 addr show dev {link}"))
}

/// A router that holds its address.
fn master(dir: &Dir) -> Daemon {
    dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"]));
    let mut daemon = Daemon::start(dir, &[]);
    daemon.wait_for("(VI_1) Entering MASTER STATE");
    eventually("the address is there", || addresses().contains("10.0.0.100/24"));
    daemon
}

#[test]
fn a_daemon_writes_its_pid_files_and_removes_everything_when_it_stops() {
    scratch(|| {
        let dir = Dir::new();
        let mut daemon = master(&dir);
        assert_eq!(dir.pid("k.pid"), daemon.pid());
        assert!(proc_file(dir.pid("v.pid"), "stat").contains(&format!(" {} ", daemon.pid())));
        assert!(daemon.stop().success());
        let once = ["Stopping", "(VI_1) sent 0 priority", "Stopped Keepalived v2.4.3"].map(|line| (line, 1));
        // At the start too, for addresses that a run before may have left.
        for (line, count) in once.into_iter().chain([("(VI_1) removing VIPs.", 2)]) {
            assert_eq!(daemon.count(line), count, "{line}");
        }
        assert!(!addresses().contains("10.0.0.100"));
        let left: Vec<_> = std::fs::read_dir(dir.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["k.conf"]);
    });
}

/// E13: both ran.
#[test]
fn two_daemons_cannot_run_at_once_and_the_second_is_no_failure() {
    scratch(|| {
        let dir = Dir::new();
        dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"]));
        let mut first = Daemon::start(&dir, &[]);
        first.wait_for("Startup complete");
        let mut second = Daemon::start(&dir, &[]);
        assert_eq!(second.end().code(), Some(0));
        let locked = format!("Another process has pid file {} locked", dir.path("k.pid").display());
        assert_eq!((second.count(&locked), second.count("daemon is already running")), (1, 1));
        assert_eq!(dir.pid("k.pid"), first.pid());
        assert!(first.stop().success());
    });
}

/// E13: several ran.
#[test]
fn of_many_started_at_once_exactly_one_runs() {
    scratch(|| {
        let dir = Dir::new();
        dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"]));
        let mut all: Vec<Daemon> = (0..6).map(|_| Daemon::start(&dir, &[])).collect();
        eventually("a pid is written", || dir.read("k.pid").ends_with('\n'));
        let winner = dir.pid("k.pid");
        for daemon in all.iter_mut().filter(|daemon| daemon.pid() != winner) {
            assert_eq!(daemon.end().code(), Some(0));
            assert_eq!(daemon.count("daemon is already running"), 1);
        }
        let first = all.iter_mut().find(|daemon| daemon.pid() == winner).unwrap();
        first.wait_for("Startup complete");
        assert!(first.stop().success());
    });
}

#[test]
fn a_stale_pid_file_stops_nobody() {
    scratch(|| {
        let dir = Dir::new();
        // A process that exists and is no daemon.
        for name in ["k.pid", "v.pid"] {
            dir.write(name, "1\n");
        }
        assert!(master(&dir).stop().success());
    });
}

#[test]
fn a_daemon_in_the_background_has_its_pid_file_written_when_the_command_returns() {
    scratch(|| {
        let dir = Dir::new();
        let config = dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"])).display().to_string();
        let mut command = dir.command(&["-G", "-f", &config]);
        let ran = Ran::of(command.args(dir.pid_options()).output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let pid = dir.pid("k.pid");
        assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), std::path::Path::new("/"));
        assert_eq!(std::fs::read_link(format!("/proc/{pid}/fd/1")).unwrap(), std::path::Path::new("/dev/null"));
        eventually("it answers", || dir.ask("status").code == Some(0));
        kill(pid, Signal::SIGTERM).unwrap();
        eventually("it is gone", || !dir.path("k.pid").exists());
    });
}

/// Whether a process has blocked SIGHUP.
fn blocks_hangup(pid: Pid) -> bool {
    let status = proc_file(pid, "status");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap_or("0");
    u64::from_str_radix(mask.trim(), 16).unwrap_or(0) & 1 != 0
}

/// E10: a signal during a reload, or the start, was lost.
#[test]
fn signals_during_the_start_are_kept_and_become_one_reload() {
    scratch(|| {
        let dir = Dir::new();
        dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"]));
        let mut daemon = Daemon::start(&dir, &[]);
        eventually("main has begun", || blocks_hangup(daemon.pid()));
        for _ in 0..100 {
            daemon.signal(Signal::SIGHUP);
        }
        daemon.wait_for("Startup complete");
        daemon.wait_for("Reload complete");
        assert!(daemon.stop().success());
        assert!(daemon.count("Reload complete") <= 3, "many signals become few reloads");
    });
}

/// E29: a crash while it stopped.
#[test]
fn a_stop_during_the_start_is_a_clean_one() {
    scratch(|| {
        let dir = Dir::new();
        dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"]));
        let mut daemon = Daemon::start(&dir, &[]);
        eventually("main has begun", || blocks_hangup(daemon.pid()));
        daemon.signal(Signal::SIGTERM);
        assert_eq!(daemon.end().code(), Some(0));
        assert_eq!(daemon.count("sent 0 priority"), 0, "it was never MASTER");
        assert!(!dir.path("k.pid").exists());
    });
}

/// E14: the pid file was missing.
#[test]
fn a_child_that_dies_is_started_again_and_its_pid_file_is_right() {
    scratch(|| {
        let dir = Dir::new();
        let mut daemon = master(&dir);
        let before = dir.pid("v.pid");
        kill(before, Signal::SIGKILL).unwrap();
        daemon.wait_for(&format!("pid {before} exited due to signal 9 (Killed)"));
        daemon.wait_for(&format!("VRRP child process({before}) died: Respawning"));
        daemon.wait_for("Restart of VRRP process delayed 0 seconds to limit respawn rate");
        daemon.wait_for("removed 10.0.0.100/24 from eth0, left by an earlier run");
        // The first one's line, and that of the second.
        (0..2).for_each(|_| drop(daemon.wait_for("(VI_1) Entering BACKUP STATE (init)")));
        let new = || dir.pid_if_any("v.pid").filter(|&pid| pid != before);
        eventually("the new one has its pid file", || new().is_some());
        kill(new().unwrap(), Signal::SIGKILL).unwrap();
        daemon.wait_for("Restart of VRRP process delayed 1 seconds to limit respawn rate");
        assert!(daemon.stop().success());
    });
}

#[test]
fn a_child_asked_to_stop_gives_up_its_addresses_and_is_started_again() {
    scratch(|| {
        let dir = Dir::new();
        let mut daemon = master(&dir);
        kill(dir.pid("v.pid"), Signal::SIGTERM).unwrap();
        daemon.wait_for("(VI_1) sent 0 priority");
        daemon.wait_for("exited with status 0");
        daemon.wait_for("(VI_1) Entering BACKUP STATE (init)");
        assert!(daemon.stop().success());
    });
}

#[test]
fn without_respawn_a_death_ends_the_daemon_with_0() {
    scratch(|| {
        let dir = Dir::new();
        dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"]));
        let mut daemon = Daemon::start(&dir, &["-R"]);
        daemon.wait_for("Startup complete");
        kill(dir.pid("v.pid"), Signal::SIGKILL).unwrap();
        assert_eq!(daemon.end().code(), Some(0));
        assert_eq!(daemon.count("died: Exiting"), 1);
    });
}

#[test]
fn when_the_parent_is_killed_the_child_gives_up_in_order() {
    scratch(|| {
        let dir = Dir::new();
        let mut daemon = master(&dir);
        daemon.signal(Signal::SIGKILL);
        daemon.wait_for("(VI_1) sent 0 priority");
        eventually("the address is gone", || !addresses().contains("10.0.0.100"));
    });
}

#[test]
fn what_a_crash_of_everything_left_is_removed_by_the_next_start_even_under_another_configuration() {
    scratch(|| {
        let dir = Dir::new();
        let mut daemon = master(&dir);
        let (parent, child) = (daemon.pid(), dir.pid("v.pid"));
        eventually("the record is written", || dir.read("k.addresses").contains("10.0.0.100/24"));
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for pid in [parent, child] {
                let _ = kill(pid, signal);
            }
        }
        daemon.end();
        assert!(addresses().contains("10.0.0.100/24"));
        dir.write("k.conf", &router("VI_1", 51, &["10.0.0.200/24"]));
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("removed 10.0.0.100/24 from eth0, left by an earlier run");
        daemon.wait_for("(VI_1) Entering BACKUP STATE (init)");
        assert!(!addresses().contains("10.0.0.100/24"));
        assert!(daemon.stop().success());
    });
}

#[test]
fn cleanup_removes_what_a_crash_left_and_nothing_while_a_daemon_runs() {
    scratch(|| {
        let dir = Dir::new();
        let mut daemon = master(&dir);
        let ran = dir.ask("cleanup");
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains("a daemon is running"), "{}", ran.stderr);
        assert!(addresses().contains("10.0.0.100/24"));
        eventually("the record is written", || dir.read("k.addresses").contains("10.0.0.100/24"));
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for pid in [daemon.pid(), dir.pid("v.pid")] {
                let _ = kill(pid, signal);
            }
        }
        daemon.end();
        let ran = dir.ask("cleanup");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(!addresses().contains("10.0.0.100"));
        assert!(addresses().contains("10.0.0.1/24"));
    });
}

#[test]
fn with_dont_release_vrrp_addresses_stay() {
    scratch(|| {
        let dir = Dir::new();
        dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"]));
        let mut daemon = Daemon::start(&dir, &["-V"]);
        daemon.wait_for("(VI_1) Entering MASTER STATE");
        eventually("the address is there", || addresses().contains("10.0.0.100/24"));
        assert!(daemon.stop().success());
        assert!(addresses().contains("10.0.0.100/24"));
    });
}

#[test]
fn a_daemon_without_anything_to_do_idles_and_says_so() {
    scratch(|| {
        let dir = Dir::new();
        dir.write("k.conf", "global_defs {\n}\n");
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("Warning - keepalived has no configuration to run");
        daemon.wait_for("Startup complete");
        assert!(daemon.stop().success());
    });
}

#[test]
fn all_children_run_when_told_so_and_stop() {
    scratch(|| {
        let dir = Dir::new();
        dir.write("k.conf", "global_defs {\n}\n");
        let mut daemon = Daemon::start(&dir, &["--all"]);
        daemon.wait_for("Startup complete");
        let pids = ["v.pid", "c.pid", "b.pid"].map(|name| dir.pid(name));
        assert!(pids.iter().all(|pid| proc_file(*pid, "comm").starts_with("keepalived-rs")));
        assert!(daemon.stop().success());
        assert!(pids.iter().all(|pid| proc_file(*pid, "comm").is_empty()));
    });
}

#[test]
fn processes_have_the_names_that_the_configuration_gives() {
    scratch(|| {
        let dir = Dir::new();
        let routers = router("VI_1", 51, &["10.0.0.100/24"]);
        dir.write("k.conf", &format!("global_defs {{\n  process_names\n  process_name boss\n}}\n{routers}"));
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("Startup complete");
        assert_eq!(proc_file(daemon.pid(), "comm"), "boss\n");
        assert_eq!(proc_file(dir.pid("v.pid"), "comm"), "keepalived_vrrp\n");
        assert!(daemon.stop().success());
    });
}

#[test]
fn the_stop_scripts_have_run_when_the_daemon_has_ended() {
    scratch(|| {
        let dir = Dir::new();
        let (script, said) = (dir.path("n.sh"), dir.path("said"));
        dir.write("n.sh", &format!("#!/bin/sh\necho \"$@\" >>{}\n", said.display()));
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let routers = router("VI_1", 51, &["10.0.0.100/24"]);
        let notify = format!("  notify \"{} word\"\n  priority 150\n", script.display());
        let text = routers.replace("  priority 150\n", &notify);
        dir.write("k.conf", &format!("global_defs {{\n  script_user root\n}}\n{text}"));
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("(VI_1) Entering MASTER STATE");
        assert!(daemon.stop().success());
        let mut lines: Vec<String> = dir.read("said").lines().map(str::to_owned).collect();
        // Scripts of different events may overtake each other.
        lines.sort();
        let word = |state: &str| format!("word INSTANCE VI_1 {state} 150");
        assert_eq!(lines, [word("BACKUP"), word("MASTER"), word("STOP")]);
    });
}

/// C23: a BACKUP that loses its link tells FAULT, and nothing else.
#[test]
fn c23_a_backup_whose_link_goes_down_tells_fault() {
    scratch(|| {
        let dir = Dir::new();
        let (script, said) = (dir.path("n.sh"), dir.path("said"));
        dir.write("n.sh", &format!("#!/bin/sh\necho \"$@\" >>{}\n", said.display()));
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let more = format!("  notify {0}\n  notify_fault \"{0} own\"\n  advert_int 10\n", script.display());
        let text = router("VI_1", 51, &["10.0.0.100/24"]).replace("  advert_int 1\n", &more);
        dir.write("k.conf", &format!("global_defs {{\n  script_user root\n}}\n{text}"));
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("(VI_1) Entering BACKUP STATE (init)");
        ip("link set eth0 down");
        daemon.wait_for("(VI_1) Entering FAULT STATE");
        eventually("it is told", || dir.read("said").lines().count() == 3);
        let mut lines: Vec<String> = dir.read("said").lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["INSTANCE VI_1 BACKUP 150", "INSTANCE VI_1 FAULT 150", "own"]);
        assert!(daemon.stop().success());
    });
}

#[test]
fn dumps_are_whole_private_and_have_the_layout_that_tools_parse() {
    scratch(|| {
        let dir = Dir::new();
        let mut daemon = master(&dir);
        daemon.signal(Signal::SIGUSR1);
        daemon.signal(Signal::SIGUSR2);
        let names = ["keepalived.data", "keepalived_parent.data", "keepalived.stats"];
        eventually("the dumps are there", || names.iter().all(|name| dir.path(name).exists()));
        assert!(
            dir.read("keepalived.data").contains("\n VRRP Instance = VI_1\n   VRRP Version = 2\n   State = MASTER\n")
        );
        assert!(dir.read("keepalived_parent.data").starts_with("------< Global definitions >------\n"));
        let stats = dir.read("keepalived.stats");
        assert!(stats.starts_with("VRRP Instance: VI_1\n  Advertisements:\n    Received: 0\n    Sent: "), "{stats}");
        assert!(stats.ends_with("  Priority Zero:\n    Received: 0\n    Sent: 0\n"), "{stats}");
        for name in names {
            let mode = std::fs::metadata(dir.path(name)).unwrap().permissions();
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
        }
        assert!(daemon.stop().success());
    });
}

#[test]
fn a_frozen_child_is_replaced() {
    scratch(|| {
        let dir = Dir::new();
        let mut daemon = master(&dir);
        let frozen = dir.pid("v.pid");
        kill(frozen, Signal::SIGSTOP).unwrap();
        daemon.wait_for(&format!("VRRP process({frozen}) does not answer: killing it"));
        daemon.wait_for("removed 10.0.0.100/24 from eth0, left by an earlier run");
        daemon.wait_for("(VI_1) Entering BACKUP STATE (init)");
        assert!(daemon.stop().success());
    });
}

/// D34: nothing noticed, and the servers' states were frozen with it.
#[test]
fn a_frozen_checker_is_replaced_while_virtual_routers_run_on() {
    scratch(|| {
        let dir = Dir::new();
        let script = dir.write("check", "#!/bin/sh\nexit 0\n");
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let service = format!(
            "virtual_server 10.0.0.100 80 {{\n protocol TCP\n lb_algo rr\n lb_kind NAT\n delay_loop 1\n \
             real_server 10.0.0.7 80 {{\n  MISC_CHECK {{\n   misc_path {}\n  }}\n }}\n}}\n",
            script.display()
        );
        dir.write("k.conf", &(router("VI_1", 51, &["10.0.0.100/24"]) + &service));
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("Misc check for [[10.0.0.7]:tcp:80 VS [10.0.0.100]:tcp:80] by");
        let (frozen, router) = (dir.pid("c.pid"), dir.pid("v.pid"));
        kill(frozen, Signal::SIGSTOP).unwrap();
        daemon.wait_for(&format!("Healthcheck process({frozen}) does not answer: killing it"));
        daemon.wait_for(&format!("Healthcheck child process({frozen}) died: Respawning"));
        eventually("another checker runs", || dir.pid_if_any("c.pid").is_some_and(|pid| pid != frozen));
        assert_eq!(dir.pid("v.pid"), router);
        assert!(daemon.stop().success());
    });
}

#[test]
fn a_log_reader_that_has_stopped_holds_up_nobody() {
    use std::io::Read;
    scratch(|| {
        let dir = Dir::new();
        // Every address is a few lines; together they are more than a pipe and the queue hold.
        let addresses: Vec<String> = (1..=250).map(|i| format!("10.0.1.{i}/24")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let config = dir.write("k.conf", &router("VI_1", 51, &addresses)).display().to_string();
        let mut command = dir.command(&["-n", "-l", "-D", "-G", "-f", &config]);
        let mut child = command.args(dir.pid_options()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let sent = || -> u64 {
            let status = dir.ask("status").stdout;
            let count = status.split("advert_sent ").nth(1).and_then(|rest| rest.split(',').next().map(str::to_owned));
            count.and_then(|count| count.parse().ok()).unwrap_or(0)
        };
        // The second burst of announcements comes after the sixth advert.
        eventually("adverts go on", || sent() >= 8);
        kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
        eventually("the addresses are gone", || !addresses_of("eth0").contains("10.0.1."));
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(said.contains("(VI_1) Entering MASTER STATE"), "a state change is never lost");
    });
}

#[test]
fn a_network_namespace_is_entered_and_has_its_own_pid_directory() {
    scratch(|| {
        let dir = Dir::new();
        let name = format!("kacli{}", std::process::id());
        ip(&format!("netns add {name}"));
        let inside = |line: &str| ip(&format!("-n {name} {line}"));
        inside("link add eth0 type veth peer name peer0");
        inside("link set eth0 up");
        inside("link set peer0 up");
        inside("addr add 10.0.0.7/24 dev eth0");
        dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"]));
        let config = dir.path("k.conf").display().to_string();
        let mut daemon = Daemon::of(dir.command(&["-n", "-l", "-G", "-f", &config, "-s", &name]));
        daemon.wait_for(&format!("Changing syslog ident to Keepalived_{name}"));
        daemon.wait_for("(VI_1) Entering MASTER STATE");
        eventually("the address is in there", || inside("-4 addr").contains("10.0.0.100/24"));
        assert!(!addresses().contains("10.0.0.100"));
        let outside = std::path::Path::new("/run/keepalived").join(&name);
        let pid = std::fs::read_to_string(outside.join("keepalived.pid")).unwrap();
        assert_eq!(pid, format!("{}\n", daemon.pid()));
        assert_eq!(dir.run(&["status", "-s", &name]).code, Some(0));
        assert!(daemon.stop().success());
        assert!(!outside.exists());
        ip(&format!("netns del {name}"));
    });
}

#[test]
fn the_startup_script_runs_before_any_child_and_the_shutdown_script_after_all() {
    scratch(|| {
        let dir = Dir::new();
        let script = dir.write("s.sh", &format!("#!/bin/sh\necho $1 >>{}\nexit $2\n", dir.path("said").display()));
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let script = script.display();
        dir.write(
            "k.conf",
            &format!(
                "global_defs {{\n  script_user root\n  startup_script \"{script} up 0\"\n  shutdown_script \"{script} \
                 down 3\"\n}}\n{}",
                router("VI_1", 51, &["10.0.0.100/24"])
            ),
        );
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("startup script script succeeded");
        daemon.wait_for("Starting VRRP child process");
        assert!(daemon.stop().success());
        assert_eq!(daemon.count("shutdown script script failed, status 3"), 1);
        assert_eq!(dir.read("said"), "up\ndown\n");
    });
}

/// The process that starts scripts for a child.
fn spawner(child: Pid) -> Option<Pid> {
    let children = proc_file(child, &format!("task/{child}/children"));
    let mut pids = children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw);
    pids.find(|pid| proc_file(*pid, "cmdline").contains("spawner"))
}

/// One that died at once used to be started again a hundred times a second, with a line each time.
#[test]
fn a_spawner_that_dies_at_once_is_started_once_a_second_and_then_scripts_run_again() {
    scratch(|| {
        let dir = Dir::new();
        let script = |name| {
            let path = dir.write(name, "#!/bin/sh\necho \"$*\" >>\"$0.runs\"\n");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
            path.display().to_string()
        };
        let runs = |name: &str| dir.read(&format!("{name}.runs")).lines().count();
        let more = format!("  priority 150\n  notify {}\n  track_script {{\n    s\n  }}\n", script("notify"));
        let check = format!("  MISC_CHECK {{\n   misc_path {}\n   warmup 0\n  }}\n", script("check"));
        dir.write(
            "k.conf",
            &format!(
                "global_defs {{\n script_user root\n}}\nvrrp_script s {{\n script {}\n interval 1\n}}\n{}virtual_server \
                 10.0.0.1 80 {{\n protocol TCP\n lb_algo rr\n lb_kind NAT\n delay_loop 1\n real_server 10.0.1.1 80 \
                 {{\n{check} }}\n}}\n",
                script("tracked"),
                router("VI_1", 51, &["10.0.0.100/24"]).replace("  priority 150\n", &more)
            ),
        );
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("(VI_1) Entering MASTER STATE");
        eventually("the first check", || runs("check") >= 1);
        let children = [dir.pid("v.pid"), dir.pid("c.pid")];
        let mut killed = children.map(|_| BTreeSet::new());
        let end = Instant::now() + Duration::from_millis(3_500);
        while Instant::now() < end {
            for (child, killed) in children.iter().zip(&mut killed) {
                if let Some(pid) = spawner(*child) {
                    let _ = kill(pid, Signal::SIGKILL);
                    killed.insert(pid);
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        daemon.wait_for("VRRP_Script(s) failed");
        // The first, another at once, and then one a second.
        let counts = killed.each_ref().map(BTreeSet::len);
        assert!(counts.iter().all(|count| (3..=5).contains(count)), "{counts:?}");
        let before = runs("check");
        eventually("checks go on", || runs("check") > before);
        daemon.wait_for("VRRP_Script(s) succeeded");
        daemon.wait_for("(VI_1) Entering MASTER STATE");
        eventually("MASTER is told, too", || dir.read("notify.runs").trim_end().ends_with(" MASTER 150"));
        assert_eq!(children, [dir.pid("v.pid"), dir.pid("c.pid")]);
        assert!(daemon.stop().success());
        assert_eq!(daemon.count("the process that starts scripts has died"), counts.iter().sum::<usize>());
        // What could not be asked says nothing about the server.
        assert_eq!(daemon.count("failed for [10.0.1.1]"), 0);
        assert_eq!(daemon.count("Removing service [10.0.1.1]"), 0);
    });
}
