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

pub use io::{Action, Input, Wake};
