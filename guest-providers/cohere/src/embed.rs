//! `POST /v2/embed`.

use serde::{Deserialize, Serialize};
use weir_guest::types::{EmbeddingRequest, Error, InputKind, Usage};
use weir_guest::vectors::{self, Vector};
use weir_guest::{Request, failure, json};

use crate::embedding;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    texts: &'a [String],
    input_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<&'a str>,
    embedding_types: [&'a str; 1],
}

#[derive(Deserialize)]
struct Answer {
    embeddings: Embeddings,
    #[serde(default)]
    meta: Meta,
}

/// By type. `base64` is what we ask for; a server that knows it not answers with `float`.
#[derive(Deserialize)]
struct Embeddings {
    base64: Option<Vec<Vector>>,
    float: Option<Vec<Vector>>,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default)]
    billed_units: BilledUnits,
}

#[derive(Default, Deserialize)]
struct BilledUnits {
    /// A float in Cohere's own description.
    #[serde(default)]
    input_tokens: f64,
}

impl From<Meta> for Usage {
    fn from(meta: Meta) -> Self {
        Self {
            input_tokens: meta.billed_units.input_tokens as u64,
            output_tokens: 0,
        }
    }
}

pub(crate) fn request(base_url: &str, model: &str, request: &EmbeddingRequest, truncate: Option<&str>) -> Request {
    Request::post(format!("{base_url}/v2/embed"))
        .operation("embed")
        .replay_safe()
        .json(&Body {
            model,
            texts: &request.inputs,
            // Cohere wants one or the other. What is kept in a store is a document.
            input_type: match request.kind {
                Some(InputKind::Query) => "search_query",
                Some(InputKind::Document) | None => "search_document",
            },
            output_dimension: request.dimensions,
            truncate,
            embedding_types: ["base64"],
        })
}

pub(crate) fn read(body: &[u8], model: String, request: &EmbeddingRequest) -> Result<embedding::Response, Error> {
    let Answer { embeddings, meta } = json::read(body)?;
    let (path, items) = match embeddings {
        Embeddings {
            base64: Some(items), ..
        } => ("embeddings.base64", items),
        Embeddings { float: Some(items), .. } => ("embeddings.float", items),
        _ => return Err(failure::malformed("`embeddings`: neither `base64` nor `float`")),
    };
    let items = items.into_iter().map(vectors::Item::from);
    let vectors = vectors::in_order(path, items, request.inputs.len(), request.dimensions)?;
    Ok(embedding::Response {
        model,
        dimensions: vectors.dimensions,
        vectors: vectors.values,
        usage: meta.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: Option<InputKind>) -> EmbeddingRequest {
        EmbeddingRequest {
            inputs: vec!["a".to_owned(), "b".to_owned()],
            model: None,
            kind,
            dimensions: Some(2),
        }
    }

    #[test]
    fn a_request_says_what_the_texts_are_for() {
        let (wire, _) = request(
            "https://api.example.com",
            "embed-v4.0",
            &asked(Some(InputKind::Query)),
            Some("NONE"),
        )
        .into_wire()
        .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&wire.body.unwrap()).unwrap();
        assert_eq!(wire.url, "https://api.example.com/v2/embed");
        assert_eq!(
            body,
            serde_json::json!({
                "model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_query", "output_dimension": 2,
                "truncate": "NONE", "embedding_types": ["base64"],
            })
        );
    }

    #[test]
    fn base64_and_floats_give_the_same() {
        let base64 = br#"{"id": "1", "embeddings": {"base64": ["AACAPwAAAD8=", "AAAAPwAAgD8="]},
            "meta": {"billed_units": {"input_tokens": 5}}}"#;
        let float = br#"{"id": "1", "embeddings": {"float": [[1, 0.5], [0.5, 1]]}, "meta": {"billed_units": {}}}"#;

        let packed = read(base64, "m".to_owned(), &asked(None)).unwrap();
        let plain = read(float, "m".to_owned(), &asked(None)).unwrap();

        assert_eq!(packed.vectors, [1.0, 0.5, 0.5, 1.0]);
        assert_eq!(plain.vectors, packed.vectors);
        assert_eq!((packed.usage.input_tokens, plain.usage.input_tokens), (5, 0));
    }

    #[test]
    fn an_answer_without_vectors_names_what_is_missing() {
        let error = read(br#"{"embeddings": {"int8": [[1, 2]]}}"#, "m".to_owned(), &asked(None)).unwrap_err();
        assert!(matches!(error, Error::MalformedResponse(text) if text.contains("`embeddings`")));
        let error = read(br#"{"embeddings": {"float": [[1, 2]]}}"#, "m".to_owned(), &asked(None)).unwrap_err();
        assert!(matches!(error, Error::MalformedResponse(text) if text.contains("`embeddings.float`")));
    }
}
