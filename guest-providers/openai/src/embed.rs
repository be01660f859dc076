//! `POST /embeddings`.

use serde::{Deserialize, Serialize};
use weir_guest::types::{EmbeddingRequest, Error, Usage};
use weir_guest::vectors::{self, Vector};
use weir_guest::{Request, json};

use crate::embedding;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
    encoding_format: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    model: Option<String>,
    #[serde(default)]
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Item {
    index: Option<usize>,
    embedding: Vector,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: u64,
}

pub(crate) fn request(base_url: &str, model: &str, request: &EmbeddingRequest) -> Request {
    Request::post(format!("{base_url}/embeddings"))
        .operation("embed")
        .replay_safe()
        .json(&Body {
            model,
            input: &request.inputs,
            dimensions: request.dimensions,
            encoding_format: "base64",
        })
}

pub(crate) fn read(body: &[u8], asked: String, request: &EmbeddingRequest) -> Result<embedding::Response, Error> {
    let Answer { data, model, usage } = json::read(body)?;
    let items = data.into_iter().map(|item| vectors::Item {
        index: item.index,
        vector: item.embedding,
    });
    let vectors = vectors::in_order("data", items, request.inputs.len(), request.dimensions)?;
    Ok(embedding::Response {
        model: model.unwrap_or(asked),
        dimensions: vectors.dimensions,
        vectors: vectors.values,
        usage: Usage {
            input_tokens: usage.map_or(0, |tokens| tokens.prompt_tokens),
            output_tokens: 0,
        },
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
            dimensions: Some(2),
        }
    }

    #[test]
    fn a_request_asks_for_packed_vectors() {
        let (wire, _) = request("http://localhost:8000/v1", "m", &asked(&["a"]))
            .into_wire()
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&wire.body.unwrap()).unwrap();
        assert_eq!(wire.url, "http://localhost:8000/v1/embeddings");
        assert_eq!(
            body,
            serde_json::json!({"model": "m", "input": ["a"], "dimensions": 2, "encoding_format": "base64"})
        );
    }

    #[test]
    fn an_answer_with_no_more_than_vectors_is_enough() {
        let body = br#"{"data": [{"embedding": [1, 0.5]}, {"embedding": "AAAAPwAAgD8="}]}"#;
        let response = read(body, "m".to_owned(), &asked(&["a", "b"])).unwrap();
        assert_eq!(response.vectors, [1.0, 0.5, 0.5, 1.0]);
        assert_eq!(response.model, "m");
        assert_eq!(response.usage.input_tokens, 0);
    }

    #[test]
    fn the_index_decides_the_order() {
        let body = br#"{"object": "list", "model": "n", "usage": {"prompt_tokens": 8, "total_tokens": 8},
            "data": [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1, 2]}]}"#;
        let response = read(body, "m".to_owned(), &asked(&["a", "b"])).unwrap();
        assert_eq!(response.vectors, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(response.model, "n");
        assert_eq!(response.usage.input_tokens, 8);
    }
}
