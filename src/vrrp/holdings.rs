//! The addresses this process holds for its MASTERs, each once however many instances want it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::addr::{Cidr, IfIndex};
use crate::model::{InstanceId, vrrp::VirtualAddress};
use crate::time::{Duration, Instant};

use super::io::{Action, Holding};
use super::links::Links;

/// After an address could not be added.
const RETRY: Duration = Duration::from_secs(1);

/// What is held.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    held: BTreeMap<Key, Held>,
    /// Addresses that were there before us and are somebody's only source: never removed.
    natives: BTreeSet<(IfIndex, IpAddr)>,
    failed: BTreeSet<Key>,
    retry_at: Option<Instant>,
}

/// The kernel's identity of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    link: IfIndex,
    cidr: Cidr,
}

#[derive(Debug)]
struct Held {
    address: Arc<VirtualAddress>,
    holders: BTreeSet<InstanceId>,
    /// The kernel has said that it is there.
    present: bool,
}

impl Holdings {
    /// Marks an address as one that must never be removed.
    pub(crate) fn keep_native(&mut self, link: IfIndex, address: IpAddr) -> bool {
        self.natives.insert((link, address))
    }

    pub(crate) fn is_native(&self, link: IfIndex, address: IpAddr) -> bool {
        self.natives.contains(&(link, address))
    }

    pub(crate) fn is_held(&self, link: IfIndex, cidr: Cidr) -> bool {
        self.held.contains_key(&Key { link, cidr })
    }

    /// Who holds it.
    pub(crate) fn holders(&self, link: IfIndex, cidr: Cidr) -> Vec<InstanceId> {
        self.held.get(&Key { link, cidr }).map_or_else(Vec::new, |held| held.holders.iter().copied().collect())
    }

