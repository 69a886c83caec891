//! What the text said: everything optional, names still text, the place of each value attached. `resolve` makes the
//! model of it.

mod servers;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use servers::{
    CheckerDraft, ConnectionDraft, DetailDraft, GroupLine, HttpDraft, RealServerDraft, ServerGroupDraft, ServiceKey,
    SslDraft, TimingDraft, UrlDraft, VirtualServerDraft,
};

use super::reader::Spanned;
use super::script_line::{ScriptLine, UserWords};
use crate::addr::{Cidr, Family, IfName};
use crate::diag::{Code, Diagnostics, Span};
use crate::model::global::NetlinkBuffers;
use crate::model::lvs::{FlushOnStop, InitFile, Nftables, Timeouts};
use crate::model::vrrp::{AddressFlags, Debounce, InitialState, OldUnicastChecksum, Version};

/// A whole configuration as written.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// `global_defs` and the top-level options of the process.
    pub global: GlobalDraft,
    /// `vrrp_instance`s, in file order.
    pub instances: Vec<InstanceDraft>,
    /// `vrrp_script`s, in file order.
    pub scripts: Vec<ScriptDraft>,
    /// `vrrp_sync_group`s.
    pub sync_groups: Vec<SyncGroupDraft>,
    /// `track_group`s.
    pub track_groups: Vec<NamedList>,
    /// `track_file`s.
    pub track_files: Vec<TrackerDraft>,
    /// `vrrp_track_process`es.
    pub track_processes: Vec<TrackerDraft>,
    /// `bfd_instance`s.
    pub bfd: Vec<BfdDraft>,
    /// `garp_group`s.
    pub garp_groups: Vec<GarpGroupDraft>,
    /// `interface_up_down_delays`
    pub delays: BTreeMap<IfName, Spanned<Debounce>>,
    /// Interfaces of `linkbeat_interfaces` and `interface_up_down_delays`: unknown ones are a class of their own.
    pub polled: Vec<Spanned<IfName>>,
    /// Lines of `static_ipaddress`.
    pub static_addresses: Vec<AddressDraft>,
    /// `virtual_server_group`s.
    pub server_groups: Vec<ServerGroupDraft>,
    /// `virtual_server`s.
    pub virtual_servers: Vec<VirtualServerDraft>,
    /// `SSL`; the last block.
    pub ssl: Option<SslDraft>,
}

