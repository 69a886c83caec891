//! The messages against bytes that keepalived, ipvsadm and the kernel have sent (x86-64, Linux 6.1).
#![cfg(target_endian = "little")]

use std::net::IpAddr;

use proptest::prelude::*;
use rtnetlink::packet_core::{Emitable, NLM_F_ACK, NLM_F_REQUEST, Nla};

use super::dest::{self, DestAttribute};
use super::info::InfoAttribute;
use super::message::{Command, IpvsAttribute, Request};
use super::service::{self, ServiceAttribute};
use super::stats::{Stats, StatsAttribute};
use super::*;
use crate::wire::genl::{GenlMessage, append};

type Message = GenlMessage<IpvsAttribute>;

const HEADER_LEN: usize = 16;

const NEW_SERVICE: &str = "680000001f000500010000000000000001010000540001800600010002000000060002000600000014000300c000020100000000\
     0000000000000000060004000050000007000600727200000c00070000000000ffffffff080008000000000008000900ffffffff";
const NEW_DEST: &str = "b00000001f000500020000000000000005010000540001800600010002000000060002000600000014000300c000020100000000\
     0000000000000000060004000050000007000600727200000c00070000000000ffffffff080008000000000008000900ffffffff\
     4800028006000b000200000014000100c633640a0000000000000000000000000600020000500000080003000300000008000400\
     0100000008000500000000000800060000000000";
const NEW_SERVICE_MARK6: &str = "4c0000002000050000000000000000000101000038000180060001000a000000080005006400000008000600777272000c000700\
     00000000ffffffff08000800000000000800090080000000";
const NEW_DEST_MARK6: &str = "940000002000050000000000000000000501000038000180060001000a000000080005006400000008000600777272000c000700\
     00000000ffffffff080008000000000008000900800000004800028006000b000a0000001400010020010db80000000000000000\
     0000001006000200000000000800030003000000080004000200000008000500000000000800060000000000";
const NEW_SERVICE_PERSISTENT: &str = "6800000020000500000000000000000001010000540001800600010002000000060002000600000014000300c000020200000000\
     0000000000000000060004000000000008000600776c63000c00070001000000ffffffff080008005802000008000900ffffff00";
const NEW_SERVICE_MH: &str = "680000002000050000000000000000000101000054000180060001000a00000006000200060000001400030020010db800000000\
     00000000000000020600040001bb0000070006006d6800000c00070019000000ffffffff080008002c0100000800090040000000";
const NEW_SERVICE_SIP: &str = "70000000200005000000000000000000010100005c0001800600010002000000060002001100000014000300c000020300000000\
     00000000000000000600040013c40000070006007272000008000b00736970000c00070005000000ffffffff080008003c000000\
     08000900ffffffff";
const NEW_DEST_GUE: &str = "c800000020000500000000000000000005010000540001800600010002000000060002001100000014000300c000020300000000\
     00000000000000000600040013c4000007000600727200000c00070004000000ffffffff080008000000000008000900ffffffff\
     6000028006000b000200000014000100c633640c0000000000000000000000000600020013c40000080003000200000008000400\
     0100000005000d000100000006000e0017c0000006000f000200000008000500000000000800060000000000";
const NEW_DEST_GRE: &str = "c000000020000500000000000000000005010000540001800600010002000000060002001100000014000300c000020300000000\
     00000000000000000600040013c4000007000600727200000c00070004000000ffffffff080008000000000008000900ffffffff\
     5800028006000b000200000014000100c633640d0000000000000000000000000600020013c40000080003000200000008000400\
     0100000005000d000200000006000f000100000008000500000000000800060000000000";
const SET_DEST: &str = "b000000020000500000000000000000006010000540001800600010002000000060002000600000014000300c000020100000000\
     0000000000000000060004000050000007000600727200000c00070000000000ffffffff080008000000000008000900ffffffff\
     4800028006000b000200000014000100c633640a0000000000000000000000000600020000500000080003000300000008000400\
     0500000008000500640000000800060032000000";
