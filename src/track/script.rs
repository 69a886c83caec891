//! `vrrp_script`: started every interval, cut off after its timeout, good after `rise` successes, bad after `fall`
//! failures.

use crate::model::Script;
use crate::time::{Duration, Instant};

/// From SIGTERM to SIGKILL.
const TERM_TO_KILL: Duration = Duration::from_secs(2);
/// From one SIGKILL to the next.
const KILL_AGAIN: Duration = Duration::from_secs(10);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exit status; 0 is success.
    Exited(u8),
    /// Killed by this signal.
    Signalled(i32),
    /// It could not be started: errno.
    NotStarted(i32),
    /// It ran longer than its timeout.
    TimedOut,
}

/// What a script engine wants done or known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start it.
    Run,
    /// SIGTERM to its process group.
    Term,
    /// SIGKILL to its process group.
    Kill,
    /// Its exit status differs from the last one.
    NowReturning(u8),
    /// It is good now.
    Succeeded,
    /// It is bad now.
    Failed(Outcome),
    /// A run took too long.
    TimedOut,
    /// It is still running at the next start, which is skipped; whether it is being ended already.
    StillRunning {
        /// It has had its SIGTERM.
        ending: bool,
    },
}

/// A tracked script.
#[derive(Clone, Debug)]
pub struct Tracker {
    interval: Duration,
    timeout: Duration,
    rise: u32,
    fall: u32,
    level: Level,
    run: Run,
    next_at: Instant,
    last_status: Option<u8>,
}

/// Good or bad, and how far on the way to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Unknown,
    Good { failures: u32 },
    Bad { successes: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Idle,
    Running { until: Instant },
    Ending { kill_at: Instant },
}

impl Tracker {
    /// A script that has not run yet, to be started at `first`.
    pub fn new(script: &Script, first: Instant) -> Self {
        Self {
            interval: script.interval.max(Duration::from_millis(1)),
            timeout: script.timeout.max(Duration::from_millis(1)),
            rise: script.rise.max(1),
            fall: script.fall.max(1),
            level: if script.init_fail { Level::Bad { successes: 0 } } else { Level::Unknown },
            run: Run::Idle,
            next_at: first,
            last_status: None,
        }
    }

    /// Good, bad, or not known yet.
    pub const fn is_good(&self) -> Option<bool> {
        match self.level {
            Level::Unknown => None,
            Level::Good { .. } => Some(true),
            Level::Bad { .. } => Some(false),
        }
    }

    /// Whether a run has not ended yet.
    pub fn is_running(&self) -> bool {
        self.run != Run::Idle
    }

    /// When [`Tracker::tick`] has something to do.
    pub fn deadline(&self) -> Instant {
        match self.run {
            Run::Idle => self.next_at,
            Run::Running { until: at } | Run::Ending { kill_at: at } => at.min(self.next_at),
        }
    }

