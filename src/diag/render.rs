//! Findings as text: many lines with the source under a caret for a terminal, one line for the log.

use std::fmt::Write;

use super::source::Place;
use super::{Diagnostic, Diagnostics, Severity, Sources, Span};

/// How findings look on a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// ANSI colours.
    pub colour: bool,
}

/// Source lines are shown this wide, around the place.
const MAX_WIDTH: usize = 120;

/// A message is shown up to this many characters.
const MAX_MESSAGE: usize = 600;

/// All findings with the closing count; empty where there are none.
pub fn all(diagnostics: &Diagnostics, sources: &Sources, style: Style) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics.iter() {
        out.push_str(&one(diagnostic, sources, style));
        out.push('\n');
    }
    if let Some(summary) = summary(diagnostics) {
        let _ = writeln!(out, "{summary}");
    }
    out
}

/// One finding:
/// ```text
/// error[K2002]: unknown keyword 'cript'
///   --> keepalived.conf:14:5
///    |
/// 14 |     cript "/usr/bin/check"
///    |     ^^^^^
///    = help: did you mean 'script'?
/// ```
pub fn one(diagnostic: &Diagnostic, sources: &Sources, style: Style) -> String {
    let paint = Paint { style };
    let severity = severity(diagnostic.severity);
    let head = paint.bold(diagnostic.severity, &format!("{severity}[{}]", diagnostic.code));
    let mut out = format!("{head}: {}\n", clean(&diagnostic.message, MAX_MESSAGE));

    let place = diagnostic.span.and_then(|span| sources.place(span).map(|place| (span, place)));
    let labels: Vec<_> = diagnostic
        .labels
        .iter()
        .filter_map(|(span, text)| sources.place(*span).map(|place| (*span, place, text)))
        .collect();
    let last_line = labels.iter().map(|(_, place, _)| place.line).chain(place.iter().map(|(_, p)| p.line)).max();
    let gutter = last_line.map_or(1, |line| line.to_string().len());

    if let Some((span, place)) = &place {
        let _ = writeln!(out, "{:gutter$}--> {}:{}:{}", "", clean(place.file, MAX_MESSAGE), place.line, place.column);
        let _ = writeln!(out, "{:gutter$} |", "");
        let marks = |marks: &str| paint.bold(diagnostic.severity, marks);
        snippet(&mut out, gutter, *span, place, '^', "", marks);
    }
    for (span, place, text) in &labels {
        let _ = writeln!(out, "{:gutter$}::: {}:{}:{}", "", clean(place.file, MAX_MESSAGE), place.line, place.column);
        snippet(&mut out, gutter, *span, place, '-', text, |marks| paint.bold(Severity::Note, marks));
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(out, "{:gutter$} = help: {}", "", clean(help, MAX_MESSAGE));
    }
    out
}

/// One finding as one line for the log: `file:14: message (help)`.
pub fn log_line(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let place = diagnostic.span.and_then(|span| sources.place(span));
    let mut out = place.map_or(String::new(), |place| format!("{}:{}: ", clean(place.file, MAX_MESSAGE), place.line));
    out.push_str(&clean(&diagnostic.message, MAX_MESSAGE));
    if let Some(help) = &diagnostic.help {
        let _ = write!(out, " ({})", clean(help, MAX_MESSAGE));
    }
    out
}

