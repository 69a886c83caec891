//! Virtual servers, their real servers, and what belongs to all of IPVS.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::addr::{Family, IfName};
use crate::model::checker::Checker;
use crate::model::{InstanceId, ScriptCommand};
use crate::time::Duration;

/// What the checker process runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lvs {
    /// In the order of the file.
    pub virtual_servers: Vec<Arc<VirtualServer>>,
    /// `track_file`s that a FILE_CHECK uses, in the order of the file.
    pub track_files: Vec<Arc<TrackFile>>,
    /// `lvs_flush`: remove every IPVS service at start, ours or not.
    pub flush: bool,
    /// `lvs_flush_on_stop`
    pub flush_on_stop: FlushOnStop,
    /// `lvs_timeouts`
    pub timeouts: Timeouts,
    /// `lvs_sync_daemon`
    pub sync_daemon: Option<SyncDaemon>,
    /// `rs_init_notifies`: real servers that are added at the start are told as coming up.
    pub rs_init_notifies: bool,
    /// `no_checker_emails`: mail only where the real server came or went.
    pub no_checker_emails: bool,
    /// `net_namespace_ipvs`: the network namespace whose IPVS table is meant; empty is the default one, none the
    /// process's own.
    pub net_namespace: Option<String>,
    /// Global `SSL { }`: what SSL_GET shows to a server that asks for a certificate.
    pub ssl: Ssl,
    /// `nftables_ipvs`: groups of addresses are services of firewall marks, which nf_tables gives to their packets.
    pub nftables: Option<Nftables>,
    /// The marks of such groups.
    pub marks: Marks,
}

/// Index into [`Lvs::virtual_servers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VirtualServerId(pub usize);

/// Index into [`VirtualServer::real_servers`] of one virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RealServerId {
    /// Of which virtual server.
    pub virtual_server: VirtualServerId,
    /// Which of its real servers.
    pub index: usize,
}

/// Index into [`RealServer::checkers`] of one real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CheckerId {
    /// Of which real server.
    pub real_server: RealServerId,
    /// Which of its checkers.
    pub index: usize,
}

/// TCP, UDP or SCTP; none where a firewall mark alone is the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// Only a firewall mark.
    #[default]
    None,
    /// 6
    Tcp,
    /// 17
    Udp,
    /// 132
    Sctp,
}

/// What a `virtual_server` line names; with it a reload finds the same service again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Identity {
    /// `virtual_server ADDRESS PORT`
    Address {
        /// Its address.
        address: IpAddr,
        /// Its port; 0 is every port.
        port: u16,
        /// Its protocol.
        protocol: Protocol,
    },
    /// `virtual_server fwmark MARK`
    Mark {
        /// IPv4 or IPv6.
        family: Family,
        /// The mark.
        mark: u32,
    },
    /// `virtual_server group NAME`
    Group {
        /// Its name.
        name: Arc<str>,
        /// How many virtual servers before it use the same group.
        ordinal: usize,
    },
}

