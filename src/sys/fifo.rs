//! Named pipes that others read lines from. Writing never waits: what nobody reads in time is lost, and counted.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid};

/// A named pipe, open for writing.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    pipe: std::fs::File,
    /// It was not there before us, so it goes with us.
    is_ours: bool,
    lost: u64,
}

/// Why a path cannot be used.
#[derive(Debug)]
pub enum Refusal {
    /// There is something else.
    NotAFifo,
    /// It belongs to somebody who has no business here: that user.
    ForeignOwner(u32),
    /// A system call failed.
    Failed(io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFifo => f.write_str("it exists and is not a FIFO"),
            Self::ForeignOwner(uid) => write!(f, "it belongs to user {uid}"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        // O_NOFOLLOW met a symbolic link.
        if error.raw_os_error() == Some(libc::ELOOP) { Self::NotAFifo } else { Self::Failed(error) }
    }
}

impl Fifo {
    /// Opens the pipe, and makes it where there is none; a new one belongs to `uid` and `gid`. Never waits for a reader.
    pub fn open(path: &Path, uid: u32, gid: u32) -> Result<Self, Refusal> {
        let is_ours = match nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o644)) {
            Ok(()) => true,
            Err(nix::errno::Errno::EEXIST) => false,
            Err(error) => return Err(Refusal::Failed(error.into())),
        };
        let opened = Self::take(path, uid, gid, is_ours);
        if opened.is_err() && is_ours {
            let _ = std::fs::remove_file(path);
        }
        opened
    }

    fn take(path: &Path, uid: u32, gid: u32, is_ours: bool) -> Result<Self, Refusal> {
        // Reading too: opening never waits, and a reader that goes does not make writing fail.
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let pipe = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        let metadata = pipe.metadata()?;
        if !metadata.file_type().is_fifo() {
            return Err(Refusal::NotAFifo);
        }
        let owner = metadata.uid();
        if owner != uid && owner != Uid::effective().as_raw() {
            return Err(Refusal::ForeignOwner(owner));
        }
        if is_ours && (owner, metadata.gid()) != (uid, gid) {
            nix::unistd::fchown(&pipe, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(io::Error::from)?;
        }
        Ok(Self { path: path.to_owned(), pipe, is_ours, lost: 0 })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line, whole or not at all (it is shorter than PIPE_BUF). A full pipe is no error: the line is lost.
    pub fn write(&mut self, line: &str) -> io::Result<()> {
        match self.pipe.write(line.as_bytes()) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.lost += 1;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Lines that found the pipe full.
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn open(path: &Path) -> Result<Fifo, Refusal> {
        Fifo::open(path, Uid::effective().as_raw(), Gid::effective().as_raw())
    }

    #[test]
    fn lines_come_out_whole_and_a_full_pipe_loses_some_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        let mut fifo = open(&path).unwrap();
        let mut reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        fifo.write("INSTANCE \"VI_1\" MASTER 100\n").unwrap();
        let mut text = [0; 100];
        let length = reader.read(&mut text).unwrap();
        assert_eq!(&text[..length], b"INSTANCE \"VI_1\" MASTER 100\n");
        for _ in 0..100_000 {
            fifo.write("VS [192.0.2.1]:tcp:80 UP\n").unwrap();
        }
        assert!(fifo.lost() > 0);
    }

    #[test]
    fn a_pipe_that_was_there_stays_and_one_of_ours_goes() {
        let directory = tempfile::tempdir().unwrap();
        let [theirs, ours] = ["theirs", "ours"].map(|name| directory.path().join(name));
        nix::unistd::mkfifo(&theirs, Mode::S_IRWXU).unwrap();
        drop([open(&theirs).unwrap(), open(&ours).unwrap()]);
        assert!(theirs.exists() && !ours.exists());
    }

    /// C22: a file or a link that somebody has put there is not written to.
    #[test]
    fn what_is_no_pipe_of_ours_is_refused_and_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let [file, link, pipe] = ["file", "link", "pipe"].map(|name| directory.path().join(name));
        std::fs::write(&file, "precious").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(matches!(open(&file), Err(Refusal::NotAFifo)));
        assert!(matches!(open(&link), Err(Refusal::NotAFifo)));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
        if Uid::effective().is_root() {
            nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
            std::os::unix::fs::chown(&pipe, Some(12345), None).unwrap();
            assert!(matches!(open(&pipe), Err(Refusal::ForeignOwner(12345))));
            assert!(Fifo::open(&pipe, 12345, 0).is_ok());
        }
    }
}
