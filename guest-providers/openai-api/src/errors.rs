//! What codes and words tell that statuses do not.

use weir_guest::{Error, Failure, failure};

/// Codes and types that say that less would pass: OpenAI's
/// (<https://platform.openai.com/docs/guides/error-codes>), perplexity's, and llama.cpp's.
const TOO_LARGE: [&str; 5] = [
    "context_length_exceeded",
    "max_tokens_per_request",
    "array_above_max_length",
    "too_many_prompt_tokens",
    "exceed_context_size_error",
];

/// Words that say so where no code does, without regard to case.
const TOO_LARGE_WORDS: [&str; 5] = [
    // vllm's, deepseek's, openrouter's, mistral's and fireworks' maximum of it; ollama's limit of it.
    "context length",
    // xai.
    "maximum prompt length",
    // moonshot.
    "exceeded model token limit",
    // together and Hugging Face's servers, of a prompt or of what is left for the answer.
    "input validation error: `inputs`",
    // Cohere's models on Azure.
    "total number of texts",
];

/// Codes and types that say, under a 429, that the account is empty: waiting does not fill it. OpenAI's, and moonshot's
/// (<https://platform.moonshot.ai/docs/api/chat>).
const EMPTY: [&str; 2] = ["insufficient_quota", "exceeded_current_quota_error"];

/// Corrects the error a refusal was taken for ([`weir_guest::Request::classify`]).
pub fn classify(error: Error) -> Error {
    match error {
        Error::RateLimited(failure) if failure.code.as_deref().is_some_and(|code| EMPTY.contains(&code)) => {
            Error::Unauthorized(failure)
        }
        // xai's status for a wrong key is 400.
        Error::InvalidInput(failure) if failure.message.starts_with("Incorrect API key") => {
            Error::Unauthorized(failure)
        }
        // llama.cpp's word, under a 500, for a text to embed that is longer than its batch.
        Error::Upstream(failure) if failure.message.contains("is too large to process") => Error::TooLarge(failure),
        other => failure::too_large_if(other, says_too_large),
    }
}

/// Whether a refusal says that less would pass.
pub fn says_too_large(failure: &Failure) -> bool {
    let is_coded = failure.code.as_deref().is_some_and(|code| TOO_LARGE.contains(&code));
    is_coded || {
        let words = failure.message.to_ascii_lowercase();
        TOO_LARGE_WORDS.iter().any(|part| words.contains(part))
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
        assert!(matches!(
            coded(429, "exceeded_current_quota_error"),
            Error::Unauthorized(_)
        ));
        assert!(matches!(coded(429, "rate_limit_exceeded"), Error::RateLimited(_)));
    }

    #[test]
    fn a_type_or_words_do_where_there_is_no_code() {
        let typed = r#"{"error": {"message": "too long", "type": "too_many_prompt_tokens", "code": 400}}"#;
        assert!(matches!(answer(400, typed), Error::TooLarge(_)));
        for words in [
            "prompt too long; exceeded max context length by 5 tokens",
            "the input length exceeds the context length",
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.",
            "This model's maximum prompt length is 8192 but the request contains 9000 tokens.",
            "Invalid request: Your request exceeded model token limit: 8192",
            "total number of texts must be at most 96 - received 97",
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8192.",
        ] {
            let worded = format!(r#"{{"error": {{"message": "{words}", "code": null}}}}"#);
            assert!(matches!(answer(400, &worded), Error::TooLarge(_)), "{words}");
        }
        let batch = r#"{"error": {"code": 500, "message": "input (9 tokens) is too large to process.", "type": "t"}}"#;
        assert!(matches!(answer(500, batch), Error::TooLarge(_)));
    }

    #[test]
    fn every_servers_shape_keeps_its_own_words() {
        for (body, message, code) in [
            // groq
            (
                r#"{"error": {"message": "did not call a tool", "type": "invalid_request_error",
                    "code": "tool_use_failed", "failed_generation": "maybe"}}"#,
                "did not call a tool",
                "tool_use_failed",
            ),
            // openrouter
            (
                r#"{"error": {"message": "no such model", "code": 400}, "user_id": "u"}"#,
                "no such model",
                "400",
            ),
            // xai
            (
                r#"{"code": "invalid-argument", "error": "no such model"}"#,
                "no such model",
                "invalid-argument",
            ),
            // Hugging Face's router
            (
                r#"{"error": "no template", "error_type": "template_error"}"#,
                "no template",
                "template_error",
            ),
            // together
            (
                r#"{"id": "9", "error": {"message": "wrong", "type": "invalid_request_error", "param": "model", "code": null}}"#,
                "wrong",
                "invalid_request_error",
            ),
        ] {
            let Error::InvalidInput(failure) = answer(400, body) else {
                panic!("{body}")
            };
            assert_eq!(
                (failure.message.as_str(), failure.code.as_deref()),
                (message, Some(code))
            );
        }
        // ollama
        let Error::NotFound(failure) = answer(404, r#"{"error": "model 'x' not found"}"#) else {
            panic!()
        };
        assert_eq!(failure.message, "model 'x' not found");
    }

    #[test]
    fn a_wrong_key_is_the_keys_matter_whatever_the_status() {
        let key = r#"{"code": "invalid-argument", "error": "Incorrect API key provided: ab***yz."}"#;
        assert!(matches!(answer(400, key), Error::Unauthorized(_)));
    }
}
