//! Virtual servers, real servers and checkers: what each rule says and does, and what is inherited from where.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use keepalived_rs::addr::Family;
use keepalived_rs::config::Loaded;
use keepalived_rs::config::machine::FakeMachine;
use keepalived_rs::diag::Code;
use keepalived_rs::diag::render::{self, Style};
use keepalived_rs::model::checker::{Checker, Http, Misc, Probe, Schedule};
use keepalived_rs::model::lvs::{
    Forwarding, Granularity, GroupEntry, Identity, Lvs, Marks, Protocol, RealServer, Tunnel, VirtualServer,
};
use keepalived_rs::model::mail::{MailHost, MailServer};

use crate::kit::{findings, read, read_on};

/// What most services here begin with.
const BASE: &str = "lb_algo rr\nlb_kind NAT\nprotocol TCP";
const DIRECT: &str = "lb_algo rr\nlb_kind DR\nprotocol TCP";
const PLAIN: &str = "virtual_server 192.0.2.1 80";
const GROUP: &str = "virtual_server group g";
const RS: &str = "real_server 192.0.2.2 80 {\n}";

fn service(head: &str, lines: &str, servers: &str) -> Loaded {
    read(&format!("{head} {{\n{lines}\n{servers}\n}}\n"))
}

fn group(entries: &str, lines: &str, servers: &str) -> Loaded {
    read(&format!("virtual_server_group g {{\n{entries}\n}}\n{GROUP} {{\n{lines}\n{servers}\n}}\n"))
}

/// A plain service whose server has this in it.
fn server_with(lines: &str) -> Loaded {
    service(PLAIN, BASE, &format!("real_server 192.0.2.2 80 {{\n{lines}\n}}"))
}

fn checker_with(kind: &str, lines: &str) -> Loaded {
    server_with(&format!("{kind} {{\n{lines}\n}}"))
}

/// The codes that are said, and the status of `-t`.
#[track_caller]
fn says(loaded: &Loaded, codes: &[Code], status: u8) {
    let said: Vec<Code> = loaded.diagnostics.iter().map(|d| d.code).collect();
    assert_eq!((said.as_slice(), loaded.diagnostics.config_test_status()), (codes, status), "{:#?}", findings(loaded));
}

#[track_caller]
fn only(loaded: &Loaded) -> &VirtualServer {
    let [service] = loaded.config.lvs.virtual_servers.as_slice() else { panic!("{:#?}", findings(loaded)) };
    service
}

#[track_caller]
fn first_server(loaded: &Loaded) -> &RealServer {
    &only(loaded).real_servers[0]
}

#[track_caller]
fn first_checker(loaded: &Loaded) -> &Checker {
    let Some(checker) = first_server(loaded).checkers.first() else { panic!("{:#?}", findings(loaded)) };
    checker
}

