//! Scripts: who runs them, whether they exist, whether they are safe.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::config::draft::{GlobalDraft, NotifyDraft, ScriptDraft, ScriptPolicy};
use crate::config::machine::{Machine, User};
use crate::config::script_line::{ScriptLine, UserWords};
use crate::diag::{Code, Diagnostics, ExitClass, Severity};
use crate::model::{Notify, Script, ScriptCommand, Weight};
use crate::time::Duration;

/// Finds scripts and remembers what must be said once.
pub(super) struct Scripts<'a> {
    machine: &'a dyn Machine,
    global: &'a GlobalDraft,
    /// Whether a script was accepted while script security was off, and which was the first.
    unsecured: Option<crate::diag::Span>,
    /// The default user could not be set, and it was said.
    default_user_told: bool,
}

/// Whom a script runs as.
struct RunAs {
    user: User,
    supplementary: bool,
}

/// How much the absence of a script matters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    /// keepalived only logs it.
    Logged,
    /// keepalived reports it.
    Reported,
}

impl<'a> Scripts<'a> {
    pub(super) fn new(machine: &'a dyn Machine, global: &'a GlobalDraft) -> Self {
        Self { machine, global, unsecured: None, default_user_told: false }
    }

    /// Judges `script_user` itself.
    pub(super) fn check_policy(&mut self, diagnostics: &mut Diagnostics) {
        if let Some(user) = &self.global.scripts.user
            && self.user(user, Absence::Reported, diagnostics).is_none()
        {
            self.default_user_told = true;
        }
    }

    fn user(&self, words: &UserWords, absence: Absence, diagnostics: &mut Diagnostics) -> Option<RunAs> {
        self.user_for("the script is not run", words, absence, diagnostics)
    }

    fn user_for(
        &self,
        consequence: &str,
        words: &UserWords,
        absence: Absence,
        diagnostics: &mut Diagnostics,
    ) -> Option<RunAs> {
        let mut complain = |what: &str, name: &crate::config::reader::Spanned<String>| {
            let message = format!("there is no {what} '{}' on this machine; {consequence}", name.value);
            match absence {
                Absence::Logged => diagnostics.lint(Code::UNKNOWN_USER, name.span, message),
                Absence::Reported => diagnostics.error(Code::UNKNOWN_USER, name.span, message),
            };
        };
        let Some(mut user) = self.machine.user(&words.user.value) else {
            complain("user", &words.user);
            return None;
        };
        if let Some(group) = &words.group {
            let Some(gid) = self.machine.group(&group.value) else {
                complain("group", group);
                return None;
            };
            user.gid = gid;
        }
        Some(RunAs { user, supplementary: words.supplementary })
    }

    /// Whom a file shall belong to; none where there is no such user or group, which is said.
    pub(super) fn owner(&self, words: &UserWords, diagnostics: &mut Diagnostics) -> Option<User> {
        self.user_for("the FIFO is not used", words, Absence::Logged, diagnostics).map(|run_as| run_as.user)
    }

    fn default_user(&mut self, policy: &ScriptPolicy, span: crate::diag::Span, d: &mut Diagnostics) -> Option<RunAs> {
        if let Some(words) = &policy.user {
            let user = self.machine.user(&words.user.value);
            let gid = words.group.as_ref().map(|group| self.machine.group(&group.value));
            return match (user, gid) {
                (Some(user), None) => Some(RunAs { user, supplementary: words.supplementary }),
                (Some(user), Some(Some(gid))) => {
                    Some(RunAs { user: User { gid, ..user }, supplementary: words.supplementary })
                }
                // Said where script_user stands.
                _ => None,
            };
        }
        let user = match self.machine.user("keepalived_script") {
            Some(user) => user,
            None if policy.security => {
                if !std::mem::replace(&mut self.default_user_told, true) {
                    d.error(Code::UNKNOWN_USER, span, "no user to run scripts as: enable_script_security is set, and there is neither script_user nor a user keepalived_script")
                        .help("add script_user USER to global_defs, above enable_script_security, or create the user keepalived_script");
                }
                return None;
            }
            None => self.machine.own_user(),
        };
        Some(RunAs { user, supplementary: false })
    }

    /// Finds a script; none where it cannot or may not be run.
    pub(super) fn find(
        &mut self,
        what: &str,
        line: &ScriptLine,
        user: Option<&UserWords>,
        policy: &ScriptPolicy,
        absence: Absence,
        diagnostics: &mut Diagnostics,
    ) -> Option<ScriptCommand> {
        let run_as = match user.or(line.user.as_ref()) {
            Some(words) => self.user(words, absence, diagnostics)?,
            None => self.default_user(policy, line.span, diagnostics)?,
        };
        self.judge(what, line, run_as, policy, absence, diagnostics)
    }

