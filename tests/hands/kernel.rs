//! Addresses, announcements and notifications.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use keepalived_rs::addr::{Cidr, IfIndex, Mac};
use keepalived_rs::model::InstanceId;
use keepalived_rs::model::vrrp::{AddressFlags, VirtualAddress};
use keepalived_rs::sys::links;
use keepalived_rs::sys::netlink::{Event, Kernel, KernelEvents, Order, Tuning};
use keepalived_rs::vrrp::io::{Announcement, Failure, Holding, Snapshot};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::json;

use crate::scratch::{LIMIT, Peer, addresses, hex, run, scratch};
use crate::sockets::{MAC, index};

const ETHERNET_ARP: u16 = 0x0806;
const ETHERNET_V6: u16 = 0x86dd;

fn cidr(text: &str) -> Cidr {
    let (address, prefix) = text.split_once('/').unwrap();
    Cidr { address: address.parse().unwrap(), prefix: prefix.parse().unwrap() }
}

fn plain(text: &str) -> VirtualAddress {
    let cidr = cidr(text);
    let no_dad = cidr.address.is_ipv6();
    let flags = AddressFlags { no_dad, ..AddressFlags::default() };
    VirtualAddress { flags, ..VirtualAddress::plain(cidr, "a0".parse().unwrap()) }
}

fn on(link: IfIndex, address: VirtualAddress) -> Holding {
    Holding { link, address: Arc::new(address) }
}

/// An address on the link `a0`.
fn vip(text: &str) -> Holding {
    on(index("a0"), plain(text))
}

fn announce(holding: &Holding) -> Order {
    let [mac, broadcast] = [Mac(hex(MAC).try_into().unwrap()), Mac::BROADCAST];
    let (link, address) = (holding.link, holding.address.cidr.address);
    Order::Announce(Announcement { link, mac, broadcast, address, instance: InstanceId(0) })
}

/// A kernel thread whose first word has been heard.
fn kernel() -> (Kernel, KernelEvents, Snapshot) {
    let (kernel, mut events) = Kernel::start().unwrap();
    match next(&mut events) {
        Event::Machine(snapshot) => (kernel, events, snapshot),
        other => panic!("{other:?}"),
    }
}

/// Has orders carried out; gives what happened meanwhile, notifications included.
fn carry_out(kernel: &Kernel, events: &mut KernelEvents, orders: Vec<Order>) -> Vec<Event> {
    kernel.submit(orders);
    kernel.submit(vec![Order::Sync(1)]);
    let mut happened = until(events, |event| *event == Event::Synced(1));
    // Notifications have been made before the answers, and are read after them.
    kernel.submit(vec![Order::Sync(2)]);
    happened.extend(until(events, |event| *event == Event::Synced(2)));
    happened
}

/// The next event.
fn next(events: &mut KernelEvents) -> Event {
    loop {
        if let Some(event) = events.try_next() {
            return event;
        }
        let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(LIMIT).unwrap();
        assert!(!events.is_closed() && poll(&mut fds, limit).unwrap() == 1, "nothing happened");
    }
}

/// All events before the one that `last` knows.
fn until(events: &mut KernelEvents, last: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut happened = Vec::new();
    loop {
        let event = next(events);
        if last(&event) {
            return happened;
        }
        happened.push(event);
    }
}

/// The next event about an address.
fn about(events: &mut KernelEvents, text: &str) -> Event {
    let wanted = cidr(text);
    loop {
        match next(events) {
            event @ (Event::AddressAdded(_, address) | Event::AddressRemoved { address, .. }) if address == wanted => {
                return event;
            }
            _ => {}
        }
    }
}

fn has(link: &str, address: &str) -> bool {
    addresses(link)
        .iter()
        .any(|there| format!("{}/{}", there["local"].as_str().unwrap(), there["prefixlen"]) == address)
}