/// One `virtual_server`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VirtualServer {
    /// What it is.
    pub identity: Identity,
    /// The entries of its group, in the order of kernel operations: addresses in file order, then marks. Empty where
    /// it is no group.
    pub group: Vec<GroupEntry>,
    /// The mark that packets to the addresses of its group get, with `nftables_ipvs`; none where each of them is a
    /// service of its own.
    pub mark: Option<u32>,
    /// IPv4 or IPv6, for marks without a family and for dumps.
    pub family: Family,
    /// `protocol`
    pub protocol: Protocol,
    /// `lb_algo`: the kernel's name of the scheduler.
    pub scheduler: Arc<str>,
    /// `flag-1`, `flag-2`, `flag-3` and their other names: bits 0x08, 0x10, 0x20 of the kernel's flags.
    pub scheduler_flags: u32,
    /// `ops`: schedule each packet for itself.
    pub one_packet: bool,
    /// `persistence_*`, where on.
    pub persistence: Option<Persistence>,
    /// `lb_kind`, for dumps: each real server has its own.
    pub forwarding: Forwarding,
    /// `quorum`; 0 only where every weight is 0, and then it is never reached.
    pub quorum: u32,
    /// `hysteresis`, less than `quorum`.
    pub hysteresis: u32,
    /// `quorum_up`
    pub quorum_up: Option<ScriptCommand>,
    /// `quorum_down`
    pub quorum_down: Option<ScriptCommand>,
    /// `smtp_alert`
    pub smtp_alert: bool,
    /// `omega`: notifications when the daemon stops.
    pub omega: bool,
    /// `ha_suspend`: no checks while its address is not on this machine.
    pub ha_suspend: bool,
    /// `alpha`, for dumps: each checker has its own.
    pub alpha: bool,
    /// `delay_loop`, for dumps and as `misc_timeout`.
    pub delay_loop: Duration,
    /// `weight`, for dumps.
    pub weight: u32,
    /// `virtualhost`, for dumps.
    pub virtualhost: Option<Arc<str>>,
    /// `snmp_name`
    pub snmp_name: Option<Arc<str>>,
    /// Its servers, in file order; never empty.
    pub real_servers: Vec<Arc<RealServer>>,
    /// `sorry_server`; it has no checkers.
    pub sorry_server: Option<Arc<RealServer>>,
}

/// One entry of a `virtual_server_group`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GroupEntry {
    /// Addresses from the first to the last, both included; of one family, at most [`GroupEntry::MOST`].
    Addresses {
        /// The first.
        first: IpAddr,
        /// The last, not before the first.
        last: IpAddr,
        /// 0 is every port.
        port: u16,
    },
    /// A firewall mark.
    Mark {
        /// IPv4 or IPv6.
        family: Family,
        /// The mark.
        mark: u32,
    },
}

impl GroupEntry {
    /// One line of a group is at most so many services.
    pub const MOST: u32 = 65_536;

    /// IPv4 or IPv6.
    pub const fn family(&self) -> Family {
        match self {
            Self::Addresses { first, .. } => Family::of(*first),
            Self::Mark { family, .. } => *family,
        }
    }

    /// Whether a line from `first` to `last` is no more services than [`Self::MOST`].
    pub fn is_bounded(first: IpAddr, last: IpAddr) -> bool {
        let number = |address| match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        number(last).saturating_sub(number(first)) < Self::MOST.into()
    }
}

/// `persistence_timeout` and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persistence {
    /// `persistence_timeout`, 1 to 2,678,400 seconds.
    pub timeout_secs: u32,
    /// `persistence_granularity`
    pub granularity: Granularity,
    /// `persistence_engine`
    pub engine: Option<Arc<str>>,
}

/// Which clients count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Granularity {
    /// IPv4: a mask, by default 255.255.255.255.
    Mask(Ipv4Addr),
    /// IPv6: a prefix length, 1 to 128.
    Prefix(u8),
}

/// How packets reach a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Forwarding {
    /// NAT: addresses and ports are rewritten.
    #[default]
    Nat,
    /// DR: the frame goes to the server's MAC as it is.
    Direct,
    /// TUN: inside another packet.
    Tunnel(Tunnel),
}

/// `lb_kind TUN type …`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tunnel {
    /// IP in IP.
    #[default]
    Ipip,
    /// Generic UDP Encapsulation.
    Gue {
        /// To which port.
        port: u16,
        /// Its checksums.
        checksum: TunnelChecksum,
    },
    /// Generic Routing Encapsulation, without remote checksum.
    Gre {
        /// Whether it has a checksum.
        checksum: bool,
    },
}

/// Checksums of GUE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TunnelChecksum {
    /// `nocsum`
    #[default]
    None,
    /// `csum`
    Checksum,
    /// `remcsum`
    Remote,
}

