//! Pid files, locked for the life of the process: two daemons cannot run at once, and a stale file stops nobody.
//!
//! The lock belongs to the open file description (OFD), so it survives the fork to the background and ends with the last
//! process that holds the descriptor, however that process ends.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A pid file that we hold.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

/// Why a pid file is not ours.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// Somebody else has it locked.
    #[error("Another process has pid file {} locked", .0.display())]
    Locked(PathBuf),
    /// It cannot be opened.
    #[error("cannot open pid file {}: {source}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl PidFile {
    /// Opens and locks the file; its content is not looked at.
    pub fn acquire(path: &Path) -> Result<Self, PidFileError> {
        let unusable = |source| PidFileError::Unusable { path: path.to_owned(), source };
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(path)
                .map_err(unusable)?;
            if !file.metadata().map_err(unusable)?.is_file() {
                return Err(unusable(io::Error::from_raw_os_error(libc::EEXIST)));
            }
            match lock(&file) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(PidFileError::Locked(path.to_owned()));
                }
                Err(error) => return Err(unusable(error)),
            }
            let held = Self { path: path.to_owned(), file };
            // The last holder may have removed the file between our open and our lock.
            if held.is_in_place() {
                held.file.set_permissions(Permissions::from_mode(0o644)).map_err(unusable)?;
                return Ok(held);
            }
        }
    }

    /// Whether the path still names the file that we hold.
    pub fn is_in_place(&self) -> bool {
        let same = |a: &std::fs::Metadata, b: &std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        matches!((self.file.metadata(), std::fs::symlink_metadata(&self.path)), (Ok(a), Ok(b)) if same(&a, &b))
    }

    /// Writes the pid. A file removed or replaced meanwhile is made anew.
    pub fn write(&mut self, pid: u32) -> Result<(), PidFileError> {
        if !self.is_in_place() {
            *self = Self::acquire(&self.path)?;
        }
        let written = self
            .file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .and_then(|_| self.file.write_all(format!("{pid}\n").as_bytes()));
        written.map_err(|source| PidFileError::Unusable { path: self.path.clone(), source })
    }

    /// Takes the file away for as long as there is no process to name; [`Self::write`] makes it anew.
    pub fn take_away(&self) {
        if self.is_in_place() {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, while the lock is still ours, and gives it up.
    pub fn remove(self) {
        self.take_away();
    }
}

/// Takes the OFD write lock over the whole file, or fails with `WouldBlock`.
fn lock(file: &File) -> io::Result<()> {
    // SAFETY: all-zero is a valid flock (whole file, l_pid 0 as OFD locks demand).
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = libc::F_WRLCK as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: the descriptor is open and `range` outlives the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &range) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes the same kind of lock on any file of ours; `None` where another process has it.
pub fn try_lock(file: &File) -> io::Result<bool> {
    match lock(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_a_stale_file_is_reused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.pid");
        std::fs::write(&path, "1\n").unwrap();
        let mut first = PidFile::acquire(&path).unwrap();
        first.write(4711).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "4711\n");
        let refused = PidFile::acquire(&path).unwrap_err();
        assert_eq!(refused.to_string(), format!("Another process has pid file {} locked", path.display()));
        first.remove();
        assert!(!path.exists());
        PidFile::acquire(&path).unwrap();
    }

    #[test]
    fn a_file_removed_under_us_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.pid");
        let mut held = PidFile::acquire(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        held.write(7).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "7\n");
        assert!(matches!(PidFile::acquire(&path), Err(PidFileError::Locked(_))));
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        std::fs::write(&target, "precious").unwrap();
        let link = dir.path().join("k.pid");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(PidFile::acquire(&link), Err(PidFileError::Unusable { .. })));
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    }
}
