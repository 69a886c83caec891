//! What one process has read, as bytes for another: the parent reads the files once, its children read the recording.

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::source::{Files, ReadError};

/// First bytes of a recording.
const MAGIC: &[u8; 8] = b"KARSREC1";

/// Reads through another [`Files`] and remembers every answer.
#[derive(Debug)]
pub struct Recorder<F> {
    files: F,
    recording: Recording,
}

impl<F: Files> Recorder<F> {
    /// Remembers what `files` answers.
    pub fn new(files: F) -> Self {
        Self { files, recording: Recording::default() }
    }

    /// What was answered.
    pub fn into_recording(self) -> Recording {
        self.recording
    }
}

impl<F: Files> Files for Recorder<F> {
    fn matches(&mut self, directory: &Path, pattern: &str) -> Vec<PathBuf> {
        let key = (directory.to_owned(), pattern.to_owned());
        let files = &mut self.files;
        self.recording.matches.entry(key).or_insert_with(|| files.matches(directory, pattern)).clone()
    }

    fn read(&mut self, path: &Path) -> Result<Arc<Vec<u8>>, ReadError> {
        let files = &mut self.files;
        self.recording.files.entry(path.to_owned()).or_insert_with(|| files.read(path)).clone()
    }

    fn real_directory(&mut self, path: &Path) -> PathBuf {
        let files = &mut self.files;
        self.recording.directories.entry(path.to_owned()).or_insert_with(|| files.real_directory(path)).clone()
    }

    fn environment(&mut self, name: &str) -> Option<String> {
        let files = &mut self.files;
        self.recording.environment.entry(name.to_owned()).or_insert_with(|| files.environment(name)).clone()
    }
}

/// Answers given once, to be given again. What was never asked does not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    matches: BTreeMap<(PathBuf, String), Vec<PathBuf>>,
    files: BTreeMap<PathBuf, Result<Arc<Vec<u8>>, ReadError>>,
    directories: BTreeMap<PathBuf, PathBuf>,
    environment: BTreeMap<String, Option<String>>,
}

impl Files for Recording {
    fn matches(&mut self, directory: &Path, pattern: &str) -> Vec<PathBuf> {
        self.matches.get(&(directory.to_owned(), pattern.to_owned())).cloned().unwrap_or_default()
    }

    fn read(&mut self, path: &Path) -> Result<Arc<Vec<u8>>, ReadError> {
        self.files.get(path).cloned().unwrap_or(Err(ReadError::NotFound))
    }

    fn real_directory(&mut self, path: &Path) -> PathBuf {
        self.directories.get(path).cloned().unwrap_or_else(|| path.to_owned())
    }

    fn environment(&mut self, name: &str) -> Option<String> {
        self.environment.get(name).cloned().flatten()
    }
}

impl Recording {
    /// Whether `files` give the same answers now.
    pub fn still_holds(&self, files: &mut impl Files) -> bool {
        self.matches.iter().all(|((directory, pattern), paths)| files.matches(directory, pattern) == *paths)
            && self.directories.iter().all(|(path, real)| files.real_directory(path) == *real)
            && self.environment.iter().all(|(name, value)| files.environment(name) == *value)
            && self.files.iter().all(|(path, answer)| files.read(path) == *answer)
    }

    /// As bytes, after those that are there already.
    ///
    /// After the magic there are four lists, each a count and its entries; every text is a length and its bytes, every
    /// number little-endian.
    pub fn append_to(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        // The files are nearly all of it.
        let files: usize = self.files.values().flatten().map(|bytes| bytes.len() + 256).sum();
        bytes.reserve_exact(files + 4096);
        let mut out = Writer(bytes);
        out.0.extend(MAGIC);
        out.number(self.matches.len() as u64);
        for ((directory, pattern), paths) in &self.matches {
            out.path(directory);
            out.text(pattern.as_bytes());
            out.number(paths.len() as u64);
            paths.iter().for_each(|path| out.path(path));
        }
        out.number(self.files.len() as u64);
        for (path, answer) in &self.files {
            out.path(path);
            let (kind, detail) = match answer {
                Ok(_) => (0, 0),
                Err(ReadError::NotFound) => (1, 0),
                Err(ReadError::Directory) => (2, 0),
                Err(ReadError::Executable) => (3, 0),
                Err(ReadError::Irregular) => (4, 0),
                Err(ReadError::TooLarge(bytes)) => (5, *bytes),
                Err(ReadError::Unreadable(errno)) => (6, u64::from(errno.unsigned_abs())),
            };
            out.number(kind);
            out.number(detail);
            out.text(answer.as_ref().map_or(&[], |bytes| bytes.as_slice()));
        }
        out.number(self.directories.len() as u64);
        for (path, real) in &self.directories {
            out.path(path);
            out.path(real);
        }
        out.number(self.environment.len() as u64);
        for (name, value) in &self.environment {
            out.text(name.as_bytes());
            out.number(u64::from(value.is_some()));
            out.text(value.as_deref().unwrap_or("").as_bytes());
        }
        out.0
    }

