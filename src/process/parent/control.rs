//! The control socket: requests of one line, answers of one line, for root only.

use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use crate::process::ipc::{CONTROL_VERSION, CheckerStatus, DaemonStatus, Order, Reply, Request, ToChild, VrrpStatus};
use crate::supervise::child::Kind;
use crate::sys::{clock, control};
use crate::time::{Duration, Instant};

use super::Parent;
use super::reload::answer;

/// A longer request is none of ours.
const MAX_REQUEST: u64 = 64 << 10;
/// Clients at a time; more wait in the kernel's queue.
const MAX_CLIENTS: usize = 16;
/// For the client to send its line, and to take its answer.
const CLIENT_PATIENCE: Duration = Duration::from_secs(5);
/// For a child to tell its status.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);

type Asked = (Order, oneshot::Sender<Reply>);

/// Serves the socket; what is asked comes out of the receiver. A daemon without its socket still does its main job.
pub(super) fn serve(path: &Path) -> mpsc::Receiver<Asked> {
    let (sender, receiver) = mpsc::channel(MAX_CLIENTS);
    match control::listen(path).and_then(UnixListener::from_std) {
        Ok(listener) => {
            tokio::spawn(accept(listener, sender));
        }
        Err(error) => {
            warn!("cannot listen on {}: {error}; keepalived-rs reload and status will not work", path.display());
            // The receiver must not report its end at once and for ever.
            tokio::spawn(async move { sender.closed().await });
        }
    }
    receiver
}

async fn accept(listener: UnixListener, asked: mpsc::Sender<Asked>) {
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(MAX_CLIENTS));
    loop {
        let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let asked = asked.clone();
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, asked).await {
                        debug!("control socket: {error}");
                    }
                    drop(place);
                });
            }
            // Out of descriptors: the next one that is closed lets us go on.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn converse(mut stream: UnixStream, asked: mpsc::Sender<Asked>) -> std::io::Result<()> {
    if !control::may_order(stream.peer_cred()?.uid()) {
        return write(&mut stream, &answer(false, vec!["permission denied".into()])).await;
    }
    let mut line = String::new();
    let (reader, _) = stream.split();
    let mut limited = BufReader::new(reader.take(MAX_REQUEST));
    tokio::time::timeout(CLIENT_PATIENCE, limited.read_line(&mut line)).await??;
    let reply = match serde_json::from_str::<Request>(&line) {
        Ok(request) if request.version == CONTROL_VERSION => {
            let (reply, answered) = oneshot::channel();
            let _ = asked.send((request.order, reply)).await;
            answered.await.unwrap_or_else(|_| answer(false, vec!["the daemon is stopping".into()]))
        }
        Ok(request) => answer(
            false,
            vec![format!(
                "the daemon speaks version {CONTROL_VERSION} of the control language, not {}",
                request.version
            )],
        ),
        Err(error) => answer(false, vec![format!("not a request: {error}")]),
    };
    write(&mut stream, &reply).await
}

async fn write(stream: &mut UnixStream, reply: &Reply) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(reply)?;
    bytes.push(b'\n');
    tokio::time::timeout(CLIENT_PATIENCE, stream.write_all(&bytes)).await??;
    stream.shutdown().await
}

/// Clients that wait for the children's answers, which come one by one.
pub(super) struct StatusRound {
    /// When those that have not answered are left out.
    pub(super) deadline: Instant,
    replies: Vec<oneshot::Sender<Reply>>,
    missing: Vec<Kind>,
    vrrp: Option<Box<VrrpStatus>>,
    checker: Option<Box<CheckerStatus>>,
}

impl Parent {
    pub(super) fn ask_for_status(&mut self, reply: oneshot::Sender<Reply>) {
        if let Some(round) = &mut self.status_round {
            round.replies.push(reply);
            return;
        }
        let mut missing = Vec::new();
        for slot in self.slots.iter_mut().filter(|slot| slot.kind != Kind::Bfd && slot.is_ready) {
            if let Some(link) = &mut slot.link {
                link.send(&ToChild::Status);
                missing.push(slot.kind);
            }
        }
        let deadline = clock::now() + STATUS_PATIENCE;
        self.status_round = Some(StatusRound { deadline, replies: vec![reply], missing, vrrp: None, checker: None });
        self.check_status(clock::now());
    }

    /// One child has answered.
    pub(super) fn status_answer(&mut self, vrrp: Option<Box<VrrpStatus>>, checker: Option<Box<CheckerStatus>>) {
        if let Some(round) = &mut self.status_round {
            round.missing.retain(|kind| match kind {
                Kind::Vrrp => vrrp.is_none(),
                _ => checker.is_none(),
            });
            round.vrrp = vrrp.or(round.vrrp.take());
            round.checker = checker.or(round.checker.take());
        }
        self.check_status(clock::now());
    }

    pub(super) fn check_status(&mut self, now: Instant) {
        let is_over = |round: &StatusRound| round.missing.is_empty() || now >= round.deadline;
        if let Some(round) = self.status_round.take_if(|round| is_over(round)) {
            let silent = |kind: &Kind| format!("the {} process does not answer", kind.log_name());
            let reply = self.status(round.vrrp, round.checker, round.missing.iter().map(silent).collect());
            for client in round.replies {
                let _ = client.send(reply.clone());
            }
        }
    }

    fn status(&self, vrrp: Option<Box<VrrpStatus>>, checker: Option<Box<CheckerStatus>>, lines: Vec<String>) -> Reply {
        let child = |slot: &super::Slot| {
            let restarts = slot.starts.saturating_sub(1);
            (slot.kind.word().to_owned(), slot.pid.map(nix::unistd::Pid::as_raw), restarts)
        };
        let wanted = self.slots.iter().filter(|slot| slot.life.is_wanted());
        let status = DaemonStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_millis: clock::now().since(self.began).as_millis().try_into().unwrap_or(u64::MAX),
            config_file: self.start.options.config_file.clone(),
            reloads: self.reloads,
            last_refusal: self.last_refusal.clone(),
            children: wanted.map(child).collect(),
            vrrp,
            checker,
        };
        Reply { status: Some(status), ..answer(true, lines) }
    }
}
