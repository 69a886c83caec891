//! The whole way from files to a tree of statements: lines, preprocessing, braces.

use std::path::PathBuf;

use super::line::{self, Line};
use super::source::Files;
use super::tree::{Builder, Statement};
use crate::diag::{Code, Diagnostics, Sources};

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
pub fn parse(files: &mut dyn Files, main: &str, options: &TextOptions, diagnostics: &mut Diagnostics) -> Parsed {
    let mut sources = Sources::default();
    let mut tree = Builder::default();
    for path in files.matches(&options.working_directory, main) {
        let bytes = match files.read(&options.working_directory.join(&path)) {
            Ok(bytes) => bytes,
            Err(error) => {
                diagnostics.lint(Code::NO_CONFIGURATION, None, format!("{}: {error:?}", path.display()));
                continue;
            }
        };
        let file = sources.add(path.to_string_lossy(), bytes);
        let bytes = sources.shared(file);
        let mut start = 0;
        for text in bytes.split_inclusive(|&b| b == b'\n') {
            let mut line = Line::default();
            line.push_copied(text, file, start as u32);
            start += text.len();
            let (mut line, _) = line::strip_comment(&line, |_| true);
            line.keep(line::trimmed(&line.bytes, 0..line.bytes.len()));
            if tree.push(&line, diagnostics).is_break() {
                break;
            }
        }
    }
    let files_found = !sources.is_empty();
    Parsed { sources, statements: tree.finish(diagnostics), files_found }
}
