//! Dumps: beside those of Debian's keepalived for the same file, and as files that others read all the time.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::SystemTime;

use crate::kit::{Daemon, Dir, eventually, ip, router, scratch, skip};

/// SIGRTMIN+2
const JSON: &str = "JSON";

fn signal(dir: &Dir, daemon: &Daemon, name: &str) {
    let number = dir.run(&["--signum", name]).stdout;
    let pid = daemon.pid().to_string();
    let ran = std::process::Command::new("kill").args(["-s", number.trim(), &pid]).status().unwrap();
    assert!(ran.success());
}

const ROUTERS: &str = "\
global_defs {
  notification_email {
    root@localhost
    ops@example.org
  }
  notification_email_from keepalived@example.org
  smtp_server 127.0.0.1
  smtp_helo_name here
  smtp_connect_timeout 20
  router_id R1
  enable_script_security
  vrrp_garp_master_delay 2
  vrrp_garp_master_refresh 60
  vrrp_skip_check_adv_addr
  vrrp_priority -5
  max_auto_priority -1
}
vrrp_script chk {
  script \"/usr/bin/true a 'b c'\"
  user root
  interval 2
  timeout 1
  weight 5
  rise 2
  fall 3
}
vrrp_instance VI_1 {
  state MASTER
  interface eth0
  virtual_router_id 51
  priority 150
  authentication {
    auth_type PASS
    auth_pass 1111
  }
  virtual_ipaddress {
    10.0.0.100/24 dev eth0 label eth0:v1
    10.0.0.101
  }
  virtual_ipaddress_excluded {
    fd00::100/64
  }
  track_interface {
    lo weight 2
  }
  track_script {
    chk
  }
}
vrrp_instance VI_2 {
  interface eth0
  version 3
  virtual_router_id 52
  advert_int 0.5
  nopreempt
  unicast_peer {
    10.0.0.2
  }
  virtual_ipaddress {
    10.0.0.102/24
  }
}
vrrp_instance VI_6 {
  interface eth0
  virtual_router_id 53
  virtual_ipaddress {
    fe80::10/64
    fd00::10/64
  }
}
vrrp_instance VI_F {
  interface eth0
  virtual_router_id 54
  virtual_ipaddress {
    10.0.5.1/24
  }
  track_interface {
    dum0
  }
}
";

/// Data, statistics and JSON of a program that runs on [`ROUTERS`].
struct Dumps {
    data: String,
    stats: String,
    json: serde_json::Value,
}

fn dumps_of(program: &Path) -> Dumps {
    let dir = Dir::new();
    let config = dir.write("k.conf", ROUTERS).display().to_string();
    let mut command = dir.command_as(program, &["-n", "-l", "-D", "-G", "-f", &config]);
    command.args(dir.pid_options());
    let mut daemon = Daemon::of(command);
    for name in ["VI_1", "VI_2", "VI_6"] {
        daemon.wait_for(&format!("({name}) Entering MASTER STATE"));
    }
    // The addresses are marked as set a moment after the state has changed.
    eventually("every address is there", || {
        let there = ip("-o addr show dev eth0");
        ["10.0.0.101/", "10.0.0.102/", "fd00::10/", "fd00::100/"].iter().all(|address| there.contains(address))
    });
    for name in ["DATA", "STATS", JSON] {
        signal(&dir, &daemon, name);
    }
    let names = ["keepalived.data", "keepalived.stats", "keepalived.json"];
    eventually("the dumps are there", || names.iter().all(|name| dir.path(name).exists()));
    assert!(daemon.stop().success());
    let json = serde_json::from_str(&dir.read("keepalived.json")).unwrap();
    Dumps { data: dir.read("keepalived.data"), stats: dir.read("keepalived.stats"), json }
}

/// A line without what differs from run to run.
fn plain(line: &str) -> String {
    if line.contains("fd_in") {
        return "fd_in".into();
    }
    let (name, value) = line.split_once(" = ").unwrap_or((line, ""));
    let varies = ["MAC", "timer", "timeout", "transition", "index", "sent", "src_ip", "IPv6 address"];
    match name {
        _ if value.is_empty() => name.split(", ifindex").next().unwrap_or_default().to_owned(),
        _ if varies.iter().any(|word| name.ends_with(word)) => name.to_owned(),
        _ => line.to_owned(),
    }
}