#[test]
fn an_address_has_every_attribute_it_was_given() {
    scratch(|| {
        let _peer = Peer::on("a0", MAC);
        let (kernel, mut events, _) = kernel();
        let a0 = index("a0");
        let full = VirtualAddress {
            broadcast: Some([10, 99, 0, 255].into()),
            scope: 253,
            label: Some("a0:vip".to_owned()),
            ..plain("10.99.0.100/24")
        };
        let peer = VirtualAddress { peer: Some(IpAddr::from([10, 1, 1, 2])), ..plain("10.1.1.1/32") };
        let flags = AddressFlags { home: true, manage_temporary: false, ..plain("fd00::/0").flags };
        let six = VirtualAddress { preferred_secs: Some(0), flags, ..plain("fd00::14/128") };
        let with_dad = VirtualAddress { flags: AddressFlags::default(), ..plain("fd00::15/64") };
        let no_route = AddressFlags { no_prefix_route: true, ..plain("fd00::/0").flags };
        let no_route = VirtualAddress { flags: no_route, preferred_secs: Some(500), ..plain("fd00:1::16/64") };
        let all = [full, plain("10.99.0.101/32"), peer, six, with_dad, no_route].map(|one| on(a0, one));
        let orders = all.iter().cloned().map(Order::Add).collect();
        let happened = carry_out(&kernel, &mut events, orders);
        assert!(happened.iter().all(|event| !matches!(event, Event::Failed(_))), "{happened:?}");

        let there = addresses("a0");
        let one = |local: &str| there.iter().find(|one| one["local"] == local).unwrap();
        let (full, plain, peer) = (one("10.99.0.100"), one("10.99.0.101"), one("10.1.1.1"));
        assert_eq!(full["broadcast"], "10.99.0.255");
        assert_eq!((&full["scope"], &full["label"]), (&json!("link"), &json!("a0:vip")));
        assert_eq!(full["prefixlen"], 24);
        assert_eq!((&plain["broadcast"], &plain["scope"]), (&json!(null), &json!("global")));
        assert_eq!((&peer["address"], &peer["prefixlen"]), (&json!("10.1.1.2"), &json!(32)));
        let six = one("fd00::14");
        assert_eq!((&six["deprecated"], &six["nodad"], &six["home"]), (&json!(true), &json!(true), &json!(true)));
        assert_eq!(six["preferred_life_time"], 0);
        assert_eq!(six["valid_life_time"], json!(u32::MAX));
        assert_eq!(one("fd00::15")["nodad"], json!(null));
        let no_route = one("fd00:1::16");
        assert_eq!(no_route["noprefixroute"], true);
        assert!(no_route["preferred_life_time"].as_u64().unwrap() <= 500);
        let marks: Vec<_> = there.iter().filter(|one| one["protocol"] == "keepalived").collect();
        // iproute2 prints the mark since 5.18.
        assert!(marks.is_empty() || marks.len() == all.len(), "{there:?}");
        assert_eq!(links::leftovers().unwrap().len(), all.len());

        let orders = all.iter().cloned().map(Order::Remove).collect();
        let happened = carry_out(&kernel, &mut events, orders);
        assert!(happened.iter().all(|event| !matches!(event, Event::Failed(_))), "{happened:?}");
        assert_eq!(addresses("a0").iter().filter(|one| one["scope"] != "link").count(), 0);
        kernel.stop();
    });
}

#[test]
fn what_is_there_already_or_gone_already_is_no_failure_and_what_cannot_be_is_one() {
    scratch(|| {
        let _peer = Peer::on("a0", MAC);
        let (kernel, mut events, _) = kernel();
        run("ip addr add 10.99.0.100/24 dev a0");
        let (there, gone) = (vip("10.99.0.100/24"), vip("10.99.0.101/24"));
        let nowhere = on(IfIndex(999), plain("10.99.0.102/24"));
        let orders =
            vec![Order::Add(there), Order::Remove(gone), Order::Add(nowhere.clone()), Order::Remove(nowhere.clone())];
        let happened = carry_out(&kernel, &mut events, orders);
        let failures: Vec<_> = happened.iter().filter(|event| matches!(event, Event::Failed(_))).collect();
        assert_eq!(failures, [&Event::Failed(Failure::AddAddress(nowhere, libc::ENODEV))]);
        kernel.stop();
    });
}

