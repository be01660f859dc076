//! What Google's codes tell that its statuses do not (<https://ai.google.dev/gemini-api/docs/troubleshooting>).

use weir_guest::failure;
use weir_guest::types::Error;

/// A bad key is a 400 whose details say so.
pub(crate) fn classify(error: Error) -> Error {
    match error {
        // API_KEY_INVALID, API_KEY_EXPIRED, …
        Error::InvalidInput(failure) if failure.code.as_deref().is_some_and(|code| code.starts_with("API_KEY_")) => {
            Error::Unauthorized(failure)
        }
        other => failure::too_large_if(other, |failure| {
            ["can be in one batch", "exceeds the maximum number of tokens"]
                .iter()
                .any(|words| failure.message.contains(words))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Error {
        classify(failure::of_answer(status, &[], body.as_bytes()))
    }

    #[test]
    fn a_bad_key_is_a_400_that_says_so() {
        let body = r#"{"error": {"code": 400, "message": "no such key", "status": "INVALID_ARGUMENT", "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "metadata": {"a": "b"}},
            {"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "message": "no such key"}]}}"#;
        assert!(matches!(read(400, body), Error::Unauthorized(failure) if failure.message == "no such key"));
        let body = r#"{"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT", "details": [
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": "a"}]}]}}"#;
        assert!(matches!(read(400, body), Error::InvalidInput(failure)
            if failure.code.as_deref() == Some("INVALID_ARGUMENT")));
    }

    #[test]
    fn the_wait_stands_in_the_body() {
        let body = r#"{"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": [
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48s"}]}}"#;
        assert!(matches!(read(429, body), Error::RateLimited(failure) if failure.retry_after == Some(48_000_000_000)));
    }

    #[test]
    fn a_batch_that_is_too_large_asks_for_smaller_parts() {
        let body = r#"{"error": {"code": 400, "status": "INVALID_ARGUMENT",
            "message": "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch"}}"#;
        assert!(matches!(read(400, body), Error::TooLarge(_)));
    }
}
