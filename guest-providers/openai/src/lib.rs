//! The adapter for OpenAI's API (<https://platform.openai.com/docs/api-reference>) and for the many servers that speak
//! it: embeddings, chat whole and streamed, the list of models.

mod chat;
mod embed;
mod models;

use weir_guest::types::{EmbeddingRequest, Error};
use weir_guest::{Limits, Manifest, Request, Setting, failure, streaming};

use bindings::exports::weir::provider::{chat as chat_api, models as models_api};

struct OpenAi;

weir_guest::provider!(
    OpenAi,
    "
    package weir:openai;
    world adapter {
        include weir:provider/embedding-provider@0.1.0;
        include weir:provider/chat-provider@0.1.0;
        include weir:provider/models-provider@0.1.0;
    }
"
);

const API_KEY: &str = "api_key";
const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";
const DEFAULT_EMBEDDING_MODEL: &str = "text-embedding-3-small";
const DEFAULT_CHAT_MODEL: &str = "gpt-4o-mini";

const BASE_URL: Setting =
    Setting::new("base_url", "Where the API is served, with its version.").default(DEFAULT_BASE_URL);
const AUTH: Setting = Setting::new(
    "auth",
    "`bearer` sends the key, `none` sends none. The host says `none` where no key is granted.",
)
.default("bearer");
const MODEL: Setting = Setting::new(
    "model",
    "The model when a call names none and the operation has no setting of its own.",
);
const EMBEDDING_MODEL: Setting = Setting::new("embedding_model", "The embedding model when a call names none.");
const CHAT_MODEL: Setting = Setting::new("chat_model", "The chat model when a call names none.");
const MAX_TOKENS_PARAMETER: Setting = Setting::new(
    "max_tokens_parameter",
    "What the limit on an answer's tokens is called: `max_completion_tokens` at OpenAI, else `max_tokens`.",
);

impl metadata::Guest for OpenAi {
    fn describe() -> Manifest {
        let description = "Embeddings and chat by OpenAI, or any server that speaks its API.";
        Manifest::new("openai", env!("CARGO_PKG_VERSION"), description)
            .origin_of(BASE_URL)
            .optional_secret(API_KEY, "An API key, usually in OPENAI_API_KEY.")
            .setting(BASE_URL)
            .setting(AUTH)
            .setting(MODEL)
            .setting(EMBEDDING_MODEL)
            .setting(CHAT_MODEL)
            .setting(MAX_TOKENS_PARAMETER)
            .default_model("embed", DEFAULT_EMBEDDING_MODEL)
            .default_model("chat", DEFAULT_CHAT_MODEL)
            // https://platform.openai.com/docs/api-reference/embeddings/create
            .limits(
                "embed",
                Limits {
                    max_items: Some(2_048),
                    max_item_tokens: Some(8_192),
                    max_tokens: Some(300_000),
                },
            )
    }
}

impl embedding::Guest for OpenAi {
    async fn embed(request: EmbeddingRequest) -> Result<embedding::Response, Error> {
        let model = model(request.model.clone(), EMBEDDING_MODEL, DEFAULT_EMBEDDING_MODEL)?;
        let answer = authorized(embed::request(&BASE_URL.url()?, &model, &request))?
            .send()
            .await?;
        embed::read(answer.body(), model, &request)
    }
}

impl chat_api::Guest for OpenAi {
    async fn chat(request: chat_api::Request) -> Result<chat_api::Response, Error> {
        let (request, model) = chat_request(request, chat::Form::Whole)?;
        let answer = request.send().await?;
        chat::whole::read(answer.body(), model)
    }

