use std::collections::BTreeMap;

use super::*;
use crate::addr::Family;
use crate::ipvs::marking::{Maps, Marking};
use crate::ipvs::plan::{Op, apply};
use crate::ipvs::table::Entry;
use crate::model::lvs;
use crate::sys::ipvs::{Ipvs, IpvsEvents, SharedStandIn};
use crate::wire::ipvs::{Daemon, DaemonState, Dest, DestKey, Forward, Service, ServiceKey};

fn key(host: u8) -> ServiceKey {
    ServiceKey::Address { protocol: 6, address: [192, 0, 2, host].into(), port: 80 }
}

fn entry(scheduler: &str, weight: u32) -> Entry {
    let service = Service { scheduler: scheduler.into(), flags: 0, timeout_secs: 0, netmask: u32::MAX, engine: None };
    let dest = Dest { forwarding: Forward::DirectRoute, weight, upper_threshold: 0, lower_threshold: 0 };
    let dests = (1..=3).map(|host| (DestKey { address: [10, 0, 0, host].into(), port: 80 }, dest));
    Entry { service, dests: dests.collect() }
}

fn start() -> (SharedStandIn, Ipvs, IpvsEvents) {
    let kernel = SharedStandIn::default();
    let (ipvs, events) = Ipvs::start_with(kernel.clone()).unwrap();
    (kernel, ipvs, events)
}

/// The next event; the thread always has something to say when this is called.
fn next(events: &mut IpvsEvents) -> Option<Event> {
    loop {
        if let Some(event) = events.try_next() {
            return Some(event);
        }
        if events.is_closed() {
            return None;
        }
        poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
    }
}

