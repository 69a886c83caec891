//! Failures and recoveries.

use std::time::Duration;

use keepalived_rs::check::io::{Action, Input, ReasonKind, Verdict};
use keepalived_rs::model::RealServer;
use keepalived_rs::model::checker::Probe;
use keepalived_rs::model::lvs::{FlushOnStop, GroupEntry, Identity, Lvs};

use crate::kit::*;

const VIP: &str = "192.0.2.1:80";
const FIRST: (usize, usize, usize) = (0, 0, 0);
const SECOND: (usize, usize, usize) = (0, 1, 0);

fn two() -> Vec<RealServer> {
    vec![rs("10.0.0.1:80").checked(tcp()), rs("10.0.0.2:80").checked(tcp())]
}

/// One virtual server with one real server with this checker.
fn only(checker: keepalived_rs::model::Checker) -> Lvs {
    lvs([vs(VIP, [rs("10.0.0.1:80").checked(checker)])])
}

fn none() -> Vec<String> {
    Vec::new()
}

// ---- the table and the quorum ------------------------------------------------------------------------------------

#[test]
fn servers_are_in_the_table_at_once_and_the_quorum_is_told() {
    let mut bench = Bench::of(lvs([vs(VIP, two())]));
    bench.input(Input::Startup { left: None });
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1", "10.0.0.2:80 1"]);
    assert_eq!(
        bench.said(),
        [
            "Gained quorum 1+0=1 <= 2 for VS [192.0.2.1]:tcp:80",
            "FIFO VS [192.0.2.1]:tcp:80 UP",
            "MAIL Virtualserver [192.0.2.1]:tcp:80 - UP: => Starting with quorum up 1+0=1 <= 2 <=",
            "Activating healthchecker for service [10.0.0.1]:tcp:80 for VS [192.0.2.1]:tcp:80",
            "Activating healthchecker for service [10.0.0.2]:tcp:80 for VS [192.0.2.1]:tcp:80",
        ]
    );
}

#[test]
fn everything_of_the_table_is_said_before_anything_is_told() {
    let mut bench = Bench::of(lvs([vs(VIP, two())]).with(|lvs| lvs.flush = true));
    let actions = bench.input(Input::Startup { left: None });
    assert_eq!(actions[0], Action::Flush);
    assert!(matches!(actions[1], Action::Service(_, Some(_))), "{actions:?}");
}

#[test]
fn nobody_is_asked_before_the_table_is_programmed_and_a_reload_meanwhile_changes_that_nothing() {
    let mut bench = Bench::of(lvs([vs(VIP, two())]));
    let (mut out, later) = (Vec::new(), bench.now + Duration::from_secs(100));
    bench.node.handle(Input::Startup { left: None }, bench.now, &mut out);
    bench.node.handle(Input::Reload(&lvs([vs(VIP, [rs("10.0.0.3:80").checked(tcp())])]).into()), bench.now, &mut out);
    bench.node.handle(Input::Tick, later, &mut out);
    assert_eq!(bench.node.deadline(), None);
    let is_quiet = |action: &Action| !matches!(action, Action::StartProbe { .. });
    assert!(out.iter().all(is_quiet), "{out:#?}");
    for _ in 0..2 {
        // the second time says nothing new
        bench.node.handle(Input::Programmed, later, &mut out);
    }
    assert_eq!(bench.node.deadline().unwrap().0, later + Duration::from_secs(1));
    bench.node.handle(Input::Tick, later + Duration::from_secs(1), &mut out);
    assert_eq!(out.iter().filter(|action| !is_quiet(action)).count(), 1);
}

#[test]
fn the_first_probe_decides_and_later_ones_are_tried_again() {
    let mut bench = Bench::started(lvs([vs(VIP, two())]));
    bench.answer(FIRST, refused());
    assert_eq!(bench.dests(VIP), ["10.0.0.2:80 1"]);
    assert_eq!(
        bench.said(),
        [
            "TCP_CHECK on service [10.0.0.1]:tcp:80 failed. (connection refused)",
            "Removing service [10.0.0.1]:tcp:80 from VS [192.0.2.1]:tcp:80",
            "FIFO RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 DOWN",
            "MAIL Realserver [10.0.0.1]:tcp:80 of virtual server [192.0.2.1]:tcp:80 - DOWN: => TCP CHECK failed on service <=",
        ]
    );
    assert_eq!(bench.pause(FIRST), secs(6), "a server that is down is asked every delay_loop");
    bench.answer(FIRST, Verdict::Pass);
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1", "10.0.0.2:80 1"]);
    assert_eq!(
        bench.said(),
        [
            "TCP connection to [10.0.0.1]:tcp:80 success.",
            "Adding service [10.0.0.1]:tcp:80 to VS [192.0.2.1]:tcp:80",
            "FIFO RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 UP",
            "MAIL Realserver [10.0.0.1]:tcp:80 of virtual server [192.0.2.1]:tcp:80 - UP: => TCP CHECK succeed on service <=",
        ]
    );
    bench.answer(FIRST, refused());
    assert_eq!(bench.said(), none());
    assert_eq!(bench.pause(FIRST), secs(1), "delay_before_retry");
    bench.answer(FIRST, refused());
    assert_eq!(bench.dests(VIP), ["10.0.0.2:80 1"]);
    assert_eq!(bench.said()[0], "TCP_CHECK on service [10.0.0.1]:tcp:80 failed after 1 retries. (connection refused)");
}

#[test]
fn a_success_between_failures_gives_all_retries_back() {
    let mut bench = Bench::started(only(tcp().with(|tcp| tcp.schedule.retry = 2)));
    bench.answer(FIRST, Verdict::Pass);
    for verdict in [refused(), refused(), Verdict::Pass, refused(), refused()] {
        bench.answer(FIRST, verdict);
        assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1"]);
    }
    bench.answer(FIRST, refused());
    assert_eq!(bench.dests(VIP), none());
}

