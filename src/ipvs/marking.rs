//! Marks for groups of addresses: what nf_tables is to hold so that packets to them reach the service of their mark, and
//! how it becomes so.
//!
//! Every change is one transaction. What cannot be changed in place is made anew in one, so that no packet misses its
//! mark. [`Marker`] waits for nobody: it gives steps, and is told what came of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Bound;
use std::sync::Arc;

use super::keeper::pause;
use super::report::Event;
use crate::addr::Family;
use crate::time::Instant;
use crate::wire::nft::{
    Expression, META_L4PROTO, META_MARK, NETWORK_HEADER, Register, Request, TRANSPORT_HEADER, Table, Target,
};

/// The chain of each table.
pub const CHAIN: &str = "in";
/// Families in which there may be a table.
pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// What nf_tables is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marking {
    /// The name of its tables.
    pub table: Arc<str>,
    /// Of its chains.
    pub priority: i32,
    /// Rules and elements count.
    pub counters: bool,
    /// A map for each family and IP protocol number. A table is there where a map is.
    pub maps: BTreeMap<(Family, u8), Map>,
}

/// Which mark belongs to which addresses and ports; none of them meet.
pub type Map = BTreeMap<Target, u32>;

/// keepalived's names of its maps.
pub const fn map_name(protocol: u8) -> &'static str {
    match protocol {
        6 => "tcp_map",
        17 => "udp_map",
        _ => "sctp_map",
    }
}

impl Marking {
    /// Its table in a family.
    pub fn table_of(&self, family: Family) -> Table {
        Table { family, name: Arc::clone(&self.table) }
    }

    /// Families that have a table.
    pub fn families(&self) -> impl Iterator<Item = Family> + '_ {
        FAMILIES.into_iter().filter(|family| self.maps.keys().any(|(of, _)| of == family))
    }

    /// Whether `other` is the same but for what is in the maps, and which there are.
    fn has_the_frame_of(&self, other: &Self) -> bool {
        (&self.table, self.priority, self.counters) == (&other.table, other.priority, other.counters)
    }
}

// ---- from groups to maps ---------------------------------------------------------------------------------------------

/// Makes maps of what may overlap. As in the table of IPVS an address with its port goes before one with every port;
/// else what was added first counts.
#[derive(Clone, Debug, Default)]
pub struct Maps {
    places: BTreeMap<(Family, u8), Place>,
}

#[derive(Clone, Debug, Default)]
struct Place {
    /// For each port: first addresses with the last ones and marks.
    with_port: BTreeMap<u16, Ranges>,
    with_every_port: Ranges,
}

type Ranges = BTreeMap<u128, (u128, u32)>;

impl Maps {
    /// Adds addresses from the first to the last, of one family; port 0 is every port.
    pub fn add(&mut self, protocol: u8, (first, last): (IpAddr, IpAddr), port: u16, mark: u32) {
        let family = Family::of(first);
        let place = self.places.entry((family, protocol)).or_default();
        let ranges = if port == 0 { &mut place.with_every_port } else { place.with_port.entry(port).or_default() };
        if Family::of(last) == family {
            for (from, to) in free(ranges, number(first), number(last)) {
                ranges.insert(from, (to, mark));
            }
        }
    }

    /// The maps.
    pub fn finish(self) -> BTreeMap<(Family, u8), Map> {
        self.places.into_iter().map(|(key, place)| (key, place.finish(key.0))).collect()
    }
}

impl Place {
    fn finish(self, family: Family) -> Map {
        let mut map = Map::new();
        let mut put = |from, to, ports, mark| {
            map.insert(Target { addresses: (address(family, from), address(family, to)), ports }, mark);
        };
        for (from, (to, mark)) in &self.with_every_port {
            for (from, to) in self.cut(*from, *to) {
                let mut next = Some(0);
                for (port, _) in self.with_port.iter().filter(|(_, ranges)| covers(ranges, from)) {
                    if let Some(next) = next.filter(|next| next < port) {
                        put(from, to, (next, port - 1), *mark);
                    }
                    next = port.checked_add(1);
                }
                if let Some(next) = next {
                    put(from, to, (next, u16::MAX), *mark);
                }
            }
        }
        for (port, ranges) in &self.with_port {
            ranges.iter().for_each(|(from, (to, mark))| put(*from, *to, (*port, *port), *mark));
        }
        map
    }

    /// Cuts addresses so that each piece is wholly in or out of every range with a port.
    fn cut(&self, first: u128, last: u128) -> Vec<(u128, u128)> {
        let mut starts = BTreeSet::from([first]);
        for ranges in self.with_port.values() {
            for (from, to) in overlapping(ranges, first, last) {
                starts.extend([from, to.saturating_add(1)].into_iter().filter(|at| first < *at && *at <= last));
            }
        }
        let ends = starts.iter().skip(1).map(|start| start - 1).chain([last]).collect::<Vec<_>>();
        starts.into_iter().zip(ends).collect()
    }
}

