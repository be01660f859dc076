//! What must hold of a pool once its callers are served, and once it is closed.

use std::time::Duration;

use rustls::RootCertStore;
use weir_pool::{Pool, PoolManager, PoolSettings, PoolStats};

use super::sockets;

/// How many looks, one every 10 ms, a state is waited for: 10 s.
const LOOKS: usize = 1_000;

/// Waits until what is expected is so.
pub async fn eventually(expected: impl Fn() -> bool) {
    for _ in 0..LOOKS {
        if expected() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("what was expected did not happen");
}

/// A pool of its own manager, and the port that all its connections lead to: a server's, a relay's or a proxy's.
pub struct Subject {
    pub manager: PoolManager,
    pub pool: Pool,
    pub port: u16,
}

impl Subject {
    /// A pool that trusts `roots` and whose connections lead to `port`.
    pub fn new(roots: RootCertStore, settings: impl Into<PoolSettings>, port: u16) -> Self {
        let manager = PoolManager::with_roots(roots).unwrap();
        Self {
            pool: manager.pool("subject", settings.into()).unwrap(),
            manager,
            port,
        }
    }

    /// Waits until nothing is under way, nobody waits, and the pool's count of sockets is that of the descriptors and
    /// that of the server.
    pub async fn at_rest(&self, server: impl Fn() -> usize) -> PoolStats {
        let mut seen = None;
        for _ in 0..LOOKS {
            let stats = self.pool.stats();
            let busy = [
                stats.in_flight,
                stats.active,
                stats.connecting,
                stats.closing,
                stats.waiting,
            ];
            let counts = (stats.idle, sockets::held_to(self.port), server());
            if busy == [0; 5] && counts.0 == counts.1 && counts.1 == counts.2 {
                return stats;
            }
            seen = Some((counts, stats));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("sockets as the pool, the system and the server count them: {seen:#?}");
    }

    /// Has the server replaced under load: waits until requests flow, calls `replace`, and waits until the server has
    /// closed a connection and requests flow again.
    pub async fn through_a_replacement(&self, replace: impl Future<Output = ()>) {
        /// Enough for every caller to have made some.
        const FLOWING: u64 = 500;
        // By the server, or by the pool as the server asked.
        let closed = |stats: &PoolStats| stats.connections_closed.values().sum::<u64>();
        let requests = self.pool.stats().total_requests;
        eventually(|| self.pool.stats().total_requests > requests + FLOWING).await;
        let before = closed(&self.pool.stats());
        replace.await;
        eventually(|| closed(&self.pool.stats()) > before).await;
        let requests = self.pool.stats().total_requests;
        eventually(|| self.pool.stats().total_requests > requests + FLOWING).await;
    }

    /// Closes the pool and shows that nothing is left of it: no descriptor here, no connection at the server.
    pub async fn close(self, server: impl Fn() -> usize) {
        let report = self.manager.close_all(Duration::from_secs(5)).await;
        assert_eq!((report.pools, report.cut_off), (1, 0));
        let stats = self.at_rest(server).await;
        assert_eq!((stats.idle, stats.waiting), (0, 0));
        let closed: u64 = stats.connections_closed.values().sum();
        assert_eq!(closed, stats.connections_opened, "{:?}", stats.connections_closed);
    }
}
