//! Side by side with Debian's keepalived, in one run on one machine: what an advert costs, how late a takeover is, how
//! much memory it takes, and whether the loop stays on time while everything around it misbehaves.
//!
//!     cargo bench --bench side_by_side [-- [--quick] [NAME...]]
//!
//! Needs root and Debian's keepalived. Prints one row for each measurement: ours, theirs, the ratio, what is to be
//! reached, and whether it is. Times are only worth something on an otherwise idle machine.
#![allow(clippy::unwrap_used)]

#[path = "../netns/lan/mod.rs"]
#[allow(dead_code, unused_imports, reason = "this and the namespace suite use different parts")]
mod lan;

mod checks;
mod cost;
mod disturbed;
mod files;
mod punctual;
mod real_servers;
mod repair;
mod stand_in;
mod table;

use std::time::Duration;

use lan::{Kind, Lan, Router};
use table::Table;

/// How much to measure.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    quick: bool,
}

impl Extent {
    pub(crate) fn pick<T>(self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }
}

/// One measurement, which adds its rows.
type Measure = fn(Extent, &mut Table);

fn main() -> std::process::ExitCode {
    if stand_in::is_daemon() {
        return stand_in::daemon();
    }
    measure();
    std::process::ExitCode::SUCCESS
}

fn measure() {
    let words: Vec<String> = std::env::args().skip(1).filter(|w| w != "--bench").collect();
    let extent = Extent { quick: words.iter().any(|w| w == "--quick") };
    let names: Vec<&String> = words.iter().filter(|w| !w.starts_with('-')).collect();
    if !nix::unistd::geteuid().is_root() || !std::path::Path::new(lan::DEBIAN).exists() {
        println!("skipped - the measurements need root and Debian's keepalived");
        return;
    }
    let mut table = Table::new();
    let measurements: [(&str, Measure); 12] = [
        ("adverts", cost::adverts),
        ("memory", cost::memory),
        ("parse", files::parse),
        ("reload", files::reload),
        ("takeover", punctual::takeover),
        ("takeover-250", punctual::takeover_of_many),
        ("busy", punctual::busy_core),
        ("disturbed", disturbed::all),
        ("restore", repair::restore),
        ("heal", repair::heal),
        ("checks", checks::all),
        ("servers", checks::memory),
    ];
    for (name, measure) in measurements {
        if names.is_empty() || names.iter().any(|n| *n == name) {
            measure(extent, &mut table);
        }
    }
    table.end();
}

/// A file with so many instances of version 3 on eth0, each with one address.
pub(crate) fn many(instances: u8, priority: u8, interval: f64, more: &str) -> String {
    let instance = |vrid: u8| {
        format!(
            "vrrp_instance V{vrid} {{\n    state BACKUP\n    interface eth0\n    virtual_router_id {vrid}\n    version 3\n    \
             priority {priority}\n    advert_int {interval}\n    {more}\n    virtual_ipaddress {{\n        10.98.0.{vrid}/32\n    \
             }}\n}}\n"
        )
    };
    (1..=instances).map(instance).collect()
}

/// The address of an instance of [`many`].
pub(crate) fn address(vrid: u8) -> std::net::IpAddr {
    [10, 98, 0, vrid].into()
}

/// Waits until a host has the addresses of all instances.
pub(crate) fn wait_all(lan: &Lan, host: char, instances: u8) {
    lan.wait(&format!("{host} holds all {instances} addresses"), |seen| {
        (1..=instances).all(|vrid| seen.holds(host, address(vrid))).then_some(())
    });
}

/// A router with so many instances that is MASTER of them all.
pub(crate) fn master(lan: &Lan, host: char, kind: Kind, instances: u8, interval: f64) -> Router {
    let router = lan.start(host, kind, &many(instances, 200, interval, ""));
    wait_all(lan, host, instances);
    router
}

/// What all processes of a daemon have used so far.
pub(crate) fn cpu(router: &Router) -> Duration {
    let mut used = 0;
    for pid in router.processes() {
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            used += text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Duration::from_nanos(used)
}

/// The value that this share of them does not exceed.
pub(crate) fn percentile(values: &[Duration], share: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort();
    let last = sorted.len().saturating_sub(1);
    sorted.get(((last as f64) * share).round() as usize).copied().unwrap_or(Duration::MAX)
}
