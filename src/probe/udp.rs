//! UDP_CHECK: one datagram; silence is well unless a reply is required (`lvs.md` §5.8).

use std::net::SocketAddr;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::check::io::{Reason, ReasonKind, Verdict};
use crate::model::checker::Udp;
use crate::probe::{connect, reason};

/// Sends a datagram and looks at what comes back: nothing, a reply, or an ICMP error.
pub async fn probe(udp: &Udp, server: SocketAddr) -> Verdict {
    let to = udp.connection.contact(server);
    let prepare = |socket: &Socket| hear_of_errors(socket, to.target.is_ipv4());
    let socket = connect::open(to, Type::DGRAM, Some(Protocol::UDP)).and_then(|socket| {
        prepare(&socket)
            .map_err(|error| connect::local("cannot hear of ICMP errors from", to.target, &error.into()))?;
        connect::send(socket, to, &udp.payload)
    });
    let socket = match socket {
        Ok(socket) => socket,
        // keepalived: trouble of this machine counts as a failure of this check.
        Err(Verdict::Local(reason)) => return Verdict::Fail(reason),
        Err(verdict) => return verdict,
    };
    match timeout(to.connection.timeout, reply(&socket, udp)).await {
        Err(_) if udp.require_reply => Verdict::Fail(reason(ReasonKind::Timeout, "no reply in time")),
        Err(_) => Verdict::Pass,
        Ok(ended) => super::verdict(ended),
    }
}

/// Without it, only port unreachable would be heard of.
fn hear_of_errors(socket: &Socket, is_v4: bool) -> nix::Result<()> {
    match is_v4 {
        true => setsockopt(socket, sockopt::Ipv4RecvErr, &true),
        false => setsockopt(socket, sockopt::Ipv6RecvErr, &true),
    }
}

async fn reply(socket: &UdpSocket, udp: &Udp) -> Result<(), Reason> {
    // One byte more shows that a reply is too long.
    let mut space = vec![0; usize::from(*udp.reply_length.end()) + 1];
    loop {
        match connect::receive(socket, &mut space).await {
            Ok(len) => return judge(udp, &space[..len]),
            Err(error) => {
                // keepalived: only destination unreachable is a failure; a path that got narrower, say, is none.
                if let kind @ (ReasonKind::Refused | ReasonKind::Unreachable) = connect::kind(&error) {
                    return Err(reason(kind, connect::text(&error)));
                }
            }
        }
    }
}

/// Whether a reply is as long as it should be, and begins as it should.
pub fn judge(udp: &Udp, reply: &[u8]) -> Result<(), Reason> {
    let (min, max) = (usize::from(*udp.reply_length.start()), usize::from(*udp.reply_length.end()));
    let len = reply.len();
    if len > max {
        return Err(reason(ReasonKind::Mismatch, format_args!("a reply of more than {max} bytes")));
    }
    if len < min {
        return Err(reason(ReasonKind::Mismatch, format_args!("a reply of {len} bytes, at least {min} expected")));
    }
    let differs = |(&byte, &(wanted, mask)): (&u8, &(u8, u8))| (byte ^ wanted) & mask != 0;
    match reply.iter().zip(&*udp.reply).position(differs) {
        Some(at) => {
            let text = format_args!("reply data mismatch: byte {at} is {:#04x}", reply[at]);
            Err(reason(ReasonKind::Mismatch, text))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::checker::Connection;
    use crate::time::Duration;

    fn udp(reply: &[(u8, u8)], reply_length: std::ops::RangeInclusive<u16>) -> Udp {
        let connection = Connection::within(Duration::from_secs(1));
        Udp { connection, payload: [1].into(), require_reply: true, reply: reply.into(), reply_length }
    }

    #[test]
    fn the_bits_that_count_must_be_the_same_as_far_as_the_reply_goes() {
        let wanted = udp(&[(0x12, 0xff), (0x30, 0xf0), (0, 0)], 0..=255);
        for good in [&[0x12, 0x3f, 0x99][..], &[0x12, 0x30, 0, 1, 2], &[0x12], &[]] {
            assert_eq!(judge(&wanted, good), Ok(()), "{good:?}");
        }
        let reason = judge(&wanted, &[0x12, 0x40]).unwrap_err();
        assert_eq!((reason.kind, &*reason.detail), (ReasonKind::Mismatch, "reply data mismatch: byte 1 is 0x40"));
    }

    #[test]
    fn the_length_always_counts() {
        assert_eq!(judge(&udp(&[], 2..=3), b"ab"), Ok(()));
        assert_eq!(&*judge(&udp(&[], 2..=3), b"a").unwrap_err().detail, "a reply of 1 bytes, at least 2 expected");
        assert_eq!(&*judge(&udp(&[], 2..=3), b"abcd").unwrap_err().detail, "a reply of more than 3 bytes");
    }
}
