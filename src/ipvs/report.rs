//! What keeping the table finds worth a log line, as data. `notify::ipvs` makes sentences of it.

use std::sync::Arc;

use super::plan::Op;
use crate::wire::ipvs::{Daemon, DaemonState, ServiceKey, Timeouts};

/// What is asked of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A change of the table.
    Table(Op),
    /// Everything goes, whosever it is.
    Flush,
    /// `lvs_timeouts`
    SetTimeouts(Timeouts),
    /// `lvs_sync_daemon`
    StartDaemon(DaemonState, Daemon),
    /// Of a state, with its id.
    StopDaemon(DaemonState, u8),
}

/// Something worth a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The kernel's IPVS is there: version.
    Available([u8; 3]),
    /// It is not, or no longer: why. Said again only when the reason changes; it is tried again and again.
    Unavailable(String),
    /// A request failed: errno, and how many others of the same service did. Said again only when the reason changes;
    /// it is tried again and again.
    Failed {
        /// The first that did.
        request: Request,
        /// Why.
        errno: i32,
        /// How many more.
        more: usize,
    },
    /// The kernel did not answer in time. What came of it is looked up.
    Unanswered(Request),
    /// What failed for a service before has worked now.
    Recovered(ServiceKey),
    /// A service that was in the table before us is ours from now on, and made to be as it should.
    TakenOver(ServiceKey),
    /// Somebody else changed a service of ours; it is repaired.
    Changed(Drift),
    /// A sync daemon of ours was stopped by somebody else; it is started again.
    DaemonStopped(DaemonState),
    /// The timeouts or the sync daemons could not be read: why.
    Unread(String),
    /// The end, and so many services could not be removed.
    Left(usize),
    /// nf_tables does not mark packets as it should: why. Said again only when the reason changes; it is tried again
    /// and again.
    Unmarked(String),
    /// It does again.
    Marked,
    /// Somebody else changed our tables of nf_tables, which are called so; they are made anew.
    MarkingChanged(Arc<str>),
}

/// How the kernel's service differs from what we made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Which.
    pub service: ServiceKey,
    /// It was removed.
    pub removed: bool,
    /// Its scheduler, persistence or flags are others.
    pub edited: bool,
    /// Servers that were taken out.
    pub missing: usize,
    /// Servers with another weight, method or thresholds.
    pub changed: usize,
    /// Servers that we did not put there.
    pub strange: usize,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that the kernel has carried out.
    pub requests: u64,
    /// Requests that failed.
    pub failures: u64,
    /// Requests without an answer.
    pub unanswered: u64,
    /// Services compared with the kernel's.
    pub compared: u64,
    /// Services that somebody else had changed.
    pub repaired: u64,
}