#[test]
fn only_the_address_with_our_prefix_is_removed() {
    scratch(|| {
        let _peer = Peer::on("a0", MAC);
        let (kernel, mut events, _) = kernel();
        run("ip addr add 10.99.0.3/24 dev a0");
        carry_out(&kernel, &mut events, vec![Order::Add(vip("10.99.0.3/32"))]);
        assert!(has("a0", "10.99.0.3/24") && has("a0", "10.99.0.3/32"));
        carry_out(&kernel, &mut events, vec![Order::Remove(vip("10.99.0.3/32"))]);
        assert!(has("a0", "10.99.0.3/24") && !has("a0", "10.99.0.3/32"));
        kernel.stop();
    });
}

#[test]
fn two_hundred_and_fifty_addresses_are_added_announced_and_removed_in_order() {
    scratch(|| {
        let peer = Peer::on("a0", MAC);
        let mut capture = peer.capture();
        let (kernel, mut events, _) = kernel();
        let vips: Vec<_> = (1..=250).map(|host| vip(&format!("10.99.1.{host}/32"))).collect();
        let orders = vips.iter().flat_map(|vip| [Order::Add(vip.clone()), announce(vip)]).collect();
        let happened = carry_out(&kernel, &mut events, orders);
        let added: Vec<_> = vips.iter().map(|vip| Event::AddressAdded(vip.link, vip.address.cidr)).collect();
        assert_eq!(happened, added);
        let last = |frame: &[u8]| frame[41];
        let hosts: Vec<_> = (1..=250).map(|_| last(&capture.next(ETHERNET_ARP, |_| true))).collect();
        assert_eq!(hosts, (1..=250).collect::<Vec<u8>>());

        let happened = carry_out(&kernel, &mut events, vips.iter().cloned().map(Order::Remove).collect());
        let removed = |vip: &Holding| {
            let (link, address) = (vip.link, vip.address.cidr);
            Event::AddressRemoved { link, address, by_us: true }
        };
        assert_eq!(happened, vips.iter().map(removed).collect::<Vec<_>>());
        kernel.stop();
    });
}

#[test]
fn announcements_are_keepaliveds_bytes_and_wait_for_their_address() {
    scratch(|| {
        let peer = Peer::on("a0", MAC);
        run("sysctl -qw net.ipv6.conf.a0.forwarding=0");
        let mut capture = peer.capture();
        let (kernel, mut events, _) = kernel();
        let (four, six) = (vip("10.99.0.100/32"), vip("fe80::14:1/128"));
        let orders = vec![Order::Add(four.clone()), announce(&four), Order::Add(six.clone()), announce(&six)];
        carry_out(&kernel, &mut events, orders);
        let arp = "ffffffffffff ba606700cefe 0806 0001080006040001 ba606700cefe 0a630064 ffffffffffff 0a630064";
        assert_eq!(capture.next(ETHERNET_ARP, |_| true), hex(arp));
        let na = "333300000001 ba606700cefe 86dd 6000000000203aff fe800000000000000000000000140001 \
                  ff020000000000000000000000000001 88006914 20000000 fe800000000000000000000000140001 0201ba606700cefe";
        assert_eq!(capture.next(ETHERNET_V6, |frame| frame[54] == 136), hex(na));
        kernel.stop();
    });
}

#[test]
fn an_address_that_could_not_be_added_is_not_announced_until_it_could() {
    scratch(|| {
        let peer = Peer::on("a0", MAC);
        let mut capture = peer.capture();
        let (kernel, mut events, _) = kernel();
        let refused = vip("10.99.0.1/33");
        let refused_order = [Order::Add(refused.clone()), announce(&refused)];
        let good = vip("10.99.0.2/32");
        let orders = [&refused_order[..], &[Order::Add(good.clone()), announce(&good)]].concat();
        let happened = carry_out(&kernel, &mut events, orders);
        assert!(happened.contains(&Event::Failed(Failure::AddAddress(refused, libc::EINVAL))), "{happened:?}");
        assert_eq!(capture.next(ETHERNET_ARP, |_| true)[41], 2);
        let works = vip("10.99.0.1/32");
        carry_out(&kernel, &mut events, vec![Order::Add(works.clone()), announce(&works)]);
        assert_eq!(capture.next(ETHERNET_ARP, |_| true)[41], 1);
        kernel.stop();
    });
}

