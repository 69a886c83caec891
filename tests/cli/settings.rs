//! Exit codes without permission, scheduling and limits, where log lines go, namespaces: each seen on the real processes.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::Pid;

use crate::kit::{Daemon, Dir, Ran, eventually, ip, proc_file, router, scratch};

const NOBODY: u32 = 65_534;

#[test]
fn without_permission_the_daemon_ends_with_4_and_does_not_try_again() {
    scratch(|| {
        let dir = Dir::new();
        // Its own copy: the way to the other one may be closed to nobody.
        let program = dir.path("keepalived-rs");
        std::fs::copy(env!("CARGO_BIN_EXE_keepalived-rs"), &program).unwrap();
        let config = dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"])).display().to_string();
        std::fs::set_permissions(dir.path(""), PermissionsExt::from_mode(0o777)).unwrap();
        let mut command = dir.command_as(&program, &["-n", "-l", "-D", "-G", "-f", &config]);
        command.args(dir.pid_options()).uid(NOBODY).gid(NOBODY);
        let mut daemon = Daemon::of(command);
        assert_eq!(daemon.end().code(), Some(4));
        assert_eq!(daemon.count("exited with permanent error missing permission. Terminating"), 1);
        assert_eq!(daemon.count("Starting VRRP child process"), 1);
    });
}

/// The lines of a process that say how it is scheduled, and its limits.
fn settings(pid: Pid) -> (String, String, bool, String) {
    let stat = proc_file(pid, "stat");
    // Fields 40 and 41 of proc(5), counted from behind the name, which may have blanks.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let status = proc_file(pid, "status");
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().to_owned()
    };
    let limits = proc_file(pid, "limits");
    let limit = limits.lines().find(|line| line.starts_with("Max realtime timeout")).unwrap_or_default();
    let limit: Vec<&str> = limit.split_whitespace().collect();
    (format!("{}/{}", fields[38], fields[37]), of("Cpus_allowed_list:"), of("VmLck:") != "0 kB", limit[3..5].join("/"))
}

/// E19: a reload keeps priority, processor, locked memory and limit; the parent, the spawner and scripts have none of them.
#[test]
fn e19_scheduling_and_limits_are_the_childs_own_and_outlive_a_reload() {
    scratch(|| {
        let dir = Dir::new();
        let routers = router("VI_1", 51, &["10.0.0.100/24"]);
        let script = dir.path("s.sh");
        dir.write("s.sh", &format!("#!/bin/sh\necho $$ >>{}\nexec sleep 1000\n", dir.path("ran").display()));
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        let tracked = format!(
            "vrrp_script s {{\n  script {}\n  user root\n  timeout 100\n  weight 1\n}}\n{}",
            script.display(),
            routers.replace("  priority 150\n", "  priority 150\n  track_script {\n    s\n  }\n")
        );
        let global = "global_defs {\n  vrrp_rt_priority 20\n  vrrp_rlimit_rttime 2000000\n  vrrp_no_swap\n  vrrp_cpu_affinity 0\n}\n";
        dir.write("k.conf", &format!("{global}{tracked}"));
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("Startup complete");
        let child = dir.pid("v.pid");
        let round_robin_20 = ("2/20".to_owned(), "0".to_owned(), true, "1000000/2000000".to_owned());
        assert_eq!(settings(child), round_robin_20);
        let ordinary = settings(daemon.pid());
        assert_eq!((ordinary.0.as_str(), ordinary.2, ordinary.3.as_str()), ("0/0", false, "unlimited/unlimited"));
        eventually("the script runs", || dir.read("ran").ends_with('\n'));
        assert_eq!(settings(dir.pid("ran")), ordinary);
        dir.write("k.conf", &format!("{global}{}", tracked.replace("priority 150", "priority 151")));
        assert_eq!(dir.ask("reload").code, Some(0));
        assert_eq!(settings(child), round_robin_20);
        assert_eq!(settings(daemon.pid()), ordinary);
        assert!(daemon.stop().success());
        assert_eq!(daemon.count("cannot raise priority") + daemon.count("Unable to lock"), 0);
    });
}

