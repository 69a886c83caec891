//! What the kernel's IPVS table is to be: a plain function of configuration and health. Start, reload, failure,
//! recovery, quorum, sorry server and inhibit differ in nothing but the health that goes in.

use std::collections::btree_map::{self as map, BTreeMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::addr::Family;
use crate::ipvs::marking::{FAMILIES, Maps, Marking};
use crate::ipvs::table::{Entry, Table};
use crate::model::lvs::{
    Forwarding, Granularity, GroupEntry, Identity, Lvs, Nftables, Persistence, Protocol, RealServer, Tunnel,
    TunnelChecksum, VirtualServer,
};
use crate::wire::ipvs::{Dest, DestKey, Forward, ONE_PACKET, PERSISTENT, Service, ServiceKey};

/// Largest weight the kernel takes.
const MAX_WEIGHT: i64 = i32::MAX as i64;

/// What the table needs to know of one virtual server beside its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Of each real server, in configuration order. One that is missing here counts as down.
    pub real_servers: Vec<ServerHealth>,
    /// The sorry server serves instead of them.
    pub sorry_serves: bool,
}

/// What the table needs to know of one real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerHealth {
    /// All its checkers succeed.
    pub alive: bool,
    /// Its weight with what its checkers add.
    pub weight: u32,
}

/// The table of a whole configuration. `health` is in the order of [`Lvs::virtual_servers`].
pub fn desired(config: &Lvs, health: &[Health]) -> Table {
    let mut table = Table::new();
    for (vs, health) in config.virtual_servers.iter().zip(health) {
        for key in services(vs) {
            let entry = entry(vs, &key, health);
            match table.get_mut(&key) {
                Some(shared) => merge(shared, entry),
                None => {
                    table.insert(key, entry);
                }
            }
        }
    }
    table
}

/// What nf_tables is to hold so that packets reach the services of groups that have a mark.
pub fn marking(config: &Lvs) -> Option<Marking> {
    let nftables = config.nftables.as_ref()?;
    let mut maps = Maps::default();
    for vs in &config.virtual_servers {
        let Some(mark) = vs.mark else { continue };
        for entry in &vs.group {
            if let GroupEntry::Addresses { first, last, port } = *entry {
                maps.add(number(vs.protocol), (first, last), port, mark);
            }
        }
    }
    let Nftables { table, priority, counters, .. } = nftables;
    Some(Marking { table: Arc::clone(table), priority: *priority, counters: *counters, maps: maps.finish() })
}

/// The weight the kernel gets: 0 to 2,147,483,647.
pub(crate) fn clamp(weight: i64) -> u32 {
    weight.clamp(0, MAX_WEIGHT) as u32
}

/// The services of a virtual server, those of a group in the order of its entries. A group that has a mark is one
/// service for each family of its addresses.
pub fn services(vs: &VirtualServer) -> impl Iterator<Item = ServiceKey> + '_ {
    let has = move |family: &Family| vs.group.iter().any(|entry| entry.family() == *family);
    let marked = vs
        .mark
        .into_iter()
        .flat_map(move |mark| FAMILIES.into_iter().filter(has).map(move |family| ServiceKey::Mark { family, mark }));
    let plain = match &vs.identity {
        Identity::Address { address, port, protocol } => {
            Some(ServiceKey::Address { protocol: number(*protocol), address: *address, port: *port })
        }
        Identity::Mark { family, mark } => Some(ServiceKey::Mark { family: *family, mark: *mark }),
        Identity::Group { .. } => None,
    };
    let entries = if vs.mark.is_some() { &[][..] } else { &vs.group[..] };
    let group = entries.iter().flat_map(|entry| {
        let (addresses, port, mark) = match *entry {
            GroupEntry::Addresses { first, last, port } => (Some(range(first, last)), port, None),
            GroupEntry::Mark { family, mark } => (None, 0, Some(ServiceKey::Mark { family, mark })),
        };
        let protocol = number(vs.protocol);
        let addresses = addresses.into_iter().flatten();
        addresses.map(move |address| ServiceKey::Address { protocol, address, port }).chain(mark)
    });
    plain.into_iter().chain(marked).chain(group)
}

/// The addresses from `first` to `last`, at most [`GroupEntry::MOST`]; none where they are of different families or the wrong way round.
fn range(first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
    let (from, to) = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (u128::from(u32::from(first)), u128::from(u32::from(last))),
        (IpAddr::V6(first), IpAddr::V6(last)) => (u128::from(first), u128::from(last)),
        _ => (1, 0),
    };
    let family = Family::of(first);
    (from..=to).take(GroupEntry::MOST as usize).map(move |number| match family {
        Family::V4 => Ipv4Addr::from(number as u32).into(),
        Family::V6 => Ipv6Addr::from(number).into(),
    })
}

const fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::None => 0,
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

/// What one of its services is to have for a virtual server.
pub(crate) fn entry(vs: &VirtualServer, key: &ServiceKey, health: &Health) -> Entry {
    let mut dests = BTreeMap::new();
    for (i, rs) in vs.real_servers.iter().enumerate() {
        let server = health.real_servers.get(i).copied().unwrap_or_default();
        let weight = match (server.alive && !health.sorry_serves, rs.inhibit_on_failure) {
            (true, _) => server.weight,
            (false, true) => 0,
            (false, false) => continue,
        };
        put(dests.entry(dest_key(vs, rs, key)), dest(rs, weight));
    }
    if let Some(sorry) = &vs.sorry_server {
        let at = dest_key(vs, sorry, key);
        if health.sorry_serves {
            dests.insert(at, dest(sorry, sorry.weight));
        } else if sorry.inhibit_on_failure && !vs.real_servers.iter().any(|rs| dest_key(vs, rs, key) == at) {
            // one that is a real server too has its place while it does not serve
            put(dests.entry(at), dest(sorry, 0));
        }
    }
    Entry { service: service(vs, key.family()), dests: dests.into_iter().collect() }
}

/// Adds a destination. Where two servers come to the same one, the one that serves decides.
fn put(place: map::Entry<'_, DestKey, Dest>, dest: Dest) {
    let place = place.or_insert(dest);
    if place.weight == 0 && dest.weight > 0 {
        *place = dest;
    }
}

/// Puts what another virtual server wants of the same service into its entry; the settings of the first stay.
pub(crate) fn merge(into: &mut Entry, other: Entry) {
    let mut dests: BTreeMap<_, _> = std::mem::take(&mut into.dests).into_iter().collect();
    for (key, dest) in other.dests {
        put(dests.entry(key), dest);
    }
    into.dests = dests.into_iter().collect();
}

fn service(vs: &VirtualServer, family: Family) -> Service {
    let one_packet = if vs.one_packet { ONE_PACKET } else { 0 };
    let persistent = if vs.persistence.is_some() { PERSISTENT } else { 0 };
    Service {
        scheduler: vs.scheduler.clone(),
        flags: vs.scheduler_flags | one_packet | persistent,
        timeout_secs: vs.persistence.as_ref().map_or(0, |persistence| persistence.timeout_secs),
        netmask: netmask(vs.persistence.as_ref(), family),
        engine: vs.persistence.as_ref().and_then(|persistence| persistence.engine.clone()),
    }
}

/// Each client for itself where no granularity of that family is configured.
fn netmask(persistence: Option<&Persistence>, family: Family) -> u32 {
    match (persistence.map(|persistence| persistence.granularity), family) {
        (Some(Granularity::Mask(mask)), Family::V4) => mask.into(),
        (Some(Granularity::Prefix(prefix)), Family::V6) => prefix.into(),
        (_, Family::V4) => u32::MAX,
        (_, Family::V6) => 128,
    }
}

/// NAT reaches a server on its own port, the others on that of the service: under a mark there is none.
pub(crate) fn dest_key(vs: &VirtualServer, rs: &RealServer, key: &ServiceKey) -> DestKey {
    let is_nat = rs.forwarding == Forwarding::Nat;
    let port = match (&vs.identity, key) {
        (Identity::Address { .. }, _) => rs.port,
        _ if is_nat => rs.port,
        (_, ServiceKey::Address { port, .. }) => *port,
        (_, ServiceKey::Mark { .. }) => 0,
    };
    DestKey { address: rs.address, port }
}

fn dest(rs: &RealServer, weight: u32) -> Dest {
    Dest {
        forwarding: forward(rs.forwarding),
        weight,
        upper_threshold: rs.upper_threshold,
        lower_threshold: rs.lower_threshold,
    }
}

const fn forward(forwarding: Forwarding) -> Forward {
    match forwarding {
        Forwarding::Nat => Forward::Masq,
        Forwarding::Direct => Forward::DirectRoute,
        Forwarding::Tunnel(Tunnel::Ipip) => Forward::Ipip,
        Forwarding::Tunnel(Tunnel::Gue { port, checksum }) => {
            let flags = match checksum {
                TunnelChecksum::None => 0,
                TunnelChecksum::Checksum => 1,
                TunnelChecksum::Remote => 2,
            };
            Forward::Gue { port, flags }
        }
        Forwarding::Tunnel(Tunnel::Gre { checksum }) => Forward::Gre { flags: checksum as u16 },
    }
}
