//! Everything from a probe's verdict to the kernel's table, in random lives: the engine, the keeper of the table and a
//! stand-in for the kernel that fails now and then, while strangers change what is ours, files are read again and the
//! process dies and is replaced. A reference that is much simpler says what the table has to be once there is peace.
//!
//! `CHECK_SEEDS=100000 cargo test --release --test check whole` runs more lives, `CHECK_SEED=7 cargo test --test check
//! -- --nocapture --exact whole::replay` runs one again and tells what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use keepalived_rs::check::Node;
use keepalived_rs::check::io::{Action, Input, ProbeId, Verdict};
use keepalived_rs::ipvs::keeper::{Answer, Next};
use keepalived_rs::ipvs::plan::{apply, plan};
use keepalived_rs::ipvs::stand_in::StandIn;
use keepalived_rs::ipvs::{Entry, Keeper, Op, Table};
use keepalived_rs::model::checker::Probe;
use keepalived_rs::model::lvs::{Identity, Lvs};
use keepalived_rs::model::{RealServer, VirtualServer};
use keepalived_rs::time::Instant;
use keepalived_rs::wire::ipvs::{Dest, DestKey, Forward, Service, ServiceKey};

use crate::kit::*;
use crate::model::{all_seeds, seed_to_replay};
use crate::rng::Rng;

/// Seeds that a plain `cargo test` runs.
const SEEDS: u64 = 5_000;
/// Steps of one life.
const STEPS: u64 = 80;

#[test]
fn whole() {
    all_seeds(SEEDS, "whole::replay", |seed| live(seed, false));
}

/// Runs the seed in CHECK_SEED and tells what happened. Without one there is nothing to replay.
#[test]
fn replay() {
    if let Some(seed) = seed_to_replay() {
        live(seed, true);
    }
}

fn live(seed: u64, narrate: bool) {
    let mut life = World::begin(Rng::new(seed), narrate);
    for _ in 0..STEPS {
        life.step();
    }
    life.end();
}

/// A real server by the virtual server it belongs to and its own address.
type Place = (SocketAddr, SocketAddr);

// ---- the reference -----------------------------------------------------------------------------------------------

/// Who is down, and what the table has to be for that. Every real server has one checker without retries.
#[derive(Default)]
struct Reference {
    down: BTreeSet<Place>,
}

impl Reference {
    fn verdict(&mut self, place: Place, passed: bool) {
        if passed {
            self.down.remove(&place)
        } else {
            self.down.insert(place)
        };
    }

    /// Whoever is gone is forgotten: when it comes back it is as good as new.
    fn reload(&mut self, config: &Lvs) {
        let kept: BTreeSet<Place> = places(config).collect();
        self.down.retain(|place| kept.contains(place));
    }

    /// Another process knows what it finds, and nothing else.
    fn new_process(&mut self, config: &Lvs, left: &Table) {
        self.down.clear();
        for vs in &config.virtual_servers {
            let Some(entry) = left.get(&key(at(vs))) else { continue };
            for rs in &vs.real_servers {
                let dest = entry.dests.get(&dest_key(server(rs)));
                let quiet = |dest: &Dest| dest.weight == 0 && rs.inhibit_on_failure && rs.weight > 0;
                if dest.is_none_or(quiet) {
                    self.down.insert((at(vs), server(rs)));
                }
            }
        }
    }

    fn table(&self, config: &Lvs) -> Table {
        config.virtual_servers.iter().map(|vs| (key(at(vs)), self.entry(vs))).collect()
    }

    fn entry(&self, vs: &VirtualServer) -> Entry {
        let up = |rs: &RealServer| !self.down.contains(&(at(vs), server(rs)));
        let weight: u32 = vs.real_servers.iter().filter(|rs| up(rs)).map(|rs| rs.weight).sum();
        let sorry = vs.sorry_server.as_ref().filter(|_| weight < vs.quorum || weight == 0);
        let mut dests = BTreeMap::new();
        for rs in &vs.real_servers {
            match (up(rs) && sorry.is_none(), rs.inhibit_on_failure) {
                (true, _) => _ = dests.insert(dest_key(server(rs)), dest(rs.weight)),
                (false, true) => _ = dests.insert(dest_key(server(rs)), dest(0)),
                (false, false) => {}
            }
        }
        dests.extend(sorry.map(|sorry| (dest_key(server(sorry)), dest(sorry.weight))));
        Entry { service: service(&vs.scheduler), dests: dests.into_iter().collect() }
    }
}

fn at(vs: &VirtualServer) -> SocketAddr {
    match vs.identity {
        Identity::Address { address, port, .. } => SocketAddr::new(address, port),
        _ => unreachable!("only addresses are drawn"),
    }
}