#[test]
fn an_announcement_on_a_link_that_is_gone_is_told_and_nothing_more() {
    scratch(|| {
        let (kernel, mut events, _) = kernel();
        let order = announce(&on(IfIndex(999), plain("10.99.0.1/32")));
        let Order::Announce(announcement) = order else { unreachable!() };
        let happened = carry_out(&kernel, &mut events, vec![order]);
        assert_eq!(happened, [Event::NotAnnounced(announcement, libc::ENXIO)]);
        kernel.stop();
    });
}

#[test]
fn who_removed_an_address_is_told_apart() {
    scratch(|| {
        let _peer = Peer::on("a0", MAC);
        let (kernel, mut events, _) = kernel();
        let (primary, secondary) = (vip("10.99.0.1/24"), vip("10.99.0.2/24"));
        let removed = |vip: &Holding, by_us| {
            let (link, address) = (vip.link, vip.address.cidr);
            Event::AddressRemoved { link, address, by_us }
        };
        carry_out(&kernel, &mut events, vec![Order::Add(primary.clone())]);
        run("ip addr del 10.99.0.1/24 dev a0");
        assert_eq!(about(&mut events, "10.99.0.1/24"), removed(&primary, false));

        // A secondary goes with its primary: nobody asked for that.
        run("sysctl -qw net.ipv4.conf.a0.promote_secondaries=0");
        carry_out(&kernel, &mut events, vec![Order::Add(primary.clone()), Order::Add(secondary.clone())]);
        let happened = carry_out(&kernel, &mut events, vec![Order::Remove(primary.clone())]);
        assert!(happened.contains(&removed(&primary, true)), "{happened:?}");
        assert!(happened.contains(&removed(&secondary, false)), "{happened:?}");

        // Unless we asked for both.
        carry_out(&kernel, &mut events, vec![Order::Add(primary.clone()), Order::Add(secondary.clone())]);
        let both = vec![Order::Remove(primary.clone()), Order::Remove(secondary.clone())];
        let happened = carry_out(&kernel, &mut events, both);
        assert!(happened.contains(&removed(&primary, true)), "{happened:?}");
        assert!(happened.contains(&removed(&secondary, true)), "{happened:?}");
        kernel.stop();
    });
}

#[test]
fn an_ipv6_address_is_told_of_once_it_is_usable() {
    scratch(|| {
        let peer = Peer::on("a0", MAC);
        run("sysctl -qw net.ipv6.conf.a0.dad_transmits=1 net.ipv6.neigh.a0.retrans_time_ms=200");
        let (kernel, mut events, _) = kernel();
        run("ip addr add fd00::1/64 dev a0");
        assert!(links::snapshot().unwrap().addresses.iter().all(|(_, there)| *there != cidr("fd00::1/64")));
        assert!(matches!(about(&mut events, "fd00::1/64"), Event::AddressAdded(..)));
        let there = addresses("a0").into_iter().find(|one| one["local"] == "fd00::1").unwrap();
        assert_eq!(there["tentative"], json!(null));

        // A duplicate never is.
        peer.run(|| run("ip addr add fd00::2/64 dev b0 nodad"));
        run("ip addr add fd00::2/64 dev a0");
        run("ip addr add fd00::3/64 dev a0");
        assert!(matches!(about(&mut events, "fd00::3/64"), Event::AddressAdded(..)));
        assert!(links::snapshot().unwrap().addresses.iter().all(|(_, there)| *there != cidr("fd00::2/64")));
        run("ip addr del fd00::2/64 dev a0");
        assert!(matches!(about(&mut events, "fd00::2/64"), Event::AddressRemoved { .. }));
        kernel.stop();
    });
}

