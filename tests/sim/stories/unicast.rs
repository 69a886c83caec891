//! Routers that know their peers.

use super::*;

fn unicast_to(priority: u8, own: usize, peers: &[usize]) -> Instance {
    let mut instance = instance(priority);
    let peers: Vec<_> = peers.iter().map(|&peer| own_address(peer, Family::V4)).collect();
    instance.destination = unicast(&peers);
    instance.source = Some(own_address(own, Family::V4));
    instance
}

#[test]
fn unicast_routers_elect_and_fail_over() {
    let config = |priority, own: usize| {
        let peers: Vec<usize> = (0..3).filter(|&peer| peer != own).collect();
        vrrp(vec![unicast_to(priority, own, &peers)])
    };
    let mut lan = settled(vec![config(200, 0), config(150, 1), config(100, 2)]);
    assert_eq!(lan.masters(0), [0]);
    lan.kill(0);
    lan.run_for(secs(4));
    assert_eq!(lan.masters(0), [1]);
}

#[test]
fn a29_ipv6_unicast_speaks_from_an_address_of_its_peers_scope() {
    let global = |n: usize| ip(&format!("2001:db8::{}", n + 1));
    let config = |priority, own: usize| {
        with(priority, |instance| {
            instance.family = Family::V6;
            instance.version = Version::V3;
            instance.addresses = vec![vip("2001:db8::100/64")];
            instance.destination = unicast(&[global(1 - own)]);
        })
    };
    let mut lan = lan_of(vec![config(200, A), config(100, B)]);
    for id in [A, B] {
        lan.routers[id].kernel.addresses.push((ETH0, Cidr { address: global(id), prefix: 64 }));
        lan.start(id);
    }
    lan.run_for(secs(10));
    assert_eq!(lan.masters(0), [A]);
    assert_eq!(lan.routers[A].kernel.sockets[0].scope, SocketScope::Unicast(global(A)));
}

#[test]
fn unicast_peers_learn_our_own_address_again_when_a_fault_is_over() {
    let mut lan = settled(vec![vrrp(vec![unicast_to(200, A, &[B])]), vrrp(vec![unicast_to(100, B, &[A])])]);
    lan.link_down(A, ETH0);
    lan.run_for(secs(1));
    let from = lan.now;
    lan.link_up(A, ETH0);
    lan.run_for(ms(10));
    let own = |action: &Action| matches!(action, Action::Announce(announcement) if announcement.address == own_address(A, Family::V4));
    assert_eq!(count(&lan, A, from, own), 1);
}

#[test]
fn a31_unicast_without_peers_can_be_pinned_in_fault() {
    let config = with(200, |instance| {
        instance.destination = Destination::Unicast(Unicast { peers: Vec::new(), ttl: None, check_source: false });
        instance.config_fault =
            Some(keepalived_rs::model::vrrp::ConfigFault("no unicast peers (unicast_fault_no_peer)".into()));
    });
    let lan = settled(vec![config]);
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    assert_eq!(count(&lan, A, Instant::ZERO, |action| is_advert(action) || touches_addresses(action)), 0);
}

#[test]
fn a32_two_unicast_instances_with_one_vrid_are_told_apart_by_their_peers() {
    // a has two virtual routers 51: one with b, one with c
    let second = |mut instance: Instance| {
        instance.name = "VI_2".into();
        instance.addresses = vec![vip("10.0.0.101/24")];
        instance
    };
    let a = vrrp(vec![unicast_to(200, 0, &[1]), second(unicast_to(50, 0, &[2]))]);
    let b = vrrp(vec![unicast_to(100, 1, &[0])]);
    let c = vrrp(vec![second(unicast_to(100, 2, &[0]))]);
    let mut lan = settled(vec![a, b, c]);
    assert_eq!(lan.routers[0].roles, [Role::Master, Role::Backup]);
    assert!(!lan.routers[1].is_master(0) && lan.routers[2].is_master(0));
    let a = vrrp(vec![second(unicast_to(50, 0, &[2])), unicast_to(200, 0, &[1])]);
    let from = lan.now;
    lan.reload(0, a);
    lan.run_for(secs(10));
    assert_eq!(lan.routers[0].roles, [Role::Backup, Role::Master], "the order in the file does not matter");
    assert_eq!(count(&lan, 0, from, |action| touches_addresses(action) || is_notify(action)), 0);
}
