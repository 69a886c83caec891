//! Failover beside another keepalived, both ways round, for every kind of virtual router.
//!
//! Each test starts with its two routers told which of them is ours: `OURS_FIRST` has ours where the story speaks of
//! host `a` (the one of higher priority), `THEIRS_FIRST` the reverse.

use std::time::Duration;

use crate::lan::{Kind, Lan, eventually, now};
use crate::setup::{Instance, Variant, needs};

/// Whose daemon hosts `a` and `b` run.
type Sides = [Kind; 2];

/// The address is where it should be, adverts come from there, and the plain host's packets go there.
fn is_master(lan: &Lan, master: char, other: char, variant: Variant) {
    let vip = variant.vip();
    lan.wait_only_holder(master, &[other], vip);
    let (_, advert) = lan.wait_advert(master, now());
    assert_eq!((advert.version, advert.vrid), (variant.version(), 51), "{advert:?}");
    let group = if variant.is_ipv6() { "ff02::12" } else { "224.0.0.18" };
    assert_eq!(advert.destination.to_string() == group, !variant.is_unicast(), "{advert:?}");
    reaches(lan, master, variant);
}

/// The plain host's packets for the virtual address reach this router. On a busy machine keepalived may still be in the
/// middle of a burst when it yields, so that its announcement is the last; the new master's second burst mends that.
fn reaches(lan: &Lan, master: char, variant: Variant) {
    let vip = variant.vip();
    let what = format!("c gets answers from {vip}, and from {master}");
    eventually(&what, || lan.pings('c', vip) && lan.neighbour('c', vip) == Some(lan.mac(master)));
}

/// Waits for the router `from` to announce the address with its own hardware address, after `since`.
fn announces(lan: &Lan, from: char, variant: Variant, since: Duration) {
    let mac = lan.mac(from);
    lan.wait(&format!("{from} announces {}", variant.vip()), |seen| {
        let mut frames = seen.announcements(variant.vip()).filter(|f| f.from == from && f.at >= since);
        frames.find(|f| f.announcement().is_some_and(|(_, told)| told == mac)).map(drop)
    });
}

/// When a router first said, after `since`, that it gives up.
fn farewell(lan: &Lan, from: char, since: Duration) -> Duration {
    lan.wait(&format!("priority 0 from {from}"), |seen| {
        let mut adverts = seen.adverts().filter(|(f, a)| f.from == from && f.at >= since && a.priority == 0);
        adverts.next().map(|(f, _)| f.at)
    })
}

fn failover(variant: Variant, sides: Sides) {
    needs!();
    let lan = Lan::new(3);
    let vip = variant.vip();
    let a_file = Instance::new(variant, "MASTER", 150).file(&lan, 'a', 'b');
    let b_file = Instance::new(variant, "BACKUP", 100).file(&lan, 'b', 'a');

    // Election.
    let a = lan.start('a', sides[0], &a_file);
    lan.wait_line('a', "Entering BACKUP STATE", Duration::ZERO);
    let b = lan.start('b', sides[1], &b_file);
    lan.wait_line('a', "(VI_1) Entering MASTER STATE", Duration::ZERO);
    is_master(&lan, 'a', 'b', variant);
    lan.seen(|seen| {
        assert_eq!(seen.lines('b', "Entering MASTER STATE").count(), 0, "b was MASTER for a moment");
    });

    // The cable of the MASTER is pulled, and plugged in again (A14: it pre-empts without a delay).
    let cut = now();
    lan.cut('a');
    lan.wait_line('a', "Entering FAULT STATE", cut);
    lan.wait_released('a', vip);
    announces(&lan, 'b', variant, cut);
    is_master(&lan, 'b', 'a', variant);
    let mended = now();
    lan.mend('a');
    announces(&lan, 'a', variant, mended);
    is_master(&lan, 'a', 'b', variant);

    // The MASTER is told to end: it says so, and the other need not wait for its silence.
    let ended = now();
    assert!(a.stop().success());
    let farewell = farewell(&lan, 'a', ended);
    lan.wait_only_holder('b', &['a'], vip);
    let (taken, _) = lan.wait_advert('b', ended);
    assert!(taken >= farewell, "b advertised before a gave up");
    let three_adverts = Duration::from_secs_f64(3.0 * variant.interval());
    assert!(taken - farewell < three_adverts, "b waited for {:?}", taken - farewell);
    reaches(&lan, 'b', variant);

    // It comes back and pre-empts.
    let again = now();
    let a = lan.start_again('a', sides[0]);
    announces(&lan, 'a', variant, again);
    is_master(&lan, 'a', 'b', variant);

    // It dies without a word.
    let killed = now();
    a.kill_all();
    announces(&lan, 'b', variant, killed);
    lan.wait_held('b', vip);
    reaches(&lan, 'b', variant);
    lan.seen(|seen| {
        let mut last_words = seen.adverts().filter(|(f, a)| f.from == 'a' && f.at >= killed && a.priority == 0);
        assert!(last_words.next().is_none(), "a said farewell although it was killed");
        assert!(seen.holds('a', vip), "nobody was left to remove the address from a");
    });

    // Its next start first removes what the dead one left, then takes over.
    let again = now();
    let a = lan.start_again('a', sides[0]);
    lan.wait("a removes the left-over address before its first advert", |seen| {
        let gone = seen.addresses.iter().find(|c| c.host == 'a' && c.address == vip && !c.present && c.at >= again)?;
        let advert = seen.adverts().find(|(f, _)| f.from == 'a' && f.at >= again);
        assert!(advert.is_none_or(|(f, _)| f.at >= gone.at), "a advertised before it removed the address");
        Some(())
    });
    is_master(&lan, 'a', 'b', variant);
    assert!(b.stop().success());
    assert!(a.stop().success());
    lan.wait_released('a', vip);
    lan.check_capture();
}