/// Ranges that have something of `first` to `last`; none of them meet.
fn overlapping(ranges: &Ranges, first: u128, last: u128) -> impl Iterator<Item = (u128, u128)> + '_ {
    let before = ranges.range(..first).next_back();
    let within = ranges.range((Bound::Included(first), Bound::Included(last.max(first))));
    before.into_iter().chain(within).map(|(from, (to, _))| (*from, *to)).filter(move |(_, to)| *to >= first)
}

fn covers(ranges: &Ranges, at: u128) -> bool {
    overlapping(ranges, at, at).next().is_some()
}

/// What of `first` to `last` no range has.
fn free(ranges: &Ranges, first: u128, last: u128) -> Vec<(u128, u128)> {
    let (mut pieces, mut at) = (Vec::new(), Some(first));
    for (from, to) in overlapping(ranges, first, last) {
        let Some(start) = at else { break };
        if start < from {
            pieces.push((start, from - 1));
        }
        at = to.checked_add(1);
    }
    pieces.extend(at.filter(|start| *start <= last).map(|start| (start, last)));
    pieces
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(number as u32).into(),
        Family::V6 => Ipv6Addr::from_bits(number).into(),
    }
}

// ---- from what is to what is to be -------------------------------------------------------------------------------------

/// The transaction that makes one of the other; `anew` whatever there is.
pub fn plan(owned: Option<&Marking>, desired: Option<&Marking>, anew: bool) -> Vec<Request> {
    let mut requests = Vec::new();
    match (owned, desired) {
        (Some(owned), Some(desired)) if !anew && owned.has_the_frame_of(desired) => {
            update(owned, desired, &mut requests);
        }
        _ => {
            for marking in owned.into_iter().chain(desired) {
                marking.families().for_each(|family| remove(marking.table_of(family), &mut requests));
            }
            if let Some(desired) = desired {
                let nothing = Marking { maps: BTreeMap::new(), ..desired.clone() };
                update(&nothing, desired, &mut requests);
            }
        }
    }
    requests
}

/// Removes a table, whether it is there or not: what is not there cannot be removed.
fn remove(table: Table, requests: &mut Vec<Request>) {
    requests.extend([Request::NewTable(table.clone()), Request::DelTable(table)]);
}

fn update(owned: &Marking, desired: &Marking, requests: &mut Vec<Request>) {
    for family in desired.families().filter(|family| owned.families().all(|there| there != *family)) {
        let table = desired.table_of(family);
        requests.push(Request::NewTable(table.clone()));
        requests.push(Request::NewChain { table, name: CHAIN, priority: desired.priority });
    }
    for (id, (key, map)) in (1..).zip(&desired.maps) {
        let (family, protocol) = *key;
        let (table, name) = (desired.table_of(family), map_name(protocol));
        let nothing = Map::new();
        let there = owned.maps.get(key).unwrap_or_else(|| {
            requests.push(Request::NewMap { table: table.clone(), name, id, counts: desired.counters });
            let expressions = rule(family, protocol, desired.counters);
            requests.push(Request::NewRule { table: table.clone(), chain: CHAIN, expressions });
            &nothing
        });
        let gone = there.iter().filter(|(target, mark)| map.get(target) != Some(mark));
        let gone: Vec<_> = gone.map(|(target, _)| *target).collect();
        let new = map.iter().filter(|(target, mark)| there.get(target) != Some(mark));
        let new: Vec<_> = new.map(|(target, mark)| (*target, *mark)).collect();
        for targets in gone.chunks(Request::MOST_ELEMENTS) {
            requests.push(Request::DelElements { table: table.clone(), map: name, targets: targets.into() });
        }
        for elements in new.chunks(Request::MOST_ELEMENTS) {
            requests.push(Request::NewElements { table: table.clone(), map: name, elements: elements.into() });
        }
    }
}

/// A packet of the protocol gets what the map has for its address and port; the others go on to the next rule.
fn rule(family: Family, protocol: u8, counters: bool) -> Vec<Expression> {
    let first = Register(1);
    // The destination in `struct iphdr` and `struct ip6_hdr`; the register of four bytes after it.
    let (offset, length, next) = match family {
        Family::V4 => (16, 4, Register(9)),
        Family::V6 => (24, 16, Register(2)),
    };
    let mut expressions = vec![
        Expression::Meta(META_L4PROTO, first),
        Expression::IsByte(first, protocol),
        Expression::Payload(NETWORK_HEADER, offset, length, first),
        // The destination port of TCP, UDP and SCTP.
        Expression::Payload(TRANSPORT_HEADER, 2, 2, next),
        Expression::Lookup(map_name(protocol), first),
        Expression::SetMeta(META_MARK, first),
    ];
    expressions.extend(counters.then_some(Expression::Counter));
    expressions.push(Expression::Return);
    expressions
}

// ---- keeping it so -------------------------------------------------------------------------------------------------------

/// What the kernel tells of the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Of tables, chains and rules, whatever changes when somebody changes one of them.
    pub states: Vec<[u64; 2]>,
    /// What is in the maps.
    pub maps: BTreeMap<(Family, u8), Map>,
}

