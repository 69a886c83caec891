//! The text of `keepalived.data` (`operator-surface.md` §7.1): headers at column 0, objects indented by one blank, their
//! fields by three, list elements by five.

use std::fmt::{Display, Write as _};
use std::net::IpAddr;

use super::global;
use crate::addr::{Cidr, Family, IfIndex};
use crate::model::vrrp::{Authentication, Debounce, Destination, VirtualAddress};
use crate::model::{Global, Instance, Script, ScriptCommand, TrackInterface, Vrrp, Weight};
use crate::time::{Duration, Instant};
use crate::vrrp::io::{Link, Role, SocketKey, SocketScope, View};

/// A point in time as the wall clock has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WallTime {
    /// Seconds since 1970.
    pub secs: u64,
    /// And microseconds.
    pub micros: u32,
    /// As `Sat Nov 21 05:38:23 2026`, in local time.
    pub date: String,
}

impl Display for WallTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (secs, micros) = (self.secs, self.micros);
        match self.date.rsplit_once(' ') {
            Some((before, year)) => write!(f, "{secs}.{micros:06} ({before}.{micros:06} {year})"),
            None => write!(f, "{secs}.{micros:06}"),
        }
    }
}

/// What the kernel has told of links and addresses.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// Every link.
    pub links: &'a [Link],
    /// Every address.
    pub addresses: &'a [(IfIndex, Cidr)],
    /// Every raw socket.
    pub sockets: &'a [Socket],
}

/// A pair of raw sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// What it is for.
    pub key: SocketKey,
    /// Descriptor that receives.
    pub receive: i32,
    /// Descriptor that sends.
    pub send: i32,
    /// Receive buffer asked for; none is the system's.
    pub receive_buffer: Option<u32>,
}

impl Machine<'_> {
    fn name(&self, index: IfIndex) -> String {
        let link = self.links.iter().find(|link| link.index == index);
        link.map_or_else(|| index.0.to_string(), |link| link.name.to_string())
    }
}

/// A tracking script as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptState {
    /// Whether it counts as good; none before its first result.
    pub good: Option<bool>,
    /// Whether it runs.
    pub running: bool,
}

/// The whole dump of the VRRP process.
pub fn data<'a>(
    config: (&Global, &Vrrp),
    views: impl Iterator<Item = View<'a>>,
    scripts: &[ScriptState],
    machine: Machine<'_>,
    wall: impl Fn(Instant) -> WallTime,
) -> String {
    let (defaults, vrrp) = config;
    let mut text = Text::default();
    global::write(&mut text, defaults);
    text.header("VRRP Topology", !vrrp.instances.is_empty());
    let mut sharing = Vec::new();
    for view in views {
        instance(&mut text, &view, vrrp, machine, &wall);
        sharing.extend(view.socket.map(|key| (key, format!("{} vrid {}", view.config.name, view.config.vrid))));
    }
    text.header("VRRP Sockpool", !machine.sockets.is_empty());
    for socket in machine.sockets {
        self::socket(&mut text, socket, &machine, &sharing);
    }
    text.header("VRRP Scripts", !vrrp.scripts.is_empty());
    for (i, (script, state)) in vrrp.scripts.iter().zip(scripts).enumerate() {
        tracking_script(&mut text, i, script, *state, vrrp);
    }
    text.header("Interfaces", !machine.links.is_empty());
    for link in machine.links {
        interface(&mut text, link, machine.addresses, vrrp);
    }
    text.0
}

/// The text so far. Writing to a `String` cannot fail.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn into_string(self) -> String {
        self.0
    }

    pub(super) fn header(&mut self, name: &str, has_content: bool) {
        if has_content {
            let _ = writeln!(self.0, "------< {name} >------");
        }
    }

    /// A header within a section, after so many blanks.
    pub(super) fn header_at(&mut self, blanks: usize, name: &str) {
        let _ = writeln!(self.0, "{:blanks$}------< {name} >------", "");
    }

    pub(super) fn object(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, " {line}");
    }

    pub(super) fn field(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "   {line}");
    }

    pub(super) fn element(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "     {line}");
    }

    pub(super) fn maybe(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.object(format_args!("{name} = {value}"));
        }
    }
}

fn able(on: bool) -> &'static str {
    if on { "enabled" } else { "disabled" }
}

