//! A request's place in its caller's trace (W3C Trace Context).

use axum::http::{HeaderMap, Method};
use opentelemetry::global;
use opentelemetry::trace::Status;
use opentelemetry_http::HeaderExtractor;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::otlp;

/// What every server has to be able to pass on of `tracestate` (W3C Trace Context, 3.3.1.5). A longer one is cut off
/// from the trace, not the request.
const MAX_STATE_BYTES: usize = 512;

/// Makes the span a child of the caller's, where the caller names one and spans are exported at all.
pub(crate) fn join(span: &Span, headers: &HeaderMap) {
    if !otlp::traces() || !names_a_parent(headers) {
        return;
    }
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor(headers)));
    // It fails for a span that is not exported, which then has no parent either.
    let _ = span.set_parent(parent);
}

/// What a request's span is called, by OpenTelemetry's conventions for HTTP servers; none where no span is exported.
pub(crate) fn name(method: &Method, route: Option<&str>) -> Option<String> {
    let named = || route.map_or_else(|| method.to_string(), |route| format!("{method} {route}"));
    otlp::traces().then(named)
}

/// Tells how a request ended, in the words of OpenTelemetry's conventions for HTTP servers.
pub(crate) fn answered(span: &Span, method: &str, route: Option<&str>, status: u16) {
    if !otlp::traces() {
        return;
    }
    span.set_attribute("http.request.method", method.to_owned());
    span.set_attribute("http.response.status_code", i64::from(status));
    if let Some(route) = route {
        span.set_attribute("http.route", route.to_owned());
    }
    // What a client did wrong is no error of the server.
    if status >= 500 {
        span.set_attribute("error.type", status.to_string());
        span.set_status(Status::error(""));
    }
}

/// One `traceparent`, of the form that the specification gives it, and a state of a length that can be passed on.
fn names_a_parent(headers: &HeaderMap) -> bool {
    let mut parents = headers.get_all("traceparent").iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else {
        return false;
    };
    let state: usize = headers.get_all("tracestate").iter().map(|value| value.len()).sum();
    is_parent(parent.as_bytes()) && state <= MAX_STATE_BYTES
}

/// `00-`, 32 figures, `-`, 16 figures, `-`, 2 figures; later versions may have more behind it.
fn is_parent(value: &[u8]) -> bool {
    let figures = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<&[u8]> = value.split(|byte| *byte == b'-').collect();
    match parts.as_slice() {
        [version, trace, span, flags, more @ ..] => {
            [version.len(), trace.len(), span.len(), flags.len()] == [2, 32, 16, 2]
                && [version, trace, span, flags].into_iter().all(|part| figures(part))
                && *version != b"ff"
                && (more.is_empty() || *version != b"00")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn named(values: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(*name, value.parse().unwrap());
        }
        names_a_parent(&headers)
    }

    #[test]
    fn a_parent_has_one_form() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert!(named(&[("traceparent", &parent)]));
        assert!(named(&[(
            "traceparent",
            &format!("01-{TRACE}-00f067aa0ba902b7-01-later")
        )]));
        for wrong in [
            "",
            "00",
            &format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            &format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            &format!("00-{TRACE}-00f067aa0ba902b7"),
            &format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            &format!("00-{}-00f067aa0ba902b7-01", &TRACE[1..]),
            &format!("+0-{TRACE}-00f067aa0ba902b7-01"),
            &format!("00-{TRACE}-00f067aa0ba902b7-1g"),
        ] {
            assert!(!named(&[("traceparent", wrong)]), "{wrong}");
        }
    }

    #[test]
    fn two_parents_or_an_endless_state_are_none() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert!(!named(&[("traceparent", &parent), ("traceparent", &parent)]));
        assert!(named(&[("traceparent", &parent), ("tracestate", "a=1")]));
        let long = format!("a={}", "x".repeat(MAX_STATE_BYTES));
        assert!(!named(&[("traceparent", &parent), ("tracestate", &long)]));
    }
}
