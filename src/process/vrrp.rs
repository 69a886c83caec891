//! The VRRP process: one loop around `vrrp::Node`. It listens, lets the engine decide, and hands on what is to be done;
//! nothing in it waits for a disk, a log reader, a script or the kernel's locks.

mod company;
mod notices;
mod post;
mod reload;
mod scripts;
mod sync_daemon;
mod views;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use tracing::{debug, info, warn};

use crate::addr::{Cidr, IfIndex};
use crate::model::{Config, Vrrp};
use crate::process::child::{self, Child, NO_PERMISSION};
use crate::process::ipc::{FromChild, JobEnd, ToChild};
use crate::process::lines;
use crate::process::paths;
use crate::process::record::{self, Record};
use crate::process::vrrp::company::Company;
use crate::process::vrrp::notices::Notices;
use crate::process::vrrp::post::Post;
use crate::process::vrrp::scripts::Scripts;
use crate::process::vrrp::sync_daemon::SyncDaemon;
use crate::sys::files::Writer;
use crate::sys::heartbeat::Heartbeat;
use crate::sys::netlink::{Event, Kernel, KernelEvents, Order};
use crate::sys::poller::Poller;
use crate::sys::raw_socket::Sockets;
use crate::sys::signals::{Signal, Signals};
use crate::sys::{clock, log, schedule};
use crate::time::{Duration, Instant};
use crate::vrrp::io::{Action, Failure, Input, Link as KernelLink, SendAdvert, Wake};
use crate::vrrp::{Node, report};

/// Packets and kernel events that are heard before timers are looked at, so that a flood cannot hold back an advert.
const BATCH: usize = 256;
/// A takeover is awaited so long before its time with open eyes.
const AHEAD: Duration = Duration::from_micros(150);
/// For the kernel to have removed every address at the end.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(3);
/// For STOP scripts; keepalived's.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(1);
/// For what waits for the disk.
const DISK_PATIENCE: Duration = Duration::from_millis(500);

/// Runs the VRRP process; gives its exit status.
pub fn run(child: Child) -> io::Result<u8> {
    let record_path = child.names.record(&child.options);
    let mut scripts = Scripts::start(&child.argv)?;
    // Threads that may lag behind start before the priority is raised, those that must not start after it.
    let writer = Writer::start()?;
    for problem in schedule::apply(&child.config.global.vrrp_scheduling, "vrrp") {
        warn!("{problem}");
    }
    allow_sockets(&child.config.vrrp);
    // The parent holds the pid files, so what is there now was left by a run that is no more.
    record::clean_up(&record_path, &[std::process::id(), nix::unistd::getppid().as_raw().unsigned_abs()]);
    debug!("Registering Kernel netlink reflector");
    debug!("Registering Kernel netlink command channel");
    let (mut kernel, events) = Kernel::start()?;
    use_buffers(&mut kernel, &child.config);
    let mut notices = Notices::default();
    notices.open(&child.config.global.fifos, &mut scripts);
    let mut process = Process {
        node: Node::new(Arc::clone(&child.config.vrrp), 0),
        poller: Poller::new()?,
        ears: Poller::new()?,
        sockets: Sockets::default(),
        kernel,
        events,
        kernel_waits: false,
        company: Company::default(),
        signals: Signals::open()?,
        parent: Post::new(child.channel),
        heartbeat: child.heartbeat,
        scripts,
        notices,
        sync_daemon: None,
        writer: Some(writer),
        record: Record::new(record_path),
        config: child.config,
        options: child.options,
        names: child.names,
        actions: Vec::new(),
        adverts: Vec::new(),
        orders: Vec::new(),
        failures: VecDeque::new(),
        lines: Vec::new(),
        roles_changed: true,
        is_started: false,
        links: BTreeMap::new(),
        addresses: Vec::new(),
        ends: None,
        synced: false,
    };
    process.watch_all()?;
    process.live()
}

/// Each instance has at most a pair.
fn allow_sockets(vrrp: &Vrrp) {
    child::allow_sockets(2 * vrrp.instances.len() as u64);
}

fn use_buffers(kernel: &mut Kernel, config: &Config) {
    for problem in kernel.use_buffers("vrrp_netlink", &config.global.vrrp_netlink) {
        warn!("{problem}");
    }
}

