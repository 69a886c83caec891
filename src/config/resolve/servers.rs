//! Virtual servers, their servers and checkers: what keepalived would complete, change or drop.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::scripts::{Absence, Scripts};
use super::seen_before;
use super::trackers::by_name;
use crate::addr::Family;
use crate::config::draft::{CheckerDraft, Draft, RealServerDraft, ServerGroupDraft, ServiceKey, VirtualServerDraft};
use crate::diag::{Code, Diagnostics, Span};

/// Judges every service.
pub(super) fn check(draft: &Draft, scripts: &mut Scripts<'_>, diagnostics: &mut Diagnostics) {
    let groups = groups(draft, diagnostics);
    let targets = Targets::of(draft);
    let mut known = BTreeMap::new();
    for service in &draft.virtual_servers {
        let name = name(service);
        let id = (name.clone(), protocol(service));
        if let Some(before) = seen_before(&mut known, id, service.key.span) {
            // keepalived: not noticed; the second changes what the first made.
            diagnostics
                .own_error(Code::DUPLICATE_NAME, service.key.span, format!("virtual_server {name} is there twice"))
                .label(before, "the first one is here")
                .help("merge the two blocks");
        }
        Service { targets: &targets, service, name, groups: &groups, scripts, diagnostics }.check();
    }
}

fn protocol(service: &VirtualServerDraft) -> String {
    service.protocol.as_ref().map_or_else(|| "UDP".to_owned(), |protocol| protocol.value.clone())
}

fn name(service: &VirtualServerDraft) -> String {
    match &service.key.value {
        ServiceKey::Address(address, port) => format!("[{address}]:{port}"),
        ServiceKey::Mark(mark) => format!("fwmark {mark}"),
        ServiceKey::Group(group) => format!("group {group}"),
    }
}

