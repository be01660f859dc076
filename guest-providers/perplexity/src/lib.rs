//! The adapter for Perplexity (<https://docs.perplexity.ai>): chat whole and streamed, embeddings, and the web searched.
//!
//! Its chat is at the base, the rest below a version; its vectors are whole numbers of eight bits.

mod search;

use openai_api::model::{self, CHAT_MODEL, EMBEDDING_MODEL};
use openai_api::{chat as chats, embeddings, errors, models as lists};
use weir_guest::types::{EmbeddingRequest, Error};
use weir_guest::vectors::SignedBytes;
use weir_guest::{Limits, Manifest, Request, Response, Setting};

struct Perplexity;

openai_api::provider!(
    Perplexity,
    [embedding, chat, models],
    "
    package weir:perplexity;
    world adapter {
        include weir:provider/embedding-provider@0.1.0;
        include weir:provider/chat-provider@0.1.0;
        include weir:provider/models-provider@0.1.0;
        include weir:provider/web-search-provider@0.1.0;
    }
"
);

const API_KEY: &str = "api_key";
const DEFAULT_EMBEDDING_MODEL: &str = "pplx-embed-v1-0.6b";
const DEFAULT_CHAT_MODEL: &str = "sonar";

const BASE_URL: Setting =
    Setting::new("base_url", "Where the API is served, without a version.").default("https://api.perplexity.ai");

const EMBEDDINGS: embeddings::Dialect<'static> = embeddings::Dialect {
    encoding_format: Some("base64_int8"),
    ..embeddings::Dialect::OPENAI
};

impl metadata::Guest for Perplexity {
    fn describe() -> Manifest {
        let description = "Chat, embeddings and web search by Perplexity.";
        let manifest = Manifest::new("perplexity", env!("CARGO_PKG_VERSION"), description)
            .origin_of(BASE_URL)
            .secret(API_KEY, "A Perplexity key, usually in PERPLEXITY_API_KEY.")
            .setting(BASE_URL);
        model::told(manifest, DEFAULT_EMBEDDING_MODEL, DEFAULT_CHAT_MODEL)
            // https://docs.perplexity.ai/api-reference/embeddings-post
            .limits(
                "embed",
                Limits {
                    max_items: Some(512),
                    max_item_tokens: Some(32_000),
                    max_tokens: Some(120_000),
                },
            )
    }
}

impl embedding::Guest for Perplexity {
    async fn embed(request: EmbeddingRequest) -> Result<embeddings::Response, Error> {
        let model = model::choose(request.model.clone(), EMBEDDING_MODEL, DEFAULT_EMBEDDING_MODEL)?;
        let answer = send(embeddings::request(url("v1/embeddings")?, &model, &request, EMBEDDINGS)).await?;
        embeddings::read_as::<SignedBytes>(answer.body(), model, &request)
    }
}

impl chat::Guest for Perplexity {
    async fn chat(request: chats::Request) -> Result<chats::Response, Error> {
        let (request, model) = chat_request(request, chats::Form::Whole)?;
        chats::read(send(request).await?.body(), model)
    }

    async fn chat_streaming(request: chats::Request) -> Result<chat::StreamingResponse, Error> {
        let (request, model) = chat_request(request, chats::Form::Streamed)?;
        chats::stream(authorized(request), model).await.map(streaming_response)
    }
}

impl models::Guest for Perplexity {
    async fn list_models() -> Result<Vec<lists::Model>, Error> {
        lists::read(send(lists::request(url("v1/models")?)).await?.body())
    }
}

impl web_search::Guest for Perplexity {
    async fn search(request: web_search::Request) -> Result<Vec<web_search::Found>, Error> {
        search::read(send(search::request(url("search")?, &request)).await?.body())
    }
}

fn chat_request(request: chats::Request, form: chats::Form) -> Result<(Request, String), Error> {
    let model = model::choose(request.model.clone(), CHAT_MODEL, DEFAULT_CHAT_MODEL)?;
    // Usage comes with every chunk, unasked.
    let dialect = chats::Dialect {
        stream_options: false,
        ..chats::Dialect::COMPATIBLE
    };
    let request = chats::request(url("chat/completions")?, &model, &request, form, dialect)?;
    Ok((request, model))
}

fn url(path: &str) -> Result<String, Error> {
    Ok(format!("{}/{path}", BASE_URL.url()?))
}

async fn send(request: Request) -> Result<Response, Error> {
    authorized(request).send().await
}

fn authorized(request: Request) -> Request {
    request.bearer(API_KEY).classify(errors::classify)
}
