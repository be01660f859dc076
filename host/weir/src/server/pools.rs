//! `GET /v1/pools`: every pool's statistics, the same JSON as `weir pools --json`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};
use weir_pool::PoolStats;

use super::app::App;

pub(crate) async fn pools(State(app): State<Arc<App>>) -> Json<Value> {
    let pools: Map<String, Value> = app
        .backend
        .pools()
        .into_iter()
        .map(|(name, stats)| (name, pool(&stats)))
        .collect();
    Json(json!({ "pools": pools }))
}

fn pool(stats: &PoolStats) -> Value {
    json!({
        "active": stats.active,
        "idle": stats.idle,
        "connecting": stats.connecting,
        "closing": stats.closing,
        "waiting": stats.waiting,
        "max_connections": stats.max_connections,
        "in_flight": stats.in_flight,
        "peak_in_flight": stats.peak_in_flight,
        "total_requests": stats.total_requests,
        "reused_requests": stats.reused_requests,
        "connections_opened": stats.connections_opened,
        "connections_closed": stats.connections_closed,
        "dials_failed": stats.dials_failed,
        "pool_exhaustions": stats.pool_exhaustions,
        "timeouts": stats.timeouts,
        "replays": stats.replays,
        "bytes_sent": stats.bytes_sent,
        "bytes_received": stats.bytes_received,
    })
}

#[cfg(test)]
mod tests {
    use crate::server::fake::{FakeBackend, get, pool_stats};

    #[tokio::test]
    async fn every_pool_is_shown_by_name() {
        let mut stats = pool_stats();
        stats.active = 3;
        stats.timeouts.insert("read", 2);
        let answer = get(FakeBackend::default().pool("voyage", stats), "/v1/pools").await;
        let voyage = &answer.json["pools"]["voyage"];
        assert_eq!(
            (voyage["active"].as_u64(), voyage["timeouts"]["read"].as_u64()),
            (Some(3), Some(2))
        );
    }
}
