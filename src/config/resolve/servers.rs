//! Virtual servers and their servers: completed, changed or dropped as keepalived does it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use super::checkers::{self, Around, Targets};
use super::scripts::Scripts;
use super::seen_before;
use super::trackers::report_same_name;
use crate::addr::Family;
use crate::config::draft::{
    Draft, GlobalDraft, GroupLine, NotifyDraft, RealServerDraft, ServerGroupDraft, ServiceKey, TimingDraft,
    VirtualServerDraft,
};
use crate::config::keywords::lvs::DEFAULT_PERSISTENCE;
use crate::diag::{Code, Diagnostic, Diagnostics, Span};
use crate::model::lvs::{Forwarding, Granularity, GroupEntry, Identity, Persistence, Protocol, RealServer};
use crate::model::{Checker, ScriptCommand, VirtualServer};
use crate::time::Duration;

/// `delay_loop` where nothing says otherwise.
const DELAY_LOOP: Duration = Duration::from_secs(60);

/// Every virtual server that can be one.
pub(super) fn resolve(
    draft: &Draft,
    targets: &Targets<'_>,
    scripts: &mut Scripts<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<Arc<VirtualServer>> {
    let groups = groups(draft, diagnostics);
    let mut known = BTreeMap::new();
    let mut ordinals: BTreeMap<&str, usize> = BTreeMap::new();
    let mut checkers = Arc::default();
    let mut services = Vec::with_capacity(draft.virtual_servers.len());
    for service in &draft.virtual_servers {
        let name = name(service);
        let protocol = service.protocol.map_or(Protocol::Udp, |protocol| protocol.value);
        if let Some(before) = seen_before(&mut known, (&service.key.value, protocol), service.key.span) {
            // keepalived: not noticed; what both have is in the kernel, with the settings of the first.
            diagnostics
                .own_error(Code::DUPLICATE_NAME, service.key.span, format!("virtual_server {name} is there twice"))
                .label(before, "the first one is here")
                .help("merge the two blocks");
        }
        let group = match &service.key.value {
            ServiceKey::Group(name) => groups.get(name.as_str()).copied(),
            _ => None,
        };
        let virtualhost = service.virtualhost.as_deref().map(Arc::from);
        let (global, checkers) = (&draft.global, &mut checkers);
        let work = Service { global, service, name, group, virtualhost, targets, checkers, scripts, diagnostics };
        let Some(mut resolved) = work.resolve() else { continue };
        if let (Identity::Group { ordinal, .. }, ServiceKey::Group(name)) = (&mut resolved.identity, &service.key.value)
        {
            let count = ordinals.entry(name).or_default();
            *ordinal = *count;
            *count += 1;
        }
        services.push(Arc::new(resolved));
    }
    services
}

fn name(service: &VirtualServerDraft) -> String {
    match &service.key.value {
        ServiceKey::Address(address, port) => format!("[{address}]:{port}"),
        ServiceKey::Mark(mark) => format!("fwmark {mark}"),
        ServiceKey::Group(group) => format!("group {group}"),
    }
}

/// Which families the lines of a group name.
fn families(group: &ServerGroupDraft) -> (bool, bool) {
    let has = |family| group.entries.iter().any(|line| line.family() == Some(family));
    (has(Family::V4), has(Family::V6))
}

/// The usable groups.
fn groups<'d>(draft: &'d Draft, diagnostics: &mut Diagnostics) -> BTreeMap<&'d str, &'d ServerGroupDraft> {
    let mut groups = BTreeMap::new();
    let mut first = BTreeMap::new();
    for group in &draft.server_groups {
        let name = &group.name;
        if report_same_name(&mut first, "virtual_server_group", name, diagnostics) {
            continue;
        }
        let complaint = match families(group) {
            _ if group.entries.is_empty() => "has no usable entry",
            (true, true) if group.entries.iter().any(|line| line.family().is_none()) => {
                "has addresses of both families and a mark without one"
            }
            _ => {
                groups.entry(name.value.as_str()).or_insert(group);
                continue;
            }
        };
        let message = format!("virtual_server_group {} {complaint}; it is dropped", name.value);
        diagnostics.warning(Code::VIRTUAL_SERVER, name.span, message);
    }
    groups
}

