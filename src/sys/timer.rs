//! One deadline as a timerfd: tokio's own timer is 1 to 2 ms late, this one some microseconds.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::time::{Duration, Instant};

/// A deadline on CLOCK_MONOTONIC that can be awaited.
#[derive(Debug)]
pub struct Deadline {
    timer: AsyncFd<Timer>,
    set: Option<Instant>,
}

#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Deadline {
    /// No deadline yet. Must be called within a tokio runtime.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        // SAFETY: a `Timer` has one descriptor from first to last, and closes it only when it is dropped.
        let timer = unsafe { AsyncFd::register_with_interest(Timer(timer), Interest::READABLE)? };
        Ok(Self { timer, set: None })
    }

    /// Moves the deadline; one that has passed expires at once. Costs a system call only where it changes.
    pub fn set(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        if self.set == deadline {
            return Ok(());
        }
        match deadline {
            // An all-zero time would disarm the timer.
            Some(at) => {
                let at = TimeSpec::from_duration(at.since(Instant::ZERO).max(Duration::from_nanos(1)));
                self.timer.get_ref().0.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
            None => self.timer.get_ref().0.unset()?,
        }
        self.set = deadline;
        Ok(())
    }

    /// Waits until the deadline has passed; for ever where none is set. Cancel safe. May rarely return early, when a
    /// deadline that had just passed was moved: the caller compares with the clock anyway.
    ///
    /// The expiry is never read: arming the timer again clears it, and the edge-triggered wake-up comes once for each.
    pub async fn expired(&mut self) -> io::Result<()> {
        self.timer.readable().await?.clear_ready();
        // The same deadline set again must arm the timer again.
        self.set = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::now;

    fn run<F: Future>(test: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    /// Whether `future` is ready after everything that the kernel has to say was heard.
    async fn is_ready(deadline: &mut Deadline) -> bool {
        tokio::select! {
            biased;
            _ = deadline.expired() => true,
            () = async { for _ in 0..200 { tokio::task::yield_now().await } } => false,
        }
    }

    #[test]
    fn every_deadline_expires_once_though_the_timer_is_never_read() {
        run(async {
            let mut deadline = Deadline::new().unwrap();
            for _ in 0..50 {
                let at = now() + Duration::from_micros(200);
                deadline.set(Some(at)).unwrap();
                deadline.expired().await.unwrap();
                assert!(now() >= at);
                assert!(!is_ready(&mut deadline).await, "it expired twice");
            }
        });
    }

    #[test]
    fn a_deadline_in_the_past_expires_at_once_and_again_when_set_again() {
        run(async {
            let mut deadline = Deadline::new().unwrap();
            for _ in 0..3 {
                deadline.set(Some(Instant::ZERO)).unwrap();
                deadline.expired().await.unwrap();
            }
        });
    }

    #[test]
    fn a_deadline_that_is_taken_back_or_put_off_does_not_expire() {
        run(async {
            let mut deadline = Deadline::new().unwrap();
            deadline.set(Some(Instant::ZERO)).unwrap();
            deadline.set(None).unwrap();
            assert!(!is_ready(&mut deadline).await);
            deadline.set(Some(Instant::ZERO)).unwrap();
            deadline.set(Some(now() + Duration::from_secs(3600))).unwrap();
            assert!(!is_ready(&mut deadline).await);
        });
    }
}
