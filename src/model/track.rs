//! Trackers: what can add to or take from a priority, or hold an instance in FAULT.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::addr::IfName;
use crate::model::ScriptCommand;

/// Index into [`crate::model::Vrrp::scripts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ScriptId(pub usize);

/// What a tracker's state is worth (`vrrp.md` §4.1): `value` 0 means FAULT while bad, positive is added while good,
/// negative is added while bad; `reverse` swaps good and bad for 0, and the sign otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// -253 to 253.
    pub value: i16,
    /// The sense is inverted.
    pub reverse: bool,
}

/// A `vrrp_script` that somebody tracks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// Its name.
    pub name: Arc<str>,
    /// What is run. A name that starts `</` only tests that the file can be opened; then `path` is that file and
    /// `opens_only` is set.
    pub command: ScriptCommand,
    /// Only test that `command.path` can be opened for reading.
    pub opens_only: bool,
    /// From one start to the next.
    pub interval: Duration,
    /// Run time after which it is killed and counts as failed.
    pub timeout: Duration,
    /// Consecutive successes needed to become good; at least 1.
    pub rise: u32,
    /// Consecutive failures needed to become bad; at least 1.
    pub fall: u32,
    /// Starts as failed, FAULT until `rise` successes.
    pub init_fail: bool,
    /// The weight given in the `vrrp_script` block (for dumps; what counts is in [`TrackScript`]).
    pub weight: Weight,
}

/// One line of `track_script`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackScript {
    /// Which script.
    pub script: ScriptId,
    /// What its result is worth here.
    pub weight: Weight,
}

/// One line of `track_interface`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackInterface {
    /// Which interface.
    pub interface: IfName,
    /// What its being up is worth here.
    pub weight: Weight,
}
