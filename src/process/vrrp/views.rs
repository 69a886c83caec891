//! What the process shows of itself: log lines, status, dumps.

use std::time::{SystemTime, UNIX_EPOCH};

use tracing::{debug, error, info, warn};

use super::Process;
use crate::dump;
use crate::histogram::Histogram;
use crate::model::Config;
use crate::notify::report::{self, Level};
use crate::process::ipc::{InstanceStatus, Lateness, Summary, VrrpStatus};
use crate::process::paths::{Dump, dump_file};
use crate::sys::files::{self, Job};
use crate::sys::{clock, log};
use crate::vrrp::io::{Role, View};
use crate::vrrp::report::{Event, InstanceEvent};

/// Logs what the engine reports.
pub(super) fn log(event: &Event) {
    if report::is_detail(event) {
        // The sentence is made only where somebody wants it.
        if tracing::enabled!(tracing::Level::DEBUG) {
            debug!("{}", report::sentence(event));
        }
        return;
    }
    let report::Line { level, text, .. } = report::line(event);
    match level {
        Level::Error => error!("{text}"),
        Level::Warning => warn!("{text}"),
        Level::Info if is_role_change(event) => info!(target: log::ROLE, "{text}"),
        Level::Info => info!("{text}"),
    }
}

pub(super) fn is_role_change(event: &Event) -> bool {
    matches!(event, Event::Instance(_, InstanceEvent::Entered { .. }))
}

impl Process {
    pub(super) fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for view in self.node.views() {
            *match view.role {
                Role::Master => &mut summary.master,
                Role::Backup => &mut summary.backup,
                Role::Fault => &mut summary.fault,
                Role::Init => &mut summary.init,
            } += 1;
        }
        summary
    }

    pub(super) fn status(&self) -> VrrpStatus {
        let now = clock::now();
        let counters = self.sockets.counters();
        let (sent, lost) = self.notices.mails();
        let rows = [
            ("mails_sent", sent),
            ("mails_lost", lost),
            ("netlink_overruns", self.kernel.overruns()),
            ("truncated_packets", counters.truncated),
            ("receive_errors", counters.receive_errors),
        ];
        VrrpStatus {
            instances: self.node.views().map(|view| instance(&view, now)).collect(),
            lateness: lateness(&counters.lateness),
            counters: rows.map(|(name, count)| (name.to_owned(), count)).into(),
        }
    }

    pub(super) fn dump_data(&self) {
        info!("Printing VRRP data for process({}) on signal", std::process::id());
        self.write_dump(Dump::Data, self.data());
    }

    pub(super) fn dump_stats(&mut self, clear: bool) {
        let verb = if clear { "Printing and clearing" } else { "Printing" };
        info!("{verb} VRRP stats for process({}) on signal", std::process::id());
        self.write_dump(Dump::Stats, dump::statistics(self.node.views()));
        if clear {
            self.node.clear_statistics();
        }
    }

    /// Tools ask for it every few seconds, so nothing is logged.
    pub(super) fn dump_json(&self) {
        let Config { global, vrrp, .. } = &self.config;
        // keepalived: without an instance there is no file.
        if !vrrp.instances.is_empty() {
            self.write_dump(Dump::Json, dump::json(global.json_version, vrrp, self.node.views(), wall_clock()));
        }
    }

    pub(super) fn dump_to_log(&self) {
        self.data().lines().for_each(|line| info!("{line}"));
    }

    fn data(&self) -> String {
        let scripts = self.node.scripts();
        let scripts: Vec<_> = scripts.map(|(good, running)| dump::ScriptState { good, running }).collect();
        let links: Vec<_> = self.links.values().copied().collect();
        let sockets = self.sockets.open().map(|(spec, receive, send)| dump::Socket {
            key: spec.key,
            receive,
            send,
            receive_buffer: spec.receive_buffer,
        });
        let sockets: Vec<_> = sockets.collect();
        let machine = dump::Machine { links: &links, addresses: &self.addresses, sockets: &sockets };
        dump::data((&self.config.global, &self.config.vrrp), self.node.views(), &scripts, machine, wall_clock())
    }

    fn write_dump(&self, dump: Dump, text: String) {
        let path = dump_file(dump, &self.config.global, &self.names);
        let what = match dump {
            Dump::Data | Dump::CheckerData | Dump::ParentData => "dump file",
            // keepalived: these two have no words of their own.
            Dump::Stats | Dump::Json => "",
        };
        if !self
            .writer
            .as_ref()
            .is_some_and(|writer| writer.write(Job { path, bytes: Some(text.into_bytes()), mode: files::mode(), what }))
        {
            info!("too many files wait for the disk: a dump was dropped");
        }
    }
}

/// Both clocks now: what one says of a moment, the other can say as well.
fn wall_clock() -> impl Fn(crate::time::Instant) -> dump::WallTime {
    let (monotonic, wall) = (clock::now(), SystemTime::now());
    move |moment| wall_time(wall - monotonic.since(moment))
}

fn wall_time(time: SystemTime) -> dump::WallTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    dump::WallTime { secs: since.as_secs(), micros: since.subsec_micros(), date: log::date(time) }
}

fn instance(view: &View<'_>, now: crate::time::Instant) -> InstanceStatus {
    let s = &view.statistics;
    let rows = [
        ("advert_rcvd", s.advert_rcvd),
        ("advert_sent", s.advert_sent),
        ("become_master", s.become_master),
        ("release_master", s.release_master),
        ("pri_zero_rcvd", s.pri_zero_rcvd),
        ("pri_zero_sent", s.pri_zero_sent),
        ("addresses_restored", s.addresses_restored),
        ("packet_errors", s.packet_len_err + s.ip_ttl_err + s.invalid_type_rcvd + s.vers_err + s.chk_err),
        ("auth_errors", s.invalid_authtype + s.authtype_mismatch + s.auth_failure),
    ];
    InstanceStatus {
        name: view.config.name.to_string(),
        state: view.role.word().to_owned(),
        for_millis: now.since(view.last_transition).as_millis().try_into().unwrap_or(u64::MAX),
        interface: view.config.interface.map(|name| name.to_string()),
        vrid: view.config.vrid,
        priority: view.config.priority,
        effective_priority: view.effective_priority,
        master: view.master.map(|(address, _)| address.to_string()),
        faults: view.faults.clone(),
        counters: rows.map(|(name, count)| (name.to_owned(), count)).into(),
    }
}

fn lateness(histogram: &Histogram) -> Lateness {
    let micros = |percent| histogram.percentile(percent).as_micros().try_into().unwrap_or(u64::MAX);
    Lateness {
        count: histogram.count(),
        p50_micros: micros(50.0),
        p99_micros: micros(99.0),
        p999_micros: micros(99.9),
        max_micros: histogram.max().as_micros().try_into().unwrap_or(u64::MAX),
    }
}
