//! Lines to blocks. Knows braces, and of keywords only which of them open a block.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, Range};

use super::line::{self, Line, NextWord, Part};
use super::shapes::{self, Shape, Shapes};
use super::short_text::ShortText;
use crate::diag::{Code, Diagnostics, Span};

/// One word, with the place it was written at.
#[derive(Clone, PartialEq, Eq)]
pub struct Word {
    /// Its text, quotes removed; what is no UTF-8 is replaced here and kept in [`Word::as_bytes`].
    pub text: ShortText,
    /// Where it was written: in the file, or the use of the parameter it came from; words of a multi-line definition
    /// point into the definition.
    pub span: Span,
    /// Whether it was in double quotes.
    pub quoted: bool,
}

impl Word {
    /// A word.
    pub fn new(bytes: &[u8], span: Span, quoted: bool) -> Self {
        Self { text: ShortText::from_bytes(bytes), span, quoted }
    }

    /// Its bytes as written.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{}..{}", self.text, self.span.start, self.span.end)
    }
}

/// The words after a keyword; reads as a slice. Most statements have one at most, which needs no memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Args {
    /// None or one.
    Short(Option<Word>),
    /// Several.
    Long(Box<[Word]>),
}

impl Args {
    /// The words.
    pub fn as_slice(&self) -> &[Word] {
        self
    }
}

impl Deref for Args {
    type Target = [Word];

    fn deref(&self) -> &[Word] {
        match self {
            Self::Short(word) => word.as_slice(),
            Self::Long(words) => words,
        }
    }
}

impl<'a> IntoIterator for &'a Args {
    type Item = &'a Word;
    type IntoIter = std::slice::Iter<'a, Word>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One statement: a keyword with its words, and a body where braces follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// First word.
    pub keyword: Word,
    /// The other words.
    pub args: Args,
    /// Statements between the braces; none where no brace follows. A keyword that nobody knows may have one: it is
    /// skipped whole, with everything in it.
    pub body: Option<Box<Body>>,
    /// The whole line.
    pub span: Span,
    /// The text, where it is not its words with one blank between them.
    raw: Option<Box<[u8]>>,
}

impl Statement {
    /// The statement as one text after preprocessing, before it was cut into words: script lines are cut by rules of
    /// their own (`words::script`).
    pub fn raw(&self) -> Cow<'_, [u8]> {
        if let Some(raw) = &self.raw {
            return Cow::Borrowed(raw);
        }
        let mut text = self.keyword.as_bytes().to_vec();
        for word in &self.args {
            text.push(b' ');
            text.extend_from_slice(word.as_bytes());
        }
        Cow::Owned(text)
    }
}

/// What stands between two braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// In file order.
    pub statements: Vec<Statement>,
    /// The opening brace; empty, at the end of the keyword's line, where it is missing.
    pub open: Span,
    /// The closing brace; none where it is missing at the end of the text.
    pub close: Option<Span>,
}

/// Blocks may be nested this deep; the deepest block of keepalived is the fourth.
pub const MAX_DEPTH: usize = 32;

/// A configuration may have this many words; a line counts as one more.
pub const MAX_WORDS: usize = 8_000_000;

/// Builds the tree, one line at a time.
#[derive(Debug, Default)]
pub struct Builder {
    root: Vec<Statement>,
    /// The open blocks, outermost first.
    open: Vec<Frame>,
    /// What the last statement may be followed by; the statement is the last one of the innermost block.
    expects: Expects,
    /// Braces opened below [`MAX_DEPTH`], whose text is dropped.
    dropped: usize,
    words: usize,
    include_check: Option<Vec<Word>>,
    /// The words of the line being read: one piece of memory for all lines.
    line_words: Vec<Word>,
}

