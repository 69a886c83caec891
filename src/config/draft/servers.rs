//! Virtual servers, their servers and checkers as the text has them.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::NotifyDraft;
use crate::addr::{Family, IfName};
use crate::config::reader::Spanned;
use crate::config::script_line::{ScriptLine, UserWords};
use crate::diag::Span;
use crate::model::checker::HttpVersion;
use crate::model::lvs::{Forwarding, Granularity, Protocol};
use crate::time::Duration;

/// A `virtual_server_group`.
#[derive(Clone, Debug)]
pub struct ServerGroupDraft {
    /// Its name.
    pub name: Spanned<String>,
    /// Its usable lines.
    pub entries: Vec<GroupLine>,
}

/// One line of a `virtual_server_group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupLine {
    /// Addresses from the first to the last, with a port; 0 is none.
    Addresses(IpAddr, IpAddr, u16),
    /// A firewall mark, with its family where the line says one.
    Mark(Option<Family>, u32),
}

impl GroupLine {
    /// The family, where the line says one.
    pub const fn family(&self) -> Option<Family> {
        match self {
            Self::Addresses(first, ..) => Some(Family::of(*first)),
            Self::Mark(family, _) => *family,
        }
    }
}

/// Which service a `virtual_server` is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceKey {
    /// An address and a port.
    Address(IpAddr, u16),
    /// A firewall mark.
    Mark(u32),
    /// A `virtual_server_group`.
    Group(String),
}

/// A `virtual_server`.
#[derive(Clone, Debug)]
pub struct VirtualServerDraft {
    /// Which service.
    pub key: Spanned<ServiceKey>,
    /// Family, where something fixed it.
    pub family: Option<Family>,
    /// `protocol`
    pub protocol: Option<Spanned<Protocol>>,
    /// `lb_algo`
    pub scheduler: Option<&'static str>,
    /// `flag-1` and so on, as the kernel has them.
    pub scheduler_flags: u32,
    /// `lb_kind` of the service.
    pub method: Option<Forwarding>,
    /// `ops`
    pub ops: Option<Span>,
    /// `ha_suspend`
    pub ha_suspend: Option<Span>,
    /// `persistence_timeout` in seconds.
    pub persistence_timeout: Option<u32>,
    /// `persistence_granularity`
    pub granularity: Option<Granularity>,
    /// `persistence_engine`
    pub persistence_engine: Option<String>,
    /// `weight`
    pub weight: Option<u32>,
    /// `quorum`
    pub quorum: Option<Spanned<u32>>,
    /// `hysteresis`
    pub hysteresis: Option<Spanned<u32>>,
    /// `inhibit_on_failure`
    pub inhibit: bool,
    /// `omega`
    pub omega: bool,
    /// What its servers inherit for their checkers.
    pub timing: TimingDraft,
    /// `virtualhost`
    pub virtualhost: Option<String>,
    /// `snmp_name`
    pub snmp_name: Option<String>,
    /// `sorry_server`
    pub sorry: Option<RealServerDraft>,
    /// `real_server`s.
    pub servers: Vec<RealServerDraft>,
    /// Scripts and mail of the service.
    pub notify: NotifyDraft,
}

impl VirtualServerDraft {
    /// A service of which only the name is known.
    pub fn new(key: Spanned<ServiceKey>) -> Self {
        let family = match &key.value {
            ServiceKey::Address(address, _) => Some(Family::of(*address)),
            ServiceKey::Mark(_) | ServiceKey::Group(_) => None,
        };
        Self {
            key,
            family,
            protocol: None,
            scheduler: None,
            scheduler_flags: 0,
            method: None,
            ops: None,
            ha_suspend: None,
            persistence_timeout: None,
            granularity: None,
            persistence_engine: None,
            weight: None,
            quorum: None,
            hysteresis: None,
            inhibit: false,
            omega: false,
            timing: TimingDraft::default(),
            virtualhost: None,
            snmp_name: None,
            sorry: None,
            servers: Vec::new(),
            notify: NotifyDraft::default(),
        }
    }
}

