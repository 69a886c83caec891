//! `IPVS_CMD_ATTR_DEST`: a destination of a service.

use rtnetlink::packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, Nla, NlaBuffer, Parseable, parse_u8, parse_u16, parse_u16_be,
    parse_u32,
};

use super::attribute::{ADDRESS_LEN, address_of, family_number, family_of, parse_union, union_of};
use super::stats::StatsAttribute;
use super::{Dest, DestKey, Forward};
use crate::addr::Family;
use crate::wire::genl::{attributes_of, put};

const IPVS_DEST_ATTR_ADDR: u16 = 1;
const IPVS_DEST_ATTR_PORT: u16 = 2;
const IPVS_DEST_ATTR_FWD_METHOD: u16 = 3;
const IPVS_DEST_ATTR_WEIGHT: u16 = 4;
const IPVS_DEST_ATTR_U_THRESH: u16 = 5;
const IPVS_DEST_ATTR_L_THRESH: u16 = 6;
const IPVS_DEST_ATTR_ACTIVE_CONNS: u16 = 7;
const IPVS_DEST_ATTR_INACT_CONNS: u16 = 8;
const IPVS_DEST_ATTR_PERSIST_CONNS: u16 = 9;
const IPVS_DEST_ATTR_STATS: u16 = 10;
const IPVS_DEST_ATTR_ADDR_FAMILY: u16 = 11;
const IPVS_DEST_ATTR_STATS64: u16 = 12;
const IPVS_DEST_ATTR_TUN_TYPE: u16 = 13;
const IPVS_DEST_ATTR_TUN_PORT: u16 = 14;
const IPVS_DEST_ATTR_TUN_FLAGS: u16 = 15;

const IP_VS_CONN_F_MASQ: u32 = 0;
const IP_VS_CONN_F_TUNNEL: u32 = 2;
const IP_VS_CONN_F_DROUTE: u32 = 3;
/// The kernel looks at these bits only.
const IP_VS_CONN_F_FWD_MASK: u32 = 7;

const IP_VS_CONN_F_TUNNEL_TYPE_IPIP: u8 = 0;
const IP_VS_CONN_F_TUNNEL_TYPE_GUE: u8 = 1;
const IP_VS_CONN_F_TUNNEL_TYPE_GRE: u8 = 2;

/// One fact about a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DestAttribute {
    /// `IPVS_DEST_ATTR_ADDR`
    Address([u8; ADDRESS_LEN]),
    /// `IPVS_DEST_ATTR_PORT`
    Port(u16),
    /// `IPVS_DEST_ATTR_FWD_METHOD`
    Method(u32),
    /// `IPVS_DEST_ATTR_WEIGHT`: the kernel refuses what is negative as an `i32`.
    Weight(u32),
    /// `IPVS_DEST_ATTR_U_THRESH`
    UpperThreshold(u32),
    /// `IPVS_DEST_ATTR_L_THRESH`
    LowerThreshold(u32),
    /// `IPVS_DEST_ATTR_ACTIVE_CONNS`
    ActiveConnections(u32),
    /// `IPVS_DEST_ATTR_INACT_CONNS`
    InactiveConnections(u32),
    /// `IPVS_DEST_ATTR_PERSIST_CONNS`
    PersistentConnections(u32),
    /// `IPVS_DEST_ATTR_STATS`
    Stats(Vec<StatsAttribute>),
    /// `IPVS_DEST_ATTR_ADDR_FAMILY`: absent or 0 is the service's.
    Family(u16),
    /// `IPVS_DEST_ATTR_STATS64`
    Stats64(Vec<StatsAttribute>),
    /// `IPVS_DEST_ATTR_TUN_TYPE`
    TunnelType(u8),
    /// `IPVS_DEST_ATTR_TUN_PORT`
    TunnelPort(u16),
    /// `IPVS_DEST_ATTR_TUN_FLAGS`
    TunnelFlags(u16),
    /// What newer kernels have.
    Other(DefaultNla),
}

/// Appends what tells a destination from the others of its service.
pub(super) fn put_key(buffer: &mut Vec<u8>, key: &DestKey) {
    put(buffer, IPVS_DEST_ATTR_ADDR_FAMILY, family_number(Family::of(key.address)).to_ne_bytes());
    put(buffer, IPVS_DEST_ATTR_ADDR, union_of(key.address));
    put(buffer, IPVS_DEST_ATTR_PORT, key.port.to_be_bytes());
}

