//! Who becomes MASTER, and when.

use super::*;

#[test]
fn the_higher_priority_wins_and_the_backup_takes_over_when_it_dies() {
    let mut lan = settled(vec![one(200), one(100)]);
    assert_eq!(lan.masters(0), [A]);
    lan.kill(A);
    let took = time_until(&mut lan, |lan| lan.masters(0) == [B]);
    assert!(took <= ms(3610), "{took:?}");
    lan.run_for(ms(1));
    assert_eq!(lan.host.get(&ip("10.0.0.100")), Some(&mac_of(B)));
}

#[test]
fn backup_takes_over_after_priority_zero_within_the_skew_time() {
    let mut lan = settled(vec![one(200), one(100)]);
    lan.stop(A);
    let took = time_until(&mut lan, |lan| lan.masters(0) == [B]);
    assert!((ms(609)..=ms(615)).contains(&took), "skew 609.375 ms, took {took:?}");
}

#[test]
fn equal_priorities_settle_on_one_and_stay() {
    let mut lan = settled(vec![one(100), one(100)]);
    let master = oracle::one_master(&lan, 0);
    lan.run_for(secs(60));
    assert_eq!(oracle::one_master(&lan, 0), master);
}

#[test]
fn a10_nopreempt_with_equal_priorities_leaves_the_master_alone() {
    let nopreempt = || with(100, |instance| instance.preempt = false);
    let mut lan = settled(vec![nopreempt(), nopreempt()]);
    let first = oracle::one_master(&lan, 0);
    let other = 1 - first;
    lan.stop(first);
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [other]);
    lan.start(first);
    lan.run_for(secs(20));
    assert_eq!(lan.masters(0), [other]);
}

#[test]
fn preempt_delay_counts_from_the_first_lower_advert_and_then_waits_for_the_timer() {
    let mut lan = settled(vec![one(100)]);
    let b = lan.add(with(150, |instance| instance.preempt_delay = secs(3)));
    lan.routers[b].log = Some(Vec::new());
    lan.start(b);
    let first = time_until(&mut lan, |lan| !told(lan, 1, Instant::ZERO).is_empty());
    let took = first + time_until(&mut lan, |lan| lan.is_only_master(1));
    // keepalived: 6.41 s after the first lower-priority advert, which came at most a second after the start
    assert!((ms(6350)..=ms(7450)).contains(&took), "{took:?}");
}

#[test]
fn a_master_that_is_silent_is_replaced_without_the_preempt_delay() {
    let mut lan = settled(vec![one(200), with(100, |instance| instance.preempt_delay = secs(60))]);
    lan.kill(A);
    assert!(time_until(&mut lan, |lan| lan.masters(0) == [B]) <= ms(3610));
}

#[test]
fn version_3_adapts_to_the_interval_of_its_master() {
    let v3 = |priority, interval| {
        with(priority, |instance| {
            instance.version = Version::V3;
            instance.advert_interval = Centis(interval);
        })
    };
    let mut lan = settled(vec![v3(200, 50), v3(100, 200)]);
    lan.kill(A);
    let took = time_until(&mut lan, |lan| lan.masters(0) == [B]);
    assert!(took <= ms(1806), "3 * 0.5 s + skew, not 3 * 2 s: {took:?}");
}

#[test]
fn a16_a17_no_interval_is_ever_sent_as_zero() {
    for (version, interval, field) in [(Version::V2, 100, [0, 1]), (Version::V3, 4095, [0x0f, 0xff])] {
        let config = with(255, |instance| {
            instance.version = version;
            instance.advert_interval = Centis(interval);
        });
        let lan = settled(vec![config]);
        let sent = did(&lan, A, Instant::ZERO);
        let advert = sent.iter().find_map(|(_, action)| match action {
            Action::SendAdvert(advert) => Some(advert.packets.copies[0].1.clone()),
            _ => None,
        });
        assert_eq!(advert.map(|bytes| [bytes[24], bytes[25]]), Some(field));
        assert!(count(&lan, A, Instant::ZERO, is_advert) < 20);
    }
}

