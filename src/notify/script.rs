//! What a notification starts: which scripts, with which words, in which order (`operator-surface.md` §5.2, §5.3).

use crate::model::ScriptCommand;
use crate::vrrp::io::{Notification, Notified, Subject};

/// A script to start with words added to those configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// Which.
    pub command: &'a ScriptCommand,
    /// TYPE, NAME, STATE and PRIORITY for the generic script, none for a specific one.
    pub added: Vec<Vec<u8>>,
}

/// The scripts of a notification in the order they are started: the specific one, then the generic one.
pub fn calls(notification: &Notification) -> Vec<Call<'_>> {
    let notify = &notification.notify;
    let (specific, state) = match notification.what {
        Notified::Master => (&notify.master, Some("MASTER")),
        Notified::Backup => (&notify.backup, Some("BACKUP")),
        Notified::Fault => (&notify.fault, Some("FAULT")),
        Notified::Stop => (&notify.stop, Some("STOP")),
        Notified::Deleted if notify.reports_deleted => (&notify.deleted, Some("DELETED")),
        // keepalived: without `notify_deleted` a reload that removes an instance reports FAULT.
        Notified::Deleted => (&notify.fault, Some("FAULT")),
        Notified::MasterRxLowerPri => (&notify.master_rx_lower_pri, None),
        Notified::MasterPriority | Notified::BackupPriority => (&None, None),
    };
    let specific = specific.iter().map(|command| Call { command, added: Vec::new() });
    let generic = state.and_then(|state| {
        let command = notify.generic.as_ref()?;
        Some(Call { command, added: words(notification, state) })
    });
    specific.chain(generic).collect()
}

fn words(notification: &Notification, state: &str) -> Vec<Vec<u8>> {
    let subject = match notification.subject {
        Subject::Instance => "INSTANCE",
        Subject::Group => "GROUP",
    };
    [subject, &notification.name, state, &notification.priority.to_string()].map(|word| word.as_bytes().to_vec()).into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Notify;

    fn script(name: &str) -> Option<Box<ScriptCommand>> {
        Some(Box::new(ScriptCommand {
            path: name.into(),
            argv: vec![name.into(), b"a b".to_vec()],
            uid: 0,
            gid: 0,
            supplementary_groups: false,
            insecure: false,
        }))
    }

    fn of(what: Notified, change: impl FnOnce(&mut Notify)) -> Notification {
        let mut notify = Notify {
            master: script("master"),
            fault: script("fault"),
            generic: script("generic"),
            master_rx_lower_pri: script("lower"),
            ..Notify::default()
        };
        change(&mut notify);
        Notification { subject: Subject::Instance, name: "VI_1".into(), what, priority: 150, notify: Arc::new(notify) }
    }

    fn lines(notification: &Notification) -> Vec<String> {
        let line = |call: &Call<'_>| {
            let added = call.added.iter().map(|w| format!(" {}", String::from_utf8_lossy(w))).collect::<String>();
            format!("{}{added}", call.command.path.display())
        };
        calls(notification).iter().map(line).collect()
    }

    #[test]
    fn the_specific_script_comes_first_and_the_generic_one_gets_four_words() {
        assert_eq!(lines(&of(Notified::Master, |_| {})), ["master", "generic INSTANCE VI_1 MASTER 150"]);
        assert_eq!(lines(&of(Notified::Backup, |_| {})), ["generic INSTANCE VI_1 BACKUP 150"]);
        let mut group = of(Notified::Stop, |_| {});
        (group.subject, group.priority) = (Subject::Group, 0);
        assert_eq!(lines(&group), ["generic GROUP VI_1 STOP 0"]);
    }

    #[test]
    fn a_removed_instance_is_in_fault_unless_notify_deleted_was_given() {
        assert_eq!(lines(&of(Notified::Deleted, |_| {})), ["fault", "generic INSTANCE VI_1 FAULT 150"]);
        let deleted = of(Notified::Deleted, |n| (n.reports_deleted, n.deleted) = (true, script("deleted")));
        assert_eq!(lines(&deleted), ["deleted", "generic INSTANCE VI_1 DELETED 150"]);
        let flag_only = of(Notified::Deleted, |n| n.reports_deleted = true);
        assert_eq!(lines(&flag_only), ["generic INSTANCE VI_1 DELETED 150"]);
    }

    #[test]
    fn a_lower_priority_runs_only_its_own_script_and_a_priority_change_none() {
        assert_eq!(lines(&of(Notified::MasterRxLowerPri, |_| {})), ["lower"]);
        assert_eq!(lines(&of(Notified::MasterPriority, |_| {})), Vec::<String>::new());
    }
}
