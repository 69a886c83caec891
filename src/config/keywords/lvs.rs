//! `virtual_server`, `real_server`, `virtual_server_group`, `SSL`, `lvs_sync_daemon`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checkers::{
    BFD_CHECK, DNS_CHECK, FILE_CHECK, HTTP_GET, MISC_CHECK, PING_CHECK, SMTP_CHECK, SSL_GET, TCP_CHECK, UDP_CHECK,
};
use super::vrrp::notify;
use super::{Block, Entry, Value, block, flag, number, option, option_value, script, seconds, switch, value};
use crate::addr::{Family, IfName, IfNameError};
use crate::config::draft::{
    CheckerDraft, GlobalDraft, GroupLine, RealServerDraft, ServerGroupDraft, ServiceKey, SslDraft, SyncDaemonDraft,
    VirtualServerDraft,
};
use crate::config::reader::{Given, HOW_INTERFACES_ARE_NAMED, Reader, Spanned, usage};
use crate::config::tree::Word;
use crate::config::value as values;
use crate::diag::{Code, Span};
use crate::model::lvs::{Forwarding, Granularity, GroupEntry, Protocol, Tunnel, TunnelChecksum};
use crate::time::Duration;

const U31: i64 = 2_147_483_647;
const U32: i64 = 4_294_967_295;
const OPEN: u64 = i64::MAX as u64;

/// Persistence where a number is not given, in seconds.
pub const DEFAULT_PERSISTENCE: u32 = 360;
/// `IP_VS_SVC_F_SCHED1` to `3`.
const FLAG_1: u32 = 0x08;
const FLAG_2: u32 = 0x10;
const FLAG_3: u32 = 0x20;

const SCHEDULERS: &[&str] =
    &["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq", "twos"];

