//! Files that others read: whole or not at all.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Writes a file through a temporary one in the same directory, so that a reader never sees half of it and a planted
/// symbolic link is replaced, not followed.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    // A leftover of a process with our pid that died in between.
    let _ = std::fs::remove_file(&temporary);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            // Whatever the umask made of it.
            file.set_permissions(Permissions::from_mode(mode))?;
            std::fs::rename(&temporary, path)
        });
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// What the process's umask was set to last; it cannot be asked for without changing it.
static UMASK: AtomicU32 = AtomicU32::new(0o177);

/// Sets the umask.
pub fn set_umask(mask: u32) {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
    UMASK.store(mask, Ordering::Relaxed);
}

/// The permissions of a dump: 0666 without what the umask takes.
pub fn mode() -> u32 {
    0o666 & !UMASK.load(Ordering::Relaxed)
}

/// A file to write.
#[derive(Debug)]
pub struct Job {
    /// Where.
    pub path: PathBuf,
    /// What; none removes the file.
    pub bytes: Option<Vec<u8>>,
    /// Its permissions.
    pub mode: u32,
    /// What the file is, for the line about a failure: `dump file`, or nothing.
    pub what: &'static str,
}

/// A thread that writes files, so that a stalled disk holds up nobody.
#[derive(Debug)]
pub struct Writer {
    jobs: SyncSender<Job>,
    /// Hangs up when the thread has ended.
    ended: Receiver<()>,
}

/// Files that wait for the disk at most.
const WAITING: usize = 64;

impl Writer {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let (jobs, todo) = sync_channel(WAITING);
        let (alive, ended) = sync_channel(0);
        let work = move || {
            let _alive = alive;
            carry_out(&todo);
        };
        std::thread::Builder::new().name("files".into()).stack_size(128 << 10).spawn(work)?;
        Ok(Self { jobs, ended })
    }

    /// Queues a file; `false` where too many wait already, and this one is dropped.
    pub fn write(&self, job: Job) -> bool {
        self.jobs.try_send(job).is_ok()
    }

    /// Waits until everything is written, for `limit` at most.
    pub fn finish(self, limit: Duration) {
        let Self { jobs, ended } = self;
        drop(jobs);
        let _ = ended.recv_timeout(limit);
    }
}

fn carry_out(jobs: &Receiver<Job>) {
    while let Ok(Job { path, bytes, mode, what }) = jobs.recv() {
        let done = match bytes {
            Some(bytes) => replace(&path, &bytes, mode),
            None => match std::fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            },
        };
        if let Err(error) = done {
            let number = error.raw_os_error().unwrap_or_default();
            let blank = if what.is_empty() { "" } else { " " };
            tracing::error!("Can't open {what}{blank}{} ({number}: {error})", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_symbolic_link_is_replaced_and_its_target_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let (target, dump) = (dir.path().join("target"), dir.path().join("keepalived.data"));
        std::fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, &dump).unwrap();
        replace(&dump, b"dump", 0o600).unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
        assert_eq!(std::fs::read_to_string(&dump).unwrap(), "dump");
        let metadata = std::fs::symlink_metadata(&dump).unwrap();
        assert!(metadata.is_file());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn files_are_written_and_removed_in_order_by_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let job = |name: &str, bytes: Option<&str>| Job {
            path: dir.path().join(name),
            bytes: bytes.map(|text| text.as_bytes().to_vec()),
            mode: 0o600,
            what: "file",
        };
        let writer = Writer::start().unwrap();
        assert!(writer.write(job("gone", Some("1"))));
        assert!(writer.write(job("kept", Some("2"))));
        assert!(writer.write(job("gone", None)));
        assert!(writer.write(job("never there", None)));
        writer.finish(Duration::from_secs(60));
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["kept"]);
    }

    #[test]
    fn a_directory_that_does_not_exist_is_an_error() {
        assert!(replace(Path::new("/nonexistent/keepalived.data"), b"", 0o600).is_err());
    }
}
