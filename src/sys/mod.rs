//! The hands: the only floor with system calls, sockets and clocks.

mod announce;
pub mod channel;
pub mod clock;
pub mod control;
pub mod daemon;
pub mod disk;
pub mod files;
pub mod heartbeat;
pub mod links;
pub mod log;
pub mod machine;
pub mod mailbox;
pub mod memfd;
mod mmsg;
pub mod namespace;
pub mod neighbours;
pub mod netlink;
pub mod notify_socket;
pub mod pidfile;
pub mod poller;
pub mod raw_socket;
pub mod reexec;
pub mod schedule;
pub mod signals;
pub mod spawn;
mod timer;
