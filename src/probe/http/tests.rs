//! HTTP conversations over a pipe, on a clock that stands still until everybody waits.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::time::sleep;

use super::*;
use crate::model::checker::{Connection, Regex};
use crate::model::lvs::Lvs;
use crate::probe::pattern::Patterns;

const SECOND: Duration = Duration::from_secs(1);

fn url() -> Url {
    Url {
        path: "/x?y=%20z".into(),
        virtualhost: None,
        sni: None,
        digest: None,
        status_codes: Vec::new(),
        regex: None,
        tls_compliant: false,
    }
}

fn http(version: HttpVersion, url: Url) -> Http {
    let connection = Connection::within(5 * SECOND);
    Http { connection, tls: false, version, fast_recovery: false, urls: vec![url] }
}

/// The server's side: what it sends, piece by piece, each after so many seconds; then it closes, or stays.
async fn serve(mut stream: DuplexStream, pieces: Vec<(u64, Vec<u8>)>, closes: bool) {
    let mut request = [0; 1_024];
    let _ = stream.read(&mut request).await;
    for (secs, piece) in pieces {
        sleep(Duration::from_secs(secs)).await;
        if stream.write_all(&piece).await.is_err() {
            return;
        }
    }
    if !closes {
        std::future::pending::<()>().await;
    }
}

/// How a conversation ends, and after how many seconds.
async fn outcome(url: &Url, pieces: Vec<(u64, Vec<u8>)>, closes: bool, tls: bool) -> (Result<(), Reason>, u64) {
    let (mut environment, _) = Environment::new(&Lvs::default());
    environment.patterns = Patterns::compile([url].into_iter()).0;
    let (mut ours, theirs) = duplex(1 << 16);
    let server = tokio::spawn(serve(theirs, pieces, closes));
    let began = Instant::now();
    let talk = Talk { request: b"GET / HTTP/1.0\r\n\r\n", timeout: 5 * SECOND, tls, decode_chunks: true };
    let mut judge = Judge::new(url, &environment).unwrap();
    let ended = exchange(&mut ours, &talk, &mut judge).await.and_then(|()| judge.finish());
    server.abort();
    (ended, began.elapsed().as_secs())
}

async fn judged(url: &Url, answer: &[u8]) -> Result<(), (ReasonKind, Arc<str>)> {
    let (ended, secs) = outcome(url, vec![(0, answer.to_vec())], true, false).await;
    assert_eq!(secs, 0);
    ended.map_err(|reason| (reason.kind, reason.detail))
}

fn fail(kind: ReasonKind, detail: &str) -> Result<(), (ReasonKind, Arc<str>)> {
    Err((kind, detail.into()))
}

