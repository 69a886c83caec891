//! Configuration files on the disk.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::source::{Files, MAX_FILE_BYTES, ReadError};

/// The files of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn matches(&mut self, directory: &Path, pattern: &str) -> Vec<PathBuf> {
        let absolute = match (pattern.starts_with('/'), directory.to_str()) {
            (false, Some(base)) if !base.is_empty() => format!("{}/{pattern}", glob::Pattern::escape(base)),
            _ => pattern.to_owned(),
        };
        // As in a shell, `*` does not find hidden files.
        let options = glob::MatchOptions {
            require_literal_separator: true,
            require_literal_leading_dot: true,
            ..glob::MatchOptions::default()
        };
        let Ok(found) = glob::glob_with(&absolute, options) else {
            // No pattern at all: then it is a name.
            return Some(PathBuf::from(pattern)).filter(|path| directory.join(path).exists()).into_iter().collect();
        };
        let relative = |path: PathBuf| path.strip_prefix(directory).map(Path::to_owned).unwrap_or(path);
        let mut paths: Vec<_> = found.filter_map(Result::ok).collect();
        if !pattern.starts_with('/') {
            paths = paths.into_iter().map(relative).collect();
        }
        paths.sort();
        paths
    }

    fn read(&mut self, path: &Path) -> Result<Arc<Vec<u8>>, ReadError> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => ReadError::NotFound,
            _ => ReadError::Unreadable(error.raw_os_error().unwrap_or(libc::EIO)),
        };
        // A FIFO must not hold us up, so its kind is asked before it is read from.
        let file = fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        if about.is_dir() {
            return Err(ReadError::Directory);
        }
        if !about.is_file() {
            return Err(ReadError::Irregular);
        }
        if about.mode() & 0o111 != 0 {
            return Err(ReadError::Executable);
        }
        if about.len() > MAX_FILE_BYTES {
            return Err(ReadError::TooLarge(about.len()));
        }
        let mut bytes = Vec::with_capacity(about.len() as usize);
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(Arc::new(bytes))
    }

    fn real_directory(&mut self, path: &Path) -> PathBuf {
        fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
    }

    fn environment(&mut self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plain_file_is_refused_with_its_kind() {
        let dir = tempfile::tempdir().unwrap();
        let name = |n: &str| dir.path().join(n);
        fs::write(name("plain"), "x").unwrap();
        fs::write(name("program"), "x").unwrap();
        fs::set_permissions(name("program"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        nix::unistd::mkfifo(&name("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(Disk.read(&name("plain")), Ok(b"x".to_vec().into()));
        assert_eq!(Disk.read(&name("program")), Err(ReadError::Executable));
        assert_eq!(Disk.read(&name("fifo")), Err(ReadError::Irregular));
        assert_eq!(Disk.read(dir.path()), Err(ReadError::Directory));
        assert_eq!(Disk.read(&name("none")), Err(ReadError::NotFound));
    }

    #[test]
    fn patterns_are_answered_in_order_and_relative_to_where_they_started() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".hidden.conf", "c.txt"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(Disk.matches(dir.path(), "*.conf"), [Path::new("a.conf"), Path::new("b.conf")]);
        let absolute = format!("{}/?.txt", dir.path().display());
        assert_eq!(Disk.matches(Path::new("/"), &absolute), [dir.path().join("c.txt")]);
    }
}
