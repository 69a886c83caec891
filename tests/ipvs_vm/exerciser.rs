//! Programs the kernel's IPVS as lines on standard input say, through `sys::ipvs` and nothing else of the daemon.
//!
//! Lines that begin with `-` are rules of `ipvsadm -S -n`; they say what is wanted from the next `apply` on. After each
//! other line comes `done` with the milliseconds that it took, after whatever there is to report.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Instant;

use keepalived_rs::addr::Family;
use keepalived_rs::ipvs::Table;
use keepalived_rs::ipvs::table::{Dests, Entry};
use keepalived_rs::model::lvs::Timeouts;
use keepalived_rs::notify::ipvs::line;
use keepalived_rs::sys::ipvs::{Backend, Event, Ipvs, IpvsEvents, Kernel};
use keepalived_rs::wire::ipvs::{Daemon, Dest, DestKey, Forward, PERSISTENT, Service, ServiceKey};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let namespace = std::env::args().nth(1);
    let (ipvs, events) = Ipvs::start(namespace.clone())?;
    let mut exerciser = Exerciser { ipvs, events, wanted: Table::new(), applied: Table::new(), namespace };
    for text in std::io::stdin().lock().lines() {
        let text = text?;
        if text.starts_with('-') {
            rule(&text, &mut exerciser.wanted)?;
            continue;
        }
        let start = Instant::now();
        if text == "finish" {
            exerciser.ipvs.finish();
            while let Some(Event::Report(report)) = exerciser.events.try_next() {
                println!("{}", line(&report).text);
            }
            println!("done {}", start.elapsed().as_millis());
            return Ok(());
        }
        exerciser.order(&text)?;
        println!("done {}", start.elapsed().as_millis());
        std::io::stdout().flush()?;
    }
    Ok(())
}

struct Exerciser {
    ipvs: Ipvs,
    events: IpvsEvents,
    wanted: Table,
    applied: Table,
    namespace: Option<String>,
}

impl Exerciser {
    fn order(&mut self, text: &str) -> Outcome<()> {
        let words: Vec<_> = text.split_whitespace().collect();
        match words[..] {
            ["apply"] => self.apply(),
            ["load", path] => {
                for text in std::fs::read_to_string(path)?.lines() {
                    rule(text, &mut self.wanted)?;
                }
            }
            ["clear"] => self.wanted.clear(),
            ["compare"] => self.ipvs.compare(),
            ["flush"] => {
                self.ipvs.flush();
                self.applied.clear();
            }
            ["timeouts", tcp, tcp_fin, udp] => {
                let secs = |text: &str| text.parse().ok();
                let (tcp_secs, tcp_fin_secs, udp_secs) = (secs(tcp), secs(tcp_fin), secs(udp));
                self.ipvs.timeouts(Timeouts { tcp_secs, tcp_fin_secs, udp_secs });
            }
            ["daemon", which, interface, id] => {
                let daemon = Daemon {
                    interface: interface.parse().map_err(|_| "no interface name")?,
                    id: id.parse()?,
                    max_len: Some(1400),
                    port: Some(8849),
                    ttl: Some(7),
                    group: Some([224, 0, 0, 90].into()),
                };
                let runs = |state| [state, "both"].contains(&which).then(|| daemon.clone());
                self.ipvs.sync_daemon(runs("master"), runs("backup"));
            }
            // Wait for something to be told.
            ["wait"] => {
                let event = self.next();
                self.tell(event);
                return Ok(());
            }
            ["dump"] => return dump(self.namespace.clone()),
            _ => return Err(format!("what is {text}?").into()),
        }
        self.ipvs.sync(1);
        loop {
            let event = self.next();
            if event == Event::Synced(1) {
                return Ok(());
            }
            self.tell(event);
        }
    }

    fn apply(&mut self) {
        for key in self.applied.keys().filter(|key| !self.wanted.contains_key(key)) {
            self.ipvs.want(*key, None);
        }
        for (key, entry) in &self.wanted {
            self.ipvs.want(*key, Some(entry.clone().into()));
        }
        self.applied = self.wanted.clone();
    }

    fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.try_next() {
                return event;
            }
            let _ = poll(&mut [PollFd::new(self.events.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
        }
    }

    fn tell(&self, event: Event) {
        if let Event::Report(report) = event {
            println!("{}", line(&report).text);
        }
    }
}

/// Everything in the kernel, one line each.
fn dump(namespace: Option<String>) -> Outcome<()> {
    // On a thread of its own, which may enter another namespace.
    let thread = std::thread::spawn(move || -> std::io::Result<Vec<String>> {
        let mut kernel = Kernel::new(namespace);
        kernel.open()?;
        let mut lines = Vec::new();
        for key in kernel.services()? {
            if let Some(Entry { service, dests }) = kernel.entry(&key)? {
                lines.push(format!("{key:?} {service:?}"));
                lines.extend(dests.iter().map(|(dest, settings)| format!("{key:?} {dest:?} {settings:?}")));
            }
        }
        for (state, daemon) in kernel.daemons()? {
            lines.push(format!("{state:?} {daemon:?}"));
        }
        lines.push(format!("{:?}", kernel.timeouts()?));
        lines.sort_unstable();
        Ok(lines)
    });
    for line in thread.join().map_err(|_| "the thread has ended")?? {
        println!("{line}");
    }
    Ok(())
}

/// Reads one rule of `ipvsadm -S -n`.
fn rule(text: &str, table: &mut Table) -> Outcome<()> {
    let mut words = text.split_whitespace();
    let adds_dest = match words.next() {
        Some("-A") => false,
        Some("-a") => true,
        _ => return Err(format!("what is {text}?").into()),
    };
    let mut options = BTreeMap::new();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let value = words.next_if(|next| !next.starts_with('-')).unwrap_or_default();
        options.insert(word, value);
    }
    let key = service_key(&options)?;
    if adds_dest {
        let entry = table.get_mut(&key).ok_or("a server without a service")?;
        let (dest, settings) = dest(&options)?;
        entry.dests.insert(dest, settings);
    } else {
        table.insert(key, Entry { service: service(&options, key.family())?, dests: Dests::new() });
    }
    Ok(())
}

fn service_key(options: &BTreeMap<&str, &str>) -> Outcome<ServiceKey> {
    if let Some(mark) = options.get("-f") {
        let family = if options.contains_key("-6") { Family::V6 } else { Family::V4 };
        return Ok(ServiceKey::Mark { family, mark: mark.parse()? });
    }
    for (option, protocol) in [("-t", 6), ("-u", 17), ("--sctp-service", 132)] {
        if let Some(socket) = options.get(option) {
            let socket: SocketAddr = socket.parse()?;
            return Ok(ServiceKey::Address { protocol, address: socket.ip(), port: socket.port() });
        }
    }
    Err("no service".into())
}

fn service(options: &BTreeMap<&str, &str>, family: Family) -> Outcome<Service> {
    let mut flags = if options.contains_key("-o") { 4 } else { 0 };
    for flag in options.get("-b").into_iter().flat_map(|flags| flags.split(',')) {
        flags |= match flag {
            "flag-1" | "sh-fallback" | "mh-fallback" => 8,
            "flag-2" | "sh-port" | "mh-port" => 16,
            "flag-3" => 32,
            _ => return Err(format!("what is {flag}?").into()),
        };
    }
    let timeout_secs = options.get("-p").map_or(Ok(0), |secs| secs.parse())?;
    if timeout_secs > 0 {
        flags |= PERSISTENT;
    }
    let netmask = match (options.get("-M"), family) {
        (None, Family::V4) => u32::MAX,
        (None, Family::V6) => 128,
        (Some(mask), Family::V4) => mask.parse::<Ipv4Addr>()?.into(),
        (Some(length), Family::V6) => length.parse()?,
    };
    let scheduler = options.get("-s").copied().unwrap_or("wlc").into();
    Ok(Service { scheduler, flags, timeout_secs, netmask, engine: options.get("--pe").map(|name| (*name).into()) })
}

fn dest(options: &BTreeMap<&str, &str>) -> Outcome<(DestKey, Dest)> {
    let number = |option: &str| options.get(option).map_or(Ok(0), |text| text.parse::<u32>());
    let flags = if options.contains_key("--tun-remcsum") { 2 } else { u16::from(options.contains_key("--tun-csum")) };
    let forwarding = match options.get("--tun-type").copied() {
        _ if options.contains_key("-m") => Forward::Masq,
        _ if !options.contains_key("-i") => Forward::DirectRoute,
        Some("gue") => Forward::Gue { port: number("--tun-port")?.try_into()?, flags },
        Some("gre") => Forward::Gre { flags },
        _ => Forward::Ipip,
    };
    let server = options.get("-r").ok_or("no server")?;
    let socket: SocketAddr = server.parse().or_else(|_| server.parse::<IpAddr>().map(|ip| (ip, 0).into()))?;
    let weight = if options.contains_key("-w") { number("-w")? } else { 1 };
    let dest = Dest { forwarding, weight, upper_threshold: number("-x")?, lower_threshold: number("-y")? };
    Ok((DestKey { address: socket.ip(), port: socket.port() }, dest))
}
