//! Where configuration text comes from: the disk in `sys::disk`, a map in tests and fuzzing, a recording in children.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Access to files, so that this floor makes no system call.
pub trait Files {
    /// Paths that match a pattern without `{a,b}` alternatives (the caller has expanded them), sorted. A relative pattern
    /// starts at `directory`, and what it matches is relative to it as well.
    fn matches(&mut self, directory: &Path, pattern: &str) -> Vec<PathBuf>;
    /// The bytes of a file, which whoever answers may keep as well. Refuses what is no regular file, has an execute bit, or is larger than
    /// [`MAX_FILE_BYTES`].
    fn read(&mut self, path: &Path) -> Result<Arc<Vec<u8>>, ReadError>;
    /// The real path of a directory, for `${_PWD}`.
    fn real_directory(&mut self, path: &Path) -> PathBuf {
        path.to_owned()
    }
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

/// Files in memory, for tests and fuzzing: absolute paths, and a working directory of `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Path to what reading it gives.
    pub files: BTreeMap<PathBuf, Result<Vec<u8>, ReadError>>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
}

impl Memory {
    /// One file.
    pub fn of(path: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self::default().with(path, bytes)
    }

    /// One file more.
    pub fn with(mut self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.files.insert(path.into(), Ok(bytes.as_ref().to_vec()));
        self
    }
}

impl Files for Memory {
    fn matches(&mut self, directory: &Path, pattern: &str) -> Vec<PathBuf> {
        let base = directory.to_string_lossy();
        let base = format!("{}/", base.trim_end_matches('/'));
        let absolute = pattern.starts_with('/');
        let name = |path: &PathBuf| {
            let path = path.to_string_lossy();
            let path = if absolute { &path } else { path.strip_prefix(base.as_str())? };
            wildcard(pattern.as_bytes(), path.as_bytes()).then(|| PathBuf::from(path))
        };
        self.files.keys().filter_map(name).collect()
    }

    fn read(&mut self, path: &Path) -> Result<Arc<Vec<u8>>, ReadError> {
        self.files.get(path).cloned().unwrap_or(Err(ReadError::NotFound)).map(Arc::new)
    }

    fn environment(&mut self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }
}

/// Whether a path matches a pattern of `*` and `?`, neither of which matches a slash.
fn wildcard(pattern: &[u8], path: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < path.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == path[t] || (c == b'?' && path[t] != b'/') => {
                p += 1;
                t += 1;
            }
            // Let the last star take one more.
            _ => match star {
                Some((star_p, star_t)) if path[star_t] != b'/' => {
                    star = Some((star_p, star_t + 1));
                    p = star_p + 1;
                    t = star_t + 1;
                }
                _ => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_memory_are_found_by_name_and_by_wildcard() {
        let mut files = Memory::of("/etc/k/a.conf", "").with("/etc/k/b.conf", "").with("/etc/k/d/c.conf", "");
        let found = |files: &mut Memory, pattern| files.matches(Path::new("/etc/k"), pattern);
        assert_eq!(found(&mut files, "*.conf"), [Path::new("a.conf"), Path::new("b.conf")]);
        assert_eq!(found(&mut files, "?/c*"), [Path::new("d/c.conf")]);
        assert_eq!(found(&mut files, "/etc/k/a.conf"), [Path::new("/etc/k/a.conf")]);
        assert_eq!(found(&mut files, "x"), [] as [&Path; 0]);
    }
}
