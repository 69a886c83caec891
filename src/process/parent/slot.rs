//! The place of one child in the parent.

use std::ffi::OsString;
use std::os::fd::OwnedFd;

use nix::unistd::Pid;
use tracing::{error, info};

use crate::model::Config;
use crate::process::ipc::ToChild;
use crate::process::link::Link;
use crate::process::options::Options;
use crate::supervise::child::{Child, Kind};
use crate::supervise::watchdog::{self, Verdict, Watchdog};
use crate::sys::channel::Channel;
use crate::sys::heartbeat::{Heartbeat, Watched};
use crate::sys::log::ROLE;
use crate::sys::pidfile::PidFile;
use crate::sys::{clock, daemon, reexec};
use crate::time::Instant;

/// A child, running or not.
pub(super) struct Slot {
    pub(super) kind: Kind,
    pub(super) life: Child,
    pub(super) pid: Option<Pid>,
    /// Of the process that ended last.
    pub(super) last_pid: i32,
    pub(super) link: Option<Link>,
    pub(super) pid_file: PidFile,
    /// It has said that its configuration is in force.
    pub(super) is_ready: bool,
    pub(super) starts: u64,
    /// Whether the process is heard, and what we make of it.
    pub(super) watch: Option<(Watched, Watchdog)>,
}

impl Slot {
    pub(super) fn new(kind: Kind, pid_file: PidFile, options: &Options, config: &Config) -> Self {
        let life = Child::new(options.respawn, config.global.child_wait);
        Self { kind, life, pid: None, last_pid: 0, link: None, pid_file, is_ready: false, starts: 0, watch: None }
    }

    pub(super) fn has_work(&self, options: &Options, config: &Config) -> bool {
        options.subsystems.all
            || match self.kind {
                Kind::Vrrp => !config.vrrp.instances.is_empty(),
                Kind::Checker => config.has_virtual_servers,
                Kind::Bfd => config.has_bfd,
            }
    }

    /// Starts the process; says so, or why not.
    pub(super) fn spawn(&mut self, argv: &[OsString], bundle: &OwnedFd) -> bool {
        let name = self.kind.log_name();
        match self.try_spawn(argv, bundle) {
            Ok(pid) => {
                info!("Starting {name} child process, pid={pid}");
                if let Err(error) = self.pid_file.write(pid.as_raw().unsigned_abs()) {
                    error!("{error}");
                }
                self.pid = Some(pid);
                self.starts += 1;
                true
            }
            Err(error) => {
                error!("cannot start the {name} child process: {error}");
                false
            }
        }
    }

    fn try_spawn(&mut self, argv: &[OsString], bundle: &OwnedFd) -> std::io::Result<Pid> {
        let (arg0, rest) =
            argv.split_first().map_or((OsString::from("keepalived-rs"), &[][..]), |(a, r)| (a.clone(), r));
        let word = if self.starts == 0 { reexec::CHILD } else { reexec::CHILD_AGAIN };
        let mut arguments: Vec<OsString> = vec![word.into(), self.kind.word().into()];
        arguments.extend_from_slice(rest);
        let (ours, theirs) = Channel::pair()?;
        let link = Link::new(ours)?;
        let heartbeat = Heartbeat::new(watchdog::patience(self.kind))?;
        let beats = heartbeat.descriptor()?;
        let pid = reexec::start(&arg0, &arguments, vec![theirs, bundle.try_clone()?, beats])?;
        self.link = Some(link);
        // The BFD process has no loop to freeze yet.
        self.watch = if self.kind == Kind::Bfd { None } else { Some((heartbeat.watch()?, Watchdog::default())) };
        self.is_ready = false;
        Ok(pid)
    }

    /// A process that is not wanted has no pid file once it is gone.
    pub(super) fn tidy(&self) {
        if self.pid.is_none() && !self.life.is_wanted() {
            self.pid_file.take_away();
        }
    }

    pub(super) fn signal(&self, number: i32) {
        if let Some(pid) = self.pid {
            daemon::send_signal(pid, number);
        }
    }

    /// Its configuration is in force: from now on it is to be heard.
    pub(super) fn becomes_ready(&mut self) {
        self.is_ready = true;
        if let Some((heartbeat, _)) = &mut self.watch {
            heartbeat.beat(clock::now());
        }
    }

    /// Looks whether the process still turns its loop. One that does not is killed, and started again like any that dies.
    pub(super) fn look_after(&mut self, now: Instant) {
        let (Some((heartbeat, watchdog)), Some(pid)) = (&mut self.watch, self.pid) else { return };
        if !self.is_ready {
            // Starting with a large configuration takes its time.
            return;
        }
        match watchdog.look(heartbeat.is_silent(), now) {
            Verdict::Fine => {}
            Verdict::Ask => {
                if let Some(link) = &mut self.link {
                    link.send(&ToChild::Beat);
                }
            }
            Verdict::Silent if daemon::is_busy(pid) => {}
            // Somebody is looking at it with a debugger.
            Verdict::Silent | Verdict::Frozen if daemon::is_traced(pid) => {}
            Verdict::Silent | Verdict::Frozen => {
                error!(target: ROLE, "{} process({pid}) does not answer: killing it", self.kind.log_name());
                self.signal(nix::libc::SIGKILL);
            }
        }
    }
}