fn yes(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}

fn instance(text: &mut Text, view: &View<'_>, vrrp: &Vrrp, machine: Machine<'_>, wall: &impl Fn(Instant) -> WallTime) {
    let config = view.config;
    text.object(format_args!("VRRP Instance = {}", config.name));
    text.field(format_args!("VRRP Version = {}", config.version.number()));
    if config.family == Family::V6 {
        text.field(format_args!("Using Native IPv6"));
    }
    text.field(format_args!("State = {}", view.role.word()));
    text.field(format_args!("Flags:"));
    flags(config).iter().for_each(|flag| text.element(format_args!("{flag}")));
    text.field(format_args!("Wantstate = {}", view.role.word()));
    text.field(format_args!("Number of config faults = {}", u8::from(config.config_fault.is_some())));
    text.field(format_args!("Number of tracker faults = {}", view.faults.len()));
    for fault in &view.faults {
        text.element(format_args!("{fault}"));
    }
    text.field(format_args!("Number of track scripts init = {}", view.scripts_init));
    text.field(format_args!("Last transition = {}", wall(view.last_transition)));
    match view.timer {
        Some(at) => text.field(format_args!("Read timeout = {}", wall(at))),
        None => text.field(format_args!("Read timeout = DISABLED")),
    }
    if let Some(sent) = view.last_advert_sent {
        text.field(format_args!("Last advert sent = {}", wall(sent)));
    }
    text.field(format_args!("Master down timer = {} usecs", view.master_down_interval.as_micros()));
    if let Some((master, priority)) = view.master {
        text.field(format_args!("Master router = {master}"));
        text.field(format_args!("Master priority = {priority}"));
    }
    if let Some(name) = config.interface {
        text.field(format_args!("Interface = {name}"));
    }
    if config.skip_check_adv_addr {
        text.field(format_args!("Skip checking advert IP addresses"));
    }
    match view.source {
        Some(source) => {
            let configured = if config.source == Some(source) { " (from configuration)" } else { "" };
            text.field(format_args!("Using src_ip = {source}{configured}"));
        }
        None => text.field(format_args!("Using src_ip = (none)")),
    }
    if let Destination::Multicast(group) = &config.destination {
        let index = view.socket.and_then(|key| key.link).filter(|_| config.family == Family::V6);
        let index = index.map_or(String::new(), |index| format!(", ifindex {}", index.0));
        text.field(format_args!("Multicast address {group}{index}"));
    }
    timing(text, view);
    addresses(text, view);
    unicast(text, config);
    if let Some(socket) = machine.sockets.iter().find(|socket| Some(socket.key) == view.socket) {
        text.field(format_args!("fd_in {}, fd_out {}", socket.receive, socket.send));
    }
    trackers(text, config, vrrp);
    text.field(format_args!("Using smtp notification = {}", yes(config.notify.smtp_alert)));
    notify(text, config);
}

fn flags(config: &Instance) -> Vec<&'static str> {
    let rows = [
        (matches!(config.destination, Destination::Unicast(_)), "Using unicast"),
        (!config.track_primary, "Don't track primary"),
        (config.strict, "Strict mode"),
        (config.v3_checksum_as_v2, "VRRPv3 checksum as v2"),
    ];
    rows.into_iter().filter_map(|(on, name)| on.then_some(name)).collect()
}

