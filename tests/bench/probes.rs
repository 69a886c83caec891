//! What a probe costs in processor time, and how late probes begin: TCP_CHECK and HTTP_GET of many real servers on
//! loopback, each asked once a second. `probes [SERVERS [SECONDS]]`; the servers are a process of their own.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use keepalived_rs::check::io::Verdict;
use keepalived_rs::model::checker::{Checker, Connection, Http, HttpVersion, Probe, Schedule, Url};
use keepalived_rs::model::lvs::Ssl;
use keepalived_rs::probe::{self, Environment};
use nix::sys::resource::{UsageWho, getrusage};
use socket2::{Domain, Socket, Type};
use tokio::task::JoinSet;
use tokio::time::{Instant as Then, sleep_until};

const DELAY_LOOP: Duration = Duration::from_secs(1);
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nOK\n";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if words.first().is_some_and(|word| word == "serve") {
        return serve();
    }
    let number = |at: usize, default: u32| words.get(at).and_then(|word| word.parse().ok()).unwrap_or(default);
    let (servers, secs) = (number(0, 2_000), number(1, 10));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let [tcp, http] = [(); 2].map(|()| lines.next().unwrap().unwrap().parse::<u16>().unwrap());
    println!("{servers} servers, each asked once a second for {secs} s");
    floor(tcp);
    let time = Duration::from_secs(secs.into());
    let connection = Connection::within(Duration::from_secs(5));
    measure("TCP_CHECK", (servers, tcp), time, Probe::Tcp(connection.clone()));
    measure("HTTP_GET", (servers, http), time, get(connection));
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// The servers: one port to connect to, one that answers. Ends with its standard input.
fn serve() {
    let answer = |mut stream: TcpStream| {
        let _ = stream.read(&mut [0; 1_024]);
        let _ = stream.write_all(ANSWER);
    };
    for talk in [drop as fn(TcpStream), answer] {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into()).unwrap();
        socket.listen(4_096).unwrap();
        let listener = TcpListener::from(socket);
        println!("{}", listener.local_addr().unwrap().port());
        thread::spawn(move || listener.incoming().flatten().for_each(talk));
    }
    let _ = std::io::stdin().read(&mut [0]);
}

/// What connecting costs the kernel alone, one after the other.
fn floor(port: u16) {
    const TIMES: u32 = 10_000;
    let before = cpu();
    for _ in 0..TIMES {
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
    }
    println!("connect and close, no more: {:.1} µs of processor time", micros(cpu() - before, TIMES as usize));
}

fn get(connection: Connection) -> Probe {
    let url = Url {
        path: "/".into(),
        virtualhost: None,
        sni: None,
        digest: None,
        status_codes: Vec::new(),
        regex: None,
        tls_compliant: false,
    };
    Probe::Http(Http { connection, tls: false, version: HttpVersion::V10, fast_recovery: false, urls: vec![url] })
}

fn measure(name: &str, (servers, port): (u32, u16), time: Duration, probe: Probe) {
    let schedule =
        Schedule { delay_loop: DELAY_LOOP, retry: 0, delay_before_retry: DELAY_LOOP, warmup: Duration::ZERO };
    let first_address = u32::from(Ipv4Addr::LOCALHOST);
    let checker = Arc::new(Checker { probe, schedule, alpha: false, log_all_failures: false });
    let environment = Arc::new(Environment::of([&*checker].into_iter(), &Ssl::default()).0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let before = cpu();
    let mut late: Vec<Duration> = runtime.block_on(async {
        let (mut tasks, begin) = (JoinSet::new(), Then::now());
        for i in 0..servers {
            let server = SocketAddr::new(Ipv4Addr::from(first_address + i).into(), port);
            let (checker, environment) = (checker.clone(), environment.clone());
            let from = begin + DELAY_LOOP * i / servers;
            tasks.spawn(follow(checker, server, environment, from..begin + time));
        }
        tasks.join_all().await.concat()
    });
    let used = cpu() - before;
    late.sort_unstable();
    let checks = late.len().max(1);
    let at = |share: usize| late.get(late.len() * share / 100).unwrap_or(&Duration::ZERO).as_secs_f64() * 1e3;
    println!(
        "{name}: {checks} checks, {:.1} µs of processor time each, {:.0} a second of it; late {:.1} ms (median), {:.1} ms (99 %)",
        micros(used, checks),
        checks as f64 / used.as_secs_f64(),
        at(50),
        at(99),
    );
}

/// Asks one server until the end; gives how late each probe began.
async fn follow(
    checker: Arc<Checker>,
    server: SocketAddr,
    environment: Arc<Environment>,
    time: Range<Then>,
) -> Vec<Duration> {
    let (mut next, mut late) = (time.start, Vec::new());
    while next < time.end {
        sleep_until(next).await;
        late.push(next.elapsed());
        let verdict = probe::run(checker.clone(), server, 0, environment.clone()).await;
        assert_eq!(verdict, Verdict::Pass);
        next = Then::now() + DELAY_LOOP;
    }
    late
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1_000))
        .sum()
}

fn micros(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}
