//! keepalived's log sentences for what the VRRP engine reports. Alerts match on them: they are behaviour.
//!
//! Sentences that keepalived has no equal for are ours and say so in a comment that starts `ours:`.

use std::net::IpAddr;

use nix::errno::Errno;

use crate::addr::Family;
use crate::track::script::Outcome;
use crate::vrrp::io::Role;
use crate::vrrp::report::{Event, FaultReason, Flaw, InstanceEvent, LinkEvent, ScriptEvent};

/// How loud a sentence is. keepalived says nearly everything at one level; so do we.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// We can not serve.
    Error,
    /// Someone should act.
    Warning,
    /// Everything else.
    Info,
}

/// A log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How loud.
    pub level: Level,
    /// Only with `--log-detail`.
    pub detail_only: bool,
    /// The sentence.
    pub text: String,
}

/// The log line of an event.
pub fn line(event: &Event) -> Line {
    Line { level: level(event), detail_only: is_detail(event), text: sentence(event) }
}

/// Whether an event is logged with `--log-detail` only. Asked first, it saves making the sentence.
pub const fn is_detail(event: &Event) -> bool {
    use InstanceEvent as I;
    match event {
        Event::Instance(_, event) => matches!(
            event,
            I::MasterDown
                | I::MasterSet { .. }
                | I::BackupHeardZero
                | I::MasterHeardZero
                | I::LowerPriority { expected: true, .. }
                | I::PreemptDelayStarted(_)
                | I::PreemptDelayStopped
                | I::SentZero
                | I::IntervalLearnt { .. }
                | I::IntervalReset { .. }
                | I::Addresses { .. }
                | I::AnnouncingBurst { .. }
        ),
        Event::Link(_, event) => {
            matches!(event, LinkEvent::Added | LinkEvent::Deleted | LinkEvent::Assigned(_) | LinkEvent::Deassigned(_))
        }
        Event::Announced { .. } => true,
        Event::Script(..)
        | Event::UnknownVrid { .. }
        | Event::TooShort(..)
        | Event::StartupDelayed(_)
        | Event::StartupDelayOver
        | Event::TimerLate(_)
        | Event::SocketFailed(..) => false,
    }
}

/// How loud an event is.
pub const fn level(event: &Event) -> Level {
    use InstanceEvent as I;
    match event {
        Event::SocketFailed(..) => Level::Error,
        Event::Instance(_, I::AddressFailed { .. } | I::AddressKept { .. } | I::AddressRestored { .. }) => {
            Level::Warning
        }
        _ => Level::Info,
    }
}

/// The sentence of an event.
pub fn sentence(event: &Event) -> String {
    match event {
        Event::Instance(name, event) => instance(name, event),
        Event::Script(name, event) => script(name, *event),
        Event::Link(name, event) => match event {
            LinkEvent::Up => format!("Netlink reports {name} up"),
            LinkEvent::Down => format!("Netlink reports {name} down"),
            LinkEvent::Added => format!("Interface {name} added"),
            LinkEvent::Deleted => format!("Interface {name} deleted"),
            LinkEvent::Assigned(address) => format!("Assigned address {address} for interface {name}"),
            LinkEvent::Deassigned(address) => format!("Deassigned address {address} from interface {name}"),
            LinkEvent::Renamed(to) => format!("Interface name has changed from {name} to {to}"),
            // ours: keepalived writes the interface flags
            LinkEvent::Delayed { up, delay } => {
                format!("{name}: {} delayed by {}", if *up { "up" } else { "down" }, delay.as_micros())
            }
        },
        Event::UnknownVrid { vrid, link, source } => {
            let link = link.map_or_else(|| "(none)".to_owned(), |name| name.to_string());
            format!("Unknown VRID({vrid}) received on interface({link}) from {source}. ignoring...")
        }
        Event::TooShort(Family::V4, bytes) => format!("IPv4 VRRP packet too short - {bytes} bytes"),
        Event::TooShort(Family::V6, bytes) => format!("IPv6 VRRP packet too short - {bytes} bytes"),
        Event::StartupDelayed(delay) => format!("Delaying startup for {} seconds", delay.as_secs_f64()),
        Event::StartupDelayOver => "Delayed start completed".to_owned(),
        Event::TimerLate(late) => {
            format!("VRRP thread timer expired {}.{:06} seconds ago", late.as_secs(), late.subsec_micros())
        }
        Event::Announced { link, address: address @ IpAddr::V4(_) } => {
            format!("Sending gratuitous ARP on {link} for {address}")
        }
        Event::Announced { link, address } => format!("Sending unsolicited Neighbour Advert on {link} for {address}"),
        Event::SocketFailed(link, errno) => {
            let on = link.map_or_else(String::new, |name| format!(" on {name}"));
            format!("cannot open VRRP sockets{on}: {}", reason(*errno)) // ours
        }
    }
}