/// A virtual server on its way from draft to model.
struct Service<'a, 'm> {
    global: &'a GlobalDraft,
    service: &'a VirtualServerDraft,
    name: String,
    group: Option<&'a ServerGroupDraft>,
    virtualhost: Option<Arc<str>>,
    targets: &'a Targets<'a>,
    /// Of the server before, which those of the next are mostly like.
    checkers: &'a mut Arc<[Arc<Checker>]>,
    scripts: &'a mut Scripts<'m>,
    diagnostics: &'a mut Diagnostics,
}

/// What of a server is judged even where it or its service is dropped.
struct Parts {
    notify_up: Option<Arc<ScriptCommand>>,
    notify_down: Option<Arc<ScriptCommand>>,
    virtualhost: Option<Arc<str>>,
    checkers: Arc<[Arc<Checker>]>,
}

impl Service<'_, '_> {
    fn warn(&mut self, code: Code, span: Span, text: impl Display) -> &mut Diagnostic {
        let message = format!("virtual_server {}: {text}", self.name);
        self.diagnostics.warning(code, span, message)
    }

    fn resolve(mut self) -> Option<VirtualServer> {
        let service = self.service;
        let span = service.key.span;
        let quorum_up = self.script(&service.notify, "quorum_up");
        let quorum_down = self.script(&service.notify, "quorum_down");
        let parts: Vec<Parts> = service.servers.iter().map(|server| self.parts(server)).collect();
        if let (ServiceKey::Group(group), None) = (&service.key.value, self.group) {
            // keepalived: only logged.
            let message = format!("virtual_server: there is no usable virtual_server_group {group}; it is dropped");
            self.diagnostics.lint(Code::VIRTUAL_SERVER, span, message);
            return None;
        }
        if service.servers.is_empty() {
            self.warn(Code::VIRTUAL_SERVER, span, "it has no real_server; it is dropped")
                .help("add real_server ADDRESS PORT { }");
            return None;
        }
        let protocol = self.protocol();
        let (one_packet, ha_suspend) = (self.one_packet(protocol), self.ha_suspend());
        let scheduler = self.scheduler();
        let persistence_secs = self.persistence_secs();
        self.methods();
        let mut family = service.family;
        let mut real_servers = self.real_servers(parts, &mut family);
        let sorry_server = self.sorry_server(&real_servers, &mut family);
        let family = self.family(family)?;
        if real_servers.is_empty() {
            self.warn(Code::VIRTUAL_SERVER, span, "none of its real_servers is left; it is dropped")
                .help("see what was said about each of them");
            return None;
        }
        real_servers.shrink_to_fit();
        let (quorum, hysteresis) = self.quorum(&real_servers);
        let alert = service.notify.smtp_alert.or(self.global.lvs.smtp_alert).or(self.global.smtp_alert);
        Some(VirtualServer {
            identity: self.identity(protocol, family),
            group: self.entries(family),
            mark: None,
            family,
            protocol,
            scheduler: scheduler.into(),
            scheduler_flags: service.scheduler_flags,
            one_packet,
            persistence: persistence_secs.map(|timeout_secs| Persistence {
                timeout_secs,
                granularity: service.granularity.unwrap_or(match family {
                    Family::V4 => Granularity::Mask(std::net::Ipv4Addr::BROADCAST),
                    Family::V6 => Granularity::Prefix(128),
                }),
                engine: service.persistence_engine.as_deref().map(Arc::from),
            }),
            forwarding: service.method.unwrap_or_default(),
            quorum,
            hysteresis,
            quorum_up,
            quorum_down,
            smtp_alert: alert.unwrap_or(false),
            omega: service.omega,
            ha_suspend,
            alpha: service.timing.alpha.unwrap_or(false),
            delay_loop: service.timing.delay_loop.unwrap_or(DELAY_LOOP),
            weight: service.weight.unwrap_or(1),
            virtualhost: self.virtualhost,
            snmp_name: service.snmp_name.as_deref().map(Arc::from),
            real_servers,
            sorry_server,
        })
    }