/// Lines of one side only, and the order of the others.
fn compare(theirs: &str, ours: &str, only_theirs: &[&str], only_ours: &[&str]) {
    let lines = |text: &str| text.lines().map(plain).collect::<Vec<String>>();
    let (theirs, ours) = (lines(theirs), lines(ours));
    let missing = |from: &[String], other: &[String], known: &[&str]| {
        let other: BTreeSet<&String> = other.iter().collect();
        let known = |line: &str| known.iter().any(|known| line.trim_start().starts_with(known));
        from.iter().filter(|line| !other.contains(line) && !known(line)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(missing(&theirs, &ours, only_theirs), Vec::<String>::new(), "only keepalived has these");
    assert_eq!(missing(&ours, &theirs, only_ours), Vec::<String>::new(), "only we have these");
    let common = |from: &[String], other: &[String]| {
        let other: BTreeSet<&String> = other.iter().collect();
        from.iter().filter(|line| other.contains(line)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(common(&theirs, &ours), common(&ours, &theirs), "the order differs");
}

/// What 2.2.7 prints and we do not. Everything else must be there.
const ONLY_THEIRS: &[&str] = &[
    // Of the build.
    "libnftnl version",
    // 2.4.3 has other words for it.
    "Number of interface and track script faults",
    // The password in clear.
    "Password = 1111",
    // The counter of a script's results, which is a number of our own kind.
    "Result = ",
    // What it keeps to restore system settings that only VMACs change.
    "Reset ARP config counter",
    "Original arp_ignore",
    "Original arp_filter",
    "Original promote_secondaries",
    "Reset promote_secondaries counter",
    "Not IPv6 forwarding",
    "Unicast checksum compatibility",
    "Delayed state change running",
    "Seen up",
    // We tell one kind of down.
    "State = not UP, not RUNNING",
    "State = UP, RUNNING, no broadcast, loopback",
    // By number; ours is the name that the file gives.
    "Default script uid:gid",
];

/// What we print and 2.2.7 does not: lines of 2.4.3, and reasons.
const ONLY_OURS: &[&str] = &[
    "Number of tracker faults",
    "interface dum0 down",
    "Last advert sent",
    "Master advert interval",
    "Password = ********",
    "State = not UP or not RUNNING",
    "State = UP, RUNNING, loopback",
];

#[test]
fn dumps_have_the_sections_and_lines_of_keepalives_for_the_same_file() {
    let debian = Path::new("/usr/sbin/keepalived");
    if !debian.exists() {
        return skip("Debian's keepalived is not installed");
    }
    scratch(move || {
        for line in ["link add dum0 type veth peer name dum1", "link set dev peer0 addrgenmode none"] {
            ip(line);
        }
        let theirs = dumps_of(debian);
        let ours = dumps_of(Path::new(env!("CARGO_BIN_EXE_keepalived-rs")));
        compare(&theirs.data, &ours.data, ONLY_THEIRS, ONLY_OURS);
        let counts =
            |text: &str| text.lines().filter(|line| !line.contains("nt: ")).map(str::to_owned).collect::<Vec<_>>();
        let extension =
            ["Authentication Extension", "Missing", "Malformed", "Unknown Key", "Invalid HMAC", "Stale", "Replay"];
        let known = |line: &String| !extension.iter().any(|word| line.trim_start().starts_with(word));
        let ours_without: Vec<String> = counts(&ours.stats).into_iter().filter(known).collect();
        assert_eq!(counts(&theirs.stats), ours_without);
        same_json(&theirs.json, &ours.json);
    });
}

fn same_json(theirs: &serde_json::Value, ours: &serde_json::Value) {
    let (theirs, ours) = (theirs.as_array().unwrap(), ours.as_array().unwrap());
    assert_eq!(theirs.len(), ours.len());
    for (theirs, ours) in theirs.iter().zip(ours) {
        let part = |value: &serde_json::Value, part: &str| value[part].as_object().unwrap().clone();
        let (theirs_data, mut ours_data) = (part(theirs, "data"), part(ours, "data"));
        ours_data.retain(|key, value| key != "auth_data" || value != "********");
        for (key, value) in
            theirs_data.iter().filter(|(key, _)| !["last_transition", "auth_data"].contains(&key.as_str()))
        {
            assert_eq!(ours_data.remove(key).as_ref(), Some(value), "{key}");
        }
        ours_data.remove("last_transition").unwrap();
        assert!(ours_data.is_empty(), "{ours_data:?}");
        let ours_stats = part(ours, "stats");
        assert!(part(theirs, "stats").keys().all(|key| ours_stats.contains_key(key)), "{ours_stats:?}");
    }
}

/// E20: whoever reads while dumps are written has a whole one, always.
#[test]
fn e20_a_reader_of_the_json_dump_never_sees_half_of_it() {
    scratch(|| {
        let dir = Dir::new();
        let text: String = (1..=60).map(|i| router(&format!("VI_{i}"), i, &[&format!("10.0.1.{i}/24")])).collect();
        dir.write("k.conf", &format!("global_defs {{\n  json_version 2\n}}\n{text}"));
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("Startup complete");
        signal(&dir, &daemon, JSON);
        eventually("the first dump is there", || dir.path("keepalived.json").exists());
        let (mut files, mut reads) = (BTreeSet::new(), 0);
        while files.len() < 30 {
            if reads % 5 == 0 {
                signal(&dir, &daemon, JSON);
            }
            reads += 1;
            files.insert(std::fs::metadata(dir.path("keepalived.json")).unwrap().mtime_nsec());
            let text = dir.read("keepalived.json");
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["vrrp"].as_array().unwrap().len(), 60);
            assert!(text.ends_with("}\n") && text.lines().count() == 1);
        }
        assert!(daemon.stop().success());
    });
}

/// E22, E23: no password in any dump; a planted link is replaced, not followed; nobody else can read it.
#[test]
fn e22_e23_dumps_keep_secrets_and_follow_no_links() {
    scratch(|| {
        let dir = Dir::new();
        let secret = "  authentication {\n    auth_type PASS\n    auth_pass s3cr3t\n  }\n  priority 150\n";
        let text = router("VI_1", 51, &["10.0.0.100/24"]).replace("  priority 150\n", secret);
        let dumps = format!("  json_dump_file {0}/own.json\n  stats_dump_file {0}/\n", dir.path("").display());
        dir.write("k.conf", &format!("global_defs {{\n{dumps}}}\n{text}"));
        let target = dir.write("target", "precious");
        let names = ["keepalived.data", "keepalived_parent.data", "keepalived.stats", "own.json"];
        for name in names {
            symlink(&target, dir.path(name)).unwrap();
        }
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("Startup complete");
        for name in ["DATA", "STATS", JSON] {
            signal(&dir, &daemon, name);
        }
        let is_file = |name: &str| std::fs::symlink_metadata(dir.path(name)).unwrap().is_file();
        eventually("the dumps are there", || names.iter().all(|name| is_file(name)));
        assert_eq!(dir.read("target"), "precious");
        for name in names {
            assert!(!dir.read(name).contains("s3cr3t"), "{name}");
            let mode = std::fs::metadata(dir.path(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert!(dir.read("own.json").contains("\"auth_data\":\"********\""));
        assert!(dir.read("keepalived.data").contains("   Password = ********\n"));
        assert!(daemon.stop().success());
    });
}

#[test]
fn a_reload_comes_at_the_time_in_the_reload_time_file_which_is_removed() {
    scratch(|| {
        let dir = Dir::new();
        let file = dir.path("when");
        let routers = router("VI_1", 51, &["10.0.0.100/24"]);
        let config = |more: &str| format!("global_defs {{\n  reload_time_file {}\n{more}}}\n{routers}", file.display());
        dir.write("k.conf", &config(""));
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("Startup complete");
        dir.write("when", "2001-01-01 00:00:00\n");
        daemon.wait_for("Reload time 2001-01-01 00:00:00 is in the past - ignoring");
        dir.write("when", "tomorrow\n");
        daemon.wait_for("Reload time tomorrow format is incorrect - ignoring");
        dir.write("when", "2999-02-31 00:00:00\n");
        daemon.wait_for("Reload time 2999-02-31 00:00:00 is not valid - ignoring");
        dir.write("when", "2999-01-01 00:00:00\n");
        daemon.wait_for("Scheduling reload for 2999-01-01 00:00:00");
        std::fs::remove_file(&file).unwrap();
        daemon.wait_for("Cancelling reload scheduled for 2999-01-01 00:00:00");
        dir.write("new", &in_utc(1));
        std::fs::rename(dir.path("new"), &file).unwrap();
        daemon.wait_for("Scheduling reload for ");
        daemon.wait_for("Reload complete");
        assert!(!file.exists());
        // With `reload_repeat` a time without a date stays for tomorrow.
        dir.write("k.conf", &config("  reload_repeat\n"));
        assert_eq!(dir.ask("reload").code, Some(0));
        daemon.wait_for("Reload complete");
        dir.write("when", &in_utc(1)[11..]);
        daemon.wait_for("Scheduling reload for ");
        daemon.wait_for("Reload complete");
        daemon.wait_for("Scheduling reload for ");
        assert!(file.exists());
        assert!(daemon.stop().success());
    });
}

/// So many seconds from now, as a `reload_time_file` has it.
fn in_utc(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let at = format!("@{}", now + seconds);
    let output = std::process::Command::new("date").args(["-u", "-d", &at, "+%F %TZ"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_reload_file_is_there_while_the_configuration_is_read_and_a_stale_one_goes_at_the_start() {
    scratch(|| {
        let dir = Dir::new();
        let file = dir.write("reloading", "stale");
        let routers = router("VI_1", 51, &["10.0.0.100/24"]);
        dir.write("k.conf", &format!("global_defs {{\n  reload_file {}\n}}\n{routers}", file.display()));
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("Startup complete");
        assert!(!file.exists());
        let watch = nix::sys::inotify::Inotify::init(nix::sys::inotify::InitFlags::empty()).unwrap();
        watch.add_watch(dir.path("").as_path(), nix::sys::inotify::AddWatchFlags::IN_ALL_EVENTS).unwrap();
        assert_eq!(dir.ask("reload").code, Some(0));
        let events = watch.read_events().unwrap();
        let of = |name: &str, mask| {
            events.iter().position(|e| e.mask.contains(mask) && e.name.as_deref() == Some(std::ffi::OsStr::new(name)))
        };
        use nix::sys::inotify::AddWatchFlags as Mask;
        let (made, read, gone) = (
            of("reloading", Mask::IN_MOVED_TO).unwrap(),
            of("k.conf", Mask::IN_ACCESS).unwrap(),
            of("reloading", Mask::IN_DELETE).unwrap(),
        );
        assert!(made < read && read < gone, "{events:?}");
        assert!(!file.exists());
        assert!(daemon.stop().success());
    });
}
