//! Voyage AI: `POST /v1/embeddings` and `POST /v1/rerank`; errors are `{"detail": …}`.
//!
//! Limits are the provider's (docs.voyageai.com, "Embeddings" and "Rerankers"): 128 inputs and 120,000 tokens a
//! request, 32,000 tokens an input, 1,000 documents to rerank.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State as Shared,
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    TextOrTexts, bearer,
    encoding::{self, ElementType, Encoded},
    parse,
};
use crate::state::State;

const MOST_INPUTS: usize = 128;
const MOST_TOKENS: u64 = 120_000;
const LONGEST_INPUT: u64 = 32_000;
const MOST_DOCUMENTS: usize = 1_000;
/// Our own bound on `output_dimension`; the widest model has 2,048.
const WIDEST: usize = 4_096;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/rerank", post(rerank))
        .fallback(|| async { Error::new(StatusCode::NOT_FOUND, "Not Found") })
        .method_not_allowed_fallback(|| async { Error::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") })
        .with_state(state)
}

pub(super) fn admit(headers: &HeaderMap, key: &str) -> Result<(), Box<Response>> {
    match bearer(headers) {
        Some(given) if given == key => Ok(()),
        _ => Err(Box::new(
            Error::new(StatusCode::UNAUTHORIZED, "Provided API key is invalid.").into_response(),
        )),
    }
}

/// An error in Voyage's shape.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    detail: String,
}

impl Error {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
        }
    }

    fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"detail": self.detail}))).into_response()
    }
}

#[derive(Deserialize)]
struct EmbeddingsRequest {
    input: TextOrTexts,
    model: String,
    #[serde(default)]
    input_type: Option<String>,
    #[serde(default)]
    truncation: Option<bool>,
    #[serde(default)]
    output_dimension: Option<usize>,
    #[serde(default)]
    output_dtype: Option<ElementType>,
    #[serde(default)]
    encoding_format: Option<String>,
}

#[derive(Serialize)]
struct EmbeddingsAnswer {
    object: &'static str,
    data: Vec<EmbeddingObject>,
    model: String,
    usage: Usage,
}

#[derive(Serialize)]
struct EmbeddingObject {
    object: &'static str,
    embedding: Encoded,
    index: usize,
}

#[derive(Serialize)]
struct Usage {
    total_tokens: u64,
}

async fn embeddings(Shared(state): Shared<Arc<State>>, body: Bytes) -> Result<Json<EmbeddingsAnswer>, Error> {
    let request: EmbeddingsRequest = parse(&body).map_err(Error::bad_request)?;
    let texts = request.input.into_texts();
    check_model(&request.model)?;
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        return Err(Error::bad_request(
            "The request body is not valid: `input` cannot be empty or hold empty strings.",
        ));
    }
    if texts.len() > MOST_INPUTS {
        let count = texts.len();
        return Err(Error::bad_request(format!(
            "The batch size limit is {MOST_INPUTS}. Your batch size is {count}. Please send fewer inputs."
        )));
    }
    if !matches!(request.input_type.as_deref(), None | Some("query" | "document")) {
        return Err(Error::bad_request(
            "`input_type` must be null, \"query\" or \"document\".",
        ));
    }
    if request
        .output_dimension
        .is_some_and(|dimension| !(1..=WIDEST).contains(&dimension))
    {
        return Err(Error::bad_request(format!(
            "`output_dimension` must be from 1 to {WIDEST}."
        )));
    }
    let base64 = match request.encoding_format.as_deref() {
        None => false,
        Some("base64") => true,
        Some(other) => {
            return Err(Error::bad_request(format!(
                "`encoding_format` \"{other}\" is not null or \"base64\"."
            )));
        }
    };
    let element = request.output_dtype.unwrap_or_default();
    let truncation = request.truncation.unwrap_or(true);
    let mut total_tokens = 0;
    let mut data = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let embedding = state.model.embed(text, request.output_dimension);
        if embedding.tokens > LONGEST_INPUT && !truncation {
            let tokens = embedding.tokens;
            return Err(Error::bad_request(format!(
                "Input {index} has {tokens} tokens, more than the {LONGEST_INPUT} the model reads, and `truncation` is false."
            )));
        }
        total_tokens += embedding.tokens.min(LONGEST_INPUT);
        let write = if base64 { encoding::base64 } else { encoding::numbers };
        data.push(EmbeddingObject {
            object: "embedding",
            embedding: write(&embedding.vector, element),
            index,
        });
    }
    if total_tokens > MOST_TOKENS {
        return Err(Error::bad_request(format!(
            "The max allowed tokens per submitted batch is {MOST_TOKENS}. Your batch has {total_tokens} tokens after \
             truncation. Please lower the number of tokens in the batch."
        )));
    }
    Ok(Json(EmbeddingsAnswer {
        object: "list",
        data,
        model: request.model,
        usage: Usage { total_tokens },
    }))
}

#[derive(Deserialize)]
struct RerankRequest {
    query: String,
    documents: Vec<String>,
    model: String,
    #[serde(default)]
    top_k: Option<usize>,
    #[serde(default)]
    return_documents: Option<bool>,
}

#[derive(Serialize)]
struct RerankAnswer {
    object: &'static str,
    data: Vec<RerankObject>,
    model: String,
    usage: Usage,
}

#[derive(Serialize)]
struct RerankObject {
    relevance_score: f32,
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<String>,
}

async fn rerank(Shared(state): Shared<Arc<State>>, body: Bytes) -> Result<Json<RerankAnswer>, Error> {
    let request: RerankRequest = parse(&body).map_err(Error::bad_request)?;
    check_model(&request.model)?;
    if request.query.is_empty() || request.documents.is_empty() {
        return Err(Error::bad_request("`query` and `documents` cannot be empty."));
    }
    if request.documents.len() > MOST_DOCUMENTS {
        let count = request.documents.len();
        return Err(Error::bad_request(format!(
            "At most {MOST_DOCUMENTS} documents can be reranked; you sent {count}."
        )));
    }
    if request.top_k == Some(0) {
        return Err(Error::bad_request("`top_k` must be at least 1."));
    }
    let ranking = state.model.rank(&request.query, &request.documents, request.top_k);
    let with_documents = request.return_documents.unwrap_or(false);
    let data = ranking
        .results
        .iter()
        .map(|ranked| RerankObject {
            relevance_score: ranked.score,
            index: ranked.index,
            document: with_documents
                .then(|| request.documents.get(ranked.index).cloned())
                .flatten(),
        })
        .collect();
    Ok(Json(RerankAnswer {
        object: "list",
        data,
        model: request.model,
        usage: Usage {
            total_tokens: ranking.tokens,
        },
    }))
}

/// Every name that could be Voyage's is served by the one local model; others are refused as Voyage refuses them.
fn check_model(model: &str) -> Result<(), Error> {
    if model.starts_with("voyage-") || model.starts_with("rerank-") {
        return Ok(());
    }
    Err(Error::bad_request(format!(
        "Model {model} is not supported. Supported are names that begin with voyage- or rerank-."
    )))
}