#[test]
fn a_nice_value_is_the_childs_and_a_reload_can_change_it() {
    scratch(|| {
        let dir = Dir::new();
        let routers = router("VI_1", 51, &["10.0.0.100/24"]);
        let nice = |pid| proc_file(pid, "stat").rsplit(") ").next().unwrap().split(' ').nth(16).unwrap().to_owned();
        dir.write("k.conf", &format!("global_defs {{\n  vrrp_priority -7\n}}\n{routers}"));
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("Startup complete");
        assert_eq!(nice(dir.pid("v.pid")), "-7");
        dir.write("k.conf", &format!("global_defs {{\n  vrrp_priority 3\n}}\n{routers}"));
        assert_eq!(dir.ask("reload").code, Some(0));
        assert_eq!(nice(dir.pid("v.pid")), "3");
        assert!(daemon.stop().success());
    });
}

/// A mount namespace whose `/run` and `/dev` are this thread's own and new. Nothing of the system's may be mounted in the
/// test's directory, which is removed with all that is in it.
fn own_directories() {
    unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    for place in ["/run", "/dev"] {
        mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), none).unwrap();
    }
    for (path, minor) in [("/dev/null", 3), ("/dev/zero", 5), ("/dev/random", 8), ("/dev/urandom", 9)] {
        mknod(path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, minor)).unwrap();
    }
}

