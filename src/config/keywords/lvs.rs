//! `virtual_server`, `real_server`, `virtual_server_group`, `SSL`, `lvs_sync_daemon`.

use std::net::IpAddr;

use super::checkers::{
    BFD_CHECK, DNS_CHECK, FILE_CHECK, HTTP_GET, MISC_CHECK, PING_CHECK, SMTP_CHECK, SSL_GET, TCP_CHECK, UDP_CHECK,
};
use super::vrrp::notify;
use super::{Block, Entry, Value, block, flag, number, option, option_value, script, seconds, switch, value};
use crate::addr::Family;
use crate::config::draft::{
    CheckerDraft, GlobalDraft, NotifyDraft, RealServerDraft, ServerGroupDraft, ServiceKey, SyncDaemonDraft,
    VirtualServerDraft,
};
use crate::config::reader::{Given, Reader, Spanned};
use crate::config::tree::Word;
use crate::config::value as values;
use crate::diag::Code;

const U31: i64 = 2_147_483_647;
const U32: i64 = 4_294_967_295;
const OPEN: u64 = i64::MAX as u64;

const SCHEDULERS: &[&str] =
    &["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq", "twos"];

/// `virtual_server ADDRESS PORT { }`
pub static VIRTUAL_SERVER: Block<VirtualServerDraft> = Block {
    path: "virtual_server",
    keywords: &[
        value("ip_family", Value::OneOf(&["inet", "inet6"]), "family of a service that is a firewall mark")
            .default("that of its servers, else inet")
            .keep(ip_family),
        value("lb_algo", Value::OneOf(SCHEDULERS), "how connections are spread")
            .default("wlc")
            .keep(|s, g, _| s.scheduler = text(g)),
        value("lvs_sched", Value::OneOf(SCHEDULERS), "lb_algo by another name")
            .default("wlc")
            .keep(|s, g, _| s.scheduler = text(g)),
        flag("hashed", "without effect").obsolete().later(),
        flag("ops", "schedule each packet for itself, UDP only").keep(|s, g, _| s.ops = Some(g.line.keyword.span)),
        flag("flag-1", "first flag of the scheduler").later(),
        flag("flag-2", "second flag of the scheduler").later(),
        flag("flag-3", "third flag of the scheduler").later(),
        flag("sh-port", "hash the port, too; after lb_algo sh").keep(scheduler_flag),
        flag("sh-fallback", "take another server where the hashed one is down; after lb_algo sh").keep(scheduler_flag),
        flag("mh-port", "hash the port, too; after lb_algo mh").keep(scheduler_flag),
        flag("mh-fallback", "take another server where the hashed one is down; after lb_algo mh").keep(scheduler_flag),
        method("lb_kind", "how packets reach the servers")
            .default("NAT")
            .keep(|s, g, r| s.method = forwarding(g, r).or(s.method)),
        method("lvs_method", "lb_kind by another name")
            .default("NAT")
            .keep(|s, g, r| s.method = forwarding(g, r).or(s.method)),
        value("persistence_engine", Value::CutText(15), "what tells that a client is the same, such as sip")
            .default("none")
            .later(),
        number("persistence_timeout", 1, 2_678_400, "how long a client stays with its server")
            .default("off; 360 without a number")
            .unit("seconds")
            .optional()
            .keep(|s, _, _| s.persistent = true),
        value("persistence_granularity", Value::Words("<netmask>|<number 1 to 128>"), "clients that count as one")
            .default("each for itself")
            .keep(granularity),
        value("protocol", Value::OneOfAnyCase(&["TCP", "UDP", "SCTP"]), "protocol of the service")
            .default("UDP")
            .keep(|s, g, _| s.protocol = g.text()),
        flag("ha_suspend", "do not check while the address is not here")
            .keep(|s, g, _| s.ha_suspend = Some(g.line.keyword.span)),
        number("retry", 1, U32, "tries before a check fails").default("that of the checker").unit("attempts").later(),
        seconds("delay_before_retry", 0, OPEN, "pause between two tries").default("that of the checker").later(),
        seconds("warmup", 0, OPEN, "longest random wait before the first check").default("delay_loop").later(),
        seconds("connect_timeout", 1, 4_294_967_295, "how long connecting may take").default("5").later(),
        seconds("delay_loop", 1, OPEN, "pause between two checks").default("60").later(),
        flag("inhibit_on_failure", "a failed server stays with weight 0").later(),
        flag("alpha", "servers count as down until checked").later(),
        flag("omega", "run notify_down and quorum_down at the end").later(),
        script("quorum_up", "run when there are enough servers").keep(|s, g, r| notify(&mut s.notify, g, r)),
        script("quorum_down", "run when there are no longer enough").keep(|s, g, r| notify(&mut s.notify, g, r)),
        number("quorum", 1, U32, "weight of live servers that is enough")
            .default("1")
            .or_use(1)
            .keep(|s, g, _| s.quorum = g.number()),
        number("hysteresis", 0, U32, "margin around the quorum").default("0").keep(|s, g, _| s.hysteresis = g.number()),
        number("weight", 1, U31, "weight of servers that name none").default("1").keep(|s, g, _| s.weight = g.plain()),
        switch("smtp_alert", "mail on gaining and losing the quorum")
            .default("smtp_alert_checker, else smtp_alert, else off")
            .later(),
        value("virtualhost", Value::Text, "host that HTTP checkers ask for")
            .default("none")
            .ignored_if_missing()
            .later(),
        value("snmp_name", Value::Text, "its name in SNMP").default("none").ignored_if_missing().later(),
        value("sorry_server", Value::AddressPort, "server for when there are not enough others")
            .default("none")
            .keep(sorry_server),
        flag("sorry_server_inhibit", "it stays in the table with weight 0; after sorry_server")
            .keep(after_sorry_server),
        method("sorry_server_lvs_method", "how packets reach it; after sorry_server")
            .default("lb_kind")
            .optional()
            .keep(sorry_server_method),
        block("real_server", "<address> [<port>] { ... }", "one of the servers").keep(real_server),
    ],
};

