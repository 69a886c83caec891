//! Sentences for what keeping the IPVS table finds.

use super::report::{Level, Line};
use crate::ipvs::report::Event;

/// The log line of an event.
pub fn line(event: &Event) -> Line {
    Line { level: Level::Info, detail_only: false, text: format!("{event:?}") }
}
