//! Children and reloads as engines: start, death, respawn, back-off.

pub mod child;
pub mod reload;
pub mod restarts;
pub mod timed;
pub mod watchdog;
