//! `IPVS_CMD_ATTR_SERVICE`: a virtual service.

use std::sync::Arc;

use rtnetlink::packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, Nla, NlaBuffer, Parseable, parse_u16, parse_u16_be, parse_u32,
};

use super::attribute::{ADDRESS_LEN, address_of, family_number, family_of, parse_union, union_of};
use super::stats::StatsAttribute;
use super::{HASHED, Service, ServiceKey};
use crate::addr::Family;
use crate::wire::genl::{attributes_of, emit_text, put, put_text, text};

const IPVS_SVC_ATTR_AF: u16 = 1;
const IPVS_SVC_ATTR_PROTOCOL: u16 = 2;
const IPVS_SVC_ATTR_ADDR: u16 = 3;
const IPVS_SVC_ATTR_PORT: u16 = 4;
const IPVS_SVC_ATTR_FWMARK: u16 = 5;
const IPVS_SVC_ATTR_SCHED_NAME: u16 = 6;
const IPVS_SVC_ATTR_FLAGS: u16 = 7;
const IPVS_SVC_ATTR_TIMEOUT: u16 = 8;
const IPVS_SVC_ATTR_NETMASK: u16 = 9;
const IPVS_SVC_ATTR_STATS: u16 = 10;
const IPVS_SVC_ATTR_PE_NAME: u16 = 11;
const IPVS_SVC_ATTR_STATS64: u16 = 12;

/// One fact about a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceAttribute {
    /// `IPVS_SVC_ATTR_AF`
    Family(u16),
    /// `IPVS_SVC_ATTR_PROTOCOL`: IP protocol number; none with a mark.
    Protocol(u16),
    /// `IPVS_SVC_ATTR_ADDR`
    Address([u8; ADDRESS_LEN]),
    /// `IPVS_SVC_ATTR_PORT`
    Port(u16),
    /// `IPVS_SVC_ATTR_FWMARK`
    Mark(u32),
    /// `IPVS_SVC_ATTR_SCHED_NAME`
    Scheduler(Arc<str>),
    /// `IPVS_SVC_ATTR_FLAGS`: the new flags are `old & !mask | flags & mask`.
    Flags {
        /// Their values.
        flags: u32,
        /// Which of them count.
        mask: u32,
    },
    /// `IPVS_SVC_ATTR_TIMEOUT`: persistence in seconds.
    Timeout(u32),
    /// `IPVS_SVC_ATTR_NETMASK`: IPv4 a mask in network byte order, IPv6 a prefix length in the machine's.
    Netmask([u8; 4]),
    /// `IPVS_SVC_ATTR_PE_NAME`
    Engine(Arc<str>),
    /// `IPVS_SVC_ATTR_STATS`
    Stats(Vec<StatsAttribute>),
    /// `IPVS_SVC_ATTR_STATS64`
    Stats64(Vec<StatsAttribute>),
    /// What newer kernels have.
    Other(DefaultNla),
}

/// Appends what tells a service from others.
pub(super) fn put_key(buffer: &mut Vec<u8>, key: &ServiceKey) {
    put(buffer, IPVS_SVC_ATTR_AF, family_number(key.family()).to_ne_bytes());
    match *key {
        ServiceKey::Address { protocol, address, port } => {
            put(buffer, IPVS_SVC_ATTR_PROTOCOL, u16::from(protocol).to_ne_bytes());
            put(buffer, IPVS_SVC_ATTR_ADDR, union_of(address));
            put(buffer, IPVS_SVC_ATTR_PORT, port.to_be_bytes());
        }
        ServiceKey::Mark { mark, .. } => put(buffer, IPVS_SVC_ATTR_FWMARK, mark.to_ne_bytes()),
    }
}

/// Appends everything else of a service, in keepalived's order.
pub(super) fn put_settings(buffer: &mut Vec<u8>, family: Family, service: &Service) {
    put_text(buffer, IPVS_SVC_ATTR_SCHED_NAME, &service.scheduler);
    if let Some(engine) = &service.engine {
        put_text(buffer, IPVS_SVC_ATTR_PE_NAME, engine);
    }
    let mut flags = [0xff; 8];
    flags[..4].copy_from_slice(&service.flags.to_ne_bytes());
    put(buffer, IPVS_SVC_ATTR_FLAGS, flags);
    put(buffer, IPVS_SVC_ATTR_TIMEOUT, service.timeout_secs.to_ne_bytes());
    let netmask = match family {
        Family::V4 => service.netmask.to_be_bytes(),
        Family::V6 => service.netmask.to_ne_bytes(),
    };
    put(buffer, IPVS_SVC_ATTR_NETMASK, netmask);
}

