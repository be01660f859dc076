//! The adapter for Jina AI (<https://api.jina.ai/docs>): embeddings and reranking.
//!
//! It answers as servers of OpenAI's API do, and is asked in words of its own.

mod embed;
mod rerank;

use openai_api::{embeddings, rerank as ranks};
use weir_guest::types::{EmbeddingRequest, Error, InputKind};
use weir_guest::{Limits, Manifest, Request, Response, Setting};

struct Jina;

openai_api::provider!(
    Jina,
    [embedding, reranking],
    "
    package weir:jina;
    world adapter {
        include weir:provider/embedding-provider@0.1.0;
        include weir:provider/reranking-provider@0.1.0;
    }
"
);

const API_KEY: &str = "api_key";
const EMBEDDING_MODEL: &str = "jina-embeddings-v3";
const RERANKING_MODEL: &str = "jina-reranker-v2-base-multilingual";

const BASE_URL: Setting = Setting::new("base_url", "Where the API is served.").default("https://api.jina.ai/v1");
const MODEL: Setting = Setting::new("model", "The embedding model when a call names none.").default(EMBEDDING_MODEL);
const RERANK_MODEL: Setting =
    Setting::new("rerank_model", "The reranking model when a call names none.").default(RERANKING_MODEL);
const DOCUMENT_TASK: Setting = Setting::new(
    "document_task",
    "What the model calls documents to be searched: `nl2code.passage` for code models; empty sends nothing.",
)
.default("retrieval.passage");
const QUERY_TASK: Setting = Setting::new(
    "query_task",
    "What the model calls queries: `nl2code.query` for code models; empty sends nothing.",
)
.default("retrieval.query");

impl metadata::Guest for Jina {
    fn describe() -> Manifest {
        Manifest::new(
            "jina",
            env!("CARGO_PKG_VERSION"),
            "Embeddings and reranking by Jina AI.",
        )
        .origin_of(BASE_URL)
        .secret(API_KEY, "A Jina AI key, usually in JINA_API_KEY.")
        .setting(BASE_URL)
        .setting(MODEL)
        .setting(RERANK_MODEL)
        .setting(DOCUMENT_TASK)
        .setting(QUERY_TASK)
        .default_model("embed", EMBEDDING_MODEL)
        .default_model("rerank", RERANKING_MODEL)
        // None for `rerank`: jina-reranker-v3 compares documents with each other.
        // The texts are what `llama-index-embeddings-jinaai` sends at most (its MAX_BATCH_SIZE), the tokens
        // jina-embeddings-v3's (https://jina.ai/models/jina-embeddings-v3).
        .limits(
            "embed",
            Limits {
                max_items: Some(2_048),
                max_item_tokens: Some(8_192),
                ..Limits::NONE
            },
        )
    }
}

impl embedding::Guest for Jina {
    async fn embed(request: EmbeddingRequest) -> Result<embeddings::Response, Error> {
        let model = MODEL.or(request.model.clone())?;
        let task = match request.kind {
            Some(InputKind::Document) => DOCUMENT_TASK.text()?,
            Some(InputKind::Query) => QUERY_TASK.text()?,
            None => String::new(),
        };
        let answer = send(embed::request(&BASE_URL.url()?, &model, &task, &request)).await?;
        embeddings::read(answer.body(), model, &request)
    }
}

impl reranking::Guest for Jina {
    async fn rerank(request: ranks::Request) -> Result<ranks::Response, Error> {
        let model = RERANK_MODEL.or(request.model.clone())?;
        let answer = send(rerank::request(&BASE_URL.url()?, &model, &request)).await?;
        ranks::read(answer.body(), model, &request)
    }
}

async fn send(request: Request) -> Result<Response, Error> {
    request.bearer(API_KEY).replay_safe().send().await
}

#[cfg(test)]
mod tests {
    use weir_guest::failure;

    use super::*;

    #[test]
    fn refusals_keep_jinas_words() {
        let refused = |status| failure::of_answer(status, &[], br#"{"detail": "because"}"#);
        assert!(matches!(refused(402), Error::Unauthorized(failure) if failure.message == "because"));
        assert!(matches!(refused(422), Error::InvalidInput(failure) if failure.message == "because"));
        assert!(matches!(refused(429), Error::RateLimited(_)));
    }
}