/// `virtual_server ADDRESS PORT { }`
pub static VIRTUAL_SERVER: Block<VirtualServerDraft> = Block {
    path: "virtual_server",
    keywords: &[
        value("ip_family", Value::OneOf(&["inet", "inet6"]), "family of a service that is a firewall mark")
            .default("that of its servers, else inet")
            .then(ip_family),
        value("lb_algo", Value::OneOf(SCHEDULERS), "how connections are spread").default("wlc").then(scheduler),
        value("lvs_sched", Value::OneOf(SCHEDULERS), "lb_algo by another name").default("wlc").then(scheduler),
        flag("hashed", "accepted, without effect").then(hashed),
        flag("ops", "schedule each packet for itself, UDP only").then(|s, g, _| s.ops = Some(g.line.keyword.span)),
        flag("flag-1", "first flag of the scheduler").then(|s, _, _| s.scheduler_flags |= FLAG_1),
        flag("flag-2", "second flag of the scheduler").then(|s, _, _| s.scheduler_flags |= FLAG_2),
        flag("flag-3", "third flag of the scheduler").then(|s, _, _| s.scheduler_flags |= FLAG_3),
        flag("sh-port", "hash the port, too; after lb_algo sh").then(|s, g, r| scheduler_flag(FLAG_2, s, g, r)),
        flag("sh-fallback", "take another server where the hashed one is down; after lb_algo sh")
            .then(|s, g, r| scheduler_flag(FLAG_1, s, g, r)),
        flag("mh-port", "hash the port, too; after lb_algo mh").then(|s, g, r| scheduler_flag(FLAG_2, s, g, r)),
        flag("mh-fallback", "take another server where the hashed one is down; after lb_algo mh")
            .then(|s, g, r| scheduler_flag(FLAG_1, s, g, r)),
        method("lb_kind", "how packets reach the servers")
            .default("NAT")
            .then(|s, g, r| s.method = forwarding(s.method, g, r)),
        method("lvs_method", "lb_kind by another name")
            .default("NAT")
            .then(|s, g, r| s.method = forwarding(s.method, g, r)),
        value("persistence_engine", Value::CutText(15), "what tells that a client is the same, such as sip")
            .default("none")
            .then(|s, g, _| s.persistence_engine = text(g)),
        number("persistence_timeout", 1, 2_678_400, "how long a client stays with its server")
            .default("off; 360 without a number")
            .unit("seconds")
            .optional()
            .then(|s, g, _| s.persistence_timeout = Some(g.plain().unwrap_or(DEFAULT_PERSISTENCE))),
        value("persistence_granularity", Value::Words("<netmask>|<number 1 to 128>"), "clients that count as one")
            .default("each for itself")
            .then(granularity),
        value("protocol", Value::OneOfAnyCase(&["TCP", "UDP", "SCTP"]), "protocol of the service")
            .default("UDP")
            .then(protocol),
        flag("ha_suspend", "do not check while the address is not here")
            .then(|s, g, _| s.ha_suspend = Some(g.line.keyword.span)),
        number("retry", 1, U32, "tries before a check fails")
            .default("that of the checker")
            .unit("attempts")
            .then(|s, g, _| s.timing.retry = g.plain()),
        seconds("delay_before_retry", 0, OPEN, "pause between two tries")
            .default("that of the checker")
            .then(|s, g, _| s.timing.delay_before_retry = micros(g)),
        seconds("warmup", 0, OPEN, "longest random wait before the first check")
            .default("delay_loop")
            .then(|s, g, _| s.timing.warmup = micros(g)),
        seconds("connect_timeout", 1, 4_294_967_295, "how long connecting may take")
            .default("5")
            .then(|s, g, _| s.timing.connect_timeout = micros(g)),
        seconds("delay_loop", 1, OPEN, "pause between two checks")
            .default("60")
            .then(|s, g, _| s.timing.delay_loop = micros(g)),
        flag("inhibit_on_failure", "a failed server stays with weight 0").then(|s, _, _| s.inhibit = true),
        flag("alpha", "servers count as down until checked").then(|s, _, _| s.timing.alpha = Some(true)),
        flag("omega", "run notify_down and quorum_down at the end").then(|s, _, _| s.omega = true),
        script("quorum_up", "run when there are enough servers").then(|s, g, r| notify(&mut s.notify, g, r)),
        script("quorum_down", "run when there are no longer enough").then(|s, g, r| notify(&mut s.notify, g, r)),
        number("quorum", 1, U32, "weight of live servers that is enough")
            .default("1")
            .or_use(1)
            .then(|s, g, _| s.quorum = g.number()),
        number("hysteresis", 0, U32, "margin around the quorum").default("0").then(|s, g, _| s.hysteresis = g.number()),
        number("weight", 1, U31, "weight of servers that name none").default("1").then(|s, g, _| s.weight = g.plain()),
        switch("smtp_alert", "mail on gaining and losing the quorum")
            .default("smtp_alert_checker, else smtp_alert, else off")
            .then(|s, g, _| s.notify.smtp_alert = Some(g.on())),
        value("virtualhost", Value::Text, "host that HTTP checkers ask for")
            .default("none")
            .ignored_if_missing()
            .then(|s, g, r| last_of(&mut s.virtualhost, g, r)),
        value("snmp_name", Value::Text, "its name in SNMP")
            .default("none")
            .ignored_if_missing()
            .keep(|s, g, r| last_of(&mut s.snmp_name, g, r)),
        value("sorry_server", Value::AddressPort, "server for when there are not enough others")
            .default("none")
            .then(sorry_server),
        flag("sorry_server_inhibit", "it stays in the table with weight 0; after sorry_server")
            .then(sorry_server_inhibit),
        method("sorry_server_lvs_method", "how packets reach it; after sorry_server")
            .default("lb_kind")
            .optional()
            .then(sorry_server_method),
        block("real_server", "<address> [<port>] { ... }", "one of the servers").then(real_server),
    ],
};

