//! What may be asked for with one key in a minute.
//!
//! A bucket of a minute's worth that fills evenly. Requests are taken out when they come; tokens when it is known how
//! many there were, so that a key can run into debt, and waits until it has paid. The rate limiters there are refuse
//! what is more than they have left, which is of no use for what has been spent already.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::KeyLimits;

/// What is left of one key's minute.
#[derive(Debug)]
pub(crate) struct Allowance {
    limits: KeyLimits,
    left: Mutex<Left>,
}

#[derive(Debug)]
struct Left {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    a_minute: f64,
    left: f64,
    at: Instant,
}

/// Nothing is left.
#[derive(Debug, PartialEq)]
pub(crate) struct UsedUp {
    /// `requests` or `tokens`.
    pub what: &'static str,
    /// How many there are in a minute.
    pub a_minute: u32,
    /// When there will be some again.
    pub wait: Duration,
}

impl Allowance {
    pub fn new(limits: KeyLimits) -> Self {
        let now = Instant::now();
        let bucket = |a_minute: std::num::NonZeroU32| Bucket {
            a_minute: f64::from(a_minute.get()),
            left: f64::from(a_minute.get()),
            at: now,
        };
        let left = Left {
            requests: limits.requests_per_minute.map(bucket),
            tokens: limits.tokens_per_minute.map(bucket),
        };
        Self {
            limits,
            left: Mutex::new(left),
        }
    }

    pub fn limits(&self) -> KeyLimits {
        self.limits
    }

    /// Takes one request, unless nothing is left of either.
    pub fn take(&self) -> Result<(), UsedUp> {
        let now = Instant::now();
        let left = &mut *self.left.lock().unwrap_or_else(PoisonError::into_inner);
        for (what, bucket) in [("requests", &mut left.requests), ("tokens", &mut left.tokens)] {
            if let Some(bucket) = bucket
                && let Some(wait) = bucket.wait(now)
            {
                let a_minute = bucket.a_minute as u32;
                return Err(UsedUp { what, a_minute, wait });
            }
        }
        if let Some(requests) = &mut left.requests {
            requests.left -= 1.0;
        }
        Ok(())
    }

    fn spend(&self, tokens: u64) {
        let left = &mut *self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = &mut left.tokens {
            bucket.left -= tokens as f64;
        }
    }
}

impl Bucket {
    /// Until one is left.
    fn wait(&mut self, now: Instant) -> Option<Duration> {
        let filled = now.saturating_duration_since(self.at).as_secs_f64() * self.a_minute / 60.0;
        self.left = (self.left + filled).min(self.a_minute);
        self.at = now;
        let missing = 1.0 - self.left;
        (missing > 0.0).then(|| Duration::from_secs_f64(missing * 60.0 / self.a_minute))
    }
}

/// Where a request's tokens are taken from: the allowance of its key, if it has one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spending(pub Option<Arc<Allowance>>);

impl Spending {
    /// Tells what was used.
    pub fn spend(&self, tokens: u64) {
        if let Some(allowance) = &self.0 {
            allowance.spend(tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;
    use tokio::time::advance;

    fn allowance(requests: u32, tokens: u32) -> Allowance {
        Allowance::new(KeyLimits {
            requests_per_minute: NonZeroU32::new(requests),
            tokens_per_minute: NonZeroU32::new(tokens),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn requests_beyond_a_minutes_wait_for_their_turn() {
        let allowance = allowance(2, 0);
        assert!(allowance.take().is_ok() && allowance.take().is_ok());
        let used_up = allowance.take().unwrap_err();
        assert_eq!(
            (used_up.what, used_up.a_minute, used_up.wait),
            ("requests", 2, Duration::from_secs(30))
        );
        advance(Duration::from_secs(29)).await;
        assert!(allowance.take().is_err());
        advance(Duration::from_secs(1)).await;
        assert!(allowance.take().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_spent_beyond_a_minutes_are_waited_for() {
        let allowance = Arc::new(allowance(0, 60));
        allowance.take().unwrap();
        Spending(Some(allowance.clone())).spend(149);
        let used_up = allowance.take().unwrap_err();
        assert_eq!((used_up.what, used_up.wait), ("tokens", Duration::from_secs(90)));
        advance(Duration::from_secs(90)).await;
        assert!(allowance.take().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_hour_saves_up_no_more_than_a_minute() {
        let allowance = allowance(3, 0);
        advance(Duration::from_secs(3_600)).await;
        for _ in 0..3 {
            allowance.take().unwrap();
        }
        assert!(allowance.take().is_err());
    }

    #[test]
    fn a_key_without_limits_takes_any_number() {
        let allowance = allowance(0, 0);
        allowance.spend(u64::MAX);
        for _ in 0..1_000 {
            allowance.take().unwrap();
        }
    }
}
