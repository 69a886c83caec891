//! A new configuration: what it takes over from the old one (`lvs.md` §6.3). Nothing of the table is said here: it
//! follows from the health that comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::check::checker::{Checker, Run, is_timed, same_question};
use crate::check::desired::services;
use crate::check::io::{Action, ProbeId};
use crate::check::node::{Node, Phase, checker_ids};
use crate::check::real_server::RealServer;
use crate::check::report::{Event, ServerEvent};
use crate::check::virtual_server::VirtualServer;
use crate::model;
use crate::model::lvs::{GroupEntry, Identity, Lvs, VirtualServerId};
use crate::time::Instant;

impl Node {
    pub(crate) fn reload(&mut self, config: &Arc<Lvs>, now: Instant, out: &mut Vec<Action>) {
        let old_config = std::mem::replace(&mut self.config, Arc::clone(config));
        self.index_config();
        if self.phase == Phase::Waiting {
            return;
        }
        let files = self.next_files.take().unwrap_or_default();
        self.files = carried_files(&old_config, &self.files, config, &files);
        let old = std::mem::take(&mut self.virtual_servers);
        self.virtual_servers = self.diff(old, out);
        for i in 0..self.virtual_servers.len() {
            if let Some(vs) = self.virtual_servers.get_mut(i) {
                vs.update_quorum(true, out);
                vs.note(now);
                self.touched.insert(i);
            }
        }
        self.is_new_config = true;
        let kept = config.virtual_servers.iter().flat_map(|vs| services(vs)).collect::<BTreeSet<_>>();
        self.gone = self.table.keys().filter(|key| !kept.contains(key)).copied().collect();
        if self.phase == Phase::Running {
            self.rearm(now, out);
        }
        self.tell_known_sessions(now, out);
    }

    /// The virtual servers of the new configuration, each with what the old one knew of it.
    fn diff(&self, old: Vec<VirtualServer>, out: &mut Vec<Action>) -> Vec<VirtualServer> {
        let config = &self.config;
        let mut places: BTreeMap<&Identity, Vec<usize>> = BTreeMap::new();
        for (i, vs) in config.virtual_servers.iter().enumerate().rev() {
            places.entry(&vs.identity).or_default().push(i);
        }
        let mut new: Vec<Option<VirtualServer>> = vec![None; config.virtual_servers.len()];
        for mut old in old {
            let place = places.get_mut(&old.config.identity).and_then(Vec::pop);
            let Some((i, vs)) = place.and_then(|i| Some((i, config.virtual_servers.get(i)?))) else {
                old.remove(out);
                continue;
            };
            if let Some(place) = new.get_mut(i) {
                *place = Some(self.inherit(VirtualServerId(i), vs, old, out));
            }
        }
        let added = new.into_iter().zip(&config.virtual_servers).enumerate();
        added.map(|(i, (kept, vs))| kept.unwrap_or_else(|| self.added(VirtualServerId(i), vs, out))).collect()
    }

    fn added(&self, id: VirtualServerId, config: &Arc<model::VirtualServer>, out: &mut Vec<Action>) -> VirtualServer {
        let servers = config.real_servers.iter().map(|rs| RealServer::added(rs, &self.files)).collect();
        let vs = VirtualServer::new(id, Arc::clone(config), servers);
        if self.config.rs_init_notifies {
            for server in 0..vs.real_servers.len() {
                vs.tell_added(server, out);
            }
        }
        vs
    }

    fn inherit(
        &self,
        id: VirtualServerId,
        config: &Arc<model::VirtualServer>,
        mut old: VirtualServer,
        out: &mut Vec<Action>,
    ) -> VirtualServer {
        report_group(&old.config, config, out);
        let gone = old_places(config, &old);
        for server in gone {
            old.report_server(server, ServerEvent::NoLongerExists, out);
            old.remove_server(server, out);
        }
        let mut places: BTreeMap<(IpAddr, u16), Vec<RealServer>> = BTreeMap::new();
        for rs in std::mem::take(&mut old.real_servers).into_iter().rev() {
            places.entry((rs.config.address, rs.config.port)).or_default().push(rs);
        }
        let mut matched = |rs: &model::RealServer| places.get_mut(&(rs.address, rs.port)).and_then(Vec::pop);
        // how each stood before; none for those that are new
        let mut before = Vec::new();
        let mut servers = Vec::new();
        for rs in &config.real_servers {
            let old = matched(rs);
            before.push(old.as_ref().map(RealServer::health));
            servers.push(match old {
                Some(old) => old.reloaded(rs, &self.files),
                None => RealServer::added(rs, &self.files),
            });
        }
        let mut vs = VirtualServer::new(id, Arc::clone(config), servers);
        (vs.quorum_up, vs.told, vs.suspended) = (old.quorum_up, old.told, old.suspended);
        vs.sorry_serves = old.sorry_serves;
        if let Some(sorry) = old.config.sorry_server.as_ref().filter(|_| old.sorry_serves) {
            let is_kept = |new: &Arc<model::RealServer>| (new.address, new.port) == (sorry.address, sorry.port);
            if !config.sorry_server.as_ref().is_some_and(is_kept) {
                vs.sorry_server_gone(sorry, out);
            }
        }
        for (i, before) in before.into_iter().enumerate() {
            match before {
                Some(before) => {
                    vs.report_weight(i, before.weight, out);
                    let up = vs.real_servers.get(i).is_some_and(RealServer::is_up);
                    vs.set_alive(i, up, out);
                }
                None if self.config.rs_init_notifies => vs.tell_added(i, out),
                None => {}
            }
        }
        vs
    }

