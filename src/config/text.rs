//! The whole way from files to statements: lines, preprocessing, braces.

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

/// A configuration being read, one statement of the top level after the other: a path or a pattern, with everything it
/// includes.
///
/// The words of `include_check` are judged here, and the statement is given as well. An unknown keyword may have a body:
/// it is to be skipped whole.
#[derive(Debug)]
pub struct Text<'a> {
    lines: Preprocessor<'a>,
    line: Line,
    /// None at the end.
    tree: Option<Builder>,
    ready: std::vec::IntoIter<Statement>,
}

impl<'a> Text<'a> {
    /// Opens the files.
    pub fn open(files: &'a mut dyn Files, main: &str, options: &TextOptions, diagnostics: &mut Diagnostics) -> Self {
        Self {
            lines: Preprocessor::open(files, main, options, diagnostics),
            line: Line::default(),
            tree: Some(Builder::default()),
            ready: Vec::new().into_iter(),
        }
    }

    /// The next statement.
    pub fn next_statement(&mut self, diagnostics: &mut Diagnostics) -> Option<Statement> {
        loop {
            if let Some(statement) = self.ready.next() {
                return Some(statement);
            }
            self.ready = self.more(diagnostics)?.into_iter();
        }
    }

    /// Reads until there are statements; none at the end.
    fn more(&mut self, diagnostics: &mut Diagnostics) -> Option<Vec<Statement>> {
        let tree = self.tree.as_mut()?;
        while self.lines.next_line(&mut self.line, diagnostics) {
            if tree.push(&self.line, diagnostics).is_break() {
                break;
            }
            if let Some(words) = tree.take_include_check() {
                self.lines.set_include_check(&words, diagnostics);
            }
            let complete = tree.take_complete();
            if !complete.is_empty() {
                return Some(complete);
            }
        }
        self.tree.take().map(|tree| tree.finish(diagnostics))
    }

    /// The files read so far, for showing places.
    pub fn into_sources(self) -> Sources {
        self.lines.into_sources()
    }
}

/// Reads a whole configuration.
pub fn parse(files: &mut dyn Files, main: &str, options: &TextOptions, diagnostics: &mut Diagnostics) -> Parsed {
    let mut text = Text::open(files, main, options, diagnostics);
    let mut statements = Vec::new();
    while let Some(statement) = text.next_statement(diagnostics) {
        statements.push(statement);
    }
    let sources = text.into_sources();
    Parsed { files_found: !sources.is_empty(), sources, statements }
}