fn timing(text: &mut Text, view: &View<'_>) {
    let config = view.config;
    let garp = &config.garp;
    text.field(format_args!("Gratuitous ARP delay = {}", garp.master_delay.as_secs_f64()));
    text.field(format_args!("Gratuitous ARP repeat = {}", garp.master_repeat));
    text.field(format_args!("Gratuitous ARP refresh = {}", garp.master_refresh.as_secs_f64()));
    text.field(format_args!("Gratuitous ARP refresh repeat = {}", garp.master_refresh_repeat));
    text.field(format_args!("Gratuitous ARP lower priority delay = {}", garp.lower_prio_delay.as_secs_f64()));
    text.field(format_args!("Gratuitous ARP lower priority repeat = {}", garp.lower_prio_repeat));
    text.field(format_args!("Down timer adverts = {}", config.down_timer_adverts));
    text.field(format_args!("Send advert after receive lower priority advert = {}", !config.lower_prio_no_advert));
    text.field(format_args!("Send advert after receive higher priority advert = {}", config.higher_prio_send_advert));
    text.field(format_args!("Virtual Router ID = {}", config.vrid));
    text.field(format_args!("Priority = {}", config.priority));
    text.field(format_args!("Effective priority = {}", view.effective_priority));
    text.field(format_args!("Total priority = {}", view.total_priority));
    let interval = config.advert_interval.duration();
    match config.version.number() {
        2 => text.field(format_args!("Advert interval = {} sec", interval.as_secs())),
        _ => text.field(format_args!("Advert interval = {} milli-sec", interval.as_millis())),
    }
    if config.version.number() == 3 {
        let master = view.master_adver_interval.duration().as_millis();
        text.field(format_args!("Master advert interval = {master} milli-sec"));
    }
    text.field(format_args!("Accept = {}", able(config.accept)));
    text.field(format_args!("Preempt = {}", able(config.preempt)));
    if !config.preempt_delay.is_zero() {
        text.field(format_args!("Preempt delay = {} secs", config.preempt_delay.as_secs_f64()));
    }
    text.field(format_args!("Promote_secondaries = {}", able(config.promote_secondaries)));
    match config.authentication {
        Authentication::Pass(_) => {
            text.field(format_args!("Authentication type = SIMPLE_PASSWORD"));
            // A dump is for showing around.
            text.field(format_args!("Password = ********"));
        }
        Authentication::None if config.version.number() == 2 => {
            text.field(format_args!("Authentication type = none"));
        }
        Authentication::None => {}
    }
}

fn addresses(text: &mut Text, view: &View<'_>) {
    let config = view.config;
    let set = if view.role == Role::Master { " set" } else { "" };
    if !config.addresses.is_empty() {
        text.field(format_args!("Virtual IP ({}):", config.addresses.len()));
        config.addresses.iter().for_each(|va| text.element(format_args!("{}{set}", virtual_address(va))));
    }
    if !config.excluded.is_empty() {
        text.field(format_args!("Virtual IP Excluded :"));
        config.excluded.iter().for_each(|va| text.element(format_args!("{}{set}", virtual_address(va))));
    }
}

/// `10.77.0.100/24 dev eth0 scope global label eth0:v1`; a host's own prefix is left out.
pub(super) fn virtual_address(va: &VirtualAddress) -> String {
    let family = Family::of(va.cidr.address);
    let mut text = va.cidr.address.to_string();
    if va.cidr.prefix != family.bits() {
        let _ = write!(text, "/{}", va.cidr.prefix);
    }
    if let Some(peer) = va.peer {
        let _ = write!(text, " peer {peer}");
    }
    if let Some(broadcast) = va.broadcast {
        let _ = write!(text, " brd {broadcast}");
    }
    let _ = write!(text, " dev {} scope {}", va.interface, scope(va.scope));
    if let Some(label) = &va.label {
        let _ = write!(text, " label {label}");
    }
    match va.preferred_secs {
        Some(secs) => {
            let _ = write!(text, " preferred_lft {secs}");
        }
        None if family == Family::V6 => text.push_str(" preferred_lft forever"),
        None => {}
    }
    text
}

fn scope(number: u8) -> String {
    match number {
        0 => "global".into(),
        200 => "site".into(),
        253 => "link".into(),
        254 => "host".into(),
        255 => "nowhere".into(),
        other => other.to_string(),
    }
}

fn weight(weight: Weight) -> String {
    format!("weight {}{}", weight.value, if weight.reverse { " reverse" } else { "" })
}

fn trackers(text: &mut Text, config: &Instance, vrrp: &Vrrp) {
    if !config.track_interfaces.is_empty() {
        text.field(format_args!("Tracked interfaces :"));
        for track in &config.track_interfaces {
            text.element(format_args!("{} {}", track.interface, weight(track.weight)));
        }
    }
    if !config.track_scripts.is_empty() {
        text.field(format_args!("Tracked scripts :"));
        for track in &config.track_scripts {
            let name = vrrp.scripts.get(track.script.0).map_or("?", |script| &script.name);
            text.element(format_args!("{name} {}", weight(track.weight)));
        }
    }
}