const NEW_DAEMON: &str = "50000000200005000000000000000000090100003c00038008000100010000000700020064300000080003004d00000006000400\
     780500000600070091220000050008000700000008000500e000005a";
const DEL_DAEMON: &str = "280000002000050000000000000000000a0100001400038008000100020000000800030000000000";
const SET_CONFIG: &str = "2c0000002000050000000000000000000c01000008000400b0040000080005005a00000008000600fa000000";
const TOLD_DEST: &str = "640100002000020000000000000000000501000050010200140001000a010001000000000000000000000000060002001f410000\
     0800030000000000080004000100000005000d000000000006000e000000000006000f0000000000080005000000000008000600\
     0000000008000700010000000800080001000000080009000000000006000b00020000005c000a00080001000200000008000200\
     0900000008000300070000000c000400ac020000000000000c000500440200000000000008000600000000000800070001000000\
     0800080001000000080009004000000008000a00360000007c000c000c00010002000000000000000c0002000900000000000000\
     0c00030007000000000000000c000400ac020000000000000c00050044020000000000000c00060000000000000000000c000700\
     01000000000000000c00080001000000000000000c00090040000000000000000c000a003600000000000000";
const TOLD_SERVICE: &str = "40010000200000000000000000000000010100002c01010006000100020000000600020006000000140003000a09000100000000\
     0000000000000000060004000050000007000600727200000c00070002000000ffffffff080008000000000008000900ffffffff\
     5c000a000800010002000000080002000900000008000300070000000c000400ac020000000000000c0005004402000000000000\
     080006000000000008000700010000000800080001000000080009004000000008000a00360000007c000c000c00010002000000\
     000000000c00020009000000000000000c00030007000000000000000c000400ac020000000000000c0005004402000000000000\
     0c00060000000000000000000c00070001000000000000000c00080001000000000000000c00090040000000000000000c000a00\
     3600000000000000";

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The message in one that was captured, which must be what `message` makes too, header and all.
#[track_caller]
fn same(captured: &str, message: &Message) {
    let captured = bytes(captured);
    let word = |at: usize| u32::from_ne_bytes(captured[at..at + 4].try_into().unwrap());
    let mut made = Vec::new();
    append(&mut made, word(4) as u16, NLM_F_REQUEST | NLM_F_ACK, word(8), message);
    assert_eq!(made, captured);
    assert_eq!(Message::parse(&captured[HEADER_LEN..]).unwrap(), *message);
}

