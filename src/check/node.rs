//! All virtual servers of one process: routes inputs, keeps deadlines and running probes, and says which services of
//! the kernel's table changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::check::chance::Chance;
use crate::check::checker::{Checker, Run, is_timed};
use crate::check::desired::{self, Health, dest_key, services};
use crate::check::io::{Action, Input, ProbeId, Verdict, Wake};
use crate::check::real_server::RealServer;
use crate::check::report::{Event, ServerEvent};
use crate::check::virtual_server::{Effect, Place, VirtualServer};
use crate::ipvs::marking::Marking;
use crate::ipvs::table::{Entry, Table};
use crate::model;
use crate::model::checker::Probe;
use crate::model::lvs::{CheckerId, FlushOnStop, GroupEntry, Identity, Lvs, RealServerId, VirtualServerId};
use crate::time::{Duration, Instant};
use crate::wire::ipvs::ServiceKey;

/// From the start to the earliest first probe.
const FIRST_PROBE: Duration = Duration::from_secs(1);
/// Probes that are due so soon leave with those that are due now, for fewer wake-ups: a hundredth of the shortest
/// `delay_loop`, within these.
const IN_COMPANY: RangeInclusive<Duration> = Duration::from_millis(2)..=Duration::from_millis(20);

/// So much of a pause at most is given up to keep time.
const CATCH_UP: Duration = Duration::from_millis(250);

/// The engine of the checker process.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) config: Arc<Lvs>,
    pub(crate) phase: Phase,
    /// Option `-I`: the table stays as it is at the end.
    leave_table: bool,
    pub(crate) virtual_servers: Vec<VirtualServer>,
    /// Checkers that wait for their next probe.
    pub(crate) deadlines: BTreeSet<(Instant, CheckerId)>,
    /// Whose answers are awaited.
    pub(crate) probes: BTreeMap<ProbeId, CheckerId>,
    next_probe: u64,
    chance: Chance,
    /// Addresses of this machine, and how many interfaces have them.
    addresses: BTreeMap<IpAddr, usize>,
    /// The numbers in the track files of `config`.
    pub(crate) files: Vec<i32>,
    /// Those of the configuration to come.
    pub(crate) next_files: Option<Vec<i32>>,
    /// What is known of BFD sessions.
    bfd: BTreeMap<Arc<str>, bool>,
    index: Index,
    /// What the kernel is to have, as last said.
    pub(crate) table: BTreeMap<ServiceKey, Arc<Entry>>,
    /// Virtual servers whose services may have changed since.
    pub(crate) touched: BTreeSet<usize>,
    /// Services that nobody has any more.
    pub(crate) gone: Vec<ServiceKey>,
    /// The whole table goes first.
    flush: bool,
    /// The configuration has just come into force.
    pub(crate) is_new_config: bool,
    /// What nf_tables is to hold, as last said.
    marking: Option<Arc<Marking>>,
}

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Waiting,
    /// Started, but no checker is armed.
    Programming,
    Running,
    Stopped,
}

/// Who is concerned by what; follows from the configuration alone.
#[derive(Clone, Debug, Default)]
struct Index {
    /// FILE_CHECKs of each track file.
    files: Vec<Vec<CheckerId>>,
    /// BFD_CHECKs of each session.
    bfd: BTreeMap<Arc<str>, Vec<CheckerId>>,
    /// Virtual servers with `ha_suspend`.
    suspendable: Vec<usize>,
    /// How early a probe may leave.
    company: Duration,
    /// Services that several virtual servers have.
    shared: BTreeMap<ServiceKey, Vec<usize>>,
}

impl Node {
    /// A node that has not started. `seed` spreads the first probes; `leave_table` is option `-I`.
    pub fn new(config: Arc<Lvs>, seed: u64, leave_table: bool) -> Self {
        let mut node = Self {
            config,
            phase: Phase::Waiting,
            leave_table,
            virtual_servers: Vec::new(),
            deadlines: BTreeSet::new(),
            probes: BTreeMap::new(),
            next_probe: 1,
            chance: Chance::new(seed),
            addresses: BTreeMap::new(),
            files: Vec::new(),
            next_files: None,
            bfd: BTreeMap::new(),
            index: Index::default(),
            table: BTreeMap::new(),
            touched: BTreeSet::new(),
            gone: Vec::new(),
            flush: false,
            is_new_config: false,
            marking: None,
        };
        node.index_config();
        node
    }

