//! Sockets as a checker asks for them, and what connecting them can end in (`lvs.md` §5.0).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrStorage, recv, recvfrom, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use crate::check::io::{Reason, ReasonKind, Verdict};
use crate::model::checker::Connection;
use crate::probe::reason;
use crate::time::Duration;

/// One server as one checker asks it.
#[derive(Clone, Copy, Debug)]
pub struct Contact<'a> {
    /// Whom.
    pub target: SocketAddr,
    /// How.
    pub connection: &'a Connection,
}

impl Connection {
    /// How a server that is asked at `server` where nothing else is said is asked.
    pub fn contact(&self, server: SocketAddr) -> Contact<'_> {
        Contact { target: self.target(server), connection: self }
    }
}

/// Connects by `deadline`. An error is [`Verdict::Fail`], or [`Verdict::Local`] where the server was not asked.
pub async fn tcp(to: Contact<'_>, deadline: Instant) -> Result<TcpStream, Verdict> {
    let stream = TcpStream::from_std(begin(to)?.into());
    let stream = stream.map_err(|error| local("cannot watch the socket for", to.target, &error))?;
    match timeout_at(deadline, stream.ready(Interest::WRITABLE)).await {
        Err(_) => Err(Verdict::Fail(not_connected(to.target, to.connection.timeout))),
        Ok(Err(error)) => Err(local("cannot wait for the connection to", to.target, &error)),
        // Only a socket that has an error, or is closed already, is "closed": the others need not be asked.
        Ok(Ok(ready)) if ready.is_write_closed() => match stream.take_error() {
            Ok(None) => Ok(stream),
            Ok(Some(error)) | Err(error) => Err(Verdict::Fail(late(to.target, &error))),
        },
        Ok(Ok(_)) => Ok(stream),
    }
}

/// Begins to connect.
pub(super) fn begin(to: Contact<'_>) -> Result<Socket, Verdict> {
    let socket = open(to, Type::STREAM, Some(Protocol::TCP))?;
    match socket.connect(&to.target.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(immediate(to.target, &error)),
        _ => Ok(socket),
    }
}

/// A socket with everything that is configured, not yet connected.
pub(super) fn open(to: Contact<'_>, kind: Type, protocol: Option<Protocol>) -> Result<Socket, Verdict> {
    let socket = Socket::new(Domain::for_address(to.target), kind.nonblocking().cloexec(), protocol);
    let socket = socket.map_err(|error| local("no socket for", to.target, &error))?;
    prepare(&socket, to).map_err(|(doing, error)| local(doing, to.target, &error))?;
    Ok(socket)
}

fn prepare(socket: &Socket, to: Contact<'_>) -> Result<(), (&'static str, io::Error)> {
    if to.connection.mark != 0 {
        socket.set_mark(to.connection.mark).map_err(|error| ("cannot set fwmark for", error))?;
    }
    if let Some(interface) = to.connection.bind_interface {
        let name = interface.as_str().as_bytes();
        socket.bind_device(Some(name)).map_err(|error| ("cannot use bind_if for", error))?;
    }
    if to.connection.bind_address.is_some() || to.connection.bind_port.is_some() {
        bind(socket, to).map_err(|error| ("cannot bind for", error))?;
    }
    Ok(())
}

fn bind(socket: &Socket, to: Contact<'_>) -> io::Result<()> {
    let address = to.connection.bind_address.unwrap_or(match to.target {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    });
    if to.connection.bind_port.is_some() {
        // The connection before this one may still be in TIME_WAIT.
        socket.set_reuse_address(true)?;
    } else {
        // The port is chosen when the target is known: one port then serves many targets.
        setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
    }
    socket.bind(&SocketAddr::new(address, to.connection.bind_port.unwrap_or(0)).into())
}

/// What an error of connect() itself means: some say something about the server, the others about this machine.
pub(super) fn immediate(target: SocketAddr, error: &io::Error) -> Verdict {
    const ABOUT_THE_SERVER: [Errno; 8] = [
        Errno::ENETUNREACH,
        Errno::EHOSTUNREACH,
        Errno::ECONNREFUSED,
        Errno::EHOSTDOWN,
        Errno::ENETDOWN,
        Errno::ECONNRESET,
        Errno::ECONNABORTED,
        Errno::ETIMEDOUT,
    ];
    if ABOUT_THE_SERVER.contains(&errno(error)) {
        Verdict::Fail(late(target, error))
    } else {
        local("cannot connect to", target, error)
    }
}

