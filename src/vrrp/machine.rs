//! What the kernel tells of links and addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::addr::{Cidr, Family, IfIndex, IfName};
use crate::time::Instant;

use super::instance::{Instance, announceable};
use super::io::{Action, Link, Snapshot};
use super::node::{Node, Phase};
use super::report::{Event, InstanceEvent, LinkEvent};

impl Node {
    pub(super) fn machine(&mut self, snapshot: &Snapshot, now: Instant, out: &mut Vec<Action>) {
        let there: BTreeSet<IfIndex> = snapshot.links.iter().map(|link| link.index).collect();
        let gone: Vec<IfIndex> =
            self.links.iter().map(|entry| entry.link.index).filter(|index| !there.contains(index)).collect();
        for index in gone {
            self.link_gone(index, now, out);
        }
        for &link in &snapshot.links {
            self.link(link, now, out);
        }
        let mut wanted: BTreeMap<IfIndex, Vec<Cidr>> = BTreeMap::new();
        for &(index, cidr) in &snapshot.addresses {
            wanted.entry(index).or_default().push(cidr);
        }
        for &index in &there {
            let wanted = wanted.remove(&index).unwrap_or_default();
            let had = self.links.get(index).map(|entry| entry.addresses.clone()).unwrap_or_default();
            for &cidr in had.iter().filter(|cidr| !wanted.contains(cidr)) {
                self.address_removed(index, cidr, false, now, out);
            }
            for &cidr in wanted.iter().filter(|cidr| !had.contains(cidr)) {
                self.address_added(index, cidr, now, out);
            }
            if let Some(entry) = self.links.get_mut(index) {
                entry.addresses = wanted;
            }
            self.refill(index, now, out);
        }
    }

    pub(crate) fn link(&mut self, link: Link, now: Instant, out: &mut Vec<Action>) {
        let running = self.phase == Phase::Running;
        let old_name = self.links.name_of(link.index);
        if let Some(old) = old_name.filter(|&old| old != link.name) {
            // keepalived: a renamed link is a deleted one and a new one
            let addresses = self.links.get(link.index).map(|entry| entry.addresses.clone()).unwrap_or_default();
            out.push(Action::Report(Event::Link(old, LinkEvent::Renamed(link.name))));
            self.holdings.link_renamed(link.index, out);
            self.link_gone(link.index, now, out);
            self.links.insert(link);
            if let Some(entry) = self.links.get_mut(link.index) {
                entry.addresses = addresses;
            }
        } else if old_name.is_none() {
            self.links.insert(link);
            if running {
                out.push(Action::Report(Event::Link(link.name, LinkEvent::Added)));
            }
        }
        let appeared = old_name != Some(link.name);
        let delays = self.config.debounce.get(&link.name).copied().unwrap_or_default();
        let Some(entry) = self.links.get_mut(link.index) else { return };
        let was_up = entry.link.up && !appeared;
        entry.link = link;
        let waited = entry.state.deadline();
        let counts = entry.state.observe(link.up, delays, now);
        if let Some(until) = entry.state.deadline().filter(|_| waited.is_none() && running) {
            let delay = LinkEvent::Delayed { up: link.up, delay: until.since(now) };
            out.push(Action::Report(Event::Link(link.name, delay)));
        }
        if !running {
            return;
        }
        if appeared {
            self.report_assigned(link.name, out);
            self.occupy(link.name, now, out);
        } else if link.up && !was_up {
            self.refill(link.index, now, out);
        }
        if counts {
            self.link_counts(link.name, now, out);
        } else if appeared {
            self.reassess(&self.dependents_of(link.name), now, out);
        }
    }

    /// A change of a link counts now.
    fn link_counts(&mut self, name: IfName, now: Instant, out: &mut Vec<Action>) {
        if self.phase == Phase::Running {
            let what = if self.links.is_up(name) { LinkEvent::Up } else { LinkEvent::Down };
            if self.dependents.contains_key(&name) {
                out.push(Action::Report(Event::Link(name, what)));
            }
            self.reassess(&self.dependents_of(name), now, out);
        }
    }

    /// A link has appeared: MASTERs that want addresses on it get them.
    fn occupy(&mut self, name: IfName, now: Instant, out: &mut Vec<Action>) {
        for i in self.dependents_of(name) {
            self.with(i, now, out, |instance, ctx| {
                if instance.is_master() {
                    let config = Arc::clone(&instance.config);
                    ctx.holdings.acquire(instance.id, config.held_addresses(), ctx.links, ctx.out);
                    instance.announce(config.garp.master_repeat, ctx);
                }
            });
        }
    }

