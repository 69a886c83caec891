//! The checker process: one loop around `check::Node`. Probes run beside it, the kernel's table is kept by a
//! thread of its own, scripts are started by the spawner; the loop only decides and hands on.

mod files;
mod notices;
mod probes;
mod reload;
mod scripts;
mod views;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::unix::AsyncFd;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::addr::{Cidr, IfIndex};
use crate::check::Node;
use crate::check::io::{Action, Input, ProbeId};
use crate::ipvs::Table;
use crate::model::checker::Probe;
use crate::model::lvs::{CheckerId, Lvs};
use crate::model::{Checker, Config, RealServer};
use crate::process::child::{self, Child};
use crate::process::ipc::{FromChild, ToChild};
use crate::process::lines;
use crate::process::link::Link;
use crate::process::options::Options;
use crate::sys::files::Writer;
use crate::sys::heartbeat::Heartbeat;
use crate::sys::ipvs::{self, Ipvs, IpvsEvents};
use crate::sys::netlink::{self, Kernel, KernelEvents};
use crate::sys::signals::{Signal, Signals};
use crate::sys::{clock, daemon, log, memory, schedule};
use crate::time::{Duration, Instant};
use crate::wire::ipvs::Daemon;

use files::TrackFiles;
use notices::Notices;
use probes::Probes;
use scripts::Scripts;

/// Verdicts that are heard before timers are looked at.
const BATCH: usize = 1_024;
/// So long after a start or a reload all its requests and log lines have left, as a rule.
const SETTLED: Duration = Duration::from_secs(2);
/// For scripts that run at the end; keepalived's.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(1);
/// For what waits for the disk.
const DISK_PATIENCE: Duration = Duration::from_millis(500);

/// Runs the checker process; gives its exit status.
pub(super) async fn run(child: Child) -> io::Result<u8> {
    let scripts = Scripts::start(&child.argv)?;
    // Threads that may lag behind start before the priority is raised.
    let writer = Writer::start()?;
    for problem in schedule::apply(&child.config.global.checker_scheduling, "checker") {
        warn!("{problem}");
    }
    Process::new(child, scripts, writer)?.live().await
}

/// The process: the engine and its hands.
struct Process {
    node: Node,
    ipvs: Ipvs,
    ipvs_events: AsyncFd<IpvsEvents>,
    /// Addresses of this machine, where somebody wants to know them.
    kernel: Option<(Kernel, AsyncFd<KernelEvents>)>,
    addresses: BTreeSet<(IfIndex, Cidr)>,
    signals: AsyncFd<Signals>,
    parent: Link,
    heartbeat: Heartbeat,
    scripts: Scripts,
    probes: Probes,
    files: TrackFiles,
    notices: Notices,
    writer: Writer,
    config: Config,
    options: Options,
    actions: Vec<Action>,
    is_started: bool,
    waits_for_addresses: bool,
    waits_for_table: bool,
    /// What the kernel had where a process before us died or froze.
    left: Option<Table>,
    /// When what a start or a reload has used goes back to the kernel.
    tidies: Option<Instant>,
    ends: Option<u8>,
}

/// What a wait brought.
enum Happening {
    Signals,
    Parent(io::Result<()>),
    Verdicts,
    Scripts(io::Result<()>),
    Table,
    Addresses,
    Files(io::Result<Vec<usize>>),
    Tick,
}

impl Process {
    fn new(child: Child, scripts: Scripts, writer: Writer) -> io::Result<Self> {
        let lvs = Arc::clone(&child.config.lvs);
        let (ipvs, events) = Ipvs::start(lvs.net_namespace.clone())?;
        let kernel = wants_addresses(&lvs, &child.options).then(listen_for_addresses).transpose()?;
        let kernel_is_asked = kernel.is_some();
        Ok(Self {
            node: Node::new(Arc::clone(&lvs), seed(), child.options.keep_ipvs),
            ipvs,
            ipvs_events: events.watch()?,
            kernel,
            addresses: BTreeSet::new(),
            signals: Signals::open()?.watch()?,
            parent: Link::new(child.channel)?,
            heartbeat: child.heartbeat,
            scripts,
            probes: Probes::new()?,
            files: TrackFiles::default(),
            notices: Notices::default(),
            writer,
            config: child.config,
            options: child.options,
            actions: Vec::new(),
            is_started: false,
            waits_for_addresses: kernel_is_asked,
            waits_for_table: child.is_replacement,
            left: None,
            tidies: None,
            ends: None,
        })
    }