/// Appends everything else of a destination, in keepalived's order. What only one kind of tunnel needs goes with that
/// only.
pub(super) fn put_settings(buffer: &mut Vec<u8>, dest: &Dest) {
    let (method, tunnel_type, tunnel_port, tunnel_flags) = match dest.forwarding {
        Forward::Masq => (IP_VS_CONN_F_MASQ, None, None, None),
        Forward::DirectRoute => (IP_VS_CONN_F_DROUTE, None, None, None),
        Forward::Ipip => (IP_VS_CONN_F_TUNNEL, Some(IP_VS_CONN_F_TUNNEL_TYPE_IPIP), None, None),
        Forward::Gue { port, flags } => {
            (IP_VS_CONN_F_TUNNEL, Some(IP_VS_CONN_F_TUNNEL_TYPE_GUE), Some(port), Some(flags))
        }
        Forward::Gre { flags } => (IP_VS_CONN_F_TUNNEL, Some(IP_VS_CONN_F_TUNNEL_TYPE_GRE), None, Some(flags)),
        Forward::Other(method, tunnel, port, flags) => (method, Some(tunnel), Some(port), Some(flags)),
    };
    put(buffer, IPVS_DEST_ATTR_FWD_METHOD, method.to_ne_bytes());
    put(buffer, IPVS_DEST_ATTR_WEIGHT, dest.weight.to_ne_bytes());
    if let Some(kind) = tunnel_type {
        put(buffer, IPVS_DEST_ATTR_TUN_TYPE, [kind]);
    }
    if let Some(port) = tunnel_port {
        put(buffer, IPVS_DEST_ATTR_TUN_PORT, port.to_be_bytes());
    }
    if let Some(flags) = tunnel_flags {
        put(buffer, IPVS_DEST_ATTR_TUN_FLAGS, flags.to_ne_bytes());
    }
    put(buffer, IPVS_DEST_ATTR_U_THRESH, dest.upper_threshold.to_ne_bytes());
    put(buffer, IPVS_DEST_ATTR_L_THRESH, dest.lower_threshold.to_ne_bytes());
}

/// What the kernel tells of a destination of a service of that family; none where it lacks what every one has.
pub fn dest(of_service: Family, attributes: &[DestAttribute]) -> Option<(DestKey, Dest)> {
    use DestAttribute as A;
    let (mut family, mut address, mut port, mut method) = (of_service, None, None, None);
    let (mut weight, mut upper_threshold, mut lower_threshold) = (None, 0, 0);
    let mut tunnel = (0, 0, 0);
    for attribute in attributes {
        match attribute {
            A::Family(0) => {}
            A::Family(number) => family = family_of(*number)?,
            A::Address(union) => address = Some(*union),
            A::Port(number) => port = Some(*number),
            A::Method(number) => method = Some(number & IP_VS_CONN_F_FWD_MASK),
            A::Weight(number) => weight = Some(*number),
            A::UpperThreshold(number) => upper_threshold = *number,
            A::LowerThreshold(number) => lower_threshold = *number,
            A::TunnelType(number) => tunnel.0 = *number,
            A::TunnelPort(number) => tunnel.1 = *number,
            A::TunnelFlags(number) => tunnel.2 = *number,
            _ => {}
        }
    }
    let key = DestKey { address: address_of(family, address?), port: port? };
    let forwarding = forward(method?, tunnel);
    Some((key, Dest { forwarding, weight: weight?, upper_threshold, lower_threshold }))
}

/// The forwarding of a method with tunnel type, port and flags. Without a tunnel the kernel keeps what it was given
/// for one, and it means nothing.
const fn forward(method: u32, (kind, port, flags): (u8, u16, u16)) -> Forward {
    match (method, kind, port, flags) {
        (IP_VS_CONN_F_MASQ, ..) => Forward::Masq,
        (IP_VS_CONN_F_DROUTE, ..) => Forward::DirectRoute,
        (IP_VS_CONN_F_TUNNEL, IP_VS_CONN_F_TUNNEL_TYPE_IPIP, _, 0) => Forward::Ipip,
        (IP_VS_CONN_F_TUNNEL, IP_VS_CONN_F_TUNNEL_TYPE_GUE, port, flags) => Forward::Gue { port, flags },
        (IP_VS_CONN_F_TUNNEL, IP_VS_CONN_F_TUNNEL_TYPE_GRE, _, flags) => Forward::Gre { flags },
        (method, kind, port, flags) => Forward::Other(method, kind, port, flags),
    }
}

