//! One finding, and the list a run collects.

use super::suggest::suggest;
use super::{Code, Span};

/// How much a finding matters to us. keepalived's exit class stands beside it ([`ExitClass`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know; nothing is lost.
    Note,
    /// Works, but probably not as meant.
    Warning,
    /// The line is ignored, the daemon runs.
    Error,
    /// The daemon does not run with this.
    Fatal,
}

/// keepalived's classes of configuration errors in keepalived's order: the *last* one seen in this order decides the
/// exit code, so a milder one hides a worse one (`lexical.md` §11; kept because scripts depend on the codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExitClass {
    /// A file could not be read: 4.
    FileNotFound,
    /// An interface does not exist: 4.
    BadInterface,
    /// Could not run with this: 4.
    Fatal,
    /// Any ordinary error, warning or deprecation: 5.
    Error,
    /// A script without script security: 6.
    Security,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// Stable code, explained in `docs/diagnostics.md`.
    pub code: Code,
    /// Where; none for what concerns the run as a whole.
    pub span: Option<Span>,
    /// Lower case, one sentence, no full stop: what is wrong.
    pub message: String,
    /// Other places that matter, each with what is there ("first defined here").
    pub labels: Vec<(Span, String)>,
    /// What to write instead.
    pub help: Option<String>,
    /// keepalived's class; none for what only we say (notes, lint, "not built yet").
    pub exit: Option<ExitClass>,
    /// Whether keepalived's child refuses its configuration over this: exit 2 when running, status 5 under `-t`.
    pub rejects: bool,
}

/// How many findings a run keeps; the rest is counted ("and 5,000 more").
pub const MAX_DIAGNOSTICS: usize = 1_000;

/// The findings of a run, in the order found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Findings beyond [`MAX_DIAGNOSTICS`], whose severity, class and refusal still count.
    pub omitted: usize,
    worst: Option<Severity>,
    class: Option<ExitClass>,
    rejects: bool,
    /// A mandatory argument is missing: keepalived's reading process exits with 2 at once, even under `-t`.
    missing_argument: bool,
    /// An include problem counted as an error (`include_check`, `-e`): exit 6, even under `-t`.
    include_error: bool,
    /// The configuration itself could not be read: exit 6 when started.
    no_configuration: bool,
    /// And it is missing or a directory: exit 2 under `-t`, where keepalived says 0.
    no_configuration_fails_test: bool,
}

impl Diagnostics {
    /// Adds a finding, and hands it back for `.help(...)` and `.label(...)`.
    fn push(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        self.worst = self.worst.max(Some(diagnostic.severity));
        self.class = self.class.max(diagnostic.exit);
        self.rejects |= diagnostic.rejects;
        if self.is_full() {
            self.omitted += 1;
            self.list.pop();
        }
        self.list.push(diagnostic);
        self.list.last_mut().expect("just pushed")
    }

    fn add(
        &mut self,
        severity: Severity,
        exit: Option<ExitClass>,
        code: Code,
        span: impl Into<Option<Span>>,
        message: String,
    ) -> &mut Diagnostic {
        let (span, message) = (span.into(), shortened(message));
        self.push(Diagnostic { severity, code, span, message, labels: Vec::new(), help: None, exit, rejects: false })
    }

