//! Everything the dashboard shows, at one moment.

use std::collections::BTreeMap;

use serde::Serialize;
use weir_pool::PoolStats;

use super::history::{Points, Traffic, since_1970};
use super::recent_errors::RecentError;
use crate::server::app::App;
use crate::server::backend::PoolReport;
use crate::server::health::{self, Health};

/// The moment.
#[derive(Serialize)]
pub(super) struct Picture {
    /// Seconds since 1970.
    time: f64,
    version: &'static str,
    health: Health,
    /// All pools together.
    total: Traffic,
    pools: BTreeMap<String, Pool>,
    providers: BTreeMap<String, Provider>,
    errors: Vec<RecentError>,
    /// The last second.
    points: Points,
}

#[derive(Serialize)]
struct Pool {
    active: usize,
    idle: usize,
    /// Dials under way and sockets that are not closed yet.
    passing: usize,
    waiting: usize,
    max_connections: usize,
    requests: u64,
    #[serde(flatten)]
    traffic: Traffic,
    breakers: BTreeMap<String, &'static str>,
}

#[derive(Serialize)]
struct Provider {
    leased: usize,
    idle: usize,
    waiting: usize,
    calls: u64,
    traps: u64,
    #[serde(flatten)]
    traffic: Traffic,
    digest: Option<String>,
}

impl Picture {
    pub fn of(app: &App) -> Self {
        let backend = app.backend();
        let pools = backend.pools().into_iter();
        let digests: BTreeMap<String, String> = backend
            .loaded()
            .iter()
            .map(|provider| (provider.name().to_owned(), provider.digest().to_owned()))
            .collect();
        let providers = backend.provider_stats().into_iter().map(|(name, stats)| {
            let provider = Provider {
                leased: stats.instances.leased,
                idle: stats.instances.idle,
                waiting: stats.instances.waiting,
                calls: stats.calls.iter().map(|(_, _, count)| count).sum(),
                traps: stats.traps.iter().map(|(_, count)| count).sum(),
                traffic: app.history.of_provider(&name),
                digest: digests.get(&name).cloned(),
            };
            (name, provider)
        });
        Self {
            time: since_1970(),
            version: env!("CARGO_PKG_VERSION"),
            health: health::of(app),
            total: app.history.of_all_pools(),
            pools: pools
                .map(|PoolReport { name, stats, .. }| {
                    let traffic = app.history.of_pool(&name);
                    (name, pool(stats, traffic))
                })
                .collect(),
            providers: providers.collect(),
            errors: app.recent_errors.all(),
            points: app.history.last_points(),
        }
    }
}

fn pool(stats: PoolStats, traffic: Traffic) -> Pool {
    let breakers = stats.breakers.into_iter();
    Pool {
        active: stats.active,
        idle: stats.idle,
        passing: stats.connecting + stats.closing,
        waiting: stats.waiting,
        max_connections: stats.max_connections,
        requests: stats.total_requests,
        traffic,
        breakers: breakers.map(|(origin, state)| (origin, state.as_str())).collect(),
    }
}