/// What is told until everything ordered so far is done.
fn settle(ipvs: &Ipvs, events: &mut IpvsEvents) -> Vec<Report> {
    ipvs.sync(7);
    let mut reports = Vec::new();
    loop {
        match next(events).expect("the thread runs") {
            Event::Report(report) => reports.push(report),
            Event::Synced(7) => return reports,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_wanted_is_in_the_table_and_at_the_end_what_is_wanted_stays() {
    let (kernel, ipvs, mut events) = start();
    for host in 1..=100 {
        ipvs.want(key(host), Some(entry("rr", 1).into()));
    }
    assert_eq!(settle(&ipvs, &mut events), [Report::Available([1, 2, 1])]);
    assert_eq!(kernel.lock().table.len(), 100);
    for host in 2..=100 {
        ipvs.want(key(host), None);
    }
    ipvs.finish();
    assert_eq!(kernel.lock().table, BTreeMap::from([(key(1), entry("rr", 1))]));
    assert_eq!(next(&mut events), None);
}

#[test]
fn nobody_is_asked_as_long_as_nothing_is_wanted() {
    let (kernel, ipvs, mut events) = start();
    kernel.lock().absent = Some(libc::ENOENT);
    ipvs.want(key(1), None);
    ipvs.timeouts(lvs::Timeouts::default());
    ipvs.sync_daemon(None, None);
    assert_eq!(settle(&ipvs, &mut events), []);
    ipvs.finish();
    assert_eq!(next(&mut events), None);
}

#[test]
fn without_ip_vs_there_is_one_message_and_when_it_comes_everything_is_programmed() {
    let (kernel, ipvs, mut events) = start();
    kernel.lock().absent = Some(libc::ENOENT);
    ipvs.want(key(1), Some(entry("rr", 1).into()));
    let missing = Report::Unavailable("No such file or directory".to_owned());
    assert_eq!(settle(&ipvs, &mut events), [missing]);
    ipvs.want(key(2), Some(entry("rr", 1).into()));
    assert_eq!(settle(&ipvs, &mut events), []);
    kernel.lock().absent = None;
    assert_eq!(next(&mut events), Some(Event::Report(Report::Available([1, 2, 1]))));
    assert_eq!(settle(&ipvs, &mut events), []);
    assert_eq!(kernel.lock().table.len(), 2);
    ipvs.finish();
}

#[test]
fn what_the_kernel_has_is_told_before_anything_wanted_later_is_done() {
    let (kernel, ipvs, mut events) = start();
    let before = BTreeMap::from([(key(1), entry("wlc", 7)), (key(9), entry("rr", 0))]);
    kernel.lock().table = before.clone();
    ipvs.find();
    ipvs.want(key(1), Some(entry("rr", 1).into()));
    ipvs.sync(1);
    let mut told = std::iter::from_fn(|| next(&mut events)).take_while(|event| *event != Event::Synced(1));
    assert_eq!(told.find(|event| matches!(event, Event::Found(_))), Some(Event::Found(before)));
    assert!(told.any(|event| event == Event::Report(Report::TakenOver(key(1)))));
    ipvs.finish();
    let (kernel, ipvs, mut events) = start();
    kernel.lock().absent = Some(libc::ENOENT);
    ipvs.find();
    assert!(matches!(next(&mut events), Some(Event::Report(_) | Event::Found(_))));
    ipvs.sync(1);
    assert!(std::iter::from_fn(|| next(&mut events)).any(|event| event == Event::Synced(1)));
    ipvs.finish();
}

#[test]
fn a_flush_takes_what_is_not_ours_too_and_what_comes_after_it_comes() {
    let (kernel, ipvs, mut events) = start();
    kernel.lock().table.insert(key(9), entry("wlc", 1));
    ipvs.flush();
    ipvs.want(key(1), Some(entry("rr", 1).into()));
    settle(&ipvs, &mut events);
    assert_eq!(kernel.lock().table, BTreeMap::from([(key(1), entry("rr", 1))]));
    kernel.lock().table.insert(key(9), entry("wlc", 1));
    ipvs.flush();
    ipvs.finish();
    assert!(kernel.lock().table.is_empty());
}

#[test]
fn a_comparison_on_demand_repairs_the_table_and_the_daemons() {
    let (kernel, ipvs, mut events) = start();
    let daemon =
        Daemon { interface: "eth0".parse().unwrap(), id: 5, max_len: None, port: None, ttl: None, group: None };
    ipvs.want(key(1), Some(entry("rr", 1).into()));
    ipvs.sync_daemon(Some(daemon.clone()), None);
    settle(&ipvs, &mut events);
    {
        let mut kernel = kernel.lock();
        apply(&mut kernel.table, &Op::DelService(key(1)));
        kernel.daemons.clear();
    }
    ipvs.compare();
    let reports = settle(&ipvs, &mut events);
    assert!(matches!(&reports[..], [Report::DaemonStopped(DaemonState::Master), Report::Changed(_)]), "{reports:?}");
    assert_eq!(ipvs.counters().repaired, 1);
    assert_eq!(kernel.lock().table, BTreeMap::from([(key(1), entry("rr", 1))]));
    assert_eq!(kernel.lock().daemons, [(DaemonState::Master, daemon)]);
    ipvs.finish();
    assert!(kernel.lock().daemons.is_empty());
}

#[test]
fn timeouts_are_put_back_at_the_end() {
    let (kernel, ipvs, mut events) = start();
    let before = kernel.lock().timeouts;
    ipvs.timeouts(lvs::Timeouts { udp_secs: Some(5), ..lvs::Timeouts::default() });
    settle(&ipvs, &mut events);
    assert_eq!(kernel.lock().timeouts.udp_secs, 5);
    ipvs.finish();
    assert_eq!(kernel.lock().timeouts, before);
}

#[test]
fn a_module_that_was_replaced_is_found_out_and_gets_everything_again() {
    let (kernel, ipvs, mut events) = start();
    ipvs.want(key(1), Some(entry("rr", 1).into()));
    settle(&ipvs, &mut events);
    *kernel.lock() = crate::ipvs::stand_in::StandIn { absent: Some(libc::ENOENT), ..Default::default() };
    ipvs.compare();
    let gone = settle(&ipvs, &mut events);
    assert!(matches!(&gone[..], [] | [Report::Unavailable(_)]), "{gone:?}");
    ipvs.want(key(2), Some(entry("rr", 1).into()));
    kernel.lock().absent = None;
    while kernel.lock().table.len() < 2 {
        ipvs.compare();
        settle(&ipvs, &mut events);
    }
    ipvs.finish();
}

#[test]
fn what_cannot_be_removed_at_the_end_is_tried_again_and_then_said() {
    let (kernel, ipvs, mut events) = start();
    ipvs.want(key(1), Some(entry("rr", 1).into()));
    settle(&ipvs, &mut events);
    kernel.lock().refuses = Some(libc::EPERM);
    ipvs.want(key(1), None);
    ipvs.finish();
    let mut told = Vec::new();
    while let Some(Event::Report(report)) = next(&mut events) {
        told.push(report);
    }
    let request = Request::Table(Op::DelService(key(1)));
    assert_eq!(told, [Report::Failed { request, errno: libc::EPERM, more: 0 }, Report::Left(1)]);
}

fn marked(marks: &[(u8, u32)]) -> Option<Arc<Marking>> {
    let mut maps = Maps::default();
    for (host, mark) in marks {
        let address = [192, 0, 2, *host].into();
        maps.add(6, (address, address), 80, *mark);
    }
    Some(Arc::new(Marking { table: "t".into(), priority: -1, counters: false, maps: maps.finish() }))
}

const fn mark(mark: u32) -> ServiceKey {
    ServiceKey::Mark { family: Family::V4, mark }
}

#[test]
fn a_mark_has_its_service_from_the_start_to_the_end() {
    let (kernel, ipvs, mut events) = start();
    let wanted = || Some(entry("rr", 1).into());
    ipvs.want(mark(1000), wanted());
    ipvs.mark(marked(&[(1, 1000), (2, 1000)]));
    settle(&ipvs, &mut events);
    // An address goes to another group, whose service comes; then the first group goes.
    ipvs.want(mark(1001), wanted());
    ipvs.mark(marked(&[(1, 1000), (2, 1001)]));
    ipvs.mark(marked(&[(2, 1001)]));
    ipvs.want(mark(1000), None);
    settle(&ipvs, &mut events);
    assert_eq!(kernel.lock().table.keys().collect::<Vec<_>>(), [&mark(1001)]);
    ipvs.mark(None);
    ipvs.want(mark(1001), None);
    ipvs.finish();
    let kernel = kernel.lock();
    assert!(kernel.nft.is_empty() && kernel.table.is_empty());
    assert_eq!(kernel.blind_marks, 0);
}

#[test]
fn marks_that_cannot_be_made_hold_nothing_up_and_are_tried_again_at_the_end() {
    let (kernel, ipvs, mut events) = start();
    kernel.lock().refuses_marks = Some(libc::EPERM);
    ipvs.want(mark(1000), Some(entry("rr", 1).into()));
    ipvs.mark(marked(&[(1, 1000)]));
    ipvs.want(key(1), Some(entry("rr", 1).into()));
    let why = Errno::from_raw(libc::EPERM).desc().to_owned();
    assert_eq!(settle(&ipvs, &mut events), [Report::Available([1, 2, 1]), Report::Unmarked(why)]);
    assert_eq!(kernel.lock().table.len(), 2);
    kernel.lock().refuses_marks = None;
    ipvs.finish();
    assert_eq!(kernel.lock().nft.len(), 1);
}

#[test]
fn a_comparison_on_demand_repairs_marks() {
    let (kernel, ipvs, mut events) = start();
    ipvs.want(mark(1000), Some(entry("rr", 1).into()));
    ipvs.mark(marked(&[(1, 1000)]));
    settle(&ipvs, &mut events);
    kernel.lock().nft.clear();
    ipvs.compare();
    assert_eq!(settle(&ipvs, &mut events), [Report::MarkingChanged("t".into())]);
    assert_eq!(kernel.lock().nft.len(), 1);
    ipvs.finish();
}

#[test]
fn without_ip_vs_marks_are_made_nevertheless() {
    let (kernel, ipvs, mut events) = start();
    kernel.lock().absent = Some(libc::ENOENT);
    ipvs.want(mark(1000), Some(entry("rr", 1).into()));
    ipvs.mark(marked(&[(1, 1000)]));
    settle(&ipvs, &mut events);
    assert_eq!(kernel.lock().nft.len(), 1);
    ipvs.mark(None);
    ipvs.finish();
    assert!(kernel.lock().nft.is_empty());
}
