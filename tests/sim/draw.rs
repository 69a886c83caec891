//! A whole scenario from a seed: routers, options, weather, and what is done to them.

use std::sync::Arc;
use std::time::Duration;

use keepalived_rs::addr::{Family, IfIndex};
use keepalived_rs::model::vrrp::{Authentication, Destination, Garp, Instance, Pacing, Version, Vrrp};
use keepalived_rs::time::{Centis, Instant};
use keepalived_rs::vrrp::io::{Input, PacketMeta};

use crate::lan::{Happening, Lan, Weather};
use crate::oracle;
use crate::rng::Rng;
use crate::router::ScriptModel;
use crate::setup::{self, ETH1, GARP, ms, own_address, secs, vip};

/// Something that is done to the LAN.
#[derive(Clone, Debug)]
pub(crate) enum Chaos {
    Pause(usize),
    Resume(usize),
    Kill(usize),
    Stop(usize),
    Start(usize),
    LinkDown(usize, IfIndex),
    LinkUp(usize, IfIndex),
    Recreate(usize),
    Reload(usize, Box<Vrrp>),
    Steal(usize),
    Weather(Box<Weather>),
    Script(usize, ScriptModel),
    Garbage(usize, Vec<u8>),
}

impl Chaos {
    pub(crate) fn strike(self, lan: &mut Lan) {
        match self {
            Self::Pause(id) => lan.pause(id),
            Self::Resume(id) => lan.resume(id),
            Self::Kill(id) => lan.kill(id),
            Self::Stop(id) => lan.stop(id),
            Self::Start(id) => lan.start(id),
            Self::LinkDown(id, index) => {
                let index = eth(lan, id, index);
                lan.link_down(id, index);
            }
            Self::LinkUp(id, index) => {
                let index = eth(lan, id, index);
                lan.link_up(id, index);
            }
            Self::Recreate(id) => lan.recreate_link(id),
            Self::Reload(id, config) => lan.reload(id, *config),
            Self::Steal(id) => {
                let stolen = lan.routers[id].config.instances.iter().flat_map(|i| i.held_addresses()).next().cloned();
                if let Some(va) = stolen
                    && let Some(index) = lan.routers[id].kernel.index_of(va.interface)
                    && lan.routers[id].paused.is_none()
                {
                    lan.steal(id, index, va.cidr);
                }
            }
            Self::Weather(weather) => lan.weather = *weather,
            Self::Script(id, model) => lan.routers[id].scripts = vec![model; 2],
            Self::Garbage(id, bytes) => {
                for socket in lan.routers[id].kernel.sockets.clone() {
                    let source = own_address(77, socket.family);
                    let meta = PacketMeta { socket, source, destination: None, hop_limit: Some(255) };
                    if lan.routers[id].paused.is_none() {
                        lan.feed(id, Input::Received { meta, waited: Duration::ZERO, bytes: &bytes });
                    }
                }
            }
        }
    }
}

/// eth0 may have been made anew with another number.
fn eth(lan: &Lan, id: usize, index: IfIndex) -> IfIndex {
    if index == ETH1 { index } else { lan.routers[id].kernel.index_of(setup::name("eth0")).unwrap_or(index) }
}

/// What all routers of a virtual router have to agree on.
#[derive(Clone)]
struct Shared {
    family: Family,
    version: Version,
    vrid: u8,
    interval: Centis,
    authentication: Authentication,
    unicast: bool,
    down_timer_adverts: u8,
    addresses: usize,
    excluded: bool,
}

/// How a run is to be judged.
pub(crate) struct Plan {
    pub(crate) lan: Lan,
    /// From here on the weather is fine and nothing is done to anybody.
    pub(crate) quiet: Instant,
    /// Longest Master_Down_Interval.
    down: Duration,
    longest: Duration,
    instances: usize,
    /// The weather is fine from the beginning, and nothing is done to anybody.
    calm: bool,
}

