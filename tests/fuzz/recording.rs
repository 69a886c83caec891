//! What the parent hands to its children: any bytes, and the way there and back.
#![no_main]

use keepalived_rs::config::recording::Recording;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(recording) = Recording::from_bytes(data) {
        let again = Recording::from_bytes(&recording.append_to(Vec::new())).expect("a recording can be read");
        assert_eq!(again, recording);
    }
});
