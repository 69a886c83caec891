//! What stands outside VRRP instances: static addresses, delays of interfaces, shared pacing.

use super::address::ADDRESS_OPTIONS;
use super::{Block, Entry, Value, list, option, option_value, value};
use crate::addr::IfName;
use crate::config::draft::{Draft, GarpGroupDraft};
use crate::config::reader::{Given, Reader, Spanned};
use crate::diag::Code;
use crate::model::vrrp::Debounce;
use crate::time::Duration;

/// `garp_group { }`
pub static GARP_GROUP: Block<GarpGroupDraft> = Block {
    path: "garp_group",
    keywords: &[
        gap("garp_interval", "gap between two gratuitous ARPs of the group")
            .then(|g, v, _| g.garp_interval = v.plain()),
        gap("gna_interval", "gap between two neighbour advertisements of the group")
            .then(|g, v, _| g.gna_interval = v.plain()),
        value("interface", Value::Interface, "an interface of the group").then(|g, v, r| {
            g.interfaces.extend(v.interface());
            r.interfaces.extend(v.interface());
        }),
        list("interfaces", "{ <interface> ... }", "several interfaces of the group").then(garp_interfaces),
    ],
};

const fn gap(name: &'static str, about: &'static str) -> Entry {
    super::seconds(name, 0, 4_294_967_295, about).default("none")
}

/// Words of a `static_ipaddress` line.
pub const STATIC_ADDRESS: &[Entry] = &super::with::<{ ADDRESS_OPTIONS.len() + 1 }>(
    ADDRESS_OPTIONS,
    option_value("track_group", Value::Text, "track_group whose instances go to FAULT with its interface")
        .default("none"),
);

/// Words of an `interface_up_down_delays` line.
pub const DELAYS: &[Entry] = &[
    option_value(
        "<DOWN>",
        Value::Decimal { min: 0, max: 255_000_000, places: 6 },
        "how long a link must be down before that counts",
    )
    .default("0")
    .unit("seconds"),
    option_value(
        "<UP>",
        Value::Decimal { min: 0, max: 255_000_000, places: 6 },
        "how long a link must be up before that counts",
    )
    .default("0")
    .unit("seconds"),
];

/// Words of a `linkbeat_interfaces` line.
pub const LINKBEAT: &[Entry] = &[
    option("MII", "ask by MII").default("the first of the three that works"),
    option("ETHTOOL", "ask by ethtool"),
    option("IOCTL", "ask for the flags of the interface"),
];

fn garp_interfaces(group: &mut GarpGroupDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    for (_, words) in given.entries() {
        for word in words {
            if let Some(name) = reader.interface(given.entry, word) {
                group.interfaces.push(Spanned::new(name, word.span));
                reader.interfaces.push(Spanned::new(name, word.span));
            }
        }
    }
    if given.body().is_empty() {
        reader.diagnostics.warning(Code::EMPTY_LIST, given.line.keyword.span, "interfaces names none");
    }
}

/// Reads `interface_up_down_delays`.
pub fn delays(draft: &mut Draft, given: &Given<'_>, reader: &mut Reader<'_>) {
    for (line, words) in given.entries() {
        let Some(name) = reader.interface(given.entry, words[0]) else { continue };
        draft.polled.push(Spanned::new(name, words[0].span));
        let times: Vec<Option<Duration>> = words.iter().skip(1).take(2).map(|word| delay(&word.text)).collect();
        let (down, up) = match times.as_slice() {
            [Some(down)] => (*down, Duration::ZERO),
            [Some(down), Some(up)] => (*down, *up),
            _ => {
                // keepalived: only logged, so no exit class.
                reader
                    .diagnostics
                    .lint(
                        Code::BAD_NUMBER,
                        line.span,
                        "a delay is a number of seconds from 0 to 255; the line is ignored",
                    )
                    .help("write the interface, the delay of down and perhaps that of up");
                continue;
            }
        };
        draft.delays.insert(name, Spanned::new(Debounce { down, up }, line.span));
    }
}

fn delay(text: &str) -> Option<Duration> {
    match crate::config::value::decimal(text, 6) {
        crate::config::value::Decimal::Exact(micros) if micros <= 255_000_000 => Some(Duration::from_micros(micros)),
        _ => None,
    }
}

/// Reads `linkbeat_interfaces`.
pub fn linkbeat(draft: &mut Draft, given: &Given<'_>, reader: &mut Reader<'_>) {
    for (_, words) in given.entries() {
        let Some(name): Option<IfName> = reader.interface(given.entry, words[0]) else { continue };
        draft.polled.push(Spanned::new(name, words[0].span));
        if let Some(kind) = words.get(1)
            && !LINKBEAT.iter().any(|entry| entry.name == kind.text)
        {
            reader
                .error(Code::BAD_WORD, kind.span, format!("linkbeat_interfaces does not know '{}'", kind.text))
                .help("write MII, ETHTOOL or IOCTL, or nothing");
        }
    }
}
