//! The hands: the only floor with system calls, sockets and clocks.

pub mod channel;
pub mod files;
pub mod log;
pub mod memfd;
pub mod pidfile;
pub mod signals;
pub mod spawn;
pub mod clock;
pub mod timer;
