//! Every reason to refuse an advert, with its counter; and what is accepted all the same.

use std::net::IpAddr;

use super::*;
use crate::model::vrrp::{Peer, Unicast};
use crate::vrrp::io::{SocketKey, SocketScope};
use crate::vrrp::tests::{GROUP, instance, ip, vip};
use crate::wire::vrrp::{Body, Checksum, emit};

const FROM: [u8; 4] = [10, 0, 0, 2];
const V2: Body = Body::V2 { auth_type: 0, adver_secs: 1, auth_data: [0; 8] };
const V3: Body = Body::V3 { max_advertise: Centis(100) };

fn v3() -> Instance {
    Instance { version: Version::V3, ..instance(100) }
}

fn unicast(check_source: bool) -> Instance {
    let peer = Peer { address: FROM.into(), min_ttl: 10, max_ttl: 200 };
    Instance { destination: Destination::Unicast(Unicast { peers: vec![peer], ttl: None, check_source }), ..v3() }
}

/// The advert of a router configured like the others here.
fn pdu(body: Body, to: [u8; 4]) -> Vec<u8> {
    let sum = match body {
        Body::V2 { .. } => Checksum::Plain,
        Body::V3 { .. } => Checksum::Between(FROM.into(), to.into()),
    };
    emit(Family::V4, 51, 150, &[ip("10.0.0.100")], body, sum)
}

fn packet(to: [u8; 4], ttl: u8, pdu: &[u8]) -> Vec<u8> {
    Header::before(FROM.into(), to.into(), ttl, 112, 9, pdu)
}

/// What `config` makes of these bytes, with the counters afterwards.
fn look(config: &Instance, bytes: &[u8]) -> (Result<Heard, Flaw>, Statistics) {
    look_knowing(config, bytes, |_| {})
}

