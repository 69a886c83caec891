//! The place of one child in the parent.

use std::ffi::OsString;
use std::os::fd::OwnedFd;

use nix::unistd::Pid;
use tracing::{error, info};

use crate::model::Config;
use crate::process::link::Link;
use crate::process::options::Options;
use crate::supervise::child::{Child, Kind};
use crate::sys::channel::Channel;
use crate::sys::pidfile::PidFile;
use crate::sys::{daemon, reexec};

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
}

impl Slot {
    pub(super) fn new(kind: Kind, pid_file: PidFile, options: &Options, config: &Config) -> Self {
        let life = Child::new(options.respawn, config.global.child_wait);
        Self { kind, life, pid: None, last_pid: 0, link: None, pid_file, is_ready: false, starts: 0 }
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
        let mut arguments: Vec<OsString> = vec!["--child".into(), self.kind.word().into()];
        arguments.extend_from_slice(rest);
        let (ours, theirs) = Channel::pair()?;
        let link = Link::new(ours)?;
        let pid = reexec::start(&arg0, &arguments, theirs, Some(bundle.try_clone()?))?;
        self.link = Some(link);
        self.is_ready = false;
        Ok(pid)
    }

    pub(super) fn signal(&self, number: i32) {
        if let Some(pid) = self.pid {
            daemon::send_signal(pid, number);
        }
    }
}
