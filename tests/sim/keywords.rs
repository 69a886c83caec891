//! Keywords that would lose their effect unnoticed: each story fails without it. What the checks of received packets do
//! is beside them; what the wire shows is compared with keepalived's in `tests/netns`.

use keepalived_rs::addr::Family;
use keepalived_rs::model::Weight;
use keepalived_rs::model::vrrp::{Destination, Pacing, Version};
use keepalived_rs::time::{Centis, Instant};
use keepalived_rs::vrrp::io::{Action, Notified, Role};

use crate::setup::*;
use crate::stories::{A, B, count, did, is_advert, is_announce, one, settled, started, time_until, told, with};

#[test]
fn down_timer_adverts_is_how_many_may_be_missing() {
    let mut lan = settled(vec![one(200), with(100, |instance| instance.down_timer_adverts = 6)]);
    lan.kill(A);
    let took = time_until(&mut lan, |lan| lan.masters(0) == [B]);
    assert!((ms(5600)..=ms(6610)).contains(&took), "six intervals and the skew after the last advert: {took:?}");
}

#[test]
fn lower_prio_no_advert_leaves_a_lower_priority_without_an_answer() {
    for (silent, answers) in [(false, 1), (true, 0)] {
        let mut lan = settled(vec![with(200, |instance| instance.lower_prio_no_advert = silent), one(100)]);
        // b hears nothing, becomes MASTER, and a hears it
        lan.cut(A, B);
        time_until(&mut lan, |lan| lan.masters(0) == [A, B]);
        let from = lan.now - ms(1);
        lan.run_for(ms(1));
        let due = did(&lan, A, from).iter().filter(|(_, action)| is_advert(action)).count();
        assert_eq!(due, answers, "lower_prio_no_advert {silent}");
    }
}

#[test]
fn garp_lower_prio_repeat_and_delay_are_the_bursts_at_a_lower_priority() {
    let config = with(200, |instance| {
        (instance.garp.lower_prio_repeat, instance.garp.lower_prio_delay) = (2, ms(300));
    });
    let mut lan = settled(vec![config, one(100)]);
    lan.cut(A, B);
    time_until(&mut lan, |lan| lan.masters(0) == [A, B]);
    let from = lan.now - ms(1);
    lan.run_for(ms(900));
    let times: Vec<_> = did(&lan, A, from).into_iter().filter(|(_, a)| is_announce(a)).map(|(at, _)| at).collect();
    assert_eq!(times.len(), 4, "two at once and two more after 0.3 s");
    assert_eq!(times[2].since(times[0]), ms(300));
}

#[test]
fn master_delay_and_repeat_are_the_bursts_of_a_new_master() {
    let config = with(255, |instance| (instance.garp.master_repeat, instance.garp.master_delay) = (3, secs(2)));
    let mut lan = started(vec![config]);
    let from = lan.now;
    lan.run_for(secs(20));
    let times: Vec<_> = did(&lan, A, from).into_iter().filter(|(_, a)| is_announce(a)).map(|(at, _)| at).collect();
    let after: Vec<_> = times.iter().map(|at| at.since(times[0])).collect();
    assert_eq!(after, [secs(0), secs(0), secs(0), secs(2), secs(2), secs(2)]);
}

/// A garp_group: one pace for all its interfaces, by family.
#[test]
fn interfaces_of_a_garp_group_share_one_pace() {
    let mut config = with(255, |instance| {
        let mut other = (*vip("10.0.1.100/24")).clone();
        other.interface = name("eth1");
        instance.addresses.push(other.into());
    });
    for interface in ["eth0", "eth1"] {
        let pacing = Pacing { garp_interval: ms(40), gna_interval: ms(7), group: Some(0) };
        config.pacing.insert(name(interface), pacing);
    }
    let mut lan = started(vec![config]);
    let from = lan.now;
    lan.run_for(secs(4));
    let sent: Vec<_> = did(&lan, A, from)
        .into_iter()
        .filter_map(|(at, action)| match action {
            Action::Announce(announcement) => Some((at, announcement.link)),
            _ => None,
        })
        .collect();
    assert_eq!(sent.len(), 10);
    for pair in sent.windows(2) {
        assert_eq!(pair[1].0.since(pair[0].0), ms(40), "over both interfaces");
        assert_ne!(pair[0].1, pair[1].1, "in turn");
    }
}

#[test]
fn unsolicited_advertisements_have_a_pace_of_their_own() {
    let mut config = with(255, |instance| {
        (instance.family, instance.version) = (Family::V6, Version::V3);
        instance.destination = Destination::Multicast(group(Family::V6));
        instance.addresses = vec![vip("fe80::100/64"), vip("2001:db8::100/64")];
    });
    (config.default_pacing.garp_interval, config.default_pacing.gna_interval) = (secs(9), ms(20));
    let mut lan = started(vec![config]);
    let from = lan.now;
    lan.run_for(secs(1));
    let times: Vec<_> = did(&lan, A, from).into_iter().filter(|(_, a)| is_announce(a)).map(|(at, _)| at).collect();
    assert_eq!(times.len(), 10);
    assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) == ms(20)));
}

