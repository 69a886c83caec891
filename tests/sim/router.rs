//! A machine with the real engine on it: its kernel is a list of links, addresses and sockets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use keepalived_rs::addr::{Cidr, Family, IfIndex, IfName, Mac};
use keepalived_rs::model::vrrp::Vrrp;
use keepalived_rs::time::Instant;
use keepalived_rs::vrrp::Node;
use keepalived_rs::vrrp::io::{
    Action, Failure, Input, Link, PacketMeta, Role, RunId, ScriptEnd, Snapshot, SocketKey, SocketScope,
};

use crate::setup::{ETH0, ETH1, link, own_address};

pub(crate) struct Router {
    pub(crate) id: usize,
    pub(crate) config: Arc<Vrrp>,
    /// None: the daemon does not run.
    pub(crate) node: Option<Node>,
    /// How often the daemon was started: nobody hears what was meant for an earlier run.
    pub(crate) run: u32,
    /// It has been told to begin, so that leftovers are gone.
    pub(crate) started: bool,
    pub(crate) kernel: Kernel,
    pub(crate) clock: Clock,
    /// When its kernel last had something to tell.
    pub(crate) told: Instant,
    /// SIGSTOP: what waits for it.
    pub(crate) paused: Option<VecDeque<Owned>>,
    /// What came and waits for company, and when it came.
    pub(crate) unheard: VecDeque<(Instant, PacketMeta, Rc<[u8]>)>,
    /// The wake-up that is in the queue.
    pub(crate) wake: Option<Instant>,
    pub(crate) neighbours: BTreeMap<IpAddr, Mac>,
    /// What its tracking scripts do now.
    pub(crate) scripts: Vec<ScriptModel>,
    pub(crate) running: BTreeMap<RunId, usize>,
    pub(crate) roles: Vec<Role>,
    /// When each instance last sent an advert as MASTER, by its own clock.
    pub(crate) last_advert: Vec<Option<Instant>>,
    /// Every action with the true time, where a story wants it.
    pub(crate) log: Option<Vec<(Instant, Action)>>,
}

#[derive(Default)]
pub(crate) struct Kernel {
    pub(crate) links: BTreeMap<IfIndex, Link>,
    pub(crate) addresses: Vec<(IfIndex, Cidr)>,
    pub(crate) sockets: Vec<SocketKey>,
    /// It opens no socket.
    pub(crate) refuses_sockets: bool,
    /// Taken away by somebody else, or with a link; the daemon has not been told.
    pub(crate) untold: BTreeSet<(IfIndex, Cidr)>,
    next_index: u32,
}

/// A clock that goes wrong by some parts in a million.
#[derive(Clone, Copy, Default)]
pub(crate) struct Clock {
    pub(crate) ppm: i64,
}

impl Clock {
    pub(crate) fn local(self, at: Instant) -> Instant {
        let nanos = i128::from(at.nanos());
        Instant::from_nanos((nanos + nanos * i128::from(self.ppm) / 1_000_000) as u64)
    }

    /// The first true instant at which this clock shows `local` or later.
    pub(crate) fn true_time(self, local: Instant) -> Instant {
        let guess = i128::from(local.nanos()) * 1_000_000 / (1_000_000 + i128::from(self.ppm));
        let mut at = Instant::from_nanos((guess - 2).max(0) as u64);
        while self.local(at) < local {
            at += Duration::from_nanos(1);
        }
        at
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ScriptModel {
    pub(crate) takes: Duration,
    pub(crate) succeeds: bool,
    /// Does not end on SIGTERM.
    pub(crate) stubborn: bool,
}

/// An input that waits.
#[derive(Clone, Debug)]
pub(crate) enum Owned {
    Received(PacketMeta, Rc<[u8]>),
    Link(Link),
    LinkGone(IfIndex),
    AddressAdded(IfIndex, Cidr),
    AddressRemoved(IfIndex, Cidr, bool),
    ScriptEnded(RunId, ScriptEnd),
    Failed(Failure),
}

impl Owned {
    pub(crate) fn as_input(&self) -> Input<'_> {
        match self {
            Self::Received(meta, bytes) => Input::Received { meta: *meta, waited: Duration::ZERO, bytes },
            Self::Link(link) => Input::Link(*link),
            Self::LinkGone(index) => Input::LinkGone(*index),
            Self::AddressAdded(index, cidr) => Input::AddressAdded(*index, *cidr),
            Self::AddressRemoved(link, address, by_us) => {
                Input::AddressRemoved { link: *link, address: *address, by_us: *by_us }
            }
            Self::ScriptEnded(run, end) => Input::ScriptEnded(*run, *end),
            Self::Failed(failure) => Input::Failed(failure.clone()),
        }
    }
}

impl Router {
    pub(crate) fn new(id: usize, config: Vrrp) -> Self {
        let mut kernel = Kernel { next_index: 10, ..Kernel::default() };
        kernel.links.insert(ETH0, link(id, ETH0, "eth0", true));
        kernel.links.insert(ETH1, link(id, ETH1, "eth1", true));
        kernel.addresses.push((ETH0, Cidr { address: own_address(id, Family::V4), prefix: 24 }));
        kernel.addresses.push((ETH0, Cidr { address: own_address(id, Family::V6), prefix: 64 }));
        Self {
            id,
            config: Arc::new(config),
            node: None,
            run: 0,
            started: false,
            kernel,
            clock: Clock::default(),
            told: Instant::ZERO,
            paused: None,
            unheard: VecDeque::new(),
            wake: None,
            neighbours: BTreeMap::new(),
            scripts: Vec::new(),
            running: BTreeMap::new(),
            roles: Vec::new(),
            last_advert: Vec::new(),
            log: None,
        }
    }

