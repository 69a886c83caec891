//! Namespaces, servers and questions.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use keepalived_rs::check::io::{ReasonKind, Verdict};
use keepalived_rs::model::checker::{Checker, Connection, Dns, Http, HttpVersion, Probe, Schedule, Smtp, Udp, Url};
use keepalived_rs::model::lvs::Ssl;
use keepalived_rs::probe::{self, Environment};
use nix::sched::{CloneFlags, unshare};

/// How long a server may take to begin; more counts as never.
const LIMIT: Duration = Duration::from_secs(20);
/// A timeout that is not meant to pass.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);
/// A timeout that is meant to.
pub(crate) const BRIEF: Duration = Duration::from_millis(150);

/// Runs a test in a network namespace of its own.
pub(crate) fn scratch(test: impl FnOnce() + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        return skip("needs root for network namespaces");
    }
    let inside = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a new network namespace");
        run("ip link set lo up");
        test();
    });
    if let Err(panic) = inside.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Says why a test does not run; with CI=true that is a failure.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
    eprintln!("skipped: {why}");
    if let Some(path) = std::env::var_os("TEST_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{why}")).unwrap();
    }
}

/// Whether a program is there; its package is among those of tests/run.
pub(crate) fn has(program: &str) -> bool {
    let there = Path::new(program).exists();
    if !there {
        skip(&format!("there is no {program}"));
    }
    there
}

/// Runs a command and gives its output.
pub(crate) fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A program that ends with the test.
pub(crate) struct Program(Child);

impl Program {
    /// Starts it and waits until something listens at `at`.
    pub(crate) fn start(command: &mut Command, at: SocketAddr) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let program = Self(child);
        let begin = Instant::now();
        while TcpStream::connect(at).is_err() {
            assert!(begin.elapsed() < LIMIT, "{command:?} does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A TCP server: each connection is handed to `talk`.
pub(crate) fn serve(talk: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(talk));
    address
}

/// A TCP server that hears something, sends these bytes, and closes.
pub(crate) fn answer(bytes: impl Into<Vec<u8>>) -> SocketAddr {
    let bytes = bytes.into();
    serve(move |mut stream| {
        let _ = stream.read(&mut [0; 1_024]);
        let _ = stream.write_all(&bytes);
    })
}

/// A UDP server: what it sends for each datagram.
pub(crate) fn reply(answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut space = [0; 2_048];
        while let Ok((len, from)) = socket.recv_from(&mut space) {
            for datagram in answers(&space[..len]) {
                let _ = socket.send_to(&datagram, from);
            }
        }
    });
    address
}

/// A TCP and UDP port of this namespace where nobody listens.
pub(crate) fn closed_port() -> SocketAddr {
    "127.0.0.1:9".parse().unwrap()
}

pub(crate) fn to(target: SocketAddr) -> Connection {
    let (connect_ip, connect_port) = (Some(target.ip()), Some(target.port()));
    Connection { connect_ip, connect_port, ..Connection::within(PATIENT) }
}

/// The same, in a hurry.
pub(crate) fn briefly(target: SocketAddr) -> Connection {
    Connection { timeout: BRIEF, ..to(target) }
}

pub(crate) fn url() -> Url {
    Url {
        path: "/".into(),
        virtualhost: None,
        sni: None,
        digest: None,
        status_codes: Vec::new(),
        regex: None,
        tls_compliant: false,
    }
}

pub(crate) fn http(connection: Connection, url: Url) -> Probe {
    let version = HttpVersion::default();
    Probe::Http(Http { connection, tls: false, version, fast_recovery: false, urls: vec![url] })
}

pub(crate) fn https(connection: Connection, url: Url) -> Probe {
    let version = HttpVersion::V11;
    Probe::Http(Http { connection, tls: true, version, fast_recovery: false, urls: vec![url] })
}

pub(crate) fn smtp(connection: Connection) -> Probe {
    Probe::Smtp(Smtp { connection, helo_name: "lb1.example.com".into() })
}

pub(crate) fn dns(connection: Connection, name: &str) -> Probe {
    Probe::Dns(Dns { connection, record_type: 1, name: name.into() })
}

pub(crate) fn udp(connection: Connection) -> Udp {
    Udp { connection, payload: (*b"hi").into(), require_reply: false, reply: [].into(), reply_length: 0..=255 }
}

/// Asks once.
pub(crate) fn ask(probe: Probe) -> Verdict {
    ask_with(probe, &Ssl::default())
}

/// Asks once, with a certificate of our own.
pub(crate) fn ask_with(probe: Probe, ssl: &Ssl) -> Verdict {
    runtime().block_on(question(probe, ssl))
}

/// A question, to be asked along with others.
pub(crate) fn question(probe: Probe, ssl: &Ssl) -> impl Future<Output = Verdict> + use<> {
    let schedule = Schedule { delay_loop: PATIENT, retry: 0, delay_before_retry: PATIENT, warmup: Duration::ZERO };
    let checker = Arc::new(Checker { probe, schedule, alpha: false, log_all_failures: false });
    let (environment, complaints) = Environment::of([&*checker].into_iter(), ssl);
    assert_eq!(complaints, [""; 0]);
    // Each connection says itself whom it asks.
    probe::run(checker, closed_port(), 0, Arc::new(environment))
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The kind of a failure.
#[track_caller]
pub(crate) fn failure(verdict: Verdict) -> ReasonKind {
    match verdict {
        Verdict::Fail(reason) => reason.kind,
        other => panic!("no failure: {other:?}"),
    }
}
