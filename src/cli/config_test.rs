//! `-t`: reads the configuration, says what it found, and ends with keepalived's status.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use crate::diag::Severity;
use crate::process::configuration::{self, Origin};
use crate::process::options::Options;
use crate::process::start::set_umask;
use crate::sys::namespace;

/// What `--strict` makes of a warning that keepalived does not count.
const STRICT: u8 = 5;

/// Runs the test.
pub(super) fn run(options: &Options) -> u8 {
    if let Some(name) = &options.namespace
        && let Err(reason) = namespace::enter(name)
    {
        eprintln!("{reason}");
        return 1;
    }
    let mut output: Box<dyn Write> = match options.config_test.as_ref().and_then(Option::as_ref) {
        None => Box::new(std::io::stderr()),
        Some(path) => {
            let read = configuration::read(options);
            set_umask(options, &read.loaded.config.global);
            let opened =
                OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(nix::libc::O_NOFOLLOW).open(path);
            match opened {
                Ok(file) => Box::new(file),
                Err(error) => {
                    eprintln!("Unable to open config-test log file {} - {error}", path.display());
                    return 1;
                }
            }
        }
    };
    let read = configuration::read(options);
    let _ = output.write_all(configuration::rendered(&read.loaded).as_bytes());
    let diagnostics = &read.loaded.diagnostics;
    match diagnostics.config_test_status() {
        0 if options.strict && diagnostics.worst() >= Some(Severity::Warning) => STRICT,
        status => status,
    }
}
