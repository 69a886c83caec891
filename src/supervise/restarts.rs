//! When the process that starts scripts is started again: at once, but never twice within a second.
//!
//! Children wait longer and longer after a death. Without this one every tracked script fails, so it is tried again soon.

use crate::time::{Duration, Instant};

/// From one start to the next at least.
const APART: Duration = Duration::from_secs(1);

/// The starts of one process that is always wanted.
#[derive(Clone, Copy, Debug)]
pub struct Restarts {
    started: Instant,
    due: Option<Instant>,
}

impl Restarts {
    /// It was started just now.
    pub const fn started(now: Instant) -> Self {
        Self { started: now, due: None }
    }

    /// It is gone, or could not be started; gives how long it stays away.
    pub fn lost(&mut self, now: Instant) -> Duration {
        let due = (self.started + APART).max(now);
        self.due = Some(due);
        due.since(now)
    }

    /// When it is to be started.
    pub const fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it is to be started now, which then counts as done.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.take_if(|due| *due <= now).is_some();
        if is_due {
            self.started = now;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn one_that_has_lived_is_started_again_at_once() {
        let begun = Instant::from_nanos(1);
        let mut restarts = Restarts::started(begun);
        assert_eq!((restarts.deadline(), restarts.is_due(begun + 5000 * MS)), (None, false));
        assert_eq!(restarts.lost(begun + 5000 * MS), Duration::ZERO);
        assert!(restarts.is_due(begun + 5000 * MS));
        assert_eq!((restarts.deadline(), restarts.is_due(begun + 9000 * MS)), (None, false));
    }

    #[test]
    fn one_that_dies_at_once_is_started_once_a_second() {
        let mut now = Instant::from_nanos(1);
        let mut restarts = Restarts::started(now);
        let mut starts = Vec::new();
        while starts.len() < 5 {
            // It lives for a millisecond, and whoever watches looks every ten.
            now += MS;
            restarts.lost(now);
            while !restarts.is_due(now) {
                now += 10 * MS;
            }
            starts.push(now);
        }
        let apart: Vec<_> = starts.windows(2).map(|two| two[1].since(two[0])).collect();
        assert!(apart.iter().all(|apart| *apart >= APART && *apart <= APART + 20 * MS), "{apart:?}");
    }

    #[test]
    fn a_start_that_fails_is_tried_again_a_second_later() {
        let begun = Instant::from_nanos(1);
        let mut restarts = Restarts::started(begun);
        restarts.lost(begun + 2000 * MS);
        assert!(restarts.is_due(begun + 2000 * MS));
        assert_eq!(restarts.lost(begun + 2000 * MS), APART);
        assert!(!restarts.is_due(begun + 2999 * MS));
        assert!(restarts.is_due(begun + 3000 * MS));
    }
}
