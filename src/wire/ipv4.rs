//! The IPv4 header, as far as a raw socket shows it (RFC 791 §3.1).

use std::net::Ipv4Addr;

use super::checksum::Sum;

/// Length of a header without options.
pub const HEADER_LEN: usize = 20;
/// IP protocol number of VRRP.
pub const PROTOCOL_VRRP: u8 = 112;
/// IP protocol number of the authentication header.
pub const PROTOCOL_AH: u8 = 51;

/// Internetwork control (CS6), what VRRP is sent with.
const TOS_CONTROL: u8 = 0xc0;

/// What matters of a received header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the header, options included: 20 to 60.
    pub header_len: usize,
    /// Bytes of the whole packet as the header says.
    pub total_len: usize,
    /// Identification.
    pub id: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
}

/// Why bytes are no IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// Shorter than its header.
    Truncated {
        /// Bytes there are.
        have: usize,
    },
    /// The version nibble is not 4.
    Version(u8),
}

impl Header {
    /// Splits a packet into its header and what follows.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        let truncated = ParseError::Truncated { have: bytes.len() };
        let Some((&fixed, _)) = bytes.split_first_chunk::<HEADER_LEN>() else { return Err(truncated) };
        let [first, _, l1, l2, i1, i2, _, _, ttl, protocol, _, _, s1, s2, s3, s4, d1, d2, d3, d4] = fixed;
        if first >> 4 != 4 {
            return Err(ParseError::Version(first >> 4));
        }
        let header_len = usize::from(first & 0x0f) * 4;
        if header_len < HEADER_LEN {
            return Err(truncated);
        }
        let (_, payload) = bytes.split_at_checked(header_len).ok_or(truncated)?;
        let header = Self {
            header_len,
            total_len: usize::from(u16::from_be_bytes([l1, l2])),
            id: u16::from_be_bytes([i1, i2]),
            ttl,
            protocol,
            source: Ipv4Addr::new(s1, s2, s3, s4),
            destination: Ipv4Addr::new(d1, d2, d3, d4),
        };
        Ok((header, payload))
    }

    /// Puts the header of an advert before `payload`: no options, no flags, CS6. The kernel fills in the checksum, as it
    /// does for every socket with IP_HDRINCL; here it is zero.
    pub fn before(source: Ipv4Addr, destination: Ipv4Addr, ttl: u8, protocol: u8, id: u16, payload: &[u8]) -> Vec<u8> {
        let total = u16::try_from(HEADER_LEN + payload.len()).unwrap_or(u16::MAX);
        let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len());
        bytes.extend_from_slice(&[0x45, TOS_CONTROL]);
        bytes.extend_from_slice(&total.to_be_bytes());
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, ttl, protocol, 0, 0]);
        bytes.extend_from_slice(&source.octets());
        bytes.extend_from_slice(&destination.octets());
        bytes.extend_from_slice(payload);
        bytes
    }

    /// The identification of a packet; 0 where there is none.
    pub fn id(packet: &[u8]) -> u16 {
        packet.get(4..6).and_then(|field| field.try_into().ok()).map_or(0, u16::from_be_bytes)
    }

    /// Changes the identification of a packet that [`Header::before`] made.
    pub fn set_id(packet: &mut [u8], id: u16) {
        if let Some(field) = packet.get_mut(4..6) {
            field.copy_from_slice(&id.to_be_bytes());
        }
    }

    /// The checksum the kernel will fill in.
    pub fn checksum(packet: &[u8]) -> u16 {
        packet.first_chunk::<HEADER_LEN>().map_or(0, |header| Sum::new().bytes(header).finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_way_there_and_back() {
        let packet = Header::before([10, 0, 0, 1].into(), [224, 0, 0, 18].into(), 255, PROTOCOL_VRRP, 7, b"abcd");
        let (header, payload) = Header::parse(&packet).unwrap();
        assert_eq!(payload, b"abcd");
        assert_eq!((header.header_len, header.total_len, header.id, header.ttl), (20, 24, 7, 255));
        assert_eq!((header.source, header.destination), ([10, 0, 0, 1].into(), [224, 0, 0, 18].into()));
    }

    #[test]
    fn options_are_skipped_and_a_header_that_is_cut_off_is_refused() {
        let mut packet = Header::before([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 1, 112, 1, b"optsdata");
        packet[0] = 0x46;
        assert_eq!(Header::parse(&packet).unwrap().1, b"data");
        packet[0] = 0x4f;
        assert_eq!(Header::parse(&packet), Err(ParseError::Truncated { have: 28 }));
        packet[0] = 0x44;
        assert_eq!(Header::parse(&packet), Err(ParseError::Truncated { have: 28 }));
        packet[0] = 0x65;
        assert_eq!(Header::parse(&packet), Err(ParseError::Version(6)));
        assert_eq!(Header::parse(&[]), Err(ParseError::Truncated { have: 0 }));
    }
}
