//! What the kernel tells by itself: links and addresses that come, change and go.

use std::collections::BTreeMap;
use std::io;

use super::message::{Address, Header, Told};
use super::socket::RouteSocket;
use super::{Event, Tuning};
use crate::addr::{Cidr, IfIndex};
use crate::vrrp::io::{Link, Snapshot};

const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV6_IFADDR: u32 = 9;

/// The notifications of links and addresses, as events.
#[derive(Debug)]
pub(super) struct Monitor {
    pub(super) socket: RouteSocket,
    /// Port of the socket that our requests go through.
    requests: u32,
    /// As last told, to pass on only what changes.
    links: BTreeMap<IfIndex, Link>,
    /// Addresses whose removal we asked for and have not yet seen. A secondary that goes with its primary carries our
    /// port too, and is not in here.
    removing: BTreeMap<(IfIndex, Cidr), u32>,
}

/// What reading the notifications came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing more waits.
    All,
    /// More may wait.
    Some,
    /// The kernel had to drop some.
    Lost,
}

impl Monitor {
    /// Listens from now on.
    pub(super) fn open(requests: u32, tuning: Tuning) -> io::Result<Self> {
        let groups = [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR];
        let socket = RouteSocket::open(tuning.notifications, &groups, tuning.answer_limit)?;
        Ok(Self { socket, requests, links: BTreeMap::new(), removing: BTreeMap::new() })
    }

    /// Takes a dump for the truth.
    pub(super) fn learn(&mut self, snapshot: &Snapshot) {
        self.links = snapshot.links.iter().map(|link| (link.index, *link)).collect();
    }

    /// We are about to ask for the removal of an address.
    pub(super) fn expect_removal(&mut self, link: IfIndex, cidr: Cidr) {
        *self.removing.entry((link, cidr)).or_default() += 1;
    }

    /// Reads at most `budget` datagrams. No request of ours may be unanswered.
    pub(super) fn read(&mut self, budget: usize, events: &mut Vec<Event>) -> io::Result<Heard> {
        let (links, removing, requests) = (&mut self.links, &mut self.removing, self.requests);
        for _ in 0..budget {
            let mut lost = false;
            let received = self.socket.receive(|header, told| match told {
                Told::Overrun => lost = true,
                told => events.extend(event(links, removing, requests, header, told)),
            });
            match received {
                Ok(true) if !lost => {}
                Ok(false) => {
                    // All that our requests have brought about has been told: what is left was not there to remove.
                    removing.clear();
                    return Ok(Heard::All);
                }
                Ok(true) => return Ok(Heard::Lost),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Heard::Lost),
                Err(error) => return Err(error),
            }
        }
        Ok(Heard::Some)
    }

    /// Throws away all that waits, before a dump takes its place.
    pub(super) fn discard(&mut self) {
        // Bounded: somebody may add addresses as fast as we read.
        for _ in 0..1_000_000 {
            if let Ok(false) = self.socket.receive(|_, _| {}) {
                break;
            }
        }
        self.removing.clear();
    }
}

fn event(
    links: &mut BTreeMap<IfIndex, Link>,
    removing: &mut BTreeMap<(IfIndex, Cidr), u32>,
    requests: u32,
    header: Header,
    told: Told,
) -> Option<Event> {
    match told {
        Told::Link(link) => (links.insert(link.index, link) != Some(link)).then_some(Event::Link(link)),
        Told::LinkGone(index) => links.remove(&index).map(|_| Event::LinkGone(index)),
        Told::Address(Address { link, cidr, usable, .. }) => usable.then_some(Event::AddressAdded(link, cidr)),
        Told::AddressGone(Address { link, cidr, .. }) => {
            let by_us = header.port == requests && take_one(removing, (link, cidr));
            Some(Event::AddressRemoved { link, address: cidr, by_us })
        }
        Told::Answer(_) | Told::Done(_) | Told::Overrun => None,
    }
}

fn take_one(removing: &mut BTreeMap<(IfIndex, Cidr), u32>, key: (IfIndex, Cidr)) -> bool {
    let Some(count) = removing.get_mut(&key) else { return false };
    *count -= 1;
    if *count == 0 {
        removing.remove(&key);
    }
    true
}
