//! Adverts out and in.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;

use keepalived_rs::addr::{Family, IfIndex};
use keepalived_rs::model::InstanceId;
use keepalived_rs::sys::poller::Poller;
use keepalived_rs::sys::raw_socket::Sockets;
use keepalived_rs::sys::{clock, links};
use keepalived_rs::time::{Duration, Instant};
use keepalived_rs::vrrp::io::{Failure, PacketMeta, Packets, SendAdvert, SocketKey, SocketScope, SocketSpec};

use crate::scratch::{LIMIT, Peer, hex, run, scratch};

pub(crate) const MAC: &str = "ba:60:67:00:ce:fe";
const ETHERNET_V4: u16 = 0x0800;
const ETHERNET_V6: u16 = 0x86dd;
/// VRRPv2 without authentication, from 10.99.0.1, as keepalived sends it; the kernel fills the IP checksum.
const V2: &str = "45c0002c00010000ff70d02a0a630001e0000012 210a9602000133630a6300640a6300650000000000000000";
/// VRRPv3 over IPv6, from fe80::99:1: the advert alone.
const V3_IPV6: &str = "310ec8020032db91 fe800000000000000000000000140001 20010db8000000000000000000000014";

pub(crate) fn index(name: &str) -> IfIndex {
    let snapshot = links::snapshot().unwrap();
    snapshot.links.iter().find(|link| link.name.as_str() == name).unwrap().index
}

fn multicast(link: &str, group: &str) -> SocketSpec {
    let group: IpAddr = group.parse().unwrap();
    let scope = SocketScope::Multicast(group);
    let key = SocketKey { family: Family::of(group), link: Some(index(link)), scope };
    SocketSpec { key, receive_buffer: None }
}

fn unicast(link: Option<&str>, own: &str) -> SocketSpec {
    let own: IpAddr = own.parse().unwrap();
    let key = SocketKey { family: Family::of(own), link: link.map(index), scope: SocketScope::Unicast(own) };
    SocketSpec { key, receive_buffer: Some(64_000) }
}

fn advert(socket: &SocketSpec, source: &str, to: &str, bytes: &[u8]) -> SendAdvert {
    let copies = vec![(to.parse().unwrap(), bytes.to_vec())];
    let packets = Packets { socket: socket.key, source: source.parse().unwrap(), hop_limit: None, copies };
    SendAdvert { instance: InstanceId(7), due: clock::now(), packets: Arc::new(packets) }
}

/// An IPv4 advert of a VRID, the checksum of its header left to the kernel.
fn v2(vrid: u8) -> Vec<u8> {
    let mut bytes = hex(V2);
    bytes[10..12].fill(0);
    bytes[21] = vrid;
    bytes
}

/// Sockets with what waits for them.
struct Ears {
    sockets: Sockets,
    poller: Poller,
}

/// Opens sockets and fails where one cannot be opened.
fn open(specs: &[SocketSpec]) -> Ears {
    let mut ears = Ears { sockets: Sockets::default(), poller: Poller::new().unwrap() };
    assert_eq!(ears.apply(specs), []);
    ears
}

impl Ears {
    fn apply(&mut self, specs: &[SocketSpec]) -> Vec<Failure> {
        self.sockets.apply(specs, &self.poller)
    }

    fn send(&mut self, adverts: &[SendAdvert], now: impl Fn() -> Instant) -> Vec<Failure> {
        self.sockets.send(adverts.iter(), now)
    }

    /// Waits as the loop does.
    fn wait(&mut self) {
        let limit = clock::now() + LIMIT;
        while !self.sockets.is_readable() {
            self.poller.wait(Some(limit)).unwrap().for_each(|token| self.sockets.woken(token));
            assert!(clock::now() < limit, "nothing came");
        }
    }
}

/// Waits for `count` datagrams.
fn heard(ears: &mut Ears, count: usize) -> Vec<(PacketMeta, Vec<u8>)> {
    let mut heard = Vec::new();
    while heard.len() < count {
        ears.wait();
        ears.sockets.receive(64, Duration::ZERO, |meta, _, bytes| heard.push((meta, bytes.to_vec())));
    }
    heard
}

