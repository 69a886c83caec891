//! The processes: the parent and its children.

pub mod configuration;
pub mod ipc;
pub mod link;
pub mod parent;
pub mod paths;
pub mod start;
