//! Waiting for many connections that are being made.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Told by one system call.
const EVENTS: usize = 256;

/// Sockets that are watched until something becomes of them, once each.
#[derive(Debug)]
pub struct Connecting(AsyncFd<Watch>);

/// What has become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing yet.
    Waits,
    /// It is there.
    Connected,
    /// Its socket knows why not.
    Ended,
}

#[derive(Debug)]
struct Watch(Epoll);

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

impl Connecting {
    /// Within a runtime: none yet.
    pub fn new() -> io::Result<Self> {
        let watch = Watch(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        // SAFETY: its descriptor is the same from first to last, and closed after the registration ends.
        Ok(Self(unsafe { AsyncFd::register_with_interest(watch, Interest::READABLE) }?))
    }

    /// Watches a socket; closing it ends that.
    pub fn watch(&self, socket: &impl AsFd, token: u64) -> io::Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLOUT | EpollFlags::EPOLLONESHOT, token);
        Ok(self.0.get_ref().0.add(socket, event)?)
    }

    /// Waits until something has become of one of them. May rarely be wrong.
    pub async fn ready(&self) {
        // The runtime watches as long as it lives; there is no other error.
        if let Ok(mut guard) = self.0.readable().await {
            guard.clear_ready();
        }
    }

    /// What has become of which, without waiting, since the last time.
    pub fn states(&self) -> Vec<(u64, State)> {
        let mut found = Vec::new();
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let count = self.0.get_ref().0.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
            let bad = EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP;
            let state =
                |event: &EpollEvent| if event.events().intersects(bad) { State::Ended } else { State::Connected };
            found.extend(events[..count].iter().map(|event| (event.data(), state(event))));
            if count < EVENTS {
                return found;
            }
        }
    }
}

/// What has become of these now, in one system call.
pub fn look<'a, S: AsFd + 'a>(sockets: impl Iterator<Item = &'a S>) -> Vec<State> {
    let mut waits: Vec<_> = sockets.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLOUT)).collect();
    // Where the kernel cannot say, all of them wait.
    let _ = poll(&mut waits, PollTimeout::ZERO);
    let bad = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
    let state = |wait: &PollFd<'_>| match wait.revents() {
        None => State::Waits,
        Some(flags) if flags.is_empty() => State::Waits,
        Some(flags) if flags.intersects(bad) => State::Ended,
        Some(_) => State::Connected,
    };
    waits.iter().map(state).collect()
}
