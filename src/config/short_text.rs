//! The text of a word. Words of a configuration are short: nearly all fit into the place of a pointer and a length.

use std::fmt;
use std::ops::Deref;

/// So many bytes need no memory of their own.
const SHORT: usize = 22;

/// Text that is mostly short; reads as a `str`.
#[derive(Clone, PartialEq, Eq)]
pub struct ShortText(Repr);

#[derive(Clone, PartialEq, Eq)]
enum Repr {
    Short {
        length: u8,
        bytes: [u8; SHORT],
    },
    Long(Box<str>),
    /// Bytes that are no UTF-8, and how they read as text.
    Foreign(Box<(String, Vec<u8>)>),
}

impl ShortText {
    /// The text that bytes read as; what is no UTF-8 is replaced, and kept beside it.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => Self(Repr::Foreign(Box::new((String::from_utf8_lossy(bytes).into_owned(), bytes.to_vec())))),
        }
    }

    /// The bytes as they were written.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or(bytes),
            Repr::Long(text) => text.as_bytes(),
            Repr::Foreign(both) => &both.1,
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self
    }
}

impl From<&str> for ShortText {
    fn from(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                Self(Repr::Short { length: text.len() as u8, bytes })
            }
            None => Self(Repr::Long(text.into())),
        }
    }
}

impl Deref for ShortText {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Repr::Short { length, bytes } => {
                let text = bytes.get(..usize::from(*length)).map(std::str::from_utf8);
                text.and_then(Result::ok).expect("made from a str of that length")
            }
            Repr::Long(text) => text,
            Repr::Foreign(both) => &both.0,
        }
    }
}

impl AsRef<str> for ShortText {
    fn as_ref(&self) -> &str {
        self
    }
}

impl PartialEq<str> for ShortText {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for ShortText {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialEq<ShortText> for &str {
    fn eq(&self, other: &ShortText) -> bool {
        *other == **self
    }
}

impl fmt::Display for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_read_as_they_were_written() {
        for length in 0..64 {
            let text = "\u{e9}x".repeat(length);
            let short = ShortText::from(text.as_str());
            assert_eq!(short.as_str(), text);
            assert_eq!(short.clone(), short);
        }
        assert_ne!(ShortText::from("a"), "b");
        let foreign = ShortText::from_bytes(b"a\xff");
        assert_eq!((foreign.as_str(), foreign.as_bytes()), ("a\u{fffd}", b"a\xff".as_slice()));
        assert_eq!(size_of::<ShortText>(), 24);
    }
}