    /// Takes one input and says what is to be done: first all changes of the table, then what is logged, told and
    /// probed. Total: every state has an answer to every input.
    pub fn handle(&mut self, input: Input<'_>, now: Instant, out: &mut Vec<Action>) {
        if self.phase == Phase::Stopped {
            return;
        }
        let mark = out.len();
        match input {
            Input::Tick => self.tick(now, out),
            Input::Probed(id, verdict) => self.probed(id, verdict, now, out),
            Input::TrackFile(file, number) => self.track_file(file, number, now, out),
            Input::Bfd(name, up) => self.bfd(name, up, now, out),
            Input::AddressAdded(address) => self.address(address, true, now, out),
            Input::AddressRemoved(address) => self.address(address, false, now, out),
            Input::Addresses(addresses) => self.all_addresses(addresses, now, out),
            Input::TrackFiles(numbers) => self.next_files = Some(numbers.to_vec()),
            Input::Startup { left } => self.startup(left, now, out),
            Input::Programmed => self.programmed(now, out),
            Input::Reload(config) => self.reload(config, now, out),
            Input::Shutdown => self.shutdown(out),
        }
        self.say_changes(mark, out);
    }

    /// When to come back with [`Input::Tick`], and why.
    pub fn deadline(&self) -> Option<(Instant, Wake)> {
        self.deadlines.first().map(|&(at, checker)| (at, Wake::Probe(checker)))
    }

    /// What the table depends on, for each virtual server of the configuration in force.
    pub fn health(&self) -> Vec<Health> {
        self.virtual_servers.iter().map(VirtualServer::health).collect()
    }

    /// The configuration in force.
    pub const fn config(&self) -> &Arc<Lvs> {
        &self.config
    }

    // ---- the table -------------------------------------------------------------------------------------------

    /// Puts what changed in the table before everything else that came of an input.
    fn say_changes(&mut self, mark: usize, out: &mut Vec<Action>) {
        if self.touched.is_empty() && self.gone.is_empty() && !self.flush && !self.is_new_config {
            return;
        }
        let mut changes = Vec::new();
        if std::mem::take(&mut self.flush) {
            changes.push(Action::Flush);
        }
        for i in std::mem::take(&mut self.touched) {
            let Some(vs) = self.virtual_servers.get(i) else { continue };
            let health = vs.health();
            for key in services(&vs.config) {
                let entry = self.entry(vs, &key, &health);
                if self.table.get(&key).is_none_or(|before| **before != entry) {
                    let entry = Arc::new(entry);
                    self.table.insert(key, Arc::clone(&entry));
                    changes.push(Action::Service(key, Some(entry)));
                }
            }
        }
        self.say_marks(&mut changes);
        for key in std::mem::take(&mut self.gone) {
            self.table.remove(&key);
            changes.push(Action::Service(key, None));
        }
        out.splice(mark..mark, changes);
    }

    /// Marks come after the services that they lead to, and before those go that they led to.
    fn say_marks(&mut self, out: &mut Vec<Action>) {
        if !std::mem::take(&mut self.is_new_config) {
            return;
        }
        let marking = desired::marking(&self.config);
        if self.marking.as_deref() != marking.as_ref() {
            self.marking = marking.map(Arc::new);
            out.push(Action::Marks(self.marking.clone()));
        }
    }

    /// What a service is to have, with all who share it.
    fn entry(&self, vs: &VirtualServer, key: &ServiceKey, health: &Health) -> Entry {
        let Some(sharers) = self.index.shared.get(key) else { return desired::entry(&vs.config, key, health) };
        let mut sharers = sharers.iter().filter_map(|&i| self.virtual_servers.get(i));
        let own = |vs: &VirtualServer| desired::entry(&vs.config, key, &vs.health());
        let mut entry = sharers.next().map_or_else(|| own(vs), own);
        for other in sharers {
            desired::merge(&mut entry, own(other));
        }
        entry
    }

    // ---- what follows from the configuration -------------------------------------------------------------------

    pub(crate) fn index_config(&mut self) {
        let config = Arc::clone(&self.config);
        let mut index = Index { files: vec![Vec::new(); config.track_files.len()], ..Index::default() };
        let mut owners: BTreeMap<ServiceKey, Vec<usize>> = BTreeMap::new();
        let mut shortest = Duration::MAX;
        for (i, vs) in config.virtual_servers.iter().enumerate() {
            if vs.ha_suspend {
                index.suspendable.push(i);
            }
            for key in services(vs) {
                let owners = owners.entry(key).or_default();
                if owners.last() != Some(&i) {
                    owners.push(i);
                }
            }
            for (id, checker) in checker_ids(VirtualServerId(i), vs) {
                shortest = shortest.min(checker.schedule.delay_loop);
                match &checker.probe {
                    Probe::File(file) => {
                        if let Some(users) = index.files.get_mut(file.file) {
                            users.push(id);
                        }
                    }
                    Probe::Bfd(name) => index.bfd.entry(Arc::clone(name)).or_default().push(id),
                    _ => {}
                }
            }
        }
        owners.retain(|_, owners| owners.len() > 1);
        index.shared = owners;
        index.company = (shortest / 100).clamp(*IN_COMPANY.start(), *IN_COMPANY.end());
        self.index = index;
    }

