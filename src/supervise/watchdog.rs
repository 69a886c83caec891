//! Whether a child still turns its loop.

use crate::time::{Duration, Instant};

/// A look that comes so much later than the interval says that the parent itself was stopped, or the whole machine: then
/// everybody gets a new chance.
const OVERSLEPT: f64 = 1.5;

/// A child that was asked has so long to answer before it is looked at again, if the interval is not shorter.
const ANSWER: Duration = Duration::from_secs(2);

/// How long a process that has work on the processor may be silent: on a machine that is slow or crowded, to kill it
/// would only make more work.
const BUSY: Duration = Duration::from_secs(20);

/// What a look leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is alive, or it is too early to say.
    Fine,
    /// It may just have had nothing to do: give it something.
    Ask,
    /// It was asked and has done nothing. One that runs, or waits for the processor or a disk, is slow
    /// and not frozen.
    Silent,
    /// It did nothing for so long that not even much work excuses it.
    Frozen,
}

/// The watch over one child.
#[derive(Clone, Copy, Debug)]
pub struct Watchdog {
    /// From one look to the next; a silent child is found within two, and the time for an answer.
    interval: Duration,
    seen: u64,
    looked: Instant,
    /// Since when it has not answered.
    asked: Option<Instant>,
}

impl Watchdog {
    /// Begins a watch.
    pub const fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, seen: 0, looked: now, asked: None }
    }

    /// When to look.
    pub fn deadline(&self) -> Instant {
        self.looked + self.wait()
    }

    fn wait(&self) -> Duration {
        if self.asked.is_some() { self.interval.min(ANSWER) } else { self.interval }
    }

    /// Looks at how far the child has counted.
    pub fn look(&mut self, count: u64, now: Instant) -> Verdict {
        if now < self.deadline() {
            return Verdict::Fine;
        }
        let overslept = now.since(self.looked) >= self.wait().mul_f64(OVERSLEPT);
        let moved = count != self.seen;
        let asked = self.asked.filter(|_| !moved && !overslept);
        *self =
            Self { seen: count, looked: now, asked: if moved { None } else { Some(asked.unwrap_or(now)) }, ..*self };
        match asked {
            _ if moved => Verdict::Fine,
            None => Verdict::Ask,
            Some(asked) if now.since(asked) < BUSY => Verdict::Silent,
            Some(_) => Verdict::Frozen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::ZERO;
    const INTERVAL: Duration = Duration::from_secs(4);

    fn looks(counts: &[u64]) -> Vec<Verdict> {
        let mut watchdog = Watchdog::new(INTERVAL, START);
        let look = |&count| {
            let now = watchdog.deadline();
            watchdog.look(count, now)
        };
        counts.iter().map(look).collect()
    }

    #[test]
    fn a_child_that_counts_is_left_alone() {
        assert_eq!(looks(&[1, 5, 6]), [Verdict::Fine; 3]);
    }

    #[test]
    fn an_idle_child_is_asked_and_lives_when_it_answers() {
        assert_eq!(looks(&[3, 3, 4, 4]), [Verdict::Fine, Verdict::Ask, Verdict::Fine, Verdict::Ask]);
    }

    #[test]
    fn a_child_that_does_not_answer_is_silent_and_then_frozen() {
        assert_eq!(looks(&[3, 3, 3]), [Verdict::Fine, Verdict::Ask, Verdict::Silent]);
        let patient = (BUSY.as_secs() / ANSWER.as_secs()) as usize;
        let silent = [Verdict::Ask].into_iter().chain(vec![Verdict::Silent; patient - 1]);
        let frozen = silent.clone().chain([Verdict::Frozen, Verdict::Frozen]);
        assert_eq!(looks(&vec![0; patient + 2]), frozen.collect::<Vec<_>>());
        let mut counts = vec![0; patient];
        counts.extend([1, 1, 1]);
        let saved = silent.chain([Verdict::Fine, Verdict::Ask, Verdict::Silent]);
        assert_eq!(looks(&counts), saved.collect::<Vec<_>>());
    }

    #[test]
    fn after_a_stop_of_everything_nobody_is_blamed() {
        let mut watchdog = Watchdog::new(INTERVAL, START);
        assert_eq!(watchdog.look(0, START + INTERVAL), Verdict::Ask);
        let much_later = START + Duration::from_secs(60);
        assert_eq!(watchdog.look(0, much_later), Verdict::Ask);
        assert_eq!(watchdog.look(0, much_later + ANSWER), Verdict::Silent);
    }

    #[test]
    fn a_look_before_its_time_says_nothing() {
        let mut watchdog = Watchdog::new(INTERVAL, START);
        assert_eq!(watchdog.look(0, START + Duration::from_secs(1)), Verdict::Fine);
        assert_eq!(watchdog.deadline(), START + INTERVAL);
    }
}