fn instance(name: &str, event: &InstanceEvent) -> String {
    use InstanceEvent as I;
    match event {
        I::Entered { role, init: false } => format!("({name}) Entering {} STATE", role.word()),
        I::Entered { role: Role::Fault, init: true } => format!("({name}) entering FAULT state"),
        I::Entered { role, init: true } => format!("({name}) Entering {} STATE (init)", role.word()),
        I::StartsInFault(reason) => starts_in_fault(name, reason),
        I::MasterDown => format!("({name}) Receive advertisement timeout"),
        I::MasterSet { from: None, to } => format!("({name}) master set to {to}"),
        I::MasterSet { from: Some(from), to } => format!("({name}) master changed from {from} to {to}"),
        I::LowerDiscarded { priority, source } => {
            format!("({name}) received lower priority ({priority}) advert from {source} - discarding")
        }
        I::BackupHeardZero => format!("({name}) Backup received priority 0 advertisement"),
        I::MasterHeardZero => format!("({name}) Master received priority 0 message"),
        I::HigherPriority { source, priority, ours } => {
            format!("({name}) Master received advert from {source} with higher priority {priority}, ours {ours}")
        }
        I::HigherAddress { source, priority } => format!(
            "({name}) Master received advert from {source} with same priority {priority} but higher IP address than ours"
        ),
        I::LowerPriority { source, priority, ours, answered, .. } => {
            let election = if *answered { ", forcing new election" } else { "" };
            format!("({name}) Received advert from {source} with lower priority {priority}, ours {ours}{election}")
        }
        I::OwnAddressHeard => {
            format!("({name}) WARNING - equal priority advert received from remote host with our IP address.")
        }
        I::TwoOwners(other) => format!(
            "({name}) CONFIGURATION ERROR: local instance and {other} are both configured as address owner, please resolve"
        ),
        I::OtherOwnerGoesOn(other) => {
            format!("({name}) {other} is still advertising as address owner, please resolve - reducing our priority")
        }
        I::OtherOwnerStopped => format!("({name}): rogue address owner appears to have stopped advertising"),
        I::OwnerRestored { priority, lower_heard: false } => {
            format!("({name}) Restoring our priority to {priority} since other address owner has disappeared")
        }
        I::OwnerRestored { priority, lower_heard: true } => {
            format!("({name}) Restoring our priority to {priority} since received advert with lower priority")
        }
        I::PreemptDelayStarted(delay) => {
            format!("({name}) start preempt delay ({}.{:06})", delay.as_secs(), delay.subsec_micros())
        }
        I::PreemptDelayStopped => format!("({name}) stop preempt delay"),
        I::SentZero => format!("({name}) sent 0 priority"),
        I::SendFailed { peer: None, errno } => format!("({name}): send advert error {errno} ({})", reason(*errno)),
        I::SendFailed { peer: Some(peer), errno } => {
            format!("({name}) Cant send advert to {peer} ({})", reason(*errno))
        }
        I::IntervalLearnt { from, to } => format!(
            "({name}) advertisement interval updated from {}ms to {}ms by master",
            from.duration().as_millis(),
            to.duration().as_millis()
        ),
        I::IntervalReset { from, to } => format!(
            "({name}) changing advert interval from {}ms to locally configured {}ms",
            from.duration().as_millis(),
            to.duration().as_millis()
        ),
        I::PriorityChanged { from, to } => format!("({name}) Changing effective priority from {from} to {to}"),
        I::Addresses { setting, excluded } => {
            let what = if *excluded { "E-VIPs" } else { "VIPs" };
            format!("({name}) {} {what}.", if *setting { "setting" } else { "removing" })
        }
        I::AddressDropped { address, link } => {
            format!("({name}) ip address {address} dev {link}, no longer exist")
        }
        I::AnnouncingBurst { link, address: address @ IpAddr::V4(_) } => {
            format!("({name}) Sending/queueing gratuitous ARPs on {link} for {address}")
        }
        I::AnnouncingBurst { link, address } => {
            format!("({name}) Sending/queueing Unsolicited Neighbour Adverts on {link} for {address}")
        }
        // ours: keepalived goes to BACKUP here and says only the first half
        I::AddressRestored { address, link } => {
            format!("({name}) Netlink reflector reports IP {address} removed from {link}, put back")
        }
        // ours
        I::AddressFailed { address, link, adding: true, errno } => {
            format!("({name}) cannot add {address} to {link}: {}; retrying in 1 s", reason(*errno))
        }
        // ours
        I::AddressFailed { address, link, adding: false, errno } => {
            format!("({name}) cannot remove {address} from {link}: {}", reason(*errno))
        }
        // ours: keepalived removes it and sits in FAULT
        I::AddressKept { address, link } => format!(
            "({name}) {address} on {link} was there before us and is our only source address: it stays, also when we are not MASTER"
        ),
        I::Heard(source, flaw) => flawed(name, *source, *flaw),
        I::OldChecksumAdopted => format!("({name}) Setting unicast VRRPv3 checksum to old version"),
        // ours: keepalived steps down without a word
        I::LateStepDown => format!("({name}) was late by more than its peers wait, stepping down"),
    }
}

