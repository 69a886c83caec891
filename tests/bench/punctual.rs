//! How long after the protocol's deadline a takeover is seen on the wire, and whether any comes that should not.

use std::time::Duration;

use crate::lan::{Injector, Kind, Lan, advert_v3, multicast_frame, now};
use crate::table::{Goal, Table};
use crate::{Extent, address, many, percentile};

const INTERVAL: f64 = 0.1;
const PRIORITY: u8 = 100;

/// Master_Down_Interval of the routers measured here: three intervals and the skew time.
fn master_down_interval() -> Duration {
    let centis = (INTERVAL * 100.0) as u64;
    Duration::from_micros(3 * centis * 10_000 + (256 - u64::from(PRIORITY)) * centis * 10_000 / 256)
}

/// Has a made-up MASTER advertise some VRIDs for a moment and then fall silent, and gives how long after its deadline
/// each of them was announced by the router.
fn silence(lan: &Lan, instances: u8) -> Vec<Duration> {
    let master = Injector::new(lan, 'b');
    let frame = |vrid| {
        multicast_frame(
            [10, 99, 0, 2],
            &advert_v3([10, 99, 0, 2], vrid, 200, (INTERVAL * 100.0) as u16, [10, 98, 0, vrid]),
        )
    };
    let frames: Vec<Vec<u8>> = (1..=instances).map(frame).collect();
    for _ in 0..5 {
        frames.iter().for_each(|frame| master.send(frame));
        lan.pass(Duration::from_secs_f64(INTERVAL));
    }
    let silent = now();
    let late = |vrid: u8| {
        lan.wait(&format!("{vrid} is announced"), |seen| {
            let first = seen.announcements(address(vrid)).find(|f| f.at >= silent)?.at;
            let mut adverts = seen.adverts().filter(|(f, a)| f.from == 'b' && a.vrid == vrid && f.at < first);
            let deadline = adverts.next_back()?.0.at + master_down_interval();
            Some(first.saturating_sub(deadline))
        })
    };
    (1..=instances).map(late).collect()
}

pub(crate) fn takeover(extent: Extent, table: &mut Table) {
    let rounds = extent.pick(100, 8);
    let measure = |kind| {
        let lan = Lan::new(2);
        let _router = lan.start('a', kind, &many(1, PRIORITY, INTERVAL, "garp_master_delay 0"));
        crate::wait_all(&lan, 'a', 1);
        let late: Vec<Duration> = (0..rounds).flat_map(|_| silence(&lan, 1)).collect();
        [percentile(&late, 0.5), percentile(&late, 0.99)].map(|d| d.as_secs_f64() * 1000.0)
    };
    let (ours, theirs) = (measure(Kind::Ours), measure(Kind::Debian));
    table.row("From the deadline to the first GARP, p50", "ms", ours[0], Some(theirs[0]), Goal::AtMost(1.0));
    table.row("From the deadline to the first GARP, p99", "ms", ours[1], Some(theirs[1]), Goal::AtMost(5.0));
}

pub(crate) fn takeover_of_many(extent: Extent, table: &mut Table) {
    const INSTANCES: u8 = 250;
    let rounds = extent.pick(5, 1);
    let measure = |kind| {
        let lan = Lan::new(2);
        let _router = lan.start('a', kind, &many(INSTANCES, PRIORITY, INTERVAL, "garp_master_delay 0"));
        crate::wait_all(&lan, 'a', INSTANCES);
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let late = silence(&lan, INSTANCES);
            first.push(percentile(&late, 0.0));
            last.push(percentile(&late, 1.0));
        }
        [percentile(&first, 0.5), percentile(&last, 0.5)].map(|d| d.as_secs_f64() * 1000.0)
    };
    let (ours, theirs) = (measure(Kind::Ours), measure(Kind::Debian));
    table.row("Takeover of 250 instances at once, first address", "ms", ours[0], Some(theirs[0]), Goal::None);
    table.row("Takeover of 250 instances at once, last address", "ms", ours[1], Some(theirs[1]), Goal::Ratio(1.0));
}

/// State changes of a pair that should have none, while a processor is busy with something else.
pub(crate) fn busy_core(extent: Extent, table: &mut Table) {
    const INSTANCES: u8 = 250;
    let time = Duration::from_secs(extent.pick(60, 5));
    let measure = |kind| {
        let lan = Lan::new(2);
        let _a = crate::master(&lan, 'a', kind, INSTANCES, INTERVAL);
        let _b = lan.start('b', kind, &many(INSTANCES, PRIORITY, INTERVAL, ""));
        lan.wait_line('b', &format!("(V{INSTANCES}) Entering BACKUP STATE"), Duration::ZERO);
        lan.pass(Duration::from_secs(2));
        let begun = now();
        let busy = std::sync::atomic::AtomicBool::new(true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while busy.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            lan.pass(time);
            busy.store(false, std::sync::atomic::Ordering::Relaxed);
        });
        lan.seen(|seen| {
            let changes = ['a', 'b'].map(|h| seen.lines(h, " STATE").filter(|l| l.at >= begun).count());
            changes.iter().sum::<usize>() as f64
        })
    };
    let (ours, theirs) = (measure(Kind::Ours), measure(Kind::Debian));
    let what = format!("False transitions, 250 instances at 0.1 s, one core busy, {} s", time.as_secs());
    table.row(&what, "count", ours, Some(theirs), Goal::AtMost(0.0));
}
