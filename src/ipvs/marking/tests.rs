use proptest::prelude::*;

use super::*;
use crate::ipvs::stand_in::StandIn;
use crate::time::Duration;

const NOW: Instant = Instant::from_nanos(1_000_000_000_000);

/// A map from lines of addresses, ports (0 is every port) and marks.
fn maps(lines: &[(u8, &str, &str, u16, u32)]) -> BTreeMap<(Family, u8), Map> {
    let mut maps = Maps::default();
    for (protocol, first, last, port, mark) in lines {
        maps.add(*protocol, (first.parse().unwrap(), last.parse().unwrap()), *port, *mark);
    }
    maps.finish()
}

fn marking(lines: &[(u8, &str, &str, u16, u32)]) -> Marking {
    Marking { table: "keepalived_ipvs".into(), priority: -1, counters: false, maps: maps(lines) }
}

fn elements(map: &Map) -> Vec<String> {
    let line = |(target, mark): (&Target, &u32)| {
        let Target { addresses: (first, last), ports: (from, to) } = target;
        format!("{first}-{last} {from}-{to} {mark}")
    };
    map.iter().map(line).collect()
}

/// Does everything that is to be done; gives what is worth a log line.
fn run(marker: &mut Marker, kernel: &mut StandIn, now: Instant) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(step) = marker.next(now) {
        match step {
            Step::Clear(request) => _ = kernel.transact(&[request]),
            Step::Change(requests) => {
                let done = match kernel.transact(&requests) {
                    0 => Ok(()),
                    errno => Err(errno.to_string()),
                };
                marker.changed(done, now, &mut events);
            }
            Step::Look(marking) => marker.found(Some(kernel.marking(&marking)), &mut events),
        }
    }
    events
}

const WEB: (u8, &str, &str, u16, u32) = (6, "192.0.2.1", "192.0.2.9", 80, 1000);

#[test]
fn a_line_of_a_group_is_an_element() {
    let maps = maps(&[WEB, (6, "192.0.2.1", "192.0.2.1", 443, 1000), (17, "2001:db8::1", "2001:db8::1:0", 53, 1001)]);
    assert_eq!(
        elements(&maps[&(Family::V4, 6)]),
        ["192.0.2.1-192.0.2.1 443-443 1000", "192.0.2.1-192.0.2.9 80-80 1000"]
    );
    assert_eq!(elements(&maps[&(Family::V6, 17)]), ["2001:db8::1-2001:db8::1:0 53-53 1001"]);
}

#[test]
fn of_addresses_that_two_groups_have_the_first_one_has_the_mark() {
    let maps = maps(&[(6, "10.0.0.4", "10.0.0.6", 80, 1), (6, "10.0.0.1", "10.0.0.9", 80, 2)]);
    assert_eq!(
        elements(&maps[&(Family::V4, 6)]),
        ["10.0.0.1-10.0.0.3 80-80 2", "10.0.0.4-10.0.0.6 80-80 1", "10.0.0.7-10.0.0.9 80-80 2"]
    );
}

#[test]
fn no_port_is_every_port_that_no_other_line_has() {
    let every = (6, "10.0.0.1", "10.0.0.3", 0, 1);
    assert_eq!(elements(&maps(&[every])[&(Family::V4, 6)]), ["10.0.0.1-10.0.0.3 0-65535 1"]);
    let maps = maps(&[every, (6, "10.0.0.2", "10.0.0.2", 80, 2), (6, "10.0.0.2", "10.0.0.2", 65_535, 2)]);
    assert_eq!(
        elements(&maps[&(Family::V4, 6)]),
        [
            "10.0.0.1-10.0.0.1 0-65535 1",
            "10.0.0.2-10.0.0.2 0-79 1",
            "10.0.0.2-10.0.0.2 80-80 2",
            "10.0.0.2-10.0.0.2 81-65534 1",
            "10.0.0.2-10.0.0.2 65535-65535 2",
            "10.0.0.3-10.0.0.3 0-65535 1",
        ]
    );
}

proptest! {
    #[test]
    fn each_address_and_port_has_the_mark_of_the_first_line_that_names_it(
        lines in proptest::collection::vec((0_u8..12, 0_u8..6, 0_u16..4, 1_u32..5), 0..8),
    ) {
        let address = |host: u8| IpAddr::V4(Ipv4Addr::new(10, 0, 0, host));
        let mut maps = Maps::default();
        for (first, more, port, mark) in &lines {
            maps.add(6, (address(*first), address(first + more)), *port, *mark);
        }
        let map = maps.finish().remove(&(Family::V4, 6)).unwrap_or_default();
        for (host, port) in (0..20).flat_map(|host| (0..6).map(move |port| (host, port))) {
            let named = |wanted: u16| {
                let mut lines = lines.iter().filter(|(first, more, port, _)| {
                    *port == wanted && (*first..=first + more).contains(&host)
                });
                lines.next().map(|line| line.3)
            };
            let expected = if port == 0 { named(0) } else { named(port).or(named(0)) };
            let has = |target: &Target| {
                (target.addresses.0..=target.addresses.1).contains(&address(host))
                    && (target.ports.0..=target.ports.1).contains(&port)
            };
            let found: Vec<u32> = map.iter().filter(|(target, _)| has(target)).map(|(_, mark)| *mark).collect();
            prop_assert_eq!(found, Vec::from_iter(expected), "{} {}", host, port);
        }
    }
}