/// `global_defs`, as far as it is built or judged.
#[derive(Clone, Debug, Default)]
pub struct GlobalDraft {
    /// `net_namespace`
    pub net_namespace: Option<Spanned<String>>,
    /// `net_namespace_ipvs`
    pub net_namespace_ipvs: Option<Spanned<String>>,
    /// `instance`
    pub instance: Option<Spanned<String>>,
    /// `use_pid_dir`
    pub use_pid_dir: bool,
    /// `child_wait_time`, seconds.
    pub child_wait: Option<Spanned<u32>>,
    /// `process_names`
    pub process_names: bool,
    /// `process_name`
    pub process_name: Option<String>,
    /// `vrrp_process_name`
    pub vrrp_process_name: Option<String>,
    /// `checker_process_name`
    pub checker_process_name: Option<String>,
    /// `bfd_process_name`
    pub bfd_process_name: Option<String>,
    /// `router_id`
    pub router_id: Option<Spanned<String>>,
    /// `umask`
    pub umask: Option<u32>,
    /// `startup_script`
    pub startup_script: Option<(ScriptLine, ScriptPolicy)>,
    /// Its time limit in seconds.
    pub startup_timeout: Option<u32>,
    /// `shutdown_script`
    pub shutdown_script: Option<(ScriptLine, ScriptPolicy)>,
    /// Its time limit in seconds.
    pub shutdown_timeout: Option<u32>,
    /// `reload_check_config` with its file.
    pub reload_check_config: Option<Option<String>>,
    /// `dynamic_interfaces`; the value is `allow_if_changes`.
    pub dynamic_interfaces: Option<bool>,
    /// `data_use_instance`
    pub data_use_instance: bool,
    /// `state_dump_file`
    pub state_dump_file: Option<String>,
    /// `stats_dump_file`
    pub stats_dump_file: Option<String>,
    /// `json_dump_file`
    pub json_dump_file: Option<String>,
    /// `json_version`
    pub json_version: Option<Spanned<u32>>,
    /// `reload_time_file`
    pub reload_time_file: Option<String>,
    /// `reload_repeat`
    pub reload_repeat: bool,
    /// `reload_file` with its name.
    pub reload_file: Option<Option<String>>,
    /// `max_auto_priority`
    pub max_auto_priority: Option<i32>,
    /// `vrrp_priority`
    pub vrrp_nice: Option<i8>,
    /// `vrrp_rt_priority`
    pub vrrp_realtime: Option<u8>,
    /// `vrrp_rlimit_rttime`
    pub vrrp_rlimit_rttime: Option<u32>,
    /// `vrrp_no_swap`
    pub vrrp_no_swap: bool,
    /// `vrrp_cpu_affinity`
    pub vrrp_cpus: Vec<u32>,
    /// Of the checker child.
    pub checker_scheduling: SchedulingDraft,
    /// `vrrp_netlink_*_rcv_bufs`
    pub vrrp_netlink: NetlinkBuffers,
    /// `lvs_netlink_*_rcv_bufs`
    pub checker_netlink: NetlinkBuffers,
    /// Mail.
    pub mail: MailDraft,
    /// What holds for all virtual servers.
    pub lvs: GlobalLvsDraft,
    /// FIFOs by keyword.
    pub fifos: BTreeMap<&'static str, FifoDraft>,
    /// `fifo_write_vrrp_states_on_reload`
    pub fifo_states_on_reload: bool,
    /// Who runs scripts, and how suspicious we are, at the end of the file.
    pub scripts: ScriptPolicy,
    /// `use_symlink_paths`
    pub use_symlink_paths: bool,
    /// `set_supplementary_groups`
    pub supplementary_groups: bool,
    /// `smtp_alert`, `smtp_alert_vrrp`.
    pub smtp_alert: Option<bool>,
    /// `smtp_alert_vrrp`
    pub smtp_alert_vrrp: Option<bool>,
    /// `vrrp_mcast_group4`
    pub mcast_group4: Option<Spanned<IpAddr>>,
    /// `vrrp_mcast_group6`
    pub mcast_group6: Option<Spanned<IpAddr>>,
    /// `vrrp_version`
    pub version: Option<Spanned<Version>>,
    /// `vrrp_garp_*`
    pub garp: GarpDraft,
    /// `vrrp_min_garp`
    pub min_garp: bool,
    /// `vrrp_garp_interval`, microseconds.
    pub garp_interval: u64,
    /// `vrrp_gna_interval`, microseconds.
    pub gna_interval: u64,
    /// `vrrp_down_timer_adverts`
    pub down_timer_adverts: Option<u8>,
    /// `vrrp_lower_prio_no_advert`
    pub lower_prio_no_advert: bool,
    /// `vrrp_higher_prio_send_advert`
    pub higher_prio_send_advert: bool,
    /// `vrrp_owner_ignore_adverts`
    pub owner_ignore_adverts: Option<bool>,
    /// `vrrp_check_unicast_src`
    pub check_unicast_src: bool,
    /// `vrrp_skip_check_adv_addr`
    pub skip_check_adv_addr: bool,
    /// `vrrp_strict`
    pub strict: bool,
    /// `v3_checksum_as_v2`
    pub v3_checksum_as_v2: bool,
    /// `vrrp_notify_priority_changes`
    pub notify_priority_changes: bool,
    /// `vrrp_startup_delay`, microseconds.
    pub startup_delay: u64,
    /// `vrrp_delay_after_boot`, microseconds.
    pub delay_after_boot: u64,
    /// `log_unknown_vrids`
    pub log_unknown_vrids: bool,
    /// `vrrp_rx_bufs_policy`
    pub rx_bufs: RxBufsDraft,
    /// `default_interface`
    pub default_interface: Option<Spanned<IfName>>,
    /// Where `lvs_sync_daemon` or `lvs_sync_daemon_interface` was given first.
    pub sync_daemon: Option<SyncDaemonDraft>,
    /// Keywords that may be given once, with the place where they were.
    pub once: BTreeMap<&'static str, Span>,
    /// Every setting given, for the data dump.
    pub given: Vec<(String, Vec<String>)>,
}

