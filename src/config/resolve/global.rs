//! `global_defs` and the options of the process.

use std::path::PathBuf;

use super::scripts::{Absence, Scripts};
use crate::config::draft::GlobalDraft;
use crate::config::machine::Machine;
use crate::diag::Diagnostics;
use crate::model::Global;
use crate::model::global::{DumpFiles, ProcessNames, ReloadTime, Scheduling};
use crate::model::vrrp::ReceiveBuffer;
use crate::time::Duration;

const SCRIPT_TIMEOUT_SECS: u32 = 10;
const RX_BUFS_MULTIPLIER: u32 = 3;

pub(super) fn resolve(
    draft: &GlobalDraft,
    config_test: bool,
    machine: &dyn Machine,
    scripts: &mut Scripts<'_>,
    diagnostics: &mut Diagnostics,
) -> Global {
    let default = Global::default();
    let path = |text: &Option<String>| text.as_ref().map(PathBuf::from);
    let mut process_script = |what, script: &Option<_>, timeout: Option<u32>| {
        let (line, policy) = script.as_ref()?;
        let command = scripts.find(what, line, None, policy, Absence::Logged, diagnostics)?;
        Some((command, Duration::from_secs(timeout.unwrap_or(SCRIPT_TIMEOUT_SECS).into())))
    };
    let in_namespace = draft.instance.is_some() || draft.net_namespace.is_some();
    Global {
        net_namespace: draft.net_namespace.as_ref().map(|name| name.value.clone()),
        instance: draft.instance.as_ref().map(|name| name.value.clone()),
        use_pid_dir: draft.use_pid_dir || in_namespace,
        child_wait: draft.child_wait.map_or(default.child_wait, |secs| Duration::from_secs(secs.value.into())),
        process_names: process_names(draft),
        router_id: draft.router_id.as_ref().map_or_else(|| machine.host_name(), |id| id.value.clone()).into(),
        umask: draft.umask,
        startup_script: process_script("startup_script", &draft.startup_script, draft.startup_timeout),
        shutdown_script: process_script("shutdown_script", &draft.shutdown_script, draft.shutdown_timeout),
        reload_check_config: draft
            .reload_check_config
            .as_ref()
            .map(|file| file.as_ref().map_or_else(|| PathBuf::from("/dev/null"), PathBuf::from)),
        dynamic_interfaces: draft.dynamic_interfaces.is_some(),
        data_use_instance: draft.data_use_instance,
        dump_files: DumpFiles {
            state: path(&draft.state_dump_file),
            stats: path(&draft.stats_dump_file),
            json: path(&draft.json_dump_file),
        },
        json_version: if draft.json_version.as_ref().is_some_and(|version| version.value == 2) { 2 } else { 1 },
        reload_time: path(&draft.reload_time_file).map(|file| ReloadTime { file, repeats: draft.reload_repeat }),
        reload_file: draft.reload_file.as_ref().map(path),
        max_auto_priority: draft.max_auto_priority,
        vrrp_scheduling: Scheduling {
            nice: draft.vrrp_nice,
            realtime: draft.vrrp_realtime,
            rlimit_rttime_micros: draft.vrrp_rlimit_rttime,
            no_swap: draft.vrrp_no_swap,
            cpus: draft.vrrp_cpus.clone(),
        },
        checker_scheduling: Scheduling {
            nice: draft.checker_scheduling.nice,
            realtime: draft.checker_scheduling.realtime,
            rlimit_rttime_micros: draft.checker_scheduling.rlimit_rttime,
            no_swap: draft.checker_scheduling.no_swap,
            cpus: draft.checker_scheduling.cpus.clone(),
        },
        vrrp_netlink: draft.vrrp_netlink,
        checker_netlink: draft.checker_netlink,
        mail: super::mail::resolve(&draft.mail, config_test, machine, diagnostics),
        fifos: super::fifo::resolve(draft, machine, scripts, diagnostics),
        script_security: draft.scripts.security,
        other: draft.given.clone(),
    }
}

fn process_names(draft: &GlobalDraft) -> ProcessNames {
    let of = |own: &Option<String>, usual: &str| {
        let usual = || draft.process_names.then(|| usual.to_owned());
        own.clone().or_else(usual).or_else(|| draft.process_name.clone())
    };
    ProcessNames {
        parent: draft.process_name.clone(),
        vrrp: of(&draft.vrrp_process_name, "keepalived_vrrp"),
        checker: of(&draft.checker_process_name, "keepalived_lvs"),
        bfd: of(&draft.bfd_process_name, "keepalived_bfd"),
    }
}

pub(super) fn receive_buffer(draft: &GlobalDraft) -> ReceiveBuffer {
    let times = draft.rx_bufs.multiplier.unwrap_or(RX_BUFS_MULTIPLIER);
    match draft.rx_bufs {
        policy if policy.bytes.is_some_and(|bytes| bytes > 0) => ReceiveBuffer::Bytes(policy.bytes.unwrap_or(0)),
        policy if policy.mtu => ReceiveBuffer::Mtu(times),
        policy if policy.advert => ReceiveBuffer::Advert(times),
        _ => ReceiveBuffer::System,
    }
}
