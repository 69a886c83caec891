//! Trackers and scripts.

use std::time::Duration;

use super::{VIP, adverts, ip, is_master, no_transition, quick, reloaded};
use crate::lan::{Kind, Lan, eventually, now};
use crate::setup::needs;

const SCRIPTS: &str = "global_defs {\n script_user root\n enable_script_security\n}\n";

fn tracking(scripts: &str, instance: &str) -> String {
    format!("{SCRIPTS}{scripts}{instance}")
}

fn script(name: &str, more: &str) -> String {
    format!("vrrp_script {name} {{\n script /etc/keepalived/{name}.sh\n interval 1\n fall 1\n rise 1\n {more}\n}}\n")
}

/// C01, #535 #867: a script that outlives its time limit has failed, and is run again.
#[test]
fn a_script_that_takes_too_long_has_failed_and_runs_again() {
    needs!();
    let lan = Lan::new(1);
    lan.script('a', "check.sh", "[ -e /run/fine ] || exec sleep 60");
    std::fs::write(lan.home('a').join("run/fine"), "").unwrap();
    let config = tracking(&script("check", "timeout 1"), &quick("V", 51, 150, VIP, "track_script {\n check\n }"));
    let _a = lan.start('a', Kind::Ours, &config);
    lan.wait_held('a', ip(VIP));
    let begun = now();
    std::fs::remove_file(lan.home('a').join("run/fine")).unwrap();
    lan.wait_line('a', "Entering FAULT STATE", begun);
    lan.wait_released('a', ip(VIP));
    std::fs::write(lan.home('a').join("run/fine"), "").unwrap();
    let fine = now();
    lan.wait_line('a', "Entering MASTER STATE", fine);
    lan.wait_held('a', ip(VIP));
}

/// C02: the end of the script and the end of its time limit come at the same moment, again and again.
#[test]
fn a_script_that_takes_exactly_its_time_limit_never_freezes_its_tracker() {
    needs!();
    let lan = Lan::new(1);
    lan.script('a', "check.sh", "echo >>/run/runs; exec sleep 0.2");
    let check = script("check", "timeout 0.2\n weight 0").replace("interval 1", "interval 0.3");
    let _a =
        lan.start('a', Kind::Ours, &tracking(&check, &quick("V", 51, 150, VIP, "track_script {\n check weight 1\n }")));
    let runs = || std::fs::read_to_string(lan.home('a').join("run/runs")).map_or(0, |t| t.lines().count());
    eventually("it ran thirty times", || runs() >= 30);
}

/// C04: scripts that ignore SIGTERM, and a reload while they run.
#[test]
fn scripts_that_ignore_sigterm_do_not_outlive_a_reload() {
    needs!();
    let lan = Lan::new(1);
    let count = 40;
    let mut tracked = String::from("track_script {\n");
    for n in 0..count {
        lan.script('a', &format!("s{n}.sh"), "trap '' TERM\nwhile :; do sleep 1000; done");
        tracked += &format!("s{n} weight 1\n");
    }
    tracked += "}";
    // Scripts that a reload does not change run on, so each reload changes them.
    let config = |timeout: u32| {
        let scripts: String = (0..count).map(|n| script(&format!("s{n}"), &format!("timeout {timeout}"))).collect();
        tracking(&scripts, &quick("V", 51, 150, VIP, &tracked))
    };
    let a = lan.start('a', Kind::Ours, &config(300));
    let shells = || {
        let is_script = |p: &nix::unistd::Pid| {
            std::fs::read(format!("/proc/{p}/cmdline"))
                .is_ok_and(|c| String::from_utf8_lossy(&c).contains("/etc/keepalived/s"))
        };
        a.processes().into_iter().filter(is_script).collect::<Vec<_>>()
    };
    eventually("all scripts run", || shells().len() >= count);
    for timeout in 301..304 {
        let old = shells();
        reloaded(&lan, 'a', &config(timeout));
        eventually("the old scripts are gone and new ones run", || {
            let new = shells();
            old.iter().all(|p| !new.contains(p)) && new.len() >= count
        });
    }
    reloaded(&lan, 'a', &quick("V", 51, 150, VIP, ""));
    eventually("no script is left", || shells().is_empty());
    lan.wait_held('a', ip(VIP));
}

/// C05
#[test]
fn a_script_that_a_reload_adds_is_not_a_failure_before_its_first_result() {
    needs!();
    let lan = Lan::new(1);
    lan.script('a', "slow.sh", "sleep 2");
    let _a = lan.start('a', Kind::Ours, &quick("V", 51, 150, VIP, ""));
    is_master(&lan, 'a', ip(VIP));
    let begun = now();
    let tracked = quick("V", 51, 150, VIP, "track_script {\n slow\n }");
    reloaded(&lan, 'a', &tracking(&script("slow", "timeout 5"), &tracked));
    lan.wait_advert('a', begun + Duration::from_secs(4));
    no_transition(&lan, 'a', begun);
    lan.seen(|seen| assert!(seen.holds('a', ip(VIP))));
}

