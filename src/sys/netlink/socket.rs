//! Netlink sockets: requests with answers within a time limit, and the dumps and notifications of NETLINK_ROUTE.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};

use super::message::{self, Address, Header, Told};
use crate::sys::clock;
use crate::time::{Duration, Instant};
use crate::vrrp::io::{Link, Snapshot};

/// How often a dump that changes disturbed is begun again before the last one is taken as it is.
const DUMP_TRIES: u32 = 10;
/// The kernel makes dump datagrams of at most 32 KiB; a link with many virtual functions may be larger.
const DATAGRAM: usize = 128 * 1024;

/// All that a dump tells.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    /// Every link.
    pub(crate) links: Vec<Link>,
    /// Every address, also those that are not usable yet.
    pub(crate) addresses: Vec<Address>,
    /// Changes disturbed each try: something may be missing, and another dump is due later.
    pub(crate) is_torn: bool,
}

impl Dump {
    /// What the engine has to know of it.
    pub(crate) fn snapshot(self) -> Snapshot {
        let usable = self.addresses.iter().filter(|address| address.usable);
        let addresses = usable.map(|address| (address.link, address.cidr)).collect();
        Snapshot { links: self.links, addresses }
    }
}

/// A netlink socket, never blocking: requests, and answers within a time limit.
pub(crate) struct NetlinkSocket {
    socket: Socket,
    port: u32,
    sequence: u32,
    answer_limit: Duration,
    datagram: Box<[u8]>,
}

/// The sockets of this floor say who they are, not what is in their buffers.
impl std::fmt::Debug for NetlinkSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetlinkSocket").field("port", &self.port).finish_non_exhaustive()
    }
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl NetlinkSocket {
    /// Opens one of a protocol with room for `receive_buffer` bytes of what the kernel says (as far as it lets us),
    /// joined to `groups`. An answer may take `answer_limit`.
    pub(crate) fn open(
        protocol: isize,
        receive_buffer: usize,
        groups: &[u32],
        answer_limit: Duration,
    ) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        let address = socket.bind_auto()?;
        socket.set_non_blocking(true)?;
        // Answers need not repeat the request; kernels before 4.3 do it anyway.
        let _ = socket.set_cap_ack(true);
        make_room(&socket, receive_buffer)?;
        for group in groups {
            socket.add_membership(*group)?;
        }
        let datagram = vec![0; DATAGRAM].into_boxed_slice();
        Ok(Self { socket, port: address.port_number(), sequence: 0, answer_limit, datagram })
    }

    /// Its port: what notifications carry that a request of this socket caused.
    pub(crate) const fn port(&self) -> u32 {
        self.port
    }

    /// How long an answer may take.
    pub(crate) const fn answer_limit(&self) -> Duration {
        self.answer_limit
    }

    /// A number for the next request; never 0, which notifications carry.
    pub(crate) const fn next_sequence(&mut self) -> u32 {
        self.sequence = match self.sequence.wrapping_add(1) {
            0 => 1,
            next => next,
        };
        self.sequence
    }

    /// Sends requests. The kernel carries them out before this returns, and has answered them.
    pub(crate) fn send(&self, requests: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send_to(requests, &SocketAddr::new(0, 0), 0) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads one datagram of the kernel if one waits. Whatever other processes send is passed over. `Ok(false)` says
    /// nothing waits; ENOBUFS says that something was lost.
    pub(crate) fn receive(&mut self, read: impl FnOnce(&[u8])) -> io::Result<bool> {
        let mut buffer = &mut self.datagram[..];
        match self.socket.recv_from(&mut buffer, libc::MSG_DONTWAIT | libc::MSG_TRUNC) {
            Ok((length, _)) if length > self.datagram.len() => Err(Errno::ENOBUFS.into()),
            Ok((length, sender)) => {
                if sender.port_number() == 0 {
                    read(&self.datagram[..length]);
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Waits until something can be read; `false` where `until` comes first.
    pub(crate) fn wait(&self, until: Instant) -> io::Result<bool> {
        loop {
            let left = until.since(clock::now());
            let millis = PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], millis) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Lets so many bytes wait on a socket, or as many as the system allows.
pub(super) fn make_room(socket: &impl AsFd, bytes: usize) -> nix::Result<()> {
    // Beyond net.core.rmem_max only with CAP_NET_ADMIN in the first user namespace.
    setsockopt(&socket.as_fd(), sockopt::RcvBufForce, &bytes)
        .or_else(|_| setsockopt(&socket.as_fd(), sockopt::RcvBuf, &bytes))
}

/// A NETLINK_ROUTE socket.
#[derive(Debug)]
pub(crate) struct RouteSocket {
    /// What it has in common with others.
    pub(crate) netlink: NetlinkSocket,
}

impl AsFd for RouteSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }
}

impl RouteSocket {
    /// As [`NetlinkSocket::open`], with groups RTNLGRP_*.
    pub(crate) fn open(receive_buffer: usize, groups: &[u32], answer_limit: Duration) -> io::Result<Self> {
        Ok(Self { netlink: NetlinkSocket::open(NETLINK_ROUTE, receive_buffer, groups, answer_limit)? })
    }

    /// As [`NetlinkSocket::receive`], message by message.
    pub(crate) fn receive(&mut self, each: impl FnMut(Header, Told)) -> io::Result<bool> {
        self.netlink.receive(|datagram| message::parse(datagram, each))
    }

    /// Links and addresses.
    pub(crate) fn dump(&mut self) -> io::Result<Dump> {
        let mut tries = DUMP_TRIES;
        loop {
            tries -= 1;
            let mut dump = Dump::default();
            let links_whole = self.dump_one(message::dump_links, |told| {
                if let Told::Link(link) = told {
                    dump.links.push(link);
                }
            })?;
            let addresses_whole = self.dump_one(message::dump_addresses, |told| {
                if let Told::Address(address) = told {
                    dump.addresses.push(address);
                }
            })?;
            dump.is_torn = !links_whole || !addresses_whole;
            if !dump.is_torn || tries == 0 {
                return Ok(dump);
            }
        }
    }

    /// One dump; `Ok(false)` where a change disturbed it.
    fn dump_one(&mut self, request: fn(&mut Vec<u8>, u32), mut each: impl FnMut(Told)) -> io::Result<bool> {
        let sequence = self.netlink.next_sequence();
        let mut bytes = Vec::new();
        request(&mut bytes, sequence);
        self.netlink.send(&bytes)?;
        let until = clock::now() + self.netlink.answer_limit();
        let (mut end, mut whole) = (None, true);
        while end.is_none() {
            if !self.netlink.wait(until)? {
                return Err(Errno::ETIMEDOUT.into());
            }
            self.receive(|header, told| match told {
                _ if header.sequence != sequence => {}
                Told::Done(code) | Told::Answer(code) => end = Some((code, header.interrupted)),
                told => {
                    whole &= !header.interrupted;
                    each(told);
                }
            })?;
        }
        match end {
            Some((0, interrupted)) => Ok(whole && !interrupted),
            Some((code, _)) => Err(io::Error::from_raw_os_error(code)),
            None => Ok(whole),
        }
    }
}
