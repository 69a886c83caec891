//! DNS_CHECK: one question, and whether the answer's header says that all is well (`lvs.md` §5.6).
//!
//! Only the twelve bytes of the header are looked at: what records come back is not this check's business, so an answer
//! may be cut short, or be longer than what is read of it.

use std::net::SocketAddr;

use socket2::{Protocol, Type};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::check::io::{Reason, ReasonKind, Verdict};
use crate::model::checker::Dns;
use crate::probe::{connect, reason};

/// keepalived reads no more of an answer.
const MAX_REPLY: usize = 768;
const HEADER_LEN: usize = 12;
/// RFC 1035 §4.1.1: QR, the first bit of the flags.
const RESPONSE: u8 = 0x80;
/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;
const MAX_NAME: usize = 255;

/// Asks a name server; `id` should be hard to guess.
pub async fn probe(dns: &Dns, server: SocketAddr, id: u16) -> Verdict {
    let to = dns.connection.contact(server);
    let Some(query) = query(id, dns) else {
        return Verdict::Local(reason(ReasonKind::Local, format_args!("'{}' cannot be asked for", dns.name)));
    };
    let socket = match connect::datagram(to, Type::DGRAM, Some(Protocol::UDP), &query) {
        Ok(socket) => socket,
        Err(verdict) => return verdict,
    };
    match timeout(to.connection.timeout, answer(&socket, id)).await {
        Err(_) => Verdict::Fail(reason(ReasonKind::Timeout, "no answer in time")),
        Ok(ended) => super::verdict(ended),
    }
}

async fn answer(socket: &UdpSocket, id: u16) -> Result<(), Reason> {
    loop {
        let mut space = [0; MAX_REPLY];
        match connect::receive(socket, &mut space).await {
            Ok(len) => {
                if let Some(judged) = judge(id, &space[..len]) {
                    return judged;
                }
            }
            Err(error) => return Err(connect::broken("read", &error)),
        }
    }
}

/// The question as bytes (RFC 1035 §4.1); none where the name cannot be written so.
pub fn query(id: u16, dns: &Dns) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(id.to_be_bytes());
    // Recursion desired; one question.
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let name = dns.name.strip_suffix('.').unwrap_or(&dns.name);
    for label in name.split('.').filter(|_| !name.is_empty()) {
        if label.is_empty() || label.len() > MAX_LABEL {
            return None;
        }
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    if bytes.len() - HEADER_LEN > MAX_NAME {
        return None;
    }
    bytes.extend(dns.record_type.to_be_bytes());
    bytes.extend([0, 1]);
    Some(bytes)
}

/// What a datagram says about the question of this id; none where it is no answer to it, and waiting goes on.
pub fn judge(id: u16, datagram: &[u8]) -> Option<Result<(), Reason>> {
    let [first, second, flags, rcode, ..] = *datagram.first_chunk::<HEADER_LEN>()?;
    if u16::from_be_bytes([first, second]) != id || flags & RESPONSE == 0 {
        return None;
    }
    Some(match rcode & 0x0f {
        0 => Ok(()),
        rcode => Err(reason(ReasonKind::Rcode(rcode), format_args!("rcode {rcode}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::checker::Connection;
    use crate::time::Duration;

    fn dns(record_type: u16, name: &str) -> Dns {
        let connection = Connection::within(Duration::from_secs(1));
        Dns { connection, record_type, name: name.into() }
    }

    fn asked(record_type: u16, name: &str) -> Option<String> {
        query(0xbeef, &dns(record_type, name)).map(|bytes| crate::probe::http::hex(&bytes))
    }

    #[test]
    fn questions_are_keepaliveds_to_the_byte() {
        let header = "beef01000001000000000000";
        assert_eq!(asked(6, ".").unwrap(), format!("{header}0000060001"));
        let www = format!("{header}03777777076578616d706c6503636f6d0000010001");
        assert_eq!(asked(1, "www.example.com").unwrap(), www);
        assert_eq!(asked(1, "www.example.com.").unwrap(), www);
        assert_eq!(asked(28, "a.b").unwrap(), format!("{header}01610162 00 001c0001").replace(' ', ""));
    }

    #[test]
    fn a_name_that_cannot_be_asked_for_is_not() {
        assert_eq!(asked(1, "a..b"), None);
        assert_eq!(asked(1, &"x".repeat(64)), None);
        assert_eq!(asked(1, &("x".repeat(63) + ".").repeat(4)), None);
        assert!(asked(1, &"x".repeat(63)).is_some());
    }

    #[test]
    fn an_answer_has_the_same_id_and_says_that_all_is_well() {
        let reply = |id: u16, flags: u8, rcode: u8| {
            let mut bytes = [0; HEADER_LEN];
            bytes[..2].copy_from_slice(&id.to_be_bytes());
            bytes[2..4].copy_from_slice(&[flags, rcode]);
            bytes
        };
        let verdict = |bytes: &[u8]| judge(7, bytes).map(|judged| judged.map_err(|reason| reason.detail.to_string()));
        assert_eq!(verdict(&reply(7, 0x84, 0x80)), Some(Ok(())));
        assert_eq!(verdict(&reply(7, 0x80, 2)), Some(Err("rcode 2".into())));
        assert_eq!(verdict(&reply(8, 0x80, 0)), None);
        assert_eq!(verdict(&reply(7, 0x01, 0)), None);
        assert_eq!(verdict(&reply(7, 0x80, 0)[..11]), None);
        assert_eq!(verdict(&[]), None);
    }
}
