//! Lines to blocks. Knows braces, not keywords.

use crate::diag::Span;

/// One word, with the place it was written at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its text, quotes removed; bytes that are no UTF-8 are kept as they are in `raw`.
    pub text: String,
    /// Where it was written: in the file, or in the definition it came from.
    pub span: Span,
    /// Whether it was in double quotes.
    pub quoted: bool,
}

/// One statement: a keyword with its words, and a body where braces follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// First word.
    pub keyword: Word,
    /// The other words.
    pub args: Vec<Word>,
    /// The statement as one text after preprocessing, before it was cut into words: script lines are cut by rules of
    /// their own (`lexical.md` §4.3).
    pub raw: String,
    /// Statements between the braces; none where no brace follows.
    pub body: Option<Body>,
    /// The whole line.
    pub span: Span,
}

/// What stands between two braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// In file order.
    pub statements: Vec<Statement>,
    /// The opening brace.
    pub open: Span,
    /// The closing brace; none where it is missing at the end of the text.
    pub close: Option<Span>,
}
