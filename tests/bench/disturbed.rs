//! The loop stays on time: the longest time between two adverts, in intervals, while something goes wrong.

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lan::{Kind, Lan, Router, advert_v3, multicast_frame, now};
use crate::table::{Goal, Table};
use crate::{Extent, address};

/// Intervals in seconds; each has a VRID of its own, in this order from 1.
const INTERVALS: [f64; 2] = [1.0, 0.1];

fn config(more: &str) -> String {
    let instance = |(vrid, interval): (u8, f64)| {
        format!(
            "vrrp_instance V{vrid} {{\n    state BACKUP\n    interface eth0\n    virtual_router_id {vrid}\n    version 3\n    \
             priority 200\n    advert_int {interval}\n    {more}\n    virtual_ipaddress {{\n        10.98.0.{vrid}/32\n    }}\n}}\n"
        )
    };
    (1..).zip(INTERVALS).map(instance).collect()
}

/// The trouble that needs a disk of its own.
const DISK_STALLED: &str = "disk stalled";

/// What goes wrong for a while.
type Trouble = fn(&Lan, &Router, Duration) -> Result<(), String>;

pub(crate) fn all(extent: Extent, table: &mut Table) {
    let time = Duration::from_secs(extent.pick(15, 4));
    let scripts = 200;
    let mut many_scripts = String::new();
    let mut tracked = String::from("track_script {\n");
    for n in 0..scripts {
        many_scripts += &format!("vrrp_script s{n} {{\n script /bin/true\n interval 1\n weight 1\n user root\n}}\n");
        tracked += &format!("        s{n}\n");
    }
    tracked += "    }";
    let troubled: [(&str, String, Trouble); 6] = [
        ("log reader stopped", config(""), log_stopped),
        (DISK_STALLED, config(""), disk_stalled),
        ("200 scripts each second", many_scripts + &config(&tracked), quiet),
        ("a reload each second", config(""), reloads),
        ("10,000 bad packets a second", config(""), bad_packets),
        ("5,000 addresses added elsewhere", config(""), addresses_elsewhere),
    ];
    for (what, config, trouble) in troubled {
        let ours = gaps(what, Kind::Ours, &config, trouble, time);
        let theirs = gaps(what, Kind::Debian, &config, trouble, time);
        for (number, interval) in INTERVALS.iter().enumerate() {
            let name = format!("Longest advert gap at {interval} s: {what}");
            match (&ours, &theirs) {
                (Ok(ours), theirs) => {
                    let theirs = theirs.as_ref().ok().map(|t| t[number]);
                    table.row(&name, "intervals", ours[number], theirs, Goal::AtMost(1.2));
                }
                (Err(reason), _) => table.cannot(&name, reason),
            }
        }
    }
}

/// The longest gap of each instance during the trouble, in its intervals.
fn gaps(what: &str, kind: Kind, config: &str, trouble: Trouble, time: Duration) -> Result<Vec<f64>, String> {
    let lan = Lan::new(2);
    if what == DISK_STALLED {
        small_disk(&lan)?;
    }
    let router = lan.start('a', kind, config);
    for vrid in 1..=INTERVALS.len() as u8 {
        lan.wait_held('a', address(vrid));
    }
    lan.pass(Duration::from_secs(2));
    let begun = now();
    let done = trouble(&lan, &router, time);
    let ended = now();
    done?;
    // At least one more advert of each, or the gap at the end would not be seen.
    lan.pass(Duration::from_millis(1500));
    let gap = |(vrid, interval): (u8, &f64)| {
        lan.seen(|seen| {
            let own = seen.adverts().filter(|(f, a)| f.from == 'a' && a.vrid == vrid && a.priority != 0);
            let times: Vec<Duration> = own.map(|(f, _)| f.at).collect();
            let during = times.windows(2).filter(|w| w[1] >= begun && w[0] <= ended);
            let longest = during.map(|w| w[1] - w[0]).max().unwrap_or(Duration::MAX);
            longest.as_secs_f64() / interval
        })
    };
    Ok((1..).zip(&INTERVALS).map(gap).collect())
}

