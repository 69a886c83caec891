//! The network hands on a real kernel: sockets, addresses, announcements, notifications, each test in a network
//! namespace of its own. Needs root.
#![allow(clippy::unwrap_used)]

mod kernel;
mod marks;
mod scratch;
mod sockets;
