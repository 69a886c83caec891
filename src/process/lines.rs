//! Log lines that several processes write.

use tracing::{debug, error, info, warn};

use crate::ipvs::report::Event;
use crate::notify::ipvs;
use crate::notify::report::{Level, Line};
use crate::process::options::Options;
use crate::sys::daemon;

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

/// The last line of a child.
pub(super) fn stopped(options: &Options) {
    let [user, system, ..] = daemon::cpu_usage().map(seconds);
    if options.log.detail > 0 {
        info!("Stopped - used {user} user time, {system} system time");
    } else {
        info!("Stopped");
    }
}

/// Microseconds as keepalived writes processor time: `1.002003`.
pub(super) fn seconds(micros: i64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
