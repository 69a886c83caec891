//! What was read, to know later whether reading it again would give the same.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::source::{Files, ReadError};

/// Reads through another [`Files`] and remembers every answer: what is asked twice is the same twice.
#[derive(Debug)]
pub struct Recorder<F> {
    files: F,
    read: BTreeMap<PathBuf, Result<Arc<Vec<u8>>, ReadError>>,
    recording: Recording,
}

impl<F: Files> Recorder<F> {
    /// Remembers what `files` answers.
    pub fn new(files: F) -> Self {
        Self { files, read: BTreeMap::new(), recording: Recording::default() }
    }

    /// What was answered.
    pub fn into_recording(self) -> Recording {
        let mut recording = self.recording;
        let key = &recording.key;
        recording.files = self.read.into_iter().map(|(path, answer)| (path, fingerprint(key, answer))).collect();
        recording
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
        self.read.entry(path.to_owned()).or_insert_with(|| files.read(path)).clone()
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

/// Questions with their answers; of a file's bytes, which may be very many, a fingerprint.
#[derive(Debug, Default)]
pub struct Recording {
    /// Nobody knows it: two texts with the same fingerprint are the same text, but for one chance in 2^64.
    key: RandomState,
    matches: BTreeMap<(PathBuf, String), Vec<PathBuf>>,
    files: BTreeMap<PathBuf, Result<u64, ReadError>>,
    directories: BTreeMap<PathBuf, PathBuf>,
    environment: BTreeMap<String, Option<String>>,
}

impl Recording {
    /// Whether `files` give the same answers now.
    pub fn still_holds(&self, files: &mut impl Files) -> bool {
        self.matches.iter().all(|((directory, pattern), paths)| files.matches(directory, pattern) == *paths)
            && self.directories.iter().all(|(path, real)| files.real_directory(path) == *real)
            && self.environment.iter().all(|(name, value)| files.environment(name) == *value)
            && self.files.iter().all(|(path, answer)| fingerprint(&self.key, files.read(path)) == *answer)
    }
}

fn fingerprint(key: &RandomState, answer: Result<Arc<Vec<u8>>, ReadError>) -> Result<u64, ReadError> {
    answer.map(|bytes| key.hash_one(bytes.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Memory;

    fn recorder() -> Recorder<Memory> {
        let mut recorder = Recorder::new(Memory::of("/etc/a.conf", "x\n"));
        assert_eq!(recorder.matches(Path::new("/etc"), "*.conf"), [Path::new("a.conf")]);
        assert_eq!(recorder.read(Path::new("/etc/a.conf")), Ok(b"x\n".to_vec().into()));
        assert_eq!(recorder.read(Path::new("/etc/none")), Err(ReadError::NotFound));
        assert_eq!(recorder.environment("HOME"), None);
        recorder.real_directory(Path::new("/etc"));
        recorder
    }

    #[test]
    fn what_is_read_twice_is_the_same_twice() {
        let mut recorder = recorder();
        recorder.files = Memory::of("/etc/a.conf", "y\n");
        assert_eq!(recorder.read(Path::new("/etc/a.conf")), Ok(b"x\n".to_vec().into()));
    }

    #[test]
    fn a_recording_holds_until_anything_answers_otherwise() {
        let recorded = recorder().into_recording();
        assert!(recorded.still_holds(&mut Memory::of("/etc/a.conf", "x\n")));
        assert!(!recorded.still_holds(&mut Memory::of("/etc/a.conf", "y\n")));
        assert!(!recorded.still_holds(&mut Memory::of("/etc/b.conf", "x\n")));
        let mut more = Memory::of("/etc/a.conf", "x\n");
        more.files.insert("/etc/none".into(), Ok(b"z\n".to_vec()));
        assert!(!recorded.still_holds(&mut more));
        let mut other = Memory::of("/etc/a.conf", "x\n");
        other.environment.insert("HOME".into(), "/root".into());
        assert!(!recorded.still_holds(&mut other));
    }
}
