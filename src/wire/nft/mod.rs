//! nf_tables over netlink: the few messages that marks for IPVS need. Changes go in a batch, which the kernel carries
//! out whole or not at all; what it tells of a table says whether somebody else has changed it.
//!
//! Numbers are in network byte order here, unlike in the rest of netlink.

#[cfg(test)]
mod tests;
mod told;

use std::net::IpAddr;
use std::sync::Arc;

use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST};

use crate::addr::Family;
use crate::wire::genl::{append_with, nest, put, put_text};

pub use told::elements;

/// `NFNL_SUBSYS_NFTABLES`
const SUBSYSTEM: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
const NFTA_TABLE_HANDLE: u16 = 4;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_HANDLE: u16 = 2;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_HANDLE: u16 = 3;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DATA_TYPE: u16 = 6;
const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_DESC: u16 = 9;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_USERDATA: u16 = 13;
const NFTA_SET_EXPR: u16 = 17;
const NFTA_SET_DESC_CONCAT: u16 = 2;
const NFTA_SET_FIELD_LEN: u16 = 1;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_SET_ELEM_KEY_END: u16 = 10;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_META_DREG: u16 = 1;
const NFTA_META_KEY: u16 = 2;
const NFTA_META_SREG: u16 = 3;
const NFTA_CMP_SREG: u16 = 1;
const NFTA_CMP_OP: u16 = 2;
const NFTA_CMP_DATA: u16 = 3;
const NFTA_PAYLOAD_DREG: u16 = 1;
const NFTA_PAYLOAD_BASE: u16 = 2;
const NFTA_PAYLOAD_OFFSET: u16 = 3;
const NFTA_PAYLOAD_LEN: u16 = 4;
const NFTA_LOOKUP_SET: u16 = 1;
const NFTA_LOOKUP_SREG: u16 = 2;
const NFTA_LOOKUP_DREG: u16 = 3;
const NFTA_IMMEDIATE_DREG: u16 = 1;
const NFTA_IMMEDIATE_DATA: u16 = 2;

const NFT_CMP_EQ: u32 = 0;
const NF_ACCEPT: u32 = 1;
const NFT_RETURN: i32 = -5;
const NFT_REG_VERDICT: u32 = 0;
const NFT_SET_INTERVAL: u32 = 0x4;
const NFT_SET_MAP: u32 = 0x8;
const NFT_SET_CONCAT: u32 = 0x80;

/// nft's own numbers of types, six bits each where they stand together; the kernel only keeps them for it.
const IPV4_ADDR: u32 = 7;
const IPV6_ADDR: u32 = 8;
const INET_SERVICE: u32 = 13;
const MARK: u32 = 19;
/// nft's own: that keys (0) and data (1) are in the byte order of the host (1), each in four bytes.
const USERDATA: [u8; 12] = {
    let [a, b, c, d] = 1_u32.to_ne_bytes();
    [0, 4, a, b, c, d, 1, 4, a, b, c, d]
};

/// `enum nf_tables_msg_types`
#[derive(Clone, Copy)]
#[repr(u16)]
enum Kind {
    NewTable = 0,
    GetTable = 1,
    DelTable = 2,
    NewChain = 3,
    GetChain = 4,
    NewRule = 6,
    GetRule = 7,
    NewSet = 9,
    NewSetElem = 12,
    GetSetElem = 13,
    DelSetElem = 14,
}

/// `enum nft_registers`: where an expression puts what the next one takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register(pub u32);

/// A table; there is one of a name in each family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// `ip` or `ip6`.
    pub family: Family,
    /// Its name.
    pub name: Arc<str>,
}

/// What an element of a map says its mark for: addresses and ports, both with their ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The first and the last address, of one family.
    pub addresses: (IpAddr, IpAddr),
    /// The first and the last port.
    pub ports: (u16, u16),
}

/// A part of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Loads what the kernel knows of the packet (`enum nft_meta_keys`).
    Meta(u32, Register),
    /// Sets it.
    SetMeta(u32, Register),
    /// The rule ends unless the register begins with this byte.
    IsByte(Register, u8),
    /// Loads bytes of the packet: base (`enum nft_payload_bases`), offset, length.
    Payload(u32, u32, u32, Register),
    /// Puts what a map has for a key in its place; the rule ends where it has nothing.
    Lookup(&'static str, Register),
    /// Counts.
    Counter,
    /// Leaves the chain.
    Return,
}