fn target(server: &RealServer, checker: &Checker) -> SocketAddr {
    match &checker.probe {
        Probe::Tcp(connection) | Probe::Ping(connection) => connection.target(server.asked_at()),
        Probe::Smtp(smtp) => smtp.connection.target(server.asked_at()),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn first_target(loaded: &Loaded) -> SocketAddr {
    target(first_server(loaded), first_checker(loaded))
}

fn http(loaded: &Loaded) -> &Http {
    match &first_checker(loaded).probe {
        Probe::Http(http) => http,
        other => panic!("{other:?}"),
    }
}

fn misc(loaded: &Loaded) -> &Misc {
    match &first_checker(loaded).probe {
        Probe::Misc(misc) => misc,
        other => panic!("{other:?}"),
    }
}

const VS: Code = Code::VIRTUAL_SERVER;
const REAL: Code = Code::REAL_SERVER;

#[test]
fn what_a_service_lacks_is_completed_with_a_warning() {
    let without = |line: &str| BASE.replace(line, "");
    says(&service(PLAIN, BASE, RS), &[], 0);
    says(&service(PLAIN, &without("protocol TCP"), RS), &[VS], 5);
    assert_eq!(only(&service(PLAIN, &without("protocol TCP"), RS)).protocol, Protocol::Udp);
    says(&service(PLAIN, &without("lb_algo rr"), RS), &[VS], 5);
    assert_eq!(&*only(&service(PLAIN, &without("lb_algo rr"), RS)).scheduler, "wlc");
    says(&service(PLAIN, &without("lb_kind NAT"), RS), &[VS], 5);
    assert_eq!(first_server(&service(PLAIN, &without("lb_kind NAT"), RS)).forwarding, Forwarding::Nat);
    let empty = service(PLAIN, BASE, "");
    says(&empty, &[VS], 5);
    assert!(empty.config.lvs.virtual_servers.is_empty());
    // D31: a wrong method is an error, and never a random one.
    let wrong = service(PLAIN, &BASE.replace("NAT", "nat"), RS);
    says(&wrong, &[Code::BAD_WORD, VS], 5);
    assert_eq!(first_server(&wrong).forwarding, Forwarding::Nat);
}

#[test]
fn the_method_of_the_service_holds_for_servers_above_and_below_it() {
    let above = service(PLAIN, "lb_algo rr\nprotocol TCP", &format!("{RS}\nlb_kind DR"));
    says(&above, &[], 0);
    assert_eq!(first_server(&above).forwarding, Forwarding::Direct);
    let own = service(PLAIN, DIRECT, "real_server 192.0.2.2 80 {\nlvs_method TUN\n}");
    assert_eq!(first_server(&own).forwarding, Forwarding::Tunnel(Tunnel::Ipip));
    let sorry = service(PLAIN, DIRECT, &format!("sorry_server 192.0.2.9 80\n{RS}"));
    assert_eq!(only(&sorry).sorry_server.as_ref().unwrap().forwarding, Forwarding::Direct);
    let of_its_own = service(PLAIN, DIRECT, &format!("sorry_server 192.0.2.9 8080\nsorry_server_lvs_method NAT\n{RS}"));
    let sorry = only(&of_its_own).sorry_server.as_ref().unwrap();
    assert_eq!((sorry.forwarding, sorry.port), (Forwarding::Nat, 8080));
}

#[test]
fn tunnels_have_what_their_kind_can_have_and_else_stay_as_they_were() {
    let tunnel = |options: &str, codes: &[Code]| {
        let lines = format!("lb_algo rr\nprotocol TCP\nlb_kind TUN type gue port 7\nlb_kind TUN {options}");
        let loaded = service(PLAIN, &lines, RS);
        says(&loaded, codes, if codes.is_empty() { 0 } else { 5 });
        let Forwarding::Tunnel(tunnel) = only(&loaded).forwarding else { panic!("{:?}", only(&loaded).forwarding) };
        format!("{tunnel:?}")
    };
    assert_eq!(tunnel("", &[]), "Ipip");
    assert_eq!(tunnel("type gue port 9 csum", &[]), "Gue { port: 9, checksum: Checksum }");
    assert_eq!(tunnel("type gre csum", &[]), "Gre { checksum: true }");
    let before = "Gue { port: 7, checksum: None }";
    assert_eq!(tunnel("type gue", &[REAL]), before);
    assert_eq!(tunnel("type ipip port 9", &[REAL]), before);
    assert_eq!(tunnel("csum", &[REAL]), before);
    assert_eq!(tunnel("type gre remcsum", &[REAL]), before);
    assert_eq!(tunnel("type vxlan", &[Code::UNKNOWN_OPTION]), before);
    assert_eq!(tunnel("type gue port 0", &[Code::BAD_NUMBER]), before);
}

#[test]
fn a_firewall_mark_has_neither_protocol_nor_address() {
    let mark = "virtual_server fwmark 7";
    says(&service(mark, "lb_algo rr\nlb_kind NAT", RS), &[], 0);
    let with_protocol = service(mark, &format!("{BASE}\nops"), RS);
    says(&with_protocol, &[VS], 5);
    assert_eq!((only(&with_protocol).protocol, only(&with_protocol).one_packet), (Protocol::None, true));
    let suspended = service(mark, "lb_algo rr\nlb_kind NAT\nha_suspend", RS);
    says(&suspended, &[VS], 5);
    assert!(!only(&suspended).ha_suspend);
    says(&group("192.0.2.1 80\nfwmark 3", &format!("{BASE}\nha_suspend"), RS), &[VS], 5);
    assert!(only(&group("192.0.2.1 80", &format!("{BASE}\nha_suspend"), RS)).ha_suspend);
}

#[test]
fn one_packet_scheduling_is_for_udp() {
    let tcp = service(PLAIN, &format!("{BASE}\nops"), RS);
    says(&tcp, &[VS], 5);
    assert!(!only(&tcp).one_packet);
    let udp = service(PLAIN, &format!("{}\nops", BASE.replace("TCP", "UDP")), RS);
    says(&udp, &[], 0);
    assert!(only(&udp).one_packet);
}

#[test]
fn flags_of_sh_and_mh_count_after_their_own_scheduler() {
    let flags = |lines: &str, codes: &[Code], status| {
        let loaded = service(PLAIN, &format!("lb_kind NAT\nprotocol TCP\n{lines}"), RS);
        says(&loaded, codes, status);
        only(&loaded).scheduler_flags
    };
    assert_eq!(flags("lb_algo sh\nsh-port\nsh-fallback", &[], 0), 0x18);
    assert_eq!(flags("lb_algo mh\nmh-port", &[], 0), 0x10);
    assert_eq!(flags("lb_algo rr\nflag-1\nflag-3", &[], 0), 0x28);
    assert_eq!(flags("sh-port\nlb_algo sh", &[VS], 5), 0);
    assert_eq!(flags("lb_algo rr\nsh-port", &[VS], 5), 0);
    assert_eq!(flags("lb_algo mh\nsh-port", &[VS], 0), 0, "keepalived says nothing");
    assert_eq!(flags("lb_algo sh\nhashed", &[Code::DEPRECATED], 0), 0);
    assert_eq!(flags("lb_algo rr\nhashed", &[Code::DEPRECATED], 5), 0);
}

#[test]
fn persistence_is_turned_on_by_its_time_its_granularity_or_a_missing_port() {
    let on = |head: &str, lines: &str| {
        let loaded = service(head, &format!("{BASE}\n{lines}"), RS);
        let persistence = only(&loaded).persistence.clone();
        (persistence.map(|p| (p.timeout_secs, p.granularity)), loaded.diagnostics.config_test_status())
    };
    let host = Granularity::Mask([255; 4].into());
    let net = Granularity::Mask([255, 255, 255, 0].into());
    let portless = "virtual_server 192.0.2.1";
    assert_eq!(on(PLAIN, ""), (None, 0));
    assert_eq!(on(PLAIN, "persistence_timeout 50"), (Some((50, host)), 0));
    assert_eq!(on(PLAIN, "persistence_timeout"), (Some((360, host)), 0));
    assert_eq!(on(PLAIN, "persistence_timeout 0"), (None, 5));
    assert_eq!(on(PLAIN, "persistence_granularity 255.255.255.0"), (Some((360, net)), 0));
    assert_eq!(on(portless, "persistence_granularity 255.255.255.0"), (Some((360, net)), 0));
    assert_eq!(on(portless, ""), (Some((360, host)), 5));
    assert_eq!(on("virtual_server 192.0.2.1 0", ""), (Some((360, host)), 5));
    assert_eq!(on(PLAIN, "persistence_granularity 24").1, 0, "0.0.0.24, as keepalived has it");
    assert_eq!(on(PLAIN, "persistence_granularity nonsense"), (None, 5));
    let six = service(
        "virtual_server 2001:db8::1 80",
        &format!("{BASE}\npersistence_granularity 64"),
        "real_server 2001:db8::2 80 {\n}",
    );
    assert_eq!(only(&six).persistence.as_ref().unwrap().granularity, Granularity::Prefix(64));
}

#[test]
fn the_granularity_of_a_group_is_kept_and_its_missing_port_noticed() {
    let kept = group("192.0.2.1 80", &format!("{BASE}\npersistence_granularity 255.255.0.0"), RS);
    let persistence = only(&kept).persistence.clone().unwrap();
    assert_eq!((persistence.timeout_secs, persistence.granularity), (360, Granularity::Mask([255, 255, 0, 0].into())));
    let portless = group("192.0.2.1 80\n192.0.2.3", BASE, RS);
    says(&portless, &[VS], 5);
    assert!(only(&portless).persistence.is_some());
}

#[test]
fn the_family_is_that_of_address_servers_or_group() {
    let mark = "virtual_server fwmark 7";
    let kind = |kind: &str| format!("lb_algo rr\nlb_kind {kind}");
    let six = "real_server 2001:db8::2 80 {\n}";
    let dropped = service(PLAIN, BASE, six);
    says(&dropped, &[REAL, VS], 5);
    assert!(dropped.config.lvs.virtual_servers.is_empty());
    let tunnelled = service(PLAIN, "lb_algo rr\nlb_kind TUN\nprotocol TCP", six);
    says(&tunnelled, &[], 0);
    assert_eq!(only(&tunnelled).family, Family::V4);
    assert_eq!(only(&service(mark, &kind("NAT"), six)).family, Family::V6);
    assert_eq!(only(&service(mark, &kind("TUN"), six)).family, Family::V6, "all servers are IPv6");
    assert_eq!(only(&service(mark, &kind("TUN"), &format!("{six}\n{RS}"))).family, Family::V4);
    assert_eq!(only(&service(mark, &format!("ip_family inet6\n{}", kind("TUN")), RS)).family, Family::V6);
    assert_eq!(
        only(&service(mark, &kind("NAT"), six)).identity,
        Identity::Mark { family: Family::V6, mark: 7 },
        "the same mark of the other family is another service"
    );
    let sorry = service(PLAIN, BASE, &format!("sorry_server 2001:db8::9 80\n{RS}"));
    says(&sorry, &[REAL], 5);
    assert!(only(&sorry).sorry_server.is_none());
    says(&service(PLAIN, &format!("{BASE}\nip_family inet6"), RS), &[VS], 5);
}

#[test]
fn a_group_must_be_of_its_services_family_and_may_have_both_only_through_tunnels() {
    let none = |loaded: &Loaded| loaded.config.lvs.virtual_servers.is_empty();
    let tunnel = BASE.replace("NAT", "TUN");
    let both = "192.0.2.1 80\n2001:db8::1 80";
    let other = group("2001:db8::1 80", BASE, RS);
    says(&other, &[VS], 0);
    assert!(none(&other));
    let mixed = group(both, BASE, RS);
    says(&mixed, &[VS], 0);
    assert!(none(&mixed));
    let tunnelled = group(&format!("{both}\nfwmark 3 inet6"), &tunnel, "real_server 192.0.2.2 {\n}");
    says(&tunnelled, &[], 0);
    assert_eq!(only(&tunnelled).group.len(), 3);
    let undecided = group(&format!("{both}\nfwmark 3"), &tunnel, RS);
    says(&undecided, &[VS, VS], 5);
    assert!(none(&undecided));
    let unknown = service("virtual_server group nobody", BASE, RS);
    says(&unknown, &[VS], 0);
    assert!(none(&unknown));
    says(&group("", BASE, RS), &[VS, VS], 5);
}

#[test]
fn marks_of_a_group_come_after_its_addresses_in_the_family_of_the_service() {
    let loaded = group(
        "fwmark 3\n2001:db8::1 80\nfwmark 4 inet6\n2001:db8::10-1f 80",
        &BASE.replace("NAT", "DR"),
        "real_server 2001:db8::2 {\n}",
    );
    says(&loaded, &[], 0);
    let shown: Vec<String> = only(&loaded)
        .group
        .iter()
        .map(|entry| match entry {
            GroupEntry::Addresses { first, last, port } => format!("{first} {last} {port}"),
            GroupEntry::Mark { family, mark } => format!("{family:?} {mark}"),
        })
        .collect();
    assert_eq!(shown, ["2001:db8::1 2001:db8::1 80", "2001:db8::10 2001:db8::1f 80", "V6 3", "V6 4"]);
}

#[test]
fn services_of_one_group_are_counted_and_only_marks_need_no_protocol() {
    let text = format!(
        "virtual_server_group g {{\n192.0.2.1 80\n}}\n{GROUP} {{\n{BASE}\n{RS}\n}}\n{GROUP} {{\n{}\n{RS}\n}}\n",
        BASE.replace("TCP", "UDP")
    );
    let loaded = read(&text);
    let ordinals: Vec<Identity> = loaded.config.lvs.virtual_servers.iter().map(|vs| vs.identity.clone()).collect();
    let named = |ordinal| Identity::Group { name: "g".into(), ordinal };
    assert_eq!(ordinals, [named(0), named(1)]);
    says(&group("fwmark 3", "lb_algo rr\nlb_kind NAT", RS), &[], 0);
    says(&group("fwmark 3", BASE, RS), &[VS], 5);
    says(&group("192.0.2.1 80", "lb_algo rr\nlb_kind NAT", RS), &[VS], 5);
}

/// Groups of addresses, each with services of these protocols, after what else the file has.
fn marked(global: &str, groups: &[(&str, &[&str])], more: &str) -> Loaded {
    let mut text = format!("global_defs {{\n{global}\n}}\n{more}\n");
    for (place, (name, protocols)) in (1..).zip(groups) {
        text += &format!("virtual_server_group {name} {{\n192.0.2.{place} 80\n}}\n");
        for protocol in *protocols {
            let base = BASE.replace("TCP", protocol);
            text += &format!("virtual_server group {name} {{\n{base}\n{RS}\n}}\n");
        }
    }
    read(&text)
}

fn marks(loaded: &Loaded) -> Vec<Option<u32>> {
    loaded.config.lvs.virtual_servers.iter().map(|vs| vs.mark).collect()
}

#[test]
fn with_nftables_ipvs_each_group_has_a_mark_for_each_protocol() {
    let groups: &[(&str, &[&str])] = &[("a", &["TCP", "UDP"]), ("b", &["TCP"])];
    assert_eq!(marks(&marked("", groups, "")), [None; 3]);
    let loaded = marked("nftables_ipvs", groups, "");
    says(&loaded, &[], 0);
    assert_eq!(marks(&loaded), [Some(1000), Some(1001), Some(1002)]);
    let nftables = loaded.config.lvs.nftables.as_ref().unwrap();
    assert_eq!((&*nftables.table, nftables.priority, nftables.counters), ("keepalived_ipvs", -1, false));
    let set = "nftables_counters\nnftables_ipvs own\nnftables_ipvs_priority 7\nnftables_ipvs_start_fwmark 5";
    let loaded =
        marked(set, groups, "virtual_server fwmark 6 {\nlb_algo rr\nlb_kind NAT\nreal_server 192.0.2.2 {\n}\n}");
    says(&loaded, &[], 0);
    let nftables = loaded.config.lvs.nftables.as_ref().unwrap();
    assert_eq!((&*nftables.table, nftables.priority, nftables.counters), ("own", 7, true));
    assert_eq!(marks(&loaded), [None, Some(5), Some(7), Some(8)]);
    let early = marked("nftables_ipvs_priority 7\nnftables_ipvs", groups, "");
    says(&early, &[Code::GLOBAL_CONFLICT], 0);
    assert_eq!(early.config.lvs.nftables.as_ref().unwrap().priority, -1);
}

#[test]
fn a_group_with_a_mark_of_its_own_has_services_as_without_nftables() {
    let text = format!(
        "global_defs {{\nnftables_ipvs\n}}\nvirtual_server_group g {{\n192.0.2.1 80\nfwmark 3\n}}\n{GROUP} {{\n{BASE}\n{RS}\n}}\n"
    );
    assert_eq!(marks(&read(&text)), [None]);
}

#[test]
fn groups_keep_their_marks_and_none_is_given_twice() {
    let [a, b, c]: [(&str, &[&str]); 3] = [("a", &["TCP"]), ("b", &["TCP"]), ("c", &["TCP"])];
    let mut before = Marks::default();
    let mut reloaded = |global: &str, groups: &[(&str, &[&str])], more: &str| {
        let mut lvs = Lvs::clone(&marked(global, groups, more).config.lvs);
        lvs.give_marks(&before);
        before = lvs.marks.clone();
        lvs.virtual_servers.iter().filter_map(|vs| vs.mark).collect::<Vec<_>>()
    };
    assert_eq!(reloaded("nftables_ipvs", &[a, b], ""), [1000, 1001]);
    assert_eq!(reloaded("nftables_ipvs", &[c, b, a], ""), [1002, 1001, 1000]);
    assert_eq!(reloaded("nftables_ipvs", &[b], ""), [1001]);
    assert_eq!(reloaded("nftables_ipvs", &[b, a], ""), [1001, 1003]);
    // Somebody else has need of one.
    let other = "virtual_server fwmark 1003 {\nlb_algo rr\nlb_kind NAT\nreal_server 192.0.2.2 {\n}\n}";
    assert_eq!(reloaded("nftables_ipvs", &[b, a], other), [1001, 1004]);
    assert_eq!(reloaded("nftables_ipvs\nnftables_ipvs_start_fwmark 1", &[b, a, c], ""), [1001, 1004, 1]);
}

#[test]
fn a_line_of_a_group_may_be_65536_services_and_no_more() {
    says(&group("10.0.0.0/16 80", BASE, RS), &[], 0);
    says(&group("192.0.2.1 80\n10.0.0.0/15 80", BASE, RS), &[VS], 0);
    says(&group("192.0.2.1 80\n2001:db8::/64 80", &BASE.replace("NAT", "TUN"), RS), &[VS], 0);
    says(&group("192.0.2.1 80\n192.0.2.9-3 80", BASE, RS), &[Code::BAD_ADDRESS], 5);
}

#[test]
fn ports_follow_the_service_unless_they_are_translated() {
    let port = |head: &str, base: &str, written: &str, codes: &[Code]| {
        let loaded = service(head, base, &format!("real_server 192.0.2.2 {written} {{\n}}"));
        says(&loaded, codes, if codes.is_empty() { 0 } else { 5 });
        first_server(&loaded).port
    };
    let mark = "virtual_server fwmark 7";
    assert_eq!(port(PLAIN, BASE, "8080", &[]), 8080);
    assert_eq!(port(PLAIN, BASE, "", &[]), 80);
    assert_eq!(port(PLAIN, DIRECT, "", &[]), 80);
    assert_eq!(port(PLAIN, DIRECT, "8080", &[REAL]), 80);
    assert_eq!(port(mark, "lb_algo rr\nlb_kind NAT", "8080", &[]), 8080);
    assert_eq!(port(mark, "lb_algo rr\nlb_kind DR", "8080", &[REAL]), 0);
    let in_group = |base: &str, codes: &[Code]| {
        let loaded = group("192.0.2.1 80\n192.0.2.3 81", base, RS);
        says(&loaded, codes, if codes.is_empty() { 0 } else { 5 });
        first_server(&loaded).port
    };
    assert_eq!(in_group(BASE, &[]), 80);
    assert_eq!(in_group(DIRECT, &[REAL]), 80, "its name keeps the port");
    says(&group("192.0.2.1 80\nfwmark 3", DIRECT, RS), &[REAL], 5);
    says(&group("192.0.2.1 80\nfwmark 3", BASE, RS), &[], 0);
    says(&group("192.0.2.1 80\nfwmark 3", DIRECT, "real_server 192.0.2.2 {\n}"), &[], 0);
}

#[test]
fn a_server_without_a_port_is_probed_at_the_port_of_its_service() {
    let probed = |head: &str, base: &str, server: &str| {
        first_target(&service(head, base, &format!("real_server {server} {{\nTCP_CHECK {{\n}}\n}}"))).port()
    };
    assert_eq!(probed(PLAIN, BASE, "192.0.2.2"), 80);
    assert_eq!(probed(PLAIN, DIRECT, "192.0.2.2"), 80);
    assert_eq!(probed(PLAIN, BASE, "192.0.2.2 8080"), 8080);
    let in_group =
        |entries: &str| first_target(&group(entries, BASE, "real_server 192.0.2.2 {\nTCP_CHECK {\n}\n}")).port();
    assert_eq!(in_group("192.0.2.1 81\n192.0.2.3 81"), 81);
    assert_eq!(in_group("192.0.2.1 81\n192.0.2.3 82"), 0);
    let nowhere =
        service("virtual_server fwmark 7", "lb_algo rr\nlb_kind DR", "real_server 192.0.2.2 {\nTCP_CHECK {\n}\n}");
    says(&nowhere, &[Code::CHECKER], 0);
    says(
        &service("virtual_server fwmark 7", "lb_algo rr\nlb_kind DR", "real_server 192.0.2.2 {\nPING_CHECK {\n}\n}"),
        &[],
        0,
    );
}

#[test]
fn the_same_server_twice_is_dropped() {
    let twice =
        |base: &str, second: &str| service(PLAIN, base, &format!("{RS}\nreal_server 192.0.2.2 {second} {{\n}}"));
    says(&twice(BASE, "80"), &[REAL], 5);
    assert_eq!(only(&twice(BASE, "80")).real_servers.len(), 1);
    says(&twice(BASE, ""), &[REAL], 0);
    assert_eq!(only(&twice(BASE, "")).real_servers.len(), 1, "it is port 80, too");
    assert_eq!(only(&twice(BASE, "81")).real_servers.len(), 2);
    says(&twice(DIRECT, "81"), &[REAL, REAL], 5);
    assert_eq!(only(&twice(DIRECT, "81")).real_servers.len(), 1);
}

#[test]
fn two_groups_or_track_files_of_one_name_are_told_and_the_first_counts() {
    let group = |address: &str| format!("virtual_server_group g {{\n{address} 80\n}}\n");
    let service = format!("virtual_server group g {{\n{BASE}\n{RS}\n}}\n");
    let loaded = read(&(group("192.0.2.1") + &group("192.0.2.2") + &service));
    says(&loaded, &[Code::DUPLICATE_NAME], 0);
    let entry = format!("{:?}", only(&loaded).group);
    assert!(entry.contains("192.0.2.1") && !entry.contains("192.0.2.2"), "{entry}");
    let file = |path: &str| format!("track_file f {{\nfile {path}\n}}\n");
    let check = "real_server 10.0.0.1 80 {\nFILE_CHECK {\ntrack_file f\n}\n}\n";
    let loaded = read(&format!("{}{}{PLAIN} {{\n{BASE}\n{check}}}\n", file("/run/one"), file("/run/two")));
    says(&loaded, &[Code::DUPLICATE_NAME], 0);
    let finding = loaded.diagnostics.iter().next().unwrap();
    assert_eq!(finding.labels.len(), 1);
    let paths: Vec<_> = loaded.config.lvs.track_files.iter().map(|file| file.path.display().to_string()).collect();
    assert_eq!(paths, ["/run/one"]);
}

#[test]
fn the_same_service_twice_names_both_places() {
    let text = format!("{PLAIN} {{\n{BASE}\n{RS}\n}}\n");
    says(&read(&format!("{text}{text}")), &[Code::DUPLICATE_NAME], 0);
    says(&read(&format!("{text}{}", text.replace("TCP", "UDP"))), &[], 0);
}

#[test]
fn quorum_and_hysteresis_are_cut_to_what_the_servers_weigh() {
    let cut = |lines: &str, weight: &str, codes: &[Code]| {
        let server = format!("real_server 192.0.2.2 80 {{\n{weight}\n}}");
        let loaded = service(PLAIN, &format!("{BASE}\n{lines}"), &server);
        says(&loaded, codes, if codes.is_empty() { 0 } else { 5 });
        (only(&loaded).quorum, only(&loaded).hysteresis)
    };
    assert_eq!(cut("quorum 3\nhysteresis 2", "weight 5", &[]), (3, 2));
    assert_eq!(cut("quorum 9", "weight 5", &[VS]), (5, 0));
    assert_eq!(cut("quorum 9\nhysteresis 7", "weight 5", &[VS, VS]), (5, 4));
    assert_eq!(cut("quorum 3\nhysteresis 3", "weight 5", &[VS]), (3, 2));
    assert_eq!(cut("quorum 2\nhysteresis 1", "weight 0", &[VS, VS]), (0, 0), "no wrap below zero");
    assert_eq!(cut("quorum 0", "", &[Code::BAD_NUMBER]), (1, 0));
}

#[test]
fn a_sorry_server_that_is_a_real_server_is_treated_as_that_one() {
    let sorry = format!("sorry_server 192.0.2.2 80\nsorry_server_inhibit\n{RS}");
    let loaded = service(PLAIN, BASE, &sorry);
    says(&loaded, &[REAL], 5);
    assert!(!only(&loaded).sorry_server.as_ref().unwrap().inhibit_on_failure);
    says(&service(PLAIN, &format!("{BASE}\ninhibit_on_failure"), &sorry), &[], 0);
    says(&service(PLAIN, BASE, &format!("sorry_server_inhibit\n{RS}")), &[REAL], 5);
    says(
        &service(PLAIN, BASE, &format!("sorry_server 192.0.2.3\nsorry_server_lvs_method\n{RS}")),
        &[Code::MISSING_ARGUMENT],
        2,
    );
}

#[test]
fn weight_inhibit_and_alpha_come_from_the_service_where_the_server_says_nothing() {
    let lines = format!("{BASE}\nweight 7\ninhibit_on_failure\nalpha");
    let inherited = service(PLAIN, &lines, RS);
    let server = first_server(&inherited);
    assert_eq!((server.weight, server.inhibit_on_failure, server.alpha), (7, true, true));
    let own = service(PLAIN, &lines, "real_server 192.0.2.2 80 {\nweight 0\ninhibit_on_failure off\nalpha no\n}");
    let server = first_server(&own);
    assert_eq!((server.weight, server.inhibit_on_failure, server.alpha), (0, false, false));
}

#[test]
fn mail_is_on_for_servers_and_off_for_services_until_somebody_says_otherwise() {
    let alerts = |global: &str, service: &str, server: &str| {
        let loaded = read(&format!(
            "global_defs {{\n{global}\n}}\n{PLAIN} {{\n{BASE}\n{service}\nreal_server 192.0.2.2 80 {{\n{server}\n}}\n}}"
        ));
        (only(&loaded).smtp_alert, first_server(&loaded).smtp_alert)
    };
    assert_eq!(alerts("", "", ""), (false, true));
    assert_eq!(alerts("smtp_alert", "", ""), (true, true));
    assert_eq!(alerts("smtp_alert off", "", ""), (false, false));
    assert_eq!(alerts("smtp_alert off\nsmtp_alert_checker on", "", ""), (true, true));
    assert_eq!(alerts("smtp_alert\nsmtp_alert_checker off", "", ""), (false, false));
    assert_eq!(alerts("smtp_alert_vrrp on", "", ""), (false, true));
    assert_eq!(alerts("smtp_alert off", "smtp_alert", "smtp_alert"), (true, true));
}

const EVERY_KIND: [(&str, &str); 8] = [
    ("TCP_CHECK", ""),
    ("HTTP_GET", "url {\npath /\n}"),
    ("SSL_GET", "url {\npath /\n}"),
    ("SMTP_CHECK", ""),
    ("DNS_CHECK", ""),
    ("UDP_CHECK", ""),
    ("PING_CHECK", ""),
    ("MISC_CHECK", "misc_path /usr/bin/true"),
];

#[test]
fn servers_that_are_asked_the_same_share_their_checkers() {
    let servers = ["192.0.2.2 80", "192.0.2.3 8080", "192.0.2.4 80"];
    let blocks = |port: &str| servers.map(|at| format!("real_server {at} {{\nTCP_CHECK {{\n{port}\n}}\n}}")).join("\n");
    let other = service(PLAIN, BASE, &blocks("").replacen("TCP_CHECK {", "TCP_CHECK {\nretry 7", 1));
    let same = service(PLAIN, BASE, &blocks(""));
    let shares = |loaded: &Loaded, a: usize, b: usize| {
        let servers = &only(loaded).real_servers;
        std::ptr::eq(&*servers[a].checkers, &*servers[b].checkers)
    };
    assert!(shares(&same, 0, 1) && shares(&same, 1, 2));
    assert!(!shares(&other, 0, 1) && shares(&other, 1, 2));
    let asked = only(&same).real_servers.iter().map(|server| target(server, &server.checkers[0]).to_string());
    assert_eq!(asked.collect::<Vec<_>>(), ["192.0.2.2:80", "192.0.2.3:8080", "192.0.2.4:80"]);
}

/// Schedule and alpha of each kind, with lines at the three levels.
fn schedules(service_lines: &str, server_lines: &str, checker_lines: &str) -> Vec<(Schedule, bool)> {
    EVERY_KIND
        .iter()
        .map(|(kind, needed)| {
            let server =
                format!("real_server 192.0.2.2 80 {{\n{server_lines}\n{kind} {{\n{needed}\n{checker_lines}\n}}\n}}");
            let loaded = service(PLAIN, &format!("{BASE}\n{service_lines}"), &server);
            let checker = first_checker(&loaded);
            (checker.schedule, checker.alpha)
        })
        .collect()
}

#[test]
fn each_kind_has_its_own_defaults() {
    let secs = Duration::from_secs;
    let defaults: Vec<_> = schedules("", "", "").into_iter().map(|(s, _)| (s.retry, s.delay_before_retry)).collect();
    let expected = [(1, 1), (1, 3), (1, 3), (1, 1), (3, 60), (1, 1), (1, 1), (0, 1)];
    assert_eq!(defaults, expected.map(|(retry, pause)| (retry, secs(pause))));
    for (schedule, alpha) in schedules("", "", "") {
        assert_eq!((schedule.delay_loop, schedule.warmup, alpha), (secs(60), secs(60), false));
    }
    let dns = schedules("delay_loop 7", "", "")[4].0;
    assert_eq!((dns.delay_loop, dns.delay_before_retry, dns.warmup), (secs(7), secs(7), secs(7)));
}

#[test]
fn the_innermost_level_that_says_something_counts() {
    let lines = |n: u64| format!("retry {n}\ndelay_before_retry {n}.25\nwarmup {n}.5\ndelay_loop {n}.75");
    let expected = |n: u64| Schedule {
        retry: n as u32,
        delay_before_retry: Duration::from_millis(n * 1000 + 250),
        warmup: Duration::from_millis(n * 1000 + 500),
        delay_loop: Duration::from_millis(n * 1000 + 750),
    };
    let (outer, middle, inner) = (lines(1), lines(2), lines(3));
    let all = |n, alpha| EVERY_KIND.map(|_| (expected(n), alpha)).to_vec();
    assert_eq!(schedules(&format!("{outer}\nalpha"), "", ""), all(1, true));
    assert_eq!(schedules(&format!("{outer}\nalpha"), &format!("{middle}\nalpha off"), ""), all(2, false));
    // D19: delay_loop of a TCP_CHECK.
    assert_eq!(schedules(&outer, &middle, &format!("{inner}\nalpha on")), all(3, true));
}

#[test]
fn connecting_takes_five_seconds_unless_checker_server_or_service_say_otherwise() {
    let timeout = |service_line: &str, server_line: &str, checker_line: &str| {
        // What stands below a checker counts as well: keepalived's SMTP_CHECK looks only up.
        let server = format!(
            "real_server 192.0.2.2 80 {{\nSMTP_CHECK {{\n{checker_line}\n}}\n{server_line}\n}}\n{service_line}"
        );
        let loaded = service(PLAIN, BASE, &server);
        let Probe::Smtp(smtp) = &first_checker(&loaded).probe else { panic!() };
        smtp.connection.timeout
    };
    assert_eq!(timeout("", "", ""), Duration::from_secs(5));
    assert_eq!(timeout("connect_timeout 1", "", ""), Duration::from_secs(1));
    assert_eq!(timeout("connect_timeout 1", "connect_timeout 2", ""), Duration::from_secs(2));
    assert_eq!(timeout("connect_timeout 1", "connect_timeout 2", "connect_timeout 0.5"), Duration::from_millis(500));
    // keepalived gives a host of SMTP_CHECK none at all, unless it has a connect_timeout of its own.
    assert_eq!(timeout("", "", "host {\n}"), Duration::from_secs(5));
    assert_eq!(timeout("connect_timeout 1", "", "host {\n}"), Duration::from_secs(1));
    assert_eq!(timeout("connect_timeout 1", "", "host {\nconnect_timeout 0.5\n}"), Duration::from_millis(500));
}

#[test]
fn failures_are_all_logged_where_the_checker_or_global_defs_say_so() {
    let logged = |global: &str, checker: &str| {
        let loaded = read(&format!(
            "global_defs {{\n{global}\n}}\n{PLAIN} {{\n{BASE}\nreal_server 192.0.2.2 80 {{\nTCP_CHECK {{\n{checker}\n}}\n}}\n}}"
        ));
        first_checker(&loaded).log_all_failures
    };
    assert!(!logged("", ""));
    assert!(logged("", "log_all_failures"));
    assert!(logged("checker_log_all_failures", "log_all_failures off"), "the global one is added");
}

#[test]
fn the_virtual_host_is_that_of_url_checker_server_or_service() {
    let host = |service_line: &str, server_line: &str, checker_line: &str, url_line: &str| {
        let server = format!(
            "real_server 192.0.2.2 80 {{\n{server_line}\nSSL_GET {{\n{checker_line}\nurl {{\npath /\n{url_line}\n}}\n}}\n}}"
        );
        let loaded = service(PLAIN, &format!("{BASE}\n{service_line}"), &server);
        let url = &http(&loaded).urls[0];
        (url.virtualhost.as_deref().unwrap_or("-").to_owned(), url.sni.as_deref().unwrap_or("-").to_owned())
    };
    let both = |host: &str, sni: &str| (host.to_owned(), sni.to_owned());
    assert_eq!(host("", "", "", ""), both("-", "-"));
    assert_eq!(host("virtualhost vs", "", "", ""), both("vs", "-"));
    assert_eq!(
        host("virtualhost vs", "virtualhost rs", "enable_sni", ""),
        both("rs", "rs"),
        "keepalived forgets the server's"
    );
    assert_eq!(host("virtualhost vs", "virtualhost rs", "virtualhost ck\nenable_sni", ""), both("ck", "ck"));
    assert_eq!(host("virtualhost vs", "", "virtualhost ck\nsni_name", "virtualhost url"), both("url", "url"));
    assert_eq!(host("virtualhost vs", "", "sni_name name", ""), both("vs", "name"));
    assert_eq!(host("", "", "enable_sni", ""), both("-", "-"));
}

#[test]
fn a_virtual_host_or_a_label_given_twice_is_the_last_one() {
    // E07
    let loaded = service(PLAIN, &format!("{BASE}\nvirtualhost a\nvirtualhost b\nsnmp_name c\nsnmp_name d"), RS);
    let service = only(&loaded);
    assert_eq!((service.virtualhost.as_deref(), service.snmp_name.as_deref()), (Some("b"), Some("d")));
    assert_eq!(loaded.diagnostics.iter().filter(|d| d.code == Code::REPEATED).count(), 2);
}

#[test]
fn addresses_of_a_checker_are_of_one_family_and_link_local_ones_need_an_interface() {
    let check = |lines: &str, codes: &[Code]| {
        let loaded = checker_with("TCP_CHECK", lines);
        says(&loaded, codes, if codes.is_empty() { 0 } else { 5 });
        first_server(&loaded).checkers.len()
    };
    assert_eq!(check("bindto 2001:db8::1", &[Code::CHECKER]), 1);
    assert_eq!(check("connect_ip 2001:db8::9\nbindto 2001:db8::1", &[]), 1);
    assert_eq!(check("bindto 192.0.2.7\nconnect_ip 2001:db8::9", &[Code::CHECKER]), 1);
    assert_eq!(check("connect_ip fe80::1", &[Code::CHECKER]), 0);
    assert_eq!(check("connect_ip fe80::1\nbind_if eth0", &[]), 1);
}

#[test]
fn a_web_check_needs_a_url_and_a_url_a_path() {
    says(&checker_with("HTTP_GET", ""), &[Code::CHECKER], 5);
    let pathless = checker_with("HTTP_GET", "url {\n}\nurl {\npath /\n}");
    says(&pathless, &[Code::CHECKER], 5);
    assert_eq!(http(&pathless).urls.len(), 1);
    assert!(first_server(&checker_with("HTTP_GET", "url {\n}")).checkers.is_empty());
}

#[test]
fn statuses_are_numbers_and_ranges_and_2xx_where_none_is_good() {
    let statuses = |line: &str, codes: &[Code]| {
        let loaded = checker_with("HTTP_GET", &format!("url {{\npath /\n{line}\n}}"));
        says(&loaded, codes, if codes.is_empty() { 0 } else { 5 });
        http(&loaded).urls[0].status_codes.clone()
    };
    assert_eq!(statuses("", &[]), [200..=299]);
    assert_eq!(statuses("status_code 200 204-206\nstatus_code 404", &[]), [200..=200, 204..=206, 404..=404]);
    assert_eq!(statuses("status_code 99 300-200 600", &[Code::BAD_NUMBER; 3]), [200..=299]);
}

#[test]
fn a_digest_is_32_digits_and_there_once() {
    let digest = |lines: &str, codes: &[Code]| {
        let loaded = checker_with("HTTP_GET", &format!("url {{\npath /\n{lines}\n}}"));
        says(&loaded, codes, if codes.is_empty() { 0 } else { 5 });
        http(&loaded).urls[0].digest
    };
    let good = "digest 000102030405060708090a0b0c0d0e0F";
    let bytes = std::array::from_fn(|i| i as u8);
    assert_eq!(digest(good, &[]), Some(bytes));
    assert_eq!(digest(&format!("{good}\ndigest ffffffffffffffffffffffffffffffff"), &[Code::BAD_WORD]), Some(bytes));
    for bad in [
        "digest 12",
        "digest 0",
        "digest 000102030405060708090a0b0c0d0e0g",
        "digest 000102030405060708090a0b0c0d0e0f00",
    ] {
        assert_eq!(digest(bad, &[Code::BAD_WORD]), None, "{bad}");
    }
}

#[test]
fn what_goes_with_a_regular_expression_needs_one_and_makes_sense() {
    let regex = |lines: &str, codes: &[Code], status| {
        let loaded = checker_with("HTTP_GET", &format!("url {{\npath /\n{lines}\n}}"));
        says(&loaded, codes, status);
        http(&loaded).urls[0].regex.clone()
    };
    assert_eq!(regex("regex_no_match\nregex_options caseless", &[Code::CHECKER], 0), None);
    let found = regex("regex \"a\\\\s\\x41 b\"\nregex_max_offset 0", &[], 0).unwrap();
    assert_eq!((&*found.pattern, found.min_offset, found.max_offset), (&b"a\\sA b"[..], 0, Some(0)));
    let found = regex("regex a\nregex_min_offset 9\nregex_max_offset 3", &[Code::CHECKER], 0).unwrap();
    assert_eq!((found.min_offset, found.max_offset), (0, None));
    let found =
        regex("regex a\nregex_options caseles utf\nregex_min_offset x", &[Code::UNKNOWN_OPTION, Code::BAD_NUMBER], 0);
    assert_eq!(found.unwrap().options, [Arc::from("utf")]);
    assert_eq!(regex("regex a b", &[Code::EXTRA_WORDS], 5), None);
    assert_eq!(&*regex("regex a\nregex b", &[Code::REPEATED], 5).unwrap().pattern, b"b");
}

#[test]
fn each_host_of_an_smtp_check_is_a_checker_and_what_is_around_them_only_where_it_has_a_connection() {
    // D20. keepalived 2.2.7 says the same of this file (its dump), but for the connect_timeout, which is 0 there.
    let address = |last, port| SocketAddr::new(IpAddr::from([192, 0, 2, last]), port);
    let hosts = "host {\nconnect_ip 192.0.2.8\nretry 9\nwarmup 4\n}\nhost {\nconnect_port 26\ndelay_loop 3\n}";
    let targets = |loaded: &Loaded| -> Vec<SocketAddr> {
        let server = first_server(loaded);
        server.checkers.iter().map(|checker| target(server, checker)).collect()
    };
    let loaded = checker_with("SMTP_CHECK", &format!("{hosts}\nretry 4\nhelo_name lb"));
    says(&loaded, &[Code::DEPRECATED; 2], 0);
    assert_eq!(targets(&loaded), [address(8, 80), address(2, 26)]);
    for checker in first_server(&loaded).checkers.iter() {
        let secs = Duration::from_secs;
        let schedule = Schedule { delay_loop: secs(3), retry: 4, delay_before_retry: secs(1), warmup: secs(4) };
        assert_eq!(checker.schedule, schedule, "one schedule for all, of which the last line counts");
        assert!(matches!(&checker.probe, Probe::Smtp(smtp) if &*smtp.helo_name == "lb"));
    }
    let both = checker_with("SMTP_CHECK", "connect_port 77\nhost {\nconnect_ip 192.0.2.8\n}");
    assert_eq!(targets(&both), [address(2, 77), address(8, 80)], "a host has a connection of its own");
    let link_local = checker_with("SMTP_CHECK", "host {\nconnect_ip fe80::1\n}");
    says(&link_local, &[Code::DEPRECATED, Code::CHECKER], 5);
}

#[test]
fn names_of_dns_checks_have_labels_of_any_length_but_zero() {
    // D22
    let name = |lines: &str, codes: &[Code]| {
        let loaded = checker_with("DNS_CHECK", lines);
        says(&loaded, codes, if codes.is_empty() { 0 } else { 5 });
        let Probe::Dns(dns) = &first_checker(&loaded).probe else { panic!() };
        (dns.record_type, dns.name.to_string())
    };
    let both = |number: u16, name: &str| (number, name.to_owned());
    assert_eq!(name("", &[]), both(6, "."));
    assert_eq!(name("type dnskey\nname .", &[]), both(48, "."));
    assert_eq!(name("type A\nname a.example.jp.", &[]), both(1, "a.example.jp."));
    assert_eq!(name("name www..example", &[Code::BAD_WORD]), both(6, "."));
    assert_eq!(name(&format!("name {}.b", "a".repeat(64)), &[Code::BAD_WORD]), both(6, "."));
    assert_eq!(name("name aa.b\nname bb.c", &[Code::REPEATED]), both(6, "aa.b"));
    assert_eq!(name("type PTR", &[Code::BAD_WORD]), both(6, "."));
}

#[test]
fn udp_checks_send_and_want_bytes_some_of_which_may_be_any() {
    let udp = |lines: &str, codes: &[Code]| {
        let loaded = checker_with("UDP_CHECK", lines);
        says(&loaded, codes, if codes.is_empty() { 0 } else { 5 });
        let Probe::Udp(udp) = &first_checker(&loaded).probe else { panic!() };
        udp.clone()
    };
    let default = udp("", &[]);
    assert_eq!((&*default.payload, default.require_reply), (&b"keepalived check - keepalived ch"[..], false));
    assert_eq!(default.reply_length, 0..=255);
    assert_eq!(*udp("payload 0102 f \"a b0\"", &[]).payload, [1, 2, 15, 10, 0xb0]);
    let wanted = udp("require_reply 0xx1 XX", &[]);
    assert_eq!((*wanted.reply).to_vec(), [(0x00, 0xf0), (0x01, 0x0f), (0, 0)]);
    assert!(udp("require_reply", &[]).require_reply);
    let bad = udp("payload zz\nrequire_reply 1g", &[Code::BAD_WORD, Code::BAD_WORD]);
    assert_eq!((&*bad.payload, bad.require_reply, bad.reply.len()), (&*default.payload, true, 0));
    assert!(udp("min_reply_length 9\nmax_reply_length 3", &[Code::CHECKER]).reply_length.is_empty());
    udp("min_reply_length 300", &[Code::CHECKER]);
}

#[test]
fn a_program_runs_as_long_as_the_services_delay_loop_unless_it_says_otherwise() {
    let script = "enable_script_security\nscript_user root";
    let timeout = |service_line: &str, checker_lines: &str| {
        let loaded = read(&format!(
            "global_defs {{\n{script}\n}}\n{PLAIN} {{\n{BASE}\n{service_line}\nreal_server 192.0.2.2 80 {{\ndelay_loop 3\nMISC_CHECK {{\nmisc_path \"/usr/bin/true a 'b c'\"\n{checker_lines}\n}}\n}}\n}}"
        ));
        says(&loaded, &[], 0);
        assert_eq!(&*misc(&loaded).text, "/usr/bin/true");
        misc(&loaded).timeout
    };
    assert_eq!(timeout("", ""), Duration::from_secs(60));
    assert_eq!(timeout("delay_loop 7.5", "delay_loop 2"), Duration::from_millis(7500));
    assert_eq!(timeout("delay_loop 7", "misc_timeout 0"), Duration::from_secs(7));
    assert_eq!(timeout("delay_loop 7", "misc_timeout 9"), Duration::from_secs(9));
}

#[test]
fn a_program_that_cannot_run_is_no_checker() {
    let machine = FakeMachine { missing_scripts: vec!["/nowhere".into()], ..FakeMachine::default() };
    let check = |lines: &str, codes: &[Code]| {
        let loaded = read_on(
            &machine,
            &format!("{PLAIN} {{\n{BASE}\nreal_server 192.0.2.2 80 {{\nMISC_CHECK {{\n{lines}\n}}\n}}\n}}"),
        );
        says(&loaded, codes, if codes == [Code::SCRIPT_SECURITY_OFF] { 6 } else { 5 });
        first_server(&loaded).checkers.len()
    };
    assert_eq!(check("misc_path /usr/bin/true", &[Code::SCRIPT_SECURITY_OFF]), 1);
    assert_eq!(check("", &[Code::CHECKER]), 0);
    assert_eq!(check("misc_path /nowhere/x", &[Code::SCRIPT_UNUSABLE]), 0);
    assert_eq!(check("misc_path /usr/bin/true\nuser nobody-at-all", &[Code::UNKNOWN_USER]), 0);
}

#[test]
fn a_file_check_takes_weight_and_sense_from_its_file_and_never_waits_for_a_first_success() {
    let file = |block: &str, lines: &str| {
        let loaded = read(&format!(
            "track_file f {{\nfile /run/f\n{block}\n}}\n{PLAIN} {{\n{BASE}\nalpha\nreal_server 192.0.2.2 80 {{\nFILE_CHECK {{\ntrack_file f\n{lines}\n}}\n}}\n}}"
        ));
        assert!(!first_checker(&loaded).alpha);
        assert_eq!(loaded.config.lvs.track_files[0].path.to_str(), Some("/run/f"));
        let Probe::File(check) = first_checker(&loaded).probe else { panic!() };
        (check.weight, check.reverse)
    };
    assert_eq!(file("", ""), (1, false));
    assert_eq!(file("weight -5 reverse", ""), (-5, true));
    assert_eq!(file("weight -5 reverse", "weight 2000 noreverse"), (2000, false));
    assert_eq!(file("weight 5", "weight 0 reverse"), (0, true));
    assert_eq!(file("weight 5", "weight 7 sideways"), (5, false), "the line is ignored");
}

#[test]
fn files_and_sessions_must_be_defined_above_their_checkers() {
    let file = "track_file f {\nfile /run/f\n}\n";
    let text = |kind: &str, lines: &str| {
        format!("{PLAIN} {{\n{BASE}\nreal_server 192.0.2.2 80 {{\n{kind} {{\n{lines}\n}}\n}}\n}}\n")
    };
    let check = text("FILE_CHECK", "track_file f");
    says(&read(&format!("{file}{check}")), &[], 0);
    says(&read(&format!("{check}{file}")), &[Code::CHECKER], 5);
    says(&read(&check), &[Code::CHECKER], 5);
    let session = "bfd_instance b {\nneighbor_ip 192.0.2.9\n}\n";
    let sessions = |text: &str| {
        let loaded = read(text);
        let said: Vec<Code> =
            loaded.diagnostics.iter().filter(|d| d.code != Code::NOT_BUILT_YET).map(|d| d.code).collect();
        (first_server(&loaded).checkers.len(), said)
    };
    let check = text("BFD_CHECK", "name b");
    assert_eq!(sessions(&format!("{session}{check}")), (1, vec![]));
    assert_eq!(sessions(&format!("{check}{session}")), (0, vec![Code::CHECKER]));
    let twice = check.replace("BFD_CHECK {\nname b\n}", "BFD_CHECK {\nname b\n}\nBFD_CHECK {\nname b\n}");
    assert_eq!(sessions(&format!("{session}{twice}")), (1, vec![Code::CHECKER]));
}

#[test]
fn only_files_that_checkers_use_are_watched() {
    let loaded = read(&format!(
        "track_file a {{\nfile /run/a\n}}\ntrack_file b {{\nfile /run/b\ninit_file 3\n}}\ntrack_file c {{\nfile /run/c\n}}\n{PLAIN} {{\n{BASE}\nreal_server 192.0.2.2 80 {{\nFILE_CHECK {{\ntrack_file c\n}}\nFILE_CHECK {{\ntrack_file b\n}}\n}}\n}}"
    ));
    let files: Vec<&str> = loaded.config.lvs.track_files.iter().map(|file| &*file.name).collect();
    assert_eq!(files, ["b", "c"]);
    let used: Vec<usize> = first_server(&loaded)
        .checkers
        .iter()
        .map(|checker| match checker.probe {
            Probe::File(check) => check.file,
            _ => panic!(),
        })
        .collect();
    assert_eq!(used, [1, 0]);
}

#[test]
fn the_sync_daemon_follows_an_instance_and_takes_its_number() {
    let daemon = |line: &str, codes: &[Code], status| {
        let loaded = read(&format!(
            "global_defs {{\n{line}\n}}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {{\n192.0.2.9\n}}\n}}"
        ));
        says(&loaded, codes, status);
        loaded.config.lvs.sync_daemon.clone().map(|d| (d.instance.map(|id| id.0), d.id))
    };
    assert_eq!(daemon("lvs_sync_daemon eth0", &[], 0), Some((None, 0)));
    assert_eq!(daemon("lvs_sync_daemon eth0 V", &[], 0), Some((Some(0), 51)));
    assert_eq!(daemon("lvs_sync_daemon eth0 inst V id 7", &[], 0), Some((Some(0), 7)));
    assert_eq!(daemon("lvs_sync_daemon eth0 V 8", &[Code::DEPRECATED], 5), Some((Some(0), 8)));
    assert_eq!(daemon("lvs_sync_daemon eth0 W", &[Code::SYNC_DAEMON], 0), None);
    assert_eq!(daemon("lvs_sync_daemon eth0 V id 300", &[Code::BAD_NUMBER], 5), Some((Some(0), 51)));
    assert_eq!(daemon("lvs_sync_daemon eth0\nlvs_sync_daemon eth1 V", &[Code::REPEATED], 5), Some((None, 0)));
    // Both are told, and the first counts.
    assert_eq!(daemon("lvs_sync_daemon eth0 inst V inst W", &[Code::REPEATED], 5), Some((Some(0), 51)));
    assert_eq!(daemon("lvs_sync_daemon eth0 V inst V id 3", &[Code::REPEATED], 5), Some((Some(0), 3)));
    assert_eq!(daemon("lvs_sync_daemon eth0 inst", &[Code::MISSING_ARGUMENT], 2), Some((None, 0)));
}

/// What keepalived 2.2.7 says of each with `-t` is the last number.
#[test]
fn the_values_of_the_sync_daemon_are_judged_as_keepalived_judges_them() {
    let daemon = |words: &str, codes: &[Code], status| {
        let loaded = read(&format!("global_defs {{\nlvs_sync_daemon {words}\n}}"));
        says(&loaded, codes, status);
        loaded.config.lvs.sync_daemon.clone()
    };
    let group = |word: &str, codes: &[Code], status| {
        let daemon = daemon(&format!("eth0 group {word}"), codes, status).expect("a daemon");
        daemon.group.map(|group| group.to_string())
    };
    assert_eq!(group("224.0.0.99", &[], 0).as_deref(), Some("224.0.0.99"));
    assert_eq!(group("ff02::99", &[], 0).as_deref(), Some("ff02::99"));
    // What follows the address is cut off.
    for cut in ["224.0.0.99/24", "224.0.0.99/", "224.0.0.99-120"] {
        assert_eq!(group(cut, &[], 0).as_deref(), Some("224.0.0.99"), "{cut}");
    }
    for wrong in ["nonsense", "10.0.0.1", "10.0.0.1/24", "fe80::1", "ff02::1%eth0", "224.0.0", "all.example.com"] {
        assert_eq!(group(wrong, &[Code::BAD_ADDRESS], 5), None, "{wrong}");
    }
    for wrong in ["id 256", "id x", "id 1x", "maxlen 0", "maxlen 65508", "port 0", "port http", "ttl 0", "ttl 256"] {
        let daemon = daemon(&format!("eth0 {wrong}"), &[Code::BAD_NUMBER], 5).expect("a daemon");
        assert_eq!((daemon.id, daemon.max_len, daemon.port, daemon.ttl), (0, None, None, None), "{wrong}");
    }
    for lacking in ["id", "maxlen", "port", "ttl", "group"] {
        assert!(daemon(&format!("eth0 {lacking}"), &[Code::MISSING_ARGUMENT], 5).is_some());
    }
    assert!(daemon("eth0 id 1 frobnicate", &[Code::UNKNOWN_OPTION], 5).is_some());
    assert!(daemon("averyveryverylon", &[Code::BAD_INTERFACE_NAME], 5).is_none());
    // These no interface can have, which keepalived finds out when it starts the daemon.
    for name in ["a/b", "a:b", "\"\""] {
        assert!(daemon(name, &[Code::BAD_INTERFACE_NAME], 0).is_none(), "{name}");
    }
}

#[test]
fn a_value_of_the_sync_daemon_is_shown_where_it_stands_with_what_to_write() {
    let loaded = read("global_defs {\n  lvs_sync_daemon eth0 port http group 10.0.0.1 gruop ff02::1\n}");
    let text = render::all(&loaded.diagnostics, &loaded.sources, Style::default());
    for lines in [
        "  lvs_sync_daemon eth0 port http group 10.0.0.1 gruop ff02::1\n  |                             ^^^^\n",
        "port 'http' is no whole number",
        "write a number from 1 to 65535; until then it is ignored",
        "group: 10.0.0.1 is not a multicast address",
        "IPv4 multicast is 224.0.0.0 to 239.255.255.255",
        "did you mean group?",
    ] {
        assert!(text.contains(lines), "{lines}\n{text}");
    }
}

#[test]
fn the_mail_server_is_looked_up_when_there_is_mail_and_before_that_only_to_tell() {
    let text = "global_defs {\nsmtp_server mail.example.com 587\nnotification_email {\nroot\n}\n}";
    let loaded = read(text);
    says(&loaded, &[Code::UNKNOWN_HOST], 5);
    let expected = MailServer { host: MailHost::Name("mail.example.com".into()), port: 587 };
    assert_eq!(loaded.config.global.mail.server(), Some(&expected));
    assert_eq!(&*loaded.config.global.mail.from.address, "root@router.example");
    assert_eq!(&*loaded.config.global.mail.recipients[0].address, "root@router.example");
    assert_eq!(&*loaded.config.global.mail.helo_name, "router.example");
    let known = [("mail.example.com".to_owned(), IpAddr::from([192, 0, 2, 25]))].into();
    says(&read_on(&FakeMachine { hosts: known, ..FakeMachine::default() }, text), &[], 0);
    says(&read("global_defs {\nsmtp_server 192.0.2.25 0\n}"), &[Code::BAD_NUMBER], 5);
    assert!(read("global_defs {\nsmtp_server 192.0.2.25\n}").config.global.mail.server().is_none(), "nobody gets it");
}

#[test]
fn fifos_with_one_path_are_one_and_a_reader_needs_a_fifo() {
    let fifos = |lines: &str, codes: &[Code]| {
        let loaded = read(&format!("global_defs {{\nenable_script_security\nscript_user root\n{lines}\n}}"));
        says(&loaded, codes, 0);
        loaded.config.global.fifos.clone()
    };
    let same = fifos("notify_fifo /run/f\nvrrp_notify_fifo /run/f\nlvs_notify_fifo /run/g", &[Code::FIFO]);
    assert!(same.all.is_some() && same.vrrp.is_none() && same.lvs.is_some());
    let shared = fifos(
        "vrrp_notify_fifo /run/f\nvrrp_notify_fifo_script /usr/bin/cat\nlvs_notify_fifo /run/f\nlvs_notify_fifo_script /usr/bin/cat",
        &[Code::FIFO],
    );
    assert!(shared.lvs.unwrap().script.is_none());
    assert_eq!(shared.vrrp.unwrap().script.unwrap().argv, [&b"/usr/bin/cat"[..], b"/run/f"]);
    assert_eq!(fifos("notify_fifo_script /usr/bin/cat", &[Code::FIFO]).all, None);
    assert_eq!(fifos("notify_fifo /run/f nobody-at-all", &[Code::UNKNOWN_USER]).all, None);
}
