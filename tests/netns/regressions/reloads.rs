//! Reloads: what is in both files does not notice.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{VIP, adverts, ip, is_master, longest_gap, losses, no_transition, quick, reload, reloaded};
use crate::lan::{Kind, Lan, now};
use crate::setup::needs;

/// B10, #1854: the address was added by the one and then removed by the other.
#[test]
fn an_address_that_moves_to_another_instance_is_never_absent() {
    needs!();
    let lan = Lan::new(1);
    let two = quick("V1", 51, 150, "10.99.0.101", "") + &quick("V2", 52, 150, VIP, "");
    let _a = lan.start('a', Kind::Ours, &two);
    lan.wait_held('a', ip("10.99.0.101"));
    lan.wait_held('a', ip(VIP));
    let begun = now();
    reloaded(&lan, 'a', &quick("V1", 51, 150, "10.99.0.101\n 10.99.0.100", ""));
    lan.wait("V2 says farewell", |seen| {
        seen.adverts().find(|(f, a)| f.at >= begun && a.vrid == 52 && a.priority == 0).map(drop)
    });
    lan.wait_advert('a', now());
    lan.seen(|seen| {
        assert!(seen.holds('a', ip(VIP)), "the address vanished");
        assert_eq!(losses(seen, 'a', ip(VIP), begun), 0, "the address was absent for a moment");
    });
}

/// B11, #2364
#[test]
fn instances_that_swap_their_vrids_keep_their_addresses() {
    needs!();
    let lan = Lan::new(1);
    let two = |x, y| quick("V1", x, 150, "10.99.0.101", "") + &quick("V2", y, 150, "10.99.0.102", "");
    let _a = lan.start('a', Kind::Ours, &two(51, 52));
    lan.wait_held('a', ip("10.99.0.101"));
    lan.wait_held('a', ip("10.99.0.102"));
    let begun = now();
    reloaded(&lan, 'a', &two(52, 51));
    lan.wait("ten adverts of each", |seen| {
        [51, 52].iter().all(|v| adverts(seen, 'a', *v, begun).len() >= 10).then_some(())
    });
    lan.seen(|seen| {
        for address in ["10.99.0.101", "10.99.0.102"] {
            assert!(seen.holds('a', ip(address)), "{address} vanished");
            assert_eq!(losses(seen, 'a', ip(address), begun), 0, "{address} was absent for a moment");
        }
    });
}

/// B13, #2159: removing one of three moved all of them.
#[test]
fn an_instance_that_is_removed_does_not_disturb_the_others() {
    needs!();
    let lan = Lan::new(2);
    let file = |priority, instances: &[u8]| -> String {
        instances.iter().map(|n| quick(&format!("V{n}"), *n, priority, &format!("10.99.0.10{n}"), "")).collect()
    };
    let _a = lan.start('a', Kind::Ours, &file(150, &[1, 2, 3]));
    for n in 1..=3 {
        lan.wait_held('a', ip(&format!("10.99.0.10{n}")));
    }
    let _b = lan.start('b', Kind::Ours, &file(100, &[1, 2, 3]));
    lan.wait_line('b', "(V3) Entering BACKUP STATE", Duration::ZERO);
    lan.wait_advert('a', now() + Duration::from_millis(400));
    let begun = now();
    reloaded(&lan, 'a', &file(150, &[1, 3]));
    lan.wait_only_holder('b', &['a'], ip("10.99.0.102"));
    lan.wait("more adverts", |seen| (adverts(seen, 'a', 1, begun).len() >= 10).then_some(()));
    lan.seen(|seen| {
        let farewells = seen.adverts().filter(|(f, a)| f.from == 'a' && a.priority == 0);
        assert_eq!(farewells.map(|(_, a)| a.vrid).collect::<Vec<_>>(), [2]);
        for n in [1, 3] {
            assert_eq!(losses(seen, 'a', ip(&format!("10.99.0.10{n}")), begun), 0);
            assert!(adverts(seen, 'b', n, begun).is_empty(), "b took V{n} over");
        }
    });
}

/// B14, #754: at a tenth of a second and below, every reload was an interruption.
#[test]
fn reloads_do_not_hold_back_adverts() {
    needs!();
    let lan = Lan::new(2);
    let config = |priority| quick("V", 51, priority, VIP, "").replace("advert_int 0.2", "advert_int 0.1");
    let _a = lan.start('a', Kind::Ours, &config(150));
    is_master(&lan, 'a', ip(VIP));
    let _b = lan.start('b', Kind::Ours, &config(100));
    lan.wait_line('b', "Entering BACKUP STATE", Duration::ZERO);
    lan.wait_advert('a', now() + Duration::from_millis(500));
    let begun = now();
    for _ in 0..10 {
        reloaded(&lan, 'a', &config(150));
    }
    lan.seen(|seen| assert!(adverts(seen, 'b', 51, begun).is_empty(), "b took over during a reload"));
    no_transition(&lan, 'a', begun);
    no_transition(&lan, 'b', begun);
}

