//! One node, input by input.

use std::net::IpAddr;
use std::sync::Arc;

use super::io::{Action, Holding, Input, Link, Notified, PacketMeta, Role, Snapshot, SocketKey, SocketScope, Wake};
use super::{Node, report::Event};
use crate::addr::{Cidr, Family, IfIndex, IfName, Mac};
use crate::model::InstanceId;
use crate::model::vrrp::{
    Authentication, Destination, Garp, InitialState, Instance, OldUnicastChecksum, Version, VirtualAddress, Vrrp,
};
use crate::time::{Centis, Duration, Instant};
use crate::wire::ipv4::Header;
use crate::wire::vrrp::{Body, Checksum, emit};

pub(crate) const GROUP: [u8; 4] = [224, 0, 0, 18];
pub(crate) const ETH0: IfIndex = IfIndex(2);

pub(crate) fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn cidr(text: &str) -> Cidr {
    let (address, prefix) = text.split_once('/').unwrap();
    Cidr { address: ip(address), prefix: prefix.parse().unwrap() }
}

pub(crate) fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

pub(crate) fn vip(text: &str) -> Arc<VirtualAddress> {
    Arc::new(VirtualAddress::plain(cidr(text), name("eth0")))
}

pub(crate) fn instance(priority: u8) -> Instance {
    Instance {
        name: "VI_1".into(),
        family: Family::V4,
        version: Version::V2,
        vrid: 51,
        interface: Some(name("eth0")),
        priority,
        initial_state: if priority == 255 { InitialState::Master } else { InitialState::Backup },
        advert_interval: Centis(100),
        preempt: true,
        preempt_delay: Duration::ZERO,
        authentication: Authentication::None,
        addresses: vec![vip("10.0.0.100/24")],
        excluded: Vec::new(),
        destination: Destination::Multicast(GROUP.into()),
        source: None,
        track_source: false,
        garp: Garp {
            master_delay: Duration::from_secs(5),
            master_repeat: 5,
            master_refresh: Duration::ZERO,
            master_refresh_repeat: 1,
            lower_prio_delay: Duration::from_secs(5),
            lower_prio_repeat: 5,
        },
        track_primary: true,
        track_interfaces: Vec::new(),
        track_scripts: Vec::new(),
        down_timer_adverts: 3,
        timer_expired_backup: None,
        accept: true,
        skip_check_adv_addr: false,
        strict: false,
        higher_prio_send_advert: false,
        lower_prio_no_advert: false,
        owner_ignore_adverts: false,
        v3_checksum_as_v2: false,
        old_unicast_checksum: OldUnicastChecksum::Auto,
        promote_secondaries: false,
        kernel_rx_buf_size: None,
        notify: Arc::default(),
        config_fault: None,
    }
}

pub(crate) fn link(index: IfIndex, text: &str, up: bool) -> Link {
    Link {
        index,
        name: name(text),
        up,
        multicast: true,
        arp: true,
        loopback: false,
        ethernet: true,
        mac: Mac([2, 0, 0, 0, 0, 1]),
        broadcast: Mac::BROADCAST,
        mtu: 1500,
    }
}

pub(crate) fn machine() -> Snapshot {
    Snapshot { links: vec![link(ETH0, "eth0", true)], addresses: vec![(ETH0, cidr("10.0.0.1/24"))] }
}

/// A node with what it did.
pub(crate) struct Bench {
    pub(crate) node: Node,
    pub(crate) now: Instant,
    /// Every action with its time.
    pub(crate) log: Vec<(Instant, Action)>,
}

impl Bench {
    pub(crate) fn start(instances: Vec<Instance>) -> Self {
        let instances = instances.into_iter().map(Arc::new).collect();
        Self::start_on(Vrrp { instances, ..Vrrp::default() }, &machine())
    }

    pub(crate) fn start_on(config: Vrrp, machine: &Snapshot) -> Self {
        let mut bench = Self { node: Node::new(Arc::new(config), 0), now: at(0), log: Vec::new() };
        bench.feed(Input::Machine(machine));
        bench.feed(Input::Startup);
        bench
    }

