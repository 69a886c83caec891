//! Being told when a file may have changed: its directory is watched, so that it can come, go and be replaced.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What happened to a watched directory since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The file may be another one or have other content.
    pub file: bool,
    /// The directory is gone: nothing more will come.
    pub gone: bool,
}

#[derive(Debug)]
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// One file, watched.
#[derive(Debug)]
pub struct Watch {
    inotify: AsyncFd<Descriptor>,
    name: std::ffi::OsString,
}

impl Watch {
    /// Watches the file with this path; it need not exist, its directory must.
    pub fn new(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let comes = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO;
        let goes = AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM;
        let own = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_ONLYDIR;
        inotify.add_watch(path.parent().unwrap_or(Path::new("/")), comes | goes | own)?;
        // SAFETY: a `Descriptor` has one descriptor from first to last, and closes it only when it is dropped.
        let inotify = unsafe { AsyncFd::register_with_interest(Descriptor(inotify), Interest::READABLE) }?;
        Ok(Self { inotify, name })
    }

    /// Waits until something may have happened; [`Watch::look`] says what.
    pub async fn changed(&self) {
        match self.inotify.readable().await {
            Ok(mut guard) => guard.clear_ready(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Reads what has happened.
    pub fn look(&self) -> Seen {
        let mut seen = Seen::default();
        while let Ok(events) = self.inotify.get_ref().0.read_events() {
            for event in events {
                let lost = AddWatchFlags::IN_Q_OVERFLOW;
                let gone = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_IGNORED;
                seen.file |= event.mask.contains(lost) || event.name.as_ref() == Some(&self.name);
                seen.gone |= event.mask.intersects(gone);
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_file_that_is_written_replaced_or_removed_is_seen_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("f"), dir.path().join("other"));
        let watch = Watch::new(&file).unwrap();
        std::fs::write(&other, "x").unwrap();
        assert_eq!(watch.look(), Seen::default());
        std::fs::write(&file, "x").unwrap();
        watch.changed().await;
        assert_eq!(watch.look(), Seen { file: true, gone: false });
        std::fs::rename(&other, &file).unwrap();
        assert_eq!(watch.look(), Seen { file: true, gone: false });
        std::fs::remove_file(&file).unwrap();
        assert_eq!(watch.look(), Seen { file: true, gone: false });
        drop(dir);
        assert!(watch.look().gone);
    }
}
