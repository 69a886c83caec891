//! Packets that come together are heard together: waking up costs more than a packet. Pure.

use std::ops::Range;

use crate::time::{Duration, Instant};

/// So long packets are waited for at least where it is worth it, and at most as long as the engine has patience.
const PATIENCE: Duration = Duration::from_millis(1);
/// So many at once are a burst.
const BURST: usize = 4;
/// Where fewer than so many come while one waits, one wakes up for nothing but the end of the wait.
const WORTH: u32 = 3;
/// For about so many of them one waits then; a flood fills the socket no faster than that.
const COMPANY: u32 = 16;
/// Of a burst that has not been measured yet, one waits for so many times less than the engine has patience for.
const UNMEASURED: u32 = 4;

/// How packets come, and so when one looks at them.
#[derive(Debug, Default)]
pub(super) struct Company {
    /// When packets came last.
    heard: Instant,
    pause: Pause,
    /// The longest that packets have been left to wait since.
    longest: Duration,
    /// How long bursts take, and some more; none before one was measured. What waits longer than that grows cold, and
    /// costs twice as much then.
    burst: Option<Duration>,
    /// When the present one began.
    began: Instant,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pause {
    /// They come one by one.
    #[default]
    None,
    /// They come in bursts with silence between: some time after the first of a burst, most of it is there.
    AtFirst,
    /// They keep coming: so long after some, the next are worth waking up for.
    Between(Duration),
}

impl Company {
    /// A turn brought so many packets, of which the last has waited for the least of `waits` and the first for the most, as
    /// far as that is known; `patience` is the engine's.
    pub(super) fn heard(&mut self, count: usize, waits: Range<Duration>, now: Instant, patience: Duration) {
        let patience = patience.max(PATIENCE);
        let silence = now.since(self.heard);
        if silence >= patience {
            self.began = now - waits.end;
        }
        if count == 1 && self.pause == Pause::None && silence >= patience * 2 {
            // One by one, as ever: what follows would come to the same, in code that is cold.
            (self.heard, self.longest) = (now, Duration::ZERO);
            return;
        }
        if self.pause != Pause::None {
            // They differ: it is cheaper to wait for the longest.
            let took = (now - waits.start).since(self.began) * 3 / 2;
            let burst = took.max(self.burst.unwrap_or_default() * 15 / 16).max(PATIENCE * 2);
            self.burst = Some(burst.min(patience));
        }
        let gap = silence / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let are_dense = silence < patience * 2 && gap < patience / WORTH;
        (self.heard, self.longest) = (now, Duration::ZERO);
        self.pause = if are_dense && count > 1 {
            Pause::Between((gap * COMPANY).clamp(PATIENCE, patience))
        } else if are_dense || count >= BURST {
            Pause::AtFirst
        } else {
            Pause::None
        };
    }

    /// Until when it is not worth looking whether packets have come. The engine may have lost its patience meanwhile.
    pub(super) fn before(&mut self, patience: Duration) -> Option<Instant> {
        let Pause::Between(pause) = self.pause else { return None };
        self.longest = pause.min(patience.max(PATIENCE));
        Some(self.heard + self.longest)
    }

    /// How long to wait for others, now that the first has come.
    pub(super) fn once_there(&mut self, now: Instant, patience: Duration) -> Option<Duration> {
        let patience = patience.max(PATIENCE);
        let begins = match self.pause {
            Pause::None => return None,
            Pause::AtFirst => true,
            // What kept coming had stopped.
            Pause::Between(_) => now.since(self.heard) > patience,
        };
        begins.then(|| {
            self.longest = self.burst.unwrap_or(patience / UNMEASURED).clamp(PATIENCE, patience);
            self.longest
        })
    }

    /// No packet of those that are there now has waited longer on purpose.
    pub(super) const fn longest_wait(&self) -> Duration {
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);
    /// What a turn of the loop takes.
    const TURN: Duration = Duration::from_micros(50);
    /// A quarter of a second's interval.
    const ENGINE: Duration = Duration::from_millis(250);