/// `real_server ADDRESS PORT { }`
pub static REAL_SERVER: Block<RealServerDraft> = Block {
    path: "virtual_server/real_server",
    keywords: &[
        number("weight", 0, U31, "its share").default("weight of the service").then(|s, g, _| s.weight = g.plain()),
        method("lvs_method", "how packets reach it")
            .default("lb_kind so far")
            .then(|s, g, r| s.method = forwarding(s.method, g, r)),
        number("uthreshold", 0, U32, "connections above which it gets no more")
            .default("0: no limit")
            .unit("connections")
            .then(|s, g, _| s.upper_threshold = g.plain().unwrap_or(0)),
        number("lthreshold", 0, U32, "connections below which it gets some again")
            .default("0")
            .unit("connections")
            .then(|s, g, _| s.lower_threshold = g.plain().unwrap_or(0)),
        switch("inhibit_on_failure", "failed, it stays with weight 0")
            .default("that of the service")
            .then(|s, g, _| s.inhibit = Some(g.on())),
        script("notify_up", "run when it comes up").then(|s, g, r| notify(&mut s.notify, g, r)),
        script("notify_down", "run when it goes down").then(|s, g, r| notify(&mut s.notify, g, r)),
        switch("alpha", "it counts as down until checked")
            .default("that of the service")
            .then(|s, g, _| s.timing.alpha = Some(g.on())),
        number("retry", 1, U32, "tries before a check fails")
            .default("that of the service")
            .unit("attempts")
            .then(|s, g, _| s.timing.retry = g.plain()),
        seconds("delay_before_retry", 0, OPEN, "pause between two tries")
            .default("that of the service")
            .then(|s, g, _| s.timing.delay_before_retry = micros(g)),
        seconds("warmup", 0, OPEN, "longest random wait before the first check")
            .default("that of the service")
            .then(|s, g, _| s.timing.warmup = micros(g)),
        seconds("connect_timeout", 1, 4_294_967_295, "how long connecting may take")
            .default("that of the service")
            .then(|s, g, _| s.timing.connect_timeout = micros(g)),
        seconds("delay_loop", 1, OPEN, "pause between two checks")
            .default("that of the service")
            .then(|s, g, _| s.timing.delay_loop = micros(g)),
        switch("smtp_alert", "mail when it comes or goes")
            .default("smtp_alert_checker, else smtp_alert, else on")
            .then(|s, g, _| s.notify.smtp_alert = Some(g.on())),
        value("virtualhost", Value::Text, "host that HTTP checkers ask for")
            .default("that of the service")
            .ignored_if_missing()
            .then(|s, g, r| last_of(&mut s.virtualhost, g, r)),
        value("snmp_name", Value::Text, "its name in SNMP")
            .default("none")
            .ignored_if_missing()
            .keep(|s, g, r| last_of(&mut s.snmp_name, g, r)),
        block("MISC_CHECK", "{ ... }", "a program says whether it is well")
            .then(|s, g, r| checker(&MISC_CHECK, s, g, r)),
        block("SMTP_CHECK", "{ ... }", "it greets as a mail server").then(|s, g, r| checker(&SMTP_CHECK, s, g, r)),
        block("TCP_CHECK", "{ ... }", "it takes a connection").then(|s, g, r| checker(&TCP_CHECK, s, g, r)),
        block("PING_CHECK", "{ ... }", "it answers a ping").then(|s, g, r| checker(&PING_CHECK, s, g, r)),
        block("UDP_CHECK", "{ ... }", "it answers a datagram, or at least does not refuse it")
            .then(|s, g, r| checker(&UDP_CHECK, s, g, r)),
        block("HTTP_GET", "{ ... }", "it has the pages it should have").then(|s, g, r| checker(&HTTP_GET, s, g, r)),
        block("SSL_GET", "{ ... }", "the same over TLS").then(|s, g, r| checker(&SSL_GET, s, g, r)),
        block("DNS_CHECK", "{ ... }", "it answers a DNS query").then(|s, g, r| checker(&DNS_CHECK, s, g, r)),
        block("FILE_CHECK", "{ ... }", "its weight comes from a file").then(|s, g, r| checker(&FILE_CHECK, s, g, r)),
        block("BFD_CHECK", "{ ... }", "a BFD session says whether it is there")
            .keep(|s, g, r| checker(&BFD_CHECK, s, g, r)),
    ],
};

/// `SSL { }`
pub static SSL: Block<SslDraft> = Block {
    path: "SSL",
    keywords: &[
        ssl("password", "pass phrase of the key").then(|s, g, r| last_of(&mut s.password, g, r)),
        ssl("ca", "file of the authorities to trust").then(|s, g, r| last_of(&mut s.ca, g, r)),
        ssl("certificate", "file of our certificate").then(|s, g, r| last_of(&mut s.certificate, g, r)),
        ssl("key", "file of its key").then(|s, g, r| last_of(&mut s.key, g, r)),
    ],
};

const fn ssl(name: &'static str, about: &'static str) -> Entry {
    value(name, Value::Text, about).default("none").ignored_if_missing()
}

/// Lines of `virtual_server_group`.
pub const GROUP_LINES: &[Entry] = &[
    option("<ADDRESS>", "an address and a port").default("port 0, which needs persistence"),
    option("<RANGE>", "addresses that differ in their last part, FIRST-LAST, and a port"),
    option("<FULL RANGE>", "all addresses from one to another, and a port"),
    option("<SUBNET>", "all addresses of a network, and a port"),
    option_value("fwmark", Value::Number(0, U32), "packets with this firewall mark").default("family of the servers"),
    option("inet", "the mark is for IPv4"),
    option("inet6", "the mark is for IPv6"),
];

