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
    /// The provider is out of reach or broken, and the same call will pass once it is back; unless this call is what is
    /// too much for it, which shows by the others' passing meanwhile.
    Absent(Duration),
    /// A smaller call may pass.
    Halve,
    /// It may pass, or be this input's own fault.
    Retry,
    /// Every call would fail like this one, for nobody is there.
    Unreachable,
    /// Every call would fail like this one, for what only a person can change.
    Stop,
}

/// Judges a failure after `waits` waits in a row. A provider that `has_answered` in this run, and can't be connected to
/// any more, is expected to come back; one that never did is not.
pub fn judge(error: &CallError, waits: u32, has_answered: bool) -> Verdict {
    let doubled = FIRST_WAIT.saturating_mul(2u32.saturating_pow(waits)).min(MAX_WAIT);
    let told = error.retry_after().map(|told| told.min(MAX_WAIT));
    match error.kind() {
        "rate-limited" => Verdict::Wait(told.unwrap_or(doubled)),
        // A breaker that tries whether the provider is back tells a moment only.
        "unavailable" | "overloaded" => Verdict::Wait(told.unwrap_or(doubled).max(doubled)),
        // The other is the host's own bound, met before the provider's.
        "too-large" | "message-too-large" => Verdict::Halve,
        "connect-failed" | "connect-timeout" if !has_answered => Verdict::Unreachable,
        "connect-failed" | "connect-timeout" | "connection-reset" | "write-timeout" | "first-byte-timeout"
        | "read-timeout" | "total-timeout" | "pool-timeout" | "deadline" => Verdict::Absent(doubled),
        "upstream" if error.status().is_some_and(is_passing) => Verdict::Absent(told.unwrap_or(doubled).max(doubled)),
        "unauthorized" | "credential-denied" | "egress-denied" | "not-found" | "invalid-request" | "unsupported"
        | "storage" | "instantiate" | "closed" => Verdict::Stop,
        _ => Verdict::Retry,
    }
}

/// Whether a server that answers so is expected to answer otherwise soon: bad gateway, unavailable, gateway timeout, and
/// 529, with which Anthropic says that it is overloaded.
fn is_passing(status: u16) -> bool {
    matches!(status, 502..=504 | 529)
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
        assert_eq!(judge(&told(7), 3, true), Verdict::Wait(Duration::from_secs(7)));
        assert_eq!(judge(&told(3_600), 0, true), Verdict::Wait(MAX_WAIT));
        let untold = error(Error::RateLimited(failure(None)));
        assert_eq!(judge(&untold, 0, true), Verdict::Wait(FIRST_WAIT));
        assert_eq!(judge(&untold, 3, true), Verdict::Wait(FIRST_WAIT * 8));
        assert_eq!(judge(&untold, 99, true), Verdict::Wait(MAX_WAIT));
    }

    #[test]
    fn what_would_fail_for_every_file_stops_the_run_and_the_rest_is_tried_again() {
        let judged = |kind| judge(&error(kind), 0, true);
        assert_eq!(judged(Error::Unauthorized(failure(None))), Verdict::Stop);
        assert_eq!(judged(Error::Http(HttpError::EgressDenied("no".into()))), Verdict::Stop);
        assert_eq!(judged(Error::NotFound(failure(None))), Verdict::Stop);
        assert_eq!(judged(Error::TooLarge(failure(None))), Verdict::Halve);
        assert_eq!(judged(Error::Http(HttpError::TooLarge("no".into()))), Verdict::Halve);
        assert_eq!(judged(Error::Upstream(failure(None))), Verdict::Retry);
        assert_eq!(judged(Error::InvalidInput(failure(None))), Verdict::Retry);
    }

    #[test]
    fn a_provider_that_has_answered_before_is_waited_for() {
        let refused = error(Error::Http(HttpError::ConnectFailed("refused".into())));
        assert_eq!(judge(&refused, 1, true), Verdict::Absent(FIRST_WAIT * 2));
        assert_eq!(judge(&refused, 0, false), Verdict::Unreachable);
        let unavailable = error(Error::Upstream(Failure {
            status: Some(503),
            ..failure(None)
        }));
        assert_eq!(judge(&unavailable, 0, true), Verdict::Absent(FIRST_WAIT));
    }
}