/// What holds for all virtual servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobalLvsDraft {
    /// `smtp_alert_checker`
    pub smtp_alert: Option<bool>,
    /// `no_checker_emails`
    pub no_checker_emails: bool,
    /// `checker_log_all_failures`
    pub log_all_failures: bool,
    /// `rs_init_notifies`
    pub rs_init_notifies: bool,
    /// `lvs_flush`
    pub flush: bool,
    /// `lvs_flush_on_stop`
    pub flush_on_stop: FlushOnStop,
    /// `lvs_timeouts`
    pub timeouts: Timeouts,
    /// `nftables_ipvs` with what follows it; its counters are in `nftables_counters`.
    pub nftables: Option<Nftables>,
    /// `nftables_counters`
    pub nftables_counters: bool,
}

/// `checker_*` about its place among processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchedulingDraft {
    /// `*_priority`
    pub nice: Option<i8>,
    /// `*_rt_priority`
    pub realtime: Option<u8>,
    /// `*_rlimit_rttime`
    pub rlimit_rttime: Option<u32>,
    /// `*_no_swap`
    pub no_swap: bool,
    /// `*_cpu_affinity`
    pub cpus: Vec<u32>,
}

/// What mails need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailDraft {
    /// `notification_email`
    pub recipients: Vec<Spanned<String>>,
    /// `notification_email_from`
    pub from: Option<Spanned<String>>,
    /// `smtp_server` with its port.
    pub server: Option<(Spanned<String>, u16)>,
    /// `smtp_helo_name`
    pub helo_name: Option<String>,
    /// `smtp_connect_timeout`, seconds.
    pub timeout: Option<u32>,
    /// `no_email_faults`
    pub no_faults: bool,
}

/// A FIFO and the program that reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FifoDraft {
    /// Its path.
    pub path: Option<Spanned<String>>,
    /// Whom it belongs to.
    pub owner: Option<UserWords>,
    /// Its script.
    pub script: Option<(ScriptLine, ScriptPolicy)>,
}

/// Which user scripts run as by default, and whether unsafe ones are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptPolicy {
    /// `script_user`
    pub user: Option<UserWords>,
    /// `enable_script_security`
    pub security: bool,
}

/// `vrrp_rx_bufs_policy` and its factor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxBufsDraft {
    /// A size in bytes.
    pub bytes: Option<u32>,
    /// By MTU.
    pub mtu: bool,
    /// By the advert's size.
    pub advert: bool,
    /// `vrrp_rx_bufs_multiplier`
    pub multiplier: Option<u32>,
}

/// `lvs_sync_daemon`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncDaemonDraft {
    /// Its interface.
    pub interface: Spanned<IfName>,
    /// The instance it follows.
    pub instance: Option<Spanned<String>>,
    /// `id`
    pub id: Option<u8>,
    /// `maxlen`
    pub max_len: Option<u16>,
    /// `port`
    pub port: Option<u16>,
    /// `ttl`
    pub ttl: Option<u8>,
    /// `group`
    pub group: Option<IpAddr>,
}

impl SyncDaemonDraft {
    /// A daemon of which only the interface is known.
    pub const fn new(interface: Spanned<IfName>) -> Self {
        Self { interface, instance: None, id: None, max_len: None, port: None, ttl: None, group: None }
    }
}