/// A `real_server` or `sorry_server`.
#[derive(Clone, Debug)]
pub struct RealServerDraft {
    /// Its address.
    pub address: Spanned<IpAddr>,
    /// Its port; 0 is the service's.
    pub port: u16,
    /// `weight`
    pub weight: Option<u32>,
    /// `lvs_method`, or the service's at this point of the file.
    pub method: Option<Forwarding>,
    /// `uthreshold`
    pub upper_threshold: u32,
    /// `lthreshold`
    pub lower_threshold: u32,
    /// `inhibit_on_failure`, `sorry_server_inhibit`
    pub inhibit: Option<bool>,
    /// What its checkers inherit.
    pub timing: TimingDraft,
    /// `virtualhost`
    pub virtualhost: Option<String>,
    /// `snmp_name`
    pub snmp_name: Option<String>,
    /// Scripts and mail of the server.
    pub notify: NotifyDraft,
    /// Its checkers.
    pub checkers: Vec<CheckerDraft>,
}

impl RealServerDraft {
    /// A server of which only the address is known.
    pub fn new(address: Spanned<IpAddr>, port: u16, method: Option<Forwarding>) -> Self {
        Self {
            address,
            port,
            weight: None,
            method,
            upper_threshold: 0,
            lower_threshold: 0,
            inhibit: None,
            timing: TimingDraft::default(),
            virtualhost: None,
            snmp_name: None,
            notify: NotifyDraft::default(),
            checkers: Vec::new(),
        }
    }
}

/// When checkers run, at each of the three levels: service, server, checker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimingDraft {
    /// `retry`
    pub retry: Option<u32>,
    /// `delay_before_retry`
    pub delay_before_retry: Option<Duration>,
    /// `warmup`
    pub warmup: Option<Duration>,
    /// `delay_loop`
    pub delay_loop: Option<Duration>,
    /// `connect_timeout`
    pub connect_timeout: Option<Duration>,
    /// `alpha`
    pub alpha: Option<bool>,
}

impl TimingDraft {
    /// This level, completed by the one around it.
    pub fn within(self, outer: &Self) -> Self {
        Self {
            retry: self.retry.or(outer.retry),
            delay_before_retry: self.delay_before_retry.or(outer.delay_before_retry),
            warmup: self.warmup.or(outer.warmup),
            delay_loop: self.delay_loop.or(outer.delay_loop),
            connect_timeout: self.connect_timeout.or(outer.connect_timeout),
            alpha: self.alpha.or(outer.alpha),
        }
    }
}

/// A checker.
#[derive(Clone, Debug)]
pub struct CheckerDraft {
    /// Its keyword.
    pub kind: Spanned<&'static str>,
    /// The real server it is of.
    pub server: Spanned<IpAddr>,
    /// When it runs.
    pub timing: TimingDraft,
    /// `log_all_failures`
    pub log_all_failures: bool,
    /// Whom it asks, and from where.
    pub connection: ConnectionDraft,
    /// What only some kinds have.
    pub detail: Option<Box<DetailDraft>>,
    /// How many `track_file`s and `bfd_instance`s had been defined before it.
    pub defined_before: (usize, usize),
}

impl CheckerDraft {
    /// A checker of which only the kind is known.
    pub fn new(kind: Spanned<&'static str>, server: Spanned<IpAddr>, defined_before: (usize, usize)) -> Self {
        let (timing, connection) = (TimingDraft::default(), ConnectionDraft::default());
        Self { kind, server, timing, log_all_failures: false, connection, detail: None, defined_before }
    }

    /// What only some kinds have, made where it is not there yet.
    pub fn detail(&mut self) -> &mut DetailDraft {
        self.detail.get_or_insert_default()
    }
}

