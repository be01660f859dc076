//! `POST /v1/embeddings`: OpenAI's shape.
//!
//! Vectors are answered as numbers, and as base64 of little-endian `f32` if and only if `encoding_format` asks for it:
//! a client reads what it asked for. Extensions: `input_type` (`document` or `query`; Voyage's and Cohere's word for
//! it), and `output_dimension` beside `dimensions`.

use std::fmt;
use std::slice::ChunksExact;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use weir_runtime::embedding;
use weir_runtime::types::{EmbeddingRequest, InputKind};

use super::allowance::Spending;
use super::app::App;
use super::attempt::{Answered, first_answer};
use super::backend::{Backend, RouteTable};
use super::error::ApiError;
use super::json::JsonBody;
use super::observe::told;
use super::resolve::{Target, resolve};

/// What clients send. Fields beyond these (`user`, …) change nothing in an embedding and are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct EmbeddingsBody {
    model: Option<String>,
    input: Texts,
    encoding_format: Option<EncodingFormat>,
    #[serde(alias = "output_dimension")]
    dimensions: Option<u32>,
    input_type: Option<InputType>,
    /// Voyage's word for quantized vectors, which its client would take ours for.
    output_dtype: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EncodingFormat {
    Float,
    Base64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum InputType {
    Document,
    Query,
}

#[derive(Debug, Serialize)]
struct EmbeddingList<'a> {
    object: &'static str,
    data: Vec<Embedding<'a>>,
    model: &'a str,
    usage: Usage,
}

#[derive(Debug, Serialize)]
struct Embedding<'a> {
    object: &'static str,
    index: usize,
    embedding: Vector<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    Numbers(&'a [f32]),
    Base64(String),
}

#[derive(Debug, Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

pub(crate) async fn embeddings(
    State(app): State<Arc<App>>,
    Extension(spending): Extension<Spending>,
    JsonBody(body): JsonBody<EmbeddingsBody>,
) -> Result<Response, ApiError> {
    let backend = app.backend();
    let targets = resolve(backend.as_ref(), RouteTable::Embeddings, body.model.as_deref())?;
    let base64 = body.encoding_format == Some(EncodingFormat::Base64);
    let request = request(body)?;
    let inputs = request.inputs.len();

    let (response, answered) = embedded(backend.as_ref(), &targets, &request).await?;

    spending.spend(response.usage.input_tokens);
    let list = list(&response, inputs, base64)
        .map_err(|reason| ApiError::malformed(&answered.provider, &reason).answered(answered.clone()))?;
    Ok(told(Json(list), answered))
}

/// The vectors by the first provider that makes them.
pub(super) async fn embedded(
    backend: &dyn Backend,
    targets: &[Target],
    request: &EmbeddingRequest,
) -> Result<(embedding::Response, Answered), ApiError> {
    let operation = RouteTable::Embeddings.operation();
    first_answer(backend, targets, operation, |provider, model| {
        provider.embed(EmbeddingRequest {
            model,
            ..request.clone()
        })
    })
    .await
}

/// The typed request; its model is filled in for each provider.
fn request(body: EmbeddingsBody) -> Result<EmbeddingRequest, ApiError> {
    if body.dimensions == Some(0) {
        return Err(ApiError::invalid("dimensions", "dimensions is at least 1"));
    }
    if body.input.0.is_empty() {
        let message = "input: the list is empty; send a string or a list of strings";
        return Err(ApiError::invalid("input", message));
    }
    if let Some(kind) = body.output_dtype.as_deref().filter(|kind| *kind != "float") {
        let message = format!("output_dtype: vectors are answered as float, not as {kind}");
        return Err(ApiError::invalid("output_dtype", message));
    }
    let kind = body.input_type.map(|kind| match kind {
        InputType::Document => InputKind::Document,
        InputType::Query => InputKind::Query,
    });
    Ok(EmbeddingRequest {
        inputs: body.input.0,
        model: None,
        kind,
        dimensions: body.dimensions,
    })
}

/// A token's number means something to one model only, and adapters take texts.
const TOKEN_IDS: &str = "token ids are not supported; send a string or a list of strings";

/// One text, or a list of them. Nothing else is kept: a list of numbers ends at the first.
#[derive(Debug)]
struct Texts(Vec<String>);

struct Text(String);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(Text(text)) = items.next_element()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Text, E> {
                Ok(Text(text))
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Text, E> {
                Err(E::custom(TOKEN_IDS))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Text, A::Error> {
                Err(de::Error::custom(TOKEN_IDS))
            }
        }
        deserializer.deserialize_any(One)
    }
}

fn list(response: &embedding::Response, inputs: usize, base64: bool) -> Result<EmbeddingList<'_>, String> {
    let data = vectors(response, inputs)?
        .enumerate()
        .map(|(index, vector)| {
            let embedding = if base64 {
                Vector::Base64(to_base64(vector))
            } else {
                Vector::Numbers(vector)
            };
            Embedding {
                object: "embedding",
                index,
                embedding,
            }
        })
        .collect();
    let tokens = response.usage.input_tokens;
    let usage = Usage {
        prompt_tokens: tokens,
        total_tokens: tokens,
    };
    Ok(EmbeddingList {
        object: "list",
        data,
        model: &response.model,
        usage,
    })
}