#[test]
fn the_sorry_server_comes_as_the_last_server_goes_and_goes_as_the_first_returns() {
    let config = vs(VIP, two()).with(|vs| vs.sorry_server = Some(rs("10.0.0.9:80").into()));
    let mut bench = Bench::started(lvs([config]));
    bench.answer(FIRST, refused());
    bench.said();
    bench.answer(SECOND, refused());
    assert_eq!(bench.dests(VIP), ["10.0.0.9:80 1"]);
    assert_eq!(
        bench.said(),
        [
            "TCP_CHECK on service [10.0.0.2]:tcp:80 failed. (connection refused)",
            "Removing service [10.0.0.2]:tcp:80 from VS [192.0.2.1]:tcp:80",
            "FIFO RS [10.0.0.2]:tcp:80 [192.0.2.1]:tcp:80 DOWN",
            "Lost quorum 1-0=1 > 0 for VS [192.0.2.1]:tcp:80",
            "Adding sorry server [10.0.0.9]:tcp:80 to VS [192.0.2.1]:tcp:80",
            "Removing alive servers from the pool for VS [192.0.2.1]:tcp:80",
            "FIFO VS [192.0.2.1]:tcp:80 DOWN",
            "MAIL Virtualserver [192.0.2.1]:tcp:80 - DOWN: => Lost quorum 1+0=1 <= 0 <=",
            "MAIL Realserver [10.0.0.2]:tcp:80 of virtual server [192.0.2.1]:tcp:80 - DOWN: => TCP CHECK failed on service <=",
        ]
    );
    bench.answer(FIRST, Verdict::Pass);
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1"]);
    assert_eq!(
        bench.said(),
        [
            "TCP connection to [10.0.0.1]:tcp:80 success.",
            "Adding service [10.0.0.1]:tcp:80 to VS [192.0.2.1]:tcp:80",
            "FIFO RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 UP",
            "Gained quorum 1+0=1 <= 1 for VS [192.0.2.1]:tcp:80",
            "Removing sorry server [10.0.0.9]:tcp:80 from VS [192.0.2.1]:tcp:80",
            "Adding alive servers to the pool for VS [192.0.2.1]:tcp:80",
            "FIFO VS [192.0.2.1]:tcp:80 UP",
            "MAIL Virtualserver [192.0.2.1]:tcp:80 - UP: => Gained quorum 1+0=1 <= 1 <=",
            "MAIL Realserver [10.0.0.1]:tcp:80 of virtual server [192.0.2.1]:tcp:80 - UP: => TCP CHECK succeed on service <=",
        ]
    );
}

#[test]
fn with_inhibit_entries_stay_with_weight_zero() {
    let inhibited = |server: RealServer| server.with(|rs| rs.inhibit_on_failure = true);
    let servers = two().into_iter().map(inhibited);
    let sorry = inhibited(rs("10.0.0.9:80"));
    let mut bench = Bench::started(lvs([vs(VIP, servers).with(|vs| vs.sorry_server = Some(sorry.into()))]));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1", "10.0.0.2:80 1", "10.0.0.9:80 0"]);
    bench.answer(FIRST, refused());
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 0", "10.0.0.2:80 1", "10.0.0.9:80 0"]);
    assert_eq!(bench.said()[1], "Disabling service [10.0.0.1]:tcp:80 of VS [192.0.2.1]:tcp:80");
    bench.answer(SECOND, refused());
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 0", "10.0.0.2:80 0", "10.0.0.9:80 1"]);
    assert!(bench.said().contains(&"Enabling sorry server [10.0.0.9]:tcp:80 to VS [192.0.2.1]:tcp:80".to_owned()));
    bench.answer(SECOND, Verdict::Pass);
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 0", "10.0.0.2:80 1", "10.0.0.9:80 0"]);
    let said = bench.said();
    assert!(said.contains(&"Enabling service [10.0.0.2]:tcp:80 of VS [192.0.2.1]:tcp:80".to_owned()), "{said:#?}");
    assert!(said.contains(&"Disabling sorry server [10.0.0.9]:tcp:80 from VS [192.0.2.1]:tcp:80".to_owned()));
}

#[test]
fn hysteresis_keeps_a_quorum_longer_and_asks_more_for_a_new_one() {
    let server = |address: &str| rs(address).checked(tcp()).with(|rs| rs.weight = 3);
    let servers = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"].map(server);
    let config = vs(VIP, servers).with(|vs| (vs.quorum, vs.hysteresis) = (5, 2));
    let mut bench = Bench::started(lvs([config]));
    let mut up = vec![bench.quorum_up()];
    for (server, verdict) in
        [(0, refused()), (1, refused()), (2, refused()), (0, Verdict::Pass), (1, Verdict::Pass), (2, Verdict::Pass)]
    {
        bench.answer((0, server, 0), verdict);
        up.push(bench.quorum_up());
    }
    assert_eq!(up, [true, true, true, false, false, false, true]);
}

#[test]
fn below_the_quorum_servers_without_a_sorry_server_go_on_serving() {
    let config = vs(VIP, two()).with(|vs| vs.quorum = 2);
    let mut bench = Bench::started(lvs([config]));
    bench.answer(FIRST, refused());
    assert!(!bench.quorum_up());
    assert_eq!(bench.dests(VIP), ["10.0.0.2:80 1"]);
}

#[test]
fn a_start_below_the_quorum_is_silent_unless_a_sorry_server_steps_in() {
    let servers = || [rs("10.0.0.1:80").checked(alpha(tcp()))];
    let mut bench = Bench::of(lvs([vs(VIP, servers())]));
    bench.input(Input::Startup { left: None });
    assert!(bench.said().iter().all(|line| line.starts_with("Activating")));
    let config = vs(VIP, servers()).with(|vs| vs.sorry_server = Some(rs("10.0.0.9:80").into()));
    let mut bench = Bench::of(lvs([config]));
    bench.input(Input::Startup { left: None });
    assert_eq!(bench.dests(VIP), ["10.0.0.9:80 1"]);
    assert_eq!(
        bench.said()[..5],
        [
            "Starting with quorum down 1-0=1 > 0 for VS [192.0.2.1]:tcp:80",
            "Adding sorry server [10.0.0.9]:tcp:80 to VS [192.0.2.1]:tcp:80",
            "Removing alive servers from the pool for VS [192.0.2.1]:tcp:80",
            "FIFO VS [192.0.2.1]:tcp:80 DOWN",
            "MAIL Virtualserver [192.0.2.1]:tcp:80 - DOWN: => Starting with quorum down 1+0=1 <= 0 <=",
        ]
    );
}

