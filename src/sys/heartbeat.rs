//! A number that one process counts up and another looks at: whether the first still turns its loop costs neither a
//! system call.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::memfd::{MFdFlags, memfd_create};

/// One page shared with another process.
#[derive(Debug)]
pub struct Heartbeat {
    page: NonNull<AtomicU64>,
}

// SAFETY: the page is only ever used as an atomic number.
unsafe impl Send for Heartbeat {}

const PAGE: usize = 4096;

impl Heartbeat {
    /// A new one, and the descriptor that gives another process the same.
    pub fn new() -> io::Result<(Self, OwnedFd)> {
        let fd = memfd_create("heartbeat", MFdFlags::MFD_CLOEXEC)?;
        nix::unistd::ftruncate(&fd, PAGE as i64)?;
        Ok((Self::shared(&fd)?, fd))
    }

    /// The one behind a descriptor.
    pub fn shared(fd: &OwnedFd) -> io::Result<Self> {
        // Touching a page behind the end of a shorter file would kill us.
        if nix::sys::stat::fstat(fd)?.st_size < PAGE as i64 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses a free place for the page; the descriptor is open.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, access, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let page = NonNull::new(page.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { page })
    }

    fn number(&self) -> &AtomicU64 {
        // SAFETY: the page is mapped as long as `self` lives, is aligned, and every use of it is atomic.
        unsafe { self.page.as_ref() }
    }

    /// Counts up.
    pub fn beat(&self) {
        self.number().fetch_add(1, Ordering::Relaxed);
    }

    /// How far it has counted.
    pub fn count(&self) -> u64 {
        self.number().load(Ordering::Relaxed)
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        // SAFETY: mapped by `shared` with this length, and not used after this.
        unsafe { libc::munmap(self.page.as_ptr().cast(), PAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_see_the_same_number() {
        let (ours, fd) = Heartbeat::new().unwrap();
        let theirs = Heartbeat::shared(&fd).unwrap();
        assert_eq!(ours.count(), 0);
        theirs.beat();
        theirs.beat();
        assert_eq!(ours.count(), 2);
    }

    #[test]
    fn a_file_that_is_too_short_is_refused() {
        let fd = memfd_create("short", MFdFlags::MFD_CLOEXEC).unwrap();
        assert!(Heartbeat::shared(&fd).is_err());
    }
}
