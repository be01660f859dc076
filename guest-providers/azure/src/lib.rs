//! The adapter for OpenAI's API on Azure: embeddings, chat whole and streamed, the list of models.
//!
//! Azure serves it at three places ([`place`]), of which `base_url` and `api_version` tell one.

mod place;

use openai_api::model::{self, CHAT_MODEL, EMBEDDING_MODEL, MODEL};
use openai_api::{chat as chats, embeddings, errors, models as lists};
use weir_guest::types::{EmbeddingRequest, Error, InputKind};
use weir_guest::{Limits, Manifest, Request, Response, Setting, failure};

use place::Place;

struct Azure;

openai_api::provider!(
    Azure,
    [embedding, chat, models],
    "
    package weir:azure;
    world adapter {
        include weir:provider/embedding-provider@0.1.0;
        include weir:provider/chat-provider@0.1.0;
        include weir:provider/models-provider@0.1.0;
    }
"
);

const API_KEY: &str = "api_key";

const BASE_URL: Setting = Setting::new(
    "base_url",
    "The resource: `https://NAME.openai.azure.com`, or `https://NAME.services.ai.azure.com/models` for Foundry's models.",
);
const API_VERSION: Setting = Setting::new(
    "api_version",
    "With it, models are asked for by their deployment's own path; without it, by the path that has no versions.",
);
const AUTH: Setting = Setting::new(
    "auth",
    "`api-key` sends the key in the header of that name, `bearer` as a token of Microsoft Entra ID.",
)
.default("api-key");

impl metadata::Guest for Azure {
    fn describe() -> Manifest {
        let description = "Embeddings and chat by OpenAI's and others' models on Azure.";
        Manifest::new("azure", env!("CARGO_PKG_VERSION"), description)
            .origin_of(BASE_URL)
            .secret(API_KEY, "The resource's key, usually in AZURE_OPENAI_API_KEY.")
            .setting(BASE_URL)
            .setting(API_VERSION)
            .setting(AUTH)
            .setting(MODEL)
            .setting(EMBEDDING_MODEL)
            .setting(CHAT_MODEL)
            // https://learn.microsoft.com/azure/ai-foundry/openai/quotas-limits
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

impl embedding::Guest for Azure {
    async fn embed(request: EmbeddingRequest) -> Result<embeddings::Response, Error> {
        let model = model(request.model.clone(), EMBEDDING_MODEL)?;
        let place = Place::configured()?;
        let kind = request.kind.filter(|_| place.tells_kinds()).map(|kind| match kind {
            InputKind::Document => ("input_type", "document"),
            InputKind::Query => ("input_type", "query"),
        });
        let dialect = embeddings::Dialect {
            further: kind,
            ..embeddings::Dialect::OPENAI
        };
        let url = place.url(&model, "embeddings")?;
        let answer = send(embeddings::request(url, &model, &request, dialect)).await?;
        embeddings::read(answer.body(), model, &request)
    }
}

impl chat::Guest for Azure {
    async fn chat(request: chats::Request) -> Result<chats::Response, Error> {
        let (request, model) = chat_request(request, chats::Form::Whole)?;
        chats::read(send(request).await?.body(), model)
    }

    async fn chat_streaming(request: chats::Request) -> Result<chat::StreamingResponse, Error> {
        let (request, model) = chat_request(request, chats::Form::Streamed)?;
        chats::stream(authorized(request)?, model).await.map(streaming_response)
    }
}

impl models::Guest for Azure {
    async fn list_models() -> Result<Vec<lists::Model>, Error> {
        let url = Place::configured()?.models_url();
        lists::read(send(lists::request(url)).await?.body())
    }
}

fn chat_request(request: chats::Request, form: chats::Form) -> Result<(Request, String), Error> {
    let model = model(request.model.clone(), CHAT_MODEL)?;
    let place = Place::configured()?;
    let dialect = chats::Dialect {
        max_tokens: place.max_tokens(),
        ..chats::Dialect::COMPATIBLE
    };
    let url = place.url(&model, "chat/completions")?;
    let request = chats::request(url, &model, &request, form, dialect)?;
    Ok((request, model))
}

/// There is no model that every resource has.
fn model(asked: Option<String>, of_operation: Setting) -> Result<String, Error> {
    let model = model::choose(asked, of_operation, "")?;
    if model.is_empty() {
        return Err(failure::refused(format!(
            "no model: name one in the call, or in the setting `{}`",
            of_operation.name()
        )));
    }
    Ok(model)
}

async fn send(request: Request) -> Result<Response, Error> {
    authorized(request)?.send().await
}

fn authorized(request: Request) -> Result<Request, Error> {
    let request = request.classify(errors::classify);
    match AUTH.text()?.as_str() {
        "api-key" => Ok(request.key_header("api-key", API_KEY)),
        "bearer" => Ok(request.bearer(API_KEY)),
        other => Err(failure::refused(format!(
            "the setting `auth` is `api-key` or `bearer`, not `{other}`"
        ))),
    }
}