#[test]
fn a_start_removes_what_a_crash_has_left_and_a_reload_touches_elements_only() {
    let mut kernel = StandIn::default();
    let left: [Request; 2] = FAMILIES.map(|family| Request::NewTable(marking(&[]).table_of(family)));
    kernel.transact(&left);
    let mut marker = Marker::default();
    marker.want(Some(marking(&[WEB]).into()));
    assert!(marker.is_fresh());
    assert_eq!(run(&mut marker, &mut kernel, NOW), []);
    assert!(!marker.is_fresh() && marker.is_settled());
    assert_eq!(kernel.nft.keys().map(|(family, _)| *family).collect::<Vec<_>>(), [Family::V4]);
    marker.want(Some(marking(&[WEB, (6, "192.0.2.20", "192.0.2.20", 80, 1000)]).into()));
    let Some(Step::Change(requests)) = marker.next(NOW) else { panic!() };
    assert!(matches!(&requests[..], [Request::NewElements { elements, .. }] if elements.len() == 1), "{requests:?}");
}

#[test]
fn a_map_that_nobody_needs_stays_empty_and_the_end_removes_everything() {
    let (mut marker, mut kernel) = (Marker::default(), StandIn::default());
    marker.want(Some(marking(&[WEB, (17, "2001:db8::1", "2001:db8::1", 53, 1001)]).into()));
    run(&mut marker, &mut kernel, NOW);
    marker.want(Some(marking(&[WEB]).into()));
    run(&mut marker, &mut kernel, NOW);
    assert_eq!(kernel.nft[&(Family::V6, "keepalived_ipvs".into())]["udp_map"], Map::new());
    marker.want(None);
    run(&mut marker, &mut kernel, NOW);
    assert!(kernel.nft.is_empty() && marker.is_settled());
}

#[test]
fn another_name_or_priority_is_another_table_in_the_same_transaction() {
    let (mut marker, mut kernel) = (Marker::default(), StandIn::default());
    marker.want(Some(marking(&[WEB]).into()));
    run(&mut marker, &mut kernel, NOW);
    marker.want(Some(Marking { table: "other".into(), ..marking(&[WEB]) }.into()));
    assert_eq!(run(&mut marker, &mut kernel, NOW), []);
    assert_eq!(kernel.nft.keys().map(|(_, name)| &**name).collect::<Vec<_>>(), ["other"]);
    marker.want(Some(Marking { table: "other".into(), priority: 5, ..marking(&[WEB]) }.into()));
    let Some(Step::Change(requests)) = marker.next(NOW) else { panic!() };
    assert!(requests.iter().any(|request| matches!(request, Request::NewChain { priority: 5, .. })), "{requests:?}");
}

#[test]
fn without_groups_nothing_is_asked() {
    let mut marker = Marker::default();
    marker.want(Some(marking(&[]).into()));
    assert!(!marker.is_fresh());
    assert_eq!(marker.next(NOW), None);
    marker.want(None);
    assert_eq!(marker.next(NOW), None);
}

#[test]
fn what_somebody_else_has_changed_is_found_and_made_anew() {
    let (mut marker, mut kernel) = (Marker::default(), StandIn::default());
    let wanted = marking(&[WEB]);
    marker.want(Some(wanted.clone().into()));
    run(&mut marker, &mut kernel, NOW);
    marker.compare();
    assert_eq!(run(&mut marker, &mut kernel, NOW), []);
    kernel.nft.clear();
    marker.compare();
    assert_eq!(run(&mut marker, &mut kernel, NOW), [Event::MarkingChanged("keepalived_ipvs".into())]);
    assert_eq!(kernel.marking(&wanted).maps, wanted.maps);
    // Or a reload finds it out.
    kernel.nft.clear();
    let more = marking(&[WEB, (6, "192.0.2.20", "192.0.2.20", 80, 1000)]);
    marker.want(Some(more.clone().into()));
    assert_eq!(run(&mut marker, &mut kernel, NOW), []);
    assert_eq!(kernel.marking(&more).maps, more.maps);
}

#[test]
fn without_nf_tables_it_is_said_once_and_tried_again() {
    let (mut marker, mut kernel) = (Marker::default(), StandIn::default());
    kernel.refuses_marks = Some(libc::EOPNOTSUPP);
    marker.want(Some(marking(&[WEB]).into()));
    let why = libc::EOPNOTSUPP.to_string();
    assert_eq!(run(&mut marker, &mut kernel, NOW), [Event::Unmarked(why)]);
    assert!(!marker.is_fresh() && !marker.is_settled());
    let later = NOW + Duration::from_secs(1);
    assert_eq!(marker.deadline(), Some(later));
    assert_eq!(run(&mut marker, &mut kernel, later), []);
    kernel.refuses_marks = None;
    assert_eq!(run(&mut marker, &mut kernel, later + Duration::from_secs(2)), [Event::Marked]);
    assert!(marker.is_settled());
}