    /// From [`Recording::append_to`]; none where the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes.strip_prefix(MAGIC)?);
        let mut made = Self::default();
        for _ in 0..input.number()? {
            let key = (input.path()?, String::from_utf8(input.text()?.to_vec()).ok()?);
            let paths = (0..input.number()?).map(|_| input.path()).collect::<Option<Vec<_>>>()?;
            made.matches.insert(key, paths);
        }
        for _ in 0..input.number()? {
            let path = input.path()?;
            let (kind, detail, bytes) = (input.number()?, input.number()?, input.text()?);
            let answer = match kind {
                0 => Ok(bytes.to_vec().into()),
                1 => Err(ReadError::NotFound),
                2 => Err(ReadError::Directory),
                3 => Err(ReadError::Executable),
                4 => Err(ReadError::Irregular),
                5 => Err(ReadError::TooLarge(detail)),
                6 => Err(ReadError::Unreadable(i32::try_from(detail).ok()?)),
                _ => return None,
            };
            made.files.insert(path, answer);
        }
        for _ in 0..input.number()? {
            made.directories.insert(input.path()?, input.path()?);
        }
        for _ in 0..input.number()? {
            let name = String::from_utf8(input.text()?.to_vec()).ok()?;
            let (is_set, value) = (input.number()?, String::from_utf8(input.text()?.to_vec()).ok()?);
            made.environment.insert(name, (is_set == 1).then_some(value));
        }
        input.0.is_empty().then_some(made)
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn text(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn path(&mut self, path: &Path) {
        self.text(path.as_os_str().as_bytes());
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn path(&mut self) -> Option<PathBuf> {
        Some(std::ffi::OsString::from_vec(self.text()?.to_vec()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Memory;

    fn recorded() -> Recording {
        let mut recorder = Recorder::new(Memory::of("/etc/a.conf", "x\n"));
        recorder.matches(Path::new("/etc"), "*.conf");
        let _ = recorder.read(Path::new("/etc/a.conf"));
        let _ = recorder.read(Path::new("/etc/none"));
        recorder.environment("HOME");
        recorder.real_directory(Path::new("/etc"));
        recorder.into_recording()
    }

    #[test]
    fn a_recording_answers_as_the_disk_did() {
        let mut again = Recording::from_bytes(&recorded().append_to(Vec::new())).unwrap();
        assert_eq!(again, recorded());
        assert_eq!(again.matches(Path::new("/etc"), "*.conf"), [Path::new("a.conf")]);
        assert_eq!(again.read(Path::new("/etc/a.conf")), Ok(b"x\n".to_vec().into()));
        assert_eq!(again.read(Path::new("/etc/none")), Err(ReadError::NotFound));
        assert_eq!(again.environment("HOME"), None);
    }

    #[test]
    fn a_recording_holds_until_anything_answers_otherwise() {
        let recorded = recorded();
        assert!(recorded.still_holds(&mut Memory::of("/etc/a.conf", "x\n")));
        assert!(!recorded.still_holds(&mut Memory::of("/etc/a.conf", "y\n")));
        assert!(!recorded.still_holds(&mut Memory::of("/etc/b.conf", "x\n")));
        let mut more = Memory::of("/etc/a.conf", "x\n");
        more.files.insert("/etc/none".into(), Ok(b"z\n".to_vec()));
        assert!(!recorded.still_holds(&mut more));
    }

    #[test]
    fn a_recording_cut_anywhere_is_no_recording() {
        let bytes = recorded().append_to(Vec::new());
        for cut in 0..bytes.len() {
            assert_eq!(Recording::from_bytes(&bytes[..cut]), None);
        }
    }
}
