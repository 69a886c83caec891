//! A channel in the runtime: reads and sends whenever the socket lets it.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::unix::AsyncFd;

use crate::sys::channel::Channel;

/// One end of a channel.
#[derive(Debug)]
pub struct Link(AsyncFd<Channel>);

impl Link {
    /// Must be called within a runtime.
    pub fn new(channel: Channel) -> io::Result<Self> {
        Ok(Self(channel.watch()?))
    }

    /// Queues a message. An error means that the other end is gone, which [`Self::poll`] will tell.
    pub fn send<T: Serialize>(&mut self, message: &T) {
        if let Err(error) = self.0.get_mut().send(message) {
            tracing::debug!("cannot send to another process of ours: {error}");
        }
    }

    /// Queues a message that a descriptor rides along with.
    pub fn send_with<T: Serialize>(&mut self, message: &T, descriptor: OwnedFd) {
        if let Err(error) = self.0.get_mut().send_with(message, descriptor) {
            tracing::debug!("cannot send to another process of ours: {error}");
        }
    }

    /// Sends what waits; ready when something was read, or the other end is gone. Then take all messages with
    /// [`Self::receive`].
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.0.get_ref().wants_write() {
            let Poll::Ready(guard) = self.0.poll_write_ready_mut(cx) else { break };
            let mut guard = guard?;
            guard.get_inner_mut().flush()?;
            if guard.get_inner().wants_write() {
                guard.clear_ready();
            }
        }
        match self.0.poll_read_ready_mut(cx) {
            Poll::Ready(guard) => {
                let mut guard = guard?;
                guard.clear_ready();
                Poll::Ready(guard.get_inner_mut().fill())
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Waits as [`Self::poll`] does.
    pub async fn ready(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// The next message that was read.
    pub fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        self.0.get_mut().receive()
    }

    /// The descriptor that rode along with the message just read.
    pub fn descriptor(&mut self) -> Option<OwnedFd> {
        self.0.get_mut().descriptor()
    }
}
