//! Web servers and their clients for the scenes in the virtual machine, where a process takes seconds to start.
//!
//! `serve ADDRESS NAME` answers every request with its name, on connections that stay open; of each connection it says when
//! it came and the client's port.
//! `ask ADDRESS RATE WORKERS UNTIL PORT` makes so many connections a second, each with one request.
//! `hold ADDRESS COUNT UNTIL PORT` keeps connections open, with a request on each five times a second.
//!
//! Clients go on until the file UNTIL exists. Their own ports go up from PORT, and begin there again after 50,000: by then
//! a director has forgotten the first ones, except what it keeps of a connection that failed, whose port is not used any
//! more. Each request is a line: when it began and how long it took in
//! milliseconds (since the machine started), the client's port, and who answered, or `failed` and why. `hold` says the
//! first answer of a connection, what goes wrong, and the last one.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A server that does not answer in this time does not answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who keeps a connection waits until its packets have found another way.
const LONG_PATIENCE: Duration = Duration::from_secs(30);
/// Between two requests on a connection.
const PAUSE: Duration = Duration::from_millis(200);
/// Connections that a server has at a time.
const SERVED: usize = 24;
/// What a slow machine did not get to in this time is not made up for.
const LAG: Duration = Duration::from_millis(500);

/// So many ports a client has.
const PORTS: u16 = 50_000;

/// The client's ports.
static PORTS_OF_CLIENT: Mutex<Ports> = Mutex::new(Ports { first: 0, next: 0, lost: BTreeSet::new() });

struct Ports {
    first: u16,
    next: u16,
    /// Those that are not used again.
    lost: BTreeSet<u16>,
}

impl Ports {
    fn begin(first: u16) {
        (ports().first, ports().next) = (first, first);
    }

    fn take(&mut self) -> u16 {
        loop {
            let port = self.next;
            let past = port == u16::MAX || port - self.first == PORTS - 1;
            self.next = if past { self.first } else { port + 1 };
            if !self.lost.contains(&port) {
                return port;
            }
        }
    }
}

fn ports() -> MutexGuard<'static, Ports> {
    locked(&PORTS_OF_CLIENT)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", address, name] => serve(address.parse()?, name),
        ["ask", address, rate, workers, until, port] => {
            Ports::begin(port.parse()?);
            ask(address.parse()?, rate.parse()?, workers.parse()?, until.into())
        }
        ["hold", address, count, until, port] => {
            Ports::begin(port.parse()?);
            hold(address.parse()?, count.parse()?, until.into())
        }
        _ => Err("serve ADDRESS NAME | ask ADDRESS RATE WORKERS UNTIL PORT | hold ADDRESS COUNT UNTIL PORT".into()),
    }
}

/// Since the machine started.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

// ---- the server ----------------------------------------------------------------------------------------------------

fn serve(address: SocketAddr, name: &str) -> Outcome<()> {
    let listener = TcpListener::bind(address)?;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}\n", name.len() + 1);
    std::thread::scope(|scope| {
        for _ in 0..SERVED {
            scope.spawn(|| {
                loop {
                    // Whatever ends a connection concerns nobody else.
                    let _ = listener.accept().and_then(|(connection, client)| {
                        println!("{} {}", now().as_millis(), client.port());
                        talk(connection, &answer)
                    });
                }
            });
        }
    });
    Ok(())
}

/// Answers every request of a connection: whatever ends in an empty line.
fn talk(connection: TcpStream, answer: &str) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut lines = BufReader::new(&connection);
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line.trim_end().is_empty() {
            (&connection).write_all(answer.as_bytes())?;
        }
    }
}

// ---- clients -------------------------------------------------------------------------------------------------------

/// When requests are due.
struct Pace {
    next: Mutex<Duration>,
    between: Duration,
}

impl Pace {
    fn wait(&self) {
        let at = {
            let mut next = locked(&self.next);
            let at = (*next).max(now().saturating_sub(LAG));
            *next = at + self.between;
            at
        };
        std::thread::sleep(at.saturating_sub(now()));
    }
}

fn ask(address: SocketAddr, rate: f64, workers: usize, until: PathBuf) -> Outcome<()> {
    let pace = Pace { next: Mutex::new(now()), between: Duration::from_secs_f64(1.0 / rate) };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while !until.exists() {
                    pace.wait();
                    let start = now();
                    let (port, answer) = match connect(address) {
                        Ok((connection, port)) => (port, request(&connection, PATIENCE)),
                        Err((error, port)) => (port, Err(error)),
                    };
                    say(start, port, &answer);
                }
            });
        }
    });
    Ok(())
}

fn hold(address: SocketAddr, count: usize, until: PathBuf) -> Outcome<()> {
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                while !until.exists() {
                    let start = now();
                    match connect(address) {
                        Ok((connection, port)) => keep(&connection, port, &until),
                        Err((error, port)) => say(start, port, &Err(error)),
                    }
                    std::thread::sleep(PAUSE);
                }
            });
        }
    });
    Ok(())
}

/// Asks on one connection until it fails.
fn keep(connection: &TcpStream, port: u16, until: &Path) {
    let mut is_first = true;
    loop {
        let start = now();
        let is_last = until.exists();
        let answer = request(connection, LONG_PATIENCE);
        if answer.is_err() || std::mem::take(&mut is_first) || is_last {
            say(start, port, &answer);
        }
        if answer.is_err() || is_last {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// The connection and its port here.
fn connect(address: SocketAddr) -> Result<(TcpStream, u16), (io::Error, u16)> {
    // A socket that is bound beforehand has a port whatever becomes of it.
    let (socket, port) = bound(address).map_err(|error| (error, 0))?;
    match socket.connect_timeout(&address.into(), PATIENCE) {
        Ok(()) => Ok((socket.into(), port)),
        Err(error) => Err((error, port)),
    }
}

fn bound(address: SocketAddr) -> io::Result<(socket2::Socket, u16)> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    loop {
        let port = ports().take();
        let any: SocketAddr = ([0, 0, 0, 0], port).into();
        match socket.bind(&any.into()) {
            Ok(()) => return Ok((socket, port)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
}

/// Who answers.
fn request(mut connection: &TcpStream, patience: Duration) -> io::Result<String> {
    connection.set_read_timeout(Some(patience))?;
    connection.write_all(b"GET / HTTP/1.1\r\nHost: scene\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut bytes = [0; 256];
    // One short line is all that comes after the empty one.
    while !(answer.ends_with(b"\n") && answer.windows(4).any(|four| four == b"\r\n\r\n") && !answer.ends_with(b"\r\n"))
    {
        match connection.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => answer.extend_from_slice(bytes.get(..count).unwrap_or_default()),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().last().unwrap_or_default().to_owned())
}

fn say(start: Duration, port: u16, answer: &io::Result<String>) {
    let took = now().saturating_sub(start).as_millis();
    let answer = match answer {
        Ok(name) => name.clone(),
        Err(error) => {
            ports().lost.insert(port);
            format!("failed: {error}")
        }
    };
    println!("{} {took} {port} {answer}", start.as_millis());
}
