//! All instances of one process: inputs find their instance, deadlines are merged.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::addr::{Family, IfName};
use crate::model::{InstanceId, ScriptId, Vrrp};
use crate::time::{Duration, Instant};
use crate::track::script;
use crate::wire;

use super::announce::Announcer;
use super::holdings::Holdings;
use super::instance::{Context, Instance, LogLimits, State};
use super::io::{
    Action, Failure, Input, Notified, PacketMeta, Role, RunId, ScriptSignal, SocketKey, SocketSpec, Statistics, View,
    Wake,
};
use super::links::Links;
use super::receive::{Datagram, Expectations, inspect};
use super::report::{Event, InstanceEvent};
use super::routine::{Advert, Routine};
use super::sockets::Broken;

const ENETDOWN: i32 = 100;
const ENETUNREACH: i32 = 101;

/// No deadline.
pub(crate) const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// Longer than this no packet waits.
const MOST_PATIENCE: Duration = Duration::from_millis(250);

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
    pub(super) next_run: u64,
    pub(crate) links: Links,
    pub(crate) holdings: Holdings,
    pub(crate) announcer: Announcer,
    pub(crate) startup_ends: Option<Instant>,
    /// When something is due that is no instance's own, and why ([`NEVER`]: nothing is). A turn that only sends or
    /// hears adverts does not change it, and looks at nothing else.
    rest: (Instant, Wake),
    /// See [`Node::patience`].
    patience: Duration,
    /// Which instances depend on a link.
    pub(crate) dependents: BTreeMap<IfName, Vec<usize>>,
    pub(crate) virtuals: BTreeSet<(IfName, IpAddr)>,
    pub(super) sockets: Vec<SocketSpec>,
    pub(super) broken_sockets: Vec<Broken>,
    /// Who hears which VRID on a socket, in the order of VRIDs.
    pub(super) routes: BTreeMap<SocketKey, Vec<(u8, usize)>>,
    /// Who hears something next: adverts that are heard again and again mostly come in the same order.
    next: usize,
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
            rest: (NEVER, Wake::Retry),
            patience: Duration::ZERO,
            dependents: BTreeMap::new(),
            virtuals: BTreeSet::new(),
            sockets: Vec::new(),
            broken_sockets: Vec::new(),
            routes: BTreeMap::new(),
            next: 0,
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
    #[inline]
    pub fn handle(&mut self, input: Input<'_>, now: Instant, out: &mut Vec<Action>) {
        if self.phase == Phase::Stopped {
            return;
        }
        let before = out.len();
        if self.lateness_limit.is_some() {
            self.notice_lateness(now, out);
        }
        let quiet = match input {
            Input::Received { meta, waited, bytes } => {
                self.received(&meta, bytes, now - waited, out);
                is_quiet(&out[before..])
            }
            Input::Tick => self.tick(before, now, out),
            input => {
                self.stir(input, now, out);
                false
            }
        };
        if !quiet {
            self.rest = self.find_rest();
            self.patience = self.find_patience();
        }
    }

    /// What is neither a packet nor the time.
    #[cold]
    fn stir(&mut self, input: Input<'_>, now: Instant, out: &mut Vec<Action>) {
        match input {
            Input::Received { .. } | Input::Tick => {}
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
    #[inline]
    pub fn deadline(&self) -> Option<(Instant, Wake)> {
        if self.phase != Phase::Running {
            return None;
        }
        debug_assert_eq!(self.rest, self.find_rest());
        let (at, i) =
            self.due.iter().enumerate().fold((NEVER, 0), |first, (i, &at)| if at < first.0 { (at, i) } else { first });
        if self.rest.0 < at {
            return Some(self.rest);
        }
        let id = InstanceId(i);
        let is_master = self.instances.get(i).is_some_and(Instance::is_master);
        (at != NEVER).then_some((at, if is_master { Wake::Advert(id) } else { Wake::MasterDown(id) }))
    }

    /// How long a packet may wait for others to be heard together. Since timers run from when a packet came, this delays
    /// no takeover if it is no longer than the shortest of them, the Skew_Time after a MASTER's last advert. It is a
    /// quarter of an interval at most, and nothing while an instance is MASTER itself.
    pub const fn patience(&self) -> Duration {
        self.patience
    }

    #[cold]
    fn find_patience(&self) -> Duration {
        if self.instances.iter().any(Instance::is_master) {
            return Duration::ZERO;
        }
        let patience = self.instances.iter().map(|instance| {
            let interval = instance.config.advert_interval.min(instance.master_interval).duration();
            instance.skew_time().min(interval / 4)
        });
        patience.min().map_or(Duration::ZERO, |shortest| shortest.min(MOST_PATIENCE))
    }

    /// The first of everything that is no instance's own.
    #[cold]
    fn find_rest(&self) -> (Instant, Wake) {
        let scripts = self.scripts.iter().enumerate().map(|(i, tracker)| (tracker.deadline(), ScriptId(i))).min();
        let script = scripts.map(|(at, id)| (at, Wake::Script(id)));
        let orphan = self.orphans.values().min().map(|&at| (at, Wake::Orphan));
        let debounce = self.links.deadline().map(|(at, index)| (at, Wake::Debounce(index)));
        let announce = self.announcer.deadline().map(|at| (at, Wake::Announce));
        let sockets = self.broken_sockets.iter().map(|broken| broken.next_at).min();
        let retry = self.holdings.deadline().into_iter().chain(sockets).min().map(|at| (at, Wake::Retry));
        let startup = self.startup_ends.map(|at| (at, Wake::StartupDelay));
        let first = [script, orphan, debounce, announce, retry, startup].into_iter().flatten().min();
        first.unwrap_or((NEVER, Wake::Retry))
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

    /// Lets every advert be looked at anew.
    #[cfg(test)]
    pub(crate) fn forget_routines(&mut self) {
        self.instances.iter_mut().for_each(|instance| instance.routine = None);
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
        // Whatever comes may change what an advert means, and what is to be said in one.
        instance.routine = None;
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
        let named: BTreeSet<IfName> = self.config.instances.iter().filter_map(|instance| instance.interface).collect();
        named.into_iter().for_each(|name| self.report_assigned(name, out));
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

    /// Does what is due; says whether adverts are all that came of it, from `before` on.
    #[inline]
    fn tick(&mut self, before: usize, now: Instant, out: &mut Vec<Action>) -> bool {
        if self.phase != Phase::Running {
            return true;
        }
        let all = self.rest.0 <= now;
        if all {
            self.tick_trackers(now, out);
        }
        self.tick_instances(now, out);
        let quiet = !all && is_quiet(&out[before..]);
        if !quiet {
            self.tick_hands(now, out);
        }
        quiet
    }

    /// What instances depend on.
    #[cold]
    fn tick_trackers(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.startup_ends.is_some_and(|ends| ends <= now) {
            self.startup_ends = None;
            out.push(Action::Report(Event::StartupDelayOver));
        }
        self.tick_links(now, out);
        self.tick_scripts(now, out);
    }

    /// What instances need.
    #[cold]
    fn tick_hands(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.tick_sockets(now, out);
        self.announcer.tick(&self.links, now, out);
        for holder in self.holdings.tick(now, out) {
            self.with(holder.0, now, out, |instance, ctx| instance.announce(instance.config.garp.master_repeat, ctx));
        }
    }

    #[inline(always)]
    fn tick_instances(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.due.iter().all(|&at| at > now) {
            return;
        }
        // what is nearly due leaves in the same wake-up: early, never late
        let horizon = now + self.horizon;
        for i in 0..self.due.len() {
            let (Some(due), Some(instance)) = (self.due.get_mut(i), self.instances.get_mut(i)) else { continue };
            if *due > if instance.is_master() { horizon } else { now } {
                continue;
            }
            match instance.send_again(now, out) {
                Some(next) => *due = next,
                None => self.tick_instance(i, now, out),
            }
        }
    }

    /// What a turn that only sends what it sent before does not touch: the memory and the code of it are cold.
    #[cold]
    fn tick_instance(&mut self, i: usize, now: Instant, out: &mut Vec<Action>) {
        self.with(i, now, out, Instance::tick);
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
        if self.phase != Phase::Running || self.startup_ends.is_some() || self.hear_again(self.next, meta, bytes, now) {
            return;
        }
        self.look_at(meta, bytes, now, out);
    }

    /// Whether this is what an instance hears again and again.
    fn hear_again(&mut self, i: usize, meta: &PacketMeta, bytes: &[u8], now: Instant) -> bool {
        let (Some(at), Some(instance)) = (self.due.get_mut(i), self.instances.get_mut(i)) else { return false };
        let Some(due) = instance.hear_again(meta, bytes, now) else { return false };
        *at = due;
        self.next = if i + 1 < self.instances.len() { i + 1 } else { 0 };
        true
    }

    /// What is not heard again and again, or not in the order it was heard in before.
    #[inline(never)]
    fn look_at(&mut self, meta: &PacketMeta, bytes: &[u8], now: Instant, out: &mut Vec<Action>) {
        let family = meta.socket.family;
        let (header, payload) = match family {
            Family::V6 => (None, bytes),
            Family::V4 => match wire::ipv4::Header::parse(bytes) {
                Ok((header, payload)) => (Some(header), payload),
                Err(_) => return self.too_short(family, bytes, now, out),
            },
        };
        let ah = header.is_some_and(|header| header.protocol == wire::ipv4::PROTOCOL_AH);
        let behind_ah = if ah { payload.get(24..).unwrap_or_default() } else { payload };
        let Some(vrid) = wire::vrrp::vrid(behind_ah) else {
            return self.too_short(family, bytes, now, out);
        };
        let Some(i) = self.route(meta, vrid) else {
            return self.unknown_vrid(meta, vrid, now, out);
        };
        if !self.hear_again(i, meta, bytes, now) {
            let datagram = Datagram { meta: *meta, header, len: bytes.len(), payload };
            self.hear_anew(i, &datagram, bytes, now, out);
        }
    }

    /// What a turn that only hears what it heard before does not touch: the memory and the code of it are cold.
    #[cold]
    fn hear_anew(&mut self, i: usize, datagram: &Datagram<'_>, bytes: &[u8], now: Instant, out: &mut Vec<Action>) {
        let meta = &datagram.meta;
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
            match inspect(datagram, expect, &mut instance.statistics) {
                Ok(heard) => {
                    let said = ctx.out.len();
                    instance.hear(&heard, ctx);
                    if ctx.out.len() == said && instance.is_routine(&heard) {
                        instance.routine = Advert::of(meta, bytes).map(Routine::Hear);
                    }
                }
                Err(flaw) => instance.report_flaw(meta.source, flaw, ctx),
            }
        });
    }

    #[cold]
    fn too_short(&mut self, family: Family, bytes: &[u8], now: Instant, out: &mut Vec<Action>) {
        self.report_limited(Event::TooShort(family, bytes.len()), now, out);
    }

    #[cold]
    fn unknown_vrid(&mut self, meta: &PacketMeta, vrid: u8, now: Instant, out: &mut Vec<Action>) {
        if self.config.log_unknown_vrids {
            let link = meta.socket.link.and_then(|index| self.links.name_of(index));
            self.report_limited(Event::UnknownVrid { vrid, link, source: meta.source }, now, out);
        }
    }

    fn report_limited(&mut self, event: Event, now: Instant, out: &mut Vec<Action>) {
        if self.log.allows(now) {
            out.push(Action::Report(event));
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
            Failure::Socket(key, errno) => self.socket_failed(*key, *errno, now, out),
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
}

/// Whether an instance has sent adverts at most: whatever else it moves beyond its own timer, it tells.
fn is_quiet(actions: &[Action]) -> bool {
    actions.iter().all(|action| matches!(action, Action::SendAdvert(_)))
}
