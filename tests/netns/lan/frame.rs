//! Captured frames, read independently of the library's own codecs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// A frame as a host of the LAN sent it.
#[derive(Clone)]
pub(crate) struct Frame {
    /// Since the Unix epoch, by the kernel's clock when it took the frame.
    pub(crate) at: Duration,
    /// The host that sent it.
    pub(crate) from: char,
    /// From the Ethernet header on.
    pub(crate) bytes: Vec<u8>,
}

/// What matters of an advertisement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Advert {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) version: u8,
    pub(crate) vrid: u8,
    pub(crate) priority: u8,
}

impl Frame {
    fn ethertype(&self) -> u16 {
        u16::from_be_bytes([self.bytes[12], self.bytes[13]])
    }

    /// The frame as an advertisement, if it is one.
    pub(crate) fn advert(&self) -> Option<Advert> {
        let ip = self.bytes.get(14..)?;
        let (source, destination, vrrp): (IpAddr, IpAddr, &[u8]) = match self.ethertype() {
            0x0800 if ip.len() >= 20 && ip[9] == 112 => {
                let header = usize::from(ip[0] & 15) * 4;
                (v4(&ip[12..16]).into(), v4(&ip[16..20]).into(), ip.get(header..)?)
            }
            0x86dd if ip.len() >= 40 && ip[6] == 112 => (v6(&ip[8..24]).into(), v6(&ip[24..40]).into(), &ip[40..]),
            _ => return None,
        };
        let [version_type, vrid, priority, ..] = *vrrp else { return None };
        Some(Advert { source, destination, version: version_type >> 4, vrid, priority })
    }

    /// The address that a gratuitous ARP or an unsolicited NA announces, and the hardware address it gives.
    pub(crate) fn announcement(&self) -> Option<(IpAddr, [u8; 6])> {
        let body = self.bytes.get(14..)?;
        match self.ethertype() {
            0x0806 if body.len() >= 28 && body[14..18] == body[24..28] => {
                Some((v4(&body[14..18]).into(), body[8..14].try_into().ok()?))
            }
            0x86dd if body.len() >= 72 && body[6] == 58 && body[40] == 136 && body[64] == 2 => {
                Some((v6(&body[48..64]).into(), body[66..72].try_into().ok()?))
            }
            _ => None,
        }
    }

    /// The frame as hexadecimal text, with the parts that legitimately differ between two runs as `?`: the IPv6 flow
    /// label, which the kernel draws.
    pub(crate) fn comparable(&self) -> String {
        let mut text: String = self.bytes.iter().map(|b| format!("{b:02x}")).collect();
        if self.ethertype() == 0x86dd {
            text.replace_range(31..36, "?????");
        }
        text
    }
}

impl Frame {
    /// [`Self::comparable`] without the IPv4 identification and the header checksum that covers it.
    pub(crate) fn comparable_apart_from_its_number(&self) -> String {
        let mut text = self.comparable();
        if self.ethertype() == 0x0800 {
            text.replace_range(36..40, "????");
            text.replace_range(48..52, "????");
        }
        text
    }
}

fn v4(bytes: &[u8]) -> Ipv4Addr {
    Ipv4Addr::from(<[u8; 4]>::try_from(bytes).expect("four bytes"))
}

fn v6(bytes: &[u8]) -> Ipv6Addr {
    Ipv6Addr::from(<[u8; 16]>::try_from(bytes).expect("sixteen bytes"))
}
