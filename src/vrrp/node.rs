//! All instances of one process: inputs find their instance, deadlines are merged.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::addr::{Cidr, Family, IfIndex, IfName};
use crate::model::vrrp::ReceiveBuffer;
use crate::model::{InstanceId, ScriptId, Vrrp};
use crate::time::{Duration, Instant};
use crate::track::script::{self, Effect, Outcome};
use crate::wire;

use super::announce::Announcer;
use super::holdings::Holdings;
use super::instance::{Context, Instance, LogLimits, State, announceable};
use super::io::{
    Action, Failure, Input, Link, Notified, PacketMeta, Role, RunId, ScriptEnd, ScriptSignal, Snapshot, SocketKey,
    SocketSpec, Statistics, View, Wake,
};
use super::links::Links;
use super::receive::{Datagram, Expectations, inspect};
use super::report::{Event, InstanceEvent, LinkEvent, ScriptEvent};

const ENETDOWN: i32 = 100;
const ENETUNREACH: i32 = 101;

/// No deadline.
pub(crate) const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// The VRRP engine: every instance of one process.
#[derive(Debug)]
pub struct Node {
    pub(crate) config: Arc<Vrrp>,
    pub(crate) phase: Phase,
    pub(crate) instances: Vec<Instance>,
    /// The deadline of each instance, side by side so that finding the first is one quick pass.
    pub(crate) due: Vec<Instant>,
    pub(crate) scripts: Vec<script::Tracker>,
    pub(crate) runs: BTreeMap<RunId, ScriptId>,
    /// Runs that a reload has left without a script: when they are killed.
    pub(crate) orphans: BTreeMap<RunId, Instant>,
    next_run: u64,
    pub(crate) links: Links,
    pub(crate) holdings: Holdings,
    pub(crate) announcer: Announcer,
    pub(crate) startup_ends: Option<Instant>,
    /// Which instances depend on a link.
    pub(crate) dependents: BTreeMap<IfName, Vec<usize>>,
    pub(crate) virtuals: BTreeSet<(IfName, IpAddr)>,
    sockets: Vec<SocketSpec>,
    broken_sockets: Vec<(SocketKey, i32)>,
    routes: BTreeMap<(SocketKey, u8), Vec<usize>>,
    /// From how late the loop matters to some instance (`timer_expired_backup`).
    pub(crate) lateness_limit: Option<Duration>,
    /// How far ahead an advert may be that leaves in company.
    horizon: Duration,
    /// Bounds what strangers can make us log.
    log: LogLimits,
}

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Waiting,
    Running,
    Stopped,
}

impl Node {
    /// A node that has not started; `seed` is for whatever is to be left to chance (nothing so far).
    pub fn new(config: Arc<Vrrp>, _seed: u64) -> Self {
        let mut node = Self {
            config,
            phase: Phase::Waiting,
            instances: Vec::new(),
            due: Vec::new(),
            scripts: Vec::new(),
            runs: BTreeMap::new(),
            orphans: BTreeMap::new(),
            next_run: 1,
            links: Links::default(),
            holdings: Holdings::default(),
            announcer: Announcer::default(),
            startup_ends: None,
            dependents: BTreeMap::new(),
            virtuals: BTreeSet::new(),
            sockets: Vec::new(),
            broken_sockets: Vec::new(),
            routes: BTreeMap::new(),
            lateness_limit: None,
            horizon: Duration::ZERO,
            log: LogLimits::default(),
        };
        let config = Arc::clone(&node.config);
        node.instances =
            config.instances.iter().enumerate().map(|(i, config)| Instance::new(InstanceId(i), config)).collect();
        node.due = vec![NEVER; node.instances.len()];
        node.index_config();
        node
    }

