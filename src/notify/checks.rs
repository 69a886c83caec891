//! keepalived's log sentences for what the checking engine reports. Alerts match on them: they are
//! behaviour. Where a check fails, our reason follows in parentheses.
//!
//! Sentences that keepalived has no equal for are ours and say so in a comment that starts `ours:`.

use std::net::SocketAddr;

use crate::check::io::{Reason, ReasonKind};
use crate::check::names;
use crate::check::report::{CheckerEvent, Event, Quorum, ServerEvent};

use crate::model::Checker;
use crate::model::checker::{Http, Misc, Probe};
use crate::model::lvs::{GroupEntry, Protocol};
use crate::notify::report::{Level, Line};

/// The log line of an event.
pub fn line(event: &Event) -> Line {
    Line { level: level(event), detail_only: is_detail(event), text: sentence(event) }
}

/// Whether an event is logged with `--log-detail` only. Asked first, it saves making the sentence.
pub const fn is_detail(event: &Event) -> bool {
    matches!(event, Event::Checker { what: CheckerEvent::TrackedFile { .. }, .. })
}

/// How loud an event is.
pub const fn level(event: &Event) -> Level {
    match event {
        Event::Checker { what: CheckerEvent::Local(_), .. } => Level::Warning,
        _ => Level::Info,
    }
}

/// The sentence of an event.
pub fn sentence(event: &Event) -> String {
    match event {
        Event::Quorum { vs, what, quorum, hysteresis, weight } => {
            let (low, high) = thresholds(*quorum, *hysteresis);
            match what {
                Quorum::Gained | Quorum::StartsUp => {
                    format!("Gained quorum {quorum}+{hysteresis}={high} <= {weight} for VS {vs}")
                }
                Quorum::Lost => format!("Lost quorum {quorum}-{hysteresis}={low} > {weight} for VS {vs}"),
                // keepalived: a minus, but the sum
                Quorum::StartsDown => {
                    format!("Starting with quorum down {quorum}-{hysteresis}={high} > {weight} for VS {vs}")
                }
            }
        }
        Event::Server { vs, rs, what } => server(vs, rs, *what),
        Event::Checker { vs, rs, checker, asked_at, what } => self::checker(vs, rs, checker, *asked_at, what),
        Event::ServiceRemoved { vs, group: None } => format!("Removing Virtual Server {vs}"),
        Event::ServiceRemoved { group: Some(group), .. } => format!("Removing Virtual Server Group [{group}]"),
        Event::GroupEntry { group, entry, protocol, added } => group_entry(group, entry, *protocol, *added),
        Event::BfdArmed => "Activating BFD healthchecker".to_owned(),
        Event::PoolSwapped { vs, alive_in: true } => format!("Adding alive servers to the pool for VS {vs}"),
        Event::PoolSwapped { vs, alive_in: false } => format!("Removing alive servers from the pool for VS {vs}"),
    }
}

/// The weights at which a quorum is lost and gained.
pub(crate) fn thresholds(quorum: u32, hysteresis: u32) -> (u64, u64) {
    let (quorum, hysteresis) = (u64::from(quorum), u64::from(hysteresis));
    (quorum.saturating_sub(hysteresis), quorum + hysteresis)
}

fn server(vs: &str, rs: &str, what: ServerEvent) -> String {
    use ServerEvent as S;
    match what {
        S::Added { inhibit: false } => format!("Adding service {rs} to VS {vs}"),
        S::Added { inhibit: true } => format!("Enabling service {rs} of VS {vs}"),
        S::Removed { inhibit: false } => format!("Removing service {rs} from VS {vs}"),
        S::Removed { inhibit: true } => format!("Disabling service {rs} of VS {vs}"),
        S::SorryAdded { inhibit: false } => format!("Adding sorry server {rs} to VS {vs}"),
        S::SorryAdded { inhibit: true } => format!("Enabling sorry server {rs} to VS {vs}"),
        S::SorryRemoved { inhibit: false } => format!("Removing sorry server {rs} from VS {vs}"),
        S::SorryRemoved { inhibit: true } => format!("Disabling sorry server {rs} from VS {vs}"),
        S::ShutDown { inhibited: false } => format!("Shutting down service {rs} from VS {vs}"),
        S::ShutDown { inhibited: true } => format!("Shutting down (inhibited) service {rs} from VS {vs}"),
        S::Weight { from, to, active } => {
            let active = if active { "active" } else { "inactive" };
            format!("Changing weight from {from} to {to} for {active} service {rs} of VS {vs}")
        }
        S::NoLongerExists => format!("service {rs} no longer exist"),
        S::Armed { active: true } => format!("Activating healthchecker for service {rs} for VS {vs}"),
        S::Armed { active: false } => format!("Deactivating healthchecker for service {rs} for VS {vs}"),
        S::Suspended => format!("Suspending healthchecker for service {rs} for VS {vs}"),
    }
}

