//! Files to lines: includes, `@id` conditions, `$NAME=` definitions, parameters, `~SEQ` and `~LST`. What leaves here is
//! plain lines, and every byte of them knows where it was written.
//!
//! Every limit here ends in a finding: no text can make this run on, use memory without bound, or overflow a stack.

mod includes;
mod parameters;
mod sequence;

pub use includes::{IncludeCheck, MAX_FILES, MAX_INCLUDE_DEPTH, MAX_LOOKUPS, MAX_TEXT_BYTES};

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::line::{self, Line, MAX_LINE_BYTES, Special, is_blank};
use super::source::Files;
use super::text::TextOptions;
use crate::diag::{Code, Diagnostics, FileId, Sources, Span};
use includes::Loader;
use parameters::{Definition, Parameters, Surroundings};
use sequence::Values;

/// Definitions and sequences may produce this much text in all; each produced line counts [`LINE_COST`] more.
pub const MAX_EXPANDED_BYTES: usize = 32 << 20;

/// What a produced line costs besides its text.
const LINE_COST: usize = 64;

/// Multi-line definitions and sequences may be nested this deep, and a line's parameters replaced this often.
pub const MAX_NESTED_EXPANSIONS: usize = 64;

/// Gives the lines of a configuration, one by one.
pub struct Preprocessor<'a> {
    files: &'a mut dyn Files,
    sources: Sources,
    loader: Loader,
    parameters: Parameters,
    /// Where the next line comes from: the last one.
    frames: Vec<Frame>,
    /// How many of them are no files.
    expansions: usize,
    expanded_bytes: usize,
    collecting: Option<Collecting>,
}

enum Frame {
    File(Reading),
    /// The lines of a multi-line definition that is being used.
    Lines {
        lines: Rc<[Line]>,
        next: usize,
        /// What stood before the use, for the first line.
        before: Line,
    },
    /// `~SEQ` or `~LST`.
    Repeat {
        values: Values,
        rest: Line,
        span: Span,
    },
    /// What follows a brace: a line of its own.
    Rest {
        line: Line,
        is_physical: bool,
    },
}

/// A file being read.
struct Reading {
    file: FileId,
    bytes: Arc<Vec<u8>>,
    at: usize,
    /// Where relative includes start.
    directory: Rc<PathBuf>,
    check: IncludeCheck,
    /// Files around it.
    depth: usize,
}

/// A multi-line definition whose lines are being read.
struct Collecting {
    /// None where a condition dropped the definition.
    name: Option<Box<[u8]>>,
    lines: Vec<Line>,
    span: Span,
}

impl<'a> Preprocessor<'a> {
    /// Opens the configuration: a path or a pattern.
    pub fn open(files: &'a mut dyn Files, main: &str, options: &TextOptions, diagnostics: &mut Diagnostics) -> Self {
        let mut this = Self {
            files,
            sources: Sources::default(),
            loader: Loader::default(),
            parameters: Parameters::new(&options.config_id, options.random_seed),
            frames: Vec::new(),
            expansions: 0,
            expanded_bytes: 0,
            collecting: None,
        };
        this.open_main(main, options, diagnostics);
        this
    }

    /// The files read.
    pub fn into_sources(self) -> Sources {
        self.sources
    }

    /// Writes the next line into `line`; false at the end.
    pub fn next_line(&mut self, line: &mut Line, diagnostics: &mut Diagnostics) -> bool {
        while let Some(is_physical) = self.take_raw(line, diagnostics) {
            if is_physical && self.collecting.is_some() {
                self.collect(line);
            } else if self.interpret(line, is_physical, diagnostics) {
                return true;
            }
        }
        false
    }

    /// What `include_check` says from here to the end of the file.
    pub fn set_include_check(&mut self, words: &[super::tree::Word], diagnostics: &mut Diagnostics) {
        if let Some(reading) = self.reading_mut() {
            reading.check.apply(words, diagnostics);
        }
    }

    fn reading(&self) -> Option<&Reading> {
        self.frames.iter().rev().find_map(|frame| match frame {
            Frame::File(reading) => Some(reading),
            _ => None,
        })
    }

