//! Probes: TCP_CHECKs all together, the others as tasks. Each asks one server once, and says what it found.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use tracing::warn;

use crate::check::io::{ProbeId, Reason, ReasonKind, Verdict};
use crate::model::checker::Probe;
use crate::model::{Checker, Lvs};
use crate::probe::connects::Connects;
use crate::probe::{self, Environment};
use crate::time::Instant;

/// The probes that run.
pub(super) struct Probes {
    environment: Arc<Environment>,
    connects: Connects,
    running: BTreeMap<ProbeId, AbortHandle>,
    sender: UnboundedSender<(ProbeId, Verdict)>,
    verdicts: UnboundedReceiver<(ProbeId, Verdict)>,
    /// The first of them, taken while waiting.
    arrived: Option<(ProbeId, Verdict)>,
}

impl Probes {
    /// For no configuration yet.
    pub(super) fn new() -> io::Result<Self> {
        let (sender, verdicts) = unbounded_channel();
        let (environment, connects) = (prepare(&Lvs::default()), Connects::new()?);
        Ok(Self { environment, connects, running: BTreeMap::new(), sender, verdicts, arrived: None })
    }

    /// What probes share is made anew for another configuration; those that run keep theirs.
    pub(super) fn use_configuration(&mut self, lvs: &Lvs) {
        self.environment = prepare(lvs);
    }

    pub(super) fn start(&mut self, id: ProbeId, checker: &Arc<Checker>, server: SocketAddr, url: usize, now: Instant) {
        if let Probe::Tcp(to) = &checker.probe {
            return self.connects.start(id, to.contact(server), now);
        }
        let checker = Arc::clone(checker);
        let environment = Arc::clone(&self.environment);
        let answer = Answer { id, verdict: None, sender: self.sender.clone() };
        let task = tokio::spawn(async move { answer.send(probe::run(checker, server, url, environment).await) });
        self.running.insert(id, task.abort_handle());
    }

    pub(super) fn cancel(&mut self, id: ProbeId) {
        self.connects.cancel(id);
        if let Some(task) = self.running.remove(&id) {
            task.abort();
        }
    }

    /// When to come back with [`Self::tick`].
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.connects.deadline()
    }

    /// Looks at what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        self.connects.tick(now);
    }

    pub(super) fn cancel_all(&mut self) {
        std::mem::take(&mut self.running).into_values().for_each(|task| task.abort());
    }

    /// Waits until [`Self::next`] may have something.
    pub(super) async fn ready(&mut self) {
        if self.arrived.is_some() || !self.verdicts.is_empty() {
            return;
        }
        tokio::select! {
            biased;
            () = self.connects.ready() => {}
            verdict = self.verdicts.recv() => self.arrived = verdict,
        }
    }

    /// A verdict that waits. The engine knows no more of one that was cancelled meanwhile.
    pub(super) fn next(&mut self) -> Option<(ProbeId, Verdict)> {
        if let Some(verdict) = self.connects.next_verdict() {
            return Some(verdict);
        }
        loop {
            let (id, verdict) = self.arrived.take().or_else(|| self.verdicts.try_recv().ok())?;
            if self.running.remove(&id).is_some() {
                return Some((id, verdict));
            }
        }
    }
}

fn prepare(lvs: &Lvs) -> Arc<Environment> {
    let (environment, complaints) = Environment::new(lvs);
    complaints.iter().for_each(|complaint| warn!("{complaint}"));
    Arc::new(environment)
}

/// Sends the verdict when the task ends, however it ends: a checker that waits for ever would keep a dead server.
struct Answer {
    id: ProbeId,
    verdict: Option<Verdict>,
    sender: UnboundedSender<(ProbeId, Verdict)>,
}

impl Answer {
    fn send(mut self, verdict: Verdict) {
        self.verdict = Some(verdict);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let broken = || Verdict::Local(Reason { kind: ReasonKind::Local, detail: "the probe broke off".into() });
        // The receiver goes with the process only.
        let _ = self.sender.send((self.id, self.verdict.take().unwrap_or_else(broken)));
    }
}