/// D37: edge values. With weights of 0 alone the quorum is 0 and never reached; the servers are in the table all the
/// same.
#[test]
fn d37_a_quorum_of_zero_is_never_reached() {
    let servers = two().into_iter().map(|rs| rs.with(|rs| rs.weight = 0));
    let bench = Bench::started(lvs([vs(VIP, servers).with(|vs| vs.quorum = 0)]));
    assert!(!bench.quorum_up());
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 0", "10.0.0.2:80 0"]);
}

/// D37: the largest quorum and hysteresis do not wrap.
#[test]
fn d37_the_largest_quorum_is_compared_without_wrapping() {
    let config = vs(VIP, two()).with(|vs| (vs.quorum, vs.hysteresis) = (u32::MAX, u32::MAX - 1));
    assert!(!Bench::started(lvs([config])).quorum_up());
}

#[test]
fn quorum_and_server_scripts_run_with_their_change() {
    let server = rs("10.0.0.1:80").checked(tcp()).with(|rs| {
        rs.notify_up = Some(script("/rs-up").into());
        rs.notify_down = Some(script("/rs-down").into());
    });
    let config = vs(VIP, [server]).with(|vs| {
        vs.quorum_up = Some(script("/quorum-up"));
        vs.quorum_down = Some(script("/quorum-down"));
    });
    let mut bench = Bench::of(lvs([config]));
    bench.input(Input::Startup { left: None });
    bench.answer(FIRST, refused());
    bench.answer(FIRST, Verdict::Pass);
    let scripts = bench.said().into_iter().filter(|line| line.starts_with("RUN")).collect::<Vec<_>>();
    assert_eq!(scripts, ["RUN /quorum-up", "RUN /rs-down", "RUN /quorum-down", "RUN /rs-up", "RUN /quorum-up"]);
}

#[test]
fn rs_init_notifies_tells_the_servers_of_the_start() {
    let mut bench = Bench::of(lvs([vs(VIP, two())]).with(|lvs| lvs.rs_init_notifies = true));
    bench.input(Input::Startup { left: None });
    assert_eq!(
        bench.said()[..2],
        ["FIFO RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 UP", "FIFO RS [10.0.0.2]:tcp:80 [192.0.2.1]:tcp:80 UP"]
    );
}

#[test]
fn a_server_with_two_checkers_needs_both_and_no_checker_emails_saves_mail() {
    let server = || rs("10.0.0.1:80").checked(tcp()).checked(ping());
    for (no_checker_emails, mails) in [(false, 4), (true, 2)] {
        let config = lvs([vs(VIP, [server()])]).with(|lvs| lvs.no_checker_emails = no_checker_emails);
        let mut bench = Bench::started(config);
        bench.answer((0, 0, 0), refused());
        bench.answer((0, 0, 1), refused());
        bench.answer((0, 0, 0), Verdict::Pass);
        assert_eq!(bench.dests(VIP), none());
        bench.answer((0, 0, 1), Verdict::Pass);
        assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1"]);
        let said = bench.said();
        assert_eq!(said.iter().filter(|line| line.starts_with("FIFO RS")).count(), 2);
        assert_eq!(said.iter().filter(|line| line.starts_with("MAIL Realserver")).count(), mails, "{said:#?}");
    }
}

// ---- alpha ---------------------------------------------------------------------------------------------------------

#[test]
fn an_alpha_server_stays_out_until_it_succeeds_and_its_first_failure_is_told() {
    for checker in [tcp(), http(&["/"]), smtp(), dns(), udp(), ping(), misc(false)] {
        let mut bench = Bench::started(only(alpha(checker.with(|checker| checker.schedule.retry = 0))));
        assert_eq!(bench.dests(VIP), none());
        bench.answer(FIRST, refused());
        let said = bench.said();
        assert_eq!(said.len(), 2, "{said:#?}");
        assert_eq!(said[1], "FIFO RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 DOWN");
        assert_eq!(bench.dests(VIP), none());
        bench.answer(FIRST, Verdict::Pass);
        bench.answer(FIRST, Verdict::Pass); // HTTP: once more
        assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1"]);
    }
}

#[test]
fn an_alpha_server_with_inhibit_begins_with_weight_zero() {
    let server = rs("10.0.0.1:80").checked(alpha(tcp())).with(|rs| rs.inhibit_on_failure = true);
    let mut bench = Bench::started(lvs([vs(VIP, [server])]));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 0"]);
    bench.answer(FIRST, Verdict::Pass);
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1"]);
}

// ---- when checkers run -------------------------------------------------------------------------------------------

#[test]
fn the_first_probe_comes_after_a_second_and_a_random_part_of_the_warmup() {
    let warm = tcp().with(|tcp| tcp.schedule.warmup = secs(10));
    let servers = (1..=200).map(|i| rs(&format!("10.0.0.{i}:80")).checked(warm.clone()));
    let bench = Bench::started(lvs([vs(VIP, servers)]));
    let pauses = (0..200).map(|i| bench.pause((0, i, 0))).collect::<Vec<_>>();
    assert!(pauses.iter().all(|&pause| pause >= secs(1) && pause <= secs(11)));
    assert!(pauses.iter().any(|&pause| pause < secs(3)) && pauses.iter().any(|&pause| pause > secs(9)), "no spread");
}

