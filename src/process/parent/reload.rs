//! A reload as the parent does it: read once, decide, hand over, wait for the answers. SIGHUP and the control socket
//! share this path.

use std::path::PathBuf;

use tokio::sync::oneshot;
use tracing::{debug, error, info, warn};

use crate::process::configuration::{self, Finding, Sealed};
use crate::process::ipc::{CONTROL_VERSION, Reply, ToChild};
use crate::supervise::reload::{Refusal, changes, refusal};
use crate::sys::{clock, files, memory};
use crate::time::{Duration, Instant};

use super::Parent;

/// A child that has not answered by then is reported.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reload that waits for its children.
pub(super) struct Reloading {
    replies: Vec<oneshot::Sender<Reply>>,
    /// Children (by slot) that have not answered.
    pending: Vec<usize>,
    lines: Vec<String>,
    problems: Vec<String>,
    /// What was in force before, for children that start when the new one is not taken; none where it is the same.
    before: Option<Sealed>,
    pub(super) deadline: Instant,
}

impl Parent {
    pub(super) fn ask_for_reload(&mut self, reply: Option<oneshot::Sender<Reply>>) {
        if self.stopping.is_some() {
            if let Some(reply) = reply {
                let _ = reply.send(answer(false, vec!["the daemon is stopping".into()]));
            }
            return;
        }
        self.next_replies.extend(reply);
        if self.progress.request() {
            self.begin_reload();
        } else {
            debug!("Reload already in progress, request queued");
        }
    }

    /// The running reload (or the start) is over.
    pub(super) fn next_reload(&mut self) {
        if self.progress.finished() {
            debug!("Processing queued reload");
            self.begin_reload();
        }
    }

    fn begin_reload(&mut self) {
        info!("Reloading ...");
        self.service.reloading();
        let replies = std::mem::take(&mut self.next_replies);
        self.make_reload_file();
        let read = (!self.may_be_same()).then(|| configuration::read(&self.start.options, &self.start.origin));
        self.remove_reload_file();
        let mut read = match read {
            None => {
                configuration::log_findings(&self.in_force.findings);
                let lines = lines(&self.in_force.findings);
                return self.hand_over(None, lines, replies);
            }
            Some(Ok(read)) => read,
            Some(Err(error)) => {
                let reason = format!("cannot ask the kernel for interfaces: {error}");
                return self.reload_refused(reason, Vec::new(), replies);
            }
        };
        configuration::log_findings(&read.findings);
        let lines = lines(&read.findings);
        if let Some(name) = &self.start.options.namespace {
            // The command line beats the file, at a reload as at the start.
            let global = std::sync::Arc::make_mut(&mut read.loaded.config.global);
            global.net_namespace = Some(name.clone());
            std::sync::Arc::make_mut(&mut self.in_force.config.global).net_namespace = Some(name.clone());
        }
        read.keep_marks(&self.in_force.config.lvs.marks);
        let refusal = refusal(&self.in_force.config, &read.loaded.config, &read.loaded.diagnostics);
        let refused = refusal.map(|refusal| self.refusal_text(&refusal, &lines));
        let sealed = match refused {
            Some(reason) => Err(reason),
            None => read.seal().map_err(|error| format!("cannot hand the configuration over: {error}")),
        };
        match sealed {
            Err(reason) => self.reload_refused(reason, lines, replies),
            Ok(new) => self.hand_over(Some(new), lines, replies),
        }
        memory::give_back();
    }

    /// Whether reading the files once more would change nothing, nor say anything else. With `reload_check_config`,
    /// findings that a start has let pass refuse a reload.
    fn may_be_same(&self) -> bool {
        self.in_force.config.global.reload_check_config.is_none() && self.in_force.still_holds().unwrap_or(false)
    }

    fn reload_file(&self) -> Option<PathBuf> {
        let named = self.in_force.config.global.reload_file.as_ref()?;
        Some(named.clone().unwrap_or_else(|| self.start.names.reload_file()))
    }

    /// `reload_file` exists, empty, while the configuration is read: who writes the configuration waits for its end.
    fn make_reload_file(&self) {
        if let Some(path) = self.reload_file()
            && let Err(error) = files::replace(&path, b"", 0o644)
        {
            warn!("cannot make the reload file {}: {error}", path.display());
        }
    }