#[test]
fn an_ipv4_advert_leaves_byte_for_byte() {
    scratch(|| {
        let peer = Peer::on("a0", MAC);
        run("ip addr add 10.99.0.1/24 dev a0");
        let mut capture = peer.capture();
        let spec = multicast("a0", "224.0.0.18");
        let failures = open(&[spec]).send(&[advert(&spec, "10.99.0.1", "224.0.0.18", &v2(10))], clock::now);
        assert_eq!(failures, []);
        let frame = capture.next(ETHERNET_V4, |frame| frame[23] == 112);
        assert_eq!(frame, [hex("01005e000012 ba606700cefe 0800"), hex(V2)].concat());
    });
}

#[test]
fn an_ipv6_advert_has_its_source_class_hop_limit_and_checksum_from_the_socket() {
    scratch(|| {
        let peer = Peer::on("a0", MAC);
        run("ip addr add fe80::99:1/64 dev a0 nodad");
        let mut capture = peer.capture();
        let spec = multicast("a0", "ff02::12");
        let mut bytes = hex(V3_IPV6);
        bytes[6..8].fill(0);
        assert_eq!(open(&[spec]).send(&[advert(&spec, "fe80::99:1", "ff02::12", &bytes)], clock::now), []);
        let frame = capture.next(ETHERNET_V6, |frame| frame[20] == 112);
        assert_eq!(frame[..12], hex("333300000012 ba606700cefe"));
        // Version, class 0xc0; the flow label is the kernel's.
        assert_eq!((frame[14], frame[15] & 0xf0), (0x6c, 0x00));
        let rest = "0028 70 ff fe800000000000000000000000990001 ff020000000000000000000000000012";
        assert_eq!(frame[18..], [hex(rest), hex(V3_IPV6)].concat());
    });
}

#[test]
fn the_engine_hears_how_a_packet_came() {
    scratch(|| {
        let peer = Peer::on("a0", MAC);
        run("ip addr add 10.99.0.7/24 dev a0");
        run("ip addr add fe80::99:1/64 dev a0 nodad");
        peer.run(|| run("ip addr add fe80::99:2/64 dev b0 nodad"));
        let specs = [multicast("a0", "224.0.0.18"), multicast("a0", "ff02::12"), unicast(Some("a0"), "fe80::99:1")];
        let mut sockets = open(&specs);
        peer.run(|| {
            let theirs =
                [multicast("b0", "224.0.0.18"), multicast("b0", "ff02::12"), unicast(Some("b0"), "fe80::99:2")];
            let mut unicast = advert(&theirs[2], "fe80::99:2", "fe80::99:1", &hex(V3_IPV6));
            Arc::make_mut(&mut unicast.packets).hop_limit = Some(7);
            let v4 = advert(&theirs[0], "10.99.0.2", "224.0.0.18", &v2(10));
            let v6 = advert(&theirs[1], "fe80::99:2", "ff02::12", &hex(V3_IPV6));
            assert_eq!(open(&theirs).send(&[v4, v6, unicast], clock::now), []);
        });
        let mut heard = heard(&mut sockets, 3);
        heard.sort_by_key(|(meta, _)| meta.socket);
        let metas: Vec<_> = heard.iter().map(|(meta, _)| *meta).collect();
        let from = |address: &str| -> IpAddr { address.parse().unwrap() };
        let mut expected = [
            (specs[0], "10.99.0.1", "224.0.0.18", None),
            (specs[1], "fe80::99:2", "ff02::12", Some(255)),
            (specs[2], "fe80::99:2", "fe80::99:1", Some(7)),
        ]
        .map(|(spec, source, to, hop_limit)| PacketMeta {
            socket: spec.key,
            source: from(source),
            destination: Some(from(to)),
            hop_limit,
        });
        expected.sort_by_key(|meta| meta.socket);
        assert_eq!(metas, expected);
        let v4 = heard.iter().find(|(meta, _)| meta.hop_limit.is_none()).unwrap();
        assert_eq!(v4.1, hex(V2));
    });
}

