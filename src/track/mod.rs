//! Trackers as engines: what runs, fails, rises and falls, and what that is worth.

pub mod interface;
pub mod script;
pub mod weight;
