//! What concerns all of IPVS: the checker process's part of the model.

use super::checkers::Targets;
use super::scripts::Scripts;
use super::servers;
use crate::config::LoadOptions;
use crate::config::draft::{Draft, SyncDaemonDraft};
use crate::config::machine::Machine;
use crate::diag::{Code, Diagnostics};
use crate::model::lvs::{Marks, Nftables, Ssl, SyncDaemon};
use crate::model::{InstanceId, Lvs, Vrrp};

pub(super) fn resolve(
    draft: &Draft,
    vrrp: &Vrrp,
    options: &LoadOptions,
    machine: &dyn Machine,
    scripts: &mut Scripts<'_>,
    diagnostics: &mut Diagnostics,
) -> Lvs {
    let global = &draft.global.lvs;
    let mut lvs = Lvs {
        flush: global.flush,
        flush_on_stop: global.flush_on_stop,
        timeouts: global.timeouts,
        sync_daemon: sync_daemon(draft, vrrp, options, diagnostics),
        rs_init_notifies: global.rs_init_notifies,
        no_checker_emails: global.no_checker_emails,
        net_namespace: draft.global.net_namespace_ipvs.as_ref().map(|name| name.value.clone()),
        ssl: ssl(draft),
        nftables: global.nftables.clone().map(|nftables| Nftables { counters: global.nftables_counters, ..nftables }),
        ..Lvs::default()
    };
    if options.checker {
        let targets = Targets::of(draft, machine);
        lvs.virtual_servers = servers::resolve(draft, &targets, scripts, diagnostics);
        lvs.track_files = targets.track_files();
        lvs.give_marks(&Marks::default());
    }
    lvs
}

/// `lvs_sync_daemon`, else the first `lvs_sync_daemon_interface`. One that names an instance is the VRRP process's.
fn sync_daemon(draft: &Draft, vrrp: &Vrrp, options: &LoadOptions, diagnostics: &mut Diagnostics) -> Option<SyncDaemon> {
    let of_instance = || {
        draft.instances.iter().find_map(|instance| {
            let daemon = SyncDaemonDraft::new(instance.sync_daemon?);
            Some(SyncDaemonDraft { instance: Some(instance.name.clone()), ..daemon })
        })
    };
    let daemon = draft.global.sync_daemon.clone().or_else(of_instance)?;
    let instance = match &daemon.instance {
        None => None,
        Some(_) if !options.vrrp => return None,
        Some(name) => {
            let Some(number) = vrrp.instances.iter().position(|instance| *instance.name == *name.value) else {
                // keepalived: reported after -t has ended.
                let message = format!("lvs_sync_daemon: there is no vrrp_instance {}; it is dropped", name.value);
                let known = vrrp.instances.iter().map(|instance| &*instance.name);
                let similar = diagnostics.suggest(&name.value, known).map(|name| format!("did you mean {name}?"));
                diagnostics.lint(Code::SYNC_DAEMON, name.span, message).help = similar;
                return None;
            };
            Some(InstanceId(number))
        }
    };
    let vrid = instance.and_then(|id| vrrp.instances.get(id.0)).map(|instance| instance.vrid);
    Some(SyncDaemon {
        interface: daemon.interface.value,
        instance,
        id: daemon.id.or(vrid).unwrap_or(0),
        max_len: daemon.max_len,
        port: daemon.port,
        ttl: daemon.ttl,
        group: daemon.group,
    })
}

fn ssl(draft: &Draft) -> Ssl {
    let Some(ssl) = &draft.ssl else { return Ssl::default() };
    let path = |text: &Option<String>| text.as_ref().map(std::path::PathBuf::from);
    Ssl {
        ca: path(&ssl.ca),
        certificate: path(&ssl.certificate),
        key: path(&ssl.key),
        password: ssl.password.as_deref().map(std::sync::Arc::from),
    }
}
