//! The real kernel: requests over generic netlink, many in one send.
//!
//! The kernel carries requests out while they are sent, in order, and answers each that fails. So only the last of a
//! window asks to be answered: once its answer is there, those without one have succeeded. A request that ends in EINTR
//! inside the kernel is never answered; whoever waits, waits for a while only.

use std::io;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use rtnetlink::sys::protocols::NETLINK_GENERIC;

use super::Backend;
use super::exchange::{Exchange, Told, messages};
use crate::ipvs::keeper::Answer;
use crate::ipvs::marking::{Found, Marking};
use crate::ipvs::plan::Op;
use crate::ipvs::report::Request;
use crate::ipvs::table::Entry;
use crate::sys::netlink::socket::NetlinkSocket;
use crate::sys::{clock, namespace};
use crate::time::Duration;
use crate::wire::genl::{self, CONTROLLER, ControllerAttribute, GenlMessage};
use crate::wire::ipvs::info::InfoAttribute;
use crate::wire::ipvs::message::{self, IpvsAttribute};
use crate::wire::ipvs::{Daemon, DaemonState, ServiceKey, Timeouts, daemon, dest, service};
use crate::wire::nft;

/// Requests in one send: some 25 KiB, below what a socket may send at once, and their answers fit its buffer.
const WINDOW: usize = 128;
/// Room for answers, if every request of a window fails.
const ANSWERS: usize = 1 << 20;
/// The answer is there when the send is over, or it never comes.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

type Message = GenlMessage<IpvsAttribute>;

/// The kernel's IPVS in one network namespace.
#[derive(Debug)]
pub struct Kernel {
    namespace: Option<String>,
    /// This thread is in its namespace.
    entered: bool,
    connection: Option<Connection>,
    /// To nf_tables; opened when it is needed.
    nft: Option<Exchange>,
}

#[derive(Debug)]
struct Connection {
    line: Exchange,
    family: u16,
}

impl Kernel {
    /// Of this namespace, or of the one that the process is in. Nothing is opened yet.
    pub const fn new(namespace: Option<String>) -> Self {
        Self { namespace, entered: false, connection: None, nft: None }
    }

    /// Goes into the namespace, once.
    fn enter(&mut self) -> io::Result<()> {
        if let (Some(name), false) = (&self.namespace, self.entered) {
            namespace::enter(name).map_err(io::Error::other)?;
            self.entered = true;
        }
        Ok(())
    }

    fn nft(&mut self) -> io::Result<&mut Exchange> {
        self.enter()?;
        match &mut self.nft {
            Some(line) => Ok(line),
            nft => Ok(nft.insert(Exchange::to_nft()?)),
        }
    }

    fn connection(&mut self) -> io::Result<&mut Connection> {
        self.connection.as_mut().ok_or_else(|| Errno::ENOTCONN.into())
    }
}

