//! Gratuitous ARP and unsolicited NA as frames, through one packet socket.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use nix::net::if_::if_indextoname;
use socket2::{Domain, Socket, Type};

use super::clock;
use super::mmsg::{Destination, Outgoing, SendBatch, set_send_buffer};
use crate::addr::IfIndex;
use crate::time::{Duration, Instant};
use crate::vrrp::io::Announcement;
use crate::wire::{arp, ndisc};

const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;
/// keepalived: the forwarding setting is read again at most this often.
const FORWARDING_AGE: Duration = Duration::from_secs(5);

/// Sends announcements.
#[derive(Debug)]
pub(crate) struct Announcer {
    socket: OwnedFd,
    batch: SendBatch,
    frames: Vec<Frame>,
    forwarding: BTreeMap<IfIndex, (Instant, bool)>,
}

#[derive(Debug)]
enum Frame {
    Arp([u8; 42]),
    Advertisement([u8; 86]),
}

impl Announcer {
    /// Opens the packet socket. It is bound to no protocol, so nothing ever comes in by it.
    pub(crate) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), None)?;
        set_send_buffer(&socket)?;
        let (batch, frames, forwarding) = (SendBatch::default(), Vec::new(), BTreeMap::new());
        Ok(Self { socket: socket.into(), batch, frames, forwarding })
    }

    /// Sends announcements, in order and together; `failed` hears of each that could not be sent, and its errno.
    pub(crate) fn send(&mut self, announcements: &[Announcement], mut failed: impl FnMut(&Announcement, i32)) {
        if announcements.is_empty() {
            return;
        }
        self.frames.clear();
        for one in announcements {
            let frame = match one.address {
                IpAddr::V4(address) => Frame::Arp(arp::gratuitous(one.mac, one.broadcast, address)),
                IpAddr::V6(address) => {
                    let router = self.forwards(one.link);
                    Frame::Advertisement(ndisc::unsolicited(one.mac, address, router))
                }
            };
            self.frames.push(frame);
        }
        let messages = announcements.iter().zip(&self.frames).map(|(one, frame)| {
            let (protocol, bytes) = match frame {
                Frame::Arp(bytes) => (ETH_P_ARP, &bytes[..]),
                Frame::Advertisement(bytes) => (ETH_P_IPV6, &bytes[..]),
            };
            Outgoing { to: Destination::Frame(one.link, protocol), control: None, bytes }
        });
        self.batch.send(self.socket.as_fd(), 0, messages, |index, errno| {
            if let Some(one) = announcements.get(index) {
                failed(one, errno);
            }
        });
    }

    /// Whether IPv6 is forwarded from this link: what the router flag says.
    fn forwards(&mut self, link: IfIndex) -> bool {
        let now = clock::now();
        match self.forwarding.get(&link) {
            Some((read, forwards)) if now.since(*read) < FORWARDING_AGE => *forwards,
            _ => {
                let forwards = read_forwarding(link);
                self.forwarding.insert(link, (now, forwards));
                forwards
            }
        }
    }
}

/// keepalived: what cannot be read counts as forwarding.
fn read_forwarding(link: IfIndex) -> bool {
    let Ok(name) = if_indextoname(link.0) else { return true };
    let path = format!("/proc/sys/net/ipv6/conf/{}/forwarding", name.to_string_lossy());
    std::fs::read_to_string(path).map_or(true, |text| text.trim() != "0")
}
