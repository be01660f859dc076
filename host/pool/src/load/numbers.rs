//! What the layers count.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::retry::Reason;

/// Counters that the layers of one pool share.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    retries: [AtomicU64; Reason::ALL.len()],
    retries_denied: AtomicU64,
    hedges: AtomicU64,
    breaker_refusals: AtomicU64,
    rate_limit_waits: AtomicU64,
    rate_limit_refusals: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub retries: BTreeMap<&'static str, u64>,
    pub retries_denied: u64,
    pub hedges: u64,
    pub breaker_refusals: u64,
    pub rate_limit_waits: u64,
    pub rate_limit_refusals: u64,
}

impl Numbers {
    pub fn retried(&self, reason: Reason) {
        if let Some(count) = self.retries.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn retry_denied(&self) {
        self.retries_denied.fetch_add(1, Ordering::Relaxed);
    }

    pub fn hedged(&self) {
        self.hedges.fetch_add(1, Ordering::Relaxed);
    }

    pub fn refused_by_breaker(&self) {
        self.breaker_refusals.fetch_add(1, Ordering::Relaxed);
    }

    pub fn rate_limit_waited(&self) {
        self.rate_limit_waits.fetch_add(1, Ordering::Relaxed);
    }

    pub fn rate_limit_refused(&self) {
        self.rate_limit_refusals.fetch_add(1, Ordering::Relaxed);
    }

    pub fn counted(&self) -> Counted {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counted {
            retries: Reason::ALL
                .into_iter()
                .map(Reason::as_str)
                .zip(self.retries.iter().map(load))
                .filter(|(_, count)| *count > 0)
                .collect(),
            retries_denied: load(&self.retries_denied),
            hedges: load(&self.hedges),
            breaker_refusals: load(&self.breaker_refusals),
            rate_limit_waits: load(&self.rate_limit_waits),
            rate_limit_refusals: load(&self.rate_limit_refusals),
        }
    }
}
