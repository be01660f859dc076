//! Answers of adapters, checked where they leave the sandbox: what passes here can be used without a second look.

use crate::bindings::v0_1_0::types::Error;
use crate::bindings::v0_1_0::{embedding, reranking, sparse_embedding};

/// `inputs` vectors of one length, of finite values.
pub(super) fn embedding(response: embedding::Response, inputs: usize) -> Result<embedding::Response, Error> {
    let (dimensions, values) = (response.dimensions as usize, response.vectors.len());
    if dimensions.checked_mul(inputs) != Some(values) || (dimensions == 0 && inputs > 0) {
        return malformed(format!(
            "{inputs} inputs of {dimensions} dimensions gave {values} values"
        ));
    }
    // Without a way out of the loop, which would keep it from being done several values at a time.
    let finite = response
        .vectors
        .iter()
        .fold(true, |finite, value| finite & value.is_finite());
    if !finite {
        return malformed("a vector has a value that is no finite number".to_owned());
    }
    Ok(response)
}

/// `inputs` vectors, each with as many values as indices.
pub(super) fn sparse(response: sparse_embedding::Response, inputs: usize) -> Result<sparse_embedding::Response, Error> {
    let vectors = &response.vectors;
    if vectors.len() != inputs {
        return malformed(format!("{inputs} inputs gave {} sparse vectors", vectors.len()));
    }
    let sound = vectors.iter().all(|vector| {
        vector.indices.len() == vector.values.len() && vector.values.iter().all(|value| value.is_finite())
    });
    if sound {
        Ok(response)
    } else {
        malformed("a sparse vector's indices and values do not fit".to_owned())
    }
}

/// Each document at most once, as many as were asked for, with finite scores.
pub(super) fn ranking(
    response: reranking::Response,
    documents: usize,
    top_n: Option<u32>,
) -> Result<reranking::Response, Error> {
    let asked = top_n.map_or(documents, |top_n| documents.min(top_n as usize));
    if response.results.len() != asked {
        return malformed(format!(
            "{} results for {asked} documents asked for",
            response.results.len()
        ));
    }
    let mut seen = vec![false; documents];
    for result in &response.results {
        match seen.get_mut(result.index as usize) {
            Some(seen) if !*seen && result.score.is_finite() => *seen = true,
            _ => {
                let (index, score) = (result.index, result.score);
                return malformed(format!(
                    "a result names document {index} of {documents} with the score {score}"
                ));
            }
        }
    }
    Ok(response)
}

fn malformed<T>(what: String) -> Result<T, Error> {
    Err(Error::MalformedResponse(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::v0_1_0::types::Usage;

    const NOTHING: Usage = Usage {
        input_tokens: 0,
        output_tokens: 0,
    };

    fn ranked(results: &[(u32, f32)], top_n: Option<u32>) -> Result<reranking::Response, Error> {
        let results = results
            .iter()
            .map(|&(index, score)| reranking::Ranked { index, score })
            .collect();
        let model = String::new();
        ranking(
            reranking::Response {
                model,
                results,
                usage: NOTHING,
            },
            2,
            top_n,
        )
    }

    fn embedded(dimensions: u32, vectors: Vec<f32>) -> Result<embedding::Response, Error> {
        let model = String::new();
        embedding(
            embedding::Response {
                model,
                dimensions,
                vectors,
                usage: NOTHING,
            },
            2,
        )
    }

    #[test]
    fn a_ranking_names_each_document_once() {
        assert!(ranked(&[(1, 0.5), (0, 0.1)], None).is_ok());
        assert!(ranked(&[(1, 0.5)], Some(1)).is_ok());
        assert!(ranked(&[(1, 0.5), (1, 0.1)], None).is_err(), "one twice");
        assert!(ranked(&[(2, 0.5), (0, 0.1)], None).is_err(), "one that was not sent");
        assert!(ranked(&[], None).is_err(), "too few");
        assert!(ranked(&[(1, f32::NAN), (0, 0.1)], None).is_err(), "no score");
    }

    #[test]
    fn as_many_vectors_come_back_as_texts_were_sent() {
        assert!(embedded(2, vec![1.0; 4]).is_ok());
        assert!(embedded(2, vec![1.0; 2]).is_err());
        assert!(embedded(0, vec![]).is_err());
        assert!(embedded(1, vec![1.0, f32::INFINITY]).is_err());
    }
}