/// D19: `delay_loop` of one checker. It counts from the end of the probe, but for a quarter of a second that lets it keep
/// its time; for MISC_CHECK from its start.
#[test]
fn d19_each_checker_has_its_own_delay_loop() {
    let slow = |checker: keepalived_rs::model::Checker| checker.with(|c| c.schedule.delay_loop = secs(30));
    let server = rs("10.0.0.1:80").checked(tcp()).checked(slow(tcp())).checked(slow(misc(false)));
    let mut bench = Bench::started(lvs([vs(VIP, [server])]));
    let probes = [(0, 0, 0), (0, 0, 1), (0, 0, 2)].map(|of| (of, bench.await_probe(of).0));
    bench.now += secs(2);
    for (_, probe) in probes {
        bench.running.remove(&probe);
        bench.input(Input::Probed(probe, Verdict::Pass));
    }
    assert_eq!(probes.map(|(of, _)| bench.pause(of)), [secs(6) - QUARTER, secs(30) - QUARTER, secs(28)]);
}

const QUARTER: Duration = Duration::from_millis(250);

#[test]
fn probes_that_were_late_together_do_not_stay_together() {
    let servers = (1..=2).map(|i| rs(&format!("10.0.0.{i}:80")).checked(tcp()));
    let mut bench = Bench::started(lvs([vs(VIP, servers)]));
    for round in 0..3 {
        let (first, _) = bench.await_probe((0, 0, 0));
        let (second, _) = bench.await_probe((0, 1, 0));
        // The loop was held up; the second was to begin at the same time as the first and is answered later.
        for (probe, wait) in [(first, 10), (second, 100)] {
            bench.now += Duration::from_millis(wait);
            bench.running.remove(&probe);
            bench.input(Input::Probed(probe, Verdict::Pass));
        }
        let pauses = [(0, 0, 0), (0, 1, 0)].map(|of| bench.pause(of));
        assert_eq!(pauses, [secs(6) - Duration::from_millis(110); 2], "round {round}");
    }
}

#[test]
fn a_script_that_ran_longer_than_its_interval_starts_again_at_once() {
    let mut bench = Bench::started(only(misc(false)));
    let (probe, _) = bench.await_probe(FIRST);
    bench.now += secs(100);
    bench.running.remove(&probe);
    bench.input(Input::Probed(probe, Verdict::Exited(0)));
    assert_eq!(bench.pause(FIRST), secs(0));
}

#[test]
fn an_answer_that_was_not_asked_for_changes_nothing() {
    let mut bench = Bench::started(only(tcp()));
    let (probe, _) = bench.await_probe(FIRST);
    bench.running.remove(&probe);
    bench.input(Input::Probed(probe, Verdict::Pass));
    bench.said();
    let before = bench.pause(FIRST);
    assert_eq!(bench.input(Input::Probed(probe, refused())), []);
    assert_eq!(bench.pause(FIRST), before);
}

#[test]
fn trouble_of_this_machine_is_no_verdict_and_said_once() {
    let local = |detail: &str| match fail(ReasonKind::Local, detail) {
        Verdict::Fail(reason) => Verdict::Local(reason),
        other => other,
    };
    let mut bench = Bench::started(only(tcp()));
    bench.answer(FIRST, local("no socket"));
    assert_eq!(bench.said(), ["TCP_CHECK on service [10.0.0.1]:tcp:80 could not be made, no verdict (no socket)"]);
    assert_eq!(bench.pause(FIRST), secs(6));
    bench.answer(FIRST, local("no socket"));
    assert_eq!(bench.said(), none());
    bench.answer(FIRST, local("no address"));
    assert_eq!(bench.said().len(), 1);
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1"]);
    let mut bench = Bench::started(only(udp()));
    bench.answer(FIRST, local("no socket"));
    assert_eq!(bench.dests(VIP), none());
}

// ---- HTTP --------------------------------------------------------------------------------------------------------

#[test]
fn urls_are_asked_one_per_delay_loop_and_a_server_returns_after_the_failed_one_and_the_whole_list() {
    let mut bench = Bench::started(only(http(&["/a", "/b"])));
    let mut trace = Vec::new();
    for verdict in [
        Verdict::Pass, // a
        Verdict::Pass, // b
        Verdict::Pass, // a
        refused(),     // b, a retry left
        refused(),     // b, down
        refused(),     // b
        Verdict::Pass, // b: the list starts again
        Verdict::Pass, // a
        Verdict::Pass, // b: up
    ] {
        let (_, url) = bench.await_probe(FIRST);
        bench.answer(FIRST, verdict);
        trace.push((url, bench.pause(FIRST).as_secs(), bench.dests(VIP).len()));
    }
    let expected = [(0, 6, 1), (1, 6, 1), (0, 6, 1), (1, 1, 1), (1, 6, 0), (1, 6, 0), (1, 6, 0), (0, 6, 0), (1, 6, 1)];
    assert_eq!(trace, expected);
    let said = bench.said();
    let lines = said.iter().filter(|line| !line.contains("quorum") && !line.starts_with("FIFO")).collect::<Vec<_>>();
    assert_eq!(
        lines,
        [
            "Remote Web server [10.0.0.1]:tcp:80 succeed on service.",
            "HTTP_CHECK on service [10.0.0.1]:tcp:80 failed after 1 retries. (connection refused)",
            "Removing service [10.0.0.1]:tcp:80 from VS [192.0.2.1]:tcp:80",
            "MAIL Realserver [10.0.0.1]:tcp:80 of virtual server [192.0.2.1]:tcp:80 - DOWN: => CHECK failed on service : HTTP/SSL request failed <=",
            "HTTP status code success to [10.0.0.1]:tcp:80 url(/b)",
            "HTTP status code success to [10.0.0.1]:tcp:80 url(/a)",
            "HTTP status code success to [10.0.0.1]:tcp:80 url(/b)",
            "Remote Web server [10.0.0.1]:tcp:80 succeed on service.",
            "Adding service [10.0.0.1]:tcp:80 to VS [192.0.2.1]:tcp:80",
            "MAIL Realserver [10.0.0.1]:tcp:80 of virtual server [192.0.2.1]:tcp:80 - UP: => CHECK succeed on service <=",
        ]
    );
}

#[test]
fn a_single_url_needs_two_successes_to_return() {
    let mut bench = Bench::started(only(http(&["/"])));
    bench.answer(FIRST, refused());
    bench.answer(FIRST, Verdict::Pass);
    assert_eq!(bench.dests(VIP), none());
    bench.answer(FIRST, Verdict::Pass);
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1"]);
}

