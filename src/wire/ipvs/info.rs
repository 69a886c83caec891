//! The answer to `IPVS_CMD_GET_INFO`, whose attributes have numbers of their own.

use rtnetlink::packet_core::{DecodeError, DefaultNla, Nla, NlaBuffer, Parseable, parse_u32};

use crate::wire::genl::GenlMessage;

const IPVS_INFO_ATTR_VERSION: u16 = 1;
const IPVS_INFO_ATTR_CONN_TAB_SIZE: u16 = 2;

/// What the kernel says of its IPVS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InfoAttribute {
    /// `IPVS_INFO_ATTR_VERSION`: 1.2.1 is 0x010201.
    Version(u32),
    /// `IPVS_INFO_ATTR_CONN_TAB_SIZE`
    ConnectionTableSize(u32),
    /// What newer kernels have.
    Other(DefaultNla),
}

impl GenlMessage<InfoAttribute> {
    /// Major, minor and patch number.
    pub fn ipvs_version(&self) -> Option<[u8; 3]> {
        self.attributes.iter().find_map(|attribute| match attribute {
            InfoAttribute::Version(version) => {
                let [_, major, minor, patch] = version.to_be_bytes();
                Some([major, minor, patch])
            }
            _ => None,
        })
    }
}

impl Nla for InfoAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Version(_) | Self::ConnectionTableSize(_) => 4,
            Self::Other(attribute) => attribute.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Version(_) => IPVS_INFO_ATTR_VERSION,
            Self::ConnectionTableSize(_) => IPVS_INFO_ATTR_CONN_TAB_SIZE,
            Self::Other(attribute) => attribute.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Version(number) | Self::ConnectionTableSize(number) => buffer.copy_from_slice(&number.to_ne_bytes()),
            Self::Other(attribute) => attribute.emit_value(buffer),
        }
    }
}

impl Parseable<NlaBuffer<&[u8]>> for InfoAttribute {
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        Ok(match attribute.kind() {
            IPVS_INFO_ATTR_VERSION => Self::Version(parse_u32(attribute.value())?),
            IPVS_INFO_ATTR_CONN_TAB_SIZE => Self::ConnectionTableSize(parse_u32(attribute.value())?),
            _ => Self::Other(Parseable::parse(attribute)?),
        })
    }
}
