//! What all children have in common: their first steps, and an end with nothing to do.

use std::ffi::OsString;
use std::io;

use tracing::{debug, error, info, warn};

use crate::model::Config;
use crate::process::checker;
use crate::process::configuration;
use crate::process::ipc::{FromChild, ToChild};
use crate::process::link::Link;
use crate::process::options::Options;
use crate::process::paths::Names;
use crate::process::start::{self, set_process_name};
use crate::process::vrrp;
use crate::supervise::child::Kind;
use crate::supervise::watchdog::patience;
use crate::sys::channel::Channel;
use crate::sys::heartbeat::Heartbeat;
use crate::sys::signals::{self, Signal, Signals};
use crate::sys::{daemon, log, memory, reexec, schedule};
use crate::time::Duration;

/// The exit status that says "no permission"; restarting would not help.
pub const NO_PERMISSION: u8 = 4;

/// Room for an engine's actions that is kept from turn to turn: a start, a reload or a takeover needs far more, once.
pub(super) const KEPT_ACTIONS: usize = 256;
/// Files that a child has open beside its sockets.
const OPEN_FILES: u64 = 64;

/// Lets this child have so many sockets open at the same time, as far as it may.
pub(super) fn allow_sockets(count: u64) {
    match schedule::allow_open_files(count + OPEN_FILES) {
        Ok(Some((soft, hard))) => debug!("Set open file limit to {soft}:{hard}."),
        Ok(None) => {}
        Err(error) => warn!("cannot raise the limit of open files: {error}"),
    }
}

/// A child at the end of its first steps.
#[derive(Debug)]
pub struct Child {
    /// Which.
    pub kind: Kind,
    /// The parent's command line.
    pub options: Options,
    /// Another process had this job before and is no more.
    pub is_replacement: bool,
    /// As words.
    pub argv: Vec<OsString>,
    /// What file names depend on.
    pub names: Names,
    /// The parent's configuration.
    pub config: Config,
    /// To the parent.
    pub channel: Channel,
    /// The parent notices when it stops.
    pub heartbeat: Heartbeat,
}

/// Runs a child; gives its exit status.
pub fn run(kind: Kind, options: Options, argv: Vec<OsString>, is_replacement: bool) -> u8 {
    daemon::end_with_parent();
    memory::keep_little();
    let status = match prepare(kind, options, argv) {
        Ok(child) => live(Child { is_replacement, ..child }),
        Err(error) => {
            error!("cannot start: {error}");
            70
        }
    };
    log::flush(Duration::from_millis(500));
    status
}

fn prepare(kind: Kind, options: Options, argv: Vec<OsString>) -> io::Result<Child> {
    let channel = Channel::inherited(reexec::inherited(reexec::CHANNEL)?)?;
    let heartbeat = Heartbeat::shared(reexec::inherited(reexec::HEARTBEAT)?, patience(kind))?;
    let config = configuration::take_bundle(reexec::inherited(reexec::CONFIGURATION)?, kind)?;
    memory::give_back();
    let names = Names::of(&options, &config.global);
    start::start_log(&options, Some(kind), kind.ident(), &names);
    log::start()?;
    signals::ignore_others();
    start::set_umask(&options, &config.global);
    let process_names = &config.global.process_names;
    let name = match kind {
        Kind::Vrrp => &process_names.vrrp,
        Kind::Checker => &process_names.checker,
        Kind::Bfd => &process_names.bfd,
    };
    set_process_name(name.as_deref(), &argv);
    Ok(Child { kind, options, is_replacement: false, argv, names, config, channel, heartbeat })
}

fn live(child: Child) -> u8 {
    let result = match child.kind {
        Kind::Vrrp => vrrp::run(child),
        // A runtime of one thread: everything in the loop happens in one order.
        Kind::Checker | Kind::Bfd => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
            runtime.and_then(|runtime| match child.kind {
                Kind::Checker => runtime.block_on(checker::run(child)),
                _ => runtime.block_on(idle(child)),
            })
        }
    };
    result.unwrap_or_else(|error| {
        error!("{error}");
        // Another start would end the same way.
        if error.kind() == io::ErrorKind::PermissionDenied { NO_PERMISSION } else { 70 }
    })
}

/// A process that has no work yet: it answers, and ends when asked.
async fn idle(child: Child) -> io::Result<u8> {
    let signals = Signals::open()?.watch()?;
    let mut parent = Link::new(child.channel)?;
    parent.send(&FromChild::Ready);
    loop {
        let gone = tokio::select! {
            guard = signals.readable() => {
                guard?.clear_ready();
                false
            }
            result = parent.ready() => result.is_err(),
        };
        while let Ok(Some(signal)) = signals.get_ref().next() {
            match signal {
                Signal::Stop | Signal::Interrupt => {
                    info!("Stopped");
                    return Ok(0);
                }
                Signal::Reload => parent.send(&FromChild::AsksForReload),
                _ => {}
            }
        }
        while let Some(message) = parent.receive::<ToChild>()? {
            match message {
                ToChild::Reload => {
                    drop(parent.descriptor());
                    info!("Reloading");
                    parent.send(&FromChild::Reloaded(Ok(Vec::new())));
                }
                ToChild::ReloadSame => {
                    info!("Reloading");
                    parent.send(&FromChild::Reloaded(Ok(Vec::new())));
                }
                ToChild::Status | ToChild::Beat => {}
            }
        }
        if gone {
            return Ok(0);
        }
    }
}