    fn judge(
        &mut self,
        what: &str,
        line: &ScriptLine,
        run_as: RunAs,
        policy: &ScriptPolicy,
        absence: Absence,
        diagnostics: &mut Diagnostics,
    ) -> Option<ScriptCommand> {
        let program = line.argv.first()?;
        let supplementary_groups = run_as.supplementary || self.global.supplementary_groups;
        let command = |path: PathBuf, insecure| ScriptCommand {
            path,
            argv: line.argv.clone(),
            uid: run_as.user.uid,
            gid: run_as.user.gid,
            supplementary_groups,
            insecure,
        };
        if let [b'<', file @ ..] = program.as_slice()
            && file.starts_with(b"/")
        {
            self.accept(line, policy);
            return Some(command(PathBuf::from(OsString::from_vec(file.to_vec())), false));
        }
        let path = PathBuf::from(OsString::from_vec(program.clone()));
        let mut say = |code, message: String| match absence {
            Absence::Logged => drop(diagnostics.lint(code, line.span, message)),
            Absence::Reported => drop(diagnostics.error(code, line.span, message)),
        };
        let shown = path.display();
        let found = match self.machine.script(&path, run_as.user, self.global.use_symlink_paths) {
            Ok(found) => found,
            Err(problem) => {
                say(Code::SCRIPT_UNUSABLE, format!("{what}: '{shown}' {problem}; it is not run"));
                return None;
            }
        };
        if let Some(element) = &found.insecure {
            let changeable = format!("{what}: '{}' can be changed by others than root", element.display());
            if policy.security {
                say(Code::SCRIPT_INSECURE, format!("{changeable}; the script is not run"));
                return None;
            }
            diagnostics.lint(Code::SCRIPT_INSECURE, line.span, format!("{changeable}, and it runs as root")).help(
                "make it and the directories above it belong to root, writable by nobody else, or run it as another user",
            );
        }
        if found.searched {
            diagnostics
                .lint(
                    Code::SCRIPT_SEARCHED,
                    line.span,
                    format!("{what}: '{shown}' was looked up in PATH and is {}", found.path.display()),
                )
                .help("write the whole path");
        }
        self.accept(line, policy);
        Some(command(found.path, found.insecure.is_some()))
    }

    fn accept(&mut self, line: &ScriptLine, policy: &ScriptPolicy) {
        if !policy.security {
            self.unsecured.get_or_insert(line.span);
        }
    }

    /// Reports scripts that are run without script security.
    pub(super) fn report_unsecured(&self, diagnostics: &mut Diagnostics) {
        let Some(span) = self.unsecured else { return };
        diagnostics
            .classed(
                Severity::Warning,
                ExitClass::Security,
                Code::SCRIPT_SECURITY_OFF,
                span,
                "scripts are run, but enable_script_security is not set in global_defs",
            )
            .help("add enable_script_security and script_user to global_defs; scripts that others can change are then not run");
    }

    /// The scripts of an instance or a group.
    pub(super) fn notify(&mut self, name: &str, draft: &NotifyDraft, diagnostics: &mut Diagnostics) -> Notify {
        let global = self.global;
        let mut found: BTreeMap<&str, Box<ScriptCommand>> = BTreeMap::new();
        for (keyword, line) in &draft.scripts {
            let what = format!("({name}) {keyword}");
            if let Some(command) = self.find(&what, line, None, &global.scripts, Absence::Logged, diagnostics) {
                found.insert(keyword, Box::new(command));
            }
        }
        let smtp_alert = draft.smtp_alert.or(global.smtp_alert_vrrp).or(global.smtp_alert).unwrap_or(false);
        Notify {
            backup: found.remove("notify_backup"),
            master: found.remove("notify_master"),
            fault: found.remove("notify_fault"),
            stop: found.remove("notify_stop"),
            deleted: found.remove("notify_deleted"),
            reports_deleted: draft.reports_deleted,
            generic: found.remove("notify"),
            master_rx_lower_pri: found.remove("notify_master_rx_lower_pri"),
            smtp_alert,
            priority_changes: draft.priority_changes.unwrap_or(global.notify_priority_changes),
        }
    }

    /// A script of a service or a server.
    pub(super) fn of_server(
        &mut self,
        what: &str,
        line: &ScriptLine,
        diagnostics: &mut Diagnostics,
    ) -> Option<ScriptCommand> {
        self.find(what, line, None, &self.global.scripts, Absence::Logged, diagnostics)
    }

    /// The script of a checker.
    pub(super) fn of_checker(
        &mut self,
        what: &str,
        line: &ScriptLine,
        user: Option<&UserWords>,
        diagnostics: &mut Diagnostics,
    ) -> Option<ScriptCommand> {
        self.find(what, line, user, &self.global.scripts, Absence::Reported, diagnostics)
    }

    /// A `vrrp_script` block.
    pub(super) fn tracked(&mut self, draft: &ScriptDraft, diagnostics: &mut Diagnostics) -> Tracked {
        let name = &draft.name;
        let Some(line) = &draft.script else {
            diagnostics
                .error(
                    Code::TRACKER_INCOMPLETE,
                    name.span,
                    format!("vrrp_script {} has no script; it is dropped", name.value),
                )
                .help("add a line: script \"/path/to/program arguments\"");
            return Tracked::Dropped;
        };
        let policy = &self.global.scripts;
        let run_as = match draft.user.as_ref().or(line.user.as_ref()) {
            Some(words) => self.user(words, Absence::Reported, diagnostics),
            None => self.default_user(policy, line.span, diagnostics),
        };
        let Some(run_as) = run_as else { return Tracked::Dropped };
        let what = format!("vrrp_script {}", name.value);
        let Some(command) = self.judge(&what, line, run_as, policy, Absence::Reported, diagnostics) else {
            return Tracked::Disabled;
        };
        let opens_only = line.argv.first().is_some_and(|program| program.starts_with(b"</"));
        let interval = Duration::from_millis(draft.interval.unwrap_or(1000));
        Tracked::Found(Box::new(Script {
            name: name.value.as_str().into(),
            command,
            opens_only,
            interval,
            timeout: draft.timeout.map_or(interval, Duration::from_millis),
            rise: draft.rise.unwrap_or(1),
            fall: draft.fall.unwrap_or(1),
            init_fail: draft.init_fail,
            weight: Weight { value: draft.weight.unwrap_or(0), reverse: draft.reverse },
        }))
    }
}

/// What became of a `vrrp_script` block.
#[derive(Debug)]
pub(super) enum Tracked {
    /// It can be tracked.
    Found(Box<Script>),
    /// Its block was dropped: lines that name it are errors.
    Dropped,
    /// It may not run: lines that name it are dropped silently, the reason having been given.
    Disabled,
}
