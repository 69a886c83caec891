//! Virtual routers as configured, every default filled in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::addr::{Cidr, Family, IfName};
use crate::model::{Notify, Script, TrackInterface, TrackScript};
use crate::time::Centis;

/// Index into [`Vrrp::instances`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceId(pub usize);

/// Everything the VRRP child runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Vrrp {
    /// In file order; [`InstanceId`] is the index.
    pub instances: Vec<Arc<Instance>>,
    /// Those that somebody tracks; [`crate::model::ScriptId`] is the index.
    pub scripts: Vec<Script>,
    /// Pacing of gratuitous ARP and unsolicited NA, by interface (`vrrp_garp_interval`, `garp_group`): interfaces of
    /// one group carry the same `group` number.
    pub pacing: BTreeMap<IfName, Pacing>,
    /// `vrrp_garp_interval`/`vrrp_gna_interval` for interfaces not in `pacing`.
    pub default_pacing: Pacing,
    /// `interface_up_down_delays`, already cut to what the instances' timers allow.
    pub debounce: BTreeMap<IfName, Debounce>,
    /// `vrrp_startup_delay`
    pub startup_delay: Duration,
    /// `vrrp_delay_after_boot`: measured from boot, the larger of the two counts.
    pub delay_after_boot: Duration,
    /// `log_unknown_vrids`
    pub log_unknown_vrids: bool,
    /// `vrrp_rx_bufs_policy` and multiplier.
    pub receive_buffer: ReceiveBuffer,
    /// `dynamic_interfaces`: an interface may come later.
    pub dynamic_interfaces: bool,
}

/// Gap between two announcements on an interface; zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pacing {
    /// Between gratuitous ARPs.
    pub garp_interval: Duration,
    /// Between unsolicited NAs.
    pub gna_interval: Duration,
    /// Interfaces with the same number share one pace; none is the interface alone.
    pub group: Option<u32>,
}

/// How long a link change must last before it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debounce {
    /// Before a down counts.
    pub down: Duration,
    /// Before an up counts.
    pub up: Duration,
}

/// How receive buffers are sized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReceiveBuffer {
    /// The system's default.
    #[default]
    System,
    /// So many bytes an instance.
    Bytes(u32),
    /// The advert's size times this.
    Advert(u32),
    /// The interface's MTU times this.
    Mtu(u32),
}

/// VRRP protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// RFC 3768
    V2,
    /// RFC 9568
    V3,
}

impl Version {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// The state an instance asks for at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitialState {
    /// `state MASTER`
    Master,
    /// `state BACKUP`
    Backup,
}

/// Authentication of VRRPv2 (RFC 2338 §5.3.6), kept for old peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// Type 0.
    None,
    /// Type 1: `auth_pass`, NUL-padded.
    Pass([u8; 8]),
}

/// Where adverts go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// `mcast_dst_ip`, else `vrrp_mcast_group4`/`6`.
    Multicast(IpAddr),
    /// `unicast_peer`
    Unicast(Unicast),
}

/// The unicast settings of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unicast {
    /// In configuration order; at least one.
    pub peers: Vec<Peer>,
    /// `unicast_ttl`; none is 255 for IPv4 and the kernel's default for IPv6.
    pub ttl: Option<u8>,
    /// Drop adverts whose source is no peer (`check_unicast_src`, or a peer has TTL limits).
    pub check_source: bool,
}

/// A unicast peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Adverts with a lower TTL are dropped.
    pub min_ttl: u8,
    /// Adverts with a higher TTL are dropped.
    pub max_ttl: u8,
}

/// How the checksum of VRRPv3 over unicast IPv4 is made (`old_unicast_checksum`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OldUnicastChecksum {
    /// The RFC's, switching for good when a peer is heard that uses the old form.
    Auto,
    /// The old form: the pseudo-header names the multicast group.
    Always,
    /// The RFC's, and the old form is refused.
    Never,
}

/// Gratuitous ARP / unsolicited NA settings of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Garp {
    /// From becoming MASTER to the second burst; zero is no second burst.
    pub master_delay: Duration,
    /// Messages in a burst, at least 1.
    pub master_repeat: u32,
    /// Between refreshes while MASTER; zero is none.
    pub master_refresh: Duration,
    /// Messages in a refresh, at least 1.
    pub master_refresh_repeat: u32,
    /// From hearing a lower priority to the second burst; zero is no second burst.
    pub lower_prio_delay: Duration,
    /// Messages in a burst after hearing a lower priority; 0 is none.
    pub lower_prio_repeat: u32,
}

/// Why an instance can never leave FAULT until the configuration changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFault(pub String);

