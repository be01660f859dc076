//! What a command asked of the pools, and how that is shown.

use std::collections::BTreeMap;

use serde::Serialize;
use weir_pool::PoolManager;

use crate::table;

/// The pools that were used, by their providers' names.
pub type PoolUses = BTreeMap<String, PoolUse>;

/// What a pool did since the program started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PoolUse {
    /// HTTP requests sent.
    pub requests: u64,
    /// Connections opened.
    pub opened: u64,
    /// Requests sent over a connection that was there.
    pub reused: u64,
    /// Requests that waited for a connection for longer than a millisecond.
    pub waits: u64,
    /// Requests that got none in time.
    pub exhaustions: u64,
    /// Deadlines that ran out, of whatever kind.
    pub timeouts: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Most requests under way at once.
    pub peak_in_flight: usize,
}

impl From<&weir_pool::PoolStats> for PoolUse {
    fn from(stats: &weir_pool::PoolStats) -> Self {
        // The first bucket ends at a millisecond: a connection was there.
        let waits = stats.wait.count - stats.wait.counts.first().copied().unwrap_or(0);
        PoolUse {
            requests: stats.total_requests,
            opened: stats.connections_opened,
            reused: stats.reused_requests,
            waits,
            exhaustions: stats.pool_exhaustions,
            timeouts: stats.timeouts.values().sum(),
            retries: stats.retries.values().sum(),
            peak_in_flight: stats.peak_in_flight,
        }
    }
}

/// What the pools did that had something to do.
pub fn used(pools: &PoolManager) -> PoolUses {
    let stats = pools.stats();
    stats
        .iter()
        .map(|(name, stats)| (name.clone(), PoolUse::from(stats)))
        .filter(|(_, pool)| pool.requests > 0)
        .collect()
}

/// A row a pool.
pub fn show(pools: &PoolUses) -> String {
    let rows = pools.iter().map(|(name, pool)| {
        let numbers = [
            pool.requests,
            pool.opened,
            pool.reused,
            pool.waits,
            pool.exhaustions,
            pool.timeouts,
            pool.retries,
            pool.peak_in_flight as u64,
        ];
        std::iter::once(name.clone())
            .chain(numbers.iter().map(u64::to_string))
            .collect()
    });
    table::render(
        &[
            "pool",
            "requests",
            "opened",
            "reused",
            "waits",
            "exhaustions",
            "timeouts",
            "retries",
            "peak in flight",
        ],
        rows,
    )
}
