//! What a test here needs of the machine, and the configurations that the matrix runs.

use std::fmt::Write;
use std::net::IpAddr;

use crate::lan::{DEBIAN, Lan};

/// Says why a test cannot run and returns from it; an error where everything is to run (`CI=true`).
macro_rules! needs {
    () => {
        if let Some(reason) = crate::setup::missing() {
            crate::setup::skip(&reason);
            return;
        }
    };
}
pub(crate) use needs;

/// Tells tests/run of a test that cannot run.
pub(crate) fn skip(reason: &str) {
    use std::io::Write;
    assert!(std::env::var("CI").as_deref() != Ok("true"), "cannot run: {reason}");
    eprintln!("skipped: {reason}");
    if let Some(path) = std::env::var_os("TEST_SKIPS") {
        let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("the list of skipped tests");
        writeln!(file, "{reason}").expect("the list of skipped tests");
    }
}

/// What the machine lacks.
pub(crate) fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root (tests/run asks for it)".into());
    }
    let programs = ["ip", "nft", "tshark", "ping"];
    let absent = |p: &&&str| !std::env::split_paths("/usr/sbin:/usr/bin:/sbin:/bin").any(|d| d.join(p).exists());
    if let Some(program) = programs.iter().find(absent) {
        return Some(format!("needs the program {program}"));
    }
    (!std::path::Path::new(DEBIAN).exists()).then(|| format!("needs Debian's keepalived as {DEBIAN}"))
}

/// The kinds of virtual router that the matrix covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    V2,
    V2Pass,
    V3,
    V3Ipv6,
    V2Unicast,
    V3Unicast,
    V3Ipv6Unicast,
}

impl Variant {
    pub(crate) fn is_ipv6(self) -> bool {
        matches!(self, Self::V3Ipv6 | Self::V3Ipv6Unicast)
    }

    pub(crate) fn is_unicast(self) -> bool {
        matches!(self, Self::V2Unicast | Self::V3Unicast | Self::V3Ipv6Unicast)
    }

    pub(crate) fn version(self) -> u8 {
        if matches!(self, Self::V2 | Self::V2Pass | Self::V2Unicast) { 2 } else { 3 }
    }

    /// Seconds: the least that version 2 has, and for version 3 few enough to be quick and enough for a busy machine.
    pub(crate) fn interval(self) -> f64 {
        if self.version() == 2 { 1.0 } else { 0.4 }
    }

    /// The address that moves.
    pub(crate) fn vip(self) -> IpAddr {
        if self.is_ipv6() { "fd99::100".parse().unwrap() } else { "10.99.0.100".parse().unwrap() }
    }
}

/// One router's `vrrp_instance`, to be changed and then written out.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) variant: Variant,
    pub(crate) state: &'static str,
    pub(crate) priority: u8,
    /// More lines inside the instance.
    pub(crate) more: String,
}

impl Instance {
    pub(crate) fn new(variant: Variant, state: &'static str, priority: u8) -> Self {
        Self { variant, state, priority, more: String::new() }
    }

    pub(crate) fn with(mut self, line: &str) -> Self {
        let _ = writeln!(self.more, "    {line}");
        self
    }

    /// The whole file for host `host`, whose only peer is `peer`.
    pub(crate) fn file(&self, lan: &Lan, host: char, peer: char) -> String {
        let variant = self.variant;
        let mut text = format!(
            "global_defs {{\n    router_id {host}\n}}\nvrrp_instance VI_1 {{\n    state {}\n    interface eth0\n    \
             virtual_router_id 51\n    priority {}\n    version {}\n    advert_int {}\n",
            self.state,
            self.priority,
            variant.version(),
            variant.interval(),
        );
        if variant == Variant::V2Pass {
            text += "    authentication {\n        auth_type PASS\n        auth_pass s3cret\n    }\n";
        }
        if variant.is_unicast() {
            let own = |h: char| if variant.is_ipv6() { v6(lan, h) } else { lan.address(h) };
            let _ =
                writeln!(text, "    unicast_src_ip {}\n    unicast_peer {{\n        {}\n    }}", own(host), own(peer));
        }
        text += &self.more;
        text += "    virtual_ipaddress {\n";
        // The first IPv6 address of a virtual router is to be link-local (RFC 9568 §5.2.9).
        text += if variant.is_ipv6() {
            "        fe80::99:100/64\n        fd99::100/64\n"
        } else {
            "        10.99.0.100/24\n"
        };
        text + "    }\n}\n"
    }
}

fn v6(lan: &Lan, host: char) -> IpAddr {
    format!("fd99::{}", lan.mac(host)[5]).parse().unwrap()
}