    fn reading_mut(&mut self) -> Option<&mut Reading> {
        self.frames.iter_mut().rev().find_map(|frame| match frame {
            Frame::File(reading) => Some(reading),
            _ => None,
        })
    }

    /// The next line as it was written or stored, and whether it was read from a file just now.
    fn take_raw(&mut self, line: &mut Line, diagnostics: &mut Diagnostics) -> Option<bool> {
        loop {
            line.clear();
            match self.frames.last_mut()? {
                Frame::File(reading) => match reading.next_line(line, diagnostics) {
                    Physical::Line => return Some(true),
                    Physical::Empty => self.end_definition(),
                    Physical::Refused => {}
                    Physical::End => {
                        self.frames.pop();
                        self.end_of_file(diagnostics);
                    }
                },
                Frame::Lines { lines, next, before } => {
                    let Some(stored) = lines.get(*next) else {
                        self.frames.pop();
                        self.expansions -= 1;
                        continue;
                    };
                    line.clone_from(stored);
                    if *next == 0 && !before.is_empty() {
                        let mut joined = std::mem::take(before);
                        joined.push_line(stored, 0..stored.bytes.len());
                        joined.quote_reported |= stored.quote_reported;
                        *line = joined;
                    }
                    *next += 1;
                    if self.charge(line.bytes.len() + LINE_COST, line.whole(), diagnostics) {
                        return Some(false);
                    }
                }
                Frame::Rest { line: rest, is_physical } => {
                    *line = std::mem::take(rest);
                    let is_physical = *is_physical;
                    self.frames.pop();
                    return Some(is_physical);
                }
                Frame::Repeat { values, rest, span } => {
                    let span = *span;
                    let Some(row) = values.next() else {
                        self.frames.pop();
                        self.expansions -= 1;
                        continue;
                    };
                    for (name, value) in row {
                        self.parameters.define(name, Definition::Value { text: value.into(), span });
                    }
                    line.clone_from(rest);
                    if self.charge(line.bytes.len() + LINE_COST, span, diagnostics) {
                        return Some(false);
                    }
                }
            }
        }
    }

    /// Pays for produced text; false, and the end of everything, when there is too much of it.
    fn charge(&mut self, bytes: usize, span: Span, diagnostics: &mut Diagnostics) -> bool {
        self.expanded_bytes = self.expanded_bytes.saturating_add(bytes);
        if self.expanded_bytes <= MAX_EXPANDED_BYTES {
            return true;
        }
        diagnostics
            .reject(
                Code::EXPANSION_TOO_LARGE,
                span,
                format!("definitions and sequences produce more than {} MiB of text", MAX_EXPANDED_BYTES >> 20),
            )
            .help("what follows is not read");
        self.frames.clear();
        self.expansions = 0;
        false
    }

    /// Stores a line of a multi-line definition.
    fn collect(&mut self, line: &mut Line) {
        let Some(collecting) = &mut self.collecting else { return };
        // decisions: a comment or blanks alone do not end the definition.
        if line.is_empty() {
            return;
        }
        let continues = strip_continuation(line);
        if !line.is_empty() {
            collecting.lines.push(std::mem::take(line));
        }
        if !continues {
            self.end_definition();
        }
    }

    fn end_definition(&mut self) {
        if let Some(Collecting { name: Some(name), lines, span }) = self.collecting.take() {
            let definition = match lines.is_empty() {
                true => Definition::Value { text: (*b"").into(), span },
                false => Definition::Lines { lines: lines.into(), span },
            };
            self.parameters.define(&name, definition);
        }
    }

    fn end_of_file(&mut self, diagnostics: &mut Diagnostics) {
        if let Some(collecting) = &self.collecting {
            diagnostics
                .lint(Code::DEFINITION_UNFINISHED, collecting.span, "the file ends inside this definition")
                .help("its last line must not end in a backslash");
            self.end_definition();
        }
    }