/// `real_server ADDRESS PORT { }`
pub static REAL_SERVER: Block<RealServerDraft> = Block {
    path: "virtual_server/real_server",
    keywords: &[
        number("weight", 0, U31, "its share").default("weight of the service").keep(|s, g, _| s.weight = g.plain()),
        method("lvs_method", "how packets reach it")
            .default("lb_kind so far")
            .keep(|s, g, r| s.method = forwarding(g, r).or(s.method)),
        number("uthreshold", 0, U32, "connections above which it gets no more")
            .default("0: no limit")
            .unit("connections")
            .later(),
        number("lthreshold", 0, U32, "connections below which it gets some again")
            .default("0")
            .unit("connections")
            .later(),
        switch("inhibit_on_failure", "failed, it stays with weight 0").default("that of the service").later(),
        script("notify_up", "run when it comes up").keep(|s, g, r| notify(&mut s.notify, g, r)),
        script("notify_down", "run when it goes down").keep(|s, g, r| notify(&mut s.notify, g, r)),
        switch("alpha", "it counts as down until checked").default("that of the service").later(),
        number("retry", 1, U32, "tries before a check fails").default("that of the service").unit("attempts").later(),
        seconds("delay_before_retry", 0, OPEN, "pause between two tries").default("that of the service").later(),
        seconds("warmup", 0, OPEN, "longest random wait before the first check").default("that of the service").later(),
        seconds("connect_timeout", 1, 4_294_967_295, "how long connecting may take")
            .default("that of the service")
            .later(),
        seconds("delay_loop", 1, OPEN, "pause between two checks").default("that of the service").later(),
        switch("smtp_alert", "mail when it comes or goes")
            .default("smtp_alert_checker, else smtp_alert, else on")
            .later(),
        value("virtualhost", Value::Text, "host that HTTP checkers ask for")
            .default("that of the service")
            .ignored_if_missing()
            .later(),
        value("snmp_name", Value::Text, "its name in SNMP").default("none").ignored_if_missing().later(),
        block("MISC_CHECK", "{ ... }", "a program says whether it is well")
            .keep(|s, g, r| checker(&MISC_CHECK, s, g, r)),
        block("SMTP_CHECK", "{ ... }", "it greets as a mail server").keep(|s, g, r| checker(&SMTP_CHECK, s, g, r)),
        block("TCP_CHECK", "{ ... }", "it takes a connection").keep(|s, g, r| checker(&TCP_CHECK, s, g, r)),
        block("PING_CHECK", "{ ... }", "it answers a ping").keep(|s, g, r| checker(&PING_CHECK, s, g, r)),
        block("UDP_CHECK", "{ ... }", "it answers a datagram, or at least does not refuse it")
            .keep(|s, g, r| checker(&UDP_CHECK, s, g, r)),
        block("HTTP_GET", "{ ... }", "it has the pages it should have").keep(|s, g, r| checker(&HTTP_GET, s, g, r)),
        block("SSL_GET", "{ ... }", "the same over TLS").keep(|s, g, r| checker(&SSL_GET, s, g, r)),
        block("DNS_CHECK", "{ ... }", "it answers a DNS query").keep(|s, g, r| checker(&DNS_CHECK, s, g, r)),
        block("FILE_CHECK", "{ ... }", "its weight comes from a file").keep(|s, g, r| checker(&FILE_CHECK, s, g, r)),
        block("BFD_CHECK", "{ ... }", "a BFD session says whether it is there")
            .keep(|s, g, r| checker(&BFD_CHECK, s, g, r)),
    ],
};

