//! Messages between our own processes: JSON values, each after its length, over a socket pair; descriptors may ride along.
//!
//! Neither end ever waits: what does not fit into the socket stays in a buffer here.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::unix::AsyncFd;

/// A longer message is refused: the other end is broken.
const MAX_MESSAGE: usize = 16 << 20;
/// Bytes that wait for a reader at most; a child that reads nothing for so long is lost anyway.
const MAX_WAITING: usize = 64 << 20;
const LENGTH: usize = 4;

/// One end of a socket pair.
#[derive(Debug)]
pub struct Channel {
    socket: UnixStream,
    input: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
    output: VecDeque<u8>,
    /// Descriptors to send, with the number of output bytes that go before their message.
    riders: VecDeque<(usize, OwnedFd)>,
}

impl Channel {
    /// Two ends.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self::new(ours)?, theirs.into()))
    }

    /// The end that the parent left on a descriptor.
    pub fn inherited(fd: OwnedFd) -> io::Result<Self> {
        Self::new(UnixStream::from(fd))
    }

    fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (input, descriptors) = (Vec::new(), VecDeque::new());
        Ok(Self { socket, input, descriptors, output: VecDeque::new(), riders: VecDeque::new() })
    }

    /// Within the runtime: ready when the socket is.
    pub fn watch(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: a `Channel` has one descriptor from first to last, and closes it only when it is dropped.
        Ok(unsafe { AsyncFd::register(self) }?)
    }

    /// Queues a message and sends what fits.
    pub fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        self.queue(message, None)
    }

    /// Queues a message that a descriptor rides along with.
    pub fn send_with<T: Serialize>(&mut self, message: &T, descriptor: OwnedFd) -> io::Result<()> {
        self.queue(message, Some(descriptor))
    }

    fn queue<T: Serialize>(&mut self, message: &T, descriptor: Option<OwnedFd>) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        if self.output.len() + bytes.len() > MAX_WAITING {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.riders.extend(descriptor.map(|fd| (self.output.len(), fd)));
        self.output.extend(length.to_ne_bytes());
        self.output.extend(bytes);
        self.flush()
    }

    /// Sends what fits.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            // A rider goes with the first byte of its message, so bytes before that are sent on their own.
            let (rides, until) = match self.riders.front() {
                Some(&(0, _)) => (true, self.riders.get(1).map_or(usize::MAX, |next| next.0)),
                Some(&(before, _)) => (false, before),
                None => (false, usize::MAX),
            };
            let (front, _) = self.output.as_slices();
            let bytes = &front[..front.len().min(until)];
            let sent = if rides {
                let fds = [self.riders[0].1.as_raw_fd()];
                let rights = [ControlMessage::ScmRights(&fds)];
                sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(bytes)], &rights, MsgFlags::MSG_NOSIGNAL, None)
                    .map_err(io::Error::from)
            } else {
                (&self.socket).write(bytes)
            };
            match sent {
                Ok(count) => self.sent(count, rides),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sent(&mut self, count: usize, rode: bool) {
        self.output.drain(..count);
        if rode {
            self.riders.pop_front();
        }
        for rider in &mut self.riders {
            rider.0 -= count;
        }
    }

    /// Whether bytes wait for the socket to become writable.
    pub fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// Reads what is there. `UnexpectedEof` when the other end is gone.
    pub fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        loop {
            let mut space = nix::cmsg_space!([RawFd; 4]);
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let count = match recvmsg::<()>(self.socket.as_raw_fd(), &mut slices, Some(&mut space), flags) {
                Ok(message) => {
                    for control in message.cmsgs()? {
                        if let ControlMessageOwned::ScmRights(fds) = control {
                            self.descriptors.extend(fds.into_iter().map(own));
                        }
                    }
                    message.bytes
                }
                Err(nix::errno::Errno::EAGAIN) => return Ok(()),
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.input.extend_from_slice(&buffer[..count]);
            if self.input.len() > 4 * MAX_MESSAGE {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    /// The next complete message that was read.
    pub fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some((length, rest)) = self.input.split_first_chunk::<LENGTH>() else { return Ok(None) };
        let length = u32::from_ne_bytes(*length) as usize;
        if length > MAX_MESSAGE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let Some(bytes) = rest.get(..length) else { return Ok(None) };
        let message = serde_json::from_slice(bytes)?;
        self.input.drain(..LENGTH + length);
        Ok(Some(message))
    }

    /// The descriptor that rode along with the message just read.
    pub fn descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }

    /// Waits for the socket, for the few places that have nothing else to do.
    pub fn blocking_read(&mut self) -> io::Result<()> {
        self.socket.set_nonblocking(false)?;
        let mut byte = [0; 1];
        let read = self.socket.read(&mut byte);
        self.socket.set_nonblocking(true)?;
        match read? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {
                self.input.push(byte[0]);
                self.fill()
            }
        }
    }
}

fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> (Channel, Channel) {
        let (ours, theirs) = Channel::pair().unwrap();
        (ours, Channel::inherited(theirs).unwrap())
    }

    #[test]
    fn messages_arrive_whole_and_in_order_however_large() {
        let (mut ours, mut theirs) = ends();
        let long = "x".repeat(1 << 20);
        ours.send(&"first").unwrap();
        ours.send(&long).unwrap();
        assert!(ours.wants_write());
        let mut got = Vec::<String>::new();
        while got.len() < 2 {
            ours.flush().unwrap();
            theirs.fill().unwrap();
            while let Some(message) = theirs.receive().unwrap() {
                got.push(message);
            }
        }
        assert_eq!(got, ["first", &long]);
    }

    #[test]
    fn a_descriptor_rides_with_its_message() {
        let (mut ours, mut theirs) = ends();
        let fd = crate::sys::memfd::sealed("t", b"bytes").unwrap();
        ours.send(&1).unwrap();
        ours.send_with(&2, fd).unwrap();
        ours.send(&3).unwrap();
        theirs.fill().unwrap();
        assert_eq!(theirs.receive::<i32>().unwrap(), Some(1));
        assert_eq!(theirs.receive::<i32>().unwrap(), Some(2));
        assert_eq!(crate::sys::memfd::read(theirs.descriptor().unwrap()).unwrap(), b"bytes");
        assert_eq!(theirs.receive::<i32>().unwrap(), Some(3));
        assert!(theirs.descriptor().is_none());
    }

    #[test]
    fn the_end_of_the_other_process_is_seen() {
        let (ours, mut theirs) = ends();
        drop(ours);
        assert_eq!(theirs.fill().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_length_beyond_reason_is_an_error_and_takes_no_memory() {
        let (ours, mut theirs) = ends();
        (&ours.socket).write_all(&u32::MAX.to_ne_bytes()).unwrap();
        theirs.fill().unwrap();
        assert_eq!(theirs.receive::<i32>().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
