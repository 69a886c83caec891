//! One virtual router: the state machine of RFC 9568 §6.4 with keepalived's FAULT.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::addr::{Family, IfName};
use crate::model::vrrp::{Destination, InitialState, OldUnicastChecksum, Version};
use crate::model::{self, InstanceId, Vrrp};
use crate::time::{Centis, Duration, Instant};
use crate::track::script;

use super::announce::Announcer;
use super::encode::Encoder;
use super::holdings::Holdings;
use super::io::{Action, Link, Notification, Notified, Packets, Role, SendAdvert, SocketKey, Statistics, Subject};
use super::links::Links;
use super::node::NEVER;
use super::report::{Event, FaultReason, InstanceEvent};
use super::routine::{Cadence, Routine};
use super::sockets::Broken;

/// What an instance sees and moves of its node.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) out: &'a mut Vec<Action>,
    pub(crate) config: &'a Vrrp,
    pub(crate) links: &'a Links,
    pub(crate) scripts: &'a [script::Tracker],
    pub(crate) holdings: &'a mut Holdings,
    pub(crate) announcer: &'a mut Announcer,
    /// Until then nothing is sent and nothing is heard.
    pub(crate) startup_ends: Option<Instant>,
    /// Every configured virtual address: no source for adverts.
    pub(crate) virtuals: &'a BTreeSet<(IfName, IpAddr)>,
    /// Sockets that could not be opened.
    pub(crate) broken_sockets: &'a [Broken],
}

impl Context<'_> {
    /// Timers count from here: now, or the end of the startup delay.
    fn start(&self) -> Instant {
        self.startup_ends.map_or(self.now, |ends| ends.max(self.now))
    }
}

#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: InstanceId,
    pub(crate) config: Arc<model::Instance>,
    pub(crate) state: State,
    pub(crate) reasons: Vec<FaultReason>,
    /// Base plus all weights.
    pub(crate) total: i32,
    /// Priority in force.
    pub(crate) effective: u8,
    /// An owner that has lowered itself to 254, because of this other owner.
    pub(super) yielded_to: Option<IpAddr>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) socket: Option<SocketKey>,
    pub(crate) old_checksum: bool,
    /// Interval of the current master (RFC 9568: Active_Adver_Interval).
    pub(crate) master_interval: Centis,
    pub(crate) master: Option<(IpAddr, u8)>,
    /// IPv4 identification of the last advert heard, and from whom.
    pub(super) last_id: Option<(IpAddr, u16)>,
    /// What it does again if nothing changes.
    pub(super) routine: Option<Routine>,
    pub(super) encoder: Encoder,
    pub(crate) statistics: Statistics,
    pub(super) log: LogLimits,
    pub(crate) last_transition: Instant,
    pub(crate) last_advert_sent: Option<Instant>,
}

#[derive(Debug)]
pub(crate) enum State {
    /// Not started, or waiting for first script results.
    Init,
    Backup(Backup),
    Master(Master),
    Fault,
}

#[derive(Debug)]
pub(crate) struct Backup {
    pub(crate) down_at: Instant,
    /// How long the timer was set for.
    pub(super) length: Duration,
    /// Until when `preempt_delay` holds, once a lower priority was heard.
    pub(super) preempt_at: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Master {
    pub(crate) advert_at: Instant,
    pub(super) since: Instant,
    /// When it last announced its addresses.
    pub(super) announced: Instant,
    /// Second burst (`garp_master_delay`).
    pub(super) burst_at: Option<Instant>,
    /// Second burst after a lower priority (`garp_lower_prio_delay`).
    pub(super) lower_burst_at: Option<Instant>,
    /// Next refresh (`garp_master_refresh`).
    pub(super) refresh_at: Option<Instant>,
    /// When hearing a rival last led to announcements.
    pub(super) reacted: Option<Instant>,
    /// When it will again, for what a flood made us skip.
    pub(super) react_at: Option<Instant>,
    /// When a rival that was heard counts as silent.
    pub(super) rival_silent_at: Option<Instant>,
    pub(super) other_owner: Option<OtherOwner>,
}

impl Master {
    /// When the first thing beside adverts is due ([`NEVER`]: nothing is).
    fn aside_at(&self) -> Instant {
        let window = self.other_owner.as_ref().and_then(|other| other.until);
        let bursts = [self.burst_at, self.lower_burst_at, self.refresh_at];
        let others = bursts.into_iter().chain([self.react_at, self.rival_silent_at, window]);
        others.flatten().fold(NEVER, Instant::min)
    }
}

/// Two routers own the addresses, and ours has the higher address.
#[derive(Debug)]
pub(crate) struct OtherOwner {
    pub(super) source: IpAddr,
    pub(super) interval: Centis,
    /// Own adverts to wait for before it counts.
    pub(super) adverts: u8,
    /// From the last of them until here it must not be heard.
    pub(super) until: Option<Instant>,
}

/// Bounds what others can make us log: a burst of twenty lines, then one a second.
#[derive(Debug, Default)]
pub(crate) struct LogLimits {
    /// Kinds of flaws that have been logged.
    pub(super) logged: u32,
    tokens: u32,
    refilled: Option<Instant>,
}

impl LogLimits {
    const BURST: u32 = 20;

    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        let elapsed = self.refilled.map_or(u64::from(Self::BURST), |at| now.since(at).as_secs());
        if elapsed > 0 {
            let elapsed = u32::try_from(elapsed).unwrap_or(Self::BURST);
            self.tokens = self.tokens.saturating_add(elapsed).min(Self::BURST);
            self.refilled = Some(now);
        }
        let allowed = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        allowed
    }

