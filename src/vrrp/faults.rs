//! What an instance depends on: source address, links, scripts; and the FAULT or the priority that follow.

use std::net::IpAddr;
use std::sync::Arc;

use crate::addr::{Family, IfName};
use crate::model;
use crate::model::vrrp::Destination;
use crate::track::{script, weight};

use super::instance::{Context, Instance, State, announceable, clamped};
use super::io::{Action, Link, Notified, SocketKey, SocketScope};
use super::links::Links;
use super::report::{FaultReason, InstanceEvent};

impl Instance {
    /// The source address and socket that the links allow now.
    pub(crate) fn find_source(&self, ctx: &Context<'_>) -> Option<IpAddr> {
        if let Some(configured) = self.config.source {
            return Some(configured);
        }
        let entry = ctx.links.named(self.config.interface?)?;
        let usable = |&address: &IpAddr| {
            let is_virtual = ctx.virtuals.contains(&(entry.link.name, address));
            !is_virtual || ctx.holdings.is_native(entry.link.index, address)
        };
        let global = matches!(&self.config.destination, Destination::Unicast(unicast)
            if unicast.peers.first().is_some_and(|peer| !is_link_local(peer.address)));
        let choose = |global: bool| {
            let mut sources = entry.sources(self.config.family, global).filter(usable);
            match self.source {
                Some(current) if entry.has(current) && usable(&current) => Some(current),
                // keepalived: when the address in use goes, IPv4 takes the last of those left
                Some(_) if self.config.family == Family::V4 => sources.next_back(),
                _ => sources.next(),
            }
        };
        choose(global).or_else(|| if global { choose(false) } else { None })
    }

    /// What it would send and listen on with `source`.
    pub(crate) fn find_socket(&self, source: Option<IpAddr>, links: &Links) -> Option<SocketKey> {
        let link = match self.config.interface {
            Some(name) => Some(links.named(name)?.link.index),
            None => None,
        };
        let scope = match &self.config.destination {
            Destination::Multicast(group) => SocketScope::Multicast(*group),
            Destination::Unicast(_) => SocketScope::Unicast(source?),
        };
        Some(SocketKey { family: self.config.family, link, scope })
    }

    /// Takes the source address over.
    pub(crate) fn set_source(&mut self, source: Option<IpAddr>, ctx: &Context<'_>) {
        self.socket = self.find_socket(source, ctx.links);
        self.source = source;
    }

    /// Everything that holds it in FAULT now.
    pub(crate) fn fault_reasons(&self, ctx: &Context<'_>) -> Vec<FaultReason> {
        let config = &self.config;
        let mut reasons = Vec::new();
        if let Some(fault) = &config.config_fault {
            reasons.push(FaultReason::Configuration(fault.0.clone()));
        }
        let down = |name: IfName| (!ctx.links.is_up(name)).then_some(FaultReason::InterfaceDown(name));
        if let Some(name) = config.interface {
            let missing = ctx.links.named(name).is_none();
            reasons.extend(down(name).filter(|_| config.track_primary || missing));
        }
        let tracked = |va: &&Arc<model::vrrp::VirtualAddress>| {
            va.track && (config.track_primary || Some(va.interface) != config.interface)
        };
        reasons.extend(config.held_addresses().filter(tracked).filter_map(|va| down(va.interface)));
        for track in &config.track_interfaces {
            let up = ctx.links.is_up(track.interface);
            if weight::is_fault(track.weight, Some(up)) {
                let name = track.interface;
                reasons.push(if up { FaultReason::InterfaceUp(name) } else { FaultReason::InterfaceDown(name) });
            }
        }
        for track in &config.track_scripts {
            let good = ctx.scripts.get(track.script.0).and_then(script::Tracker::is_good);
            if weight::is_fault(track.weight, good) {
                let name = ctx.config.scripts.get(track.script.0).map_or_else(|| "".into(), |s| Arc::clone(&s.name));
                reasons.push(FaultReason::Script(name));
            }
        }
        match (self.find_source(ctx), config.source) {
            (None, _) => reasons.push(FaultReason::NoSource(config.family)),
            (Some(source), Some(_)) if config.track_source && !ctx.links.has_address(source) => {
                reasons.push(FaultReason::SourceMissing(source));
            }
            _ => {}
        }
        if let Some(broken) = ctx.broken_sockets.iter().find(|broken| Some(broken.key) == self.socket) {
            reasons.push(FaultReason::Socket(broken.errno));
        }
        reasons.sort();
        reasons.dedup();
        reasons
    }

