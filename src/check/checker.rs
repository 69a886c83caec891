//! When a checker runs, and what an answer means for it: retries, urls, dynamic weights (`lvs.md` §5).

use std::net::SocketAddr;
use std::sync::Arc;

use crate::check::io::{ProbeId, Reason, ReasonKind, Verdict};
use crate::check::report::CheckerEvent;
use crate::model;
use crate::model::checker::{Connection, FileCheck, Http, Probe, Schedule};
use crate::time::{Duration, Instant};

/// A checker of one real server.
#[derive(Clone, Debug)]
pub(crate) struct Checker {
    pub(crate) config: Arc<model::Checker>,
    /// Its server may serve as far as this checker is concerned.
    pub(crate) is_up: bool,
    /// It has come to a verdict at least once.
    pub(crate) has_run: bool,
    /// Failures that are still forgiven before it is down.
    pub(crate) patience: u32,
    /// What it adds to the weight of its server.
    pub(crate) contribution: i64,
    pub(crate) run: Run,
    /// HTTP: the url to ask next.
    url: u32,
    /// HTTP: `url` is the one that failed; it must pass before the list starts again.
    url_failed: bool,
    /// Why the last probe did not succeed; none after a success. Most have none, of very many: no space is kept for it.
    pub(crate) reason: Option<Box<Reason>>,
    /// MISC: last exit status.
    pub(crate) last_status: Option<u8>,
    /// MISC: the weight that the script asks for, where it does.
    asked_weight: Option<u8>,
    /// Probes that came to an end.
    pub(crate) probes: u64,
    /// Those of them that failed.
    pub(crate) failures: u64,
    /// Since when it is up or down; of which of both that was noted, none before anybody looked.
    since: Instant,
    noted: Option<bool>,
}

/// What a checker is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// For an event, or for the end of a suspension.
    Idle,
    /// For its next probe.
    Waiting(Instant),
    /// For the answer of this one, which was due then.
    Probing { id: ProbeId, since: Instant },
}

/// What the end of a probe means.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Conclusion {
    /// To be logged, before the verdict takes effect.
    pub(crate) events: Vec<CheckerEvent>,
    /// Up or down, where it comes to that.
    pub(crate) verdict: Option<bool>,
    /// Until the next probe.
    pub(crate) pause: Duration,
}

impl Checker {
    /// As at the start of the daemon: the first failure decides.
    pub(crate) fn new(config: &Arc<model::Checker>) -> Self {
        let mut checker = Self {
            config: Arc::clone(config),
            is_up: true,
            has_run: false,
            patience: 0,
            contribution: 0,
            run: Run::Idle,
            url: 0,
            url_failed: false,
            reason: None,
            last_status: None,
            asked_weight: None,
            probes: 0,
            failures: 0,
            since: Instant::ZERO,
            noted: None,
        };
        checker.is_up = !checker.starts_down();
        if checker.is_smtp() {
            // keepalived: each round of an SMTP_CHECK has all its attempts, the first one too
            checker.patience = checker.schedule().retry;
        }
        checker
    }

    /// As a reload adds it: with all its retries.
    pub(crate) fn patient(config: &Arc<model::Checker>) -> Self {
        let mut checker = Self::new(config);
        checker.patience = checker.schedule().retry;
        checker
    }

    /// `alpha`, which means nothing to FILE_CHECK.
    fn starts_down(&self) -> bool {
        self.config.alpha && self.file().is_none()
    }

    /// HTTP: the url that failed and must pass before the list starts again.
    pub(crate) fn failed_url(&self) -> Option<usize> {
        self.url_failed.then(|| self.url())
    }

    /// Remembers when it came up or went down, if that is now.
    pub(crate) fn note(&mut self, now: Instant) {
        if self.noted.replace(self.is_up) != Some(self.is_up) {
            self.since = now;
        }
    }

    /// Since when it is up or down.
    pub(crate) const fn since(&self) -> Instant {
        self.since
    }

    /// From now on one failure decides.
    pub(crate) fn lose_patience(&mut self) {
        if !self.is_smtp() {
            self.patience = 0;
        }
    }

    pub(crate) fn schedule(&self) -> Schedule {
        self.config.schedule
    }

    pub(crate) fn file(&self) -> Option<FileCheck> {
        match self.config.probe {
            Probe::File(file) => Some(file),
            _ => None,
        }
    }

    fn is_smtp(&self) -> bool {
        matches!(self.config.probe, Probe::Smtp(_))
    }

