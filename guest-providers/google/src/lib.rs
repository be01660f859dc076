//! The adapter for Google's Gemini API (<https://ai.google.dev/api>): embeddings, chat whole and streamed, the list of
//! models.

mod embed;
mod generate;
mod list;
mod refusal;

use conversation::{Request as ChatRequest, Response as ChatResponse};
use weir_guest::types::{EmbeddingRequest, Error};
use weir_guest::{Limits, Manifest, Request, Setting, url};

struct Google;

conversation::provider!(
    Google,
    "
    package weir:google;
    world adapter {
        include weir:provider/embedding-provider@0.1.0;
        include weir:provider/chat-provider@0.1.0;
        include weir:provider/models-provider@0.1.0;
    }
"
);

const API_KEY: &str = "api_key";
const DEFAULT_EMBEDDING_MODEL: &str = "gemini-embedding-001";
/// An alias: what it stands for is never shut down.
const DEFAULT_CHAT_MODEL: &str = "gemini-flash-latest";

const BASE_URL: Setting = Setting::new("base_url", "Where the API is served, with its version.")
    .default("https://generativelanguage.googleapis.com/v1beta");
const MODEL: Setting =
    Setting::new("model", "The embedding model when a call names none.").default(DEFAULT_EMBEDDING_MODEL);
const CHAT_MODEL: Setting =
    Setting::new("chat_model", "The chat model when a call names none.").default(DEFAULT_CHAT_MODEL);

impl metadata::Guest for Google {
    fn describe() -> Manifest {
        Manifest::new(
            "google",
            env!("CARGO_PKG_VERSION"),
            "Embeddings and chat by Google's Gemini API.",
        )
        .origin_of(BASE_URL)
        .secret(
            API_KEY,
            "A Gemini API key, usually in GOOGLE_API_KEY or GEMINI_API_KEY.",
        )
        .setting(BASE_URL)
        .setting(MODEL)
        .setting(CHAT_MODEL)
        .default_model("embed", DEFAULT_EMBEDDING_MODEL)
        .default_model("chat", DEFAULT_CHAT_MODEL)
        .limits(
            "embed",
            Limits {
                // "at most 100 requests can be in one batch", the API says to the 101st.
                max_items: Some(100),
                // https://ai.google.dev/gemini-api/docs/models#gemini-embedding
                max_item_tokens: Some(2_048),
                ..Limits::NONE
            },
        )
    }
}

impl embedding::Guest for Google {
    async fn embed(request: EmbeddingRequest) -> Result<embedding::Response, Error> {
        let model = MODEL.or(request.model.clone())?;
        let resource = resource(&model)?;
        let post = post("embed", &resource, "batchEmbedContents")?;
        let answer = post
            .replay_safe()
            .json(&embed::body(&resource, &request))
            .send()
            .await?;
        embed::read(answer.body(), model, &request)
    }
}

impl chat::Guest for Google {
    async fn chat(request: ChatRequest) -> Result<ChatResponse, Error> {
        let model = CHAT_MODEL.or(request.model.clone())?;
        let body = generate::body(&request)?;
        let post = post("chat", &resource(&model)?, "generateContent")?;
        let answer = post.json(&body).send().await?;
        generate::read(answer.body(), model)
    }

    async fn chat_streaming(request: ChatRequest) -> Result<chat::StreamingResponse, Error> {
        let model = CHAT_MODEL.or(request.model.clone())?;
        let body = generate::body(&request)?;
        let post = post("chat", &resource(&model)?, "streamGenerateContent?alt=sse")?;
        let events = post.json(&body).send_streaming().await?;
        let answer = conversation::begin(events, generate::Decoder::default(), model).await?;
        Ok(streaming_response(answer))
    }
}

impl models::Guest for Google {
    async fn list_models() -> Result<Vec<models::Model>, Error> {
        let mut models = Vec::new();
        let mut page = None;
        loop {
            let url = list::url(&BASE_URL.url()?, page.as_deref())?;
            let answer = authorized("models", Request::get(url)).replay_safe().send().await?;
            page = list::read(answer.body(), page.as_deref(), &mut models)?;
            if page.is_none() {
                return Ok(models);
            }
        }
    }
}

fn post(operation: &str, resource: &str, method: &str) -> Result<Request, Error> {
    let url = format!("{}/{resource}:{method}", BASE_URL.url()?);
    Ok(authorized(operation, Request::post(url)))
}

fn authorized(operation: &str, request: Request) -> Request {
    request
        .operation(operation)
        .key_header("x-goog-api-key", API_KEY)
        .classify(refusal::classify)
}

/// A model's resource name: `models/M`, unless it says itself of which kind it is (`tunedModels/M`).
fn resource(model: &str) -> Result<String, Error> {
    let (kind, name) = model.split_once('/').unwrap_or(("models", model));
    Ok(format!("{}/{}", url::segment(kind)?, url::segment(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_by_its_resource() {
        assert_eq!(resource("gemini-2.5-flash").unwrap(), "models/gemini-2.5-flash");
        assert_eq!(resource("models/a").unwrap(), "models/a");
        assert_eq!(resource("tunedModels/mine").unwrap(), "tunedModels/mine");
        assert_eq!(resource("a/b/../c").unwrap(), "a/b%2F..%2Fc");
        assert!(resource("models/..").is_err());
    }
}
