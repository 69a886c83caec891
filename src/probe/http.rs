//! HTTP_GET and SSL_GET: one request, one answer, judged by status, digest and regex (`lvs.md` §5.4).

pub mod answer;

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Poll, ready};

use md5::{Digest, Md5};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

use crate::check::io::{Reason, ReasonKind, Verdict};
use crate::model::checker::{Http, HttpVersion, Url};
use crate::probe::pattern::Search;
use crate::probe::{Environment, connect, reason, tls};
use crate::time::Duration;

use answer::{Body, Header, Reader, Receiver};

/// Asks for one url.
pub async fn probe(http: &Http, server: SocketAddr, url: usize, environment: &Environment) -> Verdict {
    ask(http, server, url, environment).await.map_or_else(|verdict| verdict, |()| Verdict::Pass)
}

async fn ask(http: &Http, server: SocketAddr, url: usize, environment: &Environment) -> Result<(), Verdict> {
    let no_url = || Verdict::Local(reason(ReasonKind::Local, "no such url"));
    let url = http.urls.get(url).ok_or_else(no_url)?;
    let mut judge = Judge::new(url, environment).map_err(Verdict::Local)?;
    fetch(http, server, url, || environment.tls(), &mut judge).await?;
    judge.finish().map_err(Verdict::Fail)
}

/// Connects, asks, and hands the answer on. The server is asked at `server` where nothing else is said.
pub async fn fetch<'a, R: Receiver>(
    http: &Http,
    server: SocketAddr,
    url: &Url,
    client: impl FnOnce() -> Result<&'a tls::Client, Verdict>,
    receiver: &mut R,
) -> Result<(), Verdict> {
    let to = http.connection.contact(server);
    let wait = http.connection.timeout;
    let deadline = Instant::now() + wait;
    let decode_chunks = http.version == HttpVersion::V11;
    let request = request(http, to.target, url);
    let talk = Talk { request: &request, timeout: wait, tls: http.tls, decode_chunks };
    let mut stream = connect::tcp(to, deadline).await?;
    if !http.tls {
        return exchange(&mut stream, &talk, receiver).await.map_err(Verdict::Fail);
    }
    let agreed = client()?.connect(stream, url.sni.as_deref(), to.target.ip(), deadline).await;
    let mut stream = agreed.map_err(Verdict::Fail)?;
    let ended = exchange(&mut stream, &talk, receiver).await;
    if url.tls_compliant {
        // The verdict stands, whether the server hears our last word or not.
        let _ = timeout(wait, stream.shutdown()).await;
    }
    ended.map_err(Verdict::Fail)
}

/// The request, byte for byte as keepalived's.
pub fn request(http: &Http, target: SocketAddr, url: &Url) -> Vec<u8> {
    let mut text = Vec::with_capacity(128);
    let mut put = |part: &str| text.extend_from_slice(part.as_bytes());
    put("GET ");
    put(&url.path);
    put(if http.version == HttpVersion::V11 { " HTTP/1.1\r\n" } else { " HTTP/1.0\r\n" });
    put("User-Agent: KeepAliveClient\r\n");
    if http.version != HttpVersion::V10 {
        put("Connection: close\r\n");
    }
    put("Host: ");
    match &url.virtualhost {
        Some(name) => put(name),
        None => put(&target.to_string()),
    }
    put("\r\n\r\n");
    text
}

/// What is said, and how long an answer may take.
#[derive(Clone, Copy, Debug)]
pub struct Talk<'a> {
    /// The whole request.
    pub request: &'a [u8],
    /// `connect_timeout`
    pub timeout: Duration,
    /// The stream is TLS: it has stricter times, and may end in an error.
    pub tls: bool,
    /// The request is HTTP/1.1.
    pub decode_chunks: bool,
}

/// Sends the request, then reads until the server closes.
// keepalived: only its closing ends an answer, whatever the header says.
pub async fn exchange<S>(stream: &mut S, talk: &Talk<'_>, to: &mut impl Receiver) -> Result<(), Reason>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut patience = Patience::new(talk);
    let sent = async {
        stream.write_all(talk.request).await?;
        stream.flush().await
    };
    match timeout_at(patience.until, sent).await {
        Err(_) => return Err(reason(ReasonKind::Write, "the request could not be sent in time")),
        Ok(Err(error)) => return Err(connect::broken("write", &error)),
        Ok(Ok(())) => {}
    }
    let mut reader = Reader::new(talk.decode_chunks);
    loop {
        match timeout_at(patience.until, piece(stream, &mut reader, to)).await {
            Err(_) => return Err(patience.is_over(&reader)),
            Ok(Ok(More::No)) => return reader.finish(),
            Ok(Ok(More::Yes)) => patience.renew(&reader),
            Ok(Err(Broken::Answer(reason))) => return Err(reason),
            // keepalived: over TLS, what has come until then is judged.
            Ok(Err(Broken::Stream(_))) if talk.tls && reader.received() > 0 => return reader.finish(),
            Ok(Err(Broken::Stream(error))) if talk.tls => {
                return Err(reason(ReasonKind::Tls, format_args!("read: {}", connect::text(&error))));
            }
            Ok(Err(Broken::Stream(error))) => return Err(connect::broken("read", &error)),
        }
    }
}