    /// Hears packets that come at these times, as the loop would, and says how often it woke.
    fn wakes(company: &mut Company, arrivals: &[Instant]) -> usize {
        let (mut wakes, mut next, mut now) = (0, 0, Instant::ZERO);
        while next < arrivals.len() {
            if let Some(until) = company.before(ENGINE).filter(|&until| until > now) {
                (now, wakes) = (until, wakes + 1);
            }
            if arrivals[next] > now {
                (now, wakes) = (arrivals[next], wakes + 1);
            }
            if let Some(pause) = company.once_there(now, ENGINE) {
                (now, wakes) = (now + pause, wakes + 1);
            }
            let count = arrivals[next..].iter().take_while(|&&at| at <= now).count();
            let (first, longest) = (arrivals[next], company.longest_wait());
            assert!(now.since(first) <= longest + TURN, "{:?}", now.since(first));
            next += count;
            let waited = |at| now.since(at).min(longest);
            company.heard(count, waited(arrivals[next - 1])..waited(first), now, ENGINE);
            now += TURN;
        }
        wakes
    }

    fn every(gap: Duration, count: u32) -> Vec<Instant> {
        (1..=count).map(|i| Instant::ZERO + SECOND + gap * i).collect()
    }

    fn bursts(gap: Duration) -> Vec<Instant> {
        (1..=20).flat_map(|second| (0..50).map(move |i| Instant::ZERO + SECOND * second + gap * i)).collect()
    }

    #[test]
    fn one_by_one_each_is_heard_at_once() {
        let mut company = Company::default();
        assert_eq!(wakes(&mut company, &every(SECOND, 20)), 20);
        assert_eq!(company.before(ENGINE), None);
        assert_eq!(company.once_there(Instant::ZERO + SECOND * 30, ENGINE), None);
    }

    #[test]
    fn a_burst_each_second_takes_two_wakes_and_a_long_one_some_more() {
        let short = wakes(&mut Company::default(), &bursts(Duration::from_micros(20)));
        assert!(short <= 45, "{short}");
        let long = wakes(&mut Company::default(), &bursts(MS * 4));
        assert!(long <= 20 * 7, "{long}");
    }

    #[test]
    fn one_waits_for_a_burst_as_long_as_it_takes() {
        let mut company = Company::default();
        wakes(&mut company, &bursts(Duration::from_micros(20)));
        let pause = company.once_there(Instant::ZERO + SECOND * 30, ENGINE).unwrap();
        assert!((MS * 2..MS * 8).contains(&pause), "{pause:?}");
        // One that takes longer is heard in two turns again after a while.
        wakes(&mut company, &bursts(Duration::from_micros(500)));
        assert!(wakes(&mut company, &bursts(Duration::from_micros(500))) <= 45);
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
        assert!(company.before(ENGINE).is_some_and(|until| until <= company.heard + ENGINE));
        assert_eq!(company.before(Duration::ZERO), Some(company.heard + PATIENCE), "a MASTER by now");
        assert!(wakes(&mut Company::default(), &every(MS * 20, 1_000)) <= 150);
    }

    #[test]
    fn nobody_waits_longer_than_the_engine_has_patience_for() {
        let mut company = Company::default();
        let mut now = Instant::ZERO + SECOND;
        for (count, gap) in [(50, SECOND), (1, MS), (1, MS), (9, MS * 90), (1, MS * 90), (3, MS * 90), (1, SECOND)] {
            now += gap;
            for patience in [Duration::ZERO, ENGINE] {
                company.heard(count, Duration::ZERO..gap.min(MS * 3), now, patience);
                let most = patience.max(PATIENCE);
                assert!(company.before(patience).is_none_or(|until| until <= now + most));
                assert!(company.once_there(now + MS, patience).is_none_or(|pause| pause <= most));
                assert!(company.longest_wait() <= most);
            }
        }
    }
}
