//! Perl-compatible regular expressions, by the PCRE2 library: all its options, offsets, partial matches.
#![allow(unsafe_code)]

use std::ptr::{NonNull, null_mut};

use pcre2_sys::*;

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    code: NonNull<pcre2_code_8>,
    /// How many characters a match may look at before its own beginning.
    pub lookbehind: usize,
}

// SAFETY: PCRE2 only reads compiled code while matching; it may be shared and moved ("Multithreading" in pcre2api(3)).
unsafe impl Send for Pattern {}
// SAFETY: as above.
unsafe impl Sync for Pattern {}

/// What a search has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A match.
    Match,
    /// The text ends within what may become a match that begins here.
    Partial(usize),
    /// No match.
    Nothing,
    /// The library gave up: its number.
    GaveUp(i32),
}

/// Where a search looks.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Matches begin here or later.
    pub from: usize,
    /// And not after this.
    pub to: Option<usize>,
    /// More text may follow, so a match that reaches the end is only [`Found::Partial`].
    pub goes_on: bool,
}

/// Steps of one search, PCRE2's own default being 10 million: what takes longer would hold up others.
const MATCH_LIMIT: u32 = 2_000_000;

/// The bit of an option by keepalived's name of it.
pub fn option(name: &str) -> Option<u32> {
    Some(match name {
        "allow_empty_class" => PCRE2_ALLOW_EMPTY_CLASS,
        "alt_bsux" => PCRE2_ALT_BSUX,
        "auto_callout" => PCRE2_AUTO_CALLOUT,
        "caseless" => PCRE2_CASELESS,
        "dollar_endonly" => PCRE2_DOLLAR_ENDONLY,
        "dotall" => PCRE2_DOTALL,
        "dupnames" => PCRE2_DUPNAMES,
        "extended" => PCRE2_EXTENDED,
        "firstline" => PCRE2_FIRSTLINE,
        "match_unset_backref" => PCRE2_MATCH_UNSET_BACKREF,
        "multiline" => PCRE2_MULTILINE,
        "never_ucp" => PCRE2_NEVER_UCP,
        "never_utf" => PCRE2_NEVER_UTF,
        "no_auto_capture" => PCRE2_NO_AUTO_CAPTURE,
        "no_auto_possess" => PCRE2_NO_AUTO_POSSESS,
        "no_dotstar_anchor" => PCRE2_NO_DOTSTAR_ANCHOR,
        "no_start_optimize" => PCRE2_NO_START_OPTIMIZE,
        "ucp" => PCRE2_UCP,
        "ungreedy" => PCRE2_UNGREEDY,
        // A body is what it is: what is not UTF-8 matches nothing, and the rest is searched.
        "utf" => PCRE2_UTF | PCRE2_MATCH_INVALID_UTF,
        "never_backslash_c" => PCRE2_NEVER_BACKSLASH_C,
        "alt_circumflex" => PCRE2_ALT_CIRCUMFLEX,
        "alt_verbnames" => PCRE2_ALT_VERBNAMES,
        "use_offset_limit" => PCRE2_USE_OFFSET_LIMIT,
        _ => return None,
    })
}

