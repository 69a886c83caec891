//! Mail: to whom, from whom, through which server. What is worth a mail is said by each object's `smtp_alert`.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Duration;

/// Everything a mail needs besides its subject and its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// `smtp_server`; without one there is no mail.
    pub server: Option<MailServer>,
    /// `notification_email`, in the order of the file; without any there is no mail.
    pub recipients: Vec<Mailbox>,
    /// `notification_email_from`, else the daemon's user at this host.
    pub from: Mailbox,
    /// `smtp_helo_name`, else the local host name.
    pub helo_name: Arc<str>,
    /// `smtp_connect_timeout`: limit of connecting and of each reply; at least a second.
    pub timeout: Duration,
    /// `no_email_faults`: no mail when a virtual router goes to FAULT.
    pub no_faults: bool,
}

impl Mail {
    /// The server and whether there is anybody to write to; none where no mail is ever sent.
    pub fn server(&self) -> Option<&MailServer> {
        self.server.as_ref().filter(|_| !self.recipients.is_empty())
    }
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            server: None,
            recipients: Vec::new(),
            from: Mailbox::default(),
            helo_name: "localhost".into(),
            timeout: Duration::from_secs(30),
            no_faults: false,
        }
    }
}

/// `smtp_server HOST [PORT]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailServer {
    /// Who.
    pub host: MailHost,
    /// Port, 1 to 65,535; by default 25.
    pub port: u16,
}

/// The server's address, or the name to look up when there is a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MailHost {
    /// An address.
    Address(IpAddr),
    /// A host name. It is not looked up while a configuration is read: that could take long, and what cannot be looked up
    /// now may be there when a mail is to be sent.
    Name(Arc<str>),
}

/// Somebody who sends or gets mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// As in headers `From:` and `To:`, a display name quoted where RFC 5322 §3.2.4 needs it.
    pub header: Arc<str>,
    /// The bare address, `USER@HOST`, as in MAIL FROM and RCPT TO.
    pub address: Arc<str>,
}