/// One `vrrp_instance`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    pub name: Arc<str>,
    /// IPv4 or IPv6.
    pub family: Family,
    /// Protocol version.
    pub version: Version,
    /// `virtual_router_id`, 1 to 255.
    pub vrid: u8,
    /// `interface`; none only for unicast with a source address.
    pub interface: Option<IfName>,
    /// Base priority, 1 to 255; 255 owns the addresses.
    pub priority: u8,
    /// `state`
    pub initial_state: InitialState,
    /// Own advertisement interval: whole seconds for v2 (100 to 25,500), 1 to 4,095 for v3.
    pub advert_interval: Centis,
    /// `nopreempt` is not set.
    pub preempt: bool,
    /// `preempt_delay`
    pub preempt_delay: Duration,
    /// `authentication`
    pub authentication: Authentication,
    /// `virtual_ipaddress`: advertised, in this order. At most what fits the MTU and 255.
    pub addresses: Vec<Arc<VirtualAddress>>,
    /// `virtual_ipaddress_excluded`, and the surplus of `addresses`.
    pub excluded: Vec<Arc<VirtualAddress>>,
    /// Multicast or unicast.
    pub destination: Destination,
    /// `mcast_src_ip` or `unicast_src_ip`.
    pub source: Option<IpAddr>,
    /// FAULT while `source` is missing.
    pub track_source: bool,
    /// `garp_*`
    pub garp: Garp,
    /// Down is FAULT (`dont_track_primary` is not set).
    pub track_primary: bool,
    /// `track_interface`
    pub track_interfaces: Vec<TrackInterface>,
    /// `track_script`
    pub track_scripts: Vec<TrackScript>,
    /// `down_timer_adverts`, 1 to 100.
    pub down_timer_adverts: u8,
    /// `timer_expired_backup`: the peers' priority it assumes.
    pub timer_expired_backup: Option<u8>,
    /// Packets to the virtual addresses are accepted.
    pub accept: bool,
    /// Skip the address comparison for the accepted master.
    pub skip_check_adv_addr: bool,
    /// `strict_mode`
    pub strict: bool,
    /// Send one advert before yielding to a higher priority.
    pub higher_prio_send_advert: bool,
    /// Do not answer a lower priority.
    pub lower_prio_no_advert: bool,
    /// Address owner that ignores adverts.
    pub owner_ignore_adverts: bool,
    /// VRRPv3/IPv4 checksum without pseudo-header.
    pub v3_checksum_as_v2: bool,
    /// `old_unicast_checksum`
    pub old_unicast_checksum: OldUnicastChecksum,
    /// `promote_secondaries`
    pub promote_secondaries: bool,
    /// `kernel_rx_buf_size`
    pub kernel_rx_buf_size: Option<u32>,
    /// Scripts and mail.
    pub notify: Arc<Notify>,
    /// Pinned in FAULT by the configuration.
    pub config_fault: Option<ConfigFault>,
}

impl Instance {
    /// Whether this router owns the addresses (priority 255).
    pub const fn is_owner(&self) -> bool {
        self.priority == 255
    }

    /// All addresses it holds as MASTER, in the order they are added.
    pub fn held_addresses(&self) -> impl Iterator<Item = &Arc<VirtualAddress>> {
        self.addresses.iter().chain(&self.excluded)
    }
}

/// One line of `virtual_ipaddress` or `virtual_ipaddress_excluded`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VirtualAddress {
    /// The address and its prefix length (with `peer`: the peer's, 32 or 128).
    pub cidr: Cidr,
    /// Where it is put.
    pub interface: IfName,
    /// Point-to-point peer.
    pub peer: Option<IpAddr>,
    /// IPv4 broadcast, `+` and `-` worked out.
    pub broadcast: Option<Ipv4Addr>,
    /// `RT_SCOPE_*`; 0 is global.
    pub scope: u8,
    /// IPv4 label, at most 15 characters.
    pub label: Option<String>,
    /// Preferred lifetime in seconds; none is for ever, 0 is deprecated.
    pub preferred_secs: Option<u32>,
    /// Flags of the address.
    pub flags: AddressFlags,
    /// Its loss is noticed and its interface tracked (`no_track` is not set).
    pub track: bool,
}

impl VirtualAddress {
    /// A line with nothing but the address; over IPv6 with duplicate address detection.
    pub fn plain(cidr: Cidr, interface: IfName) -> Self {
        Self {
            cidr,
            interface,
            peer: None,
            broadcast: None,
            scope: 0,
            label: None,
            preferred_secs: None,
            flags: AddressFlags::default(),
            track: true,
        }
    }
}

/// Kernel flags of an address (`IFA_F_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AddressFlags {
    /// `IFA_F_NODAD`: set for IPv6 unless `-nodad`.
    pub no_dad: bool,
    /// `home`
    pub home: bool,
    /// `mngtmpaddr`
    pub manage_temporary: bool,
    /// `noprefixroute`
    pub no_prefix_route: bool,
    /// `autojoin`
    pub auto_join: bool,
}
