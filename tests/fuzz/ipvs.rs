//! What the kernel tells of IPVS: parse and emit, and what was emitted is emitted again.
#![no_main]

use keepalived_rs::addr::Family;
use keepalived_rs::wire::genl::{ControllerAttribute, GenlMessage};
use keepalived_rs::wire::ipvs::info::InfoAttribute;
use keepalived_rs::wire::ipvs::message::IpvsAttribute;
use keepalived_rs::wire::ipvs::{daemon, dest, service};
use rtnetlink::packet_core::Emitable;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(message) = GenlMessage::<ControllerAttribute>::parse(data) {
        let _ = message.family_id();
    }
    if let Ok(message) = GenlMessage::<InfoAttribute>::parse(data) {
        let _ = message.ipvs_version();
    }
    let Ok(message) = GenlMessage::<IpvsAttribute>::parse(data) else { return };
    let _ = message.service_attributes().and_then(service::service);
    let _ = message.daemon_attributes().and_then(daemon::daemon);
    let _ = message.timeouts();
    for family in [Family::V4, Family::V6] {
        let _ = message.dest_attributes().and_then(|attributes| dest::dest(family, attributes));
    }
    let bytes = emitted(&message);
    let again = GenlMessage::<IpvsAttribute>::parse(&bytes).expect("our own message");
    assert_eq!(emitted(&again), bytes);
});

fn emitted(message: &GenlMessage<IpvsAttribute>) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}
