//! What adverts cost in processor time, and a daemon in memory.

use std::time::Duration;

use crate::lan::{Kind, Lan, Router, now};
use crate::table::{Goal, Table};
use crate::{Extent, cpu, many, master};

/// One LAN on which `kind` is MASTER and the other daemon hears it.
struct Side {
    lan: Lan,
    sender: Router,
    receiver: Router,
}

impl Side {
    fn start(sender: Kind, instances: u8, interval: f64) -> Self {
        let lan = Lan::new(2);
        let other = if sender == Kind::Ours { Kind::Debian } else { Kind::Ours };
        let router = master(&lan, 'a', sender, instances, interval);
        let receiver = lan.start('b', other, &many(instances, 100, interval, ""));
        let last = format!("(V{instances}) Entering BACKUP STATE");
        lan.wait_line('b', &last, Duration::ZERO);
        Self { lan, sender: router, receiver }
    }
}

/// Processor time per advert, in microseconds, over some time: sent and received.
fn per_advert(side: &Side, time: Duration) -> (f64, f64) {
    let (sent, received) = (cpu(&side.sender), cpu(&side.receiver));
    let begun = now();
    side.lan.pass(time);
    let (sent, received) = (cpu(&side.sender) - sent, cpu(&side.receiver) - received);
    let adverts = side.lan.seen(|seen| seen.adverts().filter(|(f, _)| f.from == 'a' && f.at >= begun).count());
    let each = |used: Duration| used.as_secs_f64() * 1e6 / adverts.max(1) as f64;
    (each(sent), each(received))
}

pub(crate) fn adverts(extent: Extent, table: &mut Table) {
    for interval in [1.0, 0.1] {
        for instances in [1, 50, 250] {
            let time = if interval < 1.0 || instances > 1 { extent.pick(10, 3) } else { extent.pick(40, 5) };
            let time = Duration::from_secs(time);
            let ((our_send, their_receive), (their_send, our_receive)) = std::thread::scope(|scope| {
                let ours = scope.spawn(|| {
                    let side = Side::start(Kind::Ours, instances, interval);
                    // What follows a takeover, a second burst for one, is not what an advert costs.
                    side.lan.pass(Duration::from_secs(6));
                    per_advert(&side, time)
                });
                let theirs = scope.spawn(|| {
                    let side = Side::start(Kind::Debian, instances, interval);
                    side.lan.pass(Duration::from_secs(6));
                    per_advert(&side, time)
                });
                (ours.join().unwrap(), theirs.join().unwrap())
            });
            let goal = Goal::Ratio(if instances >= 50 { 0.5 } else { 1.0 });
            let what = |verb: &str| format!("CPU per advert {verb}, {instances} instances at {interval} s");
            table.row(&what("sent"), "µs", our_send, Some(their_send), goal);
            table.row(&what("received"), "µs", our_receive, Some(their_receive), goal);
        }
    }
}

/// Anonymous memory of all processes, in kB.
fn anonymous(router: &Router) -> f64 {
    let of = |pid: nix::unistd::Pid| -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|l| l.strip_prefix("RssAnon:"))?.split_whitespace().next()?.parse().ok()
    };
    router.processes().into_iter().filter_map(of).sum()
}

pub(crate) fn memory(_: Extent, table: &mut Table) {
    for instances in [1, 250] {
        let measure = |kind| {
            let lan = Lan::new(1);
            let router = master(&lan, 'a', kind, instances, 1.0);
            lan.pass(Duration::from_secs(1));
            anonymous(&router)
        };
        let (ours, theirs) = (measure(Kind::Ours), measure(Kind::Debian));
        table.row(&format!("Anonymous memory, {instances} instances"), "kB", ours, Some(theirs), Goal::Ratio(1.0));
    }
}
