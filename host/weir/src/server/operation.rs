//! `POST /v1/providers/{provider}/{operation}`: any operation of any provider, the same JSON as `weir call`; an answer
//! in pieces is a line a piece.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::StreamExt as _;
use serde_json::Value;
use tokio::time::Instant;

use super::allowance::Spending;
use super::app::App;
use super::attempt::Answered;
use super::backend::RunOutput;
use super::error::{set_retry_after, status_of};
use super::json::JsonBody;
use super::observe::{ErrorCode, StreamFailure, told};

pub(crate) async fn operation(
    State(app): State<Arc<App>>,
    Path((provider, operation)): Path<(String, String)>,
    Extension(spending): Extension<Spending>,
    JsonBody(input): JsonBody<Value>,
) -> Response {
    let begun = Instant::now();
    let outcome = app.backend().run(&provider, &operation, input).await;
    let attempts = if outcome.as_ref().is_err_and(|error| !error.was_called) {
        0
    } else {
        1
    };
    let answered = Answered {
        attempts,
        in_calls: begun.elapsed(),
        ..Answered::by(&provider, operation)
    };
    let response = match outcome {
        Ok(RunOutput::Whole(output)) => {
            spending.spend(tokens(&output));
            Json(output).into_response()
        }
        Ok(RunOutput::Pieces(pieces)) => {
            let failure = StreamFailure::default();
            let left = failure.clone();
            let lines = pieces.map(move |piece| {
                spending.spend(tokens(&piece));
                if let Some(kind) = piece["error"]["kind"].as_str() {
                    let status = piece["error"]["status"].as_u64();
                    let status = status.and_then(|status| u16::try_from(status).ok());
                    left.set(status_of(kind, status), ErrorCode(kind.to_owned().into()));
                }
                Ok::<_, Infallible>(format!("{piece}\n"))
            });
            let mut response = (
                [(header::CONTENT_TYPE, "application/x-ndjson")],
                Body::from_stream(lines),
            )
                .into_response();
            response.extensions_mut().insert(failure);
            response
        }
        Err(error) => {
            let kind = error.body["error"]["kind"].as_str().unwrap_or("unknown").to_owned();
            let mut response = (error.status, Json(error.body)).into_response();
            response.extensions_mut().insert(ErrorCode(kind.into()));
            set_retry_after(&mut response, error.retry_after);
            response
        }
    };
    told(response, answered)
}

/// What an answer, or a piece of one, says was used.
fn tokens(answer: &Value) -> u64 {
    let counts = ["input_tokens", "output_tokens"].map(|name| answer["usage"][name].as_u64().unwrap_or(0));
    counts.into_iter().fold(0, u64::saturating_add)
}
