//! What dumps and `keepalived-rs status` show of virtual servers, their servers and checkers.

use std::sync::Arc;

use crate::check::checker::{Checker, Run};
use crate::check::io::Reason;
use crate::check::node::Node;
use crate::check::real_server::RealServer;
use crate::check::virtual_server::VirtualServer;
use crate::model;
use crate::time::Instant;

/// A virtual server.
#[derive(Clone, Debug)]
pub struct VirtualServerView<'a> {
    /// Its configuration.
    pub config: &'a Arc<model::VirtualServer>,
    /// Enough of its servers are alive.
    pub quorum_up: bool,
    /// Weight of the servers that are alive.
    pub live_weight: u64,
    /// The sorry server serves instead of them.
    pub sorry_serves: bool,
    /// `ha_suspend`: its address is not on this machine.
    pub suspended: bool,
    /// Its servers, in configuration order.
    pub real_servers: Vec<RealServerView<'a>>,
}

/// A real server.
#[derive(Clone, Debug)]
pub struct RealServerView<'a> {
    /// Its configuration.
    pub config: &'a Arc<model::RealServer>,
    /// All its checkers succeed.
    pub alive: bool,
    /// Its weight with what its checkers add.
    pub weight: u32,
    /// Its checkers, in configuration order.
    pub checkers: Vec<CheckerView<'a>>,
}

/// A checker.
#[derive(Clone, Debug)]
pub struct CheckerView<'a> {
    /// Its configuration.
    pub config: &'a Arc<model::Checker>,
    /// Its server may serve as far as it is concerned.
    pub is_up: bool,
    /// Since when it is up, or down.
    pub since: Instant,
    /// It has come to a verdict at least once.
    pub has_run: bool,
    /// Failures in a row, while it is up: it goes down with the one after `retry`.
    pub failures_in_a_row: u32,
    /// When it probes next; none while it probes, while it is suspended, and where it does not go by the clock.
    pub next: Option<Instant>,
    /// Since when a probe runs.
    pub probing_since: Option<Instant>,
    /// Why the last probe did not succeed; none after a success.
    pub reason: Option<&'a Reason>,
    /// HTTP_GET, SSL_GET: the url that failed and must pass before the others are asked.
    pub failed_url: Option<usize>,
    /// Last exit status of a MISC_CHECK.
    pub last_status: Option<u8>,
    /// What it adds to the weight of its server.
    pub contribution: i64,
    /// Probes that came to an end.
    pub probes: u64,
    /// Those of them that failed.
    pub failures: u64,
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Virtual servers.
    pub virtual_servers: usize,
    /// Those of them with enough servers.
    pub quorum_up: usize,
    /// Those of them whose sorry server serves.
    pub sorry_serves: usize,
    /// Real servers.
    pub real_servers: usize,
    /// Those of them that are alive.
    pub alive: usize,
    /// Checkers.
    pub checkers: usize,
    /// Those of them that fail.
    pub failing: usize,
    /// Those of them that have not come to a verdict yet.
    pub not_run: usize,
    /// Probes that run.
    pub probing: usize,
}

impl Node {
    /// Each virtual server, in configuration order.
    pub fn views(&self) -> impl Iterator<Item = VirtualServerView<'_>> {
        self.virtual_servers.iter().map(view)
    }

    /// The numbers in the track files, in configuration order.
    pub fn track_files(&self) -> &[i32] {
        &self.files
    }

    /// How much there is of everything.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals { probing: self.probes.len(), ..Totals::default() };
        for vs in &self.virtual_servers {
            totals.virtual_servers += 1;
            totals.quorum_up += usize::from(vs.quorum_up);
            totals.sorry_serves += usize::from(vs.sorry_serves);
            for rs in &vs.real_servers {
                totals.real_servers += 1;
                totals.alive += usize::from(rs.alive);
                totals.checkers += rs.checkers.len();
                totals.failing += rs.checkers.iter().filter(|checker| !checker.is_up).count();
                totals.not_run += rs.checkers.iter().filter(|checker| !checker.has_run).count();
            }
        }
        totals
    }
}

fn view(vs: &VirtualServer) -> VirtualServerView<'_> {
    VirtualServerView {
        config: &vs.config,
        quorum_up: vs.quorum_up,
        live_weight: vs.live_weight(),
        sorry_serves: vs.sorry_serves,
        suspended: vs.suspended,
        real_servers: vs.real_servers.iter().map(server).collect(),
    }
}

fn server(rs: &RealServer) -> RealServerView<'_> {
    let checkers = rs.checkers.iter().map(checker).collect();
    RealServerView { config: &rs.config, alive: rs.alive, weight: rs.weight(), checkers }
}

fn checker(checker: &Checker) -> CheckerView<'_> {
    let (next, probing_since) = match checker.run {
        Run::Idle => (None, None),
        Run::Waiting(at) => (Some(at), None),
        Run::Probing { since, .. } => (None, Some(since)),
    };
    CheckerView {
        config: &checker.config,
        is_up: checker.is_up,
        since: checker.since(),
        has_run: checker.has_run,
        failures_in_a_row: if checker.is_up && checker.has_run { checker.failures_in_a_row() } else { 0 },
        next,
        probing_since,
        reason: checker.reason.as_deref(),
        failed_url: checker.failed_url(),
        last_status: checker.last_status,
        contribution: checker.contribution,
        probes: checker.probes,
        failures: checker.failures,
    }
}
