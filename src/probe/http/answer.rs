//! An HTTP answer as bytes that come in pieces: header, then body, without any input or output.

use crate::check::io::{Reason, ReasonKind};
use crate::probe::reason;

/// A longer header is not read.
pub const MAX_HEADER: usize = 64 << 10;
/// Nor a longer answer.
pub const MAX_ANSWER: u64 = 16 << 20;
/// Longest line that says how long a chunk is; what follows the number is an extension.
const MAX_CHUNK_LINE: usize = 1 << 10;

/// Who wants to know what is in an answer. An error ends the reading.
pub trait Receiver {
    /// The header, to the empty line at its end.
    fn header(&mut self, header: Header<'_>) -> Result<Body, Reason>;
    /// The next piece of the body.
    fn body(&mut self, piece: &[u8]);
}

/// What is to be done with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It is only read.
    Ignored,
    /// [`Receiver::body`] gets it: as long as the header says and, in HTTP/1.1, without the frames of chunks.
    Wanted,
}

/// A whole header.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(pub &'a [u8]);

impl<'a> Header<'a> {
    /// The status: three digits and a blank after the first blank.
    // keepalived: the version before it is not looked at, and a blank has to follow.
    pub fn status(&self) -> Option<u16> {
        let at = self.0.iter().position(|&byte| byte == b' ')?;
        match self.0.get(at + 1..at + 5)? {
            [digits @ .., b' '] if digits.iter().all(u8::is_ascii_digit) => {
                Some(digits.iter().fold(0, |all, digit| all * 10 + u16::from(digit - b'0')))
            }
            _ => None,
        }
    }

    /// The first line, for people.
    pub fn first_line(&self) -> String {
        let end = self.0.iter().position(|&byte| byte == b'\r').unwrap_or(self.0.len());
        String::from_utf8_lossy(&self.0[..end.min(80)]).into_owned()
    }

    /// The value of the first field of a name, without blanks around it.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.0.split(|&byte| byte == b'\n').skip(1).find_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let matches = line[..colon].trim_ascii().eq_ignore_ascii_case(name.as_bytes());
            matches.then(|| line[colon + 1..].trim_ascii())
        })
    }

    fn is_chunked(&self) -> bool {
        let codings = self.field("Transfer-Encoding").unwrap_or_default();
        let last = codings.rsplit(|&byte| byte == b',').next().unwrap_or_default();
        last.trim_ascii().eq_ignore_ascii_case(b"chunked")
    }

    /// keepalived: what is no number counts as absent.
    fn content_length(&self) -> Option<u64> {
        let value = self.field("Content-Length").filter(|value| value.iter().all(u8::is_ascii_digit))?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }
}

/// Reads an answer.
#[derive(Debug)]
pub struct Reader {
    /// Bytes of a header that is not whole yet.
    header: Vec<u8>,
    framing: Option<Framing>,
    received: u64,
    decode_chunks: bool,
}

#[derive(Debug)]
enum Framing {
    Ignored,
    ToTheEnd,
    /// So many bytes more; what follows them is nothing to us.
    Length(u64),
    Chunked(Chunk),
}

/// Where in a chunked body we are.
#[derive(Debug)]
enum Chunk {
    /// In the line with its size.
    Size(Vec<u8>),
    /// So many bytes more, then the line's end.
    Content(u64),
    /// After the last.
    Last,
}

const END: &[u8] = b"\r\n\r\n";

impl Reader {
    /// Before the first byte. Chunks are something of HTTP/1.1.
    pub fn new(decode_chunks: bool) -> Self {
        Self { header: Vec::new(), framing: None, received: 0, decode_chunks }
    }

    /// Whether the header is whole.
    pub fn has_header(&self) -> bool {
        self.framing.is_some()
    }

