//! What a new configuration takes over from the old one.

use std::sync::Arc;

use keepalived_rs::addr::Family;
use keepalived_rs::check::io::{Action, Input, Verdict};
use keepalived_rs::model::checker::{Connection, Probe};
use keepalived_rs::model::lvs::{FlushOnStop, Forwarding, Granularity, GroupEntry, Identity, Nftables, Persistence};
use keepalived_rs::model::{Lvs, RealServer, VirtualServer};
use keepalived_rs::wire::ipvs::{Forward, PERSISTENT, ServiceKey};

use crate::kit::*;

const VIP: &str = "192.0.2.1:80";
const FIRST: (usize, usize, usize) = (0, 0, 0);
const SECOND: (usize, usize, usize) = (0, 1, 0);

fn server(address: &str) -> RealServer {
    rs(address).checked(tcp())
}

fn two() -> Vec<RealServer> {
    vec![server("10.0.0.1:80"), server("10.0.0.2:80")]
}

fn none() -> Vec<String> {
    Vec::new()
}

fn told(said: &[String]) -> Vec<&str> {
    said.iter().filter(|line| line.starts_with("FIFO") || line.starts_with("RUN")).map(String::as_str).collect()
}

fn services(bench: &Bench) -> Vec<String> {
    let name = |key: &ServiceKey| match key {
        ServiceKey::Address { address, port, .. } => format!("[{address}]:{port}"),
        ServiceKey::Mark { family, mark } => format!("FWM {mark} {family:?}"),
    };
    bench.table.keys().map(name).collect()
}

#[test]
fn an_unchanged_configuration_changes_nothing_and_probes_go_on() {
    let config = || lvs([vs(VIP, two()).with(|vs| vs.sorry_server = Some(rs("10.0.0.9:80").into()))]);
    let mut bench = Bench::started(config());
    bench.answer(FIRST, refused());
    bench.await_probe(SECOND);
    bench.said();
    let (before, running) = (bench.node.deadline(), bench.running.clone());
    assert_eq!(bench.node.deadline().is_some(), before.is_some());
    let mut out = Vec::new();
    bench.node.handle(Input::Reload(&Arc::new(config())), bench.now, &mut out);
    assert_eq!(out, []);
    assert_eq!(bench.node.deadline(), before);
    bench.answer(SECOND, refused());
    assert_eq!(running.len(), 1);
    assert_eq!(bench.dests(VIP), ["10.0.0.9:80 1"]);
}

/// D01: weight of an inhibited server that is down.
#[test]
fn d01_a_weight_that_changed_while_the_server_was_down_counts_when_it_returns() {
    let config = |weight| {
        let inhibited = server("10.0.0.1:80").with(|rs| (rs.weight, rs.inhibit_on_failure) = (weight, true));
        lvs([vs(VIP, [inhibited])])
    };
    let mut bench = Bench::started(config(1));
    bench.answer(FIRST, refused());
    bench.reload(config(7));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 0"]);
    bench.answer(FIRST, Verdict::Pass);
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 7"]);
}

/// D02: weight of a live server.
#[test]
fn d02_a_changed_weight_is_edited_in_place() {
    let config = |weight| lvs([vs(VIP, [server("10.0.0.1:80").with(|rs| rs.weight = weight)])]);
    let mut bench = Bench::started(config(1));
    bench.reload(config(5));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 5"]);
    assert_eq!(
        bench.said(),
        ["Changing weight from 1 to 5 for active service [10.0.0.1]:tcp:80 of VS [192.0.2.1]:tcp:80"]
    );
}

/// What was found at another port says nothing of this one.
#[test]
fn a_checker_that_asks_at_another_port_begins_anew() {
    let config = |port| {
        let tcp = checker(Probe::Tcp(Connection::within(secs(5))));
        lvs([vs(VIP, [rs("10.0.0.1:80").checked(tcp).with(|rs| rs.check_port = port)])])
    };
    let mut bench = Bench::started(config(80));
    bench.answer(FIRST, refused());
    bench.reload(config(80));
    assert_eq!(bench.dests(VIP), none());
    bench.reload(config(8080));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1"]);
}

