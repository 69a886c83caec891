//! Transitions as words: log sentences, script arguments.

pub mod fifo;
pub mod letter;
pub mod mail;
pub mod report;
pub mod script;
