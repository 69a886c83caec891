//! The configuration as the processes share it: the parent reads the files, its children are handed what they mean.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::recording::{Recorder, Recording};
use crate::config::testimony::{Testimony, Witness};
use crate::config::{self, LoadOptions, Loaded};
use crate::diag::{Diagnostic, Severity, render};
use crate::model::lvs::Marks;
use crate::model::{Config, handover};
use crate::process::options::Options;
use crate::supervise::child::Kind;
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
    rests_on: (Recording, Testimony),
}

impl Read {
    /// Groups keep the marks that they have in the configuration before this one.
    pub fn keep_marks(&mut self, before: &Marks) {
        Arc::make_mut(&mut self.loaded.config.lvs).give_marks(before);
    }

    /// What the parent keeps; the text and what its findings speak of go.
    pub fn seal(self) -> io::Result<Sealed> {
        let bytes = handover::to_bytes(&self.loaded.config).map_err(io::Error::other)?;
        Ok(Sealed {
            bundle: memfd::sealed("configuration", &bytes)?,
            config: self.loaded.config.without_virtual_servers(),
            rests_on: Some(self.rests_on),
            findings: self.findings,
        })
    }
}

/// A configuration as the parent keeps it while it is in force.
#[derive(Debug)]
pub struct Sealed {
    /// What it means, but for virtual servers, which are the checker's.
    pub config: Config,
    /// All of it, for children that start.
    pub bundle: OwnedFd,
    /// What was read and asked; none where a child may have another configuration.
    rests_on: Option<(Recording, Testimony)>,
    /// What was found in it, for the log.
    pub findings: Vec<Finding>,
}

/// How serious a finding is, and what it says in one line.
pub type Finding = (Severity, String);

impl Sealed {
    /// Whether reading the same files now would give the same, so that it need not be done: of a large configuration,
    /// comparing takes a fraction of the time. An error is the kernel's, see [`read`].
    pub fn still_holds(&self) -> io::Result<bool> {
        let Some((recording, testimony)) = &self.rests_on else { return Ok(false) };
        Ok(recording.still_holds(&mut Disk) && testimony.still_holds(&Host::observe()?))
    }

    /// Some child may have taken another configuration: the files must be read again.
    pub fn doubt(&mut self) {
        self.rests_on = None;
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
}

/// Reads the files that the command line names. An error is the kernel's: without its interfaces a configuration would mean
/// something else.
pub fn read(options: &Options, origin: &Origin) -> io::Result<Read> {
    let mut files = Recorder::new(Disk);
    let host = Witness::of(Host::observe()?);
    let loaded = config::load(&mut files, &options.config_file, &load_options(options, origin), &host);
    let findings = findings(&loaded);
    Ok(Read { loaded, findings, rests_on: (files.into_recording(), host.into_testimony()) })
}

/// Reads the same files for nobody else: nothing is kept for children.
pub fn read_alone(options: &Options, origin: &Origin) -> io::Result<Loaded> {
    let host = Host::observe()?;
    Ok(config::load(&mut Disk, &options.config_file, &load_options(options, origin), &host))
}

/// What the parent hands to a child; only the checker process has a use for virtual servers.
pub fn take_bundle(bundle: OwnedFd, kind: Kind) -> io::Result<Config> {
    let bytes = memfd::read(bundle)?;
    let config = match kind {
        Kind::Checker => handover::from_bytes(&bytes),
        Kind::Vrrp | Kind::Bfd => handover::common_from_bytes(&bytes),
    };
    config.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A configuration to change to, or why there is none.
pub type Load = Result<Config, String>;

/// What the parent hands to a child for a reload, where something came along.
pub fn take_reload(bundle: Option<OwnedFd>, kind: Kind) -> Load {
    let bundle = bundle.ok_or("no configuration came along")?;
    take_bundle(bundle, kind).map_err(|error| format!("cannot take the configuration: {error}"))
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