/// However its file says where it asks.
#[test]
fn a_checker_that_asks_at_the_same_port_goes_on() {
    let config = |port, connect_port| {
        let connection = Connection { connect_port, ..Connection::within(secs(5)) };
        let server = rs("10.0.0.1:80").checked(checker(Probe::Tcp(connection)));
        lvs([vs(VIP, [server.with(|rs| rs.check_port = port)])])
    };
    let mut bench = Bench::started(config(80, None));
    bench.answer(FIRST, refused());
    for same in [config(80, Some(80)), config(8080, Some(80))] {
        bench.reload(same);
        assert_eq!(bench.dests(VIP), none());
    }
}

/// D04: persistence, granularity, scheduler and flags. Also thresholds and the forwarding method of a server.
#[test]
fn d04_settings_of_services_and_servers_are_edited_in_place() {
    let mut bench = Bench::started(lvs([vs(VIP, two())]));
    let changed = vs(
        VIP,
        two().into_iter().map(|rs| {
            rs.with(|rs| {
                (rs.upper_threshold, rs.lower_threshold) = (100, 50);
                rs.forwarding = Forwarding::Nat;
            })
        }),
    )
    .with(|vs| {
        vs.scheduler = "sh".into();
        vs.scheduler_flags = 0x10;
        let granularity = Granularity::Mask("255.255.255.0".parse().unwrap());
        vs.persistence = Some(Persistence { timeout_secs: 360, granularity, engine: Some("sip".into()) });
    });
    bench.reload(lvs([changed]));
    let (key, entry) = bench.table.iter().next().unwrap();
    assert_eq!(key.family(), Family::V4);
    assert_eq!(&*entry.service.scheduler, "sh");
    assert_eq!((entry.service.flags, entry.service.timeout_secs), (0x10 | PERSISTENT, 360));
    assert_eq!((entry.service.netmask, entry.service.engine.as_deref()), (0xffff_ff00, Some("sip")));
    for dest in entry.dests.values() {
        assert_eq!((dest.upper_threshold, dest.lower_threshold, dest.forwarding), (100, 50, Forward::Masq));
    }
    bench.reload(lvs([vs(VIP, two())]));
    let entry = bench.table.values().next().unwrap();
    assert_eq!((entry.service.flags, entry.service.timeout_secs, entry.service.netmask), (0, 0, u32::MAX));
    assert_eq!(told(&bench.said()), Vec::<&str>::new());
}

/// D05: a failed server with inhibit is removed.
#[test]
fn d05_a_failed_server_with_inhibit_leaves_the_table_when_it_is_removed() {
    let servers = two().into_iter().map(|rs| rs.with(|rs| rs.inhibit_on_failure = true));
    let mut bench = Bench::started(lvs([vs(VIP, servers)]));
    bench.answer(FIRST, refused());
    bench.said();
    bench.reload(lvs([vs(VIP, [server("10.0.0.2:80").with(|rs| rs.inhibit_on_failure = true)])]));
    assert_eq!(bench.dests(VIP), ["10.0.0.2:80 1"]);
    assert_eq!(
        bench.said(),
        ["service [10.0.0.1]:tcp:80 no longer exist", "Removing service [10.0.0.1]:tcp:80 from VS [192.0.2.1]:tcp:80",]
    );
}

#[test]
fn a_live_server_that_is_removed_is_told_as_down() {
    let mut bench = Bench::started(lvs([vs(VIP, two())]));
    bench.reload(lvs([vs(VIP, [server("10.0.0.2:80")])]));
    assert_eq!(
        bench.said()[2..],
        [
            "FIFO RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 DOWN",
            "MAIL Realserver [10.0.0.1]:tcp:80 of virtual server [192.0.2.1]:tcp:80 - DOWN: => Removing <=",
        ]
    );
}

/// D07: a failed server and an unchanged file.
#[test]
fn d07_a_failed_server_stays_out_until_a_check_passes() {
    let config = |timeout, retry| {
        let checker = tcp().with(|tcp| {
            tcp.schedule.retry = retry;
            match &mut tcp.probe {
                Probe::Tcp(connection) => connection.timeout = secs(timeout),
                other => panic!("{other:?}"),
            }
        });
        lvs([vs(VIP, [rs("10.0.0.1:80").checked(checker), server("10.0.0.2:80")])])
    };
    let mut bench = Bench::started(config(5, 1));
    bench.answer(FIRST, refused());
    bench.said();
    // unchanged, another time limit, other retries
    for (timeout, retry) in [(5, 1), (9, 1), (9, 4)] {
        bench.reload(config(timeout, retry));
        assert_eq!(bench.dests(VIP), ["10.0.0.2:80 1"]);
        assert_eq!(told(&bench.said()), Vec::<&str>::new());
        bench.answer(FIRST, refused());
        assert_eq!(bench.dests(VIP), ["10.0.0.2:80 1"]);
    }
    bench.answer(FIRST, Verdict::Pass);
    assert_eq!(bench.dests(VIP).len(), 2);
}

