//! What a story of virtual servers needs: real servers that come and go, a mail server, and either daemon with a kernel
//! that may have no ip_vs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Deserialize;

use crate::lan::{DEBIAN, Kind, Lan, Router, eventually};

const PYTHON: &str = "/usr/bin/python3";
const SMTP: &str = include_str!("smtp.py");
const NO_IP_VS: &str = include_str!("no_ip_vs.c");
const OPTIONS: [&str; 3] = ["--dont-fork", "--log-console", "--log-detail"];

/// What these stories lack.
pub(crate) fn missing() -> Option<String> {
    if let Some(reason) = crate::setup::missing() {
        return Some(reason);
    }
    let files = [PYTHON, "/usr/lib/python3/dist-packages/aiosmtpd", "/usr/bin/cc"];
    files.iter().find(|file| !std::path::Path::new(file).exists()).map(|file| format!("needs {file}"))
}

/// Says why a story cannot be told and returns from its test; an error where everything is to run (`CI=true`).
macro_rules! needs_lvs {
    () => {
        if let Some(reason) = crate::lvs::kit::missing() {
            crate::setup::skip(&reason);
            return;
        }
    };
}
pub(crate) use needs_lvs;

/// Starts a daemon on host `a`. keepalived ends at once where there is no ip_vs: it is made to believe in one. We say so
/// and go on.
pub(crate) fn start(lan: &Lan, kind: Kind, config: &str) -> Router {
    lan.configure('a', config);
    match kind {
        Kind::Ours => lan.start_again('a', kind),
        Kind::Debian => {
            let preload = format!("LD_PRELOAD={}", believer(lan).display());
            lan.start_program('a', "/usr/bin/env", &[&[&preload, DEBIAN], &OPTIONS[..]].concat())
        }
    }
}

/// Makes the library that pretends there is an ip_vs.
fn believer(lan: &Lan) -> std::path::PathBuf {
    let (source, library) = (lan.home('a').join("tmp/no_ip_vs.c"), lan.home('a').join("tmp/no_ip_vs.so"));
    std::fs::write(&source, NO_IP_VS).expect("the source");
    let mut command = Command::new("/usr/bin/cc");
    let made = command.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(&library).arg(&source).status();
    assert!(made.expect("cc starts").success());
    library
}

/// Starts a mail server on port 25 of host `b`: `friendly`, `greylisting` or `refusing`.
pub(crate) fn mail_server(lan: &Lan, behaviour: &str) -> Router {
    let address = lan.address('b').to_string();
    let server = lan.start_program('b', PYTHON, &["-c", SMTP, behaviour, &address]);
    lan.wait("the mail server listens", |seen| seen.lines('b', "listening").next().map(|_| ()));
    server
}

/// A mail as it came.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mail {
    pub(crate) lines: Vec<String>,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) name: String,
    pub(crate) greeting: String,
}

impl Mail {
    /// Its subject, without the name of the router.
    pub(crate) fn subject(&self) -> &str {
        let line = self.lines.iter().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or("(no subject)");
        line.split_once("] ").map_or(line, |(_, subject)| subject)
    }
}

/// Mails so far, in the order they came.
pub(crate) fn mails(lan: &Lan) -> Vec<Mail> {
    let read = |text: &str| serde_json::from_str(text).expect("the mail server prints JSON");
    lan.seen(|seen| seen.lines('b', "\"greeting\"").map(|line| read(&line.text)).collect())
}

/// A real server; it is down when this is dropped.
pub(crate) struct Server {
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// How long a real server may take to notice that it is to stop.
const NOTICE: Duration = Duration::from_millis(50);

impl Server {
    /// Talks with each client that connects.
    pub(crate) fn tcp(lan: &Lan, host: char, at: &str, talk: fn(&mut TcpStream)) -> Self {
        let listener = lan.within(host, || TcpListener::bind(at).expect("a port of its own"));
        socket2::SockRef::from(&listener).set_read_timeout(Some(NOTICE)).expect("accept may wait so long");
        Self::run(move || {
            if let Ok((mut client, _)) = listener.accept() {
                let _ = client.set_read_timeout(Some(Duration::from_secs(1)));
                talk(&mut client);
            }
        })
    }

    /// Answers each datagram.
    pub(crate) fn udp(lan: &Lan, host: char, at: &str, answer: fn(&[u8]) -> Vec<u8>) -> Self {
        let socket = lan.within(host, || UdpSocket::bind(at).expect("a port of its own"));
        socket.set_read_timeout(Some(NOTICE)).expect("a read may wait so long");
        Self::run(move || {
            let mut space = [0; 1500];
            if let Ok((length, from)) = socket.recv_from(&mut space) {
                let _: Result<_, _> = socket.send_to(&answer(&space[..length]), from as SocketAddr);
            }
        })
    }

    fn run(mut turn: impl FnMut() + Send + 'static) -> Self {
        let stops = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stops);
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                turn();
            }
        });
        Self { stops, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// Closes the connection.
pub(crate) fn silent(_: &mut TcpStream) {}

/// Answers a request for a page.
pub(crate) fn web(client: &mut TcpStream) {
    let mut space = [0; 2000];
    let mut length = 0;
    while !space[..length].ends_with(b"\r\n\r\n") {
        match client.read(&mut space[length..]) {
            Ok(read @ 1..) => length += read,
            _ => return,
        }
    }
    let _ = client.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n");
}

/// Takes mail, or would.
pub(crate) fn mail(client: &mut TcpStream) {
    let mut space = [0; 500];
    for reply in ["220 here\r\n", "250 OK\r\n", "221 bye\r\n"] {
        if client.write_all(reply.as_bytes()).is_err() || !matches!(client.read(&mut space), Ok(1..)) {
            return;
        }
    }
}

/// Sends back what came.
pub(crate) fn echo(datagram: &[u8]) -> Vec<u8> {
    datagram.to_vec()
}

/// Answers a DNS question with an address.
pub(crate) fn dns(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
    // of the name in the question, an A record of class IN for a minute
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    answer
}

/// A link that goes down with its other end, dum1.
pub(crate) fn make_dum0(lan: &Lan) {
    lan.ip_batch('a', "link add dum0 type veth peer name dum1\nlink set dum0 up\nlink set dum1 up\n");
    // The kernel does not say at once that it has a carrier.
    eventually("dum0 is up", || lan.ip('a', "link show dev dum0").contains("state UP"));
}
