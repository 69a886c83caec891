//! What connecting can end in, and the options of sockets.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;

use keepalived_rs::check::io::{ReasonKind, Verdict};
use keepalived_rs::model::checker::{Connection, Probe, Udp};
use keepalived_rs::sys::ping_group::PingGroups;

use crate::kit::*;

fn all_kinds(connection: &Connection) -> [(&'static str, Probe); 5] {
    [
        ("tcp", Probe::Tcp(connection.clone())),
        ("http", http(connection.clone(), url())),
        ("https", https(connection.clone(), url())),
        ("smtp", smtp(connection.clone())),
        ("dns", dns(connection.clone(), ".")),
    ]
}

/// A cable with 192.0.2.1 at its near end and nobody at the other.
fn cable() {
    run("ip link add v0 type veth peer name v1");
    run("ip addr add 192.0.2.1/24 dev v0");
    run("ip link set v0 up");
    run("ip link set v1 up");
}

#[test]
fn a_port_that_listens_is_enough_for_tcp_check() {
    scratch(|| {
        let server = serve(|mut stream| {
            // Nothing is sent to it.
            assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0);
        });
        assert_eq!(ask(Probe::Tcp(to(server))), Verdict::Pass);
        assert_eq!(ask(Probe::Tcp(to(server))), Verdict::Pass);
    });
}

#[test]
fn a_closed_port_refuses() {
    scratch(|| {
        for (name, probe) in all_kinds(&to(closed_port())) {
            assert_eq!(failure(ask(probe)), ReasonKind::Refused, "{name}");
        }
        assert_eq!(failure(ask(Probe::Udp(udp(to(closed_port()))))), ReasonKind::Refused);
        let v6 = to("[::1]:9".parse().unwrap());
        assert_eq!(failure(ask(Probe::Tcp(v6.clone()))), ReasonKind::Refused);
        assert_eq!(failure(ask(Probe::Udp(udp(v6)))), ReasonKind::Refused);
    });
}

#[test]
fn a_server_without_a_route_is_unreachable() {
    scratch(|| {
        run("ip route add unreachable 198.51.100.0/24");
        for target in ["203.0.113.1:80", "198.51.100.1:80", "[2001:db8::1]:80"] {
            let connection = to(target.parse().unwrap());
            for (name, probe) in all_kinds(&connection) {
                assert_eq!(failure(ask(probe)), ReasonKind::Unreachable, "{name} {target}");
            }
            assert_eq!(failure(ask(Probe::Udp(udp(connection.clone())))), ReasonKind::Unreachable, "udp {target}");
            assert_eq!(failure(ask(Probe::Ping(connection))), ReasonKind::Unreachable, "ping {target}");
        }
    });
}

#[test]
fn a_server_that_is_silent_is_given_up_after_the_timeout() {
    scratch(|| {
        cable();
        // What is sent there is for nobody.
        run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:01 dev v0");
        let connection = briefly("192.0.2.2:80".parse().unwrap());
        for (name, probe) in all_kinds(&connection) {
            let wanted = if name == "dns" { ReasonKind::Timeout } else { ReasonKind::ConnectTimeout };
            assert_eq!(failure(ask(probe)), wanted, "{name}");
        }
        assert_eq!(failure(ask(Probe::Ping(connection.clone()))), ReasonKind::Timeout);
        // keepalived: silence is well, unless a reply is required.
        assert_eq!(ask(Probe::Udp(udp(connection.clone()))), Verdict::Pass);
        let required = Udp { require_reply: true, ..udp(connection) };
        assert_eq!(failure(ask(Probe::Udp(required))), ReasonKind::Timeout);
    });
}