    /// Does what the line says to the preprocessor; true when something is left for the tree.
    fn interpret(&mut self, line: &mut Line, is_physical: bool, diagnostics: &mut Diagnostics) -> bool {
        let may_be_ours = |byte: &u8| matches!(byte, b'@' | b'~' | b'i');
        if line.special != Special::Any && line.bytes.first().is_some_and(|first| !may_be_ours(first)) {
            return true;
        }
        let mut may_be_condition = true;
        let mut replaced = 0;
        loop {
            line.keep(line::trimmed(&line.bytes, 0..line.bytes.len()));
            match line.bytes.first().copied() {
                None => return false,
                Some(b'@') if may_be_condition => {
                    // keepalived: of two conditions in a row only the first is one.
                    may_be_condition = false;
                    if self.meets_condition(line) {
                        continue;
                    }
                    if is_physical {
                        self.skip_definition(line);
                    }
                    return false;
                }
                Some(b'$') if self.define(line, is_physical) => return false,
                Some(b'~') if self.begin_sequence(line, diagnostics) => return false,
                _ => {}
            }
            if !line.bytes.contains(&b'$') {
                break;
            }
            if self.begin_lines(line, diagnostics) {
                return false;
            }
            let Some(next) = self.replace(line, diagnostics) else { break };
            replaced += 1;
            if replaced > MAX_NESTED_EXPANSIONS {
                self.report_recursion(line, diagnostics);
                return false;
            }
            if next.bytes.len() > MAX_LINE_BYTES {
                let message = format!("this line becomes longer than {MAX_LINE_BYTES} bytes");
                diagnostics.reject(Code::LINE_TOO_LONG, line.whole(), message).help("the line is skipped");
                return false;
            }
            if !self.charge(next.bytes.len(), line.whole(), diagnostics) {
                return false;
            }
            may_be_condition = true;
            *line = parameters::strip_expanded_comment(next);
        }
        self.finish_line(line, is_physical, diagnostics)
    }

    fn finish_line(&mut self, line: &mut Line, is_physical: bool, diagnostics: &mut Diagnostics) -> bool {
        if line.bytes.contains(&b'$') {
            self.parameters.report_unreplaced(line, diagnostics);
        }
        if line.bytes.starts_with(b"include")
            && let Some((form, range)) = line::include(&line.bytes)
        {
            self.include(line, form, range, diagnostics);
            return false;
        }
        if let Some(at) = line::directive_after_brace(&line.bytes) {
            let mut rest = Line::like(line);
            rest.push_line(line, at..line.bytes.len());
            line.keep(0..at);
            if self.charge(rest.bytes.len(), rest.whole(), diagnostics) {
                self.frames.push(Frame::Rest { line: rest, is_physical });
            }
            return true;
        }
        if is_physical && line.bytes.ends_with(b"\\") {
            let end = line.bytes.len();
            diagnostics
                .lint(Code::STRAY_CONTINUATION, line.span(end - 1..end), "a backslash does not continue a line here")
                .help("it is part of the last word; write the statement on one line");
        }
        true
    }

    /// Removes a condition from the line; false where the line is not for this configuration.
    fn meets_condition(&self, line: &mut Line) -> bool {
        let negated = usize::from(line.bytes.get(1) == Some(&b'^'));
        let id = &line.bytes[1 + negated..];
        let length = id.iter().position(|&b| is_blank(b)).unwrap_or(id.len());
        let is_ours = &id[..length] == self.parameters.config_id();
        let rest = 1 + negated + length..line.bytes.len();
        let meets = length > 0 && is_ours != (negated == 1);
        line.keep(line::trimmed(&line.bytes, rest));
        meets
    }

    /// The line, whose condition was not met, may begin a multi-line definition: then its other lines are not meant
    /// either.
    fn skip_definition(&mut self, line: &Line) {
        if parameters::definition(&line.bytes).is_some() && line.bytes.ends_with(b"\\") {
            self.collecting = Some(Collecting { name: None, lines: Vec::new(), span: line.whole() });
        }
    }