/// One vector for each of so many inputs, or what is wrong with the answer. That values are finite, the runtime sees to.
pub(super) fn vectors(response: &embedding::Response, inputs: usize) -> Result<ChunksExact<'_, f32>, String> {
    let dimensions = response.dimensions as usize;
    if dimensions == 0 || dimensions.checked_mul(inputs) != Some(response.vectors.len()) {
        let got = response.vectors.len();
        return Err(format!(
            "{inputs} inputs of {dimensions} dimensions need other than {got} values"
        ));
    }
    Ok(response.vectors.chunks_exact(dimensions))
}

/// Of little-endian `f32`.
pub(super) fn to_base64(vector: &[f32]) -> String {
    let mut bytes = vec![0; size_of_val(vector)];
    for (bytes, value) in bytes.chunks_exact_mut(size_of::<f32>()).zip(vector) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
    BASE64.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fake::{FakeBackend, FakeProvider, post};
    use serde_json::json;

    fn backend() -> FakeBackend {
        FakeBackend::default().provider(FakeProvider::new("voyage"))
    }

    #[tokio::test]
    async fn the_answer_has_openais_shape() {
        let body = json!({"model": "voyage/code", "input": ["a", "b"], "user": "someone"});
        let answer = post(backend(), "/v1/embeddings", body).await;
        let expected = json!({
            "object": "list",
            "data": [
                {"object": "embedding", "index": 0, "embedding": [0.1, -0.5]},
                {"object": "embedding", "index": 1, "embedding": [0.1, -0.5]},
            ],
            "model": "code",
            "usage": {"prompt_tokens": 2, "total_tokens": 2},
        });
        assert_eq!((answer.status, &answer.json), (200, &expected));
        assert_eq!(answer.headers["x-weir-provider"], "voyage");
        assert_eq!(answer.headers["x-weir-attempts"], "1");
    }

    #[tokio::test]
    async fn base64_is_answered_exactly_when_it_is_asked_for() {
        let body = json!({"model": "voyage", "input": "a", "encoding_format": "base64"});
        let answer = post(backend(), "/v1/embeddings", body).await;
        // 0.1f32 is cdcccc3d, -0.5f32 is 000000bf, little-endian.
        let expected = BASE64.encode([0xcd, 0xcc, 0xcc, 0x3d, 0x00, 0x00, 0x00, 0xbf]);
        assert_eq!(answer.json["data"][0]["embedding"], expected);

        let body = json!({"model": "voyage", "input": "a", "encoding_format": "float"});
        let answer = post(backend(), "/v1/embeddings", body).await;
        assert!(answer.json["data"][0]["embedding"].is_array());
    }

    #[test]
    fn base64_keeps_every_bit() {
        let vector = [f32::MIN_POSITIVE, -0.0, 1.0 / 3.0, f32::MAX, 1e-45];
        let bytes = BASE64.decode(to_base64(&vector)).unwrap();
        let back: Vec<u32> = bytes
            .chunks_exact(4)
            .map(|b| u32::from_le_bytes(b.try_into().unwrap()))
            .collect();
        assert_eq!(back, vector.map(f32::to_bits));
    }

    #[tokio::test]
    async fn dimensions_and_input_type_reach_the_provider() {
        let body = json!({"model": "voyage", "input": "a", "dimensions": 3, "input_type": "query"});
        let answer = post(backend(), "/v1/embeddings", body).await;
        assert_eq!(answer.json["data"][0]["embedding"].as_array().unwrap().len(), 3);
        assert_eq!(answer.json["model"], "default as a query");
    }

    #[tokio::test]
    async fn an_input_that_is_no_text_is_refused_by_place() {
        for (input, param) in [
            (json!([1, 2, 3]), "input[0]"),
            (json!([[1, 2], [3]]), "input[0]"),
            (json!(["a", {"text": "b"}]), "input[1]"),
            (json!([]), "input"),
            (json!(7), "input"),
            (json!(null), "input"),
            (json!({"text": "a"}), "input"),
        ] {
            let answer = post(backend(), "/v1/embeddings", json!({"model": "voyage", "input": input})).await;
            assert_eq!(
                (answer.status, answer.json["error"]["param"].as_str()),
                (400, Some(param)),
                "{input}"
            );
        }
        let answer = post(backend(), "/v1/embeddings", json!({"model": "voyage", "input": [1, 2]})).await;
        assert!(answer.json["error"]["message"].as_str().unwrap().contains("token ids"));
    }

    #[tokio::test]
    async fn vectors_that_a_client_would_misread_are_refused() {
        for (kind, status) in [(json!("int8"), 400), (json!("float"), 200), (json!(null), 200)] {
            let body = json!({"model": "voyage", "input": "a", "output_dtype": kind});
            assert_eq!(post(backend(), "/v1/embeddings", body).await.status, status, "{kind}");
        }
    }

    #[test]
    fn a_short_answer_is_never_passed_on() {
        let response = |dimensions, vectors: Vec<f32>| embedding::Response {
            model: "m".into(),
            dimensions,
            vectors,
            usage: weir_runtime::types::Usage {
                input_tokens: 0,
                output_tokens: 0,
            },
        };
        assert!(list(&response(2, vec![1.0; 3]), 2, false).is_err());
        assert!(list(&response(0, vec![]), 1, false).is_err());
        assert!(list(&response(2, vec![1.0; 4]), 2, false).is_ok());
    }
}
