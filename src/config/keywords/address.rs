//! Address lines: `virtual_ipaddress`, `virtual_ipaddress_excluded`, `static_ipaddress`.

use std::net::{IpAddr, Ipv4Addr};

use super::{Entry, Value, option, option_value};
use crate::addr::{Cidr, Family};
use crate::config::draft::{AddressDraft, BroadcastDraft};
use crate::config::reader::{Given, Reader, Spanned};
use crate::config::tree::Word;
use crate::config::value;
use crate::diag::Code;
use crate::model::vrrp::AddressFlags;

/// Words of an address line.
pub const ADDRESS_OPTIONS: &[Entry] = &[
    option("<IPADDR>[/<PREFIX>]", "the address, first on its line, with the prefix length of its network")
        .default("prefix 32, IPv6 128"),
    option_value("dev", Value::Interface, "interface that gets the address")
        .default("that of the instance; for a static address default_interface"),
    option_value(
        "scope",
        Value::Words("site|link|host|nowhere|global|<number 0 to 255>"),
        "how far the address is valid, IPv4 only",
    )
    .default("global"),
    option_value("broadcast", Value::Words("<address>|+|-"), "broadcast address; + and - make it from the network")
        .default("none"),
    option_value("brd", Value::Words("<address>|+|-"), "short for broadcast").default("none"),
    option_value("label", Value::ShortText(15), "label of the address as `ip` shows it, IPv4 only").default("none"),
    option_value("peer", Value::Address, "far end of a point-to-point link").default("none"),
    option("home", "flag it as a home address, IPv6").default("off"),
    option("-nodad", "let the kernel look for duplicates of an IPv6 address first").default("off"),
    option("mngtmpaddr", "let the kernel make temporary addresses from it, IPv6").default("off"),
    option("noprefixroute", "add no route to its network").default("off"),
    option("autojoin", "join multicast groups with it").default("off"),
    option("no_track", "do not mind its loss or that of its interface").default("off"),
    option_value(
        "preferred_lft",
        Value::Words("<number 0 to 4294967295>|forever"),
        "how long the address is preferred; 0 deprecates it",
    )
    .default("for ever; 0 for an IPv6 /128")
    .unit("seconds"),
];

/// Reads every line of a list of addresses.
pub fn read_lines(into: &mut Vec<AddressDraft>, given: &Given<'_>, reader: &mut Reader<'_>) {
    for (_, words) in given.entries() {
        into.extend(Line { given, reader }.read(&words));
    }
}

/// Reads addresses of one line.
struct Line<'a, 'r, 'd> {
    given: &'a Given<'a>,
    reader: &'r mut Reader<'d>,
}

/// The rest of the line cannot be used.
struct Skip;