#[derive(Debug)]
struct Frame {
    /// The statement, its body still apart.
    statement: Statement,
    statements: Vec<Statement>,
    open: Span,
    inside: Inside,
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Statements(&'static Shapes),
    Entries,
    /// The block of a keyword nobody knows.
    Anything,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expects {
    /// No brace may follow: at the start, after `}`, after an entry, after a keyword that takes none.
    #[default]
    NoBrace,
    /// A brace may follow: the keyword is none of ours to know.
    MaybeBrace,
    /// A brace must follow.
    Brace(Shape),
}

impl Builder {
    /// Adds a line. `Break` when there is too much of it, which has been reported: the caller stops.
    pub fn push(&mut self, line: &Line, diagnostics: &mut Diagnostics) -> std::ops::ControlFlow<()> {
        line::each_part_of(line, |part| match part {
            Part::Text(range) => self.text(line, range, diagnostics),
            Part::Open(at) => self.open_brace(line.span(at..at + 1), diagnostics),
            Part::Close(at) => self.close_brace(line.span(at..at + 1), diagnostics),
        });
        if self.words > MAX_WORDS {
            diagnostics
                .reject(Code::TOO_LARGE, line.whole(), format!("the configuration has more than {MAX_WORDS} words"))
                .help("what follows is not read");
            return std::ops::ControlFlow::Break(());
        }
        std::ops::ControlFlow::Continue(())
    }

    /// The words of an `include_check` in `global_defs` that came since this was asked last.
    pub fn take_include_check(&mut self) -> Option<Vec<Word>> {
        self.include_check.take()
    }

    /// The statements of the top level that nothing can be added to any more.
    pub fn take_complete(&mut self) -> Vec<Statement> {
        if !self.open.is_empty() {
            return Vec::new();
        }
        let pending = if self.expects == Expects::NoBrace { None } else { self.root.pop() };
        let complete = std::mem::take(&mut self.root);
        self.root.extend(pending);
        complete
    }

    /// What is left of the tree; blocks still open are reported and completed as if closed.
    pub fn finish(mut self, diagnostics: &mut Diagnostics) -> Vec<Statement> {
        self.missing_open_brace(diagnostics);
        if let Some(innermost) = self.open.last() {
            let missing = self.open.len() + self.dropped;
            let message = match missing {
                1 => format!("the block '{}' is never closed", innermost.statement.keyword.text),
                _ => format!("{missing} blocks are never closed"),
            };
            let diagnostic = diagnostics.error(Code::MISSING_CLOSE_BRACE, innermost.open, message);
            if let Some(name) = self.open.iter().find_map(|frame| misplaced(&frame.statements)) {
                diagnostic.label(name.span, format!("a '}}' may be missing before this {}", name.text));
            }
            for frame in self.open.iter().rev().skip(1).take(4) {
                diagnostic.label(frame.open, "open as well");
            }
            diagnostic.help("every '{' needs a '}'");
        }
        while !self.open.is_empty() {
            self.pop(None);
        }
        self.root
    }

    fn text(&mut self, line: &Line, range: Range<usize>, diagnostics: &mut Diagnostics) {
        self.missing_open_brace(diagnostics);
        if self.dropped > 0 {
            return;
        }
        let Some(statement) = self.statement(line, range, diagnostics) else { return };
        if statement.keyword.text == "include_check"
            && matches!(self.open.as_slice(), [frame] if frame.statement.keyword.text == "global_defs")
        {
            self.include_check = Some(statement.args.to_vec());
        }
        let keyword = statement.keyword.as_bytes();
        let inside = self.open.last().map_or_else(|| Inside::Statements(shapes::of(b"")), |frame| frame.inside);
        self.expects = match inside {
            Inside::Entries => Expects::NoBrace,
            Inside::Anything => Expects::MaybeBrace,
            Inside::Statements(shapes) => match shapes.get(keyword) {
                Some(Shape::Line) => Expects::NoBrace,
                Some(shape) => Expects::Brace(*shape),
                None => Expects::MaybeBrace,
            },
        };
        self.siblings().push(statement);
    }

    fn statement(&mut self, line: &Line, range: Range<usize>, diagnostics: &mut Diagnostics) -> Option<Statement> {
        let bytes = &line.bytes[range.clone()];
        // Where a part of the slice lies in the line.
        let offset = |rest: &[u8]| range.end - rest.len();
        let mut rest = bytes;
        // Whether one blank stands between the words, and nothing else.
        let mut is_regular = true;
        loop {
            match line::next_word(rest) {
                NextWord::End => break,
                NextWord::Word(raw, after) => {
                    let end = offset(after);
                    let quotes = if raw.quoted { 2 } else { 0 };
                    let span = line.span(end - raw.text.len() - quotes..end);
                    let word = Word::new(raw.text, span, raw.quoted);
                    self.line_words.push(word);
                    is_regular &= !raw.quoted
                        && matches!(after, [] | [b' ', ..])
                        && !matches!(after, [_, b, ..] if line::is_blank(*b));
                    rest = after;
                }
                NextWord::OpenQuote(from) => {
                    if !line.quote_reported {
                        diagnostics
                            .error(
                                Code::UNMATCHED_QUOTE,
                                line.span(offset(from)..range.end),
                                "this quote is never closed; the rest of the line is ignored",
                            )
                            .help("close it with a second \" on the same line");
                    }
                    is_regular = false;
                    break;
                }
            }
        }
        self.words += 1 + self.line_words.len();
        let span = line.span(range);
        let mut words = self.line_words.drain(..);
        let keyword = words.next()?;
        let raw = (!is_regular).then(|| bytes.into());
        let args = match words.len() {
            0 | 1 => Args::Short(words.next()),
            _ => Args::Long(words.collect()),
        };
        Some(Statement { keyword, args, body: None, span, raw })
    }

    /// Where a block keyword is followed by something else than `{`: its block begins all the same.
    fn missing_open_brace(&mut self, diagnostics: &mut Diagnostics) {
        let Expects::Brace(shape) = self.expects else { return };
        self.expects = Expects::NoBrace;
        let Some(last) = self.siblings().last() else { return };
        let keyword = &last.keyword.text;
        let at = Span { start: last.span.end, ..last.span };
        diagnostics
            .error(Code::MISSING_OPEN_BRACE, last.span, format!("'{keyword}' is not followed by '{{'"))
            .help(format!("write '{{' after it; what follows is read as the body of '{keyword}'"));
        let inside = inside(shape, &last.keyword);
        self.begin(at, inside);
    }

    fn open_brace(&mut self, span: Span, diagnostics: &mut Diagnostics) {
        if self.dropped > 0 {
            self.dropped += 1;
            return;
        }
        let expects = std::mem::take(&mut self.expects);
        let inside = match expects {
            Expects::Brace(shape) => match self.siblings().last() {
                Some(last) => inside(shape, &last.keyword),
                None => Inside::Anything,
            },
            Expects::MaybeBrace => Inside::Anything,
            Expects::NoBrace => {
                let diagnostic = diagnostics.error(
                    Code::UNEXPECTED_OPEN_BRACE,
                    span,
                    "this '{' does not follow a block keyword; it is ignored",
                );
                match self.open.last().map(|frame| (frame, frame.statements.last())) {
                    Some((frame, Some(last))) if is_top_level(&last.keyword) => {
                        diagnostic
                            .label(frame.open, format!("'{}' is still open", frame.statement.keyword.text))
                            .help(format!("a '}}' may be missing before this {}", last.keyword.text));
                    }
                    _ => _ = diagnostic.help("remove it"),
                }
                return;
            }
        };
        if self.open.len() >= MAX_DEPTH {
            diagnostics
                .reject(Code::TOO_DEEP, span, format!("blocks are nested more than {MAX_DEPTH} deep"))
                .help("the inner blocks are ignored");
            self.dropped = 1;
            return;
        }
        self.begin(span, inside);
    }

    fn close_brace(&mut self, span: Span, diagnostics: &mut Diagnostics) {
        self.missing_open_brace(diagnostics);
        self.expects = Expects::NoBrace;
        if self.dropped > 0 {
            self.dropped -= 1;
        } else if self.open.is_empty() {
            diagnostics
                .error(Code::EXTRA_CLOSE_BRACE, span, "this '}' closes nothing; it is ignored")
                .help("remove it, or look for a '}' too many above");
        } else {
            self.pop(Some(span));
        }
    }

    /// Makes the last statement the innermost open block.
    fn begin(&mut self, open: Span, inside: Inside) {
        if let Some(statement) = self.siblings().pop() {
            self.open.push(Frame { statement, statements: Vec::new(), open, inside });
        }
    }

    fn pop(&mut self, close: Option<Span>) {
        if let Some(Frame { mut statement, statements, open, .. }) = self.open.pop() {
            statement.body = Some(Box::new(Body { statements, open, close }));
            self.siblings().push(statement);
        }
    }

    fn siblings(&mut self) -> &mut Vec<Statement> {
        self.open.last_mut().map_or(&mut self.root, |frame| &mut frame.statements)
    }
}

fn inside(shape: Shape, keyword: &Word) -> Inside {
    match shape {
        Shape::Block => Inside::Statements(shapes::of(keyword.as_bytes())),
        Shape::List => Inside::Entries,
        Shape::Line => Inside::Anything,
    }
}

/// The first statement that belongs to the top level: a sign that a brace is missing above it.
fn misplaced(statements: &[Statement]) -> Option<&Word> {
    statements.iter().map(|statement| &statement.keyword).find(|keyword| is_top_level(keyword))
}

/// Whether a keyword can only begin a block of the top level.
fn is_top_level(keyword: &Word) -> bool {
    // track_file is a list in other blocks as well.
    keyword.text != "track_file" && shapes::of(b"").get(keyword.as_bytes()) == Some(&Shape::Block)
}
