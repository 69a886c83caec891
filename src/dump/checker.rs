//! The text of `keepalived_check.data` (`operator-surface.md` §7.2): virtual servers with their servers, then the checkers,
//! each with how it stands and why.

use std::fmt::Display;
use std::net::SocketAddr;

use super::data::{Text, command};
use super::global;
use crate::addr::Family;
use crate::check::names;
use crate::check::view::{CheckerView, RealServerView, VirtualServerView};
use crate::model::checker::{Connection, Dns, Http, HttpVersion, Misc, Probe, Udp, Url};
use crate::model::lvs::{
    Forwarding, Granularity, GroupEntry, Identity, Lvs, Protocol, RealServer, Ssl, Tunnel, TunnelChecksum,
    VirtualServer,
};
use crate::model::{Global, ScriptCommand};
use crate::time::Duration;

/// The whole dump of the checker process; `files` are the numbers in the track files.
pub fn checkers(config: (&Global, &Lvs), views: &[VirtualServerView<'_>], files: &[i32]) -> String {
    let (defaults, lvs) = config;
    let mut text = Text::default();
    global::write(&mut text, defaults);
    ssl(&mut text, &lvs.ssl);
    text.header("LVS Topology", !views.is_empty());
    groups(&mut text, lvs);
    for view in views {
        virtual_server(&mut text, view, lvs);
    }
    let each = || views.iter().flat_map(|vs| vs.real_servers.iter().map(move |rs| (vs, rs)));
    text.header("Health checkers", each().any(|(_, rs)| !rs.checkers.is_empty()));
    for (vs, rs) in each() {
        rs.checkers.iter().for_each(|view| checker(&mut text, vs, rs, view, lvs));
    }
    track_files(&mut text, lvs, files, views);
    text.into_string()
}

fn yes(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}

fn able(on: bool) -> &'static str {
    if on { "enabled" } else { "disabled" }
}