    pub(crate) fn role(&self, instance: usize) -> Option<Role> {
        self.node.as_ref().and_then(|_| self.roles.get(instance).copied())
    }

    pub(crate) fn is_master(&self, instance: usize) -> bool {
        self.role(instance) == Some(Role::Master)
    }

    pub(crate) fn script(&self, id: usize) -> ScriptModel {
        let model = ScriptModel { takes: Duration::from_millis(20), succeeds: true, stubborn: false };
        self.scripts.get(id).copied().unwrap_or(model)
    }
}

impl Kernel {
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot { links: self.links.values().copied().collect(), addresses: self.addresses.clone() }
    }

    pub(crate) fn index_of(&self, name: IfName) -> Option<IfIndex> {
        self.links.values().find(|link| link.name == name).map(|link| link.index)
    }

    pub(crate) fn is_up(&self, index: IfIndex) -> bool {
        self.links.get(&index).is_some_and(|link| link.up)
    }

    pub(crate) fn has(&self, index: IfIndex, cidr: Cidr) -> bool {
        self.addresses.contains(&(index, cidr))
    }

    /// Whether a unicast packet to `address` gets here.
    pub(crate) fn owns(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|(index, cidr)| cidr.address == address && self.is_up(*index))
    }

    /// The sockets a packet goes to.
    pub(crate) fn listeners(&self, destination: IpAddr) -> Vec<SocketKey> {
        let fits = |key: &&SocketKey| {
            let scope = match key.scope {
                SocketScope::Multicast(group) => group == destination,
                SocketScope::Unicast(own) => own == destination,
            };
            scope && key.link.is_none_or(|index| self.is_up(index))
        };
        self.sockets.iter().filter(fits).copied().collect()
    }

    /// Takes a link down. IPv6 addresses go with it.
    pub(crate) fn link_down(&mut self, index: IfIndex) -> Vec<Owned> {
        let Some(link) = self.links.get_mut(&index).filter(|link| link.up) else { return Vec::new() };
        link.up = false;
        let link = *link;
        let is_gone = |&(on, cidr): &(IfIndex, Cidr)| on == index && cidr.address.is_ipv6();
        let gone: Vec<_> = self.addresses.iter().copied().filter(is_gone).collect();
        self.addresses.retain(|address| !is_gone(address));
        let mut told = vec![Owned::Link(link)];
        for (index, cidr) in gone {
            self.untold.insert((index, cidr));
            told.push(Owned::AddressRemoved(index, cidr, false));
        }
        told
    }

    /// Brings it up again. The link-local address comes back at once here (no duplicate address detection).
    pub(crate) fn link_up(&mut self, id: usize, index: IfIndex) -> Vec<Owned> {
        let Some(link) = self.links.get_mut(&index).filter(|link| !link.up) else { return Vec::new() };
        link.up = true;
        let mut told = vec![Owned::Link(*link)];
        if link.name.as_str() == "eth0" {
            let own = Cidr { address: own_address(id, Family::V6), prefix: 64 };
            if !self.has(index, own) {
                self.addresses.push((index, own));
                told.push(Owned::AddressAdded(index, own));
            }
        }
        told
    }

    /// Deletes eth0 and makes it anew, with another number.
    pub(crate) fn recreate(&mut self, id: usize) -> Vec<Owned> {
        let Some(old) = self.index_of("eth0".parse().unwrap()) else { return Vec::new() };
        let mut told = self.link_down(old);
        for &(_, cidr) in self.addresses.iter().filter(|(on, _)| *on == old) {
            self.untold.insert((old, cidr));
            told.push(Owned::AddressRemoved(old, cidr, false));
        }
        self.addresses.retain(|(on, _)| *on != old);
        self.links.remove(&old);
        self.sockets.retain(|key| key.link != Some(old));
        told.push(Owned::LinkGone(old));
        let new = IfIndex(self.next_index);
        self.next_index += 1;
        self.links.insert(new, link(id, new, "eth0", true));
        told.push(Owned::Link(link(id, new, "eth0", true)));
        for (family, prefix) in [(Family::V4, 24), (Family::V6, 64)] {
            let own = Cidr { address: own_address(id, family), prefix };
            self.addresses.push((new, own));
            told.push(Owned::AddressAdded(new, own));
        }
        told
    }
}
