//! The adapter for Text Embeddings Inference (<https://github.com/huggingface/text-embeddings-inference>): dense and
//! sparse vectors, and reranking, by the one model a server serves.

mod embed;
mod models;
mod rerank;

use weir_guest::types::{EmbeddingRequest, Error, Usage};
use weir_guest::{Limits, Manifest, Request, Response, Setting, failure};

use bindings::exports::weir::provider::models as models_api;

struct Tei;

weir_guest::provider!(
    Tei,
    "
    package weir:tei;
    world adapter {
        include weir:provider/embedding-provider@0.1.0;
        include weir:provider/sparse-embedding-provider@0.1.0;
        include weir:provider/reranking-provider@0.1.0;
        include weir:provider/models-provider@0.1.0;
    }
"
);

const API_KEY: &str = "api_key";

const BASE_URL: Setting = Setting::new("base_url", "Where the server is.").default("http://localhost:8080");
const AUTH: Setting = Setting::new(
    "auth",
    "`bearer` sends the key, `none` sends none. The host says `none` where no key is granted.",
)
.default("bearer");
const MODEL: Setting = Setting::new(
    "model",
    "What the served model is called. A server has one model, and its vectors come without a name.",
)
.default("tei");
const DOCUMENT_PROMPT: Setting = Setting::new(
    "document_prompt",
    "The model's prompt for documents, by its name in `config_sentence_transformers.json`.",
);
const QUERY_PROMPT: Setting = Setting::new("query_prompt", "The model's prompt for queries, by its name.");
const TRUNCATE: Setting = Setting::new(
    "truncate",
    "`true` cuts texts that are too long for the model, `false` refuses them; the server's own choice where none is given.",
);

/// Texts in one request: what a server takes that was started without `--max-client-batch-size`.
const MAX_BATCH: Limits = Limits {
    max_items: Some(32),
    ..Limits::NONE
};

impl metadata::Guest for Tei {
    fn describe() -> Manifest {
        Manifest::new(
            "tei",
            env!("CARGO_PKG_VERSION"),
            "Embeddings, dense and sparse, and reranking by a Text Embeddings Inference server.",
        )
        .origin_of(BASE_URL)
        .optional_secret(API_KEY, "What the server was started with as `--api-key`.")
        .setting(BASE_URL)
        .setting(AUTH)
        .setting(MODEL)
        .setting(DOCUMENT_PROMPT)
        .setting(QUERY_PROMPT)
        .setting(TRUNCATE)
        .limits("embed", MAX_BATCH)
        .limits("embed-sparse", MAX_BATCH)
        .limits("rerank", MAX_BATCH)
    }
}

impl embedding::Guest for Tei {
    async fn embed(request: EmbeddingRequest) -> Result<embedding::Response, Error> {
        let options = embed::Options::configured(request.kind)?;
        let answer = send("embed", embed::dense(&BASE_URL.url()?, &request, &options)).await?;
        embed::read_dense(
            answer.body(),
            MODEL.or(request.model.clone())?,
            usage(&answer),
            &request,
        )
    }
}

impl sparse_embedding::Guest for Tei {
    async fn embed_sparse(request: EmbeddingRequest) -> Result<sparse_embedding::Response, Error> {
        if request.dimensions.is_some() {
            return Err(failure::refused("sparse vectors have no `dimensions` to choose"));
        }
        let options = embed::Options::configured(request.kind)?;
        let answer = send("embed-sparse", embed::sparse(&BASE_URL.url()?, &request, &options)).await?;
        embed::read_sparse(
            answer.body(),
            MODEL.or(request.model.clone())?,
            usage(&answer),
            &request,
        )
    }
}

impl reranking::Guest for Tei {
    async fn rerank(request: reranking::Request) -> Result<reranking::Response, Error> {
        let answer = send("rerank", rerank::request(&BASE_URL.url()?, &request, TRUNCATE.flag()?)).await?;
        rerank::read(
            answer.body(),
            MODEL.or(request.model.clone())?,
            usage(&answer),
            &request,
        )
    }
}

impl models_api::Guest for Tei {
    async fn list_models() -> Result<Vec<models_api::Model>, Error> {
        let answer = send("models", models::request(&BASE_URL.url()?)).await?;
        models::read(answer.body())
    }
}

async fn send(operation: &str, request: Request) -> Result<Response, Error> {
    let request = request.operation(operation).replay_safe().classify(classify);
    match AUTH.text()?.as_str() {
        "bearer" => request.bearer(API_KEY),
        "none" => request,
        other => {
            return Err(failure::refused(format!(
                "the setting `auth` is `bearer` or `none`, not `{other}`"
            )));
        }
    }
    .send()
    .await
}

/// What the server counted, which only a header tells.
fn usage(answer: &Response) -> Usage {
    let tokens = answer.header("x-compute-tokens").and_then(|tokens| tokens.parse().ok());
    Usage {
        input_tokens: tokens.unwrap_or(0),
        output_tokens: 0,
    }
}

/// What the statuses do not tell. A 424 is a failure of the model's, or says that the model is of another kind: the
/// server does not offer that. A batch or a text that is too large is a 422 as any other.
fn classify(error: Error) -> Error {
    match error {
        Error::Upstream(failure) if failure.status == Some(424) && failure.message.contains("odel is not a") => {
            Error::Unsupported(failure.message)
        }
        other => failure::too_large_if(other, |failure| {
            failure.message.contains("maximum allowed batch size") || failure.message.contains("must have less than")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> Error {
        classify(failure::of_answer(status, &[], body.as_bytes()))
    }

    #[test]
    fn a_refusal_keeps_the_servers_words() {
        let batch = r#"{"error": "batch size 64 > maximum allowed batch size 32", "error_type": "Validation"}"#;
        for status in [413, 422] {
            assert!(matches!(refused(status, batch), Error::TooLarge(failure)
                if failure.message.contains("maximum allowed") && failure.code.as_deref() == Some("Validation")));
        }
        let busy = r#"{"error": "Model is overloaded", "error_type": "Overloaded"}"#;
        assert!(matches!(refused(429, busy), Error::RateLimited(_)));
        let tokenizer = r#"{"error": "Tokenization error", "error_type": "Tokenizer"}"#;
        assert!(matches!(refused(422, tokenizer), Error::InvalidInput(_)));
        let broken = r#"{"error": "Inference failed", "error_type": "Backend"}"#;
        assert!(matches!(refused(424, broken), Error::Upstream(_)));
        assert!(matches!(refused(401, ""), Error::Unauthorized(_)));
    }

    #[test]
    fn a_model_of_another_kind_offers_no_such_thing() {
        for said in [
            "model is not a re-ranker model",
            "Model is not an embedding model with SPLADE pooling",
        ] {
            let body = format!(r#"{{"error": "{said}", "error_type": "Backend"}}"#);
            assert!(matches!(refused(424, &body), Error::Unsupported(text) if text == said));
        }
    }
}
