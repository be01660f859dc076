//! What an error must say: the class that its status and words stand for, and the provider's own words.

use serde_json::Value;

use super::case::Expected;
use super::recording::Recording;

/// What is expected of an error.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The class by its public name.
    pub kind: &'static str,
    /// The provider's own words.
    pub message: String,
    /// The status.
    pub status: u16,
}

/// What the program must make of an answer that is no success.
pub fn of(recording: &Recording) -> Expected {
    let told = recording.answer();
    let message = match message(&told) {
        Some(message) => message,
        None => recording.text().trim().to_owned(),
    };
    let kind = kind(recording.status, &format!("{message} {told}"));
    Expected::Refusal(Refusal {
        kind,
        message,
        status: recording.status,
    })
}

/// An error inside an answer that was begun as a success.
pub fn inside(told: &Value) -> Expected {
    let status = [&told["code"], &told["error"]["code"], &told["status"]]
        .into_iter()
        .find_map(Value::as_u64)
        .and_then(|code| u16::try_from(code).ok())
        .unwrap_or(0);
    let message = message(told).unwrap_or_else(|| told.to_string());
    Expected::Refusal(Refusal {
        kind: kind(status, &message),
        message,
        status,
    })
}

/// Where the error differs from what is expected, if it does.
pub fn difference(expected: &Refusal, error: &Value) -> Option<String> {
    let said = error["message"].as_str().unwrap_or_default();
    if error["kind"] != expected.kind {
        return Some(format!("{} instead of {}: {error}", error["kind"], expected.kind));
    }
    // They are told on one line.
    let words = expected.message.split_whitespace().collect::<Vec<_>>().join(" ");
    if !said.contains(&words) {
        return Some(format!("`{said}` lacks the provider's words, `{}`", expected.message));
    }
    let is_told = expected.status == 0 || error["status"] == expected.status;
    (!is_told).then(|| format!("status {} instead of {}", error["status"], expected.status))
}

fn kind(status: u16, words: &str) -> &'static str {
    let words = words.to_lowercase();
    let says = |any: &[&str]| any.iter().any(|part| words.contains(part));
    match status {
        400 | 422
            if says(&[
                "api key not valid",
                "incorrect api key",
                "invalid api key",
                "api_key_invalid",
            ]) =>
        {
            "unauthorized"
        }
        400 | 422
            if says(&[
                "too many tokens",
                "too many inputs",
                "total number of texts",
                "too_many",
                "context length",
                "context_length",
                "context_size",
                "prompt length is",
                "model token limit",
                "must be <=",
                "must have less than",
                "prompt too long",
                "is too long",
                "max_tokens_per_request",
                "array_above_max_length",
                "input tokens exceeded",
                "exceed context limit",
                "batch size limit",
                "tokens per submitted batch",
                "larger than allowed",
                "exceeds the maximum number of tokens",
            ]) =>
        {
            "too-large"
        }
        400 if says(&["credit balance is too low"]) => "unauthorized",
        // 498 is Cohere's for a text with a token that it does not take.
        400 | 422 | 498 => "invalid-input",
        // Tavily's for credits that are spent are the last two.
        401..=403 | 432 | 433 => "unauthorized",
        404 => "not-found",
        413 => "too-large",
        500 if says(&["is too large to process"]) => "too-large",
        429 if says(&["insufficient_quota", "exceeded_current_quota"]) => "unauthorized",
        429 if says(&["larger than rate limiter capacity"]) => "too-large",
        429 => "rate-limited",
        _ => "upstream",
    }
}

/// The first text under the keys that providers put their words under.
fn message(told: &Value) -> Option<String> {
    match told {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Array(items) => items.iter().find_map(message),
        Value::Object(fields) => ["error", "detail", "message", "Message", "msg", "errors", "status"]
            .iter()
            .filter_map(|key| fields.get(*key))
            .find_map(message),
        _ => None,
    }
}
