//! Walks the tree with the keyword tables: finds the row of each statement, judges its words, hands the value to the
//! row's function.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::keywords::{Block, Entry, Keyword, Kind, Missing, Status, Value, blocks_with};
use super::script_line::{self, ScriptLine};
use super::tree::{Body, Statement, Word};
use super::value;
use crate::addr::{Family, IfName};
use crate::diag::{Code, Diagnostic, Diagnostics, FileId, Span};

/// For who has written a name that no interface can have.
pub const HOW_INTERFACES_ARE_NAMED: &str = "a name has 1 to 15 characters, without blanks, '/' and ':'";

/// A value with the place it was written at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value and its place.
    pub const fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// A statement whose words fit its row.
#[derive(Debug)]
pub struct Given<'a> {
    /// The statement.
    pub line: &'a Statement,
    /// Its row.
    pub entry: &'static Entry,
    /// Its first value.
    pub value: Parsed,
}

/// The first value of a statement, as its row describes it.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// There is none, or the row leaves the words to its function.
    Nothing,
    /// On or off.
    Bool(bool),
    /// A whole number, or one in units of the last decimal place.
    Number(i64),
    /// A word.
    Text(String),
    /// An interface's name.
    Interface(IfName),
    /// An address.
    Address(IpAddr),
    /// A script line.
    Script(Box<ScriptLine>),
}

impl Given<'_> {
    /// Where the value stands; the keyword where there is none.
    pub fn span(&self) -> Span {
        self.line.args.first().map_or(self.line.keyword.span, |word| word.span)
    }

    /// On or off; a flag without value is on.
    pub fn on(&self) -> bool {
        !matches!(self.value, Parsed::Bool(false))
    }

    /// The number, if there is one that the type can hold; the row's range sees to that.
    pub fn number<T: TryFrom<i64>>(&self) -> Option<Spanned<T>> {
        let Parsed::Number(number) = self.value else { return None };
        T::try_from(number).ok().map(|value| Spanned::new(value, self.span()))
    }

    /// The number without its place.
    pub fn plain<T: TryFrom<i64>>(&self) -> Option<T> {
        self.number().map(|number| number.value)
    }

    /// The word.
    pub fn text(&self) -> Option<Spanned<String>> {
        let Parsed::Text(text) = &self.value else { return None };
        Some(Spanned::new(text.clone(), self.span()))
    }

    /// The interface.
    pub fn interface(&self) -> Option<Spanned<IfName>> {
        let Parsed::Interface(name) = self.value else { return None };
        Some(Spanned::new(name, self.span()))
    }

    /// The address.
    pub fn address(&self) -> Option<Spanned<IpAddr>> {
        let Parsed::Address(address) = self.value else { return None };
        Some(Spanned::new(address, self.span()))
    }

    /// The script line.
    pub fn script(&self) -> Option<ScriptLine> {
        let Parsed::Script(line) = &self.value else { return None };
        Some((**line).clone())
    }

    /// The statements between its braces.
    pub fn body(&self) -> &[Statement] {
        self.line.body.as_ref().map_or(&[], |body| &body.statements)
    }

    /// The entries of its list: the words of each line.
    pub fn entries(&self) -> impl Iterator<Item = (&Statement, Vec<&Word>)> {
        self.body().iter().map(|line| (line, std::iter::once(&line.keyword).chain(&line.args).collect()))
    }
}

/// What reading a tree shares.
#[derive(Debug)]
pub struct Reader<'a> {
    /// Where findings go.
    pub diagnostics: &'a mut Diagnostics,
    /// Numbers with trailing garbage are refused instead of cut (`-t`).
    pub config_test: bool,
    /// Every interface named where a missing one stops keepalived, in reading order.
    pub interfaces: Vec<Spanned<IfName>>,
    /// Of which keyword, in which file, it was said that its effect is not built.
    told: BTreeSet<(FileId, &'static str)>,
    /// Where `lvs_sync_daemon` or its old form was given first.
    sync_daemon: Option<Span>,
    /// Trackers defined so far, by the keyword of the lists that name them.
    defined: BTreeMap<&'static str, usize>,
    /// Where the first block of each keyword and name is.
    named: BTreeMap<&'static str, BTreeMap<String, Span>>,
}

