//! `keepalived-rs reload`, `status` and `cleanup`: what an operator or a unit file asks of a running daemon, or of what a
//! dead one left.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::options::Parsed;
use crate::model::Global;
use crate::process::configuration::{self, Origin};
use crate::process::ipc::{
    CONTROL_VERSION, CheckerState, DaemonStatus, InstanceStatus, Order, Reply, Request, VirtualServerStatus,
};
use crate::process::options::Options;
use crate::process::paths::{Names, STATE_DIRECTORY};
use crate::process::record;
use crate::sys::{log, namespace};

/// Longer than a daemon takes for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks for a reload and waits for what came of it.
pub(super) fn reload(parsed: &Parsed) -> u8 {
    match ask(&parsed.options, Order::Reload) {
        Ok(reply) => {
            reply.lines.iter().for_each(|line| println!("{line}"));
            u8::from(!reply.ok)
        }
        Err(reason) => complain(&reason),
    }
}

/// Shows how things are.
pub(super) fn status(parsed: &Parsed) -> u8 {
    match ask(&parsed.options, Order::Status) {
        Ok(reply) => {
            reply.lines.iter().for_each(|line| println!("{line}"));
            reply.status.iter().for_each(|status| print!("{}", describe(status)));
            u8::from(!reply.ok)
        }
        Err(reason) => complain(&reason),
    }
}

/// Removes what a daemon that crashed has left. Does nothing while one runs.
pub(super) fn cleanup(parsed: &Parsed) -> u8 {
    let options = &parsed.options;
    if options.keep_vrrp {
        println!("nothing is cleaned up: --dont-release-vrrp leaves addresses on purpose");
        return 0;
    }
    log::init(log::Settings {
        ident: "Keepalived".into(),
        facility: None,
        console: true,
        file: None,
        flush_file: false,
        detail: options.log.detail,
    });
    if let Some(name) = &options.namespace
        && let Err(reason) = namespace::enter(name)
    {
        return complain(&reason);
    }
    let Ok(socket) = socket(options) else { return clean(&Names::of(options, &Global::default()).record(options)) };
    if UnixStream::connect(&socket).is_ok() {
        return complain("a daemon is running: nothing is cleaned up");
    }
    clean(&socket.with_extension("addresses"))
}

fn clean(record: &Path) -> u8 {
    record::clean_up(record, &[std::process::id()]);
    log::flush(Duration::from_secs(1));
    0
}

fn complain(reason: &str) -> u8 {
    eprintln!("keepalived-rs: {reason}");
    1
}

fn ask(options: &Options, order: Order) -> Result<Reply, String> {
    let path = socket(options)?;
    let at = |what: &str, error: std::io::Error| format!("cannot {what} {}: {error}", path.display());
    let mut stream = UnixStream::connect(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
            format!("no daemon is running (nobody listens on {})", path.display())
        }
        _ => at("connect to", error),
    })?;
    let request = serde_json::to_string(&Request { version: CONTROL_VERSION, order }).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| at("use", error))?;
    stream.write_all(format!("{request}\n").as_bytes()).map_err(|error| at("write to", error))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(|error| at("read from", error))?;
    serde_json::from_str(&line).map_err(|error| format!("the daemon's answer makes no sense: {error}"))
}

/// The daemon's socket: where the options say, else the only one there is, else the one that the configuration names.
fn socket(options: &Options) -> Result<PathBuf, String> {
    let named = Names::of(options, &Global::default()).socket(options);
    if options.pid_file.is_some() {
        return Ok(named);
    }
    let entries = std::fs::read_dir(STATE_DIRECTORY).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries.filter(|path| fits(path, options.namespace.as_deref())).collect();
    match found.len() {
        0 => return Ok(named),
        1 => return Ok(found.remove(0)),
        _ => {}
    }
    let read = configuration::read(options, &Origin::here()).map_err(|error| error.to_string())?;
    let configured = Names::of(options, &read.loaded.config.global).socket(options);
    match found.contains(&configured) {
        true => Ok(configured),
        false => Err(format!("several daemons run: name one with -f, -s or -p ({})", list(&found))),
    }
}

