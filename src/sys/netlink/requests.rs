//! Changes of addresses: sent together, answered each, never waited for without a limit.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;

use super::Tuning;
use super::message::{self, Change, Told};
use super::socket::{Dump, RouteSocket};
use crate::sys::clock;
use crate::vrrp::io::{Failure, Holding};

/// Requests in one send: few enough that the first announcement of many need not wait long, and that the answers fit
/// the receive buffer of a process without privileges.
pub(crate) const WINDOW: usize = 32;

/// A change with the kernel's answer to it.
#[derive(Debug)]
pub(crate) struct Request {
    /// Add or remove.
    pub(crate) change: Change,
    /// What.
    pub(crate) holding: Holding,
    sequence: u32,
    answer: Option<i32>,
}

impl Request {
    /// A change that has yet to be made.
    pub(crate) const fn new(change: Change, holding: Holding) -> Self {
        Self { change, holding, sequence: 0, answer: None }
    }

    /// Why it did not work. What was there already, or gone already, is as it should be.
    pub(crate) fn failure(&self) -> Option<Failure> {
        match (self.change, self.answer.unwrap_or(libc::ETIMEDOUT)) {
            (_, 0) | (Change::Add, libc::EEXIST) => None,
            // ENODEV: its addresses went with the link.
            (Change::Remove, libc::EADDRNOTAVAIL | libc::ENODEV) => None,
            (Change::Add, errno) => Some(Failure::AddAddress(self.holding.clone(), errno)),
            (Change::Remove, errno) => Some(Failure::RemoveAddress(self.holding.clone(), errno)),
        }
    }

    fn is_done_in(&self, dump: &Dump) -> bool {
        let cidr = self.holding.address.cidr;
        let found = dump.addresses.iter().any(|there| (there.link, there.cidr) == (self.holding.link, cidr));
        found == (self.change == Change::Add)
    }
}

/// The socket that requests go through.
#[derive(Debug)]
pub(crate) struct Requests {
    socket: RouteSocket,
    bytes: Vec<u8>,
}

impl AsFd for Requests {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Requests {
    /// Opens the socket.
    pub(crate) fn open(tuning: Tuning) -> io::Result<Self> {
        Ok(Self { socket: RouteSocket::open(tuning.answers, &[], tuning.answer_limit)?, bytes: Vec::new() })
    }

    /// What notifications carry that our requests caused.
    pub(crate) const fn port(&self) -> u32 {
        self.socket.netlink.port()
    }

    /// All links and addresses.
    pub(crate) fn dump(&mut self) -> io::Result<Dump> {
        self.socket.dump()
    }

    /// Makes at most [`WINDOW`] changes, in order, and notes the answers. Those that the kernel does not answer in time
    /// are told to `unanswered`, looked up, and asked for once more if they have not happened.
    pub(crate) fn carry_out(&mut self, requests: &mut [Request], mut unanswered: impl FnMut(&Holding)) {
        self.once(requests);
        if requests.iter().all(|request| request.answer.is_some()) {
            return;
        }
        let dump = self.dump();
        for request in requests.iter_mut().filter(|request| request.answer.is_none()) {
            unanswered(&request.holding);
            if dump.as_ref().is_ok_and(|dump| request.is_done_in(dump)) {
                request.answer = Some(0);
            }
        }
        self.once(requests);
    }

    /// Sends what has no answer yet and takes the answers that come in time.
    fn once(&mut self, requests: &mut [Request]) {
        self.bytes.clear();
        for request in requests.iter_mut().filter(|request| request.answer.is_none()) {
            request.sequence = self.socket.netlink.next_sequence();
            message::change_address(&mut self.bytes, request.change, &request.holding, request.sequence);
        }
        if self.bytes.is_empty() {
            return;
        }
        if let Err(error) = self.socket.netlink.send(&self.bytes) {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            requests.iter_mut().for_each(|request| _ = request.answer.get_or_insert(errno));
            return;
        }
        let until = clock::now() + self.socket.netlink.answer_limit();
        let mut next = 0;
        while let Some(waiting) = requests[next..].iter().position(|request| request.answer.is_none()) {
            next += waiting;
            let received = self.socket.receive(|header, told| {
                // The kernel answers in order.
                let asked = requests[next..].iter_mut().find(|request| request.sequence == header.sequence);
                if let (Told::Answer(errno), Some(request)) = (told, asked) {
                    request.answer.get_or_insert(errno);
                }
            });
            match received {
                Ok(true) => {}
                Ok(false) if matches!(self.socket.netlink.wait(until), Ok(true)) => {}
                // Late, or lost: the caller reads what has become of them.
                Ok(false) => return,
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {}
                Err(_) => return,
            }
        }
    }
}
