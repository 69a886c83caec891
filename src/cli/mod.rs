//! The command line.

pub mod getopt;
pub mod options;

use std::process::ExitCode;

/// Runs the program.
pub fn run() -> ExitCode {
    ExitCode::SUCCESS
}