    async fn live(mut self) -> io::Result<u8> {
        self.begin();
        while self.ends.is_none() {
            let happening = self.next().await;
            self.take(happening)?;
            // What already waits is heard first: one wake-up serves all of it.
            let now = clock::now();
            self.heartbeat.beat(now);
            self.probes.tick(now);
            for _ in 0..BATCH {
                let Some((id, verdict)) = self.probes.next() else { break };
                self.node.handle(Input::Probed(id, verdict), now, &mut self.actions);
            }
            self.scripts.renew(now)?;
            self.scripts.tick(now);
            self.node.handle(Input::Tick, now, &mut self.actions);
            self.perform_all();
            if self.tidies.take_if(|at| *at <= now).is_some() {
                memory::give_back();
            }
        }
        let status = self.ends.unwrap_or_default();
        self.leave(status).await;
        Ok(status)
    }

    /// Everything before the first wait. Addresses, where they matter, come before the start.
    fn begin(&mut self) {
        let lvs = Arc::clone(&self.config.lvs);
        if self.waits_for_table {
            // Before anything is wanted: what a process before us has left.
            self.ipvs.find();
        }
        self.set_up(&lvs, true);
        self.start_once();
    }

    /// Brings what lies around the engine to a configuration.
    fn set_up(&mut self, lvs: &Arc<Lvs>, is_start: bool) {
        // All servers may be asked at the same time.
        let servers = lvs.virtual_servers.iter().flat_map(|vs| &vs.real_servers);
        child::allow_sockets(servers.map(|rs| rs.checkers.len() as u64).sum());
        if let Some((kernel, _)) = &mut self.kernel {
            for problem in kernel.use_buffers("lvs_netlink", &self.config.global.checker_netlink) {
                warn!("{problem}");
            }
        }
        self.probes.use_configuration(lvs);
        self.notices.open(&self.config.global.fifos, &mut self.scripts);
        self.ipvs.timeouts(lvs.timeouts);
        if let Some(daemon) = lvs.sync_daemon.as_ref().filter(|daemon| daemon.instance.is_none()) {
            let daemon = Daemon::from(daemon);
            self.ipvs.sync_daemon(Some(daemon.clone()), Some(daemon));
        } else {
            self.ipvs.sync_daemon(None, None);
        }
        let numbers = self.files.watch(&lvs.track_files, is_start);
        self.node.handle(Input::TrackFiles(&numbers), clock::now(), &mut self.actions);
    }

    /// Starts the engine once everything is known that it asks for.
    fn start_once(&mut self) {
        if self.is_started || self.waits_for_addresses || self.waits_for_table {
            return;
        }
        self.is_started = true;
        let left = self.left.take();
        self.node.handle(Input::Startup { left: left.as_ref() }, clock::now(), &mut self.actions);
        self.perform_all();
        self.ipvs.sync(0);
        if self.options.dump_conf {
            self.dump_to_log();
        }
    }

    /// The kernel has the table of the start, or has refused it for now.
    fn programmed(&mut self) {
        let now = clock::now();
        self.node.handle(Input::Programmed, now, &mut self.actions);
        self.tidies = Some(now + SETTLED);
        self.parent.send(&FromChild::Ready);
    }