impl Backend for Kernel {
    fn open(&mut self) -> io::Result<[u8; 3]> {
        self.connection = None;
        self.enter()?;
        let socket = NetlinkSocket::open(NETLINK_GENERIC, ANSWERS, &[], ANSWER_LIMIT)?;
        let mut connection = Connection { line: Exchange::new(socket), family: CONTROLLER };
        // The question loads the module where that has an alias for the family's name.
        connection.family = match connection.family_id() {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                let tried = load_module();
                connection.family_id().map_err(|_| missing(&tried))?
            }
            known => known?,
        };
        let version = connection.version()?;
        self.connection = Some(connection);
        Ok(version)
    }

    fn change(&mut self, ops: &[Op]) -> io::Result<Vec<Answer>> {
        let connection = self.connection()?;
        let mut answers = Vec::with_capacity(ops.len());
        for window in ops.chunks(WINDOW) {
            connection.send_window(window, &mut answers)?;
        }
        Ok(answers)
    }

    fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        let message = match request {
            Request::Table(op) => return Ok(self.change(std::slice::from_ref(op))?.pop().flatten()),
            Request::Flush => Message::bare(message::Command::Flush),
            Request::SetTimeouts(timeouts) => Message::set_config(*timeouts),
            Request::StartDaemon(state, daemon) => Message::new_daemon(*state, daemon),
            Request::StopDaemon(state, id) => Message::del_daemon(*state, *id),
        };
        match self.connection()?.ask(&message, NLM_F_ACK, |_| {}) {
            Ok(()) => Ok(Some(0)),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIMEDOUT) => Ok(None),
                Some(errno) => Ok(Some(errno)),
                None => Err(error),
            },
        }
    }

    fn services(&mut self) -> io::Result<Vec<ServiceKey>> {
        let mut keys = Vec::new();
        self.connection()?.ask(&Message::bare(message::Command::GetService), NLM_F_DUMP, |told| {
            keys.extend(told.service_attributes().and_then(service::service).map(|(key, _)| key));
        })?;
        Ok(keys)
    }

    fn entry(&mut self, key: &ServiceKey) -> io::Result<Option<Entry>> {
        let connection = self.connection()?;
        let mut found = None;
        let asked = connection.ask_about(message::Command::GetService, key, NLM_F_ACK, |told| {
            found = told.service_attributes().and_then(service::service);
        });
        match asked {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            asked => asked?,
        }
        let Some((_, service)) = found else { return Err(Errno::EBADMSG.into()) };
        let mut dests = Vec::new();
        connection.ask_about(message::Command::GetDest, key, NLM_F_DUMP, |told| {
            dests.extend(told.dest_attributes().and_then(|attributes| dest::dest(key.family(), attributes)));
        })?;
        Ok(Some(Entry { service, dests: dests.into_iter().collect() }))
    }

    fn daemons(&mut self) -> io::Result<Vec<(DaemonState, Daemon)>> {
        let mut daemons = Vec::new();
        self.connection()?.ask(&Message::bare(message::Command::GetDaemon), NLM_F_DUMP, |told| {
            daemons.extend(told.daemon_attributes().and_then(daemon::daemon));
        })?;
        Ok(daemons)
    }

    fn timeouts(&mut self) -> io::Result<Timeouts> {
        let mut timeouts = None;
        self.connection()?.ask(&Message::bare(message::Command::GetConfig), NLM_F_ACK, |told| {
            timeouts = timeouts.or(told.timeouts());
        })?;
        timeouts.ok_or_else(|| Errno::EBADMSG.into())
    }

    fn transact(&mut self, requests: &[nft::Request]) -> io::Result<()> {
        self.nft()?.transact(requests)
    }

    fn marking(&mut self, marking: &Marking) -> io::Result<Found> {
        self.nft()?.marking(marking)
    }
}

impl Connection {
    fn family_id(&mut self) -> io::Result<u16> {
        let mut id = None;
        let question = GenlMessage::<ControllerAttribute>::family(message::FAMILY);
        self.line.exchange(
            |bytes, number| genl::append(bytes, CONTROLLER, NLM_F_REQUEST | NLM_F_ACK, number, &question),
            |payload| {
                id = id.or(GenlMessage::<ControllerAttribute>::parse(payload).ok().and_then(|told| told.family_id()));
            },
        )?;
        id.ok_or_else(|| Errno::ENOENT.into())
    }

    fn version(&mut self) -> io::Result<[u8; 3]> {
        let mut version = None;
        let (family, question) = (self.family, Message::bare(message::Command::GetInfo));
        self.line.exchange(
            |bytes, number| genl::append(bytes, family, NLM_F_REQUEST | NLM_F_ACK, number, &question),
            |payload| {
                version =
                    version.or(GenlMessage::<InfoAttribute>::parse(payload).ok().and_then(|told| told.ipvs_version()));
            },
        )?;
        version.ok_or_else(|| Errno::EBADMSG.into())
    }

