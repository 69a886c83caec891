//! Addresses come, go and are announced.

use super::*;

#[test]
fn b01_an_address_that_somebody_deletes_is_put_back_and_announced_without_a_change_of_state() {
    let mut lan = settled(vec![one(200), one(100)]);
    let from = lan.now;
    lan.steal(A, ETH0, cidr("10.0.0.100/24"));
    lan.run_for(ms(5));
    assert!(lan.routers[A].kernel.has(ETH0, cidr("10.0.0.100/24")));
    assert!(count(&lan, A, from, is_announce) >= 1);
    assert!(told(&lan, A, from).is_empty());
    let node = lan.routers[A].node.as_ref().unwrap();
    assert_eq!(node.views().next().unwrap().statistics.addresses_restored, 1);
    lan.run_for(secs(5));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn b04_the_same_address_with_another_prefix_is_not_ours() {
    let mut lan = settled(vec![with(200, |instance| instance.addresses = vec![vip("10.0.0.3/32")])]);
    lan.give(A, ETH0, cidr("10.0.0.3/24"));
    lan.run_for(ms(5));
    let from = lan.now;
    lan.steal(A, ETH0, cidr("10.0.0.3/24"));
    lan.run_for(secs(2));
    assert_eq!(count(&lan, A, from, |action| touches_addresses(action) || is_notify(action)), 0);
    assert!(lan.routers[A].kernel.has(ETH0, cidr("10.0.0.3/32")));
}

#[test]
fn b05_addresses_left_by_a_killed_daemon_go_at_the_next_start() {
    let mut lan = settled(vec![one(200), one(100)]);
    lan.kill(A);
    lan.run_for(secs(5));
    assert!(lan.routers[A].kernel.has(ETH0, cidr("10.0.0.100/24")), "the kernel keeps it");
    let from = lan.now;
    lan.start(A);
    assert!(!lan.routers[A].kernel.has(ETH0, cidr("10.0.0.100/24")));
    assert_eq!(count(&lan, A, from, is_advert), 0);
}

#[test]
fn the_only_address_of_an_owner_is_kept_and_sent_from() {
    let owner = with(255, |instance| instance.addresses = vec![vip("10.0.0.1/24")]);
    let mut lan = settled(vec![owner, with(100, |instance| instance.addresses = vec![vip("10.0.0.1/24")])]);
    assert_eq!(lan.masters(0), [A]);
    lan.stop(A);
    assert!(lan.routers[A].kernel.has(ETH0, cidr("10.0.0.1/24")), "it was there before us");
}

/// VI_1 with one address, VI_2 with another.
fn two(vrids: [u8; 2], addresses: [&str; 2]) -> Vrrp {
    let make = |n: usize| {
        let mut instance = instance(200);
        instance.name = format!("VI_{}", n + 1).into();
        instance.vrid = vrids[n];
        instance.addresses = vec![vip(addresses[n])];
        instance
    };
    vrrp(vec![make(0), make(1)])
}

#[test]
fn b10_an_address_that_moves_from_a_removed_instance_to_another_is_never_gone() {
    let mut lan = settled(vec![two([51, 52], ["10.0.0.100/24", "10.0.0.101/24"])]);
    let mut after = two([51, 52], ["10.0.0.100/24", "10.0.0.101/24"]);
    after.instances.truncate(1);
    Arc::make_mut(&mut after.instances[0]).addresses.push(vip("10.0.0.101/24"));
    let from = lan.now;
    lan.reload(A, after);
    assert_eq!(count(&lan, A, from, |action| matches!(action, Action::RemoveAddress(_))), 0);
    assert!(lan.routers[A].kernel.has(ETH0, cidr("10.0.0.101/24")));
    assert_eq!(told(&lan, A, from), [Notified::Fault], "of the removed one");
    lan.run_for(secs(10));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn b11_swapping_two_vrids_leaves_both_addresses_in_place() {
    let addresses = ["10.0.0.100/24", "10.0.0.101/24"];
    let mut lan = settled(vec![two([51, 52], addresses)]);
    let from = lan.now;
    lan.reload(A, two([52, 51], addresses));
    lan.run_for(secs(10));
    assert_eq!(count(&lan, A, from, touches_addresses), 0);
    assert_eq!(lan.routers[A].roles, [Role::Master, Role::Master]);
}

#[test]
fn b13_removing_one_of_three_instances_touches_neither_of_the_others() {
    let three = || {
        let make = |n: u8| {
            let mut instance = instance(200);
            instance.name = format!("VI_{n}").into();
            instance.vrid = 50 + n;
            instance.addresses = vec![vip(&format!("10.0.0.{}/24", 100 + n))];
            instance
        };
        vrrp(vec![make(1), make(2), make(3)])
    };
    let mut lan = settled(vec![three(), {
        let mut backup = three();
        backup.instances.iter_mut().for_each(|instance| Arc::make_mut(instance).priority = 100);
        backup
    }]);
    let mut after = three();
    after.instances.remove(1);
    let from = lan.now;
    lan.reload(A, after);
    lan.run_for(ms(700));
    let removed: Vec<Cidr> = did(&lan, A, from)
        .into_iter()
        .filter_map(|(_, action)| match action {
            Action::RemoveAddress(holding) => Some(holding.address.cidr),
            _ => None,
        })
        .collect();
    assert_eq!(removed, [cidr("10.0.0.102/24")]);
    assert_eq!(lan.routers[B].roles, [Role::Backup, Role::Master, Role::Backup], "priority 0 was sent");
    lan.run_for(secs(10));
    assert_eq!(lan.routers[A].roles, [Role::Master, Role::Master]);
    assert_eq!(told(&lan, A, from), [Notified::Fault]);
}

#[test]
fn notify_deleted_makes_it_deleted() {
    let mut lan = settled(vec![with(200, |instance| Arc::make_mut(&mut instance.notify).reports_deleted = true)]);
    let from = lan.now;
    lan.reload(A, vrrp(Vec::new()));
    assert_eq!(told(&lan, A, from), [Notified::Deleted]);
    assert!(!lan.routers[A].kernel.has(ETH0, cidr("10.0.0.100/24")));
}

#[test]
fn one_refresh_chain_however_often_it_has_been_master() {
    let config = with(200, |instance| instance.garp.master_refresh = secs(1));
    let mut lan = settled(vec![config]);
    for _ in 0..3 {
        lan.link_down(A, ETH0);
        lan.run_for(secs(1));
        lan.link_up(A, ETH0);
        lan.run_for(secs(12));
    }
    let from = lan.now;
    lan.run_for(secs(3));
    assert_eq!(count(&lan, A, from, is_announce), 3);
}

#[test]
fn a_delayed_burst_of_an_earlier_reign_never_comes() {
    let mut lan = settled(vec![one(100)]);
    let b = lan.add(one(200));
    lan.run_for(ms(100));
    lan.kill(A);
    lan.start(A);
    lan.start(b);
    lan.run_for(secs(4));
    let from = lan.now;
    lan.run_for(secs(20));
    assert_eq!(lan.masters(0), [b]);
    assert_eq!(count(&lan, A, from, is_announce), 0);
}

#[test]
fn paced_announcements_leave_one_by_one_and_round_robin() {
    let mut config = with(255, |instance| instance.addresses.push(vip("10.0.0.101/24")));
    config.default_pacing.garp_interval = ms(50);
    let mut lan = started(vec![config]);
    let start = lan.now;
    lan.run_for(secs(2));
    let sent: Vec<_> = did(&lan, A, start)
        .into_iter()
        .filter_map(|(at, action)| match action {
            Action::Announce(announcement) => Some((at.since(start), announcement.address)),
            _ => None,
        })
        .collect();
    assert_eq!(sent.len(), 10);
    assert!(sent.windows(2).all(|pair| pair[1].0 - pair[0].0 == ms(50) && pair[0].1 != pair[1].1), "{sent:?}");
}

#[test]
fn sockets_are_shared_by_instances_of_one_interface_and_group() {
    let lan = settled(vec![two([51, 52], ["10.0.0.100/24", "10.0.0.101/24"])]);
    let sockets = &lan.routers[A].kernel.sockets;
    assert_eq!(sockets.len(), 1);
    assert_eq!(sockets[0].scope, SocketScope::Multicast(group(Family::V4)));
}
