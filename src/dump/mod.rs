//! `keepalived.data`, `keepalived.stats` and `keepalived.json` as text.

mod data;
mod global;
mod json;
mod statistics;

pub use data::{Machine, ScriptState, Socket, WallTime, data};
pub use global::global;
pub use json::json;
pub use statistics::statistics;
