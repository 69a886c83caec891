//! Gratuitous ARP and unsolicited neighbour advertisements: bursts, and how they are paced.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use crate::addr::{Family, IfIndex, IfName};
use crate::model::{InstanceId, Vrrp};
use crate::time::{Duration, Instant};

use super::io::{Action, Announcement, Link};
use super::links::Links;
use super::report::Event;

/// What is still to be announced, by lane.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    lanes: BTreeMap<LaneKey, Lane>,
}

/// Who waits for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LaneKey {
    Link(IfName, Family),
    Group(u32, Family),
}

#[derive(Debug)]
struct Lane {
    interval: Duration,
    next_at: Instant,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    instance: InstanceId,
    link: IfIndex,
    address: IpAddr,
    times: u32,
}

impl Announcer {
    /// `repeat` rounds over `targets`, at once where nothing paces them, else one by one.
    pub(crate) fn burst(
        &mut self,
        config: &Vrrp,
        instance: InstanceId,
        targets: &[(Link, IpAddr)],
        repeat: u32,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        for _ in 0..repeat {
            for (link, address) in targets {
                let (key, interval) = lane_of(config, link.name, Family::of(*address));
                if interval.is_zero() {
                    announce(instance, link, *address, out);
                    continue;
                }
                let lane = self.lanes.entry(key).or_insert(Lane {
                    interval,
                    next_at: Instant::ZERO,
                    waiting: VecDeque::new(),
                });
                lane.interval = interval;
                if lane.waiting.is_empty() && lane.next_at <= now {
                    lane.next_at = now + interval;
                    announce(instance, link, *address, out);
                } else {
                    lane.queue(instance, link.index, *address, repeat);
                }
            }
        }
    }

    /// Forgets what waits for this instance.
    pub(crate) fn cancel(&mut self, instance: InstanceId) {
        for lane in self.lanes.values_mut() {
            lane.waiting.retain(|waiting| waiting.instance != instance);
        }
    }

    /// After a reload: what waits for an instance that is still there goes on under its new number.
    pub(crate) fn renumber(&mut self, new: &BTreeMap<InstanceId, InstanceId>) {
        for lane in self.lanes.values_mut() {
            lane.waiting.retain_mut(|waiting| match new.get(&waiting.instance) {
                Some(&id) => {
                    waiting.instance = id;
                    true
                }
                None => false,
            });
        }
    }

    /// Forgets everything that waits.
    pub(crate) fn clear(&mut self) {
        self.lanes.clear();
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.lanes.values().filter(|lane| !lane.waiting.is_empty()).map(|lane| lane.next_at).min()
    }

    pub(crate) fn tick(&mut self, links: &Links, now: Instant, out: &mut Vec<Action>) {
        for lane in self.lanes.values_mut() {
            while lane.next_at <= now
                && let Some(mut waiting) = lane.waiting.pop_front()
            {
                let Some(entry) = links.get(waiting.link) else { continue };
                announce(waiting.instance, &entry.link, waiting.address, out);
                lane.next_at = now + lane.interval;
                waiting.times -= 1;
                if waiting.times > 0 {
                    lane.waiting.push_back(waiting);
                }
            }
        }
    }
}

impl Lane {
    fn queue(&mut self, instance: InstanceId, link: IfIndex, address: IpAddr, most: u32) {
        let same = |w: &&mut Waiting| (w.instance, w.link, w.address) == (instance, link, address);
        match self.waiting.iter_mut().find(same) {
            Some(waiting) => waiting.times = waiting.times.saturating_add(1).min(most.max(waiting.times)),
            None => self.waiting.push_back(Waiting { instance, link, address, times: 1 }),
        }
    }
}

fn lane_of(config: &Vrrp, link: IfName, family: Family) -> (LaneKey, Duration) {
    let pacing = config.pacing.get(&link).unwrap_or(&config.default_pacing);
    let interval = match family {
        Family::V4 => pacing.garp_interval,
        Family::V6 => pacing.gna_interval,
    };
    (pacing.group.map_or(LaneKey::Link(link, family), |group| LaneKey::Group(group, family)), interval)
}

fn announce(instance: InstanceId, link: &Link, address: IpAddr, out: &mut Vec<Action>) {
    let Link { index, name, mac, broadcast, .. } = *link;
    out.push(Action::Announce(Announcement { link: index, mac, broadcast, address, instance }));
    out.push(Action::Report(Event::Announced { link: name, address }));
}
