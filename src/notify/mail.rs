//! Subjects and texts of mails (`operator-surface.md` §6.3). `[ROUTER_ID] ` comes before each subject.

use std::net::SocketAddr;

use crate::check;
use crate::check::io::{Reason, ReasonKind};
use crate::check::names;
use crate::check::report::Quorum;
use crate::model::Checker;
use crate::model::checker::Probe;
use crate::notify::checks::{smtp_words, thresholds};
use crate::vrrp::io::{Notification, Notified, Subject};

/// Subject and text of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Subject, without the router's name.
    pub subject: String,
    /// Text, one line.
    pub text: String,
}

/// The mail about a virtual router or a group; none for what is no state.
pub fn vrrp(notification: &Notification) -> Option<Words> {
    use Notified::{Backup, Deleted, Fault, Master, Stop};
    let name = &notification.name;
    let (kind, is_group) = match notification.subject {
        Subject::Instance => ("Instance", false),
        Subject::Group => ("Group", true),
    };
    let what = match notification.what {
        // keepalived: without `notify_deleted` a reload that removes an instance reports FAULT.
        Deleted if !notification.notify.reports_deleted => Fault,
        what => what,
    };
    let (event, state) = match what {
        Master => ("Entering MASTER state", "MASTER"),
        Backup => ("Entering BACKUP state", "BACKUP"),
        Fault => ("Entering FAULT state", "FAULT"),
        Stop => ("Stopping", ""),
        Deleted => ("Deleted", ""),
        Notified::MasterRxLowerPri | Notified::MasterPriority | Notified::BackupPriority => return None,
    };
    let text = match (what, is_group) {
        (Stop, true) => "=> All VRRP group instances are now stopping <=".to_owned(),
        (_, true) => format!("=> All VRRP group instances are now in {state} state <="),
        (Master, false) => "=> VRRP Instance is now owning VRRP VIPs <=".to_owned(),
        (Stop, false) => "=> VRRP Instance stopping <=".to_owned(),
        (Deleted, false) => "=> VRRP Deleted at reload <=".to_owned(),
        (_, false) => "=> VRRP Instance is no longer owning VRRP VIPs <=".to_owned(),
    };
    Some(Words { subject: format!("VRRP {kind} {name} - {event}"), text })
}

/// The mail about a virtual or a real server; none where none is to be sent.
pub fn lvs(notification: &check::io::Notification) -> Option<Words> {
    use check::io::{Mail, Subject};
    let says = notification.mail.as_ref()?;
    let state = if notification.up { "UP" } else { "DOWN" };
    let (subject, rs) = match &notification.subject {
        Subject::VirtualServer(_, vs) => (format!("Virtualserver {} - {state}", names::virtual_server(vs)), "".into()),
        Subject::RealServer(_, vs, rs) => {
            let (vs, rs) = (names::virtual_server(vs), names::real_server(vs, rs));
            (format!("Realserver {rs} of virtual server {vs} - {state}"), rs)
        }
    };
    let text = match says {
        Mail::Succeeded(checker) => succeeded(checker),
        Mail::Failed { checker, asked_at, reason } => failed(checker, reason, *asked_at, &rs),
        Mail::Quorum { what, quorum, hysteresis, weight } => {
            let (low, high) = thresholds(*quorum, *hysteresis);
            let (what, threshold) = match what {
                Quorum::Gained => ("Gained quorum", high),
                Quorum::Lost => ("Lost quorum", low),
                Quorum::StartsUp => ("Starting with quorum up", high),
                Quorum::StartsDown => ("Starting with quorum down", high),
            };
            // keepalived: plus and "at most" for the loss as well
            format!("{what} {quorum}+{hysteresis}={threshold} <= {weight}")
        }
        Mail::Removing => "Removing".to_owned(),
        Mail::ShuttingDown => "Shutting down".to_owned(),
    };
    Some(Words { subject, text: format!("=> {text} <=") })
}

fn succeeded(checker: &Checker) -> String {
    match &checker.probe {
        Probe::Tcp(_) => "TCP CHECK succeed on service".to_owned(),
        Probe::Http(_) | Probe::Smtp(_) => "CHECK succeed on service".to_owned(),
        Probe::Dns(_) => "DNS_CHECK: succeed on service".to_owned(),
        Probe::Udp(_) => "UDP CHECK succeed on service".to_owned(),
        Probe::Ping(_) => "ICMP CHECK succeed on service".to_owned(),
        Probe::Misc(_) => "MISC CHECK succeeded on service".to_owned(),
        Probe::File(_) => "FILE CHECK succeeded on service".to_owned(), // ours: it sends no mail
        Probe::Bfd(name) => format!("BFD CHECK {name} succeeded on service"),
    }
}

fn failed(checker: &Checker, reason: &Reason, asked_at: SocketAddr, rs: &str) -> String {
    match &checker.probe {
        Probe::Tcp(_) => "TCP CHECK failed on service".to_owned(),
        Probe::Http(_) => "CHECK failed on service : HTTP/SSL request failed".to_owned(),
        Probe::Smtp(smtp) => {
            format!("CHECK failed on service : {}", smtp_words(reason, smtp.connection.target(asked_at), rs))
        }
        Probe::Dns(_) => "DNS_CHECK: failed on service".to_owned(),
        Probe::Udp(_) => "UDP CHECK failed on service".to_owned(),
        Probe::Ping(_) => "ICMP CHECK failed on service".to_owned(),
        Probe::Misc(_) if reason.kind == ReasonKind::ScriptTimeout => "MISC CHECK timed out on service".to_owned(),
        Probe::Misc(_) => "MISC CHECK failed on service".to_owned(),
        Probe::File(_) => "FILE CHECK failed on service".to_owned(), // ours: it sends no mail
        Probe::Bfd(name) => format!("BFD CHECK {name} failed on service"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_keepalived_s() {
        let words = |subject, what| {
            vrrp(&Notification { subject, name: "X".into(), what, priority: 1, notify: Default::default() })
                .map(|words| (words.subject, words.text))
        };
        let expect = |subject: &str, text: &str| Some((subject.to_owned(), text.to_owned()));
        assert_eq!(
            words(Subject::Instance, Notified::Master),
            expect("VRRP Instance X - Entering MASTER state", "=> VRRP Instance is now owning VRRP VIPs <=")
        );
        assert_eq!(
            words(Subject::Instance, Notified::Fault),
            expect("VRRP Instance X - Entering FAULT state", "=> VRRP Instance is no longer owning VRRP VIPs <=")
        );
        assert_eq!(
            words(Subject::Group, Notified::Backup),
            expect("VRRP Group X - Entering BACKUP state", "=> All VRRP group instances are now in BACKUP state <=")
        );
        assert_eq!(
            words(Subject::Group, Notified::Stop),
            expect("VRRP Group X - Stopping", "=> All VRRP group instances are now stopping <=")
        );
        assert_eq!(words(Subject::Instance, Notified::MasterPriority), None);
    }
}
