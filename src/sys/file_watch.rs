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
use tokio::time::sleep;

use crate::time::Duration;

#[derive(Debug)]
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Name and number of each file, by the watch of its directory.
type Files = BTreeMap<WatchDescriptor, Vec<(OsString, usize)>>;

/// Between two looks for a directory that is gone.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Files by number, and the kernel's word of their changes.
#[derive(Debug)]
pub struct FileWatch {
    inotify: AsyncFd<Descriptor>,
    paths: Vec<PathBuf>,
    files: Files,
    /// Files whose directory is not there.
    lost: Vec<usize>,
}

impl FileWatch {
    /// Watches these files, known by their places from now on. A file need not exist, nor its directory: those that
    /// cannot be watched yet come back with the reason, and have changed when they can. Within the runtime.
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
        let lost = failed.iter().map(|(number, _)| *number).collect();
        Ok((Self { inotify, paths: paths.to_vec(), files, lost }, failed))
    }

    /// Waits until files have changed; gives their numbers, each once. May be dropped and called again.
    pub async fn changed(&mut self) -> io::Result<Vec<usize>> {
        loop {
            let mut numbers = self.find();
            if numbers.is_empty() {
                let mut ready = tokio::select! {
                    ready = self.inotify.readable() => ready?,
                    () = sleep(LOOK_AGAIN), if !self.lost.is_empty() => continue,
                };
                let read = ready.try_io(|inotify| inotify.get_ref().0.read_events().map_err(io::Error::from));
                let Ok(events) = read else { continue };
                for event in events? {
                    numbers.extend(self::numbers(&self.files, &event));
                    self.lose(&event);
                }
            }
            if !numbers.is_empty() {
                numbers.sort_unstable();
                numbers.dedup();
                return Ok(numbers);
            }
        }
    }

    /// Watches what was lost and is there again; gives its files.
    fn find(&mut self) -> Vec<usize> {
        let mut found = Vec::new();
        self.lost.retain(|number| match watch_directory(&self.inotify.get_ref().0, &self.paths[*number]) {
            Ok((watch, name)) => {
                self.files.entry(watch).or_default().push((name, *number));
                found.push(*number);
                false
            }
            Err(_) => true,
        });
        found
    }

    /// A directory that was removed, or has another name now, is looked for at its place.
    fn lose(&mut self, event: &InotifyEvent) {
        if event.mask.contains(AddWatchFlags::IN_MOVE_SELF) {
            // The kernel says IN_IGNORED of it then.
            let _ = self.inotify.get_ref().0.rm_watch(event.wd);
        }
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            self.lost.extend(self.files.remove(&event.wd).unwrap_or_default().into_iter().map(|(_, number)| number));
        }
    }
}

fn watch_directory(inotify: &Inotify, path: &Path) -> io::Result<(WatchDescriptor, OsString)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mask =
        AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVE_SELF;
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

    #[tokio::test]
    async fn a_directory_that_is_made_again_is_watched_again() {
        let directory = tempfile::tempdir().unwrap();
        let [inner, elsewhere] = ["inner", "elsewhere"].map(|name| directory.path().join(name));
        let (mut watch, failed) = FileWatch::new(&[inner.join("a")]).unwrap();
        assert_eq!(failed.len(), 1);
        // The first time it was not there, then it is removed, then it gets another name.
        let ways: [fn(&Path, &Path) -> io::Result<()>; 2] =
            [|from, _| fs::remove_dir_all(from), |from, to| fs::rename(from, to)];
        for leave in ways {
            fs::create_dir(&inner).unwrap();
            assert_eq!(watch.changed().await.unwrap(), [0]);
            fs::write(inner.join("a"), "1").unwrap();
            assert_eq!(watch.changed().await.unwrap(), [0]);
            leave(&inner, &elsewhere).unwrap();
            assert_eq!(watch.changed().await.unwrap(), [0]);
            while !watch.lost.contains(&0) {
                assert_eq!(watch.changed().await.unwrap(), [0]);
            }
        }
        fs::create_dir(&inner).unwrap();
        assert_eq!(watch.changed().await.unwrap(), [0]);
    }
}
