//! VRRP advertisements, versions 2 (RFC 3768 §5) and 3 (RFC 9568 §5), over IPv4 and IPv6.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Version| Type  | Virtual Rtr ID|   Priority    |    Count      |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | v2: Auth Type | Adver Int (s) |           Checksum            |
//! | v3: 0 | Max Advertise Int (cs)|                               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                   Address 1 … Address n                       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          v2 over IPv4: 8 bytes of Authentication Data         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use std::net::IpAddr;

use super::checksum::Sum;
use super::ipv4::PROTOCOL_VRRP;
use crate::addr::Family;
use crate::time::Centis;

/// Length of what comes before the addresses.
pub const HEADER_LEN: usize = 8;
/// Length of VRRPv2's authentication data.
pub const AUTH_LEN: usize = 8;
/// The only packet type there is.
pub const TYPE_ADVERTISEMENT: u8 = 1;
/// An Ethernet frame carries at least this many bytes; shorter packets arrive padded.
const ETHERNET_MIN_PAYLOAD: usize = 46;

/// An advert as it stands in a buffer. Its length fits its address count; every field may still be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert<'a> {
    /// Version nibble.
    pub version: u8,
    /// Type nibble.
    pub kind: u8,
    /// Virtual router.
    pub vrid: u8,
    /// 0 gives up, 255 owns the addresses.
    pub priority: u8,
    /// Number of addresses.
    pub count: u8,
    /// Bytes 4 and 5: see [`Advert::auth_type`], [`Advert::adver_secs`], [`Advert::max_advertise`].
    interval: [u8; 2],
    family: Family,
    addresses: &'a [u8],
    auth: &'a [u8],
    pdu: &'a [u8],
}

/// Why bytes are no advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// Less than a header.
    Truncated {
        /// Bytes there are.
        have: usize,
    },
    /// The length does not fit the number of addresses (MIB packetLengthErrors).
    Length {
        /// Bytes there are, IP header included.
        have: usize,
        /// Bytes there should be.
        expected: usize,
    },
}

/// The VRID of a payload, however broken the rest is.
pub fn vrid(payload: &[u8]) -> Option<u8> {
    payload.first_chunk::<HEADER_LEN>().map(|header| header[1])
}

/// Whether `have` bytes are `expected` bytes that a network card padded to the Ethernet minimum.
pub const fn is_padded(have: usize, expected: usize) -> bool {
    // keepalived: the remainder 2 is what 46 - 20 - 8 - 4n leaves
    expected < ETHERNET_MIN_PAYLOAD && have > expected && (have - expected) % 4 == 2
}

impl<'a> Advert<'a> {
    /// Parses a payload that came behind `ip_header_len` bytes of IP header (0 for IPv6).
    pub fn parse(family: Family, ip_header_len: usize, payload: &'a [u8]) -> Result<Self, ParseError> {
        let Some((&header, rest)) = payload.split_first_chunk::<HEADER_LEN>() else {
            return Err(ParseError::Truncated { have: payload.len() });
        };
        let [version_type, vrid, priority, count, high, low, _, _] = header;
        let version = version_type >> 4;
        let auth_len = if version == 2 && family == Family::V4 { AUTH_LEN } else { 0 };
        let addresses_len = usize::from(count) * family.octets();
        let need = HEADER_LEN + addresses_len + auth_len;
        let (have, expected) = (ip_header_len + payload.len(), ip_header_len + need);
        if have != expected && !is_padded(have, expected) {
            return Err(ParseError::Length { have, expected });
        }
        let length = ParseError::Length { have, expected };
        let pdu = payload.get(..need).ok_or(length)?;
        let (addresses, rest) = rest.split_at_checked(addresses_len).ok_or(length)?;
        let auth = rest.get(..auth_len).ok_or(length)?;
        let kind = version_type & 0x0f;
        Ok(Self { version, kind, vrid, priority, count, interval: [high, low], family, addresses, auth, pdu })
    }

    /// VRRPv2: authentication type.
    pub const fn auth_type(&self) -> u8 {
        self.interval[0]
    }

    /// VRRPv2: advertisement interval in seconds.
    pub const fn adver_secs(&self) -> u8 {
        self.interval[1]
    }

