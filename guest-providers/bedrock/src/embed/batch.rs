//! Cohere's models: many texts in one request. Versions 3 and 4 answer in two forms.

use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use weir_guest::Response;
use weir_guest::types::{EmbeddingRequest, Error, InputKind, Usage};
use weir_guest::vectors::{self, Vector};

use super::single::tokens;
use crate::embedding;

#[derive(Serialize)]
pub(super) struct Body<'a> {
    texts: &'a [String],
    input_type: &'static str,
    embedding_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<u32>,
}

#[derive(Deserialize)]
struct Answer {
    embeddings: Vectors,
}

/// A list, or a list for each type that was asked for.
struct Vectors(Vec<Vector>);

pub(super) fn body(request: &EmbeddingRequest) -> Body<'_> {
    Body {
        texts: &request.inputs,
        // Cohere wants one or the other. What is kept in a store is a document.
        input_type: match request.kind {
            Some(InputKind::Query) => "search_query",
            Some(InputKind::Document) | None => "search_document",
        },
        embedding_types: ["float"],
        output_dimension: request.dimensions,
    }
}

pub(super) fn read(answer: &Response, model: String, request: &EmbeddingRequest) -> Result<embedding::Response, Error> {
    let Answer {
        embeddings: Vectors(items),
    } = answer.json()?;
    let items = items.into_iter().map(vectors::Item::from);
    let vectors = vectors::in_order("embeddings", items, request.inputs.len(), request.dimensions)?;
    Ok(embedding::Response {
        model,
        dimensions: vectors.dimensions,
        vectors: vectors.values,
        usage: Usage {
            input_tokens: tokens(answer),
            output_tokens: 0,
        },
    })
}

impl<'de> Deserialize<'de> for Vectors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VectorsVisitor)
    }
}

struct VectorsVisitor;

impl<'de> Visitor<'de> for VectorsVisitor {
    type Value = Vectors;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of vectors, or an object with one")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vectors, A::Error> {
        let mut vectors = Vec::new();
        while let Some(vector) = sequence.next_element()? {
            vectors.push(vector);
        }
        Ok(Vectors(vectors))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vectors, A::Error> {
        let mut vectors = Vec::new();
        // One type was asked for, so there is one.
        while let Some((_, list)) = map.next_entry::<String, Vec<Vector>>()? {
            vectors.extend(list);
        }
        Ok(Vectors(vectors))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_guest::pooled_http;
    use weir_guest::types::Header;

    use super::*;

    fn asked(kind: Option<InputKind>, dimensions: Option<u32>) -> EmbeddingRequest {
        EmbeddingRequest {
            inputs: vec!["a".to_owned(), "b".to_owned()],
            model: None,
            kind,
            dimensions,
        }
    }

    fn answer(body: &str) -> Response {
        let answer = pooled_http::Response {
            status: 200,
            headers: vec![Header {
                name: "X-Amzn-Bedrock-Input-Token-Count".to_owned(),
                value: "3".to_owned(),
            }],
            body: body.as_bytes().to_vec(),
        };
        Response::accept(answer, weir_guest::failure::of_answer).unwrap()
    }

    #[test]
    fn a_request_says_what_the_texts_are_for() {
        assert_eq!(
            serde_json::to_value(body(&asked(Some(InputKind::Query), Some(512)))).unwrap(),
            json!({"texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float"], "output_dimension": 512})
        );
        assert_eq!(
            serde_json::to_value(body(&asked(None, None))).unwrap(),
            json!({"texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"]})
        );
    }

    #[test]
    fn both_forms_of_an_answer_give_the_same() {
        for body in [
            r#"{"embeddings": [[1, 0.5], [0.5, 1]], "response_type": "embeddings_floats"}"#,
            r#"{"embeddings": {"float": [[1, 0.5], [0.5, 1]]}, "response_type": "embeddings_by_type"}"#,
        ] {
            let response = read(&answer(body), "m".to_owned(), &asked(None, Some(2))).unwrap();
            assert_eq!(response.vectors, [1.0, 0.5, 0.5, 1.0]);
            assert_eq!(response.usage.input_tokens, 3);
        }
    }

    #[test]
    fn a_missing_vector_is_named() {
        let said = |body: &str| match read(&answer(body), String::new(), &asked(None, None)) {
            Err(Error::MalformedResponse(text)) => text,
            _ => panic!("taken"),
        };
        assert!(said(r#"{"embeddings": {"float": [[1]]}}"#).contains("none for input 1"));
        assert!(said(r#"{"embeddings": 7}"#).contains("`embeddings`"));
        assert!(said(r#"{"texts": []}"#).contains("missing field `embeddings`"));
    }
}
