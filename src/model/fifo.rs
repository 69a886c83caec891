//! FIFOs that are told of every change.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::ScriptCommand;

/// The FIFOs of the daemon. No two of them have the same path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fifos {
    /// `notify_fifo`: changes of virtual routers and of virtual servers.
    pub all: Option<Fifo>,
    /// `vrrp_notify_fifo`: changes of virtual routers.
    pub vrrp: Option<Fifo>,
    /// `lvs_notify_fifo`: changes of virtual servers. Where it is the one for virtual routers as well, only that one has
    /// a script.
    pub lvs: Option<Fifo>,
    /// `fifo_write_vrrp_states_on_reload`
    pub states_on_reload: bool,
}

/// One FIFO.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fifo {
    /// Where it is.
    #[serde(with = "crate::model::raw")]
    pub path: PathBuf,
    /// User and group it belongs to: those of its line, else the daemon's own.
    pub owner: (u32, u32),
    /// `*_fifo_script`: started to read it. Its last argument, the path of the FIFO, is among `argv` already.
    pub script: Option<ScriptCommand>,
}
