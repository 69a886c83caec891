//! The raw sockets of VRRP: one pair for all instances that share an interface and a group or an own address. How they
//! are made is in `open`. Receive sockets have no filter: the kernel matches protocol, device and group, and every datagram
//! that is left moves a counter.
//!
//! Adverts that are due together leave in one `sendmmsg` for each socket; what waits comes in through `recvmmsg`. The
//! poller tells which sockets became readable, so a wake-up touches no other.

mod open;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use super::clock;
use super::mmsg::{Destination, Outgoing, ReceiveBatch, SendBatch};
use super::poller::Poller;
use crate::addr::IfIndex;
use crate::histogram::Histogram;
use crate::time::{Duration, Instant};
use crate::vrrp::io::{Failure, PacketMeta, Packets, SendAdvert, SocketKey, SocketScope, SocketSpec};

/// Datagrams taken in one system call.
const RECEIVE_BATCH: usize = 64;
/// IPv4 header with options, AH, 255 IPv6 addresses and an authentication trailer fit; what is longer is no advert.
const DATAGRAM: usize = 4352;

/// Tokens of the sockets begin here; the loop has the smaller ones for itself.
pub const FIRST_TOKEN: u64 = 1 << 32;

/// All pairs of sockets of one process. Belongs to the loop that sends adverts.
#[derive(Debug)]
pub struct Sockets {
    /// Sorted by key.
    pairs: Vec<Pair>,
    /// Tokens given out so far: one is never given twice.
    tokens: u64,
    /// How many pairs have something to read.
    readable: usize,
    /// Which pair is read first next time, so that a flooded one cannot starve the others.
    first: usize,
    outgoing: SendBatch,
    incoming: ReceiveBatch,
    counters: Counters,
}

/// What the sockets have counted.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// How late adverts left, against when they were due.
    pub lateness: Histogram,
    /// Datagrams longer than any advert, dropped.
    pub truncated: u64,
    /// Errors of receive sockets.
    pub receive_errors: u64,
}

#[derive(Debug)]
struct Pair {
    key: SocketKey,
    receive_buffer: Option<u32>,
    token: u64,
    is_readable: bool,
    receive: OwnedFd,
    send: OwnedFd,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            pairs: Vec::new(),
            tokens: FIRST_TOKEN,
            readable: 0,
            first: 0,
            outgoing: SendBatch::default(),
            incoming: ReceiveBatch::new(RECEIVE_BATCH, DATAGRAM),
            counters: Counters::default(),
        }
    }
}

impl Sockets {
    /// Has exactly these sockets open from now on. Those that are open already stay as they are, with what waits on
    /// them; one that cannot be opened is a failure and is tried again the next time. The poller tells [`Self::woken`] of
    /// them.
    pub fn apply(&mut self, wanted: &[SocketSpec], poller: &Poller) -> Vec<Failure> {
        self.pairs.retain(|pair| wanted.iter().any(|spec| spec.key == pair.key));
        let mut failures = Vec::new();
        for spec in wanted {
            match self.pairs.binary_search_by_key(&spec.key, |pair| pair.key) {
                Ok(index) => {
                    let pair = &mut self.pairs[index];
                    if let (true, Some(size)) = (pair.receive_buffer != spec.receive_buffer, spec.receive_buffer) {
                        open::set_receive_buffer(pair.receive.as_fd(), size);
                    }
                    pair.receive_buffer = spec.receive_buffer;
                }
                Err(index) => match Pair::open(spec, self.tokens, poller) {
                    Ok(pair) => {
                        self.tokens += 1;
                        self.pairs.insert(index, pair);
                    }
                    Err(error) => failures.push(Failure::Socket(spec.key, errno(&error))),
                },
            }
        }
        self.readable = self.pairs.iter().filter(|pair| pair.is_readable).count();
        failures
    }