/// Whom a checker asks, and from where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionDraft {
    /// `connect_ip`
    pub connect_ip: Option<Spanned<IpAddr>>,
    /// `connect_port`
    pub connect_port: Option<u16>,
    /// `bindto`
    pub bindto: Option<Spanned<IpAddr>>,
    /// `bind_port`
    pub bind_port: Option<u16>,
    /// `bind_if`
    pub bind_if: Option<IfName>,
    /// `fwmark`
    pub mark: u32,
}

/// What only some kinds of checkers have.
#[derive(Clone, Debug, Default)]
pub struct DetailDraft {
    /// HTTP_GET, SSL_GET
    pub http: HttpDraft,
    /// SMTP_CHECK `helo_name`
    pub helo_name: Option<String>,
    /// SMTP_CHECK `host { }`
    pub hosts: Vec<CheckerDraft>,
    /// DNS_CHECK `type`
    pub record_type: Option<u16>,
    /// DNS_CHECK `name`
    pub name: Option<String>,
    /// UDP_CHECK `payload`
    pub payload: Option<Vec<u8>>,
    /// UDP_CHECK `require_reply`, each byte with the bits that count.
    pub reply: Option<Vec<(u8, u8)>>,
    /// UDP_CHECK `min_reply_length` and `max_reply_length`
    pub lengths: (Option<Spanned<u16>>, Option<u16>),
    /// MISC_CHECK `misc_path`
    pub script: Option<ScriptLine>,
    /// MISC_CHECK `user`
    pub user: Option<UserWords>,
    /// MISC_CHECK `misc_timeout`, seconds; 0 is none.
    pub misc_timeout: u32,
    /// MISC_CHECK `misc_dynamic`
    pub misc_dynamic: bool,
    /// What FILE_CHECK and BFD_CHECK look up: `track_file`, `name`.
    pub target: Option<Spanned<String>>,
    /// FILE_CHECK `weight`
    pub weight: Option<i32>,
    /// FILE_CHECK `weight N reverse`, `noreverse`
    pub reverse: Option<bool>,
}

/// What HTTP_GET and SSL_GET have.
#[derive(Clone, Debug, Default)]
pub struct HttpDraft {
    /// `http_protocol`
    pub version: HttpVersion,
    /// `virtualhost`
    pub virtualhost: Option<String>,
    /// `enable_sni`, `sni_name`
    pub sni: bool,
    /// `sni_name` with a name.
    pub sni_name: Option<String>,
    /// `fast_recovery`
    pub fast_recovery: bool,
    /// `tls_compliant`
    pub tls_compliant: bool,
    /// Usable `url`s.
    pub urls: Vec<UrlDraft>,
}

/// A `url`.
#[derive(Clone, Debug, Default)]
pub struct UrlDraft {
    /// `path`
    pub path: Option<String>,
    /// `digest`
    pub digest: Option<[u8; 16]>,
    /// `status_code`
    pub status_codes: Vec<RangeInclusive<u16>>,
    /// `virtualhost`
    pub virtualhost: Option<String>,
    /// `regex`
    pub regex: Option<Vec<u8>>,
    /// `regex_no_match`
    pub regex_no_match: bool,
    /// `regex_options`
    pub regex_options: Vec<&'static str>,
    /// `regex_min_offset`
    pub regex_min_offset: Option<Spanned<usize>>,
    /// `regex_max_offset`
    pub regex_max_offset: Option<usize>,
    /// Where the first line about a regular expression is.
    pub regex_place: Option<Span>,
    /// `tls_compliant`
    pub tls_compliant: bool,
}

/// `SSL`
#[derive(Clone, Debug)]
pub struct SslDraft {
    /// Where the block is.
    pub span: Span,
    /// `password`
    pub password: Option<String>,
    /// `ca`
    pub ca: Option<String>,
    /// `certificate`
    pub certificate: Option<String>,
    /// `key`
    pub key: Option<String>,
}

impl SslDraft {
    /// An empty block.
    pub const fn new(span: Span) -> Self {
        Self { span, password: None, ca: None, certificate: None, key: None }
    }
}
