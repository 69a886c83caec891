//! The thread: orders in windows, notifications in between.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;

use super::buffers::Buffer;
use super::message::Change;
use super::monitor::{Heard, Monitor};
use super::requests::{Request, Requests, WINDOW};
use super::{Event, Order, Tuning};
use crate::addr::IfIndex;
use crate::sys::announce::Announcer;
use crate::sys::mailbox::{Mailbox, Sender};
use crate::vrrp::io::{Announcement, Holding};

/// Notifications read before orders are looked at again.
const NOTIFICATIONS: usize = 256;
/// Announcements sent together.
const ANNOUNCEMENTS: usize = 512;
/// Between tries of a dump that fails, or that changes disturb.
const RESYNC_PAUSE_MS: u16 = 200;

/// All that the thread has.
#[derive(Debug)]
pub(super) struct Worker {
    ordered: Mailbox<Vec<Order>>,
    queue: VecDeque<Order>,
    requests: Requests,
    monitor: Monitor,
    announcer: Announcer,
    /// Addresses that could not be added: not announced.
    missing: BTreeSet<(IfIndex, IpAddr)>,
    /// Notifications were lost, or a dump was torn: another dump has yet to make up for it.
    stale: bool,
    overruns: Arc<AtomicU64>,
    events: Vec<Event>,
    out: Sender<Vec<Event>>,
}

/// Orders that are carried out together.
#[derive(Debug, Default)]
struct Window {
    requests: Vec<Request>,
    announcements: Vec<Announcement>,
    syncs: Vec<u64>,
}

impl Worker {
    pub(super) fn new(
        ordered: Mailbox<Vec<Order>>,
        out: Sender<Vec<Event>>,
        overruns: Arc<AtomicU64>,
        tuning: Tuning,
    ) -> io::Result<Self> {
        let mut requests = Requests::open(tuning)?;
        // Listening before asking: what changes in between is told twice, not missed.
        let mut monitor = Monitor::open(requests.port(), tuning)?;
        let dump = requests.dump()?;
        let stale = dump.is_torn;
        let snapshot = dump.snapshot();
        monitor.learn(&snapshot);
        Ok(Self {
            ordered,
            queue: VecDeque::new(),
            requests,
            monitor,
            announcer: Announcer::open()?,
            missing: BTreeSet::new(),
            stale,
            overruns,
            events: vec![Event::Machine(snapshot)],
            out,
        })
    }

    /// The buffers of its sockets: for answers, and for notifications.
    pub(super) fn buffers(&self, tuning: Tuning) -> io::Result<(Buffer, Buffer)> {
        let commands = Buffer::of(&self.requests, tuning.answers)?;
        Ok((commands, Buffer::of(&self.monitor.socket, tuning.notifications)?))
    }

    pub(super) fn run(mut self) {
        // Signals are the loop's.
        let _ = SigSet::all().thread_block();
        loop {
            while let Some(orders) = self.ordered.try_next() {
                self.queue.extend(orders);
            }
            let open = !self.ordered.is_closed();
            if !self.queue.is_empty() {
                self.run_window();
            } else if !open {
                return;
            }
            let heard = self.listen();
            self.tell();
            if open && heard && self.queue.is_empty() {
                self.wait();
            }
        }
    }

    fn wait(&self) {
        let timeout = if self.stale { PollTimeout::from(RESYNC_PAUSE_MS) } else { PollTimeout::NONE };
        let mut sources = [
            PollFd::new(self.ordered.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.monitor.socket.as_fd(), PollFlags::POLLIN),
        ];
        // An interrupted wait is one more turn of the loop.
        let _ = poll(&mut sources, timeout);
    }

    fn tell(&mut self) {
        if !self.events.is_empty() {
            // Nobody listens any more while the process stops; its last orders are carried out all the same.
            self.out.send(std::mem::take(&mut self.events));
        }
    }

    /// Reads notifications; `true` where none waits any more.
    fn listen(&mut self) -> bool {
        let heard = self.monitor.read(NOTIFICATIONS, &mut self.events);
        if !matches!(heard, Ok(Heard::All | Heard::Some)) {
            self.overruns.fetch_add(1, Ordering::Relaxed);
            self.stale = true;
        }
        if self.stale {
            self.resync();
        }
        matches!(heard, Ok(Heard::All)) || self.stale
    }

    fn resync(&mut self) {
        self.monitor.discard();
        // Where it does not work, it is tried again after a pause, or with the next notification.
        if let Ok(dump) = self.requests.dump() {
            self.stale = dump.is_torn;
            let snapshot = dump.snapshot();
            self.monitor.learn(&snapshot);
            self.events.push(Event::Machine(snapshot));
        }
    }

