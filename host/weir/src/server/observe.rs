//! Around every request: its id, its span, its headers, and its place among those in flight.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tracing::Instrument as _;
use tracing::field::Empty;

use super::app::App;
use super::attempt::Answered;
use super::lifecycle::InFlight;
use super::request_id::{REQUEST_ID, RequestId};
use crate::telemetry::trace;

/// An answer that says who gave it.
pub(crate) fn told(answer: impl IntoResponse, answered: Answered) -> Response {
    let mut response = answer.into_response();
    response.extensions_mut().insert(answered);
    response
}

/// The outermost layer.
pub(crate) async fn observe(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let in_flight = app.lifecycle.request_begins();
    let id = RequestId::of(request.headers());
    let asks = request.method() == Method::POST;
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let span = tracing::info_span!(
        "request",
        request_id = id.as_str(),
        method = %request.method(),
        path = request.uri().path(),
        provider = Empty,
        operation = Empty,
        status = Empty,
        otel.kind = "server",
        otel.name = trace::name(&method, route.as_ref().map(MatchedPath::as_str)),
    );
    trace::join(&span, request.headers());
    request.extensions_mut().insert(id.clone());

    let mut response = next.run(request).instrument(span.clone()).await;

    let elapsed = begun.elapsed();
    let answered = response.extensions_mut().remove::<Answered>();
    let stream = response.extensions_mut().remove::<StreamFailure>();
    if let Some(answered) = &answered {
        span.record("provider", answered.provider.as_str());
        span.record("operation", &*answered.operation);
        if let Some(ErrorCode(code)) = response.extensions_mut().remove() {
            let (provider, operation) = (&answered.provider, answered.operation.clone());
            app.recent_errors
                .add(id.as_str(), provider, operation, response.status(), code);
        }
    }
    span.record("status", response.status().as_u16());
    let route = route.as_ref().map(MatchedPath::as_str);
    trace::answered(&span, method.as_str(), route, response.status().as_u16());
    let elapsed_ms = format!("{:.3}", millis(elapsed));
    if asks {
        tracing::info!(parent: &span, elapsed_ms, "answered");
    } else {
        tracing::debug!(parent: &span, elapsed_ms, "answered");
    }
    set_headers(response.headers_mut(), &id, answered.as_ref(), elapsed);
    let streamed = stream.zip(answered).map(|(failure, answered)| Streamed {
        failure,
        answered,
        id,
        app,
    });
    response.map(|body| {
        Body::new(HeldBody {
            body,
            _streamed: streamed,
            _in_flight: in_flight,
        })
    })
}

/// What took the gateway's own time is all that no provider was called in. A streamed answer counts up to its head.
fn set_headers(headers: &mut HeaderMap, id: &RequestId, answered: Option<&Answered>, elapsed: Duration) {
    let (provider, attempts, in_calls) = match answered {
        Some(answered) => (answered.provider.as_str(), answered.attempts, answered.in_calls),
        None => ("none", 0, Duration::ZERO),
    };
    let overhead = format!("{:.3}", millis(elapsed.saturating_sub(in_calls)));
    if let Some(id) = id.header_value() {
        headers.insert(REQUEST_ID, id);
    }
    if let Ok(provider) = HeaderValue::from_str(provider) {
        headers.insert("x-weir-provider", provider);
    }
    headers.insert("x-weir-attempts", HeaderValue::from(attempts));
    if let Ok(overhead) = HeaderValue::from_str(&overhead) {
        headers.insert("x-weir-overhead-ms", overhead);
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// The code of an answer that is an error.
#[derive(Debug, Clone)]
pub(crate) struct ErrorCode(pub Cow<'static, str>);

/// Where a stream that fails after its head was sent leaves why: the status and the code that it would have had.
#[derive(Debug, Clone, Default)]
pub(crate) struct StreamFailure(Arc<OnceLock<(StatusCode, ErrorCode)>>);

impl StreamFailure {
    pub fn set(&self, status: StatusCode, code: ErrorCode) {
        let _ = self.0.set((status, code));
    }
}

/// A streamed answer, whose failure is remembered when it is over.
struct Streamed {
    failure: StreamFailure,
    answered: Answered,
    id: RequestId,
    app: Arc<App>,
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if let Some((status, ErrorCode(code))) = self.failure.0.get() {
            let (provider, operation) = (&self.answered.provider, self.answered.operation.clone());
            self.app
                .recent_errors
                .add(self.id.as_str(), provider, operation, *status, code.clone());
        }
    }
}

/// A body that keeps its request in flight until it is over or dropped.
struct HeldBody {
    body: Body,
    _streamed: Option<Streamed>,
    _in_flight: InFlight,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overhead_is_the_time_that_no_provider_was_called_in() {
        let mut headers = HeaderMap::new();
        let answered = Answered {
            attempts: 2,
            in_calls: Duration::from_millis(70),
            ..Answered::by("voyage", "embed")
        };
        set_headers(
            &mut headers,
            &RequestId::new(),
            Some(&answered),
            Duration::from_micros(70_250),
        );
        assert_eq!(headers["x-weir-overhead-ms"], "0.250");
        assert_eq!(headers["x-weir-attempts"], "2");
        assert_eq!(headers["x-weir-provider"], "voyage");
    }
}