    /// Removes `reload_file`, or what a crash left of it.
    pub(super) fn remove_reload_file(&self) {
        if let Some(path) = self.reload_file()
            && let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            warn!("cannot remove the reload file {}: {error}", path.display());
        }
    }

    fn refusal_text(&self, refusal: &Refusal, lines: &[String]) -> String {
        match refusal {
            Refusal::Unusable => {
                lines.last().cloned().unwrap_or_else(|| "keepalived cannot run with this configuration".into())
            }
            Refusal::Findings => {
                let log = self.in_force.config.global.reload_check_config.as_deref().unwrap_or("/dev/null".as_ref());
                write_findings(log, lines);
                format!("New config failed validation, see {} for details", log.display())
            }
            Refusal::NeedsRestart(what) => what
                .iter()
                .map(|what| format!("Cannot change {what} at a reload - please restart keepalived"))
                .collect::<Vec<_>>()
                .join("; "),
        }
    }

    fn reload_refused(&mut self, reason: String, lines: Vec<String>, replies: Vec<oneshot::Sender<Reply>>) {
        error!("{reason}");
        error!("Reload refused: the running configuration stays");
        self.reloads.1 += 1;
        let all: Vec<String> =
            lines.into_iter().chain([format!("reload refused, nothing has changed: {reason}")]).collect();
        self.last_refusal = Some(reason);
        for reply in replies {
            let _ = reply.send(answer(false, all.clone()));
        }
        self.service.ready(&self.status_line());
        self.next_reload();
    }

    /// Lets the children take over a new configuration, or once more the one that is in force.
    fn hand_over(&mut self, new: Option<Sealed>, lines: Vec<String>, replies: Vec<oneshot::Sender<Reply>>) {
        let config = new.as_ref().map_or(&self.in_force.config, |new| &new.config);
        let lines = lines.into_iter().chain(changes(&self.in_force.config, config)).collect();
        let before = new.map(|new| std::mem::replace(&mut self.in_force, new));
        let mut pending = Vec::new();
        for i in 0..self.slots.len() {
            let stays = self.slots[i].has_work(&self.start.options, &self.in_force.config);
            let slot = &mut self.slots[i];
            let (true, Some(link)) = (stays, &mut slot.link) else { continue };
            if before.is_none() {
                link.send(&ToChild::ReloadSame);
                pending.push(i);
            } else if let Ok(copy) = self.in_force.bundle.try_clone() {
                link.send_with(&ToChild::Reload, copy);
                pending.push(i);
            }
        }
        self.want_children();
        let deadline = clock::now() + PATIENCE;
        let problems = Vec::new();
        self.reloading = Some(Reloading { replies, pending, lines, problems, before, deadline });
        self.check_reload(clock::now());
    }

    pub(super) fn reload_answer(&mut self, i: usize, answer: Result<Vec<String>, String>) {
        if let Some(reloading) = &mut self.reloading {
            reloading.pending.retain(|&pending| pending != i);
            match answer {
                Ok(changes) => reloading.lines.extend(changes),
                Err(reason) => reloading.problems.push(reason),
            }
        }
        self.check_reload(clock::now());
    }

    /// A child that ended answers no more; the next one starts with the new configuration.
    pub(super) fn forget_answer_of(&mut self, i: usize) {
        if let Some(reloading) = &mut self.reloading {
            reloading.pending.retain(|&pending| pending != i);
        }
        self.check_reload(clock::now());
    }

    pub(super) fn check_reload(&mut self, now: Instant) {
        let is_over = |r: &Reloading| r.pending.is_empty() || now >= r.deadline;
        if !self.reloading.as_ref().is_some_and(is_over) {
            return;
        }
        let Some(mut reloading) = self.reloading.take() else { return };
        for &i in &reloading.pending {
            reloading.problems.push(format!("the {} process has not answered", self.slots[i].kind.log_name()));
        }
        if !reloading.problems.is_empty() {
            if let Some(before) = reloading.before {
                self.in_force = before;
            }
            self.in_force.doubt();
            self.want_children();
            let reason = reloading.problems.join("; ");
            return self.reload_refused(reason, reloading.lines, reloading.replies);
        }
        self.reloads.0 += 1;
        self.last_refusal = None;
        self.timed.follow(self.in_force.config.global.reload_time.as_ref());
        info!("Reload complete");
        for reply in reloading.replies {
            let mut lines = reloading.lines.clone();
            lines.push("reload complete".into());
            let _ = reply.send(answer(true, lines));
        }
        self.service.ready(&self.status_line());
        self.next_reload();
    }
}

fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|(_, line)| line.clone()).collect()
}

fn write_findings(path: &std::path::Path, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let is_device = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    if !is_device && let Err(error) = files::replace(path, text.as_bytes(), 0o600) {
        error!("cannot write {}: {error}", path.display());
    }
}

pub(super) fn answer(ok: bool, lines: Vec<String>) -> Reply {
    Reply { version: CONTROL_VERSION, ok, lines, status: None }
}