/// `garp_*` of an instance or of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GarpDraft {
    /// Seconds.
    pub master_delay: Option<u32>,
    /// Messages.
    pub master_repeat: Option<u32>,
    /// Seconds.
    pub master_refresh: Option<u32>,
    /// Messages.
    pub master_refresh_repeat: Option<u32>,
    /// Seconds.
    pub lower_prio_delay: Option<Spanned<u32>>,
    /// Messages.
    pub lower_prio_repeat: Option<Spanned<u32>>,
}

/// A `vrrp_instance`.
#[derive(Clone, Debug)]
pub struct InstanceDraft {
    /// Its name.
    pub name: Spanned<String>,
    /// The family, and the word that fixed it.
    pub family: Option<Spanned<Family>>,
    /// `version`
    pub version: Option<Spanned<Version>>,
    /// `state`
    pub state: Option<Spanned<InitialState>>,
    /// `interface`; the last one given.
    pub interface: Option<Spanned<IfName>>,
    /// `vrf`
    pub vrf: Option<Spanned<IfName>>,
    /// `virtual_router_id`
    pub vrid: Option<Spanned<u8>>,
    /// `priority`
    pub priority: Option<Spanned<u8>>,
    /// `advert_int`, microseconds.
    pub advert_int: Option<Spanned<u64>>,
    /// `nopreempt`
    pub nopreempt: Option<Span>,
    /// `preempt_delay`, microseconds.
    pub preempt_delay: Option<Spanned<u64>>,
    /// `timer_expired_backup`
    pub timer_expired_backup: Option<Spanned<u8>>,
    /// `authentication`
    pub authentication: AuthenticationDraft,
    /// `auth_hmac`
    pub auth_hmac: Option<HmacDraft>,
    /// `virtual_ipaddress`
    pub addresses: Vec<AddressDraft>,
    /// `virtual_ipaddress_excluded`
    pub excluded: Vec<AddressDraft>,
    /// `no_virtual_ipaddress`
    pub no_virtual_ipaddress: Option<Span>,
    /// `virtual_routes` or `virtual_rules` has entries.
    pub has_routes: bool,
    /// `unicast_peer`
    pub peers: Vec<PeerDraft>,
    /// Where each of them is.
    pub peer_places: BTreeMap<IpAddr, Span>,
    /// The first keyword that speaks of unicast.
    pub unicast_keyword: Option<Spanned<&'static str>>,
    /// `unicast_ttl`
    pub unicast_ttl: Option<Spanned<u8>>,
    /// `check_unicast_src`
    pub check_unicast_src: bool,
    /// `unicast_fault_no_peer`
    pub unicast_fault_no_peer: bool,
    /// `old_unicast_checksum`
    pub old_unicast_checksum: Option<OldUnicastChecksum>,
    /// `mcast_src_ip`, `unicast_src_ip`
    pub source: Option<Spanned<IpAddr>>,
    /// `track_src_ip`
    pub track_source: bool,
    /// `mcast_dst_ip`
    pub mcast_dst: Option<Spanned<IpAddr>>,
    /// `garp_*`
    pub garp: GarpDraft,
    /// `dont_track_primary`
    pub dont_track_primary: bool,
    /// `track_interface`
    pub track_interfaces: Vec<TrackLine>,
    /// `track_script`
    pub track_scripts: Vec<TrackLine>,
    /// `track_file`
    pub track_files: Vec<TrackLine>,
    /// `track_process`
    pub track_processes: Vec<TrackLine>,
    /// `track_bfd`
    pub track_bfd: Vec<TrackLine>,
    /// `down_timer_adverts`
    pub down_timer_adverts: Option<Spanned<u8>>,
    /// `accept`, `no_accept`
    pub accept: Option<Spanned<bool>>,
    /// `skip_check_adv_addr`
    pub skip_check_adv_addr: Option<bool>,
    /// `strict_mode`
    pub strict: Option<bool>,
    /// `higher_prio_send_advert`
    pub higher_prio_send_advert: Option<Spanned<bool>>,
    /// `lower_prio_no_advert`
    pub lower_prio_no_advert: Option<Spanned<bool>>,
    /// `owner_ignore_adverts`
    pub owner_ignore_adverts: Option<Spanned<bool>>,
    /// `v3_checksum_as_v2`
    pub v3_checksum_as_v2: Option<bool>,
    /// `promote_secondaries`
    pub promote_secondaries: Option<Span>,
    /// `kernel_rx_buf_size`
    pub kernel_rx_buf_size: Option<u32>,
    /// `lvs_sync_daemon_interface`
    pub sync_daemon: Option<Spanned<IfName>>,
    /// `notify*`
    pub notify: NotifyDraft,
    /// `use_vmac`
    pub use_vmac: Option<Span>,
    /// `use_vmac_addr`
    pub use_vmac_addr: bool,
    /// `vmac_xmit_base`
    pub vmac_xmit_base: Option<Span>,
    /// `use_ipvlan`
    pub use_ipvlan: Option<IpvlanDraft>,
}

