//! Netlink requests that wait for their answers.

use std::io;

use nix::errno::Errno;
use rtnetlink::packet_core::{ErrorBuffer, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer};

use crate::sys::clock;
use crate::sys::netlink::socket::NetlinkSocket;

const HEADER_LEN: usize = 16;
/// Below it are the messages of netlink itself.
const NLMSG_MIN_TYPE: u16 = 16;

/// A socket with what is sent through it.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) socket: NetlinkSocket,
    pub(super) bytes: Vec<u8>,
}

/// A message of the kernel.
pub(super) enum Told<'a> {
    /// To a request that failed, or that asked for it: errno, 0 for success.
    Answer(i32),
    /// The end of a dump.
    Done(i32),
    /// Of a family.
    Message(&'a [u8]),
}

impl Exchange {
    pub(super) const fn new(socket: NetlinkSocket) -> Self {
        Self { socket, bytes: Vec::new() }
    }

    /// Sends one request, which `append` makes with this sequence number, and reads up to its answer, or to the end of
    /// the dump.
    pub(super) fn exchange(
        &mut self,
        append: impl FnOnce(&mut Vec<u8>, u32),
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let sequence = self.socket.next_sequence();
        self.bytes.clear();
        append(&mut self.bytes, sequence);
        self.socket.send(&self.bytes)?;
        let until = clock::now() + self.socket.answer_limit();
        let mut end = None;
        while end.is_none() {
            let received = self.socket.receive(|datagram| {
                messages(datagram, |number, told| match told {
                    _ if number != sequence => {}
                    Told::Answer(errno) | Told::Done(errno) => end = end.or(Some(errno)),
                    Told::Message(payload) => each(payload),
                });
            })?;
            if !received && !self.socket.wait(until)? {
                return Err(Errno::ETIMEDOUT.into());
            }
        }
        match end {
            Some(0) | None => Ok(()),
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// Every message of a datagram, with the number of the request that it answers.
pub(super) fn messages(mut datagram: &[u8], mut each: impl FnMut(u32, Told<'_>)) {
    while let Ok(message) = NetlinkBuffer::new_checked(datagram) {
        let (number, payload) = (message.sequence_number(), message.payload());
        match message.message_type() {
            NLMSG_ERROR => {
                let code = ErrorBuffer::new_checked(payload).ok().and_then(|error| error.code());
                each(number, Told::Answer(code.map_or(0, |code| code.get().saturating_neg())));
            }
            NLMSG_DONE => {
                let code = payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                each(number, Told::Done(code.saturating_neg()));
            }
            kind if kind >= NLMSG_MIN_TYPE => each(number, Told::Message(payload)),
            _ => {}
        }
        let length = (message.length() as usize).next_multiple_of(4).max(HEADER_LEN);
        datagram = datagram.get(length..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_and_the_end_of_a_dump_are_told_with_the_number_of_their_request() {
        let ack = [36, 0, 0, 0, 2, 0, 0, 1, 7, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        let exists = [36, 0, 0, 0, 2, 0, 0, 1, 8, 0, 0, 0, 9, 0, 0, 0, 0xef, 0xff, 0xff, 0xff];
        let done = [20, 0, 0, 0, 3, 0, 2, 0, 9, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        let datagram = [&ack[..], &[0; 16], &exists[..], &[0; 16], &done[..]].concat();
        let mut told = Vec::new();
        messages(&datagram, |number, message| match message {
            Told::Answer(errno) => told.push((number, "answer", errno)),
            Told::Done(errno) => told.push((number, "done", errno)),
            Told::Message(_) => told.push((number, "message", 0)),
        });
        assert_eq!(told, [(7, "answer", 0), (8, "answer", libc::EEXIST), (9, "done", 0)]);
    }

    proptest! {
        #[test]
        fn no_datagram_can_stop_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            messages(&bytes, |_, _| {});
        }
    }
}
