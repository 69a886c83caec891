//! The real binary on real sockets: LANs of network namespaces, with Debian's keepalived as the router on the other
//! side. Needs root. Every LAN keeps a capture, the configurations and the logs; a failing test says where they are.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, unused_imports, reason = "the bench and this suite use different parts")]
mod lan;

mod bytes;
mod lvs;
mod matrix;
mod regressions;
mod scenes;
mod sentences;
mod setup;
