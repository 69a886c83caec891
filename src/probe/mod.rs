//! Probes: one conversation with a real server each, from connecting to the verdict.
//!
//! A conversation is an async function over any stream, so tests hold it with a pipe and a paused clock; connecting is
//! apart ([`connect`]). What a server sends is bounded in memory and in time, and each way of failing has its
//! [`Reason`]. When to probe, and what a verdict means, is `check`'s business.

pub mod connect;
pub mod connects;
pub mod dns;
pub mod file;
pub mod http;
pub mod misc;
pub mod pattern;
pub mod ping;
pub mod smtp;
pub mod tcp;
pub mod tls;
pub mod udp;

use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::check::io::{Reason, ReasonKind, Verdict};
use crate::model::checker::{Checker, Probe};
use crate::model::lvs::{Lvs, Ssl};

use pattern::Patterns;

/// What the probes of one configuration share.
#[derive(Debug)]
pub struct Environment {
    patterns: Patterns,
    /// Made only where SSL_GET is used.
    tls: Option<Result<tls::Client, String>>,
    /// What numbers that nobody should guess are made of.
    secret: RandomState,
    count: AtomicU64,
}

impl Environment {
    /// Of the checkers of a configuration.
    pub fn new(lvs: &Lvs) -> (Self, Vec<String>) {
        let servers = lvs.virtual_servers.iter().flat_map(|vs| &vs.real_servers);
        Self::of(servers.flat_map(|rs| rs.checkers.iter()).map(AsRef::as_ref), &lvs.ssl)
    }

    /// Makes what these checkers need before the first probe. Also gives what is wrong with it, for the log; a probe
    /// that needs it says so too.
    pub fn of<'a>(checkers: impl Iterator<Item = &'a Checker> + Clone, ssl: &Ssl) -> (Self, Vec<String>) {
        let https = checkers.filter_map(|checker| match &checker.probe {
            Probe::Http(http) => Some(http),
            _ => None,
        });
        let tls = https.clone().any(|http| http.tls).then(|| tls::Client::new(ssl));
        let (patterns, mut complaints) = Patterns::compile(https.flat_map(|http| &http.urls));
        complaints.extend(tls.iter().filter_map(|made| made.as_ref().err().cloned()));
        (Self { patterns, tls, secret: RandomState::new(), count: AtomicU64::new(1) }, complaints)
    }

    fn count(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    fn random(&self) -> u16 {
        (self.secret.hash_one(self.count()) >> 48) as u16
    }

    fn tls(&self) -> Result<&tls::Client, Verdict> {
        let trouble = |text: &str| Verdict::Local(reason(ReasonKind::Local, text));
        match &self.tls {
            Some(Ok(client)) => Ok(client),
            Some(Err(error)) => Err(trouble(error)),
            None => Err(trouble("no SSL_GET in this configuration")),
        }
    }
}

/// Asks a real server once; it is asked at `server` where its checker does not say otherwise. `url` is the place of the
/// url in HTTP_GET and SSL_GET. Dropping the future ends the conversation.
///
/// MISC_CHECK, FILE_CHECK and BFD_CHECK are no conversations: their verdicts come from scripts and events.
pub async fn run(checker: Arc<Checker>, server: SocketAddr, url: usize, environment: Arc<Environment>) -> Verdict {
    match &checker.probe {
        Probe::Tcp(connection) => tcp::probe(connection.contact(server)).await,
        // Boxed, so that the many tasks of the smaller ones stay small.
        Probe::Http(http) => Box::pin(http::probe(http, server, url, &environment)).await,
        Probe::Smtp(smtp) => smtp::probe(smtp, server).await,
        Probe::Dns(dns) => dns::probe(dns, server, environment.random()).await,
        Probe::Udp(udp) => udp::probe(udp, server).await,
        Probe::Ping(to) => ping::probe(to.contact(server), environment.count() as u16, environment.random()).await,
        Probe::Misc(_) | Probe::File(_) | Probe::Bfd(_) => {
            Verdict::Local(reason(ReasonKind::Local, "nothing to ask over the network"))
        }
    }
}

/// A reason with a detail that is one line of bounded length.
fn reason(kind: ReasonKind, detail: impl Display) -> Reason {
    Reason { kind, detail: Arc::from(one_line(&detail.to_string())) }
}

/// The verdict of a conversation.
fn verdict(ended: Result<(), Reason>) -> Verdict {
    ended.map_or_else(Verdict::Fail, |()| Verdict::Pass)
}

/// Longest detail of a reason, in characters.
const DETAIL_LEN: usize = 160;

/// Text that may come from a server, fit for a log line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(DETAIL_LEN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_one_line_of_bounded_length() {
        let long = format!("a\r\nb\u{1b}[31m{}", "x".repeat(1_000));
        let detail = reason(ReasonKind::Malformed, long).detail;
        assert!(detail.starts_with("a??b?[31mxx"));
        assert_eq!(detail.chars().count(), DETAIL_LEN);
    }
}
