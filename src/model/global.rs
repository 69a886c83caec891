//! Daemon-wide settings: `global_defs` and the root options of that group. What only gives instances their defaults
//! (garp, strict mode, version…) is already in the instances.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Fifos, Mail, ScriptCommand};

/// `umask` of created files where nothing sets one.
pub const DEFAULT_UMASK: u32 = 0o177;

/// Daemon-wide settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Global {
    /// `net_namespace`
    pub net_namespace: Option<String>,
    /// `instance`: part of pid file names and the syslog ident.
    pub instance: Option<String>,
    /// `use_pid_dir` (also set by `instance` and `net_namespace`).
    pub use_pid_dir: bool,
    /// `child_wait_time`: how long the parent waits for children at shutdown.
    pub child_wait: Duration,
    /// `process_name`, `vrrp_process_name`, `checker_process_name`, `bfd_process_name` (or `process_names`).
    pub process_names: ProcessNames,
    /// `router_id`, else the local host name.
    pub router_id: Arc<str>,
    /// `umask`, where the file sets one.
    pub umask: Option<u32>,
    /// `startup_script` with its time limit.
    pub startup_script: Option<(ScriptCommand, Duration)>,
    /// `shutdown_script` with its time limit.
    pub shutdown_script: Option<(ScriptCommand, Duration)>,
    /// `reload_check_config`: any finding refuses a reload; findings are written to this file.
    #[serde(with = "crate::model::raw")]
    pub reload_check_config: Option<PathBuf>,
    /// `dynamic_interfaces`
    pub dynamic_interfaces: bool,
    /// `data_use_instance`
    pub data_use_instance: bool,
    /// `state_dump_file`, `stats_dump_file`, `json_dump_file`.
    pub dump_files: DumpFiles,
    /// `json_version`: 1 or 2.
    pub json_version: u8,
    /// `reload_time_file`, `reload_repeat`
    pub reload_time: Option<ReloadTime>,
    /// `reload_file`: the inner value is its name where one is given.
    #[serde(with = "crate::model::raw")]
    pub reload_file: Option<Option<PathBuf>>,
    /// `max_auto_priority`: -1 silences the start-up notice, 0 is off.
    pub max_auto_priority: Option<i32>,
    /// Scheduling of the VRRP child.
    pub vrrp_scheduling: Scheduling,
    /// Scheduling of the checker child.
    pub checker_scheduling: Scheduling,
    /// `vrrp_netlink_*_rcv_bufs`
    pub vrrp_netlink: NetlinkBuffers,
    /// `lvs_netlink_*_rcv_bufs`
    pub checker_netlink: NetlinkBuffers,
    /// Mail.
    pub mail: Mail,
    /// FIFOs that are told of changes.
    pub fifos: Fifos,
    /// Whether script security is on (`enable_script_security`).
    pub script_security: bool,
    /// Every other setting that was given, as keyword and words, for the data dump.
    pub other: Vec<(String, Vec<String>)>,
}

/// Names of the processes as `ps` shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessNames {
    /// The parent.
    pub parent: Option<String>,
    /// The VRRP child.
    pub vrrp: Option<String>,
    /// The checker child.
    pub checker: Option<String>,
    /// The BFD child.
    pub bfd: Option<String>,
}

/// A file that says when to reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadTime {
    /// Where.
    #[serde(with = "crate::model::raw")]
    pub file: PathBuf,
    /// `reload_repeat`: a time without a date comes again every day.
    pub repeats: bool,
}

/// Where dumps are written, where the file says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpFiles {
    /// SIGUSR1.
    #[serde(with = "crate::model::raw")]
    pub state: Option<PathBuf>,
    /// SIGUSR2.
    #[serde(with = "crate::model::raw")]
    pub stats: Option<PathBuf>,
    /// SIGJSON.
    #[serde(with = "crate::model::raw")]
    pub json: Option<PathBuf>,
}

/// `*_priority`, `*_rt_priority`, `*_rlimit_rttime`, `*_no_swap`, `*_cpu_affinity` of one child.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduling {
    /// Nice value, -20 to 19.
    pub nice: Option<i8>,
    /// SCHED_RR priority, 1 to 99.
    pub realtime: Option<u8>,
    /// RLIMIT_RTTIME in microseconds, used with `realtime`.
    pub rlimit_rttime_micros: Option<u32>,
    /// Lock memory.
    pub no_swap: bool,
    /// CPUs it may use; empty is all.
    pub cpus: Vec<u32>,
}

/// Receive buffers of the routing sockets of one child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetlinkBuffers {
    /// For answers to requests: `*_netlink_cmd_rcv_bufs`.
    pub commands: BufferSize,
    /// For what the kernel tells by itself: `*_netlink_monitor_rcv_bufs`.
    pub monitor: BufferSize,
}

/// How much may wait on a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BufferSize {
    /// 0 is as much as without the setting.
    pub bytes: u32,
    /// `*_force`: also beyond the system's limit.
    pub force: bool,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            net_namespace: None,
            instance: None,
            use_pid_dir: false,
            child_wait: Duration::from_secs(5),
            process_names: ProcessNames::default(),
            router_id: "".into(),
            umask: None,
            startup_script: None,
            shutdown_script: None,
            reload_check_config: None,
            dynamic_interfaces: false,
            data_use_instance: false,
            dump_files: DumpFiles::default(),
            json_version: 1,
            reload_time: None,
            reload_file: None,
            max_auto_priority: None,
            vrrp_scheduling: Scheduling::default(),
            checker_scheduling: Scheduling::default(),
            vrrp_netlink: NetlinkBuffers::default(),
            checker_netlink: NetlinkBuffers::default(),
            mail: Mail::default(),
            fifos: Fifos::default(),
            script_security: false,
            other: Vec::new(),
        }
    }
}
