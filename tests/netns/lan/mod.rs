//! A LAN made of network namespaces: hosts `a`, `b`, `c`… with one interface `eth0` each, on one bridge.
//!
//! Host number n has the hardware address 02:00:00:00:00:n and the addresses 10.99.0.n/24, fd99::n/64 and
//! fe80::ff:fe00:n. Each has its own /run and /etc/keepalived. Faults are made on the bridge, so no host sees more of
//! them than it would see of a cut cable or a broken switch.

mod decode;
mod frame;
mod inject;
mod router;
mod space;
mod watch;

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use frame::{Advert, Frame};
pub(crate) use inject::{Flood, Injector, advert_v2, advert_v3, checksum, multicast_frame};
pub(crate) use router::{DEBIAN, Kind, Router};
pub(crate) use watch::{Seen, now};

use watch::{Story, Watcher};

/// Longer than anything here takes on a loaded machine; nothing waits for it unless it fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A LAN. Dropping it removes everything, except that a failed test keeps its directory.
pub(crate) struct Lan {
    name: String,
    hosts: Vec<(char, String)>,
    directory: PathBuf,
    story: Arc<Story>,
    watcher: Option<Watcher>,
}

impl Lan {
    /// A LAN of so many hosts.
    pub(crate) fn new(hosts: u8) -> Self {
        let name = space::fresh_name();
        let hosts: Vec<(char, String)> =
            (b'a'..b'a' + hosts).map(char::from).map(|h| (h, format!("{name}-{h}"))).collect();
        let directory = std::env::temp_dir().join(&name);
        let mut lan = Self { name, hosts, directory, story: Arc::default(), watcher: None };
        lan.build();
        lan
    }

    fn build(&mut self) {
        let bridge = self.bridge();
        let spaces = self.hosts.iter().map(|(_, n)| n).chain([&bridge]);
        space::ip_batch(None, &spaces.map(|name| format!("netns add {name}\n")).collect::<String>());
        let mut ports = String::from(
            "link set lo up\nlink add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0\nlink set br0 up\n",
        );
        for (host, name) in &self.hosts {
            for directory in ["run", "etc", "tmp"] {
                fs::create_dir_all(self.directory.join(host.to_string()).join(directory))
                    .expect("a temporary directory");
            }
            quiet_ipv6(name);
            ports += &port(*host, name);
        }
        space::ip_batch(Some(&bridge), &ports);
        let ports: BTreeMap<usize, char> = self.hosts.iter().map(|(h, _)| (port_index(*h), *h)).collect();
        self.watcher = Some(Watcher::start(
            Arc::clone(&self.story),
            &bridge,
            ports,
            &self.hosts,
            &self.directory.join("lan.pcap"),
        ));
        self.bridge_filter(BRIDGE_RULES);
        for (number, (_, name)) in (1..).zip(&self.hosts) {
            space::ip_batch(Some(name), &addresses(number));
        }
        self.wait("addresses", |seen| self.hosts.iter().all(|(h, _)| seen.holds(*h, self.address(*h))).then_some(()));
    }

    fn bridge(&self) -> String {
        format!("{}-br", self.name)
    }

    fn space(&self, host: char) -> &str {
        &self.hosts.iter().find(|(h, _)| *h == host).expect("a host of this LAN").1
    }

    /// The directory of a host: `etc` is its /etc/keepalived, `run` its /run.
    pub(crate) fn home(&self, host: char) -> PathBuf {
        self.directory.join(host.to_string())
    }

    /// A host's own IPv4 address.
    pub(crate) fn address(&self, host: char) -> IpAddr {
        IpAddr::from([10, 99, 0, host as u8 - b'a' + 1])
    }

    /// A host's hardware address.
    pub(crate) fn mac(&self, host: char) -> [u8; 6] {
        [2, 0, 0, 0, 0, host as u8 - b'a' + 1]
    }

    /// Writes a host's /etc/keepalived/keepalived.conf.
    pub(crate) fn configure(&self, host: char, config: &str) {
        fs::write(self.home(host).join("etc/keepalived.conf"), config).expect("the configuration");
    }

    /// Starts a daemon with this configuration.
    pub(crate) fn start(&self, host: char, kind: Kind, config: &str) -> Router {
        self.configure(host, config);
        self.start_again(host, kind)
    }

    /// Starts a daemon with the configuration that is there.
    pub(crate) fn start_again(&self, host: char, kind: Kind) -> Router {
        Router::start(self, host, kind, &["--dont-fork", "--log-console", "--log-detail"])
    }

    /// Starts a daemon through another program.
    pub(crate) fn start_program(&self, host: char, program: &str, arguments: &[&str]) -> Router {
        Router::start_program(self, host, program, arguments)
    }

    /// Puts a shell script into a host's /etc/keepalived.
    pub(crate) fn script(&self, host: char, name: &str, text: &str) {
        let path = self.home(host).join("etc").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("the script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the script");
    }