    /// Takes one input and says what is to be done. Total: every state has an answer to every input.
    pub fn handle(&mut self, input: Input<'_>, now: Instant, out: &mut Vec<Action>) {
        if self.phase == Phase::Stopped {
            return;
        }
        if self.lateness_limit.is_some() {
            self.notice_lateness(now, out);
        }
        match input {
            Input::Received { meta, bytes } => self.received(&meta, bytes, now, out),
            Input::Tick => self.tick(now, out),
            Input::Machine(snapshot) => self.machine(snapshot, now, out),
            Input::Startup => self.startup(now, out),
            Input::Shutdown => self.shutdown(now, out),
            Input::Reload(config) => self.reload(config, now, out),
            Input::Link(link) => self.link(link, now, out),
            Input::LinkGone(index) => self.link_gone(index, now, out),
            Input::AddressAdded(link, cidr) => self.address_added(link, cidr, now, out),
            Input::AddressRemoved { link, address, by_us } => self.address_removed(link, address, by_us, now, out),
            Input::ScriptEnded(run, end) => self.script_ended(run, end, now, out),
            Input::Failed(failure) => self.failed(&failure, now, out),
        }
    }

    /// When to come back with [`Input::Tick`], and why.
    pub fn deadline(&self) -> Option<(Instant, Wake)> {
        if self.phase != Phase::Running {
            return None;
        }
        let first = self.due.iter().enumerate().min_by_key(|&(_, at)| *at).filter(|&(_, &at)| at != NEVER);
        let instance = first.map(|(i, &at)| {
            let is_master = self.instances.get(i).is_some_and(Instance::is_master);
            let id = InstanceId(i);
            (at, if is_master { Wake::Advert(id) } else { Wake::MasterDown(id) })
        });
        let scripts = self.scripts.iter().enumerate().map(|(i, tracker)| (tracker.deadline(), ScriptId(i))).min();
        let script = scripts.map(|(at, id)| (at, Wake::Script(id)));
        let orphan = self.orphans.values().min().map(|&at| (at, Wake::Orphan));
        let debounce = self.links.deadline().map(|(at, index)| (at, Wake::Debounce(index)));
        let announce = self.announcer.deadline().map(|at| (at, Wake::Announce));
        let retry = self.holdings.deadline().map(|at| (at, Wake::Retry));
        let startup = self.startup_ends.map(|at| (at, Wake::StartupDelay));
        [instance, script, orphan, debounce, announce, retry, startup].into_iter().flatten().min()
    }

