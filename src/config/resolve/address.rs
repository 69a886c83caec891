//! The addresses of an instance: where they go, and that none is there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::addr::{Cidr, IfName};
use crate::config::draft::{AddressDraft, BroadcastDraft};
use crate::diag::{Code, Diagnostics, Span};
use crate::model::vrrp::VirtualAddress;

/// An address that lists share.
pub(super) type Shared = Arc<VirtualAddress>;

/// The addresses of one instance as they are collected.
pub(super) struct Set<'a> {
    name: &'a str,
    own: Option<IfName>,
    missing: &'a BTreeSet<IfName>,
    dynamic: bool,
    advertised: Vec<Shared>,
    excluded: Vec<Shared>,
    by_address: BTreeMap<IpAddr, Span>,
    by_place: BTreeMap<(IpAddr, IfName), Span>,
}

impl<'a> Set<'a> {
    pub(super) fn new(name: &'a str, own: Option<IfName>, missing: &'a BTreeSet<IfName>, dynamic: bool) -> Self {
        let (advertised, excluded) = (Vec::new(), Vec::new());
        let (by_address, by_place) = (BTreeMap::new(), BTreeMap::new());
        Self { name, own, missing, dynamic, advertised, excluded, by_address, by_place }
    }

    /// Adds a line, unless it has no interface or is there already.
    pub(super) fn add(&mut self, line: &AddressDraft, advertised: bool, diagnostics: &mut Diagnostics) {
        let Cidr { address, .. } = line.cidr.value;
        let span = line.cidr.span;
        let Some(interface) = line.device.map(|device| device.value).or(self.own) else {
            diagnostics
                .warning(
                    Code::ADDRESS_WITHOUT_INTERFACE,
                    span,
                    format!("({}) {address} has no interface to go to; it is ignored", self.name),
                )
                .help("add dev INTERFACE to the line");
            return;
        };
        if line.device.is_some() && self.missing.contains(&interface) && !self.dynamic {
            return;
        }
        let same_place = self.by_place.get(&(address, interface));
        let before = if advertised { self.by_address.get(&address) } else { same_place };
        if let Some(before) = before {
            diagnostics
                .warning(
                    Code::DUPLICATE_ADDRESS,
                    span,
                    format!("({}) {address} is listed twice; the second is ignored", self.name),
                )
                .label(*before, "first listed here");
            return;
        }
        self.by_address.entry(address).or_insert(span);
        self.by_place.insert((address, interface), span);
        let list = if advertised { &mut self.advertised } else { &mut self.excluded };
        list.push(Arc::new(model(line, interface)));
    }

    /// Those to advertise, and the others.
    pub(super) fn finish(self) -> (Vec<Shared>, Vec<Shared>) {
        (self.advertised, self.excluded)
    }
}

fn model(line: &AddressDraft, interface: IfName) -> VirtualAddress {
    let cidr = line.cidr.value;
    let deprecated_host = cidr.address.is_ipv6() && cidr.prefix == 128;
    VirtualAddress {
        cidr,
        interface,
        peer: line.peer,
        broadcast: line.broadcast.and_then(|broadcast| broadcast_address(broadcast.value, cidr)),
        scope: line.scope.unwrap_or(0),
        label: line.label.clone(),
        preferred_secs: line.preferred_secs.unwrap_or(deprecated_host.then_some(0)),
        flags: line.flags,
        track: !line.no_track,
    }
}

fn broadcast_address(broadcast: BroadcastDraft, cidr: Cidr) -> Option<Ipv4Addr> {
    let IpAddr::V4(address) = cidr.address else { return None };
    let host_bits = u32::MAX.checked_shr(cidr.prefix.into()).unwrap_or(0);
    Some(match broadcast {
        BroadcastDraft::Address(address) => address,
        BroadcastDraft::HostBitsSet => Ipv4Addr::from_bits(address.to_bits() | host_bits),
        BroadcastDraft::HostBitsClear => Ipv4Addr::from_bits(address.to_bits() & !host_bits),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plus_and_minus_make_the_broadcast_address_from_the_network() {
        let cidr = Cidr { address: [10, 1, 2, 3].into(), prefix: 24 };
        assert_eq!(broadcast_address(BroadcastDraft::HostBitsSet, cidr), Some([10, 1, 2, 255].into()));
        assert_eq!(broadcast_address(BroadcastDraft::HostBitsClear, cidr), Some([10, 1, 2, 0].into()));
    }
}
