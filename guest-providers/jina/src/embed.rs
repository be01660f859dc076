//! `POST /embeddings`.

use serde::{Deserialize, Serialize};
use weir_guest::types::{EmbeddingRequest, Error};
use weir_guest::vectors::{self, Vector};
use weir_guest::{Request, json};

use crate::{API_KEY, Tokens, embedding};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    task: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
    embedding_type: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    model: String,
    #[serde(default)]
    usage: Tokens,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vector,
}

/// `task` is what the model calls the kind of the texts; empty for none.
pub(crate) fn request(base_url: &str, model: &str, task: &str, request: &EmbeddingRequest) -> Request {
    Request::post(format!("{base_url}/embeddings"))
        .operation("embed")
        .bearer(API_KEY)
        .replay_safe()
        .json(&Body {
            model,
            input: &request.inputs,
            task,
            dimensions: request.dimensions,
            embedding_type: "base64",
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

    fn asked() -> EmbeddingRequest {
        EmbeddingRequest {
            inputs: vec!["a".to_owned(), "b".to_owned()],
            model: None,
            kind: None,
            dimensions: Some(2),
        }
    }

    fn sent(task: &str) -> serde_json::Value {
        let (wire, _) = request("https://api.example.com/v1", "jina-embeddings-v3", task, &asked())
            .into_wire()
            .unwrap();
        assert_eq!(wire.url, "https://api.example.com/v1/embeddings");
        serde_json::from_slice(&wire.body.unwrap()).unwrap()
    }

    #[test]
    fn a_request_names_the_task_if_there_is_one() {
        assert_eq!(
            sent("retrieval.query"),
            serde_json::json!({
                "model": "jina-embeddings-v3", "input": ["a", "b"], "task": "retrieval.query", "dimensions": 2,
                "embedding_type": "base64",
            })
        );
        assert!(sent("").get("task").is_none());
    }

    #[test]
    fn an_answer_gives_vectors_in_the_order_of_the_inputs() {
        let body =
            br#"{"object": "list", "model": "jina-embeddings-v3", "usage": {"total_tokens": 7, "prompt_tokens": 7},
            "data": [{"object": "embedding", "index": 1, "embedding": [0.5, 1.0]},
            {"object": "embedding", "index": 0, "embedding": "AACAPwAAAD8="}]}"#;

        let response = read(body, &asked()).unwrap();

        assert_eq!(response.vectors, [1.0, 0.5, 0.5, 1.0]);
        assert_eq!(response.usage.input_tokens, 7);
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        let short = r#"{"model": "m", "data": [{"index": 0, "embedding": [0.5, 1]}]}"#;
        for body in [short, &short[..40], "<html>busy</html>", ""] {
            assert!(matches!(
                read(body.as_bytes(), &asked()),
                Err(Error::MalformedResponse(_))
            ));
        }
    }
}
