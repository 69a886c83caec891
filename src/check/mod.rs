//! Health of real servers: what the checkers' verdicts make of the IPVS table, and who is told.

pub mod io;
pub mod report;
