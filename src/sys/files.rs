//! Files that others read: whole or not at all.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

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
    /// What.
    pub bytes: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
    /// What the file is, for the line about a failure: `dump file`.
    pub what: &'static str,
}

/// A thread that writes files, so that a stalled disk holds up nobody.
#[derive(Clone, Debug)]
pub struct Writer(SyncSender<Job>);

/// Files that wait for the disk at most.
const WAITING: usize = 64;

impl Writer {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        std::thread::Builder::new().name("files".into()).stack_size(128 << 10).spawn(move || write_all(&receiver))?;
        Ok(Self(sender))
    }

    /// Queues a file; `false` where too many wait already, and this one is dropped.
    pub fn write(&self, job: Job) -> bool {
        self.0.try_send(job).is_ok()
    }
}

fn write_all(jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        if let Err(error) = replace(&job.path, &job.bytes, job.mode) {
            let number = error.raw_os_error().unwrap_or_default();
            tracing::error!("Can't open {} {} ({number}: {error})", job.what, job.path.display());
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
    fn a_directory_that_does_not_exist_is_an_error() {
        assert!(replace(Path::new("/nonexistent/keepalived.data"), b"", 0o600).is_err());
    }
}
