//! Who is told of a transition: scripts, FIFOs, mail, in keepalived's order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Process;
use super::scripts::Scripts;
use crate::model::{Fifos as FifoSettings, Global, ScriptCommand};
use crate::notify::{fifo, mail};
use crate::process::fifos::{Fifos, Readers};
use crate::process::mail::Post;
use crate::vrrp::io::{Notification, Notified, Role, Subject};

/// FIFOs and mail of the process.
#[derive(Debug)]
pub(super) struct Notices {
    fifos: Fifos<u64>,
    mail: Post,
    /// What the last mail about each instance and group said.
    mailed: BTreeMap<(bool, Arc<str>), Notified>,
}

impl Default for Notices {
    /// No FIFO is open yet.
    fn default() -> Self {
        Self { fifos: Fifos::new("vrrp "), mail: Post::default(), mailed: BTreeMap::new() }
    }
}

impl Notices {
    /// Opens the FIFOs that are wanted; those that stay as they were stay open.
    pub(super) fn open(&mut self, settings: &FifoSettings, scripts: &mut Scripts) {
        self.fifos.apply(settings.all.iter().chain(&settings.vrrp), scripts);
    }

    fn send(&mut self, notification: &Notification, global: &Global) {
        if !self.fifos.is_empty() {
            self.fifos.tell(&fifo::vrrp(notification));
        }
        if !notification.notify.smtp_alert || (global.mail.no_faults && notification.what == Notified::Fault) {
            return;
        }
        let Some(words) = mail::vrrp(notification) else { return };
        let who = (notification.subject == Subject::Group, Arc::clone(&notification.name));
        // keepalived: a state that the last mail told of is not told again.
        if self.mailed.insert(who, notification.what) != Some(notification.what) {
            self.mail.send(global, &words.subject, &words.text);
        }
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
    type Reader = u64;

    fn start(&mut self, script: &ScriptCommand) -> u64 {
        self.start_notify(script, Vec::new())
    }

    fn end(&mut self, reader: u64) {
        self.end_notify(reader);
    }
}

impl Process {
    pub(super) fn notify(&mut self, notification: &Notification) {
        self.scripts.notify(notification);
        self.notices.send(notification, &self.config.global);
    }

    /// `fifo_write_vrrp_states_on_reload`: every instance and group, for readers that have come anew.
    pub(super) fn tell_states(&mut self) {
        if !self.config.global.fifos.states_on_reload {
            return;
        }
        for view in self.node.views() {
            let what = match view.role {
                Role::Master => Notified::Master,
                Role::Backup => Notified::Backup,
                Role::Fault => Notified::Fault,
                Role::Init => continue,
            };
            let (name, notify) = (Arc::clone(&view.config.name), Arc::clone(&view.config.notify));
            let priority = view.effective_priority;
            let notification = Notification { subject: Subject::Instance, name, what, priority, notify };
            self.notices.fifos.tell(&fifo::vrrp(&notification));
        }
    }
}