fn switched(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

/// Seconds with six decimals.
fn seconds(time: Duration) -> impl Display {
    format!("{:.6}", time.as_secs_f64())
}

fn ssl(text: &mut Text, ssl: &Ssl) {
    text.header("SSL definitions", *ssl != Ssl::default());
    if ssl.password.is_some() {
        // A dump is for showing around.
        text.object(format_args!("Password : ********"));
    }
    for (name, file) in [("CA-file", &ssl.ca), ("Certificate file", &ssl.certificate), ("Key file", &ssl.key)] {
        if let Some(file) = file {
            text.object(format_args!("{name} : {}", file.display()));
        }
    }
}

/// Each group that a virtual server uses, once.
fn groups(text: &mut Text, lvs: &Lvs) {
    for vs in &lvs.virtual_servers {
        let Identity::Group { name, ordinal: 0 } = &vs.identity else { continue };
        let families: Vec<Family> = vs.group.iter().map(GroupEntry::family).collect();
        let [v4, v6] = [Family::V4, Family::V6].map(|family| if families.contains(&family) { "yes" } else { "no" });
        text.header_at(1, "Virtual server group");
        text.object(format_args!("Virtual Server Group = {name}, IPv4 = {v4}, IPv6 = {v6}"));
        if vs.mark.is_some() {
            // keepalived: 0 is none.
            let [tcp, udp, sctp] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
                .map(|protocol| lvs.marks.of(name, protocol).unwrap_or_default());
            text.object(format_args!(" Fwmark TCP: {tcp} UDP: {udp} SCTP: {sctp}"));
        }
        for entry in &vs.group {
            match entry {
                GroupEntry::Addresses { first, last, port } if first == last => {
                    text.field(format_args!("VIP = {first}, VPORT = {port}"));
                }
                GroupEntry::Addresses { first, last, port } => {
                    text.field(format_args!("VIP Range = {first}-{last}, VPORT = {port}"));
                }
                GroupEntry::Mark { mark, .. } => text.field(format_args!("FWMARK = {mark}")),
            }
        }
    }
}

fn virtual_server(text: &mut Text, view: &VirtualServerView<'_>, lvs: &Lvs) {
    let vs = view.config;
    text.header_at(1, "Virtual server");
    match &vs.identity {
        Identity::Address { address, port, .. } => {
            text.object(format_args!("VS VIP = {address}, VPORT = {port}"));
        }
        Identity::Mark { mark, .. } => text.object(format_args!("VS FWMARK = {mark}")),
        Identity::Group { .. } => text.object(format_args!("VS GROUP = {}", names::virtual_server(vs))),
    }
    if let Some(host) = &vs.virtualhost {
        text.field(format_args!("VirtualHost = {host}"));
    }
    if let Some(name) = &vs.snmp_name {
        text.field(format_args!("SNMP name = '{name}'"));
    }
    text.field(format_args!("Address family = {}", if vs.family == Family::V6 { "inet6" } else { "inet" }));
    text.field(format_args!("delay_loop = {}", seconds(vs.delay_loop)));
    scheduling(text, vs);
    text.field(format_args!("alpha is {}", switched(vs.alpha)));
    text.field(format_args!("omega is {}", switched(vs.omega)));
    text.field(format_args!("quorum = {}, hysteresis = {}", vs.quorum, vs.hysteresis));
    for (name, script) in [("up", &vs.quorum_up), ("down", &vs.quorum_down)] {
        notify(text, false, &format!("Quorum {name}"), script.as_ref());
    }
    if vs.ha_suspend {
        text.field(format_args!("Using HA suspend"));
    }
    text.field(format_args!("Using smtp notification = {}", yes(vs.smtp_alert)));
    text.field(format_args!("default forwarding method = {}", forwarding(vs.forwarding)));
    if let Some(sorry) = &vs.sorry_server {
        text.field(format_args!("sorry server = {}", names::real_server(vs, sorry)));
        text.element(format_args!("forwarding method = {}", forwarding(sorry.forwarding)));
        text.element(format_args!("Inhibit on failure is {}", switched(sorry.inhibit_on_failure)));
        text.element(format_args!("serves = {}", yes(view.sorry_serves)));
    }
    // keepalived: it is there as long as it is configured.
    text.field(format_args!("VS alive = 1"));
    text.field(format_args!("quorum_state_up = {}", u8::from(view.quorum_up)));
    view.real_servers.iter().for_each(|rs| real_server(text, view, rs, lvs));
}

/// How connections are given to servers.
fn scheduling(text: &mut Text, vs: &VirtualServer) {
    text.field(format_args!("lvs_sched = {}", vs.scheduler));
    text.field(format_args!("Hashed = disabled"));
    let own = |name: &str| format!("{}-{name}", vs.scheduler);
    let flags = match &*vs.scheduler {
        "sh" | "mh" => vec![(0x10, own("port")), (0x08, own("fallback"))],
        _ => [(0x08, 1), (0x10, 2), (0x20, 3)].map(|(bit, number)| (bit, format!("flag-{number}"))).into(),
    };
    for (bit, name) in flags {
        text.field(format_args!("{name} = {}", able(vs.scheduler_flags & bit != 0)));
    }
    text.field(format_args!("One packet scheduling = {}", able(vs.one_packet)));
    if let Some(persistence) = &vs.persistence {
        text.field(format_args!("persistence timeout = {}", persistence.timeout_secs));
        match persistence.granularity {
            Granularity::Mask(mask) if mask.to_bits() != u32::MAX => {
                text.field(format_args!("persistence granularity = {mask}"));
            }
            Granularity::Prefix(length @ ..128) => text.field(format_args!("persistence granularity = {length}")),
            Granularity::Mask(_) | Granularity::Prefix(_) => {}
        }
        if let Some(engine) = &persistence.engine {
            text.field(format_args!("persistence engine = {engine}"));
        }
    }
    let protocol = match vs.protocol {
        Protocol::None => "none",
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    text.field(format_args!("protocol = {protocol}"));
}

fn forwarding(method: Forwarding) -> String {
    match method {
        Forwarding::Nat => "NAT".to_owned(),
        Forwarding::Direct => "DR".to_owned(),
        Forwarding::Tunnel(tunnel) => format!("TUN, type = {}", self::tunnel(tunnel)),
    }
}

fn tunnel(tunnel: Tunnel) -> String {
    match tunnel {
        Tunnel::Ipip => "IPIP".to_owned(),
        Tunnel::Gue { port, checksum } => {
            let checksum = match checksum {
                TunnelChecksum::None => ", no checksum",
                TunnelChecksum::Checksum => ", checksum",
                TunnelChecksum::Remote => ", remote checksum",
            };
            format!("GUE, port = {port}{checksum}")
        }
        Tunnel::Gre { checksum: true } => "GRE, checksum".to_owned(),
        Tunnel::Gre { checksum: false } => "GRE, no checksum".to_owned(),
    }
}

/// A script of a virtual server, or of a real one.
fn notify(text: &mut Text, of_real_server: bool, name: &str, script: Option<&ScriptCommand>) {
    let Some(script) = script else { return };
    let words = command(script);
    let line = format_args!("{name} notify script = {words}, uid:gid {}:{}", script.uid, script.gid);
    if of_real_server { text.element(line) } else { text.field(line) }
}

fn real_server(text: &mut Text, vs: &VirtualServerView<'_>, view: &RealServerView<'_>, lvs: &Lvs) {
    let rs: &RealServer = view.config;
    text.header_at(3, "Real server");
    let weight = view.weight;
    text.field(format_args!("RIP = {}, RPORT = {}, WEIGHT = {weight} EFF WEIGHT = {weight}", rs.address, rs.port));
    text.field(format_args!("forwarding method = {}", forwarding(rs.forwarding)));
    text.field(format_args!("Alpha is {}", switched(rs.alpha)));
    text.field(format_args!("connection limit range = {} -> {}", rs.lower_threshold, rs.upper_threshold));
    text.field(format_args!("Inhibit on failure is {}", switched(rs.inhibit_on_failure)));
    notify(text, true, "RS up", rs.notify_up.as_deref());
    notify(text, true, "RS down", rs.notify_down.as_deref());
    if let Some(host) = &rs.virtualhost {
        text.field(format_args!(" VirtualHost = '{host}'"));
    }
    if let Some(name) = &rs.snmp_name {
        text.field(format_args!("SNMP name = {name}"));
    }
    text.field(format_args!("Using smtp notification = {}", yes(rs.smtp_alert)));
    text.field(format_args!("initial weight = {}", rs.weight));
    text.field(format_args!("effective weight = {weight}"));
    text.field(format_args!("alive = {}", u8::from(view.alive)));
    text.field(format_args!("num failed checkers = {}", view.checkers.iter().filter(|c| !c.is_up).count()));
    let in_table = rs.inhibit_on_failure || (view.alive && !vs.sorry_serves);
    text.field(format_args!("RS set = {}", u8::from(in_table)));
    let files: Vec<String> = view.checkers.iter().filter_map(|checker| tracked(checker, lvs)).collect();
    if !files.is_empty() {
        text.field(format_args!("Tracked Files"));
        files.iter().for_each(|file| text.element(format_args!("{file}")));
    }
}

/// The track file of a FILE_CHECK and its weight.
fn tracked(view: &CheckerView<'_>, lvs: &Lvs) -> Option<String> {
    let Probe::File(check) = &view.config.probe else { return None };
    let name = lvs.track_files.get(check.file).map_or("?", |file| &file.name);
    Some(format!("{name}, weight {}{}", check.weight, if check.reverse { " reverse" } else { "" }))
}

fn checker(text: &mut Text, vs: &VirtualServerView<'_>, rs: &RealServerView<'_>, view: &CheckerView<'_>, lvs: &Lvs) {
    let config = view.config;
    let schedule = config.schedule;
    let server = names::real_server(vs.config, rs.config);
    text.object(format_args!("{} -> {server}", names::virtual_server(vs.config)));
    text.field(format_args!("Enabled = {}", yes(!vs.suspended)));
    text.field(format_args!("Up = {}", yes(view.is_up)));
    text.field(format_args!("Has run = {}", yes(view.has_run)));
    text.field(format_args!("Current weight = {}", view.contribution));
    if !matches!(config.probe, Probe::File(_) | Probe::Bfd(_)) {
        text.field(format_args!("Alpha = {}", yes(config.alpha)));
        text.field(format_args!("Delay loop = {} us", schedule.delay_loop.as_micros()));
        text.field(format_args!("Warmup = {} us", schedule.warmup.as_micros()));
        text.field(format_args!("Retries = {}", schedule.retry));
        if schedule.retry > 0 {
            text.field(format_args!("Delay before retry = {} us", schedule.delay_before_retry.as_micros()));
            text.field(format_args!("Retries iterations = {}", view.failures_in_a_row));
        }
        text.field(format_args!("Probes = {}, failed = {}", view.probes, view.failures));
    }
    if let Some(reason) = view.reason {
        text.field(format_args!("Last failure = {}", reason.detail));
    }
    text.field(format_args!("Log all failures = {}", yes(config.log_all_failures)));
    probe(text, view, rs.config.asked_at(), lvs);
}

fn probe(text: &mut Text, view: &CheckerView<'_>, server: SocketAddr, lvs: &Lvs) {
    let method = |text: &mut Text, name: &str| text.field(format_args!("Keepalive method = {name}"));
    match &view.config.probe {
        Probe::Tcp(to) => {
            connection(text, to, server, true);
            method(text, "TCP_CHECK");
        }
        Probe::Http(config) => {
            http(text, config, server);
            if let Some(url) = view.failed_url.and_then(|url| config.urls.get(url)) {
                text.field(format_args!("Failed URL = {}", url.path));
            }
        }
        Probe::Smtp(smtp) => {
            connection(text, &smtp.connection, server, true);
            method(text, "SMTP_CHECK");
            text.field(format_args!("helo = {}", smtp.helo_name));
        }
        Probe::Dns(config) => {
            connection(text, &config.connection, server, true);
            method(text, "DNS_CHECK");
            dns(text, config);
        }
        Probe::Udp(config) => {
            connection(text, &config.connection, server, true);
            method(text, "UDP_CHECK");
            udp(text, config);
        }
        Probe::Ping(to) => {
            connection(text, to, server, false);
            method(text, "PING_CHECK");
        }
        Probe::Misc(config) => {
            method(text, "MISC_CHECK");
            misc(text, config, view.last_status);
        }
        Probe::File(_) => {
            method(text, "FILE_CHECK");
            if let Some(file) = tracked(view, lvs) {
                text.element(format_args!("Tracked file = {}", file.split(", ").next().unwrap_or_default()));
            }
        }
        Probe::Bfd(name) => {
            method(text, "BFD_CHECK");
            text.field(format_args!("BFD instance = {name}"));
        }
    }
}

fn connection(text: &mut Text, to: &Connection, server: SocketAddr, has_port: bool) {
    let endpoint = |at: SocketAddr| format!("[{}]:{}", at.ip(), at.port());
    // A port means nothing to a ping.
    let target = to.target(server);
    let target = if has_port { target } else { SocketAddr::new(target.ip(), 0) };
    text.field(format_args!("Connection"));
    text.element(format_args!("Dest = {}", endpoint(target)));
    if let Some(address) = to.bind_address {
        match to.bind_port {
            Some(port) => text.element(format_args!("Bind to = [{address}]:{port}")),
            None => text.element(format_args!("Bind to = [{address}]:0")),
        }
    }
    if let Some(interface) = &to.bind_interface {
        text.element(format_args!("Bind i/f = {interface}"));
    }
    if to.mark != 0 {
        text.element(format_args!("Mark = {}", to.mark));
    }
    text.element(format_args!("Timeout = {}", seconds(to.timeout)));
}

fn http(text: &mut Text, http: &Http, server: SocketAddr) {
    connection(text, &http.connection, server, true);
    let version = match http.version {
        HttpVersion::V10 => "1.0",
        HttpVersion::V10Close => "1.0C",
        HttpVersion::V11 => "1.1",
    };
    let name = if http.tls { "SSL_GET" } else { "HTTP_GET" };
    text.field(format_args!("Keepalive method = {name}, http protocol {version}"));
    let set = |on: bool| if on { "set" } else { "unset" };
    text.field(format_args!("Enable SNI {}", set(http.urls.iter().any(|url| url.sni.is_some()))));
    text.field(format_args!("Fast recovery {}", set(http.fast_recovery)));
    http.urls.iter().for_each(|url| self::url(text, url));
}

fn url(text: &mut Text, url: &Url) {
    text.field(format_args!("Checked url = {}", url.path));
    if let Some(digest) = &url.digest {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        text.element(format_args!("digest = {hex}"));
    }
    text.element(format_args!("HTTP Status Code(s)"));
    for range in &url.status_codes {
        match (range.start(), range.end()) {
            (first, last) if first == last => text.element(format_args!("  {first}")),
            (first, last) => text.element(format_args!("  {first}-{last}")),
        }
    }
    if let Some(host) = &url.virtualhost {
        text.element(format_args!("Virtual host = {host}"));
    }
    if let Some(name) = &url.sni {
        text.element(format_args!("SNI = {name}"));
    }
    let Some(regex) = &url.regex else { return };
    text.element(format_args!("Regex = \"{}\"", String::from_utf8_lossy(&regex.pattern)));
    if regex.no_match {
        text.element(format_args!("Regex no match"));
    }
    match (regex.min_offset, regex.max_offset) {
        (0, None) => {}
        (min, None) => text.element(format_args!("Regex min offset = {min}")),
        (min, Some(max)) => text.element(format_args!("Regex min offset = {min}, max_offset = {max}")),
    }
    let options: String = regex.options.iter().map(|option| format!(" {option}")).collect();
    text.element(format_args!("Regex options:{options}"));
}

fn dns(text: &mut Text, dns: &Dns) {
    let name = match dns.record_type {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        46 => "RRSIG",
        48 => "DNSKEY",
        _ => "[unknown]",
    };
    text.field(format_args!("Type = {name}"));
    text.field(format_args!("Name = {}", dns.name));
}

fn udp(text: &mut Text, udp: &Udp) {
    text.field(format_args!("Payload len = {}", udp.payload.len()));
    text.field(format_args!("Require reply = {}", yes(udp.require_reply)));
    if udp.require_reply {
        text.element(format_args!("Min reply length = {}", udp.reply_length.start()));
        text.element(format_args!("Max reply length = {}", udp.reply_length.end()));
        text.element(format_args!("Reply data len = {}", udp.reply.len()));
        let is_masked = udp.reply.iter().any(|(_, mask)| *mask != 0xff);
        text.element(format_args!("Reply data mask = {}", yes(is_masked)));
    }
}

fn misc(text: &mut Text, misc: &Misc, last_status: Option<u8>) {
    text.field(format_args!("script = {}", command(&misc.command)));
    text.field(format_args!("timeout = {}", misc.timeout.as_secs()));
    text.field(format_args!("dynamic = {}", if misc.dynamic { "YES" } else { "NO" }));
    text.field(format_args!("uid:gid = {}:{}", misc.command.uid, misc.command.gid));
    if let Some(status) = last_status {
        text.field(format_args!("Last status = {status}"));
    }
}

fn track_files(text: &mut Text, lvs: &Lvs, files: &[i32], views: &[VirtualServerView<'_>]) {
    text.header("Checker track files", !lvs.track_files.is_empty());
    for (i, (file, number)) in lvs.track_files.iter().zip(files).enumerate() {
        text.object(format_args!("Track file = {}", file.name));
        text.field(format_args!("File = {}", file.path.display()));
        text.field(format_args!("Status = {number}"));
        text.field(format_args!("Tracking instances :"));
        for vs in views {
            for rs in &vs.real_servers {
                let users = rs.checkers.iter().filter_map(|checker| match &checker.config.probe {
                    Probe::File(check) if check.file == i => Some(check),
                    _ => None,
                });
                for check in users {
                    let (service, server) =
                        (names::virtual_server(vs.config), names::real_server(vs.config, rs.config));
                    let reverse = if check.reverse { " reverse" } else { "" };
                    text.element(format_args!("{service} -> {server}, weight {}{reverse}", check.weight));
                }
            }
        }
    }
}
