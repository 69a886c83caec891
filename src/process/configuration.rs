//! The configuration as the processes share it: the parent reads the files once, children read what it read.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::config::recording::{Recorder, Recording};
use crate::config::testimony::{Testimony, Witness};
use crate::config::{self, LoadOptions, Loaded};
use crate::diag::{Diagnostic, Severity, render};
use crate::model::Config;
use crate::process::options::Options;
use crate::sys::disk::Disk;
use crate::sys::machine::Host;
use crate::sys::memfd;

/// A configuration that was read from the disk.
#[derive(Debug)]
pub struct Read {
    /// What it means.
    pub loaded: Loaded,
    /// What was found in it, for the log.
    pub findings: Vec<Finding>,
    /// The files' bytes for the children.
    bundle: Vec<u8>,
    /// What else it rests on.
    testimony: Testimony,
}

impl Read {
    /// What the parent keeps; the text and what its findings speak of go.
    pub fn seal(self) -> io::Result<Sealed> {
        let bundle = memfd::sealed("configuration", &self.bundle)?;
        Ok(Sealed {
            config: self.loaded.config.without_virtual_servers(),
            bundle,
            testimony: Some(self.testimony),
            findings: self.findings,
        })
    }
}

/// A configuration as the parent keeps it while it is in force.
#[derive(Debug)]
pub struct Sealed {
    /// What it means, but for virtual servers, which are the checker's.
    pub config: Config,
    /// The files' bytes for children that start.
    pub bundle: OwnedFd,
    /// None where a child may have another one.
    testimony: Option<Testimony>,
    /// What was found in it, for the log.
    pub findings: Vec<Finding>,
}

/// How serious a finding is, and what it says in one line.
pub type Finding = (Severity, String);

impl Sealed {
    /// Whether reading the same files now would give the same, so that it need not be done: of a large configuration,
    /// comparing takes a fraction of the time. An error is the kernel's, see [`read`].
    pub fn still_holds(&self, origin: &Origin) -> io::Result<bool> {
        let Some(testimony) = &self.testimony else { return Ok(false) };
        let bundle = memfd::read(self.bundle.try_clone()?)?;
        let Some((before, recording)) = Origin::from_bytes(&bundle) else { return Ok(false) };
        let same_files = |recording: Recording| recording.still_holds(&mut Disk);
        Ok(before == *origin
            && Recording::from_bytes(recording).is_some_and(same_files)
            && testimony.still_holds(&Host::observe()?))
    }

    /// Some child may have taken another configuration: the files must be read again.
    pub fn doubt(&mut self) {
        self.testimony = None;
    }
}

/// What else decides what the files mean, the same for every process and every reload of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where `${_RANDOM}` begins.
    pub seed: u64,
    /// Where relative names start: a daemon leaves the directory it was started in.
    pub directory: PathBuf,
}

impl Origin {
    /// As this process was started.
    pub fn here() -> Self {
        // Any number will do that differs from start to start.
        let seed = crate::sys::clock::now().nanos();
        Self { seed, directory: std::env::current_dir().unwrap_or_else(|_| "/".into()) }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let directory = self.directory.as_os_str().as_bytes();
        [&self.seed.to_le_bytes()[..], &(directory.len() as u64).to_le_bytes(), directory].concat()
    }

    /// The origin at the front of a bundle, and the rest.
    fn from_bytes(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (seed, rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (directory, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let directory = OsStr::from_bytes(directory).into();
        Some((Self { seed: u64::from_le_bytes(*seed), directory }, rest))
    }
}

/// Reads the files that the command line names. An error is the kernel's: without its interfaces a configuration would mean
/// something else.
pub fn read(options: &Options, origin: &Origin) -> io::Result<Read> {
    let mut files = Recorder::new(Disk);
    let host = Witness::of(Host::observe()?);
    let loaded = config::load(&mut files, &options.config_file, &load_options(options, origin), &host);
    let bundle = files.into_recording().append_to(origin.to_bytes());
    let findings = findings(&loaded);
    Ok(Read { loaded, findings, bundle, testimony: host.into_testimony() })
}

/// Reads the same files for nobody else: nothing is kept for children.
pub fn read_alone(options: &Options, origin: &Origin) -> io::Result<Loaded> {
    let host = Host::observe()?;
    Ok(config::load(&mut Disk, &options.config_file, &load_options(options, origin), &host))
}

/// Reads what the parent has read.
pub fn read_bundle(bundle: OwnedFd, options: &Options) -> io::Result<Loaded> {
    let bundle = memfd::read(bundle)?;
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the configuration from the parent is damaged");
    let (origin, recording) = Origin::from_bytes(&bundle).ok_or_else(damaged)?;
    let mut files = Recording::from_bytes(recording).ok_or_else(damaged)?;
    let host = Host::observe()?;
    Ok(config::load(&mut files, &options.config_file, &load_options(options, &origin), &host))
}

/// A configuration to change to, or why there is none.
pub type Load = Result<Config, String>;

/// Reads what the parent has read for a reload.
pub fn load_bundle(bundle: OwnedFd, options: &Options) -> Load {
    let loaded = read_bundle(bundle, options).map_err(|error| format!("cannot read the configuration: {error}"))?;
    match loaded.diagnostics.start_status() {
        None => Ok(loaded.config),
        Some(_) => Err(findings(&loaded).pop().map(|(_, line)| line).unwrap_or_default()),
    }
}

fn load_options(options: &Options, origin: &Origin) -> LoadOptions {
    LoadOptions {
        config_id: options.config_id.clone(),
        all_includes_must_match: options.all_config,
        config_test: options.config_test.is_some(),
        vrrp: options.subsystems.vrrp,
        checker: options.subsystems.checker,
        bfd: options.subsystems.bfd,
        random_seed: origin.seed,
        working_directory: origin.directory.clone(),
    }
}

/// Sends findings to the log.
pub fn log_findings(findings: &[Finding]) {
    for (severity, line) in findings {
        match severity {
            Severity::Note => tracing::debug!("{line}"),
            Severity::Warning => tracing::warn!("{line}"),
            Severity::Error | Severity::Fatal => tracing::error!("{line}"),
        }
    }
}

/// What was found, each finding as one line.
fn findings(loaded: &Loaded) -> Vec<Finding> {
    let line = |finding: &Diagnostic| (finding.severity, render::log_line(finding, &loaded.sources));
    loaded.diagnostics.iter().map(line).collect()
}

/// The findings with the text they speak of, as a person reads them.
pub fn rendered(loaded: &Loaded, style: render::Style) -> String {
    render::all(&loaded.diagnostics, &loaded.sources, style)
}