    pub(crate) fn checker_mut(&mut self, id: CheckerId) -> Option<&mut Checker> {
        let vs = self.virtual_servers.get_mut(id.real_server.virtual_server.0)?;
        vs.real_servers.get_mut(id.real_server.index)?.checkers.get_mut(id.index)
    }

    // ---- life ------------------------------------------------------------------------------------------------

    fn startup(&mut self, left: Option<&Table>, now: Instant, out: &mut Vec<Action>) {
        if self.phase != Phase::Waiting {
            return;
        }
        self.phase = Phase::Programming;
        self.is_new_config = true;
        self.flush = self.config.flush && left.is_none();
        let config = Arc::clone(&self.config);
        self.files = self.next_files.take().unwrap_or_default();
        for (i, vs) in config.virtual_servers.iter().enumerate() {
            let servers = vs.real_servers.iter().map(|rs| RealServer::new(rs, &self.files)).collect();
            let mut vs = VirtualServer::new(VirtualServerId(i), Arc::clone(vs), servers);
            let is_left = left.is_some_and(|left| vs.take_over(left));
            if config.rs_init_notifies && !is_left {
                for server in 0..vs.real_servers.len() {
                    vs.tell_added(server, out);
                }
            }
            vs.update_quorum(true, out);
            vs.note(now);
            self.virtual_servers.push(vs);
            self.touched.insert(i);
        }
        self.tell_known_sessions(now, out);
    }

    fn programmed(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.phase == Phase::Programming {
            self.phase = Phase::Running;
            self.arm_all(now, out);
        }
    }

    fn shutdown(&mut self, out: &mut Vec<Action>) {
        let was_running = self.phase != Phase::Waiting;
        self.phase = Phase::Stopped;
        out.extend(self.probes.keys().map(|&id| Action::CancelProbe(id)));
        self.probes.clear();
        self.deadlines.clear();
        if !was_running || self.leave_table {
            return;
        }
        let how = self.config.flush_on_stop;
        self.flush = how == FlushOnStop::Everything;
        let table = std::mem::take(&mut self.table);
        out.extend(self.marking.take().map(|_| Action::Marks(None)));
        if !self.flush {
            out.extend(table.into_keys().map(|key| Action::Service(key, None)));
        }
        for vs in &mut self.virtual_servers {
            vs.stop(how == FlushOnStop::No, out);
        }
    }

    // ---- time ------------------------------------------------------------------------------------------------

    /// Starts all checkers, as at the start.
    fn arm_all(&mut self, now: Instant, out: &mut Vec<Action>) {
        let config = Arc::clone(&self.config);
        if !self.index.bfd.is_empty() {
            out.push(Action::Report(Event::BfdArmed));
        }
        for (i, vs) in config.virtual_servers.iter().enumerate() {
            let suspended = self.is_suspended(vs);
            if let Some(state) = self.virtual_servers.get_mut(i) {
                state.suspended = suspended;
            }
            for (id, checker) in checker_ids(VirtualServerId(i), vs) {
                if !is_timed(&checker.probe) {
                    continue;
                }
                self.report(id, ServerEvent::Armed { active: !suspended }, out);
                if !suspended {
                    let at = self.first_probe(id, now);
                    self.wait(id, at);
                }
            }
        }
    }

    /// When a checker probes first after a start or a reload.
    pub(crate) fn first_probe(&mut self, id: CheckerId, now: Instant) -> Instant {
        let warmup = self.checker_mut(id).map_or(Duration::ZERO, |checker| checker.schedule().warmup);
        now + FIRST_PROBE + self.chance.up_to(warmup)
    }

