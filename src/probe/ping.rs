//! PING_CHECK: one echo request over an ICMP datagram socket, else a raw one (`lvs.md` §5.9).

use std::net::{IpAddr, SocketAddr};

use pnet::util::checksum;
use socket2::{Protocol, Type};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::check::io::{Reason, ReasonKind, Verdict};
use crate::model::checker::Connection;
use crate::probe::connect::{self, Contact};
use crate::probe::reason;

const HEADER_LEN: usize = 8;
const DATA_LEN: usize = 128;
/// keepalived's text, repeated.
const TEXT: &[u8] = b"keepalived check - ";
/// Longest header of an IPv4 packet, which a raw socket shows.
const MAX_IPV4_HEADER: usize = 60;

/// An echo request and what answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// IPv6, else IPv4.
    pub is_v6: bool,
    /// Its identifier; none where the kernel chooses one and sorts answers by it.
    pub id: Option<u16>,
    /// Its sequence number.
    pub sequence: u16,
}

/// Sends an echo request and waits for its reply. `id` serves where the kernel does not choose one.
pub async fn probe(to: Contact<'_>, sequence: u16, id: u16) -> Verdict {
    let is_v6 = to.target.is_ipv6();
    let protocol = Some(if is_v6 { Protocol::ICMPV6 } else { Protocol::ICMPV4 });
    let mut echo = Echo { is_v6, id: None, sequence };
    // A port means nothing here, and would be taken for the identifier.
    let target = SocketAddr::new(to.target.ip(), 0);
    let to = Contact { target, connection: &Connection { bind_port: None, ..to.connection.clone() } };
    let mut socket = connect::open(to, Type::DGRAM, protocol);
    if socket.is_err() {
        // Our group is not in net.ipv4.ping_group_range, or the kernel has no such sockets.
        if let Ok(raw) = connect::open(to, Type::RAW, protocol) {
            socket = Ok(raw);
            echo.id = Some(id);
        }
    }
    let socket = match socket.and_then(|socket| connect::send(socket, to, &echo.request())) {
        Ok(socket) => socket,
        Err(verdict) => return verdict,
    };
    match timeout(to.connection.timeout, reply(&socket, echo, to.target.ip())).await {
        Err(_) => Verdict::Fail(reason(ReasonKind::Timeout, "no reply in time")),
        Ok(ended) => super::verdict(ended),
    }
}

async fn reply(socket: &UdpSocket, echo: Echo, server: IpAddr) -> Result<(), Reason> {
    loop {
        let mut space = [0; MAX_IPV4_HEADER + HEADER_LEN + DATA_LEN];
        match connect::receive_from(socket, &mut space).await {
            Ok((len, from)) => {
                // Anybody may send us a reply; only the server's counts.
                if from.is_none_or(|from| from == server)
                    && let Some(judged) = echo.judge(&space[..len])
                {
                    return judged;
                }
            }
            Err(error) => return Err(connect::broken("read", &error)),
        }
    }
}