/// What is wanted of nf_tables, and how far it is.
#[derive(Debug, Default)]
pub struct Marker {
    target: Option<Arc<Marking>>,
    /// What the kernel has, as far as we know.
    owned: Option<Arc<Marking>>,
    /// What it told of that when it was made.
    states: Option<Vec<[u64; 2]>>,
    /// What there is may be something else; it is made anew.
    doubts: bool,
    /// Something is wanted that has not been tried.
    is_fresh: bool,
    /// The kernel is to be asked what it has.
    looks: bool,
    /// What a process before us may have left in families that we have nothing in.
    leftovers: Vec<Table>,
    later: Option<Instant>,
    failures: u32,
    said: Option<String>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try this, and forget what comes of it.
    Clear(Request),
    /// Carry this out, and say to [`Marker::changed`] what came of it.
    Change(Vec<Request>),
    /// Say to [`Marker::found`] what the kernel has of this.
    Look(Arc<Marking>),
}

impl Marker {
    /// From now on nf_tables is to hold this; none removes what is ours.
    pub fn want(&mut self, desired: Option<Arc<Marking>>) {
        self.target = self.reachable(desired);
        if self.owned.is_none() {
            self.doubts = self.target.is_some();
            let unused = |target: &Arc<Marking>| {
                let is_unused = |family: &Family| target.families().all(|used| used != *family);
                FAMILIES.into_iter().filter(is_unused).map(|family| target.table_of(family)).collect()
            };
            self.leftovers = self.target.as_ref().map(unused).unwrap_or_default();
        }
        self.is_fresh = !self.is_settled();
        self.later = None;
    }

    /// What is desired, with the maps that are there: with nothing in them they stay until the end, for only who knows
    /// their rules could remove them. Without any map there is no table.
    fn reachable(&self, desired: Option<Arc<Marking>>) -> Option<Arc<Marking>> {
        let mut desired = desired?;
        if let Some(owned) = self.owned.as_ref().filter(|owned| owned.has_the_frame_of(&desired)) {
            for key in owned.maps.keys() {
                if !desired.maps.contains_key(key) {
                    Arc::make_mut(&mut desired).maps.insert(*key, Map::new());
                }
            }
        }
        Some(desired).filter(|desired| !desired.maps.is_empty())
    }

    /// Something is wanted that has not been tried: what is ordered after it has to wait.
    pub const fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// Looks whether somebody else has changed something.
    pub fn compare(&mut self) {
        self.looks = self.owned.is_some();
    }

    /// What failed is tried again now.
    pub fn hurry(&mut self) {
        self.later = None;
    }

    /// Everything is as it should be, as far as we know.
    pub fn is_settled(&self) -> bool {
        self.target == self.owned && !self.doubts
    }

    /// When something that failed is to be tried again.
    pub const fn deadline(&self) -> Option<Instant> {
        self.later
    }

    /// Whether [`Self::next`] has something.
    pub fn has_work(&self, now: Instant) -> bool {
        let waits = self.looks || !self.leftovers.is_empty() || !self.is_settled();
        waits && self.later.is_none_or(|later| later <= now)
    }

    /// What comes next, if it is time for it.
    pub fn next(&mut self, now: Instant) -> Option<Step> {
        if !self.has_work(now) {
            return None;
        }
        if let Some(table) = self.leftovers.pop() {
            return Some(Step::Clear(Request::DelTable(table)));
        }
        if !self.is_settled() {
            self.is_fresh = false;
            return Some(Step::Change(plan(self.owned.as_deref(), self.target.as_deref(), self.doubts)));
        }
        self.looks = false;
        self.owned.clone().map(Step::Look)
    }

    /// After [`Step::Change`]: whether it was carried out, or why not.
    pub fn changed(&mut self, done: Result<(), String>, now: Instant, events: &mut Vec<Event>) {
        let Err(why) = done else {
            self.owned.clone_from(&self.target);
            (self.doubts, self.failures, self.later, self.states) = (false, 0, None, None);
            self.looks = self.owned.is_some();
            events.extend(self.said.take().map(|_| Event::Marked));
            return;
        };
        if !self.doubts {
            // Somebody else may have changed what we built on: once more from the ground.
            self.doubts = true;
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.later = Some(now + pause(self.failures));
        if self.said.as_ref() != Some(&why) {
            events.push(Event::Unmarked(why.clone()));
            self.said = Some(why);
        }
    }

    /// After [`Step::Look`]: what there is; none where it could not be found out.
    pub fn found(&mut self, found: Option<Found>, events: &mut Vec<Event>) {
        let (Some(found), Some(owned)) = (found, &self.owned) else { return };
        // What we have just made is what we have made, however it is told.
        let is_ours = |states: &Vec<[u64; 2]>| *states == found.states && owned.maps == found.maps;
        if self.states.as_ref().is_none_or(is_ours) {
            self.states = Some(found.states);
        } else {
            events.push(Event::MarkingChanged(Arc::clone(&owned.table)));
            self.doubts = true;
        }
    }
}

#[cfg(test)]
mod tests;
