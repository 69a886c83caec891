//! Script lines: a command with its user and group, cut by rules of their own (`lexical.md` §4.3).

use std::ops::Range;

use super::line::is_blank;

/// A word of a script line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptWord {
    /// Its bytes: quotes removed, backslash sequences as written.
    pub bytes: Vec<u8>,
    /// Where it stands in the line, quotes included.
    pub range: Range<usize>,
}

/// Why a script line or command cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptError {
    /// A quote at this offset is never closed.
    UnmatchedQuote(usize),
    /// The text ends in a backslash.
    TrailingBackslash,
}

/// Cuts a script line into words: the keyword, the command, the user, the group. Quotes of both kinds protect blanks and
/// are removed, adjacent pieces are one word, a backslash and what follows it stay as they are.
///
/// The command word is then cut into arguments by [`command`].
pub fn script(line: &[u8]) -> Result<Vec<ScriptWord>, ScriptError> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(start) = next_start(line, at) {
        let mut bytes = Vec::new();
        let mut quote: Option<usize> = None;
        at = start;
        while let Some(&byte) = line.get(at) {
            match byte {
                b'\\' => {
                    let next = *line.get(at + 1).ok_or(ScriptError::TrailingBackslash)?;
                    bytes.extend([byte, next]);
                    at += 1;
                }
                b'"' | b'\'' if quote.is_none() => quote = Some(at),
                _ if quote.is_some_and(|open| line[open] == byte) => quote = None,
                _ if quote.is_none() && is_blank(byte) => break,
                _ => bytes.push(byte),
            }
            at += 1;
        }
        if let Some(open) = quote {
            return Err(ScriptError::UnmatchedQuote(open));
        }
        words.push(ScriptWord { bytes, range: start..at });
    }
    Ok(words)
}

/// Cuts a command into its arguments: blanks separate, quotes of both kinds protect, escapes become what they stand for:
/// `\a \b \E \f \n \r \t \v`, `\x` with one or two hex digits, one to three octal digits, `\c` and a letter for a control
/// character, any other character itself. `regex` is cut by this as well, directly on its line.
pub fn command(text: &[u8]) -> Result<Vec<Vec<u8>>, ScriptError> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(start) = next_start(text, at) {
        let mut word = Vec::new();
        let mut quote: Option<usize> = None;
        at = start;
        while let Some(&byte) = text.get(at) {
            at += 1;
            match byte {
                b'\\' => {
                    let (length, value) = escape(&text[at..]).ok_or(ScriptError::TrailingBackslash)?;
                    word.push(value);
                    at += length;
                }
                b'"' | b'\'' if quote.is_none() => quote = Some(at - 1),
                _ if quote.is_some_and(|open| text[open] == byte) => quote = None,
                _ if quote.is_none() && is_blank(byte) => break,
                _ => word.push(byte),
            }
        }
        if let Some(open) = quote {
            return Err(ScriptError::UnmatchedQuote(open));
        }
        words.push(word);
    }
    Ok(words)
}

fn next_start(text: &[u8], from: usize) -> Option<usize> {
    text.get(from..)?.iter().position(|&b| !is_blank(b)).map(|skip| from + skip)
}

/// What stands after a backslash: how long it is, and the byte it means.
fn escape(text: &[u8]) -> Option<(usize, u8)> {
    let number = |digits: &[u8], radix: u32| {
        digits.iter().fold(0u32, |value, &digit| value * radix + (digit as char).to_digit(radix).unwrap_or(0)) as u8
    };
    let run = |text: &[u8], most: usize, of: fn(&u8) -> bool| text.iter().take(most).take_while(|b| of(b)).count();
    let plain = match *text.first()? {
        b'a' => 0x07,
        b'b' => 0x08,
        b'E' => 0x1b,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'x' => match run(&text[1..], 2, u8::is_ascii_hexdigit) {
            0 => b'x',
            digits => return Some((1 + digits, number(&text[1..=digits], 16))),
        },
        b'0'..=b'7' => {
            let digits = run(text, 3, |b| matches!(b, b'0'..=b'7'));
            return Some((digits, number(&text[..digits], 8)));
        }
        b'c' => return text.get(1).map(|&letter| (2, letter & 0x1f)),
        other => other,
    };
    Some((1, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<String> {
        let show = |word: ScriptWord| String::from_utf8(word.bytes).unwrap();
        script(text.as_bytes()).unwrap().into_iter().map(show).collect()
    }

    fn arguments(text: &str) -> Vec<String> {
        command(text.as_bytes()).unwrap().into_iter().map(|word| String::from_utf8(word).unwrap()).collect()
    }

    #[test]
    fn a_quoted_command_keeps_its_inner_quotes_for_the_second_step() {
        let words = line(r#"notify_master "/opt/n.sh 'two words' x" nobody nogroup"#);
        assert_eq!(words, ["notify_master", "/opt/n.sh 'two words' x", "nobody", "nogroup"]);
        assert_eq!(arguments(&words[1]), ["/opt/n.sh", "two words", "x"]);
    }

    #[test]
    fn without_quotes_the_second_word_is_the_user() {
        assert_eq!(line("script /bin/x nobody"), ["script", "/bin/x", "nobody"]);
    }

    #[test]
    fn adjacent_pieces_are_one_word_and_backslashes_stay() {
        assert_eq!(line(r#"a b"c d"'e "f'g \" \ h"#), ["a", "bc de \"fg", r#"\""#, r"\ h"]);
    }

    #[test]
    fn empty_quotes_are_a_word() {
        assert_eq!(line("a \"\" ''"), ["a", "", ""]);
        assert_eq!(arguments("a \"\""), ["a", ""]);
    }

    #[test]
    fn escapes_become_what_they_stand_for() {
        assert_eq!(
            command(br"\a\b\E\f\n\r\t\v\x41\x4g\101\7\cA\q\\\ x").unwrap(),
            [b"\x07\x08\x1b\x0c\n\r\t\x0bA\x04gA\x07\x01q\\ x".to_vec()]
        );
        assert_eq!(command(br"\xg \400").unwrap(), [b"xg".to_vec(), vec![0]]);
    }

    #[test]
    fn an_open_quote_or_a_last_backslash_is_an_error() {
        assert_eq!(script(b"a 'b"), Err(ScriptError::UnmatchedQuote(2)));
        assert_eq!(script(b"a b\\"), Err(ScriptError::TrailingBackslash));
        assert_eq!(command(b"a \"b'"), Err(ScriptError::UnmatchedQuote(2)));
        assert_eq!(command(b"a\\c"), Err(ScriptError::TrailingBackslash));
    }

    #[test]
    fn ranges_hold_the_quotes() {
        let words = script(b"x 'a b'  c").unwrap();
        assert_eq!(words[1].range, 2..7);
        assert_eq!(words[2].range, 9..10);
    }
}