const METHOD: &[Entry] = &[
    option("NAT", "addresses are rewritten").default("this one"),
    option("DR", "packets go to the server's MAC as they are"),
    option("TUN", "packets go through a tunnel; the server may be of the other family"),
    option_value("type", Value::OneOf(&["ipip", "gue", "gre"]), "kind of tunnel").default("ipip"),
    option_value("port", Value::Number(1, 65_535), "UDP port of a gue tunnel").default("none"),
    option("nocsum", "no checksum outside").default("this one"),
    option("csum", "a checksum outside; not with ipip"),
    option("remcsum", "checksum offload at the far end; gue only"),
];

const fn method(name: &'static str, about: &'static str) -> Entry {
    value(name, Value::Words("NAT|DR|TUN [type ipip|gue|gre] [port <number>] [nocsum|csum|remcsum]"), about)
        .options(METHOD)
}

fn text(given: &Given<'_>) -> Option<String> {
    given.text().map(|text| text.value)
}

fn ip_family(service: &mut VirtualServerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(word) = given.text() else { return };
    let family = if word.value == "inet6" { Family::V6 } else { Family::V4 };
    if service.family.is_some_and(|known| known != family) {
        reader.error(
            Code::VIRTUAL_SERVER,
            word.span,
            format!("the service is not {}; the line is ignored", word.value),
        );
        return;
    }
    service.family = Some(family);
}

/// A flag of one scheduler only; it counts where that one has been chosen above.
fn scheduler_flag(flag: u32, service: &mut VirtualServerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let own = &given.entry.name[..2];
    match service.scheduler {
        Some(scheduler) if scheduler == own => service.scheduler_flags |= flag,
        Some("sh" | "mh") => {
            // keepalived: says nothing.
            let text = format!("{} has no meaning with lb_algo of another kind; it is ignored", given.entry.name);
            reader.diagnostics.lint(Code::VIRTUAL_SERVER, given.line.keyword.span, text);
        }
        _ => {
            reader
                .error(
                    Code::VIRTUAL_SERVER,
                    given.line.keyword.span,
                    format!("{} has no meaning without lb_algo {own}", given.entry.name),
                )
                .help(format!("write lb_algo {own} above this line"));
        }
    }
}

/// The kernel sets that bit itself.
fn hashed(service: &mut VirtualServerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let span = given.line.keyword.span;
    let message = "hashed has no effect";
    let help = "remove the line";
    match service.scheduler {
        // keepalived: says nothing.
        Some("sh" | "mh") => reader.diagnostics.lint(Code::DEPRECATED, span, message).help(help),
        _ => reader.diagnostics.warning(Code::DEPRECATED, span, message).help(help),
    };
}

fn scheduler(service: &mut VirtualServerDraft, given: &Given<'_>, _: &mut Reader<'_>) {
    let Some(word) = given.line.args.first() else { return };
    service.scheduler = SCHEDULERS.iter().copied().find(|name| word.text == *name);
}

fn protocol(service: &mut VirtualServerDraft, given: &Given<'_>, _: &mut Reader<'_>) {
    let Some(word) = given.text() else { return };
    let protocol = match word.value.as_str() {
        "TCP" => Protocol::Tcp,
        "SCTP" => Protocol::Sctp,
        _ => Protocol::Udp,
    };
    service.protocol = Some(Spanned::new(protocol, word.span));
}

fn granularity(service: &mut VirtualServerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(word) = given.line.args.first() else { return };
    let by_form = if word.text.contains('.') { Family::V4 } else { Family::V6 };
    let family = *service.family.get_or_insert(by_form);
    let found = match (family, values::integer(&word.text)) {
        // keepalived: a number without dots is a mask, too, which nobody means.
        (Family::V4, values::Number::Whole(bits @ 0..=U32)) => {
            let mask = Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(0));
            let message = format!("persistence_granularity {bits} is the netmask {mask}");
            let help = "write a netmask such as 255.255.255.0";
            reader.diagnostics.lint(Code::BAD_WORD, word.span, message).help(help);
            Some(Granularity::Mask(mask))
        }
        // keepalived: takes masks with holes, too.
        (Family::V4, _) => word.text.parse().ok().map(Granularity::Mask),
        (Family::V6, values::Number::Whole(prefix @ 1..=128)) => u8::try_from(prefix).ok().map(Granularity::Prefix),
        (Family::V6, _) => None,
    };
    if found.is_some() {
        service.granularity = found;
        return;
    }
    let (what, help) = match family {
        Family::V4 => ("a netmask", "write a netmask such as 255.255.255.0"),
        Family::V6 => ("a prefix length", "the service is IPv6: write a number from 1 to 128"),
    };
    reader
        .error(Code::BAD_WORD, word.span, format!("persistence_granularity '{}' is not {what}", word.text))
        .help(help);
}

