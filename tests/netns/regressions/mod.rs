//! Bugs that keepalived once had, or has, told as stories about our daemon. The numbers are upstream's issues.

mod addresses;
mod elections;
mod processes;
mod reloads;
mod trackers;

use std::net::IpAddr;
use std::process::Output;
use std::time::Duration;

use crate::lan::{Frame, Kind, Lan, Seen};

/// An instance of version 3 on eth0 that adverts five times a second.
fn quick(name: &str, vrid: u8, priority: u8, address: &str, more: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n    state BACKUP\n    interface eth0\n    virtual_router_id {vrid}\n    version 3\n    \
         priority {priority}\n    advert_int 0.2\n    {more}\n    virtual_ipaddress {{\n        {address}\n    }}\n}}\n"
    )
}

/// The address most stories are about.
const VIP: &str = "10.99.0.100";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `keepalived-rs reload` on a host, with this configuration.
fn reload(lan: &Lan, host: char, config: &str) -> Output {
    lan.configure(host, config);
    lan.run(host, &Kind::Ours.program().to_string_lossy(), &["reload"])
}

fn reloaded(lan: &Lan, host: char, config: &str) {
    let done = reload(lan, host, config);
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "reload: {}", String::from_utf8_lossy(&said));
}

/// The adverts of a host for a VRID since then.
fn adverts(seen: &Seen, host: char, vrid: u8, since: Duration) -> Vec<&Frame> {
    let wanted = seen.adverts().filter(|(f, a)| f.from == host && a.vrid == vrid && f.at >= since);
    wanted.map(|(f, _)| f).collect()
}

/// The longest time without an advert of a host for a VRID since then.
fn longest_gap(seen: &Seen, host: char, vrid: u8, since: Duration) -> Duration {
    let times: Vec<Duration> = adverts(seen, host, vrid, since).iter().map(|f| f.at).collect();
    times.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(Duration::MAX)
}

/// How often a host lost an address since then.
fn losses(seen: &Seen, host: char, address: IpAddr, since: Duration) -> usize {
    seen.addresses.iter().filter(|c| c.host == host && c.address == address && !c.present && c.at >= since).count()
}

/// Waits until a host holds an address and has said that it is MASTER: the log comes a little later than the kernel.
fn is_master(lan: &Lan, host: char, address: IpAddr) {
    lan.wait_held(host, address);
    lan.wait_line(host, "Entering MASTER STATE", Duration::ZERO);
}

/// Fails if a host changed its state since then.
fn no_transition(lan: &Lan, host: char, since: Duration) {
    lan.seen(|seen| {
        let lines: Vec<_> = seen.lines(host, " STATE").filter(|l| l.at >= since).map(|l| l.text.clone()).collect();
        assert!(lines.is_empty(), "{host} changed its state: {lines:#?}");
    });
}
