//! What the hands cost: CPU of an advert by itself and in batches, and the time from an order to the announcement on
//! the wire. Needs root; all of it happens in a network namespace that goes with the process.
//!
//! `cargo bench --bench hands`
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;

use keepalived_rs::addr::{Cidr, Family, IfIndex, Mac};
use keepalived_rs::histogram::Histogram;
use keepalived_rs::model::InstanceId;
use keepalived_rs::model::vrrp::VirtualAddress;
use keepalived_rs::sys::netlink::{Event, Kernel, Order};
use keepalived_rs::sys::poller::Poller;
use keepalived_rs::sys::raw_socket::Sockets;
use keepalived_rs::sys::{clock, links};
use keepalived_rs::time::Duration;
use keepalived_rs::vrrp::io::{Announcement, Holding, Packets, SendAdvert, SocketKey, SocketScope, SocketSpec};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{UsageWho, getrusage};
use socket2::{Domain, Protocol, Socket, Type};

const GROUP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(224, 0, 0, 18));

fn main() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    run("ip link add dev a0 type veth peer name b0");
    run("ip link set a0 up");
    run("ip link set b0 up");
    run("ip addr add 10.99.0.1/24 dev a0");
    let link = links::snapshot().unwrap().links.into_iter().find(|link| link.name.as_str() == "a0").unwrap().index;
    for instances in [1, 50, 250] {
        adverts(link, instances);
    }
    takeover(link, 1, 200);
    takeover(link, 250, 10);
}

/// A loop as the daemon's: wait, hear, send, set the next deadline.
fn adverts(link: IfIndex, instances: u8) {
    let rounds = 4_000 / u32::from(instances) + 200;
    let interval = Duration::from_millis(2);
    let key = SocketKey { family: Family::V4, link: Some(link), scope: SocketScope::Multicast(GROUP) };
    let (mut sockets, mut poller) = (Sockets::default(), Poller::new().unwrap());
    assert_eq!(sockets.apply(&[SocketSpec { key, receive_buffer: None }], &poller), []);
    let mut due: Vec<_> = (1..=instances).map(|vrid| advert(key, vrid)).collect();
    let before = cpu();
    let mut at = clock::now() + interval;
    for _ in 0..rounds {
        while clock::now() < at {
            poller.wait(Some(at)).unwrap().for_each(|token| sockets.woken(token));
        }
        sockets.receive(64, Duration::ZERO, |_, _, _| {});
        due.iter_mut().for_each(|advert| advert.due = at);
        assert_eq!(sockets.send(due.iter(), clock::now), []);
        at += interval;
    }
    let adverts = rounds * u32::from(instances);
    println!(
        "{instances:>3} adverts a wake-up: {:>8.2?} CPU each; left after they were due: {}",
        (cpu() - before) / adverts,
        sockets.counters().lateness
    );
}

/// From the order to add and announce `count` addresses to the last of their gratuitous ARPs at the far end.
fn takeover(link: IfIndex, count: u8, rounds: u32) {
    let (kernel, mut events) = Kernel::start().unwrap();
    let capture = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(0x0806_u16.to_be())))).unwrap();
    capture.set_recv_buffer_size(4 << 20).unwrap();
    let vips: Vec<_> = (1..=count).map(|host| vip(link, host)).collect();
    let (mut first, mut last) = (Histogram::default(), Histogram::default());
    for _ in 0..rounds {
        let orders = vips.iter().flat_map(|vip| [Order::Add(vip.clone()), announce(vip)]).collect();
        let begin = clock::now();
        kernel.submit(orders);
        let mut buffer = [std::mem::MaybeUninit::uninit(); 64];
        for number in 0..count {
            capture.recv(&mut buffer).unwrap();
            if number == 0 {
                first.record(clock::now().since(begin));
            }
        }
        last.record(clock::now().since(begin));
        kernel.submit(vips.iter().cloned().map(Order::Remove).chain([Order::Sync(0)]).collect());
        while events.try_next() != Some(Event::Synced(0)) {
            std::thread::yield_now();
        }
    }
    println!("{count:>3} addresses, order to first announcement: {first}");
    println!("{count:>3} addresses, order to last announcement:  {last}");
    kernel.stop();
}

fn advert(socket: SocketKey, vrid: u8) -> SendAdvert {
    let mut bytes = vec![0x45, 0xc0, 0, 0x2c, 0, 1, 0, 0, 0xff, 0x70, 0, 0, 10, 99, 0, 1, 224, 0, 0, 18];
    bytes.extend([0x21, vrid, 0x96, 2, 0, 1, 0x33, 0x63, 10, 99, 0, 100, 10, 99, 0, 101, 0, 0, 0, 0, 0, 0, 0, 0]);
    let (instance, source) = (InstanceId(vrid.into()), IpAddr::from([10, 99, 0, 1]));
    let packets = Packets { socket, source, hop_limit: None, copies: vec![(GROUP, bytes)] };
    SendAdvert { instance, due: clock::now(), packets: Arc::new(packets) }
}

fn vip(link: IfIndex, host: u8) -> Holding {
    let cidr = Cidr { address: [10, 99, 1, host].into(), prefix: 32 };
    Holding { link, address: Arc::new(VirtualAddress::plain(cidr, "a0".parse().unwrap())) }
}

fn announce(holding: &Holding) -> Order {
    let (link, address) = (holding.link, holding.address.cidr.address);
    let (mac, broadcast, instance) = (Mac([2, 0, 0, 0, 0, 1]), Mac::BROADCAST, InstanceId(0));
    Order::Announce(Announcement { link, mac, broadcast, address, instance })
}

/// CPU time of this process, user and system.
fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    Duration::from_micros((micros(usage.user_time()) + micros(usage.system_time())) as u64)
}

fn run(command: &str) {
    let words: Vec<_> = command.split_whitespace().collect();
    assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success(), "{command}");
}