impl Echo {
    /// The request. The kernel fills in what it chooses.
    pub fn request(&self) -> Vec<u8> {
        const ECHO_REQUEST: u8 = 8;
        const ECHO_REQUEST_V6: u8 = 128;
        let mut bytes = Vec::with_capacity(HEADER_LEN + DATA_LEN);
        bytes.extend([if self.is_v6 { ECHO_REQUEST_V6 } else { ECHO_REQUEST }, 0, 0, 0]);
        bytes.extend(self.id.unwrap_or(0).to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(TEXT.iter().cycle().take(DATA_LEN));
        if !self.is_v6 {
            let sum = checksum(&bytes, 1).to_be_bytes();
            bytes[2..4].copy_from_slice(&sum);
        }
        bytes
    }

    /// What a message says about this request; none where it is none of ours, and waiting goes on. Of a socket that has
    /// an identifier of its own all that comes is ours.
    // keepalived: there, anything but the reply fails the check.
    pub fn judge(&self, message: &[u8]) -> Option<Result<(), Reason>> {
        const ECHO_REPLY: u8 = 0;
        const ECHO_REPLY_V6: u8 = 129;
        let message = if self.id.is_some() && !self.is_v6 { behind_ipv4(message)? } else { message };
        let malformed = |text: &str| Some(Err(reason(ReasonKind::Mismatch, text)));
        let Some(&[kind, _, _, _, id_high, id_low, high, low]) = message.first_chunk::<HEADER_LEN>() else {
            return if self.id.is_some() { None } else { malformed("a short message") };
        };
        let is_reply = kind == if self.is_v6 { ECHO_REPLY_V6 } else { ECHO_REPLY };
        if let Some(id) = self.id
            && !(is_reply && u16::from_be_bytes([id_high, id_low]) == id)
        {
            return None;
        }
        if !is_reply {
            return malformed("not an echo reply");
        }
        match u16::from_be_bytes([high, low]) {
            sequence if sequence == self.sequence => Some(Ok(())),
            sequence => {
                let text = format_args!("reply {sequence} instead of {}", self.sequence);
                Some(Err(reason(ReasonKind::Mismatch, text)))
            }
        }
    }
}

fn behind_ipv4(packet: &[u8]) -> Option<&[u8]> {
    let header_len = usize::from(packet.first()? & 0x0f) * 4;
    packet.get(header_len..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: Echo = Echo { is_v6: false, id: None, sequence: 0x0102 };

    fn reply(kind: u8, id: u16, sequence: u16) -> Vec<u8> {
        [&[kind, 0, 0, 0], &id.to_be_bytes()[..], &sequence.to_be_bytes()].concat()
    }

    fn judge(echo: Echo, message: &[u8]) -> Option<Result<(), String>> {
        echo.judge(message).map(|judged| judged.map_err(|reason| reason.detail.to_string()))
    }

    #[test]
    fn a_request_is_keepaliveds() {
        let bytes = V4.request();
        assert_eq!(bytes.len(), 136);
        assert_eq!((&bytes[..2], &bytes[4..8]), (&[8, 0][..], &[0, 0, 1, 2][..]));
        assert_eq!(&bytes[8..30], b"keepalived check - kee");
        // A right checksum makes the sum of all words zero.
        assert_eq!(checksum(&bytes, usize::MAX), 0);
        assert_eq!(Echo { is_v6: true, ..V4 }.request()[0], 128);
    }

    #[test]
    fn only_the_reply_with_our_number_is_well() {
        assert_eq!(judge(V4, &reply(0, 9, 0x0102)), Some(Ok(())));
        assert_eq!(judge(V4, &reply(0, 9, 1)), Some(Err("reply 1 instead of 258".into())));
        assert_eq!(judge(V4, &reply(8, 9, 0x0102)), Some(Err("not an echo reply".into())));
        assert_eq!(judge(V4, &[0; 7]), Some(Err("a short message".into())));
        assert_eq!(judge(Echo { is_v6: true, ..V4 }, &reply(129, 9, 0x0102)), Some(Ok(())));
    }

    #[test]
    fn a_raw_socket_hears_what_is_not_for_us() {
        let raw = Echo { id: Some(7), ..V4 };
        let packet = |message: &[u8]| [&[0x46][..], &[0; 23], message].concat();
        assert_eq!(judge(raw, &packet(&reply(0, 7, 0x0102))), Some(Ok(())));
        assert_eq!(judge(raw, &packet(&reply(0, 8, 0x0102))), None);
        assert_eq!(judge(raw, &packet(&reply(8, 7, 0x0102))), None);
        assert_eq!(judge(raw, &packet(&[0])), None);
        assert_eq!(judge(raw, &[0x4f, 0]), None);
        assert_eq!(judge(raw, &[]), None);
    }
}
