//! The clocks of the machine.
//!
//! Protocol time is CLOCK_MONOTONIC, as keepalived's: it never jumps, and it stands still while the machine sleeps,
//! so that a resumed router first hears what waits on its sockets instead of finding every timer expired.

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use crate::time::{Duration, Instant};

/// Now, on CLOCK_MONOTONIC.
#[inline]
pub fn now() -> Instant {
    let time = read(ClockId::CLOCK_MONOTONIC);
    Instant::from_nanos(time.tv_sec().cast_unsigned() * 1_000_000_000 + time.tv_nsec().cast_unsigned())
}

/// Time since the epoch (CLOCK_REALTIME), which somebody may set: what the kernel stamps packets with.
pub fn wall() -> Duration {
    Duration::from(read(ClockId::CLOCK_REALTIME))
}

/// Time since boot, sleep included (CLOCK_BOOTTIME): what `vrrp_delay_after_boot` counts from.
pub fn uptime() -> Duration {
    Duration::from(read(ClockId::CLOCK_BOOTTIME))
}

fn read(clock: ClockId) -> TimeSpec {
    clock_gettime(clock).expect("Linux has this clock and the result is on our stack")
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