fn equal_priorities(variant: Variant, sides: Sides) {
    needs!();
    let lan = Lan::new(3);
    let vip = variant.vip();
    let file = |host, peer| Instance::new(variant, "BACKUP", 100).file(&lan, host, peer);

    // Whoever is there first stays, although the other has the higher address.
    let _a = lan.start('a', sides[0], &file('a', 'b'));
    lan.wait_held('a', vip);
    let _b = lan.start('b', sides[1], &file('b', 'a'));
    lan.wait_line('b', "Entering BACKUP STATE", Duration::ZERO);
    lan.pass(Duration::from_secs_f64(5.0 * variant.interval()));
    is_master(&lan, 'a', 'b', variant);

    // Of two MASTERs the one with the higher address stays.
    let parted = now();
    lan.drop_vrrp('a', 'b');
    lan.drop_vrrp('b', 'a');
    lan.wait("both hold the address", |seen| (seen.holds('a', vip) && seen.holds('b', vip)).then_some(()));
    announces(&lan, 'b', variant, parted);
    let healed = now();
    lan.heal();
    lan.wait_line('a', "higher IP address than ours", healed);
    is_master(&lan, 'b', 'a', variant);
}

fn nopreempt(variant: Variant, sides: Sides) {
    needs!();
    let lan = Lan::new(3);
    let vip = variant.vip();
    let b_file = Instance::new(variant, "BACKUP", 100).file(&lan, 'b', 'a');
    let b = lan.start('b', sides[1], &b_file);
    lan.wait_held('b', vip);

    let a_file = Instance::new(variant, "BACKUP", 150).with("nopreempt").file(&lan, 'a', 'b');
    let _a = lan.start('a', sides[0], &a_file);
    lan.wait_line('a', "Entering BACKUP STATE", Duration::ZERO);
    lan.pass(Duration::from_secs_f64(5.0 * variant.interval()));
    is_master(&lan, 'b', 'a', variant);
    lan.seen(|seen| assert!(seen.adverts().all(|(f, _)| f.from != 'a'), "a did not leave b alone"));

    // It takes what is given up, and keeps it.
    assert!(b.stop().success());
    is_master(&lan, 'a', 'b', variant);
    let again = now();
    let _b = lan.start_again('b', sides[1]);
    lan.wait_line('b', "Entering BACKUP STATE", again);
    lan.pass(Duration::from_secs_f64(5.0 * variant.interval()));
    is_master(&lan, 'a', 'b', variant);
}

fn preempt_delay(variant: Variant, sides: Sides) {
    needs!();
    let lan = Lan::new(3);
    let b_file = Instance::new(variant, "BACKUP", 100).file(&lan, 'b', 'a');
    let _b = lan.start('b', sides[1], &b_file);
    lan.wait_held('b', variant.vip());

    let a_file = Instance::new(variant, "BACKUP", 150).with("preempt_delay 4").file(&lan, 'a', 'b');
    let started = now();
    let _a = lan.start('a', sides[0], &a_file);
    let (taken, _) = lan.wait_advert('a', started);
    assert!(taken - started >= Duration::from_secs(4), "a took over after {:?}", taken - started);
    is_master(&lan, 'a', 'b', variant);
}

macro_rules! matrix {
    ($($name:ident: $variant:expr;)*) => {
        $(mod $name {
            use super::{Kind, Variant};
            matrix!(@sides ours_first, $variant, [Kind::Ours, Kind::Debian]);
            matrix!(@sides theirs_first, $variant, [Kind::Debian, Kind::Ours]);
        })*
    };
    (@sides $name:ident, $variant:expr, $sides:expr) => {
        mod $name {
            use super::{Kind, Variant};
            #[test]
            fn failover() { super::super::failover($variant, $sides); }
            #[test]
            fn equal_priorities() { super::super::equal_priorities($variant, $sides); }
            #[test]
            fn nopreempt() { super::super::nopreempt($variant, $sides); }
            #[test]
            fn preempt_delay() { super::super::preempt_delay($variant, $sides); }
        }
    };
}

matrix! {
    v2: Variant::V2;
    v2_pass: Variant::V2Pass;
    v3: Variant::V3;
    v3_ipv6: Variant::V3Ipv6;
    v2_unicast: Variant::V2Unicast;
    v3_unicast: Variant::V3Unicast;
    v3_ipv6_unicast: Variant::V3Ipv6Unicast;
}