    /// A note: only we say it, no exit class.
    pub fn note(&mut self, code: Code, span: impl Into<Option<Span>>, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Note, None, code, span, message.into())
    }

    /// A warning of ours that keepalived does not give (or only logs): no exit class.
    pub fn lint(&mut self, code: Code, span: impl Into<Option<Span>>, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Warning, None, code, span, message.into())
    }

    /// An error that keepalived does not have, or only logs: no exit class.
    pub fn own_error(
        &mut self,
        code: Code,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.add(Severity::Error, None, code, span, message.into())
    }

    /// A warning that keepalived reports as well: exit class [`ExitClass::Error`].
    pub fn warning(
        &mut self,
        code: Code,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.add(Severity::Warning, Some(ExitClass::Error), code, span, message.into())
    }

    /// An error: the line is ignored, the daemon runs; exit class [`ExitClass::Error`].
    pub fn error(&mut self, code: Code, span: impl Into<Option<Span>>, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Error, Some(ExitClass::Error), code, span, message.into())
    }

    /// The configuration is refused: keepalived's child exits with 2 (under `-t` it counts as an ordinary error, 5).
    pub fn reject(&mut self, code: Code, span: impl Into<Option<Span>>, message: impl Into<String>) -> &mut Diagnostic {
        self.rejects = true;
        let diagnostic = self.add(Severity::Fatal, Some(ExitClass::Error), code, span, message.into());
        diagnostic.rejects = true;
        diagnostic
    }

    /// A mandatory argument is missing: keepalived exits with 2 at once, even under `-t`. We read on.
    pub fn missing_argument(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.missing_argument = true;
        self.add(Severity::Fatal, Some(ExitClass::Error), Code::MISSING_ARGUMENT, span, message.into())
    }

    /// An include problem counted as an error: exit 6, even under `-t`.
    pub fn include_error(
        &mut self,
        code: Code,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.include_error = true;
        self.add(Severity::Fatal, Some(ExitClass::Error), code, span, message.into())
    }

    /// The configuration itself is missing or cannot be read: a daemon does not start (6), and where `fails_test` is set
    /// the test fails as well (2).
    // keepalived: -t gives 0 for a configuration that does not exist.
    pub fn no_configuration(&mut self, code: Code, fails_test: bool, message: impl Into<String>) -> &mut Diagnostic {
        self.no_configuration = true;
        self.no_configuration_fails_test |= fails_test;
        let severity = if fails_test { Severity::Fatal } else { Severity::Warning };
        self.add(severity, None, code, None, message.into())
    }

    /// A finding with a class of its own (bad interface, security, file not found).
    pub fn classed(
        &mut self,
        severity: Severity,
        class: ExitClass,
        code: Code,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.add(severity, Some(class), code, span, message.into())
    }

    /// The findings, in the order found.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// The candidate that a misspelt word probably means, for the help of the next finding; none where that finding
    /// would only be counted.
    pub fn suggest<'c>(&self, word: &str, candidates: impl Iterator<Item = &'c str> + Clone) -> Option<&'c str> {
        if self.is_full() { None } else { suggest(word, candidates) }
    }

    /// Whether further findings are only counted: what would be said of them needs no work.
    pub fn is_full(&self) -> bool {
        self.list.len() > MAX_DIAGNOSTICS
    }

    /// The worst severity seen.
    pub fn worst(&self) -> Option<Severity> {
        self.worst
    }

    /// Whether keepalived would stop over this: a refused configuration, a missing argument, an include error.
    pub fn refuses_to_run(&self) -> bool {
        self.rejects || self.missing_argument || self.include_error || self.no_configuration
    }

    /// Whether keepalived recorded any problem at all (what `reload_check_config` refuses).
    pub fn has_exit_class(&self) -> bool {
        self.class.is_some()
    }

    /// The exit status of `-t` (`lexical.md` §11): 0, 2, 4, 5 or 6.
    pub fn config_test_status(&self) -> u8 {
        if self.missing_argument || self.no_configuration_fails_test {
            return 2;
        }
        if self.include_error {
            return 6;
        }
        match self.class {
            None => 0,
            Some(ExitClass::FileNotFound | ExitClass::BadInterface | ExitClass::Fatal) => 4,
            Some(ExitClass::Error) => 5,
            Some(ExitClass::Security) => 6,
        }
    }

    /// The exit status of a daemon that cannot start with this: 2 or 6; none where it starts.
    pub fn start_status(&self) -> Option<u8> {
        match () {
            () if self.missing_argument => Some(2),
            () if self.include_error || self.no_configuration => Some(6),
            () if self.rejects => Some(2),
            () => None,
        }
    }
}

impl Diagnostic {
    /// Says what to write instead.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(shortened(help.into()));
        self
    }

    /// Points at another place that matters.
    pub fn label(&mut self, span: Span, text: impl Into<String>) -> &mut Self {
        self.labels.push((span, shortened(text.into())));
        self
    }
}

/// Texts quote words of the configuration, which can be as long as a line; so many bytes of a text are kept.
const MAX_TEXT_BYTES: usize = 4 << 10;

fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        let end = (0..=MAX_TEXT_BYTES).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
        text.push_str("...");
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(fill: impl FnOnce(&mut Diagnostics)) -> u8 {
        let mut diagnostics = Diagnostics::default();
        fill(&mut diagnostics);
        diagnostics.config_test_status()
    }

    #[test]
    fn the_milder_class_hides_the_worse_as_in_keepalived() {
        let bad_interface = |d: &mut Diagnostics| {
            d.classed(Severity::Error, ExitClass::BadInterface, Code::MISSING_ARGUMENT, None, "");
        };
        assert_eq!(status(bad_interface), 4);
        assert_eq!(
            status(|d| {
                bad_interface(d);
                d.error(Code::MISSING_ARGUMENT, None, "");
            }),
            5
        );
    }

    #[test]
    fn a_text_that_quotes_a_long_word_is_cut_between_two_characters() {
        let mut diagnostics = Diagnostics::default();
        let word = "\u{e9}".repeat(60_000);
        diagnostics.error(Code::BAD_WORD, None, format!("x{word}")).help(word.as_str()).label(Span::default(), word);
        let all = diagnostics.iter().next().unwrap();
        for text in [&all.message, all.help.as_ref().unwrap(), &all.labels[0].1] {
            assert!(text.len() <= MAX_TEXT_BYTES + 3 && text.ends_with("\u{e9}..."), "{}", text.len());
        }
    }

    #[test]
    fn notes_and_lint_never_touch_the_exit_status() {
        assert_eq!(
            status(|d| {
                d.note(Code::MISSING_ARGUMENT, None, "");
                d.lint(Code::MISSING_ARGUMENT, None, "");
            }),
            0
        );
    }

    #[test]
    fn findings_beyond_the_limit_are_counted_and_still_decide_the_status() {
        let mut diagnostics = Diagnostics::default();
        for _ in 0..MAX_DIAGNOSTICS + 10 {
            diagnostics.note(Code::MISSING_ARGUMENT, None, "");
        }
        diagnostics.error(Code::MISSING_ARGUMENT, None, "");
        assert!(diagnostics.iter().count() <= MAX_DIAGNOSTICS + 1);
        assert_eq!(diagnostics.config_test_status(), 5);
    }
}
