//! A channel in the loop: read and sent whenever the poller says so.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sys::channel::Channel;

/// One end of a channel.
#[derive(Debug)]
pub(super) struct Post(Channel);

impl Post {
    pub(super) const fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// Queues a message. An error means that the other end is gone, which [`Self::turn`] will tell.
    pub(super) fn send<T: Serialize>(&mut self, message: &T) {
        if let Err(error) = self.0.send(message) {
            tracing::debug!("cannot send to another process of ours: {error}");
        }
    }

    /// Sends what waits and reads what came; fails when the other end is gone. Then take all messages with
    /// [`Self::receive`].
    pub(super) fn turn(&mut self) -> io::Result<()> {
        // What the other end has said before it went is read all the same.
        let sent = self.0.flush();
        self.0.fill().and(sent)
    }

    /// The next message that was read.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        self.0.receive()
    }

    /// The descriptor that rode along with the message just read.
    pub(super) fn descriptor(&mut self) -> Option<OwnedFd> {
        self.0.descriptor()
    }
}

impl AsFd for Post {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
