//! What the field's tutorials build, with the examples of `conf/`, and what then happens to it.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lan::{Kind, Lan, Router, eventually, now};
use crate::setup::needs;

const PAIR: &str = include_str!("../../conf/keepalived.conf");
const NGINX: &str = include_str!("../../conf/nginx.conf");
const CHECK_NGINX: &str = include_str!("../../conf/check_nginx.sh");
const DOUBLE_MASTER: &str = include_str!("../../conf/double-master.conf");
const VRRP3: &str = include_str!("../../conf/vrrp3.conf");
const UNICAST: &str = include_str!("../../conf/unicast.conf");

/// The file of the other router, as each example describes it.
pub(crate) fn other_routers(file: &str) -> String {
    let swapped = [
        ("state MASTER", "state BACKUP"),
        ("priority 150", "priority 100"),
        ("10.99.0.1 ", "10.99.0.2 "),
        ("10.99.0.2 ", "10.99.0.1 "),
        ("state BACKUP", "state MASTER"),
        ("priority 100", "priority 150"),
    ];
    let swap = |line: &str| {
        let found = swapped.iter().find(|(from, _)| line.contains(from));
        found.map_or_else(|| line.to_owned(), |(from, to)| line.replace(from, to))
    };
    file.lines().map(|line| swap(line) + "\n").collect()
}

fn vip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Both routers of an example, the MASTER of its first instance first.
fn pair(lan: &Lan, sides: [Kind; 2], file: &str) -> [Router; 2] {
    [lan.start('a', sides[0], file), lan.start('b', sides[1], &other_routers(file))]
}

/// The plain host's packets for this address go to this router.
fn reaches(lan: &Lan, address: IpAddr, router: char) {
    assert!(lan.pings('c', address), "c gets no answer from {address}");
    assert_eq!(lan.neighbour('c', address), Some(lan.mac(router)), "c sends packets for {address} elsewhere");
}

fn example(sides: [Kind; 2], file: &str, addresses: &[&str]) {
    needs!();
    let lan = Lan::new(3);
    let [a, _b] = pair(&lan, sides, file);
    for address in addresses {
        lan.wait_only_holder('a', &['b'], vip(address));
        reaches(&lan, vip(address), 'a');
    }
    a.kill_all();
    for address in addresses {
        lan.wait_held('b', vip(address));
        eventually("c sends to b", || lan.neighbour('c', vip(address)) == Some(lan.mac('b')));
        reaches(&lan, vip(address), 'b');
    }
    let _a = lan.start_again('a', sides[0]);
    for address in addresses {
        lan.wait_only_holder('a', &['b'], vip(address));
    }
    lan.check_capture();
}

const OURS_FIRST: [Kind; 2] = [Kind::Ours, Kind::Debian];
const THEIRS_FIRST: [Kind; 2] = [Kind::Debian, Kind::Ours];
const OURS_ONLY: [Kind; 2] = [Kind::Ours, Kind::Ours];

#[test]
fn the_plain_pair() {
    example(OURS_FIRST, PAIR, &["10.99.0.100"]);
}

#[test]
fn the_plain_pair_the_other_way_round() {
    example(THEIRS_FIRST, PAIR, &["10.99.0.100"]);
}

#[test]
fn the_plain_pair_of_ours_alone() {
    example(OURS_ONLY, PAIR, &["10.99.0.100"]);
}

#[test]
fn the_unicast_pair() {
    example(OURS_FIRST, UNICAST, &["10.99.0.100"]);
}

#[test]
fn the_version_3_pair_of_both_families() {
    example(OURS_FIRST, VRRP3, &["10.99.0.100", "fd99::100"]);
}

