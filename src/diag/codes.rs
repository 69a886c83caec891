//! The stable codes of findings: K1xxx text and structure, K2xxx keywords and values, K3xxx across fields, K4xxx files
//! and scripts, K9xxx notes of ours. A code never changes its meaning; `docs/diagnostics.md` explains each.

use std::fmt;

/// A stable code, printed as `K2001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "K{:04}", self.0)
    }
}

/// Declares the codes: number, constant, title, explanation (one line each), in ascending order.
macro_rules! codes {
    ($($number:literal $name:ident $title:literal $explanation:literal;)*) => {
        impl Code {
            $(#[doc = $explanation] pub const $name: Self = Self($number);)*
        }

        /// Every code with its title and explanation, ascending: what `docs/diagnostics.md` is made from.
        pub const ALL: &[(Code, &str, &str)] = &[$((Code::$name, $title, $explanation)),*];
    };
}

codes! {
    // Text and structure.
    1001 LINE_TOO_LONG "line too long" "A line is longer than 64 KiB; it is skipped whole.";
    1002 NUL_BYTE "NUL byte in a line" "A line holds a NUL byte; it is skipped, because nothing can be meant by it.";
    1003 UNMATCHED_QUOTE "unmatched quote" "A double quote is opened and never closed on its line; the line from there on is ignored.";
    1004 DEFINITION_UNFINISHED "definition not finished" "The file ends inside a multi-line definition, whose last line should not end in a backslash.";
    1005 PARAMETER_RECURSION "parameters without end" "Parameters of this line refer to each other in a circle, so their value has no end; the line is skipped.";
    1006 EXPANSION_TOO_LARGE "expansion too large" "Definitions, ~SEQ and ~LST together produce more text than the limit; reading stops there.";
    1007 PARAMETER_ARGUMENTS "bad argument of a predefined parameter" "${_RANDOM min max} takes digits, ${_ENV NAME} one name, the others take nothing; the parameter is not replaced.";
    1008 BAD_SEQUENCE "bad ~SEQ" "~SEQ(NAME, start, step, end) cannot be understood or would never reach its end; the line is skipped.";
    1009 BAD_LIST "bad ~LST" "~LST(NAME, value, ...) or ~LST({A,B}, {1,2}, ...) cannot be understood; the line is skipped.";
    1010 MISSING_OPEN_BRACE "missing '{'" "A block keyword is not followed by '{'; the lines after it are read as its body.";
    1011 UNEXPECTED_OPEN_BRACE "unexpected '{'" "A '{' stands where no block can begin; it is ignored.";
    1012 EXTRA_CLOSE_BRACE "extra '}'" "A '}' closes nothing; it is ignored.";
    1013 MISSING_CLOSE_BRACE "missing '}'" "The text ends while blocks are open; they are completed as if closed.";
    1014 TOO_DEEP "too many levels" "Blocks, definitions or sequences are nested deeper than any configuration needs; the inner text is ignored.";
    1015 TOO_LARGE "too much text" "The configuration has more text or words than the limit; reading stops there.";
    1016 BYTE_ORDER_MARK "byte order mark" "The file begins with a UTF-8 byte order mark, which keepalived takes for part of the first word.";
    1017 STRAY_CONTINUATION "backslash at end of line" "A backslash continues a line only inside a multi-line definition; here it is part of the last word.";
    1018 UNDEFINED_PARAMETER "undefined parameter" "${NAME} is used before NAME is defined; keepalived would cut the line at its braces.";
    1019 BAD_INCLUDE_CHECK "unknown include_check word" "include_check takes read, match, wildcard_match and brace_match, each with + or - before it.";

    // Keywords and values.
    2001 MISSING_ARGUMENT "missing argument" "A keyword lacks an argument it cannot do without.";
    2002 UNKNOWN_KEYWORD "unknown keyword" "A keyword nobody knows here.";

    // Files and scripts.
    4001 NO_CONFIGURATION "configuration not found" "The configuration file does not exist or cannot be read.";
    4002 INCLUDE_NO_MATCH "include without match" "An include names a file that does not exist, or a pattern that matches none.";
    4003 FILE_REFUSED "file not read" "A file is a directory, has an execute bit, is irregular, too large or unreadable; it is skipped.";
    4004 INCLUDE_TOO_DEEP "includes too deep" "Files include each other deeper than the limit, probably in a circle; the innermost is skipped.";
    4005 TOO_MANY_FILES "too many files" "More files are included than the limit; the rest is skipped.";
    4006 SEVERAL_FILES "several configuration files" "The name of the configuration matches more than one file; all are read in order.";

    // Notes of ours.
    9001 NOT_BUILT_YET "not built yet" "A keyword whose effect is not built yet.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_so_none_is_given_twice() {
        assert!(ALL.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn every_code_has_a_title_and_a_sentence() {
        for (code, title, explanation) in ALL {
            assert!(!title.is_empty() && explanation.ends_with('.') && !explanation.contains('\n'), "{code}");
        }
    }
}
