//! What must never happen, and what must have happened when the weather has been fine for a while.

use std::sync::Arc;
use std::time::Duration;

use keepalived_rs::addr::Family;
use keepalived_rs::model::vrrp::Instance;
use keepalived_rs::time::Instant;
use keepalived_rs::vrrp::Wake;
use keepalived_rs::vrrp::io::{Action, Announcement, Role};
use keepalived_rs::vrrp::report::{Event, InstanceEvent};

use crate::lan::Lan;
use crate::router::Router;
use crate::setup::{mac_of, own_address};

/// After a tick there is something to wait for, or nothing to do.
pub(crate) fn no_spin(now: Instant, deadline: Option<(Instant, Wake)>) {
    if let Some((at, why)) = deadline {
        assert!(at > now, "no spin: {why:?} is due at {at:?}, and it is {now:?} after a tick");
    }
}

/// Only addresses that this router has are announced.
pub(crate) fn announces_what_it_holds(router: &Router, announcement: &Announcement) {
    let Announcement { link, address, .. } = *announcement;
    let has = router.kernel.addresses.iter().any(|&(on, cidr)| on == link && cidr.address == address);
    // its IPv6 addresses may have gone with a link that is down, and nothing leaves there
    let excused = !router.kernel.is_up(link) || !router.kernel.untold.is_empty();
    assert!(has || excused, "router {} announces {address}, which it has not", router.id);
}

/// Safety, at any instant.
pub(crate) fn after_each_step(lan: &mut Lan, id: usize, local: Instant, actions: &[Action]) {
    let router = &mut lan.routers[id];
    let Some(node) = router.node.as_ref() else { return };
    let before = std::mem::take(&mut router.roles);
    router.roles = node.roles().collect();
    router.last_advert.resize(router.roles.len(), None);
    cadence(router, local, actions);
    let instances = router.config.instances.len();
    if before.len() == instances && router.roles.len() == instances {
        for (i, &was) in before.iter().enumerate() {
            priority_zero(router, i, was, actions);
        }
    }
    if router.started {
        addresses(router);
    }
}

/// A MASTER's adverts never come late, whatever it hears.
fn cadence(router: &mut Router, local: Instant, actions: &[Action]) {
    for action in actions {
        let Action::SendAdvert(advert) = action else { continue };
        let i = advert.instance.0;
        let (Some(config), Some(last)) = (router.config.instances.get(i), router.last_advert.get_mut(i)) else {
            continue;
        };
        if let Some(before) = last.replace(local) {
            let (gap, limit) = (local.since(before), config.advert_interval.duration() + Duration::from_millis(1));
            assert!(gap <= limit, "router {} instance {i}: {gap:?} between two adverts", router.id);
        }
    }
    for (last, role) in router.last_advert.iter_mut().zip(&router.roles) {
        if *role != Role::Master {
            *last = None;
        }
    }
}

/// Who falls into FAULT or ends while MASTER says so with priority 0, once; who yields does not.
fn priority_zero(router: &Router, i: usize, was: Role, actions: &[Action]) {
    let is = router.roles[i];
    if was != Role::Master || is == Role::Master {
        return;
    }
    let config = &router.config.instances[i];
    let priority_at = if config.family == Family::V4 { 22 } else { 2 };
    let is_zero = |action: &&Action| match action {
        Action::SendAdvert(advert) => {
            advert.instance.0 == i && advert.packets.copies.iter().all(|(_, bytes)| bytes.get(priority_at) == Some(&0))
        }
        _ => false,
    };
    let zeroes = actions.iter().filter(is_zero).count();
    let can_send = config.interface.is_none_or(|name| router.kernel.index_of(name).is_some());
    let late = |action: &Action| matches!(action, Action::Report(Event::Instance(_, InstanceEvent::LateStepDown)));
    match is {
        _ if actions.iter().any(late) => {}
        Role::Fault | Role::Init if can_send => {
            // a link that was deleted and made again within one step has no socket any more
            assert!(zeroes <= 1, "router {} instance {i}: {zeroes} adverts of priority 0", router.id);
            let fresh = config.interface.and_then(|name| router.kernel.index_of(name)).is_some_and(|index| index.0 > 9);
            assert!(zeroes == 1 || fresh, "router {} instance {i}: {was:?} to {is:?} without priority 0", router.id);
        }
        _ => assert!(zeroes == 0 || is != Role::Backup, "router {} instance {i}: priority 0 on yielding", router.id),
    }
}

/// An address is there if and only if one of the instances that want it is MASTER.
fn addresses(router: &Router) {
    for config in &router.config.instances {
        for va in config.held_addresses() {
            let Some(index) = router.kernel.index_of(va.interface) else { continue };
            let wants = |(instance, role): (&Arc<Instance>, &Role)| {
                *role == Role::Master && instance.held_addresses().any(|other| other.cidr == va.cidr)
            };
            let wanted = router.config.instances.iter().zip(&router.roles).any(wants);
            let has = router.kernel.has(index, va.cidr);
            let excused = router.kernel.untold.contains(&(index, va.cidr))
                // an owner's own address stays
                || va.cidr.address == own_address(router.id, Family::V4)
                || (va.cidr.address.is_ipv6() && !router.kernel.is_up(index))
                || !router.kernel.untold.is_empty();
            assert!(
                has == wanted || excused,
                "router {}: {} is {}there, and {} is {:?}",
                router.id,
                va.cidr,
                if has { "" } else { "not " },
                config.name,
                router.roles
            );
        }
    }
}

/// Liveness of instance `i`, once the LAN has been fine for long enough: one MASTER, and one that RFC 9568 lets be.
pub(crate) fn one_master(lan: &Lan, i: usize) -> usize {
    let states: Vec<_> = lan.routers.iter().map(|router| (router.id, router.role(i))).collect();
    for (id, role) in &states {
        let well = matches!(role, Some(Role::Master | Role::Backup));
        assert!(well, "router {id} is {role:?} with no reason: {:?}", faults(&lan.routers[*id], i));
    }
    let masters = lan.masters(i);
    assert!(masters.len() == 1, "instance {i}: masters {masters:?} of {states:?}");
    let master = masters[0];
    let priority = |id: usize| {
        let node = lan.routers[id].node.as_ref().expect("it is MASTER or BACKUP");
        node.views().nth(i).expect("every router has every instance").effective_priority
    };
    for router in lan.routers.iter().filter(|router| router.id != master) {
        let config = &router.config.instances[i];
        assert!(
            !config.preempt || priority(router.id) <= priority(master),
            "instance {i}: router {} ({}) lets router {master} ({}) be MASTER",
            router.id,
            priority(router.id),
            priority(master)
        );
    }
    master
}

fn faults(router: &Router, i: usize) -> Vec<String> {
    let view = router.node.as_ref().and_then(|node| node.views().nth(i).map(|view| view.faults));
    view.unwrap_or_default()
}

/// Everybody's neighbour table has the master's hardware address.
pub(crate) fn neighbours_know(lan: &Lan, i: usize, master: usize) {
    for va in lan.routers[master].config.instances[i].held_addresses() {
        let address = va.cidr.address;
        let host = lan.host.get(&address);
        assert!(host == Some(&mac_of(master)), "host: {address} is at {host:?}, but router {master} is MASTER");
        for router in lan.routers.iter().filter(|router| router.id != master) {
            let seen = router.neighbours.get(&address);
            assert!(
                seen == Some(&mac_of(master)),
                "router {}: {address} is at {seen:?}, but router {master} is MASTER",
                router.id
            );
        }
    }
}