fn starts_in_fault(name: &str, reason: &FaultReason) -> String {
    match reason {
        FaultReason::Script(script) => format!("({name}): entering FAULT state due to script {script}"),
        FaultReason::NoSource(_) => format!("({name}) entering FAULT state ({reason})"),
        FaultReason::SourceMissing(_) => format!("({name}): entering FAULT state (src address not configured)"),
        FaultReason::Configuration(_)
        | FaultReason::InterfaceDown(_)
        | FaultReason::InterfaceUp(_)
        | FaultReason::Socket(_) => format!("({name}): entering FAULT state ({reason})"),
    }
}

fn flawed(name: &str, from: IpAddr, flaw: Flaw) -> String {
    let cast = |multicast: bool| if multicast { "mult" } else { "un" };
    match flaw {
        Flaw::AuthHeader => format!("({name}) Received AH header but auth type not AH from {from}"),
        Flaw::Length { have, expected } => {
            let long = if have > expected { "long" } else { "short" };
            format!("({name}) vrrp packet from {from} too {long}, length {have} and expect {expected}")
        }
        Flaw::Ttl(ttl) => format!("({name}) invalid TTL/HL from {from}. Received {ttl} and expect 255"),
        Flaw::PeerTtl { ttl, min, max } => format!("({name}) TTL/HL {ttl} from {from} not in range [{min}, {max}]"),
        Flaw::Version { theirs, ours } => {
            format!("({name}) wrong VRRP version from {from}. Received {theirs} and expect {ours}")
        }
        Flaw::InvalidAuthType(theirs) => format!("({name}) Invalid auth type from {from}: {theirs}"),
        Flaw::AuthType { theirs, ours } => format!("({name}) received a {theirs} auth from {from}, expecting {ours}!"),
        Flaw::Password => format!("({name}) received an invalid passwd from {from}!"),
        Flaw::Interval { theirs, ours } => {
            format!("({name}) advertisement interval mismatch with {from} mine={ours} sec rcv'd={theirs} sec")
        }
        Flaw::Type(kind) => format!("({name}) Invalid packet type from {from}. {kind} and expect 1"),
        Flaw::TotalLength { said, have } => {
            format!("({name}) ip_tot_len mismatch against received length from {from}. {said} and received {have}")
        }
        Flaw::Checksum(version) => format!("({name}) Invalid VRRPv{version} checksum from {from}"),
        Flaw::Cast { multicast } => {
            let (theirs, ours) = (cast(multicast), cast(!multicast));
            format!("({name}) Expected {ours}icast packet but received {theirs}icast packet from {from}")
        }
        Flaw::Owner => format!("({name}) Dropping packet(s) from {from} since we are address owner"),
        Flaw::NotAPeer => format!("({name}) unicast source address {from} not a unicast peer"),
        Flaw::IntervalDiffers { theirs, ours } => {
            format!("({name}) advertisement interval mismatch ours = {} centi-sec rcv'd={} centi-sec", ours.0, theirs.0)
        }
        Flaw::AddressCount { theirs, ours } => format!("({name}) expected {ours} VIPs but received {theirs}"),
        Flaw::AddressMissing { address, vrid } => {
            format!("({name}) ip address associated with VRID {vrid} not present in advert from {from}: {address}")
        }
    }
}

fn script(name: &str, event: ScriptEvent) -> String {
    match event {
        ScriptEvent::NowReturning(status) => format!("Script `{name}` now returning {status}"),
        ScriptEvent::Succeeded => format!("VRRP_Script({name}) succeeded"),
        ScriptEvent::Failed(Outcome::Exited(status)) => {
            format!("VRRP_Script({name}) failed (exited with status {status})")
        }
        ScriptEvent::Failed(Outcome::Signalled(signal)) => {
            format!("VRRP_Script({name}) failed (due to signal {signal})")
        }
        // ours
        ScriptEvent::Failed(Outcome::NotStarted(errno)) => {
            format!("VRRP_Script({name}) failed (cannot be started: {})", reason(errno))
        }
        ScriptEvent::TimedOut | ScriptEvent::Failed(Outcome::TimedOut) => format!("VRRP_Script({name}) timed_out"),
        ScriptEvent::StillRunning { ending: false } => {
            format!("Track script {name} is already running, expect idle - skipping run")
        }
        ScriptEvent::StillRunning { ending: true } => {
            format!("Track script {name} is being timed out, expect idle - skipping run")
        }
        ScriptEvent::KeptOnReload { good: true } => format!("VRRP_Script({name}) considered successful on reload"),
        ScriptEvent::KeptOnReload { good: false } => format!("VRRP_Script({name}) considered unsuccessful on reload"),
    }
}

/// The C library's words for an error number.
fn reason(errno: i32) -> &'static str {
    Errno::from_raw(errno).desc()
}

#[cfg(test)]
mod tests;
