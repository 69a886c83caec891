//! Values that attributes of several objects share.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::packet_core::DecodeError;

use crate::addr::Family;

/// Bytes of an address: always the whole union, IPv4 in the first four.
pub(super) const ADDRESS_LEN: usize = 16;

/// An address as its attribute has it.
pub(super) fn union_of(address: IpAddr) -> [u8; ADDRESS_LEN] {
    match address {
        IpAddr::V4(address) => {
            let mut union = [0; ADDRESS_LEN];
            union[..4].copy_from_slice(&address.octets());
            union
        }
        IpAddr::V6(address) => address.octets(),
    }
}

/// The address that an attribute means in a family.
pub(super) fn address_of(family: Family, union: [u8; ADDRESS_LEN]) -> IpAddr {
    let [a, b, c, d, ..] = union;
    match family {
        Family::V4 => Ipv4Addr::new(a, b, c, d).into(),
        Family::V6 => Ipv6Addr::from(union).into(),
    }
}

/// The bytes of an address attribute. The kernel takes shorter ones and fills them up with zeros.
pub(super) fn parse_union(value: &[u8]) -> Result<[u8; ADDRESS_LEN], DecodeError> {
    let mut union = [0; ADDRESS_LEN];
    match union.get_mut(..value.len()) {
        Some(start) => start.copy_from_slice(value),
        None => return Err(format!("an address of {} bytes", value.len()).into()),
    }
    Ok(union)
}

/// Family numbers of the kernel.
pub(super) const fn family_number(family: Family) -> u16 {
    match family {
        Family::V4 => libc::AF_INET as u16,
        Family::V6 => libc::AF_INET6 as u16,
    }
}

/// The family of a number.
pub(super) const fn family_of(number: u16) -> Option<Family> {
    match number as i32 {
        libc::AF_INET => Some(Family::V4),
        libc::AF_INET6 => Some(Family::V6),
        _ => None,
    }
}