impl InstanceDraft {
    /// An instance of which only the name is known.
    pub fn new(name: Spanned<String>) -> Self {
        Self {
            name,
            family: None,
            version: None,
            state: None,
            interface: None,
            vrf: None,
            vrid: None,
            priority: None,
            advert_int: None,
            nopreempt: None,
            preempt_delay: None,
            timer_expired_backup: None,
            authentication: AuthenticationDraft::default(),
            auth_hmac: None,
            addresses: Vec::new(),
            excluded: Vec::new(),
            no_virtual_ipaddress: None,
            has_routes: false,
            peers: Vec::new(),
            peer_places: BTreeMap::new(),
            unicast_keyword: None,
            unicast_ttl: None,
            check_unicast_src: false,
            unicast_fault_no_peer: false,
            old_unicast_checksum: None,
            source: None,
            track_source: false,
            mcast_dst: None,
            garp: GarpDraft::default(),
            dont_track_primary: false,
            track_interfaces: Vec::new(),
            track_scripts: Vec::new(),
            track_files: Vec::new(),
            track_processes: Vec::new(),
            track_bfd: Vec::new(),
            down_timer_adverts: None,
            accept: None,
            skip_check_adv_addr: None,
            strict: None,
            higher_prio_send_advert: None,
            lower_prio_no_advert: None,
            owner_ignore_adverts: None,
            v3_checksum_as_v2: None,
            promote_secondaries: None,
            kernel_rx_buf_size: None,
            sync_daemon: None,
            notify: NotifyDraft::default(),
            use_vmac: None,
            use_vmac_addr: false,
            vmac_xmit_base: None,
            use_ipvlan: None,
        }
    }
}

/// `authentication`
#[derive(Clone, Debug, Default)]
pub struct AuthenticationDraft {
    /// `auth_type`
    pub kind: Option<Spanned<AuthenticationKind>>,
    /// `auth_pass`, at most eight bytes.
    pub password: Option<Spanned<String>>,
}

/// `auth_type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationKind {
    /// A password in the clear.
    Pass,
    /// IPsec AH.
    Ah,
}

/// `auth_hmac`
#[derive(Clone, Debug)]
pub struct HmacDraft {
    /// Where the block begins.
    pub span: Span,
    /// Ids of the usable keys.
    pub keys: Vec<u8>,
    /// `active_key`
    pub active: Option<Spanned<u8>>,
    /// `mode`, where it is not enforce.
    pub lenient_mode: Option<Span>,
}

/// `use_ipvlan`
#[derive(Clone, Copy, Debug)]
pub struct IpvlanDraft {
    /// Where it is.
    pub span: Span,
    /// Its address.
    pub address: Option<Spanned<IpAddr>>,
}

