//! Two MASTERs, and then one.

use super::*;

#[test]
fn a05_after_a_split_brain_everybody_knows_the_winner_whoever_is_heard_first() {
    // in steps of 10 ms over a whole interval, so that each of the two is heard first often enough
    for phase in 0..100 {
        let mut lan = settled(vec![one(200), one(100)]);
        lan.split(&[A]);
        lan.run_for(secs(12) + ms(phase * 10));
        assert_eq!(lan.masters(0), [A, B]);
        assert_eq!(lan.host.get(&ip("10.0.0.100")), Some(&mac_of(B)));
        lan.heal();
        lan.run_for(secs(2));
        assert_eq!(lan.masters(0), [A]);
        oracle::neighbours_know(&lan, 0, A);
    }
}

#[test]
fn a05_a_one_way_split_heals_as_well() {
    for phase in 0..20 {
        for (from, to) in [(A, B), (B, A)] {
            let mut lan = settled(vec![one(200), one(100)]);
            lan.cut(from, to);
            lan.run_for(secs(4) + ms(phase * 50));
            lan.heal();
            lan.run_for(secs(2));
            assert_eq!(lan.masters(0), [A]);
            oracle::neighbours_know(&lan, 0, A);
        }
    }
}

#[test]
fn a05_a_split_over_ipv6_heals_as_well() {
    let v6 = |priority| {
        with(priority, |instance| {
            instance.family = Family::V6;
            instance.version = Version::V3;
            instance.addresses = vec![vip("fe80::100/64"), vip("2001:db8::100/64")];
            instance.destination = Destination::Multicast(group(Family::V6));
        })
    };
    for phase in 0..20 {
        let mut lan = settled(vec![v6(200), v6(100)]);
        lan.split(&[A]);
        lan.run_for(secs(12) + ms(phase * 50));
        lan.heal();
        lan.run_for(secs(2));
        oracle::neighbours_know(&lan, 0, A);
    }
}

#[test]
fn an_ordinary_fail_back_is_no_split_brain() {
    let mut lan = settled(vec![one(200), one(100)]);
    lan.kill(A);
    lan.run_for(secs(10));
    let from = lan.now;
    lan.start(A);
    lan.run_for(secs(10));
    assert_eq!(lan.masters(0), [A]);
    assert!(!told(&lan, A, from).contains(&Notified::MasterRxLowerPri));
    let lower = |action: &Action| {
        matches!(action, Action::Report(Event::Instance(_, InstanceEvent::LowerPriority { expected: false, .. })))
    };
    assert_eq!(count(&lan, A, from, lower), 0);
}

#[test]
fn higher_prio_send_advert_gives_keepalived_s_sequence() {
    let b = with(100, |instance| instance.higher_prio_send_advert = true);
    let mut lan = settled(vec![one(200), b]);
    lan.cut(A, B);
    lan.run_for(secs(8));
    let from = lan.now;
    lan.heal();
    lan.run_for(ms(1100));
    assert_eq!(told(&lan, B, from), [Notified::Backup]);
    assert!(count(&lan, A, from, is_announce) >= 5);
    assert!(told(&lan, A, from).contains(&Notified::MasterRxLowerPri));
}

#[test]
fn a_silent_rival_is_the_end_of_a_split_even_where_lower_priorities_are_not_answered_with_announcements() {
    let quiet = |priority| with(priority, |instance| instance.garp.lower_prio_repeat = 0);
    let mut lan = settled(vec![quiet(200), quiet(100)]);
    lan.split(&[A]);
    lan.run_for(secs(12));
    lan.heal();
    lan.run_for(secs(3));
    oracle::neighbours_know(&lan, 0, A);
}
