//! Health checkers of a real server.

use super::lvs::{last_of, micros};
use super::{Block, Entry, Keyword, Value, block, flag, join, list, number, option, seconds, switch, value};
use crate::addr::Family;
use crate::config::draft::{CheckerDraft, TimingDraft, UrlDraft};
use crate::config::keywords::track::user_words;
use crate::config::reader::{Given, Reader, Spanned};
use crate::config::tree::Word;
use crate::config::value as values;
use crate::config::words;
use crate::diag::Code;
use crate::model::checker::{HELO_NAME, HttpVersion};

const U32: i64 = 4_294_967_295;
/// "No practical limit": about 584,000 years.
const OPEN: u64 = i64::MAX as u64;

/// What every checker knows: when it runs.
const fn schedule(retries: &'static str, pause: &'static str) -> [Keyword<CheckerDraft>; 6] {
    [
        number("retry", 0, U32, "tries before it counts as failed")
            .default(retries)
            .unit("attempts")
            .then(|c, g, _| c.timing.retry = g.plain()),
        seconds("delay_before_retry", 0, OPEN, "pause between two tries")
            .default(pause)
            .then(|c, g, _| c.timing.delay_before_retry = micros(g)),
        seconds("warmup", 0, OPEN, "longest random wait before the first check")
            .default("that of the real server, else delay_loop")
            .then(|c, g, _| c.timing.warmup = micros(g)),
        seconds("delay_loop", 1, OPEN, "pause between two checks")
            .default("that of the real server")
            .then(|c, g, _| c.timing.delay_loop = micros(g)),
        switch("alpha", "the server counts as down until checked")
            .default("that of the real server")
            .then(|c, g, _| c.timing.alpha = Some(g.on())),
        switch("log_all_failures", "log each failure, not only changes")
            .default("checker_log_all_failures")
            .then(|c, g, _| c.log_all_failures = g.on()),
    ]
}

/// Where a checker connects to, and from where.
const CONNECTION: [Keyword<CheckerDraft>; 7] = [
    value("connect_ip", Value::Address, "whom to ask").default("the real server").then(connect_ip),
    number("connect_port", 1, 65_535, "at which port")
        .default("that of the real server")
        .then(|c, g, _| c.connection.connect_port = g.plain()),
    value("bindto", Value::Address, "from which address").default("the kernel's choice").then(bindto),
    number("bind_port", 1, 65_535, "from which port")
        .default("the kernel's choice")
        .then(|c, g, _| c.connection.bind_port = g.plain()),
    value("bind_if", Value::Interface, "through which interface")
        .default("none")
        .then(|c, g, _| c.connection.bind_if = g.interface().map(|name| name.value)),
    seconds("connect_timeout", 1, 4_294_967_295, "how long connecting may take")
        .default("that of the real server")
        .then(|c, g, _| c.timing.connect_timeout = micros(g)),
    number("fwmark", 0, U32, "firewall mark of its packets")
        .default("0")
        .then(|c, g, _| c.connection.mark = g.plain().unwrap_or(0)),
];

const PLAIN: [Keyword<CheckerDraft>; 13] =
    join::<_, 7, 6, 13>(&CONNECTION, &schedule("that of the real server, else 1", "that of the real server, else 1"));

/// `TCP_CHECK { }`
pub static TCP_CHECK: Block<CheckerDraft> = Block { path: "virtual_server/real_server/TCP_CHECK", keywords: &PLAIN };

/// `PING_CHECK { }`
pub static PING_CHECK: Block<CheckerDraft> = Block { path: "virtual_server/real_server/PING_CHECK", keywords: &PLAIN };

