//! The adapter for Anthropic's API (<https://platform.claude.com/docs/en/api>): chat whole and streamed, the list of
//! models.

mod answer;
mod body;
mod list;
mod streamed;

use conversation::{Request as ChatRequest, Response as ChatResponse};
use weir_guest::types::Error;
use weir_guest::{Manifest, Request, Setting, failure};

struct Anthropic;

conversation::provider!(
    Anthropic,
    "
    package weir:anthropic;
    world adapter {
        include weir:provider/chat-provider@0.1.0;
        include weir:provider/models-provider@0.1.0;
    }
"
);

const API_KEY: &str = "api_key";
const DEFAULT_MODEL: &str = "claude-sonnet-5-5";

const BASE_URL: Setting =
    Setting::new("base_url", "Where the API is served, with its version.").default("https://api.anthropic.com/v1");
const MODEL: Setting = Setting::new("model", "The model when a call names none.").default(DEFAULT_MODEL);
const MAX_TOKENS: Setting = Setting::new(
    "max_tokens",
    "The limit on an answer's tokens when a call names none: the API wants one.",
)
// The most that Claude 3 Haiku can answer, the least of all that were served in 2026: no model refuses it.
.default("4096");
const VERSION: Setting =
    Setting::new("anthropic_version", "The API's version, sent with each request.").default("2023-06-01");

impl metadata::Guest for Anthropic {
    fn describe() -> Manifest {
        Manifest::new("anthropic", env!("CARGO_PKG_VERSION"), "Chat by Anthropic.")
            .origin_of(BASE_URL)
            .secret(API_KEY, "An Anthropic API key, usually in ANTHROPIC_API_KEY.")
            .setting(BASE_URL)
            .setting(MODEL)
            .setting(MAX_TOKENS)
            .setting(VERSION)
            .default_model("chat", DEFAULT_MODEL)
    }
}

impl chat::Guest for Anthropic {
    async fn chat(request: ChatRequest) -> Result<ChatResponse, Error> {
        let (request, model) = post(request, false)?;
        let answer = request.send().await?;
        answer::read(answer.body(), model)
    }

    async fn chat_streaming(request: ChatRequest) -> Result<chat::StreamingResponse, Error> {
        let (request, model) = post(request, true)?;
        let events = request.send_streaming().await?;
        let answer = conversation::begin(events, streamed::Decoder::default(), model).await?;
        Ok(streaming_response(answer))
    }
}

impl models::Guest for Anthropic {
    async fn list_models() -> Result<Vec<models::Model>, Error> {
        let mut models = Vec::new();
        let mut last = None;
        loop {
            let url = list::url(&BASE_URL.url()?, last.as_deref())?;
            let answer = authorized("models", Request::get(url))?.replay_safe().send().await?;
            last = list::read(answer.body(), last.as_deref(), &mut models)?;
            if last.is_none() {
                return Ok(models);
            }
        }
    }
}

fn post(request: ChatRequest, streamed: bool) -> Result<(Request, String), Error> {
    let model = MODEL.or(request.model.clone())?;
    let max_tokens = match request.max_tokens {
        Some(asked) => asked,
        None => MAX_TOKENS
            .text()?
            .parse()
            .map_err(|_| failure::refused("the setting `max_tokens` is no whole number"))?,
    };
    let body = body::body(&request, &model, max_tokens, streamed)?;
    let post = Request::post(format!("{}/messages", BASE_URL.url()?)).json(&body);
    Ok((authorized("chat", post)?, model))
}

fn authorized(operation: &str, request: Request) -> Result<Request, Error> {
    Ok(request
        .operation(operation)
        .header("anthropic-version", &VERSION.text()?)
        .key_header("x-api-key", API_KEY)
        .classify(classify))
}

/// What the types of errors tell that statuses do not: those in a stream have no status
/// (<https://platform.claude.com/docs/en/api/errors>).
fn classify(error: Error) -> Error {
    let error = match error {
        Error::Upstream(failure) if failure.status.is_none() => match failure.code.as_deref() {
            Some("invalid_request_error") => Error::InvalidInput(failure),
            Some("authentication_error" | "permission_error") => Error::Unauthorized(failure),
            Some("not_found_error") => Error::NotFound(failure),
            Some("request_too_large") => Error::TooLarge(failure),
            Some("rate_limit_error") => Error::RateLimited(failure),
            _ => Error::Upstream(failure),
        },
        // The account is empty: waiting does not fill it.
        Error::InvalidInput(failure) if failure.message.starts_with("Your credit balance is too low") => {
            Error::Unauthorized(failure)
        }
        other => other,
    };
    failure::too_large_if(error, |failure| {
        ["prompt is too long", "exceed context limit"]
            .iter()
            .any(|words| failure.message.contains(words))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_words_its_type_and_the_requests_id() {
        let body = br#"{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}, "request_id": "r"}"#;
        let Error::Upstream(failure) = classify(failure::of_answer(529, &[], body)) else {
            panic!()
        };
        assert_eq!((failure.message.as_str(), failure.status), ("busy", Some(529)));
        assert_eq!(failure.code.as_deref(), Some("overloaded_error"));
        assert_eq!(failure.request_id.as_deref(), Some("r"));
    }

    #[test]
    fn an_error_in_a_stream_is_classed_by_its_type() {
        let inside = |kind: &str| {
            let body = format!(r#"{{"type": "error", "error": {{"type": "{kind}", "message": "no"}}}}"#);
            classify(failure::inside_answer(body.as_bytes()))
        };
        assert!(matches!(inside("overloaded_error"), Error::Upstream(_)));
        assert!(matches!(inside("rate_limit_error"), Error::RateLimited(_)));
        assert!(matches!(inside("invalid_request_error"), Error::InvalidInput(_)));
        assert!(matches!(inside("permission_error"), Error::Unauthorized(_)));
    }

    #[test]
    fn words_tell_what_a_400_does_not() {
        let refused = |message: &str| {
            let body =
                format!(r#"{{"type": "error", "error": {{"type": "invalid_request_error", "message": "{message}"}}}}"#);
            classify(failure::of_answer(400, &[], body.as_bytes()))
        };
        let too_long = [
            "prompt is too long: 210000 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        ];
        for message in too_long {
            assert!(matches!(refused(message), Error::TooLarge(_)));
        }
        let empty = refused("Your credit balance is too low to access the API.");
        assert!(matches!(empty, Error::Unauthorized(failure) if failure.status == Some(400)));
        assert!(matches!(refused("temperature: range: 0..1"), Error::InvalidInput(_)));
    }
}
