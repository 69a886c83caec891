//! FIFOs: where they are, whose, and what reads them.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::scripts::{Absence, Scripts};
use crate::config::draft::{FifoDraft, GlobalDraft};
use crate::config::machine::Machine;
use crate::diag::{Code, Diagnostics};
use crate::model::{Fifo, Fifos};

pub(super) fn resolve(
    draft: &GlobalDraft,
    machine: &dyn Machine,
    scripts: &mut Scripts<'_>,
    diagnostics: &mut Diagnostics,
) -> Fifos {
    let mut one = |keyword: &str| {
        let draft = draft.fifos.get(keyword)?;
        resolve_one(keyword, draft, machine, scripts, diagnostics)
    };
    let (all, vrrp, lvs) = (one("notify_fifo"), one("vrrp_notify_fifo"), one("lvs_notify_fifo"));
    let mut unlike_all = |keyword: &str, fifo: Option<Fifo>| {
        let same = fifo.as_ref().map(|fifo| &fifo.path) == all.as_ref().map(|all| &all.path) && fifo.is_some();
        if same {
            // keepalived: only logged.
            let span = draft.fifos.get(keyword).and_then(|fifo| Some(fifo.path.as_ref()?.span));
            let message = format!("{keyword} is the same as notify_fifo; it is ignored");
            diagnostics.lint(Code::FIFO, span, message);
        }
        fifo.filter(|_| !same)
    };
    let vrrp = unlike_all("vrrp_notify_fifo", vrrp);
    let mut lvs = unlike_all("lvs_notify_fifo", lvs);
    if let (Some(vrrp), Some(lvs)) = (&vrrp, &mut lvs)
        && vrrp.path == lvs.path
        && vrrp.script.is_some()
        && lvs.script.take().is_some()
    {
        let span = draft.fifos.get("lvs_notify_fifo").and_then(|fifo| Some(fifo.script.as_ref()?.0.span));
        let message = "lvs_notify_fifo is the same as vrrp_notify_fifo, whose script reads it; this one is not started";
        diagnostics.lint(Code::FIFO, span, message);
    }
    Fifos { all, vrrp, lvs, states_on_reload: draft.fifo_states_on_reload }
}

fn resolve_one(
    keyword: &str,
    draft: &FifoDraft,
    machine: &dyn Machine,
    scripts: &mut Scripts<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Fifo> {
    let script_keyword = format!("{keyword}_script");
    let script = draft.script.as_ref().and_then(|(line, policy)| {
        let command = scripts.find(&script_keyword, line, None, policy, Absence::Logged, diagnostics)?;
        Some((line.span, command))
    });
    let Some(path) = &draft.path else {
        if let Some((span, _)) = script {
            let message = format!("{script_keyword} has no {keyword} to read; it is not started");
            diagnostics.lint(Code::FIFO, span, message).help(format!("add {keyword} /PATH/OF/THE/FIFO"));
        }
        return None;
    };
    let owner = match &draft.owner {
        Some(words) => scripts.owner(words, diagnostics)?,
        None => machine.own_user(),
    };
    let script = script.map(|(_, mut command)| {
        command.argv.push(std::ffi::OsStr::new(&path.value).as_bytes().to_vec());
        command
    });
    Some(Fifo { path: PathBuf::from(&path.value), owner: (owner.uid, owner.gid), script })
}
