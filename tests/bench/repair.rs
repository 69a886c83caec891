//! How long it takes until the LAN is right again after somebody has put it wrong.

use std::time::Duration;

use crate::lan::{Kind, Lan, comes_true, eventually, now};
use crate::table::{Goal, Table};
use crate::{Extent, address, many, master, percentile};

const INTERVAL: f64 = 1.0;

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Somebody else deletes the address of a MASTER: until it is back, and until it is announced, from before the start of the
/// `ip` that does it.
pub(crate) fn restore(extent: Extent, table: &mut Table) {
    let rounds = extent.pick(20, 3);
    let measure = |kind| {
        let lan = Lan::new(1);
        let _router = master(&lan, 'a', kind, 1, INTERVAL);
        lan.pass(Duration::from_secs(6));
        let (mut back, mut announced) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let begun = now();
            lan.ip('a', &format!("addr del {}/32 dev eth0", address(1)));
            let (there, told) = lan.wait("the address is back and announced", |seen| {
                let change = |present: bool, since: Duration| {
                    let mut changes = seen.addresses.iter().filter(move |c| c.address == address(1) && c.at >= since);
                    changes.find(|c| c.present == present).map(|c| c.at)
                };
                let there = change(true, change(false, begun)?)?;
                Some((there, seen.announcements(address(1)).find(|f| f.at >= begun)?.at))
            });
            back.push(there - begun);
            announced.push(told - begun);
            // keepalived 2.2.7 becomes BACKUP first; what follows its return is not the next round's.
            lan.pass(Duration::from_millis(500));
        }
        (back, announced)
    };
    let (ours, theirs) = (measure(Kind::Ours), measure(Kind::Debian));
    for (what, ours, theirs) in [("back", &ours.0, &theirs.0), ("announced", &ours.1, &theirs.1)] {
        for (word, share) in [("p50", 0.5), ("p99", 0.99)] {
            let (ours, theirs) = (millis(percentile(ours, share)), millis(percentile(theirs, share)));
            let name = format!("A deleted address is {what} again, {word}");
            table.row(&name, "ms", ours, Some(theirs), Goal::AtMost(100.0));
        }
    }
}

/// Two MASTERs hear each other again: until a plain host's neighbour table has the winner for good.
pub(crate) fn heal(extent: Extent, table: &mut Table) {
    let rounds = extent.pick(5, 1);
    let measure = |kind| {
        let lan = Lan::new(3);
        let _winner = master(&lan, 'a', kind, 1, INTERVAL);
        let _loser = lan.start('b', kind, &many(1, 100, INTERVAL, ""));
        lan.wait_line('b', "(V1) Entering BACKUP STATE", Duration::ZERO);
        lan.ip('c', "route add 10.98.0.0/24 dev eth0");
        let knows = |host| lan.neighbour('c', address(1)) == Some(lan.mac(host));
        let round = |_| {
            lan.pings('c', address(1));
            lan.drop_vrrp('a', 'b');
            lan.drop_vrrp('b', 'a');
            lan.wait_held('b', address(1));
            eventually("the plain host believes the loser", || knows('b'));
            let healed = now();
            lan.heal();
            lan.wait_only_holder('a', &['b'], address(1));
            // keepalived does not see to it: it is a matter of luck whose announcement came last.
            assert!(comes_true(|| knows('a')) || kind == Kind::Debian, "the plain host believes the winner");
            now() - healed
        };
        percentile(&(0..rounds).map(round).collect::<Vec<_>>(), 1.0)
    };
    let (ours, theirs) = (millis(measure(Kind::Ours)), millis(measure(Kind::Debian)));
    let bound = INTERVAL * 1000.0 + 1000.0;
    table.row("Split brain healed, until a host knows the winner", "ms", ours, Some(theirs), Goal::AtMost(bound));
}
