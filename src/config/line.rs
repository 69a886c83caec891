//! One line: its bytes, where each was written, comments, braces, words.

use std::ops::Range;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_till1, take_while};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use crate::diag::{FileId, Span};

/// Longer lines are skipped with an error. keepalived: 1,022 bytes, and the start of a longer line is lost.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// A line on its way to the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The text.
    pub bytes: Vec<u8>,
    /// Where it was written, in order; each piece reaches to the next.
    pieces: Vec<Piece>,
    /// An unmatched quote in it was already reported.
    pub quote_reported: bool,
    /// What is known of the characters in it that [`is_special`] names: most rules can be passed over where they are few.
    pub special: Special,
}

/// Which special characters a line holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Special {
    /// Any, or nobody knows.
    #[default]
    Any,
    /// None.
    None,
    /// One brace, at its end.
    LastBrace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    /// Offset in the line.
    at: u32,
    /// Where it was written.
    span: Span,
    /// Copied byte by byte from there; else put there as a whole, as the value of a parameter is.
    copied: bool,
}

impl Line {
    /// An empty line that continues what was found out about another one.
    pub fn like(other: &Line) -> Self {
        Self { quote_reported: other.quote_reported, ..Self::default() }
    }

    /// Empties the line, keeping its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.pieces.clear();
        self.quote_reported = false;
        self.special = Special::Any;
    }

    /// Whether nothing is on it.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends text that stands at `start` of `file`.
    pub fn push_copied(&mut self, text: &[u8], file: FileId, start: u32) {
        let span = Span { file, start, end: start.saturating_add(text.len() as u32) };
        self.push_piece(text, span, true);
    }

    /// Appends text that something written at `span` stands for.
    pub fn push_expansion(&mut self, text: &[u8], span: Span) {
        self.push_piece(text, span, false);
    }

    fn push_piece(&mut self, text: &[u8], span: Span, copied: bool) {
        if !text.is_empty() {
            self.pieces.push(Piece { at: self.bytes.len() as u32, span, copied });
            self.bytes.extend_from_slice(text);
        }
    }

    /// Appends a part of another line, with where it was written.
    pub fn push_line(&mut self, other: &Line, range: Range<usize>) {
        let mut from = range.start;
        let mut index = other.piece_at(from);
        while from < range.end {
            let Some(piece) = other.pieces.get(index) else { return };
            let piece_end = other.pieces.get(index + 1).map_or(other.bytes.len(), |next| next.at as usize);
            let to = piece_end.min(range.end);
            let span = if piece.copied { other.span(from..to) } else { piece.span };
            self.push_piece(&other.bytes[from..to], span, piece.copied);
            from = to;
            index += 1;
        }
    }

    /// Keeps only this part of the line.
    pub fn keep(&mut self, range: Range<usize>) {
        if range != (0..self.bytes.len()) {
            let mut kept = Line::like(self);
            kept.push_line(self, range);
            *self = kept;
        }
    }

    /// Where a part of the line was written. Where an expansion is touched, the place of its use.
    pub fn span(&self, range: Range<usize>) -> Span {
        if let [Piece { span, copied: true, .. }] = self.pieces.as_slice() {
            let at = |offset: usize| span.start.saturating_add(offset as u32).min(span.end);
            return Span { file: span.file, start: at(range.start), end: at(range.end) };
        }
        let (Some(first), Some(last)) = (
            self.pieces.get(self.piece_at(range.start)),
            self.pieces.get(self.piece_at(range.end.saturating_sub(1).max(range.start))),
        ) else {
            return Span::default();
        };
        let start = first.position(range.start, false);
        let end = last.position(range.end, true);
        match first.span.file == last.span.file && start <= end {
            true => Span { file: first.span.file, start, end },
            // The parts come from different places: show the first.
            false => Span { file: first.span.file, start, end: first.span.end },
        }
    }

    /// Where the whole line was written.
    pub fn whole(&self) -> Span {
        self.span(0..self.bytes.len())
    }

    /// Whether the byte at this offset came out of a parameter.
    pub fn is_expanded(&self, offset: usize) -> bool {
        self.pieces.get(self.piece_at(offset)).is_some_and(|piece| !piece.copied)
    }

    fn piece_at(&self, offset: usize) -> usize {
        match self.pieces.len() {
            0 | 1 => 0,
            _ => self.pieces.partition_point(|piece| piece.at as usize <= offset).saturating_sub(1),
        }
    }
}

impl Piece {
    fn position(&self, offset: usize, is_end: bool) -> u32 {
        match (self.copied, is_end) {
            (true, _) => {
                let inside = (offset as u32).saturating_sub(self.at);
                self.span.start.saturating_add(inside).min(self.span.end)
            }
            (false, false) => self.span.start,
            (false, true) => self.span.end,
        }
    }
}

