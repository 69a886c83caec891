//! The same configuration run by both daemons, on hosts with the same addresses, puts the same bytes on the wire:
//! adverts, gratuitous ARPs and unsolicited NAs, in the same order.

use crate::lan::{Frame, Kind, Lan, now};
use crate::setup::{Instance, Variant, needs};

/// What one daemon sends, from its start to its end.
struct Sent {
    /// The first advert and the first announcement.
    beginning: Vec<String>,
    adverts: Vec<String>,
    announcements: Vec<String>,
    /// The last advert, without what depends on how many there were before it.
    farewell: String,
}

fn sent(kind: Kind, configure: impl Fn(&Lan) -> String, announcements: usize) -> Sent {
    let lan = Lan::new(2);
    let started = now();
    let router = lan.start('a', kind, &configure(&lan));
    let announced = |f: &&Frame| f.from == 'a' && f.announcement().is_some();
    let advert = |f: &&Frame| f.from == 'a' && f.advert().is_some();
    lan.wait("the announcements of a MASTER", |seen| {
        (seen.frames.iter().filter(announced).count() >= announcements).then_some(())
    });
    lan.wait("five adverts", |seen| (seen.frames.iter().filter(advert).count() >= 5).then_some(()));
    assert!(router.stop().success());
    let last = lan.wait("priority 0", |seen| {
        let (frame, advert) = seen.adverts().next_back()?;
        (advert.priority == 0 && frame.at > started).then(|| frame.clone())
    });
    lan.seen(|seen| {
        let frames: Vec<&Frame> = seen.frames.iter().filter(|f| announced(f) || advert(f)).collect();
        let text = |keep: &dyn Fn(&&Frame) -> bool| -> Vec<String> {
            frames.iter().filter(|f| keep(f)).map(|f| f.comparable()).collect()
        };
        Sent {
            beginning: frames.iter().take(2).map(|f| f.comparable()).collect(),
            adverts: text(&advert),
            announcements: text(&announced),
            farewell: last.comparable_apart_from_its_number(),
        }
    })
}

/// Runs both at the same time, each on a LAN of its own.
fn same(configure: impl Fn(&Lan) -> String + Sync, announcements: usize) {
    needs!();
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| sent(Kind::Ours, &configure, announcements));
        let theirs = scope.spawn(|| sent(Kind::Debian, &configure, announcements));
        (ours.join().expect("ours ran"), theirs.join().expect("theirs ran"))
    });
    assert_eq!(ours.beginning, theirs.beginning, "on becoming MASTER");
    assert_eq!(ours.adverts[..5], theirs.adverts[..5], "adverts");
    assert_eq!(ours.announcements[..announcements], theirs.announcements[..announcements], "announcements");
    assert_eq!(ours.farewell, theirs.farewell, "priority 0");
}

fn plain(variant: Variant) {
    let addresses = if variant.is_ipv6() { 2 } else { 1 };
    // Two bursts of five rounds, the second one five seconds after the first.
    same(|lan| Instance::new(variant, "MASTER", 150).file(lan, 'a', 'b'), 10 * addresses);
}