fn server(rs: &RealServer) -> SocketAddr {
    SocketAddr::new(rs.address, rs.port)
}

fn places(config: &Lvs) -> impl Iterator<Item = Place> + '_ {
    config.virtual_servers.iter().flat_map(|vs| vs.real_servers.iter().map(|rs| (at(vs), server(rs))))
}

fn key(at: SocketAddr) -> ServiceKey {
    ServiceKey::Address { protocol: 6, address: at.ip(), port: at.port() }
}

fn dest_key(at: SocketAddr) -> DestKey {
    DestKey { address: at.ip(), port: at.port() }
}

fn service(scheduler: &str) -> Service {
    Service { scheduler: scheduler.into(), flags: 0, timeout_secs: 0, netmask: u32::MAX, engine: None }
}

fn dest(weight: u32) -> Dest {
    Dest { forwarding: Forward::DirectRoute, weight, upper_threshold: 0, lower_threshold: 0 }
}

fn serves(entry: &Entry) -> bool {
    entry.dests.values().any(|dest| dest.weight > 0)
}

// ---- the world ---------------------------------------------------------------------------------------------------

/// How the kernel treats a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Fails(i32),
    /// It does what is asked and does not say so.
    Mute,
    /// It neither does nor says anything.
    Deaf,
}

struct World {
    rng: Rng,
    narrate: bool,
    now: Instant,
    config: Arc<Lvs>,
    node: Node,
    keeper: Keeper,
    kernel: StandIn,
    moods: Vec<Mood>,
    running: BTreeMap<ProbeId, Place>,
    reference: Reference,
    /// What others have in the kernel: what nobody of us wants.
    strangers: Table,
}

impl World {
    fn begin(mut rng: Rng, narrate: bool) -> Self {
        let config = Arc::new(draw(&mut rng));
        let mut world = Self {
            node: Node::new(Arc::clone(&config), rng.next(), false),
            rng,
            narrate,
            now: Instant::ZERO,
            config,
            keeper: Keeper::default(),
            kernel: StandIn::default(),
            moods: Vec::new(),
            running: BTreeMap::new(),
            reference: Reference::default(),
            strangers: Table::new(),
        };
        for _ in 0..world.rng.range(0, 2) {
            world.meddle();
        }
        world.keeper.present(world.kernel.table.keys().copied().collect::<Vec<_>>());
        world.input(Input::Startup { left: None });
        world.disown();
        world
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.narrate {
            println!("-- {:?}: {}", self.now, what());
        }
    }

    fn step(&mut self) {
        match self.rng.range(0, 99) {
            0..=39 => self.answer_or_tick(),
            40..=64 => _ = self.keep(),
            65..=72 => {
                let mood = self.rng.pick(&[
                    Mood::Fails(libc::ENOMEM),
                    Mood::Fails(libc::EEXIST),
                    Mood::Fails(libc::EINTR),
                    Mood::Mute,
                    Mood::Deaf,
                ]);
                self.tell(|| format!("the kernel will be {mood:?}"));
                self.moods.push(mood);
            }
            73..=78 => self.meddle(),
            79..=86 => self.reload(),
            87..=89 => self.new_process(),
            90..=91 => {
                let all = self.moods.len();
                self.moods.truncate(all / 2);
                self.keeper.doubt();
            }
            92..=94 => self.keeper.compare(),
            _ => self.peace(),
        }
    }

    fn input(&mut self, input: Input<'_>) {
        let mut actions = Vec::new();
        let is_startup = matches!(input, Input::Startup { .. });
        self.node.handle(input, self.now, &mut actions);
        if is_startup {
            self.node.handle(Input::Programmed, self.now, &mut actions);
        }
        for action in actions {
            match action {
                Action::Service(key, entry) => {
                    self.tell(|| format!("wanted: {key:?} {entry:?}"));
                    self.keeper.want(key, entry);
                }
                Action::Flush | Action::Marks(_) => unreachable!("nobody asks for it"),
                Action::StartProbe { id, checker, .. } => {
                    let vs = &self.config.virtual_servers[checker.real_server.virtual_server.0];
                    let place = (at(vs), server(&vs.real_servers[checker.real_server.index]));
                    assert!(self.running.insert(id, place).is_none());
                }
                Action::CancelProbe(id) => assert!(self.running.remove(&id).is_some()),
                Action::Notify(_) | Action::Report(_) => {}
            }
        }
    }