    fn script(&mut self, notify: &NotifyDraft, keyword: &'static str) -> Option<ScriptCommand> {
        let line = notify.scripts.get(keyword)?;
        let what = format!("virtual_server {}: {keyword}", self.name);
        self.scripts.of_server(&what, line, self.diagnostics)
    }

    fn parts(&mut self, server: &RealServerDraft) -> Parts {
        let notify_up = self.script(&server.notify, "notify_up").map(Arc::new);
        let notify_down = self.script(&server.notify, "notify_down").map(Arc::new);
        let outer =
            TimingDraft { delay_loop: self.service.timing.delay_loop.or(Some(DELAY_LOOP)), ..self.service.timing };
        let virtualhost = server.virtualhost.as_deref().map(Arc::from).or_else(|| self.virtualhost.clone());
        let around = Around {
            service: &self.name,
            timing: server.timing.within(&outer),
            misc_timeout: outer.delay_loop.unwrap_or(DELAY_LOOP),
            asked_at: SocketAddr::new(server.address.value, self.check_port(server)),
            virtualhost: virtualhost.as_ref(),
            log_all_failures: self.global.lvs.log_all_failures,
        };
        let checkers = checkers::resolve(&server.checkers, &around, self.targets, self.scripts, self.diagnostics);
        if **self.checkers != *checkers {
            *self.checkers = checkers.into();
        }
        let checkers = Arc::clone(self.checkers);
        Parts { notify_up, notify_down, virtualhost, checkers }
    }

    /// The port that checkers ask where they name none: the server's own as written, else that of the service.
    // keepalived: takes the written one before it completes it, so a server without a port is asked at port 0.
    fn check_port(&self, server: &RealServerDraft) -> u16 {
        match &self.service.key.value {
            _ if server.port != 0 => server.port,
            ServiceKey::Address(_, port) => *port,
            ServiceKey::Mark(_) => 0,
            ServiceKey::Group(_) => {
                let mut ports = self.group.iter().flat_map(|group| &group.entries).filter_map(|line| match line {
                    GroupLine::Addresses(_, _, port) => Some(*port),
                    GroupLine::Mark(..) => None,
                });
                let first = ports.next().unwrap_or(0);
                if ports.all(|port| port == first) { first } else { 0 }
            }
        }
    }

    fn is_mark(line: &GroupLine) -> bool {
        matches!(line, GroupLine::Mark(..))
    }

    /// Whether firewall marks are all there is to know it by.
    fn only_marks(&self) -> bool {
        match &self.service.key.value {
            ServiceKey::Address(..) => false,
            ServiceKey::Mark(_) => true,
            ServiceKey::Group(_) => self.group.is_some_and(|group| group.entries.iter().all(Self::is_mark)),
        }
    }

    fn protocol(&mut self) -> Protocol {
        let service = self.service;
        match service.protocol {
            Some(protocol) if self.only_marks() => {
                self.warn(Code::VIRTUAL_SERVER, protocol.span, "a firewall mark has no protocol; it is ignored")
                    .help("remove the line");
                Protocol::None
            }
            None if self.only_marks() => Protocol::None,
            Some(protocol) => protocol.value,
            None => {
                let help = match self.tcp_checker() {
                    Some(checker) => format!("{checker} makes TCP likely: add protocol TCP"),
                    None => "add protocol TCP or protocol UDP".to_owned(),
                };
                let span = service.key.span;
                self.warn(Code::VIRTUAL_SERVER, span, "it has no protocol, so it is UDP").help(help);
                Protocol::Udp
            }
        }
    }

