//! From text to model.
//!
//! ```text
//! source::Files -> preprocess (still lines; every word keeps the span it came from) -> tree (knows braces, not keywords)
//!   -> keywords (tables decide what may stand where) -> draft -> resolve -> model::Config
//! ```
//! Each stage takes `&mut Diagnostics` and returns its best result: one run reports everything.

pub mod source;
pub mod tree;