/// A text of which the last one counts.
pub(super) fn last_of(slot: &mut Option<String>, given: &Given<'_>, reader: &mut Reader<'_>) {
    if slot.is_some() {
        let message = format!("{} is given twice; the last counts", given.entry.name);
        reader.diagnostics.warning(Code::REPEATED, given.span(), message).help("remove one of the lines");
    }
    *slot = text(given);
}

/// A number of microseconds as time.
pub(super) fn micros(given: &Given<'_>) -> Option<Duration> {
    given.plain().map(Duration::from_micros)
}

/// Reads a forwarding method; what holds already stays where it is unknown, and its tunnel where only the options are.
fn forwarding(current: Option<Forwarding>, given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Forwarding> {
    let (word, rest) = given.line.args.split_first()?;
    let method = match word.text.as_str() {
        "NAT" => Forwarding::Nat,
        "DR" => Forwarding::Direct,
        "TUN" => Forwarding::Tunnel(Tunnel::default()),
        other => {
            let help = match reader.diagnostics.suggest(other, ["NAT", "DR", "TUN"].into_iter()) {
                Some(similar) => format!("did you mean {similar}?"),
                None => "write NAT, DR or TUN".to_owned(),
            };
            let message = format!("{} does not know '{other}'", given.entry.name);
            reader.error(Code::BAD_WORD, word.span, message).help(help);
            return current;
        }
    };
    let tunnel = tunnel(rest, given, reader);
    Some(match (method, tunnel, current) {
        (Forwarding::Tunnel(_), Some(tunnel), _) => Forwarding::Tunnel(tunnel),
        (Forwarding::Tunnel(_), None, Some(Forwarding::Tunnel(before))) => Forwarding::Tunnel(before),
        _ => method,
    })
}

/// What the words of a tunnel say, before they are judged together.
#[derive(Default)]
struct TunnelWords<'w> {
    kind: &'w str,
    port: Option<(&'w Word, u16)>,
    checksum: Option<&'w Word>,
}

/// Reads the options of a tunnel; none where they are not understood or do not go together.
fn tunnel(words: &[Word], given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Tunnel> {
    let mut said = TunnelWords { kind: "ipip", ..TunnelWords::default() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let complaint = match word.text.as_str() {
            "nocsum" => {
                said.checksum = None;
                continue;
            }
            "csum" | "remcsum" => {
                said.checksum = Some(word);
                continue;
            }
            "type" => match words.next().map(|value| value.text.as_str()) {
                Some(value @ ("ipip" | "gue" | "gre")) => {
                    said.kind = value;
                    continue;
                }
                _ => "type is ipip, gue or gre".to_owned(),
            },
            "port" => match words.next() {
                Some(value) => {
                    let number = reader.number(given.entry, value, 1, 65_535)?;
                    said.port = u16::try_from(number).ok().map(|port| (word, port));
                    continue;
                }
                None => "port needs a number".to_owned(),
            },
            other => format!("{} does not know '{other}'", given.entry.name),
        };
        reader.error(Code::UNKNOWN_OPTION, word.span, complaint).help("the tunnel stays as it was");
        return None;
    }
    said.judge()
        .map_err(|(span, message)| {
            let span = span.unwrap_or(given.line.keyword.span);
            reader.error(Code::REAL_SERVER, span, message).help("the tunnel stays as it was");
        })
        .ok()
}

impl TunnelWords<'_> {
    fn judge(&self) -> Result<Tunnel, (Option<Span>, &'static str)> {
        match (self.kind, self.port, self.checksum) {
            ("gue", None, _) => Err((None, "a gue tunnel needs a port")),
            ("gue", Some((_, port)), checksum) => {
                let checksum = match checksum.map(|word| word.text.as_str()) {
                    None => TunnelChecksum::None,
                    Some("csum") => TunnelChecksum::Checksum,
                    Some(_) => TunnelChecksum::Remote,
                };
                Ok(Tunnel::Gue { port, checksum })
            }
            (_, Some((word, _)), _) => Err((Some(word.span), "only a gue tunnel has a port")),
            ("gre", None, Some(word)) if word.text == "remcsum" => {
                Err((Some(word.span), "a gre tunnel has no remote checksum"))
            }
            ("gre", None, checksum) => Ok(Tunnel::Gre { checksum: checksum.is_some() }),
            (_, None, Some(word)) => Err((Some(word.span), "an ipip tunnel has no checksum")),
            (_, None, None) => Ok(Tunnel::Ipip),
        }
    }
}

/// The port word of a server or a service; 0 where there is none.
fn port(word: Option<&Word>, given: &Given<'_>, reader: &mut Reader<'_>) -> Option<u16> {
    let Some(word) = word else { return Some(0) };
    reader.number(given.entry, word, 0, 65_535).and_then(|port| u16::try_from(port).ok())
}

fn sorry_server(service: &mut VirtualServerDraft, given: &Given<'_>, _: &mut Reader<'_>) {
    let Some(address) = given.address() else { return };
    let port = given.line.args.get(1).and_then(|port| port.text.parse().ok()).unwrap_or(0);
    service.sorry = Some(RealServerDraft::new(address, port, service.method));
}

/// The sorry server that a line speaks of; one that comes before it is ignored.
fn known_sorry<'d>(
    service: &'d mut VirtualServerDraft,
    given: &Given<'_>,
    reader: &mut Reader<'_>,
) -> Option<&'d mut RealServerDraft> {
    if service.sorry.is_none() {
        let name = given.entry.name;
        reader
            .error(
                Code::REAL_SERVER,
                given.line.keyword.span,
                format!("{name} comes before sorry_server; it is ignored"),
            )
            .help("move it below sorry_server");
    }
    service.sorry.as_mut()
}