    /// Which url the next probe is to ask for.
    pub(crate) fn url(&self) -> usize {
        self.url as usize
    }

    /// Failures in a row so far, as long as it is up.
    pub(crate) fn failures_in_a_row(&self) -> u32 {
        self.schedule().retry.saturating_sub(self.patience)
    }

    /// Takes the end of a probe. `weight` is the configured one of the real server.
    pub(crate) fn conclude(&mut self, verdict: Verdict, weight: u32) -> Conclusion {
        let failure = match verdict {
            Verdict::Pass => None,
            Verdict::Fail(reason) => Some(reason),
            Verdict::Exited(status) => self.exited(status, weight),
            // keepalived: for a UDP_CHECK this is a failure
            Verdict::Local(reason) if matches!(self.config.probe, Probe::Udp(_)) => Some(reason),
            Verdict::Local(reason) => return self.local(reason),
        };
        self.probes += 1;
        match failure {
            None => self.passed(),
            Some(reason) => {
                self.failures += 1;
                self.failed(reason)
            }
        }
    }

    fn exited(&mut self, status: u8, weight: u32) -> Option<Reason> {
        self.last_status = Some(status);
        let is_dynamic = matches!(&self.config.probe, Probe::Misc(misc) if misc.dynamic);
        self.asked_weight = match status {
            0 => None,
            2.. if is_dynamic => Some(status - 2),
            _ => {
                let detail = format!("exited with status {status}").into();
                return Some(Reason { kind: ReasonKind::Exited(status), detail });
            }
        };
        self.contribution = self.dynamic_contribution(weight);
        None
    }

    /// What the script adds to the weight of a server of this configured weight.
    fn dynamic_contribution(&self, weight: u32) -> i64 {
        self.asked_weight.map_or(0, |asked| i64::from(asked) - i64::from(weight))
    }

    /// This machine could not ask: said once, and no verdict.
    fn local(&mut self, reason: Reason) -> Conclusion {
        let is_new = self.reason.as_deref() != Some(&reason);
        let events = if is_new { vec![CheckerEvent::Local(reason.clone())] } else { Vec::new() };
        self.reason = Some(reason.into());
        Conclusion { events, ..Self::nothing(self.schedule().delay_loop) }
    }

    fn nothing(pause: Duration) -> Conclusion {
        Conclusion { pause, ..Conclusion::default() }
    }

    fn passed(&mut self) -> Conclusion {
        self.reason = None;
        let mut events = Vec::new();
        let config = Arc::clone(&self.config);
        if let Probe::Http(http) = &config.probe {
            if !self.is_up {
                events.push(CheckerEvent::UrlPassed(self.url()));
            }
            if !self.next_url(http) {
                // keepalived: until the whole list has passed once, one failure is enough
                self.patience = if self.has_run { self.schedule().retry } else { 0 };
                let hurries = http.fast_recovery && !(self.is_up && self.has_run);
                let pause = if hurries { Duration::ZERO } else { self.schedule().delay_loop };
                return Conclusion { events, ..Self::nothing(pause) };
            }
        }
        self.patience = self.schedule().retry;
        let is_news = !(self.is_up && self.has_run);
        if is_news {
            events.push(CheckerEvent::Up);
        }
        Conclusion { events, verdict: is_news.then_some(true), ..Self::nothing(self.schedule().delay_loop) }
    }

    /// Goes on to the next url; true where the whole list has passed.
    fn next_url(&mut self, http: &Http) -> bool {
        let was_failed = std::mem::take(&mut self.url_failed);
        let is_last = self.url() + 1 >= http.urls.len();
        // keepalived: once the url that failed passes, the list starts again before the server is up
        self.url = if was_failed || is_last { 0 } else { self.url + 1 };
        is_last && !was_failed
    }

    fn failed(&mut self, reason: Reason) -> Conclusion {
        self.reason = Some(reason.clone().into());
        let schedule = self.schedule();
        let is_down_already = self.has_run && !self.is_up;
        let logs = self.config.log_all_failures && self.is_up;
        if self.patience > 0 && (self.is_smtp() || !is_down_already) {
            self.patience -= 1;
            let failure = self.failures_in_a_row();
            let events = if logs { vec![CheckerEvent::Failed { reason, failure }] } else { Vec::new() };
            return Conclusion { events, ..Self::nothing(schedule.delay_before_retry) };
        }
        if self.is_smtp() {
            self.patience = schedule.retry;
        }
        if is_down_already {
            return Self::nothing(self.pause_while_down());
        }
        let mut events = Vec::new();
        if logs && self.says_each_failure_apart() {
            events.push(CheckerEvent::Failed { reason: reason.clone(), failure: schedule.retry.saturating_add(1) });
        }
        events.push(CheckerEvent::Down { reason, first: !self.has_run });
        self.url_failed = matches!(self.config.probe, Probe::Http(_));
        (self.contribution, self.asked_weight) = (0, None);
        Conclusion { events, verdict: Some(false), ..Self::nothing(self.pause_while_down()) }
    }

