//! Script lines, commands, suggestions.
#![no_main]

use keepalived_rs::config::words;
use keepalived_rs::diag::Diagnostics;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(found) = words::script(data) {
        let mut end = 0;
        for word in &found {
            assert!(end <= word.range.start && word.range.start < word.range.end && word.range.end <= data.len());
            end = word.range.end;
            let _ = words::command(&word.bytes);
        }
    }
    let _ = words::command(data);
    let text = String::from_utf8_lossy(data);
    let mut words = text.split(' ');
    if let Some(first) = words.next()
        && let Some(near) = Diagnostics::default().suggest(first, words.clone())
    {
        assert!(words.any(|word| word == near));
    }
});
