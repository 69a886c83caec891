//! A checking engine on a bench: what it asks for is carried out on a table, and every law that holds at all times is
//! held after every input.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use keepalived_rs::check::Node;
use keepalived_rs::check::desired::desired;
use keepalived_rs::check::io::{Action, Input, ProbeId, Reason, ReasonKind, Verdict};
use keepalived_rs::ipvs::{Entry, Marking, Table};
use keepalived_rs::model::checker::{
    Checker, Connection, Dns, FileCheck, Http, HttpVersion, Misc, Probe, Schedule, Smtp, Udp, Url,
};
use keepalived_rs::model::lvs::{
    CheckerId, Forwarding, Identity, Lvs, Protocol, RealServerId, TrackFile, VirtualServerId,
};
use keepalived_rs::model::{RealServer, ScriptCommand, VirtualServer};
use keepalived_rs::notify::{checks, fifo, mail};
use keepalived_rs::time::Instant;
use keepalived_rs::wire::ipvs::ServiceKey;

// ---- configurations ----------------------------------------------------------------------------------------------

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn lvs(virtual_servers: impl IntoIterator<Item = VirtualServer>) -> Lvs {
    Lvs { virtual_servers: virtual_servers.into_iter().map(Arc::new).collect(), ..Lvs::default() }
}

/// A virtual server of TCP, `lb_kind DR`, quorum 1.
pub(crate) fn vs(address: &str, real_servers: impl IntoIterator<Item = RealServer>) -> VirtualServer {
    let at: SocketAddr = address.parse().unwrap();
    VirtualServer {
        identity: Identity::Address { address: at.ip(), port: at.port(), protocol: Protocol::Tcp },
        group: Vec::new(),
        mark: None,
        family: keepalived_rs::addr::Family::of(at.ip()),
        protocol: Protocol::Tcp,
        scheduler: "rr".into(),
        scheduler_flags: 0,
        one_packet: false,
        persistence: None,
        forwarding: Forwarding::Direct,
        quorum: 1,
        hysteresis: 0,
        quorum_up: None,
        quorum_down: None,
        smtp_alert: true,
        omega: false,
        ha_suspend: false,
        alpha: false,
        delay_loop: secs(6),
        weight: 1,
        virtualhost: None,
        snmp_name: None,
        real_servers: real_servers.into_iter().map(Arc::new).collect(),
        sorry_server: None,
    }
}

/// A real server without checkers.
pub(crate) fn rs(address: &str) -> RealServer {
    let at: SocketAddr = address.parse().unwrap();
    RealServer {
        address: at.ip(),
        port: at.port(),
        weight: 1,
        forwarding: Forwarding::Direct,
        upper_threshold: 0,
        lower_threshold: 0,
        inhibit_on_failure: false,
        alpha: false,
        notify_up: None,
        notify_down: None,
        smtp_alert: true,
        virtualhost: None,
        snmp_name: None,
        check_port: at.port(),
        checkers: Arc::default(),
    }
}

