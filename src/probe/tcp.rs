//! TCP_CHECK: connect and close; nothing is sent or read (`lvs.md` §5.3).

use tokio::time::Instant;

use crate::check::io::Verdict;
use crate::model::checker::Connection;
use crate::probe::connect;

/// Whether a connection comes about.
pub async fn probe(to: &Connection) -> Verdict {
    match connect::tcp(to, Instant::now() + to.timeout).await {
        Ok(_) => Verdict::Pass,
        Err(verdict) => verdict,
    }
}
