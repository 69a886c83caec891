//! What FIFOs are told, a line each (`operator-surface.md` §5.4, §5.5).

use crate::vrrp::io::{Notification, Notified, Subject};

/// The line about a virtual router or a group: `INSTANCE "VI_1" MASTER 100`.
pub fn vrrp(notification: &Notification) -> String {
    let subject = match notification.subject {
        Subject::Instance => "INSTANCE",
        Subject::Group => "GROUP",
    };
    let state = match notification.what {
        Notified::Master => "MASTER",
        Notified::Backup => "BACKUP",
        Notified::Fault => "FAULT",
        Notified::Stop => "STOP",
        Notified::Deleted if notification.notify.reports_deleted => "DELETED",
        // keepalived: without `notify_deleted` a reload that removes an instance reports FAULT.
        Notified::Deleted => "FAULT",
        Notified::MasterRxLowerPri => "MASTER_RX_LOWER_PRI",
        Notified::MasterPriority => "MASTER_PRIORITY",
        Notified::BackupPriority => "BACKUP_PRIORITY",
    };
    format!("{subject} \"{}\" {state} {}\n", notification.name, notification.priority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_keepalived_s() {
        let line = |subject, what, priority| {
            vrrp(&Notification { subject, name: "VI 1".into(), what, priority, notify: Default::default() })
        };
        assert_eq!(line(Subject::Instance, Notified::Master, 101), "INSTANCE \"VI 1\" MASTER 101\n");
        assert_eq!(line(Subject::Group, Notified::Backup, 0), "GROUP \"VI 1\" BACKUP 0\n");
        assert_eq!(line(Subject::Instance, Notified::Deleted, 101), "INSTANCE \"VI 1\" FAULT 101\n");
        assert_eq!(line(Subject::Instance, Notified::BackupPriority, 81), "INSTANCE \"VI 1\" BACKUP_PRIORITY 81\n");
    }
}