    /// What a dump shows, in configuration order.
    pub fn views(&self) -> impl Iterator<Item = View<'_>> {
        self.instances.iter().map(|instance| View {
            config: &instance.config,
            role: instance.role(),
            effective_priority: instance.effective,
            total_priority: instance.total,
            source: instance.source,
            socket: instance.socket,
            timer: instance.deadline(),
            scripts_init: instance.scripts_without_result(&self.scripts).count(),
            master_down_interval: instance.master_down_interval(),
            master_adver_interval: instance.master_interval,
            last_transition: instance.last_transition,
            last_advert_sent: instance.last_advert_sent,
            master: instance.master,
            faults: instance.reasons.iter().map(ToString::to_string).collect(),
            statistics: instance.statistics,
        })
    }

    /// The state of every instance, in configuration order.
    pub fn roles(&self) -> impl Iterator<Item = Role> + '_ {
        self.instances.iter().map(Instance::role)
    }

    /// Of each tracking script, in configuration order: whether it counts as good (none before its first result), and
    /// whether it runs.
    pub fn scripts(&self) -> impl Iterator<Item = (Option<bool>, bool)> {
        self.scripts.iter().map(|tracker| (tracker.is_good(), tracker.is_running()))
    }

    /// Zeroes the counters of every instance.
    pub fn clear_statistics(&mut self) {
        for instance in &mut self.instances {
            instance.statistics = Statistics::default();
        }
    }

    // ---- instances in their context --------------------------------------------------------------------------

    /// Lets one instance act, and keeps its deadline.
    pub(crate) fn with<R>(
        &mut self,
        i: usize,
        now: Instant,
        out: &mut Vec<Action>,
        act: impl FnOnce(&mut Instance, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let instance = self.instances.get_mut(i)?;
        let mut context = Context {
            now,
            out,
            config: &self.config,
            links: &self.links,
            scripts: &self.scripts,
            holdings: &mut self.holdings,
            announcer: &mut self.announcer,
            startup_ends: self.startup_ends,
            virtuals: &self.virtuals,
            broken_sockets: &self.broken_sockets,
        };
        let result = act(instance, &mut context);
        if let Some(due) = self.due.get_mut(i) {
            *due = instance.deadline().unwrap_or(NEVER);
        }
        Some(result)
    }

    /// What follows from the configuration alone.
    pub(crate) fn index_config(&mut self) {
        self.dependents.clear();
        self.virtuals.clear();
        for (i, instance) in self.config.instances.iter().enumerate() {
            let names = instance.interface.into_iter();
            let names = names.chain(instance.held_addresses().map(|va| va.interface));
            let names = names.chain(instance.track_interfaces.iter().map(|track| track.interface));
            for name in names.collect::<BTreeSet<_>>() {
                self.dependents.entry(name).or_default().push(i);
            }
            self.virtuals.extend(instance.held_addresses().map(|va| (va.interface, va.cidr.address)));
        }
        self.lateness_limit = self.instances.iter().filter_map(Instance::lateness_limit).min();
        self.horizon = self.instances.iter().map(Instance::slack).max().unwrap_or_default();
    }

    pub(crate) fn dependents_of(&self, name: IfName) -> Vec<usize> {
        self.dependents.get(&name).cloned().unwrap_or_default()
    }

    /// Looks again at everything these instances depend on.
    pub(crate) fn reassess(&mut self, which: &[usize], now: Instant, out: &mut Vec<Action>) {
        if self.phase != Phase::Running {
            return;
        }
        // who must give up does so with the source and the sockets it has
        for &i in which {
            self.with(i, now, out, |instance, ctx| {
                let reasons = instance.fault_reasons(ctx);
                instance.fail(reasons, ctx);
            });
        }
        self.find_sources(which, now, out);
        for &i in which {
            self.with(i, now, out, |instance, ctx| {
                instance.weigh(ctx);
                instance.recover(ctx);
            });
        }
    }

    /// Gives these instances the source addresses that the links have now, and says which sockets are to be open.
    pub(crate) fn find_sources(&mut self, which: &[usize], now: Instant, out: &mut Vec<Action>) {
        for &i in which {
            self.with(i, now, out, |instance, ctx| {
                let source = instance.find_source(ctx);
                instance.set_source(source, ctx);
            });
        }
        self.open_sockets(out);
    }

    fn open_sockets(&mut self, out: &mut Vec<Action>) {
        let mut specs: BTreeMap<SocketKey, Option<u32>> = BTreeMap::new();
        self.routes.clear();
        for (i, instance) in self.instances.iter().enumerate() {
            let Some(key) = instance.socket.filter(|_| instance.config.config_fault.is_none()) else { continue };
            self.routes.entry((key, instance.config.vrid)).or_default().push(i);
            let sum = specs.entry(key).or_default();
            if let Some(bytes) = receive_buffer(instance, &self.config, &self.links) {
                *sum = Some(sum.unwrap_or(0).saturating_add(bytes));
            }
        }
        let sockets: Vec<_> =
            specs.into_iter().map(|(key, receive_buffer)| SocketSpec { key, receive_buffer }).collect();
        if sockets != self.sockets {
            self.broken_sockets.retain(|(key, _)| sockets.iter().any(|spec| spec.key == *key));
            self.sockets.clone_from(&sockets);
            out.push(Action::Sockets(sockets));
        }
    }

    pub(crate) fn all(&self) -> Vec<usize> {
        (0..self.instances.len()).collect()
    }

    // ---- life ------------------------------------------------------------------------------------------------

    fn startup(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.phase != Phase::Waiting {
            return;
        }
        self.phase = Phase::Running;
        self.start_delay(now, out);
        self.keep_natives(&self.all(), out);
        self.clear_leftovers(&self.all(), out);
        self.scripts = self.config.scripts.iter().map(|script| script::Tracker::new(script, now)).collect();
        self.find_sources(&self.all(), now, out);
        for i in self.all() {
            self.with(i, now, out, Instance::start);
        }
        self.tick_scripts(now, out);
    }

    fn start_delay(&mut self, now: Instant, out: &mut Vec<Action>) {
        let ends = (now + self.config.startup_delay).max(Instant::ZERO + self.config.delay_after_boot);
        if ends > now {
            self.startup_ends = Some(ends);
            out.push(Action::Report(Event::StartupDelayed(ends.since(now))));
        }
    }

    /// An owner's address that was there before us and is the only one we could send from is not ours to remove.
    pub(crate) fn keep_natives(&mut self, which: &[usize], out: &mut Vec<Action>) {
        for &i in which {
            let Some(instance) = self.instances.get(i) else { continue };
            let config = &instance.config;
            let Some(entry) = config.interface.and_then(|name| self.links.named(name)) else { continue };
            if !config.is_owner() || config.source.is_some() {
                continue;
            }
            let name = entry.link.name;
            let mut sources = entry.sources(config.family, false);
            let is_ours =
                |address| config.held_addresses().any(|va| va.interface == name && va.cidr.address == address);
            if sources.clone().any(|address| !self.virtuals.contains(&(name, address))) {
                continue;
            }
            if let Some(address) = sources.find(|&address| is_ours(address))
                && self.holdings.keep_native(entry.link.index, address)
            {
                let event = InstanceEvent::AddressKept { address, link: name };
                out.push(Action::Report(Event::Instance(Arc::clone(&config.name), event)));
            }
        }
    }

    /// Removes virtual addresses that nobody here holds: a run before us has left them.
    pub(crate) fn clear_leftovers(&self, which: &[usize], out: &mut Vec<Action>) {
        for instance in which.iter().filter_map(|&i| self.instances.get(i)) {
            for address in instance.config.held_addresses() {
                let Some(entry) = self.links.named(address.interface) else { continue };
                let link = entry.link.index;
                let left = entry.addresses.contains(&address.cidr)
                    && !self.holdings.is_held(link, address.cidr)
                    && !self.holdings.is_native(link, address.cidr.address);
                if left {
                    let address = Arc::clone(address);
                    out.push(Action::RemoveAddress(super::io::Holding { link, address }));
                }
            }
        }
    }

    fn shutdown(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.phase == Phase::Running {
            for &run in self.runs.keys() {
                out.push(Action::SignalScript(run, ScriptSignal::Term));
            }
            for i in self.all() {
                self.with(i, now, out, Instance::stop);
            }
            for i in self.all() {
                self.with(i, now, out, |instance, ctx| instance.tell(Notified::Stop, ctx));
            }
        }
        self.announcer.clear();
        self.phase = Phase::Stopped;
    }

    // ---- time ------------------------------------------------------------------------------------------------

    fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.phase != Phase::Running {
            return;
        }
        if self.startup_ends.is_some_and(|ends| ends <= now) {
            self.startup_ends = None;
            out.push(Action::Report(Event::StartupDelayOver));
        }
        self.tick_links(now, out);
        self.tick_scripts(now, out);
        self.tick_instances(now, out);
        self.announcer.tick(&self.links, now, out);
        for holder in self.holdings.tick(now, out) {
            self.with(holder.0, now, out, |instance, ctx| instance.announce(instance.config.garp.master_repeat, ctx));
        }
    }

    fn tick_instances(&mut self, now: Instant, out: &mut Vec<Action>) {
        let mut any = false;
        for i in 0..self.due.len() {
            if self.due.get(i).is_some_and(|&at| at <= now) {
                self.with(i, now, out, |instance, ctx| instance.tick(Duration::ZERO, ctx));
                any = true;
            }
        }
        if !any {
            return;
        }
        // what is nearly due leaves in the same wake-up: early, never late
        let horizon = now + self.horizon;
        for i in 0..self.due.len() {
            if self.due.get(i).is_some_and(|&at| at <= horizon)
                && self.instances.get(i).is_some_and(Instance::is_master)
            {
                self.with(i, now, out, |instance, ctx| instance.tick(instance.slack(), ctx));
            }
        }
    }

    fn tick_links(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some((at, index)) = self.links.deadline()
            && at <= now
        {
            let Some(entry) = self.links.get_mut(index) else { return };
            entry.state.tick(now);
            let name = entry.link.name;
            self.link_counts(name, now, out);
        }
    }

    /// The loop comes so late that peers have taken over: some MASTERs are configured to step down then.
    fn notice_lateness(&mut self, now: Instant, out: &mut Vec<Action>) {
        let (Some(limit), Some((due, _))) = (self.lateness_limit, self.deadline()) else { return };
        let late = now.since(due);
        if late < limit {
            return;
        }
        let overdue: Vec<usize> = self.all().into_iter().filter(|&i| self.instances[i].is_overdue(now)).collect();
        if !overdue.is_empty() {
            out.push(Action::Report(Event::TimerLate(late)));
        }
        for i in overdue {
            self.with(i, now, out, Instance::step_down_late);
        }
    }

    // ---- packets ---------------------------------------------------------------------------------------------

    fn received(&mut self, meta: &PacketMeta, bytes: &[u8], now: Instant, out: &mut Vec<Action>) {
        if self.phase != Phase::Running || self.startup_ends.is_some() {
            return;
        }
        let family = meta.socket.family;
        let too_short = Event::TooShort(family, bytes.len());
        let (header, payload) = match family {
            Family::V6 => (None, bytes),
            Family::V4 => match wire::ipv4::Header::parse(bytes) {
                Ok((header, payload)) => (Some(header), payload),
                Err(_) => return self.report_limited(too_short, now, out),
            },
        };
        let ah = header.is_some_and(|header| header.protocol == wire::ipv4::PROTOCOL_AH);
        let behind_ah = if ah { payload.get(24..).unwrap_or_default() } else { payload };
        let Some(vrid) = wire::vrrp::vrid(behind_ah) else {
            return self.report_limited(too_short, now, out);
        };
        let Some(i) = self.route(meta, vrid) else {
            if self.config.log_unknown_vrids {
                let link = meta.socket.link.and_then(|index| self.links.name_of(index));
                self.report_limited(Event::UnknownVrid { vrid, link, source: meta.source }, now, out);
            }
            return;
        };
        let datagram = Datagram { meta: *meta, header, len: bytes.len(), payload };
        self.with(i, now, out, |instance, ctx| {
            if matches!(instance.state, State::Init | State::Fault) {
                return;
            }
            let from_known_master = !instance.is_master() && instance.master.is_some_and(|(at, _)| at == meta.source);
            let expect = Expectations {
                config: &instance.config,
                old_checksum: instance.old_checksum,
                is_owner: instance.effective == 255,
                from_known_master,
            };
            match inspect(&datagram, expect, &mut instance.statistics) {
                Ok(heard) => instance.hear(&heard, ctx),
                Err(flaw) => instance.report_flaw(meta.source, flaw, ctx),
            }
        });
    }

    fn report_limited(&mut self, event: Event, now: Instant, out: &mut Vec<Action>) {
        if self.log.allows(now) {
            out.push(Action::Report(event));
        }
    }

    /// Whose packet it is. Instances that share a VRID on a socket are told apart by their peers.
    fn route(&self, meta: &PacketMeta, vrid: u8) -> Option<usize> {
        match self.routes.get(&(meta.socket, vrid))?.as_slice() {
            [only] => Some(*only),
            several => {
                let is = |test: &dyn Fn(&Instance) -> bool| {
                    several.iter().copied().find(|&i| self.instances.get(i).is_some_and(test))
                };
                is(&|instance| instance.master.is_some_and(|(source, _)| source == meta.source))
                    .or_else(|| is(&|instance| instance.has_peer(meta.source)))
            }
        }
    }

    // ---- links and addresses ---------------------------------------------------------------------------------

    fn machine(&mut self, snapshot: &Snapshot, now: Instant, out: &mut Vec<Action>) {
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

    fn link_gone(&mut self, index: IfIndex, now: Instant, out: &mut Vec<Action>) {
        let Some(entry) = self.links.remove(index) else { return };
        self.holdings.link_gone(index);
        if self.phase == Phase::Running {
            out.push(Action::Report(Event::Link(entry.link.name, LinkEvent::Deleted)));
            self.reassess(&self.dependents_of(entry.link.name), now, out);
        }
    }

    fn address_added(&mut self, index: IfIndex, cidr: Cidr, now: Instant, out: &mut Vec<Action>) {
        let Some(entry) = self.links.get_mut(index) else { return };
        if !entry.addresses.contains(&cidr) {
            entry.addresses.push(cidr);
        }
        let name = entry.link.name;
        self.holdings.appeared(index, cidr);
        let waits = |instance: &Instance| {
            instance.source.is_none() || (instance.config.source == Some(cidr.address) && instance.config.track_source)
        };
        self.reassess_sources(name, cidr.address, waits, now, out);
    }

    fn address_removed(&mut self, index: IfIndex, cidr: Cidr, by_us: bool, now: Instant, out: &mut Vec<Action>) {
        let Some(entry) = self.links.get_mut(index) else { return };
        entry.addresses.retain(|&other| other != cidr);
        let (link, up) = (entry.link, entry.link.up);
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

    fn failed(&mut self, failure: &Failure, now: Instant, out: &mut Vec<Action>) {
        match failure {
            Failure::Send { instance, destination, errno } => {
                let errno = *errno;
                let peer = (!destination.is_multicast()).then_some(*destination);
                // keepalived: that a last advert could not leave by a link that is down goes without saying
                let expected = matches!(errno, ENETDOWN | ENETUNREACH);
                self.with(instance.0, now, out, |instance, ctx| {
                    if instance.is_master() || !expected {
                        instance.report_failure(InstanceEvent::SendFailed { peer, errno }, ctx);
                    }
                });
            }
            Failure::AddAddress(holding, errno) => {
                let holders = self.holdings.failed(holding, now);
                self.report_address_failure(&holders, holding, true, *errno, now, out);
            }
            Failure::RemoveAddress(holding, errno) => {
                let wants = |instance: &Instance| instance.config.held_addresses().any(|va| *va == holding.address);
                let holder = self.instances.iter().find(|instance| wants(instance)).map(|instance| instance.id);
                self.report_address_failure(holder.as_slice(), holding, false, *errno, now, out);
            }
            Failure::Socket(key, errno) => {
                self.broken_sockets.retain(|(other, _)| other != key);
                self.broken_sockets.push((*key, *errno));
                let name = key.link.and_then(|index| self.links.name_of(index));
                out.push(Action::Report(Event::SocketFailed(name, *errno)));
                let which: Vec<usize> =
                    self.all().into_iter().filter(|&i| self.instances[i].socket == Some(*key)).collect();
                self.reassess(&which, now, out);
            }
        }
    }

    fn report_address_failure(
        &mut self,
        holders: &[InstanceId],
        holding: &super::io::Holding,
        adding: bool,
        errno: i32,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let (address, link) = (holding.address.cidr.address, holding.address.interface);
        for holder in holders {
            self.with(holder.0, now, out, |instance, ctx| {
                instance.report_failure(InstanceEvent::AddressFailed { address, link, adding, errno }, ctx);
            });
        }
    }

    // ---- scripts ---------------------------------------------------------------------------------------------

    pub(crate) fn tick_scripts(&mut self, now: Instant, out: &mut Vec<Action>) {
        let mut effects = Vec::new();
        for i in 0..self.scripts.len() {
            let Some(tracker) = self.scripts.get_mut(i).filter(|tracker| tracker.deadline() <= now) else { continue };
            tracker.tick(now, &mut effects);
            self.script_effects(ScriptId(i), &mut effects, now, out);
        }
        for (&run, kill_at) in self.orphans.iter_mut().filter(|(_, at)| **at <= now) {
            out.push(Action::SignalScript(run, ScriptSignal::Kill));
            *kill_at = now + Duration::from_secs(10);
        }
    }

    fn script_ended(&mut self, run: RunId, end: ScriptEnd, now: Instant, out: &mut Vec<Action>) {
        self.orphans.remove(&run);
        let Some(id) = self.runs.remove(&run) else { return };
        let outcome = match end {
            ScriptEnd::Exited(status) => Outcome::Exited(status),
            ScriptEnd::Signalled(signal) => Outcome::Signalled(signal),
            ScriptEnd::NotStarted(errno) => Outcome::NotStarted(errno),
        };
        let mut effects = Vec::new();
        if let Some(tracker) = self.scripts.get_mut(id.0) {
            tracker.ended(outcome, &mut effects);
        }
        self.script_effects(id, &mut effects, now, out);
    }

    fn script_effects(&mut self, id: ScriptId, effects: &mut Vec<Effect>, now: Instant, out: &mut Vec<Action>) {
        let mut changed = false;
        for effect in effects.drain(..) {
            let event = match effect {
                Effect::Run => {
                    let run = RunId(self.next_run);
                    self.next_run += 1;
                    self.runs.insert(run, id);
                    out.push(Action::RunScript(run, id));
                    continue;
                }
                Effect::Term | Effect::Kill => {
                    let signal = if effect == Effect::Term { ScriptSignal::Term } else { ScriptSignal::Kill };
                    let run = self.runs.iter().find(|(_, of)| **of == id);
                    out.extend(run.map(|(&run, _)| Action::SignalScript(run, signal)));
                    continue;
                }
                Effect::NowReturning(status) => ScriptEvent::NowReturning(status),
                Effect::Succeeded => ScriptEvent::Succeeded,
                Effect::Failed(outcome) => ScriptEvent::Failed(outcome),
                Effect::TimedOut => ScriptEvent::TimedOut,
                Effect::StillRunning { ending } => ScriptEvent::StillRunning { ending },
            };
            changed |= matches!(event, ScriptEvent::Succeeded | ScriptEvent::Failed(_));
            let name = self.config.scripts.get(id.0).map_or_else(|| "".into(), |script| Arc::clone(&script.name));
            out.push(Action::Report(Event::Script(name, event)));
        }
        if changed {
            let tracks = |instance: &Instance| instance.config.track_scripts.iter().any(|track| track.script == id);
            let which: Vec<usize> = self.all().into_iter().filter(|&i| tracks(&self.instances[i])).collect();
            self.reassess(&which, now, out);
        }
    }
}

/// What an instance adds to the receive buffer of its socket.
fn receive_buffer(instance: &Instance, config: &Vrrp, links: &Links) -> Option<u32> {
    let mtu = || instance.config.interface.and_then(|name| links.named(name)).map_or(1500, |entry| entry.link.mtu);
    instance.config.kernel_rx_buf_size.or_else(|| match config.receive_buffer {
        ReceiveBuffer::System => None,
        ReceiveBuffer::Bytes(bytes) => Some(bytes),
        ReceiveBuffer::Advert(times) => Some(instance.advert_len().saturating_mul(times)),
        ReceiveBuffer::Mtu(times) => Some(mtu().saturating_mul(times)),
    })
}