    /// Takes in a definition; false where the line is none.
    fn define(&mut self, line: &mut Line, is_physical: bool) -> bool {
        let Some((name, value)) = parameters::definition(&line.bytes) else { return false };
        let name: Box<[u8]> = name.into();
        let span = line.whole();
        line.keep(line::trimmed(&line.bytes, value..line.bytes.len()));
        if is_physical && strip_continuation(line) {
            let lines = if line.is_empty() { Vec::new() } else { vec![std::mem::take(line)] };
            self.collecting = Some(Collecting { name: Some(name), lines, span });
        } else {
            self.parameters.define(&name, Definition::Value { text: line.bytes.as_slice().into(), span });
        }
        true
    }

    /// Begins `~SEQ` or `~LST`; false where the line begins otherwise.
    fn begin_sequence(&mut self, line: &mut Line, diagnostics: &mut Diagnostics) -> bool {
        let Some((kind, open)) = sequence::kind(&line.bytes) else { return false };
        let (code, word) = match kind {
            sequence::Kind::List => (Code::BAD_LIST, "~LST"),
            _ => (Code::BAD_SEQUENCE, "~SEQ"),
        };
        let Some(close) = line.bytes.iter().position(|&b| b == b')') else {
            diagnostics.error(code, line.whole(), format!("this {word} has no ')'")).help("the line is skipped");
            return true;
        };
        let span = line.span(0..close + 1);
        let mut inside = Line::default();
        inside.push_line(line, open + 1..close);
        for _ in 0..MAX_NESTED_EXPANSIONS {
            match self.replace(&inside, diagnostics) {
                Some(next) if next.bytes.len() <= MAX_LINE_BYTES => inside = next,
                _ => break,
            }
            if !self.charge(inside.bytes.len(), span, diagnostics) {
                return true;
            }
        }
        match sequence::values(kind, &inside.bytes) {
            Ok(values) => {
                let mut rest = line.clone();
                rest.keep(line::trimmed(&line.bytes, close + 1..line.bytes.len()));
                if !rest.is_empty() {
                    self.push_expansion(Frame::Repeat { values, rest, span }, line, diagnostics);
                }
            }
            Err(problem) => {
                diagnostics.error(code, span, format!("bad {word}: {problem}")).help("the line is skipped");
            }
        }
        true
    }

    /// Begins a multi-line definition that is used at the end of the line; false where none is.
    fn begin_lines(&mut self, line: &Line, diagnostics: &mut Diagnostics) -> bool {
        let Some((at, lines)) = self.parameters.lines_at_end(&line.bytes) else { return false };
        let mut before = Line::like(line);
        before.push_line(line, 0..at);
        self.push_expansion(Frame::Lines { lines, next: 0, before }, line, diagnostics);
        true
    }

    fn push_expansion(&mut self, frame: Frame, line: &Line, diagnostics: &mut Diagnostics) {
        if self.expansions < MAX_NESTED_EXPANSIONS {
            self.expansions += 1;
            self.frames.push(frame);
            return;
        }
        self.report_recursion(line, diagnostics);
        // Whatever is still open around it goes round the same circle.
        while matches!(self.frames.last(), Some(Frame::Lines { .. } | Frame::Repeat { .. })) {
            self.frames.pop();
            self.expansions -= 1;
        }
    }

    fn report_recursion(&self, line: &Line, diagnostics: &mut Diagnostics) {
        let diagnostic = diagnostics.reject(
            Code::PARAMETER_RECURSION,
            line.whole(),
            "the parameters of this line refer to each other without end",
        );
        if let Some((span, label)) = self.parameters.first_definition(line) {
            diagnostic.label(span, label);
        }
        diagnostic.help("the line is skipped");
    }

    fn replace(&mut self, line: &Line, diagnostics: &mut Diagnostics) -> Option<Line> {
        struct Around<'a> {
            files: &'a mut dyn Files,
            directory: Rc<PathBuf>,
        }
        impl Surroundings for Around<'_> {
            fn directory(&mut self) -> Vec<u8> {
                self.files.real_directory(&self.directory).to_string_lossy().into_owned().into_bytes()
            }
            fn environment(&mut self, name: &str) -> Vec<u8> {
                self.files.environment(name).unwrap_or_default().into_bytes()
            }
        }
        let directory = self.reading().map(|reading| Rc::clone(&reading.directory)).unwrap_or_default();
        let mut around = Around { files: &mut *self.files, directory };
        self.parameters.replace(line, MAX_LINE_BYTES, &mut around, diagnostics)
    }
}