    fn first_of_kind(&mut self, kind: u32) -> bool {
        let bit = 1u32.checked_shl(kind).unwrap_or(0);
        let first = self.logged & bit == 0;
        self.logged |= bit;
        first
    }
}

impl Instance {
    pub(crate) fn new(id: InstanceId, config: &Arc<model::Instance>) -> Self {
        Self {
            id,
            config: Arc::clone(config),
            state: State::Init,
            reasons: Vec::new(),
            total: i32::from(config.priority),
            effective: config.priority,
            yielded_to: None,
            source: None,
            socket: None,
            old_checksum: config.old_unicast_checksum == OldUnicastChecksum::Always,
            master_interval: config.advert_interval,
            master: None,
            last_id: None,
            routine: None,
            encoder: Encoder::default(),
            statistics: Statistics::default(),
            log: LogLimits::default(),
            last_transition: Instant::ZERO,
            last_advert_sent: None,
        }
    }

    pub(crate) const fn role(&self) -> Role {
        match self.state {
            State::Init => Role::Init,
            State::Backup(_) => Role::Backup,
            State::Master(_) => Role::Master,
            State::Fault => Role::Fault,
        }
    }

    pub(crate) const fn is_master(&self) -> bool {
        matches!(self.state, State::Master(_))
    }