/// `SMTP_CHECK { }`
pub static SMTP_CHECK: Block<CheckerDraft> = Block {
    path: "virtual_server/real_server/SMTP_CHECK",
    keywords: &join::<_, 13, 2, 15>(
        &PLAIN,
        &[
            value("helo_name", Value::Text, "how it greets")
                .default(HELO_NAME)
                .ignored_if_missing()
                .then(|c, g, r| last_of(&mut c.detail().helo_name, g, r)),
            block("host", "{ ... }", "one more server to ask")
                .default("none")
                .old_name("one more SMTP_CHECK")
                .then(smtp_host),
        ],
    ),
};

/// `host { }` in `SMTP_CHECK`.
pub static SMTP_HOST: Block<CheckerDraft> =
    Block { path: "virtual_server/real_server/SMTP_CHECK/host", keywords: &PLAIN };

/// `UDP_CHECK { }`
pub static UDP_CHECK: Block<CheckerDraft> = Block {
    path: "virtual_server/real_server/UDP_CHECK",
    keywords: &join::<_, 13, 4, 17>(
        &PLAIN,
        &[
            value("payload", Value::Words("<hexadecimal digits> ..."), "bytes to send")
                .default("32 bytes of text")
                .ignored_if_missing()
                .then(payload),
            value(
                "require_reply",
                Value::Words("[<hexadecimal digits, x for any> ...]"),
                "an answer must come, and be this",
            )
            .default("off")
            .optional()
            .then(require_reply),
            number("min_reply_length", 0, 65_535, "shortest answer")
                .default("0")
                .unit("bytes")
                .then(|c, g, _| c.detail().lengths.0 = g.number()),
            number("max_reply_length", 0, 65_535, "longest answer")
                .default("255")
                .unit("bytes")
                .then(|c, g, _| c.detail().lengths.1 = g.plain()),
        ],
    ),
};

/// `DNS_CHECK { }`
pub static DNS_CHECK: Block<CheckerDraft> = Block {
    path: "virtual_server/real_server/DNS_CHECK",
    keywords: &join::<_, 13, 2, 15>(
        &join::<_, 7, 6, 13>(
            &CONNECTION,
            &schedule("that of the real server, else 3", "that of the real server, else delay_loop"),
        ),
        &[
            value(
                "type",
                Value::OneOfAnyCase(&["A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"]),
                "which records to ask for",
            )
            .default("SOA")
            .then(record_type),
            value("name", Value::Text, "of which name").default(".").then(dns_name),
        ],
    ),
};

/// `MISC_CHECK { }`
pub static MISC_CHECK: Block<CheckerDraft> = Block {
    path: "virtual_server/real_server/MISC_CHECK",
    keywords: &join::<_, 6, 4, 10>(
        &schedule("that of the real server, else 0", "that of the real server, else 1"),
        &[
            super::script("misc_path", "program to run; exit status 0 is success")
                .default("none; it must be given")
                .ignored_if_missing()
                .then(|c, g, _| c.detail().script = g.script()),
            number("misc_timeout", 0, 4294, "when it is killed; 0 is after delay_loop")
                .default("0")
                .unit("seconds")
                .then(|c, g, _| c.detail().misc_timeout = g.plain().unwrap_or(0)),
            flag("misc_dynamic", "its exit status changes the weight").then(|c, _, _| c.detail().misc_dynamic = true),
            value("user", Value::Words("<user> [[:]<group>]"), "whom it runs as")
                .default("script_user")
                .ignored_if_missing()
                .then(|c, g, _| c.detail().user = user_words(&g.line.args)),
        ],
    ),
};

/// `FILE_CHECK { }`
pub static FILE_CHECK: Block<CheckerDraft> = Block {
    path: "virtual_server/real_server/FILE_CHECK",
    keywords: &[
        value("track_file", Value::Text, "a track_file that is defined further up")
            .default("none; it must be given")
            .then(|c, g, _| c.detail().target = g.text()),
        number("weight", -2_147_483_647, 2_147_483_647, "what its number is multiplied with")
            .default("weight of the track_file")
            .ignored_if_missing()
            .options(&[
                option("reverse", "the product changes its sign").default("as the track_file says"),
                option("noreverse", "it does not, whatever the track_file says").default("as the track_file says"),
            ])
            .then(file_weight),
    ],
};

