//! Track files: read at the start and whenever they change.

use std::io;
use std::sync::Arc;

use tracing::{info, warn};

use crate::model::lvs::TrackFile;
use crate::probe::file;
use crate::sys::file_watch::FileWatch;

/// The track files of a configuration.
#[derive(Default)]
pub(super) struct TrackFiles {
    files: Vec<Arc<TrackFile>>,
    watch: Option<FileWatch>,
}

impl TrackFiles {
    /// Watches these from now on, and gives the numbers in them. At the start `init_file` is obeyed.
    pub(super) fn watch(&mut self, files: &[Arc<TrackFile>], is_start: bool) -> Vec<i32> {
        self.files = files.to_vec();
        self.watch = None;
        if files.is_empty() {
            return Vec::new();
        }
        if is_start {
            files.iter().for_each(|file| initialise(file));
        }
        let paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
        match FileWatch::new(&paths) {
            Ok((watch, failed)) => {
                self.watch = Some(watch);
                for (number, error) in failed {
                    let path = paths.get(number).map(|path| path.display().to_string()).unwrap_or_default();
                    warn!("cannot watch the directory of track file {path}: {error}; it is looked for each second");
                }
            }
            Err(error) => warn!("cannot watch track files: {error}; changes of them are not seen"),
        }
        // After the watch began, or a change in between would be lost.
        (0..files.len()).map(|number| self.number(number).unwrap_or_default()).collect()
    }

    /// The number in a file; none where it has one that does not fit, and what it was before stays.
    pub(super) fn number(&self, file: usize) -> Option<i32> {
        let file = self.files.get(file)?;
        let number = file::read(&file.path);
        if number.is_err() {
            info!("track file {}: the number in it does not fit into 32 bits; it is ignored", file.name);
        }
        number.ok()
    }

    /// Waits for changes; gives the files that changed.
    pub(super) async fn changed(&mut self) -> io::Result<Vec<usize>> {
        match &mut self.watch {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        }
    }
}

fn initialise(file: &TrackFile) {
    if let Some(init) = file.init
        && let Err(error) = file::initialise(&file.path, init)
    {
        warn!("cannot write the first number into track file {}: {error}", file.path.display());
    }
}