    async fn next(&mut self) -> Happening {
        let node = self.node.deadline().map(|(at, _)| at);
        let deadlines = [node, self.scripts.deadline(), self.probes.deadline(), self.tidies];
        let deadline = deadlines.into_iter().flatten().min();
        let kernel = async {
            match &mut self.kernel {
                Some((_, events)) => _ = events.readable().await.map(|mut guard| guard.clear_ready()),
                None => std::future::pending().await,
            }
        };
        let scripts = &mut self.scripts;
        tokio::select! {
            biased;
            guard = self.signals.readable() => {
                _ = guard.map(|mut guard| guard.clear_ready());
                Happening::Signals
            }
            result = self.parent.ready() => Happening::Parent(result),
            () = self.probes.ready() => Happening::Verdicts,
            result = std::future::poll_fn(|cx| scripts.poll(cx)) => Happening::Scripts(result),
            guard = self.ipvs_events.readable() => {
                _ = guard.map(|mut guard| guard.clear_ready());
                Happening::Table
            }
            () = kernel => Happening::Addresses,
            changed = self.files.changed() => Happening::Files(changed),
            () = until(deadline) => Happening::Tick,
        }
    }

    fn take(&mut self, happening: Happening) -> io::Result<()> {
        match happening {
            Happening::Signals => {
                while let Some(signal) = self.signals.get_ref().next()? {
                    self.signal(signal);
                }
            }
            Happening::Parent(result) => self.hear_parent(result)?,
            Happening::Scripts(result) => self.hear_scripts(result),
            Happening::Table => self.hear_table()?,
            Happening::Addresses => self.hear_addresses()?,
            Happening::Files(changed) => {
                for file in changed? {
                    if let Some(number) = self.files.number(file) {
                        self.node.handle(Input::TrackFile(file, number), clock::now(), &mut self.actions);
                    }
                }
            }
            // What follows each of them.
            Happening::Verdicts | Happening::Tick => {}
        }
        Ok(())
    }

    fn hear_parent(&mut self, result: io::Result<()>) -> io::Result<()> {
        while let Some(message) = self.parent.receive::<ToChild>()? {
            match message {
                ToChild::Reload => self.begin_reload(),
                ToChild::ReloadSame => self.reload_same(),
                ToChild::Beat => {}
                ToChild::Status => {
                    let status = self.status();
                    self.parent.send(&FromChild::CheckerStatus(Box::new(status)));
                }
            }
        }
        if result.is_err() {
            warn!("the parent process is gone");
            self.ends.get_or_insert(0);
        }
        Ok(())
    }

    fn hear_scripts(&mut self, result: io::Result<()>) {
        while let Some((id, verdict)) = self.scripts.next() {
            self.node.handle(Input::Probed(id, verdict), clock::now(), &mut self.actions);
        }
        if result.is_err() && self.ends.is_none() {
            self.scripts.lose_spawner(clock::now());
        }
    }

    fn hear_table(&mut self) -> io::Result<()> {
        while let Some(event) = self.ipvs_events.get_mut().try_next() {
            match event {
                ipvs::Event::Report(event) => lines::table(&event),
                ipvs::Event::Found(table) => {
                    self.left = Some(table);
                    self.waits_for_table = false;
                    self.start_once();
                }
                ipvs::Event::Synced(_) => self.programmed(),
            }
        }
        if self.ipvs_events.get_ref().is_closed() && self.ends.is_none() {
            return Err(io::Error::other("the thread that keeps the IPVS table has ended"));
        }
        Ok(())
    }

    fn hear_addresses(&mut self) -> io::Result<()> {
        let Some((_, events)) = &mut self.kernel else { return Ok(()) };
        let mut heard = Vec::new();
        while let Some(event) = events.get_mut().try_next() {
            heard.push(event);
        }
        if events.get_ref().is_closed() {
            return Err(io::Error::other("the kernel's thread has ended"));
        }
        for event in heard {
            self.address_event(event);
        }
        Ok(())
    }

    fn address_event(&mut self, event: netlink::Event) {
        let now = clock::now();
        match event {
            netlink::Event::Machine(snapshot) => {
                self.addresses = snapshot.addresses.iter().copied().collect();
                let addresses: Vec<IpAddr> = self.addresses.iter().map(|(_, cidr)| cidr.address).collect();
                self.node.handle(Input::Addresses(&addresses), now, &mut self.actions);
                self.waits_for_addresses = false;
                self.start_once();
            }
            // The kernel tells of a change of an address as if it came again.
            netlink::Event::AddressAdded(link, cidr) if self.addresses.insert((link, cidr)) => {
                info!("Netlink reflector reports IP {} added", cidr.address);
                self.node.handle(Input::AddressAdded(cidr.address), now, &mut self.actions);
            }
            netlink::Event::AddressRemoved { link, address, .. } if self.addresses.remove(&(link, address)) => {
                info!("Netlink reflector reports IP {} removed", address.address);
                self.node.handle(Input::AddressRemoved(address.address), now, &mut self.actions);
            }
            _ => {}
        }
    }