/// `BFD_CHECK { }`
pub static BFD_CHECK: Block<CheckerDraft> = Block {
    path: "virtual_server/real_server/BFD_CHECK",
    keywords: &[
        value("name", Value::ShortText(31), "a bfd_instance that is defined further up")
            .default("none; it must be given")
            .ignored_if_missing()
            .keep(|c, g, _| c.detail().target = g.text()),
        switch("alpha", "the server counts as down until checked")
            .default("that of the real server")
            .keep(|c, g, _| c.timing.alpha = Some(g.on())),
    ],
};

/// `HTTP_GET { }`
pub static HTTP_GET: Block<CheckerDraft> =
    Block { path: "virtual_server/real_server/HTTP_GET", keywords: &http(&HTTP_URL) };

/// `SSL_GET { }`
pub static SSL_GET: Block<CheckerDraft> = Block {
    path: "virtual_server/real_server/SSL_GET",
    keywords: &join::<_, 20, 1, 21>(
        &http(&SSL_URL),
        &[TLS_COMPLIANT.then(|c, g, _| c.detail().http.tls_compliant = g.on())],
    ),
};

const TLS_COMPLIANT: Entry = switch("tls_compliant", "TLS must be closed as its RFC says");

const fn http(url: &'static Block<UrlDraft>) -> [Keyword<CheckerDraft>; 20] {
    // The function of `url` differs in its table only.
    let url_row = match url.keywords.len() {
        10 => URL.then(|c, g, r| read_url(&HTTP_URL, c, g, r)),
        _ => URL.then(|c, g, r| read_url(&SSL_URL, c, g, r)),
    };
    join::<_, 13, 7, 20>(
        &join::<_, 7, 6, 13>(
            &CONNECTION,
            &schedule("that of the real server, else 1", "that of the real server, else 3"),
        ),
        &[
            number("nb_get_retry", 0, U32, "old name of retry")
                .default("as retry")
                .unit("attempts")
                .deprecated("retry")
                .then(|c, g, _| c.timing.retry = g.plain()),
            virtualhost("real server, then service, then the address asked")
                .then(|c, g, r| last_of(&mut c.detail().http.virtualhost, g, r)),
            value("http_protocol", Value::OneOf(&["1.0", "1.0c", "1.0C", "1.1"]), "version of HTTP")
                .default("1.0")
                .ignored_if_missing()
                .then(http_protocol),
            switch("enable_sni", "tell the server which host is meant").then(|c, g, _| c.detail().http.sni = g.on()),
            value("sni_name", Value::Text, "which host that is").default("virtualhost").optional().then(sni_name),
            switch("fast_recovery", "one success for every url is enough to recover")
                .then(|c, g, _| c.detail().http.fast_recovery = g.on()),
            url_row,
        ],
    )
}

const URL: Entry = block("url", "{ ... }", "a page to ask for; there may be several").default("none; it must be given");

const fn virtualhost(default: &'static str) -> Entry {
    value("virtualhost", Value::Text, "host to ask for").default(default).ignored_if_missing()
}

