//! Models that are not in memory: a 503 which tells in its body how long loading takes, in seconds.
//!
//! `{"error": "Model x is currently loading", "estimated_time": 20.0}`, as the hosted API has it
//! (<https://huggingface.co/docs/api-inference/faq>), and as its own client waited for.

use serde::Deserialize;
use weir_guest::failure;
use weir_guest::types::{Error, Header};

const NANOSECONDS_PER_SECOND: f64 = 1e9;

#[derive(Deserialize)]
struct Loading {
    estimated_time: f64,
}

/// The error of an answer whose status is not 2xx. A `Retry-After` goes before the estimate.
pub(crate) fn read(status: u16, headers: &[Header], body: &[u8]) -> Error {
    let mut error = failure::of_answer(status, headers, body);
    if let (503, Some(failure)) = (status, failure::told(&mut error))
        && failure.retry_after.is_none()
        && let Ok(Loading { estimated_time }) = serde_json::from_slice(body)
        && estimated_time > 0.0
    {
        // A cast from a float saturates.
        failure.retry_after = Some((estimated_time * NANOSECONDS_PER_SECOND) as u64);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(status: u16, headers: &[Header], body: &str) -> Option<u64> {
        failure::told(&mut read(status, headers, body.as_bytes())).and_then(|failure| failure.retry_after)
    }

    #[test]
    fn a_model_that_is_loading_says_how_long() {
        let body = r#"{"error": "Model x is currently loading", "estimated_time": 20.5}"#;
        assert_eq!(wait(503, &[], body), Some(20_500_000_000));
        let told = [Header {
            name: "retry-after".to_owned(),
            value: "3".to_owned(),
        }];
        assert_eq!(wait(503, &told, body), Some(3_000_000_000));
    }

    #[test]
    fn nothing_else_tells_a_wait() {
        assert_eq!(wait(400, &[], r#"{"error": "no", "estimated_time": 20}"#), None);
        for body in [
            r#"{"error": "busy"}"#,
            r#"{"error": "busy", "estimated_time": null}"#,
            r#"{"error": "busy", "estimated_time": -1}"#,
            "<html>",
        ] {
            assert_eq!(wait(503, &[], body), None);
        }
    }
}
