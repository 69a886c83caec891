//! What checks cost in processor time, how late a dead server is taken out, and what many servers take of memory.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::lan::{Kind, Lan, Router, eventually};
use crate::real_servers::{PORT, RealServers, address};
use crate::stand_in::{removals, start};
use crate::table::{Goal, Table};
use crate::{Extent, cpu, percentile};

/// Real servers, in services of so many.
const SERVERS: usize = 2_000;
const EACH: usize = 20;
const DELAY_LOOP: Duration = Duration::from_secs(1);

const TCP: &str = "TCP_CHECK {\n            connect_timeout 3\n            retry 0\n        }";
const HTTP: &str = "HTTP_GET {\n            url {\n                path /\n                status_code 200\n            }\n            \
                    connect_timeout 3\n            retry 0\n        }";

/// Virtual servers with so many real servers each, all with this checker.
fn config(virtual_servers: usize, real_servers: usize, delay_loop: u64, checker: &str) -> String {
    let mut text = String::new();
    let mut made = 0;
    for n in 0..virtual_servers {
        let until = real_servers * (n + 1) / virtual_servers;
        let (high, low) = (n / 250, n % 250 + 1);
        text += &format!(
            "virtual_server 10.97.{high}.{low} 80 {{\n    delay_loop {delay_loop}\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n"
        );
        for server in made..until {
            text += &format!("    real_server {} {PORT} {{\n        {checker}\n    }}\n", address(server));
        }
        made = until;
        text += "}\n";
    }
    text
}

/// Of one daemon with one kind of checker.
struct Measured {
    micros_per_check: f64,
    late: Vec<Duration>,
}

/// Both at the same time, so that they are disturbed by the same things.
fn both<T: Send>(measure: impl Fn(Kind) -> T + Sync) -> [T; 2] {
    std::thread::scope(|scope| {
        let threads = [Kind::Ours, Kind::Debian].map(|kind| {
            scope.spawn({
                let measure = &measure;
                move || measure(kind)
            })
        });
        threads.map(|thread| thread.join().unwrap())
    })
}

pub(crate) fn all(extent: Extent, table: &mut Table) {
    let kinds = [("TCP_CHECK", TCP, false, 0.7), ("HTTP_GET", HTTP, true, 1.0)];
    for (name, checker, talk, most) in kinds {
        let [ours, theirs] = both(|kind| measure(extent, kind, checker, talk));
        let what = format!("CPU per {name}, {SERVERS} servers");
        table.row(&what, "µs", ours.micros_per_check, Some(theirs.micros_per_check), Goal::Ratio(most));
        for (what, share) in [("p50", 0.5), ("p99", 0.99)] {
            let millis = |measured: &Measured| percentile(&measured.late, share).as_secs_f64() * 1000.0;
            let row = format!("Dead server taken out too late by, {name}, {what}");
            table.row(&row, "ms", millis(&ours), Some(millis(&theirs)), Goal::AtMost(50.0));
        }
    }
}

fn measure(extent: Extent, kind: Kind, checker: &str, talk: bool) -> Measured {
    let lan = Lan::new(1);
    let addresses: Vec<Ipv4Addr> = (0..SERVERS).map(address).collect();
    let servers = lan.within('a', || RealServers::start(&addresses, talk));
    let text = config(SERVERS / EACH, SERVERS, DELAY_LOOP.as_secs(), checker);
    let (router, record) = start(&lan, 'a', kind, &text);
    let rounds = |count: u64| count * SERVERS as u64;
    eventually("every server is checked", || servers.answered() >= rounds(2));
    let before = (cpu(&router), servers.answered());
    lan.pass(Duration::from_secs(extent.pick(15, 4)));
    let after = (cpu(&router), servers.answered());
    let checks = (after.1 - before.1).max(1);
    let micros_per_check = (after.0 - before.0).as_secs_f64() * 1e6 / checks as f64;
    let deaths = extent.pick(400, 100);
    for nth in 0..deaths {
        // All over the services and, as the pauses do not fit the interval, all over its phases.
        servers.kill(nth * 37 % SERVERS);
        lan.pass(Duration::from_micros(15_300));
    }
    eventually("the dead are taken out", || removals(&record).len() >= deaths);
    Measured { micros_per_check, late: lateness(&servers, &removals(&record)) }
}

/// From when a server that has died should have been asked next until it was out of the table.
fn lateness(servers: &RealServers, removals: &[(Duration, Ipv4Addr)]) -> Vec<Duration> {
    let removed: BTreeMap<Ipv4Addr, Duration> = removals.iter().map(|(at, address)| (*address, *at)).collect();
    let late =
        |(server, last): (usize, Duration)| Some(removed.get(&address(server))?.saturating_sub(last + DELAY_LOOP));
    servers.dead().into_iter().filter_map(late).collect()
}

/// Anonymous memory of each process of a daemon, in kB, by its part of the daemon: the largest is the checker process.
fn anonymous(router: &Router) -> Vec<f64> {
    let of = |pid: nix::unistd::Pid| -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?.split_whitespace().next()?.parse().ok()
    };
    router.processes().into_iter().filter_map(of).collect()
}

/// A large configuration, when every server has been asked. (With the largest that is known, four times as many servers,
/// Debian's daemon takes minutes here.)
pub(crate) fn memory(extent: Extent, table: &mut Table) {
    let (services, servers) = extent.pick((570, 9_300), (228, 3_720));
    let [ours, theirs] = both(|kind| {
        let lan = Lan::new(1);
        let asked = lan.within('a', || RealServers::start(&[Ipv4Addr::UNSPECIFIED], false));
        let (router, _) = start(&lan, 'a', kind, &config(services, servers, 10, TCP));
        // That takes at least a delay_loop, and longer than other things here.
        lan.pass(Duration::from_secs(extent.pick(30, 5)));
        eventually("every server is checked", || asked.answered() >= servers as u64);
        anonymous(&router)
    });
    let what = format!("{services} × {servers} servers");
    let largest = |all: &[f64]| all.iter().copied().fold(0.0, f64::max);
    let row = format!("Anonymous memory of the checker process, {what}");
    table.row(&row, "kB", largest(&ours), Some(largest(&theirs)), Goal::Ratio(1.0));
    let row = format!("Anonymous memory of all processes, {what}");
    table.row(&row, "kB", ours.iter().sum(), Some(theirs.iter().sum()), Goal::Ratio(1.0));
}