#[test]
fn a_failed_server_whose_failing_checker_is_gone_comes_back_at_once() {
    let config = |with_ping: bool| {
        let checked = server("10.0.0.1:80");
        lvs([vs(VIP, [if with_ping { checked.checked(ping()) } else { checked }])])
    };
    let mut bench = Bench::started(config(true));
    bench.answer(FIRST, Verdict::Pass);
    bench.answer((0, 0, 1), refused());
    bench.said();
    bench.reload(config(false));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1"]);
    assert_eq!(
        told(&bench.said()),
        ["FIFO RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 UP", "FIFO VS [192.0.2.1]:tcp:80 UP"]
    );
}

/// D08: a new server with alpha.
#[test]
fn d08_a_new_alpha_server_is_never_in_service_before_it_succeeds() {
    let new = || rs("10.0.0.3:80").checked(alpha(tcp()));
    let with_new = || two().into_iter().chain([new()]).collect::<Vec<_>>();
    let mut bench = Bench::started(lvs([vs(VIP, two())]));
    bench.reload(lvs([vs(VIP, with_new())]));
    assert_eq!(bench.dests(VIP).len(), 2);
    // nor by another reload that changes nothing, or adds a checker
    bench.reload(lvs([vs(VIP, with_new())]));
    assert_eq!(bench.dests(VIP).len(), 2);
    let more = two().into_iter().chain([new().checked(alpha(ping()))]);
    bench.reload(lvs([vs(VIP, more)]));
    assert_eq!(bench.dests(VIP).len(), 2);
    bench.answer((0, 2, 0), Verdict::Pass);
    assert_eq!(bench.dests(VIP).len(), 2);
    bench.answer((0, 2, 1), Verdict::Pass);
    assert_eq!(bench.dests(VIP).len(), 3);
}

#[test]
fn a_new_server_serves_at_once_and_has_all_its_retries() {
    let mut bench = Bench::started(lvs([vs(VIP, [server("10.0.0.1:80")])]));
    bench.reload(lvs([vs(VIP, two())]));
    assert_eq!(bench.dests(VIP).len(), 2);
    assert_eq!(bench.said(), ["Activating healthchecker for service [10.0.0.2]:tcp:80 for VS [192.0.2.1]:tcp:80"]);
    bench.answer(SECOND, refused());
    assert_eq!(bench.dests(VIP).len(), 2);
    bench.answer(SECOND, refused());
    assert_eq!(bench.dests(VIP).len(), 1);
}

#[test]
fn a_new_checker_of_a_healthy_server_is_believed_even_with_alpha() {
    let mut bench = Bench::started(lvs([vs(VIP, [server("10.0.0.1:80")])]));
    bench.answer(FIRST, Verdict::Pass);
    bench.said();
    bench.reload(lvs([vs(VIP, [server("10.0.0.1:80").checked(alpha(ping()))])]));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1"]);
    assert_eq!(told(&bench.said()), Vec::<&str>::new());
}

fn group(ordinal: usize, servers: Vec<RealServer>, ranges: &[(&str, &str)]) -> VirtualServer {
    vs(VIP, servers).with(|vs| {
        vs.identity = Identity::Group { name: "web".into(), ordinal };
        let entry = |&(first, last): &(&str, &str)| GroupEntry::Addresses {
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
            port: 80,
        };
        vs.group = ranges.iter().map(entry).collect();
        vs.group.push(GroupEntry::Mark { family: Family::V4, mark: 7 });
    })
}

/// A group of addresses alone: its name, its mark, its ranges.
type Marked<'a> = (&'a str, u32, &'a [(&'a str, &'a str)]);

fn marked(groups: &[Marked<'_>]) -> Lvs {
    let one = |(name, mark, ranges): &Marked<'_>| {
        group(0, two(), ranges).with(|vs| {
            vs.identity = Identity::Group { name: (*name).into(), ordinal: 0 };
            vs.group.pop();
            vs.mark = Some(*mark);
        })
    };
    let nftables = Nftables { table: "t".into(), priority: -1, first_mark: 1000, counters: false };
    Lvs { nftables: Some(nftables), ..lvs(groups.iter().map(one)) }
}

