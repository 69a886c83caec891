//! Which sockets are to be open, whose packets come in by which, and what becomes of those that cannot be opened.

use std::collections::BTreeMap;

use crate::model::Vrrp;
use crate::model::vrrp::ReceiveBuffer;
use crate::time::{Duration, Instant};

use super::instance::Instance;
use super::io::{Action, PacketMeta, SocketKey, SocketSpec};
use super::links::Links;
use super::node::Node;
use super::report::Event;

/// From the first failure to the next try; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// As long as it gets.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A try whose failure has not been told by then has worked: the hands tell at once.
const SETTLED: Duration = Duration::from_millis(10);

/// A pair of sockets that could not be opened.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(super) key: SocketKey,
    pub(super) errno: i32,
    /// From the last failure to the next try.
    pause: Duration,
    /// The next try, or when the present one has worked.
    pub(super) next_at: Instant,
    trying: bool,
}

impl Node {
    pub(super) fn open_sockets(&mut self, out: &mut Vec<Action>) {
        let mut specs: BTreeMap<SocketKey, Option<u32>> = BTreeMap::new();
        self.routes.clear();
        for (i, instance) in self.instances.iter().enumerate() {
            let Some(key) = instance.socket.filter(|_| instance.config.config_fault.is_none()) else { continue };
            self.routes.entry(key).or_default().push((instance.config.vrid, i));
            let sum = specs.entry(key).or_default();
            if let Some(bytes) = receive_buffer(instance, &self.config, &self.links) {
                *sum = Some(sum.unwrap_or(0).saturating_add(bytes));
            }
        }
        self.routes.values_mut().for_each(|routes| routes.sort_unstable());
        let sockets: Vec<_> =
            specs.into_iter().map(|(key, receive_buffer)| SocketSpec { key, receive_buffer }).collect();
        if sockets != self.sockets {
            self.broken_sockets.retain(|broken| sockets.iter().any(|spec| spec.key == broken.key));
            self.sockets.clone_from(&sockets);
            out.push(Action::Sockets(sockets));
        }
    }

    /// A pair could not be opened: whoever needs it is in FAULT until a later try works.
    pub(super) fn socket_failed(&mut self, key: SocketKey, errno: i32, now: Instant, out: &mut Vec<Action>) {
        if self.sockets.iter().all(|spec| spec.key != key) {
            return; // not wanted any longer
        }
        let known = self.broken_sockets.iter_mut().find(|broken| broken.key == key);
        let is_news = known.as_ref().is_none_or(|broken| broken.errno != errno);
        match known {
            Some(broken) => {
                let pause = (broken.pause * 2).min(LONGEST_PAUSE);
                *broken = Broken { key, errno, pause, next_at: now + pause, trying: false };
            }
            None => {
                let (pause, next_at) = (FIRST_PAUSE, now + FIRST_PAUSE);
                self.broken_sockets.push(Broken { key, errno, pause, next_at, trying: false });
            }
        }
        if is_news {
            let name = key.link.and_then(|index| self.links.name_of(index));
            out.push(Action::Report(Event::SocketFailed(name, errno)));
        }
        self.reassess(&self.users_of(key), now, out);
    }

    /// Tries again what could not be opened. No news after a try is good news.
    pub(super) fn tick_sockets(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.broken_sockets.iter().all(|broken| broken.next_at > now) {
            return;
        }
        let works = |broken: &mut Broken| broken.trying && broken.next_at <= now;
        let working: Vec<SocketKey> = self.broken_sockets.extract_if(.., works).map(|broken| broken.key).collect();
        for key in working {
            self.reassess(&self.users_of(key), now, out);
        }
        let mut tries = false;
        for broken in self.broken_sockets.iter_mut().filter(|broken| broken.next_at <= now) {
            (broken.trying, broken.next_at) = (true, now + SETTLED);
            tries = true;
        }
        if tries {
            out.push(Action::Sockets(self.sockets.clone()));
        }
    }

    fn users_of(&self, key: SocketKey) -> Vec<usize> {
        self.all().into_iter().filter(|&i| self.instances[i].socket == Some(key)).collect()
    }

    /// Whose packet it is. Instances that share a VRID on a socket are told apart by their peers.
    pub(super) fn route(&self, meta: &PacketMeta, vrid: u8) -> Option<usize> {
        let routes = self.routes.get(&meta.socket)?;
        let first = routes.partition_point(|(of, _)| *of < vrid);
        let end = routes.partition_point(|(of, _)| *of <= vrid);
        match &routes[first..end] {
            [] => None,
            [(_, only)] => Some(*only),
            several => {
                let is = |test: &dyn Fn(&Instance) -> bool| {
                    several.iter().map(|(_, i)| *i).find(|&i| self.instances.get(i).is_some_and(test))
                };
                is(&|instance| instance.master.is_some_and(|(source, _)| source == meta.source))
                    .or_else(|| is(&|instance| instance.has_peer(meta.source)))
            }
        }
    }
}

/// What an instance adds to the receive buffer of its socket.
fn receive_buffer(instance: &Instance, config: &Vrrp, links: &Links) -> Option<u32> {
    let mtu = || instance.config.interface.and_then(|name| links.named(name)).map_or(1500, |entry| entry.link.mtu);
    instance.config.kernel_rx_buf_size.or_else(|| match config.receive_buffer {
        ReceiveBuffer::System => None,
        ReceiveBuffer::Bytes(bytes) => Some(bytes),
        ReceiveBuffer::Advert(times) => Some(instance.advert_len().saturating_mul(times)),
        ReceiveBuffer::Mtu(times) => Some(mtu().saturating_mul(times)),
    })
}
