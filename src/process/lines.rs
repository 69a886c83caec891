//! Log lines that several processes write.

use tracing::{debug, error, info, warn};

use crate::ipvs::report::Event;
use crate::notify::ipvs;
use crate::notify::report::{Level, Line};

/// Writes a line.
pub(super) fn write(line: Line) {
    let Line { level, detail_only, text } = line;
    match level {
        _ if detail_only => debug!("{text}"),
        Level::Error => error!("{text}"),
        Level::Warning => warn!("{text}"),
        Level::Info => info!("{text}"),
    }
}

/// Writes what keeping the IPVS table finds.
pub(super) fn table(event: &Event) {
    write(ipvs::line(event));
}
