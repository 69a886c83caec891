//! Named scenarios. A letter and two digits name the keepalived bug that the story was once about.

use std::sync::Arc;
use std::time::Duration;

use keepalived_rs::addr::{Cidr, Family};
use keepalived_rs::model::vrrp::{Destination, Instance, Unicast, Version, Vrrp};
use keepalived_rs::time::{Centis, Instant};
use keepalived_rs::vrrp::io::{Action, Input, Notified, PacketMeta, Role, SocketScope};
use keepalived_rs::vrrp::report::{Event, InstanceEvent};
use keepalived_rs::wire::ipv4::Header;
use keepalived_rs::wire::vrrp::{Body, Checksum, emit};

use crate::lan::Lan;
use crate::oracle;
use crate::router::ScriptModel;
use crate::setup::*;

/// Routers a, b, … with these instances each, started and settled, with a log of everything they do.
fn lan_of(routers: Vec<Vrrp>) -> Lan {
    let mut lan = Lan::new(0);
    for config in routers {
        let id = lan.add(config);
        lan.routers[id].log = Some(Vec::new());
    }
    lan
}

pub(crate) fn started(routers: Vec<Vrrp>) -> Lan {
    let mut lan = lan_of(routers);
    (0..lan.routers.len()).for_each(|id| lan.start(id));
    lan
}

pub(crate) fn settled(routers: Vec<Vrrp>) -> Lan {
    let mut lan = started(routers);
    lan.run_for(secs(12));
    lan
}

pub(crate) fn one(priority: u8) -> Vrrp {
    vrrp(vec![instance(priority)])
}

pub(crate) fn with(priority: u8, change: impl FnOnce(&mut Instance)) -> Vrrp {
    let mut instance = instance(priority);
    change(&mut instance);
    vrrp(vec![instance])
}

pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;

/// What a router did from `from` on.
pub(crate) fn did(lan: &Lan, id: usize, from: Instant) -> Vec<(Instant, Action)> {
    lan.routers[id].log.iter().flatten().filter(|(at, _)| *at >= from).cloned().collect()
}

pub(crate) fn count(lan: &Lan, id: usize, from: Instant, what: impl Fn(&Action) -> bool) -> usize {
    did(lan, id, from).iter().filter(|(_, action)| what(action)).count()
}

pub(crate) fn is_advert(action: &Action) -> bool {
    matches!(action, Action::SendAdvert(_))
}

pub(crate) fn is_announce(action: &Action) -> bool {
    matches!(action, Action::Announce(_))
}

fn touches_addresses(action: &Action) -> bool {
    matches!(action, Action::AddAddress(_) | Action::RemoveAddress(_))
}

fn is_notify(action: &Action) -> bool {
    matches!(action, Action::Notify(_))
}

pub(crate) fn told(lan: &Lan, id: usize, from: Instant) -> Vec<Notified> {
    let what = |(_, action): (Instant, Action)| match action {
        Action::Notify(notification) => Some(notification.what),
        _ => None,
    };
    did(lan, id, from).into_iter().filter_map(what).collect()
}

fn gaps(lan: &Lan, id: usize, from: Instant) -> Vec<Duration> {
    let sent: Vec<Instant> =
        did(lan, id, from).into_iter().filter(|(_, action)| is_advert(action)).map(|(at, _)| at).collect();
    sent.windows(2).map(|pair| pair[1].since(pair[0])).collect()
}

/// How long until `done`, looked at every millisecond.
pub(crate) fn time_until(lan: &mut Lan, done: impl Fn(&Lan) -> bool) -> Duration {
    let start = lan.now;
    while !done(lan) {
        assert!(lan.now.since(start) < secs(120), "it never comes");
        lan.run_for(ms(1));
    }
    lan.now.since(start)
}

// ---- election ------------------------------------------------------------------------------------------------

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
            Action::SendAdvert(advert) => Some(advert.packets[0].1.clone()),
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

// ---- startup delay ---------------------------------------------------------------------------------------------

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

// ---- split brain -------------------------------------------------------------------------------------------------

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

// ---- cadence -----------------------------------------------------------------------------------------------------

/// Bytes for VRID 51 that no check lets through.
fn broken_packets() -> Vec<Vec<u8>> {
    let from = [10, 0, 0, 66].into();
    let to = [224, 0, 0, 18].into();
    let body = Body::V2 { auth_type: 0, adver_secs: 1, auth_data: [0; 8] };
    let pdu = emit(Family::V4, 51, 100, &[ip("10.0.0.100")], body, Checksum::Plain);
    let whole = |ttl, pdu: &[u8]| Header::before(from, to, ttl, 112, 1, pdu);
    let changed = |at: usize, byte| {
        let mut pdu = pdu.clone();
        pdu[at] = byte;
        whole(255, &pdu)
    };
    vec![
        whole(64, &pdu),
        whole(255, &pdu[..19]),
        changed(0, 0x31),
        changed(0, 0x22),
        changed(3, 7),
        changed(4, 1),
        changed(5, 9),
        changed(6, 0xff),
    ]
}

