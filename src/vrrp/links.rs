//! The links of the machine and their addresses, as the kernel told of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::addr::{Cidr, Family, IfIndex, IfName};
use crate::time::Instant;
use crate::track::interface::LinkState;

use super::io::Link;

/// Every link there is.
#[derive(Debug, Default)]
pub(crate) struct Links {
    by_index: BTreeMap<IfIndex, Entry>,
    by_name: BTreeMap<IfName, IfIndex>,
    /// The address of each kind that adverts leave from, as told.
    assigned: BTreeMap<(IfName, Family), IpAddr>,
}

/// One link.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As the kernel last told.
    pub(crate) link: Link,
    /// As it counts.
    pub(crate) state: LinkState,
    /// In the kernel's order.
    pub(crate) addresses: Vec<Cidr>,
}

impl Links {
    pub(crate) fn get(&self, index: IfIndex) -> Option<&Entry> {
        self.by_index.get(&index)
    }

    pub(crate) fn get_mut(&mut self, index: IfIndex) -> Option<&mut Entry> {
        self.by_index.get_mut(&index)
    }

    pub(crate) fn named(&self, name: IfName) -> Option<&Entry> {
        self.by_index.get(self.by_name.get(&name)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.by_index.values()
    }

    pub(crate) fn name_of(&self, index: IfIndex) -> Option<IfName> {
        Some(self.get(index)?.link.name)
    }

    /// Whether it is there and counts as up.
    pub(crate) fn is_up(&self, name: IfName) -> bool {
        self.named(name).is_some_and(|entry| entry.state.is_up())
    }

    pub(crate) fn insert(&mut self, link: Link) {
        self.by_name.insert(link.name, link.index);
        let entry = Entry { link, state: LinkState::default(), addresses: Vec::new() };
        self.by_index.insert(link.index, entry);
    }

    pub(crate) fn remove(&mut self, index: IfIndex) -> Option<Entry> {
        let entry = self.by_index.remove(&index)?;
        if self.by_name.get(&entry.link.name) == Some(&index) {
            self.by_name.remove(&entry.link.name);
        }
        Some(entry)
    }

    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        self.iter().any(|entry| entry.addresses.iter().any(|cidr| cidr.address == address))
    }

    /// Looks which address adverts leave from on this link, and says what has changed of that: the old and the new one.
    pub(crate) fn assign(
        &mut self,
        name: IfName,
        family: Family,
        usable: impl Fn(IpAddr) -> bool,
    ) -> (Option<IpAddr>, Option<IpAddr>) {
        let old = self.assigned.get(&(name, family)).copied();
        let entry = self.named(name);
        let sources = entry.into_iter().flat_map(|entry| entry.sources(family, false)).filter(|&source| usable(source));
        let sources: Vec<IpAddr> = sources.collect();
        let new = match old {
            Some(old) if sources.contains(&old) => return (None, None),
            Some(_) if family == Family::V4 => sources.last(),
            _ => sources.first(),
        };
        match new {
            Some(&new) => self.assigned.insert((name, family), new),
            None => self.assigned.remove(&(name, family)),
        };
        (old, new.copied())
    }

    /// The earliest debounced change.
    pub(crate) fn deadline(&self) -> Option<(Instant, IfIndex)> {
        self.by_index.iter().filter_map(|(&index, entry)| Some((entry.state.deadline()?, index))).min()
    }
}

impl Entry {
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|cidr| cidr.address == address)
    }

    /// Addresses that can be an advert's source, in the kernel's order.
    pub(crate) fn sources(&self, family: Family, global: bool) -> impl DoubleEndedIterator<Item = IpAddr> + Clone + '_ {
        let fits = move |address: &IpAddr| match address {
            IpAddr::V4(_) => family == Family::V4,
            IpAddr::V6(v6) => family == Family::V6 && v6.is_unicast_link_local() != global,
        };
        self.addresses.iter().map(|cidr| cidr.address).filter(fits)
    }
}
