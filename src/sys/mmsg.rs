//! Many datagrams in one system call: sendmmsg and recvmmsg with headers that are kept between calls.
//!
//! nix gives all messages of a `sendmmsg` the same control messages and does not restore `msg_controllen` after a
//! `recvmmsg`, so both are called here; as bare system calls, since the C library's make themselves points where a thread can
//! be cancelled, which no thread of ours is, in memory that nothing else of a turn touches.

#![allow(unsafe_code)]

use std::mem::{offset_of, size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::{fmt, io, ptr};

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::Socket;

use crate::addr::IfIndex;
use crate::time::Duration;

/// A datagram to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    /// To whom.
    pub(crate) to: Destination,
    /// IPv6: from which address, and the hop limit where it is not the socket's.
    pub(crate) control: Option<(Ipv6Addr, Option<u8>)>,
    /// What.
    pub(crate) bytes: &'a [u8],
}

/// Where a datagram goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Destination {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address and the link it is on; 0 leaves that to the routes.
    V6(Ipv6Addr, IfIndex),
    /// A frame, out of a link, of an Ethernet protocol.
    Frame(IfIndex, u16),
}

#[repr(C)]
#[derive(Clone, Copy)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
    frame: libc::sockaddr_ll,
}

/// IPV6_PKTINFO and IPV6_HOPLIMIT, laid out as the CMSG_ macros would.
#[repr(C)]
#[derive(Clone, Copy)]
struct Control {
    info_header: libc::cmsghdr,
    info: libc::in6_pktinfo,
    hops_header: libc::cmsghdr,
    hops: libc::c_int,
}

const INFO_LEN: u32 = size_of::<libc::in6_pktinfo>() as u32;
const HOPS_LEN: u32 = size_of::<libc::c_int>() as u32;
// SAFETY: CMSG_SPACE and CMSG_LEN only calculate.
const INFO_SPACE: usize = unsafe { libc::CMSG_SPACE(INFO_LEN) } as usize;
// SAFETY: as above.
const HOPS_SPACE: usize = unsafe { libc::CMSG_SPACE(HOPS_LEN) } as usize;
const _: () = assert!(offset_of!(Control, info) + INFO_LEN as usize == cmsg_len(INFO_LEN));
const _: () = assert!(offset_of!(Control, hops_header) == INFO_SPACE);
const _: () = assert!(offset_of!(Control, hops) == INFO_SPACE + cmsg_len(HOPS_LEN) - HOPS_LEN as usize);
const _: () = assert!(size_of::<Control>() == INFO_SPACE + HOPS_SPACE);

const fn cmsg_len(data: u32) -> usize {
    // SAFETY: CMSG_LEN only calculates.
    unsafe { libc::CMSG_LEN(data) as usize }
}

/// Sends datagrams together; grows to the largest batch it has sent and allocates nothing afterwards.
#[derive(Default)]
pub(crate) struct SendBatch {
    parts: Vec<Parts>,
    headers: Vec<libc::mmsghdr>,
}

/// What a message header points to.
struct Parts {
    name: Name,
    control: Control,
    vector: libc::iovec,
}

// SAFETY: the pointers in `parts` and `headers` are written anew in each `send` and used only before it returns.
unsafe impl Send for SendBatch {}

impl fmt::Debug for SendBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendBatch").field("capacity", &self.headers.capacity()).finish_non_exhaustive()
    }
}

