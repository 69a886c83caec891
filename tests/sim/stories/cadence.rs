//! Adverts leave on time, whatever comes in and however late the loop is.

use super::*;

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
    lan.feed(id, Input::Received { meta, waited: Duration::ZERO, bytes });
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

/// Adverts that a BACKUP hears later than they came, to hear several at once, delay no takeover.
#[test]
fn packets_that_waited_count_from_when_they_came() {
    let many = |priority| vrrp(vec![instance(priority), Instance { vrid: 52, ..instance(priority) }]);
    let takeovers = [0, 1000].map(|company| {
        let mut lan = started(vec![many(200), many(100)]);
        lan.weather.company = company;
        lan.run_for(secs(12));
        lan.kill(A);
        let silent = time_until(&mut lan, |lan| lan.masters(0) == [B]);
        lan.start(A);
        lan.run_for(secs(12));
        assert_eq!(lan.masters(0), [A]);
        lan.stop(A);
        (silent, time_until(&mut lan, |lan| lan.masters(0) == [B]))
    });
    assert_eq!(takeovers[0], takeovers[1]);
}
