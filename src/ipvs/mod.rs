//! The kernel's IPVS table as it is and as it should be.
//!
//! [`Keeper`] is told what is wanted and what the kernel says, and tells what to ask the kernel next. Only
//! `sys::ipvs` really asks it.

pub mod keeper;
pub mod plan;
pub mod report;
pub mod settings;
pub mod stand_in;
pub mod table;

pub use keeper::Keeper;
pub use plan::{Op, plan};
pub use table::{Entry, Table};
