//! A stand-in for the kernel: a table in memory that answers as ip_vs does, and can be told to fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::marking::{Found, Map, Marking, map_name};
use super::plan::{Op, apply};
use super::report::Request;
use super::table::{Entry, Table};
use crate::addr::Family;
use crate::wire::ipvs::{Daemon, DaemonState, Dest, DestKey, Forward, ServiceKey, Timeouts};
use crate::wire::nft;

/// Schedulers that Linux has.
const SCHEDULERS: [&str; 14] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"];

/// What the kernel would have.
#[derive(Clone, Debug)]
pub struct StandIn {
    /// Services, whosever they are.
    pub table: Table,
    /// Sync daemons that run.
    pub daemons: Vec<(DaemonState, Daemon)>,
    /// Timeouts of connections.
    pub timeouts: Timeouts,
    /// Requests so far.
    pub requests: u64,
    /// There is no IPVS: errno for whoever looks for it.
    pub absent: Option<i32>,
    /// Every request fails with this errno.
    pub refuses: Option<i32>,
    /// What is asked of nf_tables fails with this errno.
    pub refuses_marks: Option<i32>,
    /// Tables of nf_tables with their maps.
    pub nft: BTreeMap<(Family, Arc<str>), Tables>,
    /// How often there was a mark without its service after a change.
    pub blind_marks: u64,
}

/// The maps of a table by name.
pub type Tables = BTreeMap<&'static str, Map>;

impl Default for StandIn {
    fn default() -> Self {
        let timeouts = Timeouts { tcp_secs: 900, tcp_fin_secs: 120, udp_secs: 300 };
        Self {
            table: Table::new(),
            daemons: Vec::new(),
            timeouts,
            requests: 0,
            absent: None,
            refuses: None,
            refuses_marks: None,
            nft: BTreeMap::new(),
            blind_marks: 0,
        }
    }
}

impl StandIn {
    /// Carries a request out; gives errno, 0 for success.
    pub fn carry_out(&mut self, request: &Request) -> i32 {
        if let Request::Table(op) = request {
            return self.change(op);
        }
        self.requests += 1;
        if let Some(errno) = self.refuses {
            return errno;
        }
        match request {
            Request::Table(_) => {}
            Request::Flush => self.table.clear(),
            Request::SetTimeouts(timeouts) => {
                let set = |there: &mut u32, secs: u32| {
                    if secs != 0 {
                        *there = secs;
                    }
                };
                set(&mut self.timeouts.tcp_secs, timeouts.tcp_secs);
                set(&mut self.timeouts.tcp_fin_secs, timeouts.tcp_fin_secs);
                set(&mut self.timeouts.udp_secs, timeouts.udp_secs);
            }
            Request::StartDaemon(state, daemon) => {
                if self.daemons.iter().any(|(running, _)| running == state) {
                    return libc::EEXIST;
                }
                self.daemons.push((*state, daemon.clone()));
            }
            Request::StopDaemon(state, _) => {
                let before = self.daemons.len();
                self.daemons.retain(|(running, _)| running != state);
                if self.daemons.len() == before {
                    return libc::ESRCH;
                }
            }
        }
        0
    }

    /// Changes the table; gives errno, 0 for success.
    pub fn change(&mut self, op: &Op) -> i32 {
        self.requests += 1;
        let errno = self.refuses.unwrap_or_else(|| self.judge(op));
        if errno == 0 {
            apply(&mut self.table, op);
            self.look_for_blind_marks();
        }
        errno
    }

    /// Carries a transaction of nf_tables out; gives errno, 0 for success.
    pub fn transact(&mut self, requests: &[nft::Request]) -> i32 {
        if let Some(errno) = self.refuses_marks {
            return errno;
        }
        let before = self.nft.clone();
        match requests.iter().try_for_each(|request| self.change_nft(request)) {
            Ok(()) => {
                self.look_for_blind_marks();
                0
            }
            Err(errno) => {
                self.nft = before;
                errno
            }
        }
    }

