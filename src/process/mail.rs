//! Mail of a child: what is to be said becomes a letter, and the letter goes into the queue.

use std::sync::Arc;
use std::time::SystemTime;

use crate::model::Global;
use crate::notify::letter;
use crate::sys::log;
use crate::sys::mailer::{Letter, Mailer};
use crate::time::Duration;

/// At the end, what waits for its server may go on for so long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Mail of a child.
#[derive(Debug, Default)]
pub(super) struct Post {
    mailer: Mailer,
}

impl Post {
    /// Sends a mail to everybody whom the configuration names; nothing where it names nobody, or no server. Never waits.
    pub(super) fn send(&mut self, global: &Global, subject: &str, text: &str) {
        let mail = &global.mail;
        let Some(server) = mail.server() else { return };
        let date = log::mail_date(SystemTime::now());
        self.mailer.send(Letter {
            server: server.clone(),
            timeout: mail.timeout,
            helo_name: Arc::clone(&mail.helo_name),
            from: Arc::clone(&mail.from.address),
            recipients: mail.recipients.iter().map(|recipient| Arc::clone(&recipient.address)).collect(),
            message: letter::message(mail, &date, &global.router_id, subject, text),
        });
    }

    /// Mails that a server has taken, and mails that are lost.
    pub(super) fn counts(&self) -> (u64, u64) {
        self.mailer.counts()
    }

    /// The end.
    pub(super) fn finish(self) {
        self.mailer.finish(PATIENCE);
    }
}