    /// VRRPv3: Max Advertise Interval, the reserved bits masked away.
    pub const fn max_advertise(&self) -> Centis {
        Centis(u16::from_be_bytes(self.interval) & Centis::MAX.0)
    }

    /// VRRPv2 over IPv4: the eight bytes of authentication data, else nothing.
    pub const fn auth_data(&self) -> &'a [u8] {
        self.auth
    }

    /// The advert without padding.
    pub const fn pdu(&self) -> &'a [u8] {
        self.pdu
    }

    /// The addresses in their order.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + 'a {
        let (fours, sixteens) = match self.family {
            Family::V4 => (self.addresses.as_chunks::<4>().0, [].as_slice()),
            Family::V6 => ([].as_slice(), self.addresses.as_chunks::<16>().0),
        };
        fours.iter().map(|&octets| IpAddr::from(octets)).chain(sixteens.iter().map(|&octets| IpAddr::from(octets)))
    }

    /// Whether the checksum is right without a pseudo-header.
    pub fn checksum_holds(&self) -> bool {
        Sum::new().bytes(self.pdu).finish() == 0
    }

    /// Whether the checksum is right with the pseudo-header of these addresses.
    pub fn checksum_holds_between(&self, source: IpAddr, destination: IpAddr) -> bool {
        pseudo(source, destination, self.pdu.len()).bytes(self.pdu).finish() == 0
    }
}

/// What the checksum field of a sent advert is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Zero: the kernel fills it in (IPv6).
    Kernel,
    /// Over the advert alone (VRRPv2).
    Plain,
    /// Over the pseudo-header of these addresses and the advert (VRRPv3).
    Between(IpAddr, IpAddr),
}

/// What differs between the versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// VRRPv2
    V2 {
        /// 0 none, 1 PASS, 2 AH.
        auth_type: u8,
        /// Advertisement interval in seconds.
        adver_secs: u8,
        /// Authentication data; sent over IPv4 only.
        auth_data: [u8; AUTH_LEN],
    },
    /// VRRPv3
    V3 {
        /// Max Advertise Interval.
        max_advertise: Centis,
    },
}

/// Writes an advert. At most 255 addresses of `family` are written; others are left out.
pub fn emit(family: Family, vrid: u8, priority: u8, addresses: &[IpAddr], body: Body, checksum: Checksum) -> Vec<u8> {
    let fitting = || addresses.iter().filter(|&&address| Family::of(address) == family).take(usize::from(u8::MAX));
    let count = u8::try_from(fitting().count()).unwrap_or(u8::MAX);
    let mut bytes = Vec::with_capacity(HEADER_LEN + usize::from(count) * family.octets() + AUTH_LEN);
    let (version, interval) = match body {
        Body::V2 { auth_type, adver_secs, .. } => (2, [auth_type, adver_secs]),
        Body::V3 { max_advertise } => (3, max_advertise.0.min(Centis::MAX.0).to_be_bytes()),
    };
    bytes.extend_from_slice(&[version << 4 | TYPE_ADVERTISEMENT, vrid, priority, count]);
    bytes.extend_from_slice(&interval);
    bytes.extend_from_slice(&[0, 0]);
    for address in fitting() {
        match address {
            IpAddr::V4(v4) => bytes.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => bytes.extend_from_slice(&v6.octets()),
        }
    }
    if let (Body::V2 { auth_data, .. }, Family::V4) = (body, family) {
        bytes.extend_from_slice(&auth_data);
    }
    let sum = match checksum {
        Checksum::Kernel => return bytes,
        Checksum::Plain => Sum::new(),
        Checksum::Between(source, destination) => pseudo(source, destination, bytes.len()),
    };
    let sum = sum.bytes(&bytes).finish().to_be_bytes();
    if let Some(field) = bytes.get_mut(6..8) {
        field.copy_from_slice(&sum);
    }
    bytes
}

fn pseudo(source: IpAddr, destination: IpAddr, length: usize) -> Sum {
    Sum::new().pseudo_header(source, destination, PROTOCOL_VRRP, length)
}

#[cfg(test)]
mod tests;