/// C07, #2304
#[test]
fn an_instance_leaves_fault_when_the_slower_of_two_scripts_is_done() {
    needs!();
    let lan = Lan::new(1);
    lan.script('a', "flaky.sh", "[ -e /run/once ] && exit 0; : >/run/once; exit 1");
    lan.script('a', "slow.sh", "sleep 4");
    let scripts = script("flaky", "") + &script("slow", "timeout 10").replace("interval 1", "interval 8");
    let both = quick("V", 51, 150, VIP, "track_script {\n flaky\n slow\n }");
    let _a = lan.start('a', Kind::Ours, &tracking(&scripts, &both));
    lan.wait_held('a', ip(VIP));
}

/// B16, #1532: the link comes up while the script runs for the first time.
#[test]
fn a_link_that_comes_up_during_the_first_script_run_is_not_missed() {
    needs!();
    let lan = Lan::new(1);
    lan.ip('a', "link add eth1 type veth peer name eth1-peer");
    lan.ip('a', "link set eth1 up");
    lan.script('a', "slow.sh", ": >/run/began; sleep 2");
    let both = quick("V", 51, 150, VIP, "track_interface {\n eth1\n }\n track_script {\n slow\n }");
    let _a = lan.start('a', Kind::Ours, &tracking(&script("slow", "timeout 5"), &both));
    let began = lan.home('a').join("run/began");
    eventually("the script runs", || began.exists());
    lan.ip('a', "link set eth1-peer up");
    lan.wait_held('a', ip(VIP));
}

/// C08, #1009
#[test]
fn weights_add_up_again_after_a_reload() {
    needs!();
    let lan = Lan::new(1);
    lan.ip('a', "link add eth1 type veth peer name eth1-peer");
    lan.ip('a', "link set eth1 up");
    lan.ip('a', "link set eth1-peer up");
    let config =
        |priority, weight| quick("V", 51, priority, VIP, &format!("track_interface {{\n eth1 weight {weight}\n }}"));
    let priority_is = |expected: u8| {
        lan.wait(&format!("priority {expected}"), |seen| {
            seen.adverts().next_back().filter(|(_, a)| a.priority == expected).map(drop)
        });
    };
    let _a = lan.start('a', Kind::Ours, &config(100, -30));
    priority_is(100);
    lan.ip('a', "link set eth1-peer down");
    priority_is(70);
    reloaded(&lan, 'a', &config(120, -50));
    priority_is(70);
    lan.wait_advert('a', now());
    reloaded(&lan, 'a', &config(120, -40));
    priority_is(80);
    lan.ip('a', "link set eth1-peer up");
    priority_is(120);
}

/// A tracked script with a weight moves the address without a fault, as the tutorials use it.
#[test]
fn a_failing_script_lowers_the_priority_and_the_address_moves() {
    needs!();
    for sides in [[Kind::Ours, Kind::Debian], [Kind::Debian, Kind::Ours]] {
        let lan = Lan::new(2);
        lan.script('a', "check.sh", "[ ! -e /run/broken ]");
        let config = tracking(&script("check", "weight -60"), &quick("V", 51, 150, VIP, "track_script {\n check\n }"));
        let _a = lan.start('a', sides[0], &config);
        let _b = lan.start('b', sides[1], &quick("V", 51, 100, VIP, ""));
        lan.wait_only_holder('a', &['b'], ip(VIP));
        let broken = lan.home('a').join("run/broken");
        let begun = now();
        std::fs::write(&broken, "").unwrap();
        lan.wait_only_holder('b', &['a'], ip(VIP));
        lan.seen(|seen| {
            let lowered = adverts(seen, 'a', 51, begun).iter().filter_map(|f| f.advert()).any(|a| a.priority == 90);
            assert!(lowered, "a did not advertise its lower priority");
        });
        std::fs::remove_file(&broken).unwrap();
        lan.wait_only_holder('a', &['b'], ip(VIP));
    }
}

/// C17
#[test]
fn a_script_user_may_be_in_a_group_of_thousands() {
    needs!();
    let lan = Lan::new(1);
    let members: Vec<String> = (0..5000).map(|n| format!("member{n}")).collect();
    let group = format!("{}\ncrowd:x:4242:{}\n", std::fs::read_to_string("/etc/group").unwrap(), members.join(","));
    std::fs::write(lan.home('a').join("group"), group).unwrap();
    lan.script('a', "who.sh", "id -g >/run/who");
    let check = "vrrp_script who {\n script /etc/keepalived/who.sh\n interval 1\n user root crowd\n}\n";
    let _a = lan.start('a', Kind::Ours, &tracking(check, &quick("V", 51, 150, VIP, "track_script {\n who\n }")));
    lan.wait_held('a', ip(VIP));
    let who = || std::fs::read_to_string(lan.home('a').join("run/who")).unwrap_or_default();
    eventually("the script ran in the group", || who() == "4242\n");
}
