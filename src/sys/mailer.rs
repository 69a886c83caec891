//! Sends mail: a queue, and a thread that speaks SMTP. Handing a letter over never waits; a server that is dead, slow or
//! wants to be asked again later holds up nothing but its own letters.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use lettre::Address;
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{Error as SmtpError, response::Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, info};

use super::schedule;
use crate::model::mail::{MailHost, MailServer};
use crate::time::Duration;

/// A mail, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Through which server.
    pub server: MailServer,
    /// Limit of connecting, and of each reply.
    pub timeout: Duration,
    /// Our name.
    pub helo_name: Arc<str>,
    /// Sender, `USER@HOST`.
    pub from: Arc<str>,
    /// To whom, `USER@HOST`.
    pub recipients: Vec<Arc<str>>,
    /// Headers, an empty line, the body; lines end in CR LF.
    pub message: Vec<u8>,
}

/// Letters that wait at most; a later one is dropped.
const MOST_WAITING: usize = 1_000;
/// A letter that could not be sent for so long is dropped.
const KEPT_FOR: Duration = Duration::from_secs(3_600);
/// Pause before a letter's second try; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A server says no more than this in one conversation.
const MOST_READ: usize = 64 << 10;

/// The queue. Dropping it loses what waits: see [`Self::finish`].
#[derive(Debug, Default)]
pub struct Mailer {
    thread: Option<Thread>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Thread {
    letters: mpsc::Sender<Letter>,
    /// Hangs up when the thread has ended.
    ended: std::sync::mpsc::Receiver<()>,
}

/// Letters so far.
#[derive(Debug, Default)]
struct Counters {
    handed_over: AtomicU64,
    sent: AtomicU64,
    lost: AtomicU64,
}

impl Counters {
    /// Letters that are neither sent nor lost.
    fn left(&self) -> u64 {
        let [all, sent, lost] =
            [&self.handed_over, &self.sent, &self.lost].map(|counter| counter.load(Ordering::Relaxed));
        all.saturating_sub(sent).saturating_sub(lost)
    }
}

impl Mailer {
    /// Hands a letter over. The thread starts with the first one.
    pub fn send(&mut self, letter: Letter) {
        if self.thread.is_none() {
            match Thread::start(&self.counters) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => error!("cannot start a thread for mail: {error}"),
            }
        }
        self.counters.handed_over.fetch_add(1, Ordering::Relaxed);
        let handed_over = self.thread.as_ref().is_some_and(|thread| thread.letters.try_send(letter).is_ok());
        if !handed_over && self.counters.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            error!("more than {MOST_WAITING} mails wait for their server: further ones are lost");
        }
    }

    /// Letters that a server has taken, and letters that are lost for good.
    pub fn counts(&self) -> (u64, u64) {
        (self.counters.sent.load(Ordering::Relaxed), self.counters.lost.load(Ordering::Relaxed))
    }

    /// The end: what waits is tried once more, for so long at most. Not for a loop that must go on.
    pub fn finish(self, patience: Duration) {
        let Some(Thread { letters, ended }) = self.thread else { return };
        drop(letters);
        if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(patience) {
            let left = self.counters.left();
            let (mails, their) = if left == 1 { ("mail is", "its") } else { ("mails are", "their") };
            error!(
                "{left} {mails} lost: {their} server did not take {} in time",
                if left == 1 { "it" } else { "them" }
            );
        }
    }
}

