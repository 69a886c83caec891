//! The keywords: one table per block, one row per keyword, the same rows for reading, for `explain` and for manuals.
//!
//! A row says how many words follow, what they may be, what holds where the keyword is absent, and which function puts
//! the value into the draft. Rows without such a function are recognised and their words judged; the reader then says
//! once that their effect is not built yet.

use std::fmt;

use crate::config::reader::{Given, Reader};

pub mod address;
pub mod bfd;
pub mod checkers;
pub mod global;
pub mod lvs;
pub mod root;
pub mod routes;
pub mod static_;
pub mod track;
pub mod vrrp;

/// A block and the keywords that may stand in it.
#[derive(Debug)]
pub struct Block<D: 'static> {
    /// Where it is written, outermost block first: `virtual_server/real_server`; empty for the top level.
    pub path: &'static str,
    /// Its keywords, in the manual's order.
    pub keywords: &'static [Keyword<D>],
}

/// One row: a keyword and what it does to a draft of type `D`.
#[derive(Debug)]
pub struct Keyword<D: 'static> {
    /// What there is to know about it.
    pub entry: Entry,
    /// Puts the value into the draft; none where the effect is not built.
    pub apply: Option<Apply<D>>,
}

impl<D> Clone for Keyword<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Keyword<D> {}

/// Puts the value of one line into a draft.
pub type Apply<D> = fn(&mut D, &Given<'_>, &mut Reader<'_>);

/// What there is to know about a keyword or an option word.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The word itself, or `<SOMETHING>` for an option that is recognised by its form.
    pub name: &'static str,
    /// How it is written.
    pub kind: Kind,
    /// What its words may be.
    pub value: Value,
    /// What holds where it is absent; empty is nothing.
    pub default: &'static str,
    /// Unit of its number.
    pub unit: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// The first version of keepalived that has it, where that is after 2.2.
    pub since: &'static str,
    /// Whether it should still be written.
    pub status: Status,
    /// What happens where its value is missing.
    pub missing: Missing,
    /// The number used instead of a bad one; none is "the line is ignored".
    pub instead: Option<i64>,
    /// Words that may follow on its line, or start the lines of its list.
    pub options: &'static [Entry],
    /// Whether its effect is built.
    pub built: bool,
}

/// How a keyword is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Alone, or with a yes or no.
    Flag,
    /// With a value.
    Value,
    /// With several values, or a brace and one entry a line.
    List,
    /// With a brace and keywords.
    Block,
    /// A word inside another keyword's line.
    Option,
}

/// Whether a keyword should still be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Yes.
    Current,
    /// Works, and keepalived reports it; the text says what to write now.
    Deprecated(&'static str),
    /// Works, and keepalived at most logs it; the text says what to write now.
    OldName(&'static str),
    /// Has no effect any more.
    Obsolete,
}

/// What happens where a value is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It may be.
    Allowed,
    /// The line is ignored with an error.
    Error,
    /// The configuration is refused (keepalived: exit status 2 at once).
    Refuse,
}

/// What the words after a keyword may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// None is needed; any are ignored.
    Nothing,
    /// `true on yes` or `false off no`; absent is true.
    Bool,
    /// A whole number.
    Number(i64, i64),
    /// A whole number from 1; 0 is accepted with a warning and means 1.
    AtLeastOne(i64),
    /// A number with a fraction, kept in the smallest unit that so many decimal places can say.
    Decimal {
        /// Smallest, in that unit.
        min: u64,
        /// Largest, in that unit.
        max: u64,
        /// Decimal places.
        places: u32,
    },
    /// Any word.
    Text,
    /// A word of at most so many bytes; a longer one is refused.
    ShortText(usize),
    /// A word of which so many bytes are used; more are cut off with an error.
    CutText(usize),
    /// The name of an interface.
    Interface,
    /// An IPv4 or IPv6 address.
    Address,
    /// An IPv4 multicast address.
    Multicast4,
    /// An IPv6 multicast address.
    Multicast6,
    /// A multicast address of either family.
    Multicast,
    /// An address, and perhaps a port.
    AddressPort,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words in upper or lower case.
    OneOfAnyCase(&'static [&'static str]),
    /// A command in quotes, and perhaps a user and a group.
    Script,
    /// Words with a form of their own, described like this.
    Words(&'static str),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Nothing => Ok(()),
            Self::Bool => f.write_str("[on|off]"),
            Self::Number(min, max) => write!(f, "<number {min} to {max}>"),
            Self::AtLeastOne(max) => write!(f, "<number 1 to {max}>"),
            Self::Decimal { min, max, places } => {
                write!(f, "<number {} to {}>", Fixed { value: min, places }, Fixed { value: max, places })
            }
            Self::Text => f.write_str("<text>"),
            Self::ShortText(most) | Self::CutText(most) => write!(f, "<text of at most {most} characters>"),
            Self::Interface => f.write_str("<interface>"),
            Self::Address => f.write_str("<address>"),
            Self::Multicast4 => f.write_str("<IPv4 multicast address>"),
            Self::Multicast6 => f.write_str("<IPv6 multicast address>"),
            Self::Multicast => f.write_str("<multicast address>"),
            Self::AddressPort => f.write_str("<address> [<port>]"),
            Self::OneOf(words) | Self::OneOfAnyCase(words) => f.write_str(&words.join("|")),
            Self::Script => f.write_str("<command> [<user> [<group>]]"),
            Self::Words(form) => f.write_str(form),
        }
    }
}