impl Pattern {
    /// Compiles a pattern with the bits of [`option`]; an error is the library's text and where in the pattern.
    pub fn compile(pattern: &[u8], options: u32) -> Result<Self, String> {
        let (mut error, mut at) = (0, 0);
        // Whoever asks for a last place to begin must have said so here.
        let options = options | PCRE2_USE_OFFSET_LIMIT;
        // SAFETY: the pattern is readable for its length; the two numbers live through the call.
        let code =
            unsafe { pcre2_compile_8(pattern.as_ptr(), pattern.len(), options, &mut error, &mut at, null_mut()) };
        let Some(code) = NonNull::new(code) else { return Err(format!("{} at offset {at}", message(error))) };
        let mut lookbehind = 0_u32;
        // SAFETY: valid code, compiled above; the number is what PCRE2_INFO_MAXLOOKBEHIND stores. Without machine code
        // the library interprets, so what pcre2_jit_compile says does not matter.
        unsafe {
            pcre2_jit_compile_8(code.as_ptr(), PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
            pcre2_pattern_info_8(code.as_ptr(), PCRE2_INFO_MAXLOOKBEHIND, (&raw mut lookbehind).cast());
        }
        Ok(Self { code, lookbehind: lookbehind as usize })
    }

    /// Looks for a match.
    pub fn find(&self, text: &[u8], range: Range) -> Found {
        // Where the machine code runs out of its small stack, the interpreter goes on.
        match self.search(text, range, 0) {
            Found::GaveUp(PCRE2_ERROR_JIT_STACKLIMIT) => self.search(text, range, PCRE2_NO_JIT),
            found => found,
        }
    }

    fn search(&self, text: &[u8], range: Range, options: u32) -> Found {
        if range.from > text.len() {
            return Found::Nothing;
        }
        let options = options | if range.goes_on { PCRE2_PARTIAL_HARD } else { 0 };
        // SAFETY: the text is readable for its length, `from` lies in it, the code is valid. What is made here is freed
        // here; the library checks for null, and the vector has one pair, set whenever a match or part of one is found.
        unsafe {
            let context = pcre2_match_context_create_8(null_mut());
            let results = pcre2_match_data_create_8(1, null_mut());
            let found = if context.is_null() || results.is_null() {
                Found::GaveUp(PCRE2_ERROR_NOMEMORY)
            } else {
                pcre2_set_match_limit_8(context, MATCH_LIMIT);
                pcre2_set_offset_limit_8(context, range.to.unwrap_or(usize::MAX));
                let code = self.code.as_ptr();
                let (start, len) = (text.as_ptr(), text.len());
                match pcre2_match_8(code, start, len, range.from, options, results, context) {
                    0.. => Found::Match,
                    PCRE2_ERROR_PARTIAL => Found::Partial(*pcre2_get_ovector_pointer_8(results)),
                    PCRE2_ERROR_NOMATCH => Found::Nothing,
                    number => Found::GaveUp(number),
                }
            };
            pcre2_match_data_free_8(results);
            pcre2_match_context_free_8(context);
            found
        }
    }
}

impl Drop for Pattern {
    fn drop(&mut self) {
        // SAFETY: made by pcre2_compile, freed once.
        unsafe { pcre2_code_free_8(self.code.as_ptr()) }
    }
}

/// The library's text for an error number.
pub fn message(number: i32) -> String {
    let mut text = [0_u8; 256];
    // SAFETY: the buffer is writable for its length.
    let len = unsafe { pcre2_get_error_message_8(number, text.as_mut_ptr(), text.len()) };
    match usize::try_from(len) {
        Ok(len) => String::from_utf8_lossy(&text[..len]).into_owned(),
        Err(_) => format!("PCRE2 error {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYWHERE: Range = Range { from: 0, to: None, goes_on: false };

    fn pattern(text: &str, options: &[&str]) -> Pattern {
        let bits = options.iter().map(|name| option(name).unwrap()).fold(0, |all, bit| all | bit);
        Pattern::compile(text.as_bytes(), bits).unwrap()
    }

    #[test]
    fn options_change_what_matches() {
        assert_eq!(pattern("OK", &[]).find(b"all ok", EVERYWHERE), Found::Nothing);
        assert_eq!(pattern("OK", &["caseless"]).find(b"all ok", EVERYWHERE), Found::Match);
        assert_eq!(pattern("a.b", &["dotall"]).find(b"a\nb", EVERYWHERE), Found::Match);
        assert_eq!(pattern("^b", &["multiline"]).find(b"a\nb", EVERYWHERE), Found::Match);
        assert_eq!(pattern("^.$", &["utf"]).find("é".as_bytes(), EVERYWHERE), Found::Match);
        assert_eq!(pattern("^.$", &[]).find("é".as_bytes(), EVERYWHERE), Found::Nothing);
        assert_eq!(option("no_such_option"), None);
    }

    #[test]
    fn a_match_begins_within_its_bounds() {
        let found = |from, to| pattern("b", &[]).find(b"abcb", Range { from, to, goes_on: false });
        assert_eq!(found(0, Some(0)), Found::Nothing);
        assert_eq!(found(0, Some(1)), Found::Match);
        assert_eq!(found(2, Some(2)), Found::Nothing);
        assert_eq!(found(2, Some(3)), Found::Match);
        assert_eq!(found(5, None), Found::Nothing);
    }

    #[test]
    fn a_match_that_may_go_on_is_partial() {
        let range = Range { goes_on: true, ..EVERYWHERE };
        assert_eq!(pattern("needle", &[]).find(b"hay nee", range), Found::Partial(4));
        assert_eq!(pattern("needle", &[]).find(b"hay needle.", range), Found::Match);
    }

    #[test]
    fn text_that_is_not_utf8_is_searched_around() {
        assert_eq!(pattern("OK", &["utf"]).find(b"\xff\xfe OK", EVERYWHERE), Found::Match);
    }

    #[test]
    fn a_pattern_that_explodes_gives_up() {
        let text = vec![b'a'; 64];
        let Found::GaveUp(number) = pattern("(a+)+$b", &["no_start_optimize"]).find(&text, EVERYWHERE) else {
            panic!("it should not have ended");
        };
        assert_eq!(message(number), "match limit exceeded");
    }

    #[test]
    fn a_bad_pattern_says_why_and_where() {
        assert_eq!(Pattern::compile(b"a(b", 0).unwrap_err(), "missing closing parenthesis at offset 3");
    }
}
