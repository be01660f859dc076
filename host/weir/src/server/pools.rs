//! `GET /v1/pools`: every pool's statistics, the same JSON as `weir pools --json`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::app::App;
use super::backend::PoolReport;

pub(crate) async fn pools(State(app): State<Arc<App>>) -> Json<Value> {
    let pools: Map<String, Value> = app
        .backend()
        .pools()
        .into_iter()
        .map(|report| (report.name.clone(), pool(&report)))
        .collect();
    Json(json!({ "pools": pools }))
}

fn pool(PoolReport { stats, health, .. }: &PoolReport) -> Value {
    let breakers: Map<String, Value> = stats
        .breakers
        .iter()
        .map(|(origin, state)| (origin.clone(), state.as_str().into()))
        .collect();
    json!({
        "state": health.status().as_str(),
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
        "retries": stats.retries,
        "retries_denied": stats.retries_denied,
        "hedges": stats.hedges,
        "breakers": breakers,
        "breaker_refusals": stats.breaker_refusals,
        "concurrency_limit": stats.concurrency_limit,
        "rate_limit_waits": stats.rate_limit_waits,
        "rate_limit_refusals": stats.rate_limit_refusals,
        "bytes_sent": stats.bytes_sent,
        "bytes_received": stats.bytes_received,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_pool::BreakerState;

    use crate::server::fake::{FakeBackend, get, pool_stats};

    #[tokio::test]
    async fn every_pool_is_shown_by_name() {
        let mut stats = pool_stats();
        stats.active = 3;
        stats.timeouts.insert("read", 2);
        stats.retries.insert("429", 4);
        stats.breakers.insert("https://a".to_owned(), BreakerState::HalfOpen);
        let answer = get(FakeBackend::default().pool("voyage", stats), "/v1/pools").await;
        let voyage = &answer.json["pools"]["voyage"];
        assert_eq!(
            (voyage["active"].as_u64(), voyage["timeouts"]["read"].as_u64()),
            (Some(3), Some(2))
        );
        assert_eq!(
            (&voyage["retries"], &voyage["breakers"], &voyage["state"]),
            (
                &json!({"429": 4}),
                &json!({"https://a": "half-open"}),
                &json!("healthy")
            )
        );
    }
}
