//! Errors (<https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html>): their type
//! stands in a header, or is the name of a message in a stream.

use weir_guest::failure;
use weir_guest::types::{Error, Header};

/// The type: `ValidationException`, with a URL behind it.
const TYPE_HEADER: &str = "x-amzn-errortype";

/// Words of refusals that ask for less, each of one model.
const TOO_LARGE: [&str; 5] = [
    "Too many input tokens",
    "Input Tokens Exceeded",
    "Input is too long",
    "prompt is too long",
    "total number of texts",
];

/// The error of an answer whose status is not 2xx.
pub(crate) fn read(status: u16, headers: &[Header], body: &[u8]) -> Error {
    let mut error = failure::of_answer(status, headers, body);
    if let (Some(failure), Some(told)) = (failure::told(&mut error), failure::find(headers, TYPE_HEADER)) {
        failure.code = told.split(':').next().map(str::to_owned);
    }
    error
}

/// The error that came in a stream as a message of this type. The statuses are those of the service's own description.
pub(crate) fn inside(kind: &str, payload: &[u8]) -> Error {
    let status = match kind {
        "validationException" => 400,
        "throttlingException" => 429,
        "modelStreamErrorException" => 424,
        "modelTimeoutException" => 408,
        "serviceUnavailableException" => 503,
        _ => 500,
    };
    let mut error = failure::inside_answer(payload);
    let Some(told) = failure::told(&mut error) else {
        return error;
    };
    let mut told = told.clone();
    told.code = Some(kind.to_owned());
    told.status = Some(status);
    classify(failure::by_status(status, told))
}

pub(crate) fn classify(error: Error) -> Error {
    match error {
        // A 400, though it is the account's quota that is used up and not the input that is wrong.
        Error::InvalidInput(failure) if failure.code.as_deref() == Some("ServiceQuotaExceededException") => {
            Error::RateLimited(failure)
        }
        other => failure::too_large_if(other, |failure| {
            TOO_LARGE.iter().any(|words| failure.message.contains(words))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, kind: &str, message: &str) -> Error {
        let header = |name: &str, value: &str| Header {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let headers = [
            header("x-amzn-ErrorType", &format!("{kind}:http://internal.amazon.com/coral/")),
            header("x-amzn-RequestId", "r-1"),
        ];
        classify(read(
            status,
            &headers,
            format!(r#"{{"message": "{message}"}}"#).as_bytes(),
        ))
    }

    #[test]
    fn the_type_of_an_error_is_its_code() {
        let Error::InvalidInput(failure) = answer(400, "ValidationException", "no such thing") else {
            panic!()
        };
        assert_eq!(failure.message, "no such thing");
        assert_eq!(failure.code.as_deref(), Some("ValidationException"));
        assert_eq!(failure.request_id.as_deref(), Some("r-1"));
        assert!(matches!(
            answer(403, "ExpiredTokenException", "no"),
            Error::Unauthorized(_)
        ));
        assert!(matches!(
            answer(404, "ResourceNotFoundException", "no"),
            Error::NotFound(_)
        ));
        assert!(matches!(
            answer(429, "ThrottlingException", "no"),
            Error::RateLimited(_)
        ));
        assert!(matches!(answer(424, "ModelErrorException", "no"), Error::Upstream(_)));
    }

    #[test]
    fn types_and_words_tell_what_statuses_do_not() {
        assert!(matches!(
            answer(400, "ServiceQuotaExceededException", "no"),
            Error::RateLimited(_)
        ));
        let words = "400 Bad Request: Too many input tokens. Max input tokens: 8192";
        assert!(matches!(answer(400, "ValidationException", words), Error::TooLarge(_)));
        let words = "The model returned the following errors: Input Tokens Exceeded: send less";
        assert!(matches!(answer(400, "ValidationException", words), Error::TooLarge(_)));
    }

    #[test]
    fn an_error_in_a_stream_is_classed_by_its_type() {
        let Error::RateLimited(failure) = inside("throttlingException", br#"{"message": "slow down"}"#) else {
            panic!()
        };
        assert_eq!((failure.message.as_str(), failure.status), ("slow down", Some(429)));
        assert_eq!(failure.code.as_deref(), Some("throttlingException"));
        assert!(matches!(inside("validationException", b"{}"), Error::InvalidInput(_)));
        assert!(matches!(inside("internalServerException", b"gone"), Error::Upstream(_)));
    }
}
