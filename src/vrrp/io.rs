//! What goes into the engine and what comes out of it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::addr::{Cidr, Family, IfIndex, IfName, Mac};
use crate::model::{InstanceId, ScriptId, Vrrp, vrrp::VirtualAddress};
use crate::time::{Duration, Instant};

/// Everything the outside world can say to the engine.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The whole truth about links and addresses: once before [`Input::Startup`], and again whenever the kernel has
    /// lost events. The engine compares it with what it believed and acts on the difference.
    Machine(&'a Snapshot),
    /// Begin: initial states are taken, scripts start.
    Startup,
    /// End: every MASTER gives up. The engine does nothing afterwards.
    Shutdown,
    /// Another configuration; [`InstanceId`]s and [`ScriptId`]s of later actions are those of the new one.
    Reload(&'a Arc<Vrrp>),
    /// A datagram of protocol 112 or 51, as it came (IPv4: from the IP header on). One that does not parse is an input
    /// too: it moves a counter.
    Received {
        /// How it came.
        meta: PacketMeta,
        /// How long ago; its timers run from there. At most what [`super::Node::patience`] allowed.
        waited: Duration,
        /// The datagram.
        bytes: &'a [u8],
    },
    /// `deadline()` may have passed. Early and repeated ticks are harmless.
    Tick,
    /// A link appeared or changed.
    Link(Link),
    /// A link is gone.
    LinkGone(IfIndex),
    /// The kernel has an address it had not, whoever added it.
    AddressAdded(IfIndex, Cidr),
    /// The kernel lost an address.
    AddressRemoved {
        /// Of which link.
        link: IfIndex,
        /// Which.
        address: Cidr,
        /// We asked for it ourselves.
        by_us: bool,
    },
    /// A script that [`Action::RunScript`] started has ended (or could not be started).
    ScriptEnded(RunId, ScriptEnd),
    /// An earlier action did not work.
    Failed(Failure),
}

/// The whole truth about links and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Every link of the network namespace.
    pub links: Vec<Link>,
    /// Every address, in the kernel's order.
    pub addresses: Vec<(IfIndex, Cidr)>,
}

/// A link as the kernel tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Number.
    pub index: IfIndex,
    /// Name.
    pub name: IfName,
    /// IFF_UP and IFF_RUNNING.
    pub up: bool,
    /// IFF_MULTICAST
    pub multicast: bool,
    /// IFF_NOARP is not set.
    pub arp: bool,
    /// IFF_LOOPBACK
    pub loopback: bool,
    /// ARPHRD_ETHER
    pub ethernet: bool,
    /// Hardware address; zero where it has none of six bytes.
    pub mac: Mac,
    /// Hardware broadcast address.
    pub broadcast: Mac,
    /// MTU in bytes.
    pub mtu: u32,
}

/// How a datagram came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketMeta {
    /// On which socket.
    pub socket: SocketKey,
    /// From whom.
    pub source: IpAddr,
    /// To whom: IPv6 from the packet-info message, IPv4 from the header.
    pub destination: Option<IpAddr>,
    /// IPv6 hop limit from its control message; IPv4 has it in the header.
    pub hop_limit: Option<u8>,
}

/// What makes two instances share a pair of sockets (`vrrp.md` §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketKey {
    /// IPv4 or IPv6.
    pub family: Family,
    /// Interface it is bound to; none for unicast without an interface.
    pub link: Option<IfIndex>,
    /// Whom it hears.
    pub scope: SocketScope,
}

/// Whom a socket hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SocketScope {
    /// Joined to this group.
    Multicast(IpAddr),
    /// Bound to this own address.
    Unicast(IpAddr),
}

/// A pair of sockets to have open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketSpec {
    /// Which.
    pub key: SocketKey,
    /// Receive buffer to ask for, in bytes; none is the system's default.
    pub receive_buffer: Option<u32>,
}

/// One start of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// How a script ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptEnd {
    /// Exit status.
    Exited(u8),
    /// Killed by this signal.
    Signalled(i32),
    /// It could not be started: errno.
    NotStarted(i32),
}

/// An action that did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An advert could not be sent.
    Send {
        /// Of which instance.
        instance: InstanceId,
        /// To which peer or group.
        destination: IpAddr,
        /// errno
        errno: i32,
    },
    /// An address could not be added.
    AddAddress(Holding, i32),
    /// An address could not be removed.
    RemoveAddress(Holding, i32),
    /// A pair of sockets could not be opened.
    Socket(SocketKey, i32),
}

/// An address on a link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holding {
    /// Where.
    pub link: IfIndex,
    /// What.
    pub address: Arc<VirtualAddress>,
}

/// What the engine wants done, in this order. Plain data: comparable, printable, replayable.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// One logical advert, encoded: a copy for each destination.
    SendAdvert(SendAdvert),
    /// One gratuitous ARP or unsolicited NA. The hands hold it back until the kernel has answered for the addresses
    /// before it, and skip it where the address could not be added.
    Announce(Announcement),
    /// Have this address. One that is already there is a success.
    AddAddress(Holding),
    /// Have it not. One that is not there is a success.
    RemoveAddress(Holding),
    /// The complete set of sockets to have open from now on.
    Sockets(Vec<SocketSpec>),
    /// Start a tracking script.
    RunScript(RunId, ScriptId),
    /// Signal the process group of a running script.
    SignalScript(RunId, ScriptSignal),
    /// Tell scripts, FIFOs, mail.
    Notify(Notification),
    /// Something worth a log line.
    Report(crate::vrrp::report::Event),
}

