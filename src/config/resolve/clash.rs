//! Two instances that are the same virtual router on the same LAN.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Context;
use crate::addr::{Family, IfName};
use crate::diag::{Code, Diagnostics, Span};
use crate::model::Instance;
use crate::model::vrrp::Destination;

/// What may be there once.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Multicast { vrid: u8, family: Family, interface: Option<IfName>, group: IpAddr },
    Unicast { vrid: u8, family: Family, source: IpAddr, peer: IpAddr },
}

/// Refuses the configuration where a virtual router is there twice.
pub(super) fn check(context: &Context<'_>, instances: &mut [Instance], diagnostics: &mut Diagnostics) {
    let places: BTreeMap<&str, Span> = context
        .draft
        .instances
        .iter()
        .map(|draft| (draft.name.value.as_str(), draft.vrid.map_or(draft.name.span, |vrid| vrid.span)))
        .collect();
    let mut first: BTreeMap<Key, usize> = BTreeMap::new();
    for number in 0..instances.len() {
        let instance = &instances[number];
        let clash = keys(context, instance).into_iter().find_map(|key| {
            let before = *first.entry(key).or_insert(number);
            (before != number && !on_different_interfaces(&instances[before], instance)).then_some(before)
        });
        if let Some(before) = clash {
            report(&instances[before], instance, &places, diagnostics);
        }
    }
}

/// Unicast instances with one source may live on different interfaces.
fn on_different_interfaces(a: &Instance, b: &Instance) -> bool {
    matches!((a.interface, b.interface), (Some(a), Some(b)) if a != b)
}

fn report(before: &Instance, instance: &Instance, places: &BTreeMap<&str, Span>, diagnostics: &mut Diagnostics) {
    let place = |instance: &Instance| places.get(&*instance.name).copied();
    let on = instance.interface.map_or_else(|| "with the same peers".to_owned(), |name| format!("on {name}"));
    let message =
        format!("({}) virtual_router_id {} is used {on} by {} already", instance.name, instance.vrid, before.name);
    let diagnostic = diagnostics.reject(Code::VRID_CLASH, place(instance), message);
    diagnostic.help("give each virtual router on a LAN its own number");
    if let Some(span) = place(before) {
        diagnostic.label(span, format!("{} uses it here", before.name));
    }
}

fn keys(context: &Context<'_>, instance: &Instance) -> Vec<Key> {
    let Instance { vrid, family, interface, .. } = *instance;
    match &instance.destination {
        Destination::Multicast(group) => vec![Key::Multicast { vrid, family, interface, group: *group }],
        Destination::Unicast(unicast) => {
            let own = || {
                let link = context.machine.link(&interface?)?;
                let fits = |address: &IpAddr| match address {
                    IpAddr::V4(_) => family == Family::V4,
                    IpAddr::V6(address) => family == Family::V6 && address.is_unicast_link_local(),
                };
                link.addresses.iter().map(|cidr| cidr.address).find(fits)
            };
            let Some(source) = instance.source.or_else(own) else { return Vec::new() };
            unicast.peers.iter().map(|peer| Key::Unicast { vrid, family, source, peer: peer.address }).collect()
        }
    }
}
