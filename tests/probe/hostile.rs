//! Servers that dribble, flood, lie, or go away.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use keepalived_rs::check::io::{ReasonKind, Verdict};
use keepalived_rs::model::checker::{Http, HttpVersion, Probe, Udp, Url};
use keepalived_rs::model::lvs::Ssl;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::kit::*;

/// Ends a connection with a RST.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Waits for something to be said.
fn hear(stream: &mut impl Read) {
    assert!(stream.read(&mut [0; 1_024]).unwrap() > 0);
}

fn get(server: SocketAddr) -> Probe {
    http(to(server), url())
}

#[test]
fn a_connection_that_is_reset_is_a_failure() {
    scratch(|| {
        let after_the_request = serve(|mut stream| {
            hear(&mut stream);
            reset(stream);
        });
        assert_eq!(failure(ask(get(after_the_request))), ReasonKind::Reset);
        let within_the_body = serve(|mut stream| {
            hear(&mut stream);
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").unwrap();
            reset(stream);
        });
        // The system tells of the RST before or after what was sent; it is a failure in both cases.
        assert_eq!(failure(ask(get(within_the_body))), ReasonKind::Reset);
        let at_once = serve(reset);
        let kind = failure(ask(smtp(to(at_once))));
        assert!(matches!(kind, ReasonKind::Reset | ReasonKind::Refused), "{kind:?}");
    });
}

#[test]
fn answers_of_no_use_have_their_reasons() {
    scratch(|| {
        assert_eq!(ask(get(answer("HTTP/1.0 200 OK\r\n\r\n"))), Verdict::Pass);
        for (bytes, kind) in [
            ("", ReasonKind::Closed),
            ("HTTP/1.0 200 OK\r\n", ReasonKind::Closed),
            ("HTTP/1.0 503 Service Unavailable\r\n\r\n", ReasonKind::Status),
            ("220 mx.example.com ESMTP\r\n\r\n", ReasonKind::Status),
        ] {
            assert_eq!(failure(ask(get(answer(bytes)))), kind, "{bytes:?}");
        }
        let digest = Url { digest: Some([7; 16]), ..url() };
        assert_eq!(failure(ask(http(to(answer("HTTP/1.0 200 OK\r\n\r\nx")), digest))), ReasonKind::Digest);
    });
}

#[test]
fn a_server_that_floods_is_cut_off() {
    scratch(|| {
        let flood = |begin: &'static str| {
            serve(move |mut stream| {
                let _ = stream.write_all(begin.as_bytes());
                while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
            })
        };
        assert_eq!(failure(ask(get(flood("HTTP/1.0 200 OK\r\n\r\n")))), ReasonKind::TooLong);
        assert_eq!(failure(ask(get(flood("HTTP/1.0 200 OK\r\nX: ")))), ReasonKind::TooLong);
        assert_eq!(failure(ask(smtp(to(flood("220 "))))), ReasonKind::TooLong);
    });
}

#[test]
fn a_server_that_dribbles_is_given_up() {
    scratch(|| {
        let dribble = serve(|mut stream| {
            // A byte well within each timeout.
            while stream.write_all(b"2").is_ok() {
                thread::sleep(BRIEF / 5);
            }
        });
        assert_eq!(failure(ask(http(briefly(dribble), url()))), ReasonKind::Stalled);
        assert_eq!(failure(ask(smtp(briefly(dribble)))), ReasonKind::Stalled);
        let silent = serve(|stream| thread::sleep(PATIENT.min(Duration::from_secs(stream.ttl().unwrap().into()))));
        assert_eq!(failure(ask(http(briefly(silent), url()))), ReasonKind::Timeout);
    });
}

#[test]
fn a_server_that_does_not_speak_tls_is_no_ssl_server() {
    scratch(|| {
        let get = |server| https(to(server), url());
        assert_eq!(failure(ask(get(answer("HTTP/1.0 200 OK\r\n\r\n")))), ReasonKind::Tls);
        assert_eq!(failure(ask(get(answer("")))), ReasonKind::Tls);
        // The beginning of a ServerHello.
        assert_eq!(failure(ask(get(answer([0x16, 3, 3, 0, 0x7a, 2, 0, 0, 0x76, 3, 3])))), ReasonKind::Tls);
        let silent = serve(|mut stream| while stream.read(&mut [0; 1_024]).is_ok_and(|len| len > 0) {});
        assert_eq!(failure(ask(https(briefly(silent), url()))), ReasonKind::Tls);
    });
}

#[test]
fn what_came_over_tls_until_it_broke_off_is_judged() {
    if !has("/usr/bin/openssl") {
        return;
    }
    scratch(|| {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = crate::programs::certificate(directory.path(), "a.example", "rsa:2048");
        let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let answer = move |text: &'static str| {
            let config = config.clone();
            serve(move |stream| {
                let mut stream = rustls::StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
                hear(&mut stream);
                stream.write_all(text.as_bytes()).unwrap();
                // Closed without a word of TLS.
            })
        };
        assert_eq!(ask(https(to(answer("HTTP/1.1 200 OK\r\n\r\nhello")), url())), Verdict::Pass);
        assert_eq!(failure(ask(https(to(answer("HTTP/1.1 200 OK\r\n")), url()))), ReasonKind::Closed);
    });
}

