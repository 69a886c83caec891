//! keepalived's log sentences for what becomes of requests to the kernel's IPVS, and ours for what it does not say.

use nix::errno::Errno;

use super::report::{Level, Line};
use crate::addr::Family;
use crate::ipvs::plan::Op;
use crate::ipvs::report::{Drift, Event, Request};
use crate::wire::ipvs::{DaemonState, DestKey, ServiceKey};

/// The log line of an event.
pub fn line(event: &Event) -> Line {
    let level = match event {
        Event::Unavailable(_) | Event::Failed { .. } | Event::Left(_) | Event::Unread(_) | Event::Unmarked(_) => {
            Level::Error
        }
        Event::Unanswered(_) | Event::Changed(_) | Event::DaemonStopped(_) | Event::MarkingChanged(_) => Level::Warning,
        Event::Available(_) | Event::Recovered(_) | Event::TakenOver(_) | Event::Marked => Level::Info,
    };
    Line { level, detail_only: matches!(event, Event::Available(_)), text: sentence(event) }
}

fn sentence(event: &Event) -> String {
    match event {
        // ours: keepalived says that it is initialised, not with what.
        Event::Available([major, minor, patch]) => format!("IPVS: version {major}.{minor}.{patch}"),
        // ours: what follows the semicolon. keepalived ends here.
        Event::Unavailable(why) => format!("IPVS: Can't initialize ipvs: {why}; trying again"),
        Event::Failed { request, errno, more } => failed(request, *errno, *more),
        // ours: keepalived waits for ever.
        Event::Unanswered(request) => format!("IPVS cmd {} was not answered{}", command(request), about(request)),
        // ours: keepalived's errors may come to an end without a word.
        Event::Recovered(service) => format!("IPVS: {} is as it should be again", name(service)),
        // ours: keepalived says `Service already exists` and leaves it as it is.
        Event::TakenOver(service) => format!("IPVS: {} was there already and is taken over", name(service)),
        // ours: keepalived does not look.
        Event::Changed(drift) => changed(drift),
        // ours: keepalived does not look.
        Event::DaemonStopped(state) => {
            let state = match state {
                DaemonState::Master => "master",
                DaemonState::Backup => "backup",
            };
            format!("IPVS: the {state} sync daemon was stopped by somebody else; starting it again")
        }
        // ours: the reason, and sync daemons.
        Event::Unread(why) => format!("Failed to get IPVS timeouts or sync daemons: {why}"),
        // ours: keepalived leaves them without a word.
        Event::Left(count) => format!("IPVS: {count} services could not be removed"),
        // ours: keepalived says a number, once for each request.
        Event::Unmarked(why) => {
            format!(
                "nftables: packets to groups are not marked, so they do not reach their servers: {why}; trying again"
            )
        }
        Event::Marked => "nftables: packets to groups are marked".to_owned(),
        // ours: keepalived does not look.
        Event::MarkingChanged(table) => {
            format!("nftables: table {table} was changed by somebody else; repairing it")
        }
    }
}

fn failed(request: &Request, errno: i32, more: usize) -> String {
    let text = words(request, errno);
    let sentence = format!("IPVS cmd {} error: {text}({errno}){}", command(request), about(request));
    match more {
        0 => sentence,
        // ours: one line for all that failed with it.
        more => format!("{sentence}, and {more} more of this service"),
    }
}

/// keepalived's names of the requests, with the numbers of the older interface.
const fn command(request: &Request) -> &'static str {
    match request {
        Request::Table(Op::NewService(..)) => "IP_VS_SO_SET_ADD(1154)",
        Request::Table(Op::SetService(..)) => "IP_VS_SO_SET_EDIT(1155)",
        Request::Table(Op::DelService(_)) => "IP_VS_SO_SET_DEL(1156)",
        Request::Flush => "IP_VS_SO_SET_FLUSH(1157)",
        Request::Table(Op::NewDest(..)) => "IP_VS_SO_SET_ADDDEST(1159)",
        Request::Table(Op::DelDest(..)) => "IP_VS_SO_SET_DELDEST(1160)",
        Request::Table(Op::SetDest(..)) => "IP_VS_SO_SET_EDITDEST(1161)",
        Request::SetTimeouts(_) => "IP_VS_SO_SET_TIMEOUT(1162)",
        Request::StartDaemon(..) => "IP_VS_SO_SET_STARTDAEMON(1163)",
        Request::StopDaemon(..) => "IP_VS_SO_SET_STOPDAEMON(1164)",
    }
}