    /// A checker of the service that needs TCP.
    fn tcp_checker(&self) -> Option<&'static str> {
        let checkers = self.service.servers.iter().flat_map(|server| &server.checkers);
        let mut kinds = checkers.map(|checker| checker.kind.value);
        kinds.find(|kind| matches!(*kind, "TCP_CHECK" | "HTTP_GET" | "SSL_GET" | "SMTP_CHECK"))
    }

    fn one_packet(&mut self, protocol: Protocol) -> bool {
        let Some(span) = self.service.ops else { return false };
        let fits = matches!(protocol, Protocol::Udp | Protocol::None);
        if !fits {
            self.warn(Code::VIRTUAL_SERVER, span, "ops is for UDP; it is ignored").help("remove the line");
        }
        fits
    }

    fn ha_suspend(&mut self) -> bool {
        let Some(span) = self.service.ha_suspend else { return false };
        let has_mark = match &self.service.key.value {
            ServiceKey::Mark(_) => true,
            _ => self.group.is_some_and(|group| group.entries.iter().any(Self::is_mark)),
        };
        if has_mark {
            self.warn(Code::VIRTUAL_SERVER, span, "ha_suspend has no meaning for a firewall mark; it is ignored")
                .help("remove the line");
        }
        !has_mark
    }

    fn scheduler(&mut self) -> &'static str {
        if let Some(scheduler) = self.service.scheduler {
            return scheduler;
        }
        let span = self.service.key.span;
        self.warn(Code::VIRTUAL_SERVER, span, "it has no lb_algo; wlc is used").help("add lb_algo wlc, or another");
        "wlc"
    }

    fn persistence_secs(&mut self) -> Option<u32> {
        let service = self.service;
        let portless = match &service.key.value {
            ServiceKey::Address(_, port) => *port == 0,
            ServiceKey::Mark(_) => false,
            ServiceKey::Group(_) => self
                .group
                .is_some_and(|group| group.entries.iter().any(|line| matches!(line, GroupLine::Addresses(_, _, 0)))),
        };
        let asked = service.persistence_timeout.or(service.granularity.map(|_| DEFAULT_PERSISTENCE));
        if portless && asked.is_none() {
            let text = "without a port it needs persistence; 360 seconds are used";
            self.warn(Code::VIRTUAL_SERVER, service.key.span, text).help("add a port, or persistence_timeout");
        }
        asked.or(portless.then_some(DEFAULT_PERSISTENCE))
    }

    fn methods(&mut self) {
        let service = self.service;
        let needs = |server: &RealServerDraft| server.method.is_none();
        if service.method.is_none() && service.servers.iter().chain(&service.sorry).any(needs) {
            self.warn(Code::VIRTUAL_SERVER, service.key.span, "it has no lb_kind; NAT is used")
                .help("add lb_kind NAT, DR or TUN above the first real_server");
        }
    }

    fn method(&self, server: &RealServerDraft) -> Forwarding {
        server.method.or(self.service.method).unwrap_or_default()
    }

    /// The servers that stay. The first one without a tunnel decides the family where nothing else has.
    fn real_servers(&mut self, parts: Vec<Parts>, family: &mut Option<Family>) -> Vec<Arc<RealServer>> {
        let service = self.service;
        let (mut seen, mut written) = (BTreeMap::new(), BTreeMap::new());
        let mut servers = Vec::with_capacity(parts.len());
        for (server, parts) in service.servers.iter().zip(parts) {
            let place = server.address;
            let port = self.port(server);
            let as_written = seen_before(&mut written, (place.value, server.port), place.span);
            let completed = seen_before(&mut seen, (place.value, port), place.span);
            if let Some(first) = as_written.or(completed) {
                let message = format!("virtual_server {}: real_server {} is there twice", self.name, place.value);
                // keepalived: does not notice those that are the same only when their ports are completed.
                let diagnostic = match as_written {
                    Some(_) => self.diagnostics.warning(Code::REAL_SERVER, place.span, message),
                    None => self.diagnostics.lint(Code::REAL_SERVER, place.span, message),
                };
                diagnostic.label(first, "this first one is used").help("remove one of them");
                self.judge_port(server, port);
            } else if self.fits(server, family, "real_server") {
                self.judge_port(server, port);
                servers.push(Arc::new(self.real_server(server, port, parts)));
            }
        }
        servers
    }

    fn real_server(&self, server: &RealServerDraft, port: u16, parts: Parts) -> RealServer {
        let service = self.service;
        let alert = server.notify.smtp_alert.or(self.global.lvs.smtp_alert).or(self.global.smtp_alert);
        RealServer {
            address: server.address.value,
            port,
            weight: server.weight.or(service.weight).unwrap_or(1),
            forwarding: self.method(server),
            upper_threshold: server.upper_threshold,
            lower_threshold: server.lower_threshold,
            inhibit_on_failure: server.inhibit.unwrap_or(service.inhibit),
            alpha: server.timing.alpha.or(service.timing.alpha).unwrap_or(false),
            notify_up: parts.notify_up,
            notify_down: parts.notify_down,
            smtp_alert: alert.unwrap_or(true),
            virtualhost: parts.virtualhost,
            snmp_name: server.snmp_name.as_deref().map(Arc::from),
            check_port: self.check_port(server),
            checkers: parts.checkers,
        }
    }

    fn sorry_server(
        &mut self,
        real_servers: &[Arc<RealServer>],
        family: &mut Option<Family>,
    ) -> Option<Arc<RealServer>> {
        let draft = self.service.sorry.as_ref()?;
        if !self.fits(draft, family, "sorry_server") {
            return None;
        }
        // keepalived: with NAT it does not get the port of the service; to the kernel that is the same.
        let is_nat = self.method(draft) == Forwarding::Nat;
        let port = if is_nat { draft.port } else { self.port(draft) };
        self.judge_port(draft, port);
        let parts = Parts { notify_up: None, notify_down: None, virtualhost: None, checkers: Arc::default() };
        let mut sorry = self.real_server(draft, port, parts);
        sorry.weight = 1;
        sorry.alpha = false;
        sorry.smtp_alert = false;
        sorry.inhibit_on_failure = draft.inhibit.unwrap_or(false);
        let same = |rs: &&Arc<RealServer>| (rs.address, rs.port) == (sorry.address, sorry.port);
        if let Some(rs) = real_servers.iter().find(same).filter(|rs| rs.inhibit_on_failure != sorry.inhibit_on_failure)
        {
            sorry.inhibit_on_failure = rs.inhibit_on_failure;
            let text = "the sorry_server is a real_server, too, whose inhibit_on_failure counts for both";
            self.warn(Code::REAL_SERVER, draft.address.span, text).help("it has one place in the table");
        }
        Some(Arc::new(sorry))
    }

    fn fits(&mut self, server: &RealServerDraft, family: &mut Option<Family>, what: &str) -> bool {
        if matches!(self.method(server), Forwarding::Tunnel(_)) {
            return true;
        }
        let own = Family::of(server.address.value);
        let fits = *family.get_or_insert(own) == own;
        if !fits {
            let text = format!("{what} {} is of the other family; it is dropped", server.address.value);
            self.warn(Code::REAL_SERVER, server.address.span, text).help("only lb_kind TUN reaches the other family");
        }
        fits
    }

    /// The port of a server once keepalived has completed it.
    fn port(&self, server: &RealServerDraft) -> u16 {
        let is_nat = self.method(server) == Forwarding::Nat;
        match self.service.key.value {
            ServiceKey::Address(_, port) if server.port == 0 || !is_nat => port,
            ServiceKey::Mark(_) if !is_nat => 0,
            _ => server.port,
        }
    }

    /// Says where the written port is not the one that is used.
    fn judge_port(&mut self, server: &RealServerDraft, used: u16) {
        let written = server.port;
        if written == 0 || self.method(server) == Forwarding::Nat {
            return;
        }
        let other = |line: &&GroupLine| !matches!(line, GroupLine::Addresses(_, _, port) if *port == written);
        let text = match self.service.key.value {
            ServiceKey::Address(..) if used == written => return,
            ServiceKey::Address(..) => {
                format!("without NAT the port cannot change from {used} to {written}; {used} is used")
            }
            ServiceKey::Mark(_) => "for a firewall mark without NAT a server has no port; it is ignored".to_owned(),
            ServiceKey::Group(_) => match self.group.and_then(|group| group.entries.iter().find(other)) {
                Some(GroupLine::Addresses(_, _, port)) => {
                    format!("without NAT the port of the group's addresses is used, for some {port} and not {written}")
                }
                Some(GroupLine::Mark(..)) => {
                    format!("for a firewall mark without NAT a server has no port; {written} is not used there")
                }
                None => return,
            },
        };
        self.warn(Code::REAL_SERVER, server.address.span, text).help("write the address alone, or lb_kind NAT");
    }

    /// The family, from what has fixed it so far and the group; none where they contradict each other.
    fn family(&mut self, fixed: Option<Family>) -> Option<Family> {
        let of_group = self.group.map_or((false, false), families);
        let complaint = match (of_group, fixed) {
            ((false, false), Some(family)) => return Some(family),
            ((false, false), None) => {
                let mut servers = self.service.servers.iter().map(|server| Family::of(server.address.value));
                let all_v6 = servers.all(|family| family == Family::V6) && self.group.is_none();
                return Some(if all_v6 { Family::V6 } else { Family::V4 });
            }
            ((true, false), None | Some(Family::V4)) | ((true, true), None) => return Some(Family::V4),
            ((false, true), None | Some(Family::V6)) => return Some(Family::V6),
            ((true, true), Some(_)) => "its group has both families, which only tunnels to all servers can serve",
            _ => "its group is of the other family",
        };
        // keepalived: only logged.
        let message = format!("virtual_server {}: {complaint}; it is dropped", self.name);
        self.diagnostics.lint(Code::VIRTUAL_SERVER, self.service.key.span, message);
        None
    }

    fn identity(&self, protocol: Protocol, family: Family) -> Identity {
        match &self.service.key.value {
            ServiceKey::Address(address, port) => Identity::Address { address: *address, port: *port, protocol },
            ServiceKey::Mark(mark) => Identity::Mark { family, mark: *mark },
            ServiceKey::Group(name) => Identity::Group { name: name.as_str().into(), ordinal: 0 },
        }
    }

    /// The entries of the group: addresses before marks.
    fn entries(&self, family: Family) -> Vec<GroupEntry> {
        let lines = self.group.map_or(&[][..], |group| &group.entries);
        let (marks, addresses): (Vec<&GroupLine>, Vec<_>) = lines.iter().partition(|line| Self::is_mark(line));
        let entry = |line: &GroupLine| match *line {
            GroupLine::Addresses(first, last, port) => GroupEntry::Addresses { first, last, port },
            GroupLine::Mark(own, mark) => GroupEntry::Mark { family: own.unwrap_or(family), mark },
        };
        addresses.into_iter().chain(marks).map(entry).collect()
    }

    /// `quorum` and `hysteresis`, cut to what the servers can reach.
    fn quorum(&mut self, servers: &[Arc<RealServer>]) -> (u32, u32) {
        let service = self.service;
        let weights: u64 = servers.iter().map(|server| u64::from(server.weight)).sum();
        let asked = service.quorum.map_or(1, |quorum| quorum.value);
        let quorum = u32::try_from(weights).map_or(asked, |weights| asked.min(weights));
        if quorum < asked {
            let span = service.quorum.map_or(service.key.span, |quorum| quorum.span);
            let text = format!("its servers weigh {weights} together; the quorum is {weights}");
            self.warn(Code::VIRTUAL_SERVER, span, text).help("lower the quorum, or give its servers more weight");
        }
        let Some(hysteresis) = service.hysteresis else { return (quorum, 0) };
        // keepalived: underflows where the weights are all 0.
        let used = hysteresis.value.min(quorum.saturating_sub(1));
        if used < hysteresis.value {
            let text = format!("hysteresis must be below the quorum; {used} is used");
            self.warn(Code::VIRTUAL_SERVER, hysteresis.span, text).help("it is lost below quorum - hysteresis");
        }
        (quorum, used)
    }
}