#[test]
fn a_source_that_is_given_is_used_and_missed_only_where_it_is_tracked() {
    for tracked in [false, true] {
        let config = with(200, |instance| (instance.source, instance.track_source) = (Some(ip("10.0.0.77")), tracked));
        let mut lan = settled(vec![config]);
        assert_eq!(lan.routers[A].is_master(0), !tracked);
        lan.give(A, ETH0, cidr("10.0.0.77/24"));
        lan.run_for(secs(5));
        assert!(lan.routers[A].is_master(0));
        let sent = did(&lan, A, Instant::ZERO);
        let mut adverts = sent.iter().filter_map(|(_, action)| match action {
            Action::SendAdvert(advert) => Some(advert.packets.copies[0].1[12..16].to_vec()),
            _ => None,
        });
        assert!(adverts.all(|source| source == [10, 0, 0, 77]));
        lan.steal(A, ETH0, cidr("10.0.0.77/24"));
        lan.run_for(ms(10));
        assert_eq!(lan.routers[A].role(0) == Some(Role::Fault), tracked);
    }
}

#[test]
fn unicast_ttl_is_in_the_header_and_255_without_it() {
    for (ttl, expected) in [(None, 255), (Some(64), 64)] {
        let config = with(200, |instance| {
            instance.destination = unicast(&[own_address(B, Family::V4)]);
            if let Destination::Unicast(unicast) = &mut instance.destination {
                unicast.ttl = ttl;
            }
        });
        let lan = settled(vec![config]);
        let sent = did(&lan, A, Instant::ZERO);
        let ttls: Vec<u8> = sent
            .iter()
            .filter_map(|(_, action)| match action {
                Action::SendAdvert(advert) => Some(advert.packets.copies[0].1[8]),
                _ => None,
            })
            .collect();
        assert!(!ttls.is_empty() && ttls.iter().all(|ttl| *ttl == expected), "{ttls:?}");
    }
}

#[test]
fn another_group_is_another_lan() {
    let elsewhere = || with(100, |instance| instance.destination = Destination::Multicast(ip("224.0.0.200")));
    let lan = settled(vec![one(200), elsewhere(), elsewhere()]);
    assert_eq!(lan.masters(0).len(), 2, "one of each group");
    assert!(lan.routers[A].is_master(0));
}

#[test]
fn a_tracked_interface_adds_its_weight_and_reverse_turns_it_round() {
    // weight, reverse, priority while up, while down
    for (value, reverse, up, down) in
        [(20, false, 120, 100), (-20, false, 100, 80), (20, true, 80, 100), (-20, true, 100, 120)]
    {
        let config = with(100, |instance| {
            let mut track = tracks_link("eth1", value);
            track.weight = Weight { value, reverse };
            instance.track_interfaces = vec![track];
        });
        let mut lan = settled(vec![config]);
        let priority =
            |lan: &crate::lan::Lan| lan.routers[A].node.as_ref().unwrap().views().next().unwrap().effective_priority;
        assert_eq!(priority(&lan), up, "weight {value}, reverse {reverse}, up");
        lan.link_down(A, ETH1);
        lan.run_for(ms(10));
        assert_eq!(priority(&lan), down, "weight {value}, reverse {reverse}, down");
    }
}

#[test]
fn a_tracked_interface_of_weight_zero_must_be_up_or_with_reverse_down() {
    for reverse in [false, true] {
        let config = with(100, |instance| {
            let mut track = tracks_link("eth1", 0);
            track.weight.reverse = reverse;
            instance.track_interfaces = vec![track];
        });
        let mut lan = settled(vec![config]);
        assert_eq!(lan.routers[A].role(0) == Some(Role::Fault), reverse);
        lan.link_down(A, ETH1);
        lan.run_for(secs(5));
        assert_eq!(lan.routers[A].role(0) == Some(Role::Fault), !reverse);
    }
}

#[test]
fn strict_mode_sends_no_last_word() {
    for strict in [false, true] {
        let mut lan = settled(vec![with(100, |instance| instance.strict = strict)]);
        let b = lan.add(one(200));
        lan.cut(A, b);
        lan.cut(b, A);
        lan.start(b);
        lan.run_for(secs(10));
        assert_eq!(lan.masters(0), [A, b]);
        lan.heal();
        let from = lan.now;
        lan.routers[b].log = None;
        time_until(&mut lan, |lan| lan.masters(0) == [b]);
        let since_yielding = lan.now - ms(2);
        let adverts = count(&lan, A, since_yielding.max(from), is_advert);
        assert_eq!(adverts, usize::from(!strict), "strict {strict}");
    }
}

#[test]
fn a_priority_change_by_reload_is_told_to_nobody() {
    let config =
        |priority| with(priority, |instance| std::sync::Arc::make_mut(&mut instance.notify).priority_changes = true);
    let mut lan = settled(vec![config(100)]);
    let from = lan.now;
    lan.reload(A, config(120));
    lan.run_for(secs(2));
    assert_eq!(told(&lan, A, from), []);
    let priority = lan.routers[A].node.as_ref().unwrap().views().next().unwrap().effective_priority;
    assert_eq!(priority, 120);
    assert!(!told(&lan, A, Instant::ZERO).contains(&Notified::Fault));
}

#[test]
fn a_version_3_interval_is_in_the_advert() {
    let config = with(255, |instance| (instance.version, instance.advert_interval) = (Version::V3, Centis(37)));
    let mut lan = started(vec![config]);
    let from = lan.now;
    lan.run_for(ms(370 * 10 + 5));
    assert_eq!(count(&lan, A, from, is_advert), 11);
}