    /// Lets a checker wait for its next probe. It must not be waiting or probing already.
    pub(crate) fn wait(&mut self, id: CheckerId, at: Instant) {
        if let Some(checker) = self.checker_mut(id) {
            checker.run = Run::Waiting(at);
            self.deadlines.insert((at, id));
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some(&(at, id)) = self.deadlines.first()
            && at <= now + self.index.company
        {
            self.deadlines.pop_first();
            let probe = ProbeId(self.next_probe);
            let Some(checker) = self.checker_mut(id) else { continue };
            checker.run = Run::Probing { id: probe, since: at };
            let url = checker.url();
            self.next_probe += 1;
            self.probes.insert(probe, id);
            out.push(Action::StartProbe { id: probe, checker: id, url });
        }
    }

    fn probed(&mut self, probe: ProbeId, verdict: Verdict, now: Instant, out: &mut Vec<Action>) {
        let Some(id) = self.probes.remove(&probe) else { return };
        let no_checker_emails = self.config.no_checker_emails;
        let Some(checker) = self.checker_mut(id) else { return };
        let keeps_time = verdict == Verdict::Pass;
        let (due, is_script) = match (checker.run, &checker.config.probe) {
            (Run::Probing { since, .. }, probe) => (since, matches!(probe, Probe::Misc(_))),
            _ => (now, false),
        };
        checker.run = Run::Idle;
        let pause = self.on(id, now, |vs, place| vs.probed(place, verdict, no_checker_emails, out)).pause;
        let next = match (is_script, keeps_time) {
            (true, _) => due + pause,
            // In its own time, however late this one was or how many were due with it: what once came together would
            // stay together, and grow.
            (false, true) => (due + pause).max(now + pause - (pause / 4).min(CATCH_UP)),
            (false, false) => now + pause,
        };
        self.wait(id, next.max(now));
    }

    /// Lets the virtual server of a checker act, and remembers when the checker changed and whether the table may have.
    fn on(&mut self, id: CheckerId, now: Instant, act: impl FnOnce(&mut VirtualServer, Place) -> Effect) -> Effect {
        let i = id.real_server.virtual_server.0;
        let Some(vs) = self.virtual_servers.get_mut(i) else { return Effect::default() };
        let effect = act(vs, Place { server: id.real_server.index, checker: id.index });
        if effect.table {
            self.touched.insert(i);
        }
        if let Some(checker) = self.checker_mut(id) {
            checker.note(now);
        }
        effect
    }

    // ---- events ----------------------------------------------------------------------------------------------

    fn track_file(&mut self, file: usize, number: i32, now: Instant, out: &mut Vec<Action>) {
        let Some(name) = self.config.track_files.get(file).map(|file| Arc::clone(&file.name)) else { return };
        let is_waiting = self.phase == Phase::Waiting;
        let known = if is_waiting { self.next_files.get_or_insert_default() } else { &mut self.files };
        if known.len() <= file {
            known.resize(file + 1, 0);
        }
        if let Some(known) = known.get_mut(file) {
            *known = number;
        }
        if is_waiting {
            return;
        }
        for id in self.index.files.get(file).cloned().unwrap_or_default() {
            self.on(id, now, |vs, place| vs.file(place, number, &name, out));
        }
    }

    fn bfd(&mut self, name: &str, up: bool, now: Instant, out: &mut Vec<Action>) {
        self.bfd.insert(name.into(), up);
        if self.phase != Phase::Waiting {
            self.tell_session(name, up, now, out);
        }
    }

    fn tell_session(&mut self, name: &str, up: bool, now: Instant, out: &mut Vec<Action>) {
        let no_checker_emails = self.config.no_checker_emails;
        for id in self.index.bfd.get(name).cloned().unwrap_or_default() {
            self.on(id, now, |vs, place| vs.bfd(place, up, no_checker_emails, out));
        }
    }

    /// Lets BFD_CHECKs have what was heard of their sessions before they were there.
    pub(crate) fn tell_known_sessions(&mut self, now: Instant, out: &mut Vec<Action>) {
        for (name, up) in self.bfd.clone() {
            self.tell_session(&name, up, now, out);
        }
    }

    // ---- ha_suspend ------------------------------------------------------------------------------------------

    fn all_addresses(&mut self, addresses: &[IpAddr], now: Instant, out: &mut Vec<Action>) {
        self.addresses.clear();
        for &address in addresses {
            *self.addresses.entry(address).or_default() += 1;
        }
        self.review_suspensions(now, out);
    }

    fn address(&mut self, address: IpAddr, added: bool, now: Instant, out: &mut Vec<Action>) {
        let count = self.addresses.entry(address).or_default();
        *count = if added { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.addresses.remove(&address);
        }
        self.review_suspensions(now, out);
    }

    fn review_suspensions(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.phase != Phase::Running {
            return;
        }
        for i in self.index.suspendable.clone() {
            let Some(config) = self.config.virtual_servers.get(i).map(Arc::clone) else { continue };
            let suspended = self.is_suspended(&config);
            let Some(vs) = self.virtual_servers.get_mut(i).filter(|vs| vs.suspended != suspended) else { continue };
            vs.suspended = suspended;
            for (id, checker) in checker_ids(VirtualServerId(i), &config) {
                if !is_timed(&checker.probe) {
                    continue;
                }
                if suspended {
                    self.report(id, ServerEvent::Suspended, out);
                    self.halt(id, out);
                } else {
                    self.report(id, ServerEvent::Armed { active: true }, out);
                    // keepalived: a suspended checker looks every delay_loop whether it may probe
                    let at = now + self.chance.up_to(checker.schedule.delay_loop);
                    self.wait(id, at);
                }
            }
        }
    }

    /// Takes the next probe, or the running one, from a checker.
    pub(crate) fn halt(&mut self, id: CheckerId, out: &mut Vec<Action>) {
        let Some(checker) = self.checker_mut(id) else { return };
        match std::mem::replace(&mut checker.run, Run::Idle) {
            Run::Idle => {}
            Run::Waiting(at) => {
                self.deadlines.remove(&(at, id));
            }
            Run::Probing { id: probe, .. } => {
                self.probes.remove(&probe);
                out.push(Action::CancelProbe(probe));
            }
        }
    }

    /// Whether `ha_suspend` holds: not one of its addresses is on this machine.
    pub(crate) fn is_suspended(&self, vs: &model::VirtualServer) -> bool {
        let is_here =
            |first: IpAddr, last: IpAddr| first <= last && self.addresses.range(first..=last).next().is_some();
        let own = match vs.identity {
            Identity::Address { address, .. } => is_here(address, address),
            _ => false,
        };
        let of_group =
            |entry: &GroupEntry| matches!(*entry, GroupEntry::Addresses { first, last, .. } if is_here(first, last));
        vs.ha_suspend && !own && !vs.group.iter().any(of_group)
    }

    pub(crate) fn report(&self, id: CheckerId, what: ServerEvent, out: &mut Vec<Action>) {
        if let Some(vs) = self.virtual_servers.get(id.real_server.virtual_server.0) {
            vs.report_server(id.real_server.index, what, out);
        }
    }
}

impl VirtualServer {
    /// `rs_init_notifies`: a server that is added at the start or by a reload is told as coming up.
    pub(crate) fn tell_added(&self, server: usize, out: &mut Vec<Action>) {
        if self.real_servers.get(server).is_some_and(|rs| rs.alive) {
            self.tell_server(server, None, out);
        }
    }