/// D23: a server whose address is removed used to stay in service with DNS_CHECK and UDP_CHECK.
#[test]
fn a_neighbour_that_does_not_answer_is_unreachable() {
    scratch(|| {
        cable();
        let neighbour = "/proc/sys/net/ipv4/neigh/v0";
        std::fs::write(format!("{neighbour}/mcast_solicit"), "1").unwrap();
        std::fs::write(format!("{neighbour}/retrans_time_ms"), "20").unwrap();
        let connection = to("192.0.2.2:80".parse().unwrap());
        assert_eq!(failure(ask(Probe::Tcp(connection.clone()))), ReasonKind::Unreachable);
        assert_eq!(failure(ask(Probe::Udp(udp(connection.clone())))), ReasonKind::Unreachable);
        let hurried = Connection { timeout: BRIEF, ..connection };
        assert_eq!(failure(ask(dns(hurried, "."))), ReasonKind::Timeout);
    });
}

#[test]
fn a_probe_comes_from_where_it_is_told_to() {
    scratch(|| {
        let (tell, peers) = mpsc::channel::<SocketAddr>();
        let server = serve(move |stream| tell.send(stream.peer_addr().unwrap()).unwrap());
        let address = Ipv4Addr::new(127, 0, 0, 5);
        let from = Connection { bind_address: Some(address.into()), ..to(server) };
        assert_eq!(ask(Probe::Tcp(from)), Verdict::Pass);
        assert_eq!(peers.recv().unwrap().ip(), address);
        let from = Connection { bind_port: Some(2_345), bind_interface: Some("lo".parse().unwrap()), ..to(server) };
        // The second while the first is still in TIME_WAIT.
        for _ in 0..2 {
            assert_eq!(ask(Probe::Tcp(from.clone())), Verdict::Pass);
            assert_eq!(peers.recv().unwrap().port(), 2_345);
        }
    });
}

#[test]
fn a_mark_is_on_what_is_sent() {
    scratch(|| {
        let server = serve(drop);
        // As long as it has no mark, the table of local addresses comes first.
        run("ip rule del pref 0");
        run("ip rule add pref 10 fwmark 7 unreachable");
        run("ip rule add pref 20 lookup local");
        assert_eq!(ask(Probe::Tcp(to(server))), Verdict::Pass);
        assert_eq!(failure(ask(Probe::Tcp(Connection { mark: 7, ..to(server) }))), ReasonKind::Unreachable);
    });
}

#[test]
fn trouble_of_this_machine_says_nothing_about_the_server() {
    scratch(|| {
        run("ip route add prohibit 203.0.113.0/24");
        let target = closed_port();
        let foreign = Connection { bind_address: Some(Ipv4Addr::new(192, 0, 2, 77).into()), ..to(target) };
        let absent = Connection { bind_interface: Some("nonexistent".parse().unwrap()), ..to(target) };
        for connection in [foreign.clone(), absent, to("203.0.113.1:80".parse().unwrap())] {
            for (name, probe) in all_kinds(&connection) {
                assert!(matches!(ask(probe), Verdict::Local(_)), "{name} {connection:?}");
            }
        }
        // keepalived: UDP_CHECK counts it as a failure.
        assert_eq!(failure(ask(Probe::Udp(udp(foreign)))), ReasonKind::Local);
    });
}

#[test]
fn pings_are_answered_with_and_without_a_raw_socket() {
    scratch(|| {
        let targets = ["127.0.0.1:80", "[::1]:0"].map(|target| to(target.parse().unwrap()));
        let ping = || targets.clone().map(|target| ask(Probe::Ping(target)));
        let range = || std::fs::read_to_string("/proc/sys/net/ipv4/ping_group_range").unwrap();
        std::fs::write("/proc/sys/net/ipv4/ping_group_range", "1 0").unwrap();
        assert_eq!(ping(), [Verdict::Pass, Verdict::Pass]);
        let before = range();
        let groups = PingGroups::open().unwrap().unwrap();
        assert_eq!(range(), "0\t0\n");
        assert_eq!(ping(), [Verdict::Pass, Verdict::Pass]);
        groups.restore().unwrap();
        assert_eq!(range(), before);
    });
}
