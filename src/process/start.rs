//! From the command line to a running parent or child.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{error, info, warn};

use crate::model::Global;
use crate::model::global::DEFAULT_UMASK;
use crate::process::configuration::{self, Origin, Read};
use crate::process::options::Options;
use crate::process::parent;
use crate::process::paths::{self, Names, STATE_DIRECTORY};
use crate::supervise::child::Kind;
use crate::sys::daemon::{self, Side};
use crate::sys::pidfile::{PidFile, PidFileError};
use crate::sys::{files, log, memory, namespace, notify_socket::ServiceManager, signals};

/// The version of keepalived whose behaviour this is.
pub const KEEPALIVED_VERSION: &str = "2.4.3";

/// What the log and `-v` call us.
pub fn version() -> String {
    format!("v{KEEPALIVED_VERSION} (keepalived-rs {})", env!("CARGO_PKG_VERSION"))
}

/// A parent that is about to run.
#[derive(Debug)]
pub struct Start {
    /// The command line, understood.
    pub options: Options,
    /// The command line as it was, for the children.
    pub argv: Vec<OsString>,
    /// What file names depend on.
    pub names: Names,
    /// What else the configuration depends on.
    pub origin: Origin,
    /// Held for life.
    pub pid_file: PidFile,
    /// Those of the children that may run.
    pub child_pid_files: BTreeMap<Kind, PidFile>,
    /// Directories to remove at the end where they are empty.
    pub directories: Vec<PathBuf>,
    /// What `-M` replaced.
    pub core_pattern: Option<Vec<u8>>,
}

/// Runs the daemon; gives the program's exit status.
pub fn daemon(options: Options, argv: Vec<OsString>) -> u8 {
    memory::keep_little();
    start_log(&options, None, "Keepalived", &Names::default());
    let status = match prepare(options, argv) {
        Ok((start, read)) => background(start, read),
        Err(status) => status,
    };
    log::flush(Duration::from_secs(1));
    status
}

/// Where this process logs to.
pub fn start_log(options: &Options, kind: Option<Kind>, ident: &str, names: &Names) {
    let file = options.log.file.as_ref().map(|path| paths::log_file(path, kind, names));
    log::init(log::Settings {
        ident: format!("{ident}{}", names.suffix()),
        facility: options.log.syslog.then_some(options.log.facility),
        console: options.log.console && !options.fork,
        file,
        flush_file: options.log.flush_file,
        detail: options.log.detail,
    });
}

/// Everything up to the fork. An error is the exit status; its reason is in the log.
fn prepare(options: Options, argv: Vec<OsString>) -> Result<(Start, Read), u8> {
    info!("Starting Keepalived {}", version());
    if let Ok(system) = nix::sys::utsname::uname() {
        let [name, release, version] =
            [system.sysname(), system.release(), system.version()].map(|s| s.to_string_lossy());
        info!("Running on {name} {release} {version}");
    }
    command_line(&argv).iter().for_each(|line| info!("{line}"));
    if options.snmp {
        warn!("SNMP is not built yet: --snmp and --snmp-agent-socket have no effect");
    }
    let origin = Origin::here();
    let read = read_in_namespace(&options, &origin)?;
    let global = &read.loaded.config.global;
    let names = Names::of(&options, global);
    if !names.suffix().is_empty() {
        let ident = format!("Keepalived{}", names.suffix());
        info!("Changing syslog ident to {ident}");
        log::set_ident(&ident);
    }
    configuration::log_findings(&read.findings);
    if read.loaded.files_found {
        info!("Configuration file {}", options.config_file);
    } else {
        info!("Config files missing '{}'.", options.config_file);
    }
    if let Some(status) = read.loaded.diagnostics.start_status() {
        error!("keepalived cannot run with this configuration");
        ServiceManager.failed(libc_einval());
        return Err(status);
    }
    if global.max_auto_priority.is_none() {
        info!("NOTICE: setting config option max_auto_priority should result in better keepalived performance");
    }
    set_umask(&options, global);
    let core_pattern = set_core_dumps(&options);
    let directories = directories(&options, &names)?;
    let (pid_file, child_pid_files) = pid_files(&options, &names)?;
    Ok((Start { options, argv, names, origin, pid_file, child_pid_files, directories, core_pattern }, read))
}

fn libc_einval() -> u32 {
    nix::errno::Errno::EINVAL as u32
}

/// Reads the files, in the network namespace that the command line or the file itself names: what exists there decides
/// what the file means.
fn read_in_namespace(options: &Options, origin: &Origin) -> Result<Read, u8> {
    let enter = |name: &str| {
        namespace::enter(name).map_err(|reason| {
            error!("{reason}");
            error!("Unable to set network namespace {name} - exiting");
            1
        })
    };
    let read = || {
        configuration::read(options, origin).map_err(|error| {
            error!("cannot ask the kernel for interfaces: {error}");
            1
        })
    };
    if let Some(name) = &options.namespace {
        enter(name)?;
    }
    let first = read()?;
    let configured = first.loaded.config.global.net_namespace.clone();
    match (&options.namespace, configured) {
        (Some(ours), Some(theirs)) if *ours != theirs => {
            info!("Overriding config net_namespace '{theirs}' with command line namespace '{ours}'");
            Ok(first)
        }
        (None, Some(name)) => {
            enter(&name)?;
            read()
        }
        _ => Ok(first),
    }
}

