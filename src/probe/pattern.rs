//! `regex` of HTTP_GET: looks for a pattern in a body of any length, with bounded memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::check::io::{Reason, ReasonKind};
use crate::model::checker::{Regex, Url};
use crate::probe::reason;
use crate::sys::pcre2::{self, Found, Pattern, Range};

/// So much of a body is held to look at; a match cannot be longer.
pub const WINDOW: usize = 256 << 10;

/// The compiled patterns of a configuration.
#[derive(Debug, Default)]
pub struct Patterns(BTreeMap<Key, Result<Pattern, Arc<str>>>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    pattern: Arc<[u8]>,
    options: Vec<Arc<str>>,
}

impl Key {
    fn of(regex: &Regex) -> Self {
        Self { pattern: regex.pattern.clone(), options: regex.options.clone() }
    }
}

impl Patterns {
    /// Compiles the patterns of these urls; also gives what is wrong with them.
    pub fn compile<'a>(urls: impl Iterator<Item = &'a Url>) -> (Self, Vec<String>) {
        let (mut patterns, mut complaints) = (BTreeMap::new(), Vec::new());
        for regex in urls.filter_map(|url| url.regex.as_ref()) {
            patterns.entry(Key::of(regex)).or_insert_with(|| {
                compile(regex).map_err(|error| {
                    complaints.push(format!("regex '{}': {error}", String::from_utf8_lossy(&regex.pattern)));
                    Arc::from(error)
                })
            });
        }
        (Self(patterns), complaints)
    }

    /// Begins a search; an error is a pattern that does not compile.
    pub fn search<'a>(&'a self, regex: &'a Regex) -> Result<Search<'a>, Reason> {
        let trouble = |text: &str| reason(ReasonKind::Local, format_args!("regex: {text}"));
        match self.0.get(&Key::of(regex)) {
            Some(Ok(pattern)) => Ok(Search::new(pattern, regex)),
            Some(Err(error)) => Err(trouble(error)),
            None => Err(trouble("not of this configuration")),
        }
    }
}

/// keepalived: options that PCRE2 does not know are passed over.
fn compile(regex: &Regex) -> Result<Pattern, String> {
    let bits = regex.options.iter().filter_map(|name| pcre2::option(name));
    Pattern::compile(&regex.pattern, bits.fold(0, |all, bit| all | bit))
}

/// A search through a body that comes piece by piece.
#[derive(Debug)]
pub struct Search<'a> {
    pattern: &'a Pattern,
    wanted: &'a Regex,
    /// What may still be needed of the body.
    window: Vec<u8>,
    /// Where in the body the window begins.
    base: usize,
    /// Where in the body a match may begin.
    from: usize,
    ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug)]
enum Ended {
    Match,
    NoMatch,
    GaveUp(i32),
    TooLong,
}

impl<'a> Search<'a> {
    fn new(pattern: &'a Pattern, wanted: &'a Regex) -> Self {
        Self { pattern, wanted, window: Vec::new(), base: 0, from: wanted.min_offset, ended: None }
    }

    /// Takes the next piece of the body.
    pub fn feed(&mut self, piece: &[u8]) {
        for part in piece.chunks(WINDOW) {
            if self.ended.is_some() {
                return;
            }
            self.window.extend_from_slice(part);
            if self.window.len() >= WINDOW {
                self.look(true);
            }
        }
    }

    /// The body has ended: whether it is as it should be.
    pub fn finish(mut self) -> Result<(), Reason> {
        if self.ended.is_none() {
            self.look(false);
        }
        let fail = |text: &str| Err(reason(ReasonKind::Regex, text));
        match (self.ended.unwrap_or(Ended::NoMatch), self.wanted.no_match) {
            (Ended::Match, false) | (Ended::NoMatch, true) => Ok(()),
            (Ended::NoMatch, false) => fail("the body does not match"),
            (Ended::Match, true) => fail("the body matches, and must not"),
            (Ended::GaveUp(number), _) => fail(&pcre2::message(number)),
            (Ended::TooLong, _) => fail("a match would be longer than 256 KiB"),
        }
    }