    fn perform_all(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        actions.drain(..).for_each(|action| self.perform(action));
        actions.shrink_to(child::KEPT_ACTIONS);
        self.actions = actions;
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Service(key, entry) => self.ipvs.want(key, entry),
            Action::Marks(marking) => self.ipvs.mark(marking),
            Action::Flush => self.ipvs.flush(),
            Action::StartProbe { id, checker, url } => self.start_probe(id, checker, url),
            Action::CancelProbe(id) => {
                self.probes.cancel(id);
                self.scripts.cancel(id, clock::now());
            }
            Action::Notify(notification) => self.notify(&notification),
            Action::Report(event) => views::log(&event),
        }
    }

    fn start_probe(&mut self, id: ProbeId, checker: CheckerId, url: usize) {
        let Some((server, checker)) = find(&self.config.lvs, checker) else { return };
        match &checker.probe {
            Probe::Misc(misc) => self.scripts.check(id, misc, clock::now()),
            _ => self.probes.start(id, checker, server.asked_at(), url, clock::now()),
        }
    }

    fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Stop | Signal::Interrupt => _ = self.ends.get_or_insert(0),
            // Sent to us and not to the parent, which alone reads files.
            Signal::Reload => self.parent.send(&FromChild::AsksForReload),
            Signal::Data => self.dump_data(),
            // keepalived: only virtual routers have statistics and JSON.
            Signal::Stats | Signal::StatsClear | Signal::Json => {}
            Signal::Child => {
                for (pid, end) in daemon::ended() {
                    debug!("process {pid} ended: {end:?}");
                }
            }
            Signal::CpuTime => {
                warn!("checker process has used too much CPU time, checker_rlimit_rttime may need to be increased");
            }
        }
    }

    /// The end: the table is as the configuration wants it left, scripts and mail have had their time.
    async fn leave(mut self, status: u8) {
        self.probes.cancel_all();
        self.notices.end_readers(&mut self.scripts);
        log::last();
        if status == 0 {
            self.node.handle(Input::Shutdown, clock::now(), &mut self.actions);
            self.perform_all();
        }
        self.scripts.finish(SCRIPT_PATIENCE);
        // The table and the scripts end side by side; nothing else is left to do.
        let (ipvs, mut events) = (self.ipvs, self.ipvs_events);
        let table = tokio::task::spawn_blocking(move || ipvs.finish());
        let _ = tokio::join!(table, tokio::time::timeout(SCRIPT_PATIENCE * 2, self.scripts.spawner_ended()));
        while let Some(event) = events.get_mut().try_next() {
            if let ipvs::Event::Report(event) = event {
                lines::table(&event);
            }
        }
        self.writer.finish(DISK_PATIENCE);
        self.notices.finish();
        lines::stopped(&self.options);
    }
}

fn find(lvs: &Lvs, id: CheckerId) -> Option<(&RealServer, &Arc<Checker>)> {
    let server = lvs.virtual_servers.get(id.real_server.virtual_server.0)?.real_servers.get(id.real_server.index)?;
    Some((server, server.checkers.get(id.index)?))
}

fn wants_addresses(lvs: &Lvs, options: &Options) -> bool {
    options.address_monitoring || lvs.virtual_servers.iter().any(|vs| vs.ha_suspend)
}

fn listen_for_addresses() -> io::Result<(Kernel, AsyncFd<KernelEvents>)> {
    let (kernel, events) = Kernel::start()?;
    Ok((kernel, events.watch()?))
}

/// First probes are spread differently each time, and on each machine.
fn seed() -> u64 {
    clock::now().nanos() ^ u64::from(std::process::id()).rotate_left(32)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep(at.since(clock::now())).await,
        None => std::future::pending().await,
    }
}
