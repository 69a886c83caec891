//! MISC_CHECK: how long a script may run, and what its end means (`lvs.md` §5.7). Who starts it and hears of its end is
//! not here.

use crate::check::io::{ReasonKind, Verdict};
use crate::probe::reason;
use crate::supervise::child::End;
use crate::time::{Duration, Instant};

/// Between SIGTERM and SIGKILL, and until SIGKILL counts as ignored.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between further ones.
const AGAIN: Duration = Duration::from_secs(10);

/// A script that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    stage: Stage,
    next: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Terminated,
    Killed,
}

/// What is to be done with a script that runs too long. The signals go to its process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// SIGTERM
    Terminate,
    /// SIGKILL
    Kill,
    /// SIGKILL, and a log line: `Child (PID n) failed to terminate after kill`.
    KillAgain,
}

impl Run {
    /// A script that has just been started. `timeout` is `misc_timeout`.
    pub fn started(now: Instant, timeout: Duration) -> Self {
        Self { stage: Stage::Running, next: now + timeout }
    }

    /// When to call [`Run::overdue`].
    pub fn deadline(&self) -> Instant {
        self.next
    }

    /// What is due; none before the deadline.
    pub fn overdue(&mut self, now: Instant) -> Option<Order> {
        if now < self.next {
            return None;
        }
        let (stage, patience, order) = match self.stage {
            Stage::Running => (Stage::Terminated, PATIENCE, Order::Terminate),
            Stage::Terminated => (Stage::Killed, PATIENCE, Order::Kill),
            Stage::Killed => (Stage::Killed, AGAIN, Order::KillAgain),
        };
        *self = Self { stage, next: now + patience };
        Some(order)
    }

    /// The verdict of its end. A script that exits by itself after SIGTERM is judged by its status.
    pub fn ended(&self, end: End) -> Verdict {
        match (end, self.stage) {
            (End::Exited(status), _) => Verdict::Exited(status),
            (End::Signalled(signal), Stage::Running) => {
                Verdict::Fail(reason(ReasonKind::Signalled(signal), format_args!("signal {signal}")))
            }
            (End::Signalled(_), _) => Verdict::Fail(reason(ReasonKind::ScriptTimeout, "timed out")),
        }
    }

    /// What is left of its process group is to get SIGKILL once it has ended.
    pub fn leaves_others(&self) -> bool {
        self.stage != Stage::Running
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_nanos(1_000);

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_script_that_runs_too_long_gets_sigterm_then_sigkill_until_it_ends() {
        let mut run = Run::started(START, secs(3));
        assert_eq!(run.overdue(START + Duration::from_millis(2_999)), None);
        let mut orders = Vec::new();
        for _ in 0..5 {
            let at = run.deadline();
            orders.push((at.since(START).as_secs(), run.overdue(at).unwrap()));
        }
        use Order::*;
        assert_eq!(orders, [(3, Terminate), (5, Kill), (7, KillAgain), (17, KillAgain), (27, KillAgain)]);
    }

    #[test]
    fn an_exit_status_counts_even_after_sigterm() {
        let mut run = Run::started(START, secs(3));
        assert_eq!(run.ended(End::Exited(7)), Verdict::Exited(7));
        assert!(!run.leaves_others());
        run.overdue(START + secs(3));
        assert_eq!(run.ended(End::Exited(0)), Verdict::Exited(0));
        assert!(run.leaves_others());
    }

    #[test]
    fn a_signal_is_a_timeout_where_it_was_ours() {
        let kind = |run: &Run| match run.ended(End::Signalled(15)) {
            Verdict::Fail(reason) => reason.kind,
            other => panic!("{other:?}"),
        };
        let mut run = Run::started(START, secs(3));
        assert_eq!(kind(&run), ReasonKind::Signalled(15));
        run.overdue(START + secs(3));
        assert_eq!(kind(&run), ReasonKind::ScriptTimeout);
    }
}