    /// The poller says that the socket with this token became readable; one that is closed already does not matter.
    pub fn woken(&mut self, token: u64) {
        if let Some(pair) = self.pairs.iter_mut().find(|pair| pair.token == token && !pair.is_readable) {
            pair.is_readable = true;
            self.readable += 1;
        }
    }

    /// Whether something may wait to be received: then the loop must not wait.
    pub const fn is_readable(&self) -> bool {
        self.readable > 0
    }

    /// Sends adverts, socket by socket: all that share one in one system call. How late each left is recorded with `now`,
    /// read once for each socket after its adverts have gone.
    #[inline]
    pub fn send<'a>(
        &mut self,
        adverts: impl Iterator<Item = &'a SendAdvert> + Clone,
        now: impl Fn() -> Instant,
    ) -> Vec<Failure> {
        let mut failures = Vec::new();
        let Some(first) = adverts.clone().next() else { return failures };
        let socket = first.packets.socket;
        if adverts.clone().all(|advert| advert.packets.socket == socket) {
            self.send_by(socket, adverts, &now, &mut failures);
        } else {
            self.send_sorted(adverts.collect(), &now, &mut failures);
        }
        failures
    }

    #[inline(never)]
    fn send_sorted(&mut self, mut adverts: Vec<&SendAdvert>, now: &impl Fn() -> Instant, failures: &mut Vec<Failure>) {
        // Within a socket the order stays.
        adverts.sort_by_key(|advert| advert.packets.socket);
        for group in adverts.chunk_by(|one, other| one.packets.socket == other.packets.socket) {
            let Some(first) = group.first() else { continue };
            self.send_by(first.packets.socket, group.iter().copied(), now, failures);
        }
    }

    #[inline]
    fn send_by<'a>(
        &mut self,
        socket: SocketKey,
        adverts: impl Iterator<Item = &'a SendAdvert> + Clone,
        now: &impl Fn() -> Instant,
        failures: &mut Vec<Failure>,
    ) {
        let Some(pair) = self.pair(&socket) else {
            failures.extend(copies(adverts).map(|(advert, to)| failure(advert, to, libc::ENODEV)));
            return;
        };
        let link = socket.link.unwrap_or_default();
        let messages = adverts.clone().flat_map(|SendAdvert { packets, .. }| {
            packets.copies.iter().map(move |(to, bytes)| outgoing(packets, *to, link, bytes))
        });
        let pair = &self.pairs[pair];
        self.outgoing.send(pair.send.as_fd(), pair.send_flags(), messages, |index, errno| {
            failures.extend(copies(adverts.clone()).nth(index).map(|(advert, to)| failure(advert, to, errno)));
        });
        let gone = now();
        adverts.for_each(|advert| self.counters.lateness.record(gone.since(advert.due)));
    }

    /// Where the pair with this key is: mostly there is but one.
    #[inline]
    fn pair(&self, key: &SocketKey) -> Option<usize> {
        match self.pairs.as_slice() {
            [only] => (only.key == *key).then_some(0),
            pairs => pairs.binary_search_by_key(key, |pair| pair.key).ok(),
        }
    }

    /// Takes at most `budget` datagrams of those that wait and says how many it took; with less than `budget`, nothing
    /// waits any more. `each` is told how long each has waited, where that may be longer than a moment: at most `longest`.
    pub fn receive(
        &mut self,
        budget: usize,
        longest: Duration,
        mut each: impl FnMut(PacketMeta, Duration, &[u8]),
    ) -> usize {
        let mut taken = 0;
        let count = self.pairs.len();
        for turn in 0..count {
            if self.readable == 0 {
                break;
            }
            let index = (self.first + turn) % count;
            taken += self.receive_from(index, budget - taken, longest, &mut each);
            if taken >= budget {
                self.first = (index + 1) % count;
                break;
            }
        }
        taken
    }

    fn receive_from(
        &mut self,
        pair: usize,
        budget: usize,
        longest: Duration,
        each: &mut impl FnMut(PacketMeta, Duration, &[u8]),
    ) -> usize {
        let (pair, incoming, counters) = (&mut self.pairs[pair], &mut self.incoming, &mut self.counters);
        let mut taken = 0;
        while pair.is_readable && taken < budget {
            let limit = incoming.capacity().min(budget - taken);
            let count = match incoming.receive(pair.receive.as_fd(), limit) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                // The socket has told its error; what waits behind it can be read.
                Err(_) => {
                    counters.receive_errors += 1;
                    taken += 1;
                    continue;
                }
            };
            let wall = if longest.is_zero() { Duration::ZERO } else { clock::wall() };
            for index in 0..count {
                let Some(message) = incoming.message(index) else { continue };
                if message.truncated {
                    counters.truncated += 1;
                    continue;
                }
                let destination = match message.source {
                    IpAddr::V4(_) => header_destination(message.bytes),
                    IpAddr::V6(_) => message.destination.map(IpAddr::V6),
                };
                let (source, hop_limit) = (message.source, message.hop_limit);
                // However the wall clock was set meanwhile, it cannot have waited longer.
                let waited = message.came.map_or(Duration::ZERO, |came| wall.saturating_sub(came).min(longest));
                each(PacketMeta { socket: pair.key, source, destination, hop_limit }, waited, message.bytes);
            }
            taken += count;
            if count < limit {
                // The kernel met the end of the queue; the next datagram wakes us again.
                pair.is_readable = false;
                self.readable -= 1;
            }
        }
        taken
    }

    /// What was counted so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Which are open, with the descriptors that receive and send.
    pub fn open(&self) -> impl Iterator<Item = (SocketSpec, RawFd, RawFd)> {
        self.pairs.iter().map(|pair| {
            let spec = SocketSpec { key: pair.key, receive_buffer: pair.receive_buffer };
            (spec, pair.receive.as_raw_fd(), pair.send.as_raw_fd())
        })
    }

    /// Which are open.
    pub fn keys(&self) -> impl Iterator<Item = SocketKey> {
        self.pairs.iter().map(|pair| pair.key)
    }
}