#[test]
fn two_owners_the_lower_address_yields_at_once() {
    let mut lan = settled(vec![one(255)]);
    let b = lan.add(one(255));
    lan.start(b);
    lan.run_for(ms(50));
    assert_eq!(lan.masters(0), [b], "10.0.0.2 is the higher address");
}

#[test]
fn two_owners_one_of_which_does_not_listen_the_other_lowers_itself() {
    let mut lan = settled(vec![with(255, |instance| instance.owner_ignore_adverts = true)]);
    let b = lan.add(one(255));
    lan.routers[b].log = Some(Vec::new());
    lan.start(b);
    lan.run_for(secs(10));
    assert_eq!(lan.masters(0), [A]);
    let goes_on = InstanceEvent::OtherOwnerGoesOn(own_address(A, Family::V4));
    let said = |action: &Action| matches!(action, Action::Report(Event::Instance(_, event)) if *event == goes_on);
    assert_eq!(count(&lan, b, Instant::ZERO, said), 1);
    lan.stop(A);
    lan.run_for(secs(4));
    assert_eq!(lan.masters(0), [b]);
    let priority = lan.routers[b].node.as_ref().and_then(|node| node.views().next().map(|v| v.effective_priority));
    assert_eq!(priority, Some(255), "its priority is restored");
}

#[test]
fn a01_a_startup_delay_ends_at_its_deadline_across_a_reload() {
    let delayed = |priority| Vrrp { startup_delay: secs(10), ..one(priority) };
    let mut lan = started(vec![delayed(200), delayed(100)]);
    let start = lan.now;
    lan.run_for(secs(3));
    lan.reload(B, delayed(100));
    lan.run_until(start + ms(9_999));
    assert_eq!(count(&lan, A, start, is_advert) + count(&lan, B, start, is_advert), 0);
    lan.run_until(start + secs(20));
    assert_eq!(lan.masters(0), [A]);
    assert_eq!(told(&lan, B, start), [Notified::Backup], "B has heard A all the time");
    let first = did(&lan, A, start).into_iter().find(|(_, action)| is_advert(action)).map(|(at, _)| at.since(start));
    assert_eq!(first, Some(ms(13_000) + Duration::from_micros(218_750)), "delay + 3 s + 56/256 s");
}

#[test]
fn a02_a_reload_without_the_startup_delay_ends_it_at_once() {
    let delayed = Vrrp { startup_delay: secs(60), ..one(100) };
    let mut lan = started(vec![one(200), delayed]);
    lan.run_for(secs(5));
    lan.reload(B, one(100));
    lan.run_for(secs(10));
    assert_eq!(lan.masters(0), [A], "B hears A's adverts now");
    lan.kill(A);
    assert!(time_until(&mut lan, |lan| lan.masters(0) == [B]) < secs(4));
}

#[test]
fn a04_an_owner_does_nothing_before_the_startup_delay_is_over() {
    let mut config = with(255, |instance| instance.track_scripts.push(tracks(0, 0)));
    config.scripts = vec![script("chk")];
    config.startup_delay = secs(10);
    let mut lan = started(vec![config]);
    let start = lan.now;
    lan.run_until(start + ms(9_999));
    let acts = |action: &Action| is_advert(action) || is_announce(action) || touches_addresses(action);
    assert_eq!(count(&lan, A, start, acts), 0);
    lan.run_until(start + secs(14));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn a_delay_after_boot_counts_from_boot() {
    // the machine of these stories has booted one second ago
    let lan = &mut started(vec![Vrrp { delay_after_boot: secs(5), ..one(255) }]);
    lan.run_for(ms(3_999));
    assert!(lan.masters(0).is_empty());
    lan.run_for(ms(1));
    assert_eq!(lan.masters(0), [A]);
}
