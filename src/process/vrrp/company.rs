//! Packets that come together are heard together: waking up costs more than a packet. Pure.

use crate::time::{Duration, Instant};

/// So long packets are waited for at least where it is worth it, and at most as long as the engine has patience.
const PATIENCE: Duration = Duration::from_millis(1);
/// So many at once are a burst.
const BURST: usize = 4;
/// After so many times in a row packets keep coming.
const STEADY: u32 = 4;
/// Where fewer than so many come while one waits, one wakes up for nothing but the end of the wait.
const WORTH: u32 = 3;
/// For about so many of them one waits then; a flood fills the socket no faster than that.
const COMPANY: u32 = 16;

/// How packets come, and so when one looks at them.
#[derive(Debug, Default)]
pub(super) struct Company {
    /// When packets came last.
    heard: Instant,
    /// How many times in a row they came soon after others.
    soon: u32,
    pause: Pause,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pause {
    /// They come one by one.
    #[default]
    None,
    /// They come in bursts with silence between: so long after the first of a burst, most of it is there.
    AtFirst(Duration),
    /// They keep coming: so long after some, the next are worth waking up for.
    Between(Duration),
}

impl Company {
    /// A turn brought so many packets; `patience` is the engine's.
    pub(super) fn heard(&mut self, count: usize, now: Instant, patience: Duration) {
        let patience = patience.max(PATIENCE);
        let silence = now.since(self.heard);
        self.heard = now;
        let gap = silence / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let are_dense = silence < patience * 2 && gap < patience / WORTH;
        self.soon = if are_dense { self.soon.saturating_add(1) } else { 0 };
        self.pause = if self.soon >= STEADY {
            Pause::Between((gap * COMPANY).clamp(PATIENCE, patience))
        } else if self.soon > 0 || count >= BURST {
            Pause::AtFirst((patience / 8).max(PATIENCE))
        } else {
            Pause::None
        };
    }

    /// A turn brought none.
    pub(super) fn heard_nothing(&mut self) {
        if let Pause::Between(_) = self.pause {
            self.pause = Pause::None;
        }
    }

    /// Until when it is not worth looking whether packets have come.
    pub(super) fn before(&self) -> Option<Instant> {
        if let Pause::Between(pause) = self.pause { Some(self.heard + pause) } else { None }
    }

    /// A packet has waited no longer than this on purpose.
    pub(super) const fn longest_wait(&self) -> Duration {
        match self.pause {
            Pause::None => Duration::ZERO,
            Pause::AtFirst(pause) | Pause::Between(pause) => pause,
        }
    }

    /// How long to wait for others once the first has come.
    pub(super) fn once_there(&self) -> Option<Duration> {
        if let Pause::AtFirst(pause) = self.pause { Some(pause) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);
    /// A quarter of a second's interval.
    const ENGINE: Duration = Duration::from_millis(250);

    /// Hears packets that come at these times, as the loop would, and says how often it woke.
    fn wakes(company: &mut Company, arrivals: &[Instant]) -> usize {
        let (mut wakes, mut next, mut now) = (0, 0, Instant::ZERO);
        while next < arrivals.len() {
            if let Some(until) = company.before().filter(|&until| until > now) {
                (now, wakes) = (until, wakes + 1);
            }
            if arrivals[next] > now {
                (now, wakes) = (arrivals[next], wakes + 1);
            }
            if let Some(pause) = company.once_there() {
                (now, wakes) = (now + pause, wakes + 1);
            }
            let count = arrivals[next..].iter().take_while(|&&at| at <= now).count();
            next += count;
            company.heard(count, now, ENGINE);
            // What a turn takes.
            now += Duration::from_micros(50);
        }
        wakes
    }

    fn every(gap: Duration, count: u32) -> Vec<Instant> {
        (1..=count).map(|i| Instant::ZERO + SECOND + gap * i).collect()
    }

    #[test]
    fn one_by_one_each_is_heard_at_once() {
        let mut company = Company::default();
        assert_eq!(wakes(&mut company, &every(SECOND, 20)), 20);
        assert_eq!((company.before(), company.once_there()), (None, None));
    }

    #[test]
    fn a_burst_each_second_takes_two_wakes() {
        let mut company = Company::default();
        let burst = |second: u32| (0..50).map(move |i| Instant::ZERO + SECOND * second + Duration::from_micros(20) * i);
        let bursts: Vec<_> = (1..=20).flat_map(burst).collect();
        assert!(wakes(&mut company, &bursts) <= 45);
    }

    #[test]
    fn a_few_a_second_are_heard_one_by_one_too() {
        for gap in [MS * 90, MS * 330, MS * 480] {
            assert_eq!(wakes(&mut Company::default(), &every(gap, 20)), 20);
        }
    }

    #[test]
    fn where_they_keep_coming_some_are_heard_together() {
        let mut company = Company::default();
        assert!(wakes(&mut company, &every(MS * 4, 1_000)) <= 200);
        assert!(wakes(&mut Company::default(), &every(MS * 20, 1_000)) <= 150);
        assert!(company.before().is_some_and(|until| until <= company.heard + ENGINE));
        company.heard_nothing();
        assert_eq!(company.before(), None);
    }

    #[test]
    fn nobody_waits_longer_than_the_engine_has_patience_for() {
        let mut company = Company::default();
        let mut now = Instant::ZERO + SECOND;
        for (count, gap) in [(50, SECOND), (1, MS), (1, MS), (9, MS * 90), (1, MS * 90), (3, MS * 90), (1, SECOND)] {
            now += gap;
            for patience in [Duration::ZERO, ENGINE] {
                company.heard(count, now, patience);
                let most = patience.max(PATIENCE);
                assert!(company.before().is_none_or(|until| until <= now + most));
                assert!(company.once_there().is_none_or(|pause| pause <= most));
            }
        }
    }
}
