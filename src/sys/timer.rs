//! One deadline as a descriptor, for where nothing better waits until a deadline: tokio's timer, and epoll_wait, count
//! in milliseconds and round up.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::time::{Duration, Instant};

/// A timerfd on CLOCK_MONOTONIC. It is never read: setting it again clears it, and to an edge-triggered epoll each expiry
/// is told once.
#[derive(Debug)]
pub struct Deadline {
    timer: TimerFd,
    set: Option<Instant>,
}

impl Deadline {
    /// No deadline yet.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        Ok(Self { timer, set: None })
    }

    /// Within the runtime: ready each time the deadline expires.
    pub fn watch(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: it has one descriptor from first to last.
        Ok(unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) }?)
    }

    /// Moves the deadline; one that has passed expires at once, each time it is set. Costs a system call only where it
    /// changes, or has passed.
    pub fn set(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        if self.set == deadline && deadline.is_none_or(|at| at > super::clock::now()) {
            return Ok(());
        }
        match deadline {
            // An all-zero time would disarm the timer.
            Some(at) => {
                let at = TimeSpec::from_duration(at.since(Instant::ZERO).max(Duration::from_nanos(1)));
                self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
            None => self.timer.unset()?,
        }
        self.set = deadline;
        Ok(())
    }
}

impl AsFd for Deadline {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

impl AsRawFd for Deadline {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
