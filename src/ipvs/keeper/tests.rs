use proptest::prelude::*;

use super::*;
use crate::addr::Family;
use crate::ipvs::plan::apply;
use crate::ipvs::plan::tests::{any_entry, any_service_key, serves};
use crate::ipvs::stand_in::StandIn;
use crate::wire::ipvs::{Dest, DestKey, Forward, Service};

const NOW: Instant = Instant::from_nanos(1_000_000_000_000);

fn key(host: u8) -> ServiceKey {
    ServiceKey::Address { protocol: 6, address: [192, 0, 2, host].into(), port: 80 }
}

fn server(host: u8) -> DestKey {
    DestKey { address: [10, 0, 0, host].into(), port: 80 }
}

fn direct(weight: u32) -> Dest {
    Dest { forwarding: Forward::DirectRoute, weight, upper_threshold: 0, lower_threshold: 0 }
}

/// A service with servers: host and weight.
fn entry(scheduler: &str, servers: &[(u8, u32)]) -> Entry {
    let service = Service { scheduler: scheduler.into(), flags: 0, timeout_secs: 0, netmask: u32::MAX, engine: None };
    Entry { service, dests: servers.iter().map(|(host, weight)| (server(*host), direct(*weight))).collect() }
}

/// How the kernel treats the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Obliging,
    Fails(i32),
    /// It does what is asked and does not say so.
    Mute,
    /// It neither does nor says anything.
    Deaf,
}

/// A keeper with a kernel.
#[derive(Default)]
struct Pair {
    keeper: Keeper,
    kernel: StandIn,
    moods: Vec<Mood>,
    events: Vec<Event>,
    now: Option<Instant>,
}

impl Pair {
    fn now(&self) -> Instant {
        self.now.unwrap_or(NOW)
    }

    fn ask(&mut self, op: &Op) -> Answer {
        match self.moods.pop().unwrap_or(Mood::Obliging) {
            Mood::Obliging => Some(self.kernel.carry_out(&Request::Table(op.clone()))),
            Mood::Fails(errno) => Some(errno),
            Mood::Mute => {
                self.kernel.carry_out(&Request::Table(op.clone()));
                None
            }
            Mood::Deaf => None,
        }
    }

    /// One step; whether there was anything to do.
    fn step(&mut self) -> bool {
        match self.keeper.next(self.now(), 4) {
            Next::Nothing => return false,
            Next::Look(key) => {
                let found = self.kernel.table.get(&key).cloned();
                self.keeper.found(&key, found, &mut self.events);
            }
            Next::Send(batch) => {
                let answers: Vec<_> = batch.ops().to_vec().iter().map(|op| self.ask(op)).collect();
                self.keeper.answered(batch, &answers, self.now(), &mut self.events);
            }
        }
        true
    }

    fn run(&mut self) {
        // Each step brings something nearer to its end: a plan, a look, at most a few surprises.
        for _ in 0..10_000 {
            if !self.step() {
                return;
            }
        }
        panic!("it never comes to rest: {:?}", self.keeper);
    }

    fn requests(&mut self) -> u64 {
        std::mem::take(&mut self.kernel.requests)
    }
}

#[test]
fn what_is_wanted_comes_and_what_is_wanted_again_costs_nothing() {
    let mut pair = Pair::default();
    pair.keeper.want(key(1), Some(entry("rr", &[(1, 1), (2, 1)]).into()));
    pair.run();
    assert_eq!(pair.kernel.table[&key(1)], entry("rr", &[(1, 1), (2, 1)]));
    assert_eq!((pair.requests(), pair.events.len()), (3, 0));
    pair.keeper.want(key(1), Some(entry("rr", &[(1, 1), (2, 1)]).into()));
    pair.run();
    assert_eq!(pair.requests(), 0);
    assert!(pair.keeper.is_settled());
}

