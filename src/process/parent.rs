//! The parent: starts the children, restarts them, reads the configuration for them, and answers signals and the control
//! socket. It never touches the network.

mod control;
mod reload;
mod slot;
mod timed;

use std::io;
use std::task::Poll;

use nix::unistd::Pid;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info, warn};

use crate::dump;
use crate::model::ScriptCommand;
use crate::process::configuration::{Read, Sealed};
use crate::process::ipc::{FromChild, Order, Reply, Summary};
use crate::process::lines;
use crate::process::paths::{Dump, dump_file};
use crate::process::start::{self, Start};
use crate::supervise::child::{Action, End, Input, Kind};
use crate::supervise::reload::Progress;
use crate::sys::log::ROLE;
use crate::sys::notify_socket::ServiceManager;
use crate::sys::signals::{Signal, Signals, description};
use crate::sys::spawn::Program;
use crate::sys::timer::Deadline;
use crate::sys::{clock, daemon, files, log, memory, namespace, spawn};
use crate::time::{Duration, Instant};

use slot::Slot;
use timed::Timed;

/// A script that ignores SIGTERM is killed after so long.
const SCRIPT_KILL: Duration = Duration::from_secs(2);

/// Runs until the daemon ends; gives its exit status.
pub fn run(start: Start, read: Read) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!("cannot start: {error}");
            return 70;
        }
    };
    runtime.block_on(async {
        match Parent::new(start, read) {
            Ok(parent) => parent.live().await,
            Err(error) => {
                error!("cannot start: {error}");
                70
            }
        }
    })
}

/// The parent process.
struct Parent {
    start: Start,
    signals: AsyncFd<Signals>,
    /// One wake-up for each deadline: the runtime's timer takes several to a far one.
    alarm: AsyncFd<Deadline>,
    slots: Vec<Slot>,
    /// The configuration.
    in_force: Sealed,
    progress: Progress,
    reloading: Option<reload::Reloading>,
    timed: Timed,
    /// Control clients whose reload is the next one.
    next_replies: Vec<oneshot::Sender<Reply>>,
    reloads: (u64, u64),
    last_refusal: Option<String>,
    orders: mpsc::Receiver<(Order, oneshot::Sender<Reply>)>,
    status_round: Option<control::StatusRound>,
    summary: Summary,
    began: Instant,
    is_complete: bool,
    stopping: Option<Stopping>,
    service: ServiceManager,
}

/// The daemon ends: with which status, and when its children are killed.
struct Stopping {
    status: u8,
    kill_at: Option<Instant>,
}

/// What woke the parent.
enum Happening {
    Signals,
    Child(usize, io::Result<()>),
    Order(Order, oneshot::Sender<Reply>),
    ReloadTime,
    Tick,
}

impl Parent {
    fn new(mut start: Start, read: Read) -> io::Result<Self> {
        let in_force = read.seal()?;
        memory::give_back();
        let pid_files = std::mem::take(&mut start.child_pid_files);
        let slots =
            pid_files.into_iter().map(|(kind, file)| Slot::new(kind, file, &start.options, &in_force.config)).collect();
        let orders = control::serve(&start.names.socket(&start.options));
        Ok(Self {
            signals: Signals::open()?.watch()?,
            alarm: Deadline::new()?.watch()?,
            slots,
            in_force,
            // The start counts as the first reload: a SIGHUP that comes meanwhile is done once it is complete.
            progress: {
                let mut progress = Progress::default();
                progress.request();
                progress
            },
            reloading: None,
            timed: Timed::default(),
            next_replies: Vec::new(),
            reloads: (0, 0),
            last_refusal: None,
            orders,
            status_round: None,
            summary: Summary::default(),
            began: clock::now(),
            is_complete: false,
            stopping: None,
            service: ServiceManager,
            start,
        })
    }

    async fn live(mut self) -> u8 {
        if let Some((script, limit)) = self.in_force.config.global.startup_script.clone() {
            self.run_script("startup", &script, limit).await;
        }
        if self.stopping.is_none() {
            self.remove_reload_file();
            self.timed.follow(self.in_force.config.global.reload_time.as_ref());
            self.start_children();
        }
        while !self.has_ended() {
            let happening = self.next().await;
            self.take(happening);
            self.tick();
        }
        if let Some((script, limit)) = self.in_force.config.global.shutdown_script.clone() {
            self.run_script("shutdown", &script, limit).await;
        }
        self.leave()
    }

    fn start_children(&mut self) {
        self.want_children();
        if !self.slots.iter().any(|slot| slot.life.is_wanted()) {
            warn!("Warning - keepalived has no configuration to run");
        }
        self.check_complete();
    }

