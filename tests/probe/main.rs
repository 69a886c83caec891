//! Probes on a real kernel: options of sockets, servers that fail in every way, and real servers. Each test is in a
//! network namespace of its own. Needs root.
#![allow(clippy::unwrap_used)]

mod genhash;
mod hostile;
mod kit;
mod network;
mod programs;
