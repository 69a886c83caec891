//! Which keywords are followed by braces: all that the tree needs to know of them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::OnceLock;

use super::keywords::{self, Kind};

/// What may follow a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A block of statements.
    Block,
    /// A block of entries that are no keywords.
    List,
    /// No braces.
    Line,
}

/// Something for each word that we know.
type Known<T> = HashMap<&'static [u8], T, BuildHasherDefault<Fnv>>;

/// The keywords of a block.
pub type Shapes = Known<Shape>;

/// The keywords that may stand in a block; the top level is the block of no name.
pub fn of(block: &[u8]) -> &'static Shapes {
    static ALL: OnceLock<Known<Shapes>> = OnceLock::new();
    static NONE: OnceLock<Shapes> = OnceLock::new();
    ALL.get_or_init(collect).get(block).unwrap_or_else(|| NONE.get_or_init(Shapes::default))
}

/// FNV-1a, for words as short as keywords. Nobody can fill the tables with words of his own, so it need not be a hash
/// that no enemy can foresee.
#[derive(Debug)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn write_usize(&mut self, number: usize) {
        self.0 ^= number as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn collect() -> Known<Shapes> {
    let mut all: Known<Shapes> = Known::default();
    keywords::each_block(|path, entries| {
        let block = path.rsplit('/').next().unwrap_or(path);
        let shapes = all.entry(block.as_bytes()).or_default();
        for entry in entries {
            shapes.insert(entry.name.as_bytes(), if entry.kind == Kind::Block { Shape::Block } else { Shape::Line });
        }
    });
    for (table, shape) in [(BLOCKS, Shape::Block), (LISTS, Shape::List)] {
        for (block, keywords) in table {
            let shapes = all.entry(block.as_bytes()).or_default();
            shapes.extend(keywords.iter().map(|keyword| (keyword.as_bytes(), shape)));
        }
    }
    all
}

/// The keywords that open a block of statements, by the block they stand in.
const BLOCKS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "global_defs",
            "track_group",
            "vrrp_sync_group",
            "garp_group",
            "vrrp_instance",
            "vrrp_script",
            "vrrp_track_process",
            "SSL",
            "virtual_server",
            "bfd_instance",
            "track_file",
            "vrrp_track_file",
        ],
    ),
    ("vrrp_instance", &["authentication", "auth_hmac"]),
    ("virtual_server", &["real_server"]),
    (
        "real_server",
        &[
            "MISC_CHECK",
            "SMTP_CHECK",
            "TCP_CHECK",
            "PING_CHECK",
            "UDP_CHECK",
            "HTTP_GET",
            "SSL_GET",
            "DNS_CHECK",
            "FILE_CHECK",
            "BFD_CHECK",
        ],
    ),
    ("SMTP_CHECK", &["host"]),
    ("HTTP_GET", &["url"]),
    ("SSL_GET", &["url"]),
];

/// The keywords that open a list of entries.
const LISTS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "static_ipaddress",
            "static_routes",
            "static_rules",
            "linkbeat_interfaces",
            "interface_up_down_delays",
            "virtual_server_group",
        ],
    ),
    ("global_defs", &["notification_email"]),
    ("track_group", &["group"]),
    ("garp_group", &["interfaces"]),
    ("vrrp_sync_group", &["group", "track_interface", "track_script", "track_file", "track_process", "track_bfd"]),
    (
        "vrrp_instance",
        &[
            "unicast_peer",
            "track_interface",
            "track_script",
            "track_file",
            "track_process",
            "track_bfd",
            "virtual_ipaddress",
            "virtual_ipaddress_excluded",
            "virtual_routes",
            "virtual_rules",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_word_may_be_a_block_here_and_a_list_there() {
        assert_eq!(of(b"").get(&b"track_file"[..]), Some(&Shape::Block));
        assert_eq!(of(b"vrrp_instance").get(&b"track_file"[..]), Some(&Shape::List));
        assert_eq!(of(b"vrrp_instance").get(&b"priority"[..]), Some(&Shape::Line));
        assert_eq!(of(b"vrrp_instance").get(&b"pirority"[..]), None);
        assert!(of(b"nothing of ours").is_empty());
    }

    #[test]
    fn every_block_of_the_keyword_tables_has_braces_here() {
        keywords::each_block(|path, entries| {
            let block = path.rsplit('/').next().unwrap_or(path);
            for entry in entries.iter().filter(|entry| entry.kind == Kind::Block) {
                let listed = [BLOCKS, LISTS].concat();
                let is_listed = listed.iter().any(|(at, keywords)| *at == block && keywords.contains(&entry.name));
                assert!(is_listed, "{} in '{path}'", entry.name);
            }
        });
    }
}
