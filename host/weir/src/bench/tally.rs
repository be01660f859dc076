//! What the answers were, and how long they took.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Progress;

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Answered,
    /// It failed.
    Failed {
        /// The error's public name, or `status-503` where the status says it.
        kind: String,
        /// What there is to say of it.
        message: String,
    },
}

/// Failures of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    /// How many there were.
    pub count: u64,
    /// What the first one said.
    pub first: String,
}

/// Requests that have ended.
#[derive(Debug)]
pub struct Tally {
    /// How long those took that were answered, in nanoseconds.
    pub latencies: Histogram<u64>,
    /// Those that failed, by kind.
    pub failures: BTreeMap<String, Failures>,
}

/// Three digits are told of a latency.
const DIGITS: u8 = 3;

impl Default for Tally {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "the number of digits is a constant within its bounds")]
        let latencies = Histogram::new(DIGITS).expect("digits within bounds");
        Self {
            latencies,
            failures: BTreeMap::new(),
        }
    }
}

impl Tally {
    /// One more request has ended.
    pub fn add(&mut self, outcome: Outcome, took: Duration) {
        match outcome {
            Outcome::Answered => {
                let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
                // It grows for whatever is recorded, so nothing is refused.
                let _ = self.latencies.record(nanoseconds);
            }
            Outcome::Failed { kind, message } => {
                self.failures
                    .entry(kind)
                    .or_insert_with(|| Failures {
                        count: 0,
                        first: message,
                    })
                    .count += 1;
            }
        }
    }

    /// Requests that were answered.
    pub fn answered(&self) -> u64 {
        self.latencies.len()
    }

    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.failures.values().map(|failures| failures.count).sum()
    }

    /// Requests that have ended.
    pub fn ended(&self) -> u64 {
        self.answered() + self.failed()
    }

    /// The time within which this part of the answers came; zero where there was none.
    pub fn within(&self, part: f64) -> Duration {
        Duration::from_nanos(self.latencies.value_at_quantile(part))
    }
}

/// A tally that callers add to side by side.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<Tally>);

impl Shared {
    pub fn add(&self, outcome: Outcome, took: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(outcome, took);
    }

    pub fn progress(&self, elapsed: Duration) -> Progress {
        let tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Progress {
            ended: tally.ended(),
            failed: tally.failed(),
            elapsed,
        }
    }

    pub fn take(&self) -> Tally {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_kind_and_told_by_their_first() {
        let mut tally = Tally::default();
        for (kind, message) in [("tls", "one"), ("dns", "two"), ("tls", "three")] {
            let (kind, message) = (kind.to_owned(), message.to_owned());
            tally.add(Outcome::Failed { kind, message }, Duration::from_secs(9));
        }
        tally.add(Outcome::Answered, Duration::from_millis(2));

        assert_eq!((tally.answered(), tally.failed(), tally.ended()), (1, 3, 4));
        let first = "one".to_owned();
        assert_eq!(tally.failures["tls"], Failures { count: 2, first });
        assert!(tally.within(1.0) < Duration::from_millis(3), "a failure has no latency");
    }

    #[test]
    fn a_part_of_the_answers_came_within_its_time() {
        let mut tally = Tally::default();
        assert_eq!(tally.within(0.5), Duration::ZERO);
        for milliseconds in 1..=100 {
            tally.add(Outcome::Answered, Duration::from_millis(milliseconds));
        }
        for (part, milliseconds) in [(0.5, 50), (0.99, 99), (1.0, 100)] {
            let (within, exact) = (tally.within(part), Duration::from_millis(milliseconds));
            assert!(within.abs_diff(exact) <= exact / 1_000, "{part}: {within:?}");
        }
    }
}