    /// A command that is to run on a host.
    pub(crate) fn command(&self, host: char, program: &str, arguments: &[&str]) -> Command {
        router::command(self.space(host), &self.home(host), program, arguments)
    }

    /// Runs a command on a host and gives its output, whatever its exit status.
    pub(crate) fn run(&self, host: char, program: &str, arguments: &[&str]) -> Output {
        self.command(host, program, arguments).output().expect("the command runs")
    }

    /// Runs `ip` on a host; it has to succeed.
    pub(crate) fn ip(&self, host: char, arguments: &str) -> String {
        let mut all = vec!["-n", self.space(host)];
        all.extend(arguments.split_whitespace());
        let done = Command::new("ip").args(&all).output().expect("ip runs");
        assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Runs many `ip` commands on a host at once.
    pub(crate) fn ip_batch(&self, host: char, commands: &str) {
        space::ip_batch(Some(self.space(host)), commands);
    }

    /// Runs `work` on a thread in a host's namespace.
    pub(crate) fn within<T: Send>(&self, host: char, work: impl FnOnce() -> T + Send) -> T {
        space::within(self.space(host), work)
    }

    /// The hardware address that a host's neighbour table has for this address.
    pub(crate) fn neighbour(&self, host: char, address: IpAddr) -> Option<[u8; 6]> {
        let line = self.ip(host, &format!("neigh show {address} dev eth0"));
        let mut words = line.split_whitespace().skip_while(|w| *w != "lladdr");
        let mac: Vec<u8> =
            words.nth(1)?.split(':').map(|b| u8::from_str_radix(b, 16).expect("ip prints hexadecimal")).collect();
        mac.try_into().ok()
    }

    /// Does a host get an answer from this address?
    pub(crate) fn pings(&self, host: char, address: IpAddr) -> bool {
        self.run(host, "ping", &["-n", "-c1", "-W1", &address.to_string()]).status.success()
    }

    // Faults

    /// The cable of a host is pulled.
    pub(crate) fn cut(&self, host: char) {
        space::ip_batch(Some(&self.bridge()), &format!("link set port-{host} down\n"));
    }

    /// The cable of a host is plugged in.
    pub(crate) fn mend(&self, host: char) {
        space::ip_batch(Some(&self.bridge()), &format!("link set port-{host} up\n"));
    }

    /// The other end of a host's cable is not in the bridge: frames are seen, and go nowhere.
    pub(crate) fn unbridge(&self, host: char) {
        space::ip_batch(Some(&self.bridge()), &format!("link set port-{host} nomaster\n"));
    }

    /// The other end of a host's cable is in the bridge again.
    pub(crate) fn bridge_again(&self, host: char) {
        space::ip_batch(Some(&self.bridge()), &format!("link set port-{host} master br0\n"));
    }

    /// The interface of a host disappears.
    pub(crate) fn remove_interface(&self, host: char) {
        space::ip_batch(Some(&self.bridge()), &format!("link del port-{host}\n"));
    }

    /// The interface of a host is there again, with another number.
    pub(crate) fn make_interface(&self, host: char) {
        space::ip_batch(Some(&self.bridge()), &port(host, self.space(host)));
        space::ip_batch(Some(self.space(host)), &addresses(u32::from(self.mac(host)[5])));
    }

    /// VRRP from one host no longer reaches another; everything else does.
    pub(crate) fn drop_vrrp(&self, from: char, to: char) {
        self.bridge_filter(&format!("add element bridge lab novrrp {{ port-{from} . port-{to} }}"));
    }

    /// Nothing from one host reaches another any more.
    pub(crate) fn mute(&self, from: char, to: char) {
        self.bridge_filter(&format!("add element bridge lab mute {{ port-{from} . port-{to} }}"));
    }

    /// Undoes every [`Self::drop_vrrp`] and [`Self::mute`].
    pub(crate) fn heal(&self) {
        self.bridge_filter("flush set bridge lab novrrp\nflush set bridge lab mute");
    }

    /// Undoes one [`Self::drop_vrrp`].
    pub(crate) fn heal_vrrp(&self, from: char, to: char) {
        self.bridge_filter(&format!("delete element bridge lab novrrp {{ port-{from} . port-{to} }}"));
    }

    /// So many frames a second out of a host, each made from its number.
    pub(crate) fn flood(&self, host: char, per_second: u32, frame: fn(u32) -> Vec<u8>) -> Flood {
        Flood::start(Injector::new(self, host), per_second, frame)
    }

    fn bridge_filter(&self, rules: &str) {
        use std::io::Write;
        let mut nft = Command::new("ip")
            .args(["netns", "exec", &self.bridge(), "nft", "-f", "-"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("nft starts");
        nft.stdin.take().expect("piped").write_all(rules.as_bytes()).expect("nft reads its rules");
        assert!(nft.wait().expect("nft ends").success(), "nft: {rules}");
    }

    // Waiting and looking

    /// Everything seen so far.
    pub(crate) fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.story.seen())
    }

    /// Waits until `answer` finds something in what was seen.
    pub(crate) fn wait<T>(&self, what: &str, answer: impl FnMut(&Seen) -> Option<T>) -> T {
        self.story.wait(LIMIT, answer).unwrap_or_else(|| panic!("not seen within {LIMIT:?}: {what}"))
    }

    /// Waits until this holds of what was seen; whether it came to that.
    pub(crate) fn sees(&self, mut holds: impl FnMut(&Seen) -> bool) -> bool {
        self.story.wait(LIMIT, |seen| holds(seen).then_some(())).is_some()
    }

    /// Waits until a host has an address.
    pub(crate) fn wait_held(&self, host: char, address: IpAddr) {
        self.wait(&format!("{host} holds {address}"), |seen| seen.holds(host, address).then_some(()));
    }

    /// Waits until a host no longer has an address.
    pub(crate) fn wait_released(&self, host: char, address: IpAddr) {
        self.wait(&format!("{host} released {address}"), |seen| (!seen.holds(host, address)).then_some(()));
    }

    /// Waits until one host has an address and these others have it not.
    pub(crate) fn wait_only_holder(&self, host: char, others: &[char], address: IpAddr) {
        self.wait(&format!("{host} alone holds {address}"), |seen| {
            (seen.holds(host, address) && others.iter().all(|o| !seen.holds(*o, address))).then_some(())
        });
    }

    /// Waits for a line in a host's log, written after `since`.
    pub(crate) fn wait_line(&self, host: char, text: &str, since: Duration) -> Duration {
        self.wait(&format!("{host} logs \"{text}\""), |seen| {
            seen.lines(host, text).find(|l| l.at >= since).map(|l| l.at)
        })
    }

    /// Waits for an advert that a host sends after `since`.
    pub(crate) fn wait_advert(&self, host: char, since: Duration) -> (Duration, Advert) {
        self.wait(&format!("an advert of {host}"), |seen| {
            seen.adverts().find(|(f, _)| f.from == host && f.at >= since).map(|(f, a)| (f.at, a))
        })
    }

    /// Has tshark decode what was captured: nothing malformed, every checksum good.
    pub(crate) fn check_capture(&self) {
        decode::check(&self.directory.join("lan.pcap"));
    }

    /// Lets time pass: for what is *not* to happen.
    pub(crate) fn pass(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep();
        }
        self.watcher.take();
        let names: Vec<String> = self.hosts.iter().map(|(_, n)| n.clone()).chain([self.bridge()]).collect();
        space::remove(&names);
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

impl Lan {
    /// Keeps the directory of a failed test and shows what the daemons said last.
    fn keep(&self) {
        let kept = self.directory.with_extension("kept");
        let _ = fs::rename(&self.directory, &kept);
        eprintln!("capture, configurations and logs are kept in {}", kept.display());
        for (host, _) in &self.hosts {
            let log = fs::read_to_string(kept.join(host.to_string()).join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(25)..] {
                eprintln!("{host}: {line}");
            }
        }
    }
}

/// Waits until a condition holds that no event tells of.
pub(crate) fn eventually(what: &str, holds: impl FnMut() -> bool) {
    assert!(comes_true(holds), "not within {LIMIT:?}: {what}");
}

/// The same; whether it came to that.
pub(crate) fn comes_true(mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + LIMIT;
    while !holds() {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    true
}

const BRIDGE_RULES: &str = "
table bridge lab {
    set mute { typeof iifname . oifname; }
    set novrrp { typeof iifname . oifname; }
    chain forward {
        type filter hook forward priority 0;
        iifname . oifname @mute drop
        iifname . oifname @novrrp ip protocol 112 drop
        iifname . oifname @novrrp ip6 nexthdr 112 drop
    }
}";

/// What plugs a host into the bridge.
fn port(host: char, space: &str) -> String {
    format!(
        "link add port-{host} index {} type veth peer name eth0 netns {space}
link set port-{host} master br0
link set port-{host} up
",
        port_index(host)
    )
}

/// The same for every incarnation of a port.
fn port_index(host: char) -> usize {
    1000 + host as usize
}

fn addresses(number: u32) -> String {
    format!(
        "link set lo up
link set eth0 address 02:00:00:00:00:{number:02x}
link set eth0 up
addr add 10.99.0.{number}/24 brd + dev eth0
addr add fd99::{number:x}/64 dev eth0 nodad
"
    )
}

/// No duplicate address detection, no router advertisements: addresses are usable at once.
fn quiet_ipv6(space: &str) {
    space::within(space, || {
        for scope in ["all", "default"] {
            for (setting, value) in [("accept_dad", "0"), ("dad_transmits", "0"), ("accept_ra", "0")] {
                let path = format!("/proc/sys/net/ipv6/conf/{scope}/{setting}");
                // A kernel without IPv6 has no such file; the tests that need IPv6 will say so.
                if Path::new(&path).exists() {
                    fs::write(&path, value).expect("a setting of the namespace");
                }
            }
        }
    });
}
