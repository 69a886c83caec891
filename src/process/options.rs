//! What the command line asks of the daemon. `cli::options` reads it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Where the configuration is read from when nothing says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/keepalived/keepalived.conf";

/// What the command line asks of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `-f`: file or glob.
    pub config_file: String,
    /// `-P -C -B --all`
    pub subsystems: Subsystems,
    /// `-l -D -S -g -G`
    pub log: LogOptions,
    /// `-u`
    pub umask: Option<u32>,
    /// `-X`
    pub release_vips: bool,
    /// `-V`: leave addresses at stop.
    pub keep_vrrp: bool,
    /// `-I`: leave IPVS tables at stop.
    pub keep_ipvs: bool,
    /// Not `-R`.
    pub respawn: bool,
    /// Not `-n`.
    pub fork: bool,
    /// `-d`
    pub dump_conf: bool,
    /// `-p`
    pub pid_file: Option<PathBuf>,
    /// `-r`
    pub vrrp_pid_file: Option<PathBuf>,
    /// `-c`
    pub checker_pid_file: Option<PathBuf>,
    /// `-b`
    pub bfd_pid_file: Option<PathBuf>,
    /// `-a`
    pub address_monitoring: bool,
    /// `-x`, `-A`
    pub snmp: bool,
    /// `-s`
    pub namespace: Option<String>,
    /// `-m`
    pub core_dump: bool,
    /// `-M`
    pub core_pattern: Option<OsString>,
    /// `-e`
    pub all_config: bool,
    /// `-i`
    pub config_id: Option<String>,
    /// `-t`: the inner value is the file for the findings.
    pub config_test: Option<Option<PathBuf>>,
    /// `--strict`: with `-t`, any warning fails.
    pub strict: bool,
    /// `--ignore-sigint`
    pub ignore_sigint: bool,
}

/// Which children may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsystems {
    /// Not `-C`.
    pub vrrp: bool,
    /// Not `-P`.
    pub checker: bool,
    /// Not `-B`.
    pub bfd: bool,
    /// `--all`: even those without configuration.
    pub all: bool,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// `-l`: to stderr as well, together with `-n`.
    pub console: bool,
    /// How often `-D` was given.
    pub detail: u8,
    /// Syslog facility number (RFC 5424 §6.2.1).
    pub facility: u8,
    /// Not `-G`.
    pub syslog: bool,
    /// `-g`
    pub file: Option<PathBuf>,
    /// `--flush-log-file`
    pub flush_file: bool,
}

/// daemon
pub const DEFAULT_FACILITY: u8 = 3;

impl Default for Options {
    fn default() -> Self {
        Self {
            config_file: DEFAULT_CONFIG.to_owned(),
            subsystems: Subsystems { vrrp: true, checker: true, bfd: true, all: false },
            log: LogOptions {
                console: false,
                detail: 0,
                facility: DEFAULT_FACILITY,
                syslog: true,
                file: None,
                flush_file: false,
            },
            umask: None,
            release_vips: false,
            keep_vrrp: false,
            keep_ipvs: false,
            respawn: true,
            fork: true,
            dump_conf: false,
            pid_file: None,
            vrrp_pid_file: None,
            checker_pid_file: None,
            bfd_pid_file: None,
            address_monitoring: false,
            snmp: false,
            namespace: None,
            core_dump: false,
            core_pattern: None,
            all_config: false,
            config_id: None,
            config_test: None,
            strict: false,
            ignore_sigint: false,
        }
    }
}

/// `$TMPDIR` where it is absolute, else `/tmp`.
pub fn temporary_directory() -> PathBuf {
    std::env::var_os("TMPDIR")
        .filter(|dir| dir.as_bytes().starts_with(b"/"))
        .map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}
