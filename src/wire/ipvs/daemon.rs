//! `IPVS_CMD_ATTR_DAEMON`: a sync daemon.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::packet_core::{
    DecodeError, DefaultNla, Nla, NlaBuffer, Parseable, parse_u8, parse_u16, parse_u32, parse_u32_be,
};

use super::attribute::{ADDRESS_LEN, parse_union};
use super::{Daemon, DaemonState};
use crate::wire::genl::{emit_text, text};

const IPVS_DAEMON_ATTR_STATE: u16 = 1;
const IPVS_DAEMON_ATTR_MCAST_IFN: u16 = 2;
const IPVS_DAEMON_ATTR_SYNC_ID: u16 = 3;
const IPVS_DAEMON_ATTR_SYNC_MAXLEN: u16 = 4;
const IPVS_DAEMON_ATTR_MCAST_GROUP: u16 = 5;
const IPVS_DAEMON_ATTR_MCAST_GROUP6: u16 = 6;
const IPVS_DAEMON_ATTR_MCAST_PORT: u16 = 7;
const IPVS_DAEMON_ATTR_MCAST_TTL: u16 = 8;

const IP_VS_STATE_MASTER: u32 = 1;
const IP_VS_STATE_BACKUP: u32 = 2;

/// One fact about a sync daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaemonAttribute {
    /// `IPVS_DAEMON_ATTR_STATE`
    State(u32),
    /// `IPVS_DAEMON_ATTR_MCAST_IFN`
    Interface(String),
    /// `IPVS_DAEMON_ATTR_SYNC_ID`
    Id(u32),
    /// `IPVS_DAEMON_ATTR_SYNC_MAXLEN`
    MaxLen(u16),
    /// `IPVS_DAEMON_ATTR_MCAST_GROUP`
    Group(Ipv4Addr),
    /// `IPVS_DAEMON_ATTR_MCAST_GROUP6`
    Group6(Ipv6Addr),
    /// `IPVS_DAEMON_ATTR_MCAST_PORT`, unlike all other ports in the machine's byte order.
    Port(u16),
    /// `IPVS_DAEMON_ATTR_MCAST_TTL`
    Ttl(u8),
    /// What newer kernels have.
    Other(DefaultNla),
}

impl DaemonAttribute {
    /// What a request to stop needs, as keepalived sends it.
    pub fn to_stop(state: DaemonState, id: u8) -> Vec<Self> {
        vec![Self::of_state(state), Self::Id(id.into())]
    }

    /// What a request to start needs, in keepalived's order.
    pub fn to_start(state: DaemonState, daemon: &Daemon) -> Vec<Self> {
        let interface = Self::Interface(daemon.interface.to_string());
        let mut attributes = vec![Self::of_state(state), interface, Self::Id(daemon.id.into())];
        attributes.extend(daemon.max_len.map(Self::MaxLen));
        attributes.extend(daemon.port.map(Self::Port));
        attributes.extend(daemon.ttl.map(Self::Ttl));
        attributes.extend(daemon.group.map(|group| match group {
            IpAddr::V4(group) => Self::Group(group),
            IpAddr::V6(group) => Self::Group6(group),
        }));
        attributes
    }

    const fn of_state(state: DaemonState) -> Self {
        Self::State(match state {
            DaemonState::Master => IP_VS_STATE_MASTER,
            DaemonState::Backup => IP_VS_STATE_BACKUP,
        })
    }
}

/// What the kernel tells of a daemon that runs; none where it lacks what every one has.
pub fn daemon(attributes: &[DaemonAttribute]) -> Option<(DaemonState, Daemon)> {
    use DaemonAttribute as A;
    let (mut state, mut interface, mut id) = (None, None, None);
    let (mut max_len, mut port, mut ttl, mut group) = (None, None, None, None);
    for attribute in attributes {
        match attribute {
            A::State(IP_VS_STATE_MASTER) => state = Some(DaemonState::Master),
            A::State(IP_VS_STATE_BACKUP) => state = Some(DaemonState::Backup),
            A::Interface(name) => interface = name.parse().ok(),
            A::Id(number) => id = u8::try_from(*number).ok(),
            A::MaxLen(bytes) => max_len = Some(*bytes),
            A::Port(number) => port = Some(*number),
            A::Ttl(hops) => ttl = Some(*hops),
            A::Group(address) => group = Some(IpAddr::V4(*address)),
            A::Group6(address) => group = Some(IpAddr::V6(*address)),
            A::State(_) | A::Other(_) => {}
        }
    }
    Some((state?, Daemon { interface: interface?, id: id?, max_len, port, ttl, group }))
}

impl Nla for DaemonAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Ttl(_) => 1,
            Self::MaxLen(_) | Self::Port(_) => 2,
            Self::State(_) | Self::Id(_) | Self::Group(_) => 4,
            Self::Group6(_) => ADDRESS_LEN,
            Self::Interface(name) => name.len() + 1,
            Self::Other(attribute) => attribute.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::State(_) => IPVS_DAEMON_ATTR_STATE,
            Self::Interface(_) => IPVS_DAEMON_ATTR_MCAST_IFN,
            Self::Id(_) => IPVS_DAEMON_ATTR_SYNC_ID,
            Self::MaxLen(_) => IPVS_DAEMON_ATTR_SYNC_MAXLEN,
            Self::Group(_) => IPVS_DAEMON_ATTR_MCAST_GROUP,
            Self::Group6(_) => IPVS_DAEMON_ATTR_MCAST_GROUP6,
            Self::Port(_) => IPVS_DAEMON_ATTR_MCAST_PORT,
            Self::Ttl(_) => IPVS_DAEMON_ATTR_MCAST_TTL,
            Self::Other(attribute) => attribute.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::State(number) | Self::Id(number) => buffer.copy_from_slice(&number.to_ne_bytes()),
            Self::Interface(name) => emit_text(buffer, name),
            Self::MaxLen(number) | Self::Port(number) => buffer.copy_from_slice(&number.to_ne_bytes()),
            Self::Group(group) => buffer.copy_from_slice(&group.octets()),
            Self::Group6(group) => buffer.copy_from_slice(&group.octets()),
            Self::Ttl(hops) => buffer.copy_from_slice(&[*hops]),
            Self::Other(attribute) => attribute.emit_value(buffer),
        }
    }
}

impl Parseable<NlaBuffer<&[u8]>> for DaemonAttribute {
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        let value = attribute.value();
        Ok(match attribute.kind() {
            IPVS_DAEMON_ATTR_STATE => Self::State(parse_u32(value)?),
            IPVS_DAEMON_ATTR_MCAST_IFN => Self::Interface(text(value)),
            IPVS_DAEMON_ATTR_SYNC_ID => Self::Id(parse_u32(value)?),
            IPVS_DAEMON_ATTR_SYNC_MAXLEN => Self::MaxLen(parse_u16(value)?),
            IPVS_DAEMON_ATTR_MCAST_GROUP => Self::Group(parse_u32_be(value)?.into()),
            IPVS_DAEMON_ATTR_MCAST_GROUP6 => Self::Group6(parse_union(value)?.into()),
            IPVS_DAEMON_ATTR_MCAST_PORT => Self::Port(parse_u16(value)?),
            IPVS_DAEMON_ATTR_MCAST_TTL => Self::Ttl(parse_u8(value)?),
            _ => Self::Other(Parseable::parse(attribute)?),
        })
    }
}
