//! Route and rule lines: `virtual_routes`, `virtual_rules`, `static_routes`, `static_rules`.

use std::slice::Iter;

use super::{Entry, Value, option, option_value};
use crate::addr::Family;
use crate::config::reader::{Given, Reader, Spanned};
use crate::config::tree::Word;
use crate::config::value as values;
use crate::diag::{Code, Span};

const U32: i64 = 4_294_967_295;
const U31: i64 = 2_147_483_647;
const TIME: Value = Value::Words("[lock] <time, such as 300ms or 2s>");
const LOCKED: Value = Value::Words("[lock] <number 0 to 4294967295>");
const NUMBER_OR_NAME: Value = Value::Words("<number 0 to 255>|<name>");
const NETWORK: Value = Value::Words("<address>[/<prefix>]|default|any|all");

/// Words of a `virtual_routes` line.
pub const ROUTE_OPTIONS: &[Entry] = &[
    option("<DEST>", "the network the route leads to; default is all").default("none; it must be given"),
    option_value("to", NETWORK, "the same, after a word of its own"),
    option("<TYPE>", "kind of the route: unicast, local, broadcast, multicast, anycast, throw, unreachable, prohibit, blackhole, nat, xresolve")
        .default("unicast"),
    option("inet", "it is an IPv4 route").default("by its addresses"),
    option("inet6", "it is an IPv6 route").default("by its addresses"),
    option_value("src", Value::Address, "source address that packets prefer").default("none"),
    option_value("as", Value::Words("[to] <address>"), "next hop of another family, as iproute2 has it"),
    option_value("via", Value::Words("[inet|inet6] <address>"), "next router").default("none"),
    option_value("gw", Value::Words("[inet|inet6] <address>"), "via by its old name").default("none").deprecated("via"),
    option_value("from", NETWORK, "only for packets from there, IPv6").default("none"),
    option_value("tos", NUMBER_OR_NAME, "only for packets with this TOS").default("0"),
    option_value("dsfield", NUMBER_OR_NAME, "tos by another name").default("0"),
    option_value("table", Value::Words("<number 0 to 4294967295>|<name>"), "routing table").default("main"),
    option_value("protocol", NUMBER_OR_NAME, "who made the route").default("18: keepalived"),
    option_value("scope", NUMBER_OR_NAME, "how far the destination is").default("global"),
    option_value("metric", Value::Number(0, U32), "preference among equal routes; the lowest is taken").default("0"),
    option_value("priority", Value::Number(0, U32), "metric by another name").default("0"),
    option_value("preference", Value::Number(0, U32), "metric by another name").default("0"),
    option_value("dev", Value::Interface, "interface it goes out by").default("none"),
    option_value("oif", Value::Interface, "dev by another name").default("none"),
    option("onlink", "the next router is on the link, whatever its address").default("off"),
    option_value("encap", Value::Words("ip|ip6|mpls|ila ..."), "packets are wrapped").default("none").options(ENCAP),
    option_value("expires", Value::Number(0, U32), "when it goes by itself, IPv6").default("never").unit("seconds"),
    option_value("mtu", LOCKED, "MTU of the path").default("none").unit("bytes"),
    option_value("hoplimit", Value::Number(0, 255), "hop limit of packets").default("none").unit("hops"),
    option_value("advmss", LOCKED, "segment size that TCP offers").default("none").unit("bytes"),
    option_value("rtt", TIME, "first guess of the round trip time").default("none"),
    option_value("rttvar", TIME, "first guess of how it varies").default("none"),
    option_value("reordering", LOCKED, "how far packets may overtake each other").default("none"),
    option_value("window", Value::Number(0, U32), "largest window that TCP offers").default("none").unit("bytes"),
    option_value("cwnd", LOCKED, "limit of the congestion window").default("none"),
    option_value("ssthresh", LOCKED, "first slow start threshold").default("none"),
    option_value("realms", Value::Words("[<from>/]<to>"), "realms of the route").default("none"),
    option_value("rto_min", TIME, "least time before TCP sends again").default("none"),
    option_value("initcwnd", Value::Number(0, U32), "first congestion window").default("none").unit("segments"),
    option_value("initrwnd", Value::Number(0, U32), "first receive window").default("none").unit("segments"),
    option_value("features", Value::Words("ecn"), "features for the destination").default("none"),
    option_value("quickack", Value::Number(0, 1), "acknowledge at once").default("none"),
    option_value("congctl", Value::Words("[lock] <name>"), "congestion control").default("none"),
    option_value("pref", Value::Words("low|medium|high|<number 0 to 255>"), "preference as routers advertise it, IPv6").default("none"),
    option_value("ttl-propagate", Value::Words("enabled|disabled"), "MPLS hands the TTL on").default("none"),
    option_value("fastopen_no_cookie", Value::Number(0, 1), "TCP fast open without a cookie").default("none"),
    option("add", "put it after equal routes, if there is none like it").default("prepend"),
    option("prepend", "put it before equal routes").default("on"),
    option("append", "put it after equal routes").default("prepend"),
    option_value("or", Value::Address, "a second next router").default("none").deprecated("nexthop"),
    option_value("nexthop", Value::Words("[via <address>] [dev <interface>] [weight <number 1 to 256>] ..."), "one of several next routers")
        .default("none")
        .options(NEXTHOP),
    option("no_track", "do not mind its loss or that of its interface").default("off"),
    option_value("vrf", Value::Interface, "the table of this VRF").default("none"),
];