    fn answer_or_tick(&mut self) {
        let running: Vec<ProbeId> = self.running.keys().copied().collect();
        if running.is_empty() || self.rng.chance(30) {
            // None where all of them are asked already.
            if let Some((next, _)) = self.node.deadline() {
                self.now = self.now.max(next);
                self.input(Input::Tick);
            }
            return;
        }
        let probe = self.rng.pick(&running);
        let place = self.running.remove(&probe).expect("just picked");
        let passed = self.rng.chance(50);
        self.tell(|| format!("{place:?} {}", if passed { "answers" } else { "fails" }));
        self.reference.verdict(place, passed);
        self.input(Input::Probed(probe, if passed { Verdict::Pass } else { refused() }));
    }

    fn reload(&mut self) {
        let config =
            Arc::new(if self.rng.chance(70) { change(&self.config, &mut self.rng) } else { draw(&mut self.rng) });
        self.tell(|| format!("reload: {:#?}", config.virtual_servers));
        self.reference.reload(&config);
        self.config = Arc::clone(&config);
        self.input(Input::Reload(&config));
        self.disown();
    }

    /// The process dies, whatever it was about to do; another one finds what the kernel has.
    fn new_process(&mut self) {
        self.tell(|| "the process dies".into());
        let left = self.kernel.table.clone();
        self.node = Node::new(Arc::clone(&self.config), self.rng.next(), false);
        self.keeper = Keeper::default();
        self.keeper.present(left.keys().copied().collect::<Vec<_>>());
        self.running.clear();
        self.reference.new_process(&self.config, &left);
        // What the dead one had still to remove is nobody's now.
        let ours: BTreeSet<ServiceKey> = self.reference.table(&self.config).into_keys().collect();
        self.strangers = left.iter().filter(|(key, _)| !ours.contains(key)).map(|(k, e)| (*k, e.clone())).collect();
        self.input(Input::Startup { left: Some(&left) });
    }

    /// What we want is nobody else's.
    fn disown(&mut self) {
        let ours = self.reference.table(&self.config);
        self.strangers.retain(|key, _| !ours.contains_key(key));
    }

    /// Somebody else changes the table.
    fn meddle(&mut self) {
        let address = SocketAddr::new([192, 0, 2, self.rng.range(1, 6) as u8].into(), 80);
        let host = dest_key(SocketAddr::new([10, 0, 0, self.rng.range(1, 9) as u8].into(), 80));
        let (service_key, weight) = (key(address), self.rng.range(0, 3) as u32);
        let op = match self.rng.range(0, 5) {
            0 => Op::DelService(service_key),
            1 => Op::NewService(service_key, service("lc")),
            2 => Op::SetService(service_key, service("sed")),
            3 => Op::NewDest(service_key, host, dest(weight)),
            4 => Op::SetDest(service_key, host, dest(weight)),
            _ => Op::DelDest(service_key, host),
        };
        let is_wanted = self.config.virtual_servers.iter().any(|vs| at(vs) == address);
        let is_ours = is_wanted && self.keeper.owned().any(|(owned, _)| *owned == service_key);
        if !is_ours && !self.strangers.contains_key(&service_key) && !self.keeper.is_settled() {
            // It may be what we are about to make or to remove: whose it is then is a matter of opinion.
            return;
        }
        self.tell(|| format!("a stranger: {op:?}"));
        apply(&mut self.kernel.table, &op);
        if !is_wanted {
            match self.kernel.table.get(&service_key) {
                Some(entry) => _ = self.strangers.insert(service_key, entry.clone()),
                None => _ = self.strangers.remove(&service_key),
            }
        }
    }

    fn ask(&mut self, op: &Op) -> Answer {
        let mood = self.moods.pop();
        let answer = match mood {
            Some(Mood::Fails(errno)) => Some(errno),
            Some(Mood::Deaf) => None,
            Some(Mood::Mute) => {
                self.kernel.change(op);
                None
            }
            None => Some(self.kernel.change(op)),
        };
        self.tell(|| format!("asked {op:?}: {answer:?}"));
        answer
    }

    /// The keeper does one thing; whether there was one.
    fn keep(&mut self) -> bool {
        match self.keeper.next(self.now, 6) {
            Next::Nothing => return false,
            Next::Look(key) => {
                let found = self.kernel.table.get(&key).cloned();
                self.keeper.found(&key, found, &mut Vec::new());
            }
            Next::Send(batch) => {
                let answers: Vec<Answer> = batch.ops().to_vec().iter().map(|op| self.ask(op)).collect();
                self.keeper.answered(batch, &answers, self.now, &mut Vec::new());
            }
        }
        true
    }

