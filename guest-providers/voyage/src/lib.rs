//! The adapter for Voyage AI (<https://docs.voyageai.com/reference>): embeddings and reranking.

mod embed;
mod rerank;

use weir_guest::types::{EmbeddingRequest, Error};
use weir_guest::{Limits, Manifest, Setting, failure};

struct Voyage;

weir_guest::provider!(
    Voyage,
    "
    package weir:voyage;
    world adapter {
        include weir:provider/embedding-provider@0.1.0;
        include weir:provider/reranking-provider@0.1.0;
    }
"
);

const API_KEY: &str = "api_key";
const EMBEDDING_MODEL: &str = "voyage-code-3";
const RERANKING_MODEL: &str = "rerank-2.5";

const BASE_URL: Setting = Setting::new(
    "base_url",
    "Where the API is served. Keys that begin with `al-` belong to https://ai.mongodb.com/v1.",
)
.default("https://api.voyageai.com/v1");
const MODEL: Setting = Setting::new("model", "The embedding model when a call names none.").default(EMBEDDING_MODEL);
const RERANK_MODEL: Setting =
    Setting::new("rerank_model", "The reranking model when a call names none.").default(RERANKING_MODEL);
const TRUNCATION: Setting = Setting::new(
    "truncation",
    "`true` cuts texts that are too long for the model, `false` refuses them; Voyage's own choice, to cut, where none is given.",
);

impl metadata::Guest for Voyage {
    fn describe() -> Manifest {
        Manifest::new(
            "voyage",
            env!("CARGO_PKG_VERSION"),
            "Embeddings and reranking by Voyage AI.",
        )
        .origin_of(BASE_URL)
        .secret(API_KEY, "A Voyage AI key, usually in VOYAGE_API_KEY.")
        .setting(BASE_URL)
        .setting(MODEL)
        .setting(RERANK_MODEL)
        .setting(TRUNCATION)
        .default_model("embed", EMBEDDING_MODEL)
        .default_model("rerank", RERANKING_MODEL)
        // https://docs.voyageai.com/reference/embeddings-api; the tokens are voyage-code-3's.
        .limits(
            "embed",
            Limits {
                max_items: Some(128),
                max_item_tokens: Some(32_000),
                max_tokens: Some(120_000),
            },
        )
        // https://docs.voyageai.com/reference/reranker-api; the tokens are rerank-2.5's, the query counted with each document.
        .limits(
            "rerank",
            Limits {
                max_items: Some(1_000),
                max_tokens: Some(600_000),
                ..Limits::NONE
            },
        )
    }
}

impl embedding::Guest for Voyage {
    async fn embed(request: EmbeddingRequest) -> Result<embedding::Response, Error> {
        let model = MODEL.or(request.model.clone())?;
        let answer = embed::request(&BASE_URL.url()?, &model, &request, TRUNCATION.flag()?)
            .classify(classify)
            .send()
            .await?;
        embed::read(answer.body(), &request)
    }
}

impl reranking::Guest for Voyage {
    async fn rerank(request: reranking::Request) -> Result<reranking::Response, Error> {
        let model = RERANK_MODEL.or(request.model.clone())?;
        let answer = rerank::request(&BASE_URL.url()?, &model, &request, TRUNCATION.flag()?)
            .classify(classify)
            .send()
            .await?;
        rerank::read(answer.body(), &request)
    }
}

/// A batch that is too large is a 400 as any other; only the words tell.
fn classify(error: Error) -> Error {
    failure::too_large_if(error, |failure| {
        failure.message.contains("tokens per submitted batch") || failure.message.contains("batch size limit")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_too_many_tokens_asks_for_smaller_parts() {
        let body = br#"{"detail": "The max allowed tokens per submitted batch is 120000. Your batch has 130000."}"#;
        assert!(matches!(
            classify(failure::of_answer(400, &[], body)),
            Error::TooLarge(_)
        ));
        let body = br#"{"detail": "Model x is not supported."}"#;
        assert!(matches!(
            classify(failure::of_answer(400, &[], body)),
            Error::InvalidInput(_)
        ));
    }
}
