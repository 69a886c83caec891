//! What an instance does again and again: a BACKUP hears an advert that differs from the one before in nothing and lets
//! nothing but the timer begin anew; a MASTER sends one. All that it takes is close together, apart from everything else of
//! an instance.

use std::ops::Range;

use crate::addr::Family;
use crate::time::{Duration, Instant};

use super::io::PacketMeta;

/// Bytes of a datagram that can be a routine: IPv4 with 25 addresses, IPv6 with 7.
const MOST: usize = 128;

/// What is done again if nothing else happens.
#[derive(Clone, Debug)]
pub(crate) enum Routine {
    /// A BACKUP hears this.
    Hear(Advert),
    /// A MASTER sends the advert before.
    Send(Cadence),
}

/// When a MASTER sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cadence {
    /// Time between two adverts.
    pub(super) interval: Duration,
    /// How much earlier than due an advert may leave in company.
    pub(super) slack: Duration,
    /// Then there is something else to do.
    pub(super) until: Instant,
}

impl Cadence {
    /// Whether an advert that is due at `due` is all that there is to do at `now`. After one that is late by an interval
    /// there may be more.
    pub(super) fn is_all(&self, due: Instant, now: Instant) -> bool {
        due <= now + self.slack && now < self.until && now < due + self.interval
    }

    /// When the advert after one that was due at `due` is due: it does not drift with lateness.
    pub(super) fn next(&self, due: Instant, now: Instant) -> Instant {
        let next = due.min(now) + self.interval;
        if next > now + self.slack { next } else { now + self.interval }
    }
}

/// The advert that was heard.
#[derive(Clone, Debug)]
pub(crate) struct Advert {
    meta: PacketMeta,
    len: u8,
    bytes: [u8; MOST],
}

impl Advert {
    /// None where it is too long.
    pub(super) fn of(meta: &PacketMeta, datagram: &[u8]) -> Option<Self> {
        let mut bytes = [0; MOST];
        bytes.get_mut(..datagram.len())?.copy_from_slice(datagram);
        Some(Self { meta: *meta, len: u8::try_from(datagram.len()).ok()?, bytes })
    }

    /// Whether this is the same advert.
    pub(super) fn is(&self, meta: &PacketMeta, datagram: &[u8]) -> bool {
        if usize::from(self.len) != datagram.len() || self.meta != *meta {
            return false;
        }
        let known = &self.bytes[..datagram.len()];
        match meta.socket.family {
            Family::V6 => same_bytes(datagram, known),
            // The identification and the header's own checksum come from the sender's kernel and say nothing.
            Family::V4 => {
                same_part(datagram, known, 0..4)
                    && same_part(datagram, known, 6..10)
                    && same_part(datagram, known, 12..datagram.len())
            }
        }
    }
}

fn same_part(theirs: &[u8], ours: &[u8], part: Range<usize>) -> bool {
    theirs.get(part.clone()).zip(ours.get(part)).is_some_and(|(theirs, ours)| same_bytes(theirs, ours))
}