/// Makes an answer: what to turn around in the id, flags, rcode, length.
type Make<'a> = &'a dyn Fn(u8, u8, u8, usize) -> Vec<u8>;

/// D22: answers to DNS_CHECK of every length.
#[test]
fn only_the_answer_to_the_question_counts() {
    scratch(|| {
        let answer = |query: &[u8], id_off: u8, flags: u8, rcode: u8, len: usize| {
            let mut bytes = vec![0; len.max(12)];
            bytes[..2].copy_from_slice(&[query[0], query[1] ^ id_off]);
            bytes[2..4].copy_from_slice(&[flags, rcode]);
            bytes.truncate(len);
            bytes
        };
        let verdict = |answers: fn(Make<'_>) -> Vec<Vec<u8>>| {
            let server = reply(move |query| answers(&|id, flags, rcode, len| answer(query, id, flags, rcode, len)));
            ask(dns(briefly(server), "example.jp."))
        };
        assert_eq!(verdict(|a| vec![a(0, 0x80, 0, 12)]), Verdict::Pass);
        // Longer than what is read of it.
        assert_eq!(verdict(|a| vec![a(0, 0x80, 0, 4_000)]), Verdict::Pass);
        assert_eq!(failure(verdict(|a| vec![a(0, 0x80, 3, 40)])), ReasonKind::Rcode(3));
        // What is no answer does not keep the answer from being heard.
        let after_rubbish: fn(Make<'_>) -> Vec<Vec<u8>> =
            |a| vec![a(1, 0x80, 0, 40), a(0, 0, 0, 40), a(0, 0x80, 0, 11), Vec::new(), a(0, 0x80, 0, 40)];
        assert_eq!(verdict(after_rubbish), Verdict::Pass);
        assert_eq!(failure(verdict(|a| vec![a(1, 0x80, 0, 40)])), ReasonKind::Timeout);
        assert_eq!(failure(verdict(|a| vec![a(0, 0x80, 0, 11)])), ReasonKind::Timeout);
    });
}

#[test]
fn a_name_server_that_floods_with_other_answers_is_given_up_and_holds_up_nobody() {
    scratch(|| {
        let server = reply(|_| vec![vec![0x80; 12]; 20_000]);
        let healthy = serve(drop);
        assert_eq!(failure(ask(dns(briefly(server), "."))), ReasonKind::Timeout);
        assert_eq!(ask(Probe::Tcp(to(healthy))), Verdict::Pass);
    });
}

#[test]
fn a_udp_reply_must_be_the_wanted_one() {
    scratch(|| {
        let echo = reply(|datagram| vec![datagram.to_vec()]);
        let wanted = |reply: &[(u8, u8)]| Probe::Udp(Udp { require_reply: true, reply: reply.into(), ..udp(to(echo)) });
        assert_eq!(ask(wanted(&[])), Verdict::Pass);
        assert_eq!(ask(wanted(&[(b'h', 0xff), (0x60, 0xf0)])), Verdict::Pass);
        assert_eq!(failure(ask(wanted(&[(b'h', 0xff), (b'o', 0xff)]))), ReasonKind::Mismatch);
        let lengths = |range| Probe::Udp(Udp { reply_length: range, ..udp(to(echo)) });
        assert_eq!(ask(lengths(2..=2)), Verdict::Pass);
        assert_eq!(failure(ask(lengths(3..=9))), ReasonKind::Mismatch);
        assert_eq!(failure(ask(lengths(0..=1))), ReasonKind::Mismatch);
    });
}

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// The page's digest is wanted.
fn page() -> Url {
    use md5::Digest as _;
    Url { digest: Some(md5::Md5::digest("hello").into()), ..url() }
}

#[test]
fn an_answer_that_breaks_off_at_any_byte_has_its_reason() {
    scratch(|| {
        let header = PAGE.len() - "hello".len();
        for end in 0..=PAGE.len() {
            let verdict = ask(http(to(answer(&PAGE[..end])), page()));
            if end == PAGE.len() {
                assert_eq!(verdict, Verdict::Pass);
            } else {
                let wanted = if end < header { ReasonKind::Closed } else { ReasonKind::Digest };
                assert_eq!(failure(verdict), wanted, "{:?}", &PAGE[..end]);
            }
        }
        // All that an SMTP server says, without waiting to be asked; then it hears the client out.
        let dialogue = "220 mx\r\n250 mx\r\n221 bye\r\n";
        for end in 0..=dialogue.len() {
            let verdict = ask(smtp(to(serve(move |mut stream| {
                let _ = stream.write_all(&dialogue.as_bytes()[..end]);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                while stream.read(&mut [0; 64]).is_ok_and(|len| len > 0) {}
            }))));
            if end == dialogue.len() {
                assert_eq!(verdict, Verdict::Pass);
            } else {
                assert_eq!(failure(verdict), ReasonKind::Closed, "{:?}", &dialogue[..end]);
            }
        }
    });
}

#[test]
fn headers_and_chunks_without_end_are_cut_off() {
    scratch(|| {
        let endless = |begin: &'static str, again: &'static str| {
            serve(move |mut stream| {
                hear(&mut stream);
                let _ = stream.write_all(begin.as_bytes());
                while stream.write_all(again.repeat(1_000).as_bytes()).is_ok() {}
            })
        };
        let lines = endless("HTTP/1.1 200 OK\r\n", "X: y\r\n");
        assert_eq!(failure(ask(get(lines))), ReasonKind::TooLong);
        let new = |server| match http(to(server), page()) {
            Probe::Http(http) => Probe::Http(Http { version: HttpVersion::V11, ..http }),
            other => other,
        };
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(failure(ask(new(endless(head, "1\r\nx\r\n")))), ReasonKind::TooLong);
        assert_eq!(failure(ask(new(endless(head, "0")))), ReasonKind::Malformed);
        // One chunk that is said to be larger than any memory, and does not come.
        let huge = answer(format!("{head}fffffffffffffff\r\nhello"));
        assert_eq!(failure(ask(new(huge))), ReasonKind::Closed);
        // A length that lies: what came is what is judged.
        let less = answer("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nhello");
        assert_eq!(ask(http(to(less), page())), Verdict::Pass);
    });
}

/// What is packed stays packed: a body that would unpack to any size costs what was sent, and its digest is of that.
#[test]
fn nothing_is_unpacked() {
    use md5::Digest as _;
    scratch(|| {
        // The header of gzip, and the length of four gigabytes at its end.
        let packed = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0; 1_000], &[0xff; 4]].concat();
        let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n";
        let server = answer([&head[..], &packed].concat());
        let wanted = Url { digest: Some(md5::Md5::digest(&packed).into()), ..url() };
        assert_eq!(ask(http(to(server), wanted)), Verdict::Pass);
    });
}

