//! Every sentence as operators' alerts know it.

use std::time::Duration;

use super::*;
use crate::time::Centis;
use crate::vrrp::io::Role;

const DETAIL: bool = true;
const ALWAYS: bool = false;

fn of_instance(event: InstanceEvent, text: &str, detail_only: bool) {
    let line = line(&Event::Instance("VI_1".into(), event));
    assert_eq!((line.text.as_str(), line.detail_only), (text, detail_only));
}

fn heard(flaw: Flaw, text: &str) {
    of_instance(InstanceEvent::Heard(peer(), flaw), text, ALWAYS);
}

fn of_script(event: ScriptEvent, text: &str) {
    assert_eq!(sentence(&Event::Script("chk".into(), event)), text);
}

fn peer() -> IpAddr {
    "10.0.0.2".parse().unwrap()
}

fn eth0() -> crate::addr::IfName {
    "eth0".parse().unwrap()
}

#[test]
fn transitions_are_told_in_keepalived_s_words() {
    use InstanceEvent as I;
    let entered = |role, init| I::Entered { role, init };
    of_instance(entered(Role::Backup, true), "(VI_1) Entering BACKUP STATE (init)", ALWAYS);
    of_instance(entered(Role::Fault, true), "(VI_1) entering FAULT state", ALWAYS);
    of_instance(entered(Role::Master, false), "(VI_1) Entering MASTER STATE", ALWAYS);
    of_instance(entered(Role::Backup, false), "(VI_1) Entering BACKUP STATE", ALWAYS);
    of_instance(entered(Role::Fault, false), "(VI_1) Entering FAULT STATE", ALWAYS);
    of_instance(I::MasterDown, "(VI_1) Receive advertisement timeout", DETAIL);
    of_instance(I::MasterSet { from: None, to: peer() }, "(VI_1) master set to 10.0.0.2", DETAIL);
    let from = Some("10.0.0.3".parse().unwrap());
    of_instance(I::MasterSet { from, to: peer() }, "(VI_1) master changed from 10.0.0.3 to 10.0.0.2", DETAIL);
    of_instance(I::SentZero, "(VI_1) sent 0 priority", DETAIL);
    of_instance(I::PriorityChanged { from: 100, to: 80 }, "(VI_1) Changing effective priority from 100 to 80", ALWAYS);
}

#[test]
fn reasons_of_a_fault_at_start_keep_their_uneven_colons() {
    let starts = |reason, text| of_instance(InstanceEvent::StartsInFault(reason), text, ALWAYS);
    starts(FaultReason::InterfaceDown(eth0()), "(VI_1): entering FAULT state (interface eth0 down)");
    starts(FaultReason::Script("chk".into()), "(VI_1): entering FAULT state due to script chk");
    starts(FaultReason::NoSource(Family::V4), "(VI_1) entering FAULT state (no IPv4 address for interface)");
    starts(FaultReason::NoSource(Family::V6), "(VI_1) entering FAULT state (no IPv6 address for interface)");
    starts(FaultReason::SourceMissing(peer()), "(VI_1): entering FAULT state (src address not configured)");
}

#[test]
fn what_adverts_do_to_a_state_is_told_in_keepalived_s_words() {
    use InstanceEvent as I;
    let source = peer();
    let discarded = "(VI_1) received lower priority (90) advert from 10.0.0.2 - discarding";
    of_instance(I::LowerDiscarded { priority: 90, source }, discarded, ALWAYS);
    of_instance(I::BackupHeardZero, "(VI_1) Backup received priority 0 advertisement", DETAIL);
    of_instance(I::MasterHeardZero, "(VI_1) Master received priority 0 message", DETAIL);
    let higher = "(VI_1) Master received advert from 10.0.0.2 with higher priority 200, ours 100";
    of_instance(I::HigherPriority { source, priority: 200, ours: 100 }, higher, ALWAYS);
    let tie = "(VI_1) Master received advert from 10.0.0.2 with same priority 100 but higher IP address than ours";
    of_instance(I::HigherAddress { source, priority: 100 }, tie, ALWAYS);
    let lower = |answered, expected| I::LowerPriority { source, priority: 90, ours: 100, answered, expected };
    let sentence = "(VI_1) Received advert from 10.0.0.2 with lower priority 90, ours 100";
    of_instance(lower(true, false), &format!("{sentence}, forcing new election"), ALWAYS);
    of_instance(lower(false, false), sentence, ALWAYS);
    of_instance(lower(false, true), sentence, DETAIL);
    let own = "(VI_1) WARNING - equal priority advert received from remote host with our IP address.";
    of_instance(I::OwnAddressHeard, own, ALWAYS);
    of_instance(I::PreemptDelayStarted(Duration::from_millis(3500)), "(VI_1) start preempt delay (3.500000)", DETAIL);
    of_instance(I::PreemptDelayStopped, "(VI_1) stop preempt delay", DETAIL);
    let learnt = "(VI_1) advertisement interval updated from 1000ms to 500ms by master";
    of_instance(I::IntervalLearnt { from: Centis(100), to: Centis(50) }, learnt, DETAIL);
    let reset = "(VI_1) changing advert interval from 500ms to locally configured 1000ms";
    of_instance(I::IntervalReset { from: Centis(50), to: Centis(100) }, reset, DETAIL);
}