/// Compares without telling by its time where they differ: there may be a password.
// One copy for all callers: a loop that wakes for one packet finds little of its code in the cache.
#[inline(never)]
pub(super) fn same_bytes(theirs: &[u8], ours: &[u8]) -> bool {
    theirs.len() == ours.len() && theirs.iter().zip(ours).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::vrrp::{Garp, Instance, Version};
    use crate::time::Centis;
    use crate::vrrp::io::{Input, SocketKey, SocketScope};
    use crate::vrrp::tests::{Bench, ETH0, GROUP, at, instance, ip, link};
    use crate::wire::ipv4::Header;
    use crate::wire::vrrp::{Body, Checksum, emit};

    fn meta(family: Family) -> PacketMeta {
        let socket = SocketKey { family, link: None, scope: SocketScope::Multicast(GROUP.into()) };
        PacketMeta { socket, source: ip("10.0.0.2"), destination: None, hop_limit: None }
    }

    #[test]
    fn whatever_differs_is_no_routine() {
        for (family, varying) in [(Family::V4, vec![4, 5, 10, 11]), (Family::V6, vec![])] {
            let (meta, bytes) = (meta(family), (0..40).collect::<Vec<u8>>());
            let routine = Advert::of(&meta, &bytes).unwrap();
            assert!(routine.is(&meta, &bytes));
            for place in 0..bytes.len() {
                let mut other = bytes.clone();
                other[place] ^= 0x80;
                assert_eq!(routine.is(&meta, &other), varying.contains(&place), "byte {place}");
            }
            assert!(!routine.is(&meta, &bytes[..39]) && !routine.is(&meta, &[&bytes[..], &[0]].concat()));
            assert!(!routine.is(&meta, &[]));
            assert!(!routine.is(&PacketMeta { source: ip("10.0.0.3"), ..meta }, &bytes));
            assert!(!routine.is(&PacketMeta { hop_limit: Some(254), ..meta }, &bytes));
        }
        assert!(Advert::of(&meta(Family::V4), &[0; MOST]).is_some());
        assert!(Advert::of(&meta(Family::V4), &[0; MOST + 1]).is_none());
    }

    /// One thing that happens to a router.
    #[derive(Clone, Debug)]
    enum Step {
        /// So often that what is to be logged of it is no longer, perhaps.
        Hear {
            vrid: u8,
            host: u8,
            priority: u8,
            interval: u16,
            address: bool,
            id: u16,
            late: u64,
            times: usize,
        },
        Wait(u64),
        /// The process does not run for so long.
        Sleep(u64),
        Carrier(bool),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let priority = prop_oneof![5 => Just(200), 1 => Just(0), 1 => Just(50), 1 => Just(100), 1 => Just(255)];
        let advert =
            (prop_oneof![9 => Just(2_u8), 1 => Just(3)], priority, prop_oneof![9 => Just(100_u16), 1 => Just(50)]);
        let times = prop_oneof![4 => Just(1_usize), 1 => Just(30)];
        let rest = (51..53_u8, prop::bool::weighted(0.95), any::<u16>(), prop_oneof![Just(0), Just(100_u64)], times);
        let hear = (advert, rest).prop_map(|((host, priority, interval), (vrid, address, id, late, times))| {
            Step::Hear { vrid, host, priority, interval, address, id, late, times }
        });
        prop_oneof![
            8 => hear,
            2 => (0..1_500_u64).prop_map(Step::Wait),
            3 => (0..9_000_u64).prop_map(Step::Wait),
            1 => (0..4_000_u64).prop_map(Step::Sleep),
            1 => any::<bool>().prop_map(Step::Carrier),
        ]
    }

    /// A router, and whether it looks at everything anew.
    struct Subject(Bench, bool);

    impl Subject {
        fn forget(&mut self) {
            if self.1 {
                self.0.node.forget_routines();
            }
        }

        fn wait(&mut self, until: Instant) {
            while let Some((due, _)) = self.0.node.deadline()
                && due <= until
            {
                self.forget();
                self.0.run(due);
            }
            self.0.run(until);
        }
    }

    fn take(subject: &mut Subject, version: Version, step: &Step) {
        subject.forget();
        let bench = &mut subject.0;
        match *step {
            Step::Wait(millis) => subject.wait(subject.0.now + Duration::from_millis(millis)),
            Step::Sleep(millis) => {
                bench.now += Duration::from_millis(millis);
                bench.feed(Input::Tick);
            }
            Step::Carrier(up) => {
                bench.feed(Input::Link(link(ETH0, "eth0", up)));
            }
            Step::Hear { vrid, host, priority, interval, address, id, late, times } => {
                let (from, centis) = ([10, 0, 0, host], Centis(interval));
                let (body, sum) = match version {
                    Version::V2 => (Body::V2 { auth_type: 0, adver_secs: 1, auth_data: [0; 8] }, Checksum::Plain),
                    Version::V3 => (Body::V3 { max_advertise: centis }, Checksum::Between(from.into(), GROUP.into())),
                };
                let pdu =
                    emit(Family::V4, vrid, priority, &[ip(if address { "10.0.0.100" } else { "10.0.0.9" })], body, sum);
                let bytes = Header::before(from.into(), GROUP.into(), 255, 112, id, &pdu);
                let scope = SocketScope::Multicast(GROUP.into());
                let socket = SocketKey { family: Family::V4, link: Some(ETH0), scope };
                let meta = PacketMeta { socket, source: from.into(), destination: None, hop_limit: None };
                for _ in 0..times {
                    subject.forget();
                    let bench = &mut subject.0;
                    bench.feed(Input::Received { meta, waited: Duration::from_millis(late), bytes: &bytes });
                }
            }
        }
    }

    proptest! {
        /// A node that knows its routines does what one does that looks at every advert anew.
        #[test]
        fn routine_or_not_the_same_is_done(
            v3: bool,
            preempt: bool,
            delay in prop_oneof![Just(0_u64), Just(2_500)],
            priority in prop_oneof![4 => Just(100_u8), 1 => Just(255)],
            refresh in prop_oneof![Just(0_u64), Just(1_700)],
            other_interval in prop_oneof![Just(100_u16), Just(200)],
            steps in prop::collection::vec(any_step(), 1..60),
        ) {
            let version = if v3 { Version::V3 } else { Version::V2 };
            let preempt_delay = Duration::from_millis(delay);
            let one = instance(priority);
            let garp = Garp { master_refresh: Duration::from_millis(refresh), ..one.garp };
            let one = Instance { version, preempt, preempt_delay, garp, ..one };
            let advert_interval = Centis(if v3 { other_interval / 3 } else { other_interval });
            let other = Instance { name: "other".into(), vrid: 52, advert_interval, ..one.clone() };
            let [mut knowing, mut ignorant] =
                [false, true].map(|ignores| Subject(Bench::start(vec![one.clone(), other.clone()]), ignores));
            for subject in [&mut knowing, &mut ignorant] {
                subject.wait(at(500));
            }
            for step in steps {
                take(&mut knowing, version, &step);
                take(&mut ignorant, version, &step);
                prop_assert_eq!(&knowing.0.log, &ignorant.0.log);
                prop_assert_eq!(knowing.0.node.deadline(), ignorant.0.node.deadline());
                prop_assert!(knowing.0.node.views().eq(ignorant.0.node.views()));
            }
        }
    }
}
