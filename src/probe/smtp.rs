//! SMTP_CHECK: greeting, HELO, QUIT (`lvs.md` §5.5).

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::check::io::{Reason, ReasonKind, Verdict};
use crate::model::checker::Smtp;
use crate::probe::{connect, reason, verdict};
use crate::time::Duration;

/// Asks a mail server whether it would take mail.
pub async fn probe(smtp: &Smtp, server: SocketAddr) -> Verdict {
    let timeout = smtp.connection.timeout;
    match connect::tcp(smtp.connection.contact(server), Instant::now() + timeout).await {
        Err(verdict) => verdict,
        Ok(mut server) => verdict(dialogue(&mut server, &smtp.helo_name, timeout).await),
    }
}

/// The whole dialogue over an open stream; each wait has the same limit.
pub async fn dialogue<S>(server: &mut S, helo_name: &str, wait: Duration) -> Result<(), Reason>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut replies = Replies::default();
    replies.expect(server, 220, ReasonKind::Greeting, wait).await?;
    say(server, &format!("HELO {helo_name}\r\n"), wait).await?;
    replies.expect(server, 250, ReasonKind::Helo, wait).await?;
    say(server, "QUIT\r\n", wait).await?;
    // keepalived: any line will do.
    replies.line(server, Instant::now() + wait).await.map(drop)
}

async fn say<S: AsyncWrite + Unpin>(server: &mut S, line: &str, wait: Duration) -> Result<(), Reason> {
    match timeout_at(Instant::now() + wait, server.write_all(line.as_bytes())).await {
        Err(_) => Err(reason(ReasonKind::Write, format_args!("not taken in time: {line}"))),
        Ok(Err(error)) => Err(connect::broken("write", &error)),
        Ok(Ok(())) => Ok(()),
    }
}

/// A line of a reply is no longer (RFC 5321 §4.5.3.1.5 asks for 512).
const MAX_LINE: usize = 2_048;
/// Nor has a reply more lines.
const MAX_LINES: usize = 128;

/// What a server says: bytes of a line that is not whole yet, or of a later one.
#[derive(Debug, Default)]
pub struct Replies {
    bytes: Vec<u8>,
}

/// A line of a reply (RFC 5321 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its code.
    pub code: u16,
    /// No line of the same reply follows.
    pub is_last: bool,
}

impl Line {
    /// Three digits, then a minus sign, a blank or nothing.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let (digits, rest) = line.trim_ascii_end().split_at_checked(3)?;
        let code = digits
            .iter()
            .try_fold(0, |all, digit| digit.is_ascii_digit().then(|| all * 10 + u16::from(digit - b'0')))?;
        match rest.first() {
            None | Some(b' ') => Some(Self { code, is_last: true }),
            Some(b'-') => Some(Self { code, is_last: false }),
            Some(_) => None,
        }
    }
}

