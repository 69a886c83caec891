//! Whether a child still turns its loop.

use crate::supervise::child::Kind;
use crate::time::{Duration, Instant};

/// So long a loop may be silent before its process is asked. It then has [`ANSWER`] to turn once.
pub const fn patience(kind: Kind) -> Duration {
    match kind {
        // Killing it moves addresses.
        Kind::Vrrp => Duration::from_secs(20),
        // Servers that die meanwhile stay in the table; a new process goes on where it was.
        Kind::Checker | Kind::Bfd => Duration::from_millis(2_800),
    }
}

/// A child that was asked has so long to answer before it is looked at again.
const ANSWER: Duration = Duration::from_millis(1_600);

/// A look that comes so much later than it should says that the parent itself was stopped, or the whole machine: then
/// everybody gets a new chance.
const OVERSLEPT: Duration = Duration::from_millis(800);

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
#[derive(Clone, Copy, Debug, Default)]
pub struct Watchdog {
    asked: Option<Asked>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    since: Instant,
    /// When to look again.
    look: Instant,
}

impl Watchdog {
    /// When to look, if not before; none as long as the child is not silent.
    pub fn deadline(&self) -> Option<Instant> {
        self.asked.map(|asked| asked.look)
    }

    /// Looks whether the child is silent, and what is to be done about it.
    pub fn look(&mut self, is_silent: bool, now: Instant) -> Verdict {
        let asked = self.asked.filter(|_| is_silent);
        if asked.is_some_and(|asked| now < asked.look) {
            return Verdict::Fine;
        }
        let asked = asked.filter(|asked| now < asked.look + OVERSLEPT);
        let since = asked.map_or(now, |asked| asked.since);
        self.asked = is_silent.then_some(Asked { since, look: now + ANSWER });
        match asked {
            _ if !is_silent => Verdict::Fine,
            None => Verdict::Ask,
            Some(asked) if now.since(asked.since) < BUSY => Verdict::Silent,
            Some(_) => Verdict::Frozen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::ZERO;

    /// What looks lead to, each at its time.
    fn looks(silent: &[bool]) -> Vec<Verdict> {
        let (mut watchdog, mut now) = (Watchdog::default(), START);
        let look = |&is_silent| {
            now = watchdog.deadline().unwrap_or(now + Duration::from_secs(1));
            watchdog.look(is_silent, now)
        };
        silent.iter().map(look).collect()
    }

    #[test]
    fn a_child_that_is_heard_is_left_alone_and_not_looked_at() {
        assert_eq!(looks(&[false; 3]), [Verdict::Fine; 3]);
        assert_eq!(Watchdog::default().deadline(), None);
    }

    #[test]
    fn an_idle_child_is_asked_and_lives_when_it_answers() {
        assert_eq!(looks(&[true, false, false, true]), [Verdict::Ask, Verdict::Fine, Verdict::Fine, Verdict::Ask]);
    }

    #[test]
    fn a_child_that_does_not_answer_is_silent_and_then_frozen() {
        let patient = BUSY.as_nanos().div_ceil(ANSWER.as_nanos()) as usize;
        let silent = [Verdict::Ask].into_iter().chain(vec![Verdict::Silent; patient - 1]);
        let frozen = silent.clone().chain([Verdict::Frozen, Verdict::Frozen]);
        assert_eq!(looks(&vec![true; patient + 2]), frozen.collect::<Vec<_>>());
        let mut heard = vec![true; patient];
        heard.extend([false, true, true]);
        let saved = silent.chain([Verdict::Fine, Verdict::Ask, Verdict::Silent]);
        assert_eq!(looks(&heard), saved.collect::<Vec<_>>());
    }

    #[test]
    fn after_a_stop_of_everything_nobody_is_blamed() {
        let mut watchdog = Watchdog::default();
        assert_eq!(watchdog.look(true, START), Verdict::Ask);
        let much_later = START + Duration::from_secs(60);
        assert_eq!(watchdog.look(true, much_later), Verdict::Ask);
        assert_eq!(watchdog.look(true, much_later + ANSWER), Verdict::Silent);
    }

    #[test]
    fn a_look_before_its_time_says_nothing() {
        let mut watchdog = Watchdog::default();
        assert_eq!(watchdog.look(true, START), Verdict::Ask);
        assert_eq!(watchdog.look(true, START + ANSWER / 2), Verdict::Fine);
        assert_eq!(watchdog.deadline(), Some(START + ANSWER));
    }

    /// D34
    #[test]
    fn a_frozen_checker_is_found_within_five_seconds() {
        assert!(patience(Kind::Checker) + ANSWER < Duration::from_millis(4_500));
    }
}
