//! A request's place in the trace of its call (W3C Trace Context): the host tells it, where spans are collected at all.
//!
//! What a guest says of a trace is left out then. It would be another trace than the one that the request belongs to, or
//! a span that was never collected.

use http::{HeaderMap, Method, StatusCode};
use opentelemetry::global;
use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry_http::HeaderInjector;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use url::Url;

use crate::bindings::v0_1_0::pooled_http::Request;
use crate::bindings::v0_1_0::types::HttpError;

/// The headers of the specification, and those of it that carry what is passed along with a trace.
const HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// The span of one request to a provider: OpenTelemetry's for an HTTP client.
pub(super) struct Upstream {
    span: Span,
    context: Option<opentelemetry::Context>,
}

impl Upstream {
    /// Begins it, where somebody collects it.
    pub(super) fn begin(request: &Request) -> Self {
        let span = tracing::debug_span!(
            "upstream",
            otel.kind = "client",
            otel.name = Empty,
            http.request.method = Empty,
            http.response.status_code = Empty,
            server.address = Empty,
            server.port = Empty,
            error.type = Empty,
        );
        if span.is_disabled() {
            return Self { span, context: None };
        }
        // Neither path nor query: they are the guest's to write, and may hold what it was asked.
        if let Ok(url) = Url::parse(&request.url) {
            span.record("server.address", url.host_str());
            span.record("server.port", url.port_or_known_default());
        }
        if let Ok(method) = Method::from_bytes(request.method.as_bytes()) {
            span.record("http.request.method", method.as_str());
            span.record("otel.name", method.as_str());
        }
        let context = span.context();
        let collected = context.span().span_context().is_valid();
        Self {
            span,
            context: collected.then_some(context),
        }
    }

    /// What the request is sent in.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Takes out what a guest says of a trace, before anything is signed.
    pub(super) fn strip(&self, headers: &mut HeaderMap) {
        if self.context.is_some() {
            for name in HEADERS {
                headers.remove(name);
            }
        }
    }

    /// Tells the server whose child it serves.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        if let Some(context) = &self.context {
            global::get_text_map_propagator(|propagator| {
                propagator.inject_context(context, &mut HeaderInjector(headers));
            });
        }
    }

    /// What came of it: by the conventions, a client's error is one to the client too.
    pub(super) fn answered(&self, outcome: Result<StatusCode, &HttpError>) {
        match outcome {
            Ok(status) => {
                self.span.record("http.response.status_code", status.as_u16());
                if status.is_client_error() || status.is_server_error() {
                    self.span.record("error.type", status.as_str());
                    self.span.set_status(Status::error(""));
                }
            }
            Err(error) => {
                self.span.record("error.type", crate::error::http_kind(error));
                self.span.set_status(Status::error(""));
            }
        }
    }
}
