//! Mail: who sends it to whom, and as what.

use crate::config::draft::MailDraft;
use crate::config::machine::Machine;
use crate::config::value;
use crate::diag::{Code, Diagnostics};
use crate::model::Mail;
use crate::model::mail::{MailHost, MailServer, Mailbox};
use crate::time::Duration;

pub(super) fn resolve(
    draft: &MailDraft,
    config_test: bool,
    machine: &dyn Machine,
    diagnostics: &mut Diagnostics,
) -> Mail {
    let default = Mail::default();
    let host = machine.host_name();
    let from = || mailbox(&machine.own_user_name(), &host);
    let server = draft.server.as_ref().map(|(name, port)| {
        let host = match value::address(&name.value) {
            Some(address) => MailHost::Address(address),
            None => MailHost::Name(name.value.as_str().into()),
        };
        // keepalived: looks it up while reading, and sends no mail at all where that fails. We look it up when there is a
        // mail, and here only to tell.
        if config_test && matches!(host, MailHost::Name(_)) && machine.address_of(&name.value).is_none() {
            let message = format!("smtp_server {} cannot be looked up", name.value);
            diagnostics
                .warning(Code::UNKNOWN_HOST, name.span, message)
                .help("it is looked up again for each mail; an address always works");
        }
        MailServer { host, port: *port }
    });
    Mail {
        server,
        recipients: draft.recipients.iter().map(|text| mailbox(&text.value, &host)).collect(),
        from: draft.from.as_ref().map_or_else(from, |text| mailbox(&text.value, &host)),
        helo_name: draft.helo_name.as_deref().unwrap_or(&host).into(),
        timeout: draft.timeout.map_or(default.timeout, |secs| Duration::from_secs(secs.into())),
        no_faults: draft.no_faults,
    }
}

/// Reads `ADDRESS` or `NAME <ADDRESS>`. An address without `@` is one at this host.
fn mailbox(text: &str, host: &str) -> Mailbox {
    let full = |address: &str| {
        let address = address.trim();
        if address.contains('@') { address.to_owned() } else { format!("{address}@{host}") }
    };
    let parts = text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<'));
    let Some((name, address)) = parts else {
        let address = full(text);
        return Mailbox { header: address.as_str().into(), address: address.into() };
    };
    let address = full(address);
    let header = match name.trim() {
        "" => format!("<{address}>"),
        name => format!("{} <{address}>", phrase(name)),
    };
    Mailbox { header: header.into(), address: address.into() }
}

/// A display name, in quotes where RFC 5322 §3.2.4 does not take it as it is: only atoms and blanks need none.
fn phrase(name: &str) -> String {
    let is_atom = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || " !#$%&'*+-/=?^_`{|}~".contains(c);
    let is_quoted = name.len() > 1 && name.starts_with('"') && name.ends_with('"');
    if is_quoted || name.chars().all(is_atom) {
        return name.to_owned();
    }
    let escaped: String =
        name.chars().flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c])).collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String) {
        let mailbox = mailbox(text, "lb.example.com");
        (mailbox.header.to_string(), mailbox.address.to_string())
    }

    #[test]
    fn an_address_may_have_a_name_which_is_quoted_where_it_must_be() {
        let both = |header: &str, address: &str| (header.to_owned(), address.to_owned());
        assert_eq!(read("ops@example.com"), both("ops@example.com", "ops@example.com"));
        assert_eq!(read("Second Person <s@example.com>"), both("Second Person <s@example.com>", "s@example.com"));
        assert_eq!(
            read("Keep A. Lived <ka@example.com>"),
            both("\"Keep A. Lived\" <ka@example.com>", "ka@example.com")
        );
        assert_eq!(read("a\"b\\. <x@y>"), both("\"a\\\"b\\\\.\" <x@y>", "x@y"));
        assert_eq!(read("<x@y>"), both("<x@y>", "x@y"));
    }

    #[test]
    fn an_address_without_a_host_is_one_of_this_host() {
        assert_eq!(read("root").1, "root@lb.example.com");
        assert_eq!(read("Admin <root>").0, "Admin <root@lb.example.com>");
    }
}
