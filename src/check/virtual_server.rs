//! A virtual server: quorum, hysteresis and sorry server over its real servers, and what is told of them (`lvs.md` §4).

use std::sync::Arc;

use crate::check::checker::{file_contribution, file_reason};
use crate::check::desired::Health;
use crate::check::io::{Action, Mail, Notification, Reason, ReasonKind, Subject, Verdict};
use crate::check::names;
use crate::check::real_server::RealServer;
use crate::check::report::{CheckerEvent, Event, Quorum, ServerEvent};
use crate::model;
use crate::model::lvs::{RealServerId, VirtualServerId};
use crate::time::{Duration, Instant};

/// A virtual server with the state of its servers.
#[derive(Clone, Debug)]
pub(crate) struct VirtualServer {
    pub(crate) id: VirtualServerId,
    pub(crate) config: Arc<model::VirtualServer>,
    /// In configuration order, none missing.
    pub(crate) real_servers: Vec<RealServer>,
    pub(crate) quorum_up: bool,
    /// The sorry server is in the place of the real servers.
    pub(crate) sorry_serves: bool,
    /// `ha_suspend`: its address is not here.
    pub(crate) suspended: bool,
    /// What was told last of its quorum.
    pub(crate) told: Option<bool>,
}

/// What came of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    /// The table may have to change.
    pub(crate) table: bool,
    /// Until the next probe.
    pub(crate) pause: Duration,
}

impl VirtualServer {
    /// With these servers, before anything is known of the quorum.
    pub(crate) const fn new(
        id: VirtualServerId,
        config: Arc<model::VirtualServer>,
        real_servers: Vec<RealServer>,
    ) -> Self {
        Self { id, config, real_servers, quorum_up: false, sorry_serves: false, suspended: false, told: None }
    }

    pub(crate) fn health(&self) -> Health {
        let real_servers = self.real_servers.iter().map(RealServer::health).collect();
        Health { real_servers, sorry_serves: self.sorry_serves }
    }

    /// Weight of the servers that are alive.
    pub(crate) fn live_weight(&self) -> u64 {
        let alive = self.real_servers.iter().filter(|rs| rs.alive);
        alive.map(|rs| u64::from(rs.weight())).sum()
    }

    /// Remembers which checkers came up or went down now.
    pub(crate) fn note(&mut self, now: Instant) {
        self.real_servers.iter_mut().flat_map(|rs| &mut rs.checkers).for_each(|checker| checker.note(now));
    }

    // ---- events ----------------------------------------------------------------------------------------------

    /// The end of a probe.
    pub(crate) fn probed(
        &mut self,
        at: Place,
        verdict: Verdict,
        no_checker_emails: bool,
        out: &mut Vec<Action>,
    ) -> Effect {
        let Some(rs) = self.real_servers.get_mut(at.server) else { return Effect::default() };
        let before = rs.weight();
        let configured = rs.config.weight;
        let Some(checker) = rs.checkers.get_mut(at.checker) else { return Effect::default() };
        let conclusion = checker.conclude(verdict, configured);
        // what a failing checker takes back goes with the server, without a word
        let reweighted = conclusion.verdict != Some(false) && rs.weight() != before;
        if reweighted {
            self.report_weight(at.server, before, out);
            self.update_quorum(false, out);
        }
        for what in conclusion.events {
            self.report_checker(at, what, out);
        }
        if let Some(up) = conclusion.verdict {
            self.verdict(at, up, no_checker_emails, out);
        }
        Effect { table: reweighted || conclusion.verdict.is_some(), pause: conclusion.pause }
    }

