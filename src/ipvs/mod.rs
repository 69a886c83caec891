//! The kernel's IPVS table as it is and as it should be.

pub mod table;

pub use table::{Entry, Table};
