//! Another configuration.

use super::*;

#[test]
fn c19_a_reload_without_a_change_is_not_seen_by_anybody() {
    let config = || scripted(200, &[0]);
    let mut lan = settled(vec![config(), one(100)]);
    let from = lan.now;
    for n in 0..50 {
        lan.run_until(from + ms(n * 130));
        lan.reload(A, config());
        lan.reload(B, one(100));
    }
    lan.run_until(from + secs(10));
    let seen = |action: &Action| is_notify(action) || touches_addresses(action) || is_announce(action);
    assert_eq!(count(&lan, A, from, seen) + count(&lan, B, from, seen), 0);
    assert!(gaps(&lan, A, from).iter().all(|gap| *gap == secs(1)), "not even the cadence");
}

#[test]
fn a_backup_takes_over_in_time_although_it_is_reloaded_all_the_time() {
    let mut lan = settled(vec![one(200), one(100)]);
    lan.kill(A);
    let from = lan.now;
    for n in 1..40 {
        lan.run_until(from + ms(n * 100));
        lan.reload(B, one(100));
    }
    assert_eq!(lan.masters(0), [B]);
}

#[test]
fn a13_a_reload_of_a_master_with_preempt_delay_costs_no_advert() {
    let config = || with(200, |instance| instance.preempt_delay = secs(60));
    let mut lan = settled(vec![config(), one(100)]);
    let from = lan.now;
    lan.reload(A, config());
    lan.run_for(secs(70));
    assert_eq!(lan.masters(0), [A]);
    assert!(told(&lan, B, from).is_empty());
}

#[test]
fn a_renamed_instance_stays_master_and_keeps_its_counters() {
    let mut lan = settled(vec![one(200), one(100)]);
    let statistics = |lan: &Lan| lan.routers[A].node.as_ref().unwrap().views().next().unwrap().statistics;
    let before = statistics(&lan);
    let from = lan.now;
    lan.reload(A, with(200, |instance| instance.name = "LAN".into()));
    lan.run_for(ms(10));
    assert!(told(&lan, A, from).is_empty());
    assert_eq!(statistics(&lan).become_master, before.become_master);
    assert!(statistics(&lan).advert_sent >= before.advert_sent);
}

#[test]
fn a_master_tells_of_a_new_priority_at_once() {
    let mut lan = settled(vec![one(200), one(100)]);
    let from = lan.now;
    lan.reload(A, one(50));
    assert_eq!(count(&lan, A, from, is_advert), 1);
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [B]);
}

#[test]
fn an_address_that_a_reload_adds_is_announced() {
    let mut lan = settled(vec![one(200)]);
    let from = lan.now;
    lan.reload(A, with(200, |instance| instance.addresses.push(vip("10.0.0.101/24"))));
    lan.run_for(ms(10));
    assert_eq!(lan.host.get(&ip("10.0.0.101")), Some(&mac_of(A)));
    assert_eq!(count(&lan, A, from, |action| matches!(action, Action::RemoveAddress(_))), 0);
}
