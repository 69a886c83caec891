//! How the sockets are made.
//!
//! | Option | receive | send |
//! |---|---|---|
//! | IP_MULTICAST_ALL, IPV6_MULTICAST_ALL = 0 | yes | yes |
//! | SO_BINDTODEVICE | where there is an interface | same |
//! | membership of the group, bind to it | multicast | |
//! | bind to the own address, IP_FREEBIND, IPV6_FREEBIND | unicast | |
//! | IPV6_RECVHOPLIMIT, IPV6_RECVPKTINFO | IPv6 | |
//! | IPV6_CHECKSUM at 6 | IPv6 | IPv6 |
//! | SO_RCVBUF | as asked | 0 |
//! | drop-all filter | | yes |
//! | IP_HDRINCL | | IPv4 |
//! | IPV6_MULTICAST_HOPS 255 | | IPv6 multicast |
//! | MULTICAST_IF, MULTICAST_LOOP = 0 | | multicast |
//! | IP_TOS, IPV6_TCLASS 0xC0 | | yes |
//! | IPV6_FREEBIND: a configured source need not exist | | IPv6 |

#![allow(unsafe_code)]

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::net::if_::if_indextoname;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};

use crate::addr::{Family, IfIndex};
use crate::sys::mmsg::set_send_buffer;
use crate::vrrp::io::{SocketKey, SocketScope, SocketSpec};

const IPPROTO_VRRP: i32 = 112;
/// Internetwork control (CS6), RFC 2474.
const CLASS: u8 = 0xc0;
/// Receive buffer where the file says nothing: some thousand packets fit before an advert that is not looked for at once.
const ROOM: u32 = 1 << 20;
/// Where the checksum is in an advert.
const CHECKSUM_OFFSET: libc::c_int = 6;

/// The socket that hears what `spec` says.
pub(super) fn receive_socket(spec: &SocketSpec) -> io::Result<OwnedFd> {
    let key = &spec.key;
    let socket = raw_socket(key)?;
    if key.family == Family::V6 {
        socket.set_recv_hoplimit_v6(true)?;
        set_option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &1_i32)?;
    }
    // Without it, what is heard late counts as having come late.
    let _ = setsockopt(&socket, sockopt::ReceiveTimestampns, &true);
    if let Some(size) = spec.receive_buffer {
        set_receive_buffer(socket.as_fd(), size);
    } else if socket.recv_buffer_size()? < ROOM as usize {
        set_receive_buffer(socket.as_fd(), ROOM);
    }
    let link = key.link.unwrap_or_default();
    match key.scope {
        SocketScope::Multicast(group) => {
            socket.bind(&socket_address(group, link).into())?;
            match group {
                IpAddr::V4(group) => socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(link.0))?,
                IpAddr::V6(group) => socket.join_multicast_v6(&group, link.0)?,
            }
        }
        SocketScope::Unicast(own) => {
            match key.family {
                Family::V4 => socket.set_freebind_v4(true)?,
                Family::V6 => socket.set_freebind_v6(true)?,
            }
            socket.bind(&socket_address(own, link).into())?;
        }
    }
    Ok(socket.into())
}

/// The socket that adverts leave by.
pub(super) fn send_socket(key: &SocketKey) -> io::Result<OwnedFd> {
    let socket = raw_socket(key)?;
    // Nothing is ever read from it.
    socket.attach_filter(&[SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0)])?;
    socket.set_recv_buffer_size(0)?;
    set_send_buffer(&socket)?;
    match key.family {
        Family::V4 => {
            socket.set_header_included_v4(true)?;
            socket.set_tos_v4(CLASS.into())?;
        }
        Family::V6 => {
            socket.set_tclass_v6(CLASS.into())?;
            socket.set_freebind_v6(true)?;
        }
    }
    if let (SocketScope::Multicast(_), Some(link)) = (key.scope, key.link) {
        match key.family {
            Family::V4 => {
                let nowhere = libc::in_addr { s_addr: 0 };
                let index = link.0 as libc::c_int;
                let by = libc::ip_mreqn { imr_multiaddr: nowhere, imr_address: nowhere, imr_ifindex: index };
                set_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &by)?;
                socket.set_multicast_loop_v4(false)?;
                socket.set_multicast_ttl_v4(255)?;
            }
            Family::V6 => {
                socket.set_multicast_if_v6(link.0)?;
                socket.set_multicast_loop_v6(false)?;
                socket.set_multicast_hops_v6(255)?;
            }
        }
    }
    Ok(socket.into())
}

/// What both sockets have in common.
fn raw_socket(key: &SocketKey) -> io::Result<Socket> {
    let domain = match key.family {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::from(IPPROTO_VRRP)))?;
    match key.family {
        Family::V4 => socket.set_multicast_all_v4(false)?,
        Family::V6 => {
            // Kernels before 4.20 do not know it; the bound group keeps others away there.
            let _ = socket.set_multicast_all_v6(false);
            set_option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_CHECKSUM, &CHECKSUM_OFFSET)?;
        }
    }
    if let Some(IfIndex(index)) = key.link {
        let name = if_indextoname(index)?;
        socket.bind_device(Some(name.as_bytes()))?;
    }
    Ok(socket)
}

/// Sets the receive buffer, beyond the system's limit where we may; a refusal leaves it as it was.
pub(super) fn set_receive_buffer(socket: BorrowedFd<'_>, size: u32) {
    let size = size as usize;
    if setsockopt(&socket, sockopt::RcvBufForce, &size).is_err() {
        let _ = setsockopt(&socket, sockopt::RcvBuf, &size);
    }
}

fn set_option<T>(socket: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let (value, len) = (std::ptr::from_ref(value).cast(), size_of::<T>() as libc::socklen_t);
    // SAFETY: the value outlives the call and has the length we say.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// An address for `bind`: IPv6 groups need their link.
fn socket_address(address: IpAddr, link: IfIndex) -> SocketAddr {
    match address {
        IpAddr::V4(address) => SocketAddr::new(address.into(), 0),
        IpAddr::V6(address) => SocketAddrV6::new(address, 0, 0, link.0).into(),
    }
}
