//! The adapter for OpenAI's API (<https://platform.openai.com/docs/api-reference>) and for the many servers that speak
//! it: embeddings, chat whole and streamed, the list of models; and reranking, for those that serve it beside.

use openai_api::model::{self, CHAT_MODEL, EMBEDDING_MODEL, MODEL, RERANK_MODEL};
use openai_api::{chat as chats, embeddings, errors, models as lists, rerank};
use weir_guest::types::{EmbeddingRequest, Error};
use weir_guest::{Limits, Manifest, Request, Response, Setting, failure};

struct OpenAi;

openai_api::provider!(
    OpenAi,
    [embedding, reranking, chat, models],
    "
    package weir:openai;
    world adapter {
        include weir:provider/embedding-provider@0.1.0;
        include weir:provider/reranking-provider@0.1.0;
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
const ENCODING_FORMAT: Setting = Setting::new(
    "encoding_format",
    "How vectors are asked for: `base64` or `float`. Either is understood in an answer.",
)
.default("base64");
const MAX_TOKENS_PARAMETER: Setting = Setting::new(
    "max_tokens_parameter",
    "What the limit on an answer's tokens is called: `max_completion_tokens` at OpenAI, else `max_tokens`.",
);

const MODELS_PATH: Setting = Setting::new(
    "models_path",
    "Where the models are listed, below `base_url`; with `../` before it, below what that is below.",
)
.default("models");

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
            .setting(RERANK_MODEL)
            .setting(ENCODING_FORMAT)
            .setting(MAX_TOKENS_PARAMETER)
            .setting(MODELS_PATH)
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
    async fn embed(request: EmbeddingRequest) -> Result<embeddings::Response, Error> {
        let model = model::choose(request.model.clone(), EMBEDDING_MODEL, DEFAULT_EMBEDDING_MODEL)?;
        let format = ENCODING_FORMAT.text()?;
        let dialect = embeddings::Dialect {
            encoding_format: Some(&format),
            ..embeddings::Dialect::OPENAI
        };
        let answer = send(embeddings::request(url("embeddings")?, &model, &request, dialect)).await?;
        embeddings::read(answer.body(), model, &request)
    }
}

impl reranking::Guest for OpenAi {
    async fn rerank(request: rerank::Request) -> Result<rerank::Response, Error> {
        let model = model::choose(request.model.clone(), RERANK_MODEL, "")?;
        let answer = send(rerank::request(url("rerank")?, &model, &request)).await?;
        rerank::read(answer.body(), model, &request)
    }
}

impl chat::Guest for OpenAi {
    async fn chat(request: chats::Request) -> Result<chats::Response, Error> {
        let (request, model) = chat_request(request, chats::Form::Whole)?;
        let answer = send(request).await?;
        chats::read(answer.body(), model)
    }

    async fn chat_streaming(request: chats::Request) -> Result<chat::StreamingResponse, Error> {
        let (request, model) = chat_request(request, chats::Form::Streamed)?;
        chats::stream(authorized(request)?, model).await.map(streaming_response)
    }
}

impl models::Guest for OpenAi {
    async fn list_models() -> Result<Vec<lists::Model>, Error> {
        let answer = send(lists::request(models_url(&BASE_URL.url()?, &MODELS_PATH.text()?))).await?;
        lists::read(answer.body())
    }
}

fn chat_request(request: chats::Request, form: chats::Form) -> Result<(Request, String), Error> {
    let model = model::choose(request.model.clone(), CHAT_MODEL, DEFAULT_CHAT_MODEL)?;
    // OpenAI's newer models refuse `max_tokens`; most other servers know nothing else.
    let usual = if BASE_URL.url()? == DEFAULT_BASE_URL {
        "max_completion_tokens"
    } else {
        "max_tokens"
    };
    let max_tokens = MAX_TOKENS_PARAMETER.get()?.unwrap_or_else(|| usual.to_owned());
    let dialect = chats::Dialect {
        max_tokens: &max_tokens,
        ..chats::Dialect::COMPATIBLE
    };
    let request = chats::request(url("chat/completions")?, &model, &request, form, dialect)?;
    Ok((request, model))
}

fn url(path: &str) -> Result<String, Error> {
    Ok(format!("{}/{path}", BASE_URL.url()?))
}

fn models_url(base: &str, path: &str) -> String {
    let Some(path) = path.strip_prefix("../") else {
        return format!("{base}/{path}");
    };
    // Not into the address itself.
    let above = base.rsplit_once('/').filter(|(above, _)| !above.ends_with('/'));
    format!("{}/{path}", above.map_or(base, |(above, _)| above))
}

async fn send(request: Request) -> Result<Response, Error> {
    authorized(request)?.send().await
}

fn authorized(request: Request) -> Result<Request, Error> {
    let request = request.classify(errors::classify);
    match AUTH.text()?.as_str() {
        "bearer" => Ok(request.bearer(API_KEY)),
        "none" => Ok(request),
        other => Err(failure::refused(format!(
            "the setting `auth` is `bearer` or `none`, not `{other}`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_listed_below_the_base_or_beside_it() {
        let base = "https://models.example/inference";
        assert_eq!(models_url(base, "models"), "https://models.example/inference/models");
        assert_eq!(
            models_url(base, "../catalog/models"),
            "https://models.example/catalog/models"
        );
        assert_eq!(
            models_url("http://127.0.0.1:9000", "../catalog/models"),
            "http://127.0.0.1:9000/catalog/models"
        );
    }
}