#[test]
fn many_changes_that_wait_become_one() {
    let mut pair = Pair::default();
    for weight in 1..100 {
        pair.keeper.want(key(1), Some(entry("rr", &[(1, weight)]).into()));
        pair.keeper.want(key(2), Some(entry("rr", &[(1, weight)]).into()));
        pair.keeper.want(key(2), None);
    }
    pair.run();
    assert_eq!(pair.kernel.table, [(key(1), entry("rr", &[(1, 99)]))].into());
    assert_eq!(pair.requests(), 2);
}

#[test]
fn one_server_of_a_large_table_is_one_request() {
    let mut pair = Pair::default();
    let servers: Vec<_> = (0..=255).map(|host| (host, 1)).collect();
    for host in 1..=100 {
        pair.keeper.want(key(host), Some(entry("rr", &servers[1..]).into()));
    }
    pair.run();
    assert_eq!(pair.requests(), 100 + 100 * 255);
    pair.keeper.want(key(50), Some(entry("rr", &servers[2..]).into()));
    pair.run();
    assert_eq!(pair.requests(), 1);
}

#[test]
fn what_was_there_before_us_is_taken_over_and_corrected() {
    let mut pair = Pair::default();
    pair.kernel.table.insert(key(1), entry("wlc", &[(1, 7), (9, 1)]));
    pair.kernel.table.insert(key(2), entry("wlc", &[(3, 1)]));
    pair.kernel.table.insert(key(3), entry("rr", &[(1, 1)]));
    let keys: Vec<_> = pair.kernel.table.keys().copied().collect();
    pair.keeper.present(keys);
    for host in [1, 3] {
        pair.keeper.want(key(host), Some(entry("rr", &[(1, 1)]).into()));
    }
    pair.run();
    assert_eq!(pair.kernel.table[&key(1)], entry("rr", &[(1, 1)]));
    assert_eq!(pair.kernel.table[&key(2)], entry("wlc", &[(3, 1)]), "a stranger's is touched");
    assert_eq!(pair.events, [Event::TakenOver(key(1)), Event::TakenOver(key(3))]);
    // Scheduler, weight, and the server that does not belong there; nothing for the one that was right.
    assert_eq!(pair.requests(), 3);
}

#[test]
fn a_service_that_appears_just_before_ours_is_taken_over_too() {
    let mut pair = Pair::default();
    pair.kernel.table.insert(key(1), entry("wlc", &[(1, 7)]));
    pair.keeper.want(key(1), Some(entry("rr", &[(1, 1), (2, 1)]).into()));
    pair.run();
    assert_eq!(pair.kernel.table[&key(1)], entry("rr", &[(1, 1), (2, 1)]));
    assert_eq!(pair.events, [Event::TakenOver(key(1))]);
}

#[test]
fn what_fails_is_said_once_tried_again_later_each_time_and_said_when_it_works() {
    let mut pair = Pair::default();
    pair.keeper.want(key(1), Some(entry("none-such", &[(1, 1), (2, 1)]).into()));
    let mut at = NOW;
    for secs in [1, 2, 4, 8, 16, 32, 60, 60] {
        pair.run();
        assert_eq!(pair.keeper.deadline(), Some(at + Duration::from_secs(secs)));
        at += Duration::from_secs(secs);
        pair.now = Some(at);
    }
    let service = entry("none-such", &[]).service;
    let request = Request::Table(Op::NewService(key(1), service));
    assert_eq!(pair.events, [Event::Failed { request, errno: libc::ENOENT, more: 2 }]);
    pair.events.clear();
    // Something else is wanted, which need not wait.
    pair.keeper.want(key(1), Some(entry("rr", &[(1, 1)]).into()));
    pair.run();
    assert_eq!(pair.events, [Event::Recovered(key(1))]);
    assert!(pair.keeper.is_settled());
}