fn group_entry(group: &str, entry: &GroupEntry, protocol: Protocol, added: bool) -> String {
    let what = match *entry {
        GroupEntry::Addresses { first, last, port } if first == last => {
            names::endpoint(first, protocol, port).to_string()
        }
        GroupEntry::Addresses { first, last, port } => format!("{}-{last}", names::endpoint(first, protocol, port)),
        GroupEntry::Mark { mark, .. } if added => format!("FWM {mark}"),
        GroupEntry::Mark { mark, .. } => mark.to_string(),
    };
    if added {
        format!("VS [{what}] added into group {group}")
    } else {
        format!("VS [{what}] in group {group} no longer exists")
    }
}

fn checker(vs: &str, rs: &str, checker: &Checker, asked_at: SocketAddr, what: &CheckerEvent) -> String {
    match what {
        CheckerEvent::Up => up(vs, rs, checker),
        CheckerEvent::Down { reason, first } => down((vs, rs), checker, asked_at, reason, *first),
        CheckerEvent::Failed { reason, failure } => failed((vs, rs), checker, asked_at, reason, *failure),
        CheckerEvent::UrlPassed(url) => match &checker.probe {
            Probe::Http(http) => url_passed(rs, http, *url),
            _ => up(vs, rs, checker),
        },
        CheckerEvent::TrackedFile { file, fault: true } => format!("({rs}): tracked file {file} now FAULT state"),
        CheckerEvent::TrackedFile { file, fault: false } => {
            format!("({rs}): tracked file {file} leaving FAULT state")
        }
        // ours: keepalived says the errno only
        CheckerEvent::Local(reason) => {
            format!("{} on service {rs} could not be made, no verdict ({})", kind(&checker.probe), reason.detail)
        }
    }
}

/// What a checker is called in log lines.
pub const fn kind(probe: &Probe) -> &'static str {
    match probe {
        Probe::Tcp(_) => "TCP_CHECK",
        Probe::Http(Http { tls: false, .. }) => "HTTP_CHECK",
        Probe::Http(Http { tls: true, .. }) => "SSL_CHECK",
        Probe::Smtp(_) => "SMTP_CHECK",
        Probe::Dns(_) => "DNS_CHECK",
        Probe::Udp(_) => "UDP_CHECK",
        Probe::Ping(_) => "ICMP CHECK",
        Probe::Misc(_) => "MISC_CHECK",
        Probe::File(_) => "FILE_CHECK",
        Probe::Bfd(_) => "BFD_CHECK",
    }
}

fn up(vs: &str, rs: &str, checker: &Checker) -> String {
    match &checker.probe {
        Probe::Tcp(_) => format!("TCP connection to {rs} success."),
        Probe::Http(_) => format!("Remote Web server {rs} succeed on service."),
        Probe::Smtp(_) => format!("Remote SMTP server {rs} succeed on service."),
        Probe::Dns(_) => format!("DNS_CHECK ({rs}) succeeded"), // ours: keepalived says nothing
        Probe::Udp(_) => format!("UDP connection to {rs} success."),
        Probe::Ping(_) => format!("ICMP connection to {rs} success."),
        Probe::Misc(misc) => format!("Misc check for [{rs} VS {vs}] by [{}] succeeded.", misc.text),
        Probe::File(_) => format!("FILE_CHECK on service {rs} succeeded."), // ours: TrackedFile is what is reported
        Probe::Bfd(name) => format!("BFD check of [{name}] RS({rs}) is UP"),
    }
}

