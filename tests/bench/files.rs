//! Large configurations: read, and read again.

use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::Signal;

use crate::lan::{Kind, Lan, now};
use crate::table::{Goal, Table};
use crate::{Extent, many, master};

/// Virtual servers with real servers and checks, as the largest files in the field have them.
fn virtual_servers(lines: usize) -> String {
    let mut text = String::from("global_defs {\n    router_id big\n}\n");
    let mut written = 3;
    for n in 0.. {
        if written >= lines {
            break;
        }
        text += &format!(
            "virtual_server 10.{}.{}.{} 80 {{\n    delay_loop 6\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n",
            n >> 16 & 255,
            n >> 8 & 255,
            n & 255
        );
        for server in 1..=14 {
            text += &format!(
                "    real_server 192.168.{}.{server} 80 {{\n        weight 1\n        TCP_CHECK {{\n            \
                 connect_timeout 3\n            retry 2\n            delay_before_retry 1\n        }}\n    }}\n",
                n & 255
            );
        }
        text += "}\n";
        written += 6 + 14 * 8;
    }
    text
}

/// Processor time of `--config-test`, the best of some runs, in milliseconds.
fn test_time(kind: Kind, path: &std::path::Path, runs: u32) -> f64 {
    let used = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
        let micros = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 * 1e6 + t.tv_usec() as f64;
        micros(usage.user_time()) + micros(usage.system_time())
    };
    let run = |_| {
        let before = used();
        let mut test = Command::new(kind.program());
        test.arg("-t").arg("-f").arg(path).stdout(Stdio::null()).stderr(Stdio::null());
        test.status().expect("the daemon runs");
        (used() - before) / 1000.0
    };
    (0..runs).map(run).fold(f64::MAX, f64::min)
}

pub(crate) fn parse(extent: Extent, table: &mut Table) {
    let lines = 300_000;
    let path = std::env::temp_dir().join(format!("kart{}-big.conf", std::process::id()));
    std::fs::write(&path, virtual_servers(lines)).unwrap();
    let runs = extent.pick(5, 3);
    let (ours, theirs) = (test_time(Kind::Ours, &path, runs), test_time(Kind::Debian, &path, runs));
    let _ = std::fs::remove_file(&path);
    table.row(&format!("Config test of {lines} lines, CPU"), "ms", ours, Some(theirs), Goal::Ratio(0.5));
}

/// From SIGHUP to the last instance's first advert with its new priority.
pub(crate) fn reload(_: Extent, table: &mut Table) {
    const INSTANCES: u8 = 250;
    let measure = |kind| {
        let lan = Lan::new(1);
        let router = master(&lan, 'a', kind, INSTANCES, 1.0);
        lan.pass(Duration::from_secs(1));
        lan.configure('a', &many(INSTANCES, 201, 1.0, ""));
        let begun = now();
        router.signal(Signal::SIGHUP);
        let all = lan.wait("new priorities", |seen| {
            let mut new: Vec<(u8, Duration)> = Vec::new();
            for (frame, advert) in seen.adverts().filter(|(f, a)| f.at >= begun && a.priority == 201) {
                if !new.iter().any(|(vrid, _)| *vrid == advert.vrid) {
                    new.push((advert.vrid, frame.at));
                }
            }
            (new.len() == usize::from(INSTANCES)).then(|| new.iter().map(|(_, at)| *at).max().unwrap())
        });
        (all - begun).as_secs_f64() * 1000.0
    };
    let (ours, theirs) = (measure(Kind::Ours), measure(Kind::Debian));
    table.row("Reload of 250 instances, until all adverts are new", "ms", ours, Some(theirs), Goal::Ratio(1.0));
}
