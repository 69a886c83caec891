//! When a link change counts: `interface_up_down_delays`.

use crate::model::vrrp::Debounce;
use crate::time::Instant;

/// The state of one link as it counts for the instances that need it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkState {
    up: bool,
    seen_up: bool,
    pending: Option<Instant>,
}

impl LinkState {
    /// Whether the link counts as up.
    pub const fn is_up(&self) -> bool {
        self.up
    }

    /// When [`LinkState::tick`] has something to do.
    pub const fn deadline(&self) -> Option<Instant> {
        self.pending
    }

    /// The kernel's word on the link. Says whether what counts has changed.
    pub fn observe(&mut self, up: bool, delays: Debounce, now: Instant) -> bool {
        if up == self.up {
            self.pending = None;
            return false;
        }
        let delay = if up { delays.up } else { delays.down };
        // keepalived: a link that has never been up has nothing to settle
        if delay.is_zero() || !self.seen_up {
            self.turn();
            return true;
        }
        self.pending.get_or_insert(now + delay);
        false
    }

    /// Says whether a change has lasted long enough and counts now.
    pub fn tick(&mut self, now: Instant) -> bool {
        let due = self.pending.is_some_and(|at| at <= now);
        if due {
            self.turn();
        }
        due
    }

    fn turn(&mut self) {
        self.up = !self.up;
        self.seen_up |= self.up;
        self.pending = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    const DELAYS: Debounce = Debounce { down: Duration::from_secs(2), up: Duration::from_secs(1) };

    fn at(secs: u64) -> Instant {
        Instant::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn the_first_up_counts_at_once() {
        let mut link = LinkState::default();
        assert!(link.observe(true, DELAYS, at(0)));
        assert!(link.is_up());
    }

    #[test]
    fn a_short_down_does_not_count() {
        let mut link = LinkState::default();
        link.observe(true, DELAYS, at(0));
        assert!(!link.observe(false, DELAYS, at(10)));
        assert!(!link.tick(at(11)));
        assert!(!link.observe(true, DELAYS, at(11)));
        assert_eq!(link.deadline(), None);
        assert!(link.is_up());
    }

    #[test]
    fn a_long_down_counts_when_its_delay_is_over() {
        let mut link = LinkState::default();
        link.observe(true, DELAYS, at(0));
        link.observe(false, DELAYS, at(10));
        link.observe(false, DELAYS, at(11)); // said again: the delay does not start anew
        assert_eq!(link.deadline(), Some(at(12)));
        assert!(link.tick(at(12)));
        assert!(!link.is_up());
        assert!(!link.observe(true, DELAYS, at(20)));
        assert!(link.tick(at(21)));
        assert!(link.is_up());
    }

    #[test]
    fn without_delays_every_change_counts_at_once() {
        let mut link = LinkState::default();
        assert!(link.observe(true, Debounce::default(), at(0)));
        assert!(link.observe(false, Debounce::default(), at(0)));
        assert!(!link.observe(false, Debounce::default(), at(0)));
    }
}