    /// A script of weight 0 has not reported yet.
    pub(super) fn waits_for_scripts(&self, ctx: &Context<'_>) -> bool {
        self.scripts_without_result(ctx.scripts).next().is_some()
    }

    /// Tracking scripts of weight 0 that have not reported yet.
    pub(crate) fn scripts_without_result(&self, scripts: &[script::Tracker]) -> impl Iterator<Item = model::ScriptId> {
        self.config.track_scripts.iter().filter_map(|track| {
            let unknown = scripts.get(track.script.0).is_some_and(|tracker| tracker.is_good().is_none());
            (track.weight.value == 0 && unknown).then_some(track.script)
        })
    }

    /// Base plus weights; owners ignore weights.
    pub(crate) fn weigh(&mut self, ctx: &mut Context<'_>) {
        let config = Arc::clone(&self.config);
        if config.is_owner() {
            self.total = 255;
            self.set_effective(if self.yielded_to.is_some() { 254 } else { 255 }, ctx);
            return;
        }
        let interfaces = config
            .track_interfaces
            .iter()
            .map(|track| weight::contribution(track.weight, Some(ctx.links.is_up(track.interface))));
        let scripts = config.track_scripts.iter().map(|track| {
            let good = ctx.scripts.get(track.script.0).and_then(script::Tracker::is_good);
            weight::contribution(track.weight, good)
        });
        self.total = i32::from(config.priority) + interfaces.sum::<i32>() + scripts.sum::<i32>();
        self.set_effective(clamped(self.total), ctx);
    }

    pub(super) fn set_effective(&mut self, effective: u8, ctx: &mut Context<'_>) {
        if effective == self.effective {
            return;
        }
        let from = std::mem::replace(&mut self.effective, effective);
        self.report(InstanceEvent::PriorityChanged { from, to: effective }, ctx);
        let new_length = self.master_down_interval();
        if let State::Backup(backup) = &mut self.state {
            // the timer keeps what has passed of it
            backup.down_at = (backup.down_at + new_length) - backup.length;
            backup.length = new_length;
        }
        if self.config.notify.priority_changes {
            let what = if self.is_master() { Notified::MasterPriority } else { Notified::BackupPriority };
            self.tell(what, ctx);
        }
    }

    /// Takes `reasons` over, and falls into FAULT if it has to.
    pub(crate) fn fail(&mut self, reasons: Vec<FaultReason>, ctx: &mut Context<'_>) {
        self.reasons = reasons;
        if self.reasons.is_empty() || matches!(self.state, State::Fault) {
            return;
        }
        if self.is_master() {
            self.leave_master(State::Fault, true, ctx);
        } else {
            self.enter(State::Fault, false, ctx);
        }
        self.tell(Notified::Fault, ctx);
    }

    /// Leaves FAULT, or the wait for scripts, if nothing holds it any longer.
    pub(crate) fn recover(&mut self, ctx: &mut Context<'_>) {
        if !self.reasons.is_empty() || self.waits_for_scripts(ctx) {
            return;
        }
        match self.state {
            State::Init => self.leave_init(ctx),
            State::Fault => {
                self.master_interval = self.config.advert_interval;
                self.become_backup(false, ctx);
                self.refresh_peers(ctx);
            }
            State::Backup(_) | State::Master(_) => {}
        }
    }

    /// Unicast peers may have a stale neighbour entry for our own address.
    fn refresh_peers(&mut self, ctx: &mut Context<'_>) {
        let (Some(name), Some(source)) = (self.config.interface, self.source) else { return };
        if let (Destination::Unicast(_), None, Some(entry)) =
            (&self.config.destination, ctx.startup_ends, ctx.links.named(name))
            && announceable(&entry.link)
        {
            let Link { index, mac, broadcast, .. } = entry.link;
            let instance = self.id;
            let own = super::io::Announcement { link: index, mac, broadcast, address: source, instance };
            ctx.out.push(Action::Announce(own));
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
