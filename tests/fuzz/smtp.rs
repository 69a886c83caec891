//! SMTP replies: lines are the same however they are cut into pieces, and codes have three digits.
#![no_main]

use keepalived_rs::probe::smtp::{Line, Replies};

fn lines(data: &[u8], size: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut replies, mut lines) = (Replies::default(), Vec::new());
    for piece in data.chunks(size) {
        replies.feed(piece);
        loop {
            match replies.next_line() {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => break,
                Err(_) => return (lines, true),
            }
        }
    }
    (lines, false)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = lines(data, data.len().max(1));
    assert_eq!(lines(data, 3), whole);
    for line in &whole.0 {
        if let Some(line) = Line::parse(line) {
            assert!(line.code <= 999);
        }
    }
});