#[test]
fn rubbish_instead_of_tls_is_named() {
    scratch(|| {
        let record = |kind: u8, len: u16, body: &[u8]| [&[kind, 3, 3], &len.to_be_bytes()[..], body].concat();
        for (what, bytes) in [
            ("an alert", record(21, 2, &[2, 40])),
            ("a warning without end", record(21, 2, &[1, 0]).repeat(10_000)),
            ("data before the handshake", record(23, 5, b"hello")),
            ("a record longer than any", record(22, u16::MAX, &[2; 70_000])),
            ("an empty record, again and again", record(22, 0, &[]).repeat(10_000)),
            ("a ServerHello that lies about its length", record(22, 4, &[2, 0xff, 0xff, 0xff]).repeat(20_000)),
            ("noise", (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        ] {
            assert_eq!(failure(ask(https(to(answer(bytes)), url()))), ReasonKind::Tls, "{what}");
        }
    });
}

/// One process asks them all: who floods, dribbles, lies or says nothing takes no other server's time.
#[test]
fn among_hostile_servers_the_others_are_asked_all_the_same() {
    scratch(|| {
        let flood = |begin: &'static str| {
            serve(move |mut stream| {
                thread::spawn(move || {
                    let _ = stream.write_all(begin.as_bytes());
                    while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
                });
            })
        };
        let dribble = serve(|mut stream| {
            thread::spawn(move || {
                while stream.write_all(b"2").is_ok() {
                    thread::sleep(BRIEF / 50);
                }
            });
        });
        let datagrams = reply(|_| vec![vec![0x80; 12]; 1_000]);
        let hostile = [
            get(flood("HTTP/1.0 200 OK\r\n\r\n")),
            get(flood("HTTP/1.0 200 OK\r\nX: ")),
            get(dribble),
            https(to(flood("")), url()),
            https(to(dribble), url()),
            smtp(to(flood("220 "))),
            smtp(to(dribble)),
            dns(to(datagrams), "."),
        ];
        let healthy = [
            http(to(answer(PAGE)), page()),
            smtp(to(serve(|mut stream| {
                let _ = stream.write_all(b"220 mx\r\n250 mx\r\n221 bye\r\n");
                while stream.read(&mut [0; 64]).is_ok_and(|len| len > 0) {}
            }))),
            Probe::Tcp(to(serve(drop))),
        ];
        runtime().block_on(async {
            for probe in hostile {
                tokio::spawn(async move {
                    loop {
                        let _ = question(probe.clone(), &Ssl::default()).await;
                    }
                });
            }
            for probe in healthy.iter().cycle().take(60) {
                assert_eq!(question(probe.clone(), &Ssl::default()).await, Verdict::Pass);
            }
        });
    });
}
