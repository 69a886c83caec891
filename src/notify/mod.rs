//! Transitions as words: log sentences, script arguments.

pub mod report;
pub mod script;