impl SendBatch {
    /// Sends all messages, in order. One that fails does not hold back the others: `failed` hears of its place in the
    /// list and its errno.
    pub(crate) fn send<'a>(
        &mut self,
        socket: BorrowedFd<'_>,
        flags: libc::c_int,
        messages: impl Iterator<Item = Outgoing<'a>>,
        failed: impl FnMut(usize, i32),
    ) {
        self.fill(messages);
        self.flush(socket, flags, failed);
    }

    /// Nothing stays of earlier messages: what those pointed to is the caller's again.
    fn fill<'a>(&mut self, messages: impl Iterator<Item = Outgoing<'a>>) {
        self.parts.clear();
        self.headers.clear();
        messages.for_each(|message| {
            let (name, name_len) = name(message.to);
            let (control, control_len) = control(message);
            let (base, len) = (message.bytes.as_ptr().cast_mut().cast(), message.bytes.len());
            self.parts.push(Parts { name, control, vector: libc::iovec { iov_base: base, iov_len: len } });
            // SAFETY: a message header of zeroes is one without name, vectors and control messages.
            let mut header: libc::mmsghdr = unsafe { zeroed() };
            header.msg_hdr.msg_namelen = name_len;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_controllen = control_len as _;
            self.headers.push(header);
        });
        // From here on the parts stay where they are.
        for (header, parts) in self.headers.iter_mut().zip(&mut self.parts) {
            header.msg_hdr.msg_name = ptr::from_mut(&mut parts.name).cast();
            header.msg_hdr.msg_iov = &mut parts.vector;
            if header.msg_hdr.msg_controllen > 0 {
                header.msg_hdr.msg_control = ptr::from_mut(&mut parts.control).cast();
            }
        }
    }

    fn flush(&mut self, socket: BorrowedFd<'_>, flags: libc::c_int, mut failed: impl FnMut(usize, i32)) {
        let mut done = 0;
        while done < self.headers.len() {
            // Of more than UIO_MAXIOV the kernel takes the first.
            let left = &mut self.headers[done..];
            // SAFETY: every header points into `parts`, which nobody touches until the next
            // `fill`, and to bytes that outlive `send`, which is our only caller.
            let sent =
                unsafe { libc::syscall(libc::SYS_sendmmsg, socket.as_raw_fd(), left.as_mut_ptr(), left.len(), flags) };
            if let Ok(sent @ 1..) = usize::try_from(sent) {
                done += sent;
                continue;
            }
            match io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) {
                libc::EINTR => {}
                errno => {
                    failed(done, errno);
                    done += 1;
                }
            }
        }
    }
}

fn name(to: Destination) -> (Name, libc::socklen_t) {
    // SAFETY: addresses are plain numbers; zeroes are valid, and portable where a system has further fields.
    let mut name: Name = unsafe { zeroed() };
    let len = match to {
        Destination::V4(address) => {
            name.v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as _,
                sin_port: 0,
                sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
                sin_zero: [0; 8],
            };
            size_of::<libc::sockaddr_in>()
        }
        Destination::V6(address, link) => {
            name.v6 = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as _,
                sin6_port: 0,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: address.octets() },
                sin6_scope_id: link.0,
            };
            size_of::<libc::sockaddr_in6>()
        }
        Destination::Frame(link, protocol) => {
            name.frame = libc::sockaddr_ll {
                sll_family: libc::AF_PACKET as _,
                sll_protocol: protocol.to_be(),
                sll_ifindex: i32::try_from(link.0).unwrap_or(0),
                sll_hatype: 0,
                sll_pkttype: 0,
                sll_halen: 0,
                sll_addr: [0; 8],
            };
            size_of::<libc::sockaddr_ll>()
        }
    };
    (name, len as libc::socklen_t)
}

fn control(message: Outgoing<'_>) -> (Control, usize) {
    // SAFETY: control messages are plain numbers.
    let mut control: Control = unsafe { zeroed() };
    let (Some((source, hop_limit)), Destination::V6(_, link)) = (message.control, message.to) else {
        return (control, 0);
    };
    control.info_header.cmsg_level = libc::IPPROTO_IPV6;
    control.info_header.cmsg_type = libc::IPV6_PKTINFO;
    control.info_header.cmsg_len = cmsg_len(INFO_LEN) as _;
    control.info.ipi6_addr.s6_addr = source.octets();
    control.info.ipi6_ifindex = link.0 as _;
    let Some(hop_limit) = hop_limit else { return (control, INFO_SPACE) };
    control.hops_header.cmsg_level = libc::IPPROTO_IPV6;
    control.hops_header.cmsg_type = libc::IPV6_HOPLIMIT;
    control.hops_header.cmsg_len = cmsg_len(HOPS_LEN) as _;
    control.hops = hop_limit.into();
    (control, INFO_SPACE + HOPS_SPACE)
}