fn unicast(text: &mut Text, config: &Instance) {
    let Destination::Unicast(unicast) = &config.destination else { return };
    text.field(format_args!("Unicast TTL = {}", unicast.ttl.unwrap_or(255)));
    text.field(format_args!("Check unicast src : {}", yes(unicast.check_source)));
    text.field(format_args!("Unicast Peer :"));
    for peer in &unicast.peers {
        text.element(format_args!("{} min_ttl {} max_ttl {}", peer.address, peer.min_ttl, peer.max_ttl));
    }
}

fn notify(text: &mut Text, config: &Instance) {
    let notify = &config.notify;
    text.field(format_args!("Notify deleted = {}", if notify.reports_deleted { "Deleted" } else { "Fault" }));
    let rows = [
        ("Backup", &notify.backup),
        ("Master", &notify.master),
        ("Fault", &notify.fault),
        ("Stop", &notify.stop),
        ("Deleted", &notify.deleted),
        ("Generic", &notify.generic),
        ("Master rx lower pri", &notify.master_rx_lower_pri),
    ];
    for (name, script) in rows {
        if let Some(script) = script {
            text.field(format_args!(
                "{name} state transition script = {}, uid:gid {}:{}",
                command(script),
                script.uid,
                script.gid
            ));
        }
    }
    text.field(format_args!("Notify priority changes = {}", notify.priority_changes));
}