#[test]
fn after_a_failure_the_longer_of_both_delays_passes() {
    let patient = http(&["/"]).with(|http| http.schedule.delay_before_retry = secs(20));
    let mut bench = Bench::started(only(patient));
    bench.answer(FIRST, refused());
    assert_eq!(bench.pause(FIRST), secs(20));
}

#[test]
fn fast_recovery_does_not_wait_between_urls_until_the_server_is_up() {
    let fast = http(&["/a", "/b"]).with(|checker| match &mut checker.probe {
        Probe::Http(http) => http.fast_recovery = true,
        other => panic!("{other:?}"),
    });
    let mut bench = Bench::started(only(fast));
    let mut pauses = Vec::new();
    for verdict in [
        Verdict::Pass, // a, not run yet
        Verdict::Pass, // b, up
        Verdict::Pass, // a
        refused(),     // b
        refused(),     // b, down
        Verdict::Pass, // b, no failed url any more
        Verdict::Pass, // a
        Verdict::Pass, // b, up
    ] {
        bench.answer(FIRST, verdict);
        pauses.push(bench.pause(FIRST).as_secs());
    }
    assert_eq!(pauses, [0, 6, 6, 1, 6, 0, 0, 6]);
}

// ---- SMTP --------------------------------------------------------------------------------------------------------

#[test]
fn an_smtp_check_has_all_its_attempts_in_each_round() {
    let mut bench = Bench::started(only(smtp().with(|smtp| smtp.schedule.retry = 2)));
    let mut trace = Vec::new();
    for _ in 0..6 {
        bench.answer(FIRST, refused());
        trace.push((bench.pause(FIRST).as_secs(), bench.dests(VIP).len()));
    }
    assert_eq!(trace, [(1, 1), (1, 1), (6, 0), (1, 0), (1, 0), (6, 0)]);
    let said = bench.said();
    assert_eq!(said[0], "SMTP_CHECK Could not connect to server [10.0.0.1]:25 (connection refused)");
    let mail = "MAIL Realserver [10.0.0.1]:tcp:80 of virtual server [192.0.2.1]:tcp:80 - DOWN: => CHECK failed on service : Could not connect to server [10.0.0.1]:25 <=";
    assert!(said.contains(&mail.to_owned()), "{said:#?}");
}

// ---- MISC --------------------------------------------------------------------------------------------------------

fn weighed() -> Lvs {
    let server = rs("10.0.0.1:80").checked(misc(true)).with(|rs| rs.weight = 5);
    lvs([vs(VIP, [server])])
}

#[test]
fn a_dynamic_exit_status_is_the_weight_plus_two() {
    let mut bench = Bench::started(weighed());
    bench.answer(FIRST, Verdict::Exited(12));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 10"]);
    assert_eq!(
        bench.said(),
        [
            "Changing weight from 5 to 10 for active service [10.0.0.1]:tcp:80 of VS [192.0.2.1]:tcp:80",
            "Misc check for [[10.0.0.1]:tcp:80 VS [192.0.2.1]:tcp:80] by [/bin/chk 1] succeeded.",
        ]
    );
    bench.answer(FIRST, Verdict::Exited(0));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 5"]);
    bench.answer(FIRST, Verdict::Exited(2));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 0"]);
    assert!(!bench.quorum_up(), "weight 0 is no quorum");
}

/// D16: weights from a script that is killed for its time in between, a hundred times.
#[test]
fn d16_a_script_that_is_killed_again_and_again_never_adds_up_weight() {
    let mut bench = Bench::started(weighed());
    for _ in 0..100 {
        bench.answer(FIRST, Verdict::Exited(30));
        assert_eq!(bench.dests(VIP), ["10.0.0.1:80 28"]);
        bench.answer(FIRST, fail(ReasonKind::ScriptTimeout, "timed out"));
        bench.answer(FIRST, fail(ReasonKind::ScriptTimeout, "timed out"));
        assert_eq!(bench.dests(VIP), none());
        bench.said();
        bench.answer(FIRST, Verdict::Exited(0));
        assert_eq!(bench.dests(VIP), ["10.0.0.1:80 5"]);
        assert!(bench.said().iter().all(|line| !line.starts_with("Changing weight")));
    }
}

/// D38: the last exit status is the one that is shown.
#[test]
fn d38_the_last_exit_status_is_shown_also_while_the_server_is_down() {
    let mut bench = Bench::started(only(misc(false)));
    for status in [1, 3] {
        bench.answer(FIRST, Verdict::Exited(status));
        let view = bench.node.views().next().unwrap();
        let checker = &view.real_servers[0].checkers[0];
        assert_eq!(checker.last_status, Some(status));
        assert_eq!(checker.reason.unwrap().kind, ReasonKind::Exited(status));
    }
}

#[test]
fn a_checker_knows_since_when_it_is_up_or_down_also_after_a_reload() {
    let mut bench = Bench::started(only(tcp()));
    let since = |bench: &Bench| bench.node.views().next().unwrap().real_servers[0].checkers[0].since;
    let start = bench.now;
    assert_eq!(since(&bench), start);
    bench.answer(FIRST, Verdict::Pass);
    assert_eq!(since(&bench), start, "it was taken for up");
    bench.answer(FIRST, fail(ReasonKind::Refused, "refused"));
    assert_eq!(since(&bench), start, "one failure is forgiven");
    bench.answer(FIRST, fail(ReasonKind::Refused, "refused"));
    let down = bench.now;
    assert!(down > start);
    assert_eq!(since(&bench), down);
    bench.answer(FIRST, fail(ReasonKind::Refused, "refused"));
    bench.reload(only(tcp()));
    assert!(bench.now > down);
    assert_eq!(since(&bench), down);
    bench.answer(FIRST, Verdict::Pass);
    assert_eq!(since(&bench), bench.now);
}

