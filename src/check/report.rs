//! What the engine finds worth a log line, as data. `notify::report` makes keepalived's sentences of it.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::check::io::Reason;
use crate::model::Checker;
use crate::model::lvs::{GroupEntry, Protocol};

/// Something worth a log line. `vs` and `rs` are names as operators know them: `[192.0.2.1]:tcp:80`.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// `Gained quorum …`, `Lost quorum …`, `Starting with quorum down …`
    Quorum {
        /// Which virtual server.
        vs: Arc<str>,
        /// What happened.
        what: Quorum,
        /// `quorum`
        quorum: u32,
        /// `hysteresis`
        hysteresis: u32,
        /// Weight of the servers that are alive.
        weight: u64,
    },
    /// What happens to a real server or a sorry server.
    Server {
        /// Of which virtual server.
        vs: Arc<str>,
        /// Which.
        rs: Arc<str>,
        /// What.
        what: ServerEvent,
    },
    /// A checker's verdict.
    Checker {
        /// Of which virtual server.
        vs: Arc<str>,
        /// Of which real server.
        rs: Arc<str>,
        /// Which checker.
        checker: Arc<Checker>,
        /// Where it asks unless it says otherwise.
        asked_at: SocketAddr,
        /// What it found.
        what: CheckerEvent,
    },
    /// A reload removes a virtual server.
    ServiceRemoved {
        /// Which.
        vs: Arc<str>,
        /// Its group, where it has one.
        group: Option<Arc<str>>,
    },
    /// A reload changes a group.
    GroupEntry {
        /// Its name.
        group: Arc<str>,
        /// Which entry.
        entry: GroupEntry,
        /// Of its virtual server.
        protocol: Protocol,
        /// It comes, else it goes.
        added: bool,
    },
    /// BFD sessions are listened to from now on.
    BfdArmed,
    /// Live servers come back as a sorry server goes, or go as it comes.
    PoolSwapped {
        /// Of which virtual server.
        vs: Arc<str>,
        /// They come.
        alive_in: bool,
    },
}

/// Of a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// Enough.
    Gained,
    /// No longer enough.
    Lost,
    /// Enough at the start.
    StartsUp,
    /// Not enough at the start, and there is a sorry server.
    StartsDown,
}

/// Of a real server or a sorry server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// `Adding service …`, `Enabling service …` with inhibit_on_failure.
    Added {
        /// inhibit_on_failure
        inhibit: bool,
    },
    /// `Removing service …`, `Disabling service …` with inhibit_on_failure.
    Removed {
        /// inhibit_on_failure
        inhibit: bool,
    },
    /// `Adding sorry server …`, `Enabling …` with inhibit.
    SorryAdded {
        /// sorry_server_inhibit
        inhibit: bool,
    },
    /// `Removing sorry server …`, `Disabling …` with inhibit.
    SorryRemoved {
        /// sorry_server_inhibit
        inhibit: bool,
    },
    /// `Shutting down service …`
    ShutDown {
        /// It was down, with weight 0 in the table.
        inhibited: bool,
    },
    /// `Changing weight from … to … for … service …`
    Weight {
        /// Before.
        from: u32,
        /// From now on.
        to: u32,
        /// It is up.
        active: bool,
    },
    /// A reload has no such server any more.
    NoLongerExists,
    /// `Activating healthchecker …`, `Deactivating …` while ha_suspend holds.
    Armed {
        /// It runs.
        active: bool,
    },
    /// `Suspending healthchecker …`
    Suspended,
}

/// What a checker found.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckerEvent {
    /// It succeeded for the first time, or again.
    Up,
    /// The number in its file makes it fail from now on, or not any more.
    TrackedFile {
        /// Name of the `track_file`.
        file: Arc<str>,
        /// It fails.
        fault: bool,
    },
    /// It counts as failed now.
    Down {
        /// Why.
        reason: Reason,
        /// It was its very first probe.
        first: bool,
    },
    /// One failure that does not change anything, with `log_all_failures`.
    Failed {
        /// Why.
        reason: Reason,
        /// Which failure in a row, from 1; 0 where it is down already.
        failure: u32,
    },
    /// A url is as it should be, while others are still to be asked.
    UrlPassed(usize),
    /// This machine could not ask; said once for each new reason.
    Local(Reason),
}