fn quiet(lan: &Lan, _: &Router, time: Duration) -> Result<(), String> {
    lan.pass(time);
    Ok(())
}

/// Nobody reads the console, and there is much to say.
fn log_stopped(lan: &Lan, router: &Router, time: Duration) -> Result<(), String> {
    router.stop_reading();
    let rival = lan
        .flood('b', 300, |_| multicast_frame([10, 99, 0, 2], &advert_v3([10, 99, 0, 2], 1, 10, 100, [10, 98, 0, 1])));
    lan.pass(time);
    rival.stop();
    router.read_on();
    Ok(())
}

fn reloads(lan: &Lan, router: &Router, time: Duration) -> Result<(), String> {
    for _ in 0..time.as_secs() {
        router.signal(Signal::SIGHUP);
        lan.pass(Duration::from_secs(1));
    }
    Ok(())
}

fn bad_packets(lan: &Lan, _: &Router, time: Duration) -> Result<(), String> {
    // For a VRID that is ours, with a checksum that is wrong.
    let flood =
        lan.flood('b', 10_000, |_| multicast_frame([10, 99, 0, 2], &[0x31, 2, 250, 1, 0, 10, 0, 0, 10, 98, 0, 2]));
    lan.pass(time);
    let sent = flood.stop();
    if sent > 5000 { Ok(()) } else { Err(format!("only {sent} packets could be sent")) }
}

fn addresses_elsewhere(lan: &Lan, _: &Router, time: Duration) -> Result<(), String> {
    lan.ip('a', "link add other type veth peer name other-peer");
    lan.ip('a', "link set other up");
    let add = |n: u32| format!("addr add 10.{}.{}.{}/32 dev other\n", 64 + (n >> 16), n >> 8 & 255, n & 255);
    lan.ip_batch('a', &(0..5000).map(add).collect::<String>());
    lan.pass(time / 2);
    Ok(())
}

/// A file system that can be frozen, for what the daemon writes.
fn small_disk(lan: &Lan) -> Result<(), String> {
    let image = lan.home('a').join("disk.img");
    let mounted = lan.home('a').join("tmp");
    let file = std::fs::File::create(&image).map_err(|e| e.to_string())?;
    file.set_len(16 << 20).map_err(|e| e.to_string())?;
    let run = |program: &str, arguments: &[&str]| {
        let done = Command::new(program).args(arguments).output().map_err(|e| format!("{program}: {e}"))?;
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        if done.status.success() { Ok(()) } else { Err(format!("{program}: {said}")) }
    };
    let (image, mounted) = (image.to_string_lossy(), mounted.to_string_lossy());
    run("mkfs.ext4", &["-q", "-F", &image])?;
    run("mount", &["-o", "loop", &image, &mounted])
}

/// Dumps are asked for, and the disk takes nothing.
fn disk_stalled(lan: &Lan, router: &Router, time: Duration) -> Result<(), String> {
    let mounted = lan.home('a').join("tmp");
    let freeze = |how: &str| {
        let done = Command::new("fsfreeze").arg(how).arg(&mounted).status();
        if done.is_ok_and(|s| s.success()) { Ok(()) } else { Err(format!("fsfreeze {how} does not work here")) }
    };
    freeze("--freeze")?;
    for _ in 0..time.as_secs() {
        for signal in [Signal::SIGUSR1, Signal::SIGUSR2] {
            router.signal(signal);
        }
        lan.pass(Duration::from_secs(1));
    }
    freeze("--unfreeze")?;
    lan.pass(Duration::from_millis(500));
    router.kill_all();
    let _ = Command::new("umount").arg("--lazy").arg(&mounted).status();
    Ok(())
}