impl Line<'_, '_, '_> {
    fn read(&mut self, words: &[&Word]) -> Option<AddressDraft> {
        let (first, rest) = words.split_first()?;
        let cidr = self.cidr(first)?;
        let mut draft = AddressDraft {
            cidr: Spanned::new(cidr, first.span),
            device: None,
            scope: None,
            broadcast: None,
            label: None,
            peer: None,
            preferred_secs: None,
            flags: AddressFlags { no_dad: cidr.address.is_ipv6(), ..AddressFlags::default() },
            no_track: false,
            use_vmac: None,
            track_group: None,
        };
        let mut rest = rest.iter().copied();
        while let Some(word) = rest.next() {
            match self.option(&mut draft, word, &mut rest) {
                Ok(()) => {}
                Err(Skip) => return None,
            }
        }
        self.check_broadcast(&mut draft);
        Some(draft)
    }

    fn cidr(&mut self, word: &Word) -> Option<Cidr> {
        let (text, prefix) = word.text.split_once('/').map_or((word.text.as_str(), None), |(a, p)| (a, Some(p)));
        let Some(address) = value::address(text) else {
            self.reader
                .error(
                    Code::BAD_ADDRESS,
                    word.span,
                    format!("{}: '{}' is no IPv4 or IPv6 address", self.given.entry.name, word.text),
                )
                .help("each line begins with an address, such as 192.0.2.10/24");
            return None;
        };
        let most = Family::of(address).bits();
        let prefix = match prefix.map(value::integer) {
            None => most,
            Some(value::Number::Whole(bits)) if (0..=i64::from(most)).contains(&bits) => bits as u8,
            Some(_) => {
                self.reader
                    .error(Code::BAD_NUMBER, word.span, format!("'{}' has no prefix length of 0-{most}", word.text))
                    .help(format!("{most} is used"));
                most
            }
        };
        Some(Cidr { address, prefix })
    }

    fn option<'w>(
        &mut self,
        draft: &mut AddressDraft,
        word: &'w Word,
        rest: &mut impl Iterator<Item = &'w Word>,
    ) -> Result<(), Skip> {
        match word.text.as_str() {
            "dev" => self.device(draft, word, rest)?,
            "scope" => {
                let value = self.argument(word, rest)?;
                self.scope(draft, value);
            }
            "broadcast" | "brd" => {
                let value = self.argument(word, rest)?;
                draft.broadcast = Some(Spanned::new(self.broadcast(value)?, value.span));
            }
            "label" => {
                let value = self.argument(word, rest)?;
                self.label(draft, value)?;
            }
            "peer" => {
                let value = self.argument(word, rest)?;
                self.peer(draft, value);
            }
            "home" => draft.flags.home = true,
            "-nodad" => draft.flags.no_dad = false,
            "mngtmpaddr" => draft.flags.manage_temporary = true,
            "noprefixroute" => draft.flags.no_prefix_route = true,
            "autojoin" => draft.flags.auto_join = true,
            "no_track" => draft.no_track = true,
            "preferred_lft" | "preferred_lifetime" => {
                let value = self.argument(word, rest)?;
                self.preferred(draft, value);
            }
            "use_vmac" => {
                self.reader.not_built("use_vmac of an address", word.span);
                draft.use_vmac = Some(word.span);
            }
            "track_group" => {
                let value = self.argument(word, rest)?;
                draft.track_group.get_or_insert(Spanned::new(value.text.to_string(), value.span));
            }
            other => {
                let similar = self.reader.diagnostics.suggest(other, ADDRESS_OPTIONS.iter().map(|entry| entry.name));
                let message = format!("an address line does not know '{other}'; the word is ignored");
                let diagnostic = self.reader.error(Code::UNKNOWN_OPTION, word.span, message);
                diagnostic.help = similar.map(|word| format!("did you mean {word}?"));
                // The value after a misspelt option is no second mistake.
                let meant = ADDRESS_OPTIONS.iter().find(|entry| Some(entry.name) == similar);
                if meant.is_some_and(|entry| entry.value != Value::Nothing) {
                    rest.next();
                }
            }
        }
        Ok(())
    }

    fn argument<'w>(&mut self, word: &Word, rest: &mut impl Iterator<Item = &'w Word>) -> Result<&'w Word, Skip> {
        rest.next().ok_or_else(|| {
            self.reader.error(
                Code::MISSING_ARGUMENT,
                word.span,
                format!("{} needs a value; the line is ignored", word.text),
            );
            Skip
        })
    }

    fn device<'w>(
        &mut self,
        draft: &mut AddressDraft,
        word: &Word,
        rest: &mut impl Iterator<Item = &'w Word>,
    ) -> Result<(), Skip> {
        let value = self.argument(word, rest)?;
        if draft.device.is_some() {
            self.reader.error(Code::REPEATED, word.span, "dev is given twice; the line is ignored");
            return Err(Skip);
        }
        let name = self.reader.interface(self.given.entry, value).ok_or(Skip)?;
        let name = Spanned::new(name, value.span);
        self.reader.interfaces.push(name);
        draft.device = Some(name);
        Ok(())
    }

    fn scope(&mut self, draft: &mut AddressDraft, word: &Word) {
        let number = match word.text.as_str() {
            "global" => Some(0),
            "site" => Some(200),
            "link" => Some(253),
            "host" => Some(254),
            "nowhere" => Some(255),
            text => match value::integer(text) {
                value::Number::Whole(number) => u8::try_from(number).ok(),
                _ => None,
            },
        };
        if draft.cidr.value.address.is_ipv6() {
            self.ipv4_only("scope", word);
        } else if number.is_none() {
            self.reader
                .error(Code::BAD_WORD, word.span, format!("there is no scope '{}'", word.text))
                .help("write global, site, link, host, nowhere or a number up to 255; global is used");
        } else {
            draft.scope = number;
        }
    }

    fn ipv4_only(&mut self, option: &str, word: &Word) {
        self.reader
            .error(Code::ADDRESS_OPTION, word.span, format!("{option} is for IPv4 addresses; it is ignored"))
            .help("remove it");
    }

    fn broadcast(&mut self, word: &Word) -> Result<BroadcastDraft, Skip> {
        match word.text.as_str() {
            "+" => Ok(BroadcastDraft::HostBitsSet),
            "-" => Ok(BroadcastDraft::HostBitsClear),
            text => text.parse::<Ipv4Addr>().map(BroadcastDraft::Address).map_err(|_| {
                let message = format!("'{text}' is no IPv4 broadcast address; the line is ignored");
                self.reader.error(Code::BAD_ADDRESS, word.span, message).help("write an address, + or -");
                Skip
            }),
        }
    }

    fn label(&mut self, draft: &mut AddressDraft, word: &Word) -> Result<(), Skip> {
        if draft.cidr.value.address.is_ipv6() {
            self.ipv4_only("label", word);
            return Ok(());
        }
        let length = word.as_bytes().len();
        if length == 0 || length > 15 {
            self.reader
                .error(Code::TEXT_TOO_LONG, word.span, format!("label '{}' is not of 1 to 15 characters", word.text))
                .help("the line is ignored");
            return Err(Skip);
        }
        draft.label = Some(word.text.to_string());
        Ok(())
    }

    fn peer(&mut self, draft: &mut AddressDraft, word: &Word) {
        let family = Family::of(draft.cidr.value.address);
        let complaint = match value::address(&word.text) {
            _ if draft.peer.is_some() => "is a second peer",
            None => "is no address (it takes no prefix)",
            Some(peer) if Family::of(peer) != family => "is of the other family",
            Some(peer) => {
                if draft.cidr.value.prefix != family.bits() {
                    self.reader
                        .diagnostics
                        .warning(Code::ADDRESS_OPTION, draft.cidr.span, "with a peer the prefix length has no meaning")
                        .help("remove it");
                    draft.cidr.value.prefix = family.bits();
                }
                draft.peer = Some(peer);
                return;
            }
        };
        self.reader.error(Code::BAD_ADDRESS, word.span, format!("peer: '{}' {complaint}; it is ignored", word.text));
    }

    fn preferred(&mut self, draft: &mut AddressDraft, word: &Word) {
        if word.text == "forever" {
            draft.preferred_secs = Some(None);
        } else if let Some(secs) = self.reader.number(self.given.entry, word, 0, i64::from(u32::MAX)) {
            draft.preferred_secs = Some(u32::try_from(secs).ok());
        }
    }

    fn check_broadcast(&mut self, draft: &mut AddressDraft) {
        let Some(broadcast) = draft.broadcast else { return };
        let wants_host_bits = !matches!(broadcast.value, BroadcastDraft::Address(_));
        let complaint = match draft.cidr.value.address {
            IpAddr::V6(_) => "an IPv6 address has no broadcast address; it is ignored",
            IpAddr::V4(_) if draft.peer.is_some() => "with a peer there is no broadcast address; it is ignored",
            IpAddr::V4(_) if wants_host_bits && draft.cidr.value.prefix > 30 => {
                "a prefix of 31 or 32 leaves no host bits for a broadcast address; it is ignored"
            }
            IpAddr::V4(_) => return,
        };
        self.reader.error(Code::ADDRESS_OPTION, broadcast.span, complaint);
        draft.broadcast = None;
    }
}
