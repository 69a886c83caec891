//! Elections, split brain, timing.

use std::time::Duration;

use super::{VIP, adverts, ip, is_master, longest_gap, no_transition, quick, reloaded};
use crate::lan::{Injector, Kind, Lan, advert_v2, multicast_frame, now};
use crate::setup::needs;

/// A01, #2387: a reload during the delay made it endless, and the adverts it discards with it.
#[test]
fn a_reload_does_not_prolong_the_startup_delay() {
    needs!();
    let lan = Lan::new(2);
    let delayed =
        |priority| format!("global_defs {{\n vrrp_startup_delay 3\n}}\n{}", quick("V", 51, priority, VIP, ""));
    let _a = lan.start('a', Kind::Ours, &delayed(200));
    let started = now();
    let _b = lan.start('b', Kind::Ours, &delayed(100));
    lan.pass(Duration::from_secs(1));
    reloaded(&lan, 'b', &delayed(100));
    lan.wait_held('a', ip(VIP));
    lan.pass(Duration::from_secs(3).saturating_sub(now() - started));
    let after = now();
    lan.pass(Duration::from_secs(2));
    lan.seen(|seen| {
        assert!(!seen.holds('b', ip(VIP)), "b is MASTER beside a");
        assert!(adverts(seen, 'b', 51, after).is_empty(), "b adverts beside a");
    });
}

/// A02
#[test]
fn a_reload_can_take_the_startup_delay_away() {
    needs!();
    let lan = Lan::new(2);
    let config = quick("V", 51, 100, VIP, "");
    let _a = lan.start('a', Kind::Ours, &format!("global_defs {{\n vrrp_startup_delay 300\n}}\n{config}"));
    lan.wait_line('a', "(V) Entering BACKUP STATE", Duration::ZERO);
    reloaded(&lan, 'a', &config);
    lan.wait_held('a', ip(VIP));
}

/// A04
#[test]
fn an_owner_with_a_ready_script_waits_out_the_startup_delay() {
    needs!();
    let lan = Lan::new(2);
    let config = format!(
        "global_defs {{\n vrrp_startup_delay 3\n script_user root\n}}\nvrrp_script ok {{\n script /bin/true\n interval 1\n}}\n{}",
        quick("V", 51, 255, VIP, "track_script {\n ok\n }").replace("state BACKUP", "state MASTER")
    );
    let started = now();
    let _a = lan.start('a', Kind::Ours, &config);
    lan.wait_held('a', ip(VIP));
    lan.seen(|seen| {
        let held = seen.addresses.iter().find(|c| c.address == ip(VIP) && c.present).map(|c| c.at);
        let first = seen.frames.iter().find(|f| f.advert().is_some() || f.announcement().is_some()).map(|f| f.at);
        for (what, at) in [("address", held), ("frame", first)] {
            let after = at.expect("it became MASTER") - started;
            assert!(after >= Duration::from_secs(3), "the first {what} came after {after:?}");
        }
    });
}

/// A10, #512: the tie-break by address is between two MASTERs, not for a BACKUP, `nopreempt` or not.
#[test]
fn nopreempt_with_equal_priorities_leaves_the_lower_address_in_charge() {
    needs!();
    let lan = Lan::new(2);
    let _a = lan.start('a', Kind::Ours, &quick("V", 51, 100, VIP, "nopreempt"));
    lan.wait_held('a', ip(VIP));
    let begun = now();
    let _b = lan.start('b', Kind::Ours, &quick("V", 51, 100, VIP, "nopreempt"));
    lan.wait_line('b', "Entering BACKUP STATE", begun);
    lan.pass(Duration::from_secs(2));
    lan.seen(|seen| assert!(seen.holds('a', ip(VIP)) && adverts(seen, 'b', 51, begun).is_empty(), "b pre-empted"));
}

/// A11
#[test]
fn an_instance_survives_its_interface() {
    needs!();
    let lan = Lan::new(2);
    let a = lan.start('a', Kind::Debian, &quick("V", 51, 200, VIP, ""));
    lan.wait_held('a', ip(VIP));
    let _b = lan.start('b', Kind::Ours, &quick("V", 51, 100, VIP, "nopreempt"));
    lan.wait_line('b', "Entering BACKUP STATE", Duration::ZERO);
    let gone = now();
    lan.remove_interface('b');
    lan.wait_line('b', "Entering FAULT STATE", gone);
    let back = now();
    lan.make_interface('b');
    lan.wait_line('b', "Entering BACKUP STATE", back);
    lan.pass(Duration::from_secs(2));
    // Deaf, it would be MASTER by now, and stay it; a busy machine may make it one for a moment.
    lan.wait_only_holder('a', &['b'], ip(VIP));
    a.kill_all();
    lan.wait_held('b', ip(VIP));
    lan.wait_advert('b', back);
}

