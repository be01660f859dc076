//! Errors as clients of the OpenAI API know them: `{"error": {"message", "type", "param", "code"}}` and the status that
//! their libraries turn into a class. Voyage's turns a status into one only beside a `detail`, which has the message once
//! more.
//!
//! | what happened | status | `code` |
//! |---|---|---|
//! | the input is wrong | 400 | the kind |
//! | the input is too long | 400 | `context_length_exceeded` |
//! | the provider refused its key | 401 | `invalid_api_key` |
//! | the host refused where a request was to go | 403 | the kind |
//! | the provider does not know the name | 404 | `model_not_found` |
//! | the provider's quota is used up | 429 | `rate_limit_exceeded` |
//! | the provider failed, or its adapter did | its own 5xx, else 502 | the kind |
//! | the host is saturated, or holds requests back | 503 | the kind |
//! | a time-out of any kind | 504 | the kind |

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use weir_runtime::CallError;

use super::attempt::Answered;
use super::observe::ErrorCode;

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub status: StatusCode,
    pub body: Box<ErrorBody>,
    /// How long to wait before another try, where known.
    pub retry_after: Option<Duration>,
    /// Who was asked before it failed.
    pub answered: Option<Answered>,
}

/// What stands under `error` in the body.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody {
    pub message: String,
    #[serde(rename = "type")]
    pub class: &'static str,
    /// The field of the request that is to blame.
    pub param: Option<String>,
    pub code: Option<String>,
}

impl ApiError {
    /// An error of this status. Its type follows from the status.
    pub fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        let body = ErrorBody {
            message: message.into(),
            class: class(status),
            param: None,
            code: Some(code.into()),
        };
        Self {
            status,
            body: Box::new(body),
            retry_after: None,
            answered: None,
        }
    }

    /// A field of the request is wrong.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid-input", message);
        error.body.param = Some(param.into());
        error
    }

    /// An answer of a provider that can't be passed on.
    pub fn malformed(provider: &str, message: &str) -> Self {
        let message = format!("{provider}: the answer is malformed: {message}");
        Self::new(StatusCode::BAD_GATEWAY, "malformed-response", message)
    }

    /// Tells who was asked.
    pub fn answered(mut self, answered: Answered) -> Self {
        self.answered = Some(answered);
        self
    }

    /// What it is called, for those who watch.
    pub fn code(&self) -> ErrorCode {
        let code = self.body.code.clone();
        ErrorCode(code.map_or(Cow::Borrowed(self.body.class), Cow::Owned))
    }

    /// The body as JSON, for a stream that has already begun.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "error": self.body })
    }
}

