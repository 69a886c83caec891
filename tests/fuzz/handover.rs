//! What the parent hands to its children, with any of its bytes changed: a place (two bytes) and a byte each.
#![no_main]

use std::sync::OnceLock;

use keepalived_rs::config::machine::FakeMachine;
use keepalived_rs::config::source::Memory;
use keepalived_rs::config::{self, LoadOptions};
use keepalived_rs::model::handover;

const TEXT: &str = concat!(include_str!("../../conf/keepalived.conf"), include_str!("../../conf/lvs-web.conf"));
static GOOD: OnceLock<Vec<u8>> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut bytes = GOOD.get_or_init(good).clone();
    for change in data.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % bytes.len();
        bytes[place] = change[2];
    }
    let _ = handover::common_from_bytes(&bytes);
    if let Ok(config) = handover::from_bytes(&bytes) {
        let again = handover::to_bytes(&config).expect("everything can be handed over");
        assert_eq!(handover::from_bytes(&again), Ok(config));
    }
});

fn good() -> Vec<u8> {
    let machine = FakeMachine { every_link_exists: true, ..FakeMachine::default() };
    let mut files = Memory::of("/main.conf", TEXT);
    let options = LoadOptions { working_directory: "/".into(), ..LoadOptions::default() };
    let loaded = config::load(&mut files, "main.conf", &options, &machine);
    handover::to_bytes(&loaded.config).expect("everything can be handed over")
}