#[test]
fn of_two_checkers_each_knows_its_own_time_though_the_table_stays() {
    let mut bench = Bench::started(lvs([vs(VIP, [rs("10.0.0.1:80").checked(tcp()).checked(tcp())])]));
    for checker in 0..2 {
        bench.answer((0, 0, checker), fail(ReasonKind::Refused, "refused"));
        let view = bench.node.views().next().unwrap();
        assert_eq!(view.real_servers[0].checkers[checker].since, bench.now, "at the start one failure decides");
        assert!(!view.real_servers[0].alive);
        bench.now += Duration::from_secs(1);
    }
    let since = |checker: usize| bench.node.views().next().unwrap().real_servers[0].checkers[checker].since;
    assert!(since(0) < since(1));
}

#[test]
fn misc_sentences_say_which_retry_it_is() {
    let mut all = misc(false);
    (all.log_all_failures, all.schedule.retry) = (true, 2);
    let mut bench = Bench::started(only(all));
    bench.answer(FIRST, Verdict::Exited(0));
    for _ in 0..3 {
        bench.answer(FIRST, Verdict::Exited(1));
    }
    let said = bench.said();
    let sentences = said.iter().filter_map(|line| {
        line.strip_prefix("Misc check for [[10.0.0.1]:tcp:80 VS [192.0.2.1]:tcp:80] by [/bin/chk 1] ")
    });
    assert_eq!(
        sentences.collect::<Vec<_>>(),
        [
            "succeeded.",
            "failed, will do 2 retries (exited with status 1).",
            "failed on retry 1/2 (exited with status 1).",
            "failed after 2 retries (exited with status 1).",
        ]
    );
    for (verdict, expected) in [
        (fail(ReasonKind::Signalled(9), "killed"), "failed with retry disabled (due to signal 9)."),
        (fail(ReasonKind::ScriptTimeout, "6 s"), "timed out with retry disabled."),
    ] {
        let mut bench = Bench::started(only(misc(false).with(|misc| misc.schedule.retry = 0)));
        bench.answer(FIRST, verdict);
        let said = bench.said();
        assert!(said[0].ends_with(expected), "{said:#?}");
    }
}

// ---- files and sessions --------------------------------------------------------------------------------------------

fn filed(checker: keepalived_rs::model::Checker) -> Lvs {
    let server = rs("10.0.0.1:80").checked(checker).with(|rs| rs.weight = 10);
    lvs([vs(VIP, [server])]).with(|lvs| lvs.track_files = vec![track_file("load")])
}

#[test]
fn the_number_in_a_file_moves_the_weight_and_its_end_is_a_fault() {
    let mut bench = Bench::started(filed(file(2, false)));
    for (number, weight) in [(3, "16"), (-5, "0"), (0, "10"), (i32::MAX, "2147483647")] {
        bench.input(Input::TrackFile(0, number));
        assert_eq!(bench.dests(VIP), [format!("10.0.0.1:80 {weight}")]);
    }
    bench.said();
    bench.input(Input::TrackFile(0, i32::MIN));
    assert_eq!(bench.dests(VIP), none());
    assert_eq!(
        bench.said()[..3],
        [
            "([10.0.0.1]:tcp:80): tracked file load now FAULT state",
            "Removing service [10.0.0.1]:tcp:80 from VS [192.0.2.1]:tcp:80",
            "FIFO RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 DOWN",
        ]
    );
    bench.input(Input::TrackFile(0, 1));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 12"]);
    let said = bench.said();
    assert_eq!(
        said[..3],
        [
            "Changing weight from 10 to 12 for inactive service [10.0.0.1]:tcp:80 of VS [192.0.2.1]:tcp:80",
            "([10.0.0.1]:tcp:80): tracked file load leaving FAULT state",
            "Adding service [10.0.0.1]:tcp:80 to VS [192.0.2.1]:tcp:80",
        ]
    );
    assert!(said.iter().all(|line| !line.starts_with("MAIL Realserver")), "{said:#?}");
}

#[test]
fn without_a_weight_any_number_but_zero_is_a_fault_and_reversed_zero_is() {
    for (reverse, number, up) in [(false, 0, 1), (false, 1, 0), (false, -1, 0), (true, 0, 0), (true, 1, 1)] {
        // at the start, and later
        let mut bench = Bench::of(filed(file(0, reverse)));
        bench.input(Input::TrackFiles(&[number]));
        bench.input(Input::Startup { left: None });
        assert_eq!(bench.dests(VIP).len(), up, "{reverse} {number}");
        assert!(bench.said().iter().all(|line| !line.contains("FAULT")), "a start in fault is silent");
        let mut bench = Bench::started(filed(file(0, reverse)));
        bench.input(Input::TrackFile(0, number));
        assert_eq!(bench.dests(VIP).len(), up, "{reverse} {number}");
    }
}

#[test]
fn a_number_that_comes_before_the_start_counts_like_those_of_all_files() {
    let mut bench = Bench::of(filed(file(1, false)));
    bench.input(Input::TrackFiles(&[7]));
    bench.input(Input::TrackFile(0, 8));
    bench.input(Input::Startup { left: None });
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 18"]);
}

#[test]
fn a_bfd_session_decides_at_once() {
    let mut bench = Bench::started(only(bfd("peer")));
    bench.input(Input::Bfd("other", false));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1"]);
    bench.input(Input::Bfd("peer", false));
    assert_eq!(bench.dests(VIP), none());
    let said = bench.said();
    assert_eq!(said[0], "BFD check of [peer] RS([10.0.0.1]:tcp:80) is DOWN");
    assert!(said.last().unwrap().ends_with("=> BFD CHECK peer failed on service <="), "{said:#?}");
    bench.input(Input::Bfd("peer", true));
    assert_eq!(bench.dests(VIP), ["10.0.0.1:80 1"]);
    // heard before the start
    let mut bench = Bench::of(only(bfd("peer")));
    bench.input(Input::Bfd("peer", false));
    bench.input(Input::Startup { left: None });
    assert_eq!(bench.dests(VIP), none());
    assert!(bench.said().contains(&"Activating BFD healthchecker".to_owned()));
}

// ---- ha_suspend --------------------------------------------------------------------------------------------------