    /// Asks the family, and reads what it tells. What cannot be read is passed over.
    fn ask(&mut self, request: &Message, flags: u16, each: impl FnMut(&Message)) -> io::Result<()> {
        let family = self.family;
        let append = |bytes: &mut _, number| genl::append(bytes, family, NLM_F_REQUEST | flags, number, request);
        self.line.exchange(append, readable(each))
    }

    /// As [`Self::ask`], about a service.
    fn ask_about(
        &mut self,
        command: message::Command,
        key: &ServiceKey,
        flags: u16,
        each: impl FnMut(&Message),
    ) -> io::Result<()> {
        let (family, request) = (self.family, message::Request::service(command, key, None));
        let append = |bytes: &mut _, number| request.append(bytes, (family, NLM_F_REQUEST | flags, number));
        self.line.exchange(append, readable(each))
    }

    /// Sends requests together and appends their answers.
    fn send_window(&mut self, ops: &[Op], answers: &mut Vec<Answer>) -> io::Result<()> {
        let mut sequences = Vec::with_capacity(ops.len());
        self.line.bytes.clear();
        for (place, op) in ops.iter().enumerate() {
            let flags = if place + 1 == ops.len() { NLM_F_REQUEST | NLM_F_ACK } else { NLM_F_REQUEST };
            sequences.push(self.line.socket.next_sequence());
            request_of(op).append(&mut self.line.bytes, (self.family, flags, sequences[place]));
        }
        let start = answers.len();
        answers.resize(start + ops.len(), None);
        let Some(last) = answers.len().checked_sub(1) else { return Ok(()) };
        self.line.socket.send(&self.line.bytes)?;
        let until = clock::now() + self.line.socket.answer_limit();
        let mut lost = false;
        while answers[last].is_none() {
            let received = self.line.socket.receive(|datagram| {
                messages(datagram, |number, told| {
                    let place = sequences.iter().position(|sequence| *sequence == number);
                    if let (Told::Answer(errno), Some(place)) = (told, place) {
                        answers[start + place].get_or_insert(errno);
                    }
                });
            });
            match received {
                Ok(true) => {}
                Ok(false) if self.line.socket.wait(until)? => {}
                Ok(false) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => lost = true,
                Err(error) => return Err(error),
            }
        }
        if !lost {
            answers[start..].iter_mut().for_each(|answer| _ = answer.get_or_insert(0));
        }
        Ok(())
    }
}

/// Hands on what can be read of what is told.
fn readable(mut each: impl FnMut(&Message)) -> impl FnMut(&[u8]) {
    move |payload| {
        if let Ok(message) = Message::parse(payload) {
            each(&message);
        }
    }
}

fn request_of(op: &Op) -> message::Request<'_> {
    use message::{Command as C, Request};
    match op {
        Op::NewService(key, service) => Request::service(C::NewService, key, Some(service)),
        Op::SetService(key, service) => Request::service(C::SetService, key, Some(service)),
        Op::DelService(key) => Request::service(C::DelService, key, None),
        Op::NewDest(key, dest, settings) => Request::dest(C::NewDest, key, dest, Some(settings)),
        Op::SetDest(key, dest, settings) => Request::dest(C::SetDest, key, dest, Some(settings)),
        Op::DelDest(key, dest) => Request::dest(C::DelDest, key, dest, None),
    }
}

/// Loads the module with the program that the kernel would call; says what came of it, for people.
fn load_module() -> String {
    let modprobe = std::fs::read_to_string("/proc/sys/kernel/modprobe").unwrap_or_default();
    let modprobe = match modprobe.trim() {
        "" => "/sbin/modprobe",
        path => path,
    };
    let mut command = Command::new(modprobe);
    command.args(["-q", "ip_vs"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(mut child) => {
            // How it ended the kernel tells better: whoever answers SIGCHLD in this process may have been told first.
            let _ = child.wait();
            format!("{modprobe} cannot load it")
        }
        Err(error) => format!("{modprobe} cannot be run: {error}"),
    }
}

fn missing(tried: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("this kernel has no ip_vs, and {tried}"))
}
