//! The VRRP engine: all instances of one process as a plain function of (state, input, time).
//!
//! It never touches a socket, a clock or a file. [`Node::handle`] is told what happened and writes what is to be done
//! into the caller's list; [`Node::deadline`] says when it wants to be woken.
//!
//! | RFC 9568 | here, in logs, scripts and MIBs |
//! |---|---|
//! | Active | MASTER |
//! | Backup | BACKUP |
//! | Initialize | INIT |
//! | (none) | FAULT: a tracked thing is down |

pub mod io;
pub mod report;

mod announce;
mod encode;
mod faults;
mod hear;
mod holdings;
mod instance;
mod links;
mod machine;
mod node;
mod receive;
mod reload;
mod routine;
mod scripts;
mod sockets;

pub use io::{Action, Input, Wake};
pub use node::Node;

use std::net::{IpAddr, Ipv4Addr};

/// keepalived up to 1.3.6 made VRRPv3's unicast checksum with this destination.
const OLD_CHECKSUM_GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));

#[cfg(test)]
mod tests;