/// `NFT_META_MARK`
pub const META_MARK: u32 = 3;
/// `NFT_META_L4PROTO`
pub const META_L4PROTO: u32 = 16;
/// `NFT_PAYLOAD_NETWORK_HEADER`
pub const NETWORK_HEADER: u32 = 1;
/// `NFT_PAYLOAD_TRANSPORT_HEADER`
pub const TRANSPORT_HEADER: u32 = 2;

/// A change, as part of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Makes a table, if it is not there.
    NewTable(Table),
    /// Removes one with everything in it.
    DelTable(Table),
    /// Makes a chain of type `filter` on what is for this machine, which lets pass what it does not judge.
    NewChain {
        /// Where.
        table: Table,
        /// Its name.
        name: &'static str,
        /// Among other chains there; lower is earlier.
        priority: i32,
    },
    /// Makes a map from ranges of address and port to a mark.
    NewMap {
        /// Where.
        table: Table,
        /// Its name.
        name: &'static str,
        /// Its number in the batch.
        id: u32,
        /// Elements count.
        counts: bool,
    },
    /// Appends a rule.
    NewRule {
        /// Where.
        table: Table,
        /// In which chain.
        chain: &'static str,
        /// What it does.
        expressions: Vec<Expression>,
    },
    /// Puts elements into a map; at most [`Request::MOST_ELEMENTS`].
    NewElements {
        /// Where.
        table: Table,
        /// In which map.
        map: &'static str,
        /// With their marks.
        elements: Vec<(Target, u32)>,
    },
    /// Takes elements out of a map; at most [`Request::MOST_ELEMENTS`].
    DelElements {
        /// Where.
        table: Table,
        /// Of which map.
        map: &'static str,
        /// Which.
        targets: Vec<Target>,
    },
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question<'a> {
    /// For a table, see [`Question::state`].
    Table(&'a Table),
    /// For a chain, see [`Question::state`].
    Chain(&'a Table, &'static str),
    /// For all rules of a chain, see [`Question::state`].
    Rules(&'a Table, &'static str),
    /// For all elements of a map, see [`elements`].
    Elements(&'a Table, &'static str),
}

/// Appends the beginning of a batch.
pub fn begin(buffer: &mut Vec<u8>, sequence: u32) {
    put_bound(buffer, NFNL_MSG_BATCH_BEGIN, sequence);
}

/// Appends the end of a batch.
pub fn end(buffer: &mut Vec<u8>, sequence: u32) {
    put_bound(buffer, NFNL_MSG_BATCH_END, sequence);
}

fn put_bound(buffer: &mut Vec<u8>, kind: u16, sequence: u32) {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    append_with(buffer, (kind, NLM_F_REQUEST, sequence), [0, 0, high, low], |_| {});
}

impl Request {
    /// More elements might be too long for one attribute.
    pub const MOST_ELEMENTS: usize = 512;

    /// Appends it with this sequence number; `acknowledged` asks for an answer where nothing fails, too.
    pub fn append(&self, buffer: &mut Vec<u8>, sequence: u32, acknowledged: bool) {
        let (table, kind, flags) = match self {
            Self::NewTable(table) => (table, Kind::NewTable, NLM_F_CREATE),
            Self::DelTable(table) => (table, Kind::DelTable, 0),
            Self::NewChain { table, .. } => (table, Kind::NewChain, NLM_F_CREATE),
            Self::NewMap { table, .. } => (table, Kind::NewSet, NLM_F_CREATE),
            Self::NewRule { table, .. } => (table, Kind::NewRule, NLM_F_CREATE | NLM_F_APPEND),
            Self::NewElements { table, .. } => (table, Kind::NewSetElem, NLM_F_CREATE),
            Self::DelElements { table, .. } => (table, Kind::DelSetElem, 0),
        };
        let flags = NLM_F_REQUEST | flags | if acknowledged { NLM_F_ACK } else { 0 };
        append(buffer, kind, flags, sequence, table.family, |buffer| self.put_attributes(buffer));
    }

