//! Cohere, version 2: `POST /v2/embed` and `POST /v2/rerank`; errors are `{"id": …, "message": …}`.
//!
//! Limits are the provider's (docs.cohere.com, "Embed" and "Rerank"): 96 texts to embed, 1,000 documents to rerank.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::State as Shared,
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    bearer,
    encoding::{self, ElementType, Encoded},
    parse,
};
use crate::state::State;

const MOST_TEXTS: usize = 96;
const MOST_DOCUMENTS: usize = 1_000;
/// Our own bound on `output_dimension`; the widest model has 1,536.
const WIDEST: usize = 4_096;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/v2/embed", post(embed))
        .route("/v2/rerank", post(rerank))
        .fallback(|| async { Error::new(StatusCode::NOT_FOUND, "page not found") })
        .method_not_allowed_fallback(|| async { Error::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed") })
        .with_state(state)
}

pub(super) fn admit(headers: &HeaderMap, key: &str) -> Result<(), Box<Response>> {
    let message = match bearer(headers) {
        Some(given) if given == key => return Ok(()),
        Some(_) => "invalid api token",
        None => "no api key supplied",
    };
    Err(Box::new(Error::new(StatusCode::UNAUTHORIZED, message).into_response()))
}

/// An error in Cohere's shape.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    message: String,
}

impl Error {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    fn invalid(message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self::new(StatusCode::BAD_REQUEST, format!("invalid request: {message}"))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        // The same message has the same id, so that an answer is the same every time.
        let id = self
            .message
            .bytes()
            .fold(0u128, |id, byte| id.wrapping_mul(31).wrapping_add(u128::from(byte)));
        (
            self.status,
            Json(json!({"id": Uuid::from_u128(id), "message": self.message})),
        )
            .into_response()
    }
}

/// How an embedding is to be written: an element type's numbers, or the floats in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum EmbeddingType {
    Numbers(ElementType),
    Base64(Base64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Base64 {
    Base64,
}

impl EmbeddingType {
    fn name(self) -> &'static str {
        match self {
            Self::Numbers(ElementType::Float) => "float",
            Self::Numbers(ElementType::Int8) => "int8",
            Self::Numbers(ElementType::Uint8) => "uint8",
            Self::Numbers(ElementType::Binary) => "binary",
            Self::Numbers(ElementType::Ubinary) => "ubinary",
            Self::Base64(Base64::Base64) => "base64",
        }
    }

    fn write(self, vector: &[f32]) -> Encoded {
        match self {
            Self::Numbers(element) => encoding::numbers(vector, element),
            Self::Base64(Base64::Base64) => encoding::base64(vector, ElementType::Float),
        }
    }
}

#[derive(Deserialize)]
struct EmbedRequest {
    model: String,
    #[serde(default)]
    texts: Option<Vec<String>>,
    #[serde(default)]
    input_type: Option<String>,
    #[serde(default)]
    embedding_types: Option<Vec<EmbeddingType>>,
    #[serde(default)]
    output_dimension: Option<usize>,
    #[serde(default)]
    truncate: Option<String>,
    #[serde(default)]
    images: Option<Value>,
    #[serde(default)]
    inputs: Option<Value>,
}

#[derive(Serialize)]
struct EmbedAnswer {
    id: Uuid,
    embeddings: BTreeMap<&'static str, Vec<Encoded>>,
    texts: Vec<String>,
    meta: Value,
    response_type: &'static str,
}

/// The `input_type`s of texts.
const INPUT_TYPES: [&str; 4] = ["search_document", "search_query", "classification", "clustering"];