const fn advert(action: &Action) -> Option<&SendAdvert> {
    if let Action::SendAdvert(advert) = action { Some(advert) } else { None }
}

/// With open eyes from [`AHEAD`] of it on.
#[cold]
fn await_takeover(at: Instant) {
    if clock::now() + AHEAD >= at {
        while clock::now() < at {
            std::hint::spin_loop();
        }
    }
}

/// The process: the engine and its hands.
struct Process {
    node: Node,
    /// What the process waits for, packets apart.
    poller: Poller,
    /// Packets, and what `poller` waits for.
    ears: Poller,
    sockets: Sockets,
    kernel: Kernel,
    events: KernelEvents,
    /// More events may wait than one turn took.
    kernel_waits: bool,
    company: Company,
    signals: Signals,
    parent: Post,
    heartbeat: Heartbeat,
    scripts: Scripts,
    notices: Notices,
    sync_daemon: Option<SyncDaemon>,
    /// None at the very end.
    writer: Option<Writer>,
    record: Record,
    config: Config,
    options: crate::process::options::Options,
    names: paths::Names,
    /// What the engine wants done; emptied after every turn, kept for its memory.
    actions: Vec<Action>,
    adverts: Vec<SendAdvert>,
    orders: Vec<Order>,
    /// What did not work, to be told to the engine.
    failures: VecDeque<Failure>,
    /// What is to be logged once everything else of the turn is done.
    lines: Vec<report::Event>,
    roles_changed: bool,
    is_started: bool,
    /// What the kernel has told, for dumps and for the lines of `-a`.
    links: BTreeMap<IfIndex, KernelLink>,
    addresses: Vec<(IfIndex, Cidr)>,
    ends: Option<u8>,
    synced: bool,
}

/// Tokens of what the process waits for; its raw sockets have greater ones.
mod token {
    pub(super) const PARENT: u64 = 0;
    pub(super) const SIGNALS: u64 = 1;
    pub(super) const SCRIPTS: u64 = 2;
    pub(super) const KERNEL: u64 = 3;
    pub(super) const TABLE: u64 = 4;
    /// All of these together, beside the raw sockets.
    pub(super) const OTHERS: u64 = 5;
}

/// What a wait brought, beside packets.
#[derive(Clone, Copy, Debug, Default)]
struct Woken {
    parent: bool,
    signals: bool,
    scripts: bool,
    kernel: bool,
    table: bool,
}

impl Woken {
    /// Whether there is anything to do before the deadline; packets apart.
    const fn any(self) -> bool {
        self.parent || self.signals || self.scripts || self.kernel || self.table
    }
}

impl Process {
    fn watch_all(&self) -> io::Result<()> {
        self.poller.watch(&self.parent, token::PARENT)?;
        self.poller.watch_reading(&self.signals, token::SIGNALS)?;
        self.scripts.watch(&self.poller)?;
        self.poller.watch_reading(&self.events, token::KERNEL)?;
        self.ears.watch_reading(&self.poller, token::OTHERS)
    }

    fn live(&mut self) -> io::Result<u8> {
        while self.ends.is_none() {
            let woken = self.wait()?;
            self.hear(woken)?;
            let now = clock::now();
            self.heartbeat.beat(now);
            self.node.handle(Input::Tick, now, &mut self.actions);
            if (woken.any() || !self.actions.is_empty()) && !self.send_alone() {
                self.perform_all();
            }
        }
        let status = self.ends.unwrap_or_default();
        if status == 0 {
            self.leave()?;
        }
        lines::stopped(&self.options);
        Ok(status)
    }