/// A11: no group can be joined for a while; nothing else changes when it can.
#[test]
fn sockets_that_cannot_be_opened_are_tried_again() {
    needs!();
    let lan = Lan::new(2);
    let memberships = |most: &str| {
        lan.within('a', || std::fs::write("/proc/sys/net/ipv4/igmp_max_memberships", most).unwrap());
    };
    memberships("0");
    let _a = lan.start('a', Kind::Ours, &quick("V", 51, 150, VIP, ""));
    lan.wait_line('a', "cannot open VRRP sockets on eth0", Duration::ZERO);
    lan.wait_line('a', "(V) Entering FAULT STATE", Duration::ZERO);
    let mended = now();
    memberships("20");
    lan.wait_line('a', "(V) Entering BACKUP STATE", mended);
    is_master(&lan, 'a', ip(VIP));
    lan.wait_advert('a', mended);
    // and it hears: another one wins
    let _b = lan.start('b', Kind::Debian, &quick("V", 51, 200, VIP, ""));
    lan.wait_only_holder('b', &['a'], ip(VIP));
}

/// A13, #80: a MASTER waited out its own preempt_delay in silence.
#[test]
fn a_master_with_a_preempt_delay_keeps_sending_through_a_reload() {
    needs!();
    let lan = Lan::new(2);
    let config = quick("V", 51, 150, VIP, "preempt_delay 60");
    let _a = lan.start('a', Kind::Ours, &config);
    is_master(&lan, 'a', ip(VIP));
    let begun = now();
    reloaded(&lan, 'a', &config);
    lan.wait("ten adverts", |seen| (adverts(seen, 'a', 51, begun).len() >= 10).then_some(()));
    lan.seen(|seen| {
        let gap = longest_gap(seen, 'a', 51, begun);
        assert!(gap < Duration::from_millis(600), "{gap:?} without an advert");
    });
    no_transition(&lan, 'a', begun);
}

/// A16, #1615: the field for whole seconds was 0, and thousands of adverts left each second.
#[test]
fn a_fraction_of_a_second_in_version_2_is_a_second() {
    needs!();
    let lan = Lan::new(1);
    let config =
        quick("V", 51, 255, VIP, "").replace("version 3", "version 2").replace("advert_int 0.2", "advert_int 0.4");
    let _a = lan.start('a', Kind::Ours, &config);
    let (first, _) = lan.wait_advert('a', Duration::ZERO);
    lan.pass(Duration::from_secs(3));
    lan.seen(|seen| {
        let sent = adverts(seen, 'a', 51, first);
        assert!(sent.len() <= 5, "{} adverts in 3 s", sent.len());
        assert_eq!(sent[0].bytes[14 + 20 + 5], 1, "the interval in the advert");
    });
}

/// A17
#[test]
fn the_longest_interval_of_version_3_fits_its_field() {
    needs!();
    let lan = Lan::new(1);
    let config = quick("V", 51, 255, VIP, "").replace("advert_int 0.2", "advert_int 40.958");
    let _a = lan.start('a', Kind::Ours, &config.replace("state BACKUP", "state MASTER"));
    lan.wait_advert('a', Duration::ZERO);
    lan.seen(|seen| {
        let first = adverts(seen, 'a', 51, Duration::ZERO)[0];
        assert_eq!(first.bytes[14 + 20 + 4..14 + 20 + 6], 4095_u16.to_be_bytes());
    });
}

/// A20
#[test]
fn adverts_that_a_network_card_padded_are_good() {
    needs!();
    let lan = Lan::new(2);
    let config =
        quick("V", 51, 100, VIP, "").replace("version 3", "version 2").replace("advert_int 0.2", "advert_int 1");
    let begun = now();
    let _flood = lan.flood('a', 3, |_| multicast_frame([10, 99, 0, 1], &advert_v2(51, 200, 1, [10, 99, 0, 100])));
    let _b = lan.start('b', Kind::Ours, &config);
    lan.wait_line('b', "Entering BACKUP STATE", begun);
    lan.pass(Duration::from_secs(6));
    lan.seen(|seen| {
        assert!(adverts(seen, 'b', 51, begun).is_empty(), "b does not take padded adverts for good");
        assert_eq!(seen.lines('b', "length").count(), 0, "b complains of their length");
    });
}

