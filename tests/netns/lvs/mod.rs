//! Virtual servers and alerts of the whole daemon, beside Debian's keepalived. The kernel's table is not part of these
//! stories: `tests/ipvs_vm` has them.

mod dumps;
mod fifos;
pub(crate) mod kit;
mod mails;
mod post;