#[test]
fn with_marks_entries_of_groups_come_and_go_without_a_change_of_services() {
    let elements = |bench: &Bench| {
        let maps = bench.marking.iter().flat_map(|marking| marking.maps.values());
        maps.flatten().map(|(target, mark)| format!("{} {mark}", target.addresses.0)).collect::<Vec<_>>()
    };
    let web = ("web", 1000, &[("192.0.2.1", "192.0.2.2")][..]);
    let mut bench = Bench::started(marked(&[web]));
    assert_eq!(services(&bench), ["FWM 1000 V4"]);
    assert_eq!(elements(&bench), ["192.0.2.1 1000"]);
    bench.reload(marked(&[("web", 1000, &[("192.0.2.1", "192.0.2.2"), ("192.0.2.5", "192.0.2.5")])]));
    assert_eq!(services(&bench), ["FWM 1000 V4"]);
    assert_eq!(elements(&bench), ["192.0.2.1 1000", "192.0.2.5 1000"]);
    assert_eq!(bench.said(), ["VS [[192.0.2.5]:tcp:80] added into group web"]);
    // An address goes from one group to another: the law of marks holds at every step.
    bench.reload(marked(&[web, ("new", 1001, &[("192.0.2.5", "192.0.2.5")])]));
    assert_eq!(services(&bench), ["FWM 1000 V4", "FWM 1001 V4"]);
    assert_eq!(elements(&bench), ["192.0.2.1 1000", "192.0.2.5 1001"]);
    bench.reload(marked(&[("new", 1001, &[("192.0.2.1", "192.0.2.5")])]));
    assert_eq!(services(&bench), ["FWM 1001 V4"]);
    assert_eq!(elements(&bench), ["192.0.2.1 1001"]);
    bench.input(Input::Shutdown);
    assert_eq!(services(&bench), Vec::<String>::new());
    assert_eq!(bench.marking, None);
}

#[test]
fn groups_become_marks_and_services_of_their_own_again() {
    let plain = || lvs([group(0, two(), &[("192.0.2.1", "192.0.2.2")]).with(|vs| _ = vs.group.pop())]);
    let mut bench = Bench::started(plain());
    bench.reload(marked(&[("web", 1000, &[("192.0.2.1", "192.0.2.2")])]));
    assert_eq!(services(&bench), ["FWM 1000 V4"]);
    assert!(bench.marking.is_some());
    bench.reload(plain());
    assert_eq!(services(&bench), ["[192.0.2.1]:80", "[192.0.2.2]:80"]);
    assert_eq!(bench.marking, None);
}

/// D10: entries of a group come and go while all servers are down and the sorry server serves, and without one.
#[test]
fn d10_group_entries_come_and_go_whatever_serves() {
    for sorry in [None, Some(Arc::new(rs("10.0.0.9:80")))] {
        let config =
            |ranges: &[(&str, &str)]| lvs([group(0, two(), ranges).with(|vs| vs.sorry_server = sorry.clone())]);
        let mut bench = Bench::started(config(&[("192.0.2.1", "192.0.2.2")]));
        bench.answer(FIRST, refused());
        bench.answer(SECOND, refused());
        bench.said();
        bench.reload(config(&[("192.0.2.5", "192.0.2.5"), ("192.0.2.1", "192.0.2.2")]));
        assert_eq!(services(&bench), ["[192.0.2.1]:80", "[192.0.2.2]:80", "[192.0.2.5]:80", "FWM 7 V4"]);
        let serving = if sorry.is_some() { vec!["10.0.0.9:80 1"] } else { vec![] };
        assert_eq!(bench.dests("192.0.2.5:80"), serving);
        assert_eq!(bench.said(), ["VS [[192.0.2.5]:tcp:80] added into group web"]);
        bench.answer(FIRST, Verdict::Pass);
        assert_eq!(bench.dests("192.0.2.5:80"), ["10.0.0.1:80 1"]);
        bench.said();
        bench.reload(config(&[("192.0.2.5", "192.0.2.5")]));
        assert_eq!(services(&bench), ["[192.0.2.5]:80", "FWM 7 V4"]);
        assert_eq!(bench.said(), ["VS [[192.0.2.1]:tcp:80-192.0.2.2] in group web no longer exists"]);
    }
}