    fn look_for_blind_marks(&mut self) {
        let of_map = |(family, map): (Family, &Map)| map.values().map(move |mark| (family, *mark)).collect::<Vec<_>>();
        let maps = self.nft.iter().flat_map(|((family, _), maps)| maps.values().map(move |map| (*family, map)));
        let mut marks = maps.flat_map(of_map);
        let is_blind = |(family, mark)| !self.table.contains_key(&ServiceKey::Mark { family, mark });
        self.blind_marks += u64::from(marks.any(is_blind));
    }

    fn change_nft(&mut self, request: &nft::Request) -> Result<(), i32> {
        let key = |table: &nft::Table| (table.family, Arc::clone(&table.name));
        match request {
            nft::Request::NewTable(table) => _ = self.nft.entry(key(table)).or_default(),
            nft::Request::DelTable(table) => _ = self.nft.remove(&key(table)).ok_or(libc::ENOENT)?,
            nft::Request::NewMap { table, name, .. } => {
                self.nft.get_mut(&key(table)).ok_or(libc::ENOENT)?.entry(*name).or_default();
            }
            nft::Request::NewChain { table, .. } | nft::Request::NewRule { table, .. } => {
                self.nft.get(&key(table)).ok_or(libc::ENOENT)?;
            }
            nft::Request::NewElements { table, map, elements } => {
                let map = self.nft.get_mut(&key(table)).and_then(|maps| maps.get_mut(map)).ok_or(libc::ENOENT)?;
                for (target, mark) in elements {
                    if map.insert(*target, *mark).is_some() {
                        return Err(libc::EEXIST);
                    }
                }
            }
            nft::Request::DelElements { table, map, targets } => {
                let map = self.nft.get_mut(&key(table)).and_then(|maps| maps.get_mut(map)).ok_or(libc::ENOENT)?;
                for target in targets {
                    map.remove(target).ok_or(libc::ENOENT)?;
                }
            }
        }
        Ok(())
    }

    /// What there is of tables and maps.
    pub fn marking(&self, marking: &Marking) -> Found {
        let mut found = Found::default();
        for (family, protocol) in marking.maps.keys() {
            let maps = self.nft.get(&(*family, Arc::clone(&marking.table)));
            let map = maps.and_then(|maps| maps.get(map_name(*protocol))).cloned();
            found.maps.insert((*family, *protocol), map.unwrap_or_default());
        }
        found
    }

    fn judge(&self, op: &Op) -> i32 {
        let there = self.table.get(op.service());
        match (op, there) {
            (Op::NewService(_, service) | Op::SetService(_, service), _)
                if !SCHEDULERS.contains(&&*service.scheduler) =>
            {
                libc::ENOENT
            }
            (Op::NewService(..), Some(_)) => libc::EEXIST,
            (Op::NewService(..), None) => 0,
            (_, None) => libc::ESRCH,
            (Op::SetService(..) | Op::DelService(_), Some(_)) => 0,
            (Op::NewDest(key, dest, settings) | Op::SetDest(key, dest, settings), Some(entry)) => {
                judge_dest(key, dest, settings, matches!(op, Op::NewDest(..)), entry)
            }
            (Op::DelDest(_, dest), Some(entry)) => i32::from(!entry.dests.contains_key(dest)) * libc::ENOENT,
        }
    }
}

fn judge_dest(key: &ServiceKey, dest: &DestKey, settings: &Dest, new: bool, entry: &Entry) -> i32 {
    let is_tunnel = matches!(settings.forwarding, Forward::Ipip | Forward::Gue { .. } | Forward::Gre { .. });
    let is_there = entry.dests.contains_key(dest);
    if i32::try_from(settings.weight).is_err() || settings.lower_threshold > settings.upper_threshold {
        libc::ERANGE
    } else if !is_tunnel && Family::of(dest.address) != key.family() || dest.address.is_unspecified() {
        libc::EINVAL
    } else if new && is_there {
        libc::EEXIST
    } else if !new && !is_there {
        libc::ENOENT
    } else {
        0
    }
}