    fn put_attributes(&self, buffer: &mut Vec<u8>) {
        match self {
            Self::NewTable(table) => {
                put_text(buffer, NFTA_TABLE_NAME, &table.name);
                put_u32(buffer, NFTA_TABLE_FLAGS, 0);
            }
            Self::DelTable(table) => put_text(buffer, NFTA_TABLE_NAME, &table.name),
            Self::NewChain { table, name, priority } => {
                put_text(buffer, NFTA_CHAIN_TABLE, &table.name);
                put_text(buffer, NFTA_CHAIN_NAME, name);
                put_text(buffer, NFTA_CHAIN_TYPE, "filter");
                put_u32(buffer, NFTA_CHAIN_POLICY, NF_ACCEPT);
                nest(buffer, NFTA_CHAIN_HOOK, |buffer| {
                    put_u32(buffer, NFTA_HOOK_HOOKNUM, libc::NF_INET_LOCAL_IN as u32);
                    put(buffer, NFTA_HOOK_PRIORITY, priority.to_be_bytes());
                });
            }
            Self::NewMap { table, name, id, counts } => put_map(buffer, table, name, *id, *counts),
            Self::NewRule { table, chain, expressions } => {
                put_text(buffer, NFTA_RULE_TABLE, &table.name);
                put_text(buffer, NFTA_RULE_CHAIN, chain);
                nest(buffer, NFTA_RULE_EXPRESSIONS, |buffer| {
                    for expression in expressions {
                        nest(buffer, NFTA_LIST_ELEM, |buffer| put_expression(buffer, expression));
                    }
                });
            }
            Self::NewElements { table, map, elements } => {
                put_elements(buffer, table, map, elements.iter().map(|(target, mark)| (target, Some(*mark))));
            }
            Self::DelElements { table, map, targets } => {
                put_elements(buffer, table, map, targets.iter().map(|target| (target, None)));
            }
        }
    }
}

impl Question<'_> {
    /// Appends it with this sequence number. What comes back ends with an acknowledgement, or as a dump does.
    pub fn append(&self, buffer: &mut Vec<u8>, sequence: u32) {
        let (table, kind, flags) = match self {
            Self::Table(table) => (table, Kind::GetTable, NLM_F_ACK),
            Self::Chain(table, _) => (table, Kind::GetChain, NLM_F_ACK),
            Self::Rules(table, _) => (table, Kind::GetRule, NLM_F_DUMP),
            Self::Elements(table, _) => (table, Kind::GetSetElem, NLM_F_DUMP),
        };
        append(buffer, kind, NLM_F_REQUEST | flags, sequence, table.family, |buffer| match self {
            Self::Table(table) => put_text(buffer, NFTA_TABLE_NAME, &table.name),
            Self::Chain(table, chain) => {
                put_text(buffer, NFTA_CHAIN_TABLE, &table.name);
                put_text(buffer, NFTA_CHAIN_NAME, chain);
            }
            Self::Rules(table, chain) => {
                put_text(buffer, NFTA_RULE_TABLE, &table.name);
                put_text(buffer, NFTA_RULE_CHAIN, chain);
            }
            Self::Elements(table, map) => {
                put_text(buffer, NFTA_SET_ELEM_LIST_TABLE, &table.name);
                put_text(buffer, NFTA_SET_ELEM_LIST_SET, map);
            }
        });
    }
}

/// Appends a message: after the netlink header `struct nfgenmsg` with family, version and two bytes that only batches
/// have a use for.
fn append(
    buffer: &mut Vec<u8>,
    kind: Kind,
    flags: u16,
    sequence: u32,
    family: Family,
    inside: impl FnOnce(&mut Vec<u8>),
) {
    let family = match family {
        Family::V4 => libc::NFPROTO_IPV4,
        Family::V6 => libc::NFPROTO_IPV6,
    };
    append_with(buffer, (SUBSYSTEM << 8 | kind as u16, flags, sequence), [family as u8, 0, 0, 0], inside);
}

fn put_u32(buffer: &mut Vec<u8>, kind: u16, value: u32) {
    put(buffer, kind, value.to_be_bytes());
}

fn put_map(buffer: &mut Vec<u8>, table: &Table, name: &str, id: u32, counts: bool) {
    let (address, address_len) = match table.family {
        Family::V4 => (IPV4_ADDR, 4),
        Family::V6 => (IPV6_ADDR, 16),
    };
    put_text(buffer, NFTA_SET_TABLE, &table.name);
    put_text(buffer, NFTA_SET_NAME, name);
    put_u32(buffer, NFTA_SET_FLAGS, NFT_SET_INTERVAL | NFT_SET_MAP | NFT_SET_CONCAT);
    put_u32(buffer, NFTA_SET_KEY_TYPE, address << 6 | INET_SERVICE);
    put_u32(buffer, NFTA_SET_KEY_LEN, address_len + 4);
    put_u32(buffer, NFTA_SET_DATA_TYPE, MARK);
    put_u32(buffer, NFTA_SET_DATA_LEN, 4);
    put_u32(buffer, NFTA_SET_ID, id);
    nest(buffer, NFTA_SET_DESC, |buffer| {
        nest(buffer, NFTA_SET_DESC_CONCAT, |buffer| {
            for length in [address_len, 2] {
                nest(buffer, NFTA_LIST_ELEM, |buffer| put_u32(buffer, NFTA_SET_FIELD_LEN, length));
            }
        });
    });
    put(buffer, NFTA_SET_USERDATA, USERDATA);
    if counts {
        nest(buffer, NFTA_SET_EXPR, |buffer| put_expression(buffer, &Expression::Counter));
    }
}

