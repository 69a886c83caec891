//! `~SEQ`, `~SEQx` and `~LST`: the rest of the line once for each value.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while};
use nom::character::complete::char;
use nom::combinator::{all_consuming, opt};
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use crate::config::line::{identifier, is_blank};

/// More values than any configuration needs.
pub(super) const MAX_SEQUENCE: u64 = 1_000_000;

/// Which of them a line begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Numbers,
    HexNumbers,
    List,
}

/// What the rest of the line is repeated with.
#[derive(Clone, Debug)]
pub(super) enum Values {
    Numbers { name: Vec<u8>, next: Option<i64>, step: i64, end: i64, is_hex: bool },
    List { names: Vec<Vec<u8>>, rows: std::vec::IntoIter<Vec<Vec<u8>>> },
}

impl Values {
    /// The next values, each with its name.
    pub(super) fn next(&mut self) -> Option<Vec<(&[u8], Vec<u8>)>> {
        match self {
            Self::Numbers { name, next, step, end, is_hex } => {
                let value = (*next)?;
                let after = value.checked_add(*step);
                *next = after.filter(|&after| if *step > 0 { after <= *end } else { after >= *end });
                let text = if *is_hex { format!("{value:x}") } else { value.to_string() };
                Some(vec![(name.as_slice(), text.into_bytes())])
            }
            Self::List { names, rows } => {
                let mut row = rows.next()?.into_iter();
                Some(names.iter().map(|name| (name.as_slice(), row.next().unwrap_or_default())).collect())
            }
        }
    }
}

/// Which kind a line begins with, and where its parenthesis opens.
pub(super) fn kind(bytes: &[u8]) -> Option<(Kind, usize)> {
    let (kind, rest) = match () {
        () if bytes.starts_with(b"~SEQx") => (Kind::HexNumbers, &bytes[5..]),
        () if bytes.starts_with(b"~SEQ") => (Kind::Numbers, &bytes[4..]),
        () if bytes.starts_with(b"~LST") => (Kind::List, &bytes[4..]),
        () => return None,
    };
    let blanks = rest.iter().take_while(|&&b| is_blank(b)).count();
    (rest.get(blanks) == Some(&b'(')).then_some((kind, bytes.len() - rest.len() + blanks))
}

/// Reads what stands between the parentheses. `Err` says what is wrong with it.
pub(super) fn values(kind: Kind, inside: &[u8]) -> Result<Values, String> {
    match kind {
        Kind::List => list(inside),
        Kind::Numbers => numbers(inside, false),
        Kind::HexNumbers => numbers(inside, true),
    }
}

fn numbers(inside: &[u8], is_hex: bool) -> Result<Values, String> {
    let parts: Vec<&[u8]> = inside.split(|&b| b == b',').map(<[u8]>::trim_ascii).collect();
    let name = parts[0];
    if name.is_empty() || identifier(name) != name.len() {
        return Err(format!("'{}' is no parameter name", String::from_utf8_lossy(name)));
    }
    let number = |text: &[u8]| {
        c_number(text).ok_or_else(|| format!("'{}' is not a whole number", String::from_utf8_lossy(text)))
    };
    let (start, step, end) = match *parts.get(1..).unwrap_or(&[]) {
        [end] => {
            let end = number(end)?;
            (1, if end < 1 { -1 } else { 1 }, end)
        }
        [start, end] => {
            let (start, end) = (number(start)?, number(end)?);
            (start, if end < start { -1 } else { 1 }, end)
        }
        [start, step, end] => (number(start)?, number(step)?, number(end)?),
        _ => return Err("it takes a name and one to three numbers".to_owned()),
    };
    if step == 0 || (start < end && step < 0) || (start > end && step > 0) {
        return Err(format!("a step of {step} never gets from {start} to {end}"));
    }
    if is_hex && (start < 0 || end < 0) {
        return Err("hexadecimal values cannot be negative".to_owned());
    }
    let count = start.abs_diff(end) / step.unsigned_abs();
    if count >= MAX_SEQUENCE {
        return Err(format!("it has {} values, more than {MAX_SEQUENCE}", u128::from(count) + 1));
    }
    Ok(Values::Numbers { name: name.to_vec(), next: Some(start), step, end, is_hex })
}

/// A number as C reads it with radix 0: `0x` hexadecimal, a leading `0` octal.
fn c_number(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i64::from_str_radix(digits, radix).ok()?;
    Some(if is_negative { -value } else { value })
}

/// A value, or several in braces.
type Item = Vec<Vec<u8>>;

