//! The engine under a stream of packets, ticks and links: it neither panics nor asks to be woken in the past.
#![no_main]

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use keepalived_rs::addr::{Cidr, Family, IfIndex, Mac};
use keepalived_rs::config::machine::FakeMachine;
use keepalived_rs::config::source::Memory;
use keepalived_rs::config::{self, LoadOptions};
use keepalived_rs::model::Vrrp;
use keepalived_rs::time::{Duration, Instant};
use keepalived_rs::vrrp::Node;
use keepalived_rs::vrrp::io::{Action, Input, Link, PacketMeta, Snapshot, SocketKey};

const CONFIGURATION: &str = "
vrrp_instance two {
    interface eth0
    virtual_router_id 1
    priority 100
    authentication { auth_type PASS
        auth_pass secret12 }
    virtual_ipaddress { 10.0.0.1 }
}
vrrp_instance three {
    interface eth0
    version 3
    virtual_router_id 2
    state MASTER
    advert_int 0.1
    virtual_ipaddress { 10.0.0.2/24 }
}
vrrp_instance six {
    interface eth1
    virtual_router_id 3
    preempt_delay 2
    virtual_ipaddress { fe80::1:2 }
}
vrrp_instance unicast {
    interface eth1
    virtual_router_id 4
    nopreempt
    unicast_src_ip 192.0.2.2
    unicast_peer { 192.0.2.9 }
    virtual_ipaddress { 10.0.0.4 }
}
";

fn configuration() -> Arc<Vrrp> {
    static CONFIG: OnceLock<Arc<Vrrp>> = OnceLock::new();
    let load = || {
        let mut files = Memory::of("/main.conf", CONFIGURATION);
        let options = LoadOptions { working_directory: "/".into(), ..LoadOptions::default() };
        let loaded = config::load(&mut files, "main.conf", &options, &FakeMachine::default());
        assert_eq!(loaded.config.vrrp.instances.len(), 4);
        loaded.config.vrrp
    };
    Arc::clone(CONFIG.get_or_init(load))
}

fn link(index: u32) -> Link {
    Link {
        index: IfIndex(index),
        name: format!("eth{}", index - 2).parse().expect("a name"),
        up: true,
        multicast: true,
        arp: true,
        loopback: false,
        ethernet: true,
        mac: Mac([2, 0, 0, 0, 0, index as u8]),
        broadcast: Mac([255; 6]),
        mtu: 1500,
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let config = configuration();
    let mut node = Node::new(Arc::clone(&config), 1);
    let mut out = Vec::new();
    let mut now = Instant::from_nanos(1_000_000_000);
    let own = |index, address: &str, prefix| {
        (IfIndex(index), Cidr { address: address.parse().expect("an address"), prefix })
    };
    let snapshot = Snapshot {
        links: vec![link(2), link(3)],
        addresses: vec![own(2, "192.0.2.1", 24), own(3, "192.0.2.2", 24), own(3, "fe80::2", 64)],
    };
    node.handle(Input::Machine(&snapshot), now, &mut out);
    node.handle(Input::Startup, now, &mut out);
    let mut sockets: Vec<SocketKey> = Vec::new();
    let mut rest = data;
    while let [operation, argument, after @ ..] = rest {
        rest = after;
        for action in out.drain(..) {
            if let Action::Sockets(specs) = action {
                sockets = specs.iter().map(|spec| spec.key).collect();
            }
        }
        match operation % 6 {
            0 => now += Duration::from_millis(u64::from(*argument) * 20),
            1 => node.handle(Input::LinkGone(IfIndex(2 + u32::from(argument % 2))), now, &mut out),
            2 => {
                let up = argument & 4 == 0;
                node.handle(Input::Link(Link { up, ..link(2 + u32::from(argument % 2)) }), now, &mut out);
            }
            3 => node.handle(Input::Reload(&config), now, &mut out),
            _ => {
                let (packet, after) = rest.split_at(usize::from(*argument).min(rest.len()));
                rest = after;
                let Some(&socket) = sockets.get(usize::from(*operation / 6) % sockets.len().max(1)) else { continue };
                let (source, destination): (IpAddr, IpAddr) = match socket.family {
                    Family::V4 => ([192, 0, 2, 9].into(), [224, 0, 0, 18].into()),
                    Family::V6 => ("fe80::9".parse().expect("an address"), "ff02::12".parse().expect("an address")),
                };
                let hop_limit = destination.is_ipv6().then_some(255);
                let meta = PacketMeta { socket, source, destination: Some(destination), hop_limit };
                let waited = node.patience() * u32::from(operation / 6) / 42;
                node.handle(Input::Received { meta, waited, bytes: packet }, now, &mut out);
            }
        }
        node.handle(Input::Tick, now, &mut out);
        if let Some((at, wake)) = node.deadline() {
            assert!(at > now, "{wake:?} is due at {at:?}, and it is {now:?}");
        }
    }
    node.handle(Input::Shutdown, now, &mut out);
    assert!(node.deadline().is_none());
});