    /// Lets probes and deadlines go on where their checker does, and begins with the others as at the start.
    fn rearm(&mut self, now: Instant, out: &mut Vec<Action>) {
        let config = Arc::clone(&self.config);
        let mut orphans = std::mem::take(&mut self.probes).into_keys().collect::<BTreeSet<ProbeId>>();
        self.deadlines.clear();
        for (i, vs) in config.virtual_servers.iter().enumerate() {
            let suspended = self.is_suspended(vs);
            let was_suspended =
                self.virtual_servers.get_mut(i).is_some_and(|state| std::mem::replace(&mut state.suspended, suspended));
            for (id, checker) in checker_ids(VirtualServerId(i), vs) {
                if !is_timed(&checker.probe) {
                    continue;
                }
                let Some(state) = self.checker_mut(id) else { continue };
                let run = std::mem::replace(&mut state.run, Run::Idle);
                let armed = ServerEvent::Armed { active: !suspended };
                match run {
                    _ if suspended => {
                        if !was_suspended || run != Run::Idle {
                            self.report(id, armed, out);
                        }
                    }
                    Run::Probing { id: probe, .. } if orphans.remove(&probe) => {
                        state.run = run;
                        self.probes.insert(probe, id);
                    }
                    Run::Waiting(at) => self.wait(id, at.max(now)),
                    Run::Probing { .. } | Run::Idle => {
                        self.report(id, armed, out);
                        let at = self.first_probe(id, now);
                        self.wait(id, at);
                    }
                }
            }
        }
        out.extend(orphans.into_iter().map(Action::CancelProbe));
    }
}

impl RealServer {
    /// This server under a new configuration of it. It comes or goes afterwards, where its checkers ask for that.
    fn reloaded(self, config: &Arc<model::RealServer>, files: &[i32]) -> Self {
        let was_alive = self.alive;
        let (was_at, is_at) = (self.config.asked_at(), config.asked_at());
        let mut old = self.checkers.into_iter().map(Some).collect::<Vec<_>>();
        let mut checkers = Vec::new();
        for new in config.checkers.iter() {
            let equal = |old: &&mut Option<Checker>| {
                old.as_ref().is_some_and(|old| same_question((&old.config.probe, was_at), (&new.probe, is_at)))
            };
            let matched = old.iter_mut().find(equal).and_then(Option::take);
            checkers.push(match matched {
                Some(old) => old.reloaded(new, config.weight),
                None => {
                    let mut checker = Checker::patient(new);
                    // keepalived: a healthy server stays with a new checker, also one with alpha
                    checker.is_up |= was_alive;
                    checker
                }
            });
        }
        let mut rs = Self { config: Arc::clone(config), alive: was_alive, checkers: checkers.into() };
        rs.read_files(files);
        if !was_alive {
            // keepalived: where something failed, one failure is enough for those that have not run
            rs.checkers.iter_mut().filter(|checker| !checker.has_run).for_each(Checker::lose_patience);
        }
        rs
    }
}

impl Checker {
    /// This checker under a new configuration of it, with its deadline or its running probe where they still fit.
    fn reloaded(self, config: &Arc<model::Checker>, weight: u32) -> Self {
        let mut new = Self::new(config);
        new.inherit(&self, weight);
        new.run = match self.run {
            Run::Probing { .. } if self.config.probe == config.probe => self.run,
            Run::Waiting(_) if self.config.schedule == config.schedule => self.run,
            _ => Run::Idle,
        };
        new
    }
}

/// The numbers in the track files of a new configuration: those that were read for it, else what the same file had.
fn carried_files(old: &Lvs, numbers: &[i32], new: &Lvs, read: &[i32]) -> Vec<i32> {
    let known = old.track_files.iter().map(|file| &file.path).zip(numbers).collect::<BTreeMap<_, _>>();
    let carried = |(i, file): (usize, &Arc<model::lvs::TrackFile>)| {
        let number = read.get(i).or_else(|| known.get(&file.path).copied());
        number.copied().unwrap_or(0)
    };
    new.track_files.iter().enumerate().map(carried).collect()
}

/// Which of the old real servers the new configuration has no more.
fn old_places(config: &model::VirtualServer, old: &VirtualServer) -> Vec<usize> {
    let mut kept: BTreeMap<(IpAddr, u16), usize> = BTreeMap::new();
    for rs in &config.real_servers {
        *kept.entry((rs.address, rs.port)).or_default() += 1;
    }
    let mut gone = Vec::new();
    for (i, rs) in old.real_servers.iter().enumerate() {
        match kept.get_mut(&(rs.config.address, rs.config.port)) {
            Some(left) if *left > 0 => *left -= 1,
            _ => gone.push(i),
        }
    }
    gone
}

/// Says which entries of a group come and go.
fn report_group(old: &model::VirtualServer, new: &model::VirtualServer, out: &mut Vec<Action>) {
    let Identity::Group { name, .. } = &new.identity else { return };
    let (had, has) = (entries(old), entries(new));
    let mut say = |entry: &GroupEntry, protocol, added| {
        let (group, entry) = (Arc::clone(name), entry.clone());
        out.push(Action::Report(Event::GroupEntry { group, entry, protocol, added }));
    };
    old.group.iter().filter(|entry| !has.contains(entry)).for_each(|entry| say(entry, old.protocol, false));
    new.group.iter().filter(|entry| !had.contains(entry)).for_each(|entry| say(entry, new.protocol, true));
}

fn entries(vs: &model::VirtualServer) -> BTreeSet<&GroupEntry> {
    vs.group.iter().collect()
}
