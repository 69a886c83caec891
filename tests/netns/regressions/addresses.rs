//! Addresses and interfaces.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{VIP, ip, is_master, losses, no_transition, quick, reloaded};
use crate::lan::{Kind, Lan, eventually, now};
use crate::setup::needs;

/// B04
#[test]
fn the_same_address_with_another_prefix_is_not_ours() {
    needs!();
    let lan = Lan::new(1);
    let _a = lan.start('a', Kind::Ours, &quick("V", 51, 150, "10.1.0.3/32", ""));
    is_master(&lan, 'a', ip("10.1.0.3"));
    lan.ip('a', "addr add 10.1.0.3/24 dev eth0");
    let removed = now();
    lan.ip('a', "addr del 10.1.0.3/24 dev eth0");
    lan.wait_advert('a', removed + Duration::from_millis(500));
    no_transition(&lan, 'a', removed);
    let held = lan.ip('a', "-o addr show dev eth0");
    assert!(held.contains("10.1.0.3/32") && !held.contains("10.1.0.3/24"), "{held}");
}

/// B07, #2564: the addresses are flushed while the link is down, on one router and then on the other.
#[test]
fn a_link_restarted_by_a_manager_that_flushes_addresses_gets_its_address_back() {
    needs!();
    let lan = Lan::new(2);
    let _a = lan.start('a', Kind::Ours, &quick("V", 51, 150, VIP, ""));
    let _b = lan.start('b', Kind::Ours, &quick("V", 51, 100, VIP, ""));
    lan.wait_only_holder('a', &['b'], ip(VIP));
    for host in ['b', 'a'] {
        lan.ip(host, "link set eth0 down");
        lan.ip(host, "addr flush dev eth0");
        lan.ip(host, "link set eth0 up");
        lan.ip(host, &format!("addr add {}/24 brd + dev eth0", lan.address(host)));
        let restarted = now();
        if host == 'a' {
            lan.wait_line('a', "Entering MASTER STATE", restarted);
        }
        lan.wait_advert('a', restarted + Duration::from_secs(1));
    }
    lan.wait_only_holder('a', &['b'], ip(VIP));
}

/// B05: the file changed while the daemon was dead: what it left is not in the new one.
#[test]
fn a_start_removes_what_a_killed_daemon_left_though_the_file_has_changed() {
    needs!();
    let lan = Lan::new(1);
    let a = lan.start('a', Kind::Ours, &quick("V", 51, 150, VIP, ""));
    lan.wait_held('a', ip(VIP));
    a.kill_all();
    lan.seen(|seen| assert!(seen.holds('a', ip(VIP)), "nobody was left to remove it"));
    let _a = lan.start('a', Kind::Ours, &quick("W", 52, 150, "10.99.0.101", ""));
    lan.wait_released('a', ip(VIP));
    lan.wait_held('a', ip("10.99.0.101"));
}