/// Any change of a configuration value, in place.
pub(crate) trait With: Sized {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl With for Lvs {}
impl With for VirtualServer {}
impl With for RealServer {}
impl With for Checker {}

pub(crate) trait Checked {
    fn checked(self, checker: Checker) -> Self;
}

impl Checked for RealServer {
    fn checked(mut self, checker: Checker) -> Self {
        self.checkers = self.checkers.iter().cloned().chain([checker.into()]).collect();
        self
    }
}

/// `delay_loop 6`, `retry 1`, `delay_before_retry 1`, no warmup.
pub(crate) fn checker(probe: Probe) -> Checker {
    let schedule = Schedule { delay_loop: secs(6), retry: 1, delay_before_retry: secs(1), warmup: Duration::ZERO };
    Checker { probe, schedule, alpha: false, log_all_failures: false }
}

pub(crate) fn connection(to: &str) -> Connection {
    let to: SocketAddr = to.parse().unwrap();
    Connection { connect_ip: Some(to.ip()), connect_port: Some(to.port()), ..Connection::within(secs(5)) }
}

pub(crate) fn tcp() -> Checker {
    checker(Probe::Tcp(connection("10.0.0.1:80")))
}

pub(crate) fn alpha(checker: Checker) -> Checker {
    checker.with(|checker| checker.alpha = true)
}

pub(crate) fn http(paths: &[&str]) -> Checker {
    let url = |path: &&str| Url {
        path: (*path).into(),
        virtualhost: None,
        sni: None,
        digest: None,
        status_codes: vec![200..=299],
        regex: None,
        tls_compliant: false,
    };
    checker(Probe::Http(Http {
        connection: connection("10.0.0.1:80"),
        tls: false,
        version: HttpVersion::V10,
        fast_recovery: false,
        urls: paths.iter().map(url).collect(),
    }))
}

pub(crate) fn smtp() -> Checker {
    checker(Probe::Smtp(Smtp { connection: connection("10.0.0.1:25"), helo_name: "lb".into() }))
}

pub(crate) fn dns() -> Checker {
    checker(Probe::Dns(Dns { connection: connection("10.0.0.1:53"), record_type: 6, name: ".".into() }))
}

pub(crate) fn udp() -> Checker {
    checker(Probe::Udp(Udp {
        connection: connection("10.0.0.1:9"),
        payload: b"hello".as_slice().into(),
        require_reply: false,
        reply: Vec::new().into(),
        reply_length: 0..=255,
    }))
}

pub(crate) fn ping() -> Checker {
    checker(Probe::Ping(connection("10.0.0.1:0")))
}

pub(crate) fn misc(dynamic: bool) -> Checker {
    checker(Probe::Misc(Misc { command: script("/bin/chk"), text: "/bin/chk 1".into(), timeout: secs(6), dynamic }))
}

pub(crate) fn file(weight: i32, reverse: bool) -> Checker {
    checker(Probe::File(FileCheck { file: 0, weight, reverse }))
}

pub(crate) fn bfd(name: &str) -> Checker {
    checker(Probe::Bfd(name.into()))
}

pub(crate) fn track_file(name: &str) -> Arc<TrackFile> {
    Arc::new(TrackFile { name: name.into(), path: format!("/run/{name}").into(), init: None })
}

pub(crate) fn script(path: &str) -> ScriptCommand {
    ScriptCommand {
        path: path.into(),
        argv: vec![path.as_bytes().to_vec()],
        uid: 0,
        gid: 0,
        supplementary_groups: false,
        insecure: false,
    }
}

pub(crate) fn refused() -> Verdict {
    fail(ReasonKind::Refused, "connection refused")
}

pub(crate) fn fail(kind: ReasonKind, detail: &str) -> Verdict {
    Verdict::Fail(Reason { kind, detail: detail.into() })
}

/// The id of a checker after a reload that keeps its virtual server and its real server.
fn moved(id: CheckerId, old: &Lvs, new: &Lvs) -> CheckerId {
    let (vs, rs) = (id.real_server.virtual_server.0, id.real_server.index);
    let (vs, rs) = (&old.virtual_servers[vs], &old.virtual_servers[vs].real_servers[rs]);
    let place = new.virtual_servers.iter().position(|new| new.identity == vs.identity).unwrap();
    let servers = &new.virtual_servers[place].real_servers;
    let index = servers.iter().position(|new| (new.address, new.port) == (rs.address, rs.port)).unwrap();
    CheckerId { real_server: RealServerId { virtual_server: VirtualServerId(place), index }, index: id.index }
}

// ---- the bench -----------------------------------------------------------------------------------------------------

pub(crate) struct Bench {
    pub(crate) node: Node,
    pub(crate) now: Instant,
    /// The kernel's.
    pub(crate) table: Table,
    /// What nf_tables has.
    pub(crate) marking: Option<Arc<Marking>>,
    /// Probes that run.
    pub(crate) running: BTreeMap<ProbeId, (CheckerId, usize)>,
    /// What was said since [`Bench::said`] was called last: log sentences, `FIFO …`, `RUN …`, `MAIL …`, in order.
    said: Vec<String>,
    stopped: bool,
}

impl Bench {
    /// Not started yet.
    pub(crate) fn of(config: Lvs) -> Self {
        Self {
            node: Node::new(Arc::new(config), 7, false),
            now: Instant::ZERO,
            table: Table::new(),
            marking: None,
            running: BTreeMap::new(),
            said: Vec::new(),
            stopped: false,
        }
    }

    /// Started, and what it said then forgotten.
    pub(crate) fn started(config: Lvs) -> Self {
        let mut bench = Self::of(config);
        bench.input(Input::Startup { left: None });
        bench.said();
        bench
    }

    pub(crate) fn reload(&mut self, config: Lvs) {
        let old = Arc::clone(self.node.config());
        self.input(Input::Reload(&Arc::new(config)));
        for (id, _) in self.running.values_mut() {
            *id = moved(*id, &old, self.node.config());
        }
    }

    /// The table is programmed as soon as there is one.
    pub(crate) fn input(&mut self, input: Input<'_>) -> Vec<Action> {
        let mut out = Vec::new();
        self.stopped |= matches!(input, Input::Shutdown);
        let is_startup = matches!(input, Input::Startup { .. });
        self.node.handle(input, self.now, &mut out);
        if is_startup {
            self.node.handle(Input::Programmed, self.now, &mut out);
        }
        for action in &out {
            self.carry_out(action);
        }
        self.hold_laws();
        out
    }

    /// A mark leads to a service, at every moment.
    fn hold_law_of_marks(&self) {
        for ((family, _), map) in self.marking.iter().flat_map(|marking| &marking.maps) {
            for mark in map.values() {
                let key = ServiceKey::Mark { family: *family, mark: *mark };
                assert!(self.table.contains_key(&key), "{key:?} is not there for its packets");
            }
        }
    }