    fn pause_while_down(&self) -> Duration {
        let Schedule { delay_loop, delay_before_retry, .. } = self.schedule();
        match self.config.probe {
            Probe::Http(_) if self.url_failed => delay_loop.max(delay_before_retry),
            Probe::Http(_) => delay_before_retry,
            _ => delay_loop,
        }
    }

    /// Whether the sentence for a single failure differs from the one for the server going down.
    fn says_each_failure_apart(&self) -> bool {
        matches!(self.config.probe, Probe::Tcp(_) | Probe::Http(_) | Probe::Udp(_) | Probe::Ping(_))
    }

    /// Takes over what an equal checker knew before a reload.
    pub(crate) fn inherit(&mut self, old: &Self, weight: u32) {
        let retry = self.schedule().retry;
        self.is_up = old.is_up;
        self.has_run = old.has_run;
        self.patience = retry - old.failures_in_a_row().min(retry);
        (self.url, self.url_failed) = (old.url, old.url_failed);
        self.reason.clone_from(&old.reason);
        self.last_status = old.last_status;
        (self.probes, self.failures) = (old.probes, old.failures);
        (self.since, self.noted) = (old.since, old.noted);
        self.asked_weight = old.asked_weight;
        self.contribution = self.dynamic_contribution(weight);
    }
}

/// What the number in a track file means: a contribution to the weight, or none where it is a failure.
pub(crate) fn file_contribution(check: FileCheck, number: i32) -> Option<i64> {
    if check.weight == 0 {
        return if (number != 0) == check.reverse { Some(0) } else { None };
    }
    let product = i64::from(number) * i64::from(check.weight);
    let signed = if check.reverse { -product } else { product };
    let clamped = signed.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    (clamped > i64::from(i32::MIN)).then_some(clamped)
}

/// Whether a checker of this kind asks by the clock; the others are told.
pub(crate) fn is_timed(probe: &Probe) -> bool {
    !matches!(probe, Probe::File(_) | Probe::Bfd(_))
}

/// Why a FILE_CHECK fails.
pub(crate) fn file_reason(number: i32) -> Reason {
    Reason { kind: ReasonKind::File, detail: format!("the number in its file is {number}").into() }
}

/// Whether two checkers put the same question, so that the answers to one say something about the other. Each is of a
/// server that is asked there unless it says otherwise. How long they wait for the answer does not matter.
pub(crate) fn same_question((a, a_at): (&Probe, SocketAddr), (b, b_at): (&Probe, SocketAddr)) -> bool {
    use Probe as P;
    let same = |a: &Connection, b: &Connection| {
        let Connection { connect_ip, connect_port, timeout, .. } = *a;
        a.target(a_at) == b.target(b_at) && *a == Connection { connect_ip, connect_port, timeout, ..b.clone() }
    };
    match (a, b) {
        (P::Tcp(a), P::Tcp(b)) | (P::Ping(a), P::Ping(b)) => same(a, b),
        (P::Http(a), P::Http(b)) => {
            (a.tls, a.version, &a.urls) == (b.tls, b.version, &b.urls) && same(&a.connection, &b.connection)
        }
        (P::Smtp(a), P::Smtp(b)) => a.helo_name == b.helo_name && same(&a.connection, &b.connection),
        (P::Dns(a), P::Dns(b)) => {
            (a.record_type, &a.name) == (b.record_type, &b.name) && same(&a.connection, &b.connection)
        }
        (P::Udp(a), P::Udp(b)) => {
            let content = |udp: &model::checker::Udp| {
                (udp.payload.clone(), udp.require_reply, udp.reply.clone(), udp.reply_length.clone())
            };
            content(a) == content(b) && same(&a.connection, &b.connection)
        }
        (P::Misc(a), P::Misc(b)) => (&a.command, a.dynamic) == (&b.command, b.dynamic),
        (P::Bfd(a), P::Bfd(b)) => a == b,
        (P::File(_), _) | (_, P::File(_)) => false, // its file says how it is
        _ => false,
    }
}
