//! Paths on their way to another process: bytes, since a file name need not be UTF-8.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What has bytes for its paths.
pub(super) trait Raw: Sized {
    type Bytes<'a>: Serialize
    where
        Self: 'a;
    type Owned: for<'de> Deserialize<'de>;
    fn bytes(&self) -> Self::Bytes<'_>;
    fn made(bytes: Self::Owned) -> Self;
}

impl Raw for PathBuf {
    type Bytes<'a> = &'a [u8];
    type Owned = Vec<u8>;
    fn bytes(&self) -> &[u8] {
        OsStr::as_bytes(self.as_os_str())
    }
    fn made(bytes: Vec<u8>) -> Self {
        OsString::from_vec(bytes).into()
    }
}

impl<T: Raw> Raw for Option<T> {
    type Bytes<'a>
        = Option<T::Bytes<'a>>
    where
        T: 'a;
    type Owned = Option<T::Owned>;
    fn bytes(&self) -> Option<T::Bytes<'_>> {
        self.as_ref().map(T::bytes)
    }
    fn made(bytes: Option<T::Owned>) -> Self {
        bytes.map(T::made)
    }
}

pub(super) fn serialize<S: Serializer>(value: &impl Raw, serializer: S) -> Result<S::Ok, S::Error> {
    value.bytes().serialize(serializer)
}

pub(super) fn deserialize<'de, T: Raw, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::Owned::deserialize(deserializer).map(T::made)
}
