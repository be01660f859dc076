//! What codes and words tell that statuses do not.

use weir_guest::{Error, failure};

/// Codes and types that say that less would pass: OpenAI's
/// (<https://platform.openai.com/docs/guides/error-codes>), and perplexity's.
const TOO_LARGE: [&str; 4] = [
    "context_length_exceeded",
    "max_tokens_per_request",
    "array_above_max_length",
    "too_many_prompt_tokens",
];

/// Corrects the error a refusal was taken for ([`weir_guest::Request::classify`]).
pub fn classify(error: Error) -> Error {
    match error {
        // The account is empty: waiting does not fill it.
        Error::RateLimited(failure) if failure.code.as_deref() == Some("insufficient_quota") => {
            Error::Unauthorized(failure)
        }
        // xai's status for a wrong key is 400.
        Error::InvalidInput(failure) if failure.message.starts_with("Incorrect API key") => {
            Error::Unauthorized(failure)
        }
        other => failure::too_large_if(other, |failure| {
            failure.code.as_deref().is_some_and(|code| TOO_LARGE.contains(&code))
                // ollama has no code for it.
                || failure.message.starts_with("prompt too long")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Error {
        classify(failure::of_answer(status, &[], body.as_bytes()))
    }

    fn coded(status: u16, code: &str) -> Error {
        answer(
            status,
            &format!(r#"{{"error": {{"message": "no", "type": "t", "param": null, "code": "{code}"}}}}"#),
        )
    }

    #[test]
    fn codes_tell_what_statuses_do_not() {
        assert!(matches!(coded(400, "context_length_exceeded"), Error::TooLarge(_)));
        assert!(matches!(coded(400, "max_tokens_per_request"), Error::TooLarge(_)));
        assert!(matches!(coded(400, "invalid_value"), Error::InvalidInput(_)));
        assert!(matches!(coded(429, "insufficient_quota"), Error::Unauthorized(_)));
        assert!(matches!(coded(429, "rate_limit_exceeded"), Error::RateLimited(_)));
    }

    #[test]
    fn a_type_or_words_do_where_there_is_no_code() {
        let typed = r#"{"error": {"message": "too long", "type": "too_many_prompt_tokens", "code": 400}}"#;
        assert!(matches!(answer(400, typed), Error::TooLarge(_)));
        let worded =
            r#"{"error": {"message": "prompt too long; exceeded max context length by 5 tokens", "code": null}}"#;
        assert!(matches!(answer(400, worded), Error::TooLarge(_)));
    }

    #[test]
    fn a_wrong_key_is_the_keys_matter_whatever_the_status() {
        let key = r#"{"code": "invalid-argument", "error": "Incorrect API key provided: ab***yz."}"#;
        assert!(matches!(answer(400, key), Error::Unauthorized(_)));
    }
}
