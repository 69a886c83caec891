//! Checkers: what they inherit, and whether they have what they need.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use super::scripts::Scripts;
use super::trackers::by_name;
use crate::config::draft::{CheckerDraft, ConnectionDraft, DetailDraft, Draft, TimingDraft, TrackerDraft, UrlDraft};
use crate::config::machine::Machine;
use crate::diag::{Code, Diagnostic, Diagnostics, Span};
use crate::model::Checker;
use crate::model::checker::{
    Connection, Dns, FileCheck, HELO_NAME, Http, Misc, Probe, Regex, Schedule, Smtp, Udp, Url,
};
use crate::model::lvs::TrackFile;
use crate::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// SOA
const DNS_TYPE: u16 = 6;
/// What UDP_CHECK sends where no payload is given.
const UDP_PAYLOAD: &[u8] = b"keepalived check - keepalived ch";
const UDP_LONGEST: u16 = 255;

/// What FILE_CHECK and BFD_CHECK can name.
pub(super) struct Targets<'d> {
    /// The number and the place of the first of each name.
    files: BTreeMap<&'d str, (usize, Span)>,
    sessions: BTreeMap<&'d str, (usize, Span)>,
    trackers: &'d [TrackerDraft],
    /// The index in the model of each `track_file` of the draft that a FILE_CHECK uses.
    used: BTreeMap<usize, usize>,
}

impl<'d> Targets<'d> {
    pub(super) fn of(draft: &'d Draft, machine: &dyn Machine) -> Self {
        let mut files = by_name(draft.track_files.iter().map(|file| &file.name));
        files.retain(|_, (number, _)| is_usable(&draft.track_files[*number], machine));
        let mut sessions = by_name(draft.bfd.iter().map(|session| &session.name));
        sessions.retain(|_, (number, _)| draft.bfd[*number].checker || !draft.bfd[*number].vrrp);
        let mut targets = Self { files, sessions, trackers: &draft.track_files, used: BTreeMap::new() };
        let checkers = draft.virtual_servers.iter().flat_map(|vs| &vs.servers).flat_map(|rs| &rs.checkers);
        let used: BTreeSet<usize> = checkers.filter_map(|checker| targets.file(checker)).collect();
        targets.used = used.into_iter().enumerate().map(|(index, number)| (number, index)).collect();
        targets
    }

    /// The files for the model.
    pub(super) fn track_files(&self) -> Vec<Arc<TrackFile>> {
        let file = |number: &usize| {
            let tracker = &self.trackers[*number];
            let path = tracker.target.as_ref().map(|path| path.value.as_str()).unwrap_or_default();
            Arc::new(TrackFile { name: tracker.name.value.as_str().into(), path: path.into(), init: tracker.init })
        };
        self.used.keys().map(file).collect()
    }

    /// The number of the `track_file` that a FILE_CHECK names, where it is defined above it.
    fn file(&self, checker: &CheckerDraft) -> Option<usize> {
        let target = checker.detail.as_ref()?.target.as_ref().filter(|_| checker.kind.value == "FILE_CHECK")?;
        let (number, _) = self.files.get(target.value.as_str())?;
        (*number < checker.defined_before.0).then_some(*number)
    }

    /// The BFD session that a BFD_CHECK names, where it is defined above it.
    fn session<'c>(&self, checker: &'c CheckerDraft) -> Option<&'c str> {
        let target = checker.detail.as_ref()?.target.as_ref()?;
        let (number, _) = self.sessions.get(target.value.as_str())?;
        (*number < checker.defined_before.1).then_some(target.value.as_str())
    }
}

fn is_usable(tracker: &TrackerDraft, machine: &dyn Machine) -> bool {
    let Some(target) = &tracker.target else { return false };
    let directory = Path::new(&target.value).parent().filter(|directory| directory.is_absolute());
    directory.is_none_or(|directory| machine.has_directory(directory))
}

