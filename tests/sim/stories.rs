//! Named scenarios. A letter and two digits name the keepalived bug that the story was once about.

mod addresses;
mod cadence;
mod election;
mod links;
mod reload;
mod scripts;
mod split_brain;
mod unicast;

use std::sync::Arc;
use std::time::Duration;

use keepalived_rs::addr::{Cidr, Family};
use keepalived_rs::model::vrrp::{Destination, Instance, Unicast, Version, Vrrp};
use keepalived_rs::time::{Centis, Instant};
use keepalived_rs::vrrp::io::{Action, Input, Notified, PacketMeta, Role, SocketScope};
use keepalived_rs::vrrp::report::{Event, InstanceEvent};
use keepalived_rs::wire::ipv4::Header;
use keepalived_rs::wire::vrrp::{Body, Checksum, emit};

use crate::lan::Lan;
use crate::oracle;
use crate::router::ScriptModel;
use crate::setup::*;

/// Routers a, b, … with these instances each, started and settled, with a log of everything they do.
fn lan_of(routers: Vec<Vrrp>) -> Lan {
    let mut lan = Lan::new(0);
    for config in routers {
        let id = lan.add(config);
        lan.routers[id].log = Some(Vec::new());
    }
    lan
}

pub(crate) fn started(routers: Vec<Vrrp>) -> Lan {
    let mut lan = lan_of(routers);
    (0..lan.routers.len()).for_each(|id| lan.start(id));
    lan
}

pub(crate) fn settled(routers: Vec<Vrrp>) -> Lan {
    let mut lan = started(routers);
    lan.run_for(secs(12));
    lan
}

pub(crate) fn one(priority: u8) -> Vrrp {
    vrrp(vec![instance(priority)])
}

pub(crate) fn with(priority: u8, change: impl FnOnce(&mut Instance)) -> Vrrp {
    let mut instance = instance(priority);
    change(&mut instance);
    vrrp(vec![instance])
}

pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;

/// What a router did from `from` on.
pub(crate) fn did(lan: &Lan, id: usize, from: Instant) -> Vec<(Instant, Action)> {
    lan.routers[id].log.iter().flatten().filter(|(at, _)| *at >= from).cloned().collect()
}

pub(crate) fn count(lan: &Lan, id: usize, from: Instant, what: impl Fn(&Action) -> bool) -> usize {
    did(lan, id, from).iter().filter(|(_, action)| what(action)).count()
}

pub(crate) fn is_advert(action: &Action) -> bool {
    matches!(action, Action::SendAdvert(_))
}

pub(crate) fn is_announce(action: &Action) -> bool {
    matches!(action, Action::Announce(_))
}

fn touches_addresses(action: &Action) -> bool {
    matches!(action, Action::AddAddress(_) | Action::RemoveAddress(_))
}

fn is_notify(action: &Action) -> bool {
    matches!(action, Action::Notify(_))
}

pub(crate) fn told(lan: &Lan, id: usize, from: Instant) -> Vec<Notified> {
    let what = |(_, action): (Instant, Action)| match action {
        Action::Notify(notification) => Some(notification.what),
        _ => None,
    };
    did(lan, id, from).into_iter().filter_map(what).collect()
}

fn gaps(lan: &Lan, id: usize, from: Instant) -> Vec<Duration> {
    let sent: Vec<Instant> =
        did(lan, id, from).into_iter().filter(|(_, action)| is_advert(action)).map(|(at, _)| at).collect();
    sent.windows(2).map(|pair| pair[1].since(pair[0])).collect()
}

/// How long until `done`, looked at every millisecond.
pub(crate) fn time_until(lan: &mut Lan, done: impl Fn(&Lan) -> bool) -> Duration {
    let start = lan.now;
    while !done(lan) {
        assert!(lan.now.since(start) < secs(120), "it never comes");
        lan.run_for(ms(1));
    }
    lan.now.since(start)
}

fn scripted(priority: u8, weights: &[i16]) -> Vrrp {
    let mut config = with(priority, |instance| {
        instance.track_scripts = weights.iter().enumerate().map(|(n, &weight)| tracks(n, weight)).collect();
    });
    config.scripts = (0..weights.len()).map(|n| script(&format!("chk_{n}"))).collect();
    config
}
