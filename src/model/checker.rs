//! Health checkers: what is asked of a real server, and when.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::addr::IfName;
use crate::model::ScriptCommand;
use crate::time::Duration;

/// How SMTP_CHECK greets where nothing else is said.
pub const HELO_NAME: &str = "smtpchecker.keepalived.org";

/// One checker, with everything it inherits. Real servers that are asked the same share it: whom it asks where it
/// does not say so itself is [`crate::model::RealServer::asked_at`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checker {
    /// What is asked.
    pub probe: Probe,
    /// When.
    pub schedule: Schedule,
    /// `alpha`: the server counts as down until the first success.
    pub alpha: bool,
    /// `log_all_failures`: each failed probe is logged, not only changes.
    pub log_all_failures: bool,
}

/// When a checker runs. BFD_CHECK and FILE_CHECK have events instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// `delay_loop`: from the end of a probe to the next (MISC_CHECK: from its start).
    pub delay_loop: Duration,
    /// `retry`: failures in a row that are forgiven.
    pub retry: u32,
    /// `delay_before_retry`: pause after a failure that is forgiven.
    pub delay_before_retry: Duration,
    /// `warmup`: longest random wait before the first probe.
    pub warmup: Duration,
}

/// What is asked of a real server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Probe {
    /// TCP_CHECK
    Tcp(Connection),
    /// HTTP_GET and SSL_GET
    Http(Http),
    /// SMTP_CHECK
    Smtp(Smtp),
    /// DNS_CHECK
    Dns(Dns),
    /// UDP_CHECK
    Udp(Udp),
    /// PING_CHECK
    Ping(Connection),
    /// MISC_CHECK
    Misc(Misc),
    /// FILE_CHECK
    File(FileCheck),
    /// BFD_CHECK: the name of the session.
    Bfd(Arc<str>),
}

impl Probe {
    /// The mark of its packets, if they have one.
    pub fn mark(&self) -> Option<u32> {
        let connection = match self {
            Self::Tcp(connection) | Self::Ping(connection) => connection,
            Self::Http(http) => &http.connection,
            Self::Smtp(smtp) => &smtp.connection,
            Self::Dns(dns) => &dns.connection,
            Self::Udp(udp) => &udp.connection,
            Self::Misc(_) | Self::File(_) | Self::Bfd(_) => return None,
        };
        Some(connection.mark).filter(|mark| *mark != 0)
    }
}

/// Whom to ask, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// `connect_ip`, else the real server's address.
    pub connect_ip: Option<IpAddr>,
    /// `connect_port`, else the real server's port. That of PING_CHECK means nothing.
    pub connect_port: Option<u16>,
    /// `bindto`; same family as the address that is asked.
    pub bind_address: Option<IpAddr>,
    /// `bind_port`
    pub bind_port: Option<u16>,
    /// `bind_if`
    pub bind_interface: Option<IfName>,
    /// `connect_timeout`: of connecting, and of each wait for an answer.
    pub timeout: Duration,
    /// `fwmark`: SO_MARK; 0 is none.
    pub mark: u32,
}

impl Connection {
    /// Straight to a server, which has to answer within `timeout`.
    pub const fn within(timeout: Duration) -> Self {
        Self {
            connect_ip: None,
            connect_port: None,
            bind_address: None,
            bind_port: None,
            bind_interface: None,
            timeout,
            mark: 0,
        }
    }

    /// Whom it asks for a server that is asked at `server` where nothing else is said.
    pub fn target(&self, server: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.connect_ip.unwrap_or(server.ip()), self.connect_port.unwrap_or(server.port()))
    }
}

/// HTTP_GET and SSL_GET.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Http {
    /// Whom to ask.
    pub connection: Connection,
    /// SSL_GET
    pub tls: bool,
    /// `http_protocol`
    pub version: HttpVersion,
    /// `fast_recovery`: the urls are asked one right after the other while the server is down.
    pub fast_recovery: bool,
    /// In file order; never empty.
    pub urls: Vec<Url>,
}

/// `http_protocol`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpVersion {
    /// `1.0`
    #[default]
    V10,
    /// `1.0C`: with `Connection: close`.
    V10Close,
    /// `1.1`: with `Connection: close`.
    V11,
}

/// `url { }`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Url {
    /// `path`, as it is sent.
    pub path: Arc<str>,
    /// The virtual host in force (url, checker, real server, virtual server); none asks for the target address.
    pub virtualhost: Option<Arc<str>>,
    /// The name sent in TLS, where `enable_sni` or `sni_name` asks for one.
    pub sni: Option<Arc<str>>,
    /// `digest`: MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// `status_code`: by default 200 to 299.
    pub status_codes: Vec<RangeInclusive<u16>>,
    /// `regex`
    pub regex: Option<Regex>,
    /// `tls_compliant`: our end of TLS is closed as its RFC says.
    pub tls_compliant: bool,
}

/// `regex` and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regex {
    /// The pattern, as bytes.
    pub pattern: Arc<[u8]>,
    /// `regex_options`: PCRE2's names in small letters, as in the file.
    pub options: Vec<Arc<str>>,
    /// `regex_no_match`: the body must not match.
    pub no_match: bool,
    /// `regex_min_offset`: a match does not begin before it.
    pub min_offset: usize,
    /// `regex_max_offset`: nor after it.
    pub max_offset: Option<usize>,
}

/// SMTP_CHECK
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smtp {
    /// Whom to ask.
    pub connection: Connection,
    /// `helo_name`
    pub helo_name: Arc<str>,
}

/// DNS_CHECK
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Whom to ask.
    pub connection: Connection,
    /// `type`: the number of the record type.
    pub record_type: u16,
    /// `name`; `.` is the root.
    pub name: Arc<str>,
}

/// UDP_CHECK
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Udp {
    /// Whom to ask.
    pub connection: Connection,
    /// `payload`, else keepalived's 32 bytes.
    pub payload: Arc<[u8]>,
    /// `require_reply`: an answer must come.
    pub require_reply: bool,
    /// Its bytes, each with the bits that count.
    pub reply: Arc<[(u8, u8)]>,
    /// `min_reply_length` and `max_reply_length`.
    pub reply_length: RangeInclusive<u16>,
}

/// MISC_CHECK
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misc {
    /// `misc_path`
    pub command: ScriptCommand,
    /// The program as the file has it, without its arguments: for log lines.
    pub text: Arc<str>,
    /// `misc_timeout`, else `delay_loop` of the virtual server.
    pub timeout: Duration,
    /// `misc_dynamic`: exit statuses 2 to 255 set the weight.
    pub dynamic: bool,
}

/// FILE_CHECK
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCheck {
    /// Index into [`crate::model::Lvs::track_files`].
    pub file: usize,
    /// Its number times this is added to the weight; 0 makes any other number than 0 a failure.
    pub weight: i32,
    /// The product changes its sign; with weight 0 the number 0 is the failure.
    pub reverse: bool,
}