impl Thread {
    fn start(counters: &Arc<Counters>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (letters, queue) = mpsc::channel(MOST_WAITING);
        let (alive, ended) = std::sync::mpsc::channel();
        let counters = Arc::clone(counters);
        let work = move || {
            schedule::ordinary();
            runtime.block_on(Post { queue, waiting: Vec::new(), counters, said: None }.work());
            drop(alive);
            // Somebody may still look a name up.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("mail".to_owned()).stack_size(256 << 10).spawn(work)?;
        Ok(Self { letters, ended })
    }
}

/// A letter that waits for its turn.
struct Waiting {
    letter: Letter,
    since: Instant,
    due: Instant,
    pause: Duration,
}

/// The thread's work.
struct Post {
    queue: mpsc::Receiver<Letter>,
    waiting: Vec<Waiting>,
    counters: Arc<Counters>,
    /// The trouble that was said last; the same is not said again for every letter.
    said: Option<String>,
}

impl Post {
    async fn work(mut self) {
        let mut is_ending = false;
        while !is_ending || !self.waiting.is_empty() {
            let due = self.waiting.iter().map(|waiting| waiting.due).min();
            // Letters that came meanwhile have their turn after those that wait, whose time has come.
            tokio::select! {
                biased;
                letter = self.queue.recv(), if !is_ending => match letter {
                    Some(letter) => self.take(letter),
                    None => {
                        is_ending = true;
                        let now = Instant::now();
                        self.waiting.iter_mut().for_each(|waiting| waiting.due = now);
                    }
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.send_next(is_ending).await,
            }
        }
    }

    fn take(&mut self, letter: Letter) {
        let now = Instant::now();
        // Behind a server that is known to be dead nobody needs to wait for the same again.
        let dead =
            self.waiting.iter().filter(|other| other.letter.server == letter.server).map(|other| other.due).max();
        self.waiting.push(Waiting {
            letter,
            since: now,
            due: dead.map_or(now, |due| due.max(now)),
            pause: FIRST_PAUSE,
        });
    }

    async fn send_next(&mut self, is_last_try: bool) {
        let now = Instant::now();
        let Some(i) = self.waiting.iter().position(|waiting| waiting.due <= now) else { return };
        let mut waiting = self.waiting.remove(i);
        let outcome = deliver(&waiting.letter).await;
        let now = Instant::now();
        match outcome {
            Ok(()) => {
                self.counters.sent.fetch_add(1, Ordering::Relaxed);
                self.said = None;
                debug!("SMTP alert successfully sent.");
            }
            Err(trouble) => {
                let gives_up = trouble.lasts || is_last_try || now - waiting.since > KEPT_FOR;
                self.say(&trouble, gives_up);
                if gives_up {
                    self.counters.lost.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                if trouble.of_server {
                    let server = &waiting.letter.server;
                    let others = self.waiting.iter_mut().filter(|other| other.letter.server == *server);
                    others.for_each(|other| other.due = other.due.max(now + waiting.pause));
                }
                waiting.letter.recipients = trouble.left;
                waiting.due = now + waiting.pause;
                waiting.pause = (waiting.pause * 2).min(LONGEST_PAUSE);
                // Where it was: letters leave in the order they came.
                self.waiting.insert(i.min(self.waiting.len()), waiting);
            }
        }
    }

    fn say(&mut self, trouble: &Trouble, gives_up: bool) {
        if gives_up {
            error!("{} The mail is lost.", trouble.sentence);
        } else if self.said.as_ref() != Some(&trouble.sentence) {
            info!("{} It is tried again for an hour.", trouble.sentence);
        }
        self.said = Some(trouble.sentence.clone());
    }
}

/// Why a letter has not arrived.
#[derive(Debug)]
struct Trouble {
    /// In keepalived's words.
    sentence: String,
    /// Trying again would not help.
    lasts: bool,
    /// Not this letter is the trouble: all letters to this server would have it.
    of_server: bool,
    /// Who has not got it yet.
    left: Vec<Arc<str>>,
}

/// The server as log lines name it: `[192.0.2.1]:25`.
struct Name<'a>(&'a MailServer);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.host {
            MailHost::Address(address) => write!(f, "[{address}]:{}", self.0.port),
            MailHost::Name(name) => write!(f, "[{name}]:{}", self.0.port),
        }
    }
}

/// Brings a letter to its server.
async fn deliver(letter: &Letter) -> Result<(), Trouble> {
    let name = Name(&letter.server);
    let trouble = |sentence| Trouble { sentence, lasts: false, of_server: true, left: letter.recipients.clone() };
    for greeting in [Greeting::Ehlo, Greeting::Helo] {
        let connected = match timeout(letter.timeout, connect(&letter.server)).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(trouble(format!("SMTP connection ERROR to {name} ({error})."))),
            Err(_) => return Err(trouble(format!("Timeout connecting SMTP server {name}."))),
        };
        debug!("Remote SMTP server {name} connected.");
        match converse(Box::new(Line::new(connected, greeting)), letter).await {
            Err(Refused::Greeting) if greeting == Greeting::Ehlo => {}
            Err(Refused::Greeting) => return Err(trouble(format!("Error processing HELO cmd on SMTP server {name}."))),
            Err(Refused::Letter(trouble)) => return Err(trouble),
            Ok(()) => return Ok(()),
        }
    }
    unreachable!("a second refusal of the greeting has returned")
}

async fn connect(server: &MailServer) -> io::Result<TcpStream> {
    match &server.host {
        MailHost::Address(address) => TcpStream::connect(SocketAddr::new(*address, server.port)).await,
        MailHost::Name(name) => TcpStream::connect((&**name, server.port)).await,
    }
}

/// Why a conversation did not bring the letter to its end.
enum Refused {
    /// The server does not know this greeting.
    Greeting,
    /// Something else.
    Letter(Trouble),
}