    #[inline]
    fn wait(&mut self) -> io::Result<Woken> {
        let mut woken = Woken { kernel: self.kernel_waits, ..Woken::default() };
        let something_waits = self.sockets.is_readable() || self.kernel_waits;
        let deadline = if something_waits { Some((Instant::ZERO, Wake::Retry)) } else { self.node.deadline() };
        // Others are without a MASTER: waking up takes as long as all that follows.
        let takeover = deadline.and_then(|(at, wake)| matches!(wake, Wake::MasterDown(_)).then_some(at));
        let mut until = takeover.map(|at| at - AHEAD).or(deadline.map(|(at, _)| at));
        let not_after = move |soon: Instant| until.map_or(soon, |at| at.min(soon));
        let patience = self.node.patience();
        if !something_waits && let Some(soon) = self.company.before(patience) {
            self.wait_without_packets(not_after(soon), &mut woken)?;
            if woken.any() {
                if clock::now() < soon {
                    return Ok(woken);
                }
                until = Some(Instant::ZERO);
            }
        }
        self.wait_until(until, &mut woken)?;
        if something_waits || woken.any() {
            return Ok(woken);
        }
        if self.sockets.is_readable() {
            let now = clock::now();
            if let Some(pause) = self.company.once_there(now, patience) {
                self.wait_without_packets(not_after(now + pause), &mut woken)?;
            }
        } else if let Some(at) = takeover {
            await_takeover(at);
        }
        Ok(woken)
    }

    /// Until there is something to do.
    #[inline]
    fn wait_until(&mut self, until: Option<Instant>, woken: &mut Woken) -> io::Result<()> {
        let mut others = false;
        for token in self.ears.wait(until)? {
            match token {
                token::OTHERS => others = true,
                socket => self.sockets.woken(socket),
            }
        }
        if others { self.wait_without_packets(Instant::ZERO, woken) } else { Ok(()) }
    }

    /// Packets that come meanwhile do not wake us.
    #[inline(never)]
    fn wait_without_packets(&mut self, until: Instant, woken: &mut Woken) -> io::Result<()> {
        for token in self.poller.wait(Some(until))? {
            match token {
                token::PARENT => woken.parent = true,
                token::SIGNALS => woken.signals = true,
                token::SCRIPTS => woken.scripts = true,
                token::KERNEL => woken.kernel = true,
                _ => woken.table = true,
            }
        }
        Ok(())
    }

    /// What already waits is heard first, or a takeover could come from an advert that was there in time. Each source has
    /// its turn, and none more than its share of it.
    #[inline]
    fn hear(&mut self, woken: Woken) -> io::Result<()> {
        let Self { sockets, node, actions, .. } = self;
        if sockets.is_readable() {
            let now = clock::now();
            let longest = self.company.longest_wait();
            let mut waits = longest..Duration::ZERO;
            let count = sockets.receive(BATCH, longest, |meta, waited, bytes| {
                waits = waits.start.min(waited)..waits.end.max(waited);
                node.handle(Input::Received { meta, waited, bytes }, now, actions);
            });
            self.company.heard(count, waits, now, node.patience());
        }
        if woken.any() { self.hear_others(woken) } else { Ok(()) }
    }

    /// What a turn that only hears and sends adverts does not touch.
    #[cold]
    fn hear_others(&mut self, woken: Woken) -> io::Result<()> {
        if woken.kernel {
            self.hear_kernel();
            if self.events.is_closed() {
                return Err(io::Error::other("the kernel's thread has ended"));
            }
        }
        if woken.table {
            self.hear_table();
        }
        if woken.scripts {
            self.hear_scripts();
        }
        if woken.parent {
            self.hear_parent()?;
        }
        if woken.signals {
            while let Some(signal) = self.signals.next()? {
                self.signal(signal);
            }
        }
        Ok(())
    }

    fn hear_kernel(&mut self) {
        self.kernel_waits = true;
        for _ in 0..BATCH {
            let Some(event) = self.events.try_next() else {
                self.kernel_waits = false;
                break;
            };
            self.kernel_event(event);
        }
    }

