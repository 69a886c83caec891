use std::net::{IpAddr, Ipv4Addr};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::*;

fn letter(port: u16, recipients: &[&str]) -> Letter {
    Letter {
        server: MailServer { host: MailHost::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)), port },
        timeout: Duration::from_millis(300),
        helo_name: "a.example.com".into(),
        from: "ka@example.com".into(),
        recipients: recipients.iter().map(|address| Arc::from(*address)).collect(),
        message: b"Subject: x\r\n\r\n.=> text <=\r\n".to_vec(),
    }
}

/// A server that answers by the first word of each line; gives what it was told.
async fn serve(listener: &TcpListener, answer: impl Fn(&str) -> &'static str) -> Vec<String> {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    stream.write_all(answer("").as_bytes()).await.unwrap();
    let (mut heard, mut in_text) = (Vec::new(), false);
    let mut line = String::new();
    while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
        let said = line.trim_end_matches("\r\n").to_owned();
        heard.push(said.clone());
        line.clear();
        in_text &= said != ".";
        if !in_text && stream.write_all(answer(&said).as_bytes()).await.is_err() {
            break;
        }
        in_text |= said == "DATA";
    }
    heard
}

fn friendly(said: &str) -> &'static str {
    match said.split(' ').next().unwrap_or_default() {
        "" => "220 host\r\n",
        "EHLO" => "250-host\r\n250 8BITMIME\r\n",
        "DATA" => "354 go on\r\n",
        "QUIT" => "221 bye\r\n",
        _ => "250 OK\r\n",
    }
}

async fn exchange(
    recipients: &[&str],
    conversations: usize,
    answer: impl Fn(&str) -> &'static str,
) -> (Result<(), Trouble>, Vec<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let letter = letter(listener.local_addr().unwrap().port(), recipients);
    let serving = async {
        let mut heard = Vec::new();
        for _ in 0..conversations {
            heard.push(serve(&listener, &answer).await);
        }
        heard
    };
    tokio::join!(deliver(&letter), serving)
}

#[tokio::test]
async fn a_letter_is_brought_as_keepalived_brings_it_but_for_the_greeting() {
    let (outcome, heard) = exchange(&["ops@example.com", "second@example.com"], 1, friendly).await;
    outcome.unwrap();
    let expected = [
        "EHLO a.example.com",
        "MAIL FROM:<ka@example.com>",
        "RCPT TO:<ops@example.com>",
        "RCPT TO:<second@example.com>",
        "DATA",
        "Subject: x",
        "",
        "..=> text <=",
        "",
        ".",
        "QUIT",
    ];
    assert_eq!(heard[0], expected);
}

#[tokio::test]
async fn a_server_that_does_not_know_ehlo_is_greeted_with_helo() {
    let answer = |said: &str| if said.starts_with("EHLO") { "502 what?\r\n" } else { friendly(said) };
    let (outcome, heard) = exchange(&["ops@example.com"], 2, answer).await;
    outcome.unwrap();
    assert_eq!(heard[1][..2], ["HELO a.example.com", "MAIL FROM:<ka@example.com>"]);
}

#[tokio::test]
async fn a_recipient_who_is_refused_does_not_keep_the_others_from_their_mail() {
    let answer = |said: &str| match said {
        "RCPT TO:<bad@example.com>" => "550 nobody\r\n",
        "RCPT TO:<later@example.com>" => "451 greylisted\r\n",
        _ => friendly(said),
    };
    let (outcome, heard) = exchange(&["bad@example.com", "ok@example.com", "later@example.com"], 1, answer).await;
    let trouble = outcome.unwrap_err();
    assert_eq!(trouble.left, [Arc::from("later@example.com")]);
    assert!(!trouble.lasts && heard[0].contains(&"DATA".to_owned()), "{trouble:?}");
}

#[tokio::test]
async fn refusals_last_and_delays_do_not() {
    let outcome = |answer: &'static str| async move {
        let answer = move |said: &str| if said.starts_with("MAIL") { answer } else { friendly(said) };
        exchange(&["ops@example.com"], 1, answer).await.0.unwrap_err()
    };
    let (refused, later) = (outcome("501 no\r\n").await, outcome("421 busy\r\n").await);
    assert!(refused.lasts && refused.sentence.contains("MAIL cmd") && refused.sentence.contains("501"), "{refused:?}");
    assert!(!later.lasts, "{later:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_or_too_much_is_left_alone() {
    let (silent, _) = exchange(&["ops@example.com"], 1, |_| "").await;
    assert!(silent.unwrap_err().of_server);
    let flood: &'static str = Box::leak(format!("220-{}\r\n", "x".repeat(1_000)).repeat(200).into_boxed_str());
    let (loud, _) = exchange(&["ops@example.com"], 1, move |_| flood).await;
    assert!(loud.unwrap_err().of_server);
}

#[test]
fn a_letter_waits_for_its_server_and_finish_tries_once_more() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut mailer = Mailer::default();
    mailer.send(letter(port, &["ops@example.com"]));
    // Nobody listens: the letter waits. Then somebody does.
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let counters = Arc::clone(&mailer.counters);
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { serve(&TcpListener::from_std(listener).unwrap(), friendly).await })
    });
    mailer.finish(Duration::from_secs(10));
    assert_eq!(server.join().unwrap().last().map(String::as_str), Some("QUIT"));
    assert_eq!((counters.sent.load(Ordering::Relaxed), counters.lost.load(Ordering::Relaxed)), (1, 0));
}
