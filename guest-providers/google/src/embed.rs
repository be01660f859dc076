//! `POST /models/M:batchEmbedContents`.

use serde::{Deserialize, Serialize};
use weir_guest::json;
use weir_guest::types::{EmbeddingRequest, Error, InputKind, Usage};
use weir_guest::vectors::{self, Vector};

use crate::embedding;
use crate::generate::Tokens;

#[derive(Serialize)]
pub(crate) struct Body<'a> {
    requests: Vec<Item<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    model: &'a str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u32>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    embeddings: Vec<Embedding>,
    usage_metadata: Option<Tokens>,
}

#[derive(Deserialize)]
struct Embedding {
    values: Vector,
}

pub(crate) fn body<'a>(resource: &'a str, request: &'a EmbeddingRequest) -> Body<'a> {
    let item = |text: &'a String| Item {
        model: resource,
        content: Content { parts: [Part { text }] },
        task_type: request.kind.map(|kind| match kind {
            InputKind::Document => "RETRIEVAL_DOCUMENT",
            InputKind::Query => "RETRIEVAL_QUERY",
        }),
        output_dimensionality: request.dimensions,
    };
    Body {
        requests: request.inputs.iter().map(item).collect(),
    }
}

pub(crate) fn read(body: &[u8], model: String, request: &EmbeddingRequest) -> Result<embedding::Response, Error> {
    let Answer {
        embeddings,
        usage_metadata,
    } = json::read(body)?;
    let items = embeddings.into_iter().map(|embedding| embedding.values.into());
    let vectors = vectors::in_order("embeddings", items, request.inputs.len(), request.dimensions)?;
    Ok(embedding::Response {
        model,
        dimensions: vectors.dimensions,
        vectors: vectors.values,
        usage: Usage {
            input_tokens: usage_metadata.map_or(0, |tokens| tokens.prompt_token_count),
            output_tokens: 0,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: Option<InputKind>, dimensions: Option<u32>) -> EmbeddingRequest {
        EmbeddingRequest {
            inputs: vec!["a".to_owned(), "b".to_owned()],
            model: None,
            kind,
            dimensions,
        }
    }

    #[test]
    fn every_text_says_its_model_its_task_and_its_dimensions() {
        let asked = asked(Some(InputKind::Query), Some(2));
        let item = |text| {
            serde_json::json!({
                "model": "models/m", "content": {"parts": [{"text": text}]}, "taskType": "RETRIEVAL_QUERY",
                "outputDimensionality": 2,
            })
        };
        assert_eq!(
            serde_json::to_value(body("models/m", &asked)).unwrap(),
            serde_json::json!({"requests": [item("a"), item("b")]})
        );
    }

    #[test]
    fn a_text_of_no_kind_is_given_none() {
        let asked = asked(None, None);
        assert_eq!(
            serde_json::to_string(&body("models/m", &asked).requests[0]).unwrap(),
            r#"{"model":"models/m","content":{"parts":[{"text":"a"}]}}"#
        );
    }

    #[test]
    fn vectors_come_in_the_order_of_the_texts() {
        let body = br#"{"embeddings": [{"values": [1, 0.5]}, {"values": [0.5, 1]}],
            "usageMetadata": {"promptTokenCount": 4}}"#;
        let response = read(body, "m".to_owned(), &asked(None, Some(2))).unwrap();
        assert_eq!(response.vectors, [1.0, 0.5, 0.5, 1.0]);
        assert_eq!(response.usage.input_tokens, 4);
    }

    #[test]
    fn a_missing_vector_is_named() {
        let said = |body: &[u8]| match read(body, "m".to_owned(), &asked(None, None)) {
            Err(Error::MalformedResponse(text)) => text,
            _ => panic!("taken"),
        };
        assert!(said(br#"{"embeddings": [{"values": [1]}]}"#).contains("none for input 1"));
        assert!(said(br#"{"embeddings": [{"values": [1]}, {}]}"#).contains("`embeddings[1]`"));
        assert!(said(b"<html>").contains("expected value"));
    }
}
