//! Files whose changes matter, watched through their directories: a file may be written in place, replaced by a rename,
//! removed and come back.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[derive(Debug)]
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Name and number of each file, by the watch of its directory.
type Files = BTreeMap<WatchDescriptor, Vec<(OsString, usize)>>;

/// Files by number, and the kernel's word of their changes.
#[derive(Debug)]
pub struct FileWatch {
    inotify: AsyncFd<Descriptor>,
    files: Files,
}

impl FileWatch {
    /// Watches these files, known by their places from now on. A file need not exist, its directory must: those that
    /// cannot be watched come back with the reason. Within the runtime.
    pub fn new(paths: &[PathBuf]) -> io::Result<(Self, Vec<(usize, io::Error)>)> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let (mut files, mut failed) = (Files::new(), Vec::new());
        for (number, path) in paths.iter().enumerate() {
            match watch_directory(&inotify, path) {
                Ok((watch, name)) => files.entry(watch).or_default().push((name, number)),
                Err(error) => failed.push((number, error)),
            }
        }
        // SAFETY: a `Descriptor` has one descriptor from first to last, and closes it only when it is dropped.
        let inotify = unsafe { AsyncFd::register_with_interest(Descriptor(inotify), Interest::READABLE) }?;
        Ok((Self { inotify, files }, failed))
    }

    /// Waits until files have changed; gives their numbers, each once. May be dropped and called again.
    pub async fn changed(&mut self) -> io::Result<Vec<usize>> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let read = ready.try_io(|inotify| inotify.get_ref().0.read_events().map_err(io::Error::from));
            let Ok(events) = read else { continue };
            let mut numbers: Vec<usize> = events?.iter().flat_map(|event| numbers(&self.files, event)).collect();
            if !numbers.is_empty() {
                numbers.sort_unstable();
                numbers.dedup();
                return Ok(numbers);
            }
        }
    }
}

fn watch_directory(inotify: &Inotify, path: &Path) -> io::Result<(WatchDescriptor, OsString)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mask = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVE | AddWatchFlags::IN_DELETE;
    let watch = inotify.add_watch(directory, mask | AddWatchFlags::IN_ONLYDIR)?;
    Ok((watch, name.to_owned()))
}

/// The files that an event is about: all of them where the kernel has lost some, those of a directory where it is gone.
fn numbers(files: &Files, event: &InotifyEvent) -> Vec<usize> {
    if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
        return files.values().flatten().map(|(_, number)| *number).collect();
    }
    let named = |(name, _): &&(OsString, usize)| event.name.as_ref().is_none_or(|changed| changed == name);
    files.get(&event.wd).into_iter().flatten().filter(named).map(|(_, number)| *number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[tokio::test]
    async fn writing_replacing_and_removing_a_file_are_changes_of_it_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let (mut watch, failed) = FileWatch::new(&[path("a"), path("b"), path("gone/c")]).unwrap();
        assert_eq!(failed.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2]);

        fs::write(path("a"), "1").unwrap();
        assert_eq!(watch.changed().await.unwrap(), [0]);
        fs::write(path("other"), "1").unwrap();
        fs::rename(path("other"), path("b")).unwrap();
        assert_eq!(watch.changed().await.unwrap(), [1]);
        fs::remove_file(path("a")).unwrap();
        fs::rename(path("b"), path("elsewhere")).unwrap();
        assert_eq!(watch.changed().await.unwrap(), [0, 1]);
    }

    #[tokio::test]
    async fn all_files_of_a_directory_that_goes_have_changed() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let (mut watch, _) = FileWatch::new(&[inner.join("a"), inner.join("b")]).unwrap();
        fs::remove_dir(&inner).unwrap();
        assert_eq!(watch.changed().await.unwrap(), [0, 1]);
    }
}
