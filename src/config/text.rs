//! The whole way from files to a tree of statements: lines, preprocessing, braces.

use std::path::PathBuf;

use super::line::Line;
use super::preprocess::Preprocessor;
use super::source::Files;
use super::tree::{Builder, Statement};
use crate::diag::{Diagnostics, Sources};

/// What the text may depend on besides the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// `-i/--config-id`: what `@ID` compares with, and `${_INSTANCE}`. keepalived's default is the host name up to the
    /// first dot.
    pub config_id: String,
    /// Where `${_RANDOM}` begins; the same seed gives the same text.
    pub random_seed: u64,
    /// `-e/--all-config`: every include problem is an error.
    pub all_config: bool,
    /// Where a relative name starts.
    pub working_directory: PathBuf,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The files, for showing places.
    pub sources: Sources,
    /// The statements of the top level, in order.
    pub statements: Vec<Statement>,
    /// Whether any configuration file could be read.
    pub files_found: bool,
}

/// Reads a configuration: a path or a pattern, with everything it includes.
///
/// The words of `include_check` are judged here, and the statement is in the tree as well. An unknown keyword may have a
/// body: it is to be skipped whole.
pub fn parse(files: &mut dyn Files, main: &str, options: &TextOptions, diagnostics: &mut Diagnostics) -> Parsed {
    let mut lines = Preprocessor::open(files, main, options, diagnostics);
    let mut tree = Builder::default();
    let mut line = Line::default();
    while lines.next_line(&mut line, diagnostics) {
        if tree.push(&line, diagnostics).is_break() {
            break;
        }
        if let Some(words) = tree.take_include_check() {
            lines.set_include_check(&words, diagnostics);
        }
    }
    let sources = lines.into_sources();
    Parsed { files_found: !sources.is_empty(), sources, statements: tree.finish(diagnostics) }
}
