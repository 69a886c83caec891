//! FILE_CHECK: the number in a track file (`lvs.md` §5.11). Who watches the file is `sys::file_watch`.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::model::lvs::InitFile;

/// So much of a file is looked at.
const MAX_LEN: u64 = 127;

/// A number that does not fit: it is to be logged, and the number before it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

/// The number that a file begins with, as C reads it: blanks, a sign, `0x` or `0` for another base. None is 0.
pub fn number(text: &[u8]) -> Result<i32, OutOfRange> {
    let text = &text[..text.len().min(MAX_LEN as usize)];
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let text = &text[text.iter().take_while(|byte| blank(byte)).count()..];
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (base, text) = match text {
        [b'0', b'x' | b'X', digits @ ..] if digits.first().is_some_and(u8::is_ascii_hexdigit) => (16, digits),
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let digits = text.iter().map_while(|&byte| char::from(byte).to_digit(base));
    let value = digits.fold(0_i64, |all, digit| all.saturating_mul(base.into()).saturating_add(digit.into()));
    i32::try_from(if negative { -value } else { value }).map_err(|_| OutOfRange)
}

/// The number in a file. A file that is missing, empty or cannot be read counts as 0.
pub fn read(path: &Path) -> Result<i32, OutOfRange> {
    let mut text = Vec::new();
    // A FIFO in its place shall not stop us.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    match file.and_then(|file| file.take(MAX_LEN).read_to_end(&mut text)) {
        Ok(_) => number(&text),
        Err(_) => Ok(0),
    }
}

/// `init_file`: writes its value at the start, where the file is missing or may be overwritten.
pub fn initialise(path: &Path, init: InitFile) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    match init.overwrite {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    match options.open(path) {
        Ok(mut file) => writeln!(file, "{}", init.value),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, value) in [
            ("5\n", 5),
            ("  -12 apples", -12),
            ("+7", 7),
            ("0x10", 16),
            ("-0X1f", -31),
            ("010", 8),
            ("08", 0),
            ("0x", 0),
            ("", 0),
            ("abc", 0),
            ("- 5", 0),
            ("2147483647", i32::MAX),
            ("-2147483648", i32::MIN),
        ] {
            assert_eq!(number(text.as_bytes()), Ok(value), "{text:?}");
        }
        for text in ["2147483648", "-2147483649", "99999999999999999999999999"] {
            assert_eq!(number(text.as_bytes()), Err(OutOfRange), "{text:?}");
        }
    }

    #[test]
    fn only_the_first_127_bytes_count() {
        let text = " ".repeat(126) + "12";
        assert_eq!(number(text.as_bytes()), Ok(1));
    }

    #[test]
    fn a_missing_file_is_0_and_init_file_writes_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        assert_eq!(read(&path), Ok(0));
        initialise(&path, InitFile { value: -3, overwrite: false }).unwrap();
        assert_eq!(read(&path), Ok(-3));
        initialise(&path, InitFile { value: 4, overwrite: false }).unwrap();
        assert_eq!(read(&path), Ok(-3));
        initialise(&path, InitFile { value: 4, overwrite: true }).unwrap();
        assert_eq!(read(&path), Ok(4));
    }

    #[test]
    fn a_fifo_stops_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(&path), Ok(0));
    }
}