#[test]
fn two_owners_are_told_in_keepalived_s_words() {
    use InstanceEvent as I;
    let error =
        "(VI_1) CONFIGURATION ERROR: local instance and 10.0.0.2 are both configured as address owner, please resolve";
    of_instance(I::TwoOwners(peer()), error, ALWAYS);
    let goes_on = "(VI_1) 10.0.0.2 is still advertising as address owner, please resolve - reducing our priority";
    of_instance(I::OtherOwnerGoesOn(peer()), goes_on, ALWAYS);
    let stopped = "(VI_1): rogue address owner appears to have stopped advertising";
    of_instance(I::OtherOwnerStopped, stopped, ALWAYS);
    let gone = "(VI_1) Restoring our priority to 255 since other address owner has disappeared";
    of_instance(I::OwnerRestored { priority: 255, lower_heard: false }, gone, ALWAYS);
    let lower = "(VI_1) Restoring our priority to 255 since received advert with lower priority";
    of_instance(I::OwnerRestored { priority: 255, lower_heard: true }, lower, ALWAYS);
}

#[test]
fn sending_is_told_in_keepalived_s_words() {
    use InstanceEvent as I;
    let (link, address) = (eth0(), peer());
    let failed = "(VI_1): send advert error 101 (Network is unreachable)";
    of_instance(I::SendFailed { peer: None, errno: 101 }, failed, ALWAYS);
    let failed = "(VI_1) Cant send advert to 10.0.0.2 (No route to host)";
    of_instance(I::SendFailed { peer: Some(address), errno: 113 }, failed, ALWAYS);
    of_instance(I::Addresses { setting: true, excluded: false }, "(VI_1) setting VIPs.", DETAIL);
    of_instance(I::Addresses { setting: false, excluded: true }, "(VI_1) removing E-VIPs.", DETAIL);
    let burst = "(VI_1) Sending/queueing gratuitous ARPs on eth0 for 10.0.0.2";
    of_instance(I::AnnouncingBurst { link, address }, burst, DETAIL);
    let v6: IpAddr = "fe80::1".parse().unwrap();
    let burst = "(VI_1) Sending/queueing Unsolicited Neighbour Adverts on eth0 for fe80::1";
    of_instance(I::AnnouncingBurst { link, address: v6 }, burst, DETAIL);
    assert_eq!(sentence(&Event::Announced { link, address }), "Sending gratuitous ARP on eth0 for 10.0.0.2");
    let neighbour = "Sending unsolicited Neighbour Advert on eth0 for fe80::1";
    assert_eq!(sentence(&Event::Announced { link, address: v6 }), neighbour);
    of_instance(I::OldChecksumAdopted, "(VI_1) Setting unicast VRRPv3 checksum to old version", ALWAYS);
}

