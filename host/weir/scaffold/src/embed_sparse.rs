//! `POST /sparse-embeddings`.

use serde::{Deserialize, Serialize};
use weir_guest::types::{EmbeddingRequest, Error, SparseVector, Usage};
use weir_guest::{Request, failure, json};

use crate::{API_KEY, Adapter, BASE_URL, MODEL, sparse_embedding};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [String],
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl sparse_embedding::Guest for Adapter {
    async fn embed_sparse(request: EmbeddingRequest) -> Result<sparse_embedding::Response, Error> {
        let model = MODEL.or(request.model.clone())?;
        let answer = Request::post(format!("{}/sparse-embeddings", BASE_URL.url()?))
            .operation("embed-sparse")
            .bearer(API_KEY)
            .replay_safe()
            .json(&Body {
                model: &model,
                input: &request.inputs,
            })
            .send()
            .await?;
        Ok(sparse_embedding::Response {
            model,
            vectors: read(answer.body(), request.inputs.len())?,
            usage: Usage {
                input_tokens: 0,
                output_tokens: 0,
            },
        })
    }
}

fn read(body: &[u8], inputs: usize) -> Result<Vec<SparseVector>, Error> {
    let Answer { data } = json::read(body)?;
    if data.len() != inputs {
        return Err(failure::malformed(format!(
            "`data`: {} vectors for {inputs} inputs",
            data.len()
        )));
    }
    data.into_iter()
        .enumerate()
        .map(|(at, Item { indices, values })| {
            if indices.len() != values.len() || values.iter().any(|value| !value.is_finite()) {
                return Err(failure::malformed(format!("`data[{at}]`: no sparse vector")));
            }
            Ok(SparseVector { indices, values })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_input_has_its_vector() {
        let body = br#"{"data": [{"indices": [1, 7], "values": [0.5, 1]}]}"#;
        assert_eq!(read(body, 1).unwrap()[0].indices, [1, 7]);
        assert!(matches!(read(body, 2), Err(Error::MalformedResponse(_))));
    }
}
