//! Counters of services and destinations: `IPVS_*_ATTR_STATS` (mostly 32 bits) and `IPVS_*_ATTR_STATS64`.

use rtnetlink::packet_core::{DecodeError, DefaultNla, Nla, NlaBuffer, Parseable, parse_u32, parse_u64};

const IPVS_STATS_ATTR_CONNS: u16 = 1;
const IPVS_STATS_ATTR_INPKTS: u16 = 2;
const IPVS_STATS_ATTR_OUTPKTS: u16 = 3;
const IPVS_STATS_ATTR_INBYTES: u16 = 4;
const IPVS_STATS_ATTR_OUTBYTES: u16 = 5;
const IPVS_STATS_ATTR_CPS: u16 = 6;
const IPVS_STATS_ATTR_INPPS: u16 = 7;
const IPVS_STATS_ATTR_OUTPPS: u16 = 8;
const IPVS_STATS_ATTR_INBPS: u16 = 9;
const IPVS_STATS_ATTR_OUTBPS: u16 = 10;

/// Counters of a service or a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets to servers.
    pub in_packets: u64,
    /// Packets from servers.
    pub out_packets: u64,
    /// Bytes to servers.
    pub in_bytes: u64,
    /// Bytes from servers.
    pub out_bytes: u64,
    /// Connections per second.
    pub connections_per_second: u64,
    /// Packets per second to servers.
    pub in_packets_per_second: u64,
    /// Packets per second from servers.
    pub out_packets_per_second: u64,
    /// Bytes per second to servers.
    pub in_bytes_per_second: u64,
    /// Bytes per second from servers.
    pub out_bytes_per_second: u64,
}

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatsAttribute {
    /// A 32-bit one by its number.
    Short(u16, u32),
    /// A 64-bit one by its number.
    Long(u16, u64),
    /// Padding, and what newer kernels have.
    Other(DefaultNla),
}

impl Stats {
    /// The counters among attributes; what is not told stays 0.
    pub fn of(attributes: &[StatsAttribute]) -> Self {
        let mut stats = Self::default();
        for attribute in attributes {
            let (kind, value) = match attribute {
                StatsAttribute::Short(kind, value) => (*kind, u64::from(*value)),
                StatsAttribute::Long(kind, value) => (*kind, *value),
                StatsAttribute::Other(_) => continue,
            };
            match kind {
                IPVS_STATS_ATTR_CONNS => stats.connections = value,
                IPVS_STATS_ATTR_INPKTS => stats.in_packets = value,
                IPVS_STATS_ATTR_OUTPKTS => stats.out_packets = value,
                IPVS_STATS_ATTR_INBYTES => stats.in_bytes = value,
                IPVS_STATS_ATTR_OUTBYTES => stats.out_bytes = value,
                IPVS_STATS_ATTR_CPS => stats.connections_per_second = value,
                IPVS_STATS_ATTR_INPPS => stats.in_packets_per_second = value,
                IPVS_STATS_ATTR_OUTPPS => stats.out_packets_per_second = value,
                IPVS_STATS_ATTR_INBPS => stats.in_bytes_per_second = value,
                IPVS_STATS_ATTR_OUTBPS => stats.out_bytes_per_second = value,
                _ => {}
            }
        }
        stats
    }
}

impl Nla for StatsAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Short(..) => 4,
            Self::Long(..) => 8,
            Self::Other(attribute) => attribute.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Short(kind, _) | Self::Long(kind, _) => *kind,
            Self::Other(attribute) => attribute.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Short(_, value) => buffer.copy_from_slice(&value.to_ne_bytes()),
            Self::Long(_, value) => buffer.copy_from_slice(&value.to_ne_bytes()),
            Self::Other(attribute) => attribute.emit_value(buffer),
        }
    }
}

impl Parseable<NlaBuffer<&[u8]>> for StatsAttribute {
    /// Which are 32 and which 64 bits wide differs between the two sets, and the length says it.
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        let (kind, value) = (attribute.kind(), attribute.value());
        Ok(match (kind, value.len()) {
            (IPVS_STATS_ATTR_CONNS..=IPVS_STATS_ATTR_OUTBPS, 4) => Self::Short(kind, parse_u32(value)?),
            (IPVS_STATS_ATTR_CONNS..=IPVS_STATS_ATTR_OUTBPS, 8) => Self::Long(kind, parse_u64(value)?),
            _ => Self::Other(Parseable::parse(attribute)?),
        })
    }
}
