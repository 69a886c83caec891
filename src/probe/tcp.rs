//! TCP_CHECK: connect and close; nothing is sent or read (`lvs.md` §5.3).

use tokio::time::sleep;

use crate::check::io::{ProbeId, Reason, ReasonKind, Verdict};
use crate::probe::connect::Contact;
use crate::probe::connects::Connects;
use crate::probe::reason;
use crate::sys::clock;

/// Whether a connection comes about: one of [`Connects`] by itself.
pub async fn probe(to: Contact<'_>) -> Verdict {
    alone(to).await.unwrap_or_else(|error| Verdict::Local(local(&error)))
}

async fn alone(to: Contact<'_>) -> std::io::Result<Verdict> {
    let mut connects = Connects::new()?;
    connects.start(ProbeId(0), to, clock::now());
    loop {
        connects.tick(clock::now());
        if let Some((_, verdict)) = connects.next_verdict() {
            return Ok(verdict);
        }
        let pause = connects.deadline().map_or(to.connection.timeout, |at| at.since(clock::now()));
        tokio::select! {
            () = connects.ready() => {}
            () = sleep(pause) => {}
        }
    }
}

fn local(error: &std::io::Error) -> Reason {
    reason(ReasonKind::Local, format_args!("cannot wait for a connection: {error}"))
}
