//! Elections over thousands of seeds: the real engines exchange real bytes over a virtual LAN in virtual time.
//!
//! `SIM_SEEDS=100000 cargo test --test sim swarm` runs more of them, `SIM_SEED=7 cargo test --test sim -- --nocapture
//! replay` runs one again and tells what the routers did.

#![allow(clippy::unwrap_used)]

mod draw;
mod keywords;
mod lan;
mod oracle;
mod reshaped;
mod rng;
mod router;
mod setup;
mod stories;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use keepalived_rs::notify::report;
use keepalived_rs::vrrp::io::Action;

/// Seeds that a plain `cargo test` runs.
const SEEDS: u64 = 10_000;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[test]
fn swarm() {
    let first = env("SIM_FIRST").unwrap_or(0);
    let seeds = first + env("SIM_SEEDS").unwrap_or(SEEDS);
    let (next, steps) = (AtomicU64::new(first), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    std::panic::set_hook(Box::new(|_| {})); // a failing seed is told below, once
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get()) {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Ordering::Relaxed)
                    && seed < seeds
                    && failures.lock().unwrap().len() < 10
                {
                    match catch_unwind(AssertUnwindSafe(|| draw::plan(seed).run())) {
                        Ok(run) => {
                            steps.fetch_add(run, Ordering::Relaxed);
                        }
                        Err(panic) => failures.lock().unwrap().push((seed, words(&*panic))),
                    }
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    let failures = failures.into_inner().unwrap();
    for (seed, why) in &failures {
        eprintln!("seed {seed}: {why}\n    SIM_SEED={seed} cargo test --test sim -- --nocapture replay");
    }
    assert!(failures.is_empty(), "{} seeds failed", failures.len());
    println!("{} seeds, {} steps", seeds - first, steps.into_inner());
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Runs the seed in SIM_SEED and tells what the routers did. Without one there is nothing to replay.
#[test]
fn replay() {
    let Some(seed) = env("SIM_SEED") else { return };
    let mut plan = draw::plan(seed);
    for router in &mut plan.lan.routers {
        println!("router {}: clock {:+} ppm, {:#?}", router.id, router.clock.ppm, router.config);
    }
    println!("quiet from {:?}", plan.quiet);
    plan.lan.narrate = true;
    plan.run();
}

/// One line for what a router does.
fn tell(action: &Action) -> Option<String> {
    match action {
        Action::Report(event) => Some(report::sentence(event)),
        Action::SendAdvert(advert) => {
            let at = if advert.packets.source.is_ipv4() { 22 } else { 2 };
            let priority = advert.packets.copies.first().and_then(|(_, bytes)| bytes.get(at));
            Some(format!("advert {:?} of {:?}", priority, advert.instance))
        }
        Action::AddAddress(holding) => Some(format!("add {} to {:?}", holding.address.cidr, holding.link)),
        Action::RemoveAddress(holding) => Some(format!("remove {} from {:?}", holding.address.cidr, holding.link)),
        Action::Notify(notification) => Some(format!("notify {:?} {}", notification.what, notification.priority)),
        Action::RunScript(..) | Action::SignalScript(..) | Action::Sockets(_) => Some(format!("{action:?}")),
        Action::Announce(_) => None,
    }
}