#[test]
fn links_are_told_of_as_they_change_go_and_come_again() {
    scratch(|| {
        let (kernel, mut events, before) = kernel();
        assert_eq!(before.links.iter().map(|link| link.name.to_string()).collect::<Vec<_>>(), ["lo"]);
        let peer = Peer::on("a0", MAC);
        let a0 = index("a0");
        let mut link = |wanted: fn(&Event) -> bool| loop {
            match next(&mut events) {
                event if wanted(&event) => return event,
                Event::LinkGone(link) => panic!("{link:?} is not gone"),
                _ => {}
            }
        };
        let up = |event: &Event| matches!(event, Event::Link(link) if link.up);
        let down = |event: &Event| matches!(event, Event::Link(link) if !link.up);
        let Event::Link(told) = link(up) else { unreachable!() };
        assert_eq!((told.index, told.name.as_str(), told.mac.to_string().as_str()), (a0, "a0", MAC));
        assert!(told.multicast && told.arp && told.ethernet && !told.loopback);
        assert_eq!((told.broadcast, told.mtu), (Mac::BROADCAST, 1500));

        peer.run(|| run("ip link set b0 down"));
        assert!(matches!(link(down), Event::Link(told) if told.index == a0));
        peer.run(|| run("ip link set b0 up"));
        link(up);
        run("ip link set a0 mtu 1400");
        assert!(matches!(link(up), Event::Link(told) if told.mtu == 1400));
        run("ip link set a0 down");
        link(down);
        run("ip link set a0 name a9");
        assert!(matches!(link(down), Event::Link(told) if told.index == a0 && told.name.as_str() == "a9"));

        // A bridge says RTM_DELLINK of a port that leaves it.
        run("ip link add br0 type bridge");
        run("ip link set a9 master br0");
        run("ip link set a9 nomaster");
        run("ip link set a9 mtu 1300");
        link(|event| matches!(event, Event::Link(link) if link.mtu == 1300));
        run("ip link del a9");
        let gone = |event: &Event| matches!(event, Event::LinkGone(_));
        assert_eq!(link(gone), Event::LinkGone(a0));
        assert!(links::snapshot().unwrap().links.iter().all(|link| link.index != a0));
        let _peer = Peer::on("a0", MAC);
        assert!(matches!(link(up), Event::Link(told) if told.index == index("a0") && told.index != a0));
        kernel.stop();
    });
}

#[test]
fn a_link_is_told_down_before_the_addresses_that_went_with_it() {
    scratch(|| {
        let _peer = Peer::on("a0", MAC);
        run("ip addr add fd00::1/64 dev a0 nodad");
        let (kernel, mut events, _) = kernel();
        run("ip link set a0 down");
        let before = until(
            &mut events,
            |event| matches!(event, Event::AddressRemoved { address, .. } if *address == cidr("fd00::1/64")),
        );
        assert!(before.iter().any(|event| matches!(event, Event::Link(link) if !link.up)), "{before:?}");
        kernel.stop();
    });
}

/// B32
#[test]
fn lost_notifications_are_counted_and_made_up_for_by_a_dump() {
    scratch(|| {
        let _peer = Peer::on("a0", MAC);
        let (adding, _, _) = kernel();
        let vips: Vec<_> = (0..500).map(|n| vip(&format!("10.50.{}.{}/16", n / 250, n % 250 + 1))).collect();
        adding.submit(vips.iter().cloned().map(Order::Add).collect());
        adding.stop();
        let (kernel, mut events) = Kernel::start_with(Tuning { notifications: 1, ..Tuning::default() }).unwrap();
        let mut known: BTreeSet<Cidr> = vips.iter().map(|vip| vip.address.cidr).collect();
        // With the primary go all, within the one system call in which the thread asks for it: it cannot listen meanwhile.
        run("sysctl -qw net.ipv4.conf.a0.promote_secondaries=0");
        kernel.submit(vec![Order::Remove(vips[0].clone())]);
        // Whatever was lost, what was told adds up to the truth.
        while vips.iter().any(|vip| known.contains(&vip.address.cidr)) {
            match next(&mut events) {
                Event::Machine(snapshot) => known = snapshot.addresses.iter().map(|(_, cidr)| *cidr).collect(),
                Event::AddressRemoved { address, .. } => _ = known.remove(&address),
                _ => {}
            }
        }
        assert!(kernel.overruns() > 0, "nothing was lost: the test shows nothing");
        // And it still listens.
        let _peer = Peer::on("a1", MAC);
        until(&mut events, |event| matches!(event, Event::Link(link) if link.name.as_str() == "a1"));
        kernel.stop();
    });
}

