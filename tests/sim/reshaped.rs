//! Addresses that a reload gives other attributes or another prefix.

use std::sync::Arc;

use keepalived_rs::addr::{Cidr, Family};
use keepalived_rs::model::vrrp::{Destination, Version, VirtualAddress};
use keepalived_rs::vrrp::io::Action;

use crate::setup::*;
use crate::stories::{A, did, settled, told, with};

/// What a reload does to the address itself, in order.
fn reshaped(before: Arc<VirtualAddress>, after: Arc<VirtualAddress>) -> Vec<(bool, Arc<VirtualAddress>)> {
    let make = |address: Arc<VirtualAddress>| {
        with(200, |instance| {
            if address.cidr.address.is_ipv6() {
                (instance.family, instance.version) = (Family::V6, Version::V3);
                instance.destination = Destination::Multicast(group(Family::V6));
            }
            instance.addresses = vec![address];
        })
    };
    let mut lan = settled(vec![make(before)]);
    let from = lan.now;
    lan.reload(A, make(Arc::clone(&after)));
    lan.run_for(secs(3));
    assert_eq!(lan.masters(0), [A]);
    assert!(lan.routers[A].kernel.has(ETH0, after.cidr), "{:?}", lan.routers[A].kernel.addresses);
    let own = |address: &Cidr| address.address == after.cidr.address;
    assert_eq!(lan.routers[A].kernel.addresses.iter().filter(|(_, cidr)| own(cidr)).count(), 1);
    assert!(told(&lan, A, from).is_empty());
    let changes = did(&lan, A, from).into_iter().filter_map(|(_, action)| match action {
        Action::AddAddress(holding) => Some((true, holding.address)),
        Action::RemoveAddress(holding) => Some((false, holding.address)),
        _ => None,
    });
    changes.collect()
}

fn changed(address: &str, change: impl FnOnce(&mut VirtualAddress)) -> Arc<VirtualAddress> {
    let mut changed = (*vip(address)).clone();
    change(&mut changed);
    changed.into()
}

#[test]
fn other_attributes_of_an_ipv4_address_need_it_to_go_for_a_moment() {
    let before = vip("10.0.0.100/24");
    let label = changed("10.0.0.100/24", |address| address.label = Some("eth0:1".into()));
    let scope = changed("10.0.0.100/24", |address| address.scope = 253);
    let broadcast = changed("10.0.0.100/24", |address| address.broadcast = Some([10, 0, 0, 255].into()));
    for after in [label, scope, broadcast] {
        let order = [(false, Arc::clone(&before)), (true, Arc::clone(&after))];
        assert_eq!(reshaped(Arc::clone(&before), after), order);
    }
}

#[test]
fn another_prefix_of_an_ipv4_address_is_added_before_the_old_one_goes() {
    let (before, after) = (vip("10.0.0.100/24"), vip("10.0.0.100/32"));
    let order = [(true, Arc::clone(&after)), (false, Arc::clone(&before))];
    assert_eq!(reshaped(before, after), order);
}

#[test]
fn other_attributes_of_an_ipv6_address_are_changed_in_place() {
    let before = vip("2001:db8::100/64");
    let preferred = changed("2001:db8::100/64", |address| address.preferred_secs = Some(0));
    let home = changed("2001:db8::100/64", |address| address.flags.home = true);
    for after in [preferred, home] {
        assert_eq!(reshaped(Arc::clone(&before), Arc::clone(&after)), [(true, after)]);
    }
    let (before, after) = (vip("2001:db8::100/64"), vip("2001:db8::100/128"));
    let order = [(false, Arc::clone(&before)), (true, Arc::clone(&after))];
    assert_eq!(reshaped(before, after), order, "IPv6 has an address but once");
}

#[test]
fn an_address_that_is_tracked_no_longer_is_left_alone() {
    let after = changed("10.0.0.100/24", |address| address.track = false);
    assert_eq!(reshaped(vip("10.0.0.100/24"), after), []);
}