pub(crate) fn plan(seed: u64) -> Plan {
    let mut lan = Lan::new(seed);
    let mut rng = Rng::new(seed ^ 0x51_5eed);
    let routers = rng.range(2, 7) as usize;
    let instances = rng.range(1, 2) as usize;
    let shared: Vec<Shared> = (0..instances).map(|i| share(&mut rng, i)).collect();
    let mut owners = vec![None; instances];
    for (i, owner) in owners.iter_mut().enumerate() {
        if rng.chance(15) {
            *owner = Some((i + seed as usize) % routers);
        }
    }
    for id in 0..routers {
        let config = configure(&mut rng, &shared, &owners, id, routers);
        let id = lan.add(config);
        if rng.chance(50) {
            lan.routers[id].clock.ppm = rng.range(0, 4000) as i64 - 2000;
        }
    }
    lan.weather = weather(&mut rng, routers);
    let longest = shared.iter().map(|shared| shared.interval.duration()).max().unwrap_or_default();
    let down = shared.iter().map(|shared| {
        let skew = shared.interval.duration().max(if shared.version == Version::V2 { secs(1) } else { ms(10) });
        shared.interval.duration() * u32::from(shared.down_timer_adverts) + skew
    });
    let down = down.max().unwrap_or_default();
    let storm = longest * 3 + down * rng.range(2, 6) as u32;
    let quiet = lan.now + storm;
    for id in 0..routers {
        let at = lan.now + Duration::from_micros(rng.range(0, longest.as_micros() as u64 * 2));
        lan.at(at, Happening::Chaos(Chaos::Start(id)));
    }
    let misfortunes = rng.range(0, 14);
    let calm = misfortunes == 0 && lan.weather.is_fine();
    for _ in 0..misfortunes {
        let at = lan.now + Duration::from_micros(rng.range(0, storm.as_micros() as u64));
        misfortune(&mut lan, &mut rng, at, quiet, &shared, &owners);
    }
    repair(&mut lan, quiet);
    Plan { lan, quiet, down, longest, instances, calm }
}

impl Plan {
    /// Runs it, judging every step, the healing, and the peace after it.
    pub(crate) fn run(mut self) -> u64 {
        self.lan.run_until(self.quiet);
        let settle = self.settle();
        let healed = self.longest + secs(1) + if self.is_lazy() { self.longest } else { ms(0) };
        let lan = &mut self.lan;
        let rivals: Vec<Vec<usize>> = (0..self.instances).map(|i| lan.masters(i)).collect();
        let healed = healed * 101 / 100;
        lan.run_until(self.quiet + healed.min(settle));
        if healed <= settle {
            for (i, rivals) in rivals.iter().enumerate().filter(|(_, rivals)| rivals.len() > 1) {
                if let [master] = lan.masters(i)[..]
                    && rivals.contains(&master)
                {
                    oracle::neighbours_know(lan, i, master);
                }
            }
        }
        lan.run_until(self.quiet + settle);
        let masters: Vec<usize> = (0..self.instances).map(|i| oracle::one_master(lan, i)).collect();
        lan.run_for(healed * 3);
        for (i, &master) in masters.iter().enumerate() {
            assert!(oracle::one_master(lan, i) == master, "instance {i} changed its master in peace");
            // a rival that went away in the storm without being heard has left its mark: nobody can know
            let witnessed = rivals[i].len() > 1 || !rivals[i].contains(&master);
            if witnessed || self.calm {
                oracle::neighbours_know(lan, i, master);
            }
        }
        lan.steps
    }
}

impl Plan {
    /// Whether someone has options under which a surviving MASTER announces only when its rival has fallen silent.
    fn is_lazy(&self) -> bool {
        let mut instances = self.lan.routers.iter().flat_map(|router| &router.config.instances);
        instances.any(|instance| instance.garp.lower_prio_repeat == 0)
    }

    /// How long the last election may take with the options in force.
    fn settle(&self) -> Duration {
        let configs = || self.lan.routers.iter().map(|router| &router.config);
        let delays = configs().flat_map(|config| &config.instances).map(|instance| instance.preempt_delay);
        let hold = match delays.max().unwrap_or_default() {
            Duration::ZERO => Duration::ZERO,
            delay => delay + self.longest + self.down,
        };
        // an instance with a failing script waits for its next run, and that for the end of a stubborn one
        let scripts = if configs().any(|config| !config.scripts.is_empty()) { secs(16) } else { ms(0) };
        (self.down + hold + self.longest * 2 + scripts + ms(100)) * 101 / 100
    }
}

