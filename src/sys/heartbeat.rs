//! A dead man's switch: a timer that two processes share. One keeps it from expiring as long as its loop turns, and the
//! other sleeps until it does expire: while all is well, that costs the first a system call now and then and the second
//! nothing at all.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll, ready};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::time::{Duration, Instant};

/// The end of the process that beats, or of the one that waits for its silence.
#[derive(Debug)]
pub struct Heartbeat {
    timer: TimerFd,
    /// After so long without a beat it is silent.
    patience: Duration,
    /// Beats before it cost nothing, and change nothing.
    renew: Instant,
}

impl Heartbeat {
    /// A new one, for who waits. Silent until the first beat.
    pub fn new(patience: Duration) -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        Ok(Self { timer, patience, renew: Instant::ZERO })
    }

    /// The one behind a descriptor, for who beats.
    pub fn shared(fd: OwnedFd, patience: Duration) -> io::Result<Self> {
        let kind = nix::fcntl::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()).as_str())?;
        if kind != "anon_inode:[timerfd]" {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: it is a timerfd, and owned by nobody else.
        let timer = unsafe { TimerFd::from_owned_fd(fd) };
        Ok(Self { timer, patience, renew: Instant::ZERO })
    }

    /// For the other process.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.timer.as_fd().try_clone_to_owned()
    }

    /// The loop turns. One call in half the patience is a system call.
    pub fn beat(&mut self, now: Instant) {
        if now >= self.renew {
            self.renew = now + self.patience / 2;
            // It can fail for no time that is not zero.
            let _ =
                self.timer.set(Expiration::OneShot(TimeSpec::from_duration(self.patience)), TimerSetTimeFlags::empty());
        }
    }

    /// Whether there was no beat for as long as patience lasts.
    pub fn is_silent(&self) -> bool {
        matches!(self.timer.get(), Ok(None))
    }

    /// Within the runtime: can be polled.
    pub fn watch(self) -> io::Result<Watched> {
        // SAFETY: it has one descriptor from first to last.
        Ok(Watched(unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) }?))
    }
}

impl AsRawFd for Heartbeat {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for Heartbeat {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

/// A heartbeat that somebody waits for.
#[derive(Debug)]
pub struct Watched(AsyncFd<Heartbeat>);

impl Watched {
    /// Ready each time it falls silent.
    pub fn poll_silence(&self, cx: &mut Context<'_>) -> Poll<()> {
        if let Ok(mut guard) = ready!(self.0.poll_read_ready(cx)) {
            guard.clear_ready();
        }
        Poll::Ready(())
    }

    /// See [`Heartbeat::is_silent`].
    pub fn is_silent(&self) -> bool {
        self.0.get_ref().is_silent()
    }

    /// A beat in place of the other process.
    pub fn beat(&mut self, now: Instant) {
        self.0.get_mut().beat(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock;

    const PATIENCE: Duration = Duration::from_millis(40);

    #[tokio::test]
    async fn who_stops_beating_falls_silent_and_can_come_back() {
        let here = Heartbeat::new(PATIENCE).unwrap();
        let mut there = Heartbeat::shared(here.descriptor().unwrap(), PATIENCE).unwrap();
        let here = here.watch().unwrap();
        assert!(here.is_silent());
        for _ in 0..2 {
            let begun = clock::now();
            there.beat(begun);
            assert!(!here.is_silent() || clock::now() >= begun + PATIENCE);
            std::future::poll_fn(|cx| here.poll_silence(cx)).await;
            assert!(here.is_silent());
            assert!(clock::now() >= begun + PATIENCE);
        }
    }

    #[test]
    fn beats_are_system_calls_only_now_and_then() {
        let mut heart = Heartbeat::new(Duration::from_secs(3600)).unwrap();
        let start = clock::now();
        heart.beat(start);
        let renew = heart.renew;
        heart.beat(renew - Duration::from_nanos(1));
        assert_eq!(heart.renew, renew);
        heart.beat(renew);
        assert!(heart.renew > renew);
    }

    #[test]
    fn what_is_no_timer_is_refused() {
        let (pipe, _) = nix::unistd::pipe().unwrap();
        assert!(Heartbeat::shared(pipe, PATIENCE).is_err());
    }
}
