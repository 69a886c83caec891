//! Tracking scripts.

use super::*;

const GOOD: ScriptModel = ScriptModel { takes: ms(20), succeeds: true, stubborn: false };
const BAD: ScriptModel = ScriptModel { takes: ms(20), succeeds: false, stubborn: false };
const HANGS: ScriptModel = ScriptModel { takes: secs(3600), succeeds: true, stubborn: false };

#[test]
fn a_failing_script_of_weight_zero_is_a_fault_until_it_succeeds() {
    let mut lan = settled(vec![scripted(200, &[0]), one(100)]);
    assert_eq!(lan.masters(0), [A]);
    lan.routers[A].scripts = vec![BAD];
    lan.run_for(ms(1700));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    assert_eq!(lan.masters(0), [B]);
    lan.routers[A].scripts = vec![GOOD];
    lan.run_for(secs(6));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn a_failing_script_with_a_weight_moves_the_addresses() {
    let mut lan = settled(vec![scripted(110, &[-20]), one(100)]);
    assert_eq!(lan.masters(0), [A]);
    lan.routers[A].scripts = vec![BAD];
    lan.run_for(secs(7));
    assert_eq!(lan.masters(0), [B]);
    lan.routers[A].scripts = vec![GOOD];
    lan.run_for(secs(7));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn c01_a_script_that_hangs_fails_and_is_run_again() {
    let mut lan = settled(vec![scripted(200, &[0]), one(100)]);
    lan.routers[A].scripts = vec![HANGS];
    lan.run_for(secs(3));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    lan.routers[A].scripts = vec![GOOD];
    lan.run_for(secs(8));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn c02_a_script_that_takes_just_its_timeout_never_freezes() {
    let mut lan = lan_of(vec![scripted(200, &[0])]);
    lan.routers[A].log = None;
    lan.routers[A].scripts = vec![ScriptModel { takes: secs(1), ..GOOD }];
    lan.start(A);
    lan.run_for(secs(10_000));
    lan.routers[A].scripts = vec![GOOD];
    lan.run_for(secs(10));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn c05_a_script_that_a_reload_adds_to_a_master_is_waited_for_in_peace() {
    let mut lan = settled(vec![one(200), one(100)]);
    lan.routers[A].scripts = vec![ScriptModel { takes: ms(900), ..GOOD }];
    let from = lan.now;
    lan.reload(A, scripted(200, &[0]));
    lan.run_for(secs(5));
    assert!(told(&lan, A, from).is_empty());
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn c07_two_scripts_one_slow_one_failing_at_first_both_good_in_the_end() {
    let mut config = scripted(200, &[0, 0]);
    config.scripts[0].interval = secs(5);
    config.scripts[1].interval = secs(30);
    config.scripts[1].timeout = secs(30);
    let mut lan = lan_of(vec![config]);
    lan.routers[A].scripts = vec![BAD, ScriptModel { takes: secs(20), ..GOOD }];
    lan.start(A);
    lan.run_for(secs(1));
    assert_eq!(lan.routers[A].role(0), Some(Role::Fault));
    lan.routers[A].scripts[0] = GOOD;
    lan.run_for(secs(10));
    assert_ne!(lan.routers[A].role(0), Some(Role::Master), "the slow one has not reported yet");
    lan.run_for(secs(15));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn c08_a_reload_while_a_tracked_interface_is_down_adds_up_again() {
    let tracked =
        |priority, weight| with(priority, |instance| instance.track_interfaces.push(tracks_link("eth1", weight)));
    let mut lan = settled(vec![tracked(150, -30)]);
    let effective =
        |lan: &Lan| lan.routers[A].node.as_ref().unwrap().views().next().map(|view| view.effective_priority).unwrap();
    assert_eq!(effective(&lan), 150);
    lan.link_down(A, ETH1);
    lan.run_for(ms(10));
    assert_eq!(effective(&lan), 120);
    lan.reload(A, tracked(200, -50));
    assert_eq!(effective(&lan), 150);
    lan.link_up(A, ETH1);
    lan.run_for(ms(10));
    assert_eq!(effective(&lan), 200);
}

#[test]
fn b16_an_interface_that_comes_up_while_a_script_runs_for_the_first_time() {
    let mut config = scripted(200, &[0]);
    config.scripts[0].timeout = secs(5);
    Arc::make_mut(&mut config.instances[0]).track_interfaces.push(tracks_link("eth1", 0));
    let mut lan = lan_of(vec![config]);
    lan.routers[A].scripts = vec![ScriptModel { takes: secs(2), ..GOOD }];
    lan.routers[A].kernel.link_down(ETH1);
    lan.start(A);
    lan.run_for(secs(1));
    lan.link_up(A, ETH1);
    lan.run_for(secs(10));
    assert_eq!(lan.masters(0), [A]);
}

#[test]
fn an_instance_that_waits_for_its_first_script_result_says_nothing() {
    let mut lan = lan_of(vec![scripted(200, &[0])]);
    lan.routers[A].scripts = vec![ScriptModel { takes: ms(900), ..GOOD }];
    lan.start(A);
    lan.run_for(ms(800));
    assert_eq!(lan.routers[A].role(0), Some(Role::Init));
    assert!(told(&lan, A, Instant::ZERO).is_empty());
    lan.run_for(ms(200));
    assert_eq!(told(&lan, A, Instant::ZERO), [Notified::Backup]);
}

#[test]
fn init_fail_is_a_fault_until_the_script_has_risen() {
    let mut config = scripted(200, &[0]);
    config.scripts[0].init_fail = true;
    config.scripts[0].rise = 3;
    let mut lan = started(vec![config]);
    lan.run_for(ms(1500));
    assert_eq!(told(&lan, A, Instant::ZERO), [Notified::Fault]);
    lan.run_for(secs(1));
    assert_eq!(told(&lan, A, Instant::ZERO), [Notified::Fault, Notified::Backup]);
}