/// One `real_server`, or a `sorry_server`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RealServer {
    /// Its address.
    pub address: IpAddr,
    /// The port of its entry in the kernel under a plain virtual server; under a mark 0 unless `forwarding` is NAT. In a
    /// group it is as written, 0 where it is not: what is no NAT has the port of the entry in the kernel, whatever this is.
    pub port: u16,
    /// Configured weight, 0 to 2,147,483,647.
    pub weight: u32,
    /// `lvs_method`
    pub forwarding: Forwarding,
    /// `uthreshold`; 0 is none.
    pub upper_threshold: u32,
    /// `lthreshold`; 0 is none.
    pub lower_threshold: u32,
    /// `inhibit_on_failure`: a failed server stays in the table with weight 0.
    pub inhibit_on_failure: bool,
    /// `alpha`, for dumps: each checker has its own.
    pub alpha: bool,
    /// `notify_up`
    pub notify_up: Option<Arc<ScriptCommand>>,
    /// `notify_down`
    pub notify_down: Option<Arc<ScriptCommand>>,
    /// `smtp_alert`
    pub smtp_alert: bool,
    /// `virtualhost`, for dumps.
    pub virtualhost: Option<Arc<str>>,
    /// `snmp_name`
    pub snmp_name: Option<Arc<str>>,
    /// The port that checkers ask where they name none; 0 where nobody says one.
    pub check_port: u16,
    /// Each must succeed for the server to be up; without any it is always up. Servers with the same ones share them.
    #[serde(skip)] // servers share them: see `handover`
    pub checkers: Arc<[Arc<Checker>]>,
}

impl RealServer {
    /// Where its checkers ask unless they say otherwise.
    pub const fn asked_at(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.check_port)
    }
}

/// `lvs_flush_on_stop`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlushOnStop {
    /// Each of our services, its servers with it.
    #[default]
    No,
    /// `VS`: our services without saying more about their servers.
    VirtualServers,
    /// Everything in the table, ours or not.
    Everything,
}

/// `lvs_timeouts` in seconds, 1 to 2,678,400; none leaves what the kernel has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Established TCP connections.
    pub tcp_secs: Option<u32>,
    /// TCP connections after a FIN.
    pub tcp_fin_secs: Option<u32>,
    /// UDP.
    pub udp_secs: Option<u32>,
}

impl Timeouts {
    /// Whether anything is set.
    pub const fn is_set(&self) -> bool {
        self.tcp_secs.is_some() || self.tcp_fin_secs.is_some() || self.udp_secs.is_some()
    }
}

/// `lvs_sync_daemon`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDaemon {
    /// Through which interface connections are told.
    pub interface: IfName,
    /// The instance whose state it follows; none runs both kinds of daemon.
    pub instance: Option<InstanceId>,
    /// `id`: 0 to 255; by default the instance's virtual_router_id, else 0.
    pub id: u8,
    /// `maxlen`, 1 to 65,507 bytes.
    pub max_len: Option<u16>,
    /// `port`
    pub port: Option<u16>,
    /// `ttl`
    pub ttl: Option<u8>,
    /// `group`: a multicast address.
    pub group: Option<IpAddr>,
}

/// `nftables_ipvs` and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nftables {
    /// Its table, of the families ip and ip6.
    pub table: Arc<str>,
    /// `nftables_ipvs_priority`: of its chain.
    pub priority: i32,
    /// `nftables_ipvs_start_fwmark`: the first mark, not 0.
    pub first_mark: u32,
    /// `nftables_counters`: rules and elements count.
    pub counters: bool,
}

impl Nftables {
    /// `nftables_ipvs` without a name.
    pub const TABLE: &str = "keepalived_ipvs";
    /// Just before what others put there without a number of their own.
    pub const PRIORITY: i32 = -1;
    /// Where nothing says another one.
    pub const FIRST_MARK: u32 = 1_000;
}

/// Which mark a group has for a protocol. A daemon keeps them as long as it lives: connections go by them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    given: BTreeMap<(Arc<str>, Protocol), u32>,
    /// The configured first one, and where to look for the next.
    place: Option<(u32, u32)>,
}

impl Marks {
    /// That of a group.
    pub fn of(&self, group: &str, protocol: Protocol) -> Option<u32> {
        self.given.get(&(group.into(), protocol)).copied()
    }
}

