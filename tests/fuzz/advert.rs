//! VRRP adverts and IPv4 headers: parse, emit, parse gives what was there.
#![no_main]

use std::net::IpAddr;

use keepalived_rs::addr::Family;
use keepalived_rs::wire::ipv4::Header;
use keepalived_rs::wire::vrrp::{self, Advert, Body, Checksum, TYPE_ADVERTISEMENT};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = vrrp::vrid(data);
    for (family, header_len) in [(Family::V4, 20), (Family::V6, 0)] {
        if let Ok(advert) = Advert::parse(family, header_len, data) {
            there_and_back(&advert, family, header_len);
        }
    }
    if let Ok((header, payload)) = Header::parse(data) {
        let packet =
            Header::before(header.source, header.destination, header.ttl, header.protocol, header.id, payload);
        if packet.len() <= usize::from(u16::MAX) {
            let (again, same) = Header::parse(&packet).expect("our own header");
            assert_eq!(same, payload);
            assert_eq!((again.source, again.destination, again.ttl), (header.source, header.destination, header.ttl));
            assert_eq!((again.protocol, again.id, again.total_len), (header.protocol, header.id, packet.len()));
        }
        let _ = Advert::parse(Family::V4, header.header_len, payload);
    }
});

fn there_and_back(advert: &Advert<'_>, family: Family, header_len: usize) {
    let addresses: Vec<IpAddr> = advert.addresses().collect();
    assert_eq!(addresses.len(), usize::from(advert.count));
    let body = match advert.version {
        2 => {
            let mut auth_data = [0; vrrp::AUTH_LEN];
            auth_data[..advert.auth_data().len()].copy_from_slice(advert.auth_data());
            Body::V2 { auth_type: advert.auth_type(), adver_secs: advert.adver_secs(), auth_data }
        }
        3 => Body::V3 { max_advertise: advert.max_advertise() },
        _ => return,
    };
    if advert.kind != TYPE_ADVERTISEMENT {
        return;
    }
    let bytes = vrrp::emit(family, advert.vrid, advert.priority, &addresses, body, Checksum::Plain);
    let again = Advert::parse(family, header_len, &bytes).expect("our own advert");
    assert!(again.checksum_holds());
    // Everything but the checksum, and the reserved bits of version 3.
    let mut theirs = advert.pdu().to_vec();
    theirs[6..8].copy_from_slice(&bytes[6..8]);
    if advert.version == 3 {
        theirs[4] &= 0x0f;
    }
    assert_eq!(bytes, theirs);
    for (source, destination) in [("10.0.0.1", "224.0.0.18"), ("fe80::1", "ff02::12")] {
        let (source, destination): (IpAddr, IpAddr) = (source.parse().unwrap(), destination.parse().unwrap());
        let sum = Checksum::Between(source, destination);
        let bytes = vrrp::emit(family, advert.vrid, advert.priority, &addresses, body, sum);
        let again = Advert::parse(family, header_len, &bytes).expect("our own advert");
        assert!(again.checksum_holds_between(source, destination));
    }
}
