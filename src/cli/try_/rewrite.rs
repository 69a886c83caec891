//! One `keepalived.conf` becomes two: the file as it is, and the file of a second router on the same LAN. Both without
//! what must not happen on somebody's laptop: scripts, FIFOs, files, other namespaces.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::addr::{Cidr, Family};
use crate::config::tree::Statement;

/// What to build, and what to run on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The interfaces that the file names: each is a LAN of its own.
    pub(super) interfaces: Vec<String>,
    /// The configurations of the two routers.
    pub(super) configs: [String; 2],
    /// The addresses of the routers and of the plain host, as `(interface, address, prefix length)`.
    pub(super) addresses: [Vec<(String, IpAddr, u8)>; 3],
    /// The instances.
    pub(super) instances: Vec<Instance>,
    /// What was left out, for people.
    pub(super) left_out: Vec<String>,
}

/// One `vrrp_instance`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Instance {
    pub(super) name: String,
    pub(super) interface: String,
    /// Addresses that a host can ask for: `(interface, address)`, link-local ones left out.
    pub(super) addresses: Vec<(String, IpAddr)>,
    /// Milliseconds.
    pub(super) advert_interval: u64,
}

/// Words of `global_defs` and of instances that reach outside: files, programs, namespaces, privileges.
const OUTSIDE: [&str; 29] = [
    "net_namespace",
    "net_namespace_ipvs",
    "namespace_with_ipsets",
    "instance",
    "use_pid_dir",
    "startup_script",
    "shutdown_script",
    "script_user",
    "notify_fifo",
    "notify_fifo_script",
    "vrrp_notify_fifo",
    "vrrp_notify_fifo_script",
    "lvs_notify_fifo",
    "lvs_notify_fifo_script",
    "notify",
    "notify_master",
    "notify_backup",
    "notify_fault",
    "notify_stop",
    "notify_deleted",
    "notify_master_rx_lower_pri",
    "reload_check_config",
    "reload_time_file",
    "reload_file",
    "state_dump_file",
    "stats_dump_file",
    "json_dump_file",
    "config_save_dir",
    "tmp_config_directory",
];

/// Blocks that run here as they would on the router.
const KEPT: [&str; 8] = [
    "global_defs",
    "vrrp_instance",
    "vrrp_sync_group",
    "vrrp_script",
    "vrrp_track_file",
    "track_file",
    "interface_up_down_delays",
    "linkbeat_interfaces",
];

/// Makes the plan for a file that has been read.
pub(super) fn plan(statements: &[Statement]) -> Result<Plan, String> {
    let mut plan = Plan::default();
    let found: Vec<Found> = statements.iter().filter_map(Found::of).collect();
    if found.is_empty() {
        return Err("the file has no vrrp_instance: there is no failover to see".into());
    }
    let mut lans: BTreeMap<String, Lan> = BTreeMap::new();
    for instance in &found {
        instance.claim(&mut lans);
    }
    for lan in lans.values_mut() {
        lan.complete();
    }
    for (number, config) in plan.configs.iter_mut().enumerate() {
        let mut printer = Printer { text: String::new(), left_out: &mut plan.left_out };
        for statement in statements {
            if statement.keyword.text == "vrrp_instance" {
                if let Some(instance) = found.iter().find(|f| std::ptr::eq(f.statement, statement)) {
                    printer.instance(instance, number == 1, &lans);
                }
            } else if KEPT.contains(&statement.keyword.text.as_str()) {
                printer.statement(statement, 0);
            } else {
                printer.leave_out(&statement.keyword.text);
            }
        }
        *config = printer.text;
    }
    plan.left_out.sort();
    plan.left_out.dedup();
    for (interface, lan) in &lans {
        for (who, addresses) in plan.addresses.iter_mut().enumerate() {
            addresses.extend(lan.nets.iter().map(|net| (interface.clone(), net.hosts[who], net.prefix)));
        }
    }
    plan.interfaces = lans.into_keys().collect();
    plan.instances = found.iter().map(Found::instance).collect();
    Ok(plan)
}

/// An instance as the file has it.
struct Found<'a> {
    statement: &'a Statement,
    name: String,
    interface: String,
    addresses: Vec<(String, Cidr)>,
    source: Option<IpAddr>,
    peers: Vec<IpAddr>,
    interval: f64,
    priority: u8,
}

