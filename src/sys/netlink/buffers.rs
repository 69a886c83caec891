//! Receive buffers of the thread's sockets, as the configuration wants them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::socket::{getsockopt, setsockopt, sockopt};

use super::socket::make_room;
use crate::model::global::BufferSize;

/// The kernel doubles what it is asked for, and stays below 2 GiB.
const LARGEST: usize = i32::MAX as usize / 2;

/// The buffer of a socket that the thread reads: a second hand on it, so that it can be changed meanwhile.
#[derive(Debug)]
pub(super) struct Buffer {
    socket: OwnedFd,
    /// Bytes that it has where nothing else is wanted.
    usual: usize,
    wanted: BufferSize,
}

impl Buffer {
    /// Of a socket that was opened with the usual size.
    pub(super) fn of(socket: &impl AsFd, usual: usize) -> io::Result<Self> {
        let socket = socket.as_fd().try_clone_to_owned()?;
        Ok(Self { socket, usual, wanted: BufferSize::default() })
    }

    /// Changes it if another size than before is wanted; gives what is wrong then, for people.
    pub(super) fn apply(&mut self, keyword: &str, wanted: BufferSize) -> Option<String> {
        if std::mem::replace(&mut self.wanted, wanted) == wanted {
            return None;
        }
        let bytes = usize::try_from(wanted.bytes).map_or(LARGEST, |bytes| bytes.min(LARGEST));
        let set = match wanted {
            BufferSize { bytes: 0, .. } => make_room(&self.socket, self.usual),
            BufferSize { force: true, .. } => setsockopt(&self.socket, sockopt::RcvBufForce, &bytes),
            BufferSize { force: false, .. } => setsockopt(&self.socket, sockopt::RcvBuf, &bytes),
        };
        if let Err(errno) = set {
            return Some(format!("{keyword}: cannot have a receive buffer of {bytes} bytes: {}", errno.desc()));
        }
        let given = getsockopt(&self.socket, sockopt::RcvBuf).map_or(bytes, |doubled| doubled / 2);
        (given < bytes).then(|| {
            format!(
                "{keyword}: the system gives {given} of {bytes} bytes (net.core.rmem_max); {keyword}_force gets all"
            )
        })
    }
}
