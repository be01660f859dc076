//! `POST /embeddings`.

use serde::{Deserialize, Serialize};
use weir_guest::types::{EmbeddingRequest, Error, InputKind, Usage};
use weir_guest::vectors::{self, Vector};
use weir_guest::{Limits, Request, json};

use crate::{API_KEY, Adapter, BASE_URL, MODEL, embedding};

/// What the provider takes in one call.
pub(crate) const LIMITS: Limits = Limits {
    max_items: Some(128),
    ..Limits::NONE
};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    input_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    #[serde(default)]
    usage: Tokens,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    /// Numbers, or base64 of 32-bit floats.
    embedding: Vector,
}

#[derive(Default, Deserialize)]
struct Tokens {
    #[serde(default)]
    total_tokens: u64,
}

impl embedding::Guest for Adapter {
    async fn embed(request: EmbeddingRequest) -> Result<embedding::Response, Error> {
        let model = MODEL.or(request.model.clone())?;
        let answer = ask(&BASE_URL.url()?, &model, &request).send().await?;
        read(answer.body(), model, &request)
    }
}

fn ask(base_url: &str, model: &str, request: &EmbeddingRequest) -> Request {
    Request::post(format!("{base_url}/embeddings"))
        .operation("embed")
        .bearer(API_KEY)
        .replay_safe()
        .json(&Body {
            model,
            input: &request.inputs,
            input_type: request.kind.map(|kind| match kind {
                InputKind::Document => "document",
                InputKind::Query => "query",
            }),
            dimensions: request.dimensions,
        })
}

fn read(body: &[u8], model: String, request: &EmbeddingRequest) -> Result<embedding::Response, Error> {
    let Answer { data, usage } = json::read(body)?;
    let items = data.into_iter().map(|item| vectors::Item {
        index: Some(item.index),
        vector: item.embedding,
    });
    let vectors = vectors::in_order("data", items, request.inputs.len(), request.dimensions)?;
    Ok(embedding::Response {
        model,
        dimensions: vectors.dimensions,
        vectors: vectors.values,
        usage: Usage {
            input_tokens: usage.total_tokens,
            output_tokens: 0,
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn asked() -> EmbeddingRequest {
        EmbeddingRequest {
            inputs: vec!["a".to_owned(), "b".to_owned()],
            model: None,
            kind: Some(InputKind::Query),
            dimensions: None,
        }
    }

    #[test]
    fn a_request_says_what_the_texts_are_for() {
        let (wire, _) = ask("https://api.example.com/v1", "m", &asked()).into_wire().unwrap();
        let body: serde_json::Value = serde_json::from_slice(&wire.body.unwrap()).unwrap();
        assert_eq!(wire.url, "https://api.example.com/v1/embeddings");
        assert_eq!(
            body,
            serde_json::json!({"model": "m", "input": ["a", "b"], "input_type": "query"})
        );
    }

    #[test]
    fn vectors_follow_the_inputs_and_none_may_be_missing() {
        let whole = br#"{"data": [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1, 2]}]}"#;
        let response = read(whole, "m".to_owned(), &asked()).unwrap();
        assert_eq!(response.vectors, [1.0, 2.0, 3.0, 4.0]);
        let short = br#"{"data": [{"index": 0, "embedding": [1, 2]}]}"#;
        assert!(matches!(
            read(short, "m".to_owned(), &asked()),
            Err(Error::MalformedResponse(_))
        ));
    }
}
