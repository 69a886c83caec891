//! Health checkers of a real server.

use super::{Block, Entry, Keyword, Value, block, flag, join, list, number, option, seconds, switch, value};
use crate::addr::Family;
use crate::config::draft::{CheckerDraft, UrlDraft};
use crate::config::keywords::track::user_words;
use crate::config::reader::{Given, Reader, Spanned};
use crate::diag::Code;

const U32: i64 = 4_294_967_295;
/// "No practical limit": about 584,000 years.
const OPEN: u64 = i64::MAX as u64;

/// What every checker knows: when it runs.
const fn schedule(retries: &'static str, pause: &'static str) -> [Keyword<CheckerDraft>; 6] {
    [
        number("retry", 0, U32, "tries before it counts as failed").default(retries).unit("attempts").later(),
        seconds("delay_before_retry", 0, OPEN, "pause between two tries").default(pause).later(),
        seconds("warmup", 0, OPEN, "longest random wait before the first check")
            .default("that of the real server, else delay_loop")
            .later(),
        seconds("delay_loop", 1, OPEN, "pause between two checks").default("that of the real server").later(),
        switch("alpha", "the server counts as down until checked").default("that of the real server").later(),
        switch("log_all_failures", "log each failure, not only changes").default("checker_log_all_failures").later(),
    ]
}

/// Where a checker connects to, and from where.
const CONNECTION: [Keyword<CheckerDraft>; 7] = [
    value("connect_ip", Value::Address, "whom to ask").default("the real server").keep(connect_ip),
    number("connect_port", 1, 65_535, "at which port").default("that of the real server").later(),
    value("bindto", Value::Address, "from which address").default("the kernel's choice").keep(bindto),
    number("bind_port", 1, 65_535, "from which port").default("the kernel's choice").later(),
    value("bind_if", Value::Interface, "through which interface").default("none").keep(|c, _, _| c.bind_if = true),
    seconds("connect_timeout", 1, 4_294_967_295, "how long connecting may take")
        .default("that of the real server")
        .later(),
    number("fwmark", 0, U32, "firewall mark of its packets").default("0").later(),
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
                .default("smtpchecker.keepalived.org")
                .ignored_if_missing()
                .later(),
            block("host", "{ ... }", "one more server to ask")
                .default("none")
                .old_name("its keywords in SMTP_CHECK itself")
                .keep(|c, g, r| r.read_body(&SMTP_HOST, c, g)),
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
                .default("none")
                .ignored_if_missing()
                .keep(|_, g, r| hex_words(g, r, false)),
            value(
                "require_reply",
                Value::Words("[<hexadecimal digits, x for any> ...]"),
                "an answer must come, and be this",
            )
            .default("off")
            .optional()
            .keep(|_, g, r| hex_words(g, r, true)),
            number("min_reply_length", 0, 65_535, "shortest answer")
                .default("0")
                .unit("bytes")
                .keep(|c, g, _| c.lengths.0 = g.number()),
            number("max_reply_length", 0, 65_535, "longest answer")
                .default("255")
                .unit("bytes")
                .keep(|c, g, _| c.lengths.1 = g.plain()),
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
            .later(),
            value("name", Value::Text, "of which name").default(".").later(),
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
                .keep(|c, g, _| c.script = g.script().map(Box::new)),
            number("misc_timeout", 0, 4294, "when it is killed; 0 is after delay_loop")
                .default("0")
                .unit("seconds")
                .later(),
            flag("misc_dynamic", "its exit status changes the weight").later(),
            value("user", Value::Words("<user> [[:]<group>]"), "whom it runs as")
                .default("script_user")
                .ignored_if_missing()
                .keep(|c, g, _| c.user = user_words(&g.line.args).map(Box::new)),
        ],
    ),
};

/// `FILE_CHECK { }`
pub static FILE_CHECK: Block<CheckerDraft> = Block {
    path: "virtual_server/real_server/FILE_CHECK",
    keywords: &[
        value("track_file", Value::Text, "a track_file that is defined further up")
            .default("none; it must be given")
            .keep(|c, g, _| c.target = g.text()),
        number("weight", -2_147_483_647, 2_147_483_647, "what its number is multiplied with")
            .default("weight of the track_file")
            .ignored_if_missing()
            .options(&[
                option("reverse", "the product changes its sign").default("as the track_file says"),
                option("noreverse", "it does not, whatever the track_file says").default("as the track_file says"),
            ])
            .keep(file_weight),
    ],
};

/// `BFD_CHECK { }`
pub static BFD_CHECK: Block<CheckerDraft> = Block {
    path: "virtual_server/real_server/BFD_CHECK",
    keywords: &[
        value("name", Value::ShortText(31), "a bfd_instance that is defined further up")
            .default("none; it must be given")
            .ignored_if_missing()
            .keep(|c, g, _| c.target = g.text()),
        switch("alpha", "the server counts as down until checked").default("that of the real server").later(),
    ],
};

/// `HTTP_GET { }`
pub static HTTP_GET: Block<CheckerDraft> =
    Block { path: "virtual_server/real_server/HTTP_GET", keywords: &http(&HTTP_URL) };

/// `SSL_GET { }`
pub static SSL_GET: Block<CheckerDraft> = Block {
    path: "virtual_server/real_server/SSL_GET",
    keywords: &join::<_, 20, 1, 21>(&http(&SSL_URL), &[TLS_COMPLIANT.later()]),
};

const TLS_COMPLIANT: Entry = switch("tls_compliant", "TLS must be closed as its RFC says");

