//! `lvs_sync_daemon` with an instance: connections of IPVS are told to other directors while the instance is MASTER, and
//! heard from them otherwise.

use std::io;

use tracing::warn;

use super::{Process, token};
use crate::model::lvs;
use crate::process::lines;
use crate::sys::ipvs::{Event, Ipvs, IpvsEvents};
use crate::vrrp::io::Role;
use crate::wire::ipvs::Daemon;

/// The kernel's sync daemons, kept as the instance's state wants them by a thread of their own.
#[derive(Debug)]
pub(super) struct SyncDaemon {
    settings: lvs::SyncDaemon,
    ipvs: Ipvs,
    events: IpvsEvents,
    /// As last wanted: the instance is MASTER.
    is_master: Option<bool>,
}

impl SyncDaemon {
    fn start(settings: &lvs::SyncDaemon, namespace: Option<String>) -> io::Result<Self> {
        let (ipvs, events) = Ipvs::start(namespace)?;
        Ok(Self { settings: settings.clone(), ipvs, events, is_master: None })
    }

    fn follow(&mut self, is_master: bool) {
        if self.is_master.replace(is_master) != Some(is_master) {
            let daemon = Some(Daemon::from(&self.settings));
            let (master, backup) = if is_master { (daemon, None) } else { (None, daemon) };
            self.ipvs.sync_daemon(master, backup);
        }
    }

    /// Stops what runs, and waits for it.
    fn finish(mut self) {
        self.ipvs.finish();
        hear(&mut self.events);
    }
}

fn hear(events: &mut IpvsEvents) {
    while let Some(event) = events.try_next() {
        if let Event::Report(event) = event {
            lines::table(&event);
        }
    }
}

impl Process {
    /// Brings the daemons to the configuration in force; unchanged ones run on.
    pub(super) fn apply_sync_daemon(&mut self) {
        let lvs = &self.config.lvs;
        let wanted = lvs.sync_daemon.as_ref().filter(|daemon| daemon.instance.is_some());
        if self.sync_daemon.as_ref().map(|daemon| &daemon.settings) == wanted {
            return;
        }
        if let Some(daemon) = self.sync_daemon.take() {
            // The kernel may take its time: not in the loop.
            let _ = std::thread::Builder::new().name("sync-stop".into()).spawn(move || daemon.finish());
        }
        let Some(wanted) = wanted else { return };
        let started = SyncDaemon::start(wanted, lvs.net_namespace.clone()).and_then(|daemon| {
            self.poller.watch_reading(&daemon.events, token::TABLE)?;
            Ok(daemon)
        });
        match started {
            Ok(daemon) => self.sync_daemon = Some(daemon),
            Err(error) => warn!("cannot look after lvs_sync_daemon: {error}"),
        }
        self.follow_role();
    }

    /// The instance may have another state than before.
    pub(super) fn follow_role(&mut self) {
        let Some(daemon) = &mut self.sync_daemon else { return };
        let Some(instance) = daemon.settings.instance else { return };
        let role = self.node.views().nth(instance.0).map(|view| view.role);
        daemon.follow(role == Some(Role::Master));
    }

    pub(super) fn hear_table(&mut self) {
        if let Some(daemon) = &mut self.sync_daemon {
            hear(&mut daemon.events);
        }
    }

    pub(super) fn finish_sync_daemon(&mut self) {
        if let Some(daemon) = self.sync_daemon.take() {
            daemon.finish();
        }
    }
}
