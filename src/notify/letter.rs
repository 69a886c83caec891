//! A mail as it goes over the wire: keepalived's headers in keepalived's order, then the text (`operator-surface.md` §6.2).

use crate::model::Mail;

/// Headers, an empty line, the text. Lines end in CR LF, also the last one.
pub fn message(mail: &Mail, date: &str, router_id: &str, subject: &str, text: &str) -> Vec<u8> {
    let to: Vec<&str> = mail.recipients.iter().map(|recipient| &*recipient.header).collect();
    let headers = [
        ("Date", date.to_owned()),
        ("From", mail.from.header.to_string()),
        ("Subject", one_line(&format!("[{router_id}] {subject}"))),
        ("X-Mailer", "Keepalived".to_owned()),
        ("To", to.join(",\r\n ")),
    ];
    let mut message: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    message.push_str("\r\n");
    message.extend(text.lines().map(|line| format!("{line}\r\n")));
    message.into_bytes()
}

/// A name in a file can hold anything; a header must not end early.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mail::Mailbox;

    #[test]
    fn a_message_is_keepalived_s_byte_for_byte() {
        let mailbox = |header: &str| Mailbox { header: header.into(), address: "x@example.com".into() };
        let mail = Mail {
            from: mailbox("\"Keep A. Lived\" <ka@example.com>"),
            recipients: vec![mailbox("ops@example.com"), mailbox("Second Person <second@example.com>")],
            ..Mail::default()
        };
        let date = "Sat, 21 Nov 2026 03:11:21 +0000";
        let subject = "VRRP Instance VI_3 - Entering BACKUP state";
        let text = "=> VRRP Instance is no longer owning VRRP VIPs <=";
        let expected = "Date: Sat, 21 Nov 2026 03:11:21 +0000\r\nFrom: \"Keep A. Lived\" <ka@example.com>\r\n\
            Subject: [LAB_A] VRRP Instance VI_3 - Entering BACKUP state\r\nX-Mailer: Keepalived\r\n\
            To: ops@example.com,\r\n Second Person <second@example.com>\r\n\r\n\
            => VRRP Instance is no longer owning VRRP VIPs <=\r\n";
        assert_eq!(String::from_utf8(message(&mail, date, "LAB_A", subject, text)).unwrap(), expected);
    }

    #[test]
    fn a_name_cannot_add_headers() {
        let message = message(&Mail::default(), "now", "a\r\nBcc: all@example.com", "x", "y");
        assert!(!String::from_utf8(message).unwrap().contains("\r\nBcc"));
    }
}
