//! Transitions as words: log sentences, script arguments, FIFO lines, mail.

pub mod checks;
pub mod fifo;
pub mod ipvs;
pub mod letter;
pub mod mail;
pub mod report;
pub mod script;