/// Whether a character means something to a rule of lines: comments, quotes, escapes, parameters, braces, NUL.
pub fn is_special(byte: u8) -> bool {
    const SPECIAL: [bool; 256] = {
        let mut table = [false; 256];
        let special = b"#!\"\\${}\0";
        let mut at = 0;
        while at < special.len() {
            table[special[at] as usize] = true;
            at += 1;
        }
        table
    };
    SPECIAL[usize::from(byte)]
}

/// Blanks between words: keepalived's white space.
pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c)
}

/// The part of a range without blanks at its ends.
pub fn trimmed(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let Range { mut start, mut end } = range;
    while start < end && is_blank(bytes[start]) {
        start += 1;
    }
    while end > start && is_blank(bytes[end - 1]) {
        end -= 1;
    }
    start..end
}

/// A finding of [`strip_comment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uncommented {
    /// The last quote, when the number of quotes is odd.
    pub open_quote: Option<usize>,
}

/// Copies a line without its comment: `#` or `!` outside double quotes, unless a backslash stands before, which is then
/// removed. `starts_comment` says whether the character at an offset may begin one. A quote after a backslash does not
/// toggle quoting here.
pub fn strip_comment(line: &Line, mut starts_comment: impl FnMut(usize) -> bool) -> (Line, Uncommented) {
    let bytes = &line.bytes;
    let mut out = Line::like(line);
    let mut open_quote = None;
    let mut copied = 0;
    let mut at = 0;
    let mut end = bytes.len();
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if open_quote.is_none() && matches!(bytes.get(at + 1), Some(b'#' | b'!')) => {
                if starts_comment(at + 1) {
                    out.push_line(line, copied..at);
                    copied = at + 1;
                }
                at += 1;
            }
            b'\\' if bytes.get(at + 1) == Some(&b'"') => at += 1,
            b'"' => open_quote = if open_quote.is_none() { Some(at) } else { None },
            b'#' | b'!' if open_quote.is_none() && starts_comment(at) => {
                end = at;
                break;
            }
            _ => {}
        }
        at += 1;
    }
    out.push_line(line, copied..end);
    (out, Uncommented { open_quote })
}

/// A part of a line: braces are statements of their own, wherever they stand outside double quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text, without blanks at its ends.
    Text(Range<usize>),
    /// `{` at this offset.
    Open(usize),
    /// `}` at this offset.
    Close(usize),
}

/// Cuts a line at its braces. The braces of a `${NAME}` that nothing replaced are text: cutting there, as keepalived
/// does, would turn one mistake into five.
pub fn parts(bytes: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    each_part(bytes, |part| parts.push(part));
    parts
}

/// As [`parts`] for the whole of a line, without the list.
pub fn each_part_of(line: &Line, mut found: impl FnMut(Part)) {
    let bytes = line.bytes.as_slice();
    match (line.special, bytes) {
        (Special::None, _) => found(Part::Text(0..bytes.len())),
        (Special::LastBrace, [text @ .., brace]) => {
            let range = trimmed(text, 0..text.len());
            if !range.is_empty() {
                found(Part::Text(range));
            }
            found(if *brace == b'{' { Part::Open(text.len()) } else { Part::Close(text.len()) });
        }
        _ => each_part(bytes, found),
    }
}

/// As [`parts`], without the list.
pub fn each_part(bytes: &[u8], mut found: impl FnMut(Part)) {
    let text = |range: Range<usize>, found: &mut dyn FnMut(Part)| {
        let range = trimmed(bytes, range);
        if !range.is_empty() {
            found(Part::Text(range));
        }
    };
    let mut quoted = false;
    let mut start = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => quoted = !quoted,
            b'$' if !quoted && bytes.get(at + 1) == Some(&b'{') => {
                if let Some((length, _)) = braced_parameter(&bytes[at..]) {
                    at += length;
                    continue;
                }
            }
            brace @ (b'{' | b'}') if !quoted => {
                text(start..at, &mut found);
                found(if brace == b'{' { Part::Open(at) } else { Part::Close(at) });
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    text(start..bytes.len(), &mut found);
}

/// Where, after a brace, something begins that is not for the tree: a condition, a definition, a sequence, an include.
pub fn directive_after_brace(bytes: &[u8]) -> Option<usize> {
    let brace = bytes.iter().position(|b| matches!(b, b'{' | b'}'))?;
    if trimmed(bytes, brace + 1..bytes.len()).is_empty() {
        return None;
    }
    let mut found = None;
    let mut after_brace = false;
    each_part(bytes, |part| match part {
        Part::Text(range) => {
            let text = &bytes[range.clone()];
            let is_directive = matches!(text[0], b'@' | b'$' | b'~') || include(text).is_some();
            if after_brace && found.is_none() && is_directive {
                found = Some(range.start);
            }
            after_brace = false;
        }
        Part::Open(_) | Part::Close(_) => after_brace = true,
    });
    found
}

/// A parameter in braces at the start of `bytes`, `${NAME}` or `${NAME arguments}`: its whole length, and what stands
/// between the braces.
pub fn braced_parameter(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let inner = bytes.strip_prefix(b"${")?;
    let length = identifier(inner);
    if length == 0 {
        return None;
    }
    match inner.get(length)? {
        b'}' => {}
        b' ' | b'\t' => {}
        _ => return None,
    }
    let close = inner.iter().position(|&b| matches!(b, b'}' | b'{' | b'"'))?;
    (inner[close] == b'}').then(|| (close + 3, &inner[..close]))
}

/// The length of the name at the start of `bytes`: `[A-Za-z_][A-Za-z0-9_]*`.
pub fn identifier(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(b) if b.is_ascii_alphabetic() || *b == b'_' => {
            bytes.iter().position(|&b| !b.is_ascii_alphanumeric() && b != b'_').unwrap_or(bytes.len())
        }
        _ => 0,
    }
}