    fn look(&mut self, goes_on: bool) {
        let to = match self.wanted.max_offset.map(|max| max.checked_sub(self.base)) {
            Some(None) => return self.end(Ended::NoMatch),
            Some(to) => to,
            None => None,
        };
        let from = self.from.saturating_sub(self.base);
        let found = self.pattern.find(&self.window, Range { from, to, goes_on });
        // What the pattern may look back at, in bytes; one at least, so that no later place looks like the beginning.
        let behind = self.pattern.lookbehind.saturating_mul(4).max(1);
        let next = match found {
            Found::Match => return self.end(Ended::Match),
            Found::GaveUp(number) => return self.end(Ended::GaveUp(number)),
            Found::Nothing if !goes_on => return self.end(Ended::NoMatch),
            Found::Nothing => self.window.len(),
            Found::Partial(at) => at,
        };
        self.from = self.from.max(self.base + next);
        let gone = next.saturating_sub(behind);
        self.window.drain(..gone);
        self.base += gone;
        if self.window.len() >= WINDOW {
            self.end(Ended::TooLong);
        }
    }

    fn end(&mut self, how: Ended) {
        self.ended = Some(how);
        self.window = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str) -> Regex {
        Regex {
            pattern: Arc::from(pattern.as_bytes()),
            options: Vec::new(),
            no_match: false,
            min_offset: 0,
            max_offset: None,
        }
    }

    fn search(regex: &Regex, pieces: &[&[u8]]) -> Result<(), Arc<str>> {
        let pattern = compile(regex).unwrap();
        let mut search = Search::new(&pattern, regex);
        pieces.iter().for_each(|piece| search.feed(piece));
        assert!(search.window.len() < WINDOW);
        search.finish().map_err(|reason| reason.detail)
    }

    #[test]
    fn a_match_is_found_across_the_ends_of_windows() {
        for before in [WINDOW - 6, WINDOW - 3, WINDOW - 1, WINDOW, 3 * WINDOW - 2] {
            let body = [vec![b'.'; before], b"needle".to_vec(), vec![b'.'; 9]].concat();
            let pieces: Vec<&[u8]> = body.chunks(1_000).collect();
            assert_eq!(search(&regex("needle"), &pieces), Ok(()), "{before}");
            assert_eq!(search(&regex(r"(?<=\.)needle\b"), &pieces), Ok(()), "{before}");
        }
    }

    #[test]
    fn the_beginning_of_a_body_is_only_at_its_beginning() {
        let body = [vec![b'.'; WINDOW], b"end".to_vec()].concat();
        assert_eq!(search(&regex("^end"), &[&body]), Err("the body does not match".into()));
        assert_eq!(search(&regex("end$"), &[&body]), Ok(()));
    }

    #[test]
    fn offsets_count_from_the_beginning_of_the_body() {
        let body = [vec![b'.'; 2 * WINDOW], b"x".to_vec()].concat();
        let at = |min_offset, max_offset| search(&Regex { min_offset, max_offset, ..regex("x") }, &[&body]).is_ok();
        assert!(at(2 * WINDOW, None));
        assert!(!at(2 * WINDOW + 1, None));
        assert!(at(0, Some(2 * WINDOW)));
        assert!(!at(0, Some(2 * WINDOW - 1)));
        assert!(!at(0, Some(10)));
    }

    #[test]
    fn regex_no_match_wants_the_pattern_to_be_absent() {
        let absent = Regex { no_match: true, ..regex("error") };
        assert_eq!(search(&absent, &[b"all is well"]), Ok(()));
        assert_eq!(search(&absent, &[b"an err", b"or"]), Err("the body matches, and must not".into()));
    }

    #[test]
    fn a_match_without_an_end_is_given_up() {
        let body = vec![b'a'; 2 * WINDOW];
        assert_eq!(search(&regex("(?s)a.*b"), &[&body]), Err("a match would be longer than 256 KiB".into()));
    }

    #[test]
    fn equal_patterns_are_compiled_once_and_bad_ones_are_told_once() {
        let url = |pattern| Url {
            path: "/".into(),
            virtualhost: None,
            sni: None,
            digest: None,
            status_codes: Vec::new(),
            regex: Some(regex(pattern)),
            tls_compliant: false,
        };
        let urls = [url("a"), url("a"), url("("), url("(")];
        let (patterns, complaints) = Patterns::compile(urls.iter());
        assert_eq!(patterns.0.len(), 2);
        assert_eq!(complaints, ["regex '(': missing closing parenthesis at offset 1"]);
        assert_eq!(patterns.search(&regex("(")).unwrap_err().kind, ReasonKind::Local);
        assert!(patterns.search(&regex("a")).is_ok());
    }
}