const fn http(url: &'static Block<UrlDraft>) -> [Keyword<CheckerDraft>; 20] {
    // The function of `url` differs in its table only.
    let url_row = match url.keywords.len() {
        10 => URL.keep(|c, g, r| read_url(&HTTP_URL, c, g, r)),
        _ => URL.keep(|c, g, r| read_url(&SSL_URL, c, g, r)),
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
                .later(),
            virtualhost("real server, then service, then the address asked"),
            value("http_protocol", Value::OneOf(&["1.0", "1.0c", "1.0C", "1.1"]), "version of HTTP")
                .default("1.0")
                .ignored_if_missing()
                .later(),
            switch("enable_sni", "tell the server which host is meant").later(),
            value("sni_name", Value::Text, "which host that is").default("virtualhost").optional().later(),
            switch("fast_recovery", "one success for every url is enough to recover").later(),
            url_row,
        ],
    )
}

const URL: Entry = block("url", "{ ... }", "a page to ask for; there may be several").default("none; it must be given");

const fn virtualhost<D>(default: &'static str) -> Keyword<D> {
    value("virtualhost", Value::Text, "host to ask for").default(default).ignored_if_missing().later()
}

const URL_ROWS: [Keyword<UrlDraft>; 10] = [
    value("path", Value::Text, "path of the page").default("none; it must be given").keep(|u, _, _| u.has_path = true),
    value("digest", Value::Words("<32 hexadecimal digits>"), "MD5 that the page must have")
        .default("none")
        .keep(digest),
    list("status_code", "<number 100 to 599>[-<number 100 to 599>] ...", "statuses that are a success")
        .default("200-299")
        .keep(status_codes),
    virtualhost("that of the checker"),
    value("regex", Value::Words("<pattern>"), "pattern that the page must match")
        .default("none")
        .ignored_if_missing()
        .later(),
    flag("regex_no_match", "it must not").later(),
    list("regex_options", "<option> ...", "how the pattern is meant").default("none").options(REGEX_OPTIONS).later(),
    offset("regex_min_offset", "where in the page matching may begin").default("0").later(),
    offset("regex_max_offset", "where in the page it must have begun").default("no limit").later(),
    value("regex_stack", Value::Words("<number> <number>"), "first and largest size of the matcher's stack")
        .default("none")
        .unit("bytes")
        .optional()
        .later(),
];

/// `url { }` in `HTTP_GET`.
pub static HTTP_URL: Block<UrlDraft> = Block { path: "virtual_server/real_server/HTTP_GET/url", keywords: &URL_ROWS };

/// `url { }` in `SSL_GET`.
pub static SSL_URL: Block<UrlDraft> = Block {
    path: "virtual_server/real_server/SSL_GET/url",
    keywords: &join::<_, 10, 1, 11>(&URL_ROWS, &[TLS_COMPLIANT.later()]),
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
    if same_family(address, checker.bindto, given, reader) {
        checker.connect_ip = Some(address);
    }
}

fn bindto(checker: &mut CheckerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(address) = given.address() else { return };
    let target = checker.connect_ip.unwrap_or(checker.server);
    if same_family(address, Some(target), given, reader) {
        checker.bindto = Some(address);
    }
}

type Address = Spanned<std::net::IpAddr>;

fn same_family(address: Address, other: Option<Address>, given: &Given<'_>, reader: &mut Reader<'_>) -> bool {
    let Some(other) = other.filter(|other| Family::of(other.value) != Family::of(address.value)) else { return true };
    let message = format!("{} is of another family than {}; it is ignored", given.entry.name, other.value);
    reader.error(Code::CHECKER, address.span, message).label(other.span, "that address is here");
    false
}

fn hex_words(given: &Given<'_>, reader: &mut Reader<'_>, wildcards: bool) {
    let fits = |c: char| c.is_ascii_hexdigit() || wildcards && matches!(c, 'x' | 'X') || c.is_whitespace();
    if let Some(word) = given.line.args.iter().find(|word| !word.text.chars().all(fits)) {
        let message = format!("{}: '{}' is not hexadecimal", given.entry.name, word.text);
        reader.error(Code::BAD_WORD, word.span, message);
    }
}

fn file_weight(_: &mut CheckerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    if let Some(word) = given.line.args.get(1)
        && !matches!(word.text.as_str(), "reverse" | "noreverse")
    {
        let message = format!("weight does not know '{}'; the line is ignored", word.text);
        reader.error(Code::UNKNOWN_OPTION, word.span, message).help("only reverse or noreverse may follow the number");
    }
}

fn read_url(block: &'static Block<UrlDraft>, checker: &mut CheckerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let mut url = UrlDraft::default();
    reader.read_body(block, &mut url, given);
    if url.has_path {
        checker.urls += 1;
        return;
    }
    reader.error(Code::CHECKER, given.line.keyword.span, "url has no path; it is dropped").help("add path /");
}

fn digest(url: &mut UrlDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(word) = given.line.args.first() else { return };
    let sound = word.text.len() == 32 && word.text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !sound || std::mem::replace(&mut url.has_digest, true) {
        let what = if sound { "is a second digest" } else { "is not an MD5 of 32 hexadecimal digits" };
        reader.error(Code::BAD_WORD, word.span, format!("digest '{}' {what}; it is ignored", word.text));
    }
}

fn status_codes(_: &mut UrlDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    for word in &given.line.args {
        let status = |text: &str| text.parse::<u16>().ok().filter(|status| (100..=599).contains(status));
        let (first, last) = word.text.split_once('-').unwrap_or((&word.text, &word.text));
        if status(first).zip(status(last)).is_none_or(|(first, last)| first > last) {
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