const URL_ROWS: [Keyword<UrlDraft>; 10] = [
    value("path", Value::Text, "path of the page")
        .default("none; it must be given")
        .then(|u, g, r| last_of(&mut u.path, g, r)),
    value("digest", Value::Words("<32 hexadecimal digits>"), "MD5 that the page must have")
        .default("none")
        .then(digest),
    list("status_code", "<number 100 to 599>[-<number 100 to 599>] ...", "statuses that are a success")
        .default("200-299")
        .then(status_codes),
    virtualhost("that of the checker").then(|u, g, r| last_of(&mut u.virtualhost, g, r)),
    value("regex", Value::Words("<pattern>"), "pattern that the page must match")
        .default("none")
        .ignored_if_missing()
        .then(regex),
    flag("regex_no_match", "it must not").then(|u, g, _| about_regex(u, g).regex_no_match = true),
    list("regex_options", "<option> ...", "how the pattern is meant")
        .default("none")
        .options(REGEX_OPTIONS)
        .then(regex_options),
    offset("regex_min_offset", "where in the page matching may begin").default("0").then(|u, g, r| {
        let offset = offset_number(g, r);
        about_regex(u, g).regex_min_offset = Some(Spanned::new(offset, g.span()));
    }),
    offset("regex_max_offset", "where in the page it must have begun").default("no limit").then(|u, g, r| {
        let offset = offset_number(g, r);
        about_regex(u, g).regex_max_offset = Some(offset);
    }),
    value("regex_stack", Value::Words("<number> <number>"), "first and largest size of the matcher's stack")
        .default("none; what the matcher needs is what it gets")
        .unit("bytes")
        .optional()
        .then(|u, g, _| {
            about_regex(u, g);
        }),
];

/// `url { }` in `HTTP_GET`.
pub static HTTP_URL: Block<UrlDraft> = Block { path: "virtual_server/real_server/HTTP_GET/url", keywords: &URL_ROWS };

/// `url { }` in `SSL_GET`.
pub static SSL_URL: Block<UrlDraft> = Block {
    path: "virtual_server/real_server/SSL_GET/url",
    keywords: &join::<_, 10, 1, 11>(&URL_ROWS, &[TLS_COMPLIANT.then(|u, g, _| u.tls_compliant = g.on())]),
};

const fn offset(name: &'static str, about: &'static str) -> Entry {
    // keepalived: a bad one is only logged.
    value(name, Value::Words("<number>"), about).unit("bytes").optional()
}

const REGEX_OPTIONS: &[Entry] = &[
    option("allow_empty_class", "`[]` matches nothing instead of beginning a class").default("off"),
    option("alt_bsux", "\\u and \\x as in JavaScript").default("off"),
    option("auto_callout", "PCRE2_AUTO_CALLOUT").default("off"),
    option("caseless", "upper and lower case are the same").default("off"),
    option("dollar_endonly", "`$` matches at the very end only").default("off"),
    option("dotall", "`.` matches a line end, too").default("off"),
    option("dupnames", "groups may share a name").default("off"),
    option("extended", "blanks and comments in the pattern do not count").default("off"),
    option("firstline", "a match begins in the first line").default("off"),
    option("match_unset_backref", "a reference to a group without match matches nothing").default("off"),
    option("multiline", "`^` and `$` match at every line").default("off"),
    option("never_ucp", "the pattern cannot ask for Unicode properties").default("off"),
    option("never_utf", "the pattern cannot ask for UTF").default("off"),
    option("no_auto_capture", "plain parentheses do not capture").default("off"),
    option("no_auto_possess", "no possessive quantifiers by themselves").default("off"),
    option("no_dotstar_anchor", "a leading `.*` does not anchor").default("off"),
    option("no_start_optimize", "no short cuts before matching").default("off"),
    option("ucp", "classes such as \\d know Unicode").default("off"),
    option("ungreedy", "quantifiers take as little as they can").default("off"),
    option("utf", "pattern and page are UTF-8").default("off"),
    option("never_backslash_c", "`\\C` is an error").default("off"),
    option("alt_circumflex", "`^` matches after a line end at the end").default("off"),
    option("alt_verbnames", "names of verbs may hold escapes").default("off"),
    option("use_offset_limit", "obey a limit of where a match begins").default("off"),
];

fn connect_ip(checker: &mut CheckerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(address) = given.address() else { return };
    if same_family(address, checker.connection.bindto, given, reader) {
        checker.connection.connect_ip = Some(address);
    }
}

