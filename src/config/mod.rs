//! From text to model.
//!
//! ```text
//! source::Files -> preprocess (still lines; every word keeps the span it came from) -> tree (knows braces, not keywords)
//!   -> keywords (tables decide what may stand where) -> draft -> resolve -> model::Config
//! ```
//! [`text::parse`] is the first half, up to the tree; `words::script` cuts a script line.
//!
//! Each stage takes `&mut Diagnostics` and returns its best result: one run reports everything.

pub mod line;
pub mod machine;
pub mod preprocess;
pub mod recording;
pub mod source;
pub mod text;
pub mod tree;
pub mod words;

use crate::diag::{Diagnostics, Sources};
use crate::model::Config;

pub use machine::Machine;
pub use text::{Parsed, TextOptions, parse};

/// How a configuration is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// `-i`/`--config-id`; none is the host name up to the first dot.
    pub config_id: Option<String>,
    /// `-e`/`--all-config`: every include problem is an error.
    pub all_includes_must_match: bool,
    /// `-t`: numbers with trailing garbage are refused instead of cut.
    pub config_test: bool,
    /// Whether the VRRP child runs (`-C` is not given): otherwise its blocks are only read, not judged.
    pub vrrp: bool,
    /// Whether the checker child runs (`-P` is not given).
    pub checker: bool,
    /// Whether the BFD child runs (`-B` is not given).
    pub bfd: bool,
}

/// What reading a configuration gives.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The best that could be made of it; usable only where `diagnostics` does not refuse to run.
    pub config: Config,
    /// Everything there is to say about it.
    pub diagnostics: Diagnostics,
    /// The files, for showing the places the diagnostics speak of.
    pub sources: Sources,
}

/// Reads the configuration `path` (a glob pattern, as `-f` takes) and everything it includes.
pub fn load(_files: &mut dyn source::Files, _path: &str, _options: &LoadOptions, _machine: &dyn Machine) -> Loaded {
    // In progress: the pipeline is being put together; until then every file gives an empty configuration.
    Loaded::default()
}