/// SIGTERM or SIGKILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptSignal {
    /// SIGTERM
    Term,
    /// SIGKILL
    Kill,
}

/// One logical advert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendAdvert {
    /// Whose.
    pub instance: InstanceId,
    /// When it was due; how late it left is measured against this.
    pub due: Instant,
    /// What leaves.
    pub packets: Arc<Packets>,
}

/// The packets of one logical advert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packets {
    /// On which socket.
    pub socket: SocketKey,
    /// Source address (IPv6: for the packet-info message; IPv4 has it in the header).
    pub source: IpAddr,
    /// Hop limit for the control message (IPv6 unicast with `unicast_ttl`).
    pub hop_limit: Option<u8>,
    /// Destination and datagram (IPv4: from the IP header on; IPv6: the payload).
    pub copies: Vec<(IpAddr, Vec<u8>)>,
}

/// One gratuitous ARP (IPv4) or unsolicited NA (IPv6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Announcement {
    /// Out of which link.
    pub link: IfIndex,
    /// Its hardware address.
    pub mac: Mac,
    /// Its hardware broadcast address.
    pub broadcast: Mac,
    /// Which address.
    pub address: IpAddr,
    /// Whose.
    pub instance: InstanceId,
}

/// What a transition tells scripts, FIFOs and mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Instance or group.
    pub subject: Subject,
    /// Its name.
    pub name: Arc<str>,
    /// What happened.
    pub what: Notified,
    /// Effective priority; 0 for groups.
    pub priority: u8,
    /// Its scripts: those of the configuration the transition happened under.
    pub notify: Arc<crate::model::Notify>,
}

/// Instance or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A `vrrp_instance`.
    Instance,
    /// A `vrrp_sync_group`.
    Group,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notified {
    /// Became MASTER.
    Master,
    /// Became BACKUP.
    Backup,
    /// Became FAULT.
    Fault,
    /// The daemon stops.
    Stop,
    /// A reload removed it.
    Deleted,
    /// A MASTER heard a lower priority.
    MasterRxLowerPri,
    /// The effective priority of a MASTER changed (FIFO only).
    MasterPriority,
    /// The effective priority of another changed (FIFO only).
    BackupPriority,
}

/// Why the engine wants to be woken, for `trace!` and for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// An advert is due.
    Advert(InstanceId),
    /// Master_Down_Timer.
    MasterDown(InstanceId),
    /// A burst or refresh of announcements, or its pacing.
    Announce,
    /// A script is to start or has run too long.
    Script(ScriptId),
    /// A link change has lasted long enough to count.
    Debounce(IfIndex),
    /// The startup delay ends.
    StartupDelay,
    /// An address that could not be added is tried again.
    Retry,
    /// A script that a reload has done away with does not end.
    Orphan,
}

/// A state as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Not started, or waiting for first script results.
    Init,
    /// BACKUP
    Backup,
    /// MASTER
    Master,
    /// FAULT
    Fault,
}

impl Role {
    /// The word in logs, scripts and dumps.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Init => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
        }
    }
}

/// Counters of one instance (`keepalived.stats`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Adverts that passed the checks.
    pub advert_rcvd: u64,
    /// Logical adverts sent.
    pub advert_sent: u64,
    /// Times it became MASTER.
    pub become_master: u64,
    /// Times it left MASTER.
    pub release_master: u64,
    /// Wrong length.
    pub packet_len_err: u64,
    /// Wrong TTL or hop limit.
    pub ip_ttl_err: u64,
    /// Not an ADVERTISEMENT.
    pub invalid_type_rcvd: u64,
    /// Advertisement interval differs.
    pub advert_interval_err: u64,
    /// Address list or destination kind differs.
    pub addr_list_err: u64,
    /// Wrong version.
    pub vers_err: u64,
    /// Wrong checksum.
    pub chk_err: u64,
    /// Unknown authentication type.
    pub invalid_authtype: u64,
    /// Authentication type differs.
    pub authtype_mismatch: u64,
    /// Password differs.
    pub auth_failure: u64,
    /// Priority 0 heard.
    pub pri_zero_rcvd: u64,
    /// Priority 0 sent.
    pub pri_zero_sent: u64,
    /// An address of ours was removed by somebody else and put back.
    pub addresses_restored: u64,
}

/// What a dump or `keepalived-rs status` shows of one instance.
#[derive(Clone, Debug, PartialEq)]
pub struct View<'a> {
    /// Its configuration.
    pub config: &'a crate::model::Instance,
    /// State.
    pub role: Role,
    /// Priority in force.
    pub effective_priority: u8,
    /// Base plus all weights, before it is cut to 1..=254.
    pub total_priority: i32,
    /// Source address of adverts.
    pub source: Option<IpAddr>,
    /// Its sockets.
    pub socket: Option<SocketKey>,
    /// When it acts of itself: Master_Down_Timer, Adver_Timer or a burst.
    pub timer: Option<Instant>,
    /// Tracking scripts of weight 0 without a first result.
    pub scripts_init: usize,
    /// Master_Down_Interval as of now.
    pub master_down_interval: Duration,
    /// Interval of the current master.
    pub master_adver_interval: crate::time::Centis,
    /// When the state was entered.
    pub last_transition: Instant,
    /// When the last advert was sent.
    pub last_advert_sent: Option<Instant>,
    /// The master last heard, with its priority.
    pub master: Option<(IpAddr, u8)>,
    /// Why it is in FAULT, for people.
    pub faults: Vec<String>,
    /// Counters.
    pub statistics: Statistics,
}