#[test]
fn bad_adverts_are_told_in_keepalived_s_words() {
    heard(
        Flaw::Length { have: 56, expected: 32 },
        "(VI_1) vrrp packet from 10.0.0.2 too long, length 56 and expect 32",
    );
    heard(
        Flaw::Length { have: 31, expected: 32 },
        "(VI_1) vrrp packet from 10.0.0.2 too short, length 31 and expect 32",
    );
    heard(Flaw::Ttl(64), "(VI_1) invalid TTL/HL from 10.0.0.2. Received 64 and expect 255");
    heard(Flaw::PeerTtl { ttl: 9, min: 10, max: 20 }, "(VI_1) TTL/HL 9 from 10.0.0.2 not in range [10, 20]");
    heard(Flaw::Version { theirs: 3, ours: 2 }, "(VI_1) wrong VRRP version from 10.0.0.2. Received 3 and expect 2");
    heard(Flaw::InvalidAuthType(9), "(VI_1) Invalid auth type from 10.0.0.2: 9");
    heard(Flaw::AuthType { theirs: 1, ours: 0 }, "(VI_1) received a 1 auth from 10.0.0.2, expecting 0!");
    heard(Flaw::Password, "(VI_1) received an invalid passwd from 10.0.0.2!");
    heard(Flaw::AuthHeader, "(VI_1) Received AH header but auth type not AH from 10.0.0.2");
    let interval = "(VI_1) advertisement interval mismatch with 10.0.0.2 mine=1 sec rcv'd=2 sec";
    heard(Flaw::Interval { theirs: 2, ours: 1 }, interval);
    let differs = "(VI_1) advertisement interval mismatch ours = 100 centi-sec rcv'd=50 centi-sec";
    heard(Flaw::IntervalDiffers { theirs: Centis(50), ours: Centis(100) }, differs);
    heard(Flaw::Type(2), "(VI_1) Invalid packet type from 10.0.0.2. 2 and expect 1");
    let total = "(VI_1) ip_tot_len mismatch against received length from 10.0.0.2. 60 and received 40";
    heard(Flaw::TotalLength { said: 60, have: 40 }, total);
    heard(Flaw::Checksum(3), "(VI_1) Invalid VRRPv3 checksum from 10.0.0.2");
    let cast = "(VI_1) Expected unicast packet but received multicast packet from 10.0.0.2";
    heard(Flaw::Cast { multicast: true }, cast);
    heard(Flaw::Owner, "(VI_1) Dropping packet(s) from 10.0.0.2 since we are address owner");
    heard(Flaw::NotAPeer, "(VI_1) unicast source address 10.0.0.2 not a unicast peer");
    heard(Flaw::AddressCount { theirs: 1, ours: 2 }, "(VI_1) expected 2 VIPs but received 1");
    let missing = "(VI_1) ip address associated with VRID 51 not present in advert from 10.0.0.2: 10.0.0.9";
    heard(Flaw::AddressMissing { address: "10.0.0.9".parse().unwrap(), vrid: 51 }, missing);
    let unknown = "Unknown VRID(9) received on interface(eth0) from 10.0.0.2. ignoring...";
    assert_eq!(sentence(&Event::UnknownVrid { vrid: 9, link: Some(eth0()), source: peer() }), unknown);
    assert_eq!(sentence(&Event::TooShort(Family::V4, 27)), "IPv4 VRRP packet too short - 27 bytes");
}

#[test]
fn scripts_links_and_delays_are_told_in_keepalived_s_words() {
    of_script(ScriptEvent::NowReturning(1), "Script `chk` now returning 1");
    of_script(ScriptEvent::Succeeded, "VRRP_Script(chk) succeeded");
    of_script(ScriptEvent::Failed(Outcome::Exited(2)), "VRRP_Script(chk) failed (exited with status 2)");
    of_script(ScriptEvent::Failed(Outcome::Signalled(9)), "VRRP_Script(chk) failed (due to signal 9)");
    of_script(ScriptEvent::TimedOut, "VRRP_Script(chk) timed_out");
    let running = "Track script chk is already running, expect idle - skipping run";
    of_script(ScriptEvent::StillRunning { ending: false }, running);
    let ending = "Track script chk is being timed out, expect idle - skipping run";
    of_script(ScriptEvent::StillRunning { ending: true }, ending);
    of_script(ScriptEvent::KeptOnReload { good: true }, "VRRP_Script(chk) considered successful on reload");
    of_script(ScriptEvent::KeptOnReload { good: false }, "VRRP_Script(chk) considered unsuccessful on reload");
    let of_link = |event, text: &str| assert_eq!(sentence(&Event::Link(eth0(), event)), text);
    of_link(LinkEvent::Up, "Netlink reports eth0 up");
    of_link(LinkEvent::Down, "Netlink reports eth0 down");
    of_link(LinkEvent::Added, "Interface eth0 added");
    of_link(LinkEvent::Deleted, "Interface eth0 deleted");
    of_link(LinkEvent::Renamed("lan0".parse().unwrap()), "Interface name has changed from eth0 to lan0");
    assert_eq!(sentence(&Event::StartupDelayed(Duration::from_millis(2500))), "Delaying startup for 2.5 seconds");
    assert_eq!(sentence(&Event::StartupDelayed(Duration::from_secs(10))), "Delaying startup for 10 seconds");
    assert_eq!(sentence(&Event::StartupDelayOver), "Delayed start completed");
    let late = "VRRP thread timer expired 5.256703 seconds ago";
    assert_eq!(sentence(&Event::TimerLate(Duration::from_micros(5_256_703))), late);
}