    /// The number in the track file of a FILE_CHECK.
    pub(crate) fn file(&mut self, at: Place, number: i32, name: &Arc<str>, out: &mut Vec<Action>) -> Effect {
        let Some(rs) = self.real_servers.get_mut(at.server) else { return Effect::default() };
        let before = rs.weight();
        let Some(checker) = rs.checkers.get_mut(at.checker) else { return Effect::default() };
        let Some(file) = checker.file() else { return Effect::default() };
        let (contribution, was_up) = (file_contribution(file, number), checker.is_up);
        if checker.contribution == contribution.unwrap_or(0) && was_up == contribution.is_some() {
            return Effect::default();
        }
        checker.reason = contribution.is_none().then(|| file_reason(number).into());
        let fault = contribution.is_none();
        if !fault {
            checker.contribution = contribution.unwrap_or(0);
            self.report_weight(at.server, before, out);
        }
        if fault == was_up {
            self.report_checker(at, CheckerEvent::TrackedFile { file: Arc::clone(name), fault }, out);
            self.verdict(at, !fault, true, out);
        } else {
            self.update_quorum(false, out);
        }
        if fault && let Some(rs) = self.real_servers.get_mut(at.server) {
            if let Some(checker) = rs.checkers.get_mut(at.checker) {
                checker.contribution = 0;
            }
            self.report_weight(at.server, before, out);
        }
        Effect { table: true, pause: Duration::ZERO }
    }

    /// The session of a BFD_CHECK.
    pub(crate) fn bfd(&mut self, at: Place, up: bool, no_checker_emails: bool, out: &mut Vec<Action>) -> Effect {
        let Some(rs) = self.real_servers.get_mut(at.server) else { return Effect::default() };
        let Some(checker) = rs.checkers.get_mut(at.checker) else { return Effect::default() };
        if checker.is_up == up && checker.has_run {
            return Effect::default();
        }
        let down = Reason { kind: ReasonKind::Bfd, detail: "session is down".into() };
        checker.reason = (!up).then(|| down.clone().into());
        let event = if up { CheckerEvent::Up } else { CheckerEvent::Down { reason: down, first: !checker.has_run } };
        self.report_checker(at, event, out);
        self.verdict(at, up, no_checker_emails, out);
        Effect { table: true, pause: Duration::ZERO }
    }

    /// A checker has made up its mind (`lvs.md` §4.2).
    fn verdict(&mut self, at: Place, up: bool, no_checker_emails: bool, out: &mut Vec<Action>) {
        let Some(rs) = self.real_servers.get_mut(at.server) else { return };
        let was_alive = rs.alive;
        let Some(checker) = rs.checkers.get_mut(at.checker) else { return };
        let is_first = !std::mem::replace(&mut checker.has_run, true);
        if checker.is_up == up {
            if is_first && (checker.config.alpha || !up) {
                self.tell_server(at.server, None, out);
            }
            return;
        }
        checker.is_up = up;
        let (config, asked_at) = (Arc::clone(&checker.config), rs.config.asked_at());
        let reason = checker.reason.clone();
        let is_up = rs.is_up();
        self.set_alive(at.server, is_up, out);
        self.update_quorum(false, out);
        let is_alive = self.real_servers.get(at.server).is_some_and(|rs| rs.alive);
        if !matches!(config.probe, model::checker::Probe::File(_)) && (is_alive != was_alive || !no_checker_emails) {
            let mail = match reason.filter(|_| !up) {
                Some(reason) => Mail::Failed { checker: config, asked_at, reason: *reason },
                None => Mail::Succeeded(config),
            };
            self.mail_server(at.server, mail, out);
        }
    }

    /// A real server comes or goes; the quorum is left to the caller.
    pub(crate) fn set_alive(&mut self, server: usize, alive: bool, out: &mut Vec<Action>) {
        let Some(rs) = self.real_servers.get_mut(server).filter(|rs| rs.alive != alive) else { return };
        rs.alive = alive;
        let inhibit = rs.config.inhibit_on_failure;
        let what = if alive { ServerEvent::Added { inhibit } } else { ServerEvent::Removed { inhibit } };
        self.report_server(server, what, out);
        self.tell_server(server, None, out);
    }

    // ---- quorum ----------------------------------------------------------------------------------------------

    /// Compares the live weight with the quorum (`lvs.md` §4.4). `init`: at the start, and once more in every reload.
    pub(crate) fn update_quorum(&mut self, init: bool, out: &mut Vec<Action>) {
        let weight = self.live_weight();
        let (quorum, hysteresis) = (u64::from(self.config.quorum), u64::from(self.config.hysteresis));
        if self.quorum_up {
            if quorum == 0 || weight == 0 || weight < quorum.saturating_sub(hysteresis) {
                self.lose_quorum(Quorum::Lost, weight, out);
            }
        } else if quorum > 0 && weight >= quorum + hysteresis {
            self.gain_quorum(init, weight, out);
        } else if init && self.config.sorry_server.is_some() && !self.sorry_serves {
            self.lose_quorum(Quorum::StartsDown, weight, out);
        }
    }