/// A datagram that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    /// From whom.
    pub(crate) source: IpAddr,
    /// To whom, where the packet-info message says it (IPv6).
    pub(crate) destination: Option<Ipv6Addr>,
    /// Its hop limit, where a control message says it (IPv6).
    pub(crate) hop_limit: Option<u8>,
    /// When the kernel got it, on the wall clock since the epoch, where a control message says it.
    pub(crate) came: Option<Duration>,
    /// It was longer than the buffer.
    pub(crate) truncated: bool,
    /// What.
    pub(crate) bytes: &'a [u8],
}

/// What the control messages of a datagram say.
#[derive(Default)]
struct Controls {
    destination: Option<Ipv6Addr>,
    hop_limit: Option<u8>,
    came: Option<Duration>,
}

/// Room for the control messages we ask for; aligned as they must be.
type ControlRoom = [u64; 16];

/// The beginning of a datagram, all of most.
type Front = [u8; 128];

/// What a header points to, all but what is longer than its front: close together, so that a datagram touches as little
/// memory as it can.
#[repr(C)]
#[derive(Clone, Copy)]
struct Place {
    vectors: [libc::iovec; 2],
    name: libc::sockaddr_in6,
    control: ControlRoom,
    front: Front,
}

/// Receives datagrams together into buffers of its own.
pub(crate) struct ReceiveBatch {
    headers: Box<[libc::mmsghdr]>,
    places: Box<[Place]>,
    /// What is longer than its front comes together here, with room for the front before it.
    buffers: Box<[u8]>,
    buffer_len: usize,
    /// In so many headers the kernel has left how much it used.
    used: usize,
}

// SAFETY: the pointers in `headers` and `places` lead into the boxes beside them, which never move nor shrink.
unsafe impl Send for ReceiveBatch {}

impl fmt::Debug for ReceiveBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveBatch").field("messages", &self.headers.len()).finish_non_exhaustive()
    }
}

impl ReceiveBatch {
    /// For `messages` datagrams of at most `buffer_len` bytes each, which are more than a [`Front`].
    pub(crate) fn new(messages: usize, buffer_len: usize) -> Self {
        // SAFETY: places and headers of zeroes are valid and point to nothing.
        let (place, header) = unsafe { (zeroed::<Place>(), zeroed()) };
        let mut batch = Self {
            headers: vec![header; messages].into_boxed_slice(),
            places: vec![place; messages].into_boxed_slice(),
            buffers: vec![0; messages * buffer_len].into_boxed_slice(),
            buffer_len,
            used: messages,
        };
        let rooms = batch.places.iter_mut().zip(batch.buffers.chunks_exact_mut(buffer_len));
        for (header, (place, buffer)) in batch.headers.iter_mut().zip(rooms) {
            let vector = |room: &mut [u8]| libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
            place.vectors = [vector(&mut place.front), vector(&mut buffer[size_of::<Front>()..])];
            let header = &mut header.msg_hdr;
            header.msg_iov = place.vectors.as_mut_ptr();
            header.msg_iovlen = place.vectors.len() as _;
            header.msg_name = ptr::from_mut(&mut place.name).cast();
            header.msg_control = place.control.as_mut_ptr().cast();
        }
        batch
    }

    /// How many datagrams it can take at once.
    pub(crate) const fn capacity(&self) -> usize {
        self.headers.len()
    }