    fn kernel_event(&mut self, event: Event) {
        let now = clock::now();
        let Self { node, actions, .. } = self;
        match event {
            Event::Machine(snapshot) => {
                self.links = snapshot.links.iter().map(|link| (link.index, *link)).collect();
                self.addresses.clone_from(&snapshot.addresses);
                node.handle(Input::Machine(&snapshot), now, actions);
                self.start_once();
            }
            Event::Link(link) => {
                self.links.insert(link.index, link);
                node.handle(Input::Link(link), now, actions);
            }
            Event::LinkGone(index) => {
                self.links.remove(&index);
                self.addresses.retain(|(link, _)| *link != index);
                node.handle(Input::LinkGone(index), now, actions);
            }
            Event::AddressAdded(link, address) => {
                self.report_address("added to", link, address);
                if !self.addresses.contains(&(link, address)) {
                    self.addresses.push((link, address));
                }
                self.node.handle(Input::AddressAdded(link, address), now, &mut self.actions);
            }
            Event::AddressRemoved { link, address, by_us } => {
                self.report_address("removed from", link, address);
                self.addresses.retain(|known| *known != (link, address));
                self.node.handle(Input::AddressRemoved { link, address, by_us }, now, &mut self.actions);
            }
            Event::Failed(failure) => self.failures.push_back(failure),
            Event::Unanswered(holding) => {
                let address = &holding.address;
                warn!("the kernel has not answered for {} on {} in time", address.cidr, address.interface);
            }
            Event::NotAnnounced(announcement, errno) => {
                let (address, error) = (announcement.address, io::Error::from_raw_os_error(errno));
                let what = if address.is_ipv4() { "gratuitous ARP" } else { "ndisc unsolicited neighbour advert" };
                info!("Error {errno} ({error}) sending {what} for {address}");
            }
            Event::Synced(_) => self.synced = true,
        }
    }

    fn report_address(&self, verb: &str, link: IfIndex, address: Cidr) {
        if self.options.address_monitoring {
            let name = self.links.get(&link).map_or("?", |link| link.name.as_str());
            info!("Netlink reflector reports IP {} {verb} {name}", address.address);
        }
    }

    /// The first truth about the machine begins everything.
    fn start_once(&mut self) {
        if self.is_started {
            return;
        }
        self.is_started = true;
        self.apply_sync_daemon();
        self.node.handle(Input::Startup, clock::now(), &mut self.actions);
        self.perform_all();
        if self.ends.is_none() {
            self.parent.send(&FromChild::Ready);
        }
        if self.options.dump_conf {
            self.dump_to_log();
        }
    }

    /// Whether there was nothing to carry out but to send adverts, which is done then.
    #[inline]
    fn send_alone(&mut self) -> bool {
        let only_adverts = self.actions.iter().all(|action| matches!(action, Action::SendAdvert(_)));
        if !only_adverts || !self.failures.is_empty() || !self.orders.is_empty() || self.roles_changed {
            return false;
        }
        let failures = self.sockets.send(self.actions.iter().filter_map(advert), clock::now);
        self.actions.clear();
        if failures.is_empty() {
            return true;
        }
        self.failures.extend(failures);
        false
    }

    /// Carries out what the engine wants, until it wants nothing more. A turn that only hears and sends adverts does not
    /// touch this: the memory and the code of it are cold.
    #[cold]
    fn perform_all(&mut self) {
        loop {
            let mut actions = std::mem::take(&mut self.actions);
            actions.drain(..).for_each(|action| self.perform(action));
            if self.actions.is_empty() {
                actions.shrink_to(child::KEPT_ACTIONS);
                self.actions = actions;
            }
            self.send_adverts();
            match self.failures.pop_front() {
                Some(failure) => self.node.handle(Input::Failed(failure), clock::now(), &mut self.actions),
                // A script that nobody could start has had its consequences.
                None if !self.actions.is_empty() => {}
                None => break,
            }
        }
        if !self.orders.is_empty() {
            self.kernel.submit(std::mem::take(&mut self.orders));
        }
        if let Some(writer) = self.writer.as_ref().filter(|_| self.record.is_stale()) {
            self.record.save(writer);
        }
        for event in std::mem::take(&mut self.lines) {
            views::log(&event);
        }
        if self.roles_changed {
            self.roles_changed = false;
            self.follow_role();
            self.parent.send(&FromChild::Summary(self.summary()));
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::SendAdvert(advert) => self.adverts.push(advert),
            Action::Announce(announcement) => self.orders.push(Order::Announce(announcement)),
            Action::AddAddress(holding) => {
                self.record.add(&holding.address);
                self.orders.push(Order::Add(holding));
            }
            Action::RemoveAddress(holding) => {
                self.record.remove(&holding.address);
                self.orders.push(Order::Remove(holding));
            }
            Action::Sockets(specs) => {
                // What is to leave on a socket leaves before it is closed.
                self.send_adverts();
                let failures = self.sockets.apply(&specs, &self.ears);
                self.check_permission(&failures);
                self.failures.extend(failures);
            }
            Action::RunScript(run, script) => {
                if let Some(script) = self.config.vrrp.scripts.get(script.0)
                    && !self.scripts.run(run, script)
                {
                    self.track_ended(run, JobEnd::NotStarted(nix::libc::EAGAIN));
                }
            }
            Action::SignalScript(run, signal) => self.scripts.signal(run, signal),
            Action::Notify(notification) => self.notify(&notification),
            Action::Report(event) => {
                self.roles_changed |= views::is_role_change(&event);
                self.lines.push(event);
            }
        }
    }