/// Whether this is the socket of a daemon, in this network namespace where one is named.
fn fits(path: &Path, namespace: Option<&str>) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".sock")) else { return false };
    namespace.is_none_or(|namespace| {
        let rest = name.strip_prefix("keepalived_").and_then(|name| name.strip_prefix(namespace));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn describe(status: &DaemonStatus) -> String {
    let (done, refused) = status.reloads;
    let mut text = format!(
        "keepalived-rs {}, pid {}, up {}, {}\nreloads: {done} done, {refused} refused\n",
        status.version,
        status.pid,
        span(status.uptime_millis),
        status.config_file
    );
    if let Some(reason) = &status.last_refusal {
        text += &format!("last reload refused: {reason}\n");
    }
    for (name, pid, restarts) in &status.children {
        let pid = pid.map_or("waiting to be restarted".to_owned(), |pid| format!("pid {pid}"));
        text += &format!("{name}: {pid}, restarted {restarts} times\n");
    }
    if let Some(vrrp) = &status.vrrp {
        vrrp.instances.iter().for_each(|instance| text += &describe_instance(instance));
        let late = &vrrp.lateness;
        text += &format!(
            "adverts sent {}, late by p50 {} us, p99 {} us, p99.9 {} us, at most {} us\n",
            late.count, late.p50_micros, late.p99_micros, late.p999_micros, late.max_micros
        );
        text += &format!("{}\n", counts(&vrrp.counters));
    }
    if let Some(checker) = &status.checker {
        checker.virtual_servers.iter().for_each(|service| text += &describe_service(service));
        text += &format!("{}\n", counts(&checker.counters));
    }
    text
}

fn describe_service(service: &VirtualServerStatus) -> String {
    let state = if service.quorum_up { "UP" } else { "DOWN" };
    let mut text = format!("{}: {state}", service.name);
    if service.sorry_serves {
        text += ", the sorry server serves";
    }
    if service.suspended {
        text += ", its address is not here: no checks";
    }
    text.push('\n');
    for server in &service.real_servers {
        let state = if server.alive { "UP" } else { "DOWN" };
        text += &format!("  {}: {state}, weight {}\n", server.name, server.weight);
        server.checkers.iter().for_each(|checker| text += &describe_checker(checker));
    }
    text
}

fn describe_checker(checker: &CheckerState) -> String {
    let state = if checker.is_up { "UP" } else { "DOWN" };
    let mut text = format!("    {}: {state} for {}", checker.kind, span(checker.for_millis));
    if !checker.has_run {
        text += ", not yet asked";
    }
    if let Some((failures, needed)) = checker.failing {
        text += &format!(", {failures} of {needed} failures");
    }
    if let Some(reason) = &checker.reason {
        text += &format!(": {reason}");
    }
    let (probes, failures) = checker.probes;
    if probes > 0 {
        text += &format!(" ({probes} probes, {failures} failed)");
    }
    text.push('\n');
    text
}

fn describe_instance(instance: &InstanceStatus) -> String {
    let interface = instance.interface.as_deref().unwrap_or("-");
    let mut text = format!(
        "{}: {} for {}, {interface} vrid {} priority {}",
        instance.name,
        instance.state,
        span(instance.for_millis),
        instance.vrid,
        instance.effective_priority
    );
    if instance.effective_priority != instance.priority {
        text += &format!(" (configured {})", instance.priority);
    }
    if let Some(master) = &instance.master {
        text += &format!(", master {master}");
    }
    for fault in &instance.faults {
        text += &format!(", {fault}");
    }
    format!("{text}\n  {}\n", counts(&instance.counters))
}

fn counts(counters: &std::collections::BTreeMap<String, u64>) -> String {
    counters.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0..60 => format!("{seconds}.{:03} s", millis % 1_000),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}
