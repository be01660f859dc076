//! `POST /hf-inference/models/MODEL/pipeline/feature-extraction`: texts in, bare vectors out.

use openai_api::embeddings::Response;
use serde::Serialize;
use weir_guest::types::{EmbeddingRequest, Error, Usage};
use weir_guest::vectors::{self, Vector};
use weir_guest::{Request, json, url};

#[derive(Serialize)]
struct Body<'a> {
    inputs: &'a [String],
}

/// # Errors
/// `unsupported` if vectors of a length are asked for, `invalid-input` if the model's name can't be part of a path.
pub(crate) fn request(base_url: &str, model: &str, request: &EmbeddingRequest) -> Result<Request, Error> {
    if request.dimensions.is_some() {
        return Err(Error::Unsupported(
            "Hugging Face's models make vectors of one length: leave `dimensions` out".to_owned(),
        ));
    }
    let mut path = String::new();
    for part in model.split('/') {
        path = path + "/" + &url::segment(part)?;
    }
    let url = format!("{base_url}/hf-inference/models{path}/pipeline/feature-extraction");
    let body = Body {
        inputs: &request.inputs,
    };
    Ok(Request::post(url).operation("embed").replay_safe().json(&body))
}

pub(crate) fn read(body: &[u8], model: String, request: &EmbeddingRequest) -> Result<Response, Error> {
    let answer: Vec<Vector> = json::read(body)?;
    let items = answer.into_iter().map(vectors::Item::from);
    let vectors = vectors::in_order("", items, request.inputs.len(), request.dimensions)?;
    Ok(Response {
        model,
        dimensions: vectors.dimensions,
        vectors: vectors.values,
        usage: Usage {
            input_tokens: 0,
            output_tokens: 0,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(dimensions: Option<u32>) -> EmbeddingRequest {
        EmbeddingRequest {
            inputs: vec!["a".to_owned(), "b".to_owned()],
            model: None,
            kind: None,
            dimensions,
        }
    }

    #[test]
    fn a_models_name_is_a_part_of_the_path() {
        let (wire, _) = request("https://router.example", "BAAI/bge-m3", &asked(None))
            .unwrap()
            .into_wire()
            .unwrap();
        assert_eq!(
            wire.url,
            "https://router.example/hf-inference/models/BAAI/bge-m3/pipeline/feature-extraction"
        );
        assert_eq!(wire.body.as_deref(), Some(br#"{"inputs":["a","b"]}"#.as_slice()));
        for model in ["../secret", "a//b", ""] {
            assert!(
                request("https://router.example", model, &asked(None)).is_err(),
                "{model}"
            );
        }
    }

    #[test]
    fn a_length_can_not_be_chosen() {
        let refused = request("https://router.example", "m", &asked(Some(64)));
        assert!(matches!(refused, Err(Error::Unsupported(_))));
    }

    #[test]
    fn an_answer_is_vectors_and_nothing_else() {
        let response = read(b"[[1, 0.5], [0.5, 1]]", "m".to_owned(), &asked(None)).unwrap();
        assert_eq!(
            (response.vectors.as_slice(), response.dimensions),
            ([1.0, 0.5, 0.5, 1.0].as_slice(), 2)
        );
        assert!(read(b"[[1, 0.5]]", "m".to_owned(), &asked(None)).is_err());
        // A vector for each token, of a model that is none for texts.
        assert!(read(b"[[[1, 0.5]], [[0.5, 1]]]", "m".to_owned(), &asked(None)).is_err());
    }
}