/// Every word in single quotes.
pub(super) fn command(script: &ScriptCommand) -> String {
    let quoted = |word: &Vec<u8>| format!("'{}'", String::from_utf8_lossy(word).replace('\'', r"'\''"));
    script.argv.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn socket(text: &mut Text, socket: &Socket, machine: &Machine<'_>, sharing: &[(SocketKey, String)]) {
    text.object(format_args!("fd_in {} fd_out = {}", socket.receive, socket.send));
    let interface = socket.key.link.map_or_else(|| "(none)".to_owned(), |link| machine.name(link));
    text.field(format_args!("Interface = {interface}"));
    text.field(format_args!("Family = {}", if socket.key.family == Family::V6 { "IPv6" } else { "IPv4" }));
    text.field(format_args!("Protocol = VRRP"));
    match socket.key.scope {
        SocketScope::Multicast(_) => text.field(format_args!("Type = Multicast")),
        SocketScope::Unicast(address) => {
            text.field(format_args!("Type = Unicast"));
            text.field(format_args!("Address = {address}"));
        }
    }
    text.field(format_args!("Rx buf size = {}", socket.receive_buffer.unwrap_or(0)));
    text.field(format_args!("VRRP instances"));
    for (_, line) in sharing.iter().filter(|(key, _)| *key == socket.key) {
        text.element(format_args!("{line}"));
    }
}

fn tracking_script(text: &mut Text, index: usize, script: &Script, state: ScriptState, vrrp: &Vrrp) {
    text.object(format_args!("VRRP Script = {}", script.name));
    text.field(format_args!("Command = {}", command(&script.command)));
    text.field(format_args!("Interval = {} sec", script.interval.as_secs_f64()));
    text.field(format_args!("Timeout = {} sec", script.timeout.as_secs_f64()));
    text.field(format_args!("Weight = {}", script.weight.value));
    if script.weight.reverse {
        text.field(format_args!("Weight reverse"));
    }
    text.field(format_args!("Rise = {}", script.rise));
    text.field(format_args!("Fall = {}", script.fall));
    text.field(format_args!("Insecure = {}", yes(script.command.insecure)));
    text.field(format_args!("Init state = {}", if script.init_fail { "failed" } else { "unknown" }));
    let status = match state.good {
        None => "INIT",
        Some(true) => "GOOD",
        Some(false) => "BAD",
    };
    text.field(format_args!("Status = {status}"));
    text.field(format_args!("Script uid:gid = {}:{}", script.command.uid, script.command.gid));
    text.field(format_args!("VRRP instances :"));
    text.field(format_args!("Tracking instances :"));
    for instance in &vrrp.instances {
        for track in instance.track_scripts.iter().filter(|track| track.script.0 == index) {
            text.element(format_args!("{}, {}", instance.name, weight(track.weight)));
        }
    }
    text.field(format_args!("State = {}", if state.running { "running" } else { "idle" }));
}

fn interface(text: &mut Text, link: &Link, addresses: &[(IfIndex, Cidr)], vrrp: &Vrrp) {
    text.object(format_args!("Name = {}", link.name));
    text.field(format_args!("index = {}", link.index.0));
    let own = || addresses.iter().filter(|(index, _)| *index == link.index).map(|(_, cidr)| cidr.address);
    let first = |address: Option<IpAddr>| address.map_or("(none)".to_owned(), |address| address.to_string());
    text.field(format_args!("IPv4 address = {}", first(own().find(IpAddr::is_ipv4))));
    text.field(format_args!("IPv6 address = {}", first(own().find(IpAddr::is_ipv6))));
    if link.ethernet {
        text.field(format_args!("MAC = {}", link.mac));
        text.field(format_args!("MAC broadcast = {}", link.broadcast));
    }
    let rows = [
        (link.up, "UP, RUNNING"),
        (!link.up, "not UP or not RUNNING"),
        (link.loopback, "loopback"),
        (!link.multicast, "no multicast"),
        (!link.arp, "no arp"),
    ];
    let states: Vec<&str> = rows.into_iter().filter_map(|(on, name)| on.then_some(name)).collect();
    text.field(format_args!("State = {}", states.join(", ")));
    let delays = vrrp.debounce.get(&link.name);
    let micros = |of: fn(&Debounce) -> Duration| delays.map_or(0, |delays| of(delays).as_micros());
    text.field(format_args!("Up debounce timer = {}us", micros(|delays| delays.up)));
    text.field(format_args!("Down debounce timer = {}us", micros(|delays| delays.down)));
    text.field(format_args!("MTU = {}", link.mtu));
    let kind = match (link.ethernet, link.loopback) {
        (true, _) => "ETHERNET",
        (_, true) => "LOOPBACK",
        _ => "UNKNOWN",
    };
    text.field(format_args!("HW Type = {kind}"));
    text.field(format_args!("NIC netlink status update"));
    let zero = Weight::default();
    let tracks = |instance: &Instance| {
        let primary = (instance.track_primary && instance.interface == Some(link.name)).then_some(zero);
        let others = instance.track_interfaces.iter().filter(|track: &&TrackInterface| track.interface == link.name);
        primary.into_iter().chain(others.map(|track| track.weight)).collect::<Vec<_>>()
    };
    let tracking: Vec<_> =
        vrrp.instances.iter().flat_map(|i| tracks(i).into_iter().map(move |w| (&i.name, w))).collect();
    if !tracking.is_empty() {
        text.field(format_args!("Tracking VRRP instances :"));
        tracking.iter().for_each(|(name, w)| text.element(format_args!("{name}, {}", weight(*w))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn va(cidr: (&str, u8)) -> VirtualAddress {
        let cidr = Cidr { address: cidr.0.parse().unwrap(), prefix: cidr.1 };
        VirtualAddress::plain(cidr, "eth0".parse().unwrap())
    }

    #[test]
    fn addresses_read_as_keepalived_prints_them() {
        let labelled = VirtualAddress { label: Some("eth0:v1".into()), ..va(("10.77.0.100", 24)) };
        assert_eq!(virtual_address(&labelled), "10.77.0.100/24 dev eth0 scope global label eth0:v1");
        assert_eq!(virtual_address(&va(("10.77.0.101", 32))), "10.77.0.101 dev eth0 scope global");
        let v6 = virtual_address(&va(("2001:db8::5", 64)));
        assert_eq!(v6, "2001:db8::5/64 dev eth0 scope global preferred_lft forever");
    }

    #[test]
    fn a_wall_time_has_its_microseconds_before_the_year() {
        let time = WallTime { secs: 1_795_239_503, micros: 650_829, date: "Sat Nov 21 05:38:23 2026".into() };
        assert_eq!(time.to_string(), "1795239503.650829 (Sat Nov 21 05:38:23.650829 2026)");
    }

    #[test]
    fn command_words_are_quoted_one_by_one() {
        let script = ScriptCommand {
            path: "/n.sh".into(),
            argv: vec![b"/n.sh".to_vec(), b"a b".to_vec(), b"it's".to_vec()],
            uid: 0,
            gid: 0,
            supplementary_groups: false,
            insecure: false,
        };
        assert_eq!(command(&script), r"'/n.sh' 'a b' 'it'\''s'");
    }
}