impl Lvs {
    /// Gives every group of addresses alone its mark for each of its protocols, in the order of the file: the one that
    /// it had `before`, else the next one. Marks that the configuration has for something else are left out.
    pub fn give_marks(&mut self, before: &Marks) {
        self.marks = Marks::default();
        self.virtual_servers.iter_mut().filter(|vs| vs.mark.is_some()).for_each(|vs| Arc::make_mut(vs).mark = None);
        let Some(nftables) = &self.nftables else { return };
        let first = nftables.first_mark;
        let mut next = before.place.filter(|(configured, _)| *configured == first).map_or(first, |(_, next)| next);
        let mut taken = self.configured_marks();
        let mut given = BTreeMap::new();
        let is_marked = |vs: &&mut Arc<VirtualServer>| {
            let is_address = |entry: &GroupEntry| matches!(entry, GroupEntry::Addresses { .. });
            !vs.group.is_empty() && vs.group.iter().all(is_address)
        };
        let name = |vs: &VirtualServer| match &vs.identity {
            Identity::Group { name, .. } => Some((Arc::clone(name), vs.protocol)),
            _ => None,
        };
        let keys: Vec<_> = self.virtual_servers.iter_mut().filter(is_marked).filter_map(|vs| name(vs)).collect();
        for key in &keys {
            if let Some(mark) = before.given.get(key).filter(|mark| !taken.contains(mark)) {
                given.insert(key.clone(), *mark);
            }
        }
        taken.extend(given.values());
        for key in keys {
            given.entry(key).or_insert_with(|| {
                // There are fewer groups than marks.
                loop {
                    let mark = next;
                    next = next.wrapping_add(1);
                    if mark != 0 && taken.insert(mark) {
                        break mark;
                    }
                }
            });
        }
        for vs in self.virtual_servers.iter_mut().filter(is_marked) {
            let mark = name(vs).and_then(|key| given.get(&key).copied());
            Arc::make_mut(vs).mark = mark;
        }
        self.marks = Marks { given, place: Some((first, next)) };
    }

    /// Marks that services, groups and checkers name.
    fn configured_marks(&self) -> BTreeSet<u32> {
        let mut marks = BTreeSet::new();
        let mut lists = Vec::new();
        for vs in &self.virtual_servers {
            if let Identity::Mark { mark, .. } = vs.identity {
                marks.insert(mark);
            }
            marks.extend(vs.group.iter().filter_map(|entry| match entry {
                GroupEntry::Mark { mark, .. } => Some(*mark),
                GroupEntry::Addresses { .. } => None,
            }));
            for rs in &vs.real_servers {
                // Servers with the same checkers share them, and stand together as a rule.
                if lists.last().is_none_or(|last| !Arc::ptr_eq(last, &rs.checkers)) {
                    lists.push(Arc::clone(&rs.checkers));
                }
            }
        }
        marks.extend(lists.iter().flat_map(|list| list.iter()).filter_map(|checker| checker.probe.mark()));
        marks
    }
}

/// A `track_file` as the checkers use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackFile {
    /// Its name.
    pub name: Arc<str>,
    /// The file.
    #[serde(with = "crate::model::raw")]
    pub path: std::path::PathBuf,
    /// `init_file`: what is written at the start.
    pub init: Option<InitFile>,
}

/// `init_file [VALUE] [overwrite]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitFile {
    /// What is written.
    pub value: i32,
    /// Also over a file that exists.
    pub overwrite: bool,
}

/// Global `SSL { }`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ssl {
    /// `ca`: certificate authorities, PEM.
    #[serde(with = "crate::model::raw")]
    pub ca: Option<std::path::PathBuf>,
    /// `certificate`, PEM.
    #[serde(with = "crate::model::raw")]
    pub certificate: Option<std::path::PathBuf>,
    /// `key`, PEM.
    #[serde(with = "crate::model::raw")]
    pub key: Option<std::path::PathBuf>,
    /// `password` of the key.
    pub password: Option<Arc<str>>,
}