#[test]
fn requests_are_keepaliveds_to_the_byte() {
    let text = |http: Http, to: &str| String::from_utf8(request(&http, to.parse().unwrap(), &http.urls[0])).unwrap();
    assert_eq!(
        text(http(HttpVersion::V10, Url { path: "/".into(), ..url() }), "10.1.0.1:8002"),
        "GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 10.1.0.1:8002\r\n\r\n"
    );
    assert_eq!(
        text(http(HttpVersion::V11, Url { virtualhost: Some("www.example.com".into()), ..url() }), "10.1.0.1:80"),
        "GET /x?y=%20z HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www.example.com\r\n\r\n"
    );
    assert_eq!(
        text(http(HttpVersion::V10Close, Url { path: "/".into(), ..url() }), "[fd01::1]:8004"),
        "GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: [fd01::1]:8004\r\n\r\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_status_from_200_to_299_is_well_unless_others_are_named() {
    assert_eq!(judged(&url(), b"HTTP/1.1 204 No Content\r\n\r\n").await, Ok(()));
    assert_eq!(judged(&url(), b"HTTP/1.1 302 Found\r\n\r\n").await, fail(ReasonKind::Status, "status 302"));
    let named = Url { status_codes: vec![200..=200, 301..=302], ..url() };
    assert_eq!(judged(&named, b"HTTP/1.1 302 Found\r\n\r\n").await, Ok(()));
    assert_eq!(judged(&named, b"HTTP/1.1 204 x\r\n\r\n").await, fail(ReasonKind::Status, "status 204"));
    assert_eq!(
        judged(&url(), b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await,
        fail(ReasonKind::Status, "no status in 'SSH-2.0-OpenSSH_9.2'")
    );
}

#[tokio::test(start_paused = true)]
async fn the_digest_is_of_the_body_alone() {
    // md5sum of "hello\n"
    let wanted = 0xb1946ac92492d2347c6235b4d2611184_u128.to_be_bytes();
    let url = Url { digest: Some(wanted), ..url() };
    assert_eq!(judged(&url, b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nhello\n").await, Ok(()));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n4\r\nllo\n\r\n0\r\n\r\n";
    assert_eq!(judged(&url, chunked).await, Ok(()));
    assert_eq!(
        judged(&url, b"HTTP/1.0 200 OK\r\n\r\nhello").await,
        fail(ReasonKind::Digest, "digest 5d41402abc4b2a76b9719d911017c592, expected b1946ac92492d2347c6235b4d2611184")
    );
}

#[tokio::test(start_paused = true)]
async fn the_regex_sees_the_body_and_not_the_header() {
    let regex = Regex {
        pattern: Arc::from(&b"nginx"[..]),
        options: Vec::new(),
        no_match: false,
        min_offset: 0,
        max_offset: None,
    };
    let url = Url { regex: Some(regex), ..url() };
    let header_only = b"HTTP/1.0 200 OK\r\nServer: nginx\r\n\r\nwelcome";
    assert_eq!(judged(&url, header_only).await, fail(ReasonKind::Regex, "the body does not match"));
    assert_eq!(judged(&url, b"HTTP/1.0 200 OK\r\n\r\nwelcome to nginx").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_first_thing_that_is_wrong_is_the_reason() {
    let url = Url { digest: Some([0; 16]), ..url() };
    assert_eq!(judged(&url, b"HTTP/1.0 500 Oops\r\n\r\n").await, fail(ReasonKind::Status, "status 500"));
    assert_eq!(judged(&url, b"").await, fail(ReasonKind::Closed, "no data received"));
    assert_eq!(
        judged(&url, b"HTTP/1.0 500 Oops\r\n").await,
        fail(ReasonKind::Closed, "closed after 19 bytes, within the header")
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_fails_after_one_timeout() {
    let (ended, secs) = outcome(&url(), Vec::new(), false, false).await;
    assert_eq!((ended, secs), (Err(reason(ReasonKind::Timeout, "no answer in time")), 5));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_open_after_its_answer_fails() {
    let answer = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec();
    let (ended, secs) = outcome(&url(), vec![(4, answer)], false, false).await;
    assert_eq!((ended.unwrap_err().kind, secs), (ReasonKind::Stalled, 9));
}

#[tokio::test(start_paused = true)]
async fn a_header_that_dribbles_fails_after_two_timeouts() {
    let dribble = b"HTTP/1.0 200 OK\r\nX-Padding: ".iter().map(|&byte| (1, vec![byte])).collect();
    let (ended, secs) = outcome(&url(), dribble, true, false).await;
    assert_eq!(ended, Err(reason(ReasonKind::Stalled, "the header did not end in time, after 9 bytes")));
    assert_eq!(secs, 10);
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_slow_but_not_for_ever() {
    let pieces = |count| {
        let mut pieces = vec![(0, b"HTTP/1.0 200 OK\r\n\r\n".to_vec())];
        pieces.extend((0..count).map(|_| (4, b"x".to_vec())));
        pieces
    };
    assert_eq!(outcome(&url(), pieces(12), true, false).await, (Ok(()), 48));
    let (ended, secs) = outcome(&url(), pieces(100), true, false).await;
    assert_eq!((ended.unwrap_err().kind, secs), (ReasonKind::Stalled, 50));
    // Over TLS all of it has one timeout after the first piece.
    let (ended, secs) = outcome(&url(), pieces(12), true, true).await;
    assert_eq!((ended.unwrap_err().kind, secs), (ReasonKind::Stalled, 5));
}

#[tokio::test(start_paused = true)]
async fn a_flood_fails() {
    let mut pieces = vec![(0, b"HTTP/1.0 200 OK\r\n\r\n".to_vec())];
    pieces.extend((0..17).map(|_| (0, vec![b'x'; 1 << 20])));
    let (ended, _) = outcome(&url(), pieces, false, false).await;
    assert_eq!(ended, Err(reason(ReasonKind::TooLong, "the answer is longer than 16 MiB")));
}