/// One line of `virtual_ipaddress`, `virtual_ipaddress_excluded` or `static_ipaddress`.
#[derive(Clone, Debug)]
pub struct AddressDraft {
    /// The address.
    pub cidr: Spanned<Cidr>,
    /// `dev`
    pub device: Option<Spanned<IfName>>,
    /// `scope`
    pub scope: Option<u8>,
    /// `brd`
    pub broadcast: Option<Spanned<BroadcastDraft>>,
    /// `label`
    pub label: Option<String>,
    /// `peer`
    pub peer: Option<IpAddr>,
    /// `preferred_lft`; `Some(None)` is for ever.
    pub preferred_secs: Option<Option<u32>>,
    /// Flags of the address.
    pub flags: AddressFlags,
    /// `no_track`
    pub no_track: bool,
    /// `use_vmac`
    pub use_vmac: Option<Span>,
    /// `track_group`
    pub track_group: Option<Spanned<String>>,
}

/// `brd`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BroadcastDraft {
    /// This address.
    Address(std::net::Ipv4Addr),
    /// `+`: host bits set.
    HostBitsSet,
    /// `-`: host bits clear.
    HostBitsClear,
}

/// One line of `unicast_peer`.
#[derive(Clone, Copy, Debug)]
pub struct PeerDraft {
    /// Its address.
    pub address: Spanned<IpAddr>,
    /// `min_ttl`
    pub min_ttl: Option<u8>,
    /// `max_ttl`
    pub max_ttl: Option<u8>,
}

/// One line of a `track_*` list.
#[derive(Clone, Debug)]
pub struct TrackLine {
    /// What is tracked.
    pub name: Spanned<String>,
    /// `weight`
    pub weight: Option<Spanned<i16>>,
    /// `reverse`, `noreverse`
    pub reverse: Option<bool>,
    /// How many trackers of its kind had been defined before this line.
    pub defined_before: usize,
}

/// `notify*`, `smtp_alert`
#[derive(Clone, Debug, Default)]
pub struct NotifyDraft {
    /// Scripts by keyword.
    pub scripts: BTreeMap<&'static str, ScriptLine>,
    /// `notify_deleted` was given.
    pub reports_deleted: bool,
    /// `smtp_alert`
    pub smtp_alert: Option<bool>,
    /// `notify_priority_changes`
    pub priority_changes: Option<bool>,
}

/// A `vrrp_script`.
#[derive(Clone, Debug)]
pub struct ScriptDraft {
    /// Its name.
    pub name: Spanned<String>,
    /// `script`
    pub script: Option<ScriptLine>,
    /// `user`
    pub user: Option<UserWords>,
    /// `interval`, milliseconds.
    pub interval: Option<u64>,
    /// `timeout`, milliseconds.
    pub timeout: Option<u64>,
    /// `weight`
    pub weight: Option<i16>,
    /// `weight N reverse`
    pub reverse: bool,
    /// `rise`
    pub rise: Option<u32>,
    /// `fall`
    pub fall: Option<u32>,
    /// `init_fail`
    pub init_fail: bool,
}

impl ScriptDraft {
    /// A script of which only the name is known.
    pub fn new(name: Spanned<String>) -> Self {
        Self {
            name,
            script: None,
            user: None,
            interval: None,
            timeout: None,
            weight: None,
            reverse: false,
            rise: None,
            fall: None,
            init_fail: false,
        }
    }
}

/// A `vrrp_sync_group`.
#[derive(Clone, Debug)]
pub struct SyncGroupDraft {
    /// Its name.
    pub name: Spanned<String>,
    /// `group`
    pub members: Option<Vec<Spanned<String>>>,
    /// `sync_group_tracking_weight`
    pub tracking_weight: bool,
    /// `track_interface`
    pub track_interfaces: Vec<TrackLine>,
    /// `track_script`
    pub track_scripts: Vec<TrackLine>,
    /// `track_file`
    pub track_files: Vec<TrackLine>,
    /// `track_process`
    pub track_processes: Vec<TrackLine>,
    /// `track_bfd`
    pub track_bfd: Vec<TrackLine>,
    /// `notify*`
    pub notify: NotifyDraft,
}