#[test]
fn a_packet_knows_how_long_it_has_waited_but_not_longer_than_it_can_have() {
    const PAUSE: Duration = Duration::from_millis(30);
    scratch(|| {
        let peer = Peer::on("a0", MAC);
        run("ip addr add 10.99.0.7/24 dev a0");
        run("ip addr add fe80::99:1/64 dev a0 nodad");
        peer.run(|| run("ip addr add fe80::99:2/64 dev b0 nodad"));
        for group in ["224.0.0.18", "ff02::12"] {
            let spec = multicast("a0", group);
            let mut sockets = open(&[spec]);
            for (longest, least) in [(LIMIT, PAUSE), (PAUSE / 2, PAUSE / 2), (Duration::ZERO, Duration::ZERO)] {
                peer.run(|| {
                    let theirs = multicast("b0", group);
                    let advert = match spec.key.family {
                        Family::V4 => advert(&theirs, "10.99.0.2", group, &v2(10)),
                        Family::V6 => advert(&theirs, "fe80::99:2", group, &hex(V3_IPV6)),
                    };
                    assert_eq!(open(&[theirs]).send(&[advert], clock::now), []);
                });
                sockets.wait();
                let there = clock::now();
                while clock::now() < there + PAUSE {
                    sockets.poller.wait(Some(there + PAUSE)).unwrap().for_each(drop);
                }
                let mut heard = Vec::new();
                sockets.sockets.receive(64, longest, |_, waited, _| heard.push(waited));
                assert_eq!(heard.len(), 1);
                assert!(heard[0] >= least && heard[0] <= longest, "{heard:?} of {longest:?}");
            }
        }
    });
}

#[test]
fn all_that_is_due_leaves_in_order_and_is_recorded_once_for_each_advert() {
    scratch(|| {
        let peer = Peer::on("a0", MAC);
        run("ip addr add 10.99.0.1/24 dev a0");
        let mut capture = peer.capture();
        let spec = multicast("a0", "224.0.0.18");
        let adverts: Vec<_> = (1..=250).map(|vrid| advert(&spec, "10.99.0.1", "224.0.0.18", &v2(vrid))).collect();
        let mut sockets = open(&[spec]);
        assert_eq!(sockets.send(&adverts, clock::now), []);
        for vrid in 1..=250 {
            assert_eq!(capture.next(ETHERNET_V4, |frame| frame[23] == 112)[35], vrid);
        }
        assert_eq!(sockets.sockets.counters().lateness.count(), 250);
    });
}

#[test]
fn how_late_an_advert_left_is_measured_against_when_it_was_due() {
    scratch(|| {
        let _peer = Peer::on("a0", MAC);
        run("ip addr add 10.99.0.1/24 dev a0");
        let spec = multicast("a0", "224.0.0.18");
        let mut late = advert(&spec, "10.99.0.1", "224.0.0.18", &v2(1));
        late.due = Instant::from_nanos(1_000);
        let mut early = late.clone();
        early.due = Instant::from_nanos(9_000);
        let mut sockets = open(&[spec]);
        assert_eq!(sockets.send(&[late, early], || Instant::from_nanos(5_000)), []);
        let lateness = &sockets.sockets.counters().lateness;
        assert_eq!((lateness.count(), lateness.max().as_nanos()), (2, 4_000));
        assert_eq!(lateness.percentile(50.0).as_nanos(), 0);
    });
}

#[test]
fn one_copy_that_cannot_leave_does_not_hold_back_the_others() {
    scratch(|| {
        let peer = Peer::on("a0", MAC);
        run("ip addr add 10.99.0.1/24 dev a0");
        let mut capture = peer.capture();
        peer.run(|| run("ip addr add 10.99.0.2/24 dev b0"));
        let spec = unicast(None, "10.99.0.1");
        let mut both = advert(&spec, "10.99.0.1", "192.0.2.1", &v2(1));
        Arc::make_mut(&mut both.packets).copies.push(("10.99.0.2".parse().unwrap(), v2(2)));
        let unopened = multicast("a0", "ff02::12");
        let lost = advert(&unopened, "fe80::99:1", "ff02::12", &hex(V3_IPV6));
        let failures = open(&[spec]).send(&[lost, both], clock::now);
        let failure = |destination: &str, errno| Failure::Send {
            instance: InstanceId(7),
            destination: destination.parse().unwrap(),
            errno,
        };
        assert_eq!(failures, [failure("192.0.2.1", libc::ENETUNREACH), failure("ff02::12", libc::ENODEV)]);
        assert_eq!(capture.next(ETHERNET_V4, |frame| frame[23] == 112)[35], 2);
    });
}