/// `-u` beats the keyword, which beats the default.
pub fn set_umask(options: &Options, global: &Global) {
    let mask = options.umask.or(global.umask).unwrap_or(DEFAULT_UMASK);
    files::set_umask(mask);
}

const CORE_PATTERN: &str = "/proc/sys/kernel/core_pattern";

/// `-m` and `-M`. Gives the pattern to restore at the end.
fn set_core_dumps(options: &Options) -> Option<Vec<u8>> {
    if options.core_dump
        && let Err(error) = daemon::allow_core_dumps()
    {
        warn!("cannot lift the limit of core dumps: {error}");
    }
    let pattern = options.core_pattern.as_ref()?;
    let before = std::fs::read(CORE_PATTERN);
    match std::fs::write(CORE_PATTERN, pattern.as_encoded_bytes()) {
        Ok(()) => before.ok(),
        Err(error) => {
            warn!("cannot set {CORE_PATTERN}: {error}");
            None
        }
    }
}

/// Puts back what `-M` replaced.
pub fn restore_core_pattern(before: Option<Vec<u8>>) {
    if let Some(pattern) = before
        && let Err(error) = std::fs::write(CORE_PATTERN, pattern)
    {
        warn!("cannot restore {CORE_PATTERN}: {error}");
    }
}

/// The command line for the log, about 110 columns to a line.
fn command_line(argv: &[OsString]) -> Vec<String> {
    const COLUMNS: usize = 110;
    let mut lines = vec!["Command line:".to_owned()];
    for word in argv.iter().map(|word| format!(" '{}'", word.to_string_lossy())) {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() <= COLUMNS => line.push_str(&word),
            _ => lines.push(format!("{:13}{word}", "")),
        }
    }
    lines
}

/// Makes the directories for pid files, socket and record.
fn directories(options: &Options, names: &Names) -> Result<Vec<PathBuf>, u8> {
    let mut made = Vec::new();
    let failed = |what: &Path, error: std::io::Error| {
        error!("cannot make directory {}: {error}", what.display());
        1
    };
    if options.pid_file.is_none() {
        // Before /run/keepalived is replaced: the socket must be reachable from outside the namespace.
        let state = Path::new(STATE_DIRECTORY);
        namespace::make_directory(state).map_err(|error| failed(state, error))?;
        made.push(state.to_owned());
    }
    let pids = Path::new(namespace::PID_DIRECTORY);
    if let Some(name) = &names.namespace {
        let own = namespace::own_pid_directory(name).map_err(|error| failed(pids, error))?;
        made.extend([own, pids.to_owned()]);
    } else if names.uses_directory {
        namespace::make_directory(pids).map_err(|error| failed(pids, error))?;
        made.push(pids.to_owned());
    }
    Ok(made)
}

type PidFiles = (PidFile, BTreeMap<Kind, PidFile>);

/// Locks the pid files. A daemon that is already running is no failure (`operator-surface.md` §1.6).
fn pid_files(options: &Options, names: &Names) -> Result<PidFiles, u8> {
    let acquire = |path: PathBuf| {
        PidFile::acquire(&path).map_err(|error| match error {
            PidFileError::Locked(_) => {
                info!("{error}");
                info!("daemon is already running");
                0
            }
            PidFileError::Unusable { .. } => {
                error!("{error}");
                1
            }
        })
    };
    let parent = acquire(names.pid_file(options))?;
    let enabled = Kind::ALL.into_iter().filter(|kind| match kind {
        Kind::Vrrp => options.subsystems.vrrp,
        Kind::Checker => options.subsystems.checker,
        Kind::Bfd => options.subsystems.bfd,
    });
    let children = enabled.map(|kind| Ok((kind, acquire(names.child_pid_file(options, kind))?)));
    Ok((parent, children.collect::<Result<_, u8>>()?))
}

/// Forks unless told not to, and runs the parent.
fn background(mut start: Start, read: Read) -> u8 {
    let mut tell = None;
    if start.options.fork {
        match daemon::detach() {
            Ok(Side::Foreground(status)) => std::process::exit(i32::from(status)),
            Ok(Side::Daemon(pipe)) => tell = Some(pipe),
            Err(error) => {
                error!("cannot fork to the background: {error}");
                return 1;
            }
        }
    }
    if let Err(error) = log::start() {
        error!("cannot start the log thread: {error}");
        return 1;
    }
    signals::ignore_others();
    daemon::adopt_orphans();
    set_process_name(read.loaded.config.global.process_names.parent.as_deref(), &start.argv);
    if let Err(error) = start.pid_file.write(std::process::id()) {
        error!("{error}");
        return 1;
    }
    if let Some(pipe) = tell {
        daemon::stands(pipe);
    }
    parent::run(start, read)
}

/// The configured name, else the name we were started under: `/proc/self/exe` would make it `exe`.
pub fn set_process_name(configured: Option<&str>, argv: &[OsString]) {
    let started_as = argv.first().map(Path::new).and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    daemon::set_name(configured.unwrap_or(&started_as));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_line_is_wrapped_and_no_word_is_lost() {
        let argv: Vec<OsString> = (0..40).map(|i| format!("word{i}").into()).collect();
        let lines = command_line(&argv);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= 110));
        assert!(lines[0].starts_with("Command line: 'word0' 'word1'"));
        assert!(lines[1].starts_with("              'word"));
        assert_eq!(lines.join("").matches("'word").count(), 40);
    }
}
