//! `POST /embeddings`.

use serde::{Deserialize, Serialize};
use weir_guest::types::{EmbeddingRequest, Error, InputKind, Usage};
use weir_guest::vectors::{self, Vector};
use weir_guest::{Request, json};

use crate::{API_KEY, embedding};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    input_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncation: Option<bool>,
    encoding_format: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    model: String,
    usage: Tokens,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vector,
}

#[derive(Deserialize)]
pub(crate) struct Tokens {
    total_tokens: u64,
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        Self {
            input_tokens: tokens.total_tokens,
            output_tokens: 0,
        }
    }
}

pub(crate) fn request(base_url: &str, model: &str, request: &EmbeddingRequest, truncation: Option<bool>) -> Request {
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
            output_dimension: request.dimensions,
            truncation,
            encoding_format: "base64",
        })
}

pub(crate) fn read(body: &[u8], request: &EmbeddingRequest) -> Result<embedding::Response, Error> {
    let Answer { data, model, usage } = json::read(body)?;
    let items = data.into_iter().map(|item| vectors::Item {
        index: Some(item.index),
        vector: item.embedding,
    });
    let vectors = vectors::in_order("data", items, request.inputs.len(), request.dimensions)?;
    Ok(embedding::Response {
        model,
        dimensions: vectors.dimensions,
        vectors: vectors.values,
        usage: usage.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(inputs: &[&str]) -> EmbeddingRequest {
        EmbeddingRequest {
            inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
            model: None,
            kind: None,
            dimensions: None,
        }
    }

    fn sent(asked: &EmbeddingRequest) -> serde_json::Value {
        let (wire, _) = request("https://api.example.com/v1", "voyage-code-3", asked, None)
            .into_wire()
            .unwrap();
        assert_eq!(wire.url, "https://api.example.com/v1/embeddings");
        serde_json::from_slice(&wire.body.unwrap()).unwrap()
    }

    #[test]
    fn a_request_says_what_the_texts_are_for() {
        let query = EmbeddingRequest {
            kind: Some(InputKind::Query),
            dimensions: Some(256),
            ..asked(&["a"])
        };
        assert_eq!(
            sent(&query),
            serde_json::json!({
                "model": "voyage-code-3", "input": ["a"], "input_type": "query", "output_dimension": 256,
                "encoding_format": "base64",
            })
        );
        assert!(sent(&asked(&["a"])).get("input_type").is_none());
    }

    #[test]
    fn an_answer_gives_vectors_in_the_order_of_the_inputs() {
        let body = br#"{"object": "list", "model": "voyage-code-3", "usage": {"total_tokens": 7}, "data": [
            {"object": "embedding", "index": 1, "embedding": [0.5, 1.0]},
            {"object": "embedding", "index": 0, "embedding": "AACAPwAAAD8="}]}"#;

        let response = read(body, &asked(&["a", "b"])).unwrap();

        assert_eq!(response.vectors, [1.0, 0.5, 0.5, 1.0]);
        assert_eq!(response.dimensions, 2);
        assert_eq!(response.model, "voyage-code-3");
        assert_eq!(response.usage.input_tokens, 7);
    }

    #[test]
    fn a_short_answer_is_malformed() {
        let body = br#"{"model": "m", "usage": {"total_tokens": 7}, "data": [{"index": 0, "embedding": [0.5]}]}"#;
        assert!(matches!(
            read(body, &asked(&["a", "b"])),
            Err(Error::MalformedResponse(_))
        ));
    }
}
