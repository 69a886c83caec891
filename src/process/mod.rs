//! The processes: the parent and its children.

mod checker;
pub mod child;
pub mod configuration;
mod fifos;
pub mod ipc;
mod lines;
pub mod link;
mod mail;
pub mod options;
pub mod parent;
pub mod paths;
pub mod record;
pub mod spawner;
pub mod start;
pub mod vrrp;