/// `SSL { }`
pub static SSL: Block<()> = Block {
    path: "SSL",
    keywords: &[
        value("password", Value::Text, "pass phrase of the key").default("none").ignored_if_missing().later(),
        value("ca", Value::Text, "file of the authorities to trust").default("none").ignored_if_missing().later(),
        value("certificate", Value::Text, "file of our certificate").default("none").ignored_if_missing().later(),
        value("key", Value::Text, "file of its key").default("none").ignored_if_missing().later(),
    ],
};

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

fn scheduler_flag(service: &mut VirtualServerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let own = &given.entry.name[..2];
    match service.scheduler.as_deref() {
        Some("sh" | "mh") => {}
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

fn granularity(service: &mut VirtualServerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(word) = given.line.args.first() else { return };
    let mask = word.text.parse::<std::net::Ipv4Addr>().ok().map(|mask| mask.to_bits());
    let sound = match mask {
        // keepalived: takes masks with holes, too.
        Some(mask) => mask != 0,
        None => matches!(values::integer(&word.text), values::Number::Whole(1..=128)),
    };
    if mask.is_some() && service.family.is_none() {
        service.family = Some(Family::V4);
    }
    if sound {
        service.persistent = true;
    } else {
        let message = format!("persistence_granularity '{}' is no netmask", word.text);
        reader
            .error(Code::BAD_WORD, word.span, message)
            .help("write a netmask such as 255.255.255.0, or for IPv6 a prefix length");
    }
}

/// Reads a forwarding method; none where its word is unknown.
fn forwarding(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<&'static str> {
    let (word, rest) = given.line.args.split_first()?;
    let methods = ["NAT", "DR", "TUN"].into_iter();
    let Some(method) = methods.clone().find(|method| word.text == *method) else {
        let help = match reader.diagnostics.suggest(&word.text, methods) {
            Some(similar) => format!("did you mean {similar}?"),
            None => "write NAT, DR or TUN".to_owned(),
        };
        let message = format!("{} does not know '{}'", given.entry.name, word.text);
        reader.error(Code::BAD_WORD, word.span, message).help(help);
        return None;
    };
    tunnel_options(rest, given, reader);
    Some(method)
}

fn tunnel_options(words: &[Word], given: &Given<'_>, reader: &mut Reader<'_>) {
    let (mut kind, mut port, mut checksum) = ("ipip", None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let complaint = match word.text.as_str() {
            "nocsum" => continue,
            "csum" | "remcsum" => {
                checksum = Some(word);
                continue;
            }
            "type" => match words.next().map(|value| value.text.as_str()) {
                Some(value @ ("ipip" | "gue" | "gre")) => {
                    kind = value;
                    continue;
                }
                _ => "type is ipip, gue or gre".to_owned(),
            },
            "port" => match words.next() {
                Some(value) if reader.number(given.entry, value, 1, 65_535).is_some() => {
                    port = Some(word);
                    continue;
                }
                Some(_) => return,
                None => "port needs a number".to_owned(),
            },
            other => format!("{} does not know '{other}'", given.entry.name),
        };
        reader.error(Code::UNKNOWN_OPTION, word.span, complaint).help("the tunnel stays as it was");
        return;
    }
    let conflict = match (kind, port, checksum) {
        ("gue", None, _) => Some((given.line.keyword.span, "a gue tunnel needs a port")),
        ("ipip" | "gre", Some(port), _) => Some((port.span, "only a gue tunnel has a port")),
        ("ipip", _, Some(checksum)) => Some((checksum.span, "an ipip tunnel has no checksum")),
        ("gre", _, Some(checksum)) if checksum.text == "remcsum" => {
            Some((checksum.span, "a gre tunnel has no remote checksum"))
        }
        _ => None,
    };
    if let Some((span, message)) = conflict {
        reader.error(Code::REAL_SERVER, span, message).help("the tunnel stays as it was");
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

fn after_sorry_server(service: &mut VirtualServerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
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
}

fn sorry_server_method(service: &mut VirtualServerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    after_sorry_server(service, given, reader);
    if given.line.args.is_empty() && service.sorry.is_some() {
        let message = format!("{} needs a value; keepalived stops reading here", given.entry.name);
        reader.diagnostics.missing_argument(given.line.keyword.span, message);
    }
    let method = forwarding(given, reader);
    if let Some(sorry) = &mut service.sorry {
        sorry.method = method.or(sorry.method);
    }
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
    let mut checker = CheckerDraft {
        kind: Spanned::new(given.entry.name, given.line.keyword.span),
        server: server.address,
        connect_ip: None,
        bindto: None,
        bind_if: false,
        script: None,
        user: None,
        urls: 0,
        target: None,
        lengths: (None, None),
        defined_before: (reader.defined("track_file"), reader.defined("track_bfd")),
    };
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

/// A service of which only the name is known.
pub fn new_service(key: Spanned<ServiceKey>) -> VirtualServerDraft {
    let family = match &key.value {
        ServiceKey::Address(address, _) => Some(Family::of(*address)),
        ServiceKey::Mark(_) | ServiceKey::Group(_) => None,
    };
    VirtualServerDraft {
        key,
        family,
        protocol: None,
        scheduler: None,
        method: None,
        ops: None,
        ha_suspend: None,
        persistent: false,
        weight: None,
        quorum: None,
        hysteresis: None,
        sorry: None,
        servers: Vec::new(),
        notify: NotifyDraft::default(),
    }
}

/// Reads the lines of a `virtual_server_group`.
pub fn group_lines(group: &mut ServerGroupDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    for (line, words) in given.entries() {
        let first = words[0];
        if first.text == "fwmark" {
            let Some(mark) = words.get(1) else {
                reader.diagnostics.missing_argument(first.span, "fwmark needs a number; keepalived stops reading here");
                continue;
            };
            if reader.number(given.entry, mark, 0, U32).is_none() {
                continue;
            }
            match words.get(2).map(|word| word.text.as_str()) {
                None => group.entries[2] += 1,
                Some("inet") => group.entries[0] += 1,
                Some("inet6") => group.entries[1] += 1,
                Some(other) => {
                    let message = format!("fwmark does not know '{other}'; the line is ignored");
                    reader.error(Code::BAD_WORD, line.span, message).help("write inet or inet6, or nothing");
                }
            }
            continue;
        }
        let Some(family) = addresses(&first.text) else {
            let message = format!("'{}' is no address, range or network; the line is ignored", first.text);
            reader
                .error(Code::BAD_ADDRESS, first.span, message)
                .help("write 192.0.2.1, 192.0.2.1-20, 192.0.2.1-192.0.2.20 or 192.0.2.0/24");
            continue;
        };
        let Some(port) = port(words.get(1).copied(), given, reader) else { continue };
        group.portless |= port == 0;
        group.entries[usize::from(family == Family::V6)] += 1;
    }
}

/// The family of an address, a range or a network; none where it is none of them.
fn addresses(text: &str) -> Option<Family> {
    if let Some((network, prefix)) = text.split_once('/') {
        let address = values::address(network)?;
        let prefix: u8 = prefix.parse().ok()?;
        let family = Family::of(address);
        return ((1..=family.bits()).contains(&prefix) && !has_host_bits(address, prefix)).then_some(family);
    }
    let (first, last) = text.split_once('-').map_or((text, None), |(first, last)| (first, Some(last)));
    let address = values::address(first)?;
    let in_order = match (last, address) {
        (None, _) => true,
        (Some(last), _) if values::address(last).is_some() => {
            let last = values::address(last)?;
            Family::of(last) == Family::of(address) && last > address
        }
        (Some(last), IpAddr::V4(first)) => last.parse::<u8>().is_ok_and(|last| last > first.octets()[3]),
        (Some(last), IpAddr::V6(first)) => u16::from_str_radix(last, 16).is_ok_and(|last| last > first.segments()[7]),
    };
    in_order.then_some(Family::of(address))
}

fn has_host_bits(address: IpAddr, prefix: u8) -> bool {
    match address {
        IpAddr::V4(address) => address.to_bits() & u32::MAX.checked_shr(prefix.into()).unwrap_or(0) != 0,
        IpAddr::V6(address) => address.to_bits() & u128::MAX.checked_shr(prefix.into()).unwrap_or(0) != 0,
    }
}

/// Reads `lvs_sync_daemon`.
pub fn sync_daemon(global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    if !reader.is_first_sync_daemon(given.line.keyword.span) {
        return;
    }
    let Some((first, rest)) = given.line.args.split_first() else { return };
    let Some(interface) = reader.interface(given.entry, first) else { return };
    let mut daemon = SyncDaemonDraft { interface: Spanned::new(interface, first.span), instance: None };
    let mut words = rest.iter().enumerate();
    while let Some((at, word)) = words.next() {
        let limits = match word.text.as_str() {
            "inst" => match words.next() {
                Some((_, name)) => {
                    daemon.instance.get_or_insert(Spanned::new(name.text.to_string(), name.span));
                    continue;
                }
                None => {
                    reader.diagnostics.missing_argument(word.span, "inst needs the name of an instance");
                    continue;
                }
            },
            "id" => Some((0, 255)),
            "maxlen" => Some((1, 65_507)),
            "port" => Some((1, 65_535)),
            "ttl" => Some((1, 255)),
            "group" => None,
            _ if at == 0 => {
                daemon.instance = Some(Spanned::new(word.text.to_string(), word.span));
                continue;
            }
            other => {
                let message = format!("lvs_sync_daemon does not know '{other}'");
                reader.error(Code::UNKNOWN_OPTION, word.span, message);
                continue;
            }
        };
        match (limits, words.next()) {
            (Some((min, max)), Some((_, number))) => {
                reader.number(given.entry, number, min, max);
            }
            (None, Some((_, group))) if values::address(&group.text).is_none_or(|group| !group.is_multicast()) => {
                reader.error(Code::BAD_ADDRESS, group.span, format!("'{}' is no multicast address", group.text));
            }
            (_, Some(_)) => {}
            (_, None) => {
                reader.error(Code::MISSING_ARGUMENT, word.span, format!("{} needs a value", word.text));
            }
        }
    }
    global.sync_daemon = Some(daemon);
}
