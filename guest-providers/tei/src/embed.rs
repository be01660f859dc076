//! `POST /embed` and `POST /embed_sparse`: bare lists, in the order of the inputs.

use serde::{Deserialize, Serialize};
use weir_guest::types::{EmbeddingRequest, Error, InputKind, SparseVector, Usage};
use weir_guest::vectors::{self, Vector};
use weir_guest::{Request, failure, json};

use crate::{DOCUMENT_PROMPT, QUERY_PROMPT, TRUNCATE, embedding, sparse_embedding};

/// What the operator wants of every text of a kind.
#[derive(Debug, Default)]
pub(crate) struct Options {
    prompt: Option<String>,
    truncate: Option<bool>,
}

#[derive(Serialize)]
struct Body<'a> {
    inputs: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

#[derive(Deserialize)]
struct Term {
    index: u32,
    value: f32,
}

impl Options {
    pub(crate) fn configured(kind: Option<InputKind>) -> Result<Self, Error> {
        let prompt = match kind {
            Some(InputKind::Document) => DOCUMENT_PROMPT.get()?,
            Some(InputKind::Query) => QUERY_PROMPT.get()?,
            None => None,
        };
        Ok(Self {
            prompt,
            truncate: TRUNCATE.flag()?,
        })
    }
}

pub(crate) fn dense(base_url: &str, request: &EmbeddingRequest, options: &Options) -> Request {
    Request::post(format!("{base_url}/embed")).json(&body(request, options))
}

pub(crate) fn sparse(base_url: &str, request: &EmbeddingRequest, options: &Options) -> Request {
    Request::post(format!("{base_url}/embed_sparse")).json(&body(request, options))
}

pub(crate) fn read_dense(
    body: &[u8],
    model: String,
    usage: Usage,
    request: &EmbeddingRequest,
) -> Result<embedding::Response, Error> {
    let items = json::read::<Vec<Vector>>(body)?.into_iter().map(vectors::Item::from);
    let vectors = vectors::in_order("", items, request.inputs.len(), request.dimensions)?;
    Ok(embedding::Response {
        model,
        dimensions: vectors.dimensions,
        vectors: vectors.values,
        usage,
    })
}

pub(crate) fn read_sparse(
    body: &[u8],
    model: String,
    usage: Usage,
    request: &EmbeddingRequest,
) -> Result<sparse_embedding::Response, Error> {
    let vectors: Vec<Vec<Term>> = json::read(body)?;
    let (found, inputs) = (vectors.len(), request.inputs.len());
    if found != inputs {
        return Err(failure::malformed(format!("{found} vectors for {inputs} inputs")));
    }
    let vectors = vectors
        .into_iter()
        .enumerate()
        .map(|(place, terms)| sparse_vector(place, terms));
    Ok(sparse_embedding::Response {
        model,
        vectors: vectors.collect::<Result<_, _>>()?,
        usage,
    })
}

fn body<'a>(request: &'a EmbeddingRequest, options: &'a Options) -> Body<'a> {
    Body {
        inputs: &request.inputs,
        prompt_name: options.prompt.as_deref(),
        truncate: options.truncate,
        dimensions: request.dimensions,
    }
}

fn sparse_vector(place: usize, mut terms: Vec<Term>) -> Result<SparseVector, Error> {
    terms.sort_unstable_by_key(|term| term.index);
    if let Some([term, _]) = terms.array_windows().find(|[one, next]| one.index == next.index) {
        return Err(failure::malformed(format!(
            "`[{place}]`: the index {} twice",
            term.index
        )));
    }
    if let Some(term) = terms.iter().find(|term| !term.value.is_finite()) {
        return Err(failure::malformed(format!(
            "`[{place}]`: the value at index {} is not a finite 32-bit float",
            term.index
        )));
    }
    let (indices, values) = terms.into_iter().map(|term| (term.index, term.value)).unzip();
    Ok(SparseVector { indices, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: Usage = Usage {
        input_tokens: 0,
        output_tokens: 0,
    };

    fn asked(dimensions: Option<u32>) -> EmbeddingRequest {
        EmbeddingRequest {
            inputs: vec!["a".to_owned(), "b".to_owned()],
            model: None,
            kind: None,
            dimensions,
        }
    }

    fn sent(request: Request) -> (String, serde_json::Value) {
        let (wire, _) = request.into_wire().unwrap();
        (wire.url, serde_json::from_slice(&wire.body.unwrap()).unwrap())
    }

    #[test]
    fn a_request_has_the_texts_and_what_is_configured() {
        let (url, body) = sent(dense("http://t", &asked(None), &Options::default()));
        assert_eq!(url, "http://t/embed");
        assert_eq!(body, serde_json::json!({"inputs": ["a", "b"]}));
        let options = Options {
            prompt: Some("query".to_owned()),
            truncate: Some(true),
        };
        let (_, body) = sent(dense("http://t", &asked(Some(64)), &options));
        assert_eq!(
            body,
            serde_json::json!({"inputs": ["a", "b"], "prompt_name": "query", "truncate": true, "dimensions": 64})
        );
        let (url, _) = sent(sparse("http://t", &asked(None), &options));
        assert_eq!(url, "http://t/embed_sparse");
    }

    #[test]
    fn vectors_are_a_bare_list() {
        let response = read_dense(b"[[1, 0.5], [0.25, -1]]", "m".to_owned(), USAGE, &asked(None)).unwrap();
        assert_eq!((response.dimensions, response.vectors), (2, vec![1.0, 0.5, 0.25, -1.0]));
        for body in [
            "[[1, 2]]",
            "[[1], [1, 2]]",
            "[[1, 2], [3",
            "<html></html>",
            r#"{"error": "no"}"#,
        ] {
            let read = read_dense(body.as_bytes(), "m".to_owned(), USAGE, &asked(None));
            assert!(matches!(read, Err(Error::MalformedResponse(_))), "{body}");
        }
    }

    #[test]
    fn sparse_vectors_are_lists_of_terms() {
        let read = |body: &str| read_sparse(body.as_bytes(), "m".to_owned(), USAGE, &asked(None));
        let vectors = read(r#"[[{"index": 9, "value": 0.5}, {"index": 2, "value": 1}], []]"#)
            .unwrap()
            .vectors;
        assert_eq!(
            (&vectors[0].indices[..], &vectors[0].values[..]),
            (&[2, 9][..], &[1.0, 0.5][..])
        );
        assert!(vectors[1].indices.is_empty());
        for body in [
            "[[]]",
            r#"[[{"index": 1, "value": 1}, {"index": 1, "value": 2}], []]"#,
            r#"[[{"index": 1, "value": 1e39}], []]"#,
        ] {
            assert!(matches!(read(body), Err(Error::MalformedResponse(_))), "{body}");
        }
    }
}