impl<'a> Found<'a> {
    fn of(statement: &'a Statement) -> Option<Self> {
        if statement.keyword.text != "vrrp_instance" {
            return None;
        }
        let body = &statement.body.as_ref()?.statements;
        let word = |keyword: &str| {
            let found = body.iter().rfind(|s| s.keyword.text == keyword);
            found.and_then(|s| s.args.first()).map(|w| w.text.to_string())
        };
        let block = |keyword: &'static str| {
            let blocks = body.iter().filter(move |s| s.keyword.text == keyword);
            blocks.filter_map(|s| s.body.as_ref()).flat_map(|b| &b.statements)
        };
        let interface = word("interface").or_else(|| word("dev")).unwrap_or_else(|| "eth0".into());
        let mut addresses = Vec::new();
        for line in block("virtual_ipaddress").chain(block("virtual_ipaddress_excluded")) {
            let words: Vec<&str> = std::iter::once(&line.keyword).chain(&line.args).map(|w| w.text.as_str()).collect();
            let device = words.windows(2).find(|w| w[0] == "dev").map_or(interface.as_str(), |w| w[1]);
            addresses.extend(words.first().and_then(|w| cidr(w)).map(|address| (device.to_owned(), address)));
        }
        let state_is_master = word("state").is_some_and(|s| s == "MASTER");
        Some(Self {
            statement,
            name: statement.args.first().map(|w| w.text.to_string()).unwrap_or_default(),
            addresses,
            source: ["unicast_src_ip", "mcast_src_ip"].iter().find_map(|k| word(k)).and_then(|w| w.parse().ok()),
            peers: block("unicast_peer").filter_map(|s| s.keyword.text.parse().ok()).collect(),
            interval: word("advert_int").and_then(|w| w.parse().ok()).unwrap_or(1.0),
            priority: word("priority").and_then(|w| w.parse().ok()).unwrap_or(if state_is_master { 255 } else { 100 }),
            interface,
        })
    }

    /// Enters what the instance needs into the LANs of its interfaces.
    fn claim(&self, lans: &mut BTreeMap<String, Lan>) {
        lans.entry(self.interface.clone()).or_default();
        let body = self.statement.body.iter().flat_map(|b| &b.statements);
        for tracked in body.filter(|s| s.keyword.text == "track_interface").filter_map(|s| s.body.as_ref()) {
            for line in &tracked.statements {
                lans.entry(line.keyword.text.to_string()).or_default();
            }
        }
        for (interface, address) in &self.addresses {
            let lan = lans.entry(interface.clone()).or_default();
            lan.taken.insert(address.address);
            lan.want(*address);
        }
        let lan = lans.entry(self.interface.clone()).or_default();
        let first = self.peers.first().copied();
        for (who, address) in [(0, self.source), (1, first)] {
            let Some(address) = address else { continue };
            lan.own(who, address);
        }
        lan.taken.extend(self.peers.iter().copied());
    }

    fn instance(&self) -> Instance {
        let link_local = |a: &IpAddr| matches!(a, IpAddr::V6(a) if a.is_unicast_link_local());
        let asked = self.addresses.iter().map(|(i, c)| (i.clone(), c.address)).filter(|(_, a)| !link_local(a));
        Instance {
            name: self.name.clone(),
            interface: self.interface.clone(),
            addresses: asked.collect(),
            advert_interval: (self.interval * 1000.0) as u64,
        }
    }
}

fn cidr(word: &str) -> Option<Cidr> {
    let (address, prefix) = word.split_once('/').map_or((word, None), |(a, p)| (a, Some(p)));
    let address: IpAddr = address.parse().ok()?;
    let bits = Family::of(address).bits();
    let prefix = prefix.map_or(Some(bits), |p| p.parse().ok()).filter(|p| *p <= bits)?;
    Some(Cidr { address, prefix })
}

/// The networks that one interface is on.
#[derive(Default)]
struct Lan {
    nets: Vec<Net>,
    taken: BTreeSet<IpAddr>,
}

/// A network with the addresses of the two routers and of the plain host in it.
struct Net {
    network: u128,
    family: Family,
    prefix: u8,
    given: [Option<IpAddr>; 3],
    hosts: [IpAddr; 3],
}