#[test]
fn double_master_leaves_both_addresses_on_the_survivor() {
    needs!();
    for sides in [OURS_FIRST, THEIRS_FIRST] {
        let lan = Lan::new(3);
        let (first, second) = (vip("10.99.0.101"), vip("10.99.0.102"));
        let [_a, b] = pair(&lan, sides, DOUBLE_MASTER);
        lan.wait_only_holder('a', &['b'], first);
        lan.wait_only_holder('b', &['a'], second);
        reaches(&lan, first, 'a');
        reaches(&lan, second, 'b');
        b.kill_all();
        lan.wait_held('a', second);
        eventually("c sends to a", || lan.neighbour('c', second) == Some(lan.mac('a')));
        reaches(&lan, first, 'a');
        reaches(&lan, second, 'a');
        let _b = lan.start_again('b', sides[1]);
        lan.wait_only_holder('b', &['a'], second);
        lan.wait_only_holder('a', &['b'], first);
    }
}

/// nginx on a host, which answers with the host's letter.
fn serve(lan: &Lan, host: char) {
    let directory = lan.home(host).join("nginx");
    std::fs::create_dir_all(&directory).unwrap();
    let config = format!(
        "user root;\nworker_processes 1;\npid /run/nginx.pid;\nerror_log /run/nginx.log;\nevents {{}}\nhttp {{\n    \
         access_log off;\n    client_body_temp_path /run/nginx;\n    server {{\n        listen 80;\n        \
         return 200 {host};\n    }}\n}}\n"
    );
    std::fs::write(directory.join("nginx.conf"), config).unwrap();
    let script = lan.home(host).join("etc/check_nginx.sh");
    std::fs::write(&script, CHECK_NGINX).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    // Not to its end of output: nginx stays and keeps it open.
    assert!(lan.command(host, "nginx", &[]).status().expect("nginx starts").success());
}

/// Which host's nginx answers the plain host at this address.
fn answer(lan: &Lan, address: IpAddr) -> Option<char> {
    lan.within('c', || {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address, 80), Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.chars().last()
    })
}

fn kill_nginx(lan: &Lan, host: char) {
    let pid = std::fs::read_to_string(lan.home(host).join("run/nginx.pid")).unwrap();
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
}

fn nginx_scene(sides: [Kind; 2]) {
    needs!();
    let lan = Lan::new(3);
    let address = vip("10.99.0.100");
    serve(&lan, 'a');
    serve(&lan, 'b');
    let [a, _b] = pair(&lan, sides, NGINX);
    lan.wait_only_holder('a', &['b'], address);
    assert_eq!(answer(&lan, address), Some('a'));

    // nginx ends: the script starts it again, and nothing moves.
    let pid_file = lan.home('a').join("run/nginx.pid");
    kill_nginx(&lan, 'a');
    eventually("nginx ended", || !pid_file.exists());
    eventually("nginx is started again", || answer(&lan, address) == Some('a'));
    lan.seen(|seen| assert!(seen.holds('a', address) && !seen.holds('b', address)));

    // nginx ends and cannot be started: the script stops keepalived, and the address moves.
    std::fs::write(lan.home('a').join("nginx/nginx.conf"), "broken;\n").unwrap();
    kill_nginx(&lan, 'a');
    assert!(a.end(Duration::from_secs(30)).is_some_and(|status| status.success()), "keepalived was not stopped");
    lan.wait_only_holder('b', &['a'], address);
    eventually("b's nginx answers", || answer(&lan, address) == Some('b'));
}

#[test]
fn a_master_that_loses_nginx_gives_the_address_away() {
    nginx_scene(OURS_FIRST);
}

#[test]
fn a_backup_takes_over_from_a_keepalived_that_lost_nginx() {
    nginx_scene(THEIRS_FIRST);
}

/// Only VRRP is cut: both hold the address. Then it is healed, in this order of directions.
fn split_brain(sides: [Kind; 2], healed_first: (char, char)) {
    needs!();
    let lan = Lan::new(3);
    let address = vip("10.99.0.100");
    let _routers = pair(&lan, sides, PAIR);
    lan.wait_only_holder('a', &['b'], address);
    reaches(&lan, address, 'a');
    lan.drop_vrrp('a', 'b');
    lan.drop_vrrp('b', 'a');
    lan.wait_held('b', address);
    lan.seen(|seen| assert!(seen.holds('a', address), "a gave the address up"));
    // b announced last, so the plain host believes it.
    eventually("c sends to b", || lan.neighbour('c', address) == Some(lan.mac('b')));

    // One direction works a moment before the other: long enough for a frame on its way, shorter than an interval.
    let (first, second) = healed_first;
    let (heard, _) = lan.wait_advert(first, now());
    let healed = now();
    lan.pass(Duration::from_millis(600).saturating_sub(healed.saturating_sub(heard)));
    lan.heal_vrrp(first, second);
    lan.wait_advert(first, now());
    lan.heal();
    lan.wait_only_holder('a', &['b'], address);
    eventually("c sends to a", || lan.neighbour('c', address) == Some(lan.mac('a')));
    reaches(&lan, address, 'a');
}