impl<'a> Reader<'a> {
    /// A reader at the beginning.
    pub fn new(diagnostics: &'a mut Diagnostics, config_test: bool) -> Self {
        Self {
            diagnostics,
            config_test,
            interfaces: Vec::new(),
            told: BTreeSet::new(),
            sync_daemon: None,
            defined: BTreeMap::new(),
            named: BTreeMap::new(),
        }
    }

    /// Reads the statements of a block into a draft.
    pub fn read<D>(&mut self, block: &'static Block<D>, draft: &mut D, statements: &[Statement]) {
        for line in statements {
            self.statement(block, draft, line);
        }
    }

    /// Reads the statements between a block's braces.
    pub fn read_body<D>(&mut self, block: &'static Block<D>, draft: &mut D, given: &Given<'_>) {
        self.read(block, draft, given.body());
    }

    /// Reads one statement.
    pub fn statement<D>(&mut self, block: &'static Block<D>, draft: &mut D, line: &Statement) {
        let Some(keyword) = block.find(line.keyword.as_bytes()) else {
            self.unknown_keyword(block, line);
            return;
        };
        let entry = &keyword.entry;
        self.say_what_it_is(entry, line);
        if entry.kind != Kind::Block
            && entry.kind != Kind::List
            && let Some(body) = &line.body
        {
            self.unexpected_body(body, entry);
        }
        let Some(value) = self.parse(entry, line) else { return };
        if let Some(apply) = keyword.apply {
            apply(draft, &Given { line, entry, value }, self);
        }
    }

    /// Says once for each keyword and file that its effect is not built.
    pub fn not_built(&mut self, name: &'static str, span: Span) {
        if self.told.insert((span.file, name)) {
            self.diagnostics
                .note(Code::NOT_BUILT_YET, span, format!("{name} is understood, but its effect is not built yet"))
                .help("everything else in this file works as if the line were not there");
        }
    }

    /// Where the block of a keyword is that has this name.
    pub fn named(&self, keyword: &str, name: &str) -> Option<Span> {
        self.named.get(keyword)?.get(name).copied()
    }

    /// Remembers the name of a keyword's block.
    pub fn name(&mut self, keyword: &'static str, name: &Spanned<String>) {
        self.named.entry(keyword).or_default().insert(name.value.clone(), name.span);
    }

    /// Counts a tracker that lists can name from here on; `list` is the keyword of those lists.
    pub fn define(&mut self, list: &'static str) {
        *self.defined.entry(list).or_default() += 1;
    }

    /// How many trackers of a list's kind have been defined.
    pub fn defined(&self, list: &str) -> usize {
        self.defined.get(list).copied().unwrap_or(0)
    }

    /// `lvs_sync_daemon` or its old form: one of them counts. Says whether this is the first.
    pub fn is_first_sync_daemon(&mut self, span: Span) -> bool {
        let first = *self.sync_daemon.get_or_insert(span);
        if first != span {
            self.diagnostics
                .warning(Code::REPEATED, span, "there is one sync daemon; the first line that names it counts")
                .label(first, "first named here");
        }
        first == span
    }