    /// Starts what is due and ends what has run too long.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let before = self.run;
        if self.next_at <= now {
            let next = self.next_at + self.interval;
            self.next_at = if next > now { next } else { now + self.interval };
            match self.run {
                Run::Idle => {
                    self.run = Run::Running { until: now + self.timeout };
                    out.push(Effect::Run);
                }
                Run::Running { .. } => out.push(Effect::StillRunning { ending: false }),
                Run::Ending { .. } => out.push(Effect::StillRunning { ending: true }),
            }
        }
        match before {
            Run::Running { until } if until <= now => {
                self.run = Run::Ending { kill_at: now + TERM_TO_KILL };
                out.extend([Effect::TimedOut, Effect::Term]);
                self.failure(Outcome::TimedOut, out);
            }
            Run::Ending { kill_at } if kill_at <= now => {
                self.run = Run::Ending { kill_at: now + KILL_AGAIN };
                out.push(Effect::Kill);
            }
            _ => {}
        }
    }

    /// The run that [`Effect::Run`] asked for has ended.
    pub fn ended(&mut self, outcome: Outcome, out: &mut Vec<Effect>) {
        let timed_out = match std::mem::replace(&mut self.run, Run::Idle) {
            Run::Idle => return,
            Run::Running { .. } => false,
            Run::Ending { .. } => true,
        };
        if timed_out {
            return; // counted when it did
        }
        if let Outcome::Exited(status) = outcome
            && self.last_status.replace(status).unwrap_or(0) != status
        {
            out.push(Effect::NowReturning(status));
        }
        match outcome {
            Outcome::Exited(0) => self.success(out),
            _ => self.failure(outcome, out),
        }
    }

    /// Takes over what a tracker of the same command knew before a reload.
    pub fn inherit(&mut self, old: &Self) {
        self.level = match old.level {
            Level::Unknown => return,
            Level::Good { failures } => Level::Good { failures: failures.min(self.fall - 1) },
            Level::Bad { successes } => Level::Bad { successes: successes.min(self.rise - 1) },
        };
        self.last_status = old.last_status;
    }

    fn success(&mut self, out: &mut Vec<Effect>) {
        self.level = match self.level {
            // the first result decides at once, whatever `rise` says
            Level::Unknown => {
                out.push(Effect::Succeeded);
                Level::Good { failures: 0 }
            }
            Level::Good { .. } => Level::Good { failures: 0 },
            Level::Bad { successes } if successes + 1 >= self.rise => {
                out.push(Effect::Succeeded);
                Level::Good { failures: 0 }
            }
            Level::Bad { successes } => Level::Bad { successes: successes + 1 },
        };
    }

    fn failure(&mut self, outcome: Outcome, out: &mut Vec<Effect>) {
        self.level = match self.level {
            Level::Unknown => {
                out.push(Effect::Failed(outcome));
                Level::Bad { successes: 0 }
            }
            Level::Bad { .. } => Level::Bad { successes: 0 },
            Level::Good { failures } if failures + 1 >= self.fall => {
                out.push(Effect::Failed(outcome));
                Level::Bad { successes: 0 }
            }
            Level::Good { failures } => Level::Good { failures: failures + 1 },
        };
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::model::{ScriptCommand, Weight};

    fn script(rise: u32, fall: u32, init_fail: bool) -> Script {
        Script {
            name: "chk".into(),
            command: ScriptCommand {
                path: PathBuf::from("/bin/true"),
                argv: vec![b"/bin/true".to_vec()],
                uid: 0,
                gid: 0,
                supplementary_groups: false,
                insecure: false,
            },
            opens_only: false,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise,
            fall,
            init_fail,
            weight: Weight::default(),
        }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn tick(tracker: &mut Tracker, now: Instant) -> Vec<Effect> {
        let mut out = Vec::new();
        tracker.tick(now, &mut out);
        assert!(tracker.deadline() > now, "no spin");
        out
    }

    fn ended(tracker: &mut Tracker, outcome: Outcome) -> Vec<Effect> {
        let mut out = Vec::new();
        tracker.ended(outcome, &mut out);
        out
    }

    /// Runs it once a second with these exit statuses and says when it was good.
    fn history(tracker: &mut Tracker, statuses: &[u8]) -> Vec<Option<bool>> {
        let mut seen = Vec::new();
        for (second, &status) in statuses.iter().enumerate() {
            assert_eq!(tick(tracker, at(second as u64 * 1000)), [Effect::Run]);
            ended(tracker, Outcome::Exited(status));
            seen.push(tracker.is_good());
        }
        seen
    }

    #[test]
    fn the_first_result_decides_at_once_whatever_rise_and_fall_are() {
        assert_eq!(history(&mut Tracker::new(&script(3, 3, false), at(0)), &[0]), [Some(true)]);
        assert_eq!(history(&mut Tracker::new(&script(3, 3, false), at(0)), &[1]), [Some(false)]);
    }

    #[test]
    fn later_changes_need_rise_and_fall_results_in_a_row() {
        let statuses = [0, 1, 0, 1, 1, 0, 1, 0, 0, 0];
        let good = [true, true, true, true, false, false, false, false, false, true].map(Some);
        assert_eq!(history(&mut Tracker::new(&script(3, 2, false), at(0)), &statuses), good);
    }

    #[test]
    fn init_fail_is_bad_until_rise_successes() {
        let mut tracker = Tracker::new(&script(2, 1, true), at(0));
        assert_eq!(tracker.is_good(), Some(false));
        assert_eq!(history(&mut tracker, &[0, 0]), [Some(false), Some(true)]);
    }

    #[test]
    fn c01_a_run_that_takes_too_long_fails_is_ended_and_the_next_one_starts() {
        let mut tracker = Tracker::new(&script(1, 1, false), at(0));
        assert_eq!(tick(&mut tracker, at(0)), [Effect::Run]);
        let failed = Effect::Failed(Outcome::TimedOut);
        let ending = Effect::StillRunning { ending: true };
        let running = Effect::StillRunning { ending: false };
        assert_eq!(tick(&mut tracker, at(1000)), [running, Effect::TimedOut, Effect::Term, failed]);
        assert_eq!(tick(&mut tracker, at(2000)), [ending]);
        assert_eq!(tick(&mut tracker, at(3000)), [ending, Effect::Kill]);
        assert_eq!(ended(&mut tracker, Outcome::Signalled(9)), []);
        assert_eq!(tick(&mut tracker, at(4000)), [Effect::Run]);
        assert_eq!(ended(&mut tracker, Outcome::Exited(0)), [Effect::Succeeded]);
    }

    #[test]
    fn a_run_that_does_not_die_is_killed_again_every_ten_seconds() {
        let mut tracker = Tracker::new(&script(1, 1, false), at(0));
        let kills = (0..=30).filter(|&second| tick(&mut tracker, at(second * 1000)).contains(&Effect::Kill));
        assert_eq!(kills.collect::<Vec<_>>(), [3, 13, 23]);
    }

    #[test]
    fn c02_an_end_in_the_instant_of_the_timeout_never_freezes_the_tracker() {
        for end_first in [true, false] {
            let mut tracker = Tracker::new(&script(1, 1, false), at(0));
            for second in 0..1000 {
                let effects = tick(&mut tracker, at(second * 1000));
                assert!(effects.contains(&Effect::Run), "{second}: {effects:?}");
                if !end_first {
                    tick(&mut tracker, at(second * 1000 + 999));
                }
                ended(&mut tracker, Outcome::Exited(0));
            }
            assert_eq!(tracker.is_good(), Some(true));
        }
    }

    #[test]
    fn an_end_that_was_not_asked_for_changes_nothing() {
        let mut tracker = Tracker::new(&script(1, 1, false), at(0));
        assert_eq!(ended(&mut tracker, Outcome::Exited(1)), []);
        assert_eq!(tracker.is_good(), None);
    }

    #[test]
    fn the_exit_status_is_told_when_it_changes() {
        let mut tracker = Tracker::new(&script(1, 3, false), at(0));
        tick(&mut tracker, at(0));
        assert_eq!(ended(&mut tracker, Outcome::Exited(0)), [Effect::Succeeded]);
        tick(&mut tracker, at(1000));
        assert_eq!(ended(&mut tracker, Outcome::Exited(2)), [Effect::NowReturning(2)]);
        tick(&mut tracker, at(2000));
        assert_eq!(ended(&mut tracker, Outcome::Exited(2)), []);
    }

    #[test]
    fn a_reload_keeps_what_is_known() {
        let mut old = Tracker::new(&script(1, 3, false), at(0));
        history(&mut old, &[0, 1, 1]);
        let mut new = Tracker::new(&script(1, 2, false), at(3000));
        new.inherit(&old);
        assert_eq!(new.is_good(), Some(true));
        tick(&mut new, at(3000));
        assert_eq!(
            ended(&mut new, Outcome::Exited(1)),
            [Effect::Failed(Outcome::Exited(1))],
            "one of its two failures was left to it"
        );
    }
}