#[test]
fn a_link_that_is_down_is_a_failure_and_a_link_that_is_gone_too() {
    scratch(|| {
        let _peer = Peer::on("a0", MAC);
        run("ip addr add 10.99.0.1/24 dev a0");
        let spec = multicast("a0", "224.0.0.18");
        let mut sockets = open(&[spec]);
        let out = [advert(&spec, "10.99.0.1", "224.0.0.18", &v2(1))];
        let mut errno = || match sockets.send(&out, clock::now).as_slice() {
            [Failure::Send { errno, .. }] => *errno,
            other => panic!("{other:?}"),
        };
        run("ip link set a0 down");
        assert_eq!(errno(), libc::ENETUNREACH);
        run("ip link del a0");
        assert_eq!(errno(), libc::ENODEV);
        let gone = SocketSpec { key: SocketKey { link: Some(IfIndex(999)), ..spec.key }, receive_buffer: None };
        assert_eq!(sockets.apply(&[gone]), [Failure::Socket(gone.key, libc::ENODEV)]);
    });
}

#[test]
fn sockets_that_stay_wanted_keep_what_waits_on_them_and_others_are_closed() {
    scratch(|| {
        let peer = Peer::on("a0", MAC);
        run("ip addr add 10.99.0.7/24 dev a0");
        let (v4, v6) = (multicast("a0", "224.0.0.18"), multicast("a0", "ff02::12"));
        let mut sockets = open(&[v4, v6]);
        peer.run(|| send_from_b(1));
        let resized = SocketSpec { receive_buffer: Some(1 << 20), ..v4 };
        assert_eq!(sockets.apply(&[resized, unicast(None, "10.99.0.77")]), []);
        assert_eq!(heard(&mut sockets, 1)[0].0.socket, v4.key);
        assert!(sockets.sockets.keys().all(|key| key != v6.key));
        assert_eq!(sockets.sockets.keys().count(), 2);
    });
}

#[test]
fn a_flood_on_one_socket_leaves_room_for_the_others() {
    scratch(|| {
        let peer = Peer::on("a0", MAC);
        let other = Peer::on("a1", "ba:60:67:00:ce:ff");
        run("ip addr add 10.99.0.7/24 dev a0");
        run("ip addr add 10.99.0.8/24 dev a1");
        let specs = [multicast("a0", "224.0.0.18"), multicast("a1", "224.0.0.18")];
        let mut sockets = open(&specs);
        peer.run(|| send_from_b(100));
        other.run(|| send_from_b(1));
        let order = RefCell::new(Vec::new());
        while order.borrow().len() < 101 {
            sockets.wait();
            assert!(
                sockets.sockets.receive(40, Duration::ZERO, |meta, _, _| order.borrow_mut().push(meta.socket)) <= 40
            );
        }
        let place = order.borrow().iter().position(|key| *key == specs[1].key);
        assert!(place.is_some_and(|place| place <= 40), "heard only as number {place:?}");
    });
}

#[test]
fn a_packet_longer_than_any_advert_is_dropped_and_counted() {
    scratch(|| {
        let peer = Peer::on("a0", MAC);
        run("ip link set a0 mtu 9000");
        peer.run(|| run("ip link set b0 mtu 9000"));
        run("ip addr add 10.99.0.7/24 dev a0");
        let mut sockets = open(&[multicast("a0", "224.0.0.18")]);
        peer.run(|| {
            let mut long = v2(1);
            long.resize(5_000, 0);
            long[2..4].copy_from_slice(&5_000_u16.to_be_bytes());
            send_bytes_from_b(&[long, v2(2)]);
        });
        assert_eq!(heard(&mut sockets, 1)[0].1[21], 2);
        assert_eq!(sockets.sockets.counters().truncated, 1);
    });
}

/// Sends adverts of VRID 1 from the far end.
fn send_from_b(count: usize) {
    send_bytes_from_b(&vec![v2(1); count]);
}

fn send_bytes_from_b(datagrams: &[Vec<u8>]) {
    let spec = multicast("b0", "224.0.0.18");
    let adverts: Vec<_> = datagrams.iter().map(|one| advert(&spec, "10.99.0.9", "224.0.0.18", one)).collect();
    assert_eq!(open(&[spec]).send(&adverts, clock::now), []);
}
