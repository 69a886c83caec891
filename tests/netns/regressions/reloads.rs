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

/// Sizes of the receive buffers of a host's netlink sockets, as the kernel counts them.
fn netlink_buffers(lan: &Lan, host: char) -> Vec<u32> {
    let sockets = lan.run(host, "ss", &["-H", "-f", "netlink", "-m"]);
    let text = String::from_utf8_lossy(&sockets.stdout).into_owned();
    text.split(",rb").skip(1).filter_map(|rest| rest.split(',').next()?.parse().ok()).collect()
}

#[test]
fn netlink_buffers_are_as_the_file_says_after_the_start_and_each_reload() {
    needs!();
    let lan = Lan::new(1);
    let limit: u32 = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse().unwrap();
    let sockets = ["vrrp_netlink_cmd", "vrrp_netlink_monitor", "lvs_netlink_cmd", "lvs_netlink_monitor"];
    let service = "virtual_server 10.99.0.100 80 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n ha_suspend\n \
                   real_server 127.0.0.1 80 {\n }\n}\n";
    // Each buffer a size of its own, by which it is known; the second and the fourth need force.
    let file = |more: u32| {
        let sized = (1..).zip(sockets).map(|(n, name)| match n % 2 {
            1 => format!(" {name}_rcv_bufs {}\n", 50_000 * n + more),
            _ => format!(" {name}_rcv_bufs {}\n {name}_rcv_bufs_force\n", limit + 50_000 * n + more),
        });
        format!("global_defs {{\n{}}}\n{}{service}", sized.collect::<String>(), quick("V", 51, 150, VIP, ""))
    };
    let wanted = |more: u32| [50_000, limit + 100_000, 150_000, limit + 200_000].map(|bytes| 2 * (bytes + more));
    let are = |all: [u32; 4]| {
        let there = netlink_buffers(&lan, 'a');
        all.iter().all(|size| there.contains(size))
    };
    let a = lan.start('a', Kind::Ours, &file(0));
    lan.wait_held('a', ip(VIP));
    crate::lan::eventually("the sizes of the start", || are(wanted(0)));
    reloaded(&lan, 'a', &file(1_000));
    crate::lan::eventually("the sizes of the reload", || are(wanted(1_000)));
    assert!(!are(wanted(0)), "no others are left");
    lan.seen(|seen| assert!(seen.lines('a', "rcv_bufs").next().is_none(), "nothing was wrong"));
    // Without force the system's limit holds, which is said once.
    let begun = now();
    let unforced = file(1_000).replace(" vrrp_netlink_monitor_rcv_bufs_force\n", "");
    reloaded(&lan, 'a', &unforced);
    lan.wait_line('a', &format!("vrrp_netlink_monitor_rcv_bufs: the system gives {limit} of "), begun);
    reloaded(&lan, 'a', &unforced);
    lan.seen(|seen| assert_eq!(seen.lines('a', "rcv_bufs").count(), 1));
    // Without the settings they are as they were before there were any.
    reloaded(&lan, 'a', &format!("{}{service}", quick("V", 51, 150, VIP, "")));
    crate::lan::eventually("the usual sizes", || {
        let sizes = netlink_buffers(&lan, 'a');
        let count = |mebibytes: u32| sizes.iter().filter(|size| **size == mebibytes << 21).count();
        // Each child has one for answers and one for news.
        count(1) >= 2 && count(16) >= 2 && sizes.iter().all(|size| !wanted(1_000).contains(size))
    });
    // And it listens on them still.
    lan.cut('a');
    lan.wait_line('a', "Entering FAULT STATE", begun);
    assert!(a.stop().success());
}

#[test]
fn a_netlink_buffer_that_may_not_be_so_large_is_told_once() {
    needs!();
    let lan = Lan::new(1);
    let sized = " vrrp_netlink_monitor_rcv_bufs 3000000000\n vrrp_netlink_monitor_rcv_bufs_force\n";
    let config = |priority| format!("global_defs {{\n{sized}}}\n{}", quick("V", 51, priority, VIP, ""));
    lan.configure('a', &config(150));
    let (program, without) = (Kind::Ours.program(), "--bounding-set=-net_admin");
    let arguments = [without, &program.to_string_lossy(), "--dont-fork", "--log-console", "--log-detail"];
    let a = lan.start_program('a', "/usr/bin/setpriv", &arguments);
    let line =
        "vrrp_netlink_monitor_rcv_bufs: cannot have a receive buffer of 1073741823 bytes: Operation not permitted";
    lan.wait_line('a', line, Duration::ZERO);
    assert!(netlink_buffers(&lan, 'a').iter().all(|size| *size != i32::MAX as u32 - 1));
    reloaded(&lan, 'a', &config(151));
    lan.seen(|seen| assert_eq!(seen.lines('a', "rcv_bufs").count(), 1));
    assert!(a.stop().success());
}
