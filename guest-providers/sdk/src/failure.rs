//! Errors: those an adapter finds itself, and a provider's refusals by what the caller can do about them.
//!
//! | answer | error |
//! |---|---|
//! | 400, 422 | `invalid-input` |
//! | 401, 402, 403 | `unauthorized` |
//! | 404 | `not-found` |
//! | 413 | `too-large` |
//! | 429 | `rate-limited` |
//! | any other that is not 2xx | `upstream` |
//!
//! What a provider means otherwise by a status its adapter corrects ([`crate::Request::classify`]).

use std::time::SystemTime;

use crate::types::Header;
use crate::words::Words;
use crate::{Error, Failure, retry_after};

/// Headers that carry a request's id, as the providers call it.
const REQUEST_ID_HEADERS: [&str; 6] = [
    "x-request-id",
    "request-id",
    "x-amzn-requestid",
    "apim-request-id",
    "x-ms-request-id",
    "mistral-correlation-id",
];

/// An `invalid-input` of the adapter's own: nothing was sent.
pub fn refused(message: impl Into<String>) -> Error {
    Error::InvalidInput(own(message))
}

/// A `too-large` of the adapter's own: nothing was sent.
pub fn too_large(message: impl Into<String>) -> Error {
    Error::TooLarge(own(message))
}

/// A `malformed-response`; `message` names the place in the answer.
pub fn malformed(message: impl Into<String>) -> Error {
    Error::MalformedResponse(message.into())
}

/// The error an answer means, whose status is not 2xx.
pub fn of_answer(status: u16, headers: &[Header], body: &[u8]) -> Error {
    let words = Words::of(body);
    let message = if words.message.is_empty() {
        format!("status {status} without a word")
    } else {
        words.message
    };
    let request_id = REQUEST_ID_HEADERS
        .iter()
        .find_map(|name| find(headers, name))
        .map(str::to_owned);
    by_status(
        status,
        Failure {
            message,
            status: Some(status),
            code: words.code,
            request_id: request_id.or(words.id),
            retry_after: retry_after::nanoseconds(headers, SystemTime::now).or(words.wait),
        },
    )
}

/// The error that came inside an answer of status 2xx, as JSON or text: by the status it tells, else `upstream`.
pub fn inside_answer(told: &[u8]) -> Error {
    let Words {
        message,
        code,
        id,
        status,
        wait,
    } = Words::of(told);
    let failure = Failure {
        message,
        status,
        code,
        request_id: id,
        retry_after: wait,
    };
    match status {
        Some(status) => by_status(status, failure),
        None => Error::Upstream(failure),
    }
}

/// `error`, as `too-large` if it is an `invalid-input` of the provider's whose words say so.
///
/// For [`crate::Request::classify`]: most providers refuse a batch that is too large with a plain 400.
pub fn too_large_if(error: Error, says_so: impl FnOnce(&Failure) -> bool) -> Error {
    match error {
        Error::InvalidInput(failure) if failure.status.is_some() && says_so(&failure) => Error::TooLarge(failure),
        other => other,
    }
}

/// What the provider said, if `error` is a refusal.
pub fn told(error: &mut Error) -> Option<&mut Failure> {
    match error {
        Error::InvalidInput(failure)
        | Error::TooLarge(failure)
        | Error::Unauthorized(failure)
        | Error::RateLimited(failure)
        | Error::NotFound(failure)
        | Error::Upstream(failure) => Some(failure),
        _ => None,
    }
}

/// The error of this status, with those words. For the errors that came inside an answer.
pub fn by_status(status: u16, failure: Failure) -> Error {
    match status {
        400 | 422 => Error::InvalidInput(failure),
        // 402 is an account without money: waiting brings it none.
        401..=403 => Error::Unauthorized(failure),
        404 => Error::NotFound(failure),
        413 => Error::TooLarge(failure),
        429 => Error::RateLimited(failure),
        _ => Error::Upstream(failure),
    }
}

/// The value of the first header of that name.
pub fn find<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value.as_str())
}

fn own(message: impl Into<String>) -> Failure {
    Failure {
        message: message.into(),
        status: None,
        code: None,
        request_id: None,
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> Header {
        Header {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn a_status_tells_what_the_caller_can_do() {
        let class = |status| of_answer(status, &[], b"{\"detail\": \"no\"}");
        assert!(matches!(class(400), Error::InvalidInput(_)));
        assert!(matches!(class(401), Error::Unauthorized(_)));
        assert!(matches!(class(402), Error::Unauthorized(_)));
        assert!(matches!(class(403), Error::Unauthorized(_)));
        assert!(matches!(class(404), Error::NotFound(_)));
        assert!(matches!(class(413), Error::TooLarge(_)));
        assert!(matches!(class(422), Error::InvalidInput(_)));
        assert!(matches!(class(429), Error::RateLimited(_)));
        assert!(matches!(class(301), Error::Upstream(_)));
        assert!(matches!(class(503), Error::Upstream(_)));
    }

    #[test]
    fn the_providers_words_its_request_id_and_its_wait_are_kept() {
        let headers = [header("X-Request-Id", "req_1"), header("Retry-After", "2")];

        let error = of_answer(
            429,
            &headers,
            br#"{"error": {"message": "slow down", "code": "rate_limit_exceeded"}}"#,
        );

        let Error::RateLimited(failure) = error else {
            panic!("{error:?}")
        };
        assert_eq!(failure.message, "slow down");
        assert_eq!(failure.status, Some(429));
        assert_eq!(failure.code.as_deref(), Some("rate_limit_exceeded"));
        assert_eq!(failure.request_id.as_deref(), Some("req_1"));
        assert_eq!(failure.retry_after, Some(2_000_000_000));
    }

    #[test]
    fn an_empty_refusal_still_says_its_status() {
        let Error::Upstream(failure) = of_answer(502, &[], b"") else {
            panic!()
        };
        assert_eq!(failure.message, "status 502 without a word");
    }

    #[test]
    fn an_error_inside_an_answer_is_classed_by_the_status_it_tells() {
        let error = inside_answer(br#"{"error": {"message": "slow down", "code": 429}}"#);
        assert!(matches!(error, Error::RateLimited(failure) if failure.message == "slow down"));
        let error = inside_answer(br#"{"message": "overloaded", "type": "server_error"}"#);
        assert!(matches!(error, Error::Upstream(failure) if failure.code.as_deref() == Some("server_error")));
        assert!(matches!(inside_answer(b"gone"), Error::Upstream(failure) if failure.message == "gone"));
    }
}