fn put_elements<'a>(
    buffer: &mut Vec<u8>,
    table: &Table,
    map: &str,
    elements: impl Iterator<Item = (&'a Target, Option<u32>)>,
) {
    put_text(buffer, NFTA_SET_ELEM_LIST_TABLE, &table.name);
    put_text(buffer, NFTA_SET_ELEM_LIST_SET, map);
    nest(buffer, NFTA_SET_ELEM_LIST_ELEMENTS, |buffer| {
        for (target, mark) in elements {
            nest(buffer, NFTA_LIST_ELEM, |buffer| {
                put_key(buffer, NFTA_SET_ELEM_KEY, target.addresses.0, target.ports.0);
                put_key(buffer, NFTA_SET_ELEM_KEY_END, target.addresses.1, target.ports.1);
                if let Some(mark) = mark {
                    // What is compared with a packet's mark is as the host has it.
                    nest(buffer, NFTA_SET_ELEM_DATA, |buffer| put(buffer, NFTA_DATA_VALUE, mark.to_ne_bytes()));
                }
            });
        }
    });
}

/// Each field of a key fills whole registers of four bytes.
fn put_key(buffer: &mut Vec<u8>, kind: u16, address: IpAddr, port: u16) {
    let [high, low] = port.to_be_bytes();
    nest(buffer, kind, |buffer| match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            put(buffer, NFTA_DATA_VALUE, [a, b, c, d, high, low, 0, 0]);
        }
        IpAddr::V6(address) => {
            let mut key = [0; 20];
            key[..16].copy_from_slice(&address.octets());
            key[16..18].copy_from_slice(&[high, low]);
            put(buffer, NFTA_DATA_VALUE, key);
        }
    });
}

fn put_expression(buffer: &mut Vec<u8>, expression: &Expression) {
    let name = match expression {
        Expression::Meta(..) | Expression::SetMeta(..) => "meta",
        Expression::IsByte(..) => "cmp",
        Expression::Payload(..) => "payload",
        Expression::Lookup(..) => "lookup",
        Expression::Counter => "counter",
        Expression::Return => "immediate",
    };
    put_text(buffer, NFTA_EXPR_NAME, name);
    nest(buffer, NFTA_EXPR_DATA, |buffer| match *expression {
        Expression::Meta(key, Register(register)) => {
            put_u32(buffer, NFTA_META_KEY, key);
            put_u32(buffer, NFTA_META_DREG, register);
        }
        Expression::SetMeta(key, Register(register)) => {
            put_u32(buffer, NFTA_META_KEY, key);
            put_u32(buffer, NFTA_META_SREG, register);
        }
        Expression::IsByte(Register(register), byte) => {
            put_u32(buffer, NFTA_CMP_SREG, register);
            put_u32(buffer, NFTA_CMP_OP, NFT_CMP_EQ);
            nest(buffer, NFTA_CMP_DATA, |buffer| put(buffer, NFTA_DATA_VALUE, [byte]));
        }
        Expression::Payload(base, offset, length, Register(register)) => {
            put_u32(buffer, NFTA_PAYLOAD_DREG, register);
            put_u32(buffer, NFTA_PAYLOAD_BASE, base);
            put_u32(buffer, NFTA_PAYLOAD_OFFSET, offset);
            put_u32(buffer, NFTA_PAYLOAD_LEN, length);
        }
        Expression::Lookup(map, Register(register)) => {
            put_u32(buffer, NFTA_LOOKUP_SREG, register);
            put_u32(buffer, NFTA_LOOKUP_DREG, register);
            put_text(buffer, NFTA_LOOKUP_SET, map);
        }
        Expression::Counter => {}
        Expression::Return => {
            put_u32(buffer, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
            nest(buffer, NFTA_IMMEDIATE_DATA, |buffer| {
                nest(buffer, NFTA_DATA_VERDICT, |buffer| put(buffer, NFTA_VERDICT_CODE, NFT_RETURN.to_be_bytes()));
            });
        }
    });
}