/// D37: a group's quorum over a reload.
#[test]
fn d37_a_group_keeps_its_quorum_over_a_reload_and_scripts_run_once() {
    let config = |quorum| {
        let servers =
            two().into_iter().map(|rs| rs.with(|rs| rs.notify_down = Some(script("/rs-down").into()))).collect();
        lvs([group(0, servers, &[("192.0.2.1", "192.0.2.1")]).with(|vs| {
            vs.quorum = quorum;
            vs.quorum_up = Some(script("/quorum-up"));
            vs.quorum_down = Some(script("/quorum-down"));
        })])
    };
    let mut bench = Bench::started(config(2));
    bench.reload(config(2));
    assert_eq!(bench.said(), none());
    bench.answer(FIRST, refused());
    assert_eq!(bench.said().iter().filter(|line| line.starts_with("RUN /quorum-down")).count(), 1);
    bench.reload(config(2));
    assert_eq!(bench.said(), none());
    bench.reload(config(1));
    assert_eq!(told(&bench.said()), ["RUN /quorum-up", "FIFO VS [web]:0 UP"]);
    bench.reload(config(2));
    assert_eq!(told(&bench.said()), ["RUN /quorum-down", "FIFO VS [web]:0 DOWN"]);
}

/// D11: the sorry server serves, and the new file has none. Servers that are alive but below the quorum come back.
#[test]
fn d11_live_servers_return_when_the_serving_sorry_server_is_removed() {
    let config = |sorry: bool| {
        let sorry = sorry.then(|| Arc::new(rs("10.0.0.9:80")));
        lvs([vs(VIP, two()).with(|vs| (vs.quorum, vs.sorry_server) = (2, sorry))])
    };
    let mut bench = Bench::started(config(true));
    bench.answer(FIRST, refused());
    assert_eq!(bench.dests(VIP), ["10.0.0.9:80 1"]);
    bench.said();
    bench.reload(config(false));
    assert_eq!(bench.dests(VIP), ["10.0.0.2:80 1"]);
    assert_eq!(
        bench.said(),
        [
            "Removing sorry server [10.0.0.9]:tcp:80 from VS [192.0.2.1]:tcp:80",
            "Adding alive servers to the pool for VS [192.0.2.1]:tcp:80",
        ]
    );
    // and one that is added below the quorum steps in, without telling twice that the quorum is lost
    bench.reload(config(true));
    assert_eq!(bench.dests(VIP), ["10.0.0.9:80 1"]);
    assert_eq!(told(&bench.said()), Vec::<&str>::new());
}

#[test]
fn another_sorry_server_takes_over_from_the_serving_one_at_once() {
    let config = |sorry: &str| lvs([vs(VIP, two()).with(|vs| vs.sorry_server = Some(rs(sorry).into()))]);
    let mut bench = Bench::started(config("10.0.0.8:80"));
    bench.answer(FIRST, refused());
    bench.answer(SECOND, refused());
    let mut out = Vec::new();
    bench.node.handle(Input::Reload(&Arc::new(config("10.0.0.9:80"))), bench.now, &mut out);
    let entries = out.iter().filter_map(|action| match action {
        Action::Service(_, entry) => Some(entry.as_ref().unwrap().dests.len()),
        _ => None,
    });
    assert_eq!(entries.collect::<Vec<_>>(), [1], "no step without a destination");
}

/// D13: the sorry server serves, and nothing changes.
#[test]
fn d13_a_serving_sorry_server_stays_over_a_reload() {
    let config = || lvs([vs(VIP, two()).with(|vs| vs.sorry_server = Some(rs("10.0.0.9:80").into()))]);
    let mut bench = Bench::started(config());
    bench.answer(FIRST, refused());
    bench.answer(SECOND, refused());
    bench.said();
    bench.reload(config());
    assert_eq!((bench.dests(VIP), bench.said()), (vec!["10.0.0.9:80 1".to_owned()], none()));
}