/// A22
#[test]
fn adverts_from_many_made_up_sources_do_not_flood_the_log() {
    needs!();
    let lan = Lan::new(2);
    let config =
        quick("V", 51, 100, VIP, "").replace("version 3", "version 2").replace("advert_int 0.2", "advert_int 1");
    let _b = lan.start('b', Kind::Ours, &config);
    lan.wait_held('b', ip(VIP));
    let begun = now();
    let flood = lan.flood('a', 500, |n| {
        let [.., x, y] = n.to_be_bytes();
        // The password that b has not got, from another address each time.
        let mut packet = advert_v2(51, 200, 1, [10, 99, 0, 100]);
        packet[4] = 1;
        multicast_frame([10, 98, x, y], &packet)
    });
    lan.pass(Duration::from_secs(4));
    let sent = flood.stop();
    lan.seen(|seen| {
        let lines = seen.lines('b', "").filter(|l| l.at >= begun).count();
        assert!(sent > 500, "only {sent} frames were sent");
        assert!(lines < 60, "{lines} lines of log for {sent} frames");
        assert!(seen.holds('b', ip(VIP)), "b believed one of them");
    });
}

/// A26, #1653: adding many addresses held back the second advert, and the old MASTER came back.
#[test]
fn a_hundred_addresses_do_not_hold_back_adverts() {
    needs!();
    let lan = Lan::new(2);
    let many: String = (0..100).map(|n| format!("10.99.1.{n}/32\n")).collect();
    let config = quick("V", 51, 150, &many, "");
    let _a = lan.start('a', Kind::Ours, &config);
    lan.wait_held('a', ip("10.99.1.99"));
    lan.wait("ten adverts", |seen| (adverts(seen, 'a', 51, Duration::ZERO).len() >= 10).then_some(()));
    lan.seen(|seen| {
        let gap = longest_gap(seen, 'a', 51, Duration::ZERO);
        assert!(gap < Duration::from_millis(600), "{gap:?} without an advert");
    });
}

/// A34, #34 #159: the others are told before the addresses are taken away, however many there are.
#[test]
fn five_hundred_addresses_do_not_hold_back_the_farewell() {
    needs!();
    let lan = Lan::new(2);
    let many: String = (0..500).map(|n| format!("10.99.{}.{}/32\n", 1 + n / 250, 1 + n % 250)).collect();
    let excluded = |priority| quick("V", 51, priority, VIP, &format!("virtual_ipaddress_excluded {{\n{many}}}"));
    let a = lan.start('a', Kind::Ours, &excluded(150));
    lan.wait_held('a', ip("10.99.2.250"));
    let _b = lan.start('b', Kind::Ours, &excluded(100));
    lan.wait_line('b', "Entering BACKUP STATE", Duration::ZERO);
    lan.wait_advert('a', now());
    let ended = now();
    assert!(a.stop().success());
    lan.wait_held('b', ip("10.99.2.250"));
    let left = lan.ip('a', "-4 -o addr show dev eth0");
    assert!(left.lines().count() == 1, "a kept {} addresses: {left}", left.lines().count());
    lan.seen(|seen| {
        let farewell = seen.adverts().find(|(f, a)| f.from == 'a' && a.priority == 0).expect("a says farewell").0.at;
        let first_loss =
            seen.addresses.iter().find(|c| c.host == 'a' && !c.present && c.at >= ended).expect("a loses addresses");
        assert!(farewell <= first_loss.at, "the farewell left after the first address was gone");
    });
}

/// A28
#[test]
fn five_hundred_instances_start_with_few_open_files_allowed() {
    needs!();
    let lan = Lan::new(1);
    let mut config = String::new();
    for vrid in 1..=250_u8 {
        config += &quick(&format!("A{vrid}"), vrid, 150, &format!("10.98.0.{vrid}/32"), "")
            .replace("advert_int 0.2", "advert_int 1");
        config += &quick(&format!("B{vrid}"), vrid, 150, &format!("fe80::98:{vrid:x}/64"), "")
            .replace("advert_int 0.2", "advert_int 1");
    }
    lan.configure('a', &config);
    let program = Kind::Ours.program();
    let limited = "ulimit -Sn 64; exec \"$0\" --dont-fork --log-console";
    let _a = lan.start_program('a', "/bin/sh", &["-c", limited, &program.to_string_lossy()]);
    lan.wait("all are MASTER", |seen| (seen.lines('a', "Entering MASTER STATE").count() >= 500).then_some(()));
}