fn sorry_server_inhibit(service: &mut VirtualServerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    if let Some(sorry) = known_sorry(service, given, reader) {
        sorry.inhibit = Some(true);
    }
}

fn sorry_server_method(service: &mut VirtualServerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(sorry) = known_sorry(service, given, reader) else { return };
    if given.line.args.is_empty() {
        let message = format!("{} needs a value; keepalived stops reading here", given.entry.name);
        reader.diagnostics.missing_argument(given.line.keyword.span, message);
        return;
    }
    sorry.method = forwarding(sorry.method, given, reader);
}

fn real_server(service: &mut VirtualServerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(word) = given.line.args.first() else {
        reader
            .diagnostics
            .missing_argument(given.line.keyword.span, "real_server needs an address; keepalived stops reading here");
        return;
    };
    let Some(address) = reader.plain_address(given.entry, word) else { return };
    let Some(port) = port(given.line.args.get(1), given, reader) else { return };
    let mut server = RealServerDraft::new(Spanned::new(address, word.span), port, service.method);
    reader.read_body(&REAL_SERVER, &mut server, given);
    service.servers.push(server);
}

fn checker(
    block: &'static Block<CheckerDraft>,
    server: &mut RealServerDraft,
    given: &Given<'_>,
    reader: &mut Reader<'_>,
) {
    let kind = Spanned::new(given.entry.name, given.line.keyword.span);
    let defined_before = (reader.defined("track_file"), reader.defined("track_bfd"));
    let mut checker = CheckerDraft::new(kind, server.address, defined_before);
    reader.read_body(block, &mut checker, given);
    // One is the rule, and there may be many thousand servers.
    server.checkers.reserve_exact(1);
    server.checkers.push(checker);
}

/// Which service a `virtual_server` line names; none where the block is to be skipped.
pub fn service_key(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Spanned<ServiceKey>> {
    let args = &given.line.args;
    let missing = |reader: &mut Reader<'_>| {
        let message = "virtual_server needs an address and a port, fwmark NUMBER or group NAME";
        reader.diagnostics.missing_argument(given.line.keyword.span, message);
    };
    let Some(first) = args.first() else {
        missing(reader);
        return None;
    };
    let key = match first.text.as_str() {
        "group" | "fwmark" if args.len() < 2 => {
            missing(reader);
            return None;
        }
        "group" => ServiceKey::Group(args[1].text.to_string()),
        "fwmark" => {
            let mark = reader.number(given.entry, &args[1], 0, U32)?;
            ServiceKey::Mark(u32::try_from(mark).ok()?)
        }
        _ => {
            let address = reader.plain_address(given.entry, first)?;
            ServiceKey::Address(address, port(args.get(1), given, reader)?)
        }
    };
    Some(Spanned::new(key, first.span))
}

/// Reads the lines of a `virtual_server_group`.
pub fn group_lines(group: &mut ServerGroupDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    for (line, words) in given.entries() {
        let entry = match words.as_slice() {
            [first, rest @ ..] if first.text == "fwmark" => mark_line(first, rest, line.span, given, reader),
            [first, rest @ ..] => address_line(first, rest.first().copied(), given, reader),
            [] => None,
        };
        group.entries.extend(entry);
    }
}