fn bindto(checker: &mut CheckerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(address) = given.address() else { return };
    let target = checker.connection.connect_ip.unwrap_or(checker.server);
    if same_family(address, Some(target), given, reader) {
        checker.connection.bindto = Some(address);
    }
}

type Address = Spanned<std::net::IpAddr>;

fn same_family(address: Address, other: Option<Address>, given: &Given<'_>, reader: &mut Reader<'_>) -> bool {
    let Some(other) = other.filter(|other| Family::of(other.value) != Family::of(address.value)) else { return true };
    let message = format!("{} is of another family than {}; it is ignored", given.entry.name, other.value);
    reader.error(Code::CHECKER, address.span, message).label(other.span, "that address is here");
    false
}

/// A host has a connection of its own; when it is asked is said for all of them, wherever it stands.
fn smtp_host(checker: &mut CheckerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let kind = Spanned::new(checker.kind.value, given.line.keyword.span);
    let mut host = CheckerDraft::new(kind, checker.server, checker.defined_before);
    host.timing = TimingDraft { connect_timeout: None, ..checker.timing };
    host.log_all_failures = checker.log_all_failures;
    reader.read_body(&SMTP_HOST, &mut host, given);
    checker.timing = TimingDraft { connect_timeout: checker.timing.connect_timeout, ..host.timing };
    checker.log_all_failures = host.log_all_failures;
    checker.detail().hosts.push(host);
}

/// Hexadecimal bytes, each with the bits that count; none where a word is not hexadecimal. A digit that is left alone
/// before a blank is a byte.
fn hex_bytes(given: &Given<'_>, reader: &mut Reader<'_>, wildcards: bool) -> Option<Vec<(u8, u8)>> {
    let nibble = |digit: u8| match (digit as char).to_digit(16) {
        Some(value) => Some((value as u8, 0x0f)),
        None if wildcards && digit.eq_ignore_ascii_case(&b'x') => Some((0, 0)),
        None => None,
    };
    let byte = |pair: &[u8]| match *pair {
        [low] => nibble(low).map(|(value, mask)| (value, 0xf0 | mask)),
        [high, low] => nibble(high).zip(nibble(low)).map(|(high, low)| (high.0 << 4 | low.0, high.1 << 4 | low.1)),
        _ => None,
    };
    let mut bytes = Vec::new();
    for word in &given.line.args {
        for part in word.text.split_whitespace() {
            let Some(found) = part.as_bytes().chunks(2).map(byte).collect::<Option<Vec<_>>>() else {
                let message = format!("{}: '{}' is not hexadecimal", given.entry.name, word.text);
                reader.error(Code::BAD_WORD, word.span, message).help("write bytes such as 0a ff");
                return None;
            };
            bytes.extend(found);
        }
    }
    Some(bytes)
}

fn payload(checker: &mut CheckerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    if let Some(bytes) = hex_bytes(given, reader, false) {
        checker.detail().payload = Some(bytes.into_iter().map(|(byte, _)| byte).collect());
    }
}

fn require_reply(checker: &mut CheckerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let bytes = hex_bytes(given, reader, true);
    checker.detail().reply = Some(bytes.unwrap_or_default());
}

fn record_type(checker: &mut CheckerDraft, given: &Given<'_>, _: &mut Reader<'_>) {
    let number = match given.text().unwrap_or(Spanned::new(String::new(), given.span())).value.as_str() {
        "A" => 1,
        "NS" => 2,
        "CNAME" => 5,
        "MX" => 15,
        "TXT" => 16,
        "AAAA" => 28,
        "RRSIG" => 46,
        "DNSKEY" => 48,
        _ => 6,
    };
    checker.detail().record_type = Some(number);
}