/// D14: the sorry server is one of the real servers.
#[test]
fn d14_a_sorry_server_that_is_a_real_server_too_never_costs_it_its_place() {
    for inhibit in [false, true] {
        let config = || {
            let servers = two().into_iter().map(|rs| rs.with(|rs| rs.inhibit_on_failure = inhibit));
            let sorry = rs("10.0.0.1:80").with(|rs| rs.inhibit_on_failure = true);
            lvs([vs(VIP, servers).with(|vs| vs.sorry_server = Some(sorry.into()))])
        };
        let mut bench = Bench::started(config());
        assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1", "10.0.0.2:80 1"]);
        bench.answer(FIRST, refused());
        assert_eq!(bench.dests(VIP).first().unwrap(), if inhibit { "10.0.0.1:80 0" } else { "10.0.0.2:80 1" });
        bench.answer(SECOND, refused());
        assert_eq!(bench.dests(VIP).first().unwrap(), "10.0.0.1:80 1");
        bench.reload(config());
        bench.answer(FIRST, Verdict::Pass);
        assert_eq!(bench.dests(VIP).first().unwrap(), "10.0.0.1:80 1");
        bench.answer(SECOND, Verdict::Pass);
        assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1", "10.0.0.2:80 1"]);
    }
}

/// D25: HTTP_GET without regex; and HTTP_GET is not SSL_GET.
#[test]
fn d25_http_checkers_are_matched_by_what_they_ask() {
    let config = |tls: bool, paths: &[&str]| {
        let checker = http(paths).with(|checker| match &mut checker.probe {
            Probe::Http(http) => http.tls = tls,
            other => panic!("{other:?}"),
        });
        lvs([vs(VIP, [rs("10.0.0.1:80").checked(checker), server("10.0.0.2:80")])])
    };
    let mut bench = Bench::started(config(false, &["/"]));
    bench.answer(FIRST, refused());
    bench.reload(config(false, &["/"]));
    assert_eq!(bench.dests(VIP), ["10.0.0.2:80 1"], "unchanged: it stays out");
    // the url that failed is still asked first, then the list
    bench.answer(FIRST, Verdict::Pass);
    bench.reload(config(false, &["/"]));
    assert_eq!(bench.dests(VIP), ["10.0.0.2:80 1"]);
    bench.answer(FIRST, Verdict::Pass);
    assert_eq!(bench.dests(VIP).len(), 2);
    bench.answer(FIRST, refused());
    bench.answer(FIRST, refused());
    bench.reload(config(true, &["/"]));
    assert_eq!(bench.dests(VIP).len(), 2, "SSL_GET is another question: nothing is known of it");
}

/// D28: 2,277 virtual servers with 37,205 real servers, reloaded unchanged and with one percent changed.
#[test]
fn d28_a_large_reload_says_only_what_changed() {
    let config = |changed: usize| {
        let virtual_server = |i: usize| {
            let weight = if i < changed { 2 } else { 1 };
            let servers = (0..16 + usize::from(i < 773))
                .map(|j| server(&format!("10.{}.{}.{}:80", i / 256, i % 256, j + 1)).with(|rs| rs.weight = weight));
            vs(&format!("192.{}.{}.1:80", i / 256, i % 256), servers)
        };
        Arc::new(lvs((0..2277).map(virtual_server)))
    };
    let mut node = keepalived_rs::check::Node::new(config(0), 1, false);
    let mut out = Vec::new();
    let mut step = |node: &mut keepalived_rs::check::Node, input: Input<'_>| {
        out.clear();
        node.handle(input, Default::default(), &mut out);
        out.iter().filter(|action| matches!(action, Action::Service(..))).count()
    };
    assert_eq!(step(&mut node, Input::Startup { left: None }), 2277);
    assert_eq!(node.totals().real_servers, 37_205);
    assert_eq!(step(&mut node, Input::Reload(&config(0))), 0);
    assert_eq!(step(&mut node, Input::Reload(&config(22))), 22);
    assert_eq!(step(&mut node, Input::Shutdown), 2277);
}

fn filed(servers: usize, with_file: bool) -> Lvs {
    let server = |i| {
        let server = server(&format!("10.0.0.{}:80", i + 1)).with(|rs| rs.weight = 10);
        if with_file { server.checked(file(1, false)) } else { server }
    };
    lvs([vs(VIP, (0..servers).map(server))]).with(|lvs| {
        lvs.track_files = if with_file { vec![track_file("other"), track_file("load")] } else { Vec::new() };
        for vs in &mut lvs.virtual_servers {
            for rs in &mut Arc::make_mut(vs).real_servers {
                for checker in Arc::make_mut(&mut Arc::make_mut(rs).checkers) {
                    if let Probe::File(check) = &mut Arc::make_mut(checker).probe {
                        check.file = 1;
                    }
                }
            }
        }
    })
}