/// What is around a checker: its server and its service.
pub(super) struct Around<'a> {
    /// Name of the service.
    pub(super) service: &'a str,
    /// What the server and its service say; `delay_loop` is there.
    pub(super) timing: TimingDraft,
    /// `delay_loop` of the service.
    pub(super) misc_timeout: Duration,
    /// Where the server is asked unless the checker says otherwise.
    pub(super) asked_at: SocketAddr,
    /// `virtualhost` of the server, else of the service.
    pub(super) virtualhost: Option<&'a Arc<str>>,
    /// `checker_log_all_failures`
    pub(super) log_all_failures: bool,
}

/// The checkers of a server that can be used.
pub(super) fn resolve(
    drafts: &[CheckerDraft],
    around: &Around<'_>,
    targets: &Targets<'_>,
    scripts: &mut Scripts<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<Arc<Checker>> {
    let mut checkers = Vec::with_capacity(drafts.len());
    let mut sessions = BTreeSet::new();
    let mut work = Work { around, targets, scripts, diagnostics };
    for draft in drafts {
        let hosts = draft.detail.as_ref().map_or(&[][..], |detail| &detail.hosts);
        if hosts.is_empty() || has_connection(draft) {
            checkers
                .extend(work.checker(draft).filter(|checker| work.is_new(draft, checker, &mut sessions)).map(Arc::new));
        }
        checkers.extend(hosts.iter().filter_map(|host| work.checker(&host_of(draft, host))).map(Arc::new));
    }
    checkers
}

/// Whether a checker says anything about whom to ask: an SMTP_CHECK that only has hosts is no checker itself.
fn has_connection(draft: &CheckerDraft) -> bool {
    draft.connection != ConnectionDraft::default() || draft.timing.connect_timeout.is_some()
}

/// A `host { }`: when it runs is said by the SMTP_CHECK around it, whom it asks by itself.
fn host_of(outer: &CheckerDraft, host: &CheckerDraft) -> CheckerDraft {
    let mut draft = CheckerDraft {
        timing: TimingDraft { connect_timeout: host.timing.connect_timeout, ..outer.timing },
        log_all_failures: outer.log_all_failures,
        ..host.clone()
    };
    draft.detail().helo_name = outer.detail.as_ref().and_then(|detail| detail.helo_name.clone());
    draft
}

struct Work<'a, 'm> {
    around: &'a Around<'a>,
    targets: &'a Targets<'a>,
    scripts: &'a mut Scripts<'m>,
    diagnostics: &'a mut Diagnostics,
}

impl Work<'_, '_> {
    fn warn(&mut self, span: Span, text: &str) -> &mut Diagnostic {
        let message = format!("virtual_server {}: {text}", self.around.service);
        self.diagnostics.warning(Code::CHECKER, span, message)
    }

    fn drop(&mut self, draft: &CheckerDraft, why: &str, help: &str) {
        self.warn(draft.kind.span, &format!("{} {why}; it is dropped", draft.kind.value)).help(help);
    }

    /// Whether no other BFD_CHECK of the server names the same session.
    fn is_new(&mut self, draft: &CheckerDraft, checker: &Checker, sessions: &mut BTreeSet<Arc<str>>) -> bool {
        let Probe::Bfd(session) = &checker.probe else { return true };
        let is_new = sessions.insert(session.clone());
        if !is_new {
            self.drop(draft, "names the bfd_instance of another one of this server", "remove one of them");
        }
        is_new
    }

    fn checker(&mut self, draft: &CheckerDraft) -> Option<Checker> {
        let timing = draft.timing.within(&self.around.timing);
        let probe = self.probe(draft, &timing)?;
        let is_file = matches!(probe, Probe::File(_));
        Some(Checker {
            schedule: schedule(&probe, &timing),
            probe,
            alpha: timing.alpha.unwrap_or(false) && !is_file,
            log_all_failures: draft.log_all_failures || self.around.log_all_failures,
        })
    }

    fn probe(&mut self, draft: &CheckerDraft, timing: &TimingDraft) -> Option<Probe> {
        let none = DetailDraft::default();
        let detail = draft.detail.as_deref().unwrap_or(&none);
        match draft.kind.value {
            "MISC_CHECK" => self.misc(draft, detail).map(Probe::Misc),
            "FILE_CHECK" => self.file(draft, detail).map(Probe::File),
            "BFD_CHECK" => match self.targets.session(draft) {
                Some(name) => Some(Probe::Bfd(name.into())),
                None => {
                    self.drop(
                        draft,
                        "names no bfd_instance that is defined above it",
                        "define it above this virtual_server",
                    );
                    None
                }
            },
            "HTTP_GET" | "SSL_GET" if detail.http.urls.is_empty() => {
                self.drop(draft, "has no usable url", "add url { path / }, each word on a line of its own");
                None
            }
            kind => {
                let connection = self.connection(draft, timing)?;
                Some(match kind {
                    "HTTP_GET" => Probe::Http(self.http(connection, detail, false)),
                    "SSL_GET" => Probe::Http(self.http(connection, detail, true)),
                    "SMTP_CHECK" => Probe::Smtp(Smtp {
                        connection,
                        helo_name: detail.helo_name.as_deref().unwrap_or(HELO_NAME).into(),
                    }),
                    "DNS_CHECK" => Probe::Dns(Dns {
                        connection,
                        record_type: detail.record_type.unwrap_or(DNS_TYPE),
                        name: detail.name.as_deref().unwrap_or(".").into(),
                    }),
                    "UDP_CHECK" => Probe::Udp(self.udp(connection, detail)),
                    "PING_CHECK" => Probe::Ping(connection),
                    _ => Probe::Tcp(connection),
                })
            }
        }
    }

    /// Whom a checker asks; none where it could not reach it.
    fn connection(&mut self, draft: &CheckerDraft, timing: &TimingDraft) -> Option<Connection> {
        let said = &draft.connection;
        let connect_ip = said.connect_ip.map(|address| address.value);
        let address = connect_ip.unwrap_or(self.around.asked_at.ip());
        let link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        if link_local && said.bind_if.is_none() {
            self.drop(draft, "asks a link-local address and has no bind_if", "add bind_if INTERFACE");
            return None;
        }
        let port = said.connect_port.unwrap_or(self.around.asked_at.port());
        if port == 0 && draft.kind.value != "PING_CHECK" {
            let message = format!("virtual_server {}: {} asks port 0", self.around.service, draft.kind.value);
            self.diagnostics
                .lint(Code::CHECKER, draft.kind.span, message)
                .help("neither the server nor its service has a port: add connect_port");
        }
        Some(Connection {
            connect_ip,
            connect_port: said.connect_port,
            bind_address: said.bindto.map(|address| address.value),
            bind_port: said.bind_port,
            bind_interface: said.bind_if,
            timeout: timing.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            mark: said.mark,
        })
    }

    fn http(&self, connection: Connection, detail: &DetailDraft, tls: bool) -> Http {
        let http = &detail.http;
        let of_checker: Option<Arc<str>> =
            http.virtualhost.as_deref().map(Arc::from).or_else(|| self.around.virtualhost.cloned());
        let named: Option<Arc<str>> = http.sni_name.as_deref().map(Arc::from);
        let url = |draft: &UrlDraft| {
            let virtualhost = draft.virtualhost.as_deref().map(Arc::from).or_else(|| of_checker.clone());
            let sni = named.clone().or_else(|| virtualhost.clone());
            Url {
                path: draft.path.as_deref().unwrap_or("/").into(),
                sni: sni.filter(|_| tls && http.sni),
                virtualhost,
                digest: draft.digest,
                status_codes: match draft.status_codes.as_slice() {
                    [] => vec![200..=299],
                    codes => codes.to_vec(),
                },
                regex: draft.regex.as_ref().map(|pattern| regex(pattern, draft)),
                tls_compliant: draft.tls_compliant || http.tls_compliant,
            }
        };
        Http {
            connection,
            tls,
            version: http.version,
            fast_recovery: http.fast_recovery,
            urls: http.urls.iter().map(url).collect(),
        }
    }

    fn udp(&mut self, connection: Connection, detail: &DetailDraft) -> Udp {
        let shortest = detail.lengths.0.map_or(0, |shortest| shortest.value);
        let longest = detail.lengths.1.unwrap_or(UDP_LONGEST);
        if let Some(min) = detail.lengths.0.filter(|min| min.value > longest) {
            let text = "min_reply_length is above max_reply_length: it never succeeds";
            self.warn(min.span, text).help(format!("the longest answer is {longest} bytes"));
        }
        Udp {
            connection,
            payload: detail.payload.as_deref().unwrap_or(UDP_PAYLOAD).into(),
            require_reply: detail.reply.is_some(),
            reply: detail.reply.as_deref().unwrap_or_default().into(),
            reply_length: shortest..=longest,
        }
    }

    fn misc(&mut self, draft: &CheckerDraft, detail: &DetailDraft) -> Option<Misc> {
        let Some(script) = &detail.script else {
            self.drop(draft, "has no misc_path", "add misc_path \"/path/to/program arguments\"");
            return None;
        };
        let what = format!("{} of {}", draft.kind.value, draft.server.value);
        let command = self.scripts.of_checker(&what, script, detail.user.as_ref(), self.diagnostics)?;
        let program = script.argv.first().map(|word| String::from_utf8_lossy(word)).unwrap_or_default();
        let timeout = match detail.misc_timeout {
            0 => self.around.misc_timeout,
            secs => Duration::from_secs(secs.into()),
        };
        Some(Misc { command, text: program.into(), timeout, dynamic: detail.misc_dynamic })
    }

    fn file(&mut self, draft: &CheckerDraft, detail: &DetailDraft) -> Option<FileCheck> {
        let found = self.targets.file(draft).and_then(|number| Some((number, *self.targets.used.get(&number)?)));
        let Some((number, file)) = found else {
            self.drop(draft, "names no track_file that is defined above it", "define it above this virtual_server");
            return None;
        };
        let tracker = &self.targets.trackers[number];
        Some(FileCheck {
            file,
            weight: detail.weight.unwrap_or(tracker.weight.unwrap_or(1).into()),
            reverse: detail.reverse.unwrap_or(tracker.reverse),
        })
    }
}

fn regex(pattern: &[u8], draft: &UrlDraft) -> Regex {
    Regex {
        pattern: pattern.into(),
        options: draft.regex_options.iter().map(|option| Arc::from(*option)).collect(),
        no_match: draft.regex_no_match,
        min_offset: draft.regex_min_offset.map_or(0, |offset| offset.value),
        max_offset: draft.regex_max_offset,
    }
}

/// When a checker runs, with what holds for its kind where nobody says anything.
fn schedule(probe: &Probe, timing: &TimingDraft) -> Schedule {
    let delay_loop = timing.delay_loop.unwrap_or_default();
    let (retry, pause) = match probe {
        Probe::Misc(_) | Probe::File(_) | Probe::Bfd(_) => (0, Duration::from_secs(1)),
        Probe::Dns(_) => (3, delay_loop),
        Probe::Http(_) => (1, Duration::from_secs(3)),
        Probe::Tcp(_) | Probe::Smtp(_) | Probe::Udp(_) | Probe::Ping(_) => (1, Duration::from_secs(1)),
    };
    Schedule {
        delay_loop,
        retry: timing.retry.unwrap_or(retry),
        delay_before_retry: timing.delay_before_retry.unwrap_or(pause),
        warmup: timing.warmup.unwrap_or(delay_loop),
    }
}
