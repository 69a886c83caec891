//! The plain host: asks the virtual addresses for an answer many times a second, and tells who gives it.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{LinkAddr, SockaddrStorage, recvfrom};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

use crate::wire::checksum::Sum;

/// Between two questions.
pub(super) const INTERVAL: Duration = Duration::from_millis(20);

/// Longer without an answer than this is an interruption.
const PATIENCE: Duration = Duration::from_millis(100);

/// What the host has to tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Told {
    /// An address answers, from this hardware address.
    Answers(IpAddr, [u8; 6]),
    /// An address has not answered for a moment.
    Silent(IpAddr),
    /// It answers again: so many questions went unanswered, over so many milliseconds.
    Back { address: IpAddr, lost: u32, milliseconds: u64 },
}

/// One address that is asked.
struct Asked {
    socket: Socket,
    sequence: u16,
    last_answer: Option<(Instant, u16)>,
    mac: Option<[u8; 6]>,
    silent: bool,
}

/// Asks until nobody listens any more.
pub(super) fn run(addresses: &[IpAddr]) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("cannot ask the virtual addresses: {e}");
    let all_frames = Protocol::from(i32::from((libc::ETH_P_ALL as u16).to_be()));
    let ear = Socket::new(Domain::PACKET, Type::DGRAM, Some(all_frames)).map_err(failed)?;
    ear.set_nonblocking(true).map_err(failed)?;
    let mut asked = BTreeMap::new();
    for address in addresses {
        let (domain, protocol) = match address {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW, Some(protocol)).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        asked.insert(*address, Asked::new(socket));
    }
    let mut next = Instant::now();
    loop {
        let wait = next.saturating_duration_since(Instant::now());
        let mut ready = [PollFd::new(std::os::fd::AsFd::as_fd(&ear), PollFlags::POLLIN)];
        let _ = poll(&mut ready, PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO));
        let mut told = Vec::new();
        hear(&ear, &mut asked, &mut told);
        if Instant::now() >= next {
            next += INTERVAL;
            asked.iter_mut().for_each(|(address, asked)| asked.ask(*address, &mut told));
        }
        for told in told {
            let line = serde_json::to_string(&told).map_err(|e| e.to_string())?;
            if writeln!(std::io::stdout(), "{line}").is_err() {
                return Ok(());
            }
        }
    }
}

impl Asked {
    fn new(socket: Socket) -> Self {
        Self { socket, sequence: 0, last_answer: None, mac: None, silent: false }
    }

    fn ask(&mut self, address: IpAddr, told: &mut Vec<Told>) {
        self.sequence = self.sequence.wrapping_add(1);
        let [high, low] = self.sequence.to_be_bytes();
        let mut echo = vec![if address.is_ipv4() { 8 } else { 128 }, 0, 0, 0, b'k', b'a', high, low];
        if address.is_ipv4() {
            // For ICMPv6 the kernel does this.
            let sum = Sum::new().bytes(&echo).finish();
            echo[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        // Nobody may be there; that is what this is about.
        let _ = self.socket.send_to(&echo, &SocketAddr::new(address, 0).into());
        // Nothing is read from it: the answers come through the ear, with the hardware address.
        let _ = self.socket.recv(&mut [std::mem::MaybeUninit::uninit(); 256]);
        if let Some((at, _)) = self.last_answer
            && !self.silent
            && at.elapsed() > PATIENCE
        {
            self.silent = true;
            told.push(Told::Silent(address));
        }
    }

    fn answer(&mut self, address: IpAddr, sequence: u16, mac: [u8; 6], told: &mut Vec<Told>) {
        let now = Instant::now();
        if let Some((at, last)) = self.last_answer
            && self.silent
        {
            let lost = u32::from(sequence.wrapping_sub(last).saturating_sub(1));
            let milliseconds = u64::try_from((now - at).as_millis()).unwrap_or(u64::MAX);
            told.push(Told::Back { address, lost, milliseconds });
        }
        if self.mac != Some(mac) {
            self.mac = Some(mac);
            told.push(Told::Answers(address, mac));
        }
        self.silent = false;
        self.last_answer = Some((now, sequence));
    }
}

/// Takes the answers that have come.
fn hear(ear: &Socket, asked: &mut BTreeMap<IpAddr, Asked>, told: &mut Vec<Told>) {
    let mut bytes = [0; 512];
    while let Ok((length, from)) = recvfrom::<SockaddrStorage>(ear.as_raw_fd(), &mut bytes) {
        let mac = from.as_ref().and_then(SockaddrStorage::as_link_addr).and_then(LinkAddr::addr);
        if let (Some(mac), Some((source, sequence))) = (mac, echo_reply(&bytes[..length]))
            && let Some(asked) = asked.get_mut(&source)
        {
            asked.answer(source, sequence, mac, told);
        }
    }
}

/// Who sent this answer to one of our questions, and to which.
fn echo_reply(packet: &[u8]) -> Option<(IpAddr, u16)> {
    let (source, kind, icmp): (IpAddr, u8, &[u8]) = match *packet.first()? >> 4 {
        4 if packet.get(9) == Some(&1) => {
            let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
            (source.into(), 0, packet.get(usize::from(packet[0] & 15) * 4..)?)
        }
        6 if packet.get(6) == Some(&58) => {
            let source: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
            (source.into(), 129, packet.get(40..)?)
        }
        _ => return None,
    };
    match *icmp {
        [found, 0, _, _, b'k', b'a', high, low, ..] if found == kind => Some((source, u16::from_be_bytes([high, low]))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_from_a_question() {
        let mut packet = vec![0x45; 20];
        packet[9] = 1;
        packet[12..16].copy_from_slice(&[10, 0, 0, 9]);
        let reply = [packet.clone(), vec![0, 0, 0, 0, b'k', b'a', 1, 2]].concat();
        assert_eq!(echo_reply(&reply), Some(("10.0.0.9".parse().unwrap(), 0x102)));
        let request = [packet, vec![8, 0, 0, 0, b'k', b'a', 1, 2]].concat();
        assert_eq!(echo_reply(&request), None);
        assert_eq!(echo_reply(&[]), None);
    }
}
