//! Health of real servers: what the checkers' verdicts make of the IPVS table, and who is told.
//!
//! | File | Holds |
//! |---|---|
//! | [`io`] | inputs and actions |
//! | [`node`] | [`Node`]: routes inputs, keeps deadlines and probes, says what changed in the table |
//! | `reload` | what a new configuration takes over from the old one |
//! | `virtual_server` | quorum, hysteresis, sorry server |
//! | `real_server` | its checkers: all must succeed |
//! | `checker` | when a checker runs, and what an answer means for it |
//! | [`desired`] | (configuration, health) to the kernel's table; pure, for every event the same |
//! | [`report`] | log lines as data |
//! | [`names`] | servers as operators know them |
//! | [`view`] | what dumps and `status` show |

mod chance;
mod checker;
pub mod desired;
pub mod io;
pub mod names;
pub mod node;
mod real_server;
mod reload;
pub mod report;
pub mod view;
mod virtual_server;

pub use node::Node;
