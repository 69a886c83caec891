//! `keepalived.data`, `keepalived_check.data`, `keepalived.stats` and `keepalived.json` as text.

mod checker;
mod data;
mod global;
mod json;
mod statistics;

pub use checker::checkers;
pub use data::{Machine, ScriptState, Socket, WallTime, data};
pub use global::global;
pub use json::json;
pub use statistics::statistics;