fn share(rng: &mut Rng, i: usize) -> Shared {
    let family = rng.pick(&[Family::V4, Family::V4, Family::V6]);
    let version = if family == Family::V6 { Version::V3 } else { rng.pick(&[Version::V2, Version::V3]) };
    let interval = match version {
        Version::V2 => rng.pick(&[100, 100, 100, 200]),
        Version::V3 => rng.pick(&[100, 100, 50, 20, 10, 5, 133]),
    };
    let password = version == Version::V2 && rng.chance(30);
    Shared {
        family,
        version,
        vrid: 51 + i as u8,
        interval: Centis(interval),
        authentication: if password { Authentication::Pass(*b"s3cret\0\0") } else { Authentication::None },
        unicast: rng.chance(25),
        down_timer_adverts: if rng.chance(80) { 3 } else { rng.range(2, 5) as u8 },
        addresses: rng.range(1, 3) as usize,
        excluded: rng.chance(20),
    }
}

fn configure(rng: &mut Rng, shared: &[Shared], owners: &[Option<usize>], id: usize, routers: usize) -> Vrrp {
    let mut config = Vrrp::default();
    if rng.chance(15) {
        config.scripts = vec![setup::script("chk")];
    }
    if rng.chance(10) {
        config.default_pacing = Pacing { garp_interval: ms(5), gna_interval: ms(5), group: None };
    }
    for (i, (shared, owner)) in shared.iter().zip(owners).enumerate() {
        let priority = if *owner == Some(id) { 255 } else { rng.pick(&[1, 50, 100, 100, 150, 200, 254]) };
        let mut instance = instance(rng, shared, i, priority, id, routers);
        if !config.scripts.is_empty() && rng.chance(70) {
            instance.track_scripts.push(setup::tracks(0, rng.pick(&[0, 0, 20, -60])));
        }
        config.instances.push(Arc::new(instance));
    }
    config
}

fn instance(rng: &mut Rng, shared: &Shared, i: usize, priority: u8, id: usize, routers: usize) -> Instance {
    let mut instance = setup::instance(priority);
    instance.name = format!("VI_{i}").into();
    instance.family = shared.family;
    instance.version = shared.version;
    instance.vrid = shared.vrid;
    instance.advert_interval = shared.interval;
    instance.authentication = shared.authentication;
    instance.down_timer_adverts = shared.down_timer_adverts;
    instance.addresses = (0..shared.addresses).map(|n| address(shared.family, i, n)).collect();
    if shared.excluded {
        let other = if shared.family == Family::V4 { Family::V6 } else { Family::V4 };
        instance.excluded = vec![address(other, i, 9)];
    }
    let peers: Vec<_> = (0..routers).filter(|&peer| peer != id).map(|peer| own_address(peer, shared.family)).collect();
    instance.destination =
        if shared.unicast { setup::unicast(&peers) } else { Destination::Multicast(setup::group(shared.family)) };
    if priority < 255 && rng.chance(30) {
        instance.preempt = false;
        instance.timer_expired_backup = rng.chance(40).then_some(254);
    } else if priority < 255 && rng.chance(15) {
        instance.preempt_delay = ms(rng.range(1, 40) * 100);
    }
    instance.lower_prio_no_advert = rng.chance(10);
    instance.higher_prio_send_advert = rng.chance(15);
    instance.skip_check_adv_addr = rng.chance(20);
    if rng.chance(30) {
        instance.garp = Garp {
            master_delay: secs(rng.range(0, 3)),
            master_repeat: rng.range(1, 3) as u32,
            master_refresh: secs(rng.range(0, 2)),
            lower_prio_repeat: rng.range(0, 2) as u32,
            lower_prio_delay: secs(rng.range(0, 2)),
            ..GARP
        };
    }
    if rng.chance(20) {
        instance.track_interfaces.push(setup::tracks_link("eth1", rng.pick(&[0, 30, -30])));
    }
    instance
}