/// A number of so many decimal places, printed without needless zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// In units of the last place.
    pub value: u64,
    /// Decimal places.
    pub places: u32,
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10u64.pow(self.places);
        let fraction = self.value % unit;
        if fraction == 0 {
            return write!(f, "{}", self.value / unit);
        }
        let digits = format!("{fraction:0width$}", width = self.places as usize);
        write!(f, "{}.{}", self.value / unit, digits.trim_end_matches('0'))
    }
}

impl Entry {
    const fn new(name: &'static str, kind: Kind, value: Value, about: &'static str) -> Self {
        Self {
            name,
            kind,
            value,
            default: "",
            unit: "",
            about,
            since: "",
            status: Status::Current,
            missing: Missing::Refuse,
            instead: None,
            options: &[],
            built: false,
        }
    }

    /// What holds where it is absent.
    pub const fn default(mut self, text: &'static str) -> Self {
        self.default = text;
        self
    }

    /// The unit of its number.
    pub const fn unit(mut self, text: &'static str) -> Self {
        self.unit = text;
        self
    }

    /// The first version that has it.
    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = version;
        self
    }

    /// It is an old name or an old way.
    pub const fn deprecated(mut self, write: &'static str) -> Self {
        self.status = Status::Deprecated(write);
        self
    }

    /// It is an old name that keepalived takes without a report.
    pub const fn old_name(mut self, write: &'static str) -> Self {
        self.status = Status::OldName(write);
        self
    }

    /// It has no effect any more.
    pub const fn obsolete(mut self) -> Self {
        self.status = Status::Obsolete;
        self
    }

    /// It needs no value.
    pub const fn optional(mut self) -> Self {
        self.missing = Missing::Allowed;
        self
    }

    /// Without its value the line is ignored.
    pub const fn ignored_if_missing(mut self) -> Self {
        self.missing = Missing::Error;
        self
    }

    /// This number is used instead of a bad one.
    pub const fn or_use(mut self, number: i64) -> Self {
        self.instead = Some(number);
        self
    }

    /// The words that may follow on its line, or start the lines of its list.
    pub const fn options(mut self, options: &'static [Entry]) -> Self {
        self.options = options;
        self
    }

    /// The row of a keyword that is only recognised.
    pub const fn later<D>(self) -> Keyword<D> {
        Keyword { entry: self, apply: None }
    }

    /// The row of a keyword whose effect is built.
    pub const fn then<D>(mut self, apply: Apply<D>) -> Keyword<D> {
        self.built = true;
        Keyword { entry: self, apply: Some(apply) }
    }

    /// The row of a keyword that is kept in the draft, because other lines are judged by it, but has no effect yet.
    pub const fn keep<D>(self, apply: Apply<D>) -> Keyword<D> {
        Keyword { entry: self, apply: Some(apply) }
    }
}

/// A word that stands alone.
pub const fn flag(name: &'static str, about: &'static str) -> Entry {
    Entry::new(name, Kind::Flag, Value::Nothing, about).optional().default("off")
}

/// A word that may be followed by on or off.
pub const fn switch(name: &'static str, about: &'static str) -> Entry {
    Entry::new(name, Kind::Flag, Value::Bool, about).optional().default("off")
}

/// A word with a whole number.
pub const fn number(name: &'static str, min: i64, max: i64, about: &'static str) -> Entry {
    Entry::new(name, Kind::Value, Value::Number(min, max), about)
}

