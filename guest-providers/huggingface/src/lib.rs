//! The adapter for Hugging Face's router of inference providers
//! (<https://huggingface.co/docs/inference-providers>): embeddings by its own servers, chat whole and streamed by any of
//! its providers, the list of models.

mod features;
mod loading;

use openai_api::model::{self, CHAT_MODEL, EMBEDDING_MODEL};
use openai_api::{chat as chats, embeddings, errors, models as lists};
use weir_guest::types::{EmbeddingRequest, Error};
use weir_guest::{Limits, Manifest, Request, Response, Setting, failure};

struct HuggingFace;

openai_api::provider!(
    HuggingFace,
    [embedding, chat, models],
    "
    package weir:huggingface;
    world adapter {
        include weir:provider/embedding-provider@0.1.0;
        include weir:provider/chat-provider@0.1.0;
        include weir:provider/models-provider@0.1.0;
    }
"
);

const API_KEY: &str = "api_key";
const DEFAULT_EMBEDDING_MODEL: &str = "sentence-transformers/all-MiniLM-L6-v2";
const DEFAULT_CHAT_MODEL: &str = "meta-llama/Llama-3.1-8B-Instruct";

const BASE_URL: Setting = Setting::new("base_url", "Where the router is.").default("https://router.huggingface.co");

impl metadata::Guest for HuggingFace {
    fn describe() -> Manifest {
        let description = "Embeddings and chat by models on Hugging Face.";
        let manifest = Manifest::new("huggingface", env!("CARGO_PKG_VERSION"), description)
            .origin_of(BASE_URL)
            .secret(API_KEY, "An access token, usually in HF_TOKEN.")
            .setting(BASE_URL);
        model::told(manifest, DEFAULT_EMBEDDING_MODEL, DEFAULT_CHAT_MODEL)
            // Its servers are text-embeddings-inference, whose `--max-client-batch-size` is 32 if nothing else is said.
            .limits(
                "embed",
                Limits {
                    max_items: Some(32),
                    ..Limits::NONE
                },
            )
    }
}

impl embedding::Guest for HuggingFace {
    async fn embed(request: EmbeddingRequest) -> Result<embeddings::Response, Error> {
        let model = model::choose(request.model.clone(), EMBEDDING_MODEL, DEFAULT_EMBEDDING_MODEL)?;
        let answer = send(features::request(&BASE_URL.url()?, &model, &request)?).await?;
        features::read(answer.body(), model, &request)
    }
}

impl chat::Guest for HuggingFace {
    async fn chat(request: chats::Request) -> Result<chats::Response, Error> {
        let (request, model) = chat_request(request, chats::Form::Whole)?;
        chats::read(send(request).await?.body(), model)
    }

    async fn chat_streaming(request: chats::Request) -> Result<chat::StreamingResponse, Error> {
        let (request, model) = chat_request(request, chats::Form::Streamed)?;
        chats::stream(authorized(request), model).await.map(streaming_response)
    }
}

impl models::Guest for HuggingFace {
    async fn list_models() -> Result<Vec<lists::Model>, Error> {
        let url = format!("{}/v1/models", BASE_URL.url()?);
        lists::read(send(lists::request(url)).await?.body())
    }
}

fn chat_request(request: chats::Request, form: chats::Form) -> Result<(Request, String), Error> {
    let model = model::choose(request.model.clone(), CHAT_MODEL, DEFAULT_CHAT_MODEL)?;
    let url = format!("{}/v1/chat/completions", BASE_URL.url()?);
    let request = chats::request(url, &model, &request, form, chats::Dialect::COMPATIBLE)?;
    Ok((request, model))
}

async fn send(request: Request) -> Result<Response, Error> {
    authorized(request).send().await
}

fn authorized(request: Request) -> Request {
    request.bearer(API_KEY).refusal(loading::read).classify(classify)
}

/// A batch or a text that is too large is a refusal as any other: the words are text-embeddings-inference's.
fn classify(error: Error) -> Error {
    failure::too_large_if(errors::classify(error), |failure| {
        failure.message.contains("maximum allowed batch size") || failure.message.contains("must have less than")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_is_too_large_asks_for_smaller_parts() {
        for words in [
            "batch size 64 > maximum allowed batch size 32",
            "`inputs` must have less than 512 tokens. Given: 600",
        ] {
            let body = format!(r#"{{"error": "{words}", "error_type": "Validation"}}"#);
            assert!(matches!(
                classify(failure::of_answer(422, &[], body.as_bytes())),
                Error::TooLarge(_)
            ));
        }
        let body = br#"{"error": "no such model"}"#;
        assert!(matches!(
            classify(failure::of_answer(400, &[], body)),
            Error::InvalidInput(_)
        ));
    }
}