#[test]
fn without_its_address_a_virtual_server_asks_nothing_and_stays_as_it_is() {
    let config = vs(VIP, two()).with(|vs| vs.ha_suspend = true);
    let mut bench = Bench::started(lvs([config]));
    assert_eq!(bench.node.deadline(), None);
    assert_eq!(bench.dests(VIP).len(), 2);
    bench.address("192.0.2.2", true);
    assert_eq!(bench.node.deadline(), None);
    bench.address("192.0.2.1", true);
    bench.address("192.0.2.1", true);
    assert_eq!(bench.said()[0], "Activating healthchecker for service [10.0.0.1]:tcp:80 for VS [192.0.2.1]:tcp:80");
    assert!(bench.pause(FIRST) <= secs(6) && bench.pause(SECOND) <= secs(6));
    bench.answer(FIRST, refused());
    bench.await_probe(SECOND);
    bench.said();
    bench.address("192.0.2.1", false);
    assert_eq!(bench.said(), none(), "another interface still has it");
    bench.address("192.0.2.1", false);
    assert_eq!(bench.said()[1], "Suspending healthchecker for service [10.0.0.2]:tcp:80 for VS [192.0.2.1]:tcp:80");
    assert!(bench.running.is_empty(), "the running probe is cancelled");
    assert_eq!(bench.node.deadline(), None);
    assert_eq!(bench.dests(VIP), ["10.0.0.2:80 1"]);
    let addresses = ["192.0.2.1".parse().unwrap()];
    bench.input(Input::Addresses(&addresses));
    assert!(bench.node.deadline().is_some());
}

#[test]
fn a_group_is_suspended_while_none_of_its_addresses_is_here() {
    let config = vs(VIP, two()).with(|vs| {
        vs.identity = Identity::Group { name: "g".into(), ordinal: 0 };
        let (first, last) = ("192.0.2.10".parse().unwrap(), "192.0.2.20".parse().unwrap());
        vs.group = vec![GroupEntry::Addresses { first, last, port: 80 }];
        vs.ha_suspend = true;
    });
    let mut bench = Bench::of(lvs([config]));
    bench.input(Input::Startup { left: None });
    assert!(bench.said().contains(&"Deactivating healthchecker for service [10.0.0.1]:tcp:80 for VS [g]:0".to_owned()));
    bench.address("192.0.2.15", true);
    assert!(bench.node.deadline().is_some());
}

// ---- the end -----------------------------------------------------------------------------------------------------

#[test]
fn at_the_end_our_services_go_and_only_omega_tells() {
    let config = |omega: bool, how| {
        let inhibited = rs("10.0.0.2:80").checked(tcp()).with(|rs| rs.inhibit_on_failure = true);
        let servers = [rs("10.0.0.1:80").checked(tcp()), inhibited];
        lvs([vs(VIP, servers).with(|vs| vs.omega = omega)]).with(|lvs| lvs.flush_on_stop = how)
    };
    let end = |omega, how| {
        let mut bench = Bench::started(config(omega, how));
        bench.answer(SECOND, refused());
        bench.said();
        let actions = bench.input(Input::Shutdown);
        assert!(bench.table.is_empty());
        assert_eq!(actions.contains(&Action::Flush), how == FlushOnStop::Everything);
        assert_eq!(bench.input(Input::Tick), [], "nothing afterwards");
        bench.said()
    };
    let down = [
        "Shutting down service [10.0.0.1]:tcp:80 from VS [192.0.2.1]:tcp:80",
        "Shutting down (inhibited) service [10.0.0.2]:tcp:80 from VS [192.0.2.1]:tcp:80",
    ];
    assert_eq!(end(false, FlushOnStop::No), down);
    assert_eq!(
        end(true, FlushOnStop::No),
        [
            down[0],
            "FIFO RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 DOWN",
            "MAIL Realserver [10.0.0.1]:tcp:80 of virtual server [192.0.2.1]:tcp:80 - DOWN: => Shutting down <=",
            down[1],
            "FIFO VS [192.0.2.1]:tcp:80 DOWN",
            "MAIL Virtualserver [192.0.2.1]:tcp:80 - DOWN: => Shutting down <=",
        ]
    );
    for how in [FlushOnStop::VirtualServers, FlushOnStop::Everything] {
        assert_eq!(end(false, how), none());
        assert_eq!(end(true, how)[0], "FIFO VS [192.0.2.1]:tcp:80 DOWN");
    }
}

#[test]
fn with_option_i_the_table_is_left_and_nobody_told() {
    let config = lvs([vs(VIP, two()).with(|vs| vs.omega = true)]);
    let mut node = keepalived_rs::check::Node::new(config.into(), 1, true);
    let mut out = Vec::new();
    node.handle(Input::Startup { left: None }, Default::default(), &mut out);
    out.clear();
    node.handle(Input::Shutdown, Default::default(), &mut out);
    assert_eq!(out, []);
}

// ---- a process that takes over -----------------------------------------------------------------------------------