#[test]
fn one_server_that_is_refused_does_not_hold_back_the_others() {
    let mut pair = Pair::default();
    let mut wanted = entry("rr", &[(1, 1), (2, 1)]);
    wanted.dests.insert(DestKey { address: [0, 0, 0, 0].into(), port: 80 }, direct(1));
    pair.keeper.want(key(1), Some(wanted.into()));
    pair.run();
    assert_eq!(pair.kernel.table[&key(1)], entry("rr", &[(1, 1), (2, 1)]));
    assert!(matches!(&pair.events[..], [Event::Failed { errno: libc::EINVAL, more: 0, .. }]), "{:?}", pair.events);
    pair.requests();
    pair.now = Some(NOW + Duration::from_secs(1));
    pair.run();
    assert_eq!(pair.requests(), 1, "what is there is not asked for again");
}

#[test]
fn what_somebody_else_changes_is_found_and_repaired() {
    let mut pair = Pair::default();
    let wanted = entry("rr", &[(1, 1), (2, 1), (3, 1)]);
    for host in 1..=3 {
        pair.keeper.want(key(host), Some(wanted.clone().into()));
    }
    pair.run();
    let table = &mut pair.kernel.table;
    apply(table, &Op::DelDest(key(1), server(1)));
    apply(table, &Op::SetDest(key(1), server(2), direct(9)));
    apply(table, &Op::NewDest(key(1), server(8), direct(1)));
    apply(table, &Op::SetService(key(1), entry("wlc", &[]).service));
    apply(table, &Op::DelService(key(2)));
    pair.keeper.compare();
    pair.run();
    assert!(!pair.keeper.is_comparing());
    let whole = Drift { service: key(2), removed: true, edited: false, missing: 0, changed: 0, strange: 0 };
    let parts = Drift { service: key(1), removed: false, edited: true, missing: 1, changed: 1, strange: 1 };
    assert_eq!(pair.events, [Event::Changed(parts), Event::Changed(whole)]);
    assert!((1..=3).all(|host| pair.kernel.table[&key(host)] == wanted));
    assert_eq!(pair.keeper.counters().repaired, 2);
}

#[test]
fn a_change_meets_what_somebody_else_has_done_and_both_come_right() {
    let mut pair = Pair::default();
    pair.keeper.want(key(1), Some(entry("rr", &[(1, 1), (2, 1)]).into()));
    pair.run();
    // A new weight for a server that is gone, and for one of a service that is gone.
    apply(&mut pair.kernel.table, &Op::DelDest(key(1), server(2)));
    pair.keeper.want(key(1), Some(entry("rr", &[(1, 1), (2, 5)]).into()));
    pair.run();
    assert_eq!(pair.kernel.table[&key(1)], entry("rr", &[(1, 1), (2, 5)]));
    apply(&mut pair.kernel.table, &Op::DelService(key(1)));
    pair.keeper.want(key(1), Some(entry("rr", &[(1, 1), (2, 6)]).into()));
    pair.run();
    assert_eq!(pair.kernel.table[&key(1)], entry("rr", &[(1, 1), (2, 6)]));
    // Gone already is as good as removed.
    apply(&mut pair.kernel.table, &Op::DelDest(key(1), server(2)));
    pair.keeper.want(key(1), Some(entry("rr", &[(1, 1)]).into()));
    pair.run();
    apply(&mut pair.kernel.table, &Op::DelService(key(1)));
    pair.keeper.want(key(1), None);
    pair.run();
    assert!(pair.kernel.table.is_empty() && pair.keeper.is_settled());
    assert_eq!(pair.keeper.counters().failures, 0);
}

#[test]
fn a_request_without_an_answer_is_looked_up_and_is_nobody_elses_change() {
    for mood in [Mood::Mute, Mood::Deaf] {
        let mut pair = Pair { moods: vec![mood], ..Pair::default() };
        pair.keeper.want(key(1), Some(entry("rr", &[(1, 1)]).into()));
        pair.run();
        assert_eq!(pair.kernel.table[&key(1)], entry("rr", &[(1, 1)]));
        let request = Request::Table(Op::NewService(key(1), entry("rr", &[]).service));
        assert_eq!(pair.events, [Event::Unanswered(request)], "{mood:?}");
    }
}