    pub(crate) fn feed(&mut self, input: Input<'_>) -> Vec<Action> {
        let mut out = Vec::new();
        self.node.handle(input, self.now, &mut out);
        self.log.extend(out.iter().cloned().map(|action| (self.now, action)));
        out
    }

    /// Ticks at every deadline up to `until`.
    pub(crate) fn run(&mut self, until: Instant) {
        while let Some((due, _)) = self.node.deadline()
            && due <= until
        {
            self.now = self.now.max(due);
            self.feed(Input::Tick);
            assert!(self.node.deadline().is_none_or(|(next, _)| next > self.now), "no spin");
        }
        self.now = until;
    }

    pub(crate) fn roles(&self) -> Vec<Role> {
        self.node.views().map(|view| view.role).collect()
    }

    pub(crate) fn adverts(&self) -> Vec<Instant> {
        self.log.iter().filter(|(_, a)| matches!(a, Action::SendAdvert(_))).map(|&(at, _)| at).collect()
    }

    pub(crate) fn told(&self) -> Vec<Notified> {
        let what = |(_, action): &(Instant, Action)| match action {
            Action::Notify(notification) => Some(notification.what),
            _ => None,
        };
        self.log.iter().filter_map(what).collect()
    }

    /// An advert of a v2 router with the same address.
    pub(crate) fn hear(&mut self, from: [u8; 4], priority: u8) -> Vec<Action> {
        let body = Body::V2 { auth_type: 0, adver_secs: 1, auth_data: [0; 8] };
        let pdu = emit(Family::V4, 51, priority, &[ip("10.0.0.100")], body, Checksum::Plain);
        self.hear_bytes(&Header::before(from.into(), GROUP.into(), 255, 112, 7, &pdu), from)
    }

    pub(crate) fn hear_bytes(&mut self, bytes: &[u8], from: [u8; 4]) -> Vec<Action> {
        let socket = SocketKey { family: Family::V4, link: Some(ETH0), scope: SocketScope::Multicast(GROUP.into()) };
        let meta = PacketMeta { socket, source: from.into(), destination: None, hop_limit: None };
        self.feed(Input::Received { meta, waited: Duration::ZERO, bytes })
    }
}

/// The order of what is done, in short words.
pub(crate) fn outline(actions: &[Action]) -> Vec<&'static str> {
    let word = |action: &Action| match action {
        Action::SendAdvert(advert) => Some(if advert.packets.copies[0].1[22] == 0 { "zero" } else { "advert" }),
        Action::Announce(_) => Some("announce"),
        Action::AddAddress(_) => Some("add"),
        Action::RemoveAddress(_) => Some("remove"),
        Action::Sockets(_) => Some("sockets"),
        Action::RunScript(..) | Action::SignalScript(..) => Some("script"),
        Action::Notify(_) => Some("notify"),
        Action::Report(_) => None,
    };
    actions.iter().filter_map(word).collect()
}

#[test]
fn a_backup_may_hear_packets_together_and_a_master_hears_each_at_once() {
    let mut bench = Bench::start(vec![instance(100)]);
    assert_eq!(bench.node.patience(), Duration::from_millis(250));
    bench.run(at(3610));
    assert_eq!(bench.roles(), [Role::Master]);
    assert_eq!(bench.node.patience(), Duration::ZERO);
    let fast = Instance { advert_interval: Centis(10), version: Version::V3, ..instance(100) };
    assert_eq!(Bench::start(vec![fast]).node.patience(), Duration::from_millis(25));
    let next_in_line = Bench::start(vec![instance(100), instance(252)]).node;
    assert_eq!(next_in_line.patience(), Duration::from_micros(15_625), "its Skew_Time");
}

#[test]
fn a_lonely_backup_becomes_master_after_three_intervals_and_its_skew() {
    let mut bench = Bench::start(vec![instance(100)]);
    assert_eq!(bench.roles(), [Role::Backup]);
    let due = Instant::from_nanos(3_609_375_000); // 3 s + 156/256 s
    assert_eq!(bench.node.deadline(), Some((due, Wake::MasterDown(InstanceId(0)))));
    bench.run(at(3609));
    assert_eq!(bench.roles(), [Role::Backup]);
    bench.run(at(3610));
    assert_eq!(bench.roles(), [Role::Master]);
    assert_eq!(bench.told(), [Notified::Backup, Notified::Master]);
}

