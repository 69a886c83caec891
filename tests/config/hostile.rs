//! Long and malicious configurations: what is said of them has bounds, and no rule compares all with all.
//!
//! There is no clock here. A rule that compared each of [`MANY`] things with each other would need some 10^10 steps, and
//! this test minutes instead of moments.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepalived_rs::config::machine::FakeMachine;
use keepalived_rs::config::preprocess::MAX_LOOKUPS;
use keepalived_rs::config::source::{Files, Memory, ReadError};
use keepalived_rs::config::{LoadOptions, Loaded, load};
use keepalived_rs::diag::render::{self, Style};
use keepalived_rs::diag::{Code, MAX_DIAGNOSTICS};

use crate::kit::read;

const MANY: u32 = 100_000;

/// A service that is complete.
const SERVICE: &str =
    "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\nreal_server 10.0.0.2 80 {\n}\n}\n";

/// What findings may take on a terminal: a few KiB each.
const MAX_OUTPUT: usize = 4 << 20;

fn repeated(text: impl Fn(u32) -> String) -> String {
    (0..MANY).map(text).collect()
}

fn address(number: u32) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::from_bits(0x0a00_0000 | number)
}

fn instance(name: u32, more: &str) -> String {
    format!(
        "vrrp_instance V{name} {{\ninterface eth0\nvirtual_router_id {}\nvirtual_ipaddress {{\n{}\n}}\n{more}}}\n",
        name % 255 + 1,
        address(name),
    )
}

fn inside(block: &str, text: &str) -> String {
    format!("{block} {{\n{text}}}\n")
}

/// Reads a text, and checks that what is said of it has bounds.
fn survived(what: &str, text: &str) -> Loaded {
    let loaded = read(text);
    let shown = loaded.diagnostics.iter().count();
    assert!(shown <= MAX_DIAGNOSTICS + 1, "{what}: {shown} findings");
    let output = render::all(&loaded.diagnostics, &loaded.sources, Style::default()).len();
    assert!(output < MAX_OUTPUT, "{what}: {output} bytes of findings");
    loaded
}

#[test]
fn a_hundred_thousand_of_anything_are_read_in_one_pass() {
    let one = |lines: String| inside("vrrp_instance V", &format!("interface eth0\nvirtual_router_id 1\n{lines}"));
    let script = |n| format!("vrrp_script s{n} {{\nscript /bin/true\n}}\n");
    let server = |n, lines: &str| format!("real_server {} 80 {{\n{lines}\n}}\n", address(n));
    for (what, text) in [
        ("instances", repeated(|n| instance(n, ""))),
        ("addresses", one(inside("virtual_ipaddress", &repeated(|n| format!("{}\n", address(n)))))),
        ("peers", one(inside("unicast_peer", &repeated(|n| format!("{}\n", address(n)))))),
        ("blocks of peers", one(repeated(|n| inside("unicast_peer", &format!("{}\n", address(n)))))),
        ("scripts", repeated(script)),
        ("tracked scripts", repeated(script) + &repeated(|n| instance(n, &inside("track_script", &format!("s{n}\n"))))),
        ("a group's scripts", {
            repeated(script) + &inside("vrrp_sync_group G", &inside("track_script", &repeated(|n| format!("t{n}\n"))))
        }),
        ("groups", repeated(|n| inside(&format!("vrrp_sync_group G{n}"), &inside("group", &format!("V{n}\n"))))),
        ("sessions", repeated(|n| format!("bfd_instance b{n} {{\nneighbor_ip {}\n}}\n", address(n)))),
        ("files to track", {
            let file = |n| format!("track_file f{n} {{\nfile /tmp/f\n}}\n");
            let check = |n| server(n, &format!("FILE_CHECK {{\ntrack_file f{n}\n}}"));
            repeated(file) + &inside("virtual_server 10.0.0.1 80", &repeated(check))
        }),
        ("services", repeated(|n| inside(&format!("virtual_server {} 80", address(n)), &server(n, "")))),
        ("interfaces", repeated(|n| inside(&format!("vrrp_instance V{n}"), &format!("interface e{n}\n")))),
        ("parameters", repeated(|n| format!("$A{n}=x\n")) + &repeated(|n| format!("b ${{B{n}}}\n"))),
        ("unknown words", repeated(|n| format!("priroity{n} x\n"))),
        ("unknown words in a block", one(repeated(|n| format!("priroity{n} x\n")))),
        ("unknown blocks", repeated(|n| format!("vrrp_instanec V{n} {{\nx\n}}\n"))),
    ] {
        survived(what, &text);
    }
}

