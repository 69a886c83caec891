//! The clocks of the machine.
//!
//! Protocol time is CLOCK_MONOTONIC, as keepalived's: it never jumps, and it stands still while the machine sleeps,
//! so that a resumed router first hears what waits on its sockets instead of finding every timer expired.

use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

use crate::time::{Duration, Instant};

/// Now, on CLOCK_MONOTONIC.
pub fn now() -> Instant {
    let span = read(ClockId::CLOCK_MONOTONIC);
    Instant::from_nanos(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}

/// Sleeps until then; a signal may wake earlier.
pub fn nap(until: Instant) {
    let at = until.since(Instant::ZERO).into();
    let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &at);
}

/// Time since boot, sleep included (CLOCK_BOOTTIME): what `vrrp_delay_after_boot` counts from.
pub fn uptime() -> Duration {
    read(ClockId::CLOCK_BOOTTIME)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock).expect("Linux has this clock and the result is on our stack");
    Duration::from(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards() {
        let before = now();
        assert!(now() >= before);
        assert!(before > Instant::ZERO);
    }

    #[test]
    fn uptime_counts_sleep_and_so_is_never_behind_the_protocol_clock() {
        let protocol = now().since(Instant::ZERO);
        assert!(uptime() >= protocol);
    }
}
