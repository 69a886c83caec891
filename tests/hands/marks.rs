//! Marks in the real nf_tables: what is planned is taken, nft lists it as keepalived's, and what is told back is the same.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use keepalived_rs::ipvs::Marking;
use keepalived_rs::ipvs::marking::{Maps, plan};
use keepalived_rs::sys::ipvs::{Backend, Kernel};

use crate::scratch::{run, scratch};

const TCP: u8 = 6;
const UDP: u8 = 17;

fn marking(counters: bool, lines: &[(u8, &str, &str, u16, u32)]) -> Marking {
    let mut maps = Maps::default();
    for (protocol, first, last, port, mark) in lines {
        maps.add(*protocol, (first.parse().unwrap(), last.parse().unwrap()), *port, *mark);
    }
    Marking { table: "keepalived_ipvs".into(), priority: -1, counters, maps: maps.finish() }
}

/// Makes one of the other, and reads it back.
fn change(kernel: &mut Kernel, owned: Option<&Marking>, desired: Option<&Marking>, anew: bool) {
    kernel.transact(&plan(owned, desired, anew)).unwrap();
    if let Some(desired) = desired {
        assert_eq!(kernel.marking(desired).unwrap().maps, desired.maps);
    }
}

fn rules() -> String {
    run("nft list ruleset")
}

/// As keepalived 2.2.7 makes it.
const THEIRS: &str = "\
table ip keepalived_ipvs {
	map tcp_map {
		type ipv4_addr . inet_service : mark
		flags interval
		elements = { 192.0.2.1-192.0.2.9 . 80 : 0x000003e8 }
	}

	chain in {
		type filter hook input priority filter - 1; policy accept;
		meta mark set ip daddr . tcp dport map @tcp_map return
	}
}
table ip6 keepalived_ipvs {
	map udp_map {
		type ipv6_addr . inet_service : mark
		flags interval
		elements = { 2001:db8::1 . 53 : 0x000003e9 }
	}

	chain in {
		type filter hook input priority filter - 1; policy accept;
		meta mark set ip6 daddr . udp dport map @udp_map return
	}
}
";
const WEB: (u8, &str, &str, u16, u32) = (TCP, "192.0.2.1", "192.0.2.9", 80, 1000);
const DNS: (u8, &str, &str, u16, u32) = (UDP, "2001:db8::1", "2001:db8::1", 53, 1001);

#[test]
fn nft_lists_what_keepalived_makes() {
    scratch(|| {
        let mut kernel = Kernel::new(None);
        let wanted = marking(false, &[WEB, DNS]);
        change(&mut kernel, None, Some(&wanted), true);
        assert_eq!(rules(), THEIRS);
        // Whatever is there already, and however often.
        change(&mut kernel, None, Some(&wanted), true);
        assert_eq!(rules(), THEIRS);
        change(&mut kernel, Some(&wanted), None, false);
        assert_eq!(rules(), "");
    });
}

#[test]
fn a_change_of_elements_leaves_the_rest_as_it_is() {
    scratch(|| {
        let mut kernel = Kernel::new(None);
        let before = marking(true, &[WEB, (TCP, "192.0.2.20", "192.0.2.20", 443, 1000)]);
        change(&mut kernel, None, Some(&before), true);
        let states = kernel.marking(&before).unwrap().states;
        assert_eq!(states.len(), 3);
        // Another mark, another end, one more, one less.
        let after =
            marking(true, &[(TCP, "192.0.2.1", "192.0.2.9", 80, 1005), (TCP, "192.0.2.30", "192.0.2.31", 0, 1000)]);
        change(&mut kernel, Some(&before), Some(&after), false);
        assert_eq!(kernel.marking(&after).unwrap().states, states);
        let more = marking(true, &[WEB, DNS]);
        let more = Marking { maps: after.maps.into_iter().chain(more.maps).collect(), ..more };
        change(&mut kernel, Some(&before), Some(&more), true);
        assert!(rules().contains("map @tcp_map counter packets 0 bytes 0 return"), "{}", rules());
        // What somebody else does shows.
        let states = kernel.marking(&more).unwrap().states;
        run("nft insert rule ip keepalived_ipvs in accept");
        assert_ne!(kernel.marking(&more).unwrap().states, states);
        run("nft flush ruleset");
        let found = kernel.marking(&more).unwrap();
        assert!(found.states.is_empty() && found.maps.values().all(BTreeMap::is_empty), "{found:?}");
    });
}

#[test]
fn a_transaction_that_fails_changes_nothing_and_says_why() {
    scratch(|| {
        let mut kernel = Kernel::new(None);
        let before = marking(false, &[WEB]);
        change(&mut kernel, None, Some(&before), true);
        run("nft flush ruleset");
        let after = marking(false, &[WEB, (TCP, "192.0.2.20", "192.0.2.20", 80, 1000)]);
        let error = kernel.transact(&plan(Some(&before), Some(&after), false)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(2));
        assert_eq!(rules(), "");
        change(&mut kernel, Some(&before), Some(&after), true);
    });
}

#[test]
fn very_many_lines_are_one_transaction() {
    scratch(|| {
        let address = |number: u32| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + 2 * number));
        let mut maps = Maps::default();
        (0..5_000).for_each(|number| maps.add(TCP, (address(number), address(number)), 80, 1000));
        let wanted = Marking { maps: maps.finish(), ..marking(false, &[]) };
        change(&mut Kernel::new(None), None, Some(&wanted), true);
    });
}