    /// Bytes that have come.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8], to: &mut impl Receiver) -> Result<(), Reason> {
        self.received = self.received.saturating_add(bytes.len() as u64);
        if self.received > MAX_ANSWER {
            let text = format_args!("the answer is longer than {} MiB", MAX_ANSWER >> 20);
            return Err(reason(ReasonKind::TooLong, text));
        }
        match &mut self.framing {
            Some(framing) => framing.feed(bytes, to),
            None => self.feed_header(bytes, to),
        }
    }

    fn feed_header(&mut self, bytes: &[u8], to: &mut impl Receiver) -> Result<(), Reason> {
        // Usually it comes in one piece and needs no copy.
        if self.header.is_empty()
            && let Some(end) = end_of_header(bytes, 0)
        {
            return self.begin_body(&bytes[..end], &bytes[end..], to);
        }
        let seen = self.header.len().saturating_sub(END.len() - 1);
        self.header.extend_from_slice(bytes);
        match end_of_header(&self.header, seen) {
            Some(end) => {
                let held = std::mem::take(&mut self.header);
                self.begin_body(&held[..end], &held[end..], to)
            }
            None if self.header.len() > MAX_HEADER => Err(too_long_header()),
            None => Ok(()),
        }
    }

    fn begin_body(&mut self, header: &[u8], rest: &[u8], to: &mut impl Receiver) -> Result<(), Reason> {
        if header.len() > MAX_HEADER {
            return Err(too_long_header());
        }
        let header = Header(header);
        let framing = match to.header(header)? {
            Body::Ignored => Framing::Ignored,
            Body::Wanted if self.decode_chunks && header.is_chunked() => Framing::Chunked(Chunk::Size(Vec::new())),
            Body::Wanted => header.content_length().map_or(Framing::ToTheEnd, Framing::Length),
        };
        self.framing.insert(framing).feed(rest, to)
    }

    /// The server has closed its end.
    pub fn finish(&self) -> Result<(), Reason> {
        match &self.framing {
            None if self.received == 0 => Err(reason(ReasonKind::Closed, "no data received")),
            None => {
                let text = format_args!("closed after {} bytes, within the header", self.received);
                Err(reason(ReasonKind::Closed, text))
            }
            Some(Framing::Chunked(Chunk::Size(_) | Chunk::Content(_))) => {
                Err(reason(ReasonKind::Closed, "closed before the last chunk"))
            }
            // keepalived: a body shorter than its Content-Length is judged as it is.
            Some(_) => Ok(()),
        }
    }
}

fn end_of_header(bytes: &[u8], from: usize) -> Option<usize> {
    bytes[from..].windows(END.len()).position(|four| four == END).map(|at| from + at + END.len())
}

fn too_long_header() -> Reason {
    reason(ReasonKind::TooLong, format_args!("the header is longer than {} KiB", MAX_HEADER >> 10))
}

impl Framing {
    fn feed(&mut self, bytes: &[u8], to: &mut impl Receiver) -> Result<(), Reason> {
        match self {
            Self::Ignored => {}
            Self::ToTheEnd => to.body(bytes),
            Self::Length(left) => to.body(take(&mut &*bytes, left)),
            Self::Chunked(chunk) => return chunk.feed(bytes, to),
        }
        Ok(())
    }
}

/// Cuts off the front of `bytes` what belongs to something that has `left` bytes to come.
fn take<'a>(bytes: &mut &'a [u8], left: &mut u64) -> &'a [u8] {
    let len = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    let (piece, rest) = bytes.split_at(len);
    *bytes = rest;
    *left -= len as u64;
    piece
}

impl Chunk {
    fn feed(&mut self, mut bytes: &[u8], to: &mut impl Receiver) -> Result<(), Reason> {
        while !bytes.is_empty() {
            match self {
                Self::Size(line) => {
                    let end = bytes.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
                    let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    line.extend_from_slice(piece);
                    bytes = rest;
                    if line.len() > MAX_CHUNK_LINE {
                        return Err(bad_chunk());
                    }
                    if end.is_some() {
                        *self = Self::sized(line)?;
                    }
                }
                Self::Content(left) => {
                    to.body(take(&mut bytes, left));
                    if *left == 0 {
                        *self = Self::Size(Vec::new());
                    }
                }
                Self::Last => return Ok(()),
            }
        }
        Ok(())
    }

    /// What a whole line begins. Before each but the first there is the end of the content before it.
    fn sized(line: &[u8]) -> Result<Self, Reason> {
        match httparse::parse_chunk_size(line) {
            _ if line == b"\r\n" => Ok(Self::Size(Vec::new())),
            Ok(httparse::Status::Complete((_, 0))) => Ok(Self::Last),
            Ok(httparse::Status::Complete((_, len))) => Ok(Self::Content(len)),
            _ => Err(bad_chunk()),
        }
    }
}