/// A word of an ordinary line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawWord<'a> {
    /// Its text without the quotes.
    pub text: &'a [u8],
    /// Whether it was in double quotes.
    pub quoted: bool,
}

/// What [`next_word`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextWord<'a> {
    /// A word, and what follows it.
    Word(RawWord<'a>, &'a [u8]),
    /// A quote that is never closed, with everything after it: the rest of the line is lost.
    OpenQuote(&'a [u8]),
    /// Only blanks are left.
    End,
}

/// Takes the next word of an ordinary line (`lexical.md` §4.1): blanks separate, `"..."` is one word without escapes,
/// and a quote begins or ends a word also in the middle.
pub fn next_word(input: &[u8]) -> NextWord<'_> {
    let rest = skip_blanks(input);
    match word(rest) {
        _ if rest.is_empty() => NextWord::End,
        Ok((after, word)) => NextWord::Word(word, after),
        Err(_) => NextWord::OpenQuote(rest),
    }
}

fn skip_blanks(input: &[u8]) -> &[u8] {
    let blanks: IResult<&[u8], &[u8]> = take_while(is_blank)(input);
    blanks.map_or(input, |(rest, _)| rest)
}

fn word(input: &[u8]) -> IResult<&[u8], RawWord<'_>> {
    let quoted = delimited(tag(&b"\""[..]), take_till(|b| b == b'"'), tag(&b"\""[..]));
    let bare = take_till1(|b| b == b'"' || is_blank(b));
    alt((quoted.map(|text| RawWord { text, quoted: true }), bare.map(|text| RawWord { text, quoted: false })))
        .parse_complete(input)
}