    fn run_window(&mut self) {
        let mut window = Window::take(&mut self.queue);
        for request in window.requests.iter().filter(|request| request.change == Change::Remove) {
            self.monitor.expect_removal(request.holding.link, request.holding.address.cidr);
        }
        let events = &mut self.events;
        self.requests.carry_out(&mut window.requests, |holding| events.push(Event::Unanswered(holding.clone())));
        for request in &window.requests {
            let failure = request.failure();
            let key = (request.holding.link, request.holding.address.cidr.address);
            match (request.change, &failure) {
                (Change::Add, Some(_)) => _ = self.missing.insert(key),
                _ => _ = self.missing.remove(&key),
            }
            self.events.extend(failure.map(Event::Failed));
        }
        window.announcements.retain(|one| !self.missing.contains(&(one.link, one.address)));
        let events = &mut self.events;
        self.announcer.send(&window.announcements, |announcement, errno| {
            events.push(Event::NotAnnounced(*announcement, errno));
        });
        self.events.extend(window.syncs.into_iter().map(Event::Synced));
        self.tell();
    }
}

impl Window {
    /// The next orders that can go together: first the changes, then the announcements, as if one after another.
    fn take(queue: &mut VecDeque<Order>) -> Self {
        let mut window = Self::default();
        while let Some(order) = queue.front() {
            let full = match order {
                Order::Add(_) => window.requests.len() == WINDOW,
                // It is announced before it goes.
                Order::Remove(holding) => window.requests.len() == WINDOW || window.announces(holding),
                Order::Announce(_) => window.announcements.len() == ANNOUNCEMENTS,
                Order::Sync(_) => false,
            };
            if full {
                break;
            }
            match queue.pop_front() {
                Some(Order::Add(holding)) => window.requests.push(Request::new(Change::Add, holding)),
                Some(Order::Remove(holding)) => window.requests.push(Request::new(Change::Remove, holding)),
                Some(Order::Announce(announcement)) => window.announcements.push(announcement),
                Some(Order::Sync(id)) => window.syncs.push(id),
                None => break,
            }
        }
        window
    }

    fn announces(&self, holding: &Holding) -> bool {
        let cidr = holding.address.cidr;
        self.announcements.iter().any(|one| (one.link, one.address) == (holding.link, cidr.address))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::addr::{Cidr, Mac};
    use crate::model::InstanceId;
    use crate::model::vrrp::VirtualAddress;

    const LINK: IfIndex = IfIndex(2);

    fn vip(host: u8) -> Holding {
        let cidr = Cidr { address: [10, 0, 0, host].into(), prefix: 32 };
        Holding { link: LINK, address: Arc::new(VirtualAddress::plain(cidr, "eth0".parse().unwrap())) }
    }

    fn announcement(host: u8) -> Order {
        let (mac, broadcast, address) = (Mac::default(), Mac::BROADCAST, [10, 0, 0, host].into());
        Order::Announce(Announcement { link: LINK, mac, broadcast, address, instance: InstanceId(0) })
    }

    /// Requests and announcements of each window.
    fn windows(orders: Vec<Order>) -> Vec<(usize, usize)> {
        let mut queue = VecDeque::from(orders);
        std::iter::from_fn(|| {
            let window = (!queue.is_empty()).then(|| Window::take(&mut queue))?;
            Some((window.requests.len(), window.announcements.len()))
        })
        .collect()
    }

    #[test]
    fn changes_and_announcements_of_several_addresses_go_together() {
        let orders = (1..=3).flat_map(|host| [Order::Add(vip(host)), announcement(host)]).collect();
        assert_eq!(windows(orders), [(3, 3)]);
        let orders = (1..=100).flat_map(|host| [Order::Add(vip(host)), announcement(host)]).collect();
        assert_eq!(windows(orders), [(32, 32), (32, 32), (32, 32), (4, 4)]);
    }

    #[test]
    fn an_address_is_announced_before_a_later_order_takes_it_away() {
        let orders = vec![Order::Add(vip(1)), announcement(1), Order::Remove(vip(1)), announcement(1)];
        assert_eq!(windows(orders), [(1, 1), (1, 1)]);
        let orders = vec![Order::Add(vip(1)), announcement(1), Order::Remove(vip(2))];
        assert_eq!(windows(orders), [(2, 1)]);
    }

    #[test]
    fn announcements_alone_are_bounded_too() {
        assert_eq!(windows(vec![announcement(1); 600]), [(0, 512), (0, 88)]);
    }
}
