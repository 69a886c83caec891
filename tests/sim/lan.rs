//! A LAN that is a priority queue, and the routers on it. No thread, no sleep: time jumps from one happening to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use keepalived_rs::addr::{Cidr, Family, IfIndex, Mac};
use keepalived_rs::model::vrrp::Vrrp;
use keepalived_rs::time::Instant;
use keepalived_rs::vrrp::io::{
    Action, Announcement, Failure, Input, PacketMeta, Packets, RunId, ScriptEnd, ScriptSignal, SendAdvert, SocketKey,
};
use keepalived_rs::vrrp::{Node, Wake};
use keepalived_rs::wire::checksum::Sum;

use crate::oracle;
use crate::rng::Rng;
use crate::router::{Owned, Router};

/// errno of a send on a link that is down.
const ENETUNREACH: i32 = 101;
/// errno of a socket that may join no more groups.
const ENOBUFS: i32 = 105;
/// What a socket holds while nobody reads it.
const SOCKET_BUFFER: usize = 500;

pub(crate) struct Lan {
    pub(crate) now: Instant,
    queue: BTreeMap<(Instant, u64), Happening>,
    next: u64,
    pub(crate) rng: Rng,
    pub(crate) weather: Weather,
    pub(crate) routers: Vec<Router>,
    /// What a plain host on the LAN believes.
    pub(crate) host: BTreeMap<IpAddr, Mac>,
    pub(crate) steps: u64,
    /// Print everything.
    pub(crate) narrate: bool,
}

/// What may happen to an advert on its way. Gratuitous ARP is only lost where a link is down.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// Lost adverts, of a thousand.
    pub(crate) loss: u64,
    /// Doubled adverts, of a thousand.
    pub(crate) duplicate: u64,
    /// Adverts that a router lets wait for others, as long as its engine has patience; of a thousand.
    pub(crate) company: u64,
    /// Shortest and longest way, in microseconds.
    pub(crate) delay_micros: (u64, u64),
    /// Who does not hear whom: (from, to).
    pub(crate) cut: BTreeSet<(usize, usize)>,
}

impl Weather {
    pub(crate) fn fine() -> Self {
        Self { loss: 0, duplicate: 0, company: 0, delay_micros: (300, 300), cut: BTreeSet::new() }
    }

    pub(crate) fn is_fine(&self) -> bool {
        self.loss == 0 && self.cut.is_empty()
    }
}

#[derive(Debug)]
pub(crate) enum Happening {
    /// A packet arrives.
    Arrive { to: usize, source: IpAddr, destination: IpAddr, bytes: Rc<[u8]> },
    /// A gratuitous ARP or neighbour advertisement arrives everywhere.
    Neighbour { from: usize, address: IpAddr, mac: Mac },
    /// A router looks what has come.
    Look { router: usize },
    /// A router wanted to be woken.
    Wake { router: usize },
    /// A kernel tells its daemon something.
    Kernel { router: usize, daemon: u32, input: Owned },
    /// A script comes to its end.
    ScriptEnds { router: usize, daemon: u32, run: RunId, end: ScriptEnd },
    /// Something is done to the LAN.
    Chaos(crate::draw::Chaos),
}