/// Words of a `static_routes` line.
pub const STATIC_ROUTE_OPTIONS: &[Entry] = &super::with::<{ ROUTE_OPTIONS.len() + 1 }>(ROUTE_OPTIONS, TRACK_GROUP);

/// Words of a `static_rules` line.
pub const STATIC_RULE_OPTIONS: &[Entry] = &super::with::<{ RULE_OPTIONS.len() + 1 }>(RULE_OPTIONS, TRACK_GROUP);

const TRACK_GROUP: Entry =
    option_value("track_group", Value::Text, "track_group whose instances go to FAULT with its interface")
        .default("none");

const NEXTHOP: &[Entry] = &[
    option_value("via", Value::Words("[inet|inet6] <address>"), "next router").default("none"),
    option_value("dev", Value::Interface, "interface it goes out by").default("none"),
    option_value("weight", Value::Number(1, 256), "its share among the others").default("1"),
    option("onlink", "the next router is on the link, whatever its address").default("off"),
    option_value("encap", Value::Words("ip|ip6|mpls|ila ..."), "packets are wrapped").default("none"),
    option_value("realms", Value::Words("[<from>/]<to>"), "realms of this hop").default("none"),
    option_value("as", Value::Words("[to] <address>"), "next hop of another family"),
];

const ENCAP: &[Entry] = &[
    option("ip", "in IPv4"),
    option("ip6", "in IPv6"),
    option_value("mpls", Value::Words("<label 0 to 1048575>[/<label> ...]"), "with these MPLS labels"),
    option_value("ila", Value::Words("<four hexadecimal groups>"), "by identifier locator addressing"),
    option_value("id", Value::Words("<number>"), "tunnel id").default("none"),
    option_value("dst", Value::Address, "far end of the tunnel").default("none"),
    option_value("src", Value::Address, "near end of the tunnel").default("none"),
    option_value("tos", NUMBER_OR_NAME, "TOS outside, in IPv4").default("none"),
    option_value("tc", NUMBER_OR_NAME, "traffic class outside, in IPv6").default("none"),
    option_value("ttl", Value::Number(0, 255), "TTL outside, in IPv4").default("none").unit("hops"),
    option_value("hoplimit", Value::Number(0, 255), "hop limit outside, in IPv6").default("none").unit("hops"),
    option_value("flags", Value::Number(0, 65_535), "flags of the tunnel").default("none"),
];