    /// Has these addresses for `instance`: all of them, where their links are there.
    pub(crate) fn acquire<'a>(
        &mut self,
        instance: InstanceId,
        addresses: impl Iterator<Item = &'a Arc<VirtualAddress>>,
        links: &Links,
        out: &mut Vec<Action>,
    ) {
        for address in addresses {
            let Some(entry) = links.named(address.interface) else { continue };
            let key = Key { link: entry.link.index, cidr: address.cidr };
            let native = self.natives.contains(&(key.link, key.cidr.address));
            let held = self.held.entry(key).or_insert_with(|| {
                let present = entry.addresses.contains(&address.cidr);
                if !(native && present) {
                    out.push(add(key, address));
                }
                Held { address: Arc::clone(address), holders: BTreeSet::new(), present }
            });
            held.holders.insert(instance);
        }
    }

    /// Has these addresses no longer for `instance`; those that nobody else here holds are removed.
    pub(crate) fn release<'a>(
        &mut self,
        instance: InstanceId,
        addresses: impl Iterator<Item = &'a Arc<VirtualAddress>>,
        links: &Links,
        out: &mut Vec<Action>,
    ) {
        for address in addresses {
            let Some(entry) = links.named(address.interface) else { continue };
            let key = Key { link: entry.link.index, cidr: address.cidr };
            let Some(held) = self.held.get_mut(&key) else { continue };
            held.holders.remove(&instance);
            if held.holders.is_empty() {
                self.forget(key, out);
            }
        }
    }

    /// After a reload: has exactly these, and never touches what was held and still is.
    ///
    /// What goes is removed before what comes is added, or the kernel would make a new address the secondary of an old
    /// one and remove it with that. An address that goes on in another form is the exception, where the kernel can have
    /// both: it is added first.
    pub(crate) fn replace<'a>(
        &mut self,
        desired: impl Iterator<Item = (InstanceId, &'a Arc<VirtualAddress>)>,
        links: &Links,
        out: &mut Vec<Action>,
    ) -> Replaced {
        let mut wanted: BTreeMap<Key, (Arc<VirtualAddress>, BTreeSet<InstanceId>)> = BTreeMap::new();
        let mut order = Vec::new();
        for (instance, address) in desired {
            let Some(entry) = links.named(address.interface) else { continue };
            let key = Key { link: entry.link.index, cidr: address.cidr };
            let (_, holders) = wanted.entry(key).or_insert_with(|| {
                order.push(key);
                (Arc::clone(address), BTreeSet::new())
            });
            holders.insert(instance);
        }
        let gone: Vec<Key> = self.held.keys().filter(|&key| !wanted.contains_key(key)).copied().collect();
        let mut replaced =
            Replaced { removed: gone.iter().map(|key| (key.link, key.cidr)).collect(), ..<_>::default() };
        let stays = |key: &Key| order.iter().any(|new| (new.link, new.cidr.address) == (key.link, key.cidr.address));
        let (reshaped, gone): (Vec<Key>, Vec<Key>) = gone.into_iter().partition(stays);
        gone.into_iter().for_each(|key| self.forget(key, out));
        for key in order {
            let Some((address, holders)) = wanted.remove(&key) else { continue };
            match self.held.get_mut(&key) {
                Some(held) => {
                    held.holders = holders;
                    let old = std::mem::replace(&mut held.address, Arc::clone(&address));
                    let native = self.natives.contains(&(key.link, key.cidr.address));
                    if !native && reshape(key, &old, &address, out) == Reshaped::Anew {
                        replaced.added.extend(held.holders.iter().copied());
                    }
                }
                None => {
                    let before =
                        reshaped.iter().find(|old| (old.link, old.cidr.address) == (key.link, key.cidr.address));
                    // IPv6 has an address once on a link, whatever its prefix
                    if let Some(&before) = before.filter(|_| key.cidr.address.is_ipv6()) {
                        self.forget(before, out);
                    }
                    out.push(add(key, &address));
                    replaced.added.extend(holders.iter().copied());
                    let present = links.get(key.link).is_some_and(|entry| entry.addresses.contains(&key.cidr));
                    self.held.insert(key, Held { address, holders, present });
                }
            }
        }
        reshaped.into_iter().for_each(|key| self.forget(key, out));
        replaced
    }

    /// The kernel says that it has an address.
    pub(crate) fn appeared(&mut self, link: IfIndex, cidr: Cidr) {
        let key = Key { link, cidr };
        if let Some(held) = self.held.get_mut(&key) {
            held.present = true;
            self.failed.remove(&key);
        }
    }

    /// The kernel says that an address is gone. It is put back where it is held and `link_up`; says whether it was.
    pub(crate) fn vanished(&mut self, link: IfIndex, cidr: Cidr, link_up: bool, out: &mut Vec<Action>) -> bool {
        let key = Key { link, cidr };
        let Some(held) = self.held.get_mut(&key).filter(|held| held.address.track) else { return false };
        let was_present = std::mem::replace(&mut held.present, false);
        if link_up {
            out.push(add(key, &held.address));
        }
        link_up && was_present
    }

    /// Puts back what is held on this link and not there: the link has just come up, or events were lost.
    pub(crate) fn refill(&mut self, link: IfIndex, links: &Links, out: &mut Vec<Action>) -> Vec<InstanceId> {
        let mut holders = BTreeSet::new();
        for (&key, held) in self.held.iter_mut().filter(|(key, _)| key.link == link) {
            let there = links.get(link).is_some_and(|entry| entry.addresses.contains(&key.cidr));
            if !there && !held.present {
                out.push(add(key, &held.address));
                holders.extend(&held.holders);
            }
        }
        holders.into_iter().collect()
    }

    /// The link is gone, and all its addresses with it.
    pub(crate) fn link_gone(&mut self, link: IfIndex) {
        self.held.retain(|key, _| key.link != link);
        self.failed.retain(|key| key.link != link);
        self.natives.retain(|&(of, _)| of != link);
    }

    /// The link goes on under another name, where nobody wants these addresses.
    pub(crate) fn link_renamed(&mut self, link: IfIndex, out: &mut Vec<Action>) {
        let on_it: Vec<Key> = self.held.keys().filter(|key| key.link == link).copied().collect();
        for key in on_it {
            self.forget(key, out);
        }
    }

    /// An address could not be added.
    pub(crate) fn failed(&mut self, holding: &Holding, now: Instant) -> Vec<InstanceId> {
        let key = Key { link: holding.link, cidr: holding.address.cidr };
        let Some(held) = self.held.get(&key) else { return Vec::new() };
        self.failed.insert(key);
        self.retry_at.get_or_insert(now + RETRY);
        held.holders.iter().copied().collect()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Tries again what could not be added; says for whom.
    pub(crate) fn tick(&mut self, now: Instant, out: &mut Vec<Action>) -> Vec<InstanceId> {
        if self.retry_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.retry_at = None;
        let mut holders = BTreeSet::new();
        for key in std::mem::take(&mut self.failed) {
            if let Some(held) = self.held.get(&key) {
                out.push(add(key, &held.address));
                holders.extend(&held.holders);
            }
        }
        holders.into_iter().collect()
    }

    fn forget(&mut self, key: Key, out: &mut Vec<Action>) {
        let Some(held) = self.held.remove(&key) else { return };
        self.failed.remove(&key);
        if !self.natives.contains(&(key.link, key.cidr.address)) {
            out.push(Action::RemoveAddress(Holding { link: key.link, address: held.address }));
        }
    }
}

/// What a reload changed.
#[derive(Debug, Default)]
pub(crate) struct Replaced {
    /// Instances with an address that was not held before.
    pub(crate) added: BTreeSet<InstanceId>,
    /// Addresses that are not held any longer.
    pub(crate) removed: Vec<(IfIndex, Cidr)>,
}

/// How an address came by its new attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reshaped {
    /// It was there all the time.
    InPlace,
    /// The old one had to go first.
    Anew,
}

/// Gives a held address other attributes.
fn reshape(key: Key, old: &Arc<VirtualAddress>, new: &Arc<VirtualAddress>, out: &mut Vec<Action>) -> Reshaped {
    let remove = || Action::RemoveAddress(Holding { link: key.link, address: Arc::clone(old) });
    let in_kernel = |address: &VirtualAddress| VirtualAddress { track: true, ..address.clone() };
    if in_kernel(old) == in_kernel(new) {
        return Reshaped::InPlace;
    }
    match key.cidr.address {
        IpAddr::V4(_) if old.peer != new.peer => {
            // to IPv4 another peer is another address
            out.extend([add(key, new), remove()]);
            Reshaped::InPlace
        }
        IpAddr::V6(_) if old.flags.auto_join == new.flags.auto_join => {
            out.push(add(key, new));
            Reshaped::InPlace
        }
        // the kernel changes neither label nor scope nor broadcast nor flags of an IPv4 address
        _ => {
            out.extend([remove(), add(key, new)]);
            Reshaped::Anew
        }
    }
}

fn add(key: Key, address: &Arc<VirtualAddress>) -> Action {
    Action::AddAddress(Holding { link: key.link, address: Arc::clone(address) })
}
