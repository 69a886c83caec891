//! The configuration as the processes share it: the parent reads the files once, children read what it read.

use std::path::Path;

use crate::config::recording::{Recorder, Recording};
use crate::config::source::{Files, ReadError};
use crate::config::{self, LoadOptions, Loaded};
use crate::diag::{Diagnostic, Severity};
use crate::process::options::Options;
use crate::sys::disk::Disk;
use crate::sys::machine::Host;

/// A configuration that was read from the disk.
#[derive(Debug)]
pub struct Read {
    /// What it means.
    pub loaded: Loaded,
    /// The files' bytes for the children.
    pub bundle: Vec<u8>,
    /// Why there is nothing to read at all.
    pub missing: Option<String>,
}

/// Reads the files that the command line names.
pub fn read(options: &Options) -> Read {
    let mut files = Recorder::new(Disk);
    let missing = missing(&mut files, &options.config_file);
    let loaded = config::load(&mut files, &options.config_file, &load_options(options), &host());
    Read { loaded, bundle: files.into_recording().to_bytes(), missing }
}

/// Reads what the parent has read.
pub fn read_bundle(bundle: &[u8], options: &Options) -> Loaded {
    let mut files = Recording::from_bytes(bundle).unwrap_or_default();
    config::load(&mut files, &options.config_file, &load_options(options), &host())
}

/// This host; one without interfaces where the kernel cannot be asked.
fn host() -> Host {
    Host::observe().unwrap_or_else(|error| {
        tracing::error!("cannot ask the kernel for interfaces: {error}");
        Host::default()
    })
}

fn load_options(options: &Options) -> LoadOptions {
    LoadOptions {
        config_id: options.config_id.clone(),
        all_includes_must_match: options.all_config,
        config_test: options.config_test.is_some(),
        vrrp: options.subsystems.vrrp,
        checker: options.subsystems.checker,
        bfd: options.subsystems.bfd,
        ..LoadOptions::default()
    }
}

/// Why the main file cannot be read, where none of what the pattern names can.
fn missing(files: &mut dyn Files, pattern: &str) -> Option<String> {
    let found = files.matches(Path::new("."), pattern);
    if found.is_empty() {
        return Some(format!("Config files missing '{pattern}'."));
    }
    let mut reason = None;
    for path in found {
        let name = path.display();
        match files.read(&path) {
            Ok(_) | Err(ReadError::Executable) => return None,
            Err(ReadError::Directory) => {
                reason = Some(format!("Configuration file '{name}' is a directory - skipping"));
            }
            Err(ReadError::NotFound) => reason = Some(format!("Config files missing '{pattern}'.")),
            Err(_) => {
                reason = Some(format!("Configuration file '{name}' is not a regular non-executable file - skipping"));
            }
        }
    }
    reason
}

/// Sends the findings to the log.
pub fn log_findings(loaded: &Loaded) {
    for (finding, line) in loaded.diagnostics.iter().zip(finding_lines(loaded)) {
        match finding.severity {
            Severity::Note => tracing::debug!("{line}"),
            Severity::Warning => tracing::warn!("{line}"),
            Severity::Error | Severity::Fatal => tracing::error!("{line}"),
        }
    }
}

/// Each finding as one line.
pub fn finding_lines(loaded: &Loaded) -> Vec<String> {
    let line = |finding: &Diagnostic| {
        let place = finding.span.and_then(|span| loaded.sources.place(span));
        let place = place.map_or(String::new(), |p| format!("({}: Line {}) ", p.file, p.line));
        format!("{place}{}", finding.message)
    };
    loaded.diagnostics.iter().map(line).collect()
}

/// The findings as a terminal shows them.
pub fn rendered(loaded: &Loaded) -> String {
    finding_lines(loaded).iter().map(|line| format!("{line}\n")).collect()
}