/// The pattern of an include statement, and its form: none, or one of `r m w b a`.
pub fn include(input: &[u8]) -> Option<(Option<u8>, Range<usize>)> {
    let form = |input| -> IResult<&[u8], Option<u8>> {
        let letter = alt((tag(&b"r"[..]), tag(&b"m"[..]), tag(&b"w"[..]), tag(&b"b"[..]), tag(&b"a"[..])));
        preceded(tag(&b"include"[..]), nom::combinator::opt(letter.map(|l: &[u8]| l[0]))).parse_complete(input)
    };
    let (rest, form) = form(input).ok()?;
    if !rest.first().is_some_and(|&b| is_blank(b)) {
        return None;
    }
    let range = trimmed(input, input.len() - rest.len()..input.len());
    (!range.is_empty()).then_some((form, range))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId(0);

    fn line(text: &str) -> Line {
        let mut line = Line::default();
        line.push_copied(text.as_bytes(), FILE, 100);
        line
    }

    fn uncommented(text: &str) -> String {
        String::from_utf8(strip_comment(&line(text), |_| true).0.bytes).unwrap()
    }

    fn cut(text: &str) -> Vec<String> {
        let show = |part| match part {
            Part::Text(range) => text[range].to_owned(),
            Part::Open(_) => "{".to_owned(),
            Part::Close(_) => "}".to_owned(),
        };
        parts(text.as_bytes()).into_iter().map(show).collect()
    }

    #[test]
    fn what_is_known_of_a_line_changes_nothing_about_its_parts() {
        for (text, special) in [
            ("weight 1", Special::None),
            ("real_server 192.0.2.1 80 {", Special::LastBrace),
            ("url{", Special::LastBrace),
            ("quorum 1 }", Special::LastBrace),
            ("{", Special::LastBrace),
            ("}", Special::LastBrace),
        ] {
            let known = Line { special, ..line(text) };
            let mut parts = Vec::new();
            each_part_of(&known, |part| parts.push(part));
            assert_eq!(parts, super::parts(text.as_bytes()), "{text}");
        }
    }

    fn words(text: &str) -> (Vec<String>, bool) {
        let mut words = Vec::new();
        let mut rest = text.as_bytes();
        loop {
            match next_word(rest) {
                NextWord::End => return (words, true),
                NextWord::OpenQuote(_) => return (words, false),
                NextWord::Word(word, after) => {
                    words.push(String::from_utf8_lossy(word.text).into_owned());
                    rest = after;
                }
            }
        }
    }

    #[test]
    fn a_comment_begins_anywhere_outside_double_quotes() {
        assert_eq!(uncommented("auth_pass ab!cd"), "auth_pass ab");
        assert_eq!(uncommented("a \"b # c\" ! d"), "a \"b # c\" ");
        assert_eq!(uncommented("a 'b # c'"), "a 'b ");
    }

    #[test]
    fn a_backslash_makes_a_comment_sign_literal_outside_quotes_only() {
        assert_eq!(uncommented(r"a\#b\!c#d"), "a#b!c");
        assert_eq!(uncommented(r#"a "\#b""#), r#"a "\#b""#);
    }

    #[test]
    fn a_quote_after_a_backslash_does_not_toggle_quoting_for_comments() {
        assert_eq!(uncommented(r#"a \" # b"#), r#"a \" "#);
    }

    #[test]
    fn an_odd_quote_is_found() {
        assert_eq!(strip_comment(&line("a \"b\" \"c"), |_| true).1.open_quote, Some(6));
        assert_eq!(strip_comment(&line("a \"b\""), |_| true).1.open_quote, None);
    }

    #[test]
    fn braces_are_parts_of_their_own_wherever_they_stand_outside_quotes() {
        assert_eq!(cut("notify /bin/x{}"), ["notify /bin/x", "{", "}"]);
        assert_eq!(cut("a {b } c"), ["a", "{", "b", "}", "c"]);
        assert_eq!(cut("a \"{\" '{'"), ["a \"{\" '", "{", "'"]);
    }

    #[test]
    fn an_unknown_parameter_in_braces_does_not_open_a_block() {
        assert_eq!(cut("ip ${X} ${R 1 2} {"), ["ip ${X} ${R 1 2}", "{"]);
        assert_eq!(cut("ip ${} ${X"), ["ip $", "{", "}", "$", "{", "X"]);
    }

    #[test]
    fn what_follows_a_brace_may_be_for_the_preprocessor() {
        assert_eq!(directive_after_brace(b"a { @b c"), Some(4));
        assert_eq!(directive_after_brace(b"a {b} include x"), Some(6));
        assert_eq!(directive_after_brace(b"a \"{\" @b"), None);
        assert_eq!(directive_after_brace(b"a { b @c }"), None);
    }

    #[test]
    fn a_quote_cuts_a_word_in_the_middle() {
        assert_eq!(words("a\"b c\"d"), (vec!["a".into(), "b c".into(), "d".into()], true));
        assert_eq!(words("priority \"\""), (vec!["priority".into(), String::new()], true));
        assert_eq!(words("a\tb\x0bc\x0cd"), (vec!["a".into(), "b".into(), "c".into(), "d".into()], true));
    }

    #[test]
    fn an_unmatched_quote_drops_the_rest_of_the_line() {
        assert_eq!(words("a b \"c d"), (vec!["a".into(), "b".into()], false));
    }

    #[test]
    fn an_include_is_the_word_with_or_without_a_form_and_then_a_blank() {
        assert_eq!(include(b"include a b "), Some((None, 8..11)));
        assert_eq!(include(b"includem\tx"), Some((Some(b'm'), 9..10)));
        assert_eq!(include(b"include_check x"), None);
        assert_eq!(include(b"includex y"), None);
        assert_eq!(include(b"include"), None);
        assert_eq!(include(b"include "), None);
    }

    #[test]
    fn spans_follow_copies_and_stay_at_the_use_of_expansions() {
        let mut mixed = line("ip ");
        mixed.push_expansion(b"10.1", Span { file: FILE, start: 103, end: 109 });
        mixed.push_copied(b".0.1", FILE, 109);
        assert_eq!(mixed.span(3..11), Span { file: FILE, start: 103, end: 113 });
        assert_eq!(mixed.span(4..6), Span { file: FILE, start: 103, end: 109 });
        assert_eq!(mixed.span(8..10), Span { file: FILE, start: 110, end: 112 });
        mixed.keep(3..11);
        assert_eq!(mixed.span(0..8), Span { file: FILE, start: 103, end: 113 });
        assert_eq!(mixed.span(5..7), Span { file: FILE, start: 110, end: 112 });
    }
}