fn told(captured: &str) -> Message {
    Message::parse(&bytes(captured)[HEADER_LEN..]).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn key(protocol: u8, address: &str, port: u16) -> ServiceKey {
    ServiceKey::Address { protocol, address: ip(address), port }
}

fn plain(scheduler: &str) -> Service {
    Service { scheduler: scheduler.into(), flags: 0, timeout_secs: 0, netmask: u32::MAX, engine: None }
}

/// What a request is as it is written.
#[track_caller]
fn written(request: &Request<'_>) -> Message {
    let mut bytes = Vec::new();
    request.append(&mut bytes, (0x20, NLM_F_REQUEST, 7));
    let message = Message::parse(&bytes[HEADER_LEN..]).unwrap();
    let mut again = Vec::new();
    append(&mut again, 0x20, NLM_F_REQUEST, 7, &message);
    assert_eq!(bytes, again);
    message
}

/// A destination command as keepalived makes it, with all of its service.
fn in_full(command: Command, key: &ServiceKey, service: &Service, dest_key: &DestKey, dest: &Dest) -> Message {
    let dest = Some((dest_key, Some(dest)));
    written(&Request { command, service: key, settings: Some(service), dest })
}

const MARK6: ServiceKey = ServiceKey::Mark { family: Family::V6, mark: 100 };

#[test]
fn services_are_made_as_ipvsadm_and_keepalived_make_them() {
    let new = |key: &ServiceKey, service: &Service| written(&Request::service(Command::NewService, key, Some(service)));
    // ipvsadm -A -t 192.0.2.1:80 -s rr
    same(NEW_SERVICE, &new(&key(6, "192.0.2.1", 80), &plain("rr")));
    // ipvsadm -A -f 100 -6 -s wrr
    same(NEW_SERVICE_MARK6, &new(&MARK6, &Service { netmask: 128, ..plain("wrr") }));
    // ipvsadm -A -t 192.0.2.2:0 -s wlc -p 600 -M 255.255.255.0
    let persistent = Service { flags: PERSISTENT, timeout_secs: 600, netmask: 0xffff_ff00, ..plain("wlc") };
    same(NEW_SERVICE_PERSISTENT, &new(&key(6, "192.0.2.2", 0), &persistent));
    // ipvsadm -A -t [2001:db8::2]:443 -s mh -b mh-port,mh-fallback -p 300 -M 64
    let hashed = Service { flags: PERSISTENT | 0x18, timeout_secs: 300, netmask: 64, ..plain("mh") };
    same(NEW_SERVICE_MH, &new(&key(6, "2001:db8::2", 443), &hashed));
    // ipvsadm -A -u 192.0.2.3:5060 -s rr -o -p 60 --pe sip
    let engine = Some("sip".into());
    let sip = Service { flags: PERSISTENT | ONE_PACKET, timeout_secs: 60, engine, ..plain("rr") };
    same(NEW_SERVICE_SIP, &new(&key(17, "192.0.2.3", 5060), &sip));
}

#[test]
fn destinations_are_made_as_keepalived_makes_them() {
    let direct = Dest { forwarding: Forward::DirectRoute, weight: 1, upper_threshold: 0, lower_threshold: 0 };
    let web = key(6, "192.0.2.1", 80);
    let server = |address: &str, port| DestKey { address: ip(address), port };
    let first = server("198.51.100.10", 80);
    same(NEW_DEST, &in_full(Command::NewDest, &web, &plain("rr"), &first, &direct));
    let edited = Dest { weight: 5, upper_threshold: 100, lower_threshold: 50, ..direct };
    same(SET_DEST, &in_full(Command::SetDest, &web, &plain("rr"), &first, &edited));
    let service = Service { netmask: 128, ..plain("wrr") };
    let of_mark = Dest { weight: 2, ..direct };
    same(NEW_DEST_MARK6, &in_full(Command::NewDest, &MARK6, &service, &server("2001:db8::10", 0), &of_mark));
    let (sip, service) = (key(17, "192.0.2.3", 5060), Service { flags: ONE_PACKET, ..plain("rr") });
    let gue = Dest { forwarding: Forward::Gue { port: 6080, flags: 2 }, ..direct };
    same(NEW_DEST_GUE, &in_full(Command::NewDest, &sip, &service, &server("198.51.100.12", 5060), &gue));
    let gre = Dest { forwarding: Forward::Gre { flags: 1 }, ..direct };
    same(NEW_DEST_GRE, &in_full(Command::NewDest, &sip, &service, &server("198.51.100.13", 5060), &gre));
}

#[test]
fn of_the_service_a_destination_command_has_the_key_only() {
    let direct = Dest { forwarding: Forward::DirectRoute, weight: 1, upper_threshold: 0, lower_threshold: 0 };
    let (web, server) = (key(6, "192.0.2.1", 80), DestKey { address: ip("198.51.100.10"), port: 80 });
    let ours = written(&Request::dest(Command::NewDest, &web, &server, Some(&direct)));
    let theirs = told(NEW_DEST);
    assert_eq!(ours.dest_attributes(), theirs.dest_attributes());
    assert_eq!(ours.service_attributes(), theirs.service_attributes().map(|attributes| &attributes[..4]));
    let gone = written(&Request::dest(Command::DelDest, &web, &server, None));
    assert_eq!(gone.dest_attributes(), ours.dest_attributes().map(|all| &all[..3]));
}

#[test]
fn daemons_and_timeouts_are_set_as_keepalived_sets_them() {
    let daemon = Daemon {
        interface: "d0".parse().unwrap(),
        id: 77,
        max_len: Some(1400),
        port: Some(8849),
        ttl: Some(7),
        group: Some(ip("224.0.0.90")),
    };
    same(NEW_DAEMON, &Message::new_daemon(DaemonState::Master, &daemon));
    same(DEL_DAEMON, &Message::del_daemon(DaemonState::Backup, 0));
    let read = super::daemon::daemon(told(NEW_DAEMON).daemon_attributes().unwrap());
    assert_eq!(read, Some((DaemonState::Master, daemon)));
    let timeouts = Timeouts { tcp_secs: 1200, tcp_fin_secs: 90, udp_secs: 250 };
    same(SET_CONFIG, &Message::set_config(timeouts));
    assert_eq!(told(SET_CONFIG).timeouts(), Some(timeouts));
}

#[test]
fn what_the_kernel_tells_of_a_destination_is_read_with_its_counters() {
    let message = told(TOLD_DEST);
    let attributes = message.dest_attributes().unwrap();
    let key = DestKey { address: ip("10.1.0.1"), port: 8001 };
    let plain = Dest { forwarding: Forward::Masq, weight: 1, upper_threshold: 0, lower_threshold: 0 };
    assert_eq!(dest::dest(Family::V6, attributes), Some((key, plain)));
    let counters = Stats {
        connections: 2,
        in_packets: 9,
        out_packets: 7,
        in_bytes: 684,
        out_bytes: 580,
        in_packets_per_second: 1,
        out_packets_per_second: 1,
        in_bytes_per_second: 64,
        out_bytes_per_second: 54,
        ..Stats::default()
    };
    let mut sets = 0;
    for attribute in attributes {
        if let DestAttribute::Stats(stats) | DestAttribute::Stats64(stats) = attribute {
            assert_eq!(Stats::of(stats), counters);
            sets += 1;
        }
    }
    assert_eq!(sets, 2);
    assert!(attributes.contains(&DestAttribute::ActiveConnections(1)));
}

#[test]
fn what_the_kernel_tells_of_a_service_is_read_without_its_own_flag() {
    let message = told(TOLD_SERVICE);
    let attributes = message.service_attributes().unwrap();
    assert!(attributes.contains(&ServiceAttribute::Flags { flags: HASHED, mask: u32::MAX }));
    assert_eq!(service::service(attributes), Some((key(6, "10.9.0.1", 80), plain("rr"))));
}

#[test]
fn the_version_is_told_in_three_numbers() {
    let answer = bytes("0e0100000800010001020100080002000010 0000".replace(' ', "").as_str());
    let message = GenlMessage::<InfoAttribute>::parse(&answer).unwrap();
    assert_eq!(message.ipvs_version(), Some([1, 2, 1]));
    assert!(message.attributes.contains(&InfoAttribute::ConnectionTableSize(4096)));
}

#[test]
fn an_unknown_attribute_is_kept_and_hides_nothing() {
    let mut payload = bytes(TOLD_SERVICE)[HEADER_LEN..].to_vec();
    payload.extend([8, 0, 99, 0, 1, 2, 3, 4]);
    let message = Message::parse(&payload).unwrap();
    assert_eq!(message.service_attributes(), told(TOLD_SERVICE).service_attributes());
    assert!(matches!(&message.attributes[1], IpvsAttribute::Other(other) if other.kind() == 99));
}

#[test]
fn the_padding_of_machines_that_align_to_eight_is_passed_over() {
    let padding = [4, 0, 11, 0];
    let connections = [12, 0, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0];
    let attributes: Vec<StatsAttribute> =
        crate::wire::genl::attributes_of(&[&padding[..], &connections[..]].concat()).unwrap();
    assert_eq!(Stats::of(&attributes).connections, 5);
}

#[test]
fn a_tunnel_means_nothing_without_the_tunnel_method() {
    let key = DestKey { address: ip("198.51.100.1"), port: 80 };
    let odd = Dest { forwarding: Forward::Other(8, 1, 6080, 2), weight: 1, upper_threshold: 0, lower_threshold: 0 };
    let message = written(&Request::dest(Command::NewDest, &MARK6, &key, Some(&odd)));
    let (_, read) = dest::dest(Family::V4, message.dest_attributes().unwrap()).unwrap();
    assert_eq!(read.forwarding, Forward::Masq);
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
}

fn any_key() -> impl Strategy<Value = ServiceKey> {
    let mark = (any::<bool>(), 1..=u32::MAX).prop_map(|(v6, mark)| {
        let family = if v6 { Family::V6 } else { Family::V4 };
        ServiceKey::Mark { family, mark }
    });
    let address = (any::<u8>(), any_ip(), any::<u16>()).prop_map(|(protocol, address, port)| ServiceKey::Address {
        protocol,
        address,
        port,
    });
    prop_oneof![mark, address]
}

fn any_forward() -> impl Strategy<Value = Forward> {
    prop_oneof![
        Just(Forward::Masq),
        Just(Forward::DirectRoute),
        Just(Forward::Ipip),
        (any::<u16>(), any::<u16>()).prop_map(|(port, flags)| Forward::Gue { port, flags }),
        any::<u16>().prop_map(|flags| Forward::Gre { flags }),
    ]
}

proptest! {
    #[test]
    fn what_is_emitted_is_read_as_the_same(
        key in any_key(),
        (scheduler, engine) in ("[a-z]{1,15}", proptest::option::of("[a-z]{1,15}")),
        (flags, timeout_secs, netmask) in any::<(u32, u32, u32)>(),
        (address, port, forwarding) in (any_ip(), any::<u16>(), any_forward()),
        (weight, upper_threshold, lower_threshold) in any::<(u32, u32, u32)>(),
    ) {
        let service = Service {
            scheduler: scheduler.into(),
            flags: flags & !HASHED,
            timeout_secs,
            netmask,
            engine: engine.map(Into::into),
        };
        let (dest_key, dest) =
            (DestKey { address, port }, Dest { forwarding, weight, upper_threshold, lower_threshold });
        let message = in_full(Command::NewDest, &key, &service, &dest_key, &dest);
        let mut payload = vec![0; message.buffer_len()];
        message.emit(&mut payload);
        let read = Message::parse(&payload).unwrap();
        prop_assert_eq!(&read, &message);
        prop_assert_eq!(service::service(read.service_attributes().unwrap()), Some((key, service)));
        prop_assert_eq!(dest::dest(key.family(), read.dest_attributes().unwrap()), Some((dest_key, dest)));
    }

    #[test]
    fn no_payload_can_stop_the_reader(
        at in 0_usize..400,
        garbage in proptest::collection::vec(any::<u8>(), 0..40),
        cut in 0_usize..400,
    ) {
        for captured in [TOLD_DEST, TOLD_SERVICE, NEW_DAEMON, NEW_DEST_GUE, SET_CONFIG] {
            let mut payload = bytes(captured)[HEADER_LEN..].to_vec();
            payload.truncate(cut);
            let at = at.min(payload.len());
            let end = (at + garbage.len()).min(payload.len());
            payload.splice(at..end, garbage.iter().copied());
            if let Ok(message) = Message::parse(&payload) {
                let _ = message.service_attributes().and_then(service::service);
                let _ = message.dest_attributes().and_then(|attributes| dest::dest(Family::V4, attributes));
                let _ = message.daemon_attributes().and_then(super::daemon::daemon);
            }
        }
    }
}