    async fn chat_streaming(request: chat_api::Request) -> Result<chat_api::StreamingResponse, Error> {
        let (request, model) = chat_request(request, chat::Form::Streamed)?;
        let mut events = request.send_streaming().await?;
        let mut decoder = chat::streamed::Decoder::default();
        let mut first = streaming::next(&mut events, &mut decoder).await;
        while !decoder.has_begun() && matches!(first.1, Ok(streaming::Progress::Going)) {
            first = streaming::next(&mut events, &mut decoder).await;
        }
        if !decoder.has_begun() {
            first.1?;
            return Err(failure::malformed("the stream ended before its first chunk"));
        }

        let model = decoder.model().unwrap_or(model);
        let (writer, events_out) = bindings::wit_stream::new();
        let (done, done_out) = bindings::wit_future::new(|| Err(failure::malformed("the answer was given up")));
        streaming::forward(events, decoder, first, writer, done);
        Ok(chat_api::StreamingResponse {
            model,
            events: events_out,
            done: done_out,
        })
    }
}

impl models_api::Guest for OpenAi {
    async fn list_models() -> Result<Vec<models_api::Model>, Error> {
        let answer = authorized(models::request(&BASE_URL.url()?))?.send().await?;
        models::read(answer.body())
    }
}

fn chat_request(request: chat_api::Request, form: chat::Form) -> Result<(Request, String), Error> {
    let base_url = BASE_URL.url()?;
    let model = model(request.model.clone(), CHAT_MODEL, DEFAULT_CHAT_MODEL)?;
    // OpenAI's newer models refuse `max_tokens`; most other servers know nothing else.
    let usual = if base_url == DEFAULT_BASE_URL {
        "max_completion_tokens"
    } else {
        "max_tokens"
    };
    let max_tokens = MAX_TOKENS_PARAMETER.get()?.unwrap_or_else(|| usual.to_owned());
    let body = chat::body::Body::new(&request, &model, &max_tokens, form)?;
    let request = Request::post(format!("{base_url}/chat/completions"))
        .operation("chat")
        .json(&body);
    Ok((authorized(request)?, model))
}

/// The call's model, else the operation's, else the one for all, else `default`.
fn model(asked: Option<String>, of_operation: Setting, default: &str) -> Result<String, Error> {
    if let Some(model) = asked {
        return Ok(model);
    }
    let given = of_operation
        .get()?
        .map_or_else(|| MODEL.get(), |model| Ok(Some(model)))?;
    Ok(given.unwrap_or_else(|| default.to_owned()))
}

fn authorized(request: Request) -> Result<Request, Error> {
    let request = request.classify(classify);
    match AUTH.text()?.as_str() {
        "bearer" => Ok(request.bearer(API_KEY)),
        "none" => Ok(request),
        other => Err(failure::refused(format!(
            "the setting `auth` is `bearer` or `none`, not `{other}`"
        ))),
    }
}

/// What the codes tell that the statuses do not (<https://platform.openai.com/docs/guides/error-codes>).
fn classify(error: Error) -> Error {
    match error {
        // The account is empty: waiting does not fill it.
        Error::RateLimited(failure) if failure.code.as_deref() == Some("insufficient_quota") => {
            Error::Unauthorized(failure)
        }
        other => failure::too_large_if(other, |failure| {
            matches!(
                failure.code.as_deref(),
                Some("context_length_exceeded" | "max_tokens_per_request" | "array_above_max_length")
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_what_statuses_do_not() {
        let answer = |status, code| {
            let body = format!(r#"{{"error": {{"message": "no", "type": "t", "param": null, "code": "{code}"}}}}"#);
            classify(failure::of_answer(status, &[], body.as_bytes()))
        };
        assert!(matches!(answer(400, "context_length_exceeded"), Error::TooLarge(_)));
        assert!(matches!(answer(400, "max_tokens_per_request"), Error::TooLarge(_)));
        assert!(matches!(answer(400, "invalid_value"), Error::InvalidInput(_)));
        assert!(matches!(answer(429, "insufficient_quota"), Error::Unauthorized(_)));
        assert!(matches!(answer(429, "rate_limit_exceeded"), Error::RateLimited(_)));
    }
}
