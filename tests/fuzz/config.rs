//! The whole way from text to model.
#![no_main]

use keepalived_rs::config::machine::FakeMachine;
use keepalived_rs::config::source::Memory;
use keepalived_rs::config::{self, LoadOptions};
use keepalived_rs::diag::render::{self, Style};
use keepalived_rs::model::handover;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut files = Memory::of("/main.conf", data);
    let machine = FakeMachine { every_link_exists: true, ..FakeMachine::default() };
    for config_test in [false, true] {
        let options = LoadOptions { config_test, working_directory: "/".into(), ..LoadOptions::default() };
        let loaded = config::load(&mut files, "main.conf", &options, &machine);
        let _ = render::all(&loaded.diagnostics, &loaded.sources, Style::default());
        let _ = (loaded.diagnostics.config_test_status(), loaded.diagnostics.start_status());
        // A child takes what its parent has read.
        let bytes = handover::to_bytes(&loaded.config).expect("everything can be handed over");
        assert_eq!(handover::from_bytes(&bytes), Ok(loaded.config));
    }
});
