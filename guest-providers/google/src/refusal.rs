//! What Google tells of a refusal beside its words (<https://cloud.google.com/apis/design/errors>): a bad key is a 400
//! whose details say so, and how long to wait stands in the body, not in a header.

use serde::Deserialize;
use weir_guest::failure;
use weir_guest::types::{Error, Header};

#[derive(Deserialize)]
struct Told {
    error: Status,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    details: Vec<Detail>,
}

/// An `ErrorInfo`, a `RetryInfo`, or one of the others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    reason: Option<String>,
    retry_delay: Option<String>,
}

/// The error of an answer whose status is not 2xx.
pub(crate) fn read(status: u16, headers: &[Header], body: &[u8]) -> Error {
    detailed(failure::of_answer(status, headers, body), body)
}

/// The error inside an answer of status 2xx.
pub(crate) fn inside(body: &[u8]) -> Error {
    detailed(failure::inside_answer(body), body)
}

fn detailed(mut error: Error, body: &[u8]) -> Error {
    let details = serde_json::from_slice::<Told>(body).map_or_else(|_| Vec::new(), |told| told.error.details);
    let wait = details
        .iter()
        .find_map(|detail| nanoseconds(detail.retry_delay.as_deref()?));
    if let Some(failure) = failure::told(&mut error) {
        failure.retry_after = failure.retry_after.or(wait);
    }
    let is_of_key = details
        .iter()
        .filter_map(|detail| detail.reason.as_deref())
        .any(|reason| reason.starts_with("API_KEY_"));
    match error {
        // API_KEY_INVALID, API_KEY_EXPIRED, …
        Error::InvalidInput(failure) if is_of_key => Error::Unauthorized(failure),
        other => failure::too_large_if(other, |failure| {
            failure.message.contains("can be in one batch")
                || failure.message.contains("exceeds the maximum number of tokens")
        }),
    }
}

/// A duration as JSON has it: `48s`, `0.5s`.
fn nanoseconds(duration: &str) -> Option<u64> {
    const NANOSECONDS_PER_SECOND: f64 = 1e9;
    let seconds: f64 = serde_json::from_str(duration.strip_suffix('s')?).ok()?;
    (seconds >= 0.0).then_some((seconds * NANOSECONDS_PER_SECOND) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_key_is_a_400_that_says_so() {
        let body = br#"{"error": {"code": 400, "message": "no such key", "status": "INVALID_ARGUMENT", "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "metadata": {"a": "b"}},
            {"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "message": "no such key"}]}}"#;
        let Error::Unauthorized(failure) = read(400, &[], body) else {
            panic!()
        };
        assert_eq!(failure.message, "no such key");
        assert_eq!(failure.code.as_deref(), Some("INVALID_ARGUMENT"));
        let body = br#"{"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT", "details": [
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": "a"}]}]}}"#;
        assert!(matches!(read(400, &[], body), Error::InvalidInput(_)));
    }

    #[test]
    fn the_wait_stands_in_the_body() {
        let body = |delay: &str| {
            format!(
                r#"{{"error": {{"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": [
                    {{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "{delay}"}}]}}}}"#
            )
        };
        let wait = |delay: &str| match read(429, &[], body(delay).as_bytes()) {
            Error::RateLimited(failure) => failure.retry_after,
            other => panic!("{other:?}"),
        };
        assert_eq!(wait("48s"), Some(48_000_000_000));
        assert_eq!(wait("0.25s"), Some(250_000_000));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1s"), None);
        let inside = inside(body("2s").as_bytes());
        assert!(matches!(inside, Error::RateLimited(failure) if failure.retry_after == Some(2_000_000_000)));
    }

    #[test]
    fn a_batch_that_is_too_large_asks_for_smaller_parts() {
        let body = br#"{"error": {"code": 400, "message": "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch", "status": "INVALID_ARGUMENT"}}"#;
        assert!(matches!(read(400, &[], body), Error::TooLarge(_)));
    }

    #[test]
    fn a_refusal_that_is_no_json_keeps_its_words() {
        assert!(matches!(read(502, &[], b"Bad Gateway"), Error::Upstream(failure) if failure.message == "Bad Gateway"));
    }
}