impl Nla for DestAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::TunnelType(_) => 1,
            Self::Family(_) | Self::Port(_) | Self::TunnelPort(_) | Self::TunnelFlags(_) => 2,
            Self::Method(_)
            | Self::Weight(_)
            | Self::UpperThreshold(_)
            | Self::LowerThreshold(_)
            | Self::ActiveConnections(_)
            | Self::InactiveConnections(_)
            | Self::PersistentConnections(_) => 4,
            Self::Address(_) => ADDRESS_LEN,
            Self::Stats(stats) | Self::Stats64(stats) => stats.as_slice().buffer_len(),
            Self::Other(attribute) => attribute.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Address(_) => IPVS_DEST_ATTR_ADDR,
            Self::Port(_) => IPVS_DEST_ATTR_PORT,
            Self::Method(_) => IPVS_DEST_ATTR_FWD_METHOD,
            Self::Weight(_) => IPVS_DEST_ATTR_WEIGHT,
            Self::UpperThreshold(_) => IPVS_DEST_ATTR_U_THRESH,
            Self::LowerThreshold(_) => IPVS_DEST_ATTR_L_THRESH,
            Self::ActiveConnections(_) => IPVS_DEST_ATTR_ACTIVE_CONNS,
            Self::InactiveConnections(_) => IPVS_DEST_ATTR_INACT_CONNS,
            Self::PersistentConnections(_) => IPVS_DEST_ATTR_PERSIST_CONNS,
            Self::Stats(_) => IPVS_DEST_ATTR_STATS | NLA_F_NESTED,
            Self::Family(_) => IPVS_DEST_ATTR_ADDR_FAMILY,
            Self::Stats64(_) => IPVS_DEST_ATTR_STATS64 | NLA_F_NESTED,
            Self::TunnelType(_) => IPVS_DEST_ATTR_TUN_TYPE,
            Self::TunnelPort(_) => IPVS_DEST_ATTR_TUN_PORT,
            Self::TunnelFlags(_) => IPVS_DEST_ATTR_TUN_FLAGS,
            Self::Other(attribute) => attribute.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::TunnelType(number) => buffer.copy_from_slice(&[*number]),
            Self::Family(number) | Self::TunnelFlags(number) => buffer.copy_from_slice(&number.to_ne_bytes()),
            Self::Port(port) | Self::TunnelPort(port) => buffer.copy_from_slice(&port.to_be_bytes()),
            Self::Method(number)
            | Self::Weight(number)
            | Self::UpperThreshold(number)
            | Self::LowerThreshold(number)
            | Self::ActiveConnections(number)
            | Self::InactiveConnections(number)
            | Self::PersistentConnections(number) => buffer.copy_from_slice(&number.to_ne_bytes()),
            Self::Address(union) => buffer.copy_from_slice(union),
            Self::Stats(stats) | Self::Stats64(stats) => stats.as_slice().emit(buffer),
            Self::Other(attribute) => attribute.emit_value(buffer),
        }
    }
}

impl Parseable<NlaBuffer<&[u8]>> for DestAttribute {
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        let value = attribute.value();
        Ok(match attribute.kind() {
            IPVS_DEST_ATTR_ADDR => Self::Address(parse_union(value)?),
            IPVS_DEST_ATTR_PORT => Self::Port(parse_u16_be(value)?),
            IPVS_DEST_ATTR_FWD_METHOD => Self::Method(parse_u32(value)?),
            IPVS_DEST_ATTR_WEIGHT => Self::Weight(parse_u32(value)?),
            IPVS_DEST_ATTR_U_THRESH => Self::UpperThreshold(parse_u32(value)?),
            IPVS_DEST_ATTR_L_THRESH => Self::LowerThreshold(parse_u32(value)?),
            IPVS_DEST_ATTR_ACTIVE_CONNS => Self::ActiveConnections(parse_u32(value)?),
            IPVS_DEST_ATTR_INACT_CONNS => Self::InactiveConnections(parse_u32(value)?),
            IPVS_DEST_ATTR_PERSIST_CONNS => Self::PersistentConnections(parse_u32(value)?),
            IPVS_DEST_ATTR_STATS => Self::Stats(attributes_of(value)?),
            IPVS_DEST_ATTR_ADDR_FAMILY => Self::Family(parse_u16(value)?),
            IPVS_DEST_ATTR_STATS64 => Self::Stats64(attributes_of(value)?),
            IPVS_DEST_ATTR_TUN_TYPE => Self::TunnelType(parse_u8(value)?),
            IPVS_DEST_ATTR_TUN_PORT => Self::TunnelPort(parse_u16_be(value)?),
            IPVS_DEST_ATTR_TUN_FLAGS => Self::TunnelFlags(parse_u16(value)?),
            _ => Self::Other(Parseable::parse(attribute)?),
        })
    }
}