/// Words of a `virtual_rules` line.
pub const RULE_OPTIONS: &[Entry] = &[
    option("inet", "it is an IPv4 rule").default("by its addresses"),
    option("inet6", "it is an IPv6 rule").default("by its addresses"),
    option_value("from", NETWORK, "packets from there").default("all"),
    option_value("to", NETWORK, "packets to there").default("all"),
    option_value("table", Value::Words("<number 1 to 4294967295>|<name>"), "they are routed by this table")
        .default("none"),
    option_value("lookup", Value::Words("<number 1 to 4294967295>|<name>"), "table by another name").default("none"),
    option("not", "all other packets").default("off"),
    option_value("preference", Value::Words(MARK), "order among rules; the lowest comes first")
        .default("counted down from 16384 for each family"),
    option_value("order", Value::Words(MARK), "preference by another name").default("as preference"),
    option_value("priority", Value::Words(MARK), "preference by another name").default("as preference"),
    option_value("tos", NUMBER_OR_NAME, "packets with this TOS").default("0"),
    option_value("dsfield", NUMBER_OR_NAME, "tos by another name").default("0"),
    option_value("fwmark", Value::Words("<number 0 to 4294967295>[/<mask>]"), "packets with this mark").default("none"),
    option_value("realms", Value::Words("[<from>/]<to>"), "realms that they get").default("none"),
    option_value("suppress_prefixlength", Value::Number(0, U31), "do not use routes with so short a prefix")
        .default("off"),
    option_value("sup_pl", Value::Number(0, U31), "suppress_prefixlength by its short name").default("off"),
    option_value("suppress_ifgroup", Value::Words("<number>|<name>"), "do not use routes by interfaces of this group")
        .default("off"),
    option_value("sup_group", Value::Words("<number>|<name>"), "suppress_ifgroup by its short name").default("off"),
    option_value("dev", Value::Interface, "packets that came by this interface").default("none"),
    option_value("iif", Value::Interface, "dev by another name").default("none"),
    option_value("oif", Value::Interface, "packets bound to this interface").default("none"),
    option_value("tunnel-id", Value::Words("<number>"), "packets from this tunnel").default("none"),
    option_value("uidrange", Value::Words("<number>-<number>"), "packets of these users").default("none"),
    option("l3mdev", "they are routed by the table of their VRF").default("off"),
    option_value("protocol", Value::Number(0, 255), "who made the rule").default("18: keepalived"),
    option_value("ipproto", NUMBER_OR_NAME, "packets of this protocol").default("any"),
    option_value("sport", Value::Words("<port>[-<port>]"), "packets from these ports").default("any"),
    option_value("dport", Value::Words("<port>[-<port>]"), "packets to these ports").default("any"),
    option("no_track", "do not mind its loss").default("off"),
    option_value(
        "type",
        Value::Words("goto|nop|blackhole|unreachable|prohibit"),
        "the action, after a word of its own",
    ),
    option_value("goto", Value::Number(0, U32), "go on at the rule with this preference").default("none"),
    option("nop", "do nothing"),
    option("blackhole", "drop the packets"),
    option("unreachable", "refuse the packets as unreachable"),
    option("prohibit", "refuse the packets as forbidden"),
];

const MARK: &str = "<number 0 to 4294967295>";
const TYPES: &[&str] = &[
    "unicast",
    "local",
    "broadcast",
    "brd",
    "multicast",
    "anycast",
    "throw",
    "unreachable",
    "prohibit",
    "blackhole",
    "nat",
    "xresolve",
];
const ACTIONS: &[&str] = &["table", "lookup", "goto", "nop", "blackhole", "unreachable", "prohibit", "l3mdev"];

/// Judges route lines; says whether there is a usable one.
pub fn check_routes(given: &Given<'_>, reader: &mut Reader<'_>) -> bool {
    check(given, reader, false)
}

/// Judges rule lines; says whether there is a usable one.
pub fn check_rules(given: &Given<'_>, reader: &mut Reader<'_>) -> bool {
    check(given, reader, true)
}

fn check(given: &Given<'_>, reader: &mut Reader<'_>, is_rule: bool) -> bool {
    let mut usable = false;
    for (line, words) in given.entries() {
        let mut judge = Line { given, reader: &mut *reader, is_rule, family: None, found: Vec::new() };
        usable |= judge.words(&words).and_then(|()| judge.complete(line.span)).is_some();
    }
    usable
}

/// One line while it is judged.
struct Line<'g, 'r, 'd> {
    given: &'g Given<'g>,
    reader: &'r mut Reader<'d>,
    is_rule: bool,
    family: Option<Spanned<Family>>,
    /// The options found so far.
    found: Vec<&'static str>,
}

