//! The Internet checksum (RFC 1071) and the pseudo-headers of IPv4 and IPv6.

use std::net::IpAddr;

/// A checksum in the making.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Nothing summed yet.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds bytes; only the last call may bring an odd number.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let (pairs, rest) = bytes.as_chunks::<2>();
        self.0 += pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum::<u64>();
        self.0 += rest.first().map_or(0, |&last| u64::from(last) << 8);
        self
    }

    /// Adds one 16-bit word.
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word as u64)
    }

    /// Adds an address.
    pub fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => self.bytes(&v4.octets()),
            IpAddr::V6(v6) => self.bytes(&v6.octets()),
        }
    }

    /// Adds the pseudo-header of an upper-layer packet (RFC 9568 §5.2.8, RFC 8200 §8.1); IPv4's and IPv6's have the
    /// same sum when the addresses are of that family.
    pub fn pseudo_header(self, source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Self {
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        self.address(source).address(destination).word(u16::from(protocol)).bytes(&length)
    }

    /// The one's complement of the folded sum: what goes into the field, and 0 over a packet whose field is right.
    pub const fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_comes_out() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::new().bytes(&bytes).finish(), !0xddf2);
    }

    #[test]
    fn an_odd_last_byte_counts_as_the_high_one() {
        assert_eq!(Sum::new().bytes(&[1]).finish(), !0x0100);
    }
}