fn hit(lan: &mut Lan, id: usize, bytes: &[u8], source: [u8; 4]) {
    let socket = lan.routers[id].kernel.sockets[0];
    let meta = PacketMeta { socket, source: source.into(), destination: None, hop_limit: None };
    lan.feed(id, Input::Received { meta, bytes });
}

#[test]
fn a_hundred_malformed_packets_a_second_cost_no_advert() {
    for lower_prio_no_advert in [false, true] {
        let mut lan = settled(vec![with(200, |instance| instance.lower_prio_no_advert = lower_prio_no_advert)]);
        let from = lan.now;
        let packets = broken_packets();
        for n in 0..800 {
            lan.run_until(from + ms(n * 10));
            hit(&mut lan, A, &packets[n as usize % packets.len()], [10, 0, 0, 66]);
        }
        lan.run_until(from + secs(8));
        assert_eq!(count(&lan, A, from, is_advert), 8);
        assert!(gaps(&lan, A, from).iter().all(|gap| *gap == secs(1)));
    }
}

#[test]
fn a22_a_flood_from_random_sources_is_counted_exactly_and_logged_little() {
    let mut lan = settled(vec![one(200), one(100)]);
    let from = lan.now;
    let packets = broken_packets();
    for n in 0..6000u64 {
        lan.run_until(from + ms(n * 10));
        let source = [10, 9, (n >> 8) as u8, n as u8];
        hit(&mut lan, B, &packets[n as usize % packets.len()], source);
    }
    let lines = count(&lan, B, from, |action| matches!(action, Action::Report(_)));
    assert!(lines <= 20, "{lines} lines in a minute");
    let node = lan.routers[B].node.as_ref().unwrap();
    let s = node.views().next().unwrap().statistics;
    let counted = s.ip_ttl_err + s.packet_len_err + s.vers_err + s.invalid_type_rcvd + s.authtype_mismatch;
    assert_eq!(counted + s.advert_interval_err + s.chk_err, 6000);
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn an_advert_with_an_interval_of_zero_makes_nobody_master() {
    let v3 = |priority| with(priority, |instance| instance.version = Version::V3);
    let mut lan = settled(vec![v3(200), v3(100)]);
    let from = lan.now;
    for n in 0..100u64 {
        lan.run_until(from + ms(n * 30));
        let source = [10, 0, 0, 66];
        let sum = Checksum::Between(source.into(), group(Family::V4));
        let pdu = emit(Family::V4, 51, 250, &[ip("10.0.0.100")], Body::V3 { max_advertise: Centis(0) }, sum);
        hit(&mut lan, B, &Header::before(source.into(), [224, 0, 0, 18].into(), 255, 112, 1, &pdu), source);
    }
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn a_flood_of_lower_priorities_is_answered_ten_times_an_interval_and_announced_four_times() {
    let mut lan = settled(vec![one(200)]);
    let from = lan.now;
    let body = Body::V2 { auth_type: 0, adver_secs: 1, auth_data: [0; 8] };
    let pdu = emit(Family::V4, 51, 1, &[ip("10.0.0.100")], body, Checksum::Plain);
    let packet = Header::before([10, 0, 0, 66].into(), [224, 0, 0, 18].into(), 255, 112, 1, &pdu);
    for n in 0..10_000u64 {
        lan.run_until(from + Duration::from_micros(n * 100));
        hit(&mut lan, A, &packet, [10, 0, 0, 66]);
    }
    assert!(count(&lan, A, from, is_advert) <= 11);
    assert!(count(&lan, A, from, is_announce) <= 5 * 5);
    assert!(count(&lan, A, from, is_notify) <= 5);
}

#[test]
fn a22_valid_adverts_from_random_sources_are_logged_little_as_well() {
    let mut lan = settled(vec![one(200), one(100)]);
    let from = lan.now;
    let body = Body::V2 { auth_type: 0, adver_secs: 1, auth_data: [0; 8] };
    for n in 0..6000u64 {
        lan.run_until(from + ms(n * 10));
        let source = [10, 9, (n >> 8) as u8, n as u8];
        let pdu = emit(Family::V4, 51, 1 + (n % 99) as u8, &[ip("10.0.0.100")], body, Checksum::Plain);
        let packet = Header::before(source.into(), [224, 0, 0, 18].into(), 255, 112, 1, &pdu);
        hit(&mut lan, B, &packet, source);
    }
    let lines = count(&lan, B, from, |action| matches!(action, Action::Report(_)));
    assert!(lines <= 90, "{lines} lines in a minute");
}

#[test]
fn adverts_of_many_instances_come_to_leave_together_and_never_late() {
    let many: Vec<Instance> = (0..200u8)
        .map(|n| {
            let mut instance = instance(100 + n % 100);
            instance.name = format!("VI_{n}").into();
            instance.vrid = n + 1;
            instance.addresses = vec![vip(&format!("10.1.0.{n}/32"))];
            instance
        })
        .collect();
    let mut lan = settled(vec![vrrp(many)]);
    let from = lan.now;
    lan.run_for(secs(10));
    let mut wakes: Vec<Instant> =
        did(&lan, A, from).into_iter().filter(|(_, action)| is_advert(action)).map(|(at, _)| at).collect();
    assert!((2000..=2020).contains(&wakes.len()), "{}", wakes.len());
    wakes.dedup();
    assert!(wakes.len() <= 10 * 60, "{} wake-ups for 10 s of 200 instances", wakes.len());
}

// ---- late loops ----------------------------------------------------------------------------------------------------

#[test]
fn a25_a_master_that_was_stopped_for_longer_than_its_peers_wait_steps_down_without_a_word() {
    let a = with(200, |instance| {
        instance.preempt = false;
        instance.timer_expired_backup = Some(150);
    });
    let mut lan = settled(vec![a, with(150, |instance| instance.preempt = false)]);
    assert_eq!(lan.masters(0), [A]);
    lan.pause(A);
    lan.run_for(secs(6));
    assert_eq!(lan.masters(0), [A, B]);
    let from = lan.now;
    lan.resume(A);
    lan.run_for(secs(20));
    assert_eq!(lan.masters(0), [B]);
    assert_eq!(count(&lan, A, from, is_advert), 0);
}

#[test]
fn a_backup_that_was_stopped_hears_first_what_has_waited_and_takes_nothing_over() {
    let mut lan = settled(vec![one(200), one(100)]);
    let from = lan.now;
    lan.pause(B);
    lan.run_for(secs(20));
    lan.resume(B);
    lan.run_for(secs(5));
    assert!(told(&lan, B, from).is_empty());
}

#[test]
fn a_master_that_was_stopped_takes_its_addresses_back_at_once() {
    let mut lan = settled(vec![one(200), one(100)]);
    lan.pause(A);
    lan.run_for(secs(6));
    lan.resume(A);
    lan.run_for(ms(5));
    assert_eq!(lan.masters(0), [A]);
    oracle::neighbours_know(&lan, 0, A);
}

#[test]
fn a_master_that_was_stopped_announces_again_even_if_it_has_heard_nobody() {
    let mut lan = settled(vec![one(200), one(100)]);
    lan.pause(A);
    lan.cut(B, A);
    lan.run_for(secs(6));
    assert_eq!(lan.host.get(&ip("10.0.0.100")), Some(&mac_of(B)));
    lan.resume(A);
    lan.run_for(ms(5));
    assert_eq!(lan.masters(0), [A]);
    oracle::neighbours_know(&lan, 0, A);
}

// ---- unicast -------------------------------------------------------------------------------------------------------

fn unicast_to(priority: u8, own: usize, peers: &[usize]) -> Instance {
    let mut instance = instance(priority);
    let peers: Vec<_> = peers.iter().map(|&peer| own_address(peer, Family::V4)).collect();
    instance.destination = unicast(&peers);
    instance.source = Some(own_address(own, Family::V4));
    instance
}

#[test]
fn unicast_routers_elect_and_fail_over() {
    let config = |priority, own: usize| {
        let peers: Vec<usize> = (0..3).filter(|&peer| peer != own).collect();
        vrrp(vec![unicast_to(priority, own, &peers)])
    };
    let mut lan = settled(vec![config(200, 0), config(150, 1), config(100, 2)]);
    assert_eq!(lan.masters(0), [0]);
    lan.kill(0);
    lan.run_for(secs(4));
    assert_eq!(lan.masters(0), [1]);
}

#[test]
fn a29_ipv6_unicast_speaks_from_an_address_of_its_peers_scope() {
    let global = |n: usize| ip(&format!("2001:db8::{}", n + 1));
    let config = |priority, own: usize| {
        with(priority, |instance| {
            instance.family = Family::V6;
            instance.version = Version::V3;
            instance.addresses = vec![vip("2001:db8::100/64")];
            instance.destination = unicast(&[global(1 - own)]);
        })
    };
    let mut lan = lan_of(vec![config(200, A), config(100, B)]);
    for id in [A, B] {
        lan.routers[id].kernel.addresses.push((ETH0, Cidr { address: global(id), prefix: 64 }));
        lan.start(id);
    }
    lan.run_for(secs(10));
    assert_eq!(lan.masters(0), [A]);
    assert_eq!(lan.routers[A].kernel.sockets[0].scope, SocketScope::Unicast(global(A)));
}

#[test]
fn unicast_peers_learn_our_own_address_again_when_a_fault_is_over() {
    let mut lan = settled(vec![vrrp(vec![unicast_to(200, A, &[B])]), vrrp(vec![unicast_to(100, B, &[A])])]);
    lan.link_down(A, ETH0);
    lan.run_for(secs(1));
    let from = lan.now;
    lan.link_up(A, ETH0);
    lan.run_for(ms(10));
    let own = |action: &Action| matches!(action, Action::Announce(announcement) if announcement.address == own_address(A, Family::V4));
    assert_eq!(count(&lan, A, from, own), 1);
}

#[test]
fn a31_unicast_without_peers_can_be_pinned_in_fault() {
    let config = with(200, |instance| {
        instance.destination = Destination::Unicast(Unicast { peers: Vec::new(), ttl: None, check_source: false });
        instance.config_fault =
            Some(keepalived_rs::model::vrrp::ConfigFault("no unicast peers (unicast_fault_no_peer)".into()));
    });
    let lan = settled(vec![config]);
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    assert_eq!(count(&lan, A, Instant::ZERO, |action| is_advert(action) || touches_addresses(action)), 0);
}

#[test]
fn a32_two_unicast_instances_with_one_vrid_are_told_apart_by_their_peers() {
    // a has two virtual routers 51: one with b, one with c
    let second = |mut instance: Instance| {
        instance.name = "VI_2".into();
        instance.addresses = vec![vip("10.0.0.101/24")];
        instance
    };
    let a = vrrp(vec![unicast_to(200, 0, &[1]), second(unicast_to(50, 0, &[2]))]);
    let b = vrrp(vec![unicast_to(100, 1, &[0])]);
    let c = vrrp(vec![second(unicast_to(100, 2, &[0]))]);
    let mut lan = settled(vec![a, b, c]);
    assert_eq!(lan.routers[0].roles, [Role::Master, Role::Backup]);
    assert!(!lan.routers[1].is_master(0) && lan.routers[2].is_master(0));
    let a = vrrp(vec![second(unicast_to(50, 0, &[2])), unicast_to(200, 0, &[1])]);
    let from = lan.now;
    lan.reload(0, a);
    lan.run_for(secs(10));
    assert_eq!(lan.routers[0].roles, [Role::Backup, Role::Master], "the order in the file does not matter");
    assert_eq!(count(&lan, 0, from, |action| touches_addresses(action) || is_notify(action)), 0);
}

// ---- addresses -------------------------------------------------------------------------------------------------------

#[test]
fn b01_an_address_that_somebody_deletes_is_put_back_and_announced_without_a_change_of_state() {
    let mut lan = settled(vec![one(200), one(100)]);
    let from = lan.now;
    lan.steal(A, ETH0, cidr("10.0.0.100/24"));
    lan.run_for(ms(5));
    assert!(lan.routers[A].kernel.has(ETH0, cidr("10.0.0.100/24")));
    assert!(count(&lan, A, from, is_announce) >= 1);
    assert!(told(&lan, A, from).is_empty());
    let node = lan.routers[A].node.as_ref().unwrap();
    assert_eq!(node.views().next().unwrap().statistics.addresses_restored, 1);
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn b04_the_same_address_with_another_prefix_is_not_ours() {
    let mut lan = settled(vec![with(200, |instance| instance.addresses = vec![vip("10.0.0.3/32")])]);
    lan.give(A, ETH0, cidr("10.0.0.3/24"));
    lan.run_for(ms(5));
    let from = lan.now;
    lan.steal(A, ETH0, cidr("10.0.0.3/24"));
    lan.run_for(secs(2));
    assert_eq!(count(&lan, A, from, |action| touches_addresses(action) || is_notify(action)), 0);
    assert!(lan.routers[A].kernel.has(ETH0, cidr("10.0.0.3/32")));
}

#[test]
fn b05_addresses_left_by_a_killed_daemon_go_at_the_next_start() {
    let mut lan = settled(vec![one(200), one(100)]);
    lan.kill(A);
    lan.run_for(secs(5));
    assert!(lan.routers[A].kernel.has(ETH0, cidr("10.0.0.100/24")), "the kernel keeps it");
    let from = lan.now;
    lan.start(A);
    assert!(!lan.routers[A].kernel.has(ETH0, cidr("10.0.0.100/24")));
    assert_eq!(count(&lan, A, from, is_advert), 0);
}

#[test]
fn the_only_address_of_an_owner_is_kept_and_sent_from() {
    let owner = with(255, |instance| instance.addresses = vec![vip("10.0.0.1/24")]);
    let mut lan = settled(vec![owner, with(100, |instance| instance.addresses = vec![vip("10.0.0.1/24")])]);
    assert_eq!(lan.masters(0), [A]);
    lan.stop(A);
    assert!(lan.routers[A].kernel.has(ETH0, cidr("10.0.0.1/24")), "it was there before us");
}

/// VI_1 with one address, VI_2 with another.
fn two(vrids: [u8; 2], addresses: [&str; 2]) -> Vrrp {
    let make = |n: usize| {
        let mut instance = instance(200);
        instance.name = format!("VI_{}", n + 1).into();
        instance.vrid = vrids[n];
        instance.addresses = vec![vip(addresses[n])];
        instance
    };
    vrrp(vec![make(0), make(1)])
}

#[test]
fn b10_an_address_that_moves_from_a_removed_instance_to_another_is_never_gone() {
    let mut lan = settled(vec![two([51, 52], ["10.0.0.100/24", "10.0.0.101/24"])]);
    let mut after = two([51, 52], ["10.0.0.100/24", "10.0.0.101/24"]);
    after.instances.truncate(1);
    Arc::make_mut(&mut after.instances[0]).addresses.push(vip("10.0.0.101/24"));
    let from = lan.now;
    lan.reload(A, after);
    assert_eq!(count(&lan, A, from, |action| matches!(action, Action::RemoveAddress(_))), 0);
    assert!(lan.routers[A].kernel.has(ETH0, cidr("10.0.0.101/24")));
    assert_eq!(told(&lan, A, from), [Notified::Fault], "of the removed one");
    lan.run_for(secs(10));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn b11_swapping_two_vrids_leaves_both_addresses_in_place() {
    let addresses = ["10.0.0.100/24", "10.0.0.101/24"];
    let mut lan = settled(vec![two([51, 52], addresses)]);
    let from = lan.now;
    lan.reload(A, two([52, 51], addresses));
    lan.run_for(secs(10));
    assert_eq!(count(&lan, A, from, touches_addresses), 0);
    assert_eq!(lan.routers[A].roles, [Role::Master, Role::Master]);
}

#[test]
fn b13_removing_one_of_three_instances_touches_neither_of_the_others() {
    let three = || {
        let make = |n: u8| {
            let mut instance = instance(200);
            instance.name = format!("VI_{n}").into();
            instance.vrid = 50 + n;
            instance.addresses = vec![vip(&format!("10.0.0.{}/24", 100 + n))];
            instance
        };
        vrrp(vec![make(1), make(2), make(3)])
    };
    let mut lan = settled(vec![three(), {
        let mut backup = three();
        backup.instances.iter_mut().for_each(|instance| Arc::make_mut(instance).priority = 100);
        backup
    }]);
    let mut after = three();
    after.instances.remove(1);
    let from = lan.now;
    lan.reload(A, after);
    lan.run_for(ms(700));
    let removed: Vec<Cidr> = did(&lan, A, from)
        .into_iter()
        .filter_map(|(_, action)| match action {
            Action::RemoveAddress(holding) => Some(holding.address.cidr),
            _ => None,
        })
        .collect();
    assert_eq!(removed, [cidr("10.0.0.102/24")]);
    assert_eq!(lan.routers[B].roles, [Role::Backup, Role::Master, Role::Backup], "priority 0 was sent");
    lan.run_for(secs(10));
    assert_eq!(lan.routers[A].roles, [Role::Master, Role::Master]);
    assert_eq!(told(&lan, A, from), [Notified::Fault]);
}

#[test]
fn notify_deleted_makes_it_deleted() {
    let mut lan = settled(vec![with(200, |instance| Arc::make_mut(&mut instance.notify).reports_deleted = true)]);
    let from = lan.now;
    lan.reload(A, vrrp(Vec::new()));
    assert_eq!(told(&lan, A, from), [Notified::Deleted]);
    assert!(!lan.routers[A].kernel.has(ETH0, cidr("10.0.0.100/24")));
}

// ---- links -----------------------------------------------------------------------------------------------------------

#[test]
fn a_cable_out_and_in_again() {
    let mut lan = settled(vec![one(200), one(100)]);
    lan.link_down(A, ETH0);
    lan.run_for(secs(5));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    assert_eq!(lan.masters(0), [B]);
    lan.link_up(A, ETH0);
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn a11_an_interface_that_is_deleted_and_made_anew_is_used_again() {
    let nopreempt = |priority| with(priority, |instance| instance.preempt = false);
    let mut lan = settled(vec![nopreempt(200), nopreempt(100)]);
    lan.recreate_link(A);
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [B]);
    assert_eq!(lan.routers[A].role(0), Some(Role::Backup));
    lan.kill(B);
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [A]);
    assert!(lan.routers[A].kernel.has(lan.routers[A].kernel.index_of(name("eth0")).unwrap(), cidr("10.0.0.100/24")));
}

#[test]
fn a_renamed_interface_keeps_none_of_our_addresses() {
    let mut lan = settled(vec![one(200)]);
    let mut renamed = link(A, ETH0, "lan0", true);
    lan.routers[A].kernel.links.insert(ETH0, renamed);
    lan.feed(A, Input::Link(renamed));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    assert!(!lan.routers[A].kernel.has(ETH0, cidr("10.0.0.100/24")));
    renamed.name = name("eth0");
    lan.routers[A].kernel.links.insert(ETH0, renamed);
    lan.feed(A, Input::Link(renamed));
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn lost_kernel_events_are_made_up_for_by_looking_again() {
    let mut lan = settled(vec![one(200), one(100)]);
    // the link goes down and up, the address is gone, and nobody tells
    let kernel = &mut lan.routers[A].kernel;
    kernel.addresses.retain(|(_, other)| *other != cidr("10.0.0.100/24"));
    kernel.untold.insert((ETH0, cidr("10.0.0.100/24")));
    let snapshot = kernel.snapshot();
    let from = lan.now;
    lan.feed(A, Input::Machine(&snapshot));
    assert!(lan.routers[A].kernel.has(ETH0, cidr("10.0.0.100/24")));
    assert!(count(&lan, A, from, is_announce) >= 1);
    assert!(told(&lan, A, from).is_empty());
    let mut snapshot = lan.routers[A].kernel.snapshot();
    snapshot.links.retain(|link| link.index != ETH0);
    lan.routers[A].kernel.links.remove(&ETH0);
    lan.feed(A, Input::Machine(&snapshot));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
}

#[test]
fn two_interfaces_down_one_back_is_still_fault() {
    let mut lan = settled(vec![with(200, |instance| instance.track_interfaces.push(tracks_link("eth1", 0)))]);
    lan.link_down(A, ETH0);
    lan.link_down(A, ETH1);
    lan.run_for(ms(10));
    lan.link_up(A, ETH1);
    lan.run_for(secs(10));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    lan.link_up(A, ETH0);
    lan.run_for(secs(10));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn a_short_flap_is_debounced() {
    use keepalived_rs::model::vrrp::Debounce;
    let mut config = one(200);
    config.debounce.insert(name("eth0"), Debounce { down: secs(2), up: ms(1500) });
    let mut lan = settled(vec![config]);
    let from = lan.now;
    lan.link_down(A, ETH0);
    lan.run_for(secs(1));
    lan.link_up(A, ETH0);
    lan.run_for(secs(5));
    assert!(told(&lan, A, from).is_empty());
    lan.link_down(A, ETH0);
    lan.run_for(ms(2010));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    lan.link_up(A, ETH0);
    lan.run_for(ms(1400));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    lan.run_for(ms(110));
    assert_eq!(lan.routers[A].role(0), Some(Role::Backup));
}

#[test]
fn dont_track_primary_stays_master_through_a_flap_and_puts_ipv6_addresses_back() {
    let mut lan = settled(vec![with(200, |instance| {
        instance.track_primary = false;
        instance.excluded = vec![vip("2001:db8::100/64")];
    })]);
    let from = lan.now;
    lan.link_down(A, ETH0);
    lan.run_for(secs(3));
    lan.link_up(A, ETH0);
    lan.run_for(ms(10));
    assert!(told(&lan, A, from).is_empty());
    assert!(lan.routers[A].kernel.has(ETH0, cidr("2001:db8::100/64")), "the kernel had dropped it with the link");
}

#[test]
fn b19_ipv6_needs_no_ipv4_address() {
    let config = with(200, |instance| {
        instance.family = Family::V6;
        instance.version = Version::V3;
        instance.addresses = vec![vip("fe80::100/64")];
        instance.destination = Destination::Multicast(group(Family::V6));
    });
    let mut lan = lan_of(vec![config]);
    lan.routers[A].kernel.addresses.retain(|(_, cidr)| cidr.address.is_ipv6());
    lan.start(A);
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn the_source_follows_the_address() {
    let mut lan = settled(vec![one(200), one(100)]);
    lan.give(A, ETH0, cidr("10.0.0.77/24"));
    lan.run_for(secs(2));
    lan.steal(A, ETH0, cidr("10.0.0.1/24"));
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [A]);
    let source = lan.routers[A].node.as_ref().unwrap().views().next().unwrap().source;
    assert_eq!(source, Some(ip("10.0.0.77")));
    lan.steal(A, ETH0, cidr("10.0.0.77/24"));
    lan.run_for(secs(1));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault), "no address to send from");
    assert_eq!(lan.masters(0), [B], "priority 0 was sent, with the address that has gone");
    lan.give(A, ETH0, cidr("10.0.0.1/24"));
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn b23_a_second_link_local_address_is_no_new_source() {
    let config = with(200, |instance| {
        (instance.family, instance.version) = (Family::V6, Version::V3);
        instance.destination = Destination::Multicast(group(Family::V6));
        instance.addresses = vec![vip("fe80::100/64")];
    });
    let mut lan = settled(vec![config]);
    let source = |lan: &Lan| lan.routers[A].node.as_ref().unwrap().views().next().unwrap().source;
    lan.give(A, ETH0, cidr("fe80::7/64"));
    lan.run_for(secs(2));
    assert_eq!(source(&lan), Some(own_address(A, Family::V6)));
    lan.steal(A, ETH0, Cidr { address: own_address(A, Family::V6), prefix: 64 });
    lan.run_for(secs(2));
    assert_eq!((source(&lan), lan.masters(0)), (Some(ip("fe80::7")), vec![A]));
}

/// The kernel lets it join no group for a while: it waits in FAULT, tries again, and goes on by itself.
#[test]
fn a11_b25_sockets_that_cannot_be_opened_are_tried_again_until_they_can() {
    let mut lan = lan_of(vec![one(200)]);
    lan.routers[A].kernel.refuses_sockets = true;
    lan.start(A);
    lan.run_for(secs(40));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    assert_eq!(told(&lan, A, Instant::ZERO), [Notified::Backup, Notified::Fault], "tries are not told to anybody");
    let tries = count(&lan, A, Instant::ZERO, |action| matches!(action, Action::Sockets(_)));
    assert!((6..=8).contains(&tries), "with ever longer pauses: {tries} tries in 40 s");
    let lines = |action: &Action| matches!(action, Action::Report(Event::SocketFailed(..)));
    assert_eq!(count(&lan, A, Instant::ZERO, lines), 1);
    lan.routers[A].kernel.refuses_sockets = false;
    let from = lan.now;
    lan.run_for(secs(40));
    assert_eq!(told(&lan, A, from), [Notified::Backup, Notified::Master]);
    assert!(lan.routers[A].kernel.has(ETH0, cidr("10.0.0.100/24")));
}

// ---- scripts -----------------------------------------------------------------------------------------------------------

fn scripted(priority: u8, weights: &[i16]) -> Vrrp {
    let mut config = with(priority, |instance| {
        instance.track_scripts = weights.iter().enumerate().map(|(n, &weight)| tracks(n, weight)).collect();
    });
    config.scripts = (0..weights.len()).map(|n| script(&format!("chk_{n}"))).collect();
    config
}

const GOOD: ScriptModel = ScriptModel { takes: ms(20), succeeds: true, stubborn: false };
const BAD: ScriptModel = ScriptModel { takes: ms(20), succeeds: false, stubborn: false };
const HANGS: ScriptModel = ScriptModel { takes: secs(3600), succeeds: true, stubborn: false };

#[test]
fn a_failing_script_of_weight_zero_is_a_fault_until_it_succeeds() {
    let mut lan = settled(vec![scripted(200, &[0]), one(100)]);
    assert_eq!(lan.masters(0), [A]);
    lan.routers[A].scripts = vec![BAD];
    lan.run_for(ms(1700));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    assert_eq!(lan.masters(0), [B]);
    lan.routers[A].scripts = vec![GOOD];
    lan.run_for(secs(6));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn a_failing_script_with_a_weight_moves_the_addresses() {
    let mut lan = settled(vec![scripted(110, &[-20]), one(100)]);
    assert_eq!(lan.masters(0), [A]);
    lan.routers[A].scripts = vec![BAD];
    lan.run_for(secs(7));
    assert_eq!(lan.masters(0), [B]);
    lan.routers[A].scripts = vec![GOOD];
    lan.run_for(secs(7));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn c01_a_script_that_hangs_fails_and_is_run_again() {
    let mut lan = settled(vec![scripted(200, &[0]), one(100)]);
    lan.routers[A].scripts = vec![HANGS];
    lan.run_for(secs(3));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    lan.routers[A].scripts = vec![GOOD];
    lan.run_for(secs(8));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn c02_a_script_that_takes_just_its_timeout_never_freezes() {
    let mut lan = lan_of(vec![scripted(200, &[0])]);
    lan.routers[A].log = None;
    lan.routers[A].scripts = vec![ScriptModel { takes: secs(1), ..GOOD }];
    lan.start(A);
    lan.run_for(secs(10_000));
    lan.routers[A].scripts = vec![GOOD];
    lan.run_for(secs(10));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn c05_a_script_that_a_reload_adds_to_a_master_is_waited_for_in_peace() {
    let mut lan = settled(vec![one(200), one(100)]);
    lan.routers[A].scripts = vec![ScriptModel { takes: ms(900), ..GOOD }];
    let from = lan.now;
    lan.reload(A, scripted(200, &[0]));
    lan.run_for(secs(5));
    assert!(told(&lan, A, from).is_empty());
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn c07_two_scripts_one_slow_one_failing_at_first_both_good_in_the_end() {
    let mut config = scripted(200, &[0, 0]);
    config.scripts[0].interval = secs(5);
    config.scripts[1].interval = secs(30);
    config.scripts[1].timeout = secs(30);
    let mut lan = lan_of(vec![config]);
    lan.routers[A].scripts = vec![BAD, ScriptModel { takes: secs(20), ..GOOD }];
    lan.start(A);
    lan.run_for(secs(1));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    lan.routers[A].scripts[0] = GOOD;
    lan.run_for(secs(10));
    assert_ne!(lan.routers[A].role(0), Some(Role::Master), "the slow one has not reported yet");
    lan.run_for(secs(15));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn c08_a_reload_while_a_tracked_interface_is_down_adds_up_again() {
    let tracked =
        |priority, weight| with(priority, |instance| instance.track_interfaces.push(tracks_link("eth1", weight)));
    let mut lan = settled(vec![tracked(150, -30)]);
    let effective =
        |lan: &Lan| lan.routers[A].node.as_ref().unwrap().views().next().map(|view| view.effective_priority).unwrap();
    assert_eq!(effective(&lan), 150);
    lan.link_down(A, ETH1);
    lan.run_for(ms(10));
    assert_eq!(effective(&lan), 120);
    lan.reload(A, tracked(200, -50));
    assert_eq!(effective(&lan), 150);
    lan.link_up(A, ETH1);
    lan.run_for(ms(10));
    assert_eq!(effective(&lan), 200);
}

#[test]
fn b16_an_interface_that_comes_up_while_a_script_runs_for_the_first_time() {
    let mut config = scripted(200, &[0]);
    config.scripts[0].timeout = secs(5);
    Arc::make_mut(&mut config.instances[0]).track_interfaces.push(tracks_link("eth1", 0));
    let mut lan = lan_of(vec![config]);
    lan.routers[A].scripts = vec![ScriptModel { takes: secs(2), ..GOOD }];
    lan.routers[A].kernel.link_down(ETH1);
    lan.start(A);
    lan.run_for(secs(1));
    lan.link_up(A, ETH1);
    lan.run_for(secs(10));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn an_instance_that_waits_for_its_first_script_result_says_nothing() {
    let mut lan = lan_of(vec![scripted(200, &[0])]);
    lan.routers[A].scripts = vec![ScriptModel { takes: ms(900), ..GOOD }];
    lan.start(A);
    lan.run_for(ms(800));
    assert_eq!(lan.routers[A].role(0), Some(Role::Init));
    assert!(told(&lan, A, Instant::ZERO).is_empty());
    lan.run_for(ms(200));
    assert_eq!(told(&lan, A, Instant::ZERO), [Notified::Backup]);
}

#[test]
fn init_fail_is_a_fault_until_the_script_has_risen() {
    let mut config = scripted(200, &[0]);
    config.scripts[0].init_fail = true;
    config.scripts[0].rise = 3;
    let mut lan = started(vec![config]);
    lan.run_for(ms(1500));
    assert_eq!(told(&lan, A, Instant::ZERO), [Notified::Fault]);
    lan.run_for(secs(1));
    assert_eq!(told(&lan, A, Instant::ZERO), [Notified::Fault, Notified::Backup]);
}

// ---- reload --------------------------------------------------------------------------------------------------------------

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

// ---- announcements -----------------------------------------------------------------------------------------------------

#[test]
fn one_refresh_chain_however_often_it_has_been_master() {
    let config = with(200, |instance| instance.garp.master_refresh = secs(1));
    let mut lan = settled(vec![config]);
    for _ in 0..3 {
        lan.link_down(A, ETH0);
        lan.run_for(secs(1));
        lan.link_up(A, ETH0);
        lan.run_for(secs(12));
    }
    let from = lan.now;
    lan.run_for(secs(3));
    assert_eq!(count(&lan, A, from, is_announce), 3);
}

#[test]
fn a_delayed_burst_of_an_earlier_reign_never_comes() {
    let mut lan = settled(vec![one(100)]);
    let b = lan.add(one(200));
    lan.run_for(ms(100));
    lan.kill(A);
    lan.start(A);
    lan.start(b);
    lan.run_for(secs(4));
    let from = lan.now;
    lan.run_for(secs(20));
    assert_eq!(lan.masters(0), [b]);
    assert_eq!(count(&lan, A, from, is_announce), 0);
}

#[test]
fn paced_announcements_leave_one_by_one_and_round_robin() {
    let mut config = with(255, |instance| instance.addresses.push(vip("10.0.0.101/24")));
    config.default_pacing.garp_interval = ms(50);
    let mut lan = started(vec![config]);
    let start = lan.now;
    lan.run_for(secs(2));
    let sent: Vec<_> = did(&lan, A, start)
        .into_iter()
        .filter_map(|(at, action)| match action {
            Action::Announce(announcement) => Some((at.since(start), announcement.address)),
            _ => None,
        })
        .collect();
    assert_eq!(sent.len(), 10);
    assert!(sent.windows(2).all(|pair| pair[1].0 - pair[0].0 == ms(50) && pair[0].1 != pair[1].1), "{sent:?}");
}

#[test]
fn sockets_are_shared_by_instances_of_one_interface_and_group() {
    let lan = settled(vec![two([51, 52], ["10.0.0.100/24", "10.0.0.101/24"])]);
    let sockets = &lan.routers[A].kernel.sockets;
    assert_eq!(sockets.len(), 1);
    assert_eq!(sockets[0].scope, SocketScope::Multicast(group(Family::V4)));
}