    fn gain_quorum(&mut self, init: bool, weight: u64, out: &mut Vec<Action>) {
        self.quorum_up = true;
        self.report_quorum(Quorum::Gained, weight, out);
        self.dismiss_sorry_server(out);
        let is_start = init && self.told.is_none();
        self.tell_quorum(if is_start { Quorum::StartsUp } else { Quorum::Gained }, weight, out);
    }

    fn lose_quorum(&mut self, what: Quorum, weight: u64, out: &mut Vec<Action>) {
        self.quorum_up = false;
        self.report_quorum(what, weight, out);
        if let Some(sorry) = self.config.sorry_server.clone()
            && !self.sorry_serves
        {
            self.sorry_serves = true;
            let inhibit = sorry.inhibit_on_failure;
            self.report_named(&sorry, ServerEvent::SorryAdded { inhibit }, out);
            self.report_swap(false, out);
        }
        self.tell_quorum(what, weight, out);
    }

    /// The sorry server makes room for the servers that are alive.
    fn dismiss_sorry_server(&mut self, out: &mut Vec<Action>) {
        if !std::mem::take(&mut self.sorry_serves) {
            return;
        }
        if let Some(sorry) = self.config.sorry_server.clone() {
            let inhibit = sorry.inhibit_on_failure;
            self.report_named(&sorry, ServerEvent::SorryRemoved { inhibit }, out);
        }
        self.report_swap(true, out);
    }

    /// A reload takes a sorry server away that serves.
    pub(crate) fn sorry_server_gone(&mut self, old: &model::RealServer, out: &mut Vec<Action>) {
        self.sorry_serves = false;
        let inhibit = old.inhibit_on_failure;
        self.report_named(old, ServerEvent::SorryRemoved { inhibit }, out);
        if self.config.sorry_server.is_none() {
            self.report_swap(true, out);
        }
    }

    // ---- the end ---------------------------------------------------------------------------------------------

    /// The daemon stops. `each` server is named, else they go without a word.
    pub(crate) fn stop(&mut self, each: bool, out: &mut Vec<Action>) {
        let omega = self.config.omega;
        for i in 0..self.real_servers.len() {
            let Some(rs) = self.real_servers.get_mut(i).filter(|_| each) else { break };
            let was_alive = std::mem::take(&mut rs.alive);
            let inhibited = rs.config.inhibit_on_failure && !was_alive;
            self.report_server(i, ServerEvent::ShutDown { inhibited }, out);
            if was_alive && omega {
                self.tell_server(i, Some(Mail::ShuttingDown), out);
            }
        }
        self.quorum_up = false;
        if omega {
            self.notify_quorum(false, Some(Mail::ShuttingDown), out);
        }
    }

    /// A reload has no such virtual server any more.
    pub(crate) fn remove(&mut self, out: &mut Vec<Action>) {
        let group = match &self.config.identity {
            model::lvs::Identity::Group { name, .. } => Some(Arc::clone(name)),
            _ => None,
        };
        out.push(Action::Report(Event::ServiceRemoved { vs: names::virtual_server(&self.config), group }));
        for i in 0..self.real_servers.len() {
            self.remove_server(i, out);
        }
        if std::mem::take(&mut self.quorum_up) {
            self.tell_quorum(Quorum::Lost, 0, out);
        }
    }

    /// A reload has no such real server any more.
    pub(crate) fn remove_server(&mut self, server: usize, out: &mut Vec<Action>) {
        let Some(rs) = self.real_servers.get_mut(server) else { return };
        let was_alive = std::mem::take(&mut rs.alive);
        self.report_server(server, ServerEvent::Removed { inhibit: false }, out);
        if was_alive {
            self.tell_server(server, Some(Mail::Removing), out);
        }
    }

    // ---- telling ---------------------------------------------------------------------------------------------