impl Replies {
    /// Takes bytes as they come.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line, with its end; `Err` where it is too long.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, Reason> {
        let end = self.bytes.iter().take(MAX_LINE).position(|&byte| byte == b'\n');
        match end {
            Some(end) => Ok(Some(self.bytes.drain(..=end).collect())),
            None if self.bytes.len() >= MAX_LINE => {
                Err(reason(ReasonKind::TooLong, format_args!("a line of more than {MAX_LINE} bytes")))
            }
            None => Ok(None),
        }
    }

    /// A whole reply, all of it within `wait`, with this code.
    async fn expect<S>(
        &mut self,
        server: &mut S,
        code: u16,
        otherwise: ReasonKind,
        wait: Duration,
    ) -> Result<(), Reason>
    where
        S: AsyncRead + Unpin,
    {
        let deadline = Instant::now() + wait;
        for _ in 0..MAX_LINES {
            let line = self.line(server, deadline).await?;
            match Line::parse(&line) {
                Some(line) if line.code == code && line.is_last => return Ok(()),
                Some(line) if line.code == code => {}
                _ => return Err(reason(otherwise, String::from_utf8_lossy(line.trim_ascii_end()))),
            }
        }
        Err(reason(ReasonKind::TooLong, format_args!("a reply of more than {MAX_LINES} lines")))
    }

    async fn line<S: AsyncRead + Unpin>(&mut self, server: &mut S, deadline: Instant) -> Result<Vec<u8>, Reason> {
        loop {
            if let Some(line) = self.next_line()? {
                return Ok(line);
            }
            match timeout_at(deadline, server.read_buf(&mut self.bytes)).await {
                Err(_) if self.bytes.is_empty() => return Err(reason(ReasonKind::Timeout, "no reply in time")),
                Err(_) => return Err(reason(ReasonKind::Stalled, "a line did not end in time")),
                Ok(Ok(0)) => return Err(reason(ReasonKind::Closed, "closed before its reply")),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(connect::broken("read", &error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    /// Plays a server that sends each of these as soon as something has been said to it (the first at once), then keeps
    /// the line open or closes it; gives the outcome, what was said, and the seconds it took.
    async fn play(replies: &[&str], closes: bool) -> (Result<(), Reason>, String, u64) {
        let (mut ours, mut theirs) = duplex(64);
        let replies: Vec<String> = replies.iter().map(|&reply| reply.to_owned()).collect();
        let server = tokio::spawn(async move {
            let mut heard = Vec::new();
            for reply in replies {
                // Who has heard enough has gone.
                if theirs.write_all(reply.as_bytes()).await.is_err() || theirs.read_buf(&mut heard).await.is_err() {
                    break;
                }
            }
            if !closes {
                while theirs.read_buf(&mut heard).await.is_ok_and(|len| len > 0) {}
            }
            String::from_utf8(heard).unwrap()
        });
        let began = Instant::now();
        let ended = dialogue(&mut ours, "lb1", Duration::from_secs(3)).await;
        drop(ours);
        (ended, server.await.unwrap(), began.elapsed().as_secs())
    }

    async fn failure(replies: &[&str], closes: bool) -> Reason {
        play(replies, closes).await.0.unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_answers_as_it_should_is_well() {
        let (ended, heard, _) = play(&["220 mx ESMTP\r\n", "250 hello\r\n", "221 bye\r\n"], false).await;
        assert_eq!(ended, Ok(()));
        assert_eq!(heard, "HELO lb1\r\nQUIT\r\n");
    }

    #[tokio::test(start_paused = true)]
    async fn replies_of_many_lines_and_bare_codes_are_taken() {
        let (ended, ..) = play(&["220-mx\r\n220-two\r\n220 three\r\n", "250-a\r\n250\r\n", "whatever\n"], false).await;
        assert_eq!(ended, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_else_is_said_is_the_reason() {
        let greeting = |text| reason(ReasonKind::Greeting, text);
        assert_eq!(failure(&["554 go away\r\n"], false).await, greeting("554 go away"));
        assert_eq!(failure(&["SSH-2.0-x\r\n"], false).await, greeting("SSH-2.0-x"));
        let helo = reason(ReasonKind::Helo, "501-x");
        assert_eq!(failure(&["220 mx\r\n", "501-x\r\n501 y\r\n"], false).await, helo);
        let half = reason(ReasonKind::Stalled, "a line did not end in time");
        assert_eq!(failure(&["220 mx\r\n", "250 o"], false).await, half);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_an_early_end_fail_at_every_step() {
        for replies in [&[][..], &["220 mx\r\n"], &["220 mx\r\n", "250 x\r\n"]] {
            let (ended, _, secs) = play(replies, false).await;
            assert_eq!((ended.unwrap_err().kind, secs), (ReasonKind::Timeout, 3), "{replies:?}");
            let kind = failure(replies, true).await.kind;
            assert!(matches!(kind, ReasonKind::Closed | ReasonKind::Write | ReasonKind::Reset), "{kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_ends_its_reply_fails() {
        let flood = "220-more\r\n".repeat(MAX_LINES + 1);
        assert_eq!(play(&[&flood], false).await.0.unwrap_err().kind, ReasonKind::TooLong);
        let long = "220 ".to_owned() + &"x".repeat(MAX_LINE);
        assert_eq!(play(&[&long], false).await.0.unwrap_err().kind, ReasonKind::TooLong);
    }

    #[test]
    fn a_line_begins_with_three_digits() {
        let parse = |line: &str| Line::parse(line.as_bytes()).map(|line| (line.code, line.is_last));
        assert_eq!(parse("250 ok\r\n"), Some((250, true)));
        assert_eq!(parse("250-ok\r\n"), Some((250, false)));
        assert_eq!(parse("250\n"), Some((250, true)));
        for bad in ["", "25", "2500 ok", "x50 ok", "250ok", " 250"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