/// D29: n servers with a track file that a reload adds.
#[test]
fn d29_one_number_for_n_servers_is_n_updates_and_one_of_the_table() {
    let mut bench = Bench::started(filed(50, false));
    bench.input(Input::TrackFiles(&[0, 5]));
    bench.reload(filed(50, true));
    let said = bench.said();
    assert_eq!(said.iter().filter(|line| line.starts_with("Changing weight from 10 to 15")).count(), 50);
    let actions = bench.input(Input::TrackFile(1, 6));
    assert_eq!(actions.iter().filter(|action| matches!(action, Action::Service(..))).count(), 1);
    assert_eq!(bench.said().len(), 50);
}

#[test]
fn a_server_that_its_file_keeps_down_does_not_flap_on_a_reload() {
    let with = |files: Vec<Arc<keepalived_rs::model::lvs::TrackFile>>, place| {
        let check = file(0, false).with(|checker| match &mut checker.probe {
            Probe::File(file) => file.file = place,
            other => panic!("{other:?}"),
        });
        let servers = [rs("10.0.0.1:80").checked(check).checked(tcp()), server("10.0.0.2:80")];
        lvs([vs(VIP, servers)]).with(|lvs| lvs.track_files = files)
    };
    let mut bench = Bench::started(with(vec![track_file("load")], 0));
    bench.input(Input::TrackFile(0, 1));
    assert_eq!(bench.dests(VIP), ["10.0.0.2:80 1"]);
    bench.said();
    // the same file at another place of the list, and read again
    bench.reload(with(vec![track_file("new"), track_file("load")], 1));
    assert_eq!((bench.dests(VIP).len(), bench.said().len()), (1, 0));
    bench.input(Input::TrackFiles(&[0, 1]));
    bench.reload(with(vec![track_file("new"), track_file("load")], 1));
    assert_eq!((bench.dests(VIP).len(), bench.said().len()), (1, 0));
    bench.input(Input::TrackFiles(&[0, 0]));
    bench.reload(with(vec![track_file("new"), track_file("load")], 1));
    assert_eq!(told(&bench.said()), ["FIFO RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 UP"]);
    bench.input(Input::TrackFiles(&[0, 9]));
    bench.reload(with(vec![track_file("new"), track_file("load")], 1));
    assert_eq!(told(&bench.said()), ["FIFO RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 DOWN"]);
}

#[test]
fn a_reload_that_replaces_every_server_does_not_end_with_the_virtual_server_down() {
    let mut bench = Bench::started(lvs([vs(VIP, two())]));
    bench.reload(lvs([vs(VIP, [server("10.0.0.3:80"), server("10.0.0.4:80")])]));
    assert_eq!(bench.dests(VIP), ["10.0.0.3:80 1", "10.0.0.4:80 1"]);
    assert!(bench.said().iter().all(|line| !line.starts_with("FIFO VS")));
}

#[test]
fn a_reload_that_removes_too_much_loses_the_quorum_once() {
    let config = |servers| lvs([vs(VIP, servers).with(|vs| vs.quorum = 2)]);
    let mut bench = Bench::started(config(two()));
    bench.reload(config(vec![server("10.0.0.2:80")]));
    assert_eq!(
        told(&bench.said()),
        ["FIFO RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 DOWN", "FIFO VS [192.0.2.1]:tcp:80 DOWN"]
    );
}

#[test]
fn a_virtual_server_that_is_removed_is_told_with_its_servers_whatever_lvs_flush_on_stop_says() {
    for how in [FlushOnStop::No, FlushOnStop::VirtualServers, FlushOnStop::Everything] {
        let config = |servers| lvs(servers).with(|lvs| lvs.flush_on_stop = how);
        let mut bench = Bench::started(config(vec![vs(VIP, two()), vs("192.0.2.2:80", two())]));
        bench.answer(SECOND, refused());
        bench.await_probe(FIRST);
        bench.said();
        bench.reload(config(vec![vs("192.0.2.2:80", two())]));
        assert_eq!(services(&bench), ["[192.0.2.2]:80"]);
        assert_eq!(bench.running.len(), 2, "probes of what is gone are cancelled, the others go on");
        assert_eq!(
            bench.said(),
            [
                "Removing Virtual Server [192.0.2.1]:tcp:80",
                "Removing service [10.0.0.1]:tcp:80 from VS [192.0.2.1]:tcp:80",
                "FIFO RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 DOWN",
                "MAIL Realserver [10.0.0.1]:tcp:80 of virtual server [192.0.2.1]:tcp:80 - DOWN: => Removing <=",
                "Removing service [10.0.0.2]:tcp:80 from VS [192.0.2.1]:tcp:80",
                "FIFO VS [192.0.2.1]:tcp:80 DOWN",
                "MAIL Virtualserver [192.0.2.1]:tcp:80 - DOWN: => Lost quorum 1+0=1 <= 0 <=",
            ]
        );
        // under its new place
        bench.answer((0, 0, 0), Verdict::Pass);
    }
}

