//! What the kernel tells of nf_tables: handles, and elements, which are the same when they are written and read again.
#![no_main]

use keepalived_rs::addr::Family;
use keepalived_rs::wire::nft::{Question, Request, Table, elements};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let table = Table { family: Family::V4, name: "t".into() };
    for question in [Question::Table(&table), Question::Chain(&table, "in"), Question::Rules(&table, "in")] {
        let _ = question.state(data);
    }
    let Ok(found) = elements(data) else { return };
    for part in found.chunks(Request::MOST_ELEMENTS) {
        let mut bytes = Vec::new();
        Request::NewElements { table: table.clone(), map: "tcp_map", elements: part.into() }.append(&mut bytes, 1, false);
        assert_eq!(elements(&bytes[16..]).expect("our own message"), part);
    }
});