impl Lan {
    /// Has a network that this address is in. A single address is thought to be in the usual kind of network.
    fn want(&mut self, address: Cidr) -> Option<&mut Net> {
        let family = Family::of(address.address);
        if matches!(address.address, IpAddr::V6(a) if a.is_unicast_link_local()) {
            return None;
        }
        let usual = if family == Family::V4 { 24 } else { 64 };
        let prefix = if address.prefix > family.bits() - 3 || address.prefix == 0 { usual } else { address.prefix };
        let network = number(address.address) >> (family.bits() - prefix);
        let same = |net: &Net| {
            let shortest = net.prefix.min(prefix);
            net.family == family && net.network >> (net.prefix - shortest) == network >> (prefix - shortest)
        };
        if !self.nets.iter().any(same) {
            let hosts = [address.address; 3];
            self.nets.push(Net { network, family, prefix, given: [None; 3], hosts });
        }
        self.nets.iter_mut().find(|net| same(net))
    }

    /// A router's own address, because the file says so.
    fn own(&mut self, who: usize, address: IpAddr) {
        self.taken.insert(address);
        if let Some(net) = self.want(Cidr { address, prefix: Family::of(address).bits() }) {
            net.given[who] = Some(address);
        }
    }

    /// Gives everybody an address that nobody has.
    fn complete(&mut self) {
        if !self.nets.iter().any(|net| net.family == Family::V4) {
            // VRRP for IPv4 needs a source address even where the file names no network.
            self.want(Cidr { address: Ipv4Addr::new(192, 0, 2, 1).into(), prefix: 24 });
        }
        for net in &mut self.nets {
            let base = net.network << (net.family.bits() - net.prefix);
            let mut free = (1_u128..).map(|n| address(net.family, base + n)).filter(|a| !self.taken.contains(a));
            for (host, given) in net.hosts.iter_mut().zip(net.given) {
                *host = given.unwrap_or_else(|| free.next().expect("there are more numbers than addresses taken"));
            }
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u32::from(a).into(),
        IpAddr::V6(a) => a.into(),
    }
}

fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from(number as u32).into(),
        Family::V6 => Ipv6Addr::from(number).into(),
    }
}

/// Writes statements as text again.
struct Printer<'a> {
    text: String,
    left_out: &'a mut Vec<String>,
}

impl Printer<'_> {
    fn leave_out(&mut self, keyword: &str) {
        self.left_out.push(keyword.to_owned());
    }

    fn line(&mut self, depth: usize, line: &str) {
        self.text.push_str(&"    ".repeat(depth));
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn statement(&mut self, statement: &Statement, depth: usize) {
        let keyword = statement.keyword.text.as_str();
        if OUTSIDE.contains(&keyword) {
            return self.leave_out(keyword);
        }
        if keyword == "script" && depth == 1 {
            self.leave_out("vrrp_script's script (it always succeeds here)");
            return self.line(depth, "script /bin/true");
        }
        if keyword == "user" && depth == 1 {
            return;
        }
        let words = std::iter::once(&statement.keyword).chain(&statement.args);
        let line: Vec<String> = words.map(|w| quoted(&w.text, w.quoted)).collect();
        self.line(depth, &line.join(" "));
        if let Some(body) = &statement.body {
            self.text.pop();
            self.text.push_str(" {\n");
            for inner in &body.statements {
                self.statement(inner, depth + 1);
            }
            self.line(depth, "}");
        }
    }

    /// An instance, of the router that the file is for or of the second one.
    fn instance(&mut self, instance: &Found<'_>, second: bool, lans: &BTreeMap<String, Lan>) {
        let sources = [0, 1].map(|who| {
            let family = instance.peers.first().map_or(Family::V4, |p| Family::of(*p));
            let nets = lans.get(&instance.interface).map(|lan| &lan.nets);
            nets.and_then(|nets| nets.iter().find(|n| n.family == family)).map(|n| n.hosts[who])
        });
        self.line(0, &format!("vrrp_instance {} {{", quoted(&instance.name, false)));
        let body = instance.statement.body.as_ref().map(|b| b.statements.as_slice()).unwrap_or_default();
        for statement in body {
            match statement.keyword.text.as_str() {
                "state" | "priority" | "nopreempt" | "preempt_delay" | "mcast_src_ip" if second => {}
                "unicast_peer" | "unicast_src_ip" => {}
                _ => self.statement(statement, 1),
            }
        }
        if !instance.peers.is_empty() {
            let [own, other] = if second { [sources[1], sources[0]] } else { sources };
            if let (Some(own), Some(other)) = (own, other) {
                self.line(1, &format!("unicast_src_ip {own}"));
                self.line(1, &format!("unicast_peer {{\n        {other}\n    }}"));
            }
        }
        if second {
            self.line(1, "state BACKUP");
            self.line(1, &format!("priority {}", lower(instance.priority)));
        }
        self.line(0, "}");
    }
}

