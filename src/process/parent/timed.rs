//! `reload_time_file`: a reload at the time that somebody writes into a file.

use std::path::Path;
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use crate::config::source::Files as _;
use crate::model::global::ReloadTime;
use crate::supervise::timed::{NoTime, parse};
use crate::sys::disk::Disk;
use crate::sys::wall_clock::{iso, meant};
use crate::sys::watch::Watch;

/// A clock that is set is noticed within so long.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// A time is shorter.
const MAX_LINE: usize = 64;

/// The watched file and the time in it.
#[derive(Debug, Default)]
pub(super) struct Timed {
    settings: Option<ReloadTime>,
    watch: Option<Watch>,
    /// When, and whether the file names the day.
    due: Option<(SystemTime, bool)>,
}

impl Timed {
    /// Follows the configuration in force.
    pub(super) fn follow(&mut self, settings: Option<&ReloadTime>) {
        if self.settings.as_ref() == settings {
            return;
        }
        let due = self.due.take();
        *self = Self { settings: settings.cloned(), watch: None, due };
        if let Some(ReloadTime { file, .. }) = settings {
            match Watch::new(file) {
                Ok(watch) => self.watch = Some(watch),
                Err(error) => {
                    let directory = file.parent().unwrap_or(Path::new("/")).display();
                    warn!("Unable to monitor reload timer file directory {directory} - ignoring ({error})");
                }
            }
        }
        self.read();
    }

    /// Waits until the file may have changed.
    pub(super) async fn changed(&self) {
        match &self.watch {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn look(&mut self) {
        let Some(watch) = &self.watch else { return };
        let seen = watch.look();
        if seen.gone {
            warn!("Directory of reload timer file has disappeared. Monitoring stopped.");
            self.watch = None;
        }
        if seen.file || seen.gone {
            self.read();
        }
    }

    /// How long until somebody has to look at the clock.
    pub(super) fn wait(&self) -> Option<Duration> {
        let (due, _) = self.due?;
        Some(due.duration_since(SystemTime::now()).unwrap_or_default().min(LOOK_AGAIN))
    }

    /// Whether it is time to reload; says so once.
    pub(super) fn is_due(&mut self) -> bool {
        let now = SystemTime::now();
        let Some((_, has_date)) = self.due.filter(|(due, _)| now >= *due) else { return false };
        self.due = None;
        if let Some(ReloadTime { file, repeats }) = &self.settings {
            if *repeats && !has_date {
                self.read();
            } else if let Err(error) = std::fs::remove_file(file) {
                warn!("cannot remove {}: {error}", file.display());
            }
        }
        true
    }

    /// Reads the file and says what has changed.
    fn read(&mut self) {
        let before = self.due.map(|(due, _)| due);
        self.due = self.settings.as_ref().filter(|_| self.watch.is_some()).and_then(|settings| due_in(&settings.file));
        match (before, self.due.map(|(due, _)| due)) {
            (None, Some(due)) => info!("Scheduling reload for {}", iso(due)),
            (Some(before), Some(due)) if before != due => {
                info!("Reload time updated from {} to {}", iso(before), iso(due));
            }
            (Some(before), None) => info!("Cancelling reload scheduled for {}", iso(before)),
            _ => {}
        }
    }
}

fn due_in(file: &Path) -> Option<(SystemTime, bool)> {
    let bytes = Disk.read(file).ok()?;
    let line = bytes.split(|&byte| byte == b'\n').next().filter(|line| !line.is_empty() && line.len() <= MAX_LINE)?;
    let line = String::from_utf8_lossy(line);
    let now = SystemTime::now();
    let written = match parse(&line) {
        Ok(written) => written,
        Err(NoTime::Format) => {
            warn!("Reload time {line} format is incorrect - ignoring");
            return None;
        }
        Err(NoTime::Range) => {
            warn!("Reload date/time {line} invalid - ignoring");
            return None;
        }
    };
    match meant(written, now) {
        None => warn!("Reload time {line} is not valid - ignoring"),
        Some(due) if due <= now => warn!("Reload time {line} is in the past - ignoring"),
        Some(due) => return Some((due, written.date.is_some())),
    }
    None
}