    /// When [`Instance::tick`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Init | State::Fault => None,
            State::Backup(backup) => Some(backup.down_at),
            State::Master(master) => Some(master.advert_at.min(master.aside_at())),
        }
    }

    pub(crate) fn has_peer(&self, address: IpAddr) -> bool {
        matches!(&self.config.destination, Destination::Unicast(unicast)
            if unicast.peers.iter().any(|peer| peer.address == address))
    }

    /// Bytes of its adverts, IP header included.
    pub(crate) fn advert_len(&self) -> u32 {
        let (header, auth) = match (self.config.family, self.config.version) {
            (Family::V4, Version::V2) => (28, 8),
            (Family::V4, Version::V3) => (28, 0),
            (Family::V6, _) => (48, 0),
        };
        let addresses = self.config.addresses.len() * self.config.family.octets();
        u32::try_from(header + auth + addresses).unwrap_or(u32::MAX)
    }

    // ---- times -----------------------------------------------------------------------------------------------

    /// Skew_Time. v3: ((256 - Priority) * Active_Adver_Interval) / 256 (RFC 9568 §6.1).
    /// v2: (256 - Priority) / 256 seconds, whatever the interval (RFC 3768 §6.1).
    pub(super) fn skew_time(&self) -> Duration {
        let priority = if self.config.is_owner() { 255 } else { self.effective };
        let rest = 256 - u64::from(priority);
        match self.config.version {
            Version::V2 => Duration::from_micros(rest * 1_000_000 / 256),
            Version::V3 => Duration::from_micros(rest * u64::from(self.master_interval.0) * 625 / 16),
        }
    }

    /// Master_Down_Interval (Active_Down_Interval) with keepalived's `down_timer_adverts` in place of 3.
    pub(crate) fn master_down_interval(&self) -> Duration {
        let interval = match self.config.version {
            Version::V2 => self.config.advert_interval,
            Version::V3 => self.master_interval,
        };
        interval.duration() * u32::from(self.config.down_timer_adverts) + self.skew_time()
    }

    pub(super) fn advert_interval(&self) -> Duration {
        self.config.advert_interval.duration().max(Duration::from_millis(10))
    }

    fn next_advert(&self, due: Instant, now: Instant) -> Instant {
        self.cadence(NEVER).next(due, now)
    }

    fn cadence(&self, until: Instant) -> Cadence {
        Cadence { interval: self.advert_interval(), slack: self.slack(), until }
    }

    /// How much earlier than due an advert may leave in company.
    pub(crate) fn slack(&self) -> Duration {
        (self.advert_interval() / 100).max(Duration::from_millis(1))
    }

    // ---- start, trackers, faults -----------------------------------------------------------------------------

    /// Takes the first state.
    pub(crate) fn start(&mut self, ctx: &mut Context<'_>) {
        self.last_transition = ctx.now;
        self.weigh(ctx);
        self.reasons = self.fault_reasons(ctx);
        if !self.reasons.is_empty() {
            for reason in self.reasons.clone() {
                self.report(InstanceEvent::StartsInFault(reason), ctx);
            }
            self.enter(State::Fault, true, ctx);
            self.tell(Notified::Fault, ctx);
        }
        if !self.is_owner_from_the_start() {
            self.report_addresses(false, ctx); // what an earlier run has left
        }
        if self.reasons.is_empty() && !self.waits_for_scripts(ctx) {
            self.leave_init(ctx);
        }
    }

    fn is_owner_from_the_start(&self) -> bool {
        self.config.is_owner() && self.config.initial_state == InitialState::Master
    }

    pub(super) fn leave_init(&mut self, ctx: &mut Context<'_>) {
        if self.is_owner_from_the_start() {
            // keepalived: an owner says nothing of the instant in which it is BACKUP
            self.state = State::Backup(Backup { down_at: ctx.start(), length: Duration::ZERO, preempt_at: None });
            return;
        }
        self.become_backup(true, ctx);
    }

    pub(super) fn become_backup(&mut self, init: bool, ctx: &mut Context<'_>) {
        let length = self.master_down_interval();
        self.enter(State::Backup(Backup { down_at: ctx.start() + length, length, preempt_at: None }), init, ctx);
        self.tell(Notified::Backup, ctx);
    }

    // ---- timers ----------------------------------------------------------------------------------------------

    /// What [`Instance::tick`] does where there is nothing to do but to send the advert before once more: it leaves, and
    /// this is when the next thing is due. None where there is something else to do.
    #[inline]
    pub(super) fn send_again(&mut self, now: Instant, out: &mut Vec<Action>) -> Option<Instant> {
        let (State::Master(master), Some(Routine::Send(cadence))) = (&mut self.state, &self.routine) else {
            return None;
        };
        let due = master.advert_at;
        if !cadence.is_all(due, now) {
            return None;
        }
        let packets = self.encoder.again()?;
        master.advert_at = cadence.next(due, now);
        let next = master.advert_at.min(cadence.until);
        self.send(packets, due, now, out);
        Some(next)
    }

    /// Does what is due at `now`; an advert that is due within its slack leaves as well, in company.
    pub(crate) fn tick(&mut self, ctx: &mut Context<'_>) {
        let (now, slack) = (ctx.now, self.slack());
        let mut sent = false;
        if let State::Backup(backup) = &self.state
            && backup.down_at <= now
        {
            let due = backup.down_at;
            self.become_master(due, ctx);
        }
        if let State::Master(master) = &self.state
            && master.advert_at <= now + slack
        {
            let due = master.advert_at;
            sent = self.send_advert(self.effective, due, ctx);
            self.set_advert_at(self.next_advert(due, now));
            self.count_down_other_owner(now);
            if now.since(due)
                >= self.advert_interval() * u32::from(self.config.down_timer_adverts.saturating_sub(1)).max(1)
            {
                // peers may have taken over and announced while this process did not run
                self.announce(self.config.garp.master_repeat, ctx);
            }
        }
        if matches!(&self.state, State::Master(master) if master.aside_at() <= now) {
            self.tick_announcements(ctx);
            self.tick_other_owner(ctx);
        }
        if let State::Master(master) = &self.state
            && sent
            && master.other_owner.is_none()
        {
            self.routine = Some(Routine::Send(self.cadence(master.aside_at())));
        }
    }

    fn tick_announcements(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now;
        let garp = self.config.garp;
        let State::Master(master) = &mut self.state else { return };
        let mut rounds = [0; 4];
        let due = |timer: &mut Option<Instant>| timer.take_if(|at| *at <= now).is_some();
        if due(&mut master.burst_at) {
            rounds[0] = garp.master_repeat;
        }
        if due(&mut master.lower_burst_at) {
            rounds[1] = garp.lower_prio_repeat;
        }
        if due(&mut master.rival_silent_at) {
            rounds[2] = garp.master_repeat;
        }
        if due(&mut master.react_at) {
            master.reacted = Some(now);
            rounds[1] = garp.lower_prio_repeat;
        }
        if let Some(at) = master.refresh_at.filter(|&at| at <= now) {
            let next = at + garp.master_refresh;
            master.refresh_at = Some(if next > now { next } else { now + garp.master_refresh });
            rounds[3] = garp.master_refresh_repeat;
        }
        for repeat in rounds {
            self.announce(repeat, ctx);
        }
    }

    pub(super) fn set_advert_at(&mut self, at: Instant) {
        if let State::Master(master) = &mut self.state {
            master.advert_at = at;
        }
    }

    // ---- MASTER and back -------------------------------------------------------------------------------------

    fn become_master(&mut self, due: Instant, ctx: &mut Context<'_>) {
        let now = ctx.now;
        self.log.logged = 0;
        self.report(InstanceEvent::MasterDown, ctx);
        let garp = self.config.garp;
        let second = garp.master_delay;
        let master = Master {
            advert_at: self.next_advert(due, now),
            since: now,
            announced: now,
            burst_at: (!second.is_zero()).then_some(now + second),
            lower_burst_at: None,
            refresh_at: (!garp.master_refresh.is_zero()).then_some(now + second + garp.master_refresh),
            reacted: None,
            react_at: None,
            rival_silent_at: None,
            other_owner: None,
        };
        self.yielded_to = None;
        self.enter(State::Master(master), false, ctx);
        self.weigh(ctx);
        // the advert goes before the addresses, so that the old master lets go first
        self.send_advert(self.effective, due, ctx);
        self.statistics.become_master += 1;
        if self.master_interval != self.config.advert_interval {
            let from = std::mem::replace(&mut self.master_interval, self.config.advert_interval);
            self.report(InstanceEvent::IntervalReset { from, to: self.config.advert_interval }, ctx);
        }
        self.report_addresses(true, ctx);
        let config = Arc::clone(&self.config);
        ctx.holdings.acquire(self.id, config.held_addresses(), ctx.links, ctx.out);
        self.announce(garp.master_repeat, ctx);
        self.tell(Notified::Master, ctx);
    }

    /// Gives everything up that only a MASTER has, and takes `state`; the caller notifies.
    pub(super) fn leave_master(&mut self, state: State, priority_zero: bool, ctx: &mut Context<'_>) {
        self.log.logged = 0;
        if priority_zero {
            self.send_zero(ctx);
        }
        ctx.announcer.cancel(self.id);
        self.report_addresses(false, ctx);
        let config = Arc::clone(&self.config);
        ctx.holdings.release(self.id, config.held_addresses(), ctx.links, ctx.out);
        self.statistics.release_master += 1;
        self.enter(state, false, ctx);
    }

    pub(crate) fn send_zero(&mut self, ctx: &mut Context<'_>) {
        if self.send_advert(0, ctx.now, ctx) {
            self.statistics.pri_zero_sent += 1;
            self.report(InstanceEvent::SentZero, ctx);
        }
    }

    /// Yields to another MASTER: no priority 0.
    pub(super) fn yield_to_master(&mut self, ctx: &mut Context<'_>) {
        let length = self.master_down_interval();
        let backup = Backup { down_at: ctx.start() + length, length, preempt_at: None };
        self.leave_master(State::Backup(backup), false, ctx);
        self.tell(Notified::Backup, ctx);
    }

    /// The end of the daemon.
    pub(crate) fn stop(&mut self, ctx: &mut Context<'_>) {
        if self.is_master() {
            self.leave_master(State::Init, true, ctx);
        }
        self.state = State::Init;
    }

    /// Its addresses stay for others to take: a reload has done away with the instance.
    pub(crate) fn vanish(&mut self, ctx: &mut Context<'_>) {
        let was_fault = matches!(self.state, State::Fault);
        if self.is_master() {
            self.send_zero(ctx);
            ctx.announcer.cancel(self.id);
            self.report_addresses(false, ctx);
        }
        self.state = State::Init;
        if self.config.notify.reports_deleted {
            self.tell(Notified::Deleted, ctx);
        } else if !was_fault {
            self.tell(Notified::Fault, ctx);
        }
    }

    /// Steps down without a word: others have long taken over while this process did not run.
    pub(crate) fn step_down_late(&mut self, ctx: &mut Context<'_>) {
        self.report(InstanceEvent::LateStepDown, ctx);
        self.yield_to_master(ctx);
    }

    /// Whether it has been silent for longer than its peers wait, when those have the priority it assumes.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        let Some(priority) = self.config.timer_expired_backup.filter(|_| self.is_master()) else { return false };
        let limit = self.advert_interval() * 3 + self.assumed_skew(priority);
        self.last_advert_sent.is_some_and(|at| now.since(at) > limit)
    }

    /// From how late a loop on it matters.
    pub(crate) fn lateness_limit(&self) -> Option<Duration> {
        let priority = self.config.timer_expired_backup?;
        Some(self.advert_interval() * 2 + self.assumed_skew(priority))
    }

    fn assumed_skew(&self, priority: u8) -> Duration {
        let base = match self.config.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.advert_interval(),
        };
        base * (256 - u32::from(priority)) / 256
    }

    // ---- sending ---------------------------------------------------------------------------------------------

    /// Says whether there was anything to send with.
    pub(super) fn send_advert(&mut self, priority: u8, due: Instant, ctx: &mut Context<'_>) -> bool {
        let (Some(source), Some(socket)) = (self.source, self.socket) else { return false };
        if socket.link.is_some_and(|link| ctx.links.get(link).is_none()) {
            return false;
        }
        let packets = self.encoder.encode(&self.config, priority, source, socket, self.old_checksum);
        self.send(packets, due, ctx.now, ctx.out);
        true
    }

    #[inline]
    fn send(&mut self, packets: Arc<Packets>, due: Instant, now: Instant, out: &mut Vec<Action>) {
        self.last_advert_sent = Some(now);
        self.statistics.advert_sent += 1;
        out.push(Action::SendAdvert(SendAdvert { instance: self.id, due, packets }));
    }

    /// Sends an advert out of turn; the next one is a whole interval away then.
    pub(super) fn advertise(&mut self, ctx: &mut Context<'_>) {
        self.send_advert(self.effective, ctx.now, ctx);
        self.set_advert_at(ctx.now + self.advert_interval());
    }

    /// Announces all addresses, `repeat` times over.
    pub(crate) fn announce(&mut self, repeat: u32, ctx: &mut Context<'_>) {
        if repeat == 0 {
            return;
        }
        let config = Arc::clone(&self.config);
        let held = |va: &Arc<model::vrrp::VirtualAddress>| {
            let link = ctx.links.named(va.interface)?.link;
            (announceable(&link) && ctx.holdings.is_held(link.index, va.cidr)).then_some((link, va.cidr.address))
        };
        let targets: Vec<(Link, IpAddr)> = config.held_addresses().filter_map(held).collect();
        self.announce_these(&targets, repeat, ctx);
    }

    pub(crate) fn announce_these(&mut self, targets: &[(Link, IpAddr)], repeat: u32, ctx: &mut Context<'_>) {
        for (link, address) in targets {
            let event = InstanceEvent::AnnouncingBurst { link: link.name, address: *address };
            self.report(event, ctx);
        }
        if let State::Master(master) = &mut self.state {
            master.announced = ctx.now;
        }
        ctx.announcer.burst(ctx.config, self.id, targets, repeat, ctx.now, ctx.out);
    }

    // ---- reload ----------------------------------------------------------------------------------------------

    /// Takes another configuration over, keeping state, statistics and cadence. Says whether anything changed that
    /// adverts or timers depend on.
    pub(crate) fn reconfigure(&mut self, id: InstanceId, config: &Arc<model::Instance>, now: Instant) -> bool {
        self.id = id;
        self.log.logged = 0;
        self.routine = None;
        if self.config == *config {
            // Equal, but not the same: the old configuration's memory goes with it.
            self.config = Arc::clone(config);
            return false;
        }
        let old = std::mem::replace(&mut self.config, Arc::clone(config));
        self.encoder.forget();
        if old.old_unicast_checksum != config.old_unicast_checksum || old.version != config.version {
            self.old_checksum = config.old_unicast_checksum == OldUnicastChecksum::Always;
        }
        if config.version == Version::V2
            || old.version != config.version
            || (self.is_master() && old.advert_interval != config.advert_interval)
        {
            self.master_interval = config.advert_interval;
        }
        if !config.is_owner() {
            self.yielded_to = None;
        }
        if !config.is_owner() && !old.is_owner() {
            // keepalived: a new base priority is no change worth a word; what weighs on it is
            self.total += i32::from(config.priority) - i32::from(old.priority);
            self.effective = clamped(self.total);
        }
        if let State::Backup(backup) = &mut self.state
            && old.preempt_delay != config.preempt_delay
        {
            backup.preempt_at = None;
        }
        let refresh = config.garp.master_refresh;
        if let State::Master(master) = &mut self.state
            && old.garp.master_refresh != refresh
        {
            master.refresh_at = (!refresh.is_zero()).then_some(now + refresh);
        }
        !sends_the_same(&old, config)
    }

    /// After a reload has changed something that adverts or timers depend on: a MASTER says so at once, a BACKUP waits
    /// a whole Master_Down_Interval.
    pub(crate) fn settle(&mut self, ctx: &mut Context<'_>) {
        let length = self.master_down_interval();
        match &mut self.state {
            State::Master(_) => self.advertise(ctx),
            State::Backup(backup) => (backup.down_at, backup.length) = (ctx.start() + length, length),
            State::Init | State::Fault => {}
        }
    }

    /// The startup delay was called off.
    pub(crate) fn start_timer(&mut self, now: Instant) {
        if let State::Backup(backup) = &mut self.state {
            backup.down_at = backup.down_at.min(now + backup.length);
        }
    }

    // ---- words -----------------------------------------------------------------------------------------------

    pub(super) fn enter(&mut self, state: State, init: bool, ctx: &mut Context<'_>) {
        self.state = state;
        self.last_transition = ctx.now;
        let role = self.role();
        if role != Role::Init {
            self.report(InstanceEvent::Entered { role, init }, ctx);
        }
    }

    pub(crate) fn tell(&self, what: Notified, ctx: &mut Context<'_>) {
        ctx.out.push(Action::Notify(Notification {
            subject: Subject::Instance,
            name: Arc::clone(&self.config.name),
            what,
            priority: self.effective,
            notify: Arc::clone(&self.config.notify),
        }));
    }

    pub(crate) fn report(&self, event: InstanceEvent, ctx: &mut Context<'_>) {
        ctx.out.push(Action::Report(Event::Instance(Arc::clone(&self.config.name), event)));
    }

    /// For what a peer can cause.
    pub(super) fn report_limited(&mut self, event: InstanceEvent, ctx: &mut Context<'_>) {
        if self.log.allows(ctx.now) {
            self.report(event, ctx);
        }
    }

    /// Once for each kind, until the flags are cleared.
    pub(crate) fn report_flaw(&mut self, source: IpAddr, flaw: super::report::Flaw, ctx: &mut Context<'_>) {
        if self.log.first_of_kind(flaw.kind()) {
            self.report_limited(InstanceEvent::Heard(source, flaw), ctx);
        }
    }

    /// At most one a second or so.
    pub(crate) fn report_failure(&mut self, event: InstanceEvent, ctx: &mut Context<'_>) {
        self.report_limited(event, ctx);
    }

    pub(super) fn report_addresses(&self, setting: bool, ctx: &mut Context<'_>) {
        if !self.config.addresses.is_empty() {
            self.report(InstanceEvent::Addresses { setting, excluded: false }, ctx);
        }
        if !self.config.excluded.is_empty() {
            self.report(InstanceEvent::Addresses { setting, excluded: true }, ctx);
        }
    }
}

/// A priority that is not an owner's (RFC 9568 §5.2.4).
pub(super) fn clamped(total: i32) -> u8 {
    u8::try_from(total.clamp(1, 254)).unwrap_or(1)
}

/// Whether adverts and timers of both are the same.
fn sends_the_same(a: &model::Instance, b: &model::Instance) -> bool {
    let timing = |i: &model::Instance| (i.priority, i.version, i.advert_interval, i.down_timer_adverts);
    let packet = |i: &model::Instance| (i.authentication, i.v3_checksum_as_v2, i.old_unicast_checksum);
    let addresses = |i: &model::Instance| i.addresses.iter().map(|va| va.cidr.address).collect::<Vec<_>>();
    timing(a) == timing(b) && packet(a) == packet(b) && a.destination == b.destination && addresses(a) == addresses(b)
}

/// Whether neighbours on this link can be told of an address.
pub(crate) const fn announceable(link: &Link) -> bool {
    link.arp && !link.loopback
}