#[test]
fn the_advert_goes_before_the_addresses_and_the_announcements_after_them() {
    let mut bench = Bench::start(vec![instance(100)]);
    bench.now = at(3610);
    let actions = bench.feed(Input::Tick);
    let announces = ["announce"; 5];
    assert_eq!(outline(&actions), [&["advert", "add"], &announces[..], &["notify"]].concat());
}

#[test]
fn a_backup_that_hears_its_master_stays_backup_and_takes_over_within_the_skew_after_priority_zero() {
    let mut bench = Bench::start(vec![instance(100)]);
    for second in 1..20 {
        bench.run(at(second * 1000));
        bench.hear([10, 0, 0, 2], 200);
    }
    assert_eq!(bench.roles(), [Role::Backup]);
    bench.hear([10, 0, 0, 2], 0);
    bench.run(at(19_609));
    assert_eq!(bench.roles(), [Role::Backup]);
    bench.run(at(19_610));
    assert_eq!(bench.roles(), [Role::Master]);
}

#[test]
fn a_master_that_hears_a_higher_priority_lets_go_without_priority_zero() {
    let mut bench = Bench::start(vec![instance(100)]);
    bench.run(at(5000));
    let holding = Holding { link: ETH0, address: vip("10.0.0.100/24") };
    assert!(bench.log.contains(&(Instant::from_nanos(3_609_375_000), Action::AddAddress(holding.clone()))));
    let actions = bench.hear([10, 0, 0, 2], 200);
    assert!(actions.contains(&Action::RemoveAddress(holding)));
    assert!(!outline(&actions).contains(&"zero"));
    assert_eq!(bench.roles(), [Role::Backup]);
}

#[test]
fn the_end_sends_priority_zero_then_removes_the_addresses_then_notifies() {
    let mut bench = Bench::start(vec![instance(100)]);
    bench.run(at(5000));
    let actions = bench.feed(Input::Shutdown);
    assert_eq!(outline(&actions), ["zero", "remove", "notify"]);
    assert_eq!(bench.node.deadline(), None);
}

#[test]
fn an_owner_is_master_at_once_and_says_nothing_of_backup() {
    let mut bench = Bench::start(vec![instance(255)]);
    bench.run(at(0));
    assert_eq!(bench.roles(), [Role::Master]);
    assert_eq!(bench.told(), [Notified::Master]);
}

#[test]
fn the_cadence_does_not_drift_with_late_wake_ups() {
    let mut bench = Bench::start(vec![instance(255)]);
    bench.run(at(0));
    for second in 1..=10 {
        bench.now = at(second * 1000 + 40); // always 40 ms late
        bench.feed(Input::Tick);
        assert_eq!(bench.node.deadline().unwrap().0, at((second + 1) * 1000));
    }
    assert_eq!(bench.adverts().len(), 11);
}

#[test]
fn a_hundred_broken_packets_a_second_move_no_advert() {
    let mut bench = Bench::start(vec![instance(255)]);
    bench.run(at(0));
    for hundredth in 1..=800 {
        bench.run(at(hundredth * 10));
        bench.hear_bytes(
            &Header::before([10, 0, 0, 9].into(), GROUP.into(), 255, 112, 1, &[0x21, 51, 1, 9]),
            [10, 0, 0, 9],
        );
        bench.hear_bytes(
            &Header::before([10, 0, 0, 9].into(), GROUP.into(), 255, 112, 1, &[0x21, 51, 1, 9, 0, 1, 0, 0]),
            [10, 0, 0, 9],
        );
    }
    assert_eq!(bench.adverts(), (0..=8).map(|second| at(second * 1000)).collect::<Vec<_>>());
    assert_eq!(bench.node.views().next().unwrap().statistics.packet_len_err, 800);
    let lines = bench
        .log
        .iter()
        .filter(|(_, a)| matches!(a, Action::Report(Event::Instance(_, super::report::InstanceEvent::Heard(..)))));
    assert_eq!(lines.count(), 1, "one line for one kind of flaw");
}
