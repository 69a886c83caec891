//! `keepalived.data` and `keepalived.stats` as text.

mod data;
mod statistics;

pub use data::{Machine, ScriptState, WallTime, data, global};
pub use statistics::statistics;