/// How many findings there are: "2 errors, 1 warning; and 5,000 more"; none where there are none.
pub fn summary(diagnostics: &Diagnostics) -> Option<String> {
    let count = |wanted: &[Severity]| diagnostics.iter().filter(|d| wanted.contains(&d.severity)).count();
    let counts = [
        (count(&[Severity::Fatal, Severity::Error]), "error"),
        (count(&[Severity::Warning]), "warning"),
        (count(&[Severity::Note]), "note"),
    ];
    let plural = |(n, what): &(usize, &str)| format!("{} {what}{}", thousands(*n), if *n == 1 { "" } else { "s" });
    let parts: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(plural).collect();
    if parts.is_empty() {
        return None;
    }
    let mut out = parts.join(", ");
    if diagnostics.omitted > 0 {
        let _ = write!(out, "; and {} more", thousands(diagnostics.omitted));
    }
    if diagnostics.refuses_to_run() {
        out.push_str("; the daemon does not start with this");
    }
    Some(out)
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error | Severity::Fatal => "error",
    }
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Text of others without what could move a terminal's cursor, and not without end.
fn clean(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for (i, c) in text.chars().enumerate() {
        if i == limit {
            out.push_str("...");
            break;
        }
        match c {
            '\t' => out.push(' '),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// The source line with marks under the span.
fn snippet(
    out: &mut String,
    gutter: usize,
    span: Span,
    place: &Place<'_>,
    mark: char,
    text: &str,
    paint: impl Fn(&str) -> String,
) {
    let length = (span.end.saturating_sub(span.start) as usize).min(place.bytes.len() - place.offset);
    let shown = Shown::new(place.bytes, place.offset, length);
    let marks = mark.to_string().repeat(shown.marked.max(1));
    let label = if text.is_empty() { String::new() } else { format!(" {}", clean(text, MAX_MESSAGE)) };
    let _ = writeln!(out, "{:>gutter$} | {}", place.line, shown.text);
    let _ = writeln!(out, "{:gutter$} | {:indent$}{}{label}", "", "", paint(&marks), indent = shown.indent);
}

/// What of a source line is shown, and where the marks go, in columns.
struct Shown {
    text: String,
    indent: usize,
    marked: usize,
}

impl Shown {
    fn new(bytes: &[u8], offset: usize, length: usize) -> Self {
        // A window of bytes around the place is enough, however long the line is.
        let from = if bytes.len() > MAX_WIDTH { offset.saturating_sub(MAX_WIDTH / 3) } else { 0 };
        let from = boundary(bytes, from);
        let to = boundary(bytes, (from + MAX_WIDTH).min(bytes.len()));
        let mut shown = Self { text: String::new(), indent: 0, marked: 0 };
        if from > 0 {
            shown.text.push_str("...");
            shown.indent = 3;
        }
        let end = (offset + length).min(to);
        let mut column = shown.indent;
        column += shown.push(&bytes[from..offset.clamp(from, to)], column);
        shown.indent = column;
        column += shown.push(&bytes[offset.clamp(from, to)..end.max(offset.clamp(from, to))], column);
        shown.marked = column - shown.indent;
        shown.push(&bytes[end.clamp(offset.clamp(from, to), to)..to], column);
        if to < bytes.len() {
            shown.text.push_str("...");
        }
        shown
    }

    /// Appends text at a column and gives the columns it takes.
    fn push(&mut self, bytes: &[u8], column: usize) -> usize {
        let mut at = column;
        for c in String::from_utf8_lossy(bytes).chars() {
            let (c, width) = match c {
                '\t' => (' ', 8 - at % 8),
                c if c.is_control() => (char::REPLACEMENT_CHARACTER, 1),
                c => (c, width(c)),
            };
            self.text.push(c);
            if c == ' ' {
                self.text.extend(std::iter::repeat_n(' ', width - 1));
            }
            at += width;
        }
        at - column
    }
}

/// The next start of a character at or after an offset.
fn boundary(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|b| b & 0xc0 == 0x80) {
        at += 1;
    }
    at
}

/// The columns a character takes: two for those of East Asian scripts and pictures.
fn width(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f900..=0x1f9ff
        | 0x2_0000..=0x3_fffd => 2,
        _ => 1,
    }
}

#[derive(Clone, Copy)]
struct Paint {
    style: Style,
}

impl Paint {
    fn bold(self, severity: Severity, text: &str) -> String {
        if !self.style.colour {
            return text.to_owned();
        }
        let colour = match severity {
            Severity::Note => 36,
            Severity::Warning => 33,
            Severity::Error | Severity::Fatal => 31,
        };
        format!("\x1b[1;{colour}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Code, FileId};
    use super::*;

    fn shown(source: &str, start: u32, end: u32) -> String {
        let mut sources = Sources::default();
        let file = sources.add("k.conf", source.as_bytes().to_vec());
        let mut diagnostics = Diagnostics::default();
        diagnostics.error(Code::UNKNOWN_KEYWORD, Span { file, start, end }, "unknown keyword 'cript'");
        one(diagnostics.iter().next().unwrap(), &sources, Style::default())
    }

    #[test]
    fn a_finding_shows_its_line_with_carets_label_and_help() {
        let mut sources = Sources::default();
        let file = sources.add("k.conf", b"a {\n  cript x\n}\n".to_vec());
        let mut diagnostics = Diagnostics::default();
        diagnostics
            .error(Code::UNKNOWN_KEYWORD, Span { file, start: 6, end: 11 }, "unknown keyword 'cript'")
            .label(Span { file, start: 0, end: 1 }, "in this block")
            .help("did you mean 'script'?");
        let expected = "\
error[K2002]: unknown keyword 'cript'
 --> k.conf:2:3
  |
2 |   cript x
  |   ^^^^^
 ::: k.conf:1:1
1 | a {
  | - in this block
  = help: did you mean 'script'?
";
        assert_eq!(one(diagnostics.iter().next().unwrap(), &sources, Style::default()), expected);
        let line = log_line(diagnostics.iter().next().unwrap(), &sources);
        assert_eq!(line, "k.conf:2: unknown keyword 'cript' (did you mean 'script'?)");
    }

    #[test]
    fn carets_stand_under_their_word_after_tabs_and_wide_characters() {
        assert!(shown("\t\tcript x", 2, 7).contains(&format!("| {}^^^^^\n", " ".repeat(16))));
        assert!(shown("\u{4e3b}\u{5907} x", 7, 8).contains("|      ^\n"));
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let source = format!("{} cript {}", "a".repeat(5_000), "b".repeat(5_000));
        let text = shown(&source, 5_001, 5_006);
        assert!(text.contains("...aaaa") && text.contains("bbbb...") && text.contains("^^^^^"));
        assert!(text.lines().all(|line| line.len() < 150));
        let code_line = text.lines().find(|line| line.contains("cript ")).unwrap();
        let caret_line = text.lines().find(|line| line.contains('^')).unwrap();
        assert_eq!(code_line.find("cript"), caret_line.find('^'));
    }

    #[test]
    fn control_characters_reach_no_terminal() {
        let text = shown("\x1b[2Jcript \x07", 4, 9);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        assert_eq!(clean("a\x1bb\nc", 10), "a\\u{1b}b\\nc");
    }

    #[test]
    fn a_span_outside_every_file_shows_the_message_alone() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.error(Code::UNKNOWN_KEYWORD, Span { file: FileId(7), start: 1, end: 2 }, "m");
        let text = one(diagnostics.iter().next().unwrap(), &Sources::default(), Style::default());
        assert_eq!(text, "error[K2002]: m\n");
    }

    #[test]
    fn the_summary_counts_what_is_shown_and_what_is_not() {
        let mut diagnostics = Diagnostics::default();
        assert_eq!(summary(&diagnostics), None);
        diagnostics.error(Code::UNKNOWN_KEYWORD, None, "m");
        diagnostics.error(Code::UNKNOWN_KEYWORD, None, "m");
        diagnostics.lint(Code::UNKNOWN_KEYWORD, None, "m");
        diagnostics.omitted = 5_000;
        assert_eq!(summary(&diagnostics).unwrap(), "2 errors, 1 warning; and 5,000 more");
        diagnostics.reject(Code::UNKNOWN_KEYWORD, None, "m");
        assert!(summary(&diagnostics).unwrap().ends_with("does not start with this"));
    }

    #[test]
    fn colour_comes_only_when_asked_for() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.error(Code::UNKNOWN_KEYWORD, None, "m");
        let with = |colour| all(&diagnostics, &Sources::default(), Style { colour });
        assert!(with(true).contains("\x1b[1;31merror[K2002]\x1b[0m: m"));
        assert!(!with(false).contains('\x1b'));
    }
}