    /// The kernel does what it is asked and strangers keep away: soon everything is as the reference has it.
    fn peace(&mut self) {
        self.tell(|| "peace".into());
        self.moods.clear();
        let wanted = self.reference.table(&self.config);
        self.hold_laws(&wanted);
        // Twice: a look may find what was changed behind a request that was being made.
        for _ in 0..2 {
            self.keeper.hurry();
            self.quiet();
            self.keeper.compare();
            self.quiet();
        }
        assert!(self.keeper.is_settled(), "{:?}", self.keeper);
        for (key, entry) in &wanted {
            assert_eq!(self.kernel.table.get(key), Some(entry), "{key:?}");
        }
        for (key, entry) in &self.strangers {
            assert_eq!(self.kernel.table.get(key), Some(entry), "a stranger's {key:?}");
        }
        let kernels: Vec<_> = self.kernel.table.keys().collect();
        assert_eq!(kernels.len(), wanted.len() + self.strangers.len(), "{kernels:?}");
    }

    fn quiet(&mut self) {
        for _ in 0..10_000 {
            if !self.keep() {
                return;
            }
        }
        panic!("it never comes to rest: {:?}", self.keeper);
    }

    /// The laws of a plan, from what the kernel has of ours to what it is to have.
    fn hold_laws(&self, wanted: &Table) {
        let owned: Table = self.keeper.owned().map(|(key, entry)| (*key, entry.clone())).collect();
        let lasting = |key: &ServiceKey| owned.get(key).is_some_and(serves) && wanted.get(key).is_some_and(serves);
        let mut table = owned.clone();
        for op in plan(&owned, wanted) {
            apply(&mut table, &op);
            assert!(!lasting(op.service()) || serves(&table[op.service()]), "{op:?} empties {table:?}");
        }
        assert_eq!(&table, wanted);
        assert_eq!(plan(wanted, wanted), []);
    }

    fn end(&mut self) {
        self.peace();
        self.input(Input::Shutdown);
        self.quiet();
        assert_eq!(self.keeper.left(), 0);
        assert_eq!(self.kernel.table, self.strangers, "ours are gone, the others are not");
    }
}

// ---- random configurations ---------------------------------------------------------------------------------------

fn draw(rng: &mut Rng) -> Lvs {
    let addresses: Vec<u64> = (1..=4).filter(|_| rng.chance(60)).collect();
    lvs(addresses.into_iter().chain([5]).map(|address| draw_vs(address, rng)).collect::<Vec<_>>())
}

fn draw_vs(address: u64, rng: &mut Rng) -> VirtualServer {
    let mut hosts: Vec<u64> = (1..=6).filter(|_| rng.chance(50)).collect();
    if hosts.is_empty() {
        hosts.push(rng.range(1, 6));
    }
    let servers: Vec<RealServer> = hosts.into_iter().map(|host| draw_rs(host, rng)).collect();
    let total = servers.iter().map(|rs| rs.weight).sum::<u32>();
    vs(&format!("192.0.2.{address}:80"), servers).with(|vs| {
        vs.quorum = total.min(rng.range(1, 3) as u32);
        vs.scheduler = rng.pick(&["rr", "wlc"]).into();
        let has_sorry = rng.chance(50);
        vs.sorry_server = has_sorry.then(|| Arc::new(rs("10.0.0.9:80")));
    })
}

fn draw_rs(host: u64, rng: &mut Rng) -> RealServer {
    let at = format!("10.0.0.{host}:80");
    let only = checker(Probe::Tcp(connection(&at))).with(|checker| checker.schedule.retry = 0);
    rs(&at).checked(only).with(|rs| {
        rs.weight = rng.pick(&[1, 1, 2, 5]);
        rs.inhibit_on_failure = rng.chance(30);
    })
}

/// The same configuration with something small changed, or nothing.
fn change(old: &Lvs, rng: &mut Rng) -> Lvs {
    let mut config = old.clone();
    let last = config.virtual_servers.len() - 1;
    let i = rng.range(0, last as u64) as usize;
    match rng.range(0, 5) {
        0 => {}
        1 if last > 0 => _ = config.virtual_servers.remove(i),
        2 => {
            let vs = Arc::make_mut(&mut config.virtual_servers[i]);
            let server = rng.range(0, vs.real_servers.len() as u64 - 1) as usize;
            Arc::make_mut(&mut vs.real_servers[server]).weight = 7;
        }
        3 => Arc::make_mut(&mut config.virtual_servers[i]).scheduler = "sh".into(),
        4 => {
            let vs = Arc::make_mut(&mut config.virtual_servers[i]);
            vs.sorry_server = if vs.sorry_server.is_some() { None } else { Some(Arc::new(rs("10.0.0.9:80"))) };
        }
        _ => {
            let address = at(&config.virtual_servers[i]);
            let std::net::IpAddr::V4(address) = address.ip() else { unreachable!("only these are drawn") };
            config.virtual_servers[i] = Arc::new(draw_vs(u64::from(address.octets()[3]), rng));
        }
    }
    config
}
