//! The adapter for Mistral AI (<https://docs.mistral.ai/api>): embeddings, chat whole and streamed, the list of models.
//!
//! It is OpenAI's API with names of its own, and it refuses fields it does not know.

use openai_api::model::{self, CHAT_MODEL, EMBEDDING_MODEL};
use openai_api::{chat as chats, embeddings, errors, models as lists};
use weir_guest::types::{EmbeddingRequest, Error};
use weir_guest::{Limits, Manifest, Request, Response, Setting, failure};

struct Mistral;

openai_api::provider!(
    Mistral,
    [embedding, chat, models],
    "
    package weir:mistral;
    world adapter {
        include weir:provider/embedding-provider@0.1.0;
        include weir:provider/chat-provider@0.1.0;
        include weir:provider/models-provider@0.1.0;
    }
"
);

const API_KEY: &str = "api_key";
const DEFAULT_EMBEDDING_MODEL: &str = "mistral-embed";
const DEFAULT_CHAT_MODEL: &str = "mistral-small-latest";

const BASE_URL: Setting =
    Setting::new("base_url", "Where the API is served, with its version.").default("https://api.mistral.ai/v1");

const EMBEDDINGS: embeddings::Dialect<'static> = embeddings::Dialect {
    dimensions: "output_dimension",
    ..embeddings::Dialect::OPENAI
};
/// Usage comes with the last chunk unasked.
const CHAT: chats::Dialect<'static> = chats::Dialect {
    max_tokens: "max_tokens",
    stream_options: false,
};

impl metadata::Guest for Mistral {
    fn describe() -> Manifest {
        let description = "Embeddings and chat by Mistral AI.";
        let manifest = Manifest::new("mistral", env!("CARGO_PKG_VERSION"), description)
            .origin_of(BASE_URL)
            .secret(API_KEY, "A Mistral key, usually in MISTRAL_API_KEY.")
            .setting(BASE_URL);
        model::told(manifest, DEFAULT_EMBEDDING_MODEL, DEFAULT_CHAT_MODEL)
            // 257 inputs were seen refused. The tokens of one are mistral-embed's (https://docs.mistral.ai/models/mistral-embed),
            // those of all what the API says: "Too many tokens in batch. Max is 16384".
            .limits(
                "embed",
                Limits {
                    max_items: Some(256),
                    max_item_tokens: Some(8_192),
                    max_tokens: Some(16_384),
                },
            )
    }
}

impl embedding::Guest for Mistral {
    async fn embed(request: EmbeddingRequest) -> Result<embeddings::Response, Error> {
        let model = model::choose(request.model.clone(), EMBEDDING_MODEL, DEFAULT_EMBEDDING_MODEL)?;
        let answer = send(embeddings::request(url("embeddings")?, &model, &request, EMBEDDINGS)).await?;
        embeddings::read(answer.body(), model, &request)
    }
}

impl chat::Guest for Mistral {
    async fn chat(request: chats::Request) -> Result<chats::Response, Error> {
        let (request, model) = chat_request(request, chats::Form::Whole)?;
        chats::read(send(request).await?.body(), model)
    }

    async fn chat_streaming(request: chats::Request) -> Result<chat::StreamingResponse, Error> {
        let (request, model) = chat_request(request, chats::Form::Streamed)?;
        chats::stream(authorized(request), model).await.map(streaming_response)
    }
}

impl models::Guest for Mistral {
    async fn list_models() -> Result<Vec<lists::Model>, Error> {
        lists::read(send(lists::request(url("models")?)).await?.body())
    }
}

fn chat_request(request: chats::Request, form: chats::Form) -> Result<(Request, String), Error> {
    let model = model::choose(request.model.clone(), CHAT_MODEL, DEFAULT_CHAT_MODEL)?;
    let request = chats::request(url("chat/completions")?, &model, &request, form, CHAT)?;
    Ok((request, model))
}

fn url(path: &str) -> Result<String, Error> {
    Ok(format!("{}/{path}", BASE_URL.url()?))
}

async fn send(request: Request) -> Result<Response, Error> {
    authorized(request).send().await
}

fn authorized(request: Request) -> Request {
    request.bearer(API_KEY).classify(classify)
}

/// A batch of too many inputs, or of too many tokens, is a 400 as any other; its type says `invalid_request_prompt`.
fn classify(error: Error) -> Error {
    failure::too_large_if(error, |failure| {
        failure.message.starts_with("Too many ") || errors::says_too_large(failure)
    })
}

#[cfg(test)]
mod tests {
    use weir_guest::types::Header;

    use super::*;

    #[test]
    fn what_is_too_large_asks_for_less() {
        let body = br#"{"object": "error", "message": "Too many inputs in request, split into more batches.",
            "type": "invalid_request_prompt", "param": null, "code": "3210", "raw_status_code": 400}"#;
        assert!(matches!(
            classify(failure::of_answer(400, &[], body)),
            Error::TooLarge(_)
        ));
        let body = br#"{"object": "error", "message": "type": "invalid_request_prompt", "code": "3051",
            "message": "Prompt contains 9 tokens and 0 draft tokens, too large for model with 8 maximum context length"}"#;
        assert!(matches!(
            classify(failure::of_answer(400, &[], body)),
            Error::TooLarge(_)
        ));
        let body = br#"{"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"}"#;
        let Error::InvalidInput(failure) = classify(failure::of_answer(400, &[], body)) else {
            panic!()
        };
        assert_eq!(failure.code.as_deref(), Some("invalid_model"));
    }

    #[test]
    fn each_of_its_three_shapes_gives_its_words_and_the_correlation_id() {
        let headers = [Header {
            name: "mistral-correlation-id".to_owned(),
            value: "0199".to_owned(),
        }];
        let said = |status, body: &str| match classify(failure::of_answer(status, &headers, body.as_bytes())) {
            Error::InvalidInput(failure) | Error::Unauthorized(failure) => (failure.message, failure.request_id),
            other => panic!("{other:?}"),
        };
        let expected = |message: &str| (message.to_owned(), Some("0199".to_owned()));
        assert_eq!(
            said(400, r#"{"object": "error", "message": "no", "code": "1500"}"#),
            expected("no")
        );
        assert_eq!(said(401, r#"{"detail": "Unauthorized"}"#), expected("Unauthorized"));
        assert_eq!(
            said(
                422,
                r#"{"detail": [{"type": "extra_forbidden", "loc": ["body", "x"], "msg": "not permitted"}]}"#
            ),
            expected("body.x: not permitted")
        );
    }
}
