//! The configuration with every doubt gone: defaults filled in, names resolved to ids, nothing optional that need not be.
//!
//! `config::resolve` makes it, the engines read it, nothing changes it.

pub mod checker;
pub mod fifo;
pub mod global;
pub mod handover;
pub mod lvs;
pub mod mail;
pub mod notify;
mod raw;
pub mod track;
pub mod vrrp;

pub use checker::Checker;
pub use fifo::{Fifo, Fifos};
pub use global::Global;
pub use lvs::{Lvs, RealServer, VirtualServer};
pub use mail::Mail;
pub use notify::{Notify, ScriptCommand};
pub use track::{Script, ScriptId, TrackInterface, TrackScript, Weight};
pub use vrrp::{Instance, InstanceId, Vrrp};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Daemon-wide settings.
    pub global: Arc<Global>,
    /// What the VRRP child runs.
    pub vrrp: Arc<Vrrp>,
    /// What the checker child runs.
    pub lvs: Arc<Lvs>,
    /// Whether the file has virtual servers: the checker child has work.
    pub has_virtual_servers: bool,
    /// Whether the file has BFD sessions: the BFD child has work.
    pub has_bfd: bool,
}

impl Config {
    /// What all but the checker child need of it: they have no use for virtual servers, which may be very many.
    pub fn without_virtual_servers(mut self) -> Self {
        let lvs = &self.lvs;
        self.lvs = Arc::new(Lvs {
            sync_daemon: lvs.sync_daemon.clone(),
            net_namespace: lvs.net_namespace.clone(),
            marks: lvs.marks.clone(),
            ..Lvs::default()
        });
        self
    }
}
