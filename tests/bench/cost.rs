//! What adverts cost in processor time, and a daemon in memory.

use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::lan::{Kind, Lan, Router, now};
use crate::table::{Goal, Table};
use crate::{Extent, cpu, many, master};

/// A sender that sends a smaller share of its adverts has fallen apart, and what one costs says nothing.
const ENOUGH: f64 = 0.8;

/// One LAN with a MASTER, and later two BACKUPs, one of each kind, that hear the very same adverts.
struct Side {
    lan: Lan,
    sender: Router,
    /// Ours, and theirs.
    receivers: Vec<Router>,
}

/// Which host hears first: the one that does wakes up a processor and its caches for the other.
type Order = [char; 2];

/// Processor time per advert, in microseconds.
#[derive(Clone, Copy)]
struct PerAdvert {
    sent: f64,
    /// By ours, and by theirs.
    received: [f64; 2],
    /// How many of the adverts that should have been sent were: alone, and while they were heard.
    shares: [f64; 2],
}

impl PerAdvert {
    /// The middle of several runs: now and then one costs half as much again, for either daemon and all of it in the kernel.
    fn middle(of: &[Self]) -> Self {
        let middle = |part: &dyn Fn(&Self) -> f64| {
            let mut values: Vec<f64> = of.iter().map(part).collect();
            values.sort_by(f64::total_cmp);
            f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
        };
        Self {
            sent: middle(&|one| one.sent),
            received: [0, 1].map(|i| middle(&|one| one.received[i])),
            shares: [0, 1].map(|i| of.iter().map(|one| one.shares[i]).fold(f64::INFINITY, f64::min)),
        }
    }
}

impl Side {
    fn start(sender: Kind, instances: u8, interval: f64) -> Self {
        let lan = Lan::new(3);
        let sender = master(&lan, 'a', sender, instances, interval);
        Self { lan, sender, receivers: Vec::new() }
    }

    fn join(&mut self, order: Order, instances: u8, interval: f64) {
        let [ours, theirs] = order;
        for (host, kind) in [(ours, Kind::Ours), (theirs, Kind::Debian)] {
            let router = self.lan.start(host, kind, &many(instances, 100, interval, ""));
            self.lan.wait_line(host, &format!("(V{instances}) Entering BACKUP STATE"), Duration::ZERO);
            self.receivers.push(router);
        }
    }

    /// Keeps the sender on one processor and the receivers on the next. Where the kernel puts who is woken makes a half
    /// more or less of what a single advert costs, for as long as a LAN lives and whoever sends. And two routers share no
    /// cache in life: on one processor a receiver finds warm what a sender of its own kind has just run.
    fn pin(&self, processor: usize) {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        pin(&self.sender, processor % processors);
        self.receivers.iter().for_each(|router| pin(router, (processor + 1) % processors));
    }

    /// What the adverts of a while cost each of these routers, and how many there were.
    fn measure(&self, routers: &[&Router], time: Duration) -> (Vec<f64>, usize) {
        let before: Vec<_> = routers.iter().map(|router| cpu(router)).collect();
        let begun = now();
        self.lan.pass(time);
        let used = routers.iter().zip(before).map(|(router, before)| cpu(router) - before);
        let used: Vec<_> = used.collect();
        let ended = now();
        let is_counted = |at: Duration| at >= begun && at < ended;
        let adverts = self.lan.seen(|seen| seen.adverts().filter(|(f, _)| f.from == 'a' && is_counted(f.at)).count());
        (used.iter().map(|used| used.as_secs_f64() * 1e6 / adverts.max(1) as f64).collect(), adverts)
    }
}

fn pin(router: &Router, processor: usize) {
    let mut only = CpuSet::new();
    only.set(processor).unwrap();
    for pid in router.processes() {
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
            let thread = task.file_name().into_string().unwrap().parse().unwrap();
            sched_setaffinity(Pid::from_raw(thread), &only).unwrap();
        }
    }
}

/// What is measured in one row of LANs.
#[derive(Clone, Copy)]
struct Size {
    instances: u8,
    /// In seconds.
    interval: f64,
    /// How long each of sending and hearing is measured.
    time: Duration,
}

/// One LAN: what its MASTER's adverts cost it while nobody else is there, then what they cost two BACKUPs.
fn one_run(sender: Kind, order: Order, processor: usize, size: Size) -> PerAdvert {
    let Size { instances, interval, time } = size;
    let mut side = Side::start(sender, instances, interval);
    let settle = |side: &Side| {
        if instances == 1 {
            side.pin(processor);
        }
        // What follows a takeover, a second burst for one, is not what an advert costs.
        side.lan.pass(Duration::from_secs(6));
    };
    // On the way to the others they are bridged, filtered and heard, which would all be done in the sender's time.
    side.lan.unbridge('a');
    settle(&side);
    let (sent, alone) = side.measure(&[&side.sender], time);
    side.lan.bridge_again('a');
    side.join(order, instances, interval);
    settle(&side);
    let (received, heard) = side.measure(&side.receivers.iter().collect::<Vec<_>>(), time);
    let due = f64::from(instances) * time.as_secs_f64() / interval;
    PerAdvert {
        sent: sent[0],
        received: [received[0], received[1]],
        shares: [alone, heard].map(|count| count as f64 / due),
    }
}

/// Both daemons as MASTER, each with both as BACKUPs, at the same time on two LANs.
pub(crate) fn adverts(extent: Extent, table: &mut Table) {
    for interval in [1.0, 0.1] {
        for instances in [1, 50, 250] {
            let seconds = if interval < 1.0 { extent.pick(5, 3) } else { extent.pick(10, 5) };
            let size = Size { instances, interval, time: Duration::from_secs(seconds) };
            // Who wakes just after whom stays the same through one run, and the second finds a processor awake: several.
            let runs = if instances == 1 { extent.pick(8, 2) } else { extent.pick(2, 1) };
            let orders: [Order; 2] = [['b', 'c'], ['c', 'b']];
            let measure = |sender: Kind| {
                let measured = orders.into_iter().cycle().take(runs).enumerate().map(|(run, order)| {
                    // Either order on either processor, and both processors from the first two runs on.
                    let processor = run / orders.len() + run + usize::from(sender == Kind::Ours);
                    one_run(sender, order, processor, size)
                });
                PerAdvert::middle(&measured.collect::<Vec<_>>())
            };
            let (ours, theirs) = std::thread::scope(|scope| {
                let [ours, theirs] = [Kind::Ours, Kind::Debian].map(|sender| scope.spawn(move || measure(sender)));
                (ours.join().unwrap(), theirs.join().unwrap())
            });
            let goal = Goal::Ratio(if instances >= 50 { 0.5 } else { 1.0 });
            let what = |verb: &str| format!("CPU per advert {verb}, {instances} × {interval} s");
            let mut row = |verb: &str, shares: &[f64], ours: f64, theirs: f64| match shares
                .iter()
                .find(|share| **share < ENOUGH)
            {
                Some(share) => {
                    table.cannot(&what(verb), &format!("the sender sent only {:.0} % of its adverts", share * 100.0));
                }
                None => table.row(&what(verb), "µs", ours, Some(theirs), goal),
            };
            row("sent", &[ours.shares[0], theirs.shares[0]], ours.sent, theirs.sent);
            row("heard from ours", &[ours.shares[1]], ours.received[0], ours.received[1]);
            row("heard from theirs", &[theirs.shares[1]], theirs.received[0], theirs.received[1]);
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