impl Pair {
    fn open(spec: &SocketSpec, token: u64, poller: &Poller) -> io::Result<Self> {
        let (receive, send) = (open::receive_socket(spec)?, open::send_socket(&spec.key)?);
        poller.watch_reading(&receive, token)?;
        let (key, receive_buffer) = (spec.key, spec.receive_buffer);
        Ok(Self { key, receive_buffer, token, is_readable: false, receive, send })
    }

    const fn send_flags(&self) -> libc::c_int {
        match self.key.scope {
            SocketScope::Multicast(_) => libc::MSG_DONTROUTE,
            SocketScope::Unicast(_) => 0,
        }
    }
}

/// Every copy of every advert.
fn copies<'a>(adverts: impl Iterator<Item = &'a SendAdvert>) -> impl Iterator<Item = (&'a SendAdvert, IpAddr)> {
    adverts.flat_map(|advert| advert.packets.copies.iter().map(move |(to, _)| (advert, *to)))
}

fn outgoing<'a>(packets: &Packets, to: IpAddr, link: IfIndex, bytes: &'a [u8]) -> Outgoing<'a> {
    let control = match packets.source {
        IpAddr::V6(source) => Some((source, packets.hop_limit)),
        IpAddr::V4(_) => None,
    };
    let to = match to {
        IpAddr::V4(to) => Destination::V4(to),
        IpAddr::V6(to) => Destination::V6(to, link),
    };
    Outgoing { to, control, bytes }
}

const fn failure(advert: &SendAdvert, destination: IpAddr, errno: i32) -> Failure {
    Failure::Send { instance: advert.instance, destination, errno }
}

/// The destination of an IPv4 header.
fn header_destination(bytes: &[u8]) -> Option<IpAddr> {
    let octets: [u8; 4] = bytes.get(16..20)?.try_into().ok()?;
    Some(octets.into())
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
