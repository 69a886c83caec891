//! keepalived-rs: VRRP failover from `keepalived.conf`.
//!
//! A module imports only from modules above it in this list (`tests/layers` holds it):
//!
//! | Floor | Modules | May use |
//! |---|---|---|
//! | 0 words | [`time`] [`addr`] [`histogram`] [`diag`] [`wire`] [`model`] | no clock, no system call, no tokio |
//! | 1 text to model | [`config`] | files come through a trait |
//! | 2 engines | [`track`] [`vrrp`] [`ipvs`] [`check`] [`supervise`] | `tracing::trace!`/`debug!` only |
//! | 3 views | [`notify`] [`dump`] | engine state to text or values |
//! | 4 hands | [`sys`] [`probe`] | the only floor with system calls, sockets and clocks |
//! | 5 processes | [`process`] [`cli`] | everything |

pub mod addr;
pub mod diag;
pub mod histogram;
pub mod model;
pub mod time;
pub mod wire;

pub mod config;

pub mod check;
pub mod ipvs;
pub mod supervise;
pub mod track;
pub mod vrrp;

pub mod dump;
pub mod notify;

pub mod probe;
pub mod sys;

pub mod cli;
pub mod process;