fn down((vs, rs): (&str, &str), checker: &Checker, asked_at: SocketAddr, reason: &Reason, first: bool) -> String {
    let retry = checker.schedule.retry;
    // keepalived: always the plural
    let after = if first || retry == 0 { String::new() } else { format!(" after {retry} retries") };
    let kind = kind(&checker.probe);
    let sentence = match &checker.probe {
        Probe::Tcp(_) | Probe::Udp(_) => format!("{kind} on service {rs} failed{after}."),
        // keepalived: the retries are said for a first probe too, that has none
        Probe::Http(_) if retry > 0 => format!("{kind} on service {rs} failed after {retry} retries."),
        Probe::Http(_) | Probe::File(_) => format!("{kind} on service {rs} failed."),
        Probe::Ping(_) if after.is_empty() => format!("{kind} on service {rs} failed."),
        Probe::Ping(_) => format!("{kind} on service {rs} of {vs} failed{after}."),
        Probe::Smtp(smtp) => format!("{kind} {}", smtp_words(reason, smtp.connection.target(asked_at), rs)),
        Probe::Dns(dns) => format!("{kind} ({rs}) {}{after}", dns_words(reason, dns.connection.target(asked_at))),
        Probe::Misc(misc) => {
            let tail = match retry {
                0 => " with retry disabled".to_owned(),
                _ => format!(" after {}", retries(retry)),
            };
            return misc_failed(vs, rs, misc, reason, &tail);
        }
        Probe::Bfd(name) => return format!("BFD check of [{name}] RS({rs}) is DOWN"),
    };
    with_reason(sentence, reason)
}

/// One failure that may be forgiven, with `log_all_failures`.
fn failed((vs, rs): (&str, &str), checker: &Checker, asked_at: SocketAddr, reason: &Reason, failure: u32) -> String {
    let timed_out = matches!(reason.kind, ReasonKind::Timeout | ReasonKind::ConnectTimeout);
    let sentence = match &checker.probe {
        Probe::Tcp(_) if timed_out => format!("TCP connection to {rs} timeout."),
        Probe::Tcp(_) => format!("TCP connection to {rs} failed."),
        Probe::Udp(_) if reason.kind == ReasonKind::Mismatch => format!("UDP check to {rs} reply data mismatch."),
        Probe::Udp(_) => format!("UDP connection to {rs} failed."),
        Probe::Ping(_) if timed_out => format!("ICMP connection to address {rs} timeout."),
        Probe::Ping(_) => format!("ICMP connection to {rs} of {vs} failed."),
        Probe::Http(http) => format!("{} server {rs}.", http_words(reason.kind, http.tls)),
        Probe::Smtp(smtp) => format!("SMTP_CHECK {}", smtp_words(reason, smtp.connection.target(asked_at), rs)),
        Probe::Dns(dns) => format!("DNS_CHECK ({rs}) {}", dns_words(reason, dns.connection.target(asked_at))),
        Probe::Misc(misc) => {
            let retry = checker.schedule.retry;
            let tail = match failure {
                0 | 1 => format!(", will do {}", retries(retry)),
                _ => format!(" on retry {}/{retry}", failure - 1),
            };
            return misc_failed(vs, rs, misc, reason, &tail);
        }
        Probe::File(_) | Probe::Bfd(_) => return down((vs, rs), checker, asked_at, reason, true),
    };
    with_reason(sentence, reason)
}

fn with_reason(sentence: String, reason: &Reason) -> String {
    // The number is in keepalived's words already.
    let is_said = matches!(reason.kind, ReasonKind::Rcode(_)) || reason.detail.is_empty();
    if is_said { sentence } else { format!("{sentence} ({})", reason.detail) }
}

fn retries(retry: u32) -> String {
    if retry == 1 { "1 retry".to_owned() } else { format!("{retry} retries") }
}

