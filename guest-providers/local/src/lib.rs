//! The adapter that makes vectors without a network: dense ones from a table of WordPieces, sparse ones by BM25.
//!
//! Everything it needs is laid out in the component when it is built, so that an instance has nothing to start. The
//! two go together: on 3,000 documented Rust functions (query: the first sentence of the documentation; document: the
//! code without its comments) the mean reciprocal rank is 0.37 dense, 0.42 sparse, and 0.49 for the relative-score
//! fusion of both.
//!
//! | module | does |
//! |---|---|
//! | [`dense`] | WordPieces to one vector of 256 dimensions |
//! | [`bm25`] | terms to a sparse vector |
#![warn(missing_docs)]

pub mod bm25;
pub mod dense;
mod fnv;
mod fold;
mod singular;
mod terms;
mod wordpiece;
mod words;

use std::cell::RefCell;

use weir_guest::failure::{refused, too_large};
use weir_guest::types::{EmbeddingRequest, InputKind, SparseVector, Usage};
use weir_guest::{Error, Failure, Limits, Manifest};

use bm25::{Kind, Weigher};
use dense::{DIMENSIONS, Embedder};

/// The dense model's name: what it was made for, and its dimensions.
const DENSE_MODEL: &str = "local-code-256";
/// The sparse model's name.
const SPARSE_MODEL: &str = "local-bm25-2";

/// Texts in one call. A call of that many chunks of 40 lines takes about 10 ms; there is no request to save.
const MAX_INPUTS: usize = 256;

thread_local! {
    static EMBEDDER: RefCell<Embedder> = RefCell::default();
    static WEIGHER: RefCell<Weigher> = RefCell::default();
}

struct Local;

weir_guest::provider!(
    Local,
    "
    package weir:local;

    world adapter {
        include weir:provider/embedding-provider@0.1.0;
        include weir:provider/sparse-embedding-provider@0.1.0;
    }
    "
);

impl metadata::Guest for Local {
    fn describe() -> Manifest {
        let limits = Limits {
            max_items: Some(MAX_INPUTS as u32),
            ..Limits::NONE
        };
        Manifest::new(
            "local",
            env!("CARGO_PKG_VERSION"),
            "Dense and sparse vectors of texts and code, computed in the component without a network.",
        )
        .default_model("embed", DENSE_MODEL)
        .default_model("embed-sparse", SPARSE_MODEL)
        .limits("embed", limits)
        .limits("embed-sparse", limits)
    }
}

impl embedding::Guest for Local {
    async fn embed(request: EmbeddingRequest) -> Result<embedding::Response, Error> {
        check(&request, DENSE_MODEL)?;
        if let Some(asked) = request.dimensions.filter(|asked| *asked as usize != DIMENSIONS) {
            return Err(refused(format!(
                "`dimensions` is {asked}: the vectors of {DENSE_MODEL} have {DIMENSIONS}, and can't be cut"
            )));
        }
        let mut vectors = Vec::with_capacity(request.inputs.len() * DIMENSIONS);
        let input_tokens = EMBEDDER.with_borrow_mut(|embedder| {
            request
                .inputs
                .iter()
                .map(|input| embedder.embed(input, &mut vectors))
                .sum::<u64>()
        });
        Ok(embedding::Response {
            model: DENSE_MODEL.to_owned(),
            dimensions: DIMENSIONS as u32,
            vectors,
            usage: Usage {
                input_tokens,
                output_tokens: 0,
            },
        })
    }
}

impl sparse_embedding::Guest for Local {
    async fn embed_sparse(request: EmbeddingRequest) -> Result<sparse_embedding::Response, Error> {
        check(&request, SPARSE_MODEL)?;
        if let Some(asked) = request.dimensions {
            return Err(refused(format!(
                "`dimensions` is {asked}: a sparse vector has as many values as its text has terms"
            )));
        }
        let kind = match request.kind {
            None | Some(InputKind::Document) => Kind::Document,
            Some(InputKind::Query) => Kind::Query,
        };
        let mut input_tokens = 0;
        let vectors = WEIGHER.with_borrow_mut(|weigher| {
            let vectors = request.inputs.iter().map(|input| {
                let weights = weigher.weigh(input, kind);
                input_tokens += weights.terms;
                SparseVector {
                    indices: weights.indices,
                    values: weights.values,
                }
            });
            vectors.collect()
        });
        let usage = Usage {
            input_tokens,
            output_tokens: 0,
        };
        Ok(sparse_embedding::Response {
            model: SPARSE_MODEL.to_owned(),
            vectors,
            usage,
        })
    }
}

fn check(request: &EmbeddingRequest, model: &str) -> Result<(), Error> {
    if let Some(asked) = request.model.as_deref().filter(|asked| *asked != model) {
        let message = format!("there is no model `{asked}` here; the one there is, is `{model}`");
        return Err(Error::NotFound(Failure {
            message,
            status: None,
            code: None,
            request_id: None,
            retry_after: None,
        }));
    }
    let inputs = request.inputs.len();
    if inputs > MAX_INPUTS {
        return Err(too_large(format!(
            "{inputs} inputs in one call; at most {MAX_INPUTS} are taken"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
