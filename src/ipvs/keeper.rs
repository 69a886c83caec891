//! Keeps services as they should be: what is wanted, what the kernel has of it as far as we know, and what comes next.
//!
//! Nothing here waits or asks anybody. [`Keeper::next`] gives requests, or a service to be looked up, and is told what
//! came of it. What fails is tried again, later each time; an answer that shows another table than we know leads to a
//! look at the service and a new plan. Services that nobody of us wants are never touched.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use super::plan::{Op, apply_shared, plan_service};
use super::report::{Counters, Drift, Event, Request};
use super::table::Entry;
use crate::time::{Duration, Instant};
use crate::wire::ipvs::ServiceKey;

/// After the first failure; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// And no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So many answers in a row that show another table than we know are followed by a look at once.
const SURPRISES: u32 = 3;

/// The kernel's answer to a request: errno, 0 for success; none where it did not come in time.
pub type Answer = Option<i32>;

/// What is wanted of services, and how far it is.
#[derive(Debug, Default)]
pub struct Keeper {
    slots: BTreeMap<ServiceKey, Slot>,
    /// In the order in which it was wanted.
    due: VecDeque<ServiceKey>,
    /// What failed and waits for another try.
    later: BTreeSet<(Instant, ServiceKey)>,
    /// Services in the kernel that were there before us and that nobody of us has asked for yet.
    present: BTreeSet<ServiceKey>,
    /// Where the comparison with the kernel goes on.
    comparing: Option<Bound<ServiceKey>>,
    counters: Counters,
}

/// One service of ours. What is owned and what is desired are mostly one and the same.
#[derive(Debug, Default)]
struct Slot {
    desired: Option<Arc<Entry>>,
    /// What the kernel has, as far as we know.
    owned: Option<Arc<Entry>>,
    stage: Stage,
    /// `owned` is to be looked up before anything is planned from it.
    look: bool,
    /// A request had no answer: differences are not somebody else's.
    unsure: bool,
    /// Tries in a row that failed.
    failures: u32,
    /// Tries in a row that showed another table than we know.
    surprises: u32,
    /// The last failure that was reported.
    said: Option<i32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing is to be done.
    #[default]
    Settled,
    /// In [`Keeper::due`].
    Due,
    /// In [`Keeper::later`].
    Later(Instant),
    /// The kernel is asked.
    Asked,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// Ask the kernel for this service with its destinations, and say it to [`Keeper::found`].
    Look(ServiceKey),
    /// Send these, and say the answers to [`Keeper::answered`].
    Send(Batch),
    /// Nothing now.
    Nothing,
}

/// Requests for a few services, in order.
#[derive(Debug, Default)]
pub struct Batch {
    ops: Vec<Op>,
    parts: Vec<Part>,
}

/// The requests of a batch for one service.
#[derive(Debug)]
struct Part {
    key: ServiceKey,
    /// They end before this one.
    end: usize,
    /// The service, if all of them succeed.
    target: Option<Arc<Entry>>,
}

/// What an answer means.
enum Verdict {
    Done,
    /// The table is not as we know it.
    Surprise,
    Unanswered,
    Failed(i32),
}

impl Batch {
    /// The requests.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }
}

impl Keeper {
    /// From now on the kernel is to have this of a service; none removes it.
    pub fn want(&mut self, key: ServiceKey, desired: Option<Arc<Entry>>) {
        if !self.slots.contains_key(&key) {
            if desired.is_none() {
                return;
            }
            let look = self.present.remove(&key);
            self.slots.insert(key, Slot { look, ..Slot::default() });
        }
        let Some(slot) = self.slots.get_mut(&key) else { return };
        if slot.desired == desired {
            return;
        }
        slot.desired = desired;
        self.make_due(key);
    }

    /// Nothing is wanted any more, because everything in the kernel's table is removed. [`Self::flushed`] says that it
    /// is; until then services go one by one.
    pub fn want_nothing(&mut self) {
        let keys: Vec<_> = self.slots.keys().copied().collect();
        for key in keys {
            self.want(key, None);
        }
    }

    /// The kernel's table has been emptied.
    pub fn flushed(&mut self) {
        self.present.clear();
        for slot in self.slots.values_mut() {
            slot.owned = None;
            slot.look = false;
        }
    }

    /// What the kernel has before we do anything: what of it is wanted will be taken over.
    pub fn present(&mut self, keys: impl IntoIterator<Item = ServiceKey>) {
        for key in keys {
            match self.slots.get_mut(&key) {
                Some(slot) => slot.look = true,
                None => _ = self.present.insert(key),
            }
        }
    }

    /// The kernel's table may be another one: everything is looked up again.
    pub fn doubt(&mut self) {
        let keys: Vec<_> = self.slots.keys().copied().collect();
        for key in keys {
            if let Some(slot) = self.slots.get_mut(&key) {
                slot.look = true;
            }
            self.make_due(key);
        }
    }