/// Why there is no connection, as the socket says it.
pub(super) fn late(target: SocketAddr, error: &io::Error) -> Reason {
    let kind = match kind(error) {
        // What is called a reset later is no connection here.
        ReasonKind::Reset => ReasonKind::Refused,
        ReasonKind::Timeout => ReasonKind::ConnectTimeout,
        ReasonKind::Read => ReasonKind::Unreachable,
        kind => kind,
    };
    reason(kind, format_args!("{target}: {}", text(error)))
}

/// Nothing came in time.
pub(super) fn not_connected(target: SocketAddr, timeout: Duration) -> Reason {
    reason(ReasonKind::ConnectTimeout, format_args!("{target}: no connection within {timeout:?}"))
}

/// Trouble of this machine.
pub(super) fn local(doing: &str, target: SocketAddr, error: &io::Error) -> Verdict {
    Verdict::Local(reason(ReasonKind::Local, format_args!("{doing} {target}: {}", text(error))))
}

/// What an error of an open conversation means.
pub(super) fn broken(doing: &str, error: &io::Error) -> Reason {
    let kind = match (kind(error), doing) {
        (ReasonKind::Read, "write") => ReasonKind::Write,
        (kind, _) => kind,
    };
    reason(kind, format_args!("{doing}: {}", text(error)))
}

/// The kind of an error of a socket.
pub(super) fn kind(error: &io::Error) -> ReasonKind {
    use Errno::*;
    match errno(error) {
        ECONNREFUSED => ReasonKind::Refused,
        ECONNRESET | ECONNABORTED | EPIPE => ReasonKind::Reset,
        ETIMEDOUT => ReasonKind::Timeout,
        ENETUNREACH | EHOSTUNREACH | EHOSTDOWN | ENETDOWN | EACCES | ENOPROTOOPT | EPROTO | ENONET => {
            ReasonKind::Unreachable
        }
        _ => ReasonKind::Read,
    }
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

/// An error in the system's words, without Rust's addition.
pub(super) fn text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

/// A datagram socket that has sent one datagram to its target and hears of no other.
pub(super) fn datagram(
    to: Contact<'_>,
    kind: Type,
    protocol: Option<Protocol>,
    payload: &[u8],
) -> Result<UdpSocket, Verdict> {
    open(to, kind, protocol).and_then(|socket| send(socket, to, payload))
}

/// Connects a datagram socket and sends, before anybody waits for it: that saves a wake-up.
pub(super) fn send(socket: Socket, to: Contact<'_>, payload: &[u8]) -> Result<UdpSocket, Verdict> {
    socket.connect(&to.target.into()).map_err(|error| immediate(to.target, &error))?;
    socket.send(payload).map_err(|error| match kind(&error) {
        ReasonKind::Read => {
            let text = format_args!("write: {}", text(&error));
            Verdict::Fail(reason(ReasonKind::Write, text))
        }
        _ => Verdict::Fail(late(to.target, &error)),
    })?;
    UdpSocket::from_std(socket.into()).map_err(|error| local("cannot watch the socket for", to.target, &error))
}

/// The next datagram, or error, of a connected socket.
pub(super) async fn receive(socket: &UdpSocket, space: &mut [u8]) -> io::Result<usize> {
    receive_by(socket, |socket| recv(socket, space, MsgFlags::empty())).await
}

/// The same, and who sent it: a socket for pings hears everybody.
pub(super) async fn receive_from(socket: &UdpSocket, space: &mut [u8]) -> io::Result<(usize, Option<IpAddr>)> {
    let (len, from) = receive_by(socket, |socket| recvfrom::<SockaddrStorage>(socket, space)).await?;
    let from = from.and_then(|from| match (from.as_sockaddr_in(), from.as_sockaddr_in6()) {
        (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
        (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
        _ => None,
    });
    Ok((len, from))
}

/// Reads when there is something. An error alone does not make a socket readable.
async fn receive_by<T>(socket: &UdpSocket, mut read: impl FnMut(RawFd) -> nix::Result<T>) -> io::Result<T> {
    const EITHER: Interest = Interest::READABLE.add(Interest::ERROR);
    loop {
        // Somebody who sends without pause shall not keep others waiting.
        tokio::task::coop::consume_budget().await;
        let ready = socket.ready(EITHER).await?;
        // One of them at a time: what is done for both is never tried.
        let what = if ready.is_readable() { Interest::READABLE } else { Interest::ERROR };
        match socket.try_io(what, || read(socket.as_raw_fd()).map_err(io::Error::from)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            ended => return ended,
        }
    }
}
