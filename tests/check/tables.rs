//! What the kernel's table is to be for every form of a virtual server.

use keepalived_rs::addr::Family;
use keepalived_rs::check::desired::{Health, ServerHealth, desired};
use keepalived_rs::ipvs::Table;
use keepalived_rs::model::lvs::{
    Forwarding, Granularity, GroupEntry, Identity, Persistence, Protocol, Tunnel, TunnelChecksum,
};
use keepalived_rs::model::{RealServer, VirtualServer};
use keepalived_rs::wire::ipvs::{DestKey, Forward, ONE_PACKET, PERSISTENT, ServiceKey};

use crate::kit::*;

const VIP: &str = "192.0.2.1:80";

/// The table where everything is well.
fn table(virtual_server: VirtualServer) -> Table {
    let alive = |rs: &std::sync::Arc<RealServer>| ServerHealth { alive: true, weight: rs.weight };
    let real_servers = virtual_server.real_servers.iter().map(alive).collect();
    desired(&lvs([virtual_server]), &[Health { real_servers, sorry_serves: false }])
}

/// `service -> dest …` for each service.
fn ports(table: &Table) -> Vec<String> {
    let at = |key: &DestKey| std::net::SocketAddr::new(key.address, key.port).to_string();
    let line = |(key, entry): (&ServiceKey, &keepalived_rs::ipvs::Entry)| {
        let dests = entry.dests.keys().map(at).collect::<Vec<_>>().join(" ");
        match key {
            ServiceKey::Address { address, port, protocol } => format!("{protocol} {address} {port} -> {dests}"),
            ServiceKey::Mark { family, mark } => format!("{family:?} {mark} -> {dests}"),
        }
    };
    table.iter().map(line).collect()
}

fn forwarded(address: &str, forwarding: Forwarding) -> RealServer {
    rs(address).with(|rs| rs.forwarding = forwarding)
}

fn group(entries: Vec<GroupEntry>, servers: Vec<RealServer>) -> VirtualServer {
    vs(VIP, servers).with(|vs| {
        vs.identity = Identity::Group { name: "g".into(), ordinal: 0 };
        vs.group = entries;
    })
}

fn range(first: &str, last: &str, port: u16) -> GroupEntry {
    GroupEntry::Addresses { first: first.parse().unwrap(), last: last.parse().unwrap(), port }
}

#[test]
fn ports_follow_the_form_of_the_virtual_server() {
    let servers = || vec![forwarded("10.0.0.1:8080", Forwarding::Nat), forwarded("10.0.0.2:0", Forwarding::Direct)];
    let mark = vs(VIP, servers()).with(|vs| {
        vs.identity = Identity::Mark { family: Family::V4, mark: 9 };
        vs.protocol = Protocol::None;
    });
    assert_eq!(ports(&table(mark)), ["V4 9 -> 10.0.0.1:8080 10.0.0.2:0"]);
    let entries = vec![range("192.0.2.1", "192.0.2.1", 443), GroupEntry::Mark { family: Family::V4, mark: 9 }];
    assert_eq!(
        ports(&table(group(entries, servers()))),
        ["6 192.0.2.1 443 -> 10.0.0.1:8080 10.0.0.2:443", "V4 9 -> 10.0.0.1:8080 10.0.0.2:0"]
    );
    let written = vec![forwarded("10.0.0.2:81", Forwarding::Direct)];
    assert_eq!(
        ports(&table(group(vec![range("192.0.2.1", "192.0.2.1", 80)], written))),
        ["6 192.0.2.1 80 -> 10.0.0.2:80"]
    );
    assert_eq!(ports(&table(vs(VIP, servers()))), ["6 192.0.2.1 80 -> 10.0.0.1:8080 10.0.0.2:0"]);
}

#[test]
fn a_group_with_a_mark_is_one_service_of_each_family() {
    let servers = || vec![forwarded("10.0.0.1:8080", Forwarding::Nat), forwarded("10.0.0.2:80", Forwarding::Direct)];
    let marked = |entries| table(group(entries, servers()).with(|vs| vs.mark = Some(1000)));
    let v4 = || vec![range("192.0.2.1", "192.0.2.9", 80), range("192.0.2.20", "192.0.2.20", 443)];
    assert_eq!(ports(&marked(v4())), ["V4 1000 -> 10.0.0.1:8080 10.0.0.2:0"]);
    let both = [v4(), vec![range("2001:db8::1", "2001:db8::1", 80)]].concat();
    assert_eq!(ports(&marked(both)), ["V4 1000 -> 10.0.0.1:8080 10.0.0.2:0", "V6 1000 -> 10.0.0.1:8080 10.0.0.2:0"]);
}