    /// Puts back what the kernel dropped with the link.
    fn refill(&mut self, index: IfIndex, now: Instant, out: &mut Vec<Action>) {
        for holder in self.holdings.refill(index, &self.links, out) {
            self.with(holder.0, now, out, |instance, ctx| instance.announce(instance.config.garp.master_repeat, ctx));
        }
    }

    pub(super) fn link_gone(&mut self, index: IfIndex, now: Instant, out: &mut Vec<Action>) {
        let Some(entry) = self.links.remove(index) else { return };
        self.holdings.link_gone(index);
        if self.phase == Phase::Running {
            out.push(Action::Report(Event::Link(entry.link.name, LinkEvent::Deleted)));
            self.report_assigned(entry.link.name, out);
            self.reassess(&self.dependents_of(entry.link.name), now, out);
        }
    }

    pub(super) fn address_added(&mut self, index: IfIndex, cidr: Cidr, now: Instant, out: &mut Vec<Action>) {
        let Some(entry) = self.links.get_mut(index) else { return };
        if !entry.addresses.contains(&cidr) {
            entry.addresses.push(cidr);
        }
        let name = entry.link.name;
        self.holdings.appeared(index, cidr);
        self.report_assigned(name, out);
        let waits = |instance: &Instance| {
            instance.source.is_none() || (instance.config.source == Some(cidr.address) && instance.config.track_source)
        };
        self.reassess_sources(name, cidr.address, waits, now, out);
    }

    pub(super) fn address_removed(
        &mut self,
        index: IfIndex,
        cidr: Cidr,
        by_us: bool,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if by_us && self.holdings.is_held(index, cidr) {
            return; // its other form has taken its place, or is about to
        }
        let Some(entry) = self.links.get_mut(index) else { return };
        entry.addresses.retain(|&other| other != cidr);
        let (link, up) = (entry.link, entry.link.up);
        self.report_assigned(link.name, out);
        if !by_us && self.phase == Phase::Running {
            let holders = self.holdings.holders(index, cidr);
            if self.holdings.vanished(index, cidr, up, out) {
                for holder in holders {
                    self.with(holder.0, now, out, |instance, ctx| {
                        instance.statistics.addresses_restored += 1;
                        let event = InstanceEvent::AddressRestored { address: cidr.address, link: link.name };
                        instance.report(event, ctx);
                        if announceable(&link) {
                            let repeat = instance.config.garp.master_repeat;
                            instance.announce_these(&[(link, cidr.address)], repeat, ctx);
                        }
                    });
                }
            }
        }
        let used = |instance: &Instance| instance.source == Some(cidr.address);
        self.reassess_sources(link.name, cidr.address, used, now, out);
    }

    /// Says from which addresses of a link adverts can leave, where that has changed.
    pub(super) fn report_assigned(&mut self, name: IfName, out: &mut Vec<Action>) {
        if self.phase != Phase::Running || self.instances.iter().all(|i| i.config.interface != Some(name)) {
            return;
        }
        for family in [Family::V4, Family::V6] {
            let (holdings, virtuals) = (&self.holdings, &self.virtuals);
            let link = self.links.named(name).map(|entry| entry.link.index);
            let usable = |address| {
                !virtuals.contains(&(name, address)) || link.is_some_and(|link| holdings.is_native(link, address))
            };
            let (old, new) = self.links.assign(name, family, usable);
            let events = old.map(LinkEvent::Deassigned).into_iter().chain(new.map(LinkEvent::Assigned));
            out.extend(events.map(|event| Action::Report(Event::Link(name, event))));
        }
    }

    /// An address that can be somebody's source came or went.
    fn reassess_sources(
        &mut self,
        name: IfName,
        address: IpAddr,
        concerns: impl Fn(&Instance) -> bool,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.phase != Phase::Running {
            return;
        }
        let sends_from =
            |instance: &Instance| instance.config.interface == Some(name) || instance.config.source == Some(address);
        let concerned = self.instances.iter().enumerate().filter(|(_, i)| sends_from(i) && concerns(i));
        let which: Vec<usize> = concerned.map(|(i, _)| i).collect();
        if !which.is_empty() {
            self.reassess(&which, now, out);
        }
    }

    pub(super) fn tick_links(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some((at, index)) = self.links.deadline()
            && at <= now
        {
            let Some(entry) = self.links.get_mut(index) else { return };
            entry.state.tick(now);
            let name = entry.link.name;
            self.link_counts(name, now, out);
        }
    }
}