    pub(crate) fn report_server(&self, server: usize, what: ServerEvent, out: &mut Vec<Action>) {
        if let Some(rs) = self.real_servers.get(server) {
            self.report_named(&rs.config, what, out);
        }
    }

    fn report_named(&self, rs: &model::RealServer, what: ServerEvent, out: &mut Vec<Action>) {
        let vs = names::virtual_server(&self.config);
        let rs = names::real_server(&self.config, rs);
        out.push(Action::Report(Event::Server { vs, rs, what }));
    }

    /// Says how the weight changed, if it did.
    pub(crate) fn report_weight(&self, server: usize, from: u32, out: &mut Vec<Action>) {
        if let Some(rs) = self.real_servers.get(server)
            && rs.weight() != from
        {
            self.report_server(server, ServerEvent::Weight { from, to: rs.weight(), active: rs.alive }, out);
        }
    }

    fn report_checker(&self, at: Place, what: CheckerEvent, out: &mut Vec<Action>) {
        let Some(rs) = self.real_servers.get(at.server) else { return };
        let Some(checker) = rs.checkers.get(at.checker) else { return };
        let (checker, asked_at) = (Arc::clone(&checker.config), rs.config.asked_at());
        let (vs, rs) = (names::virtual_server(&self.config), names::real_server(&self.config, &rs.config));
        out.push(Action::Report(Event::Checker { vs, rs, checker, asked_at, what }));
    }

    fn report_quorum(&self, what: Quorum, weight: u64, out: &mut Vec<Action>) {
        let vs = names::virtual_server(&self.config);
        let (quorum, hysteresis) = (self.config.quorum, self.config.hysteresis);
        out.push(Action::Report(Event::Quorum { vs, what, quorum, hysteresis, weight }));
    }

    fn report_swap(&self, alive_in: bool, out: &mut Vec<Action>) {
        out.push(Action::Report(Event::PoolSwapped { vs: names::virtual_server(&self.config), alive_in }));
    }

    /// Tells scripts and FIFOs whether a real server is alive.
    pub(crate) fn tell_server(&self, server: usize, mail: Option<Mail>, out: &mut Vec<Action>) {
        let Some(rs) = self.real_servers.get(server) else { return };
        let script = if rs.alive { &rs.config.notify_up } else { &rs.config.notify_down };
        out.push(Action::Notify(Notification {
            subject: self.server_subject(server, rs),
            up: rs.alive,
            script: script.as_deref().cloned(),
            fifo: true,
            mail: mail.filter(|_| rs.config.smtp_alert),
        }));
    }

    fn mail_server(&self, server: usize, mail: Mail, out: &mut Vec<Action>) {
        let Some(rs) = self.real_servers.get(server).filter(|rs| rs.config.smtp_alert) else { return };
        let subject = self.server_subject(server, rs);
        let (up, mail) = (rs.alive, Some(mail));
        out.push(Action::Notify(Notification { subject, up, script: None, fifo: false, mail }));
    }

    fn server_subject(&self, index: usize, rs: &RealServer) -> Subject {
        let id = RealServerId { virtual_server: self.id, index };
        Subject::RealServer(id, Arc::clone(&self.config), Arc::clone(&rs.config))
    }

    /// Tells of the quorum, unless that is what was told last.
    fn tell_quorum(&mut self, what: Quorum, weight: u64, out: &mut Vec<Action>) {
        let up = matches!(what, Quorum::Gained | Quorum::StartsUp);
        if self.told != Some(up) {
            let (quorum, hysteresis) = (self.config.quorum, self.config.hysteresis);
            self.notify_quorum(up, Some(Mail::Quorum { what, quorum, hysteresis, weight }), out);
        }
    }

    fn notify_quorum(&mut self, up: bool, mail: Option<Mail>, out: &mut Vec<Action>) {
        self.told = Some(up);
        let script = if up { &self.config.quorum_up } else { &self.config.quorum_down };
        out.push(Action::Notify(Notification {
            subject: Subject::VirtualServer(self.id, Arc::clone(&self.config)),
            up,
            script: script.clone(),
            fifo: true,
            mail: mail.filter(|_| self.config.smtp_alert),
        }));
    }
}

/// A checker within its virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) server: usize,
    pub(crate) checker: usize,
}