#[test]
fn a_change_whose_answer_is_lost_is_looked_up_and_no_failure() {
    scratch(|| {
        let _peer = Peer::on("a0", MAC);
        let tuning = Tuning { answers: 1, answer_limit: Duration::from_millis(50), ..Tuning::default() };
        let (kernel, mut events) = Kernel::start_with(tuning).unwrap();
        next(&mut events);
        let vips: Vec<_> = (1..=100).map(|host| vip(&format!("10.99.1.{host}/32"))).collect();
        for order in [Order::Add, Order::Remove] {
            let happened = carry_out(&kernel, &mut events, vips.iter().cloned().map(order).collect());
            let unanswered = happened.iter().filter(|event| matches!(event, Event::Unanswered(_))).count();
            assert!(unanswered > 0, "no answer was lost: the test shows nothing");
            assert!(happened.iter().all(|event| !matches!(event, Event::Failed(_))), "{happened:?}");
            let there = addresses("a0").iter().filter(|one| one["prefixlen"] == 32).count();
            assert_eq!(there, if order(vips[0].clone()) == Order::Add(vips[0].clone()) { 100 } else { 0 });
        }
        kernel.stop();
    });
}

/// B37
#[test]
fn messages_of_other_processes_are_passed_over() {
    use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
    scratch(|| {
        let _peer = Peer::on("a0", MAC);
        let (kernel, mut events, _) = kernel();
        let table = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
        let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
        let monitors: Vec<u32> =
            rows.filter(|row| row[1] == "0" && row[3] != "00000000").map(|row| row[2].parse().unwrap()).collect();
        assert!(!monitors.is_empty(), "{table}");
        // RTM_DELLINK of a0, as if from the kernel.
        let mut forged = vec![0; 32];
        forged[..4].copy_from_slice(&32_u32.to_ne_bytes());
        forged[4..6].copy_from_slice(&17_u16.to_ne_bytes());
        forged[20..24].copy_from_slice(&index("a0").0.to_ne_bytes());
        let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
        socket.bind_auto().unwrap();
        for port in monitors {
            socket.send_to(&forged, &SocketAddr::new(port, 0), 0).unwrap();
        }
        run("ip addr add 10.99.0.1/24 dev a0");
        let added = Event::AddressAdded(index("a0"), cidr("10.99.0.1/24"));
        let before = until(&mut events, |event| *event == added);
        assert!(before.iter().all(|event| !matches!(event, Event::LinkGone(_))), "{before:?}");
        kernel.stop();
    });
}

#[test]
fn orders_given_before_the_stop_are_carried_out() {
    scratch(|| {
        let _peer = Peer::on("a0", MAC);
        let (kernel, events, _) = kernel();
        drop(events);
        kernel.submit((1..=200).map(|host| Order::Add(vip(&format!("10.99.1.{host}/32")))).collect());
        kernel.stop();
        assert!(has("a0", "10.99.1.1/32") && has("a0", "10.99.1.200/32"));
    });
}

#[test]
fn what_a_crash_left_is_found_by_its_mark_and_removed() {
    scratch(|| {
        let _peer = Peer::on("a0", MAC);
        run("ip addr add 10.99.0.1/24 dev a0");
        {
            let (kernel, mut events, _) = kernel();
            let peer = VirtualAddress { peer: Some(IpAddr::from([10, 1, 1, 2])), ..plain("10.1.1.1/32") };
            let mut orders: Vec<_> = (2..=150).map(|host| Order::Add(vip(&format!("10.99.0.{host}/24")))).collect();
            orders.extend([Order::Add(vip("fd00::1/64")), Order::Add(on(index("a0"), peer))]);
            carry_out(&kernel, &mut events, orders);
            kernel.stop();
        }
        let left = links::leftovers().unwrap();
        assert_eq!(left.len(), 151);
        assert_eq!(links::remove_blocking(&left), []);
        assert_eq!(links::leftovers().unwrap(), []);
        assert!(has("a0", "10.99.0.1/24"), "an address of somebody else was removed");
        // Once more: nothing is there, nothing fails.
        assert_eq!(links::remove_blocking(&left), []);
    });
}
