//! `genhash`: the digest of a page, as HTTP_GET and SSL_GET compare it (`operator-surface.md` §10).

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Instant;

use md5::{Digest, Md5};

use crate::check::io::{Reason, ReasonKind, Verdict};
use crate::cli::getopt::{self, Found, Spec, Takes};
use crate::model::checker::{Connection, Http, HttpVersion, Url};
use crate::model::lvs::Ssl;
use crate::probe::http::answer::{Body, Header, Receiver};
use crate::probe::http::{self, hex};
use crate::probe::tls;
use crate::time::Duration;

/// The program; `name` is how it was called. Gives the exit status.
pub(super) fn run(name: &str, words: &[OsString]) -> u8 {
    let asked = match Asked::parse(words) {
        Ok(asked) => asked,
        Err(complaint) => {
            if !complaint.is_empty() {
                eprintln!("{complaint}");
            }
            eprint!("Usage: {name}{USAGE}");
            return 1;
        }
    };
    let client = match asked.http.tls.then(|| tls::Client::new(&Ssl::default())).transpose() {
        Ok(client) => client,
        Err(error) => {
            eprintln!("Cannot initialize SSL context. ({error})");
            return 1;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        eprintln!("Cannot wait for network events.");
        return 1;
    };
    let began = Instant::now();
    let mut page = Page { digest: Md5::new(), verbose: asked.verbose };
    let url = &asked.http.urls[0];
    let client = || client.as_ref().ok_or_else(unreachable_client);
    let ended = runtime.block_on(http::fetch(&asked.http, asked.server, url, client, &mut page));
    match ended {
        Ok(()) => page.finish(&url.path, began.elapsed()),
        // keepalived: what went wrong is told like a digest, with status 0.
        Err(Verdict::Fail(reason) | Verdict::Local(reason)) => say(&format!("{}\n", words_for(&reason))),
        Err(_) => say("Connection failed\n"),
    }
    0
}

/// Only asked for where there is a client.
fn unreachable_client() -> Verdict {
    Verdict::Local(Reason { kind: ReasonKind::Local, detail: "no TLS".into() })
}

/// Nobody may be reading; that is no reason to fail.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn words_for(reason: &Reason) -> String {
    match reason.kind {
        ReasonKind::Refused => "Connection failed".into(),
        ReasonKind::ConnectTimeout => "Timeout connecting".into(),
        _ => format!("Connection failed ({})", reason.detail),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    UseSsl,
    UseSni,
    Server,
    Port,
    Url,
    VirtualHost,
    Verbose,
    Help,
    Mark,
    Protocol,
    Timeout,
}

const fn row(short: u8, long: &'static str, takes: Takes, meaning: Word) -> Spec<Word> {
    Spec { short: Some(short), long: Some(long), takes, meaning }
}

const WORDS: &[Spec<Word>] = &[
    row(b'S', "use-ssl", Takes::Nothing, Word::UseSsl),
    row(b'I', "use-sni", Takes::Nothing, Word::UseSni),
    row(b's', "server", Takes::Required, Word::Server),
    row(b'p', "port", Takes::Required, Word::Port),
    row(b'u', "url", Takes::Required, Word::Url),
    row(b'V', "use-virtualhost", Takes::Required, Word::VirtualHost),
    row(b'v', "verbose", Takes::Nothing, Word::Verbose),
    row(b'h', "help", Takes::Nothing, Word::Help),
    row(b'm', "fwmark", Takes::Required, Word::Mark),
    row(b'P', "protocol", Takes::Required, Word::Protocol),
    row(b't', "timeout", Takes::Required, Word::Timeout),
];

const USAGE: &str = " COMMAND [OPTIONS]
Commands:
   -s server-address -p port -u url
   -S -s server-address -p port -u url
   -h

Options:
Either long or short options are allowed.
   --use-ssl         -S       Use SSL connection to remote server.
   --use-sni         -I       Use SNI during SSL handshake (uses virtualhost setting; see -V).
   --server          -s       Use the specified remote server address.
   --port            -p       Use the specified remote server port.
   --url             -u       Use the specified remote server url.
   --use-virtualhost -V       Use the specified virtualhost in GET query.
   --verbose         -v       Use verbose mode output.
   --help            -h       Display this short inlined help screen.
   --fwmark          -m       Use the specified FW mark.
   --protocol        -P       Use the specified HTTP protocol - '1.0', '1.0c', '1.1'.
                                1.0c means 1.0 with 'Connection: close'
   --timeout         -t       Timeout in seconds
";

/// What is asked for, and of whom.
#[derive(Debug)]
struct Asked {
    http: Http,
    server: SocketAddr,
    verbose: bool,
}

impl Asked {
    /// An error is a complaint, or empty where only the usage is to be shown.
    fn parse(words: &[OsString]) -> Result<Self, String> {
        let (found, left_over) = getopt::parse(WORDS, words);
        let (mut server, mut port, mut path, mut host) = (None::<IpAddr>, None, None, None);
        let (mut tls, mut sni, mut verbose, mut mark) = (false, false, false, 0);
        let (mut version, mut timeout) = (HttpVersion::V10, Duration::from_secs(5));
        for option in found {
            let Found::Option(word, argument) = option else { return Err(String::new()) };
            let text = argument.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
            match word {
                Word::UseSsl => tls = true,
                Word::UseSni => sni = true,
                Word::Server => server = Some(value(&text, "server should be an IP, not ", "")?),
                Word::Port => port = Some(port_number(&text)?),
                Word::Url => path = Some(text),
                Word::VirtualHost => host = Some(text),
                Word::Verbose => verbose = true,
                Word::Help => return Err(String::new()),
                Word::Mark => mark = value(&text, "invalid fwmark '", "'")?,
                Word::Protocol => version = protocol(&text)?,
                Word::Timeout => timeout = seconds(&text)?,
            }
        }
        if !left_over.is_empty() {
            let words: Vec<_> = left_over.iter().map(|word| word.to_string_lossy()).collect();
            return Err(format!("Unexpected argument(s): {}", words.join(" ")));
        }
        let (Some(server), Some(port), Some(path)) = (server, port, path) else { return Err(String::new()) };
        let server = SocketAddr::new(server, port);
        let connection = Connection { mark, ..Connection::within(timeout) };
        let url = Url {
            path: path.into(),
            virtualhost: host.clone().map(Into::into),
            sni: host.filter(|_| sni).map(Into::into),
            digest: None,
            status_codes: Vec::new(),
            regex: None,
            tls_compliant: false,
        };
        let http = Http { connection, tls, version, fast_recovery: false, urls: vec![url] };
        Ok(Self { http, server, verbose })
    }
}

fn value<T: FromStr>(text: &str, before: &str, after: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{before}{text}{after}"))
}

fn port_number(text: &str) -> Result<u16, String> {
    let complaint = || format!("invalid port number '{text}'");
    text.parse().ok().filter(|&port| port > 0).ok_or_else(complaint)
}

fn protocol(text: &str) -> Result<HttpVersion, String> {
    match text {
        "1.0" => Ok(HttpVersion::V10),
        "1.0c" | "1.0C" => Ok(HttpVersion::V10Close),
        "1.1" => Ok(HttpVersion::V11),
        _ => Err(format!("invalid HTTP protocol version '{text}'")),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let secs = text.parse().ok().filter(|secs: &f64| *secs > 0.0);
    let span = secs.and_then(|secs| Duration::try_from_secs_f64(secs).ok());
    span.ok_or_else(|| format!("invalid timeout '{text}'"))
}

/// Takes the digest of a page, and shows what comes where that is asked for.
struct Page {
    digest: Md5,
    verbose: bool,
}

impl Receiver for Page {
    // keepalived: whatever the status.
    fn header(&mut self, header: Header<'_>) -> Result<Body, Reason> {
        if self.verbose {
            let text = String::from_utf8_lossy(header.0);
            say(&banner("HTTP Header Buffer"));
            say(&dump(header.0));
            say(&format!("{}{text}\n{}", banner("HTTP Header Ascii Buffer"), banner("HTML Buffer")));
        }
        Ok(Body::Wanted)
    }

    fn body(&mut self, piece: &[u8]) {
        self.digest.update(piece);
        if self.verbose {
            say(&dump(piece));
        }
    }
}

impl Page {
    fn finish(self, path: &str, took: Duration) {
        let digest: [u8; 16] = self.digest.finalize().into();
        if !self.verbose {
            return say(&format!("{}\n", hex(&digest)));
        }
        let resulting = banner("HTML hash resulting");
        let last = banner("HTML hash final resulting");
        let micros = took.as_micros();
        say(&format!("\n{resulting}{}{last}{}\n\n", dump(&digest), hex(&digest)));
        say(&format!("Global response time for [{path}] = {micros} usecs\n"));
    }
}

/// A title in the middle of a line.
fn banner(title: &str) -> String {
    let rule = "-".repeat(23);
    let width = 26 + title.len() % 2;
    format!("{rule}[{title:^width$}]{rule}\n")
}

/// Sixteen bytes a line: offset, digits in two halves, text.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (number, line) in bytes.chunks(16).enumerate() {
        let digits = |from: usize| -> String {
            (from..from + 8).map(|at| line.get(at).map_or("   ".into(), |byte| format!("{byte:02x} "))).collect()
        };
        let shown = |&byte: &u8| if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '.' };
        let shown: String = line.iter().map(shown).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:04}  {}- {}  {shown:16}", number * 16, digits(0), digits(8));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Asked, String> {
        Asked::parse(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_page_is_asked_for_as_it_is_said() {
        let asked = parse("-S -I -V www.example.com -s 2001:db8::1 -p 443 -u /x -P 1.0c -m 7 -t 2.5 -v").unwrap();
        let url = &asked.http.urls[0];
        assert_eq!(asked.server, "[2001:db8::1]:443".parse().unwrap());
        assert_eq!((asked.http.connection.mark, asked.http.connection.timeout), (7, Duration::from_millis(2_500)));
        assert_eq!((asked.http.tls, asked.http.version, asked.verbose), (true, HttpVersion::V10Close, true));
        assert_eq!((&*url.path, url.sni.as_deref()), ("/x", Some("www.example.com")));
        let plain = parse("--server=10.0.0.1 --port=80 --url / --use-virtualhost=a").unwrap();
        assert_eq!(plain.http.urls[0].sni, None);
    }

    #[test]
    fn what_cannot_be_meant_is_complained_about_in_keepaliveds_words() {
        let complaint = |line| parse(line).unwrap_err();
        assert_eq!(complaint("-s localhost -p 80 -u /"), "server should be an IP, not localhost");
        assert_eq!(complaint("-s 10.0.0.1 -p 99999 -u /"), "invalid port number '99999'");
        assert_eq!(complaint("-s 10.0.0.1 -p 0 -u /"), "invalid port number '0'");
        assert_eq!(complaint("-s 10.0.0.1 -p 80 -u / -P 3"), "invalid HTTP protocol version '3'");
        assert_eq!(complaint("-s 10.0.0.1 -p 80 -u / -m x"), "invalid fwmark 'x'");
        assert_eq!(complaint("-s 10.0.0.1 -p 80 -u / -t x"), "invalid timeout 'x'");
        assert_eq!(complaint("-s 10.0.0.1 -p 80 -u / more words"), "Unexpected argument(s): more words");
        for usage in ["-h", "-z", "-s", "-s 10.0.0.1 -p 80"] {
            assert_eq!(complaint(usage), "", "{usage}");
        }
    }

    #[test]
    fn dumps_are_genhashs() {
        assert_eq!(
            dump(b"HTTP/1.0 200 OK\rhello\n"),
            "0000  48 54 54 50 2f 31 2e 30 - 20 32 30 30 20 4f 4b 0d   HTTP/1.0 200 OK.\n\
             0016  68 65 6c 6c 6f 0a       -                           hello.          \n"
        );
        assert_eq!(
            banner("HTTP Header Buffer").trim_end(),
            "-----------------------[    HTTP Header Buffer    ]-----------------------"
        );
    }
}
