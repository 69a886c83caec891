//! From an instance's state to the bytes of its adverts.

use std::net::IpAddr;
use std::sync::Arc;

use crate::addr::Family;
use crate::model::vrrp::{Authentication, Destination, Instance, Version};
use crate::wire::ipv4::{Header, PROTOCOL_VRRP};
use crate::wire::vrrp::{Body, Checksum, emit};

use super::io::{Packets, SocketKey};

/// TTL and hop limit of adverts (RFC 9568 §5.1.1.3).
const TTL: u8 = 255;

/// Encodes adverts; the last one is kept, because the next one is nearly always the same.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    /// IPv4 identification of the last advert.
    id: u16,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    priority: u8,
    old_checksum: bool,
    /// Nobody else has them once the last advert is sent: the next is written into the same memory.
    packets: Arc<Packets>,
}

impl Encoder {
    /// The configuration has changed.
    pub(crate) fn forget(&mut self) {
        self.kept = None;
    }

    /// One logical advert: a copy for each destination, all with the same identification.
    pub(crate) fn encode(
        &mut self,
        config: &Instance,
        priority: u8,
        source: IpAddr,
        socket: SocketKey,
        old_checksum: bool,
    ) -> Arc<Packets> {
        let fits = |kept: &Kept| {
            (kept.priority, kept.packets.source, kept.packets.socket, kept.old_checksum)
                == (priority, source, socket, old_checksum)
        };
        self.kept.take_if(|kept| !fits(kept));
        let kept = self.kept.get_or_insert_with(|| {
            let packets = Arc::new(packets(config, priority, source, socket, old_checksum));
            Kept { priority, old_checksum, packets }
        });
        kept.next(&mut self.id)
    }

    /// The last one once more, with an identification of its own; none where there was none since the configuration changed.
    #[inline]
    pub(super) fn again(&mut self) -> Option<Arc<Packets>> {
        Some(self.kept.as_mut()?.next(&mut self.id))
    }
}

impl Kept {
    #[inline(always)]
    fn next(&mut self, id: &mut u16) -> Arc<Packets> {
        // keepalived: starts at 1 and skips 0
        *id = id.checked_add(1).unwrap_or(1);
        if self.packets.socket.family == Family::V4 {
            Arc::make_mut(&mut self.packets).copies.iter_mut().for_each(|(_, packet)| Header::set_id(packet, *id));
        }
        Arc::clone(&self.packets)
    }
}

fn packets(config: &Instance, priority: u8, source: IpAddr, socket: SocketKey, old_checksum: bool) -> Packets {
    let addresses: Vec<IpAddr> = config.addresses.iter().map(|address| address.cidr.address).collect();
    let ttl = match &config.destination {
        Destination::Multicast(_) => TTL,
        Destination::Unicast(unicast) => unicast.ttl.unwrap_or(TTL),
    };
    let to = |destination: IpAddr| {
        let sum = checksum(config, source, destination, old_checksum);
        let pdu = emit(config.family, config.vrid, priority, &addresses, body(config), sum);
        let packet = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Header::before(source, destination, ttl, PROTOCOL_VRRP, 0, &pdu)
            }
            _ => pdu,
        };
        (destination, packet)
    };
    let (hop_limit, copies) = match &config.destination {
        Destination::Multicast(group) => (None, vec![to(*group)]),
        Destination::Unicast(unicast) => {
            let hop_limit = unicast.ttl.filter(|_| config.family == Family::V6);
            (hop_limit, unicast.peers.iter().map(|peer| to(peer.address)).collect())
        }
    };
    Packets { socket, source, hop_limit, copies }
}

fn body(config: &Instance) -> Body {
    match config.version {
        Version::V2 => {
            let (auth_type, auth_data) = match config.authentication {
                Authentication::None => (0, [0; 8]),
                Authentication::Pass(password) => (1, password),
            };
            let adver_secs = u8::try_from(config.advert_interval.0 / 100).unwrap_or(u8::MAX);
            Body::V2 { auth_type, adver_secs, auth_data }
        }
        Version::V3 => Body::V3 { max_advertise: config.advert_interval },
    }
}

fn checksum(config: &Instance, source: IpAddr, destination: IpAddr, old_checksum: bool) -> Checksum {
    match (config.family, config.version) {
        (Family::V6, _) => Checksum::Kernel,
        (Family::V4, Version::V2) => Checksum::Plain,
        (Family::V4, Version::V3) if config.v3_checksum_as_v2 => Checksum::Plain,
        // keepalived <= 1.3.6 always took the group's address
        (Family::V4, Version::V3) if old_checksum => Checksum::Between(source, super::OLD_CHECKSUM_GROUP),
        (Family::V4, Version::V3) => Checksum::Between(source, destination),
    }
}