    /// An error at a place.
    pub fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.diagnostics.error(code, span, message)
    }

    fn say_what_it_is(&mut self, entry: &'static Entry, line: &Statement) {
        let span = line.keyword.span;
        match entry.status {
            Status::Current => {}
            Status::Deprecated(instead) => {
                self.diagnostics
                    .warning(Code::DEPRECATED, span, format!("{} is an old way to say it", entry.name))
                    .help(format!("write {instead}"));
            }
            Status::OldName(instead) => {
                self.diagnostics
                    .lint(Code::DEPRECATED, span, format!("{} is an old name", entry.name))
                    .help(format!("write {instead}"));
            }
            Status::Obsolete => {
                self.diagnostics.warning(Code::DEPRECATED, span, format!("{} has no effect any more", entry.name));
            }
        }
        if !entry.built && entry.kind != Kind::Option && !matches!(entry.status, Status::Obsolete) {
            self.not_built(entry.name, span);
        }
    }

    fn unexpected_body(&mut self, body: &Body, entry: &Entry) {
        self.error(Code::UNEXPECTED_OPEN_BRACE, body.open, format!("{} takes no block", entry.name))
            .help("remove the braces and what stands between them");
    }

    fn unknown_keyword<D>(&mut self, block: &'static Block<D>, line: &Statement) {
        let word = &line.keyword;
        let place = if block.path.is_empty() { "at the top level" } else { "in this block" };
        let mut message = format!("unknown keyword '{}' {place}", word.text);
        if line.body.is_some() {
            message.push_str("; its whole block is skipped");
        }
        let elsewhere = if self.diagnostics.is_full() { Vec::new() } else { blocks_with(&word.text) };
        let names = block.keywords.iter().map(|keyword| keyword.entry.name);
        let similar = self.diagnostics.suggest(&word.text, names);
        let help = match (similar, elsewhere.as_slice()) {
            // Half of the tutorials have it in TCP_CHECK.
            _ if word.text == "nb_get_retry" && block.find(b"retry").is_some() => Some("write retry".to_owned()),
            (_, [only]) => Some(format!("{} belongs in {}", word.text, describe_block(only))),
            (_, [first, rest @ ..]) => {
                let more = rest.iter().take(3).map(|path| format!(" or {}", describe_block(path))).collect::<String>();
                Some(format!("{} belongs in {}{more}", word.text, describe_block(first)))
            }
            (Some(similar), []) => Some(format!("did you mean {similar}?")),
            (None, []) => None,
        };
        let diagnostic = self.error(Code::UNKNOWN_KEYWORD, word.span, message);
        if let Some(help) = help {
            diagnostic.help(help);
        }
    }

    /// The first value of a statement; none where the line is to be ignored.
    fn parse(&mut self, entry: &'static Entry, line: &Statement) -> Option<Parsed> {
        if matches!(entry.value, Value::Nothing | Value::Words(_)) && entry.missing == Missing::Allowed {
            return Some(Parsed::Nothing);
        }
        if entry.value == Value::Script {
            return self.script(entry, line);
        }
        let Some(word) = line.args.first() else { return self.missing(entry, line) };
        match entry.value {
            Value::Nothing | Value::Words(_) => Some(Parsed::Nothing),
            Value::AddressPort => {
                let address = self.plain_address(entry, word)?;
                if let Some(port) = line.args.get(1) {
                    self.number(entry, port, 0, 65_535)?;
                }
                Some(Parsed::Address(address))
            }
            _ => self.first_word(entry, word),
        }
    }

    fn first_word(&mut self, entry: &'static Entry, word: &Word) -> Option<Parsed> {
        match entry.value {
            Value::Nothing | Value::Words(_) | Value::Script | Value::AddressPort => Some(Parsed::Nothing),
            Value::Bool => self.bool(entry, word).map(Parsed::Bool),
            Value::Number(min, max) => self.number(entry, word, min, max).or(entry.instead).map(Parsed::Number),
            Value::AtLeastOne(max) => self.at_least_one(entry, word, max).map(Parsed::Number),
            Value::Decimal { min, max, places } => {
                self.decimal(entry, word, (min, max, places)).or(entry.instead).map(Parsed::Number)
            }
            Value::Text => Some(Parsed::Text(word.text.to_string())),
            Value::ShortText(most) if word.as_bytes().len() > most => {
                self.error(Code::TEXT_TOO_LONG, word.span, format!("{} takes at most {most} characters", entry.name));
                None
            }
            Value::CutText(most) if word.as_bytes().len() > most => {
                let length = word.as_bytes().len();
                self.error(
                    Code::TEXT_TOO_LONG,
                    word.span,
                    format!("{} uses the first {most} characters, these are {length}", entry.name),
                )
                .help("shorten it, on every router that must agree on it");
                Some(Parsed::Text(value::cut(&word.text, most)))
            }
            Value::ShortText(_) | Value::CutText(_) => Some(Parsed::Text(word.text.to_string())),
            Value::Interface => self.interface(entry, word).map(Parsed::Interface),
            Value::Address => self.plain_address(entry, word).map(Parsed::Address),
            Value::Multicast4 => self.multicast(entry, word, Some(Family::V4)).map(Parsed::Address),
            Value::Multicast6 => self.multicast(entry, word, Some(Family::V6)).map(Parsed::Address),
            Value::Multicast => self.multicast(entry, word, None).map(Parsed::Address),
            Value::OneOf(words) => self.one_of(entry, word, words, false),
            Value::OneOfAnyCase(words) => self.one_of(entry, word, words, true),
        }
    }

    fn missing(&mut self, entry: &'static Entry, line: &Statement) -> Option<Parsed> {
        let span = line.keyword.span;
        match entry.missing {
            Missing::Allowed => return Some(Parsed::Nothing),
            Missing::Error => {
                let text = format!("{} needs a value; the line is ignored", entry.name);
                self.error(Code::MISSING_ARGUMENT, span, text).help(usage(entry));
            }
            Missing::Refuse => {
                let text = format!("{} needs a value; keepalived stops reading here", entry.name);
                self.diagnostics.missing_argument(span, text).help(usage(entry));
            }
        }
        entry.instead.filter(|_| entry.missing == Missing::Error).map(Parsed::Number)
    }

    fn script(&mut self, entry: &'static Entry, line: &Statement) -> Option<Parsed> {
        match script_line::cut(line) {
            Ok(Some(script)) => Some(Parsed::Script(Box::new(script))),
            Ok(None) => self.missing(entry, line),
            Err(problem) => {
                self.error(Code::BAD_SCRIPT, line.span, format!("{}: {problem}; the line is ignored", entry.name))
                    .help("put the whole command in one pair of quotes");
                None
            }
        }
    }

    /// A boolean word.
    pub fn bool(&mut self, entry: &'static Entry, word: &Word) -> Option<bool> {
        match word.text.as_str() {
            "true" | "on" | "yes" => return Some(true),
            "false" | "off" | "no" => return Some(false),
            _ => {}
        }
        self.error(Code::BAD_WORD, word.span, format!("{} is either on or off, not '{}'", entry.name, word.text))
            .help("write on, true or yes, or off, false or no, in lower case");
        None
    }

    /// A whole number within limits.
    pub fn number(&mut self, entry: &'static Entry, word: &Word, min: i64, max: i64) -> Option<i64> {
        let (text, config_test) = (&word.text, self.config_test);
        let complaint = match value::integer(text) {
            value::Number::Whole(number) if (min..=max).contains(&number) => return Some(number),
            value::Number::Cut(number) if !config_test && (min..=max).contains(&number) => {
                let message = format!("'{text}' is no whole number; {number} is used");
                self.diagnostics.warning(Code::BAD_NUMBER, word.span, message);
                return Some(number);
            }
            value::Number::Whole(_) => format!("{} '{text}' is not in {min}-{max}", entry.name),
            value::Number::Cut(_) | value::Number::None => format!("{} '{text}' is no whole number", entry.name),
        };
        self.bad_number(entry, word, complaint, || format!("{min} to {max}"));
        None
    }

    fn at_least_one(&mut self, entry: &'static Entry, word: &Word, max: i64) -> Option<i64> {
        if value::integer(&word.text) == value::Number::Whole(0) {
            self.diagnostics.warning(Code::BAD_NUMBER, word.span, format!("{} cannot be 0; 1 is used", entry.name));
            return Some(1);
        }
        self.number(entry, word, 1, max)
    }

    /// A decimal number in units of the last place; `limits` are the smallest, the largest and the places.
    pub fn decimal(&mut self, entry: &'static Entry, word: &Word, limits: (u64, u64, u32)) -> Option<i64> {
        let (min, max, places) = limits;
        let text = &word.text;
        let fixed = |value| super::keywords::Fixed { value, places };
        let range = || format!("{} to {}", fixed(min), fixed(max));
        let complaint = match value::decimal(text, places) {
            value::Decimal::Exact(number) if (min..=max).contains(&number) => return i64::try_from(number).ok(),
            value::Decimal::Rounded(number) if (min..=max).contains(&number) => {
                let message = format!("{} '{text}' has more than {places} decimal places", entry.name);
                self.diagnostics
                    .warning(Code::BAD_NUMBER, word.span, message)
                    .help(format!("{} is used", fixed(number)));
                return i64::try_from(number).ok();
            }
            value::Decimal::Cut(number) if !self.config_test && (min..=max).contains(&number) => {
                let message = format!("'{text}' is no number; {} is used", fixed(number));
                self.diagnostics.warning(Code::BAD_NUMBER, word.span, message);
                return i64::try_from(number).ok();
            }
            value::Decimal::Exact(_) | value::Decimal::Rounded(_) => {
                format!("{} '{text}' is not in {}-{}", entry.name, fixed(min), fixed(max))
            }
            value::Decimal::Cut(_) | value::Decimal::None => format!("{} '{text}' is no number", entry.name),
        };
        self.bad_number(entry, word, complaint, range);
        None
    }

    fn bad_number(&mut self, entry: &Entry, word: &Word, complaint: String, range: impl Fn() -> String) {
        let unit = if entry.unit.is_empty() { String::new() } else { format!(" ({})", entry.unit) };
        let consequence = match (entry.instead, entry.value) {
            (Some(number), Value::Decimal { places, .. }) => {
                let value = u64::try_from(number).unwrap_or(0);
                format!("{} is used", super::keywords::Fixed { value, places })
            }
            (Some(number), _) => format!("{number} is used"),
            (None, _) if entry.kind == Kind::Option => "it is ignored".to_owned(),
            (None, _) => "this line is ignored".to_owned(),
        };
        self.error(Code::BAD_NUMBER, word.span, complaint)
            .help(format!("write a number from {}{unit}; until then {consequence}", range()));
    }

    fn one_of(
        &mut self,
        entry: &'static Entry,
        word: &Word,
        words: &'static [&'static str],
        any_case: bool,
    ) -> Option<Parsed> {
        let same = |known: &&str| {
            if any_case { known.eq_ignore_ascii_case(&word.text) } else { *known == word.text }
        };
        if let Some(known) = words.iter().copied().find(|known| same(known)) {
            return Some(Parsed::Text(known.to_owned()));
        }
        let help = match self.diagnostics.suggest(&word.text, words.iter().copied()) {
            Some(similar) => format!("did you mean {similar}?"),
            None => format!("write one of {}", words.join(", ")),
        };
        self.error(Code::BAD_WORD, word.span, format!("{} does not know '{}'", entry.name, word.text)).help(help);
        None
    }

    /// An interface's name as the kernel would take it.
    pub fn interface(&mut self, entry: &Entry, word: &Word) -> Option<IfName> {
        match word.text.parse() {
            Ok(name) => Some(name),
            Err(_) => {
                self.error(
                    Code::BAD_INTERFACE_NAME,
                    word.span,
                    format!("{}: '{}' cannot be the name of an interface", entry.name, word.text),
                )
                .help(HOW_INTERFACES_ARE_NAMED);
                None
            }
        }
    }

    /// An address; what follows a `/` or `-` is cut off, as keepalived does.
    pub fn plain_address(&mut self, entry: &Entry, word: &Word) -> Option<IpAddr> {
        let ends = |byte| matches!(byte, b'/' | b'-');
        let text = &*word.text;
        let address = value::address(text.bytes().position(ends).map_or(text, |end| &text[..end]));
        if address.is_none() {
            self.error(
                Code::BAD_ADDRESS,
                word.span,
                format!("{}: '{}' is no IPv4 or IPv6 address", entry.name, word.text),
            )
            .help("host names are not looked up; write the address itself");
        }
        address
    }

    /// A multicast address, of this family where one is given.
    pub fn multicast(&mut self, entry: &'static Entry, word: &Word, family: Option<Family>) -> Option<IpAddr> {
        let address = self.plain_address(entry, word)?;
        if address.is_multicast() && family.is_none_or(|family| family == Family::of(address)) {
            return Some(address);
        }
        let kind = match family {
            Some(Family::V4) => "an IPv4 multicast address",
            Some(Family::V6) => "an IPv6 multicast address",
            None => "a multicast address",
        };
        self.error(Code::BAD_ADDRESS, word.span, format!("{}: {address} is not {kind}", entry.name))
            .help("IPv4 multicast is 224.0.0.0 to 239.255.255.255, IPv6 begins with ff");
        None
    }
}

/// How a keyword is written.
pub fn usage(entry: &Entry) -> String {
    format!("write {} {}", entry.name, entry.value).trim_end().to_owned()
}

fn describe_block(path: &str) -> String {
    if path.is_empty() { "the top level, outside every block".to_owned() } else { format!("{path} {{ }}") }
}

impl<D> Block<D> {
    /// The row of a keyword.
    pub fn find(&self, name: &[u8]) -> Option<&'static Keyword<D>> {
        self.keywords.iter().find(|keyword| keyword.entry.name.as_bytes() == name)
    }
}