#[test]
fn a_changed_schedule_takes_effect_and_a_changed_question_cancels_the_running_probe() {
    let config = |delay_loop, port| {
        let checker = checker(Probe::Tcp(connection(&format!("10.0.0.1:{port}"))));
        lvs([vs(VIP, [rs("10.0.0.1:80").checked(checker.with(|c| c.schedule.delay_loop = secs(delay_loop)))])])
    };
    let mut bench = Bench::started(config(60, 80));
    bench.answer(FIRST, Verdict::Pass);
    assert_eq!(bench.pause(FIRST), secs(60));
    bench.reload(config(3, 80));
    assert_eq!(bench.pause(FIRST), secs(1));
    let (probe, _) = bench.await_probe(FIRST);
    bench.reload(config(5, 80));
    assert!(bench.running.contains_key(&probe), "the same question: its answer counts");
    bench.reload(config(5, 81));
    assert!(!bench.running.contains_key(&probe));
    assert_eq!(bench.pause(FIRST), secs(1));
}

#[test]
fn two_virtual_servers_of_one_group_share_their_services() {
    let config = |second: bool| {
        let shared = group(0, vec![server("10.0.0.1:80")], &[("192.0.2.1", "192.0.2.1")]);
        let other = group(1, vec![server("10.0.0.2:80")], &[("192.0.2.1", "192.0.2.1")]);
        lvs([shared].into_iter().chain(second.then_some(other)))
    };
    let mut bench = Bench::started(config(true));
    assert_eq!(bench.dests("192.0.2.1:80"), ["10.0.0.1:80 1", "10.0.0.2:80 1"]);
    bench.answer((1, 0, 0), refused());
    assert_eq!(bench.dests("192.0.2.1:80"), ["10.0.0.1:80 1"]);
    bench.answer((1, 0, 0), Verdict::Pass);
    bench.said();
    bench.reload(config(false));
    assert_eq!(bench.dests("192.0.2.1:80"), ["10.0.0.1:80 1"]);
    assert_eq!(bench.said()[0], "Removing Virtual Server Group [web]");
}

#[test]
fn a_dynamic_weight_follows_a_reload_of_the_configured_one() {
    let config = |weight| lvs([vs(VIP, [rs("10.0.0.1:80").checked(misc(true)).with(|rs| rs.weight = weight)])]);
    let mut bench = Bench::started(config(5));
    bench.answer(FIRST, Verdict::Exited(12));
    bench.answer(FIRST, Verdict::Exited(1)); // forgiven: it says nothing about the weight
    bench.reload(config(50));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 10"], "the script said 10");
    bench.answer(FIRST, Verdict::Exited(0));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 50"]);
}

#[test]
fn a_reload_before_the_start_is_the_configuration_that_starts() {
    let mut bench = Bench::of(lvs([vs(VIP, two())]));
    let config = Arc::new(lvs([vs("192.0.2.2:80", two())]));
    let mut out = Vec::new();
    bench.node.handle(Input::Reload(&config), bench.now, &mut out);
    assert_eq!(out, []);
    bench.input(Input::Startup { left: None });
    assert_eq!(services(&bench), ["[192.0.2.2]:80"]);
}

#[test]
fn ha_suspend_by_a_reload_looks_at_the_addresses_that_are_known() {
    let config = |suspend| lvs([vs(VIP, two()).with(|vs| vs.ha_suspend = suspend)]);
    let mut bench = Bench::started(config(false));
    bench.address("192.0.2.1", true);
    bench.reload(config(true));
    assert!(bench.node.deadline().is_some());
    bench.address("192.0.2.1", false);
    assert_eq!(bench.node.deadline(), None);
    bench.reload(config(false));
    assert!(bench.node.deadline().is_some());
}