/// A word with a whole number from 1, where 0 means 1.
pub const fn at_least_one(name: &'static str, max: i64, about: &'static str) -> Entry {
    Entry::new(name, Kind::Value, Value::AtLeastOne(max), about)
}

/// A word with seconds of up to six decimal places; the limits are microseconds.
pub const fn seconds(name: &'static str, min: u64, max: u64, about: &'static str) -> Entry {
    Entry::new(name, Kind::Value, Value::Decimal { min, max, places: 6 }, about).unit("seconds")
}

/// A word with a number of up to three decimal places; the limits are thousandths.
pub const fn thousandths(name: &'static str, min: u64, max: u64, about: &'static str) -> Entry {
    Entry::new(name, Kind::Value, Value::Decimal { min, max, places: 3 }, about)
}

/// A word with a value of some other kind.
pub const fn value(name: &'static str, value: Value, about: &'static str) -> Entry {
    Entry::new(name, Kind::Value, value, about)
}

/// A word with a script line.
pub const fn script(name: &'static str, about: &'static str) -> Entry {
    Entry::new(name, Kind::Value, Value::Script, about).default("none")
}

/// A word with several values, in braces one entry a line.
pub const fn list(name: &'static str, form: &'static str, about: &'static str) -> Entry {
    Entry::new(name, Kind::List, Value::Words(form), about).optional()
}

/// A word with keywords in braces.
pub const fn block(name: &'static str, form: &'static str, about: &'static str) -> Entry {
    Entry::new(name, Kind::Block, Value::Words(form), about).optional()
}

/// A word inside another keyword's line, without a value.
pub const fn option(name: &'static str, about: &'static str) -> Entry {
    Entry::new(name, Kind::Option, Value::Nothing, about).optional()
}

/// A word inside another keyword's line, with a value.
pub const fn option_value(name: &'static str, value: Value, about: &'static str) -> Entry {
    Entry::new(name, Kind::Option, value, about)
}

/// A list of option words with one more.
const fn with<const M: usize>(entries: &[Entry], more: Entry) -> [Entry; M] {
    assert!(M == entries.len() + 1);
    let mut all = [more; M];
    let mut at = 0;
    while at < entries.len() {
        all[at] = entries[at];
        at += 1;
    }
    all
}

/// One list of rows after another.
const fn join<D: Copy, const A: usize, const B: usize, const ALL: usize>(first: &[D; A], second: &[D; B]) -> [D; ALL] {
    assert!(ALL == A + B && A > 0);
    let mut all = [first[0]; ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < A { first[at] } else { second[at - A] };
        at += 1;
    }
    all
}

/// The blocks in which a word is a keyword, for "that belongs elsewhere".
pub fn blocks_with(name: &str) -> Vec<&'static str> {
    let mut blocks = Vec::new();
    each_block(|path, entries| {
        if entries.iter().any(|entry| entry.name == name) {
            blocks.push(path);
        }
    });
    blocks
}

/// Shows every block: its path and its rows.
pub fn each_block(mut show: impl FnMut(&'static str, &[&'static Entry])) {
    fn entries<D>(block: &'static Block<D>) -> Vec<&'static Entry> {
        block.keywords.iter().map(|keyword| &keyword.entry).collect()
    }
    macro_rules! show {
        ($($block:expr),* $(,)?) => { $(show($block.path, &entries($block));)* };
    }
    show!(
        &root::PROCESS,
        &root::TOP,
        &global::GLOBAL_DEFS,
        &vrrp::VRRP_INSTANCE,
        &vrrp::AUTHENTICATION,
        &vrrp::AUTH_HMAC,
        &track::VRRP_SCRIPT,
        &track::VRRP_SYNC_GROUP,
        &track::TRACK_FILE_BLOCK,
        &track::VRRP_TRACK_FILE_BLOCK,
        &track::VRRP_TRACK_PROCESS,
        &track::TRACK_GROUP,
        &static_::GARP_GROUP,
        &lvs::VIRTUAL_SERVER,
        &lvs::REAL_SERVER,
        &lvs::SSL,
        &checkers::TCP_CHECK,
        &checkers::PING_CHECK,
        &checkers::SMTP_CHECK,
        &checkers::SMTP_HOST,
        &checkers::UDP_CHECK,
        &checkers::DNS_CHECK,
        &checkers::MISC_CHECK,
        &checkers::FILE_CHECK,
        &checkers::BFD_CHECK,
        &checkers::HTTP_GET,
        &checkers::HTTP_URL,
        &checkers::SSL_GET,
        &checkers::SSL_URL,
        &bfd::BFD_INSTANCE,
    );
}