    /// Everything that is due leaves together.
    fn send_adverts(&mut self) {
        if !self.adverts.is_empty() {
            let failures = self.sockets.send(self.adverts.iter(), clock::now);
            if !failures.is_empty() {
                self.failures.extend(failures);
            }
            self.adverts.clear();
        }
    }

    /// Without the right to open raw sockets nothing will ever work.
    fn check_permission(&mut self, failures: &[Failure]) {
        let forbidden = |failure: &Failure| matches!(failure, Failure::Socket(_, nix::libc::EPERM | nix::libc::EACCES));
        if failures.iter().any(forbidden) {
            warn!("no permission to open raw sockets (CAP_NET_RAW)");
            self.ends = Some(NO_PERMISSION);
        }
    }

    fn hear_parent(&mut self) -> io::Result<()> {
        let result = self.parent.turn();
        while let Some(message) = self.parent.receive::<ToChild>()? {
            match message {
                ToChild::Reload => self.begin_reload(),
                ToChild::ReloadSame => self.reload_same(),
                ToChild::Beat => {}
                ToChild::Status => {
                    let status = self.status();
                    self.parent.send(&FromChild::Status(Box::new(status)));
                }
            }
        }
        if result.is_err() {
            warn!("the parent process is gone");
            self.stopping();
        }
        Ok(())
    }

    fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Stop | Signal::Interrupt => self.stopping(),
            // Sent to us and not to the parent, which alone reads files.
            Signal::Reload => self.parent.send(&FromChild::AsksForReload),
            Signal::Data => self.dump_data(),
            Signal::Stats => self.dump_stats(false),
            Signal::StatsClear => self.dump_stats(true),
            Signal::Json => self.dump_json(),
            Signal::Child => self.reap(),
            Signal::CpuTime => {
                warn!("vrrp process has used too much CPU time, vrrp_rlimit_rttime may need to be increased");
            }
        }
    }

    fn stopping(&mut self) {
        if self.ends.is_none() {
            self.ends = Some(0);
        }
    }
}

impl Process {
    /// The end: MASTERs give up, addresses are gone, STOP scripts have had their second.
    fn leave(&mut self) -> io::Result<()> {
        let asked = clock::now();
        self.notices.end_readers(&mut self.scripts);
        self.node.handle(Input::Shutdown, asked, &mut self.actions);
        if self.options.keep_vrrp {
            let stays = |action: &Action| matches!(action, Action::SendAdvert(_) | Action::RemoveAddress(_));
            self.actions.retain(|action| !stays(action));
        }
        self.perform_all();
        // After the removals: what is synced with them in its window is the first few only.
        self.synced = false;
        self.orders.push(Order::Sync(0));
        self.perform_all();
        // The last adverts and the removals have left.
        log::last();
        self.scripts.finish(SCRIPT_PATIENCE);
        let limit = clock::now() + REMOVAL_PATIENCE;
        while !self.synced || self.scripts.are_running() {
            if clock::now() >= limit {
                warn!("the kernel has not removed every address in time");
                break;
            }
            let mut woken = Woken { kernel: self.kernel_waits, ..Woken::default() };
            self.wait_until(Some(if self.kernel_waits { Instant::ZERO } else { limit }), &mut woken)?;
            if woken.kernel {
                self.hear_kernel();
                self.synced |= self.events.is_closed();
            }
            if woken.scripts {
                self.hear_scripts();
            }
            self.perform_all();
        }
        if let Some(writer) = self.writer.take() {
            self.record.save(&writer);
            writer.finish(DISK_PATIENCE);
        }
        self.finish_sync_daemon();
        std::mem::take(&mut self.notices).finish();
        debug!("stopped within {:?}", clock::now().since(asked));
        Ok(())
    }
}