/// What the kernel tells of a service; none where it lacks what every service has.
pub fn service(attributes: &[ServiceAttribute]) -> Option<(ServiceKey, Service)> {
    use ServiceAttribute as A;
    let (mut family, mut protocol, mut address, mut port, mut mark) = (None, 6, [0; ADDRESS_LEN], 0, 0);
    let (mut scheduler, mut engine, mut flags, mut timeout_secs, mut netmask) = (None, None, 0, 0, None);
    for attribute in attributes {
        match attribute {
            A::Family(number) => family = family_of(*number),
            A::Protocol(number) => protocol = u8::try_from(*number).ok()?,
            A::Address(union) => address = *union,
            A::Port(number) => port = *number,
            A::Mark(number) => mark = *number,
            A::Scheduler(name) => scheduler = Some(Arc::clone(name)),
            A::Engine(name) => engine = Some(Arc::clone(name)),
            A::Flags { flags: bits, .. } => flags = bits & !HASHED,
            A::Timeout(secs) => timeout_secs = *secs,
            A::Netmask(bytes) => netmask = Some(*bytes),
            A::Stats(_) | A::Stats64(_) | A::Other(_) => {}
        }
    }
    let family = family?;
    let key = match mark {
        0 => ServiceKey::Address { protocol, address: address_of(family, address), port },
        mark => ServiceKey::Mark { family, mark },
    };
    let netmask = match (family, netmask?) {
        (Family::V4, bytes) => u32::from_be_bytes(bytes),
        (Family::V6, bytes) => u32::from_ne_bytes(bytes),
    };
    Some((key, Service { scheduler: scheduler?, flags, timeout_secs, netmask, engine }))
}

impl Nla for ServiceAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Family(_) | Self::Protocol(_) | Self::Port(_) => 2,
            Self::Mark(_) | Self::Timeout(_) | Self::Netmask(_) => 4,
            Self::Flags { .. } => 8,
            Self::Address(_) => ADDRESS_LEN,
            Self::Scheduler(name) | Self::Engine(name) => name.len() + 1,
            Self::Stats(stats) | Self::Stats64(stats) => stats.as_slice().buffer_len(),
            Self::Other(attribute) => attribute.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Family(_) => IPVS_SVC_ATTR_AF,
            Self::Protocol(_) => IPVS_SVC_ATTR_PROTOCOL,
            Self::Address(_) => IPVS_SVC_ATTR_ADDR,
            Self::Port(_) => IPVS_SVC_ATTR_PORT,
            Self::Mark(_) => IPVS_SVC_ATTR_FWMARK,
            Self::Scheduler(_) => IPVS_SVC_ATTR_SCHED_NAME,
            Self::Flags { .. } => IPVS_SVC_ATTR_FLAGS,
            Self::Timeout(_) => IPVS_SVC_ATTR_TIMEOUT,
            Self::Netmask(_) => IPVS_SVC_ATTR_NETMASK,
            Self::Engine(_) => IPVS_SVC_ATTR_PE_NAME,
            Self::Stats(_) => IPVS_SVC_ATTR_STATS | NLA_F_NESTED,
            Self::Stats64(_) => IPVS_SVC_ATTR_STATS64 | NLA_F_NESTED,
            Self::Other(attribute) => attribute.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Family(number) | Self::Protocol(number) => buffer.copy_from_slice(&number.to_ne_bytes()),
            Self::Port(port) => buffer.copy_from_slice(&port.to_be_bytes()),
            Self::Mark(number) | Self::Timeout(number) => buffer.copy_from_slice(&number.to_ne_bytes()),
            Self::Flags { flags, mask } => {
                let (first, second) = buffer.split_at_mut(4);
                first.copy_from_slice(&flags.to_ne_bytes());
                second.copy_from_slice(&mask.to_ne_bytes());
            }
            Self::Address(union) => buffer.copy_from_slice(union),
            Self::Netmask(bytes) => buffer.copy_from_slice(bytes),
            Self::Scheduler(name) | Self::Engine(name) => emit_text(buffer, name),
            Self::Stats(stats) | Self::Stats64(stats) => stats.as_slice().emit(buffer),
            Self::Other(attribute) => attribute.emit_value(buffer),
        }
    }
}

impl Parseable<NlaBuffer<&[u8]>> for ServiceAttribute {
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        let value = attribute.value();
        Ok(match attribute.kind() {
            IPVS_SVC_ATTR_AF => Self::Family(parse_u16(value)?),
            IPVS_SVC_ATTR_PROTOCOL => Self::Protocol(parse_u16(value)?),
            IPVS_SVC_ATTR_ADDR => Self::Address(parse_union(value)?),
            IPVS_SVC_ATTR_PORT => Self::Port(parse_u16_be(value)?),
            IPVS_SVC_ATTR_FWMARK => Self::Mark(parse_u32(value)?),
            IPVS_SVC_ATTR_SCHED_NAME => Self::Scheduler(text(value).into()),
            IPVS_SVC_ATTR_FLAGS => {
                let (flags, mask) = value.split_at_checked(4).ok_or("flags are eight bytes")?;
                Self::Flags { flags: parse_u32(flags)?, mask: parse_u32(mask)? }
            }
            IPVS_SVC_ATTR_TIMEOUT => Self::Timeout(parse_u32(value)?),
            IPVS_SVC_ATTR_NETMASK => Self::Netmask(value.try_into().map_err(|_| "a netmask is four bytes")?),
            IPVS_SVC_ATTR_PE_NAME => Self::Engine(text(value).into()),
            IPVS_SVC_ATTR_STATS => Self::Stats(attributes_of(value)?),
            IPVS_SVC_ATTR_STATS64 => Self::Stats64(attributes_of(value)?),
            _ => Self::Other(Parseable::parse(attribute)?),
        })
    }
}
