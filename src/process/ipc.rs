//! What our processes say to each other, and what the control socket says. All of it is JSON.

use serde::{Deserialize, Serialize};

use crate::sys::spawn::Program;

/// From the parent to a child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToChild {
    /// Take the configuration that rides along as a memory file; answer with [`FromChild::Reloaded`].
    Reload,
    /// Take the configuration that is in force once more; answer with [`FromChild::Reloaded`].
    ReloadSame,
    /// Answer with [`FromChild::Status`].
    Status,
    /// Turn the loop once: the heartbeat is the answer.
    Beat,
}

/// From a child to the parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FromChild {
    /// The configuration is in force.
    Ready,
    /// The answer to [`ToChild::Reload`]: what changed, or why nothing did.
    Reloaded(Result<Vec<String>, String>),
    /// The VRRP child's answer to [`ToChild::Status`].
    Status(Box<VrrpStatus>),
    /// The checker child's answer to [`ToChild::Status`].
    CheckerStatus(Box<CheckerStatus>),
    /// How many instances are in which state, whenever that changes.
    Summary(Summary),
    /// SIGHUP came to the child instead of the parent.
    AsksForReload,
}

/// How many instances are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// MASTER
    pub master: usize,
    /// BACKUP
    pub backup: usize,
    /// FAULT
    pub fault: usize,
    /// Waiting for first results.
    pub init: usize,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows = [(self.master, "MASTER"), (self.backup, "BACKUP"), (self.fault, "FAULT"), (self.init, "INIT")];
        let mut separator = "";
        for (count, word) in rows.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {word}")?;
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("no instances") } else { Ok(()) }
    }
}

/// What the VRRP child says of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct VrrpStatus {
    /// In configuration order.
    pub instances: Vec<InstanceStatus>,
    /// How late adverts left, against when they were due.
    pub lateness: Lateness,
    /// Anything counted, by name: events lost by the kernel, addresses restored...
    pub counters: std::collections::BTreeMap<String, u64>,
}

/// What the checker child says of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CheckerStatus {
    /// In configuration order.
    pub virtual_servers: Vec<VirtualServerStatus>,
    /// Anything counted, by name: probes, requests to the kernel, repairs, mails...
    pub counters: std::collections::BTreeMap<String, u64>,
}

/// One virtual server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct VirtualServerStatus {
    /// As log lines name it.
    pub name: String,
    /// Enough of its servers are alive.
    pub quorum_up: bool,
    /// Its sorry server serves.
    pub sorry_serves: bool,
    /// `ha_suspend`: its address is not on this machine.
    pub suspended: bool,
    /// In configuration order.
    pub real_servers: Vec<RealServerStatus>,
}

/// One real server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RealServerStatus {
    /// As log lines name it.
    pub name: String,
    /// All its checkers succeed.
    pub alive: bool,
    /// In force.
    pub weight: u32,
    /// In configuration order.
    pub checkers: Vec<CheckerState>,
}

/// One checker of a real server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CheckerState {
    /// Its kind, as log lines name it.
    pub kind: String,
    /// The server may serve as far as it is concerned.
    pub is_up: bool,
    /// Since when, in milliseconds.
    pub for_millis: u64,
    /// It has come to a verdict at least once.
    pub has_run: bool,
    /// Failures in a row that have not taken it down yet, and how many would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<(u32, u64)>,
    /// Why it did not succeed the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Probes that came to an end, and those of them that failed.
    pub probes: (u64, u64),
}

/// One instance.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Its name.
    pub name: String,
    /// `MASTER`, `BACKUP`, `FAULT`, `INIT`
    pub state: String,
    /// Since when, in milliseconds.
    pub for_millis: u64,
    /// `interface`, where there is one.
    pub interface: Option<String>,
    /// `virtual_router_id`
    pub vrid: u8,
    /// As configured.
    pub priority: u8,
    /// In force.
    pub effective_priority: u8,
    /// The master last heard.
    pub master: Option<String>,
    /// Why it is in FAULT.
    pub faults: Vec<String>,
    /// Adverts sent and received, times it became and released MASTER.
    pub counters: std::collections::BTreeMap<String, u64>,
}

/// A histogram of durations.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lateness {
    /// How many.
    pub count: u64,
    /// Median, in microseconds.
    pub p50_micros: u64,
    /// 99 of 100 were no later.
    pub p99_micros: u64,
    /// 999 of 1,000 were no later.
    pub p999_micros: u64,
    /// The latest.
    pub max_micros: u64,
}

/// From the VRRP child to its spawner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToSpawner {
    /// Start this and say how it ended.
    Start(Job, Program),
    /// Send the signal to its process group.
    Signal(Job, i32),
    /// End: what runs has so many milliseconds, then its group is killed. Nothing new is started.
    Finish {
        /// For the scripts that run.
        limit_millis: u64,
    },
}

/// From the spawner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FromSpawner {
    /// A program has ended.
    Ended(Job, JobEnd),
}

/// Which start of which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Job {
    /// A tracking script: the engine's `RunId`.
    Track(u64),
    /// A notify script.
    Notify(u64),
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobEnd {
    /// Exit status.
    Exited(u8),
    /// Killed by this signal.
    Signalled(i32),
    /// It could not be started: errno.
    NotStarted(i32),
}

/// The version of the control socket's language.
pub const CONTROL_VERSION: u32 = 1;

/// A request on the control socket: one line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// [`CONTROL_VERSION`] of the asking program.
    pub version: u32,
    /// What is asked for.
    pub order: Order,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Reload, and answer when it is done.
    Reload,
    /// Tell how things are.
    Status,
}

/// The answer: one line.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Reply {
    /// [`CONTROL_VERSION`] of the daemon.
    pub version: u32,
    /// Whether what was asked for has happened.
    pub ok: bool,
    /// For people.
    pub lines: Vec<String>,
    /// The answer to [`Order::Status`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<DaemonStatus>,
}

/// The daemon as a whole.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Of the program.
    pub version: String,
    /// Of the parent.
    pub pid: u32,
    /// Since its start.
    pub uptime_millis: u64,
    /// The file or glob given with `-f`.
    pub config_file: String,
    /// Reloads that were done, and refused.
    pub reloads: (u64, u64),
    /// Why the last reload was refused, as long as no later one was done.
    pub last_refusal: Option<String>,
    /// Name, pid (none while it waits for its restart), times restarted.
    pub children: Vec<(String, Option<i32>, u64)>,
    /// What the VRRP child says; none where it does not run or did not answer.
    pub vrrp: Option<Box<VrrpStatus>>,
    /// What the checker child says; none where it does not run or did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checker: Option<Box<CheckerStatus>>,
}
