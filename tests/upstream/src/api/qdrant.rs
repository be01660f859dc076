//! Qdrant: collections, points and queries, as version 1.18 of the server answers them.
//!
//! A success is `{"result": …, "status": "ok", "time": …}`, a failure `{"status": {"error": …}, "time": …}`, a missing or
//! wrong key 401 in plain text, an unknown path 404 without a body.

mod collections;
mod points;
mod queries;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, Request},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};

use super::bearer;
use crate::{state::State, store::StoreError};

/// The largest request body the server reads, in bytes.
pub(crate) const LARGEST_BODY: u64 = 32 * 1024 * 1024;

/// The paths that need no key.
const OPEN_PATHS: [&str; 4] = ["/", "/healthz", "/livez", "/readyz"];

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/healthz", get(|| async { "healthz check passed" }))
        .route("/livez", get(|| async { "healthz check passed" }))
        .route("/readyz", get(|| async { "all shards are ready" }))
        .route("/collections", get(collections::list))
        .route(
            "/collections/{name}",
            get(collections::info)
                .put(collections::create)
                .delete(collections::remove),
        )
        .route("/collections/{name}/exists", get(collections::exists))
        .route("/collections/{name}/index", put(collections::create_index))
        .route(
            "/collections/{name}/index/{key}",
            axum::routing::delete(collections::delete_index),
        )
        .route("/collections/{name}/points", put(points::upsert).post(points::retrieve))
        .route("/collections/{name}/points/{id}", get(points::get))
        .route("/collections/{name}/points/scroll", post(points::scroll))
        .route("/collections/{name}/points/count", post(points::count))
        .route("/collections/{name}/points/delete", post(points::delete))
        .route("/collections/{name}/points/query", post(queries::query))
        .route("/collections/{name}/points/query/batch", post(queries::batch))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .method_not_allowed_fallback(|| async { StatusCode::NOT_FOUND })
        .layer(from_fn(refuse_head))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(0)))
        .with_state(state)
}

/// A real server knows no HEAD.
async fn refuse_head(request: Request, next: Next) -> Response {
    if request.method() == Method::HEAD {
        return StatusCode::NOT_FOUND.into_response();
    }
    next.run(request).await
}

async fn root() -> Json<Value> {
    Json(json!({"title": "qdrant - vector search engine", "version": "1.18.3"}))
}

/// What a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Write,
    Read,
}

/// Who may ask: `api-key` if it is there, else `Authorization: Bearer`, with a capital B.
pub(super) fn admit(
    headers: &HeaderMap,
    path: &str,
    key: &str,
    read_only: Option<&str>,
) -> Result<Access, Box<Response>> {
    if OPEN_PATHS.contains(&path) {
        return Ok(Access::Read);
    }
    let exact_scheme = headers
        .get("authorization")
        .is_some_and(|value| value.as_bytes().starts_with(b"Bearer "));
    let given = match headers.get("api-key") {
        Some(value) => value.to_str().ok(),
        None if exact_scheme => bearer(headers),
        None => return refusal("Must provide an API key or an Authorization bearer token"),
    };
    match given {
        Some(given) if given == key => Ok(Access::Write),
        Some(given) if Some(given) == read_only => Ok(Access::Read),
        _ => refusal("Invalid API key or JWT"),
    }
}

fn refusal<T>(text: &'static str) -> Result<T, Box<Response>> {
    let mut response = (StatusCode::UNAUTHORIZED, text).into_response();
    response.headers_mut().remove("content-type");
    Err(Box::new(response))
}

/// An error with this status in Qdrant's shape; 401 is plain text.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    if status == StatusCode::UNAUTHORIZED {
        return refusal::<()>("Invalid API key or JWT")
            .err()
            .map_or_else(|| status.into_response(), |response| *response);
    }
    (status, Json(json!({"status": {"error": message}, "time": 0.0}))).into_response()
}

/// Why a request was refused, as the routes pass it up.
#[derive(Debug)]
enum Refusal {
    Store(StoreError),
    Forbidden,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Store(StoreError::WrongInput(_) | StoreError::BadRequest(_) | StoreError::Format(_)) => {
                StatusCode::BAD_REQUEST
            }
            Self::Store(StoreError::Validation { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Store(StoreError::NotFound(_)) => StatusCode::NOT_FOUND,
            Self::Store(StoreError::AlreadyExists(_)) => StatusCode::CONFLICT,
            Self::Forbidden => StatusCode::FORBIDDEN,
        }
    }
}

/// Runs a route's work and puts its outcome in the envelope, with the time it took.
fn answer<T: Serialize>(work: impl FnOnce() -> Result<T, Refusal>) -> Response {
    #[derive(Serialize)]
    struct Envelope<T> {
        result: T,
        status: &'static str,
        time: f64,
    }
    let started = Instant::now();
    let outcome = work();
    let time = started.elapsed().as_secs_f64();
    match outcome {
        Ok(result) => Json(Envelope {
            result,
            status: "ok",
            time,
        })
        .into_response(),
        Err(refusal) => {
            let message = match &refusal {
                Refusal::Store(error) => error.to_string(),
                Refusal::Forbidden => "Forbidden: Global manage access is required".to_owned(),
            };
            (
                refusal.status(),
                Json(json!({"status": {"error": message}, "time": time})),
            )
                .into_response()
        }
    }
}

/// The body as the route takes it.
fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Format(error.to_string()).into())
}

/// A part of the body as the route takes it.
fn part<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    serde_json::from_value(value).map_err(|error| StoreError::Format(error.to_string()).into())
}

impl Access {
    fn write(self) -> Result<(), Refusal> {
        if self == Self::Write {
            Ok(())
        } else {
            Err(Refusal::Forbidden)
        }
    }
}

/// `?wait=true`; everything else in the query string is passed over.
#[derive(Debug, Deserialize)]
struct Wait {
    #[serde(default)]
    wait: bool,
}

/// A change's outcome. Changes are made at once; `acknowledged` is what a client that did not wait is told.
#[derive(Debug, Serialize)]
struct Update {
    operation_id: u64,
    status: &'static str,
}

impl Update {
    fn new(operation_id: u64, Query(Wait { wait }): &Query<Wait>) -> Self {
        Self {
            operation_id,
            status: if *wait { "completed" } else { "acknowledged" },
        }
    }
}
