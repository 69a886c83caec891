//! Configurations and machines, as short as a story needs them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use keepalived_rs::addr::{Cidr, Family, IfIndex, IfName, Mac};
use keepalived_rs::model::vrrp::{
    Authentication, Destination, Garp, InitialState, Instance, OldUnicastChecksum, Peer, Unicast, Version,
    VirtualAddress, Vrrp,
};
use keepalived_rs::model::{Script, ScriptCommand, ScriptId, TrackInterface, TrackScript, Weight};
use keepalived_rs::time::Centis;
use keepalived_rs::vrrp::io::Link;

pub(crate) const ETH0: IfIndex = IfIndex(2);
pub(crate) const ETH1: IfIndex = IfIndex(3);

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

/// The own address of router `id`.
pub(crate) fn own_address(id: usize, family: Family) -> IpAddr {
    let last = id as u8 + 1;
    match family {
        Family::V4 => Ipv4Addr::new(10, 0, 0, last).into(),
        Family::V6 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last)).into(),
    }
}

pub(crate) fn group(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(224, 0, 0, 18).into(),
        Family::V6 => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12).into(),
    }
}

pub(crate) fn mac_of(id: usize) -> Mac {
    Mac([2, 0, 0, 0, 0, id as u8 + 1])
}

pub(crate) fn link(id: usize, index: IfIndex, text: &str, up: bool) -> Link {
    Link {
        index,
        name: name(text),
        up,
        multicast: true,
        arp: true,
        loopback: false,
        ethernet: true,
        mac: mac_of(id),
        broadcast: Mac::BROADCAST,
        mtu: 1500,
    }
}

pub(crate) fn vip(text: &str) -> Arc<VirtualAddress> {
    Arc::new(VirtualAddress::plain(cidr(text), name("eth0")))
}

/// Global defaults of keepalived.
pub(crate) const GARP: Garp = Garp {
    master_delay: Duration::from_secs(5),
    master_repeat: 5,
    master_refresh: Duration::ZERO,
    master_refresh_repeat: 1,
    lower_prio_delay: Duration::from_secs(5),
    lower_prio_repeat: 5,
};

/// VI_1: VRID 51, VRRPv2, one second, 10.0.0.100/24 on eth0.
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
        destination: Destination::Multicast(group(Family::V4)),
        source: None,
        track_source: false,
        garp: GARP,
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

pub(crate) fn unicast(peers: &[IpAddr]) -> Destination {
    let peer = |&address: &IpAddr| Peer { address, min_ttl: 0, max_ttl: 255 };
    Destination::Unicast(Unicast { peers: peers.iter().map(peer).collect(), ttl: None, check_source: false })
}

pub(crate) fn vrrp(instances: Vec<Instance>) -> Vrrp {
    let instances = instances.into_iter().map(Arc::new).collect();
    Vrrp { instances, ..Vrrp::default() }
}

pub(crate) fn script(text: &str) -> Script {
    Script {
        name: text.into(),
        command: ScriptCommand {
            path: format!("/bin/{text}").into(),
            argv: vec![format!("/bin/{text}").into_bytes()],
            uid: 0,
            gid: 0,
            supplementary_groups: false,
            insecure: false,
        },
        opens_only: false,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        rise: 1,
        fall: 1,
        init_fail: false,
        weight: Weight::default(),
    }
}

pub(crate) const fn weight(value: i16) -> Weight {
    Weight { value, reverse: false }
}

pub(crate) const fn tracks(script: usize, value: i16) -> TrackScript {
    TrackScript { script: ScriptId(script), weight: weight(value) }
}

pub(crate) fn tracks_link(text: &str, value: i16) -> TrackInterface {
    TrackInterface { interface: name(text), weight: weight(value) }
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
