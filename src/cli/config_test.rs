//! `-t`: reads the configuration, says what it found, and ends with keepalived's status.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;

use crate::diag::Severity;
use crate::diag::render::Style;
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
    let loaded = match configuration::read_alone(options, &Origin::here()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("cannot ask the kernel for interfaces: {error}");
            return 1;
        }
    };
    set_umask(options, &loaded.config.global);
    let mut output = match open(options) {
        Ok(output) => output,
        Err(reason) => {
            eprintln!("{reason}");
            return 1;
        }
    };
    let colour = options.config_test == Some(None) && std::io::stderr().is_terminal();
    let _ = output.write_all(configuration::rendered(&loaded, Style { colour }).as_bytes());
    let diagnostics = &loaded.diagnostics;
    match diagnostics.config_test_status() {
        0 if options.strict && diagnostics.worst() >= Some(Severity::Warning) => STRICT,
        status => status,
    }
}

/// Where the findings go: the standard error output, or the file that `-t` names.
fn open(options: &Options) -> Result<Box<dyn Write>, String> {
    let Some(Some(path)) = &options.config_test else { return Ok(Box::new(std::io::stderr())) };
    let mut how = OpenOptions::new();
    how.append(true).create(true).mode(0o644).custom_flags(nix::libc::O_NOFOLLOW);
    match how.open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(format!("Unable to open config-test log file {} - {error}", path.display())),
    }
}
