//! Interfaces go down, come back and are replaced.

use super::*;

#[test]
fn a_cable_out_and_in_again() {
    let mut lan = settled(vec![one(200), one(100)]);
    lan.link_down(A, ETH0);
    lan.run_for(secs(5));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    assert_eq!(lan.masters(0), [B]);
    lan.link_up(A, ETH0);
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn a11_an_interface_that_is_deleted_and_made_anew_is_used_again() {
    let nopreempt = |priority| with(priority, |instance| instance.preempt = false);
    let mut lan = settled(vec![nopreempt(200), nopreempt(100)]);
    lan.recreate_link(A);
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [B]);
    assert_eq!(lan.routers[A].role(0), Some(Role::Backup));
    lan.kill(B);
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [A]);
    assert!(lan.routers[A].kernel.has(lan.routers[A].kernel.index_of(name("eth0")).unwrap(), cidr("10.0.0.100/24")));
}

#[test]
fn a_renamed_interface_keeps_none_of_our_addresses() {
    let mut lan = settled(vec![one(200)]);
    let mut renamed = link(A, ETH0, "lan0", true);
    lan.routers[A].kernel.links.insert(ETH0, renamed);
    lan.feed(A, Input::Link(renamed));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    assert!(!lan.routers[A].kernel.has(ETH0, cidr("10.0.0.100/24")));
    renamed.name = name("eth0");
    lan.routers[A].kernel.links.insert(ETH0, renamed);
    lan.feed(A, Input::Link(renamed));
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn lost_kernel_events_are_made_up_for_by_looking_again() {
    let mut lan = settled(vec![one(200), one(100)]);
    // the link goes down and up, the address is gone, and nobody tells
    let kernel = &mut lan.routers[A].kernel;
    kernel.addresses.retain(|(_, other)| *other != cidr("10.0.0.100/24"));
    kernel.untold.insert((ETH0, cidr("10.0.0.100/24")));
    let snapshot = kernel.snapshot();
    let from = lan.now;
    lan.feed(A, Input::Machine(&snapshot));
    assert!(lan.routers[A].kernel.has(ETH0, cidr("10.0.0.100/24")));
    assert!(count(&lan, A, from, is_announce) >= 1);
    assert!(told(&lan, A, from).is_empty());
    let mut snapshot = lan.routers[A].kernel.snapshot();
    snapshot.links.retain(|link| link.index != ETH0);
    lan.routers[A].kernel.links.remove(&ETH0);
    lan.feed(A, Input::Machine(&snapshot));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
}

#[test]
fn two_interfaces_down_one_back_is_still_fault() {
    let mut lan = settled(vec![with(200, |instance| instance.track_interfaces.push(tracks_link("eth1", 0)))]);
    lan.link_down(A, ETH0);
    lan.link_down(A, ETH1);
    lan.run_for(ms(10));
    lan.link_up(A, ETH1);
    lan.run_for(secs(10));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    lan.link_up(A, ETH0);
    lan.run_for(secs(10));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn a_short_flap_is_debounced() {
    use keepalived_rs::model::vrrp::Debounce;
    let mut config = one(200);
    config.debounce.insert(name("eth0"), Debounce { down: secs(2), up: ms(1500) });
    let mut lan = settled(vec![config]);
    let from = lan.now;
    lan.link_down(A, ETH0);
    lan.run_for(secs(1));
    lan.link_up(A, ETH0);
    lan.run_for(secs(5));
    assert!(told(&lan, A, from).is_empty());
    lan.link_down(A, ETH0);
    lan.run_for(ms(2010));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    lan.link_up(A, ETH0);
    lan.run_for(ms(1400));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    lan.run_for(ms(110));
    assert_eq!(lan.routers[A].role(0), Some(Role::Backup));
}

#[test]
fn dont_track_primary_stays_master_through_a_flap_and_puts_ipv6_addresses_back() {
    let mut lan = settled(vec![with(200, |instance| {
        instance.track_primary = false;
        instance.excluded = vec![vip("2001:db8::100/64")];
    })]);
    let from = lan.now;
    lan.link_down(A, ETH0);
    lan.run_for(secs(3));
    lan.link_up(A, ETH0);
    lan.run_for(ms(10));
    assert!(told(&lan, A, from).is_empty());
    assert!(lan.routers[A].kernel.has(ETH0, cidr("2001:db8::100/64")), "the kernel had dropped it with the link");
}

#[test]
fn b19_ipv6_needs_no_ipv4_address() {
    let config = with(200, |instance| {
        instance.family = Family::V6;
        instance.version = Version::V3;
        instance.addresses = vec![vip("fe80::100/64")];
        instance.destination = Destination::Multicast(group(Family::V6));
    });
    let mut lan = lan_of(vec![config]);
    lan.routers[A].kernel.addresses.retain(|(_, cidr)| cidr.address.is_ipv6());
    lan.start(A);
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn the_source_follows_the_address() {
    let mut lan = settled(vec![one(200), one(100)]);
    lan.give(A, ETH0, cidr("10.0.0.77/24"));
    lan.run_for(secs(2));
    lan.steal(A, ETH0, cidr("10.0.0.1/24"));
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [A]);
    let source = lan.routers[A].node.as_ref().unwrap().views().next().unwrap().source;
    assert_eq!(source, Some(ip("10.0.0.77")));
    lan.steal(A, ETH0, cidr("10.0.0.77/24"));
    lan.run_for(secs(1));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault), "no address to send from");
    assert_eq!(lan.masters(0), [B], "priority 0 was sent, with the address that has gone");
    lan.give(A, ETH0, cidr("10.0.0.1/24"));
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn b23_a_second_link_local_address_is_no_new_source() {
    let config = with(200, |instance| {
        (instance.family, instance.version) = (Family::V6, Version::V3);
        instance.destination = Destination::Multicast(group(Family::V6));
        instance.addresses = vec![vip("fe80::100/64")];
    });
    let mut lan = settled(vec![config]);
    let source = |lan: &Lan| lan.routers[A].node.as_ref().unwrap().views().next().unwrap().source;
    lan.give(A, ETH0, cidr("fe80::7/64"));
    lan.run_for(secs(2));
    assert_eq!(source(&lan), Some(own_address(A, Family::V6)));
    lan.steal(A, ETH0, Cidr { address: own_address(A, Family::V6), prefix: 64 });
    lan.run_for(secs(2));
    assert_eq!((source(&lan), lan.masters(0)), (Some(ip("fe80::7")), vec![A]));
}

/// The kernel lets it join no group for a while: it waits in FAULT, tries again, and goes on by itself.
#[test]
fn a11_b25_sockets_that_cannot_be_opened_are_tried_again_until_they_can() {
    let mut lan = lan_of(vec![one(200)]);
    lan.routers[A].kernel.refuses_sockets = true;
    lan.start(A);
    lan.run_for(secs(40));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    assert_eq!(told(&lan, A, Instant::ZERO), [Notified::Backup, Notified::Fault], "tries are not told to anybody");
    let tries = count(&lan, A, Instant::ZERO, |action| matches!(action, Action::Sockets(_)));
    assert!((6..=8).contains(&tries), "with ever longer pauses: {tries} tries in 40 s");
    let lines = |action: &Action| matches!(action, Action::Report(Event::SocketFailed(..)));
    assert_eq!(count(&lan, A, Instant::ZERO, lines), 1);
    lan.routers[A].kernel.refuses_sockets = false;
    let from = lan.now;
    lan.run_for(secs(40));
    assert_eq!(told(&lan, A, from), [Notified::Backup, Notified::Master]);
    assert!(lan.routers[A].kernel.has(ETH0, cidr("10.0.0.100/24")));
}
