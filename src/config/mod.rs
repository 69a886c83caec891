//! From text to model.
//!
//! ```text
//! source::Files -> preprocess (still lines; every word keeps the span it came from) -> tree (knows braces, not keywords)
//!   -> keywords (tables decide what may stand where) -> draft -> resolve -> model::Config
//! ```
//! [`Text`] is the first half, up to the tree; `words::script` cuts a script line.
//!
//! Each stage takes `&mut Diagnostics` and returns its best result: one run reports everything.

pub mod draft;
pub mod keywords;
pub mod line;
pub mod machine;
pub mod preprocess;
pub mod reader;
pub mod recording;
pub mod resolve;
pub mod script_line;
pub mod shapes;
pub mod short_text;
pub mod source;
pub mod testimony;
pub mod text;
pub mod tree;
pub mod value;
pub mod words;

use std::path::PathBuf;

use crate::addr::IfName;
use crate::diag::{Diagnostics, Sources};
use crate::model::Config;

pub use machine::Machine;
pub use text::{Parsed, Text, TextOptions, parse};

/// How a configuration is read.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Where `${_RANDOM}` begins.
    pub random_seed: u64,
    /// Where a relative file name starts.
    pub working_directory: PathBuf,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            config_id: None,
            all_includes_must_match: false,
            config_test: false,
            vrrp: true,
            checker: true,
            bfd: true,
            random_seed: 0,
            working_directory: PathBuf::new(),
        }
    }
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
    /// Whether any configuration file could be read.
    pub files_found: bool,
}

/// Reads the configuration `path` (a glob pattern, as `-f` takes) and everything it includes.
pub fn load(files: &mut dyn source::Files, path: &str, options: &LoadOptions, machine: &dyn Machine) -> Loaded {
    let mut diagnostics = Diagnostics::default();
    let host = || machine.host_name().split('.').next().unwrap_or_default().to_owned();
    let text_options = TextOptions {
        config_id: options.config_id.clone().unwrap_or_else(host),
        random_seed: options.random_seed,
        all_config: options.all_includes_must_match,
        working_directory: options.working_directory.clone(),
    };
    let mut text = Text::open(files, path, &text_options, &mut diagnostics);
    let (draft, interfaces) = draft(&mut text, options, &mut diagnostics);
    let sources = text.into_sources();
    let config = resolve::resolve(&draft, &interfaces, options, machine, &mut diagnostics);
    Loaded { config, diagnostics, files_found: !sources.is_empty(), sources }
}

/// Reads statements into a draft, and collects the interfaces they name. Of a long text, only the block being read and
/// the draft are in memory.
fn draft(
    text: &mut Text<'_>,
    options: &LoadOptions,
    diagnostics: &mut Diagnostics,
) -> (draft::Draft, Vec<reader::Spanned<IfName>>) {
    let mut draft = draft::Draft::default();
    let mut reader = reader::Reader::new(diagnostics, options.config_test);
    while let Some(line) = text.next_statement(reader.diagnostics) {
        let block = match keywords::root::PROCESS.find(line.keyword.as_bytes()) {
            Some(_) => &keywords::root::PROCESS,
            None => &keywords::root::TOP,
        };
        reader.statement(block, &mut draft, &line);
    }
    (draft, reader.interfaces)
}