impl From<&CallError> for ApiError {
    fn from(error: &CallError) -> Self {
        let status = status_of(error.kind(), error.status());
        let mut answer = Self::new(status, code_of(error.kind()), error.to_string());
        answer.retry_after = error.retry_after();
        answer
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = self.code();
        let mut body = self.to_json();
        body["detail"] = self.body.message.clone().into();
        let mut response = (self.status, Json(body)).into_response();
        set_retry_after(&mut response, self.retry_after);
        if self.status == StatusCode::UNAUTHORIZED && self.answered.is_none() {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(code);
        if let Some(answered) = self.answered {
            response.extensions_mut().insert(answered);
        }
        response
    }
}

/// The status with which a failure of this kind is answered, given the provider's own.
pub(crate) fn status_of(kind: &str, upstream: Option<u16>) -> StatusCode {
    match kind {
        "invalid-input" | "too-large" | "unsupported" => StatusCode::BAD_REQUEST,
        "unauthorized" => StatusCode::UNAUTHORIZED,
        "egress-denied" | "credential-denied" => StatusCode::FORBIDDEN,
        "not-found" => StatusCode::NOT_FOUND,
        "rate-limited" => StatusCode::TOO_MANY_REQUESTS,
        "overloaded" | "unavailable" | "closed" => StatusCode::SERVICE_UNAVAILABLE,
        "deadline" => StatusCode::GATEWAY_TIMEOUT,
        kind if kind.ends_with("-timeout") => StatusCode::GATEWAY_TIMEOUT,
        "upstream" => upstream
            .and_then(|status| StatusCode::from_u16(status).ok())
            .filter(StatusCode::is_server_error)
            .unwrap_or(StatusCode::BAD_GATEWAY),
        "storage" | "instantiate" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// Sets `retry-after` where the status is one that clients try again after, and `retry-after-ms`, which OpenAI's clients
/// read first. Whole seconds, and milliseconds, rounded up: a client that comes back too early would be refused again.
pub(crate) fn set_retry_after(response: &mut Response, wait: Option<Duration>) {
    let status = response.status();
    let useful = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    if let Some(wait) = wait.filter(|_| useful) {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        headers.insert("retry-after-ms", HeaderValue::from(millis));
    }
}

/// OpenAI's own code where it has one, else the kind of the error.
fn code_of(kind: &'static str) -> &'static str {
    match kind {
        "too-large" => "context_length_exceeded",
        "unauthorized" => "invalid_api_key",
        "not-found" => "model_not_found",
        "rate-limited" => "rate_limit_exceeded",
        kind => kind,
    }
}

fn class(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_runtime::CallErrorKind;
    use weir_runtime::types::{Error, Failure, HttpError, Unavailable};

    fn failure(status: Option<u16>, retry_after: Option<Duration>) -> Failure {
        Failure {
            message: "slow down".into(),
            status,
            code: None,
            request_id: None,
            retry_after: retry_after.map(|wait| wait.as_nanos() as u64),
        }
    }

    fn answer(kind: CallErrorKind) -> ApiError {
        ApiError::from(&CallError::new("voyage", "embed", kind))
    }

    #[test]
    fn each_kind_has_its_status_type_and_code() {
        let provider = CallErrorKind::Provider;
        let http = |error| CallErrorKind::Provider(Error::Http(error));
        let text = || "why".to_owned();
        let table = [
            (
                provider(Error::InvalidInput(failure(Some(422), None))),
                400,
                "invalid_request_error",
                "invalid-input",
            ),
            (
                provider(Error::TooLarge(failure(Some(413), None))),
                400,
                "invalid_request_error",
                "context_length_exceeded",
            ),
            (
                provider(Error::Unsupported(text())),
                400,
                "invalid_request_error",
                "unsupported",
            ),
            (
                provider(Error::Unauthorized(failure(Some(403), None))),
                401,
                "authentication_error",
                "invalid_api_key",
            ),
            (
                http(HttpError::EgressDenied(text())),
                403,
                "permission_error",
                "egress-denied",
            ),
            (
                http(HttpError::CredentialDenied(text())),
                403,
                "permission_error",
                "credential-denied",
            ),
            (
                provider(Error::NotFound(failure(Some(404), None))),
                404,
                "invalid_request_error",
                "model_not_found",
            ),
            (
                provider(Error::RateLimited(failure(Some(429), None))),
                429,
                "rate_limit_error",
                "rate_limit_exceeded",
            ),
            (provider(Error::Storage(text())), 500, "server_error", "storage"),
            (
                provider(Error::Upstream(failure(Some(529), None))),
                529,
                "server_error",
                "upstream",
            ),
            (
                provider(Error::Upstream(failure(Some(402), None))),
                502,
                "server_error",
                "upstream",
            ),
            (
                provider(Error::Upstream(failure(None, None))),
                502,
                "server_error",
                "upstream",
            ),
            (
                provider(Error::MalformedResponse(text())),
                502,
                "server_error",
                "malformed-response",
            ),
            (
                http(HttpError::TooLarge(text())),
                502,
                "server_error",
                "message-too-large",
            ),
            (
                http(HttpError::ConnectFailed(text())),
                502,
                "server_error",
                "connect-failed",
            ),
            (CallErrorKind::Trap { message: text() }, 502, "server_error", "trap"),
            (http(HttpError::Overloaded(text())), 503, "server_error", "overloaded"),
            (
                http(HttpError::PoolTimeout(text())),
                504,
                "server_error",
                "pool-timeout",
            ),
            (
                http(HttpError::ReadTimeout(text())),
                504,
                "server_error",
                "read-timeout",
            ),
            (
                CallErrorKind::Deadline {
                    limit: Duration::from_secs(1),
                },
                504,
                "server_error",
                "deadline",
            ),
        ];
        for (kind, status, class, code) in table {
            let shown = format!("{kind:?}");
            let answer = answer(kind);
            assert_eq!(answer.status.as_u16(), status, "{shown}");
            assert_eq!(answer.body.class, class, "{shown}");
            assert_eq!(answer.body.code.as_deref(), Some(code), "{shown}");
            assert!(answer.body.message.starts_with("voyage embed: "), "{shown}");
        }
    }

    #[test]
    fn retry_after_is_whole_seconds_and_milliseconds_rounded_up() {
        let wait = Some(Duration::from_millis(1_200));
        let limited = answer(CallErrorKind::Provider(Error::RateLimited(failure(Some(429), wait)))).into_response();
        assert_eq!(limited.headers()["retry-after"], "2");
        assert_eq!(limited.headers()["retry-after-ms"], "1200");

        let held_back = HttpError::Unavailable(Unavailable {
            message: "open".into(),
            retry_after: Some(30_000_000_000),
        });
        let held_back = answer(CallErrorKind::Provider(Error::Http(held_back))).into_response();
        assert_eq!(held_back.status(), 503);
        assert_eq!(held_back.headers()["retry-after"], "30");
    }

    #[test]
    fn a_wait_is_told_with_any_status_that_is_tried_again_and_with_no_other() {
        let wait = Some(Duration::from_secs(1));
        let failed = answer(CallErrorKind::Provider(Error::Upstream(failure(Some(529), wait)))).into_response();
        assert_eq!(
            (failed.status().as_u16(), &failed.headers()["retry-after"]),
            (529, &"1".parse().unwrap())
        );
        let wrong = answer(CallErrorKind::Provider(Error::InvalidInput(failure(Some(400), wait))));
        assert!(!wrong.into_response().headers().contains_key("retry-after"));
    }

    #[tokio::test]
    async fn the_body_names_every_field_even_when_it_is_null() {
        let response = ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is no route /x").into_response();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let expected = serde_json::json!({"error": {
            "message": "there is no route /x", "type": "invalid_request_error", "param": null, "code": "not_found",
        }, "detail": "there is no route /x"});
        assert_eq!(body, expected);
    }

    #[test]
    fn only_a_missing_key_of_ours_asks_for_one() {
        let ours = ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", "give a key").into_response();
        assert_eq!(ours.headers()["www-authenticate"], "Bearer");
        let theirs = answer(CallErrorKind::Provider(Error::Unauthorized(failure(Some(401), None))))
            .answered(Answered::by("voyage", "embed"));
        assert!(!theirs.into_response().headers().contains_key("www-authenticate"));
    }
}
