//! `embed` and `embed-sparse`.

use serde::Deserialize;
use serde_json::{Value, json};
use weir_runtime::types::{EmbeddingRequest, InputKind};
use weir_runtime::{embedding, sparse_embedding};

use super::error::Refusal;
use super::input::{filled, read};
use super::output::{input_usage, numbers};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    inputs: Vec<String>,
    model: Option<String>,
    kind: Option<Kind>,
    dimensions: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Document,
    Query,
}

/// Reads `{inputs, model?, kind?, dimensions?}`.
pub(super) fn request(input: Value) -> Result<EmbeddingRequest, Refusal> {
    let input: Input = read(input)?;
    if input.dimensions == Some(0) {
        return Err(Refusal::input("`dimensions` must be above 0"));
    }
    Ok(EmbeddingRequest {
        inputs: filled("inputs", input.inputs)?,
        model: input.model,
        kind: input.kind.map(|kind| match kind {
            Kind::Document => InputKind::Document,
            Kind::Query => InputKind::Query,
        }),
        dimensions: input.dimensions,
    })
}

/// Writes `{model, dimensions, vectors, usage}`.
pub(super) fn dense(response: &embedding::Response) -> Result<Value, Refusal> {
    let dimensions = response.dimensions as usize;
    if dimensions == 0 || !response.vectors.len().is_multiple_of(dimensions) {
        let numbers = response.vectors.len();
        return Err(Refusal::Answer(format!(
            "{numbers} numbers are no vectors of {dimensions} dimensions"
        )));
    }
    let vectors: Value = response
        .vectors
        .chunks_exact(dimensions)
        .map(|vector| numbers("vectors", vector))
        .collect::<Result<_, _>>()?;
    Ok(json!({
        "model": response.model,
        "dimensions": response.dimensions,
        "vectors": vectors,
        "usage": input_usage(&response.usage),
    }))
}

/// Writes `{model, vectors: [{indices, values}], usage}`.
pub(super) fn sparse(response: &sparse_embedding::Response) -> Result<Value, Refusal> {
    let vectors: Value = response
        .vectors
        .iter()
        .map(|vector| Ok(json!({ "indices": vector.indices, "values": numbers("values", &vector.values)? })))
        .collect::<Result<_, Refusal>>()?;
    Ok(json!({ "model": response.model, "vectors": vectors, "usage": input_usage(&response.usage) }))
}

#[cfg(test)]
mod tests {
    use weir_runtime::types::Usage;

    use super::*;

    #[test]
    fn the_input_becomes_the_contracts_request() {
        let request = request(json!({"inputs": ["a", "b"], "kind": "query", "dimensions": 256})).unwrap();
        assert_eq!(request.inputs, ["a", "b"]);
        assert!(matches!(request.kind, Some(InputKind::Query)));
        assert_eq!((request.model, request.dimensions), (None, Some(256)));
    }

    #[test]
    fn wrong_input_is_named() {
        for (input, expected) in [
            (json!({"inpts": ["a"]}), "unknown field `inpts`; did you mean `inputs`?"),
            (
                json!({"inputs": ["a", 5]}),
                "`inputs[1]`: invalid type: integer `5`, expected a string",
            ),
            (json!({"inputs": []}), "`inputs` is empty"),
            (json!(["a"]), "expected a JSON object"),
            (json!({}), "missing field `inputs`"),
            (
                json!({"inputs": ["a"], "kind": "both"}),
                "`kind`: unknown variant `both`, expected `document` or `query`",
            ),
        ] {
            assert_eq!(request(input).unwrap_err(), Refusal::input(expected));
        }
    }

    #[test]
    fn flat_vectors_become_a_list_each() {
        let response = embedding::Response {
            model: "m".into(),
            dimensions: 2,
            vectors: vec![0.1, -2.0, 3.5, 0.0],
            usage: Usage {
                input_tokens: 7,
                output_tokens: 0,
            },
        };
        assert_eq!(
            dense(&response).unwrap().to_string(),
            r#"{"dimensions":2,"model":"m","usage":{"input_tokens":7},"vectors":[[0.1,-2.0],[3.5,0.0]]}"#
        );
    }

    #[test]
    fn an_answer_that_is_no_whole_vectors_is_malformed() {
        let usage = Usage {
            input_tokens: 0,
            output_tokens: 0,
        };
        let response = embedding::Response {
            model: "m".into(),
            dimensions: 2,
            vectors: vec![1.0; 3],
            usage,
        };
        assert!(matches!(dense(&response), Err(Refusal::Answer(_))));
        let response = embedding::Response {
            vectors: vec![1.0, f32::NAN],
            ..response
        };
        assert_eq!(
            dense(&response),
            Err(Refusal::Answer("`vectors[1]` is no finite number".into()))
        );
    }
}