/// A05
#[test]
fn after_a_split_brain_hosts_know_the_winner() {
    split_brain(OURS_FIRST, ('b', 'a'));
}

#[test]
fn after_a_split_brain_hosts_know_the_winner_when_we_lose() {
    split_brain(THEIRS_FIRST, ('b', 'a'));
}

#[test]
fn after_a_split_brain_hosts_know_the_winner_even_if_the_loser_hears_first() {
    split_brain(OURS_ONLY, ('a', 'b'));
}

#[test]
fn adverts_leave_on_time_under_malformed_packets() {
    needs!();
    let lan = Lan::new(3);
    let _a = lan.start('a', Kind::Ours, PAIR);
    lan.wait_held('a', vip("10.99.0.100"));
    let flood = lan.flood('c', 100, malformed);
    let begun = now();
    lan.wait("eight seconds of adverts", |seen| {
        seen.adverts().rfind(|(f, _)| f.from == 'a' && f.at > begun + Duration::from_secs(8)).map(drop)
    });
    let sent = flood.stop();
    lan.seen(|seen| {
        let times: Vec<Duration> =
            seen.adverts().filter(|(f, _)| f.from == 'a' && f.at >= begun).map(|(f, _)| f.at).collect();
        assert!(sent > 200, "only {sent} malformed packets were sent");
        assert!(times.len() >= 8, "{} adverts in 8 s", times.len());
        let longest = times.windows(2).map(|w| w[1] - w[0]).max().unwrap();
        assert!(longest < Duration::from_millis(1500), "an advert came {longest:?} after the one before it");
        assert!(seen.lines('a', "").count() < 200, "the log was flooded");
    });
}

/// Adverts for VRID 51 that are wrong in turn: no checksum, too short, wrong version, wrong authentication.
fn malformed(number: u32) -> Vec<u8> {
    let bodies: [&[u8]; 4] = [
        &[0x21, 51, 200, 1, 1, 1, 0, 0, 10, 99, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x21, 51, 200],
        &[0x31, 51, 200, 1, 0, 100, 0, 0, 10, 99, 0, 100],
        &[0x21, 51, 200, 9, 0, 1, 0x13, 0x93, 10, 99, 0, 100],
    ];
    crate::lan::multicast_frame([10, 99, 0, 3], bodies[number as usize % bodies.len()])
}

/// B01
#[test]
fn an_address_that_somebody_removes_is_put_back_and_announced() {
    needs!();
    let lan = Lan::new(2);
    let address = vip("10.99.0.100");
    let _a = lan.start('a', Kind::Ours, PAIR);
    lan.wait_held('a', address);
    // After the bursts of becoming MASTER, so that the next announcement is for what we do.
    lan.wait("the second burst", |seen| (seen.announcements(address).count() >= 10).then_some(()));
    let removed = now();
    lan.ip('a', "addr del 10.99.0.100/24 dev eth0");
    lan.wait("the address is back and announced", |seen| {
        let back = seen.addresses.iter().find(|c| c.address == address && c.present && c.at >= removed)?;
        seen.announcements(address).find(|f| f.at >= back.at - Duration::from_millis(1) && f.at >= removed).map(drop)
    });
    lan.seen(|seen| {
        let transitions = seen.lines('a', "STATE").filter(|l| l.at >= removed).count();
        assert_eq!(transitions, 0, "the state changed");
        assert!(seen.adverts().all(|(_, a)| a.priority != 0), "a gave up for a moment");
    });
}
