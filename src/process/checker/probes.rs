//! Probes as tasks: each asks one server once, and says what it found.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use tracing::warn;

use crate::check::io::{ProbeId, Reason, ReasonKind, Verdict};
use crate::model::{Checker, Lvs};
use crate::probe::{self, Environment};

/// The probes that run.
pub(super) struct Probes {
    environment: Arc<Environment>,
    running: BTreeMap<ProbeId, AbortHandle>,
    sender: UnboundedSender<(ProbeId, Verdict)>,
    verdicts: UnboundedReceiver<(ProbeId, Verdict)>,
}

impl Probes {
    /// For no configuration yet.
    pub(super) fn new() -> Self {
        let (sender, verdicts) = unbounded_channel();
        Self { environment: prepare(&Lvs::default()), running: BTreeMap::new(), sender, verdicts }
    }

    /// What probes share is made anew for another configuration; those that run keep theirs.
    pub(super) fn use_configuration(&mut self, lvs: &Lvs) {
        self.environment = prepare(lvs);
    }

    pub(super) fn start(&mut self, id: ProbeId, checker: Arc<Checker>, url: usize) {
        let environment = Arc::clone(&self.environment);
        let answer = Answer { id, verdict: None, sender: self.sender.clone() };
        let task = tokio::spawn(async move { answer.send(probe::run(checker, url, environment).await) });
        self.running.insert(id, task.abort_handle());
    }

    pub(super) fn cancel(&mut self, id: ProbeId) {
        if let Some(task) = self.running.remove(&id) {
            task.abort();
        }
    }

    pub(super) fn cancel_all(&mut self) {
        std::mem::take(&mut self.running).into_values().for_each(|task| task.abort());
    }

    /// Waits for a verdict.
    pub(super) async fn next(&mut self) -> (ProbeId, Verdict) {
        loop {
            match self.verdicts.recv().await {
                // One that was cancelled meanwhile has none.
                Some((id, verdict)) if self.running.remove(&id).is_some() => return (id, verdict),
                Some(_) => {}
                // Never: we have a sender ourselves.
                None => std::future::pending().await,
            }
        }
    }

    /// A verdict that already waits.
    pub(super) fn try_next(&mut self) -> Option<(ProbeId, Verdict)> {
        while let Ok((id, verdict)) = self.verdicts.try_recv() {
            if self.running.remove(&id).is_some() {
                return Some((id, verdict));
            }
        }
        None
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
