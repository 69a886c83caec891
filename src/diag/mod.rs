//! What a configuration run has to say, with the place it speaks of.

pub mod codes;
mod diagnostic;
pub mod render;
mod source;
mod suggest;

pub use codes::Code;
pub use diagnostic::{Diagnostic, Diagnostics, ExitClass, MAX_DIAGNOSTICS, Severity};
pub use source::{FileId, Sources, Span};
