//! `POST /v2/embed`: Cohere's shape.
//!
//! Vectors are answered as numbers, as base64 of little-endian `f32`, or both, as `embedding_types` asks. What a provider
//! may do only for itself (images, quantized vectors, cutting by tokens) is refused by name: nothing is asked for in vain.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_runtime::types::{EmbeddingRequest, InputKind};

use super::allowance::Spending;
use super::app::App;
use super::backend::RouteTable;
use super::embeddings::{embedded, to_base64, vectors};
use super::error::ApiError;
use super::json::JsonBody;
use super::observe::told;
use super::request_id::RequestId;
use super::resolve::resolve;

/// What clients send. `truncate` and `priority` are the provider's own matter and are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct EmbedBody {
    model: Option<String>,
    texts: Option<Vec<String>>,
    input_type: Option<InputType>,
    output_dimension: Option<u32>,
    embedding_types: Option<Vec<EmbeddingType>>,
    images: Option<Value>,
    inputs: Option<Value>,
    max_tokens: Option<Value>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum InputType {
    SearchDocument,
    SearchQuery,
    Classification,
    Clustering,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EmbeddingType {
    Float,
    Base64,
}

#[derive(Debug, Serialize)]
struct EmbedAnswer<'a> {
    response_type: &'static str,
    id: &'a str,
    embeddings: Embeddings<'a>,
    texts: &'a [String],
    meta: Meta,
}

#[derive(Debug, Serialize)]
struct Embeddings<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    float: Option<Vec<&'a [f32]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct Meta {
    billed_units: BilledUnits,
}

#[derive(Debug, Serialize)]
struct BilledUnits {
    input_tokens: u64,
}

pub(crate) async fn embed(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(spending): Extension<Spending>,
    JsonBody(body): JsonBody<EmbedBody>,
) -> Result<Response, ApiError> {
    let backend = app.backend();
    let targets = resolve(backend.as_ref(), RouteTable::Embeddings, body.model.as_deref())?;
    let types = body.embedding_types.clone().unwrap_or_default();
    let request = request(body)?;

    let (response, answered) = embedded(backend.as_ref(), &targets, &request).await?;

    let input_tokens = response.usage.input_tokens;
    spending.spend(input_tokens);
    let vectors = vectors(&response, request.inputs.len())
        .map_err(|reason| ApiError::malformed(&answered.provider, &reason).answered(answered.clone()))?;
    let base64 = types.contains(&EmbeddingType::Base64);
    let float = !base64 || types.contains(&EmbeddingType::Float);
    let answer = Json(EmbedAnswer {
        response_type: "embeddings_by_type",
        id: id.as_str(),
        embeddings: Embeddings {
            float: float.then(|| vectors.clone().collect()),
            base64: base64.then(|| vectors.map(to_base64).collect()),
        },
        texts: &request.inputs,
        meta: Meta {
            billed_units: BilledUnits { input_tokens },
        },
    });
    Ok(told(answer, answered))
}

/// The typed request; its model is filled in for each provider.
fn request(body: EmbedBody) -> Result<EmbeddingRequest, ApiError> {
    for (name, value) in [
        ("images", &body.images),
        ("inputs", &body.inputs),
        ("max_tokens", &body.max_tokens),
    ] {
        if value.as_ref().is_some_and(|value| !value.is_null()) {
            let message = format!("{name} is not supported: send texts");
            return Err(ApiError::invalid(name, message));
        }
    }
    if body.output_dimension == Some(0) {
        return Err(ApiError::invalid("output_dimension", "output_dimension is at least 1"));
    }
    let texts = body.texts.filter(|texts| !texts.is_empty());
    let inputs = texts.ok_or_else(|| ApiError::invalid("texts", "texts: send a list of strings, of at least one"))?;
    Ok(EmbeddingRequest {
        inputs,
        model: None,
        kind: body.input_type.and_then(|kind| match kind {
            InputType::SearchDocument => Some(InputKind::Document),
            InputType::SearchQuery => Some(InputKind::Query),
            InputType::Classification | InputType::Clustering => None,
        }),
        dimensions: body.output_dimension,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fake::{Answer, FakeBackend, FakeProvider, post};
    use serde_json::json;

    async fn embed(extra: Value) -> Answer {
        let mut body = json!({"model": "cohere/m", "texts": ["a", "b"], "input_type": "search_document"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let backend = FakeBackend::default().provider(FakeProvider::new("cohere"));
        post(backend, "/v2/embed", body).await
    }

    #[tokio::test]
    async fn the_answer_has_coheres_shape() {
        let answer = embed(json!({"truncate": "END"})).await;
        let expected = json!({
            "response_type": "embeddings_by_type",
            "id": answer.headers["x-request-id"].to_str().unwrap(),
            "embeddings": {"float": [[0.1, -0.5], [0.1, -0.5]]},
            "texts": ["a", "b"],
            "meta": {"billed_units": {"input_tokens": 2}},
        });
        assert_eq!((answer.status, &answer.json), (200, &expected));
        assert_eq!(answer.headers["x-weir-provider"], "cohere");
    }

    #[tokio::test]
    async fn each_embedding_type_is_answered_exactly_when_it_is_asked_for() {
        for (types, answered) in [
            (json!(null), vec!["float"]),
            (json!([]), vec!["float"]),
            (json!(["float"]), vec!["float"]),
            (json!(["base64"]), vec!["base64"]),
            (json!(["base64", "float"]), vec!["base64", "float"]),
        ] {
            let answer = embed(json!({"embedding_types": types})).await;
            let embeddings = answer.json["embeddings"].as_object().unwrap();
            assert_eq!(embeddings.keys().collect::<Vec<_>>(), answered, "{types}");
            if let Some(base64) = embeddings.get("base64") {
                // 0.1f32 is cdcccc3d, -0.5f32 is 000000bf, little-endian.
                assert_eq!(base64, &json!(["zczMPQAAAL8=", "zczMPQAAAL8="]));
            }
        }
    }

    #[tokio::test]
    async fn the_kind_and_the_dimension_reach_the_provider() {
        let backend = FakeBackend::default().provider(FakeProvider::new("cohere"));
        let body = json!({"model": "cohere", "texts": ["a"], "input_type": "search_query", "output_dimension": 3});
        let answer = post(backend, "/v2/embed", body).await;
        // The fake's vectors are as long as was asked, and start over with each text.
        assert_eq!(answer.json["embeddings"]["float"][0].as_array().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn what_is_not_offered_is_refused_by_name() {
        for (extra, param) in [
            (json!({"texts": []}), "texts"),
            (json!({"texts": null}), "texts"),
            (json!({"texts": ["a", 7]}), "texts[1]"),
            (json!({"images": ["data:image/png;base64,"]}), "images"),
            (json!({"inputs": []}), "inputs"),
            (json!({"max_tokens": 9}), "max_tokens"),
            (json!({"input_type": "image"}), "input_type"),
            (json!({"embedding_types": ["int8"]}), "embedding_types[0]"),
            (json!({"output_dimension": 0}), "output_dimension"),
        ] {
            let answer = embed(extra.clone()).await;
            let named = answer.json["error"]["param"].as_str();
            assert_eq!((answer.status, named), (400, Some(param)), "{extra}");
        }
    }
}
