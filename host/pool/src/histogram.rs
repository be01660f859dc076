//! Durations counted into fixed buckets, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in seconds: from a reused connection in the same machine (a millisecond) to the longest read timeout
/// of the presets (two minutes), about 2.5 times apart.
const BOUNDS_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
];

/// One more than there are bounds: the last one counts what is above them all.
const BUCKETS: usize = BOUNDS_SECONDS.len() + 1;

/// A histogram that many threads record into at once.
#[derive(Debug)]
pub struct Histogram {
    counts: [AtomicU64; BUCKETS],
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; BUCKETS],
            sum_nanos: AtomicU64::new(0),
        }
    }

    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS_SECONDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let counts: Vec<_> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        HistogramSnapshot {
            bounds_seconds: BOUNDS_SECONDS,
            count: counts.iter().sum(),
            sum_seconds: Duration::from_nanos(self.sum_nanos.load(Ordering::Relaxed)).as_secs_f64(),
            counts,
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// How long something took, over the life of a pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramSnapshot {
    /// The upper bound of each bucket but the last, in seconds.
    pub bounds_seconds: &'static [f64],
    /// Observations in each bucket, not cumulated; the last bucket has no upper bound.
    pub counts: Vec<u64>,
    /// All observations added up, in seconds.
    pub sum_seconds: f64,
    /// The number of observations.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_is_counted_under_the_first_bound_that_holds_it() {
        let histogram = Histogram::new();
        for millis in [0, 1, 2, 600_000] {
            histogram.record(Duration::from_millis(millis));
        }
        let snapshot = histogram.snapshot();
        assert_eq!((snapshot.counts[0], snapshot.counts[1], snapshot.counts[16]), (2, 1, 1));
        assert_eq!(snapshot.counts.len(), snapshot.bounds_seconds.len() + 1);
        assert_eq!((snapshot.count, snapshot.sum_seconds), (4, 600.003));
    }
}