fn words(request: &Request, errno: i32) -> &'static str {
    use Op::{DelDest, NewDest, NewService, SetDest, SetService};
    match (request, errno) {
        (Request::Table(NewService(..)), libc::EEXIST) => "Service already exists",
        (Request::Table(NewService(..) | SetService(..)), libc::ENOENT) => "Scheduler or persistence engine not found",
        (Request::Table(NewDest(..)), libc::EEXIST) => "Destination already exists",
        (Request::Table(SetDest(..) | DelDest(..)), libc::ENOENT) => "No such destination",
        (Request::StartDaemon(..), libc::EEXIST) => "Daemon has already run",
        (Request::StopDaemon(..), libc::ESRCH) => "No daemon is running",
        (_, libc::ESRCH) => "No such service",
        (_, libc::EPERM) => "Permission denied (you must be root)",
        (_, libc::EINVAL) => "Invalid operation.  Possibly wrong module version, address not unicast, ...",
        (_, libc::ENOPROTOOPT) => "Protocol not available",
        (_, libc::ENOMEM) => "Memory allocation problem",
        (_, libc::EOPNOTSUPP) => "Operation not supported with IPv6",
        (_, libc::EAFNOSUPPORT) => "Operation not supported with specified address family",
        (_, libc::EMSGSIZE) => "Module is wrong version",
        (_, errno) => Errno::from_raw(errno).desc(),
    }
}

/// Which service and destination a request is about.
fn about(request: &Request) -> String {
    let Request::Table(op) = request else { return String::new() };
    let service = service(op.service());
    match op.dest() {
        Some(DestKey { address, port }) => format!(" ({service} -> {address}:{port})"),
        None => format!(" ({service})"),
    }
}

/// A service in these errors: IPv6 without brackets.
fn service(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Address { protocol: number, address, port } => format!("{address}:{}:{port}", protocol(*number)),
        ServiceKey::Mark { family: Family::V4, mark } => format!("Fwm {mark}"),
        ServiceKey::Mark { family: Family::V6, mark } => format!("Fwm {mark} inet6"),
    }
}

/// A service as operators know it.
fn name(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Address { protocol: number, address, port } => {
            format!("service [{address}]:{}:{port}", protocol(*number))
        }
        ServiceKey::Mark { mark, .. } => format!("service FWM {mark}"),
    }
}

const fn protocol(number: u8) -> &'static str {
    match number {
        6 => "tcp",
        17 => "udp",
        132 => "sctp",
        0 => "none",
        _ => "?",
    }
}

fn changed(drift: &Drift) -> String {
    let name = name(&drift.service);
    if drift.removed {
        return format!("IPVS: {name} was removed by somebody else; repairing it");
    }
    let count = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let servers = [count(drift.missing, "missing"), count(drift.changed, "changed"), count(drift.strange, "added")];
    let servers: Vec<_> = servers.into_iter().flatten().collect();
    let parts = [
        drift.edited.then(|| "other settings".to_owned()),
        (!servers.is_empty()).then(|| format!("servers: {}", servers.join(", "))),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("IPVS: {name} was changed by somebody else ({}); repairing it", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::wire::ipvs::Service;

    fn key(address: SocketAddr) -> ServiceKey {
        ServiceKey::Address { protocol: 6, address: address.ip(), port: address.port() }
    }

    fn said(request: Request, errno: i32) -> String {
        line(&Event::Failed { request, errno, more: 0 }).text
    }

    #[test]
    fn errors_of_services_and_servers_are_keepalived_s() {
        let web = key("192.0.2.1:80".parse().unwrap());
        let service = Service { scheduler: "x".into(), flags: 0, timeout_secs: 0, netmask: 0, engine: None };
        assert_eq!(
            said(Request::Table(Op::NewService(web, service)), libc::ENOENT),
            "IPVS cmd IP_VS_SO_SET_ADD(1154) error: Scheduler or persistence engine not found(2) (192.0.2.1:tcp:80)"
        );
        let six = key("[2001:db8::1]:443".parse().unwrap());
        let dest = DestKey { address: "2001:db8::2".parse().unwrap(), port: 8443 };
        assert_eq!(
            said(Request::Table(Op::DelDest(six, dest)), libc::ENOENT),
            "IPVS cmd IP_VS_SO_SET_DELDEST(1160) error: No such destination(2) (2001:db8::1:tcp:443 -> 2001:db8::2:8443)"
        );
        let mark = ServiceKey::Mark { family: Family::V6, mark: 7 };
        assert_eq!(
            said(Request::Table(Op::DelService(mark)), libc::EPERM),
            "IPVS cmd IP_VS_SO_SET_DEL(1156) error: Permission denied (you must be root)(1) (Fwm 7 inet6)"
        );
    }

    #[test]
    fn errors_of_daemons_name_no_service() {
        assert_eq!(
            said(Request::StopDaemon(DaemonState::Master, 1), libc::ESRCH),
            "IPVS cmd IP_VS_SO_SET_STOPDAEMON(1164) error: No daemon is running(3)"
        );
    }

    #[test]
    fn what_somebody_else_did_is_told_in_parts() {
        let service = key("192.0.2.1:80".parse().unwrap());
        let drift = Drift { service, removed: false, edited: true, missing: 2, changed: 0, strange: 1 };
        assert_eq!(
            line(&Event::Changed(drift)).text,
            "IPVS: service [192.0.2.1]:tcp:80 was changed by somebody else (other settings, servers: 2 missing, 1 \
             added); repairing it"
        );
    }
}