fn look_knowing(
    config: &Instance,
    bytes: &[u8],
    change: impl FnOnce(&mut Expectations<'_>),
) -> (Result<Heard, Flaw>, Statistics) {
    let (header, payload) = Header::parse(bytes).unwrap();
    let scope = SocketScope::Multicast(GROUP.into());
    let socket = SocketKey { family: Family::V4, link: None, scope };
    let meta = PacketMeta { socket, source: FROM.into(), destination: None, hop_limit: None };
    let mut expect = Expectations {
        config,
        old_checksum: config.old_unicast_checksum == OldUnicastChecksum::Always,
        is_owner: false,
        from_known_master: false,
    };
    change(&mut expect);
    let mut statistics = Statistics::default();
    let datagram = Datagram { meta, header: Some(header), len: bytes.len(), payload };
    (inspect(&datagram, expect, &mut statistics), statistics)
}

#[track_caller]
fn refused(config: &Instance, bytes: &[u8], flaw: Flaw, counter: impl Fn(&Statistics) -> u64) {
    let (heard, statistics) = look(config, bytes);
    assert_eq!(heard, Err(flaw));
    assert_eq!((counter(&statistics), statistics.advert_rcvd), (1, 0));
}

#[track_caller]
fn accepted(config: &Instance, bytes: &[u8]) -> Heard {
    let (heard, statistics) = look(config, bytes);
    assert_eq!(statistics.advert_rcvd, 1);
    heard.unwrap()
}

#[test]
fn a_sound_advert_is_heard_and_counted() {
    let heard = accepted(&instance(100), &packet(GROUP, 255, &pdu(V2, GROUP)));
    assert_eq!((heard.priority, heard.interval, heard.id), (150, Centis(100), Some(9)));
    assert_eq!(heard.source, IpAddr::from(FROM));
    assert!(heard.flaws.is_empty());
    accepted(&v3(), &packet(GROUP, 255, &pdu(V3, GROUP)));
}

#[test]
fn length_ttl_version_and_type_have_their_counters() {
    let good = pdu(V2, GROUP);
    let short = Flaw::Length { have: 39, expected: 40 };
    refused(&instance(100), &packet(GROUP, 255, &good[..19]), short, |s| s.packet_len_err);
    refused(&instance(100), &packet(GROUP, 254, &good), Flaw::Ttl(254), |s| s.ip_ttl_err);
    let other = Flaw::Version { theirs: 3, ours: 2 };
    refused(&instance(100), &packet(GROUP, 255, &pdu(V3, GROUP)), other, |s| s.vers_err);
    let mut changed = good.clone();
    changed[0] = 0x22;
    refused(&instance(100), &packet(GROUP, 255, &changed), Flaw::Type(2), |s| s.invalid_type_rcvd);
    let mut said = packet(GROUP, 255, &good);
    said[3] = 60;
    refused(&instance(100), &said, Flaw::TotalLength { said: 60, have: 40 }, |s| s.packet_len_err);
}

#[test]
fn authentication_has_three_counters() {
    let with = |auth_type, auth_data| pdu(Body::V2 { auth_type, adver_secs: 1, auth_data }, GROUP);
    let open = instance(100);
    let locked = Instance { authentication: Authentication::Pass(*b"s3cret\0\0"), ..instance(100) };
    let bytes = |auth_type, data: &[u8; 8]| packet(GROUP, 255, &with(auth_type, *data));
    refused(&open, &bytes(3, &[0; 8]), Flaw::InvalidAuthType(3), |s| s.invalid_authtype);
    refused(&open, &bytes(1, b"s3cret\0\0"), Flaw::AuthType { theirs: 1, ours: 0 }, |s| s.authtype_mismatch);
    refused(&locked, &bytes(0, &[0; 8]), Flaw::AuthType { theirs: 0, ours: 1 }, |s| s.authtype_mismatch);
    refused(&locked, &bytes(1, b"wrong\0\0\0"), Flaw::Password, |s| s.auth_failure);
    accepted(&locked, &bytes(1, b"s3cret\0\0"));
    let mut ah = bytes(0, &[0; 8]);
    ah[9] = 51;
    refused(&open, &ah, Flaw::AuthHeader, |s| s.authtype_mismatch);
}

#[test]
fn version_2_refuses_another_interval_and_version_3_adopts_it() {
    let two = Body::V2 { auth_type: 0, adver_secs: 2, auth_data: [0; 8] };
    let flaw = Flaw::Interval { theirs: 2, ours: 1 };
    refused(&instance(100), &packet(GROUP, 255, &pdu(two, GROUP)), flaw, |s| s.advert_interval_err);
    let heard = accepted(&v3(), &packet(GROUP, 255, &pdu(Body::V3 { max_advertise: Centis(50) }, GROUP)));
    assert_eq!(heard.interval, Centis(50));
    assert_eq!(heard.flaws, [Flaw::IntervalDiffers { theirs: Centis(50), ours: Centis(100) }]);
    let heard = accepted(&v3(), &packet(GROUP, 255, &pdu(Body::V3 { max_advertise: Centis(0) }, GROUP)));
    assert_eq!(heard.interval, Centis(100), "nothing is no interval");
}

#[test]
fn checksums_are_checked_in_the_form_the_version_has() {
    for (config, body) in [(instance(100), V2), (v3(), V3)] {
        let mut changed = pdu(body, GROUP);
        changed[2] ^= 1;
        let flaw = Flaw::Checksum(config.version.number());
        refused(&config, &packet(GROUP, 255, &changed), flaw, |s| s.chk_err);
    }
}

#[test]
fn v3_checksum_as_v2_takes_both_defined_forms_and_nothing_else() {
    let config = Instance { v3_checksum_as_v2: true, ..v3() };
    let plain = emit(Family::V4, 51, 150, &[ip("10.0.0.100")], V3, Checksum::Plain);
    accepted(&config, &packet(GROUP, 255, &plain));
    accepted(&config, &packet(GROUP, 255, &pdu(V3, GROUP)));
    let mut changed = plain.clone();
    changed[2] ^= 1;
    refused(&config, &packet(GROUP, 255, &changed), Flaw::Checksum(3), |s| s.chk_err);
    refused(&v3(), &packet(GROUP, 255, &plain), Flaw::Checksum(3), |s| s.chk_err);
}

#[test]
fn the_old_unicast_checksum_is_adopted_forced_or_refused() {
    let to = [10, 0, 0, 1];
    let old = emit(Family::V4, 51, 150, &[ip("10.0.0.100")], V3, Checksum::Between(FROM.into(), GROUP.into()));
    let (old, new) = (packet(to, 255, &old), packet(to, 255, &pdu(V3, to)));
    let with = |old_unicast_checksum| Instance { old_unicast_checksum, ..unicast(false) };
    assert!(accepted(&with(OldUnicastChecksum::Auto), &old).adopt_old_checksum);
    assert!(!accepted(&with(OldUnicastChecksum::Auto), &new).adopt_old_checksum);
    accepted(&with(OldUnicastChecksum::Always), &old);
    refused(&with(OldUnicastChecksum::Always), &new, Flaw::Checksum(3), |s| s.chk_err);
    refused(&with(OldUnicastChecksum::Never), &old, Flaw::Checksum(3), |s| s.chk_err);
    refused(&v3(), &packet(GROUP, 255, &pdu(V3, to)), Flaw::Checksum(3), |s| s.chk_err);
}

#[test]
fn unicast_and_multicast_do_not_mix() {
    let to = [10, 0, 0, 1];
    refused(&v3(), &packet(to, 255, &pdu(V3, to)), Flaw::Cast { multicast: false }, |s| s.addr_list_err);
    let multicast = packet(GROUP, 255, &pdu(V3, GROUP));
    refused(&unicast(false), &multicast, Flaw::Cast { multicast: true }, |s| s.addr_list_err);
}

#[test]
fn the_source_is_checked_after_the_packet_is_counted() {
    let to = [10, 0, 0, 1];
    let from_peer = |ttl| packet(to, ttl, &pdu(V3, to));
    accepted(&unicast(true), &from_peer(100));
    let (heard, statistics) = look(&unicast(true), &from_peer(9));
    assert_eq!(heard, Err(Flaw::PeerTtl { ttl: 9, min: 10, max: 200 }));
    assert_eq!((statistics.ip_ttl_err, statistics.advert_rcvd), (1, 1));
    accepted(&unicast(false), &from_peer(9));
    let mut stranger = unicast(true);
    if let Destination::Unicast(unicast) = &mut stranger.destination {
        unicast.peers[0].address = ip("10.0.0.3");
    }
    assert_eq!(look(&stranger, &from_peer(100)).0, Err(Flaw::NotAPeer));
}

#[test]
fn an_owner_may_ignore_adverts() {
    let config = Instance { owner_ignore_adverts: true, ..instance(255) };
    let bytes = packet(GROUP, 255, &pdu(V2, GROUP));
    let (heard, statistics) = look_knowing(&config, &bytes, |expect| expect.is_owner = true);
    assert_eq!((heard, statistics), (Err(Flaw::Owner), Statistics::default()));
    accepted(&config, &bytes); // once it has lowered itself
}

#[test]
fn another_list_of_addresses_is_counted_and_accepted() {
    let config = Instance { addresses: vec![vip("10.0.0.7/24"), vip("10.0.0.100/24")], ..instance(100) };
    let bytes = packet(GROUP, 255, &pdu(V2, GROUP));
    let count = Flaw::AddressCount { theirs: 1, ours: 2 };
    let missing = Flaw::AddressMissing { address: ip("10.0.0.7"), vrid: 51 };
    let (heard, statistics) = look(&config, &bytes);
    assert_eq!(heard.unwrap().flaws, [count, missing]);
    assert_eq!((statistics.addr_list_err, statistics.advert_rcvd), (2, 1));
    let config = Instance { skip_check_adv_addr: true, ..config };
    let (heard, _) = look_knowing(&config, &bytes, |expect| expect.from_known_master = true);
    assert_eq!(heard.unwrap().flaws, [count], "the number is always compared");
    assert_eq!(look(&config, &bytes).0.unwrap().flaws, [count, missing], "another master is looked at");
}
