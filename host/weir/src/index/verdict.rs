//! What to do about a call that failed: wait, send less, try again, or give the run up.

use std::time::Duration;

use weir_runtime::CallError;

/// Longest wait that a provider's `retry-after` is followed for at once. It is asked again then.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The first wait where the provider tells no time; the next ones double.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// What a failure asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The same call will pass later.
    Wait(Duration),
    /// A smaller call may pass.
    Halve,
    /// It may pass, or be this input's own fault.
    Retry,
    /// Every call would fail like this one.
    Stop,
}

/// Judges a failure after `waits` waits in a row.
pub fn judge(error: &CallError, waits: u32) -> Verdict {
    match error.kind() {
        "rate-limited" | "unavailable" | "overloaded" => {
            let doubled = FIRST_WAIT.saturating_mul(2u32.saturating_pow(waits));
            Verdict::Wait(error.retry_after().unwrap_or(doubled).min(MAX_WAIT))
        }
        "too-large" => Verdict::Halve,
        "unauthorized" | "credential-denied" | "egress-denied" | "not-found" | "connect-failed" | "connect-timeout"
        | "invalid-request" | "unsupported" | "storage" | "instantiate" | "closed" => Verdict::Stop,
        _ => Verdict::Retry,
    }
}

#[cfg(test)]
mod tests {
    use weir_runtime::CallErrorKind;
    use weir_runtime::types::{Error, Failure, HttpError};

    use super::*;

    fn error(error: Error) -> CallError {
        CallError::new("p", "embed", CallErrorKind::Provider(error))
    }

    fn failure(retry_after: Option<u64>) -> Failure {
        Failure {
            message: "no".into(),
            status: None,
            code: None,
            request_id: None,
            retry_after,
        }
    }

    #[test]
    fn a_wait_is_the_providers_own_but_never_long() {
        let told = |seconds: u64| error(Error::RateLimited(failure(Some(seconds * 1_000_000_000))));
        assert_eq!(judge(&told(7), 3), Verdict::Wait(Duration::from_secs(7)));
        assert_eq!(judge(&told(3_600), 0), Verdict::Wait(MAX_WAIT));
        let untold = error(Error::RateLimited(failure(None)));
        assert_eq!(judge(&untold, 0), Verdict::Wait(FIRST_WAIT));
        assert_eq!(judge(&untold, 3), Verdict::Wait(FIRST_WAIT * 8));
        assert_eq!(judge(&untold, 99), Verdict::Wait(MAX_WAIT));
    }

    #[test]
    fn what_would_fail_for_every_file_stops_the_run_and_the_rest_is_tried_again() {
        let stops = |kind| matches!(judge(&error(kind), 0), Verdict::Stop);
        assert!(stops(Error::Unauthorized(failure(None))));
        assert!(stops(Error::Http(HttpError::ConnectFailed("refused".into()))));
        assert!(stops(Error::Http(HttpError::EgressDenied("no".into()))));
        assert!(stops(Error::NotFound(failure(None))));
        assert_eq!(judge(&error(Error::TooLarge(failure(None))), 0), Verdict::Halve);
        assert_eq!(judge(&error(Error::Upstream(failure(None))), 0), Verdict::Retry);
        assert_eq!(judge(&error(Error::InvalidInput(failure(None))), 0), Verdict::Retry);
    }
}
