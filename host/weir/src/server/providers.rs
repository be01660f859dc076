//! `GET /v1/providers`: the configured providers, and how far each is loaded.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::app::App;

pub(crate) async fn providers(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.backend().describe_providers().await)
}
