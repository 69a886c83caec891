//! What the kernel's IPVS table is made of, as its generic netlink family IPVS says it.
//!
//! The values are here; the files beside have the messages, in rust-netlink's manner: an enum of attributes for each
//! object, unknown ones kept, and the kernel's names for the numbers.

mod attribute;
pub mod daemon;
pub mod dest;
pub mod info;
pub mod message;
pub mod service;
pub mod stats;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::addr::{Family, IfName};

/// What tells one service from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// An address with protocol and port.
    Address {
        /// IP protocol number: 6, 17 or 132.
        protocol: u8,
        /// Address.
        address: IpAddr,
        /// Port; 0 is every port.
        port: u16,
    },
    /// A firewall mark, of which there is one per family.
    Mark {
        /// IPv4 or IPv6.
        family: Family,
        /// The mark.
        mark: u32,
    },
}

impl ServiceKey {
    /// IPv4 or IPv6.
    pub const fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(*address),
            Self::Mark { family, .. } => *family,
        }
    }
}

/// Everything else of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Name of the scheduler.
    pub scheduler: std::sync::Arc<str>,
    /// `IP_VS_SVC_F_*`, without the kernel's own [`HASHED`].
    pub flags: u32,
    /// Persistence in seconds, with [`PERSISTENT`].
    pub timeout_secs: u32,
    /// IPv4: the mask, in network byte order as a number (`u32::from(Ipv4Addr)`); IPv6: the prefix length.
    pub netmask: u32,
    /// Persistence engine.
    pub engine: Option<std::sync::Arc<str>>,
}

/// `IP_VS_SVC_F_PERSISTENT`
pub const PERSISTENT: u32 = 0x0001;
/// `IP_VS_SVC_F_HASHED`: the kernel's own.
pub const HASHED: u32 = 0x0002;
/// `IP_VS_SVC_F_ONEPACKET`
pub const ONE_PACKET: u32 = 0x0004;

/// What tells one destination of a service from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestKey {
    /// Address; its family may differ from the service's where it is reached through a tunnel.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
}

/// Everything else of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dest {
    /// How packets reach it.
    pub forwarding: crate::wire::ipvs::Forward,
    /// 0 to 2,147,483,647; 0 gets no new connections.
    pub weight: u32,
    /// Connections above which it gets no more; 0 is no limit.
    pub upper_threshold: u32,
    /// Connections below which it gets some again; 0 is three quarters of the upper one.
    pub lower_threshold: u32,
}

/// `IP_VS_CONN_F_*` with the tunnel's attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// NAT
    Masq,
    /// DR
    DirectRoute,
    /// TUN, IP in IP.
    Ipip,
    /// TUN, Generic UDP Encapsulation.
    Gue {
        /// To which port.
        port: u16,
        /// `IP_VS_TUNNEL_ENCAP_FLAG_*`: 0 none, 1 checksum, 2 remote checksum.
        flags: u16,
    },
    /// TUN, Generic Routing Encapsulation.
    Gre {
        /// 0 none, 1 checksum.
        flags: u16,
    },
    /// What somebody else made and we never do: method, tunnel type, port, flags.
    Other(u32, u8, u16, u16),
}

/// One of the two sync daemons, which tell other directors of connections and listen to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DaemonState {
    /// It tells.
    Master,
    /// It listens.
    Backup,
}

/// How a sync daemon runs; none leaves it to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// The interface of its multicast.
    pub interface: IfName,
    /// Only daemons of one number understand each other.
    pub id: u8,
    /// Largest message in bytes.
    pub max_len: Option<u16>,
    /// UDP port.
    pub port: Option<u16>,
    /// Time to live.
    pub ttl: Option<u8>,
    /// Multicast group.
    pub group: Option<IpAddr>,
}

/// How long connections are kept, in seconds; in requests 0 leaves what is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Established TCP connections.
    pub tcp_secs: u32,
    /// TCP connections after a FIN.
    pub tcp_fin_secs: u32,
    /// UDP.
    pub udp_secs: u32,
}
