//! Numbers and addresses as keepalived.conf writes them.

use std::net::IpAddr;

/// What a word is as a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// This number.
    Whole(i64),
    /// This number, followed by something else.
    Cut(i64),
    /// None at all.
    None,
}

/// Reads a whole number: base 10, a sign and leading blanks allowed, the empty word is 0.
pub fn integer(text: &str) -> Number {
    let text = text.trim_start();
    if text.is_empty() {
        return Number::Whole(0);
    }
    let digits_at = usize::from(text.starts_with(['+', '-']));
    let digits = text[digits_at..].bytes().take_while(u8::is_ascii_digit).count();
    let end = digits_at + digits;
    if digits == 0 {
        return Number::None;
    }
    let huge = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    let number = text[..end].parse().unwrap_or(huge);
    if end == text.len() { Number::Whole(number) } else { Number::Cut(number) }
}

/// What a word is as a decimal number, in units of its last place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decimal {
    /// Exactly this.
    Exact(u64),
    /// It had more places and was rounded half up.
    Rounded(u64),
    /// This, followed by something else.
    Cut(u64),
    /// None at all.
    None,
}

/// Reads a number with up to `places` decimal places: no sign, no exponent; `.5` and `5.` are numbers.
pub fn decimal(text: &str, places: u32) -> Decimal {
    let text = text.trim_start();
    if text.is_empty() {
        return Decimal::Exact(0);
    }
    let whole_digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(whole_digits);
    let after_point = rest.strip_prefix('.').unwrap_or("");
    let fraction_digits = after_point.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, garbage) = if rest.starts_with('.') { after_point.split_at(fraction_digits) } else { ("", rest) };
    if whole.is_empty() && fraction.is_empty() {
        return Decimal::None;
    }
    let kept = fraction.len().min(places as usize);
    let unit = 10u64.saturating_pow(places);
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(u64::MAX) };
    let padding = 10u64.saturating_pow(places - kept as u32);
    let parts: u64 = if kept == 0 { 0 } else { fraction[..kept].parse().unwrap_or(0) };
    let value = whole.saturating_mul(unit).saturating_add(parts.saturating_mul(padding));
    let rest = fraction.as_bytes().get(kept..).unwrap_or(&[]);
    let rounds_up = rest.first().is_some_and(|digit| *digit >= b'5');
    match () {
        () if !garbage.is_empty() => Decimal::Cut(value),
        () if !rest.is_empty() => Decimal::Rounded(value.saturating_add(u64::from(rounds_up))),
        () => Decimal::Exact(value),
    }
}

/// Reads an address: IPv4 in four decimal parts, or IPv6.
pub fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// The first `most` bytes of a text, fewer where a character would be split.
pub fn cut(text: &str, most: usize) -> String {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_take_a_sign_and_say_what_follows() {
        assert_eq!(integer("12"), Number::Whole(12));
        assert_eq!(integer(" -3"), Number::Whole(-3));
        assert_eq!(integer(""), Number::Whole(0));
        assert_eq!(integer("1\\"), Number::Cut(1));
        assert_eq!(integer("+"), Number::None);
        assert_eq!(integer("x"), Number::None);
        assert_eq!(integer("99999999999999999999"), Number::Whole(i64::MAX));
    }

    #[test]
    fn decimals_are_kept_in_their_last_place() {
        assert_eq!(decimal("1.5", 6), Decimal::Exact(1_500_000));
        assert_eq!(decimal(".5", 3), Decimal::Exact(500));
        assert_eq!(decimal("5.", 3), Decimal::Exact(5000));
        assert_eq!(decimal("0.0005", 3), Decimal::Rounded(1));
        assert_eq!(decimal("5x", 6), Decimal::Cut(5_000_000));
        assert_eq!(decimal("-1", 6), Decimal::None);
        assert_eq!(decimal("99999999999999999999", 6), Decimal::Exact(u64::MAX));
    }

    #[test]
    fn a_colon_makes_an_address_ipv6() {
        assert_eq!(address("10.0.0.1"), Some([10, 0, 0, 1].into()));
        assert!(address("::1").is_some_and(|a| a.is_ipv6()));
        assert_eq!(address("10.0.0"), None);
        assert_eq!(address("host"), None);
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("a\u{e9}b", 2), "a");
    }
}