impl Line<'_, '_, '_> {
    fn words(&mut self, words: &[&Word]) -> Option<()> {
        let plain: Vec<&Word> = words.to_vec();
        let mut rest = plain.iter();
        while let Some(word) = rest.next() {
            self.word(word, &mut rest)?;
        }
        Some(())
    }

    fn refuse(&mut self, span: Span, text: String, help: &str) -> Option<()> {
        self.reader.error(Code::BAD_ROUTE, span, format!("{text}; the line is ignored")).help(help);
        None
    }

    fn word(&mut self, word: &Word, rest: &mut Iter<'_, &Word>) -> Option<()> {
        let text = word.text.as_str();
        let entry = self.given.entry.options.iter().find(|entry| entry.name == text);
        let Some(entry) = entry.filter(|entry| !entry.name.starts_with('<')) else {
            return self.bare(word);
        };
        if let super::Status::Deprecated(instead) = entry.status {
            let message = format!("{text} is an old word");
            self.reader.diagnostics.warning(Code::DEPRECATED, word.span, message).help(format!("write {instead}"));
        }
        self.action(entry.name, word.span)?;
        self.found.push(entry.name);
        match text {
            "inet" => self.family(Family::V4, word.span),
            "inet6" => self.family(Family::V6, word.span),
            "nexthop" => {
                // A bad leg costs the rest of the line, not the route.
                rest.by_ref().for_each(drop);
                Some(())
            }
            "encap" => {
                self.encapsulation(rest);
                Some(())
            }
            _ => self.value(entry, word, rest),
        }
    }

    /// A rule has one action.
    fn action(&mut self, name: &'static str, span: Span) -> Option<()> {
        let is_action = |name: &str| ACTIONS.contains(&name);
        if self.is_rule && is_action(name) && self.found.iter().any(|found| is_action(found)) {
            return self.refuse(span, format!("{name} is a second action"), "a rule has one action");
        }
        Some(())
    }

    /// A word that is no option: a destination, a type, or the end of the line.
    fn bare(&mut self, word: &Word) -> Option<()> {
        let text = word.text.as_str();
        if self.is_rule {
            return self.unknown(word);
        }
        if TYPES.contains(&text) || text.parse::<u8>().is_ok() && self.found.is_empty() {
            return Some(());
        }
        self.found.push("<DEST>");
        match text {
            "default" | "any" | "all" => Some(()),
            "default6" => self.family(Family::V6, word.span),
            _ if text.contains(['.', ':']) || text.contains('/') => self.network(word),
            _ => self.unknown(word),
        }
    }

    fn unknown(&mut self, word: &Word) -> Option<()> {
        let known = self.given.entry.options.iter().map(|entry| entry.name);
        let help = match self.reader.diagnostics.suggest(&word.text, known) {
            Some(similar) => format!("did you mean {similar}?"),
            None => "the words are those of ip route and ip rule".to_owned(),
        };
        self.refuse(word.span, format!("{} does not know '{}'", self.given.entry.name, word.text), &help)
    }

    fn family(&mut self, family: Family, span: Span) -> Option<()> {
        let fixed = *self.family.get_or_insert(Spanned::new(family, span));
        if fixed.value == family {
            return Some(());
        }
        self.refuse(
            span,
            "the parts of this line are of different families".to_owned(),
            "write IPv4 or IPv6 throughout",
        )
    }

    fn network(&mut self, word: &Word) -> Option<()> {
        let (address, prefix) = word.text.split_once('/').map_or((word.text.as_str(), None), |(a, p)| (a, Some(p)));
        if matches!(address, "default" | "any" | "all") {
            return Some(());
        }
        let Some(address) = values::address(address) else {
            return self.refuse(word.span, format!("'{}' is no network", word.text), "write ADDRESS/PREFIX or default");
        };
        let family = Family::of(address);
        let sound = prefix.is_none_or(|prefix| prefix.parse().is_ok_and(|bits: u8| bits <= family.bits()));
        if !sound {
            let text = format!("'{}' has no prefix length of 0-{}", word.text, family.bits());
            return self.refuse(word.span, text, "write ADDRESS/PREFIX");
        }
        self.family(family, word.span)
    }

    fn value(&mut self, entry: &'static Entry, word: &Word, rest: &mut Iter<'_, &Word>) -> Option<()> {
        if entry.value == Value::Nothing {
            return Some(());
        }
        let skipped = match entry.name {
            "via" | "gw" => &["inet", "inet6"][..],
            "as" => &["to"],
            _ => &["lock"],
        };
        let mut value = rest.next();
        if value.is_some_and(|value| skipped.contains(&value.text.as_str())) {
            value = rest.next();
        }
        let Some(value) = value else {
            return self.refuse(word.span, format!("{} needs a value", word.text), "see ip route and ip rule");
        };
        match (entry.name, entry.value) {
            (_, Value::Number(min, max)) => self.number(value, min, max),
            ("mtu" | "advmss" | "reordering" | "cwnd" | "ssthresh", _) => self.number(value, 0, U32),
            ("preference" | "order" | "priority", _) => self.number_of_any_radix(value),
            ("via" | "gw" | "as" | "src" | "or" | "from" | "to", _) => self.network(value),
            (_, Value::Interface) => self.interface(value),
            ("rtt" | "rttvar" | "rto_min", _) => self.time(value),
            ("table" | "lookup", _) if self.is_rule && value.text == "0" => {
                self.refuse(value.span, "there is no table 0".to_owned(), "write the number or name of a table")
            }
            ("sport" | "dport", _) => self.ports(value),
            _ => Some(()),
        }
    }

    fn number(&mut self, word: &Word, min: i64, max: i64) -> Option<()> {
        self.reader.number(self.given.entry, word, min, max).map(drop)
    }

    fn number_of_any_radix(&mut self, word: &Word) -> Option<()> {
        let text = word.text.as_str();
        let number = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8),
            None => text.parse(),
        };
        match number {
            Ok(_) => Some(()),
            Err(_) => self.refuse(word.span, format!("'{text}' is no number"), "write a number up to 4294967295"),
        }
    }

    fn interface(&mut self, word: &Word) -> Option<()> {
        let name = self.reader.interface(self.given.entry, word)?;
        self.reader.interfaces.push(Spanned::new(name, word.span));
        Some(())
    }

    fn time(&mut self, word: &Word) -> Option<()> {
        let digits = word.text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let sound = matches!(values::decimal(digits, 6), values::Decimal::Exact(_)) && !digits.is_empty();
        if sound {
            Some(())
        } else {
            self.refuse(word.span, format!("'{}' is no time", word.text), "write 300ms or 2s")
        }
    }

    fn ports(&mut self, word: &Word) -> Option<()> {
        let (first, last) = word.text.split_once('-').unwrap_or((&word.text, &word.text));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) if first <= last => {}
            _ => {
                let message = format!("'{}' is no port or range of ports; it is ignored", word.text);
                self.reader.error(Code::BAD_ROUTE, word.span, message);
            }
        }
        Some(())
    }

    /// The words of an encapsulation belong to it as long as they are its own.
    fn encapsulation(&mut self, rest: &mut Iter<'_, &Word>) {
        let mut first = true;
        while let Some(word) = rest.as_slice().first() {
            let Some(entry) = ENCAP.iter().find(|entry| entry.name == word.text) else {
                if first {
                    let message = format!("encap does not know '{}'; it is ignored", word.text);
                    self.reader.error(Code::BAD_ROUTE, word.span, message).help("write ip, ip6, mpls or ila");
                    rest.next();
                }
                return;
            };
            first = false;
            rest.next();
            if entry.value != Value::Nothing {
                rest.next();
            }
        }
    }

    /// What a line must have.
    fn complete(&mut self, span: Span) -> Option<()> {
        let has = |names: &[&str]| self.found.iter().any(|found| names.contains(found));
        if !self.is_rule {
            if has(&["<DEST>", "to"]) {
                return Some(());
            }
            return self.refuse(span, "the route has no destination".to_owned(), "write a network, or default");
        }
        if !has(ACTIONS) && !has(&["type"]) {
            return self.refuse(span, "the rule has no action".to_owned(), "add table TABLE, or another action");
        }
        if !has(&["preference", "order", "priority"]) {
            self.reader
                .diagnostics
                .warning(Code::BAD_ROUTE, span, "the rule has no preference; one is counted down from 16384")
                .help("add preference NUMBER");
        }
        Some(())
    }
}
