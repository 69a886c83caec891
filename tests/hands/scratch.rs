//! Network namespaces that last as long as a test: no name, nothing to clean up.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use keepalived_rs::sys::links;
use nix::sched::{CloneFlags, setns, unshare};
use socket2::{Domain, Protocol, Socket, Type};

/// How long anything here may take before it counts as never.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// Runs a test in a network namespace of its own.
pub(crate) fn scratch(test: impl FnOnce() + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "needs root for network namespaces");
        eprintln!("skipped: needs root for network namespaces");
        return;
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

/// Runs a command and gives its output.
pub(crate) fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `ip -j -d addr show dev LINK`, the addresses only.
pub(crate) fn addresses(link: &str) -> Vec<serde_json::Value> {
    let text = run(&format!("ip -j -d addr show dev {link}"));
    let links: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    links.iter().filter_map(|link| link["addr_info"].as_array().cloned()).flatten().collect()
}

/// Another namespace at the far end of a cable.
pub(crate) struct Peer {
    namespace: File,
}

impl Peer {
    /// Lays a cable: `near` is here, `b0` is there, both are up.
    pub(crate) fn on(near: &str, mac: &str) -> Self {
        let there = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let peer = Self { namespace: there.join().unwrap() };
        let path = format!("/proc/{}/fd/{}", std::process::id(), peer.namespace.as_raw_fd());
        run(&format!("ip link add dev {near} address {mac} type veth peer name b0 netns {path}"));
        peer.run(|| run("ip link set b0 up"));
        run(&format!("ip link set {near} up"));
        // Before a link runs it drops what is sent.
        eventually(|| runs(near) && peer.run(|| runs("b0")));
        peer
    }

    /// Does something there.
    pub(crate) fn run<R: Send>(&self, there: impl FnOnce() -> R + Send) -> R {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.namespace, CloneFlags::CLONE_NEWNET).unwrap();
                there()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Begins to record the frames that come there.
    pub(crate) fn capture(&self) -> Capture {
        self.run(|| {
            const ETH_P_ALL: u16 = 3;
            let all = Protocol::from(i32::from(ETH_P_ALL.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(all)).unwrap();
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            socket.set_recv_buffer_size(4 << 20).unwrap();
            Capture(socket)
        })
    }
}

fn runs(name: &str) -> bool {
    links::snapshot().unwrap().links.iter().any(|link| link.name.as_str() == name && link.up)
}

/// Waits until something is so.
fn eventually(is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LIMIT, "it never came to be");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Frames as they came.
pub(crate) struct Capture(Socket);

impl Capture {
    /// The next frame of an Ethernet protocol that `wanted` wants; waits for it.
    pub(crate) fn next(&mut self, protocol: u16, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut buffer = [0; 2048];
        loop {
            let length = self.0.read(&mut buffer).expect("no such frame came");
            let frame = &buffer[..length];
            if frame.get(12..14) == Some(&protocol.to_be_bytes()) && wanted(frame) {
                return frame.to_vec();
            }
        }
    }
}

/// Bytes of a hex text; blanks do not count.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}