    /// Lets the servers have the place they have in a table that a process before this one left. False where it has
    /// nothing of this virtual server.
    fn take_over(&mut self, left: &Table) -> bool {
        let config = Arc::clone(&self.config);
        let Some((key, entry)) = services(&config).find_map(|key| left.get(&key).map(|entry| (key, entry))) else {
            return false;
        };
        let weight = |rs: &model::RealServer| entry.dests.get(&dest_key(&config, rs, &key)).map(|dest| dest.weight);
        for rs in &mut self.real_servers {
            let serves = match weight(&rs.config) {
                None => false,
                Some(weight) => weight > 0 || !rs.config.inhibit_on_failure || rs.config.weight == 0,
            };
            for checker in rs.checkers.iter_mut().filter(|checker| checker.file().is_none()) {
                checker.is_up = serves;
                // What the table says has been told.
                checker.has_run = true;
                checker.patience = checker.schedule().retry;
            }
            rs.alive = rs.is_up();
        }
        let is_apart = |sorry: &model::RealServer| {
            config.real_servers.iter().all(|rs| dest_key(&config, rs, &key) != dest_key(&config, sorry, &key))
        };
        self.sorry_serves = config
            .sorry_server
            .as_ref()
            .is_some_and(|sorry| is_apart(sorry) && weight(sorry).is_some_and(|weight| weight > 0));
        let (weight, quorum) = (self.live_weight(), u64::from(config.quorum));
        let enough = quorum.saturating_sub(config.hysteresis.into()).max(1);
        self.quorum_up = !self.sorry_serves && quorum > 0 && weight >= enough;
        self.told = Some(self.quorum_up);
        true
    }
}

/// Every checker of a virtual server with its id.
pub(crate) fn checker_ids(
    virtual_server: VirtualServerId,
    vs: &model::VirtualServer,
) -> impl Iterator<Item = (CheckerId, &Arc<model::Checker>)> {
    vs.real_servers.iter().enumerate().flat_map(move |(index, rs)| {
        let real_server = RealServerId { virtual_server, index };
        rs.checkers.iter().enumerate().map(move |(index, checker)| (CheckerId { real_server, index }, checker))
    })
}
