//! `bfd_instance`.

use super::{Block, Value, flag, number, option, switch, thousandths, value};
use crate::config::draft::BfdDraft;
use crate::config::reader::{Given, Reader, Spanned};
use crate::config::value as values;
use crate::diag::Code;

const MILLIS: u64 = 4_294_967_000;

/// `bfd_instance NAME { }`
pub static BFD_INSTANCE: Block<BfdDraft> = Block {
    path: "bfd_instance",
    keywords: &[
        value("neighbor_ip", Value::Words("<address>"), "the other end of the session")
            .default("none; it must be given")
            .keep(neighbour),
        value("neighbour_ip", Value::Words("<address>"), "neighbor_ip in another spelling")
            .default("none")
            .keep(neighbour),
        value("source_ip", Value::Address, "own address")
            .default("the kernel's choice")
            .keep(|b, g, _| b.source = g.address()),
        interval("min_rx", 1_000, "how often we can hear").default("10").later(),
        interval("min_tx", 1_000, "how often we want to send").default("10").later(),
        interval("idle_tx", 1_000_000, "how often we send while the session is down").default("1000").later(),
        number("multiplier", 1, 255, "packets that may be missed").default("5").unit("packets").later(),
        flag("passive", "let the neighbour begin").later(),
        number("ttl", 1, 255, "TTL of our packets")
            .default("255; IPv6 64")
            .unit("hops")
            .keep(|b, g, _| b.ttl = g.plain()),
        number("hoplimit", 1, 255, "ttl in IPv6's words")
            .default("as ttl")
            .unit("hops")
            .keep(|b, g, _| b.ttl = g.plain()),
        number("max_hops", -1, 255, "how far away the neighbour may be; -1 is anywhere")
            .default("0")
            .unit("hops")
            .keep(|b, g, _| b.max_hops = g.number()),
        switch("multihop", "session over several hops, RFC 5883").since("2.2.8").keep(|b, g, _| b.multihop = g.on()),
        number("weight", -253, 253, "points for track_bfd lines that name none; 0 is FAULT while the session is down")
            .default("0")
            .unit("priority points")
            .options(&[option("reverse", "up and down change places").default("off")])
            .keep(weight),
        flag("vrrp", "tell virtual routers; with this word alone, checkers are not told")
            .default("both are told")
            .keep(|b, _, _| b.vrrp = true),
        flag("checker", "tell checkers; with this word alone, virtual routers are not told")
            .default("both are told")
            .keep(|b, _, _| b.checker = true),
    ],
};

const fn interval(name: &'static str, min: u64, about: &'static str) -> super::Entry {
    thousandths(name, min, MILLIS, about).unit("milliseconds")
}

fn neighbour(bfd: &mut BfdDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(word) = given.line.args.first() else { return };
    let address = values::address(&word.text).map(|address| Spanned::new(address, word.span));
    if address.is_none() {
        reader
            .error(Code::BAD_ADDRESS, word.span, format!("'{}' is no address; the bfd_instance is skipped", word.text))
            .help("host names are not looked up; write the address itself");
    }
    bfd.neighbour = Some(address);
}

fn weight(bfd: &mut BfdDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    bfd.weight = given.plain();
    if let Some(word) = given.line.args.get(1).filter(|word| word.text != "reverse") {
        let message = format!("weight does not know '{}'; the word is ignored", word.text);
        reader.error(Code::UNKNOWN_OPTION, word.span, message).help("only reverse may follow the number");
    }
}