#[test]
fn a_kernel_that_contradicts_itself_is_asked_less_and_less() {
    let mut pair = Pair::default();
    pair.keeper.want(key(1), Some(entry("rr", &[]).into()));
    pair.moods = vec![Mood::Fails(libc::EEXIST); 1000];
    pair.run();
    assert!(pair.moods.len() > 990, "{} times", 1000 - pair.moods.len());
    assert!(pair.keeper.deadline().is_some());
}

#[test]
fn a_flush_is_followed_by_what_is_wanted_after_it() {
    let mut pair = Pair::default();
    pair.kernel.table.insert(key(9), entry("rr", &[(1, 1)]));
    pair.keeper.want(key(1), Some(entry("rr", &[(1, 1)]).into()));
    pair.keeper.want(key(2), Some(entry("rr", &[(1, 1)]).into()));
    pair.run();
    pair.keeper.want_nothing();
    pair.keeper.want(key(2), Some(entry("wlc", &[(2, 1)]).into()));
    pair.kernel.carry_out(&Request::Flush);
    pair.keeper.flushed();
    pair.run();
    assert_eq!(pair.kernel.table, [(key(2), entry("wlc", &[(2, 1)]))].into());
    pair.keeper.want_nothing();
    pair.run();
    assert!(pair.kernel.table.is_empty(), "without a flush, one by one");
}

/// What can happen in a run.
#[derive(Clone, Debug)]
enum Happening {
    Want(ServiceKey, Option<Entry>),
    /// Somebody else does something to the table.
    Meddle(Op),
    Mood(Mood),
    Step,
    Compare,
    Doubt,
    Wait(u64),
    Hurry,
}

fn any_meddling() -> impl Strategy<Value = Op> {
    (any_service_key(), any_entry(), 0..5).prop_map(|(key, entry, what)| match (entry.dests.first(), what) {
        (_, 0) => Op::DelService(key),
        (_, 1) => Op::NewService(key, entry.service),
        (Some((dest, settings)), 2) => Op::NewDest(key, *dest, *settings),
        (Some((dest, settings)), 3) => Op::SetDest(key, *dest, *settings),
        (Some((dest, _)), _) => Op::DelDest(key, *dest),
        (None, _) => Op::SetService(key, entry.service),
    })
}

/// Only through a tunnel is a server of another family reached.
fn any_wanting() -> impl Strategy<Value = (ServiceKey, Option<Entry>)> {
    (any_service_key(), proptest::option::weighted(0.7, any_entry())).prop_map(|(key, mut entry)| {
        for (dest, settings) in entry.iter_mut().flat_map(|entry| &mut entry.dests) {
            if Family::of(dest.address) != key.family() {
                settings.forwarding = Forward::Ipip;
            }
        }
        (key, entry)
    })
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let mood = prop_oneof![
        Just(Mood::Mute),
        Just(Mood::Deaf),
        Just(Mood::Obliging),
        Just(Mood::Fails(libc::ENOMEM)),
        Just(Mood::Fails(libc::EEXIST)),
        Just(Mood::Fails(libc::ESRCH)),
    ];
    prop_oneof![
        5 => any_wanting().prop_map(|(key, entry)| Happening::Want(key, entry)),
        1 => any_meddling().prop_map(Happening::Meddle),
        1 => mood.prop_map(Happening::Mood),
        8 => Just(Happening::Step),
        1 => Just(Happening::Compare),
        1 => Just(Happening::Doubt),
        1 => (0_u64..90).prop_map(Happening::Wait),
        1 => Just(Happening::Hurry),
    ]
}