fn list(inside: &[u8]) -> Result<Values, String> {
    let parsed: IResult<&[u8], Vec<Item>> = all_consuming(separated_list1(char(','), item)).parse_complete(inside);
    let Ok((_, mut items)) = parsed else {
        return Err("values are words without blanks, braces or commas, or sets of them in braces".to_owned());
    };
    let names = items.remove(0);
    if names.iter().any(|name| name.is_empty() || identifier(name) != name.len()) {
        return Err("it begins with a parameter name, or several in braces".to_owned());
    }
    if items.is_empty() {
        return Err("it has no values".to_owned());
    }
    if let Some(row) = items.iter().find(|row| row.len() > names.len()) {
        return Err(format!("a set has {} values for {} names", row.len(), names.len()));
    }
    // keepalived: an empty value repeats nothing, unless it is a set.
    items.retain(|row| row.len() != 1 || !row[0].is_empty() || names.len() > 1);
    Ok(Values::List { names, rows: items.into_iter() })
}

fn item(input: &[u8]) -> IResult<&[u8], Item> {
    let plain = |input| take_till(|b| is_blank(b) || matches!(b, b',' | b'{' | b'}' | b')'))(input);
    let value = |input| delimited(blanks, plain, blanks).map(<[u8]>::to_vec).parse_complete(input);
    let set = delimited(tag(&b"{"[..]), separated_list1(char(','), value), tag(&b"}"[..]));
    let one = plain.map(|text: &[u8]| vec![text.to_vec()]);
    delimited(blanks, preceded(opt(blanks), alt((set, one))), blanks).parse_complete(input)
}

fn blanks(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while(is_blank)(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(kind: Kind, inside: &str) -> Result<Vec<String>, String> {
        let mut values = values(kind, inside.as_bytes())?;
        let mut out = Vec::new();
        while let Some(row) = values.next() {
            let row: Vec<_> = row.iter().map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect();
            out.push(row.join("/"));
        }
        Ok(out)
    }

    #[test]
    fn numbers_run_to_their_end_inclusive_in_either_direction() {
        assert_eq!(all(Kind::Numbers, "I, 1, 3").unwrap(), ["1", "2", "3"]);
        assert_eq!(all(Kind::Numbers, "I, 9, -3, 3").unwrap(), ["9", "6", "3"]);
        assert_eq!(all(Kind::Numbers, "I, 4").unwrap(), ["1", "2", "3", "4"]);
        assert_eq!(all(Kind::Numbers, "I, 0").unwrap(), ["1", "0"]);
        assert_eq!(all(Kind::Numbers, "I, -1, -3").unwrap(), ["-1", "-2", "-3"]);
        assert_eq!(all(Kind::Numbers, "I, 5, 5").unwrap(), ["5"]);
    }

    #[test]
    fn numbers_take_c_radix_and_write_hexadecimal() {
        assert_eq!(all(Kind::HexNumbers, "I, 0x90, 0x10, 0xb0").unwrap(), ["90", "a0", "b0"]);
        assert_eq!(all(Kind::Numbers, " I , 0x10,020 ").unwrap(), ["16"]);
    }

    #[test]
    fn a_sequence_that_does_not_end_is_refused() {
        for bad in ["I, 3, 1, 1", "I, 1, 0, 3", "I, 1, -1, 3", "I", "1, 2", "I, x", "I, 1, 2, 3, 4", "I, --1", "", "I,"]
        {
            assert!(all(Kind::Numbers, bad).is_err(), "{bad}");
        }
        assert!(all(Kind::Numbers, "I, 1000000000").unwrap_err().contains("more than"));
        assert!(all(Kind::Numbers, "I, -9223372036854775807, 9223372036854775807").is_err());
        assert!(all(Kind::HexNumbers, "I, -1, 1").is_err());
    }

    #[test]
    fn a_sequence_at_the_end_of_the_number_range_ends() {
        assert_eq!(all(Kind::Numbers, "I, 9223372036854775806, 9223372036854775807").unwrap().len(), 2);
    }

    #[test]
    fn lists_have_one_name_or_a_set_of_names() {
        assert_eq!(all(Kind::List, "A, x, y").unwrap(), ["x", "y"]);
        assert_eq!(all(Kind::List, "{A,B}, {1,a}, {2,b}").unwrap(), ["1/a", "2/b"]);
        assert_eq!(all(Kind::List, "{A,B}, {1}, {2, b}").unwrap(), ["1/", "2/b"]);
        assert_eq!(all(Kind::List, "A,").unwrap(), [] as [&str; 0]);
        assert_eq!(all(Kind::List, "A, {1}, 2").unwrap(), ["1", "2"]);
    }

    #[test]
    fn broken_lists_are_refused() {
        for bad in ["A", "A, x y", "{A}, {1,2}", "A, {1", "1, 2", "", "{A,B, {1}"] {
            assert!(all(Kind::List, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn another_tilde_word_is_no_sequence() {
        assert_eq!(kind(b"~SEQ (I,1)"), Some((Kind::Numbers, 5)));
        assert_eq!(kind(b"~SEQx(I,1)"), Some((Kind::HexNumbers, 5)));
        assert_eq!(kind(b"~LST(I,1)"), Some((Kind::List, 4)));
        assert_eq!(kind(b"~FOO(I)"), None);
        assert_eq!(kind(b"~SEQUENCE(I)"), None);
    }
}