async fn embed(Shared(state): Shared<Arc<State>>, body: Bytes) -> Result<Json<EmbedAnswer>, Error> {
    let request: EmbedRequest = parse(&body).map_err(Error::invalid)?;
    check_model(&request.model, "embed-")?;
    if request.images.is_some() || request.inputs.is_some() {
        return Err(Error::invalid(
            "images and mixed inputs are not served by this local server; send `texts`",
        ));
    }
    let texts = request
        .texts
        .filter(|texts| !texts.is_empty())
        .ok_or_else(|| Error::invalid("`texts` must not be empty"))?;
    if texts.len() > MOST_TEXTS {
        let count = texts.len();
        return Err(Error::invalid(format!(
            "total number of texts must be at most {MOST_TEXTS}; you sent {count}"
        )));
    }
    match request.input_type.as_deref() {
        None => return Err(Error::invalid("`input_type` must be set")),
        Some(kind) if INPUT_TYPES.contains(&kind) => {}
        Some(kind) => {
            return Err(Error::invalid(format!(
                "`input_type` {kind:?} is none of {INPUT_TYPES:?}"
            )));
        }
    }
    if !matches!(request.truncate.as_deref(), None | Some("NONE" | "START" | "END")) {
        return Err(Error::invalid("`truncate` must be NONE, START or END"));
    }
    if request
        .output_dimension
        .is_some_and(|dimension| !(1..=WIDEST).contains(&dimension))
    {
        return Err(Error::invalid(format!("`output_dimension` must be from 1 to {WIDEST}")));
    }
    let types = request
        .embedding_types
        .unwrap_or_else(|| vec![EmbeddingType::Numbers(ElementType::Float)]);
    let found: Vec<_> = texts
        .iter()
        .map(|text| state.model.embed(text, request.output_dimension))
        .collect();
    let embeddings = types
        .iter()
        .map(|kind| {
            (
                kind.name(),
                found.iter().map(|embedding| kind.write(&embedding.vector)).collect(),
            )
        })
        .collect();
    let tokens: u64 = found.iter().map(|embedding| embedding.tokens).sum();
    Ok(Json(EmbedAnswer {
        id: state.next_uuid(),
        embeddings,
        texts,
        meta: json!({"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}}),
        response_type: "embeddings_by_type",
    }))
}

#[derive(Deserialize)]
struct RerankRequest {
    model: String,
    query: String,
    documents: Vec<String>,
    #[serde(default)]
    top_n: Option<usize>,
}

#[derive(Serialize)]
struct RerankAnswer {
    id: Uuid,
    results: Vec<RerankResult>,
    meta: Value,
}

#[derive(Serialize)]
struct RerankResult {
    index: usize,
    relevance_score: f32,
}

async fn rerank(Shared(state): Shared<Arc<State>>, body: Bytes) -> Result<Json<RerankAnswer>, Error> {
    let request: RerankRequest = parse(&body).map_err(Error::invalid)?;
    check_model(&request.model, "rerank-")?;
    if request.query.is_empty() || request.documents.is_empty() {
        return Err(Error::invalid("`query` and `documents` must not be empty"));
    }
    if request.documents.len() > MOST_DOCUMENTS {
        let count = request.documents.len();
        return Err(Error::invalid(format!(
            "at most {MOST_DOCUMENTS} documents can be reranked; you sent {count}"
        )));
    }
    if request.top_n == Some(0) {
        return Err(Error::invalid("`top_n` must be at least 1"));
    }
    let ranking = state.model.rank(&request.query, &request.documents, request.top_n);
    let results = ranking
        .results
        .iter()
        .map(|ranked| RerankResult {
            index: ranked.index,
            relevance_score: ranked.score,
        })
        .collect();
    // A search unit is a query with up to 100 documents (cohere.com/pricing).
    let units = request.documents.len().div_ceil(100);
    let meta = json!({"api_version": {"version": "2"}, "billed_units": {"search_units": units}});
    Ok(Json(RerankAnswer {
        id: state.next_uuid(),
        results,
        meta,
    }))
}

/// Every name that could be Cohere's is served by the one local model.
fn check_model(model: &str, prefix: &str) -> Result<(), Error> {
    if model.starts_with(prefix) {
        return Ok(());
    }
    let message = format!("model '{model}' not found: served are names that begin with {prefix}");
    Err(Error::new(StatusCode::NOT_FOUND, message))
}