#[test]
fn cleanup_removes_what_a_killed_daemon_left() {
    needs!();
    let lan = Lan::new(1);
    let a = lan.start('a', Kind::Ours, &quick("V", 51, 150, VIP, ""));
    lan.wait_held('a', ip(VIP));
    a.kill_all();
    let done = lan.run('a', &Kind::Ours.program().to_string_lossy(), &["cleanup"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    lan.wait_released('a', ip(VIP));
}

/// The child alone dies: the parent starts another, which begins with a clean interface.
#[test]
fn a_child_that_dies_is_replaced_and_takes_the_address_again() {
    needs!();
    let lan = Lan::new(1);
    let a = lan.start('a', Kind::Ours, &quick("V", 51, 150, VIP, ""));
    is_master(&lan, 'a', ip(VIP));
    let pid = || std::fs::read_to_string(lan.home('a').join("run/vrrp.pid")).unwrap_or_default();
    let first = pid();
    let killed = now();
    let child = nix::unistd::Pid::from_raw(first.trim().parse().unwrap());
    assert!(a.processes().contains(&child), "the pid file names one of its processes");
    nix::sys::signal::kill(child, Signal::SIGKILL).unwrap();
    lan.wait_line('a', "(V) Entering MASTER STATE", killed);
    lan.wait_held('a', ip(VIP));
    lan.seen(|seen| assert!(losses(seen, 'a', ip(VIP), killed) >= 1, "the new child did not begin anew"));
    eventually("the pid file names the new child", || {
        let now = pid();
        !now.is_empty() && now != first && a.processes().iter().any(|p| p.to_string() == now.trim())
    });
}

/// B19
#[test]
fn an_ipv6_instance_needs_no_ipv4_address() {
    needs!();
    let lan = Lan::new(1);
    lan.ip('a', "addr flush dev eth0 scope global");
    let _a = lan.start('a', Kind::Ours, &quick("V", 51, 150, "fe80::99:100/64\n fd99::100/64", ""));
    lan.wait_held('a', ip("fd99::100"));
}

/// B20, #2678: at boot the link-local address is still being checked for duplicates.
#[test]
fn a_tentative_address_is_waited_for() {
    needs!();
    let lan = Lan::new(1);
    lan.within('a', || {
        for (name, value) in [("accept_dad", "1"), ("dad_transmits", "3")] {
            for scope in ["all", "eth0"] {
                std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/{name}"), value).unwrap();
            }
        }
    });
    lan.ip('a', "link set eth0 down");
    lan.ip('a', "link set eth0 up");
    let _a = lan.start('a', Kind::Ours, &quick("V", 51, 150, "fe80::99:100/64\n fd99::100/64", ""));
    lan.wait_held('a', ip("fd99::100"));
    let (_, advert) = lan.wait_advert('a', Duration::ZERO);
    assert_eq!(advert.source, ip("fe80::ff:fe00:1"));
}

#[test]
fn a_new_source_address_is_used_when_the_first_one_goes() {
    needs!();
    let lan = Lan::new(1);
    let _a = lan.start('a', Kind::Ours, &quick("V", 51, 150, "10.98.0.100/24", ""));
    lan.wait_held('a', ip("10.98.0.100"));
    lan.ip('a', "addr add 10.99.5.5/16 dev eth0");
    let changed = now();
    lan.ip('a', "addr del 10.99.0.1/24 dev eth0");
    lan.wait("adverts from the other address", |seen| {
        seen.adverts().find(|(f, a)| f.at >= changed && a.source == ip("10.99.5.5")).map(drop)
    });
    lan.wait_held('a', ip("10.98.0.100"));
}

#[test]
fn a_reload_that_adds_and_removes_addresses_leaves_the_others_in_place() {
    needs!();
    let lan = Lan::new(1);
    let _a = lan.start('a', Kind::Ours, &quick("V", 51, 150, "10.99.0.100/24\n 10.99.0.101/24", ""));
    is_master(&lan, 'a', ip("10.99.0.101"));
    let begun = now();
    reloaded(&lan, 'a', &quick("V", 51, 150, "10.99.0.100/24\n 10.99.0.102/24", ""));
    lan.wait_held('a', ip("10.99.0.102"));
    lan.wait_released('a', ip("10.99.0.101"));
    lan.wait("the new address is announced", |seen| seen.announcements(ip("10.99.0.102")).next().map(drop));
    lan.seen(|seen| assert_eq!(losses(seen, 'a', ip("10.99.0.100"), begun), 0));
    no_transition(&lan, 'a', begun);
}

/// What the kernel does not change in place goes and comes back at once; what it can, never goes.
#[test]
fn a_reload_gives_addresses_their_new_attributes() {
    needs!();
    let lan = Lan::new(1);
    let file = |addresses: &str, six: &str| {
        let six = format!("fe80::99:1/64\n {six}");
        quick("V", 51, 150, addresses, "") + &quick("W", 52, 150, &six, "")
    };
    let shown = |address: &str| {
        let all = lan.ip('a', "-o addr show dev eth0");
        let is_it = |line: &&str| [" peer", "/"].iter().any(|next| line.contains(&format!(" {address}{next}")));
        all.lines().find(is_it).unwrap_or("not there").to_owned()
    };
    let _a = lan.start('a', Kind::Ours, &file("10.99.0.100/24\n 10.99.0.101/32", "fd99::100/64"));
    lan.wait_line('a', "(V) Entering MASTER STATE", Duration::ZERO);
    lan.wait_line('a', "(W) Entering MASTER STATE", Duration::ZERO);
    lan.wait_held('a', ip("10.99.0.101"));
    lan.wait_held('a', ip("fd99::100"));
    let begun = now();
    // four, six, and what must be shown of them
    let steps = [
        ("10.99.0.100/24 label eth0:vip\n 10.99.0.101/32", "fd99::100/64", "10.99.0.100", "eth0:vip"),
        ("10.99.0.100/24\n 10.99.0.101/32 scope link", "fd99::100/64", "10.99.0.101", "scope link"),
        ("10.99.0.100/24 brd 10.99.0.255\n 10.99.0.101/32", "fd99::100/64", "10.99.0.100", "brd 10.99.0.255"),
        ("10.99.0.100/25\n 10.99.0.101/32", "fd99::100/64", "10.99.0.100", "/25"),
        ("10.99.0.100/25\n 10.99.0.101 peer 10.98.0.1", "fd99::100/64", "10.99.0.101", "peer 10.98.0.1/32"),
        ("10.99.0.100/25\n 10.99.0.101 peer 10.98.0.2", "fd99::100/64", "10.99.0.101", "peer 10.98.0.2/32"),
        ("10.99.0.100/25\n 10.99.0.101/32", "fd99::100/64 preferred_lft 0", "fd99::100", "deprecated"),
        ("10.99.0.100/25\n 10.99.0.101/32", "fd99::100/64 home", "fd99::100", "home"),
        ("10.99.0.100/25\n 10.99.0.101/32", "fd99::100/128", "fd99::100", "/128"),
    ];
    for (four, six, address, expected) in steps {
        reloaded(&lan, 'a', &file(four, six));
        eventually(&format!("{address} has {expected}"), || shown(address).contains(expected));
    }
    eventually("all are there", || {
        ["10.99.0.100", "10.99.0.101", "fd99::100", "fe80::99:1"].iter().all(|address| shown(address) != "not there")
    });
    no_transition(&lan, 'a', begun);
    let mut all = lan.ip('a', "-o addr show dev eth0");
    all.retain(|c| c != '\\');
    assert_eq!(all.matches("10.99.0.100/").count() + all.matches("10.99.0.101").count(), 2, "{all}");
    lan.seen(|seen| {
        assert_eq!(losses(seen, 'a', ip("fe80::99:1"), begun), 0);
        assert_eq!(losses(seen, 'a', ip("fd99::100"), begun), 1, "for its other prefix only");
    });
}