/// One conversation.
async fn converse(line: Box<dyn AsyncTokioStream>, letter: &Letter) -> Result<(), Refused> {
    let name = Name(&letter.server);
    let server = |sentence| {
        Refused::Letter(Trouble { sentence, lasts: false, of_server: true, left: letter.recipients.clone() })
    };
    let hello = ClientId::Domain(letter.helo_name.to_string());
    let mut smtp = match timeout(letter.timeout * 2, AsyncSmtpConnection::connect_with_transport(line, &hello)).await {
        Ok(Ok(smtp)) => smtp,
        Ok(Err(error)) if error.is_permanent() => return Err(Refused::Greeting),
        Ok(Err(error)) => return Err(server(failure("(E)SMTP", &name, &error))),
        Err(_) => return Err(server(format!("Timeout reading data to remote SMTP server {name}."))),
    };
    let mut dialogue = Dialogue { smtp: &mut smtp, letter, left: letter.recipients.clone() };
    let outcome = dialogue.hold().await;
    // Whether it says good-bye makes no difference.
    let _ = timeout(letter.timeout, smtp.command(Quit)).await;
    outcome.map_err(Refused::Letter)
}

fn failure(command: &str, name: &Name<'_>, error: &SmtpError) -> String {
    match error.status() {
        Some(code) => {
            format!("Error processing {command} cmd on SMTP server {name}. SMTP status code = {code} ({error}).")
        }
        None if error.to_string().contains("incomplete") => {
            format!("Remote SMTP server {name} has closed the connection.")
        }
        None => format!("Error reading data from remote SMTP server {name} ({error})."),
    }
}

/// From MAIL to the end of the text.
struct Dialogue<'a> {
    smtp: &'a mut AsyncSmtpConnection,
    letter: &'a Letter,
    left: Vec<Arc<str>>,
}

impl Dialogue<'_> {
    async fn hold(&mut self) -> Result<(), Trouble> {
        let from = self.address(&self.letter.from)?;
        self.say("MAIL", Mail::new(Some(from), Vec::new())).await?;
        let (mut taken, mut later, mut refused) = (Vec::new(), Vec::new(), None);
        for recipient in self.letter.recipients.clone() {
            let outcome = match self.address(&recipient) {
                Ok(address) => self.say("RCPT", Rcpt::new(address, Vec::new())).await,
                Err(trouble) => Err(trouble),
            };
            match outcome {
                Ok(_) => taken.push(recipient),
                // One who is refused does not keep the others from their mail.
                Err(trouble) if trouble.of_server => return Err(trouble),
                Err(trouble) => {
                    if !trouble.lasts {
                        later.push(recipient);
                    }
                    refused = Some(trouble);
                }
            }
        }
        if !taken.is_empty() {
            self.say("DATA", Data).await?;
            let text = self.smtp.message(&self.letter.message);
            let reply = timeout(self.letter.timeout, text).await;
            self.judge("BODY", reply)?;
        }
        match refused {
            Some(trouble) => Err(Trouble { lasts: later.is_empty(), left: later, ..trouble }),
            None => Ok(()),
        }
    }

    fn address(&self, address: &str) -> Result<Address, Trouble> {
        let trouble = |error| Trouble {
            sentence: format!("{address} is no address for a mail ({error})."),
            lasts: true,
            of_server: false,
            left: Vec::new(),
        };
        address.parse::<Address>().map_err(trouble)
    }

    async fn say(&mut self, name: &str, command: impl fmt::Display) -> Result<Response, Trouble> {
        let reply = timeout(self.letter.timeout, self.smtp.command(command)).await;
        self.judge(name, reply)
    }

    fn judge(
        &self,
        command: &str,
        reply: Result<Result<Response, SmtpError>, tokio::time::error::Elapsed>,
    ) -> Result<Response, Trouble> {
        let name = Name(&self.letter.server);
        let (sentence, lasts, of_server) = match reply {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => (failure(command, &name, &error), error.is_permanent(), error.status().is_none()),
            Err(_) => (format!("Timeout reading data to remote SMTP server {name}."), false, true),
        };
        Err(Trouble { sentence, lasts, of_server, left: self.left.clone() })
    }
}

/// How we greet. EHLO is what the package says; servers that do not know it get HELO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greeting {
    Ehlo,
    Helo,
}

/// A connection that greets as it should and reads no more than it should.
#[derive(Debug)]
struct Line<S> {
    stream: S,
    greeting: Greeting,
    may_read: usize,
}

impl<S> Line<S> {
    const fn new(stream: S, greeting: Greeting) -> Self {
        Self { stream, greeting, may_read: MOST_READ }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.may_read = self.may_read.saturating_sub(buffer.filled().len() - before);
        if self.may_read == 0 {
            return Poll::Ready(Err(io::Error::other("it says too much")));
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.greeting == Greeting::Helo
            && let Some(rest) = bytes.strip_prefix(b"EHLO")
        {
            let helo = [b"HELO", rest].concat();
            return Pin::new(&mut self.stream).poll_write(cx, &helo);
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for Line<TcpStream> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

#[cfg(test)]
mod tests;
