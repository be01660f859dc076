//! `POST /embeddings`.

use serde::Serialize;
use weir_guest::Request;
use weir_guest::types::EmbeddingRequest;

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

/// `task` is what the model calls the kind of the texts; empty for none.
pub(crate) fn request(base_url: &str, model: &str, task: &str, request: &EmbeddingRequest) -> Request {
    Request::post(format!("{base_url}/embeddings"))
        .operation("embed")
        .json(&Body {
            model,
            input: &request.inputs,
            task,
            dimensions: request.dimensions,
            embedding_type: "base64",
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
}
