//! What the engine finds worth a log line, as data. `notify::report` makes keepalived's sentences of it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::addr::{Family, IfName};
use crate::time::{Centis, Duration};
use crate::track::script::Outcome;

use super::io::Role;

/// Something worth a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Of an instance, by name.
    Instance(Arc<str>, InstanceEvent),
    /// Of a `vrrp_script`, by name.
    Script(Arc<str>, ScriptEvent),
    /// Of a link.
    Link(IfName, LinkEvent),
    /// A packet for a virtual router that nobody here takes part in.
    UnknownVrid {
        /// Which.
        vrid: u8,
        /// On which link.
        link: Option<IfName>,
        /// From whom.
        source: IpAddr,
    },
    /// A packet too short to say which virtual router it is for.
    TooShort(Family, usize),
    /// `vrrp_startup_delay` begins.
    StartupDelayed(Duration),
    /// It is over.
    StartupDelayOver,
    /// The loop came so late that masters may have to step down.
    TimerLate(Duration),
    /// One announcement leaves.
    Announced {
        /// Out of which link.
        link: IfName,
        /// What.
        address: IpAddr,
    },
    /// A pair of sockets could not be opened: errno.
    SocketFailed(Option<IfName>, i32),
}

/// Something worth a log line about an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceEvent {
    /// It entered a state.
    Entered {
        /// The state.
        role: Role,
        /// At start, before anything happened.
        init: bool,
    },
    /// Why it starts in FAULT.
    StartsInFault(FaultReason),
    /// Master_Down_Timer has expired.
    MasterDown,
    /// It follows this master.
    MasterSet {
        /// Whom it followed before.
        from: Option<IpAddr>,
        /// Whom it follows now.
        to: IpAddr,
    },
    /// A BACKUP that preempts heard a lower priority.
    LowerDiscarded {
        /// Its priority.
        priority: u8,
        /// From whom.
        source: IpAddr,
    },
    /// A BACKUP heard priority 0.
    BackupHeardZero,
    /// A MASTER heard priority 0.
    MasterHeardZero,
    /// A MASTER yields to a higher priority.
    HigherPriority {
        /// From whom.
        source: IpAddr,
        /// Its priority.
        priority: u8,
        /// Ours.
        ours: u8,
    },
    /// A MASTER yields to the same priority from a higher address.
    HigherAddress {
        /// From whom.
        source: IpAddr,
        /// Its priority and ours.
        priority: u8,
    },
    /// A MASTER heard a lower priority, or the same from a lower address.
    LowerPriority {
        /// From whom.
        source: IpAddr,
        /// Its priority.
        priority: u8,
        /// Ours.
        ours: u8,
        /// It is answered with an advert.
        answered: bool,
        /// We have only just taken over from it: its last word, no split.
        expected: bool,
    },
    /// Somebody else sends adverts with our priority and our address.
    OwnAddressHeard,
    /// Somebody else owns the addresses, too.
    TwoOwners(IpAddr),
    /// And goes on with it: we lower our priority.
    OtherOwnerGoesOn(IpAddr),
    /// The other owner has stopped.
    OtherOwnerStopped,
    /// Our priority is restored.
    OwnerRestored {
        /// To this.
        priority: u8,
        /// A lower priority was heard, rather than the other owner gone.
        lower_heard: bool,
    },
    /// `preempt_delay` begins.
    PreemptDelayStarted(Duration),
    /// It is called off.
    PreemptDelayStopped,
    /// Priority 0 was sent.
    SentZero,
    /// An advert could not be sent.
    SendFailed {
        /// To whom, where it was unicast.
        peer: Option<IpAddr>,
        /// errno
        errno: i32,
    },
    /// VRRPv3: the master's interval is another.
    IntervalLearnt {
        /// What it was.
        from: Centis,
        /// What it is.
        to: Centis,
    },
    /// Back to the configured interval.
    IntervalReset {
        /// What it was.
        from: Centis,
        /// What it is.
        to: Centis,
    },
    /// The effective priority changed.
    PriorityChanged {
        /// What it was.
        from: u8,
        /// What it is.
        to: u8,
    },
    /// The addresses are added or removed.
    Addresses {
        /// Added, rather than removed.
        setting: bool,
        /// The excluded ones.
        excluded: bool,
    },
    /// A reload took an address away.
    AddressDropped {
        /// Which.
        address: crate::addr::Cidr,
        /// From where.
        link: IfName,
    },
    /// A burst of announcements begins.
    AnnouncingBurst {
        /// Out of which link.
        link: IfName,
        /// What.
        address: IpAddr,
    },
    /// Somebody else removed an address of ours; it is put back.
    AddressRestored {
        /// Which.
        address: IpAddr,
        /// From where.
        link: IfName,
    },
    /// An address could not be added or removed.
    AddressFailed {
        /// Which.
        address: IpAddr,
        /// Where.
        link: IfName,
        /// Added, rather than removed.
        adding: bool,
        /// errno
        errno: i32,
    },
    /// An owner's address that was there before us is our only source, and stays.
    AddressKept {
        /// Which.
        address: IpAddr,
        /// Where.
        link: IfName,
    },
    /// An advert was not accepted, or only just.
    Heard(IpAddr, Flaw),
    /// A peer uses the old checksum; so do we from now on.
    OldChecksumAdopted,
    /// It was so late that others have taken over: it steps down.
    LateStepDown,
}