    /// Begins to compare every service of ours with the kernel's, whenever nothing else is to be done.
    pub fn compare(&mut self) {
        self.comparing = Some(Bound::Unbounded);
    }

    /// Whether a comparison is under way.
    pub const fn is_comparing(&self) -> bool {
        self.comparing.is_some()
    }

    /// When something that failed is to be tried again.
    pub fn deadline(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }

    /// Whether [`Self::next`] has something.
    pub fn has_work(&self, now: Instant) -> bool {
        !self.due.is_empty() || self.comparing.is_some() || self.deadline().is_some_and(|at| at <= now)
    }

    /// Nothing waits: neither to be asked for the first time nor again.
    pub fn is_settled(&self) -> bool {
        self.due.is_empty() && self.later.is_empty()
    }

    /// What failed is tried again now.
    pub fn hurry(&mut self) {
        for (_, key) in std::mem::take(&mut self.later) {
            self.requeue(key);
        }
    }

    /// Services that are still in the kernel and should not be.
    pub fn left(&self) -> usize {
        self.slots.values().filter(|slot| slot.owned.is_some() && slot.desired.is_none()).count()
    }

    /// How often what happened.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// What the kernel has of our services, as far as we know.
    pub fn owned(&self) -> impl Iterator<Item = (&ServiceKey, &Entry)> {
        self.slots.iter().filter_map(|(key, slot)| Some((key, slot.owned.as_deref()?)))
    }

    /// What comes next: at least one whole service, and about `limit` requests.
    pub fn next(&mut self, now: Instant, limit: usize) -> Next {
        while let Some((_, key)) = self.later.first().filter(|(at, _)| *at <= now).copied() {
            self.later.pop_first();
            self.requeue(key);
        }
        let mut batch = Batch::default();
        while batch.ops.len() < limit
            && let Some(key) = self.due.front().copied()
        {
            let Some(slot) = self.slots.get_mut(&key) else {
                self.due.pop_front();
                continue;
            };
            if slot.look && !batch.parts.is_empty() {
                break;
            }
            self.due.pop_front();
            slot.stage = Stage::Asked;
            if slot.look {
                return Next::Look(key);
            }
            plan_service(&key, slot.owned.as_deref(), slot.desired.as_deref(), &mut batch.ops);
            if batch.parts.last().map_or(0, |part| part.end) == batch.ops.len() {
                self.settle(key);
            } else {
                batch.parts.push(Part { key, end: batch.ops.len(), target: slot.desired.clone() });
            }
        }
        if !batch.parts.is_empty() {
            return Next::Send(batch);
        }
        self.next_to_compare().map_or(Next::Nothing, Next::Look)
    }

    /// The next service that is as it should be, as far as we know.
    fn next_to_compare(&mut self) -> Option<ServiceKey> {
        let from = self.comparing.take()?;
        let mut rest = self.slots.range((from, Bound::Unbounded));
        let (key, _) = rest.find(|(_, slot)| slot.stage == Stage::Settled)?;
        let key = *key;
        self.comparing = Some(Bound::Excluded(key));
        Some(key)
    }

