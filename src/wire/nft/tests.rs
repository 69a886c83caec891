//! Bytes are those of nft 1.0.6, seen with `strace -e write=3`, without its own number of the map in the batch, and with
//! keepalived's user data.

use proptest::prelude::*;

use super::*;

const MAP: &str = "tcp_map";

fn table(family: Family) -> Table {
    Table { family, name: "t".into() }
}

fn target(first: &str, last: &str, port: u16) -> Target {
    Target { addresses: (first.parse().unwrap(), last.parse().unwrap()), ports: (port, port) }
}

/// What follows the netlink header, whose own parts must be right.
fn written(request: &Request, kind: u16, flags: u16) -> String {
    let mut bytes = Vec::new();
    request.append(&mut bytes, 7, true);
    let (header, body) = bytes.split_at(16);
    let length = u32::try_from(bytes.len()).unwrap().to_ne_bytes();
    let expected = [&length[..], &kind.to_ne_bytes(), &(flags | 5).to_ne_bytes(), &7_u32.to_ne_bytes(), &[0; 4]];
    assert_eq!(header, expected.concat());
    hex(body)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

fn rule(offset: u32, length: u32, next: Register, counts: bool) -> Vec<Expression> {
    let first = Register(1);
    let mut expressions = vec![
        Expression::Meta(META_L4PROTO, first),
        Expression::IsByte(first, 6),
        Expression::Payload(NETWORK_HEADER, offset, length, first),
        Expression::Payload(TRANSPORT_HEADER, 2, 2, next),
        Expression::Lookup(MAP, first),
        Expression::SetMeta(META_MARK, first),
    ];
    expressions.extend(counts.then_some(Expression::Counter));
    expressions.push(Expression::Return);
    expressions
}

#[test]
fn a_batch_is_marked_at_both_ends() {
    let mut bytes = Vec::new();
    begin(&mut bytes, 1);
    end(&mut bytes, 2);
    assert_eq!(hex(&bytes), "140000001000010001000000000000000000000a140000001100010002000000000000000000000a");
}

#[test]
fn tables_and_chains_are_nft_s() {
    let v4 = table(Family::V4);
    let new = written(&Request::NewTable(v4.clone()), 0xa00, 0x400);
    assert_eq!(new, "0200000006000100740000000800020000000000");
    let chain = Request::NewChain { table: v4.clone(), name: "in", priority: -1 };
    assert_eq!(
        written(&chain, 0xa03, 0x400),
        "02000000060001007400000007000300696e00000b00070066696c746572000008000500000000011400048008000100\
         0000000108000200ffffffff"
    );
    assert_eq!(written(&Request::DelTable(v4), 0xa02, 0), "020000000600010074000000");
}

#[test]
fn maps_are_nft_s() {
    let v4 = Request::NewMap { table: table(Family::V4), name: MAP, id: 1, counts: true };
    assert_eq!(
        written(&v4, 0xa09, 0x400),
        "0200000006000100740000000c0002007463705f6d617000080003000000008c08000400000001cd0800050000000008\
         0800060000000013080007000000000408000a0000000001200009801c0002800c00018008000100000000040c000180\
         080001000000000210000d00000401000000010401000000140011800c000100636f756e7465720004000280"
    );
    let v6 = Request::NewMap { table: table(Family::V6), name: MAP, id: 1, counts: false };
    assert_eq!(
        written(&v6, 0xa09, 0x400),
        "0a00000006000100740000000c0002007463705f6d617000080003000000008c080004000000020d0800050000000014\
         0800060000000013080007000000000408000a0000000001200009801c0002800c00018008000100000000100c000180\
         080001000000000210000d00000401000000010401000000"
    );
}

#[test]
fn rules_are_nft_s() {
    let v4 = rule(16, 4, Register(9), true);
    assert_eq!(
        written(&Request::NewRule { table: table(Family::V4), chain: "in", expressions: v4 }, 0xa06, 0xc00),
        "02000000060001007400000007000200696e00005401048024000180090001006d657461000000001400028008000200\
         0000001008000100000000012c00018008000100636d700020000280080001000000000108000200000000000c000380\
         0500010006000000340001800c0001007061796c6f616400240002800800010000000001080002000000000108000300\
         000000100800040000000004340001800c0001007061796c6f6164002400028008000100000000090800020000000002\
         08000300000000020800040000000002300001800b0001006c6f6f6b7570000020000280080002000000000108000300\
         000000010c0001007463705f6d61700024000180090001006d6574610000000014000280080002000000000308000300\
         00000001140001800c000100636f756e7465720004000280300001800e000100696d6d6564696174650000001c000280\
         0800010000000000100002800c00028008000100fffffffb"
    );
    let v6 = rule(24, 16, Register(2), false);
    assert_eq!(
        written(&Request::NewRule { table: table(Family::V6), chain: "in", expressions: v6 }, 0xa06, 0xc00),
        "0a000000060001007400000007000200696e00004001048024000180090001006d657461000000001400028008000200\
         0000001008000100000000012c00018008000100636d700020000280080001000000000108000200000000000c000380\
         0500010006000000340001800c0001007061796c6f616400240002800800010000000001080002000000000108000300\
         000000180800040000000010340001800c0001007061796c6f6164002400028008000100000000020800020000000002\
         08000300000000020800040000000002300001800b0001006c6f6f6b7570000020000280080002000000000108000300\
         000000010c0001007463705f6d61700024000180090001006d6574610000000014000280080002000000000308000300\
         00000001300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c00028008000100\
         fffffffb"
    );
}

#[test]
fn elements_are_nft_s_and_read_as_they_were_written() {
    let (v4, v6) = (target("192.0.2.1", "192.0.2.9", 80), target("2001:db8::1", "2001:db8::1", 80));
    let put =
        |family, target, mark| Request::NewElements { table: table(family), map: MAP, elements: vec![(target, mark)] };
    let four = written(&put(Family::V4, v4, 1000), 0xa0c, 0x400);
    assert_eq!(
        four,
        "0200000006000100740000000c0002007463705f6d6170003400038030000180100001800c000100c000020100500000\
         10000a800c000100c0000209005000000c00028008000100e8030000"
    );
    let six = written(&put(Family::V6, v6, 1001), 0xa0c, 0x400);
    assert_eq!(
        six,
        "0a00000006000100740000000c0002007463705f6d6170004c000380480001801c0001801800010020010db800000000\
         0000000000000001005000001c000a801800010020010db8000000000000000000000001005000000c00028008000100\
         e9030000"
    );
    let take = Request::DelElements { table: table(Family::V4), map: MAP, targets: vec![v4] };
    assert_eq!(
        written(&take, 0xa0e, 0),
        "0200000006000100740000000c0002007463705f6d6170002800038024000180100001800c000100c000020100500000\
         10000a800c000100c000020900500000"
    );
    assert_eq!(elements(&unhex(&four)).unwrap(), [(v4, 1000)]);
    assert_eq!(elements(&unhex(&six)).unwrap(), [(v6, 1001)]);
}

#[test]
fn the_longest_list_of_elements_fits_its_attribute() {
    let all = vec![(target("::", "::", 1), 1); Request::MOST_ELEMENTS];
    let mut bytes = Vec::new();
    Request::NewElements { table: table(Family::V6), map: MAP, elements: all }.append(&mut bytes, 1, false);
    assert_eq!(elements(&bytes[16..]).unwrap().len(), Request::MOST_ELEMENTS);
}

#[test]
fn a_table_a_chain_and_a_rule_are_known_by_their_handles() {
    let table = table(Family::V4);
    let told = unhex("02000000 06000100 74000000 08000200 00000001 08000300 00000001 0c000400 0000000000000009");
    assert_eq!(Question::Table(&table).state(&told).unwrap(), [9, 1]);
    let told = unhex("02000000 06000100 74000000 07000300 696e0000 0c000200 0000000000000002 08000500 00000001");
    assert_eq!(Question::Chain(&table, "in").state(&told).unwrap(), [2, 1]);
    let told = unhex("02000000 06000100 74000000 07000200 696e0000 0c000300 0000000000000005");
    assert_eq!(Question::Rules(&table, "in").state(&told).unwrap(), [5, 0]);
    assert!(Question::Rules(&table, "in").state(&told[..4]).is_err());
}

proptest! {
    #[test]
    fn no_payload_can_stop_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let table = table(Family::V4);
        let _ = elements(&bytes);
        for question in [Question::Table(&table), Question::Chain(&table, "in"), Question::Elements(&table, MAP)] {
            let _ = question.state(&bytes);
        }
    }
}
