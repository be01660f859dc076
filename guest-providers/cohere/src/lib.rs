//! The adapter for Cohere (<https://docs.cohere.com/reference/about>), version 2 of its API: embeddings, reranking, chat
//! whole and streamed.

mod conversation;
mod embed;

use openai_api::{chat as chats, rerank};
use weir_guest::types::{EmbeddingRequest, Error};
use weir_guest::{Limits, Manifest, Request, Setting, failure};

struct Cohere;

openai_api::provider!(
    Cohere,
    [reranking, chat],
    "
    package weir:cohere;
    world adapter {
        include weir:provider/embedding-provider@0.1.0;
        include weir:provider/reranking-provider@0.1.0;
        include weir:provider/chat-provider@0.1.0;
    }
"
);

const API_KEY: &str = "api_key";
const EMBEDDING_MODEL: &str = "embed-v4.0";
const RERANKING_MODEL: &str = "rerank-v3.5";
const DEFAULT_CHAT_MODEL: &str = "command-a-03-2025";

const BASE_URL: Setting =
    Setting::new("base_url", "Where the API is served, without its version.").default("https://api.cohere.com");
const MODEL: Setting = Setting::new("model", "The embedding model when a call names none.").default(EMBEDDING_MODEL);
const RERANK_MODEL: Setting =
    Setting::new("rerank_model", "The reranking model when a call names none.").default(RERANKING_MODEL);

const CHAT_MODEL: Setting =
    Setting::new("chat_model", "The chat model when a call names none.").default(DEFAULT_CHAT_MODEL);
const TRUNCATE: Setting = Setting::new(
    "truncate",
    "What becomes of texts to embed that are too long for the model: `END` and `START` cut there, `NONE` refuses them; Cohere's \
     own choice, `END`, where none is given.",
);

impl metadata::Guest for Cohere {
    fn describe() -> Manifest {
        Manifest::new(
            "cohere",
            env!("CARGO_PKG_VERSION"),
            "Embeddings, reranking and chat by Cohere.",
        )
        .origin_of(BASE_URL)
        .secret(API_KEY, "A Cohere key, usually in COHERE_API_KEY or CO_API_KEY.")
        .setting(BASE_URL)
        .setting(MODEL)
        .setting(RERANK_MODEL)
        .setting(CHAT_MODEL)
        .setting(TRUNCATE)
        .default_model("embed", EMBEDDING_MODEL)
        .default_model("rerank", RERANKING_MODEL)
        .default_model("chat", DEFAULT_CHAT_MODEL)
        // https://docs.cohere.com/reference/embed
        .limits(
            "embed",
            Limits {
                max_items: Some(96),
                ..Limits::NONE
            },
        )
        // https://docs.cohere.com/reference/rerank
        .limits(
            "rerank",
            Limits {
                max_items: Some(1_000),
                ..Limits::NONE
            },
        )
    }
}

impl embedding::Guest for Cohere {
    async fn embed(request: EmbeddingRequest) -> Result<embedding::Response, Error> {
        let model = MODEL.or(request.model.clone())?;
        let answer = authorized(embed::request(
            &BASE_URL.url()?,
            &model,
            &request,
            TRUNCATE.get()?.as_deref(),
        ))
        .send()
        .await?;
        embed::read(answer.body(), model, &request)
    }
}

impl reranking::Guest for Cohere {
    async fn rerank(request: rerank::Request) -> Result<rerank::Response, Error> {
        let model = RERANK_MODEL.or(request.model.clone())?;
        let url = format!("{}/v2/rerank", BASE_URL.url()?);
        let answer = authorized(rerank::request(url, &model, &request)).send().await?;
        // It is billed by searches, and tells no tokens.
        rerank::read(answer.body(), model, &request)
    }
}

impl chat::Guest for Cohere {
    async fn chat(request: chats::Request) -> Result<chats::Response, Error> {
        let (request, model) = chat_request(request, chats::Form::Whole)?;
        conversation::read(authorized(request).send().await?.body(), model)
    }

    async fn chat_streaming(request: chats::Request) -> Result<chat::StreamingResponse, Error> {
        let (request, model) = chat_request(request, chats::Form::Streamed)?;
        chats::stream_as::<conversation::Deltas>(authorized(request), model)
            .await
            .map(streaming_response)
    }
}

fn chat_request(request: chats::Request, form: chats::Form) -> Result<(Request, String), Error> {
    let model = CHAT_MODEL.or(request.model.clone())?;
    let request = conversation::request(&BASE_URL.url()?, &model, &request, form)?;
    Ok((request, model))
}

fn authorized(request: Request) -> Request {
    request.bearer(API_KEY).classify(classify)
}

/// 498 is a text with a token Cohere does not take, no matter of keys (<https://docs.cohere.com/reference/errors>).
fn classify(error: Error) -> Error {
    match error {
        Error::Upstream(failure) if failure.status == Some(498) => Error::InvalidInput(failure),
        other => failure::too_large_if(other, |failure| {
            failure.code.as_deref() == Some("TOO_MANY_TOKENS")
                || ["too many tokens", "total number of texts"]
                    .iter()
                    .any(|words| failure.message.contains(words))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_tokens_ask_for_smaller_parts_and_a_denied_token_for_another_text() {
        let body = br#"{"id": "1", "error_type": "TOO_MANY_TOKENS", "message": "too many tokens"}"#;
        let Error::TooLarge(failure) = classify(failure::of_answer(400, &[], body)) else {
            panic!()
        };
        assert_eq!(failure.request_id.as_deref(), Some("1"));
        let body = br#"{"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081"}"#;
        assert!(matches!(
            classify(failure::of_answer(400, &[], body)),
            Error::TooLarge(_)
        ));

        let body = br#"{"message": "a deny-listed token"}"#;
        assert!(matches!(
            classify(failure::of_answer(498, &[], body)),
            Error::InvalidInput(_)
        ));
    }
}