#[test]
fn a_hundred_thousand_times_the_same_is_told_and_counted() {
    for (what, code, text) in [
        ("instance", Code::DUPLICATE_NAME, instance(1, "").repeat(MANY as usize)),
        ("script", Code::DUPLICATE_NAME, "vrrp_script s {\nscript /bin/true\n}\n".repeat(MANY as usize)),
        ("address", Code::DUPLICATE_ADDRESS, {
            instance(1, &inside("virtual_ipaddress", &"10.0.0.1\n".repeat(MANY as usize)))
        }),
        ("peer", Code::DUPLICATE_ADDRESS, instance(1, &inside("unicast_peer", &"10.0.0.1\n".repeat(MANY as usize)))),
        ("service", Code::DUPLICATE_NAME, { SERVICE.repeat(MANY as usize) }),
        ("closing brace", Code::EXTRA_CLOSE_BRACE, "}\n".repeat(1_000_000)),
        ("opening brace", Code::UNEXPECTED_OPEN_BRACE, "{\n".repeat(1_000_000)),
        ("quote", Code::UNMATCHED_QUOTE, "\"\n".repeat(1_000_000)),
        ("long line", Code::LINE_TOO_LONG, ("x".repeat(70_000) + "\n").repeat(1_100)),
        ("long word", Code::UNKNOWN_KEYWORD, ("x".repeat(60_000) + "\n").repeat(1_100)),
        ("long number", Code::BAD_NUMBER, instance(1, &format!("priority {}\n", "x".repeat(60_000)).repeat(1_100))),
    ] {
        let loaded = survived(what, &text);
        let told = loaded.diagnostics.iter().filter(|finding| finding.code == code).count();
        assert!(told > 900 && loaded.diagnostics.omitted > 50, "{what}: {told}, and {}", loaded.diagnostics.omitted);
    }
}

#[test]
fn a_file_that_is_included_twice_shows_its_repetitions() {
    let mut files = Memory::of("/k.conf", "include a.conf\ninclude a.conf\n").with("/a.conf", SERVICE);
    let loaded = load(&mut files, "/k.conf", &LoadOptions::default(), &FakeMachine::default());
    let twice = loaded.diagnostics.iter().filter(|finding| finding.code == Code::DUPLICATE_NAME).count();
    assert_eq!(twice, 1);
}

#[test]
fn includes_that_stand_for_millions_of_names_look_for_some_of_them() {
    /// A directory without files that counts how often it is asked.
    struct Empty(usize);
    impl Files for Empty {
        fn matches(&mut self, _: &Path, pattern: &str) -> Vec<PathBuf> {
            self.0 += 1;
            if pattern == "/k.conf" { vec![pattern.into()] } else { Vec::new() }
        }
        fn read(&mut self, _: &Path) -> Result<Arc<Vec<u8>>, ReadError> {
            let line = format!("include {}\n", "{a,b}".repeat(12));
            Ok(Arc::new(line.repeat(1_000).into_bytes()))
        }
        fn environment(&mut self, _: &str) -> Option<String> {
            None
        }
    }
    let mut files = Empty(0);
    let loaded = load(&mut files, "/k.conf", &LoadOptions::default(), &FakeMachine::default());
    assert!(files.0 <= MAX_LOOKUPS + 1, "{}", files.0);
    assert_eq!(loaded.diagnostics.start_status(), Some(2));
}