/// keepalived's words have the reason already.
fn misc_failed(vs: &str, rs: &str, misc: &Misc, reason: &Reason, tail: &str) -> String {
    let outcome = if reason.kind == ReasonKind::ScriptTimeout { "timed out" } else { "failed" };
    let why = match reason.kind {
        ReasonKind::Exited(status) => format!(" (exited with status {status})"),
        ReasonKind::Signalled(signal) => format!(" (due to signal {signal})"),
        ReasonKind::ScriptTimeout => String::new(),
        _ => format!(" ({})", reason.detail),
    };
    format!("Misc check for [{rs} VS {vs}] by [{}] {outcome}{tail}{why}.", misc.text)
}

/// keepalived says what it compared last.
fn url_passed(rs: &str, http: &Http, url: usize) -> String {
    let url = http.urls.get(url);
    let what = match url {
        Some(url) if url.regex.is_some() => "Regex match",
        Some(url) if url.digest.is_some() => "MD5 digest",
        _ => "HTTP status code",
    };
    format!("{what} success to {rs} url({})", url.map_or("", |url| &url.path))
}

const fn http_words(kind: ReasonKind, tls: bool) -> &'static str {
    match kind {
        ReasonKind::ConnectTimeout => "Timeout connecting",
        ReasonKind::Unreachable => "HTTP/SSL_CHECK - network unreachable",
        ReasonKind::Tls => "SSL handshake/communication error connecting to",
        ReasonKind::Write => "Cannot send get request to",
        ReasonKind::Timeout => "Timeout WEB read",
        ReasonKind::Stalled if tls => "Timeout SSL read",
        ReasonKind::Stalled => "Timeout HTTP read",
        ReasonKind::Reset | ReasonKind::Read if tls => "SSL read error from",
        ReasonKind::Reset | ReasonKind::Read => "Read error with",
        // the blank is keepalived's
        ReasonKind::Closed | ReasonKind::TooLong => "Read, no data received from ",
        ReasonKind::Status | ReasonKind::Malformed => "HTTP status code error to",
        ReasonKind::Digest => "MD5 digest error to",
        ReasonKind::Regex => "Regex match failed",
        _ => "Error connecting",
    }
}

/// What failed in an SMTP_CHECK, also for its mail.
pub(crate) fn smtp_words(reason: &Reason, target: SocketAddr, rs: &str) -> String {
    let server = endpoint(target);
    match reason.kind {
        ReasonKind::ConnectTimeout => format!("Connection timeout to server {server}"),
        ReasonKind::Refused => format!("Could not connect to server {server}"),
        ReasonKind::Unreachable => format!("Network unreachable for server {} - real server {rs}", target.ip()),
        ReasonKind::Timeout | ReasonKind::Stalled => format!("Read timeout from server {server}"),
        ReasonKind::Reset | ReasonKind::Read | ReasonKind::Closed => format!("Read failure from server {server}"),
        ReasonKind::Write => format!("Write failure to server {server}"),
        ReasonKind::Greeting => format!("Bad greeting banner from server {server}"),
        ReasonKind::Helo | ReasonKind::Malformed | ReasonKind::TooLong => {
            format!("Bad HELO response from server {server}")
        }
        _ => format!("Error connecting to server {server}"),
    }
}

fn dns_words(reason: &Reason, target: SocketAddr) -> String {
    match reason.kind {
        ReasonKind::Timeout | ReasonKind::Stalled => "read timeout from socket".to_owned(),
        ReasonKind::Rcode(code) => format!("read error occurred. (rcode = {code})"),
        ReasonKind::Write => "failed to write socket.".to_owned(),
        ReasonKind::Unreachable => format!("network unreachable for {}", endpoint(target)),
        ReasonKind::ConnectTimeout => "connection timeout.".to_owned(),
        ReasonKind::Refused | ReasonKind::Reset | ReasonKind::Read => "failed to read socket".to_owned(),
        _ => "connection failure.".to_owned(),
    }
}

/// `[192.0.2.1]:25`, also for IPv4.
fn endpoint(target: SocketAddr) -> String {
    format!("[{}]:{}", target.ip(), target.port())
}
