//! What FIFOs are told, a line each (`operator-surface.md` §5.4, §5.5).

use crate::check;
use crate::check::names;
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

/// The line about a virtual or a real server: `RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 UP`.
pub fn lvs(notification: &check::io::Notification) -> String {
    use check::io::Subject;
    let state = if notification.up { "UP" } else { "DOWN" };
    match &notification.subject {
        Subject::VirtualServer(_, vs) => format!("VS {} {state}\n", names::virtual_server(vs)),
        Subject::RealServer(_, vs, rs) => {
            format!("RS {} {} {state}\n", names::real_server(vs, rs), names::virtual_server(vs))
        }
    }
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