proptest! {
    /// Whatever happens: once the kernel does what it is asked, everything becomes as it is wanted, and what nobody
    /// wants and nobody wanted is as its owner left it.
    #[test]
    fn in_the_end_everything_is_as_it_is_wanted(happenings in proptest::collection::vec(any_happening(), 0..80)) {
        let mut pair = Pair::default();
        let mut wanted: BTreeMap<ServiceKey, Option<Entry>> = BTreeMap::new();
        let mut strangers: BTreeMap<ServiceKey, Entry> = BTreeMap::new();
        for happening in happenings {
            match happening {
                Happening::Want(key, entry) => {
                    strangers.remove(&key);
                    wanted.insert(key, entry.clone());
                    pair.keeper.want(key, entry.map(Arc::new));
                }
                Happening::Meddle(op) => {
                    apply(&mut pair.kernel.table, &op);
                    let key = *op.service();
                    if !wanted.contains_key(&key) {
                        match pair.kernel.table.get(&key) {
                            Some(entry) => _ = strangers.insert(key, entry.clone()),
                            None => _ = strangers.remove(&key),
                        }
                    }
                }
                Happening::Mood(mood) => pair.moods.push(mood),
                Happening::Step => _ = pair.step(),
                Happening::Compare => pair.keeper.compare(),
                Happening::Doubt => pair.keeper.doubt(),
                Happening::Wait(secs) => pair.now = Some(pair.now() + Duration::from_secs(secs)),
                Happening::Hurry => pair.keeper.hurry(),
            }
        }
        pair.moods.clear();
        // Twice: a look may find what was changed behind a request that was being made.
        for _ in 0..2 {
            pair.keeper.hurry();
            pair.run();
            pair.keeper.compare();
            pair.run();
        }
        prop_assert!(pair.keeper.is_settled());
        for (key, entry) in &wanted {
            // What was made by somebody else after we had let go of it is not ours.
            if entry.is_some() {
                prop_assert_eq!(pair.kernel.table.get(key), entry.as_ref());
            }
        }
        for (key, entry) in &strangers {
            prop_assert_eq!(pair.kernel.table.get(key), Some(entry));
        }
        prop_assert_eq!(pair.keeper.left(), 0);
    }

    /// As long as nobody else meddles, no request in between empties a service that had and will have servers, even
    /// when plans are cut short by failures and begun anew.
    #[test]
    fn no_request_empties_a_live_service(
        entries in proptest::collection::vec(any_entry(), 2..12),
        failing in proptest::collection::vec(any::<bool>(), 0..40),
    ) {
        let mut pair = Pair::default();
        let key = ServiceKey::Mark { family: Family::V4, mark: 1 };
        let mut last: Option<Entry> = None;
        for entry in entries {
            let entry = Entry {
                // Tunnels between families are another matter.
                dests: entry.dests.into_iter().filter(|(dest, _)| dest.address.is_ipv4()).collect(),
                ..entry
            };
            let lasting = last.as_ref().is_some_and(serves) && serves(&entry);
            pair.keeper.want(key, Some(entry.clone().into()));
            let mut failing = failing.iter();
            while let Next::Send(batch) = pair.keeper.next(pair.now(), 100) {
                let mut answers = Vec::new();
                for op in batch.ops() {
                    // Only what takes out or silences may fail: what does not go in can serve nobody.
                    let fails = matches!(op, Op::DelDest(..)) && *failing.next().unwrap_or(&false);
                    answers.push(Some(if fails { libc::ENOMEM } else {
                        pair.kernel.carry_out(&Request::Table(op.clone()))
                    }));
                    prop_assert!(!lasting || pair.kernel.table.get(&key).is_some_and(serves));
                }
                pair.keeper.answered(batch, &answers, pair.now(), &mut pair.events);
                pair.keeper.hurry();
            }
            prop_assert_eq!(pair.kernel.table.get(&key), Some(&entry));
            last = Some(entry);
        }
    }
}
