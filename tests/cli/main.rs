//! The command line and the life of the daemon's processes, on the real binary.

// All of it is test: what fails, fails.
#![allow(clippy::unwrap_used)]

mod checks;
mod daemon;
mod dumps;
mod kit;
mod options;
mod reload;
mod settings;
