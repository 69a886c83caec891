//! HTTP answers: however they are cut into pieces, the same comes out, and never more than was sent.
#![no_main]

use keepalived_rs::check::io::Reason;
use keepalived_rs::probe::http::answer::{Body, Header, Reader, Receiver};

#[derive(Default, PartialEq, Debug)]
struct Page {
    status: Option<u16>,
    body: Vec<u8>,
}

impl Receiver for Page {
    fn header(&mut self, header: Header<'_>) -> Result<Body, Reason> {
        self.status = header.status();
        assert!(header.first_line().len() <= 3 * 80);
        Ok(Body::Wanted)
    }

    fn body(&mut self, piece: &[u8]) {
        self.body.extend_from_slice(piece);
    }
}

fn read(data: &[u8], decode_chunks: bool, size: usize) -> Result<Page, Reason> {
    let (mut reader, mut page) = (Reader::new(decode_chunks), Page::default());
    data.chunks(size).try_for_each(|piece| reader.feed(piece, &mut page))?;
    reader.finish().map(|()| page)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [first, data @ ..] = data else { return };
    let decode_chunks = first & 1 == 1;
    let whole = read(data, decode_chunks, data.len().max(1));
    if let Ok(page) = &whole {
        assert!(page.body.len() <= data.len());
    }
    assert_eq!(read(data, decode_chunks, usize::from(first >> 1) % 7 + 1), whole);
});