#[test]
fn a_new_process_leaves_servers_in_their_place_and_tells_nobody() {
    let config = || {
        let inhibited = rs("10.0.0.3:80").checked(tcp()).with(|rs| rs.inhibit_on_failure = true);
        let alpha = rs("10.0.0.4:80").checked(alpha(tcp()));
        let servers = [rs("10.0.0.1:80").checked(tcp()), rs("10.0.0.2:80").checked(tcp()), inhibited, alpha];
        lvs([vs(VIP, servers).with(|vs| vs.sorry_server = Some(rs("10.0.0.9:80").into()))])
    };
    let mut before = Bench::started(config());
    for (server, verdict) in [(0, refused()), (2, refused()), (3, Verdict::Pass)] {
        before.answer((0, server, 0), verdict);
    }
    let taken_over = |left: &Bench| {
        let mut after = Bench::of(config());
        after.table = left.table.clone();
        let mut out = Vec::new();
        after.node.handle(Input::Startup { left: Some(&left.table) }, after.now, &mut out);
        after.node.handle(Input::Programmed, after.now, &mut out);
        assert!(!out.iter().any(|action| matches!(action, Action::Notify(_))), "{out:#?}");
        assert_eq!(keepalived_rs::check::desired::desired(after.node.config(), &after.node.health()), left.table);
        after
    };
    let mut after = taken_over(&before);
    assert_eq!(after.node.health(), before.node.health());
    // nor afterwards, as long as they are what they were
    for (server, verdict) in [(0, refused()), (1, Verdict::Pass), (2, refused()), (3, Verdict::Pass)] {
        after.answer((0, server, 0), verdict.clone());
        after.answer((0, server, 0), verdict);
        assert_eq!(after.said(), [""; 0]);
    }
    after.answer((0, 0, 0), Verdict::Pass);
    assert_eq!(after.dests(VIP), ["10.0.0.1:80 1", "10.0.0.2:80 1", "10.0.0.3:80 0", "10.0.0.4:80 1"]);
    // and where the sorry server serves
    for server in [1, 3] {
        before.answer((0, server, 0), refused());
        before.answer((0, server, 0), refused());
    }
    assert_eq!(before.dests(VIP), ["10.0.0.3:80 0", "10.0.0.9:80 1"]);
    let mut after = taken_over(&before);
    after.answer((0, 1, 0), Verdict::Pass);
    assert_eq!(after.dests(VIP), ["10.0.0.2:80 1", "10.0.0.3:80 0"]);
    assert!(after.said().contains(&"FIFO VS [192.0.2.1]:tcp:80 UP".to_owned()));
}

// ---- sentences ---------------------------------------------------------------------------------------------------

#[test]
fn every_kind_of_checker_has_its_sentences() {
    let all = |checker: keepalived_rs::model::Checker| checker.with(|checker| checker.log_all_failures = true);
    let cases = [
        (
            tcp(),
            fail(ReasonKind::ConnectTimeout, "5 s"),
            "TCP connection to [10.0.0.1]:tcp:80 timeout. (5 s)",
            "TCP_CHECK on service [10.0.0.1]:tcp:80 failed after 1 retries. (5 s)",
            "TCP connection to [10.0.0.1]:tcp:80 success.",
        ),
        (
            http(&["/"]),
            fail(ReasonKind::Status, "status 500, not 200-299"),
            "HTTP status code error to server [10.0.0.1]:tcp:80. (status 500, not 200-299)",
            "HTTP_CHECK on service [10.0.0.1]:tcp:80 failed after 1 retries. (status 500, not 200-299)",
            "Remote Web server [10.0.0.1]:tcp:80 succeed on service.",
        ),
        (
            smtp(),
            fail(ReasonKind::Greeting, "554 no"),
            "SMTP_CHECK Bad greeting banner from server [10.0.0.1]:25 (554 no)",
            "SMTP_CHECK Bad greeting banner from server [10.0.0.1]:25 (554 no)",
            "Remote SMTP server [10.0.0.1]:tcp:80 succeed on service.",
        ),
        (
            dns(),
            fail(ReasonKind::Rcode(3), "NXDOMAIN"),
            "DNS_CHECK ([10.0.0.1]:tcp:80) read error occurred. (rcode = 3)",
            "DNS_CHECK ([10.0.0.1]:tcp:80) read error occurred. (rcode = 3) after 1 retries",
            "DNS_CHECK ([10.0.0.1]:tcp:80) succeeded",
        ),
        (
            udp(),
            fail(ReasonKind::Mismatch, "6 bytes"),
            "UDP check to [10.0.0.1]:tcp:80 reply data mismatch. (6 bytes)",
            "UDP_CHECK on service [10.0.0.1]:tcp:80 failed after 1 retries. (6 bytes)",
            "UDP connection to [10.0.0.1]:tcp:80 success.",
        ),
        (
            ping(),
            fail(ReasonKind::Timeout, ""),
            "ICMP connection to address [10.0.0.1]:tcp:80 timeout.",
            "ICMP CHECK on service [10.0.0.1]:tcp:80 of [192.0.2.1]:tcp:80 failed after 1 retries.",
            "ICMP connection to [10.0.0.1]:tcp:80 success.",
        ),
    ];
    for (checker, verdict, failed, down, up) in cases {
        let mut bench = Bench::started(only(all(checker)));
        bench.answer(FIRST, Verdict::Pass);
        assert_eq!(bench.said()[0], up);
        bench.answer(FIRST, verdict.clone());
        assert_eq!(bench.said(), [failed]);
        bench.answer(FIRST, verdict.clone());
        assert!(bench.said().iter().take(2).any(|line| line == down), "{down}");
        bench.answer(FIRST, verdict);
        assert_eq!(bench.said(), none(), "what is down already is not said again");
        assert_eq!(bench.dests(VIP), none());
    }
}

#[test]
fn names_are_those_of_marks_groups_and_ipv6() {
    let mark = vs(VIP, [rs("[2001:db8::10]:0").checked(tcp())]).with(|vs| {
        vs.identity = Identity::Mark { family: keepalived_rs::addr::Family::V6, mark: 77 };
        vs.protocol = keepalived_rs::model::lvs::Protocol::None;
    });
    let mut bench = Bench::started(lvs([mark]));
    bench.answer(FIRST, refused());
    assert!(bench.said().contains(&"FIFO RS [2001:db8::10]:none:0 FWM 77 DOWN".to_owned()));
}

#[test]
fn totals_count_everything() {
    let mut bench = Bench::started(lvs([vs(VIP, two()), vs("192.0.2.2:80", two())]));
    bench.answer(FIRST, refused());
    bench.answer((1, 0, 0), refused());
    bench.answer((1, 1, 0), refused());
    let totals = bench.node.totals();
    assert_eq!((totals.virtual_servers, totals.quorum_up, totals.real_servers, totals.alive), (2, 1, 4, 1));
    assert_eq!((totals.checkers, totals.failing, totals.not_run, totals.sorry_serves), (4, 3, 1, 0));
    let view = bench.node.views().next().unwrap();
    let checker = &view.real_servers[0].checkers[0];
    assert_eq!((checker.probes, checker.failures), (1, 1));
    assert_eq!(&*checker.reason.unwrap().detail, "connection refused");
}