/// E08: A file that keepalived would stop on: nothing changes, and the operator is told why.
#[test]
fn a_broken_file_changes_nothing() {
    needs!();
    let lan = Lan::new(1);
    let config = quick("V", 51, 150, VIP, "");
    let a = lan.start('a', Kind::Ours, &config);
    is_master(&lan, 'a', ip(VIP));
    let begun = now();
    let broken = config.replace("virtual_router_id 51", "").replace("10.99.0.100", "10.99.0.111");
    let refused = reload(&lan, 'a', &broken);
    let said = String::from_utf8_lossy(&[refused.stdout, refused.stderr].concat()).into_owned();
    assert!(!refused.status.success(), "the reload was not refused: {said}");
    assert!(said.contains("virtual_router_id") || said.contains("virtual router id"), "it does not say why: {said}");
    a.signal(Signal::SIGHUP);
    lan.wait("adverts go on", |seen| (adverts(seen, 'a', 51, begun).len() >= 10).then_some(()));
    assert!(a.is_alive());
    no_transition(&lan, 'a', begun);
    lan.seen(|seen| {
        assert!(seen.holds('a', ip(VIP)) && !seen.holds('a', ip("10.99.0.111")));
        assert_eq!(losses(seen, 'a', ip(VIP), begun), 0);
        let gap = longest_gap(seen, 'a', 51, begun);
        assert!(gap < Duration::from_millis(600), "{gap:?} without an advert");
    });
    // And it is not stuck: the repaired file is taken.
    reloaded(&lan, 'a', &config.replace("10.99.0.100", "10.99.0.112"));
    lan.wait_held('a', ip("10.99.0.112"));
    lan.wait_released('a', ip(VIP));
}

/// E10: #209: two SIGHUPs close together, the second while the first reload runs.
#[test]
fn the_last_of_several_signals_is_not_lost() {
    needs!();
    let lan = Lan::new(1);
    let a = lan.start('a', Kind::Ours, &quick("V", 51, 150, VIP, ""));
    lan.wait_held('a', ip(VIP));
    for priority in [151, 152, 153, 154] {
        lan.configure('a', &quick("V", 51, priority, VIP, ""));
        a.signal(Signal::SIGHUP);
    }
    lan.wait("the last priority is in the adverts", |seen| seen.adverts().rfind(|(_, a)| a.priority == 154).map(drop));
    assert!(a.is_alive());
}

/// E11: the signal was fatal.
#[test]
fn a_signal_right_after_the_start_is_survived_and_heeded() {
    needs!();
    let lan = Lan::new(1);
    for round in 0..5 {
        lan.configure('a', &quick("V", 51, 150, VIP, ""));
        let a = lan.start_again('a', Kind::Ours);
        a.first_instruction();
        a.signal(Signal::SIGHUP);
        lan.wait_held('a', ip(VIP));
        assert!(a.is_alive(), "SIGHUP killed it in round {round}");
        a.kill_all();
        lan.ip('a', "addr flush dev eth0 to 10.99.0.100/32");
        lan.wait_released('a', ip(VIP));
    }
}

/// C19
#[test]
fn a_reload_that_changes_nothing_notifies_nobody() {
    needs!();
    let lan = Lan::new(1);
    let notified = lan.home('a').join("run/notified");
    lan.script('a', "notify.sh", "echo \"$@\" >>/run/notified");
    let config = format!(
        "global_defs {{\n script_user root\n enable_script_security\n}}\n{}",
        quick("V", 51, 150, VIP, "notify /etc/keepalived/notify.sh")
    );
    let a = lan.start('a', Kind::Ours, &config);
    let lines = || std::fs::read_to_string(&notified).unwrap_or_default();
    crate::lan::eventually("MASTER is notified", || lines().contains("MASTER"));
    let before = lines();
    let begun = now();
    reloaded(&lan, 'a', &config);
    lan.wait("adverts go on", |seen| (adverts(seen, 'a', 51, begun).len() >= 5).then_some(()));
    assert_eq!(lines(), before);
    assert!(a.stop().success());
    assert_eq!(lines(), format!("{before}INSTANCE V STOP 150\n"));
}
