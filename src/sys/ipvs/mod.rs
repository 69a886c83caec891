//! The kernel's IPVS table: programmed, looked after and left clean on a thread of its own.
//!
//! So are the marks that nf_tables gives to packets for it.
//!
//! The loop of the checkers only says what is wanted; [`crate::ipvs::Keeper`] knows what that takes, and the thread
//! asks the kernel for it, as many requests at a time as wait. What happens comes back as [`Event`]s.
#![allow(unsafe_code)]

mod exchange;
mod kernel;
mod nf_tables;
mod stand_in;
mod worker;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use tokio::io::unix::AsyncFd;

use super::mailbox::{Mailbox, Sender, mailbox};
use crate::ipvs::keeper::Answer;
use crate::ipvs::marking::{Found, Marking};
use crate::ipvs::plan::Op;
use crate::ipvs::report::{self, Counters, Request};
use crate::ipvs::table::{Entry, Table};
use crate::model::lvs;
use crate::wire::ipvs::{Daemon, DaemonState, ServiceKey, Timeouts};
use crate::wire::nft;

pub use kernel::Kernel;
pub use stand_in::SharedStandIn;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something worth a log line.
    Report(report::Event),
    /// What the kernel has, whosever it is, before anything is done that was wanted after [`Ipvs::find`]; empty where
    /// there is no IPVS.
    Found(Table),
    /// Everything that was ordered before [`Ipvs::sync`] with this number has been done, or has failed for now.
    Synced(u64),
}

/// Whoever carries requests out: the kernel, or a stand-in. All of it may wait.
pub trait Backend: Send + 'static {
    /// Makes contact, anew if need be; gives the version of IPVS.
    fn open(&mut self) -> io::Result<[u8; 3]>;
    /// Makes changes in order, each whatever became of those before; one answer for each.
    fn change(&mut self, ops: &[Op]) -> io::Result<Vec<Answer>>;
    /// Makes one request.
    fn ask(&mut self, request: &Request) -> io::Result<Answer>;
    /// Every service that there is, whosever.
    fn services(&mut self) -> io::Result<Vec<ServiceKey>>;
    /// One service with its destinations; none where it does not exist.
    fn entry(&mut self, key: &ServiceKey) -> io::Result<Option<Entry>>;
    /// The sync daemons that run.
    fn daemons(&mut self) -> io::Result<Vec<(DaemonState, Daemon)>>;
    /// The timeouts in force.
    fn timeouts(&mut self) -> io::Result<Timeouts>;
    /// Changes nf_tables in one transaction, which is carried out whole or not at all.
    fn transact(&mut self, requests: &[nft::Request]) -> io::Result<()>;
    /// What nf_tables has of these tables and maps; what is not there is left out.
    fn marking(&mut self, marking: &Marking) -> io::Result<Found>;
}

/// Something to do.
#[derive(Debug)]
enum Order {
    Want(ServiceKey, Option<Arc<Entry>>),
    Marks(Option<Arc<Marking>>),
    Flush,
    Timeouts(lvs::Timeouts),
    Daemons(Option<Daemon>, Option<Daemon>),
    Compare,
    Find,
    Sync(u64),
    Finish,
}

/// Who is started in the kernel's place.
type Start = fn() -> io::Result<(Ipvs, IpvsEvents)>;
static START: OnceLock<Start> = OnceLock::new();

/// From now on every [`Ipvs::start`] of this process is this one: a program that measures or tests can be the whole
/// daemon on a machine without IPVS. Only the first call counts.
pub fn start_instead(start: Start) {
    let _ = START.set(start);
}

/// The hand that gives orders; none of them waits. Dropping it without [`Ipvs::finish`] leaves the table as it is.
#[derive(Debug)]
pub struct Ipvs {
    orders: Sender<Order>,
    counters: Arc<Mutex<Counters>>,
    thread: JoinHandle<()>,
}

/// What the thread has to tell.
#[derive(Debug)]
pub struct IpvsEvents {
    events: Mailbox<Event>,
}

impl Ipvs {
    /// Starts the thread for the kernel's table in a network namespace (`net_namespace_ipvs`), or in ours. Nothing is
    /// asked, and no module loaded, before something is wanted.
    pub fn start(namespace: Option<String>) -> io::Result<(Self, IpvsEvents)> {
        START.get().map_or_else(|| Self::start_with(Kernel::new(namespace)), |start| start())
    }

    /// As `start`, with somebody else to ask.
    pub fn start_with(backend: impl Backend) -> io::Result<(Self, IpvsEvents)> {
        let (orders, ordered) = mailbox()?;
        let (out, events) = mailbox()?;
        let counters = Arc::new(Mutex::new(Counters::default()));
        let worker = worker::Worker::new(backend, ordered, out, Arc::clone(&counters));
        let thread = std::thread::Builder::new().name("ipvs".to_owned()).spawn(move || worker.run())?;
        Ok((Self { orders, counters, thread }, IpvsEvents { events }))
    }

    /// From now on the kernel is to have this of a service; none removes it. What is wanted again before it was done
    /// takes the place of what was wanted before.
    pub fn want(&self, key: ServiceKey, entry: Option<Arc<Entry>>) {
        self.orders.send(Order::Want(key, entry));
    }

    /// From now on nf_tables is to hold this; none removes what is ours. What was ordered before is done first, and what
    /// is ordered afterwards waits until this is done, or has failed for now.
    pub fn mark(&self, marking: Option<Arc<Marking>>) {
        self.orders.send(Order::Marks(marking));
    }

    /// Everything goes, ours or not; only what is wanted afterwards comes.
    pub fn flush(&self) {
        self.orders.send(Order::Flush);
    }

    /// Timeouts of connections; those that are none become as they were before us.
    pub fn timeouts(&self, timeouts: lvs::Timeouts) {
        self.orders.send(Order::Timeouts(timeouts));
    }

    /// Which sync daemons are to run: the one that tells, and the one that listens.
    pub fn sync_daemon(&self, master: Option<Daemon>, backup: Option<Daemon>) {
        self.orders.send(Order::Daemons(master, backup));
    }

    /// Compares our services with the kernel's now; it also happens by itself now and then.
    pub fn compare(&self) {
        self.orders.send(Order::Compare);
    }

    /// Says [`Event::Found`], once, before anything is done that is wanted from now on.
    pub fn find(&self) {
        self.orders.send(Order::Find);
    }

    /// Says [`Event::Synced`] when everything ordered before is done, or has failed for now.
    pub fn sync(&self, number: u64) {
        self.orders.send(Order::Sync(number));
    }

    /// How often what happened.
    pub fn counters(&self) -> Counters {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finishes what was ordered, stops our sync daemons, puts the timeouts back, and waits until all of it is done.
    /// What is still wanted stays. Not for the loop.
    pub fn finish(self) {
        self.orders.send(Order::Finish);
        let _ = self.thread.join();
    }
}

impl IpvsEvents {
    /// The next event, if one waits.
    pub fn try_next(&mut self) -> Option<Event> {
        self.events.try_next()
    }

    /// Within a runtime: readable when an event may wait.
    pub fn watch(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: its descriptor is that of its mailbox's bell from first to last.
        Ok(unsafe { AsyncFd::register(self) }?)
    }

    /// The thread has ended; nothing will come any more.
    pub const fn is_closed(&self) -> bool {
        self.events.is_closed()
    }
}

/// Readable when an event may wait.
impl AsFd for IpvsEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl AsRawFd for IpvsEvents {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
