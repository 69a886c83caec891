//! Whether a new configuration may replace the running one (`operator-surface.md` §2.3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::addr::{Cidr, IfName};
use crate::diag::Diagnostics;
use crate::model::{Config, Global, Instance, Script};

/// Why nothing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// keepalived would end over this file.
    Unusable,
    /// `reload_check_config` is set, and there is a finding.
    Findings,
    /// Things that only a restart can change.
    NeedsRestart(Vec<&'static str>),
}

/// Decides, given the running configuration and what reading the files gave.
pub fn refusal(running: &Config, new: &Config, diagnostics: &Diagnostics) -> Option<Refusal> {
    if diagnostics.refuses_to_run() {
        return Some(Refusal::Unusable);
    }
    if running.global.reload_check_config.is_some() && diagnostics.has_exit_class() {
        return Some(Refusal::Findings);
    }
    let fixed = needs_restart(&running.global, &new.global);
    (!fixed.is_empty()).then_some(Refusal::NeedsRestart(fixed))
}

/// What differs and cannot be changed in a running daemon, in keepalived's words.
fn needs_restart(running: &Global, new: &Global) -> Vec<&'static str> {
    let rows = [
        (running.net_namespace != new.net_namespace, "network namespace"),
        (running.instance != new.instance, "instance name"),
        (running.use_pid_dir != new.use_pid_dir, "use_pid_dir"),
    ];
    rows.into_iter().filter_map(|(differs, what)| differs.then_some(what)).collect()
}

/// What a new configuration changes, one line each, for the person who asked for the reload.
pub fn changes(running: &Config, new: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    let (old_vrrp, new_vrrp) = (&running.vrrp, &new.vrrp);
    let instance = |old: &Arc<Instance>, new: &Arc<Instance>| instance_changes(old, new);
    by_name(&old_vrrp.instances, &new_vrrp.instances, |i| &i.name, "vrrp_instance", instance, &mut lines);
    let script = |_: &Script, _: &Script| vec!["changed".to_owned()];
    by_name(&old_vrrp.scripts, &new_vrrp.scripts, |s| &s.name, "vrrp_script", script, &mut lines);
    if running.global != new.global {
        lines.push("global settings changed".to_owned());
    }
    for (what, before, after) in [
        ("virtual servers", running.has_virtual_servers, new.has_virtual_servers),
        ("BFD sessions", running.has_bfd, new.has_bfd),
    ] {
        match (before, after) {
            (false, true) => lines.push(format!("{what} added")),
            (true, false) => lines.push(format!("{what} removed")),
            _ => {}
        }
    }
    if lines.is_empty() {
        lines.push("nothing has changed".to_owned());
    }
    lines
}

/// Compares two lists of named things: added, removed, and how those in both differ.
fn by_name<T: PartialEq>(
    old: &[T],
    new: &[T],
    name: impl Fn(&T) -> &Arc<str>,
    kind: &str,
    describe: impl Fn(&T, &T) -> Vec<String>,
    lines: &mut Vec<String>,
) {
    let new_by_name: BTreeMap<&str, &T> = new.iter().map(|one| (&**name(one), one)).collect();
    let old_names: BTreeSet<&str> = old.iter().map(|one| &**name(one)).collect();
    for before in old {
        let label = name(before);
        match new_by_name.get(&**label) {
            None => lines.push(format!("{kind} {label} removed")),
            Some(after) if **after != *before => {
                lines.extend(describe(before, after).into_iter().map(|change| format!("{kind} {label}: {change}")));
            }
            Some(_) => {}
        }
    }
    let added = new.iter().map(&name).filter(|label| !old_names.contains(&***label));
    lines.extend(added.map(|label| format!("{kind} {label} added")));
}

fn instance_changes(old: &Instance, new: &Instance) -> Vec<String> {
    let mut changes = Vec::new();
    if old.priority != new.priority {
        changes.push(format!("priority {} is now {}", old.priority, new.priority));
    }
    let held = |instance: &Instance| -> BTreeSet<(Cidr, IfName)> {
        instance.held_addresses().map(|va| (va.cidr, va.interface)).collect()
    };
    let (before, after) = (held(old), held(new));
    changes.extend(after.difference(&before).map(|(cidr, link)| format!("address {cidr} on {link} added")));
    changes.extend(before.difference(&after).map(|(cidr, link)| format!("address {cidr} on {link} removed")));
    let old = Instance {
        priority: new.priority,
        addresses: new.addresses.clone(),
        excluded: new.excluded.clone(),
        ..old.clone()
    };
    if old != *new {
        changes.push("other settings changed".to_owned());
    }
    if changes.is_empty() {
        // Same addresses, but labels, order or flags are not.
        changes.push("address settings changed".to_owned());
    }
    changes
}

/// One reload at a time; requests that come meanwhile become one more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// Nothing runs.
    #[default]
    Idle,
    /// One runs.
    Running,
    /// One runs, and another has been asked for.
    Queued,
}

impl Progress {
    /// A reload is asked for; `true` when it is to begin now.
    pub fn request(&mut self) -> bool {
        let begins = *self == Self::Idle;
        *self = if begins { Self::Running } else { Self::Queued };
        begins
    }

    /// The running one has ended; `true` when the next is to begin now.
    pub fn finished(&mut self) -> bool {
        let again = *self == Self::Queued;
        *self = if again { Self::Running } else { Self::Idle };
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Code;

    fn with(change: impl FnOnce(&mut Global)) -> Config {
        let mut global = Global::default();
        change(&mut global);
        Config { global: Arc::new(global), ..Config::default() }
    }

    fn findings(fill: impl FnOnce(&mut Diagnostics)) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        fill(&mut diagnostics);
        diagnostics
    }

    #[test]
    fn a_file_that_keepalived_would_die_of_changes_nothing() {
        let fatal = findings(|d| {
            d.reject(Code::UNKNOWN_KEYWORD, None, "no interface");
        });
        assert_eq!(refusal(&Config::default(), &Config::default(), &fatal), Some(Refusal::Unusable));
    }

    #[test]
    fn lesser_errors_refuse_only_with_reload_check_config() {
        let error = findings(|d| {
            d.error(Code::UNKNOWN_KEYWORD, None, "unknown keyword");
        });
        assert_eq!(refusal(&Config::default(), &Config::default(), &error), None);
        let strict = with(|g| g.reload_check_config = Some("/dev/null".into()));
        assert_eq!(refusal(&strict, &strict, &error), Some(Refusal::Findings));
        let note = findings(|d| {
            d.note(Code::NOT_BUILT_YET, None, "not built yet");
        });
        assert_eq!(refusal(&strict, &strict, &note), None);
    }

    #[test]
    fn what_needs_a_restart_is_named() {
        let new = with(|g| {
            g.net_namespace = Some("blue".into());
            g.instance = Some("two".into());
        });
        let refused = refusal(&Config::default(), &new, &Diagnostics::default());
        assert_eq!(refused, Some(Refusal::NeedsRestart(vec!["network namespace", "instance name"])));
    }

    #[test]
    fn requests_during_a_reload_become_one_more() {
        let mut progress = Progress::default();
        assert!(progress.request());
        assert!(!progress.request());
        assert!(!progress.request());
        assert!(progress.finished());
        assert!(!progress.finished());
        assert!(progress.request());
    }
}