fn address(family: Family, i: usize, n: usize) -> std::sync::Arc<keepalived_rs::model::vrrp::VirtualAddress> {
    match family {
        Family::V4 => vip(&format!("10.0.{}.{}/32", i + 1, n + 100)),
        Family::V6 => vip(&format!("2001:db8:{}::{}/64", i + 1, n + 100)),
    }
}

fn weather(rng: &mut Rng, routers: usize) -> Weather {
    let mut weather = Weather::fine();
    if rng.chance(60) {
        weather.loss = rng.pick(&[0, 10, 100, 200, 500]);
        weather.duplicate = rng.pick(&[0, 10, 300]);
        weather.company = rng.pick(&[0, 100, 900]);
        weather.delay_micros = (100, rng.pick(&[200, 2_000, 20_000]));
    }
    if rng.chance(40) {
        for _ in 0..rng.range(1, 2 * routers as u64) {
            weather.cut.insert((rng.range(0, routers as u64 - 1) as usize, rng.range(0, routers as u64 - 1) as usize));
        }
    }
    weather
}

fn misfortune(lan: &mut Lan, rng: &mut Rng, at: Instant, quiet: Instant, shared: &[Shared], owners: &[Option<usize>]) {
    let routers = lan.routers.len();
    let id = rng.range(0, routers as u64 - 1) as usize;
    let later = at + Duration::from_micros(rng.range(1000, 8_000_000));
    let mut both = |first: Chaos, then: Chaos| {
        lan.at(at, Happening::Chaos(first));
        if later < quiet {
            lan.at(later, Happening::Chaos(then));
        }
    };
    match rng.range(0, 11) {
        0 => both(Chaos::Pause(id), Chaos::Resume(id)),
        1 => both(Chaos::Kill(id), Chaos::Start(id)),
        2 => both(Chaos::Stop(id), Chaos::Start(id)),
        3 => both(Chaos::LinkDown(id, setup::ETH0), Chaos::LinkUp(id, setup::ETH0)),
        4 => both(Chaos::LinkDown(id, ETH1), Chaos::LinkUp(id, ETH1)),
        5 => lan.at(at, Happening::Chaos(Chaos::Recreate(id))),
        6 => {
            let config = if rng.chance(30) {
                (*lan.routers[id].config).clone() // SIGHUP without a change
            } else {
                configure(rng, shared, owners, id, routers)
            };
            lan.at(at, Happening::Chaos(Chaos::Reload(id, Box::new(config))));
        }
        7 => lan.at(at, Happening::Chaos(Chaos::Steal(id))),
        8 | 9 => {
            let weather = weather(rng, routers);
            lan.at(at, Happening::Chaos(Chaos::Weather(Box::new(weather))));
        }
        10 => {
            let model = ScriptModel {
                takes: ms(rng.pick(&[1, 500, 1000, 4000])),
                succeeds: rng.chance(50),
                stubborn: rng.chance(30),
            };
            lan.at(at, Happening::Chaos(Chaos::Script(id, model)));
        }
        _ => {
            for n in 0..rng.range(1, 50) {
                let mut bytes: Vec<u8> = (0..rng.range(0, 60)).map(|_| rng.next() as u8).collect();
                if rng.chance(70) && bytes.len() > 22 {
                    (bytes[0], bytes[20], bytes[21]) = (0x45, rng.pick(&[0x21, 0x31]), 51);
                }
                lan.at(at + ms(n * 5).min(quiet.since(at)), Happening::Chaos(Chaos::Garbage(id, bytes)));
            }
        }
    }
}

/// Everything is as it should be again.
fn repair(lan: &mut Lan, quiet: Instant) {
    for id in 0..lan.routers.len() {
        let model = ScriptModel { takes: ms(20), succeeds: true, stubborn: false };
        for chaos in [
            Chaos::Script(id, model),
            Chaos::LinkUp(id, setup::ETH0),
            Chaos::LinkUp(id, ETH1),
            Chaos::Resume(id),
            Chaos::Start(id),
        ] {
            lan.at(quiet, Happening::Chaos(chaos));
        }
    }
    lan.at(quiet, Happening::Chaos(Chaos::Weather(Box::new(Weather::fine()))));
}
