//! The captured packets of keepalived 2.4.3, and laws.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::wire::ipv4;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const OURS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
const ANONYMOUS: Body = Body::V2 { auth_type: 0, adver_secs: 1, auth_data: [0; 8] };
const HALF_SECOND: Body = Body::V3 { max_advertise: Centis(50) };

/// With the checksum that the kernel puts into the IP header.
fn on_the_wire(destination: Ipv4Addr, id: u16, pdu: &[u8]) -> Vec<u8> {
    let mut packet = ipv4::Header::before(OURS, destination, 255, ipv4::PROTOCOL_VRRP, id, pdu);
    let sum = ipv4::Header::checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

#[test]
fn version_2_without_authentication_is_keepalived_s_packet() {
    let addresses = [ip("10.99.0.100"), ip("10.99.0.101")];
    let pdu = emit(Family::V4, 10, 150, &addresses, ANONYMOUS, Checksum::Plain);
    let captured = "45c0002c00010000ff70d02a0a630001e0000012 210a9602000133630a6300640a6300650000000000000000";
    assert_eq!(on_the_wire(GROUP, 1, &pdu), hex(captured));
    let pdu = emit(Family::V4, 10, 0, &addresses, ANONYMOUS, Checksum::Plain);
    let captured = "45c0002c00050000ff70d0260a630001e0000012 210a00020001c9630a6300640a6300650000000000000000";
    assert_eq!(on_the_wire(GROUP, 5, &pdu), hex(captured));
}

#[test]
fn version_2_with_a_password_is_keepalived_s_packet() {
    let body = Body::V2 { auth_type: 1, adver_secs: 1, auth_data: *b"s3cret\0\0" };
    let pdu = emit(Family::V4, 11, 100, &[ip("10.99.0.102")], body, Checksum::Plain);
    let captured = "45c0002800010000ff70d02e0a630001e0000012 210b64010101330f0a6300667333637265740000";
    assert_eq!(on_the_wire(GROUP, 1, &pdu), hex(captured));
}

#[test]
fn version_3_over_ipv4_is_keepalived_s_packet() {
    let group = Checksum::Between(OURS.into(), GROUP.into());
    let pdu = emit(Family::V4, 13, 200, &[ip("10.99.0.104")], HALF_SECOND, group);
    let captured = "45c0002000010000ff70d0360a630001e0000012 310dc801003211010a630068";
    assert_eq!(on_the_wire(GROUP, 1, &pdu), hex(captured));
    let pdu = emit(Family::V4, 13, 0, &[ip("10.99.0.104")], HALF_SECOND, group);
    let captured = "45c0002000050000ff70d0320a630001e0000012 310d00010032d9010a630068";
    assert_eq!(on_the_wire(GROUP, 5, &pdu), hex(captured));
}

#[test]
fn the_three_odd_checksums_of_version_3_are_keepalived_s() {
    let pdu = emit(Family::V4, 15, 200, &[ip("10.99.0.105")], HALF_SECOND, Checksum::Plain);
    let captured = "45c0002000010000ff70d0360a630001e0000012 310fc8010032fbf00a630069";
    assert_eq!(on_the_wire(GROUP, 1, &pdu), hex(captured));
    let pdu = emit(Family::V4, 16, 200, &[ip("10.99.0.106")], HALF_SECOND, Checksum::Between(OURS.into(), PEER.into()));
    let captured = "45c0002000010000ff70a5e40a6300010a630002 3110c8010032e6a90a63006a";
    assert_eq!(on_the_wire(PEER, 1, &pdu), hex(captured));
    let pdu =
        emit(Family::V4, 17, 200, &[ip("10.99.0.107")], HALF_SECOND, Checksum::Between(OURS.into(), GROUP.into()));
    let captured = "45c0002000010000ff70a5e40a6300010a630002 3111c801003210fa0a63006b";
    assert_eq!(on_the_wire(PEER, 1, &pdu), hex(captured));
}

#[test]
fn ipv6_adverts_are_keepalived_s_once_the_kernel_has_summed_them() {
    let between = Checksum::Between(ip("fe80::99:1"), ip("ff02::12"));
    let pdu = emit(Family::V6, 14, 200, &[ip("fe80::14:1"), ip("2001:db8::14")], HALF_SECOND, between);
    let captured = "310ec8020032db91fe80000000000000000000000014000120010db8000000000000000000000014";
    assert_eq!(pdu, hex(captured));
    let pdu = emit(Family::V6, 24, 200, &[ip("fe80::24:1")], ANONYMOUS, between);
    assert_eq!(pdu, hex("2118c80100011987fe800000000000000000000000240001"));
    let unsummed = emit(Family::V6, 24, 200, &[ip("fe80::24:1")], ANONYMOUS, Checksum::Kernel);
    assert_eq!(unsummed[6..8], [0, 0]);
}

#[test]
fn a_version_2_advert_behind_a_trailer_has_the_same_pdu() {
    let pdu = emit(Family::V4, 22, 100, &[ip("10.99.0.112")], ANONYMOUS, Checksum::Plain);
    assert_eq!(pdu, hex("2116640100017014 0a6300700000000000000000"));
}

#[test]
fn ethernet_padding_is_ignored_and_other_surplus_is_an_error() {
    let mut pdu = emit(Family::V4, 1, 100, &[ip("10.0.0.1")], HALF_SECOND, Checksum::Plain);
    pdu.resize(26, 0);
    assert_eq!(Advert::parse(Family::V4, 20, &pdu).unwrap().pdu().len(), 12);
    pdu.resize(27, 0);
    assert_eq!(Advert::parse(Family::V4, 20, &pdu), Err(ParseError::Length { have: 47, expected: 32 }));
    pdu.truncate(11);
    assert_eq!(Advert::parse(Family::V4, 20, &pdu), Err(ParseError::Length { have: 31, expected: 32 }));
    assert_eq!(Advert::parse(Family::V4, 20, &pdu[..7]), Err(ParseError::Truncated { have: 7 }));
}

fn any_family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

fn any_body() -> impl Strategy<Value = Body> {
    prop_oneof![
        any::<(u8, u8, [u8; 8])>().prop_map(|(auth_type, adver_secs, auth_data)| Body::V2 {
            auth_type,
            adver_secs,
            auth_data
        }),
        (0..=Centis::MAX.0).prop_map(|centis| Body::V3 { max_advertise: Centis(centis) }),
    ]
}

fn any_addresses(family: Family) -> BoxedStrategy<Vec<IpAddr>> {
    match family {
        Family::V4 => prop::collection::vec(any::<[u8; 4]>().prop_map(IpAddr::from), 0..40).boxed(),
        Family::V6 => prop::collection::vec(any::<[u8; 16]>().prop_map(IpAddr::from), 0..40).boxed(),
    }
}

proptest! {
    #[test]
    fn what_is_emitted_is_what_is_parsed(
        (family, addresses) in any_family().prop_flat_map(|f| (Just(f), any_addresses(f))),
        vrid in any::<u8>(), priority in any::<u8>(), body in any_body(),
    ) {
        let (source, destination) = match family {
            Family::V4 => (IpAddr::from(OURS), IpAddr::from(GROUP)),
            Family::V6 => (ip("fe80::1"), ip("ff02::12")),
        };
        let bytes = emit(family, vrid, priority, &addresses, body, Checksum::Between(source, destination));
        let advert = Advert::parse(family, 20, &bytes).unwrap();
        prop_assert_eq!(advert.pdu(), &bytes);
        prop_assert_eq!((advert.kind, advert.vrid, advert.priority), (1, vrid, priority));
        prop_assert_eq!(advert.addresses().collect::<Vec<_>>(), addresses);
        prop_assert!(advert.checksum_holds_between(source, destination));
        match body {
            Body::V2 { auth_type, adver_secs, auth_data } => {
                prop_assert_eq!((advert.version, advert.auth_type(), advert.adver_secs()), (2, auth_type, adver_secs));
                let expected: &[u8] = if family == Family::V4 { &auth_data } else { &[] };
                prop_assert_eq!(advert.auth_data(), expected);
            }
            Body::V3 { max_advertise } => {
                prop_assert_eq!((advert.version, advert.max_advertise()), (3, max_advertise));
            }
        }
        prop_assert_eq!(super::vrid(&bytes), Some(vrid));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(
        family in any_family(), header in 0usize..64, bytes in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        if let Ok(advert) = Advert::parse(family, header, &bytes) {
            prop_assert_eq!(advert.addresses().count(), usize::from(advert.count));
            prop_assert!(advert.pdu().len() <= bytes.len());
        }
    }
}
