//! The hands: the only floor with system calls, sockets and clocks.

mod announce;
pub mod channel;
pub mod clock;
pub mod files;
pub mod links;
pub mod log;
pub mod memfd;
mod mmsg;
pub mod netlink;
pub mod pidfile;
pub mod raw_socket;
pub mod signals;
pub mod spawn;
pub mod timer;