fn mark_line(
    first: &Word,
    rest: &[&Word],
    span: Span,
    given: &Given<'_>,
    reader: &mut Reader<'_>,
) -> Option<GroupLine> {
    let Some(mark) = rest.first() else {
        reader.diagnostics.missing_argument(first.span, "fwmark needs a number; keepalived stops reading here");
        return None;
    };
    let mark = u32::try_from(reader.number(given.entry, mark, 0, U32)?).ok()?;
    let family = match rest.get(1).map(|word| word.text.as_str()) {
        None => None,
        Some("inet") => Some(Family::V4),
        Some("inet6") => Some(Family::V6),
        Some(other) => {
            let message = format!("fwmark does not know '{other}'; the line is ignored");
            reader.error(Code::BAD_WORD, span, message).help("write inet or inet6, or nothing");
            return None;
        }
    };
    Some(GroupLine::Mark(family, mark))
}

fn address_line(
    first: &Word,
    port_word: Option<&Word>,
    given: &Given<'_>,
    reader: &mut Reader<'_>,
) -> Option<GroupLine> {
    let Some((from, to)) = addresses(&first.text) else {
        let message = format!("'{}' is no address, range or network; the line is ignored", first.text);
        reader
            .error(Code::BAD_ADDRESS, first.span, message)
            .help("write 192.0.2.1, 192.0.2.1-20, 192.0.2.1-192.0.2.20 or 192.0.2.0/24");
        return None;
    };
    let port = port(port_word, given, reader)?;
    // keepalived: makes a service for each address, of IPv6 addresses only as many as their last 16 bits have values.
    if !GroupEntry::is_bounded(from, to) {
        let message = format!("'{}' is more than {} addresses; the line is ignored", first.text, GroupEntry::MOST);
        reader
            .diagnostics
            .own_error(Code::VIRTUAL_SERVER, first.span, message)
            .help("each address is a service of its own in the kernel; a firewall mark covers any number of them");
        return None;
    }
    Some(GroupLine::Addresses(from, to, port))
}

/// The first and the last address of an address, a range or a network; none where it is none of them.
fn addresses(text: &str) -> Option<(IpAddr, IpAddr)> {
    if let Some((network, prefix)) = text.split_once('/') {
        let address = values::address(network)?;
        let prefix: u8 = prefix.parse().ok().filter(|prefix| (1..=Family::of(address).bits()).contains(prefix))?;
        return last_of_network(address, prefix).map(|last| (address, last));
    }
    let Some((first, last)) = text.split_once('-') else {
        let address = values::address(text)?;
        return Some((address, address));
    };
    let first = values::address(first)?;
    let last = match (values::address(last), first) {
        (Some(last), _) => return (Family::of(last) == Family::of(first) && last >= first).then_some((first, last)),
        (None, IpAddr::V4(first)) => {
            let [a, b, c, from] = first.octets();
            let last = last.parse::<u8>().ok().filter(|last| *last > from)?;
            IpAddr::from([a, b, c, last])
        }
        (None, IpAddr::V6(first)) => {
            let mut segments = first.segments();
            segments[7] = u16::from_str_radix(last, 16).ok().filter(|last| *last > segments[7])?;
            IpAddr::from(segments)
        }
    };
    Some((first, last))
}

/// The last address of a network; none where the first has host bits.
fn last_of_network(first: IpAddr, prefix: u8) -> Option<IpAddr> {
    match first {
        IpAddr::V4(first) => {
            let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            (first.to_bits() & host == 0).then(|| Ipv4Addr::from_bits(first.to_bits() | host).into())
        }
        IpAddr::V6(first) => {
            let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            (first.to_bits() & host == 0).then(|| Ipv6Addr::from_bits(first.to_bits() | host).into())
        }
    }
}

