//! What is counted of a provider's calls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use weir_pool::{Histogram, HistogramSnapshot};

use crate::instance::lease::InstanceStats;

/// A provider's counts, at one moment.
#[derive(Debug, Clone)]
pub struct ProviderStats {
    /// The instances.
    pub instances: InstanceStats,
    /// Calls by operation and outcome: `ok`, `cancelled`, or the error's kind.
    pub calls: Vec<(&'static str, &'static str, u64)>,
    /// Instances lost, by kind: `trap`, `deadline`, `cpu-time`, `out-of-memory`, `limit-exceeded`.
    pub traps: Vec<(&'static str, u64)>,
    /// Calls that were run again, since their instance was lost before it did anything.
    pub retries: u64,
    /// Requests that were denied their origin or address.
    pub egress_denied: u64,
    /// How long calls took, all operations together.
    pub call_seconds: HistogramSnapshot,
}

/// The outcomes that cost the instance.
pub(super) const TRAPS: [&str; 5] = ["trap", "deadline", "cpu-time", "out-of-memory", "limit-exceeded"];

/// A provider's running counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    calls: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    call_seconds: Histogram,
    retries: AtomicU64,
}

impl Counters {
    pub(crate) fn record_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn record(&self, operation: &'static str, outcome: &'static str, took: Duration) {
        *self
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry((operation, outcome))
            .or_default() += 1;
        self.call_seconds.record(took);
    }

    pub(crate) fn snapshot(&self, instances: InstanceStats, egress_denied: Option<&AtomicU64>) -> ProviderStats {
        let calls: Vec<_> = self
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(&(operation, outcome), &count)| (operation, outcome, count))
            .collect();
        let lost = |kind: &str| {
            calls
                .iter()
                .filter(|(_, outcome, _)| *outcome == kind)
                .map(|(_, _, count)| count)
                .sum()
        };
        ProviderStats {
            instances,
            traps: TRAPS.into_iter().map(|kind| (kind, lost(kind))).collect(),
            retries: self.retries.load(Ordering::Relaxed),
            egress_denied: egress_denied.map_or(0, |denied| denied.load(Ordering::Relaxed)),
            call_seconds: self.call_seconds.snapshot(),
            calls,
        }
    }
}