    fn carry_out(&mut self, action: &Action) {
        match action {
            Action::Service(key, Some(entry)) => {
                let before = self.table.insert(*key, Entry::clone(entry));
                assert_ne!(before.as_ref(), Some(&**entry), "{key:?} is said again though nothing changed");
            }
            Action::Service(key, None) => {
                assert!(self.table.remove(key).is_some(), "{key:?} is removed though it is not there");
                self.hold_law_of_marks();
            }
            Action::Marks(marking) => {
                assert_ne!(self.marking, *marking, "marks are said again though nothing changed");
                self.marking.clone_from(marking);
                self.hold_law_of_marks();
            }
            Action::Flush => self.table.clear(),
            Action::StartProbe { id, checker, url } => {
                assert!(self.running.insert(*id, (*checker, *url)).is_none(), "{id:?} is started twice");
            }
            Action::CancelProbe(id) => {
                assert!(self.running.remove(id).is_some(), "{id:?} is cancelled though it does not run");
            }
            Action::Notify(notification) => {
                if let Some(script) = &notification.script {
                    self.said.push(format!("RUN {}", script.path.display()));
                }
                if notification.fifo {
                    self.said.push(format!("FIFO {}", fifo::lvs(notification).trim_end()));
                }
                if let Some(mail) = mail::lvs(notification) {
                    self.said.push(format!("MAIL {}: {}", mail.subject, mail.text));
                }
            }
            Action::Report(event) => self.said.push(checks::sentence(event)),
        }
    }

    /// What holds after every input.
    fn hold_laws(&self) {
        if self.stopped {
            assert!(self.running.is_empty(), "probes run after the end: {:?}", self.running);
            assert_eq!(self.node.deadline(), None, "deadlines after the end");
            return;
        }
        assert_eq!(self.table, desired(self.node.config(), &self.node.health()), "the table is not what it should be");
        for view in self.node.views() {
            for server in &view.real_servers {
                assert_eq!(server.alive, server.checkers.iter().all(|c| c.is_up), "{server:?}");
                for checker in &server.checkers {
                    let is_timed = !matches!(checker.config.probe, Probe::File(_) | Probe::Bfd(_));
                    let waits = usize::from(checker.next.is_some()) + usize::from(checker.probing_since.is_some());
                    assert_eq!(waits, usize::from(is_timed && !view.suspended), "{checker:?}");
                }
            }
        }
        let probing = self.node.views().flat_map(|v| v.real_servers).flat_map(|s| s.checkers);
        let probing = probing.filter(|c| c.probing_since.is_some()).count();
        assert_eq!(probing, self.running.len(), "a probe is lost or doubled");
    }

    /// What was said since the last call.
    pub(crate) fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// Waits for the next deadline and lets the engine see it.
    pub(crate) fn tick(&mut self) {
        let (at, _) = self.node.deadline().expect("something is due");
        self.now = self.now.max(at);
        self.input(Input::Tick);
    }

    /// Waits for the next probe of this checker and answers it; others that start meanwhile stay without an answer.
    pub(crate) fn answer(&mut self, of: (usize, usize, usize), verdict: Verdict) {
        let (probe, _) = self.await_probe(of);
        self.running.remove(&probe);
        self.input(Input::Probed(probe, verdict));
    }

    /// Waits for the next probe of this checker: which, and which url.
    pub(crate) fn await_probe(&mut self, (vs, rs, checker): (usize, usize, usize)) -> (ProbeId, usize) {
        let mine =
            |id: &CheckerId| (id.real_server.virtual_server.0, id.real_server.index, id.index) == (vs, rs, checker);
        loop {
            if let Some((&probe, &(_, url))) = self.running.iter().find(|(_, (id, _))| mine(id)) {
                return (probe, url);
            }
            self.tick();
        }
    }

    /// How long this checker waits until its next probe, counted from now.
    pub(crate) fn pause(&self, (vs, rs, checker): (usize, usize, usize)) -> Duration {
        let view = self.node.views().nth(vs).unwrap();
        view.real_servers[rs].checkers[checker].next.expect("it waits").since(self.now)
    }

    /// The destinations of the only service of a virtual server: `10.0.0.1:80 1`, in the table's order.
    pub(crate) fn dests(&self, address: &str) -> Vec<String> {
        let at: SocketAddr = address.parse().unwrap();
        let key = ServiceKey::Address { protocol: 6, address: at.ip(), port: at.port() };
        let entry = self.table.get(&key).unwrap_or_else(|| panic!("no service {address}"));
        let line = |(key, dest): (&keepalived_rs::wire::ipvs::DestKey, &keepalived_rs::wire::ipvs::Dest)| {
            format!("{} {}", SocketAddr::new(key.address, key.port), dest.weight)
        };
        entry.dests.iter().map(line).collect()
    }

    /// The only virtual server's state.
    pub(crate) fn quorum_up(&self) -> bool {
        self.node.views().next().unwrap().quorum_up
    }

    pub(crate) fn address(&mut self, address: &str, added: bool) {
        let address: IpAddr = address.parse().unwrap();
        self.input(if added { Input::AddressAdded(address) } else { Input::AddressRemoved(address) });
    }
}
