//! Names and addresses of the link and network layers, as small `Copy` values.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An interface name: 1 to 15 bytes, none of them blank or `/` (the kernel's `dev_valid_name`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IfName {
    len: u8,
    bytes: [u8; 15],
}

/// Why a text is no interface name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IfNameError {
    /// It has no characters.
    #[error("an interface name has at least one character")]
    Empty,
    /// It is longer than the kernel's 15 bytes.
    #[error("an interface name has at most 15 bytes")]
    TooLong,
    /// It is `.` or `..`, or holds a blank, a `/`, a `:` or a control character.
    #[error("an interface name has no blank, `/`, `:` or control character, and is not `.` or `..`")]
    BadCharacter,
}

impl IfName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("made from a str and never changed")
    }
}

impl FromStr for IfName {
    type Err = IfNameError;
    fn from_str(text: &str) -> Result<Self, IfNameError> {
        if text.is_empty() {
            return Err(IfNameError::Empty);
        }
        if text.len() > 15 {
            return Err(IfNameError::TooLong);
        }
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == ':';
        if text == "." || text == ".." || text.contains(bad) {
            return Err(IfNameError::BadCharacter);
        }
        let mut bytes = [0; 15];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { len: text.len() as u8, bytes })
    }
}

impl TryFrom<String> for IfName {
    type Error = IfNameError;
    fn try_from(text: String) -> Result<Self, IfNameError> {
        text.parse()
    }
}

impl From<IfName> for String {
    fn from(name: IfName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// The kernel's number of an interface in this network namespace; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(pub u32);

/// An Ethernet address.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// ff:ff:ff:ff:ff:ff
    pub const BROADCAST: Self = Self([0xff; 6]);
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Bits in an address: 32 or 128.
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// Bytes in an address: 4 or 16.
    pub const fn octets(self) -> usize {
        self.bits() as usize / 8
    }
}

/// An address with its prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cidr {
    /// The address itself, host bits kept.
    pub address: IpAddr,
    /// Prefix length, 0 to 32 or 128.
    pub prefix: u8,
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_follow_the_kernels_rules() {
        assert_eq!("eth0".parse::<IfName>().map(|n| n.to_string()), Ok("eth0".to_owned()));
        assert_eq!("".parse::<IfName>(), Err(IfNameError::Empty));
        assert_eq!("a234567890123456".parse::<IfName>(), Err(IfNameError::TooLong));
        assert_eq!("a/b".parse::<IfName>(), Err(IfNameError::BadCharacter));
        assert_eq!("..".parse::<IfName>(), Err(IfNameError::BadCharacter));
    }
}