/// A name has labels of 1 to 63 bytes and 255 bytes in all (RFC 1035 §3.1); one dot at the end is the root.
fn dns_name(checker: &mut CheckerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(name) = given.text() else { return };
    let labels = name.value.strip_suffix('.').unwrap_or(&name.value);
    let is_root = name.value == ".";
    let complaint = match () {
        () if is_root => "",
        () if labels.split('.').any(str::is_empty) => "has an empty label",
        () if labels.split('.').any(|label| label.len() > 63) => "has a label of more than 63 characters",
        () if labels.len() > 253 => "has more than 253 characters",
        () => "",
    };
    if !complaint.is_empty() {
        let message = format!("the name '{}' {complaint}; the line is ignored", name.value);
        reader
            .error(Code::BAD_WORD, name.span, message)
            .help("write a name such as www.example.com, or . for the root");
        return;
    }
    if checker.detail().name.is_some() {
        reader.diagnostics.warning(Code::REPEATED, name.span, "name is given twice; the first counts");
        return;
    }
    checker.detail().name = Some(name.value);
}

fn file_weight(checker: &mut CheckerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let reverse = match given.line.args.get(1) {
        None => None,
        Some(word) if word.text == "reverse" => Some(true),
        Some(word) if word.text == "noreverse" => Some(false),
        Some(word) => {
            let message = format!("weight does not know '{}'; the line is ignored", word.text);
            reader
                .error(Code::UNKNOWN_OPTION, word.span, message)
                .help("only reverse or noreverse may follow the number");
            return;
        }
    };
    let detail = checker.detail();
    (detail.weight, detail.reverse) = (given.plain(), reverse);
}

fn http_protocol(checker: &mut CheckerDraft, given: &Given<'_>, _: &mut Reader<'_>) {
    let Some(word) = given.line.args.first() else { return };
    checker.detail().http.version = match word.text.as_str() {
        "1.0c" | "1.0C" => HttpVersion::V10Close,
        "1.1" => HttpVersion::V11,
        _ => HttpVersion::V10,
    };
}

/// Turns SNI on; a name that was there stays where this one is empty.
fn sni_name(checker: &mut CheckerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let http = &mut checker.detail().http;
    http.sni = true;
    match (&http.sni_name, given.line.args.first()) {
        (Some(_), Some(_)) => last_of_words(&mut http.sni_name, given, reader),
        (Some(_), None) => {
            let message = "sni_name without a name follows one with a name; it is ignored";
            reader.diagnostics.warning(Code::REPEATED, given.line.keyword.span, message);
        }
        (None, word) => http.sni_name = word.map(|word| word.text.to_string()),
    }
}

/// As [`last_of`], for a keyword that needs no value.
fn last_of_words(slot: &mut Option<String>, given: &Given<'_>, reader: &mut Reader<'_>) {
    let message = format!("{} is given twice; the last counts", given.entry.name);
    reader.diagnostics.warning(Code::REPEATED, given.span(), message).help("remove one of the lines");
    *slot = given.line.args.first().map(|word| word.text.to_string());
}

fn read_url(block: &'static Block<UrlDraft>, checker: &mut CheckerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let mut url = UrlDraft::default();
    reader.read_body(block, &mut url, given);
    if url.path.is_none() {
        reader.error(Code::CHECKER, given.line.keyword.span, "url has no path; it is dropped").help("add path /");
        return;
    }
    finish_regex(&mut url, reader);
    checker.detail().http.urls.push(url);
}

/// What belongs to a regular expression needs one, and its offsets must be in order.
fn finish_regex(url: &mut UrlDraft, reader: &mut Reader<'_>) {
    let Some(place) = url.regex_place else { return };
    if url.regex.is_none() {
        // keepalived: only logged.
        reader.diagnostics.lint(Code::CHECKER, place, "there is no regex for this line; it is ignored");
        return;
    }
    if let (Some(min), Some(max)) = (url.regex_min_offset, url.regex_max_offset)
        && min.value > max
    {
        let message = "regex_min_offset is above regex_max_offset; both are ignored";
        reader.diagnostics.lint(Code::CHECKER, min.span, message);
        (url.regex_min_offset, url.regex_max_offset) = (None, None);
    }
}

