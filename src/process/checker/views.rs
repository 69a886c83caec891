//! What the process shows of itself: log lines, status, dumps.

use tracing::info;

use super::Process;
use crate::check::names;
use crate::check::report::Event;
use crate::check::view::{CheckerView, VirtualServerView};
use crate::dump;
use crate::model::VirtualServer;
use crate::notify::checks;
use crate::process::ipc::{CheckerState, CheckerStatus, RealServerStatus, VirtualServerStatus};
use crate::process::lines;
use crate::process::paths::{Dump, Names, dump_file};
use crate::sys::clock;
use crate::sys::files::{self, Job};
use crate::time::Instant;

/// Logs what the engine reports.
pub(super) fn log(event: &Event) {
    lines::write(checks::line(event));
}

impl Process {
    pub(super) fn dump_data(&self) {
        info!("Printing checker data for process({}) on signal", std::process::id());
        let path = dump_file(Dump::CheckerData, &self.config.global, &Names::of(&self.options, &self.config.global));
        let bytes = Some(self.data().into_bytes());
        if !self.writer.write(Job { path, bytes, mode: files::mode(), what: "dump file" }) {
            info!("too many files wait for the disk: a dump was dropped");
        }
    }

    pub(super) fn dump_to_log(&self) {
        self.data().lines().for_each(|line| info!("{line}"));
    }

    fn data(&self) -> String {
        let views: Vec<_> = self.node.views().collect();
        dump::checkers((&self.config.global, &self.config.lvs), &views, self.node.track_files())
    }

    pub(super) fn status(&self) -> CheckerStatus {
        let now = clock::now();
        let (sent, lost) = self.notices.mails();
        let (table, totals) = (self.ipvs.counters(), self.node.totals());
        let rows = [
            ("virtual_servers", totals.virtual_servers as u64),
            ("quorum_up", totals.quorum_up as u64),
            ("real_servers", totals.real_servers as u64),
            ("alive", totals.alive as u64),
            ("checkers", totals.checkers as u64),
            ("failing", totals.failing as u64),
            ("probing", totals.probing as u64),
            ("ipvs_requests", table.requests),
            ("ipvs_failures", table.failures),
            ("ipvs_unanswered", table.unanswered),
            ("ipvs_compared", table.compared),
            ("ipvs_repaired", table.repaired),
            ("mails_sent", sent),
            ("mails_lost", lost),
        ];
        CheckerStatus {
            virtual_servers: self.node.views().map(|view| virtual_server(&view, now)).collect(),
            counters: rows.map(|(name, count)| (name.to_owned(), count)).into(),
        }
    }
}

fn virtual_server(view: &VirtualServerView<'_>, now: Instant) -> VirtualServerStatus {
    let server = |server: &crate::check::view::RealServerView<'_>| RealServerStatus {
        name: names::real_server(view.config, server.config).to_string(),
        alive: server.alive,
        weight: server.weight,
        checkers: server.checkers.iter().map(|view| checker(view, now)).collect(),
    };
    let config: &VirtualServer = view.config;
    VirtualServerStatus {
        name: names::virtual_server(config).to_string(),
        quorum_up: view.quorum_up,
        sorry_serves: view.sorry_serves,
        suspended: view.suspended,
        real_servers: view.real_servers.iter().map(server).collect(),
    }
}

fn checker(view: &CheckerView<'_>, now: Instant) -> CheckerState {
    let needed = u64::from(view.config.schedule.retry) + 1;
    CheckerState {
        kind: checks::kind(&view.config.probe).to_owned(),
        is_up: view.is_up,
        for_millis: u64::try_from(now.since(view.since).as_millis()).unwrap_or(u64::MAX),
        has_run: view.has_run,
        failing: (view.failures_in_a_row > 0).then_some((view.failures_in_a_row, needed)),
        reason: view.reason.map(|reason| reason.detail.to_string()),
        probes: (view.probes, view.failures),
    }
}