macro_rules! plain {
    ($($name:ident: $variant:expr;)*) => { $(#[test] fn $name() { plain($variant); })* };
}

plain! {
    v2: Variant::V2;
    v2_pass: Variant::V2Pass;
    v3: Variant::V3;
    v3_ipv6: Variant::V3Ipv6;
    v2_unicast: Variant::V2Unicast;
    v3_unicast: Variant::V3Unicast;
    v3_ipv6_unicast: Variant::V3Ipv6Unicast;
}

#[test]
fn more_addresses_and_excluded_ones_of_both_families() {
    let config = "vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 7
    priority 200
    version 3
    advert_int 0.4
    virtual_ipaddress {
        10.99.0.100/24
        10.99.0.101/32 dev eth0 label eth0:vip
        10.99.1.1/24 brd +
    }
    virtual_ipaddress_excluded {
        10.99.2.1/24
        fd99::200/64
    }
}
";
    same(|_| config.to_owned(), 50);
}

#[test]
fn announcements_as_the_garp_options_say() {
    let instance = |lan: &Lan| {
        Instance::new(Variant::V3, "MASTER", 150)
            .with("garp_master_repeat 2")
            .with("garp_master_delay 1")
            .with("garp_master_refresh 2")
            .with("garp_master_refresh_repeat 3")
            .file(lan, 'a', 'b')
    };
    same(instance, 2 + 2 + 3);
}

/// A19
#[test]
fn version_3_unicast_with_the_old_checksum() {
    let old =
        |lan: &Lan| Instance::new(Variant::V3Unicast, "MASTER", 150).with("old_unicast_checksum").file(lan, 'a', 'b');
    same(old, 5);
}

#[test]
fn a_source_address_that_no_interface_has() {
    same(|lan| Instance::new(Variant::V2, "MASTER", 150).with("mcast_src_ip 10.99.0.77").file(lan, 'a', 'b'), 5);
}

/// The instance of most tests here, with this in `global_defs`.
fn with_globals(globals: &'static str, announcements: usize) {
    let file = move |lan: &Lan| {
        let file = Instance::new(Variant::V3, "MASTER", 150).file(lan, 'a', 'b');
        file.replacen("global_defs {", &format!("global_defs {{\n    {globals}"), 1)
    };
    same(file, announcements);
}

#[test]
fn announcements_as_the_global_options_say() {
    with_globals(
        "vrrp_garp_master_repeat 2\n vrrp_garp_master_delay 1\n vrrp_garp_master_refresh 2\n \
         vrrp_garp_master_refresh_repeat 3",
        2 + 2 + 3,
    );
}

#[test]
fn other_groups() {
    with_globals("vrrp_mcast_group4 224.0.0.77", 5);
    let six = |lan: &Lan| {
        let file = Instance::new(Variant::V3Ipv6, "MASTER", 150).file(lan, 'a', 'b');
        file.replacen("global_defs {", "global_defs {\n    vrrp_mcast_group6 ff02::77", 1)
    };
    same(six, 5);
}

#[test]
fn a_time_to_live_for_peers() {
    let ttl = |lan: &Lan| Instance::new(Variant::V3Unicast, "MASTER", 150).with("unicast_ttl 7").file(lan, 'a', 'b');
    same(ttl, 5);
    let six =
        |lan: &Lan| Instance::new(Variant::V3Ipv6Unicast, "MASTER", 150).with("unicast_ttl 7").file(lan, 'a', 'b');
    same(six, 5);
}

/// With `vrrp_min_garp` one announcement is all there is.
#[test]
fn as_few_announcements_as_possible() {
    needs!();
    let file = |lan: &Lan| {
        let file = Instance::new(Variant::V3, "MASTER", 150).file(lan, 'a', 'b');
        file.replacen("global_defs {", "global_defs {\n    vrrp_min_garp", 1)
    };
    let counts = [Kind::Ours, Kind::Debian].map(|kind| {
        let lan = Lan::new(1);
        let _a = lan.start('a', kind, &file(&lan));
        let (first, _) = lan.wait_advert('a', std::time::Duration::ZERO);
        lan.wait_advert('a', first + std::time::Duration::from_secs(6));
        lan.seen(|seen| seen.frames.iter().filter(|f| f.announcement().is_some()).count())
    });
    assert_eq!(counts, [1, 1]);
}

/// Two interfaces of one `garp_group` share its pace: every second turn is the other one's. (keepalived 2.2.7 sends each
/// address that waits once only; 2.4.3 sends it as often as it was asked to.)
#[test]
fn interfaces_of_a_group_announce_in_turn() {
    needs!();
    let config = "garp_group {\n garp_interval 0.1\n interfaces {\n eth0\n eth1\n }\n}\n\
        vrrp_instance VI_1 {\n state MASTER\n interface eth0\n virtual_router_id 51\n priority 150\n advert_int 1\n \
        garp_master_delay 0\n virtual_ipaddress {\n 10.99.0.100/24\n 10.99.1.100/24 dev eth1\n }\n}\n";
    let lan = Lan::new(1);
    lan.ip('a', "link add eth1 type veth peer name eth1-peer");
    lan.ip('a', "link set eth1 up");
    lan.ip('a', "link set eth1-peer up");
    let _a = lan.start('a', Kind::Ours, config);
    let times = lan.wait("five announcements", |seen| {
        let all = seen.frames.iter().filter(|f| f.announcement().is_some());
        let times: Vec<_> = all.map(|f| f.at).collect();
        (times.len() >= 5).then_some(times)
    });
    let mut gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort();
    assert!((gaps[2].as_secs_f64() / 0.1).round() >= 2.0, "{gaps:?}");
}
