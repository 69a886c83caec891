//! Random lives of random configurations: answers, reloads, files, sessions, addresses, new processes, the end. After
//! each step everything is compared with what follows from the state alone.
//!
//! `CHECK_SEEDS=100000 cargo test --test check model` runs more of them, `CHECK_SEED=7 cargo test --test check -- --nocapture
//! --exact model::replay` runs one again and tells what happened.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use keepalived_rs::check::desired::services;
use keepalived_rs::check::io::{Action, Input, ReasonKind, Subject, Verdict};
use keepalived_rs::check::names;
use keepalived_rs::model::checker::Probe;
use keepalived_rs::model::lvs::{GroupEntry, Identity, Lvs};
use keepalived_rs::model::{Checker, RealServer, VirtualServer};

use crate::kit::*;
use crate::rng::Rng;

/// Seeds that a plain `cargo test` runs.
const SEEDS: u64 = 10_000;
/// Steps of one life.
const STEPS: u64 = 60;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[test]
fn model() {
    all_seeds(SEEDS, "model::replay", |seed| live(seed, false));
}

/// Lives through so many seeds, or as many as CHECK_SEEDS says; the test of that name runs one of them again.
pub(crate) fn all_seeds(seeds: u64, replay: &str, live: impl Fn(u64) + Sync) {
    let seeds = env("CHECK_SEEDS").unwrap_or(seeds);
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get()) {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Ordering::Relaxed)
                    && seed < seeds
                    && failures.lock().unwrap().len() < 3
                {
                    if catch_unwind(AssertUnwindSafe(|| live(seed))).is_err() {
                        failures.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    for seed in &failures {
        eprintln!("seed {seed}: CHECK_SEED={seed} cargo test --test check -- --nocapture --exact {replay}");
    }
    assert!(failures.is_empty(), "{} seeds failed", failures.len());
}

/// The seed in CHECK_SEED.
pub(crate) fn seed_to_replay() -> Option<u64> {
    env("CHECK_SEED")
}

/// Runs the seed in CHECK_SEED and tells what happened. Without one there is nothing to replay.
#[test]
fn replay() {
    if let Some(seed) = seed_to_replay() {
        live(seed, true);
    }
}

fn live(seed: u64, narrate: bool) {
    let mut life = Life::begin(Rng::new(seed), narrate);
    for _ in 0..STEPS {
        life.step();
    }
    life.end();
}

struct Life {
    rng: Rng,
    bench: Bench,
    narrate: bool,
    /// What FIFOs heard last of each virtual server.
    quorums: BTreeMap<String, bool>,
    /// What FIFOs heard last of each real server.
    servers: BTreeMap<(String, String), bool>,
}

impl Life {
    fn begin(mut rng: Rng, narrate: bool) -> Self {
        let config = draw(&mut rng);
        let mut life =
            Self { bench: Bench::of(config), rng, narrate, quorums: BTreeMap::new(), servers: BTreeMap::new() };
        if life.rng.chance(50) {
            let numbers = [life.number(), life.number()];
            life.input(Input::TrackFiles(&numbers));
        }
        life.input(Input::Startup { left: None });
        life
    }

    fn step(&mut self) {
        match self.rng.range(0, 99) {
            0..=64 => self.answer_or_tick(),
            65..=74 => {
                let (file, number) = (self.rng.range(0, 2) as usize, self.number());
                self.input(Input::TrackFile(file, number));
            }
            75..=78 => {
                let up = self.rng.chance(50);
                let name = self.rng.pick(&["a", "b"]);
                self.input(Input::Bfd(name, up));
            }
            79..=84 => {
                let address = format!("192.0.2.{}", self.rng.range(1, 4)).parse().unwrap();
                let added = self.rng.chance(60);
                self.input(if added { Input::AddressAdded(address) } else { Input::AddressRemoved(address) });
            }
            85..=86 => {
                let addresses = ["192.0.2.1".parse().unwrap()];
                let count = self.rng.range(0, 1) as usize;
                self.input(Input::Addresses(&addresses[..count]));
            }
            87..=97 => self.reload(),
            _ => self.new_process(),
        }
    }

    fn answer_or_tick(&mut self) {
        let running = self.bench.running.keys().copied().collect::<Vec<_>>();
        if running.is_empty() || self.rng.chance(40) {
            if let Some((at, _)) = self.bench.node.deadline() {
                self.bench.now = self.bench.now.max(at);
                self.input(Input::Tick);
            }
            return;
        }
        let probe = self.rng.pick(&running);
        self.bench.running.remove(&probe);
        let verdict = match self.rng.range(0, 9) {
            0..=3 => Verdict::Pass,
            4..=6 => refused(),
            7 => Verdict::Exited(self.rng.pick(&[0, 1, 2, 3, 12, 255])),
            8 => fail(ReasonKind::ScriptTimeout, "too long"),
            _ => match refused() {
                Verdict::Fail(reason) => Verdict::Local(reason),
                other => other,
            },
        };
        self.input(Input::Probed(probe, verdict));
    }

    fn reload(&mut self) {
        let reads_files = self.rng.chance(40);
        if reads_files {
            let numbers = [self.number(), self.number()];
            self.input(Input::TrackFiles(&numbers));
        }
        let old = Arc::clone(self.bench.node.config());
        let new = if self.rng.chance(60) { mutate(&old, &mut self.rng) } else { draw(&mut self.rng) };
        let says_nothing = new == *old && !reads_files;
        let new = Arc::new(new);
        let actions = self.input(Input::Reload(&new));
        assert!(actions.is_empty() || !says_nothing, "nothing changed, but {actions:?}");
        // servers that are gone may come back as new ones, of which nothing has been told
        let kept = new.virtual_servers.iter().flat_map(|vs| vs.real_servers.iter().map(|rs| server_name(vs, rs)));
        let kept = kept.collect::<Vec<_>>();
        self.servers.retain(|name, _| kept.contains(name));
        let kept = new.virtual_servers.iter().map(|vs| names::virtual_server(vs).to_string()).collect::<Vec<_>>();
        self.quorums.retain(|name, _| kept.contains(name));
        self.hold_told();
    }

    /// The process dies, and another takes its place over the same table.
    fn new_process(&mut self) {
        let config = Lvs::clone(self.bench.node.config());
        let now = self.bench.now;
        let left = self.bench.table.clone();
        self.bench = Bench::of(config);
        self.bench.now = now;
        self.quorums.clear();
        self.servers.clear();
        self.input(Input::Startup { left: Some(&left) });
    }

    fn number(&mut self) -> i32 {
        self.rng.pick(&[0, 0, 1, -1, 5, 300, i32::MIN, i32::MAX])
    }

    fn input(&mut self, input: Input<'_>) -> Vec<Action> {
        if self.narrate {
            println!("-- {:?}: {}", self.bench.now, told(&input));
        }
        let is_reload = matches!(input, Input::Reload(_));
        let actions = self.bench.input(input);
        for action in &actions {
            self.hear(action);
        }
        if self.narrate {
            self.bench.said().iter().for_each(|line| println!("   {line}"));
        }
        self.hold_laws();
        if !is_reload {
            self.hold_told();
        }
        actions
    }

    fn hear(&mut self, action: &Action) {
        let Action::Notify(notification) = action else { return };
        if !notification.fifo {
            return;
        }
        match &notification.subject {
            Subject::VirtualServer(_, vs) => {
                let before = self.quorums.insert(names::virtual_server(vs).to_string(), notification.up);
                assert_ne!(before, Some(notification.up), "the quorum of {:?} is told twice", vs.identity);
            }
            Subject::RealServer(_, vs, rs) => {
                self.servers.insert(server_name(vs, rs), notification.up);
            }
        }
    }

    /// Quorum, sorry server and destinations are what the servers' health makes them.
    fn hold_laws(&self) {
        for view in self.bench.node.views() {
            let vs = view.config;
            let alive = view.real_servers.iter().filter(|rs| rs.alive).collect::<Vec<_>>();
            let weight = alive.iter().map(|rs| u64::from(rs.weight)).sum::<u64>();
            assert_eq!(weight, view.live_weight);
            let (quorum, hysteresis) = (u64::from(vs.quorum), u64::from(vs.hysteresis));
            if view.quorum_up {
                assert!(weight > 0 && weight >= quorum - hysteresis, "{weight} for {quorum} - {hysteresis}");
            } else {
                assert!(quorum == 0 || weight < quorum + hysteresis, "{weight} for {quorum} + {hysteresis}");
            }
            assert_eq!(view.sorry_serves, vs.sorry_server.is_some() && !view.quorum_up);
            for key in services(vs) {
                let entry = self.bench.table.get(&key).expect("a configured service is in the table");
                let serving = entry.dests.values().filter(|dest| dest.weight > 0).count();
                if view.sorry_serves || weight > 0 {
                    assert!(serving > 0, "{key:?} is without a destination");
                }
                if !view.sorry_serves {
                    assert!(entry.dests.len() >= usize::from(!alive.is_empty()));
                }
            }
            let weights = view.real_servers.iter().map(|rs| {
                let sum = rs.checkers.iter().map(|checker| checker.contribution).sum::<i64>();
                (rs.weight, (i64::from(rs.config.weight) + sum).clamp(0, i64::from(i32::MAX)))
            });
            weights.for_each(|(weight, expected)| assert_eq!(i64::from(weight), expected));
        }
    }

    /// Whoever listens to the FIFOs knows how it is.
    fn hold_told(&self) {
        for view in self.bench.node.views() {
            if let Some(&told) = self.quorums.get(&*names::virtual_server(view.config)) {
                assert_eq!(told, view.quorum_up, "FIFOs heard something else of {:?}", view.config.identity);
            }
            for rs in &view.real_servers {
                if let Some(&told) = self.servers.get(&server_name(view.config, rs.config)) {
                    assert_eq!(told, rs.alive, "FIFOs heard something else of {}", rs.config.address);
                }
            }
        }
    }

    fn end(&mut self) {
        self.bench.input(Input::Shutdown);
        assert!(self.bench.table.is_empty(), "{:?} is left", self.bench.table);
    }
}

fn server_name(vs: &VirtualServer, rs: &RealServer) -> (String, String) {
    (names::virtual_server(vs).to_string(), names::real_server(vs, rs).to_string())
}

fn told(input: &Input<'_>) -> String {
    match input {
        Input::Reload(config) => format!("Reload {config:#?}"),
        other => format!("{other:?}"),
    }
}

// ---- random configurations ---------------------------------------------------------------------------------------

fn draw(rng: &mut Rng) -> Lvs {
    let mut identities = (0..6).collect::<Vec<_>>();
    let mut virtual_servers = Vec::new();
    for _ in 0..rng.range(1, 4) {
        let identity = identities.remove(rng.range(0, identities.len() as u64 - 1) as usize);
        virtual_servers.push(draw_vs(identity, rng));
    }
    let files = ["x", "y"];
    let first = rng.range(0, 1) as usize;
    let mut config = lvs(virtual_servers);
    config.track_files = vec![track_file(files[first]), track_file(files[1 - first])];
    config.no_checker_emails = rng.chance(20);
    config.rs_init_notifies = rng.chance(20);
    config
}

fn draw_vs(identity: usize, rng: &mut Rng) -> VirtualServer {
    let mut addresses = (1..=5).collect::<Vec<_>>();
    let mut servers = Vec::new();
    for _ in 0..rng.range(1, 4) {
        let address = addresses.remove(rng.range(0, addresses.len() as u64 - 1) as usize);
        servers.push(draw_rs(address, rng));
    }
    let total = servers.iter().map(|rs| rs.weight).sum::<u32>();
    let mut vs = vs(&format!("192.0.2.{}:80", identity + 1), servers);
    vs.quorum = total.min(rng.range(1, 4) as u32);
    vs.hysteresis = if vs.quorum > 1 { rng.range(0, u64::from(vs.quorum) - 1) as u32 } else { 0 };
    vs.ha_suspend = rng.chance(20);
    vs.scheduler = rng.pick(&["rr", "wlc"]).into();
    if rng.chance(50) {
        let address = rng.range(4, 9);
        vs.sorry_server = Some(Arc::new(draw_rs(address, rng).with(|rs| {
            rs.checkers = Arc::default();
            rs.weight = 1;
        })));
    }
    if identity >= 4 {
        // two virtual servers of one group
        vs.identity = Identity::Group { name: "g".into(), ordinal: identity - 4 };
        vs.group = draw_group(rng);
    }
    vs
}

fn draw_group(rng: &mut Rng) -> Vec<GroupEntry> {
    let address = |last: u64| format!("192.0.2.{last}").parse().unwrap();
    let first = rng.range(20, 23);
    let last = first + rng.range(0, 3);
    vec![
        GroupEntry::Addresses { first: address(first), last: address(last), port: 80 },
        GroupEntry::Mark { family: keepalived_rs::addr::Family::V4, mark: rng.range(1, 2) as u32 },
    ]
}

fn draw_rs(address: u64, rng: &mut Rng) -> RealServer {
    let mut server = rs(&format!("10.0.0.{address}:80"));
    server.weight = rng.pick(&[0, 1, 1, 1, 2, 10]);
    server.inhibit_on_failure = rng.chance(30);
    for _ in 0..rng.range(0, 3) {
        server = server.checked(draw_checker(rng));
    }
    server
}

fn draw_checker(rng: &mut Rng) -> Checker {
    let mut checker = match rng.range(0, 9) {
        0..=2 => tcp(),
        3 => http(&["/a", "/b"]),
        4 => smtp(),
        5 => udp(),
        6 => misc(rng.chance(70)),
        7 => file(rng.pick(&[0, 1, -3]), rng.chance(30)),
        8 => bfd(rng.pick(&["a", "b"])),
        _ => ping(),
    };
    if let Probe::File(file) = &mut checker.probe {
        file.file = rng.range(0, 1) as usize;
    }
    checker.alpha = rng.chance(30) && !matches!(checker.probe, Probe::File(_));
    checker.schedule.retry = rng.range(0, 2) as u32;
    checker.schedule.warmup = secs(rng.range(0, 3));
    checker.schedule.delay_loop = secs(rng.range(1, 6));
    checker.log_all_failures = rng.chance(20);
    checker
}

/// The same configuration with something small changed, or nothing.
fn mutate(old: &Lvs, rng: &mut Rng) -> Lvs {
    let mut config = old.clone();
    let i = rng.range(0, config.virtual_servers.len() as u64 - 1) as usize;
    let vs = Arc::make_mut(&mut config.virtual_servers[i]);
    let server = rng.range(0, vs.real_servers.len() as u64 - 1) as usize;
    match rng.range(0, 9) {
        0 => {}
        1 => vs.sorry_server = None,
        2 => vs.sorry_server = Some(Arc::new(rs("10.0.0.9:80"))),
        3 if vs.real_servers.len() > 1 => {
            vs.real_servers.remove(server);
        }
        4 => Arc::make_mut(&mut vs.real_servers[server]).weight = 3,
        5 => {
            let rs = Arc::make_mut(&mut vs.real_servers[server]);
            rs.inhibit_on_failure = !rs.inhibit_on_failure;
        }
        6 => vs.real_servers[server] = RealServer::clone(&vs.real_servers[server]).checked(draw_checker(rng)).into(),
        7 => {
            let rs = Arc::make_mut(&mut vs.real_servers[server]);
            rs.checkers = rs.checkers.iter().take(1).cloned().collect();
        }
        8 if !vs.group.is_empty() => vs.group = draw_group(rng),
        _ => (vs.quorum, vs.hysteresis) = (rng.range(1, 3) as u32, 0),
    }
    let changed = &config.virtual_servers[i];
    // 0 only where every weight is 0
    if changed.quorum == 0 && changed.real_servers.iter().any(|rs| rs.weight > 0) {
        Arc::make_mut(&mut config.virtual_servers[i]).quorum = 1;
    }
    config
}