/// The url, once it is known that a line of it is about a regular expression.
fn about_regex<'u>(url: &'u mut UrlDraft, given: &Given<'_>) -> &'u mut UrlDraft {
    url.regex_place.get_or_insert(given.line.keyword.span);
    url
}

fn regex(url: &mut UrlDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let span = given.span();
    let words = match words::command(&given.line.raw()) {
        Ok(words) => words,
        Err(error) => {
            reader.error(Code::BAD_WORD, span, format!("regex: {}", crate::config::script_line::describe(error)));
            return;
        }
    };
    let [_, pattern] = words.as_slice() else {
        reader
            .error(Code::EXTRA_WORDS, span, "regex takes one pattern; the line is ignored")
            .help("put a pattern with blanks in quotes");
        return;
    };
    if url.regex.is_some() {
        reader.diagnostics.warning(Code::REPEATED, span, "regex is given twice; the last counts");
    }
    about_regex(url, given).regex = Some(pattern.clone());
}

fn regex_options(url: &mut UrlDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let in_braces = given.entries().flat_map(|(_, words)| words);
    let words: Vec<&Word> = given.line.args.iter().chain(in_braces).collect();
    for word in words {
        match REGEX_OPTIONS.iter().find(|option| word.text == option.name) {
            Some(option) => about_regex(url, given).regex_options.push(option.name),
            None => {
                // keepalived: says nothing.
                let message = format!("regex_options does not know '{}'", word.text);
                let similar = reader.diagnostics.suggest(&word.text, REGEX_OPTIONS.iter().map(|option| option.name));
                let help = similar.map(|similar| format!("did you mean {similar}?"));
                reader.diagnostics.lint(Code::UNKNOWN_OPTION, word.span, message).help = help;
            }
        }
    }
}

/// An offset; 0 where it is none.
fn offset_number(given: &Given<'_>, reader: &mut Reader<'_>) -> usize {
    let number = given.line.args.first().map(|word| values::integer(&word.text));
    match number {
        Some(values::Number::Whole(number)) if number >= 0 => usize::try_from(number).unwrap_or(usize::MAX),
        _ => {
            // keepalived: only logged.
            let message = format!("{} needs a number of bytes; 0 is used", given.entry.name);
            reader.diagnostics.lint(Code::BAD_NUMBER, given.span(), message);
            0
        }
    }
}

fn digest(url: &mut UrlDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(word) = given.line.args.first() else { return };
    let mut digest = [0; 16];
    let digits: Option<Vec<u8>> = word.text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let sound = digits.is_some_and(|digits| {
        digest
            .iter_mut()
            .zip(digits.chunks(2))
            .for_each(|(byte, pair)| *byte = pair[0] << 4 | pair.last().unwrap_or(&0));
        digits.len() == 32
    });
    if !sound || url.digest.is_some() {
        let what = if sound { "is a second digest" } else { "is not an MD5 of 32 hexadecimal digits" };
        reader.error(Code::BAD_WORD, word.span, format!("digest '{}' {what}; it is ignored", word.text));
        return;
    }
    url.digest = Some(digest);
}

fn status_codes(url: &mut UrlDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let in_braces = given.entries().flat_map(|(_, words)| words);
    for word in given.line.args.iter().chain(in_braces) {
        let status = |text: &str| text.parse::<u16>().ok().filter(|status| (100..=599).contains(status));
        let (first, last) = word.text.split_once('-').unwrap_or((&word.text, &word.text));
        match status(first).zip(status(last)) {
            Some((first, last)) if first <= last => url.status_codes.push(first..=last),
            _ => {
                reader
                    .error(
                        Code::BAD_NUMBER,
                        word.span,
                        format!("status_code '{}' is no status or range of them", word.text),
                    )
                    .help("write numbers from 100 to 599, such as 200 or 200-299");
            }
        }
    }
}
