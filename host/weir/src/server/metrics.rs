//! `GET /metrics`: read from the pools and the providers at the moment it is asked for.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::error::ApiError;
use crate::telemetry::exposition::Exposition;
use crate::telemetry::metrics::Snapshot;

pub(crate) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let exposition = Exposition::negotiate(accept);
    let backend = app.backend();
    let snapshot = Snapshot {
        pools: backend
            .pools()
            .into_iter()
            .map(|pool| (pool.name, pool.stats))
            .collect(),
        fallbacks: backend.pool_fallbacks(),
        providers: backend.provider_stats(),
        reloads: backend.reloads(),
        config_reloads: app.reloads.counts(),
    };
    let text = exposition.write(snapshot).map_err(|error| {
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "metrics",
            format!("the metrics can't be written: {error}"),
        )
    })?;
    Ok(([(header::CONTENT_TYPE, exposition.content_type())], text).into_response())
}

#[cfg(test)]
mod tests {
    use crate::server::fake::{FakeBackend, get, pool_stats};

    #[tokio::test]
    async fn the_type_is_that_of_the_text() {
        let backend = FakeBackend::default().pool("voyage", pool_stats());
        let answer = get(backend, "/metrics").await;
        assert_eq!(
            (answer.status, &answer.headers["content-type"]),
            (200, &"text/plain; version=0.0.4; charset=utf-8".parse().unwrap())
        );
        assert!(
            answer
                .text
                .contains("weir_pool_connections{pool=\"voyage\",state=\"active\"} 0\n")
        );
    }
}
