//! The kernel's links and addresses: asked for on a thread of its own, and listened to there.
//!
//! Sending an rtnetlink request waits for the kernel's rtnl lock, which others hold for milliseconds, so the loop that
//! sends adverts only hands orders over. The thread sends address changes together, matches the answers, sends the
//! announcements whose addresses are there, and tells what happened as [`Event`]s.
#![allow(unsafe_code)]

mod buffers;
pub(super) mod message;
mod monitor;
pub(super) mod requests;
pub(super) mod socket;
mod worker;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use tokio::io::unix::AsyncFd;

use self::buffers::Buffer;
use super::mailbox::{Mailbox, Sender, mailbox};
use crate::addr::{Cidr, IfIndex};
use crate::model::global::NetlinkBuffers;
use crate::time::Duration;
use crate::vrrp::io::{Announcement, Failure, Holding, Link, Snapshot};

/// Something to do, in the order of submission.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Have this address; one that is there already is a success.
    Add(Holding),
    /// Have it not; one that is not there is a success.
    Remove(Holding),
    /// Announce an address, after the kernel has answered for all orders before; not if it could not be added.
    Announce(Announcement),
    /// Say [`Event::Synced`] when all orders before are done.
    Sync(u64),
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The whole truth: first of all, and again after the kernel had to drop notifications.
    Machine(Snapshot),
    /// A link appeared or changed.
    Link(Link),
    /// A link is gone.
    LinkGone(IfIndex),
    /// The kernel has an address; an IPv6 one only once it is usable.
    AddressAdded(IfIndex, Cidr),
    /// The kernel has an address no longer.
    AddressRemoved {
        /// On which link it was.
        link: IfIndex,
        /// Which.
        address: Cidr,
        /// Because we asked for the removal of just this address.
        by_us: bool,
    },
    /// An address could not be added or removed.
    Failed(Failure),
    /// The kernel did not answer for this address in time; it is looked up, and asked for once more.
    Unanswered(Holding),
    /// An announcement could not be sent: errno.
    NotAnnounced(Announcement, i32),
    /// All orders before [`Order::Sync`] with this number are done.
    Synced(u64),
}

/// What tests change to see what happens when the kernel must drop something.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Receive buffer for notifications. It is a limit, not an allocation: room for some ten thousand changes at once.
    pub notifications: usize,
    /// Receive buffer for answers.
    pub answers: usize,
    /// How long the kernel may take for an answer.
    pub answer_limit: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { notifications: 16 << 20, answers: 1 << 20, answer_limit: Duration::from_secs(2) }
    }
}

/// The hand that gives orders to the kernel's thread. Dropping it lets the thread finish what was ordered.
#[derive(Debug)]
pub struct Kernel {
    /// None only while it is dropped.
    orders: Option<Sender<Vec<Order>>>,
    overruns: Arc<AtomicU64>,
    /// For answers, and for notifications.
    buffers: (Buffer, Buffer),
    thread: Option<JoinHandle<()>>,
}

/// What the kernel's thread has to tell.
#[derive(Debug)]
pub struct KernelEvents {
    batches: Mailbox<Vec<Event>>,
    ready: VecDeque<Event>,
}

impl Kernel {
    /// Starts listening and the thread. The first event is [`Event::Machine`]; nothing that happens after it is missed.
    pub fn start() -> io::Result<(Self, KernelEvents)> {
        Self::start_with(Tuning::default())
    }

    /// As `start`.
    #[doc(hidden)]
    pub fn start_with(tuning: Tuning) -> io::Result<(Self, KernelEvents)> {
        let (orders, ordered) = mailbox()?;
        // Unbounded, and bounded by what the kernel tells while the loop is busy: a loop that never reads is dead.
        let (out, batches) = mailbox()?;
        let overruns = Arc::new(AtomicU64::new(0));
        let worker = worker::Worker::new(ordered, out, Arc::clone(&overruns), tuning)?;
        let buffers = worker.buffers(tuning)?;
        let thread = std::thread::Builder::new().name("kernel".to_owned()).spawn(move || worker.run())?;
        let kernel = Self { orders: Some(orders), overruns, buffers, thread: Some(thread) };
        Ok((kernel, KernelEvents { batches, ready: VecDeque::new() }))
    }

    /// Hands orders over; never waits.
    pub fn submit(&self, orders: Vec<Order>) {
        if let (false, Some(sender)) = (orders.is_empty(), &self.orders) {
            sender.send(orders);
        }
    }

    /// Sizes the receive buffers of its sockets as `<prefix>_cmd_rcv_bufs` and `<prefix>_monitor_rcv_bufs` want it; gives
    /// what is wrong then, for people.
    pub fn use_buffers(&mut self, prefix: &str, wanted: &NetlinkBuffers) -> impl Iterator<Item = String> {
        let (commands, monitor) = &mut self.buffers;
        let commands = commands.apply(&format!("{prefix}_cmd_rcv_bufs"), wanted.commands);
        commands.into_iter().chain(monitor.apply(&format!("{prefix}_monitor_rcv_bufs"), wanted.monitor))
    }

    /// How often the kernel had to drop notifications.
    pub fn overruns(&self) -> u64 {
        self.overruns.load(Ordering::Relaxed)
    }

    /// Waits until everything ordered is done and the thread has ended. Not for the loop.
    pub fn stop(mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl KernelEvents {
    /// The next event, if one waits.
    pub fn try_next(&mut self) -> Option<Event> {
        while self.ready.is_empty() {
            self.ready = self.batches.try_next()?.into();
        }
        self.ready.pop_front()
    }

    /// Within a runtime: readable when an event may wait.
    pub fn watch(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: its descriptor is that of its mailbox's bell from first to last.
        Ok(unsafe { AsyncFd::register(self) }?)
    }

    /// The thread has ended; nothing will come any more.
    pub const fn is_closed(&self) -> bool {
        self.batches.is_closed()
    }
}

/// Readable when an event may wait.
impl AsFd for KernelEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.batches.as_fd()
    }
}

impl AsRawFd for KernelEvents {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
