//! A queue between threads whose reader can be waited for like any descriptor. Sending never waits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use nix::sys::eventfd::{EfdFlags, EventFd};

/// The end that things are put in at. When the last is dropped, the mailbox is closed.
#[derive(Debug)]
pub struct Sender<T> {
    /// None only while it is dropped.
    queue: Option<mpsc::Sender<T>>,
    bell: Arc<Bell>,
}

/// The end that things come out of.
#[derive(Debug)]
pub struct Mailbox<T> {
    queue: mpsc::Receiver<T>,
    bell: Arc<Bell>,
    is_closed: bool,
}

/// Both ends.
pub fn mailbox<T>() -> io::Result<(Sender<T>, Mailbox<T>)> {
    let fd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let bell = Arc::new(Bell { fd, rung: AtomicBool::new(false) });
    let (sender, queue) = mpsc::channel();
    Ok((Sender { queue: Some(sender), bell: Arc::clone(&bell) }, Mailbox { queue, bell, is_closed: false }))
}

impl<T> Sender<T> {
    /// Puts something in; it is lost where the other end is gone.
    pub fn send(&self, item: T) {
        if self.queue.as_ref().is_some_and(|queue| queue.send(item).is_ok()) {
            self.bell.ring();
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), bell: Arc::clone(&self.bell) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.queue = None;
        self.bell.ring();
    }
}

impl<T> Mailbox<T> {
    /// What came next, if anything waits.
    pub fn try_next(&mut self) -> Option<T> {
        // Before looking: what comes after that rings again.
        self.bell.silence();
        match self.queue.try_recv() {
            Ok(item) => Some(item),
            Err(error) => {
                self.is_closed |= error == mpsc::TryRecvError::Disconnected;
                None
            }
        }
    }

    /// Nothing waited the last time, and nothing will come any more.
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }
}

impl<T> AsFd for Mailbox<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.fd.as_fd()
    }
}

/// Rings once, however much comes before it is heard.
#[derive(Debug)]
struct Bell {
    fd: EventFd,
    rung: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // It can only fail with 2^64 - 2 rings unheard.
            let _ = self.fd.write(1);
        }
    }

    fn silence(&self) {
        // Mostly it has not rung, and a look does not take the cache line from the other thread.
        if self.rung.load(Ordering::Acquire) && self.rung.swap(false, Ordering::AcqRel) {
            let _ = self.fd.read();
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn rings(mailbox: &Mailbox<u32>) -> bool {
        let mut fds = [PollFd::new(mailbox.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
    }

    #[test]
    fn it_rings_while_something_may_wait_and_is_silent_afterwards() {
        let (sender, mut mailbox) = mailbox().unwrap();
        assert!(!rings(&mailbox));
        sender.send(1);
        sender.send(2);
        assert!(rings(&mailbox));
        assert_eq!((mailbox.try_next(), mailbox.try_next(), mailbox.try_next()), (Some(1), Some(2), None));
        assert!(!rings(&mailbox) && !mailbox.is_closed());
    }

    #[test]
    fn nothing_is_left_unheard_whatever_the_threads_do() {
        const COUNT: u32 = 20_000;
        let (sender, mut mailbox) = mailbox().unwrap();
        let thread = std::thread::spawn(move || (0..COUNT).for_each(|number| sender.send(number)));
        let mut expected = 0;
        while !mailbox.is_closed() {
            let mut fds = [PollFd::new(mailbox.as_fd(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut fds, PollTimeout::from(10_000_u16)).unwrap(), 1, "nothing rang after {expected}");
            while let Some(number) = mailbox.try_next() {
                assert_eq!(number, expected);
                expected += 1;
            }
        }
        assert_eq!(expected, COUNT);
        thread.join().unwrap();
    }

    #[test]
    fn the_last_sender_that_goes_closes_it() {
        let (sender, mut mailbox) = mailbox::<u32>().unwrap();
        drop(sender.clone());
        assert!(mailbox.try_next().is_none() && !mailbox.is_closed());
        drop(sender);
        assert!(rings(&mailbox));
        assert!(mailbox.try_next().is_none() && mailbox.is_closed());
    }
}