    /// Receives at most `limit` datagrams of those that wait, and says how many there were.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, limit: usize) -> io::Result<usize> {
        let limit = limit.min(self.headers.len());
        for header in &mut self.headers[..self.used] {
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in6>() as _;
            header.msg_hdr.msg_controllen = size_of::<ControlRoom>() as _;
            header.msg_hdr.msg_flags = 0;
        }
        self.used = 0;
        // SAFETY: every header points to a name, a buffer and control room of ours, with their true lengths; the time
        // limit is absent.
        let count = unsafe {
            libc::syscall(
                libc::SYS_recvmmsg,
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                limit,
                libc::MSG_DONTWAIT,
                ptr::null_mut::<libc::timespec>(),
            )
        };
        self.used = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        Ok(self.used)
    }

    /// The datagram at a place of the last `receive`; none where its sender is no IP address.
    pub(crate) fn message(&mut self, index: usize) -> Option<Incoming<'_>> {
        let header = self.headers.get(index)?;
        let Place { name: from, front, .. } = &self.places[index];
        let source = match i32::from(from.sin6_family) {
            libc::AF_INET => {
                // SAFETY: the kernel wrote a sockaddr_in here, which is shorter and needs no more alignment.
                let from = unsafe { &*ptr::from_ref(from).cast::<libc::sockaddr_in>() };
                IpAddr::from(u32::from_be(from.sin_addr.s_addr).to_be_bytes())
            }
            libc::AF_INET6 => IpAddr::from(from.sin6_addr.s6_addr),
            _ => return None,
        };
        let truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        let length = (header.msg_len as usize).min(self.buffer_len);
        let Controls { destination, hop_limit, came } = self.controls_of(index);
        let bytes = if length > front.len() {
            let whole = &mut self.buffers[index * self.buffer_len..][..length];
            whole[..front.len()].copy_from_slice(front);
            whole
        } else {
            &front[..length]
        };
        Some(Incoming { source, destination, hop_limit, came, truncated, bytes })
    }

    fn controls_of(&self, index: usize) -> Controls {
        let mut controls = Controls::default();
        // Its type is another with musl.
        #[allow(clippy::unnecessary_cast)]
        let used = (self.headers[index].msg_hdr.msg_controllen as usize).min(size_of::<ControlRoom>());
        let words = &self.places[index].control;
        // SAFETY: the room is `size_of::<ControlRoom>()` initialised bytes, and `used` is at most that.
        let mut room = unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), used) };
        while room.len() >= size_of::<libc::cmsghdr>() {
            // SAFETY: there are enough bytes for a header; it is plain numbers and may lie unaligned.
            let header = unsafe { room.as_ptr().cast::<libc::cmsghdr>().read_unaligned() };
            let length = header.cmsg_len as usize;
            let Some(value) = room.get(cmsg_len(0)..length) else { break };
            match (header.cmsg_level, header.cmsg_type) {
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    controls.destination = value.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    let limit = value.first_chunk().map(|limit| libc::c_int::from_ne_bytes(*limit));
                    controls.hop_limit = limit.and_then(|limit| u8::try_from(limit).ok());
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) if value.len() >= size_of::<libc::timespec>() => {
                    // SAFETY: there are enough bytes for a timespec; it is plain numbers and may lie unaligned.
                    let time = unsafe { value.as_ptr().cast::<libc::timespec>().read_unaligned() };
                    controls.came = Some(Duration::from(TimeSpec::from(time)));
                }
                _ => {}
            }
            room = room.get(length.next_multiple_of(size_of::<usize>())..).unwrap_or_default();
        }
        controls
    }
}

/// Makes room for some thousand datagrams that a slow network card has not yet sent, as far as we may.
pub(crate) fn set_send_buffer(socket: &Socket) -> io::Result<()> {
    const SIZE: usize = 4 << 20;
    setsockopt(socket, sockopt::SndBufForce, &SIZE).or_else(|_| setsockopt(socket, sockopt::SndBuf, &SIZE))?;
    Ok(())
}
