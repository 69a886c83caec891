//! A reload: another configuration for the same routers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::vrrp::Destination;
use crate::model::{self, InstanceId, Vrrp};
use crate::time::{Duration, Instant};
use crate::track::script;

use super::instance::Instance;
use super::io::{Action, ScriptSignal};
use super::node::{NEVER, Node, Phase};
use super::report::{Event, InstanceEvent, ScriptEvent};

/// From SIGTERM to SIGKILL for a script that is not wanted any longer.
const ORPHAN_GRACE: Duration = Duration::from_millis(500);

impl Node {
    /// Goes on with `config`: instances that are the same router keep their state, statistics and cadence.
    pub(crate) fn reload(&mut self, config: &Arc<Vrrp>, now: Instant, out: &mut Vec<Action>) {
        if self.phase != Phase::Running {
            let links = std::mem::take(&mut self.links);
            *self = Self::new(Arc::clone(config), 0);
            self.links = links;
            return;
        }
        let (kept, gone) = self.sort_out(config);
        for i in gone {
            self.with(i, now, out, Instance::vanish);
        }
        let old = std::mem::replace(&mut self.config, Arc::clone(config));
        self.reload_scripts(&old, now, out);

        let mut olds: Vec<Option<Instance>> = self.instances.drain(..).map(Some).collect();
        let (mut fresh, mut changed) = (Vec::new(), Vec::new());
        for (i, (instance, from)) in config.instances.iter().zip(&kept).enumerate() {
            let id = InstanceId(i);
            match from.and_then(|from| olds.get_mut(from)?.take()) {
                Some(mut same) => {
                    if same.reconfigure(id, instance, now) {
                        changed.push(i);
                    }
                    self.instances.push(same);
                }
                None => {
                    fresh.push(i);
                    self.instances.push(Instance::new(id, instance));
                }
            }
        }
        self.due = self.instances.iter().map(|instance| instance.deadline().unwrap_or(NEVER)).collect();
        self.index_config();
        self.reload_delay(now, out);
        let numbers = kept.iter().enumerate().filter_map(|(new, old)| Some((InstanceId((*old)?), InstanceId(new))));
        self.announcer.renumber(&numbers.collect());

        let matched: Vec<usize> = self.all().into_iter().filter(|i| !fresh.contains(i)).collect();
        self.keep_natives(&fresh, out);
        let named: BTreeSet<_> = config.instances.iter().filter_map(|instance| instance.interface).collect();
        named.into_iter().for_each(|name| self.report_assigned(name, out));
        self.find_sources(&fresh, now, out);
        self.reassess(&matched, now, out);
        self.exchange_addresses(&old, now, out);
        for i in changed {
            self.with(i, now, out, Instance::settle);
        }
        self.clear_leftovers(&fresh, out);
        for i in fresh {
            self.with(i, now, out, Instance::start);
        }
        self.tick_scripts(now, out);
    }

    /// For each instance of `config` the running one that is the same router, and those that are none.
    fn sort_out(&self, config: &Vrrp) -> (Vec<Option<usize>>, Vec<usize>) {
        let mut free: Vec<usize> = self.all();
        let mut kept = vec![None; config.instances.len()];
        // an equal name settles it where several would fit (unicast instances that share a VRID)
        for by_name in [true, false] {
            for (new, slot) in config.instances.iter().zip(&mut kept).filter(|(_, slot)| slot.is_none()) {
                let fits = |&&i: &&usize| {
                    self.instances.get(i).is_some_and(|old| {
                        is_same_router(&old.config, new) && (!by_name || old.config.name == new.name)
                    })
                };
                if let Some(&found) = free.iter().find(fits) {
                    *slot = Some(found);
                    free.retain(|&i| i != found);
                }
            }
        }
        (kept, free)
    }

    fn reload_delay(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.startup_ends.is_none() {
            return;
        }
        // a delay that is still wanted ends when it always would have
        if self.config.startup_delay.is_zero() && self.config.delay_after_boot.is_zero() {
            self.startup_ends = None;
            out.push(Action::Report(Event::StartupDelayOver));
            for i in self.all() {
                self.with(i, now, out, |instance, _| instance.start_timer(now));
            }
        }
    }

    /// Scripts of the same command keep what they know; those that are unchanged keep running.
    fn reload_scripts(&mut self, old: &Vrrp, now: Instant, out: &mut Vec<Action>) {
        let old_trackers = std::mem::take(&mut self.scripts);
        let mut moved = BTreeMap::new();
        for (i, script) in self.config.scripts.iter().enumerate() {
            let same =
                |other: &model::Script| (&other.command, other.opens_only) == (&script.command, script.opens_only);
            let named = old.scripts.iter().position(|other| other.name == script.name && same(other));
            let from = named.or_else(|| old.scripts.iter().position(same));
            let mut tracker = script::Tracker::new(script, now);
            if let Some((from, before)) = from.and_then(|from| Some((from, old_trackers.get(from)?))) {
                if old.scripts.get(from) == Some(script) && !moved.contains_key(&from) {
                    moved.insert(from, i);
                    tracker = before.clone();
                } else {
                    tracker.inherit(before);
                    if let Some(good) = before.is_good() {
                        let event = ScriptEvent::KeptOnReload { good };
                        out.push(Action::Report(Event::Script(Arc::clone(&script.name), event)));
                    }
                }
            }
            self.scripts.push(tracker);
        }
        for (run, script) in std::mem::take(&mut self.runs) {
            match moved.get(&script.0) {
                Some(&to) => {
                    self.runs.insert(run, model::ScriptId(to));
                }
                None => {
                    self.orphans.insert(run, now + ORPHAN_GRACE);
                    out.push(Action::SignalScript(run, ScriptSignal::Term));
                }
            }
        }
    }

    /// One difference over all instances: what was held and is wanted still is never touched.
    fn exchange_addresses(&mut self, old: &Vrrp, now: Instant, out: &mut Vec<Action>) {
        let masters = self.instances.iter().filter(|instance| instance.is_master());
        let configs: Vec<_> = masters.map(|master| (master.id, Arc::clone(&master.config))).collect();
        let desired = configs.iter().flat_map(|(id, config)| config.held_addresses().map(|va| (*id, va)));
        let replaced = self.holdings.replace(desired, &self.links, out);
        for (link, address) in replaced.removed {
            let had = |config: &&Arc<model::Instance>| config.held_addresses().any(|va| va.cidr == address);
            let (Some(link), Some(config)) = (self.links.name_of(link), old.instances.iter().find(had)) else {
                continue;
            };
            let event = InstanceEvent::AddressDropped { address, link };
            out.push(Action::Report(Event::Instance(Arc::clone(&config.name), event)));
        }
        for holder in replaced.added {
            self.with(holder.0, now, out, |instance, ctx| {
                instance.report_addresses(true, ctx);
                instance.announce(instance.config.garp.master_repeat, ctx);
            });
        }
    }
}

/// keepalived: what makes two instances the same router across a reload is not the name.
fn is_same_router(a: &model::Instance, b: &model::Instance) -> bool {
    let scope = |destination: &Destination| match destination {
        Destination::Multicast(group) => Some(*group),
        Destination::Unicast(_) => None,
    };
    let unicast = scope(&a.destination).is_none();
    (a.vrid, a.family, a.interface) == (b.vrid, b.family, b.interface)
        && scope(&a.destination) == scope(&b.destination)
        && (!unicast || a.source == b.source)
}