/// A priority that loses against this one.
fn lower(priority: u8) -> u8 {
    match priority {
        51.. => priority - 50,
        _ => (priority / 2).max(1),
    }
}

fn quoted(word: &str, was_quoted: bool) -> String {
    let plain = !was_quoted && !word.is_empty() && !word.contains([' ', '\t', '"', '\'', '#', '!', '{', '}']);
    if plain { word.to_owned() } else { format!("\"{}\"", word.replace('"', "\\\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Memory;
    use crate::config::{TextOptions, parse};
    use crate::diag::Diagnostics;

    fn planned(text: &str) -> Result<Plan, String> {
        let mut files = Memory::of("/k.conf", text);
        plan(&parse(&mut files, "/k.conf", &TextOptions::default(), &mut Diagnostics::default()).statements)
    }

    const PAIR: &str = "vrrp_instance V {\n state MASTER\n interface wan0\n virtual_router_id 5\n priority 150\n \
                        nopreempt\n virtual_ipaddress {\n 10.1.0.9/24\n 10.1.0.1\n }\n notify /x\n}\n";

    #[test]
    fn the_second_router_loses_the_election() {
        let plan = planned(PAIR).unwrap();
        assert!(plan.configs[0].contains("state MASTER") && plan.configs[0].contains("priority 150"));
        assert!(plan.configs[1].contains("state BACKUP") && plan.configs[1].contains("priority 100"));
        assert!(!plan.configs[1].contains("MASTER") && !plan.configs[1].contains("nopreempt"));
    }

    #[test]
    fn nobody_gets_an_address_of_the_file() {
        let plan = planned(PAIR).unwrap();
        assert_eq!(plan.interfaces, ["wan0"]);
        let first = |who: usize| plan.addresses[who].iter().map(|(_, a, p)| format!("{a}/{p}")).collect::<Vec<_>>();
        assert_eq!([first(0), first(1), first(2)], [["10.1.0.2/24"], ["10.1.0.3/24"], ["10.1.0.4/24"]]);
    }

    #[test]
    fn scripts_are_not_run_and_that_is_said() {
        let plan = planned(PAIR).unwrap();
        assert!(!plan.configs.iter().any(|c| c.contains("/x")));
        assert_eq!(plan.left_out, ["notify"]);
    }

    #[test]
    fn unicast_routers_have_the_addresses_that_the_file_gives_them() {
        let unicast =
            PAIR.replace("nopreempt", "unicast_src_ip 10.1.0.50\n unicast_peer {\n 10.1.0.60\n 10.1.0.61\n }");
        let plan = planned(&unicast).unwrap();
        assert_eq!(plan.addresses[0][0].1.to_string(), "10.1.0.50");
        assert_eq!(plan.addresses[1][0].1.to_string(), "10.1.0.60");
        assert!(plan.configs[1].contains("unicast_src_ip 10.1.0.60"), "{}", plan.configs[1]);
        assert!(plan.configs[1].contains("unicast_peer {\n        10.1.0.50\n"), "{}", plan.configs[1]);
    }

    #[test]
    fn single_addresses_are_in_the_usual_network() {
        let plan = planned(&PAIR.replace("10.1.0.9/24\n", "").replace("10.1.0.1\n", "10.7.7.7\n fd00::7\n")).unwrap();
        let host: Vec<String> = plan.addresses[2].iter().map(|(_, a, p)| format!("{a}/{p}")).collect();
        assert_eq!(host, ["10.7.7.3/24", "fd00::3/64"]);
    }

    #[test]
    fn a_file_without_instances_has_nothing_to_try() {
        assert!(planned("global_defs {\n router_id x\n}\n").is_err());
    }
}