impl SyncGroupDraft {
    /// A group of which only the name is known.
    pub fn new(name: Spanned<String>) -> Self {
        Self {
            name,
            members: None,
            tracking_weight: false,
            track_interfaces: Vec::new(),
            track_scripts: Vec::new(),
            track_files: Vec::new(),
            track_processes: Vec::new(),
            track_bfd: Vec::new(),
            notify: NotifyDraft::default(),
        }
    }
}

/// A `track_group`.
#[derive(Clone, Debug)]
pub struct NamedList {
    /// Its name.
    pub name: Spanned<String>,
    /// Its members.
    pub members: Option<Vec<Spanned<String>>>,
}

/// A `track_file` or `vrrp_track_process`.
#[derive(Clone, Debug)]
pub struct TrackerDraft {
    /// Its name.
    pub name: Spanned<String>,
    /// What it looks at: `file`, `process`.
    pub target: Option<Spanned<String>>,
    /// `weight`
    pub weight: Option<i16>,
    /// `weight N reverse`
    pub reverse: bool,
    /// `init_file`
    pub init: Option<InitFile>,
    /// `quorum`
    pub quorum: Option<Spanned<u32>>,
    /// `quorum_max`
    pub quorum_max: Option<Spanned<u32>>,
}

/// A `bfd_instance`.
#[derive(Clone, Debug)]
pub struct BfdDraft {
    /// Its name.
    pub name: Spanned<String>,
    /// `neighbor_ip`; malformed is `Some(None)`.
    pub neighbour: Option<Option<Spanned<IpAddr>>>,
    /// `source_ip`
    pub source: Option<Spanned<IpAddr>>,
    /// `weight`
    pub weight: Option<i16>,
    /// `max_hops`
    pub max_hops: Option<Spanned<i16>>,
    /// `ttl`
    pub ttl: Option<u8>,
    /// `multihop`
    pub multihop: bool,
    /// `vrrp`
    pub vrrp: bool,
    /// `checker`
    pub checker: bool,
}

impl BfdDraft {
    /// A session of which only the name is known.
    pub fn new(name: Spanned<String>) -> Self {
        Self {
            name,
            neighbour: None,
            source: None,
            weight: None,
            max_hops: None,
            ttl: None,
            multihop: false,
            vrrp: false,
            checker: false,
        }
    }

    /// Says what is missing or does not fit; whether the session can be used.
    pub fn is_usable(&self, diagnostics: &mut Diagnostics) -> bool {
        let name = &self.name;
        match self.neighbour {
            None => {
                let message = format!("bfd_instance {} has no neighbor_ip; it is dropped", name.value);
                diagnostics.warning(Code::BFD_SESSION, name.span, message).help("add neighbor_ip ADDRESS");
                false
            }
            // Said where it stands.
            Some(None) => false,
            Some(Some(neighbour)) => {
                let other = |source: &Spanned<IpAddr>| Family::of(source.value) != Family::of(neighbour.value);
                let source = self.source.filter(other);
                if let Some(source) = source {
                    let message =
                        format!("source_ip of bfd_instance {} is of the other family; it is dropped", name.value);
                    diagnostics.warning(Code::BFD_SESSION, source.span, message).label(neighbour.span, "the neighbour");
                }
                source.is_none()
            }
        }
    }
}

/// A `garp_group`.
#[derive(Clone, Debug)]
pub struct GarpGroupDraft {
    /// Where it begins.
    pub span: Span,
    /// Microseconds.
    pub garp_interval: Option<u64>,
    /// Microseconds.
    pub gna_interval: Option<u64>,
    /// Its interfaces.
    pub interfaces: Vec<Spanned<IfName>>,
}