#[test]
fn ranges_count_through_and_carry() {
    let services = |first, last| table(group(vec![range(first, last, 80)], vec![rs("10.0.0.1:80")])).len();
    assert_eq!(services("192.0.2.1", "192.0.3.0"), 256);
    assert_eq!(services("fd0a::1:fffe", "fd0a::2:1"), 4);
    assert_eq!(services("192.0.2.2", "192.0.2.1"), 0);
    assert_eq!(services("192.0.2.1", "2001:db8::1"), 0);
    assert_eq!(services("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), GroupEntry::MOST as usize);
    let carried = table(group(vec![range("fd0a::1:ffff", "fd0a::2:0", 80)], vec![rs("[fd00::1]:80")]));
    assert_eq!(ports(&carried), ["6 fd0a::1:ffff 80 -> [fd00::1]:80", "6 fd0a::2:0 80 -> [fd00::1]:80"]);
}

#[test]
fn persistence_and_flags_are_those_of_the_kernel() {
    let service = |change: &dyn Fn(&mut VirtualServer)| {
        let table = table(vs(VIP, [rs("10.0.0.1:80")]).with(|vs| change(vs)));
        table.values().next().unwrap().service.clone()
    };
    let plain = service(&|_| {});
    assert_eq!((plain.flags, plain.timeout_secs, plain.netmask, plain.engine), (0, 0, u32::MAX, None));
    let ops = service(&|vs| (vs.one_packet, vs.scheduler_flags) = (true, 0x08));
    assert_eq!(ops.flags, ONE_PACKET | 0x08);
    let persistent = service(&|vs| {
        let granularity = Granularity::Mask("255.255.0.0".parse().unwrap());
        vs.persistence = Some(Persistence { timeout_secs: 50, granularity, engine: None });
    });
    assert_eq!((persistent.flags, persistent.timeout_secs, persistent.netmask), (PERSISTENT, 50, 0xffff_0000));
    // in a group of both families each has its own
    let both =
        group(vec![range("192.0.2.1", "192.0.2.1", 80), range("fd00::1", "fd00::1", 80)], vec![rs("10.0.0.1:80")]);
    let granularity = Granularity::Prefix(64);
    let both = both.with(|vs| vs.persistence = Some(Persistence { timeout_secs: 50, granularity, engine: None }));
    assert_eq!(table(both).values().map(|entry| entry.service.netmask).collect::<Vec<_>>(), [u32::MAX, 64]);
}

#[test]
fn every_way_to_forward_is_that_of_the_kernel() {
    let of = |forwarding| {
        let table = table(vs(VIP, [forwarded("10.0.0.1:80", forwarding)]));
        table.values().next().unwrap().dests.values().next().unwrap().forwarding
    };
    assert_eq!(of(Forwarding::Nat), Forward::Masq);
    assert_eq!(of(Forwarding::Direct), Forward::DirectRoute);
    assert_eq!(of(Forwarding::Tunnel(Tunnel::Ipip)), Forward::Ipip);
    let gue = |checksum| of(Forwarding::Tunnel(Tunnel::Gue { port: 6080, checksum }));
    assert_eq!(gue(TunnelChecksum::None), Forward::Gue { port: 6080, flags: 0 });
    assert_eq!(gue(TunnelChecksum::Checksum), Forward::Gue { port: 6080, flags: 1 });
    assert_eq!(gue(TunnelChecksum::Remote), Forward::Gue { port: 6080, flags: 2 });
    assert_eq!(of(Forwarding::Tunnel(Tunnel::Gre { checksum: true })), Forward::Gre { flags: 1 });
}

#[test]
fn health_that_is_not_told_is_down() {
    let config = lvs([vs(VIP, [rs("10.0.0.1:80")])]);
    let table = desired(&config, &[Health { real_servers: Vec::new(), sorry_serves: false }]);
    assert!(table.values().all(|entry| entry.dests.is_empty()));
}