enum More {
    Yes,
    No,
}

enum Broken {
    Stream(io::Error),
    Answer(Reason),
}

/// So much is read at a time.
const PIECE: usize = 16 << 10;

/// Reads once. The buffer is on the stack of that one poll: a probe that waits holds none.
async fn piece<S>(stream: &mut S, reader: &mut Reader, to: &mut impl Receiver) -> Result<More, Broken>
where
    S: AsyncRead + Unpin,
{
    poll_fn(|context| {
        let mut space = [const { MaybeUninit::uninit() }; PIECE];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer)).map_err(Broken::Stream)?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(More::No));
        }
        Poll::Ready(reader.feed(buffer.filled(), to).map(|()| More::Yes).map_err(Broken::Answer))
    })
    .await
}

/// How long a server may take: for each piece, and in all.
#[derive(Debug)]
struct Patience {
    each: Duration,
    tls: bool,
    until: Instant,
    header_until: Instant,
    all_until: Instant,
    began: bool,
}

/// So many `connect_timeout`s after the request, the header must be whole.
const FOR_HEADER: u32 = 2;
/// And the answer.
const FOR_ALL: u32 = 10;

impl Patience {
    fn new(talk: &Talk<'_>) -> Self {
        let now = Instant::now();
        let each = talk.timeout;
        let after = |times| now + each.saturating_mul(times);
        Self {
            each,
            tls: talk.tls,
            until: after(1),
            header_until: after(FOR_HEADER),
            all_until: after(FOR_ALL),
            began: false,
        }
    }

    /// Something has come. Over TLS the rest has one `connect_timeout` more; else each piece has its own, within limits
    /// that a server that dribbles cannot move.
    fn renew(&mut self, reader: &Reader) {
        let began = std::mem::replace(&mut self.began, true);
        if self.tls && began {
            return;
        }
        let limit = if reader.has_header() { self.all_until } else { self.header_until };
        self.until = (Instant::now() + self.each).min(limit);
    }

    fn is_over(&self, reader: &Reader) -> Reason {
        let stalled = |what: &str| {
            let text = format_args!("{what} did not end in time, after {} bytes", reader.received());
            reason(ReasonKind::Stalled, text)
        };
        match (reader.received(), reader.has_header()) {
            (0, _) => reason(ReasonKind::Timeout, "no answer in time"),
            (_, false) => stalled("the header"),
            (_, true) => stalled("the answer"),
        }
    }
}

/// Judges an answer: status, then digest, then regex.
#[derive(Debug)]
pub struct Judge<'a> {
    url: &'a Url,
    digest: Option<(Md5, [u8; 16])>,
    search: Option<Search<'a>>,
}

impl<'a> Judge<'a> {
    /// Of an answer to this url.
    pub fn new(url: &'a Url, environment: &'a Environment) -> Result<Self, Reason> {
        let search = url.regex.as_ref().map(|regex| environment.patterns.search(regex)).transpose()?;
        Ok(Self { url, digest: url.digest.map(|wanted| (Md5::new(), wanted)), search })
    }

    /// The answer has ended.
    pub fn finish(self) -> Result<(), Reason> {
        if let Some((digest, wanted)) = self.digest {
            let found: [u8; 16] = digest.finalize().into();
            if found != wanted {
                let text = format_args!("digest {}, expected {}", hex(&found), hex(&wanted));
                return Err(reason(ReasonKind::Digest, text));
            }
        }
        self.search.map_or(Ok(()), Search::finish)
    }

    fn is_wanted(&self, status: u16) -> bool {
        match &self.url.status_codes[..] {
            [] => (200..300).contains(&status),
            codes => codes.iter().any(|range| range.contains(&status)),
        }
    }
}

impl Receiver for Judge<'_> {
    fn header(&mut self, header: Header<'_>) -> Result<Body, Reason> {
        match header.status() {
            Some(status) if self.is_wanted(status) => {}
            Some(status) => return Err(reason(ReasonKind::Status, format_args!("status {status}"))),
            None => {
                let text = format_args!("no status in '{}'", header.first_line());
                return Err(reason(ReasonKind::Status, text));
            }
        }
        Ok(if self.digest.is_some() || self.search.is_some() { Body::Wanted } else { Body::Ignored })
    }

    fn body(&mut self, piece: &[u8]) {
        if let Some((digest, _)) = &mut self.digest {
            digest.update(piece);
        }
        if let Some(search) = &mut self.search {
            search.feed(piece);
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "http/tests.rs"]
mod tests;
