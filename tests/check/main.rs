//! The checking engine as operators see it: what the table holds, what is logged and told, after failures, recoveries
//! and reloads. `stories` and `reloads` are told one by one, `model` draws thousands at random,
//! `whole` does so down to the kernel's table.

#![allow(clippy::unwrap_used)]

mod kit;
mod model;
mod reloads;
#[path = "../sim/rng.rs"]
mod rng;
mod stories;
mod tables;
mod whole;