impl std::fmt::Debug for Preprocessor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Preprocessor").field("frames", &self.frames.len()).finish_non_exhaustive()
    }
}

/// Removes the backslash at the end of a line of a definition; false where there is none.
fn strip_continuation(line: &mut Line) -> bool {
    if line.bytes.last() != Some(&b'\\') {
        return false;
    }
    line.keep(line::trimmed(&line.bytes, 0..line.bytes.len() - 1));
    true
}

/// What a file has next.
enum Physical {
    /// A line, without comment and blanks at its ends; a comment alone leaves an empty one.
    Line,
    /// A line without a single byte.
    Empty,
    /// A line that was reported and is skipped.
    Refused,
    End,
}

impl Reading {
    fn next_line(&mut self, line: &mut Line, diagnostics: &mut Diagnostics) -> Physical {
        let bytes = self.bytes.as_slice();
        if self.at >= bytes.len() {
            return Physical::End;
        }
        let start = self.at + self.byte_order_mark(diagnostics);
        let indent = bytes[start..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let mut special = 0;
        let ends = |&b: &u8| {
            special += usize::from(line::is_special(b));
            b == b'\n'
        };
        let length = bytes[start + indent..].iter().position(ends).map_or(bytes.len() - start, |at| indent + at);
        self.at = start + length + 1;
        let mut text = &bytes[start..start + length];
        while let [shorter @ .., b'\r'] = text {
            text = shorter;
        }
        if text.is_empty() {
            return Physical::Empty;
        }
        if (special > 0 || text.len() > MAX_LINE_BYTES)
            && let Some(refused) = self.refused(text, start, diagnostics)
        {
            return refused;
        }
        let range = line::trimmed(text, 0..text.len());
        line.push_copied(&text[range.clone()], self.file, (start + range.start) as u32);
        line.special = match (special, line.bytes.last()) {
            (0, _) => Special::None,
            (1, Some(b'{' | b'}')) => Special::LastBrace,
            _ => Special::Any,
        };
        if line.special == Special::Any && text.iter().any(|b| matches!(b, b'#' | b'!' | b'"')) {
            let (uncommented, found) = line::strip_comment(line, |_| true);
            *line = uncommented;
            if let Some(at) = found.open_quote {
                diagnostics
                    .error(
                        Code::UNMATCHED_QUOTE,
                        line.span(at..line.bytes.len()),
                        "this quote is never closed; the rest of the line is ignored",
                    )
                    .help("close it with a second \" on the same line");
                line.quote_reported = true;
            }
            line.keep(line::trimmed(&line.bytes, 0..line.bytes.len()));
        }
        Physical::Line
    }

    /// The length of a byte order mark here, which only the start of a file can have.
    fn byte_order_mark(&self, diagnostics: &mut Diagnostics) -> usize {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        if self.at > 0 || !self.bytes.starts_with(MARK) {
            return 0;
        }
        diagnostics
            .lint(Code::BYTE_ORDER_MARK, self.span(0, MARK.len()), "the file begins with a byte order mark")
            .help("save it as UTF-8 without one: keepalived cannot read its first line");
        MARK.len()
    }

    fn refused(&self, text: &[u8], start: usize, diagnostics: &mut Diagnostics) -> Option<Physical> {
        if text.len() > MAX_LINE_BYTES {
            let message = format!("this line has {} bytes, more than {MAX_LINE_BYTES}", text.len());
            diagnostics
                .error(Code::LINE_TOO_LONG, self.span(start, start + 1), message)
                .help("the whole line is skipped");
            return Some(Physical::Refused);
        }
        let nul = text.iter().position(|&b| b == 0)?;
        diagnostics
            .error(Code::NUL_BYTE, self.span(start + nul, start + nul + 1), "this line holds a NUL byte")
            .help("the line is skipped");
        Some(Physical::Refused)
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { file: self.file, start: start as u32, end: end as u32 }
    }
}