#[test]
fn syslog_gets_priority_ident_and_pid_in_each_line() {
    scratch(|| {
        let dir = Dir::new();
        own_directories();
        let syslog = UnixDatagram::bind("/dev/log").unwrap();
        syslog.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let config = dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"])).display().to_string();
        let mut command = dir.command(&["-n", "-S", "local3", "-f", &config]);
        let mut child = command.args(dir.pid_options()).spawn().unwrap();
        let next = || {
            let mut bytes = [0; 4096];
            let length = syslog.recv(&mut bytes).expect("a line");
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        // local3 is facility 19, and INFO is 6.
        let parent = format!(" Keepalived[{}]: ", child.id());
        let first = next();
        assert!(
            first.starts_with("<158>") && first.contains(&format!("{parent}Starting Keepalived v2.4.3")),
            "{first}"
        );
        let line = std::iter::repeat_with(next).find(|line| line.ends_with(": (VI_1) Entering BACKUP STATE (init)"));
        let vrrp = format!(" Keepalived_vrrp[{}]: ", dir.pid("v.pid"));
        assert!(line.as_ref().is_some_and(|line| line.starts_with("<158>") && line.contains(&vrrp)), "{line:?}");
        kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
        while !next().contains(&format!("{parent}Stopped Keepalived v2.4.3")) {}
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn log_files_are_one_for_each_process_private_and_have_nanoseconds() {
    scratch(|| {
        let dir = Dir::new();
        let config = dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"])).display().to_string();
        // A relative name lies in the temporary directory.
        let mut command = dir.command(&["-n", "-l", "-G", "-gown.txt", "--flush-log-file", "-f", &config]);
        command.args(dir.pid_options());
        let mut daemon = Daemon::of(command);
        daemon.wait_for("Startup complete");
        assert!(daemon.stop().success());
        let first = dir.read("own.txt").lines().next().unwrap().to_owned();
        let (time, text) = first.split_once(": ").unwrap();
        assert!(text.starts_with("Starting Keepalived v2.4.3"), "{first}");
        let nanos = time.split(['.', ' ']).rev().nth(1).unwrap();
        assert!(nanos.len() == 9 && nanos.bytes().all(|b| b.is_ascii_digit()), "{first}");
        assert!(dir.read("own_vrrp.txt").contains(": (VI_1) Entering BACKUP STATE (init)\n"));
        for name in ["own.txt", "own_vrrp.txt"] {
            assert_eq!(std::fs::metadata(dir.path(name)).unwrap().permissions().mode() & 0o777, 0o600);
        }
    });
}

#[test]
fn in_a_named_namespace_files_have_the_usual_names_inside_and_nothing_is_left() {
    scratch(|| {
        let dir = Dir::new();
        own_directories();
        ip("netns add kacli");
        for line in
            ["link set lo up", "link add eth0 type veth peer name peer0", "link set eth0 up", "link set peer0 up"]
        {
            ip(&format!("-n kacli {line}"));
        }
        ip("-n kacli addr add 10.0.0.2/24 dev eth0");
        let routers = router("VI_1", 51, &["10.0.0.100/24"]);
        // The command line beats the file.
        let config =
            dir.write("k.conf", &format!("net_namespace other\ninstance two\n{routers}")).display().to_string();
        // What the file names exists, or it could not be read at all.
        ip("netns add other");
        let mut daemon = Daemon::of(dir.command(&["-n", "-l", "-G", "-s", "kacli", "-f", &config]));
        daemon.wait_for("Overriding config net_namespace 'other' with command line namespace 'kacli'");
        daemon.wait_for("Changing syslog ident to Keepalived_kacli_two");
        daemon.wait_for("(VI_1) Entering MASTER STATE");
        eventually("the address is there", || ip("-n kacli -4 addr").contains("10.0.0.100/24"));
        assert!(!ip("-4 addr").contains("10.0.0.100"));
        let pid = std::fs::read_to_string("/run/keepalived/kacli/keepalived_two.pid").unwrap();
        assert_eq!(pid.trim(), daemon.pid().to_string());
        let ran = dir.run(&["reload", "-s", "kacli", "-f", &config]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        // Another daemon beside it: the file tells which one is meant.
        let third = dir.write("third.conf", "instance three\n").display().to_string();
        let mut other = Daemon::of(dir.command(&["-n", "-l", "-G", "-f", &third]));
        other.wait_for("Startup complete");
        for (file, pid) in [(&config, daemon.pid()), (&third, other.pid())] {
            let namespace = if *file == config { &["-s", "kacli"][..] } else { &[] };
            let ran = dir.run(&[&["status", "-f", file], namespace].concat());
            assert!(ran.stdout.contains(&format!(", pid {pid}, ")), "{ran:?}");
        }
        let ran = dir.run(&["status", "-f", "/nonexistent"]);
        assert!(ran.stderr.contains("several daemons run: name one with -f, -s or -p"), "{ran:?}");
        assert!(other.stop().success());
        assert!(daemon.stop().success());
        assert!(!Path::new("/run/keepalived").exists() && !Path::new("/run/keepalived-rs").exists());
        let missing = dir.run(&["-n", "-l", "-G", "-s", "nowhere", "-f", &config]);
        assert_eq!(missing.code, Some(1));
        assert!(missing.stderr.contains("Unable to set network namespace nowhere - exiting"), "{missing:?}");
    });
}

/// E29: SIGTERM during the startup delay.
#[test]
fn e29_a_stop_during_the_startup_delay_sends_nothing_and_is_clean() {
    scratch(|| {
        let dir = Dir::new();
        let routers = router("VI_1", 51, &["10.0.0.100/24"]);
        dir.write("k.conf", &format!("global_defs {{\n  vrrp_startup_delay 600\n}}\n{routers}"));
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("Delaying startup for 600 seconds");
        assert!(daemon.stop().success());
        assert_eq!(daemon.count("sent 0 priority"), 0);
        assert!(!ip("-4 addr").contains("10.0.0.100"));
    });
}

/// E11: who starts us may have blocked or ignored the signal; it becomes a reload, it is not lost and kills nobody.
#[test]
fn e11_a_signal_that_waited_through_exec_becomes_a_reload() {
    scratch(|| {
        let dir = Dir::new();
        let config = dir.write("k.conf", &router("VI_1", 51, &["10.0.0.100/24"])).display().to_string();
        // The shell ignores it, the daemon does not, however early or late it comes.
        let program = env!("CARGO_BIN_EXE_keepalived-rs");
        let script = "trap '' HUP; exec \"$@\"";
        let mut command =
            dir.command_as(Path::new("/bin/sh"), &["-c", script, "sh", program, "-n", "-l", "-D", "-G", "-f", &config]);
        command.args(dir.pid_options());
        let mut daemon = Daemon::of(command);
        daemon.wait_for("Startup complete");
        daemon.signal(Signal::SIGHUP);
        daemon.wait_for("Reload complete");
        assert!(daemon.stop().success());
    });
}

/// E11: the instructions that block signals come before every other initialiser, so the program must have a
/// DT_PREINIT_ARRAY (32), which the C library runs first.
#[test]
fn e11_the_program_blocks_signals_before_anything_else_runs() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_keepalived-rs")).unwrap();
    let word = |at: usize| u64::from_ne_bytes(program[at..at + 8].try_into().unwrap());
    let half = |at: usize| usize::from(u16::from_ne_bytes(program[at..at + 2].try_into().unwrap()));
    assert_eq!(program[..5], *b"\x7fELF\x02", "64 bits");
    let (table, size, count) = (word(32) as usize, half(54), half(56));
    let is_dynamic = |header: &usize| program[*header..header + 4] == 2u32.to_ne_bytes();
    let header = (0..count).map(|i| table + i * size).find(is_dynamic).expect("a dynamic section");
    let (begin, length) = (word(header + 8) as usize, word(header + 32) as usize);
    let tags: Vec<u64> = (begin..begin + length).step_by(16).map(word).collect();
    assert!(tags.contains(&32), "{tags:?}");
}

#[test]
fn every_option_of_keepalived_is_accepted() {
    let dir = Dir::new();
    let config = dir.write("k.conf", "global_defs {\n}\n").display().to_string();
    let file = dir.path("file").display().to_string();
    let takes_nothing = [
        "-P",
        "--vrrp",
        "-C",
        "--check",
        "-B",
        "--no_bfd",
        "--all",
        "-l",
        "--log-console",
        "-D",
        "--log-detail",
        "-G",
        "--no-syslog",
        "-X",
        "--release-vips",
        "-V",
        "--dont-release-vrrp",
        "-I",
        "--dont-release-ipvs",
        "-R",
        "--dont-respawn",
        "-n",
        "--dont-fork",
        "-d",
        "--dump-conf",
        "-a",
        "--address-monitoring",
        "-x",
        "--snmp",
        "-m",
        "--core-dump",
        "-e",
        "--all-config",
        "--ignore-sigint",
        "--flush-log-file",
        "-g",
        "--log-file",
    ];
    for option in takes_nothing {
        let ran = dir.run(&[option, "-t", "-f", &config]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{option}");
    }
    let takes_one = [
        ("-S", "--log-facility", "local1"),
        ("-u", "--umask", "077"),
        ("-p", "--pid", &file),
        ("-r", "--vrrp_pid", &file),
        ("-c", "--checkers_pid", &file),
        ("-b", "--bfd_pid", &file),
        ("-A", "--snmp-agent-socket", "unix:/x"),
        ("-i", "--config-id", "one"),
        ("-f", "--use-file", &config),
    ];
    for (short, long, value) in takes_one {
        for words in [vec![short, value], vec![long, value], vec![&format!("{long}={value}")]] {
            let ran = dir.run(&[&words[..], &["-t", "-f", &config]].concat());
            assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{words:?}");
        }
    }
}

#[test]
fn lines_for_another_config_id_do_not_count() {
    let dir = Dir::new();
    let config = dir.write("k.conf", "@one nonsense\n@^one rubbish\n").display().to_string();
    for (id, word, other) in [("one", "nonsense", "rubbish"), ("two", "rubbish", "nonsense")] {
        let ran: Ran = dir.run(&["-t", "-f", &config, "-i", id]);
        assert_eq!(ran.code, Some(5));
        assert!(ran.stderr.contains(word) && !ran.stderr.contains(&format!("'{other}'")), "{}", ran.stderr);
    }
}