impl Lan {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Instant::from_nanos(1_000_000_000),
            queue: BTreeMap::new(),
            next: 0,
            rng: Rng::new(seed),
            weather: Weather::fine(),
            routers: Vec::new(),
            host: BTreeMap::new(),
            steps: 0,
            narrate: false,
        }
    }

    // ---- time ------------------------------------------------------------------------------------------------

    pub(crate) fn at(&mut self, when: Instant, happening: Happening) {
        self.next += 1;
        self.queue.insert((when, self.next), happening);
    }

    fn soon(&mut self, router: usize, input: Owned) {
        let delay = Duration::from_micros(self.rng.range(20, 400));
        // a kernel tells in order
        let told = &mut self.routers[router].told;
        let when = (*told).max(self.now + delay);
        *told = when;
        let daemon = self.routers[router].run;
        self.at(when, Happening::Kernel { router, daemon, input });
    }

    /// Lets everything happen up to `until`.
    pub(crate) fn run_until(&mut self, until: Instant) {
        while let Some((&(at, _), _)) = self.queue.first_key_value()
            && at <= until
        {
            let (_, happening) = self.queue.pop_first().expect("just seen");
            self.now = at;
            self.steps += 1;
            self.happen(happening);
        }
        self.now = until;
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        self.run_until(self.now + span);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive { to, source, destination, bytes } => self.arrive(to, source, destination, bytes),
            Happening::Neighbour { from, address, mac } => {
                self.host.insert(address, mac);
                for router in self.routers.iter_mut().filter(|router| router.id != from) {
                    router.neighbours.insert(address, mac);
                }
            }
            Happening::Look { router } => self.look(router),
            Happening::Wake { router } => {
                if self.routers[router].wake == Some(self.now) {
                    self.routers[router].wake = None;
                    if self.routers[router].paused.is_none() {
                        self.look(router);
                        self.feed(router, Input::Tick);
                    }
                }
            }
            Happening::Kernel { router, daemon, input } => {
                if self.routers[router].run == daemon {
                    self.tell(router, input);
                }
            }
            Happening::ScriptEnds { router, daemon, run, end } => {
                let same = self.routers[router].run == daemon;
                if same && self.routers[router].running.remove(&run).is_some() {
                    self.tell(router, Owned::ScriptEnded(run, end));
                }
            }
            Happening::Chaos(chaos) => {
                if self.narrate {
                    println!("{:>14.6} {chaos:?}", self.now.nanos() as f64 / 1e9);
                }
                chaos.strike(self);
            }
        }
    }

    // ---- routers ---------------------------------------------------------------------------------------------

    pub(crate) fn add(&mut self, config: Vrrp) -> usize {
        let id = self.routers.len();
        self.routers.push(Router::new(id, config));
        id
    }

    pub(crate) fn start(&mut self, id: usize) {
        let router = &mut self.routers[id];
        if router.node.is_some() {
            return;
        }
        router.node = Some(Node::new(Arc::clone(&router.config), id as u64));
        router.run += 1;
        router.kernel.untold.clear();
        router.last_advert.clear();
        router.roles.clear();
        let snapshot = router.kernel.snapshot();
        router.started = false;
        self.feed(id, Input::Machine(&snapshot));
        self.routers[id].started = true;
        self.feed(id, Input::Startup);
    }

    /// SIGTERM.
    pub(crate) fn stop(&mut self, id: usize) {
        self.resume(id);
        self.feed(id, Input::Shutdown);
        self.kill(id);
    }

    /// SIGKILL: the kernel keeps the addresses.
    pub(crate) fn kill(&mut self, id: usize) {
        let router = &mut self.routers[id];
        router.node = None;
        router.paused = None;
        router.unheard.clear();
        router.wake = None;
        router.running.clear();
        router.kernel.sockets.clear();
    }

    pub(crate) fn pause(&mut self, id: usize) {
        let router = &mut self.routers[id];
        if router.node.is_some() && router.paused.is_none() {
            let waiting = router.unheard.drain(..).map(|(_, meta, bytes)| Owned::Received(meta, bytes));
            router.paused = Some(waiting.collect());
        }
    }

    /// SIGCONT: what waits is heard first, as the daemon's loop does it.
    pub(crate) fn resume(&mut self, id: usize) {
        let Some(waiting) = self.routers[id].paused.take() else { return };
        self.routers[id].last_advert.fill(None);
        for input in waiting {
            self.feed(id, input.as_input());
        }
        self.feed(id, Input::Tick);
    }

    pub(crate) fn reload(&mut self, id: usize, config: Vrrp) {
        let router = &mut self.routers[id];
        router.config = Arc::new(config);
        router.last_advert = vec![None; router.config.instances.len()];
        let config = Arc::clone(&router.config);
        if router.paused.is_none() {
            self.feed(id, Input::Reload(&config));
        } else {
            self.resume(id);
            self.feed(id, Input::Reload(&config));
        }
    }

    pub(crate) fn link_down(&mut self, id: usize, index: IfIndex) {
        let told = self.routers[id].kernel.link_down(index);
        told.into_iter().for_each(|input| self.soon(id, input));
    }

    pub(crate) fn link_up(&mut self, id: usize, index: IfIndex) {
        let told = self.routers[id].kernel.link_up(id, index);
        told.into_iter().for_each(|input| self.soon(id, input));
    }

    pub(crate) fn recreate_link(&mut self, id: usize) {
        let told = self.routers[id].kernel.recreate(id);
        told.into_iter().for_each(|input| self.soon(id, input));
    }

    /// Somebody types `ip address del`.
    pub(crate) fn steal(&mut self, id: usize, index: IfIndex, cidr: Cidr) {
        let kernel = &mut self.routers[id].kernel;
        if kernel.has(index, cidr) {
            kernel.addresses.retain(|&address| address != (index, cidr));
            kernel.untold.insert((index, cidr));
            self.soon(id, Owned::AddressRemoved(index, cidr, false));
        }
    }

    /// Somebody types `ip address add`.
    pub(crate) fn give(&mut self, id: usize, index: IfIndex, cidr: Cidr) {
        let kernel = &mut self.routers[id].kernel;
        if kernel.links.contains_key(&index) && !kernel.has(index, cidr) {
            kernel.addresses.push((index, cidr));
            self.soon(id, Owned::AddressAdded(index, cidr));
        }
    }

    fn tell(&mut self, id: usize, input: Owned) {
        if let Owned::AddressRemoved(index, cidr, _) = input
            && self.routers[id].paused.is_none()
        {
            self.routers[id].kernel.untold.remove(&(index, cidr));
        }
        match &mut self.routers[id].paused {
            Some(waiting) => waiting.push_back(input),
            None => self.feed(id, input.as_input()),
        }
    }

    /// One input to one engine, everything that it wants done, and a look whether that was right.
    pub(crate) fn feed(&mut self, id: usize, input: Input<'_>) {
        let router = &mut self.routers[id];
        let Some(node) = router.node.as_mut() else { return };
        let local = router.clock.local(self.now);
        let is_tick = matches!(input, Input::Tick);
        if let Input::AddressRemoved { link, address, .. } = input {
            router.kernel.untold.remove(&(link, address));
        }
        let mut actions = Vec::new();
        node.handle(input, local, &mut actions);
        let deadline = node.deadline();
        if is_tick {
            oracle::no_spin(local, deadline);
        }
        for action in &actions {
            self.perform(id, action);
            if let Some(line) = crate::tell(action).filter(|_| self.narrate) {
                println!("{:>14.6} router {id}: {line}", self.now.nanos() as f64 / 1e9);
            }
        }
        oracle::after_each_step(self, id, local, &actions);
        if let Some(log) = &mut self.routers[id].log {
            log.extend(actions.into_iter().map(|action| (self.now, action)));
        }
        self.schedule(id, deadline);
    }

    /// An earlier wake-up than needed stays: early ticks must be harmless.
    fn schedule(&mut self, id: usize, deadline: Option<(Instant, Wake)>) {
        let Some((local, _)) = deadline else { return };
        let router = &mut self.routers[id];
        let at = router.clock.true_time(local).max(self.now);
        if router.wake.is_none_or(|wake| at < wake || wake < self.now) {
            router.wake = Some(at);
            self.at(at, Happening::Wake { router: id });
        }
    }

    // ---- hands -----------------------------------------------------------------------------------------------

    fn perform(&mut self, id: usize, action: &Action) {
        match action {
            Action::SendAdvert(advert) => self.send(id, advert),
            Action::Announce(announcement) => self.announce(id, announcement),
            Action::AddAddress(holding) => {
                let (index, cidr) = (holding.link, holding.address.cidr);
                let kernel = &mut self.routers[id].kernel;
                if !kernel.links.contains_key(&index) {
                    self.soon(id, Owned::Failed(Failure::AddAddress(holding.clone(), 19)));
                } else if cidr.address.is_ipv6() && !kernel.is_up(index) {
                    self.soon(id, Owned::Failed(Failure::AddAddress(holding.clone(), 13)));
                } else if !kernel.has(index, cidr) {
                    kernel.addresses.push((index, cidr));
                    self.soon(id, Owned::AddressAdded(index, cidr));
                }
            }
            Action::RemoveAddress(holding) => {
                let (index, cidr) = (holding.link, holding.address.cidr);
                let kernel = &mut self.routers[id].kernel;
                if kernel.has(index, cidr) {
                    kernel.addresses.retain(|&address| address != (index, cidr));
                    self.soon(id, Owned::AddressRemoved(index, cidr, true));
                }
            }
            Action::Sockets(specs) => {
                let kernel = &mut self.routers[id].kernel;
                let opens = |key: &SocketKey| !kernel.refuses_sockets || kernel.sockets.contains(key);
                let (open, refused): (Vec<_>, Vec<_>) = specs.iter().map(|spec| spec.key).partition(opens);
                kernel.sockets = open;
                for key in refused {
                    self.soon(id, Owned::Failed(Failure::Socket(key, ENOBUFS)));
                }
            }
            Action::RunScript(run, script) => {
                let model = self.routers[id].script(script.0);
                self.routers[id].running.insert(*run, script.0);
                let end = ScriptEnd::Exited(u8::from(!model.succeeds));
                let daemon = self.routers[id].run;
                self.at(self.now + model.takes, Happening::ScriptEnds { router: id, daemon, run: *run, end });
            }
            Action::SignalScript(run, signal) => {
                let Some(&script) = self.routers[id].running.get(run) else { return };
                let number = match signal {
                    ScriptSignal::Term if self.routers[id].script(script).stubborn => return,
                    ScriptSignal::Term => 15,
                    ScriptSignal::Kill => 9,
                };
                let end = ScriptEnd::Signalled(number);
                let daemon = self.routers[id].run;
                let soon = self.now + Duration::from_millis(1);
                self.at(soon, Happening::ScriptEnds { router: id, daemon, run: *run, end });
            }
            Action::Notify(_) | Action::Report(_) => {}
        }
    }

    fn send(&mut self, id: usize, advert: &SendAdvert) {
        let kernel = &self.routers[id].kernel;
        let Packets { socket, source, copies, .. } = &*advert.packets;
        let up = socket.link.is_none_or(|index| kernel.is_up(index));
        for (destination, bytes) in copies {
            if !up {
                let (instance, destination, errno) = (advert.instance, *destination, ENETUNREACH);
                self.soon(id, Owned::Failed(Failure::Send { instance, destination, errno }));
                continue;
            }
            let mut bytes = bytes.clone();
            if socket.family == Family::V6 {
                let sum = Sum::new().pseudo_header(*source, *destination, 112, bytes.len());
                let sum = sum.bytes(&bytes).finish().to_be_bytes();
                bytes[6..8].copy_from_slice(&sum);
            }
            self.transmit(id, *source, *destination, bytes.into());
        }
    }

    fn transmit(&mut self, from: usize, source: IpAddr, destination: IpAddr, bytes: Rc<[u8]>) {
        for to in (0..self.routers.len()).filter(|&to| to != from) {
            if !destination.is_multicast() && !self.routers[to].kernel.owns(destination) {
                continue;
            }
            if self.weather.cut.contains(&(from, to)) || self.rng.range(0, 999) < self.weather.loss {
                continue;
            }
            let copies = 1 + u64::from(self.rng.range(0, 999) < self.weather.duplicate);
            for _ in 0..copies {
                let (low, high) = self.weather.delay_micros;
                let delay = Duration::from_micros(self.rng.range(low, high));
                let bytes = Rc::clone(&bytes);
                self.at(self.now + delay, Happening::Arrive { to, source, destination, bytes });
            }
        }
    }

    fn arrive(&mut self, to: usize, source: IpAddr, destination: IpAddr, bytes: Rc<[u8]>) {
        if destination.is_ipv6()
            && Sum::new().pseudo_header(source, destination, 112, bytes.len()).bytes(&bytes).finish() != 0
        {
            return; // the kernel checks it
        }
        for socket in self.routers[to].kernel.listeners(destination) {
            let hop_limit = destination.is_ipv6().then_some(255);
            let meta = PacketMeta { socket, source, destination: Some(destination), hop_limit };
            match &mut self.routers[to].paused {
                Some(waiting) if waiting.len() >= SOCKET_BUFFER => {}
                Some(waiting) => waiting.push_back(Owned::Received(meta, Rc::clone(&bytes))),
                None => self.arrive_awake(to, meta, &bytes),
            }
        }
    }

    fn arrive_awake(&mut self, to: usize, meta: PacketMeta, bytes: &Rc<[u8]>) {
        let patience = self.routers[to].node.as_ref().map_or(Duration::ZERO, Node::patience);
        let waits = !patience.is_zero() && self.rng.range(0, 999) < self.weather.company;
        let others = !self.routers[to].unheard.is_empty();
        if !waits && !others {
            return self.feed(to, Input::Received { meta, waited: Duration::ZERO, bytes });
        }
        self.routers[to].unheard.push_back((self.now, meta, Rc::clone(bytes)));
        if !others {
            let pause = Duration::from_micros(self.rng.range(0, patience.as_micros() as u64));
            self.at(self.now + pause, Happening::Look { router: to });
        }
    }

    /// Hears what has come and waits.
    fn look(&mut self, id: usize) {
        for (came, meta, bytes) in std::mem::take(&mut self.routers[id].unheard) {
            let clock = self.routers[id].clock;
            let waited = clock.local(self.now).since(clock.local(came));
            self.feed(id, Input::Received { meta, waited, bytes: &bytes });
        }
    }

    fn announce(&mut self, id: usize, announcement: &Announcement) {
        oracle::announces_what_it_holds(&self.routers[id], announcement);
        if self.routers[id].kernel.is_up(announcement.link) {
            let Announcement { address, mac, .. } = *announcement;
            self.at(self.now + Duration::from_micros(300), Happening::Neighbour { from: id, address, mac });
        }
    }

    // ---- questions -------------------------------------------------------------------------------------------

    /// Who is MASTER of instance `instance`.
    pub(crate) fn masters(&self, instance: usize) -> Vec<usize> {
        self.routers.iter().filter(|router| router.is_master(instance)).map(|router| router.id).collect()
    }

    pub(crate) fn is_only_master(&self, id: usize) -> bool {
        self.masters(0) == [id]
    }

    pub(crate) fn heal(&mut self) {
        self.weather = Weather::fine();
    }

    /// Nobody hears anybody across the line between `some` and the rest.
    pub(crate) fn split(&mut self, some: &[usize]) {
        for from in 0..self.routers.len() {
            for to in 0..self.routers.len() {
                if some.contains(&from) != some.contains(&to) {
                    self.weather.cut.insert((from, to));
                }
            }
        }
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.weather.cut.insert((from, to));
    }
}
