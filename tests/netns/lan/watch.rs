//! Watching a LAN: every frame (into memory and a pcap file), every change of an address, every line of a log, in
//! one place that tests wait on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{IoSliceMut, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv,
    recvmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};

use super::frame::Frame;
use super::space;

/// An address that came or went.
#[derive(Clone, Debug)]
pub(crate) struct AddressChange {
    pub(crate) at: Duration,
    pub(crate) host: char,
    pub(crate) address: IpAddr,
    pub(crate) present: bool,
}

/// A line of a daemon's log.
#[derive(Clone, Debug)]
pub(crate) struct LogLine {
    pub(crate) at: Duration,
    pub(crate) host: char,
    pub(crate) text: String,
}

/// Everything seen so far.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) frames: Vec<Frame>,
    pub(crate) addresses: Vec<AddressChange>,
    pub(crate) log: Vec<LogLine>,
    held: BTreeMap<char, BTreeSet<IpAddr>>,
}

impl Seen {
    /// Has this host this address?
    pub(crate) fn holds(&self, host: char, address: IpAddr) -> bool {
        self.held.get(&host).is_some_and(|held| held.contains(&address))
    }

    /// Adverts with their frames.
    pub(crate) fn adverts(&self) -> impl DoubleEndedIterator<Item = (&Frame, super::frame::Advert)> {
        self.frames.iter().filter_map(|f| Some((f, f.advert()?)))
    }

    /// Gratuitous ARPs and unsolicited NAs for this address.
    pub(crate) fn announcements(&self, of: IpAddr) -> impl DoubleEndedIterator<Item = &Frame> {
        self.frames.iter().filter(move |f| f.announcement().is_some_and(|(address, _)| address == of))
    }

    /// Lines of a host's log that hold this text.
    pub(crate) fn lines(&self, host: char, text: &str) -> impl DoubleEndedIterator<Item = &LogLine> {
        self.log.iter().filter(move |l| l.host == host && l.text.contains(text))
    }

    fn address(&mut self, change: AddressChange) {
        let held = self.held.entry(change.host).or_default();
        let news = if change.present { held.insert(change.address) } else { held.remove(&change.address) };
        if news || !change.present {
            self.addresses.push(change);
        }
    }
}

/// What is seen, and the news that more was.
#[derive(Default)]
pub(crate) struct Story {
    seen: Mutex<Seen>,
    news: Condvar,
}

impl Story {
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn tell(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen());
        self.news.notify_all();
    }

    /// Waits until `answer` finds something in what was seen; none when `limit` passes first.
    pub(crate) fn wait<T>(&self, limit: Duration, mut answer: impl FnMut(&Seen) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        let mut seen = self.seen();
        loop {
            if let Some(found) = answer(&seen) {
                return Some(found);
            }
            let left = end.checked_duration_since(Instant::now())?;
            seen = self.news.wait_timeout(seen, left).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}

/// The wall clock, as captures use it.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

/// A thread that feeds a [`Story`] until it is dropped.
pub(crate) struct Watcher {
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Watches the bridge's ports (their host by interface number) and the addresses of the hosts.
    pub(crate) fn start(
        story: Arc<Story>,
        bridge: &str,
        ports: BTreeMap<usize, char>,
        hosts: &[(char, String)],
        pcap: &Path,
    ) -> Self {
        let capture = space::within(bridge, capture_socket);
        let addresses: Vec<(char, OwnedFd)> =
            hosts.iter().map(|(host, name)| (*host, space::within(name, address_socket))).collect();
        let mut file = File::create(pcap).expect("the capture file");
        file.write_all(&pcap_header()).expect("the capture file");
        let (stopped, stop) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("a pipe");
        let thread = std::thread::spawn(move || {
            loop {
                let mut waiting = vec![PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
                waiting.push(PollFd::new(capture.as_fd(), PollFlags::POLLIN));
                waiting.extend(addresses.iter().map(|(_, s)| PollFd::new(s.as_fd(), PollFlags::POLLIN)));
                let _ = poll(&mut waiting, PollTimeout::NONE);
                let ended = waiting[0].any().unwrap_or(true);
                story.tell(|seen| {
                    for (host, socket) in &addresses {
                        read_addresses(*host, socket, seen);
                    }
                    read_frames(&capture, &ports, &mut file, seen);
                });
                if ended {
                    return;
                }
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn capture_socket() -> OwnedFd {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).expect("a packet socket");
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).expect("timestamps");
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &(32 << 20));
    socket
}

fn address_socket() -> OwnedFd {
    const LINK_IPV4_IPV6_ADDRESSES: u32 = 0x10 | 0x100;
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket =
        socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute).expect("a netlink socket");
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20));
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, LINK_IPV4_IPV6_ADDRESSES)).expect("the address groups");
    socket
}

fn read_frames(socket: &OwnedFd, ports: &BTreeMap<usize, char>, pcap: &mut File, seen: &mut Seen) {
    const OUTGOING: u8 = 4;
    let mut bytes = [0; 2048];
    loop {
        let mut control = nix::cmsg_space!(TimeSpec);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let message = recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT);
        let Ok(message) = message else { return };
        let at = message.cmsgs().ok().and_then(|mut all| {
            all.find_map(|c| match c {
                ControlMessageOwned::ScmTimestampns(t) => Some(Duration::from(t)),
                _ => None,
            })
        });
        let link = message.address;
        let length = message.bytes;
        // A frame that a port takes in is one that its host sent; what ports and the bridge pass on is its echo.
        let Some(from) = link.filter(|l| l.pkttype() != OUTGOING).and_then(|l| ports.get(&l.ifindex())) else {
            continue;
        };
        let frame = Frame { at: at.unwrap_or_else(now), from: *from, bytes: bytes[..length].to_vec() };
        if length >= 14 {
            let _ = pcap.write_all(&pcap_record(&frame));
            seen.frames.push(frame);
        }
    }
}

fn read_addresses(host: char, socket: &OwnedFd, seen: &mut Seen) {
    let mut bytes = vec![0; 65536];
    while let Ok(length) = recv(socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
        let at = now();
        let mut rest = &bytes[..length];
        while let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest) {
            let taken = (message.header.length as usize).next_multiple_of(4);
            if let NetlinkPayload::InnerMessage(inner) = message.payload {
                let change = match &inner {
                    RouteNetlinkMessage::NewAddress(m) => local(m).map(|a| (a, true)),
                    RouteNetlinkMessage::DelAddress(m) => local(m).map(|a| (a, false)),
                    _ => None,
                };
                if let Some((address, present)) = change {
                    seen.address(AddressChange { at, host, address, present });
                }
            }
            match rest.get(taken..) {
                Some(more) if taken > 0 && !more.is_empty() => rest = more,
                _ => break,
            }
        }
    }
}

fn local(message: &AddressMessage) -> Option<IpAddr> {
    let find = |pick: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(pick);
    find(|a| if let AddressAttribute::Local(ip) = a { Some(*ip) } else { None })
        .or_else(|| find(|a| if let AddressAttribute::Address(ip) = a { Some(*ip) } else { None }))
}

/// The header of a pcap file with nanoseconds, link type Ethernet.
fn pcap_header() -> Vec<u8> {
    let words: [u32; 6] = [0xa1b2_3c4d, 2 | 4 << 16, 0, 0, 65535, 1];
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn pcap_record(frame: &Frame) -> Vec<u8> {
    let length = frame.bytes.len() as u32;
    let words = [frame.at.as_secs() as u32, frame.at.subsec_nanos(), length, length];
    words.iter().flat_map(|w| w.to_le_bytes()).chain(frame.bytes.iter().copied()).collect()
}