/// The usable groups.
fn groups<'d>(draft: &'d Draft, diagnostics: &mut Diagnostics) -> BTreeMap<&'d str, &'d ServerGroupDraft> {
    let mut groups = BTreeMap::new();
    for group in &draft.server_groups {
        let name = &group.name;
        let complaint = match group.entries {
            [0, 0, 0] => "has no usable entry",
            [v4, v6, unsaid] if v4 > 0 && v6 > 0 && unsaid > 0 => {
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

/// What checkers can name: the number and the place of the first of each name.
struct Targets<'d> {
    files: BTreeMap<&'d str, (usize, Span)>,
    sessions: BTreeMap<&'d str, (usize, Span)>,
}

impl<'d> Targets<'d> {
    fn of(draft: &'d Draft) -> Self {
        let files = by_name(draft.track_files.iter().map(|file| &file.name));
        let mut sessions = by_name(draft.bfd.iter().map(|session| &session.name));
        sessions.retain(|_, (number, _)| draft.bfd[*number].checker || !draft.bfd[*number].vrrp);
        Self { files, sessions }
    }
}

struct Service<'a, 'm> {
    targets: &'a Targets<'a>,
    service: &'a VirtualServerDraft,
    name: String,
    groups: &'a BTreeMap<&'a str, &'a ServerGroupDraft>,
    scripts: &'a mut Scripts<'m>,
    diagnostics: &'a mut Diagnostics,
}

impl Service<'_, '_> {
    fn warn(&mut self, code: Code, span: Span, text: impl std::fmt::Display) -> &mut crate::diag::Diagnostic {
        let message = format!("virtual_server {}: {text}", self.name);
        self.diagnostics.warning(code, span, message)
    }

    fn check(mut self) {
        let service = self.service;
        let span = service.key.span;
        self.scripts.check_servers(&self.name, &service.notify, self.diagnostics);
        for server in service.servers.iter().chain(&service.sorry) {
            self.scripts.check_servers(&self.name, &server.notify, self.diagnostics);
            for checker in &server.checkers {
                self.checker(checker);
            }
        }
        let group = match &service.key.value {
            ServiceKey::Group(group) => match self.groups.get(group.as_str()) {
                Some(known) => Some(*known),
                None => {
                    // keepalived: only logged.
                    let message =
                        format!("virtual_server: there is no usable virtual_server_group {group}; it is dropped");
                    self.diagnostics.lint(Code::VIRTUAL_SERVER, span, message);
                    return;
                }
            },
            _ => None,
        };
        if service.servers.is_empty() {
            self.warn(Code::VIRTUAL_SERVER, span, "it has no real_server; it is dropped")
                .help("add real_server ADDRESS PORT { }");
            return;
        }
        self.protocol();
        self.persistence(group);
        self.methods();
        let weights = self.servers(group);
        self.quorum(weights);
    }

    fn protocol(&mut self) {
        let service = self.service;
        let span = service.key.span;
        let is_mark = matches!(service.key.value, ServiceKey::Mark(_));
        if let (true, Some(suspend)) = (is_mark, service.ha_suspend) {
            self.warn(Code::VIRTUAL_SERVER, suspend, "ha_suspend has no meaning for a firewall mark; it is ignored");
        }
        match &service.protocol {
            Some(protocol) if is_mark => {
                self.warn(Code::VIRTUAL_SERVER, protocol.span, "a firewall mark has no protocol; it is ignored");
            }
            None if matches!(service.key.value, ServiceKey::Address(..)) => {
                let help = match self.tcp_checker() {
                    Some(checker) => format!("{checker} makes TCP likely: add protocol TCP"),
                    None => "add protocol TCP or protocol UDP".to_owned(),
                };
                self.warn(Code::VIRTUAL_SERVER, span, "it has no protocol, so it is UDP").help(help);
            }
            _ => {}
        }
        if let (Some(ops), Some(protocol)) = (service.ops, &service.protocol)
            && protocol.value != "UDP"
        {
            self.warn(Code::VIRTUAL_SERVER, ops, "ops is for UDP; it is ignored");
        }
        if service.scheduler.is_none() {
            self.warn(Code::VIRTUAL_SERVER, span, "it has no lb_algo; wlc is used").help("add lb_algo wlc, or another");
        }
    }

    /// A checker of the service that needs TCP.
    fn tcp_checker(&self) -> Option<&'static str> {
        let checkers = self.service.servers.iter().flat_map(|server| &server.checkers);
        let mut kinds = checkers.map(|checker| checker.kind.value);
        kinds.find(|kind| matches!(*kind, "TCP_CHECK" | "HTTP_GET" | "SSL_GET" | "SMTP_CHECK"))
    }

    fn persistence(&mut self, group: Option<&ServerGroupDraft>) {
        let service = self.service;
        let portless = matches!(service.key.value, ServiceKey::Address(_, 0)) || group.is_some_and(|g| g.portless);
        if portless && !service.persistent {
            let text = "without a port it needs persistence; 360 seconds are used";
            self.warn(Code::VIRTUAL_SERVER, service.key.span, text).help("add a port, or persistence_timeout");
        }
    }

    fn methods(&mut self) {
        let service = self.service;
        let needs = |server: &RealServerDraft| server.method.is_none();
        if service.method.is_none() && service.servers.iter().chain(&service.sorry).any(needs) {
            self.warn(Code::VIRTUAL_SERVER, service.key.span, "it has no lb_kind; NAT is used")
                .help("add lb_kind NAT, DR or TUN above the first real_server");
        }
    }

    /// Judges the servers; the sum of the weights of those that stay.
    fn servers(&mut self, group: Option<&ServerGroupDraft>) -> u64 {
        let service = self.service;
        let by_servers = service.servers.iter().map(|server| Family::of(server.address.value)).next();
        let by_group = group.and_then(|group| match group.entries {
            [0, v6, _] if v6 > 0 => Some(Family::V6),
            [v4, 0, _] if v4 > 0 => Some(Family::V4),
            _ => None,
        });
        let family = service.family.or(by_group).or(by_servers);
        let mut seen = BTreeMap::new();
        let mut weights = 0;
        for server in &service.servers {
            let place = server.address;
            if let Some(first) = seen_before(&mut seen, (place.value, self.server_port(server)), place.span) {
                self.warn(Code::REAL_SERVER, place.span, format!("real_server {} is there twice", place.value))
                    .label(first, "this first one is used");
            } else if self.fits(server, family, "real_server") {
                self.port(server);
                weights += u64::from(server.weight.or(service.weight).unwrap_or(1));
            }
        }
        if let Some(sorry) = &service.sorry
            && self.fits(sorry, family, "sorry_server")
        {
            self.port(sorry);
        }
        weights
    }

    fn fits(&mut self, server: &RealServerDraft, family: Option<Family>, what: &str) -> bool {
        let same = family.is_none_or(|family| family == Family::of(server.address.value));
        let tunnelled = server.method.or(self.service.method) == Some("TUN");
        if !same && !tunnelled {
            let text = format!("{what} {} is of the other family; it is dropped", server.address.value);
            self.warn(Code::REAL_SERVER, server.address.span, text).help("only lb_kind TUN reaches the other family");
        }
        same || tunnelled
    }

    /// The port of a server once keepalived has completed it.
    fn server_port(&self, server: &RealServerDraft) -> u16 {
        match self.service.key.value {
            ServiceKey::Address(_, port) if server.port == 0 || !self.translates(server) => port,
            _ => server.port,
        }
    }

    fn translates(&self, server: &RealServerDraft) -> bool {
        let method = server.method.or(self.service.method);
        matches!(method, None | Some("NAT"))
    }

    fn port(&mut self, server: &RealServerDraft) {
        if self.translates(server) || server.port == 0 {
            return;
        }
        let text = match self.service.key.value {
            ServiceKey::Address(_, port) if port != server.port => {
                format!("without NAT the port cannot change from {port} to {}; {port} is used", server.port)
            }
            ServiceKey::Mark(_) => "for a firewall mark without NAT a server has no port; it is ignored".to_owned(),
            _ => return,
        };
        self.warn(Code::REAL_SERVER, server.address.span, text);
    }

    fn quorum(&mut self, weights: u64) {
        let service = self.service;
        let asked = service.quorum.map_or(1, |quorum| u64::from(quorum.value));
        let span = service.quorum.map_or(service.key.span, |quorum| quorum.span);
        if asked > weights {
            self.warn(
                Code::VIRTUAL_SERVER,
                span,
                format!("its servers weigh {weights} together; the quorum is {weights}"),
            );
        }
        let quorum = asked.min(weights);
        if let Some(hysteresis) = service.hysteresis.filter(|hysteresis| u64::from(hysteresis.value) >= quorum) {
            // keepalived: underflows where the weights are all 0.
            let used = quorum.saturating_sub(1);
            if hysteresis.value > 0 || quorum == 0 {
                let text = format!("hysteresis must be below the quorum; {used} is used");
                self.warn(Code::VIRTUAL_SERVER, hysteresis.span, text);
            }
        }
    }

    fn checker(&mut self, checker: &CheckerDraft) {
        let kind = checker.kind.value;
        let span = checker.kind.span;
        let defined = |names: &BTreeMap<&str, (usize, Span)>, before| {
            let number = checker.target.as_ref().and_then(|target| names.get(target.value.as_str()));
            number.is_some_and(|(number, _)| *number < before)
        };
        let unknown = match kind {
            "FILE_CHECK" => !defined(&self.targets.files, checker.defined_before.0),
            "BFD_CHECK" => !defined(&self.targets.sessions, checker.defined_before.1),
            _ => false,
        };
        let target = checker.connect_ip.unwrap_or(checker.server).value;
        let link_local = matches!(target, IpAddr::V6(address) if address.is_unicast_link_local());
        let complaint = match kind {
            "HTTP_GET" | "SSL_GET" if checker.urls == 0 => "has no usable url; it is dropped",
            "MISC_CHECK" if checker.script.is_none() => "has no misc_path; it is dropped",
            "FILE_CHECK" if unknown => "names no track_file that is defined above it; it is dropped",
            "BFD_CHECK" if unknown => "names no bfd_instance that is defined above it; it is dropped",
            "MISC_CHECK" | "FILE_CHECK" | "BFD_CHECK" => "",
            _ if link_local && !checker.bind_if => "asks a link-local address and has no bind_if; it is dropped",
            _ => "",
        };
        if !complaint.is_empty() {
            self.warn(Code::CHECKER, span, format!("{kind} {complaint}"));
            return;
        }
        if let (Some(min), Some(max)) = checker.lengths
            && min.value > max
        {
            self.warn(Code::CHECKER, min.span, "min_reply_length is above max_reply_length: it never succeeds");
        }
        if let Some(script) = &checker.script {
            let what = format!("{kind} of {}", checker.server.value);
            self.scripts.find_check(&what, script, checker.user.as_deref(), Absence::Reported, self.diagnostics);
        }
    }
}
