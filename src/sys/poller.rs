//! Waiting for many descriptors and one deadline in one system call.
//!
//! The loop that sends adverts wakes for one packet or one timer, again and again, and everything it runs for that is
//! cold in the cache. A runtime with a future for each source touched more of its own memory in a turn than all the
//! rest: with this, an advert by itself takes two system calls (epoll_pwait2, sendmmsg) and a third less CPU.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::clock;
use super::timer::Deadline;
use crate::time::Instant;

/// What a kernel without epoll_pwait2 wakes us with for the deadline.
const DEADLINE: u64 = u64::MAX;
/// Told in one turn; the others come in the next.
const EVENTS: usize = 64;

/// Waits for descriptors, which are known by their tokens.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    events: Box<[EpollEvent; EVENTS]>,
    /// For kernels before 5.11, and for sandboxes that refuse epoll_pwait2.
    timer: Option<Deadline>,
}

impl Poller {
    /// Waits for nothing yet.
    pub fn new() -> io::Result<Self> {
        // Deadlines are not rounded up to the default of 50 µs; it fails for no value.
        let _ = nix::sys::prctl::set_timerslack(1);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, events: Box::new([EpollEvent::empty(); EVENTS]), timer: None })
    }

    /// Tells `token` (not `u64::MAX`) whenever the source becomes readable or writable, once each time: it must be read
    /// until nothing is left. Closing the source ends it.
    pub fn watch(&self, source: &impl AsFd, token: u64) -> io::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        Ok(self.epoll.add(source, EpollEvent::new(flags, token))?)
    }

    /// As `watch`, for what is only read.
    pub fn watch_reading(&self, source: &impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.epoll.add(source, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, token))?)
    }

    /// Waits until something happens, or until the deadline; gives the tokens of what happened. May rarely give none
    /// before the deadline.
    #[inline]
    pub fn wait(&mut self, until: Option<Instant>) -> io::Result<impl Iterator<Item = u64>> {
        let count = match self.wait_precisely(until) {
            Err(Errno::ENOSYS | Errno::EPERM) => self.wait_with_timer(until),
            result => result.map_err(io::Error::from),
        };
        let count = match count {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            count => count?,
        };
        Ok(self.events[..count].iter().map(EpollEvent::data).filter(|token| *token != DEADLINE))
    }

    #[inline]
    fn wait_precisely(&mut self, until: Option<Instant>) -> Result<usize, Errno> {
        if self.timer.is_some() {
            return Err(Errno::ENOSYS);
        }
        let left = until.map(|until| {
            let left = until.since(clock::now());
            libc::timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ }
        });
        let timeout = left.as_ref().map_or(ptr::null(), ptr::from_ref);
        let (epoll, events) = (self.epoll.0.as_raw_fd(), self.events.as_mut_ptr());
        // SAFETY: `EpollEvent` is a transparent epoll_event, there are `EVENTS` of them, the timeout outlives the call,
        // and no signal mask is given.
        let count = unsafe {
            libc::syscall(libc::SYS_epoll_pwait2, epoll, events, EVENTS, timeout, ptr::null::<libc::sigset_t>(), 0)
        };
        Errno::result(count).map(|count| count as usize)
    }

    #[cold]
    fn wait_with_timer(&mut self, until: Option<Instant>) -> io::Result<usize> {
        if self.timer.is_none() {
            let timer = Deadline::new()?;
            self.watch_reading(&timer, DEADLINE)?;
            self.timer = Some(timer);
        }
        if let Some(timer) = &mut self.timer {
            timer.set(until)?;
        }
        Ok(self.epoll.wait(&mut self.events[..], EpollTimeout::NONE)?)
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::time::Duration;

    /// One that has epoll_pwait2, and one that has not.
    fn both() -> [Poller; 2] {
        let without = Poller::new().unwrap();
        let timer = Deadline::new().unwrap();
        without.watch_reading(&timer, DEADLINE).unwrap();
        [Poller::new().unwrap(), Poller { timer: Some(timer), ..without }]
    }

    fn tokens(poller: &mut Poller, until: Option<Instant>) -> Vec<u64> {
        poller.wait(until).unwrap().collect()
    }

    #[test]
    fn it_never_wakes_before_the_deadline_and_each_deadline_wakes_it() {
        for mut poller in both() {
            for micros in [0, 1, 300, 1_500] {
                let until = clock::now() + Duration::from_micros(micros);
                while clock::now() < until {
                    assert!(tokens(&mut poller, Some(until)).is_empty());
                }
            }
            assert!(tokens(&mut poller, Some(Instant::ZERO)).is_empty());
        }
    }

    #[test]
    fn what_becomes_readable_is_told_once_each_time() {
        for mut poller in both() {
            let (mut near, mut far) = UnixStream::pair().unwrap();
            poller.watch_reading(&near, 7).unwrap();
            let past = Some(Instant::ZERO);
            assert!(tokens(&mut poller, past).is_empty());
            for _ in 0..3 {
                far.write_all(b"x").unwrap();
                assert_eq!(tokens(&mut poller, None), [7]);
                assert!(tokens(&mut poller, past).is_empty());
            }
            near.read_exact(&mut [0; 3]).unwrap();
            assert!(tokens(&mut poller, past).is_empty());
            drop(near);
            far.write_all(b"x").unwrap_err();
            assert!(tokens(&mut poller, past).is_empty());
        }
    }

    #[test]
    fn more_than_fits_in_a_turn_comes_in_the_next() {
        for mut poller in both() {
            let pairs: Vec<_> = (0..100).map(|_| UnixStream::pair().unwrap()).collect();
            for (token, (near, far)) in pairs.iter().enumerate() {
                poller.watch_reading(near, token as u64).unwrap();
                (&*far).write_all(b"x").unwrap();
            }
            let mut told = tokens(&mut poller, None);
            told.extend(tokens(&mut poller, None));
            told.sort_unstable();
            assert_eq!(told, (0..100).collect::<Vec<_>>());
        }
    }
}