/// Reads `lvs_sync_daemon`.
pub fn sync_daemon(global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    if !reader.is_first_sync_daemon(given.line.keyword.span) {
        return;
    }
    let Some((first, rest)) = given.line.args.split_first() else { return };
    let Some(interface) = sync_daemon_interface(first, given.entry, reader) else { return };
    let mut daemon = SyncDaemonDraft::new(Spanned::new(interface, first.span));
    let mut words = rest.iter().enumerate();
    while let Some((at, word)) = words.next() {
        let option = given.entry.options.iter().find(|option| option.name == word.text);
        match (option, words.clone().next()) {
            (Some(option), Some((_, value))) => {
                sync_daemon_option(&mut daemon, option, value, reader);
                words.next();
            }
            (Some(option), None) if option.name == "inst" => {
                reader.diagnostics.missing_argument(word.span, "inst needs the name of an instance");
            }
            (Some(option), None) => {
                let message = format!("{} needs a value", option.name);
                reader.error(Code::MISSING_ARGUMENT, word.span, message).help(usage(option));
            }
            (None, _) if at == 0 => daemon.instance = Some(Spanned::new(word.text.to_string(), word.span)),
            // The old form: interface, instance, id.
            (None, _) if at == 1 && word.text.bytes().all(|byte| byte.is_ascii_digit()) => {
                daemon.id = reader.number(given.entry, word, 0, 255).and_then(|id| u8::try_from(id).ok());
                let message = "a number without a word before it is an old way to say id";
                reader.diagnostics.warning(Code::DEPRECATED, word.span, message).help("write id before it");
            }
            (None, _) => {
                let message = format!("lvs_sync_daemon does not know '{}'", word.text);
                let similar =
                    reader.diagnostics.suggest(&word.text, given.entry.options.iter().map(|known| known.name));
                let help = similar.map_or_else(|| usage(given.entry), |name| format!("did you mean {name}?"));
                reader.error(Code::UNKNOWN_OPTION, word.span, message).help(help);
            }
        }
    }
    global.sync_daemon = Some(daemon);
}

/// keepalived: only a name that is too long is an error; of another that no interface can have nothing comes.
fn sync_daemon_interface(word: &Word, entry: &Entry, reader: &mut Reader<'_>) -> Option<IfName> {
    match word.text.parse::<IfName>() {
        Ok(name) => Some(name),
        Err(IfNameError::TooLong) => reader.interface(entry, word),
        Err(_) => {
            let message = format!("lvs_sync_daemon: '{}' cannot be the name of an interface", word.text);
            reader.diagnostics.own_error(Code::BAD_INTERFACE_NAME, word.span, message).help(HOW_INTERFACES_ARE_NAMED);
            None
        }
    }
}

fn sync_daemon_option(daemon: &mut SyncDaemonDraft, option: &'static Entry, value: &Word, reader: &mut Reader<'_>) {
    let number = match option.value {
        Value::Number(min, max) => reader.number(option, value, min, max).and_then(|number| u16::try_from(number).ok()),
        _ => None,
    };
    let byte = number.and_then(|number| u8::try_from(number).ok());
    match option.name {
        "inst" => sync_daemon_instance(daemon, value, reader),
        "id" => daemon.id = byte,
        "maxlen" => daemon.max_len = number,
        "port" => daemon.port = number,
        "ttl" => daemon.ttl = byte,
        _ => daemon.group = reader.multicast(option, value, None),
    }
}

fn sync_daemon_instance(daemon: &mut SyncDaemonDraft, name: &Word, reader: &mut Reader<'_>) {
    match &daemon.instance {
        Some(first) => {
            let message = format!("lvs_sync_daemon follows {}; one instance is all it can follow", first.value);
            let first = first.span;
            reader.diagnostics.warning(Code::REPEATED, name.span, message).label(first, "first named here");
        }
        None => daemon.instance = Some(Spanned::new(name.text.to_string(), name.span)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_networks_are_their_first_and_last_address() {
        let read = |text: &str| addresses(text).map(|(first, last)| format!("{first} {last}"));
        let both = |text: &str| Some(text.to_owned());
        assert_eq!(read("192.0.2.1"), both("192.0.2.1 192.0.2.1"));
        assert_eq!(read("192.0.2.1-20"), both("192.0.2.1 192.0.2.20"));
        assert_eq!(read("192.0.2.1-192.0.3.1"), both("192.0.2.1 192.0.3.1"));
        assert_eq!(read("192.0.2.0/24"), both("192.0.2.0 192.0.2.255"));
        assert_eq!(read("192.0.2.7/32"), both("192.0.2.7 192.0.2.7"));
        assert_eq!(read("2001:db8::10-ff"), both("2001:db8::10 2001:db8::ff"));
        assert_eq!(read("fd0a::1:fffe-fd0a::2:1"), both("fd0a::1:fffe fd0a::2:1"));
        assert_eq!(read("2001:db8::/112"), both("2001:db8:: 2001:db8::ffff"));
        for wrong in [
            "192.0.2.1/24",
            "192.0.2.0/0",
            "192.0.2.0/33",
            "192.0.2.20-1",
            "192.0.2.1-256",
            "a-b",
            "192.0.2.2-192.0.2.1",
            "192.0.2.1-2001:db8::1",
            "2001:db8::10-10",
            "2001:db8::1/64",
            "",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