/// A32
#[test]
fn two_unicast_instances_may_share_a_vrid() {
    needs!();
    let lan = Lan::new(3);
    let unicast = |name: &str, own: char, peer: char, priority, vip: &str| {
        let peers = format!("unicast_src_ip {}\n unicast_peer {{\n {}\n }}", lan.address(own), lan.address(peer));
        quick(name, 51, priority, vip, &peers)
    };
    let both = unicast("V1", 'a', 'b', 150, "10.99.0.100") + &unicast("V2", 'a', 'c', 100, "10.99.0.101");
    let _a = lan.start('a', Kind::Ours, &both);
    let _b = lan.start('b', Kind::Debian, &unicast("V1", 'b', 'a', 100, "10.99.0.100"));
    let _c = lan.start('c', Kind::Debian, &unicast("V2", 'c', 'a', 150, "10.99.0.101"));
    lan.wait_only_holder('a', &['b'], ip("10.99.0.100"));
    lan.wait_only_holder('c', &['a'], ip("10.99.0.101"));
    lan.pass(Duration::from_millis(500));
    let settled = now();
    lan.pass(Duration::from_secs(2));
    for host in ['a', 'b', 'c'] {
        no_transition(&lan, host, settled);
    }
}

/// A29: peers by their global addresses, no `unicast_src_ip`: both were MASTER, each deaf on its link-local address.
#[test]
fn ipv6_unicast_without_a_source_address_hears_its_peer() {
    needs!();
    let lan = Lan::new(2);
    let config = |peer: &str, priority| {
        quick("V", 51, priority, "fe80::99:100/64\n fd99::100/64", &format!("unicast_peer {{\n {peer}\n }}"))
    };
    let _a = lan.start('a', Kind::Ours, &config("fd99::2", 150));
    let _b = lan.start('b', Kind::Ours, &config("fd99::1", 100));
    lan.wait_only_holder('a', &['b'], ip("fd99::100"));
    lan.pass(Duration::from_millis(500));
    let settled = now();
    lan.pass(Duration::from_secs(2));
    no_transition(&lan, 'b', settled);
    lan.seen(|seen| assert!(!seen.holds('b', ip("fd99::100")), "both are MASTER"));
}

/// A31
#[test]
fn a_peer_list_that_is_empty_is_said_to_mean_multicast() {
    needs!();
    let lan = Lan::new(1);
    let config = quick("V", 51, 150, VIP, "unicast_src_ip 10.99.0.1\n    unicast_peer {\n    }");
    let _a = lan.start('a', Kind::Ours, &config);
    let (_, advert) = lan.wait_advert('a', Duration::ZERO);
    assert_eq!(advert.destination, ip("224.0.0.18"));
    lan.seen(|seen| {
        assert!(seen.lines('a', "peer").next().is_some(), "nothing was said about the empty list");
    });
}

/// A frame of ours that another host sends back is not a rival's.
#[test]
fn an_advert_from_our_own_address_changes_nothing() {
    needs!();
    let lan = Lan::new(2);
    let config =
        quick("V", 51, 150, VIP, "").replace("version 3", "version 2").replace("advert_int 0.2", "advert_int 1");
    let _a = lan.start('a', Kind::Ours, &config);
    is_master(&lan, 'a', ip(VIP));
    // Otherwise the kernel itself drops what claims to come from us.
    lan.within('a', || std::fs::write("/proc/sys/net/ipv4/conf/eth0/accept_local", "1").unwrap());
    let begun = now();
    let echo = Injector::new(&lan, 'b');
    for _ in 0..5 {
        echo.send(&multicast_frame([10, 99, 0, 1], &advert_v2(51, 150, 1, [10, 99, 0, 100])));
    }
    lan.wait_line('a', "equal priority advert received from remote host with our IP address", begun);
    lan.pass(Duration::from_secs(1));
    no_transition(&lan, 'a', begun);
}