fn bad_chunk() -> Reason {
    reason(ReasonKind::Malformed, "the body is said to be chunked, and is not")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Page {
        status: Option<u16>,
        body: Vec<u8>,
    }

    impl Receiver for Page {
        fn header(&mut self, header: Header<'_>) -> Result<Body, Reason> {
            self.status = header.status();
            Ok(Body::Wanted)
        }

        fn body(&mut self, piece: &[u8]) {
            self.body.extend_from_slice(piece);
        }
    }

    fn read(pieces: &[&[u8]]) -> Result<Page, ReasonKind> {
        let (mut reader, mut page) = (Reader::new(true), Page::default());
        let fed = pieces.iter().try_for_each(|piece| reader.feed(piece, &mut page));
        fed.and_then(|()| reader.finish()).map(|()| page).map_err(|reason| reason.kind)
    }

    #[test]
    fn the_status_is_three_digits_between_blanks_whatever_the_version() {
        let status = |text: &str| Header(text.as_bytes()).status();
        assert_eq!(status("HTTP/1.1 200 OK\r\n\r\n"), Some(200));
        assert_eq!(status("ICY 404 x\r\n\r\n"), Some(404));
        for bad in ["HTTP/1.1 200\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "x\r\n\r\n", ""] {
            assert_eq!(status(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn fields_are_found_whatever_their_case() {
        let header = Header(b"HTTP/1.1 200 OK\r\nA: b\r\ncontent-LENGTH:  12 \r\nX: Content-Length: 9\r\n\r\n");
        assert_eq!(header.content_length(), Some(12));
        assert_eq!(header.field("x"), Some(&b"Content-Length: 9"[..]));
        assert_eq!(Header(b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n").content_length(), None);
    }

    #[test]
    fn content_length_cuts_the_body_and_a_shorter_one_is_judged_as_it_is() {
        let page = read(&[b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody and more"]).unwrap();
        assert_eq!((page.status, &page.body[..]), (Some(200), &b"body"[..]));
        let page = read(&[b"HTTP/1.0 200 OK\r\nContent-Length: 40\r\n\r\nbody"]).unwrap();
        assert_eq!(page.body, b"body");
    }

    #[test]
    fn chunks_are_put_together() {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n".as_slice();
        let page = read(&[head, b"4;x=y\r\nbo", b"dy\r", b"\n00A\r\n and more.\r\n0\r\nTrailer: 1\r\n\r\n"]).unwrap();
        assert_eq!(page.body, b"body and more.");
        assert_eq!(read(&[head, b"4\r\nbody\r\n"]).err(), Some(ReasonKind::Closed));
        assert_eq!(read(&[head, b"body"]).err(), Some(ReasonKind::Closed));
        assert_eq!(read(&[head, b"body\r\n"]).err(), Some(ReasonKind::Malformed));
        assert_eq!(read(&[head, b"fffffffffffffffff\r\n"]).err(), Some(ReasonKind::Malformed));
        assert_eq!(read(&[head, &[b'0'; 2_000]]).err(), Some(ReasonKind::Malformed));
    }

    #[test]
    fn an_answer_without_a_whole_header_is_none() {
        assert_eq!(read(&[]).err(), Some(ReasonKind::Closed));
        assert_eq!(read(&[b"HTTP/1.0 200 OK\r\n"]).err(), Some(ReasonKind::Closed));
    }

    #[test]
    fn header_and_answer_have_a_longest_length() {
        let line = [b'x'; 1_024];
        assert_eq!(read(&vec![&line[..]; 65]).err(), Some(ReasonKind::TooLong));
        let long = [b"HTTP/1.0 200 OK\r\nX: ".as_slice(), &[b'x'; MAX_HEADER], b"\r\n\r\n"].concat();
        assert_eq!(read(&[&long]).err(), Some(ReasonKind::TooLong));
        let mut reader = Reader::new(false);
        let mut page = Page::default();
        reader.feed(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", &mut page).unwrap();
        let flood = vec![0; 1 << 20];
        let ended = (0..20).find_map(|_| reader.feed(&flood, &mut page).err());
        assert_eq!(ended.map(|reason| reason.kind), Some(ReasonKind::TooLong));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_an_answer_is_cut(
            body in "[a-z\r\n0-9;]{0,60}",
            chunked in any::<bool>(),
            cuts in proptest::collection::vec(0_usize..120, 0..6),
        ) {
            let head = if chunked { "Transfer-Encoding: chunked" } else { "Content-Length: 30" };
            let text = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
            let whole = read(&[text.as_bytes()]).map(|page| page.body);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|two| &text.as_bytes()[two[0]..two[1]]).collect();
            prop_assert_eq!(read(&pieces).map(|page| page.body), whole);
        }
    }
}
