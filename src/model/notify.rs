//! Who is told of a transition: scripts and mail.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A command that was found runnable for its user when the configuration was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptCommand {
    /// What is executed: absolute, symlinks resolved unless `use_symlink_paths`.
    #[serde(with = "crate::model::raw")]
    pub path: PathBuf,
    /// The words the program sees, the first being the path as configured. Bytes, because escapes can make any.
    pub argv: Vec<Vec<u8>>,
    /// User to run as.
    pub uid: u32,
    /// Group to run as.
    pub gid: u32,
    /// Whether the user's supplementary groups are set (`:` before the group, `set_supplementary_groups`).
    pub supplementary_groups: bool,
    /// Whether a path element could be changed by somebody other than root.
    pub insecure: bool,
}

/// The `notify*` settings of an instance or a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// `notify_backup`
    pub backup: Option<Box<ScriptCommand>>,
    /// `notify_master`
    pub master: Option<Box<ScriptCommand>>,
    /// `notify_fault`
    pub fault: Option<Box<ScriptCommand>>,
    /// `notify_stop`
    pub stop: Option<Box<ScriptCommand>>,
    /// `notify_deleted` with a script.
    pub deleted: Option<Box<ScriptCommand>>,
    /// `notify_deleted` given at all: DELETED is reported instead of FAULT when a reload removes the instance.
    pub reports_deleted: bool,
    /// `notify`: run after the specific one, with four more words.
    pub generic: Option<Box<ScriptCommand>>,
    /// `notify_master_rx_lower_pri`
    pub master_rx_lower_pri: Option<Box<ScriptCommand>>,
    /// `smtp_alert`
    pub smtp_alert: bool,
    /// `notify_priority_changes`: FIFO lines for priority changes.
    pub priority_changes: bool,
}
