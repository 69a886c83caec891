//! Where configuration text comes from: the disk in `sys::disk`, a map in tests and fuzzing, a recording in children.

use std::path::{Path, PathBuf};

/// Access to files, so that this floor makes no system call.
pub trait Files {
    /// Paths that match a pattern (glob with `{a,b}` alternatives), sorted; relative patterns start at `directory`.
    fn matches(&mut self, directory: &Path, pattern: &str) -> Vec<PathBuf>;
    /// The bytes of a file. Refuses what is no regular file, has an execute bit, or is larger than
    /// [`MAX_FILE_BYTES`].
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, ReadError>;
    /// An environment variable, for `${_ENV NAME}`.
    fn environment(&mut self, name: &str) -> Option<String>;
}

/// Larger files are refused: 256 MiB.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Why a file was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// It does not exist.
    NotFound,
    /// It is a directory.
    Directory,
    /// It has an execute bit.
    Executable,
    /// It is a device, FIFO or socket.
    Irregular,
    /// It has this many bytes, too many.
    TooLarge(u64),
    /// It cannot be opened or read: errno.
    Unreadable(i32),
}
