//! Who is told when a server or a quorum comes or goes: scripts, FIFOs, mail, in keepalived's order.

use super::Process;
use super::scripts::Scripts;
use crate::check::io::Notification;
use crate::model::{Fifos as FifoSettings, ScriptCommand};
use crate::notify::{fifo, mail};
use crate::process::fifos::{Fifos, Readers};
use crate::process::ipc::Job;
use crate::process::mail::Post;

/// FIFOs and mail of the process.
#[derive(Debug)]
pub(super) struct Notices {
    fifos: Fifos<Job>,
    mail: Post,
}

impl Default for Notices {
    /// No FIFO is open yet.
    fn default() -> Self {
        Self { fifos: Fifos::new("lvs "), mail: Post::default() }
    }
}

impl Notices {
    /// Opens the FIFOs that are wanted; those that stay as they were stay open.
    pub(super) fn open(&mut self, settings: &FifoSettings, scripts: &mut Scripts) {
        // keepalived: the script of `notify_fifo` belongs to the process of virtual routers.
        let shared = settings.all.clone().map(|all| crate::model::Fifo { script: None, ..all });
        self.fifos.apply(shared.iter().chain(&settings.lvs), scripts);
    }

    /// The readers of FIFOs are to end before the last lines come.
    pub(super) fn end_readers(&mut self, scripts: &mut Scripts) {
        self.fifos.end_readers(scripts);
    }

    /// Mails that a server has taken, and mails that are lost.
    pub(super) fn mails(&self) -> (u64, u64) {
        self.mail.counts()
    }

    /// The end: FIFOs go, mail has a little time.
    pub(super) fn finish(self) {
        drop(self.fifos);
        self.mail.finish();
    }
}

impl Readers for Scripts {
    type Reader = Job;

    fn start(&mut self, script: &ScriptCommand) -> Job {
        self.notify(script)
    }

    fn end(&mut self, reader: Job) {
        self.terminate(reader);
    }
}

impl Process {
    pub(super) fn notify(&mut self, notification: &Notification) {
        if let Some(script) = &notification.script {
            self.scripts.notify(script);
        }
        if notification.fifo && !self.notices.fifos.is_empty() {
            self.notices.fifos.tell(&fifo::lvs(notification));
        }
        if let Some(words) = mail::lvs(notification) {
            self.notices.mail.send(&self.config.global, &words.subject, &words.text);
        }
    }
}