    /// What the kernel has of a service, after [`Next::Look`].
    pub fn found(&mut self, key: &ServiceKey, entry: Option<Entry>, events: &mut Vec<Event>) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        self.counters.compared += 1;
        let unsure = std::mem::take(&mut slot.unsure);
        slot.look = false;
        match (slot.owned.as_deref(), &entry) {
            (None, Some(_)) if !unsure => events.push(Event::TakenOver(*key)),
            (Some(owned), found) if !unsure && Some(owned) != found.as_ref() => {
                self.counters.repaired += 1;
                events.push(Event::Changed(drift(*key, owned, found.as_ref())));
            }
            _ => {}
        }
        if slot.owned.as_deref() != entry.as_ref() {
            slot.owned = entry.map(Arc::new);
        }
        match slot.stage {
            Stage::Asked | Stage::Settled if slot.owned == slot.desired => self.settle(*key),
            // Before what waits: it has waited already.
            Stage::Asked | Stage::Settled => {
                slot.stage = Stage::Due;
                self.due.push_front(*key);
            }
            Stage::Due | Stage::Later(_) => {}
        }
    }

    /// The kernel could not be asked for a service, after [`Next::Look`].
    pub fn not_found_out(&mut self, key: &ServiceKey, now: Instant) {
        // The next comparison is early enough.
        self.comparing = None;
        let Some(slot) = self.slots.get_mut(key) else { return };
        if slot.stage == Stage::Asked {
            slot.failures = slot.failures.saturating_add(1);
            self.postpone(*key, now);
        }
    }

    /// The answers to a batch, one for each request.
    pub fn answered(&mut self, batch: Batch, answers: &[Answer], now: Instant, events: &mut Vec<Event>) {
        let mut rest = batch.ops.iter().zip(answers);
        let mut start = 0;
        for part in batch.parts {
            let mut verdicts: Vec<_> = rest.by_ref().take(part.end - start).collect();
            start = part.end;
            self.answered_for(part, &mut verdicts, now, events);
        }
    }

    fn answered_for(&mut self, part: Part, answers: &mut [(&Op, &Answer)], now: Instant, events: &mut Vec<Event>) {
        let Some(slot) = self.slots.get_mut(&part.key) else { return };
        let (mut failure, mut failures, mut surprises, mut unanswered) = (None, 0, 0, None);
        if answers.iter().all(|(_, answer)| **answer == Some(0)) {
            self.counters.requests += answers.len() as u64;
            slot.owned = part.target;
        } else {
            for (op, answer) in answers {
                match judge(op, **answer) {
                    Verdict::Done => {
                        self.counters.requests += 1;
                        apply_shared(&mut slot.owned, op);
                    }
                    Verdict::Surprise => surprises += 1,
                    Verdict::Unanswered => {
                        self.counters.unanswered += 1;
                        unanswered.get_or_insert(*op);
                    }
                    Verdict::Failed(errno) => {
                        failures += 1;
                        failure.get_or_insert((*op, errno));
                    }
                }
            }
        }
        self.counters.failures += failures as u64;
        slot.look |= surprises > 0 || unanswered.is_some();
        slot.unsure |= unanswered.is_some();
        events.extend(unanswered.map(|op| Event::Unanswered(Request::Table(op.clone()))));
        if let Some((op, errno)) = failure {
            slot.failures = slot.failures.saturating_add(1);
            if slot.said.replace(errno) != Some(errno) {
                let request = Request::Table(op.clone());
                events.push(Event::Failed { request, errno, more: failures + surprises - 1 });
            }
            self.postpone(part.key, now);
        } else if slot.look {
            slot.surprises = slot.surprises.saturating_add(1);
            if slot.surprises <= SURPRISES { self.requeue(part.key) } else { self.postpone(part.key, now) }
        } else {
            (slot.failures, slot.surprises) = (0, 0);
            events.extend(slot.said.take().map(|_| Event::Recovered(part.key)));
            if slot.owned == slot.desired { self.settle(part.key) } else { self.requeue(part.key) }
        }
    }

    fn postpone(&mut self, key: ServiceKey, now: Instant) {
        if let Some(slot) = self.slots.get_mut(&key) {
            let at = now + pause(slot.failures.max(slot.surprises));
            slot.stage = Stage::Later(at);
            self.later.insert((at, key));
        }
    }

    fn requeue(&mut self, key: ServiceKey) {
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.stage = Stage::Due;
            self.due.push_back(key);
        }
    }

    fn make_due(&mut self, key: ServiceKey) {
        match self.slots.get(&key).map(|slot| slot.stage) {
            Some(Stage::Settled) => self.requeue(key),
            Some(Stage::Later(at)) => {
                self.later.remove(&(at, key));
                self.requeue(key);
            }
            // It will be seen when its turn, or the answer, comes.
            Some(Stage::Due | Stage::Asked) | None => {}
        }
    }

    /// A service is as it should be.
    fn settle(&mut self, key: ServiceKey) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        if slot.desired.is_none() && slot.owned.is_none() {
            self.slots.remove(&key);
        } else {
            slot.stage = Stage::Settled;
            // One in memory instead of two.
            slot.owned.clone_from(&slot.desired);
        }
    }
}

/// What an answer means. Gone already, or there already, is as good as done; the other way round we know too little.
fn judge(op: &Op, answer: Answer) -> Verdict {
    match (op, answer) {
        (_, Some(0)) => Verdict::Done,
        (_, None) => Verdict::Unanswered,
        (Op::DelService(_), Some(libc::ESRCH | libc::ENOENT)) | (Op::DelDest(..), Some(libc::ENOENT)) => Verdict::Done,
        (Op::NewService(..) | Op::NewDest(..), Some(libc::EEXIST)) => Verdict::Surprise,
        (Op::SetDest(..), Some(libc::ENOENT)) => Verdict::Surprise,
        (_, Some(libc::ESRCH)) => Verdict::Surprise,
        (_, Some(errno)) => Verdict::Failed(errno),
    }
}

/// How long to wait after so many failures in a row.
pub fn pause(failures: u32) -> Duration {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
}

fn drift(service: ServiceKey, owned: &Entry, found: Option<&Entry>) -> Drift {
    let mut drift = Drift { service, removed: false, edited: false, missing: 0, changed: 0, strange: 0 };
    let Some(found) = found else { return Drift { removed: true, ..drift } };
    drift.edited = owned.service != found.service;
    for (dest, settings) in &owned.dests {
        match found.dests.get(dest) {
            None => drift.missing += 1,
            Some(other) if other != settings => drift.changed += 1,
            Some(_) => {}
        }
    }
    drift.strange = found.dests.keys().filter(|dest| !owned.dests.contains_key(dest)).count();
    drift
}

#[cfg(test)]
mod tests;