    /// Tells every child's engine whether the configuration has work for it.
    fn want_children(&mut self) {
        for i in 0..self.slots.len() {
            let wanted = self.slots[i].has_work(&self.start.options, &self.in_force.config);
            if wanted != self.slots[i].life.is_wanted() {
                self.feed(i, Input::Wanted(wanted));
            }
            self.slots[i].tidy();
        }
    }

    async fn next(&mut self) -> Happening {
        let deadline = self.deadline();
        if let Err(error) = self.alarm.get_mut().set(deadline) {
            error!("cannot set a timer: {error}");
        }
        let slots = &mut self.slots;
        let children = std::future::poll_fn(|cx| {
            for (i, slot) in slots.iter_mut().enumerate() {
                if let Some(link) = &mut slot.link
                    && let Poll::Ready(result) = link.poll(cx)
                {
                    return Poll::Ready(Happening::Child(i, result));
                }
                if let Some((heartbeat, _)) = &slot.watch
                    && heartbeat.poll_silence(cx).is_ready()
                {
                    return Poll::Ready(Happening::Tick);
                }
            }
            Poll::Pending
        });
        tokio::select! {
            biased;
            guard = self.signals.readable() => {
                if let Ok(mut guard) = guard {
                    guard.clear_ready();
                }
                Happening::Signals
            }
            happening = children => happening,
            Some((order, reply)) = self.orders.recv() => Happening::Order(order, reply),
            () = self.timed.changed() => Happening::ReloadTime,
            guard = self.alarm.readable() => {
                if let Ok(mut guard) = guard {
                    guard.clear_ready();
                }
                Happening::Tick
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let lives = self.slots.iter().filter_map(|slot| slot.life.deadline()).filter(|_| self.stopping.is_none());
        let watch =
            |slot: &Slot| slot.watch.as_ref().filter(|_| slot.pid.is_some()).and_then(|(_, dog)| dog.deadline());
        let watches = self.slots.iter().filter_map(watch).filter(|_| self.stopping.is_none());
        let stop = self.stopping.as_ref().and_then(|stopping| stopping.kill_at);
        let reload = self.reloading.as_ref().map(|reloading| reloading.deadline);
        let status = self.status_round.as_ref().map(|round| round.deadline);
        let timed = self.timed.wait().map(|wait| clock::now() + wait);
        lives.chain(watches).chain(stop).chain(reload).chain(status).chain(timed).min()
    }

    fn take(&mut self, happening: Happening) {
        match happening {
            Happening::Signals => {
                while let Ok(Some(signal)) = self.signals.get_ref().next() {
                    self.signal(signal);
                }
            }
            Happening::Child(i, result) => self.hear(i, result),
            Happening::Order(Order::Reload, reply) => self.ask_for_reload(Some(reply)),
            Happening::Order(Order::Status, reply) => self.ask_for_status(reply),
            Happening::ReloadTime => self.timed.look(),
            Happening::Tick => {}
        }
    }

    fn tick(&mut self) {
        let now = clock::now();
        if let Some(kill_at) = self.stopping.as_ref().and_then(|stopping| stopping.kill_at) {
            if now >= kill_at {
                self.kill_children();
            }
        } else {
            self.slots.iter_mut().for_each(|slot| slot.look_after(now));
            for i in 0..self.slots.len() {
                if self.slots[i].life.deadline().is_some_and(|at| now >= at) {
                    self.feed(i, Input::Tick);
                }
            }
        }
        self.check_reload(now);
        self.check_status(now);
        if self.stopping.is_none() && self.timed.is_due() {
            self.ask_for_reload(None);
        }
    }

    fn signal(&mut self, signal: Signal) {
        tracing::trace!("signal {signal:?}");
        match signal {
            Signal::Reload => self.ask_for_reload(None),
            Signal::Interrupt if self.start.options.ignore_sigint => {}
            Signal::Stop | Signal::Interrupt => self.stop(0),
            Signal::Data => {
                self.forward(signal, |_| true);
                self.dump_data();
            }
            Signal::Stats | Signal::StatsClear | Signal::Json => self.forward(signal, |kind| kind == Kind::Vrrp),
            Signal::Child => {
                for (pid, end) in daemon::ended() {
                    self.ended(pid, end);
                }
            }
            Signal::CpuTime => warn!("parent process has used too much CPU time"),
        }
    }

    fn forward(&self, signal: Signal, to: impl Fn(Kind) -> bool) {
        for pid in self.slots.iter().filter(|slot| to(slot.kind)).filter_map(|slot| slot.pid) {
            daemon::send_signal(pid, signal.number());
        }
    }

    fn ended(&mut self, pid: Pid, end: End) {
        // Orphans of our children come to us as well; nobody waits for those.
        let Some(i) = self.slots.iter().position(|slot| slot.pid == Some(pid)) else { return };
        self.drain_last_words(i);
        let slot = &mut self.slots[i];
        slot.pid = None;
        slot.link = None;
        slot.watch = None;
        slot.is_ready = false;
        slot.last_pid = pid.as_raw();
        if slot.kind == Kind::Vrrp {
            self.summary = Summary::default();
        }
        self.forget_answer_of(i);
        if self.stopping.is_none() {
            self.feed(i, Input::Ended(end));
            self.slots[i].tidy();
        }
    }

    fn drain_last_words(&mut self, i: usize) {
        let mut messages = Vec::new();
        if let Some(link) = &mut self.slots[i].link {
            while let Ok(Some(message)) = link.receive() {
                messages.push(message);
            }
        }
        messages.into_iter().for_each(|message| self.message(i, message));
    }

    fn feed(&mut self, i: usize, input: Input) {
        let mut actions = Vec::new();
        self.slots[i].life.handle(input, clock::now(), &mut actions);
        for action in actions {
            self.perform(i, action);
        }
    }

    fn perform(&mut self, i: usize, action: Action) {
        let slot = &mut self.slots[i];
        let (name, last) = (slot.kind.log_name(), slot.last_pid);
        match action {
            Action::Spawn => {
                let spawned = slot.spawn(&self.start.argv, &self.in_force.bundle);
                self.feed(i, if spawned { Input::Spawned } else { Input::NotSpawned });
            }
            Action::Terminate => slot.signal(Signal::Stop.number()),
            Action::Kill => {
                info!("{name} process failed to die - forcing termination");
                slot.signal(nix::libc::SIGKILL);
            }
            Action::ReportDeath(end) => {
                report_death(last, end);
                let next = if self.start.options.respawn { "Respawning" } else { "Exiting" };
                error!(target: ROLE, "{name} child process({last}) died: {next}");
            }
            Action::ReportDelay(delay) => {
                info!("Restart of {name} process delayed {} seconds to limit respawn rate", delay.as_secs());
            }
            Action::Fail(status) => {
                let reason = match status {
                    1 => "FATAL",
                    2 => "CONFIG",
                    _ => "missing permission",
                };
                error!(target: ROLE, "pid {last} exited with permanent error {reason}. Terminating");
                let errno = if status == 4 { nix::errno::Errno::EPERM } else { nix::errno::Errno::EINVAL };
                self.service.failed(errno as u32);
                self.stop(status);
            }
            Action::GiveUp(_) => self.stop(0),
        }
    }

    fn hear(&mut self, i: usize, result: io::Result<()>) {
        loop {
            let Some(link) = &mut self.slots[i].link else { return };
            match link.receive::<FromChild>() {
                Ok(Some(message)) => self.message(i, message),
                Ok(None) => break,
                Err(error) => {
                    error!("{} child speaks nonsense: {error}", self.slots[i].kind.log_name());
                    self.slots[i].signal(nix::libc::SIGKILL);
                    self.slots[i].link = None;
                    return;
                }
            }
        }
        if result.is_err() {
            // Its end comes as SIGCHLD.
            self.slots[i].link = None;
        }
    }

    fn message(&mut self, i: usize, message: FromChild) {
        match message {
            FromChild::Ready => {
                self.slots[i].becomes_ready();
                self.check_complete();
            }
            FromChild::Reloaded(answer) => self.reload_answer(i, answer),
            FromChild::Status(status) => self.status_answer(Some(status), None),
            FromChild::CheckerStatus(status) => self.status_answer(None, Some(status)),
            FromChild::Summary(summary) => {
                self.summary = summary;
                if self.is_complete && self.stopping.is_none() {
                    self.service.status(&self.status_line());
                }
            }
            FromChild::AsksForReload => self.ask_for_reload(None),
        }
    }

    /// Whether every child that is wanted has its configuration in force for the first time.
    fn check_complete(&mut self) {
        let waits = |slot: &Slot| slot.life.is_wanted() && !slot.is_ready;
        if self.is_complete || self.stopping.is_some() || self.slots.iter().any(waits) {
            return;
        }
        self.is_complete = true;
        info!("Startup complete");
        self.service.ready(&self.status_line());
        self.next_reload();
    }

    fn status_line(&self) -> String {
        let running = format!("running: {}", self.summary);
        match &self.last_refusal {
            Some(reason) => format!("reload refused: {reason}; {running}"),
            None => running,
        }
    }

    fn dump_data(&self) {
        info!("Printing parent data for process({}) on signal", std::process::id());
        let path = dump_file(Dump::ParentData, &self.in_force.config.global, &self.start.names);
        if let Err(error) = files::replace(&path, dump::global(&self.in_force.config.global).as_bytes(), files::mode())
        {
            info!("Can't open dump file {} ({error})", path.display());
        }
    }

    /// Begins the end. The first reason decides the status.
    fn stop(&mut self, status: u8) {
        if self.stopping.is_some() {
            return;
        }
        info!("Stopping");
        self.service.stopping();
        for slot in &self.slots {
            slot.signal(Signal::Stop.number());
        }
        self.stopping = Some(Stopping { status, kill_at: Some(clock::now() + self.in_force.config.global.child_wait) });
    }

    fn kill_children(&mut self) {
        for slot in self.slots.iter().filter(|slot| slot.pid.is_some()) {
            info!("{} process failed to die - forcing termination", slot.kind.log_name());
            slot.signal(nix::libc::SIGKILL);
        }
        if let Some(stopping) = &mut self.stopping {
            stopping.kill_at = None;
        }
    }

    fn has_ended(&self) -> bool {
        self.stopping.is_some() && self.slots.iter().all(|slot| slot.pid.is_none())
    }

    /// Runs the startup or shutdown script to its end, hearing signals all the while.
    async fn run_script(&mut self, which: &str, script: &ScriptCommand, limit: Duration) {
        debug!("Running {which} script {}", script.path.display());
        let pid = match spawn::start(&Program::of(script, [])) {
            Ok(pid) => pid,
            Err(error) => {
                error!("Call of {which} script {} failed ({error})", script.path.display());
                return;
            }
        };
        let mut next_signal = Some((clock::now() + limit, nix::libc::SIGTERM));
        loop {
            let until = next_signal.map_or(Duration::MAX, |(at, _)| at.since(clock::now()));
            if let Ok(Ok(mut guard)) = tokio::time::timeout(until, self.signals.readable()).await {
                guard.clear_ready();
            }
            while let Ok(Some(signal)) = self.signals.get_ref().next() {
                if signal != Signal::Child {
                    self.signal(signal);
                    continue;
                }
                for (ended, end) in daemon::ended() {
                    if ended != pid {
                        continue;
                    }
                    return match end {
                        End::Exited(0) => debug!("{which} script script succeeded"),
                        End::Exited(status) => info!("{which} script script failed, status {status}"),
                        End::Signalled(number) => info!("{which} script script failed, signal {number}"),
                    };
                }
            }
            if let Some((at, number)) = next_signal
                && clock::now() >= at
            {
                if number == nix::libc::SIGTERM {
                    info!("{which} script timed out");
                }
                daemon::send_signal(Pid::from_raw(-pid.as_raw()), number);
                let kill = (clock::now() + SCRIPT_KILL, nix::libc::SIGKILL);
                next_signal = (number == nix::libc::SIGTERM).then_some(kill);
            }
        }
    }

    /// The last steps: files away, last lines.
    fn leave(mut self) -> u8 {
        let _ = std::fs::remove_file(self.start.names.socket(&self.start.options));
        for slot in self.slots.drain(..) {
            slot.pid_file.remove();
        }
        let Start { pid_file, directories, core_pattern, names, .. } = self.start;
        start::restore_core_pattern(core_pattern);
        pid_file.remove();
        if names.namespace.is_some() {
            namespace::leave_pid_directory();
        }
        for directory in directories {
            // Only where it is empty.
            let _ = std::fs::remove_dir(directory);
        }
        let [user, system, child_user, child_system] = daemon::cpu_usage().map(lines::seconds);
        debug!("CPU usage (self/children) user: {user}/{child_user} system: {system}/{child_system}");
        info!("Stopped Keepalived {}", start::version());
        log::flush(Duration::from_secs(1));
        self.stopping.map_or(0, |stopping| stopping.status)
    }
}

fn report_death(pid: i32, end: End) {
    match end {
        End::Exited(status) => info!(target: ROLE, "pid {pid} exited with status {status}"),
        End::Signalled(number) => {
            let hint = if number == nix::libc::SIGKILL { " - has rlimit_rttime been exceeded?" } else { "" };
            info!(target: ROLE, "pid {pid} exited due to signal {number} ({}){hint}", description(number));
        }
    }
}