/// What is wrong with an advert. The first group is refused, the second accepted all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// An authentication header that is not expected.
    AuthHeader,
    /// Length.
    Length {
        /// Bytes there are.
        have: usize,
        /// Bytes there should be.
        expected: usize,
    },
    /// TTL or hop limit is not 255.
    Ttl(u8),
    /// TTL or hop limit is outside the peer's limits.
    PeerTtl {
        /// What it is.
        ttl: u8,
        /// `min_ttl`
        min: u8,
        /// `max_ttl`
        max: u8,
    },
    /// VRRP version.
    Version {
        /// Theirs.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// Unknown authentication type.
    InvalidAuthType(u8),
    /// Authentication type differs.
    AuthType {
        /// Theirs.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// Password differs.
    Password,
    /// VRRPv2: interval differs.
    Interval {
        /// Theirs, in seconds.
        theirs: u8,
        /// Ours, in seconds.
        ours: u16,
    },
    /// Not an ADVERTISEMENT.
    Type(u8),
    /// The IP header says another length.
    TotalLength {
        /// What it says.
        said: usize,
        /// Bytes there are.
        have: usize,
    },
    /// Checksum, of this version.
    Checksum(u8),
    /// Unicast where multicast is expected, or the reverse.
    Cast {
        /// It is multicast.
        multicast: bool,
    },
    /// We own the addresses and listen to nobody.
    Owner,
    /// Not from a configured peer.
    NotAPeer,

    /// VRRPv3: interval differs (accepted).
    IntervalDiffers {
        /// Theirs.
        theirs: Centis,
        /// Ours.
        ours: Centis,
    },
    /// Number of addresses differs (accepted).
    AddressCount {
        /// Theirs.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// An address of ours is missing (accepted).
    AddressMissing {
        /// Which.
        address: IpAddr,
        /// Of which virtual router.
        vrid: u8,
    },
}

impl Flaw {
    /// A number for each kind, below 32.
    pub(crate) const fn kind(self) -> u32 {
        match self {
            Self::AuthHeader => 0,
            Self::Length { .. } => 1,
            Self::Ttl(_) => 2,
            Self::PeerTtl { .. } => 3,
            Self::Version { .. } => 4,
            Self::InvalidAuthType(_) => 5,
            Self::AuthType { .. } => 6,
            Self::Password => 7,
            Self::Interval { .. } => 8,
            Self::Type(_) => 9,
            Self::TotalLength { .. } => 10,
            Self::Checksum(_) => 11,
            Self::Cast { .. } => 12,
            Self::Owner => 13,
            Self::NotAPeer => 14,
            Self::IntervalDiffers { .. } => 15,
            Self::AddressCount { .. } => 16,
            Self::AddressMissing { .. } => 17,
        }
    }
}

/// Why an instance is in FAULT.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultReason {
    /// The configuration pins it there.
    Configuration(String),
    /// An interface it needs is down or missing.
    InterfaceDown(IfName),
    /// An interface that must be down is up (`reverse`).
    InterfaceUp(IfName),
    /// A script of weight 0 fails (or succeeds, with `reverse`).
    Script(Arc<str>),
    /// No address of its own to send from.
    NoSource(Family),
    /// The configured source address is missing (`track_src_ip`).
    SourceMissing(IpAddr),
    /// Its sockets could not be opened: errno.
    Socket(i32),
}

/// For `keepalived-rs status` and dumps; the log has its own sentences.
impl fmt::Display for FaultReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(why) => f.write_str(why),
            Self::InterfaceDown(name) => write!(f, "interface {name} down"),
            Self::InterfaceUp(name) => write!(f, "interface {name} up"),
            Self::Script(name) => write!(f, "script {name}"),
            Self::NoSource(Family::V4) => f.write_str("no IPv4 address for interface"),
            Self::NoSource(Family::V6) => f.write_str("no IPv6 address for interface"),
            Self::SourceMissing(address) => write!(f, "source address {address} missing"),
            Self::Socket(errno) => write!(f, "cannot open sockets (errno {errno})"),
        }
    }
}

/// Something worth a log line about a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptEvent {
    /// Its exit status differs from the last one.
    NowReturning(u8),
    /// It is good now.
    Succeeded,
    /// It is bad now.
    Failed(Outcome),
    /// A run took too long.
    TimedOut,
    /// A start was skipped; whether the running one is being ended already.
    StillRunning {
        /// It has had its SIGTERM.
        ending: bool,
    },
    /// After a reload it goes on as good, or as bad.
    KeptOnReload {
        /// As good.
        good: bool,
    },
}

/// Something worth a log line about a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// It counts as up.
    Up,
    /// It counts as down.
    Down,
    /// It is there.
    Added,
    /// It is gone.
    Deleted,
    /// It has another name now.
    Renamed(IfName),
    /// This is its address that adverts can leave from.
    Assigned(IpAddr),
    /// Adverts can leave from this address no longer.
    Deassigned(IpAddr),
    /// A change must last this long to count.
    Delayed {
        /// Up, rather than down.
        up: bool,
        /// How long.
        delay: Duration,
    },
}
