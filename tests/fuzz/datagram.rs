//! Datagrams that answer DNS_CHECK, UDP_CHECK and PING_CHECK; questions with any name.
#![no_main]

use keepalived_rs::model::checker::{Connection, Dns, Udp};
use keepalived_rs::probe::ping::Echo;
use keepalived_rs::probe::{dns, udp};

const CONNECTION: Connection = Connection::within(std::time::Duration::from_secs(1));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [high, low, data @ ..] = data else { return };
    let id = u16::from_be_bytes([*high, *low]);
    if let Some(Ok(())) = dns::judge(id, data) {
        assert_eq!((data[0], data[1], data[3] & 0x0f), (*high, *low, 0));
    }
    for is_v6 in [false, true] {
        for own in [None, Some(id)] {
            let _ = Echo { is_v6, id: own, sequence: id }.judge(data);
        }
    }
    let wanted = Udp {
        connection: CONNECTION,
        payload: [].into(),
        require_reply: true,
        reply: data.iter().map(|&byte| (byte, *low)).collect(),
        reply_length: 0..=u16::from(*high),
    };
    assert_eq!(udp::judge(&wanted, data).is_ok(), data.len() <= usize::from(*high));
    if let Ok(name) = std::str::from_utf8(data) {
        let question = Dns { connection: CONNECTION, record_type: id, name: name.into() };
        if let Some(bytes) = dns::query(id, &question) {
            assert!(bytes.len() <= 12 + 255 + 4 && bytes.ends_with(&[*high, *low, 0, 1]));
        }
    }
});
