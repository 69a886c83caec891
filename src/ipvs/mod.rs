//! The kernel's IPVS table as it is and as it should be.
//!
//! [`Keeper`] is told what is wanted and what the kernel says, and tells what to ask the kernel next. Only
//! `sys::ipvs` really asks it. [`Marker`] does the same for the marks that nf_tables gives to packets.

pub mod keeper;
pub mod marking;
pub mod plan;
pub mod report;
pub mod settings;
pub mod stand_in;
pub mod table;

pub use keeper::Keeper;
pub use marking::{Marker, Marking};
pub use plan::{Op, plan};
pub use table::{Entry, Table};
