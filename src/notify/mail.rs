//! Subjects and texts of mails (`operator-surface.md` §6.3). `[ROUTER_ID] ` comes before each subject.

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
    let (event, state) = match notification.what {
        Master => ("Entering MASTER state", "MASTER"),
        Backup => ("Entering BACKUP state", "BACKUP"),
        Fault => ("Entering FAULT state", "FAULT"),
        Stop => ("Stopping", ""),
        Deleted => ("Deleted", ""),
        Notified::MasterRxLowerPri | Notified::MasterPriority | Notified::BackupPriority => return None,
    };
    let text = match (notification.what, is_group) {
        (Stop, true) => "=> All VRRP group instances are now stopping <=".to_owned(),
        (_, true) => format!("=> All VRRP group instances are now in {state} state <="),
        (Master, false) => "=> VRRP Instance is now owning VRRP VIPs <=".to_owned(),
        (Stop, false) => "=> VRRP Instance stopping <=".to_owned(),
        (Deleted, false) => "=> VRRP Deleted at reload <=".to_owned(),
        (_, false) => "=> VRRP Instance is no longer owning VRRP VIPs <=".to_owned(),
    };
    Some(Words { subject: format!("VRRP {kind} {name} - {event}"), text })
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
