//! How late things were: durations in fixed buckets, eight to each power of two, so a value is known within 12.5 %.
//!
//! Recording is a few instructions and never allocates.

use std::fmt;

use crate::time::Duration;

/// Buckets in each power of two, as a power of two.
const SUB_BITS: u32 = 3;
/// Durations of 2^40 ns (18 minutes) and more share the last bucket.
const MAX_BITS: u32 = 40;
const BUCKETS: usize = ((MAX_BITS - SUB_BITS + 1) << SUB_BITS) as usize;

/// A histogram of durations.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; BUCKETS],
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], count: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)] += 1;
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    /// How many were recorded.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The longest, exactly; zero where none was recorded.
    pub const fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The duration that `percent` (0 to 100) of all did not exceed, rounded up to its bucket's end; zero where none
    /// was recorded.
    pub fn percentile(&self, percent: f64) -> Duration {
        let wanted = ((percent.clamp(0.0, 100.0) / 100.0) * self.count as f64).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return Duration::from_nanos(last_of(index).min(self.max));
            }
        }
        Duration::ZERO
    }
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999] = [50.0, 99.0, 99.9].map(|percent| self.percentile(percent));
        write!(f, "count {} p50 {p50:.1?} p99 {p99:.1?} p99.9 {p999:.1?} max {:.1?}", self.count, self.max())
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Histogram({self})")
    }
}

fn bucket(nanos: u64) -> usize {
    let bits = u64::BITS - nanos.leading_zeros();
    if bits <= SUB_BITS {
        return nanos as usize;
    }
    let shift = bits - SUB_BITS - 1;
    let index = (u64::from(shift + 1) << SUB_BITS) + ((nanos >> shift) & ((1 << SUB_BITS) - 1));
    (index as usize).min(BUCKETS - 1)
}

/// The longest duration of a bucket.
fn last_of(index: usize) -> u64 {
    let (octave, sub) = ((index >> SUB_BITS) as u32, (index & ((1 << SUB_BITS) - 1)) as u64);
    match octave.checked_sub(1) {
        None => sub,
        Some(_) if index == BUCKETS - 1 => u64::MAX,
        Some(shift) => (((1 << SUB_BITS) + sub + 1) << shift) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(nanos: u64) -> Duration {
        Duration::from_nanos(nanos)
    }

    #[test]
    fn buckets_follow_each_other_without_gap_or_overlap() {
        assert_eq!(bucket(0), 0);
        for index in 0..BUCKETS - 1 {
            assert_eq!(bucket(last_of(index)), index);
            assert_eq!(bucket(last_of(index) + 1), index + 1);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_within_an_eighth_of_the_truth() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|micros| histogram.record(Duration::from_micros(micros)));
        for (percent, truth) in [(50.0, 500_000), (99.0, 990_000), (0.0, 1_000)] {
            let found = histogram.percentile(percent);
            assert!(found >= nanos(truth) && found <= nanos(truth + truth / 8), "{percent}: {found:?}");
        }
        assert_eq!(histogram.percentile(100.0), Duration::from_millis(1));
        assert_eq!((histogram.count(), histogram.max()), (1000, Duration::from_millis(1)));
    }

    #[test]
    fn an_empty_histogram_says_zero() {
        let histogram = Histogram::default();
        assert_eq!((histogram.percentile(99.0), histogram.max()), (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn what_is_longer_than_every_bucket_still_counts() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::MAX);
        assert_eq!(histogram.percentile(50.0), nanos(u64::MAX));
    }
}
