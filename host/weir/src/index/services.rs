//! What the pipeline needs of the providers, apart from how they are run: so that it can be tried without a component.

use std::future::Future;

use weir_runtime::types::SparseVector;
use weir_runtime::vector_store::{Collection, Point, PointId};
use weir_runtime::{CallError, CallErrorKind, types};

/// The vectors of some texts, in their order.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// The dense model, as the provider names it.
    pub model: String,
    /// The dense vectors, all of one length; none where only sparse ones were asked for.
    pub vectors: Vec<Vec<f32>>,
    /// The sparse model and its vectors, where there is one.
    pub sparse: Option<(String, Vec<SparseVector>)>,
    /// Tokens, as the dense provider counts them; 0 where it does not say.
    pub tokens: u64,
    /// Calls it took.
    pub calls: u64,
}

impl Embedded {
    /// Length of the dense vectors.
    pub fn dimensions(&self) -> u32 {
        self.vectors
            .first()
            .map_or(0, |vector| u32::try_from(vector.len()).unwrap_or(u32::MAX))
    }
}

/// Makes vectors of documents.
pub trait Embedder: Send + Sync + 'static {
    /// How many calls may be under way at present.
    fn calls(&self) -> usize;
    /// One call's worth of texts.
    fn embed(&self, texts: Vec<String>) -> impl Future<Output = Result<Embedded, CallError>> + Send;
    /// The same without dense vectors, for when their provider is down.
    fn embed_sparse(&self, texts: Vec<String>) -> impl Future<Output = Result<Embedded, CallError>> + Send;
}

/// Keeps points.
pub trait Store: Send + Sync + 'static {
    /// How many calls may be under way at present.
    fn calls(&self) -> usize;
    /// The collections there are.
    fn collections(&self) -> impl Future<Output = Result<Vec<String>, CallError>> + Send;
    /// Makes a collection if it is not there.
    fn ensure(&self, collection: Collection) -> impl Future<Output = Result<bool, CallError>> + Send;
    /// Drops a collection if it is there.
    fn drop_collection(&self, name: String) -> impl Future<Output = Result<bool, CallError>> + Send;
    /// Writes points; they are durable when this returns.
    fn upsert(&self, collection: String, points: Vec<Point>) -> impl Future<Output = Result<u64, CallError>> + Send;
    /// Removes points. Those that are not there do no harm.
    fn delete(&self, collection: String, ids: Vec<PointId>) -> impl Future<Output = Result<(), CallError>> + Send;
}

/// An answer that the provider does not document.
pub fn malformed(provider: &str, operation: &'static str, what: String) -> CallError {
    let kind = CallErrorKind::Provider(types::Error::MalformedResponse(what));
    CallError::new(provider, operation, kind)
}

/// Cuts a flat list into `count` vectors. An empty list where it can't be: no provider is asked for no vector.
pub fn unflatten(flat: &[f32], dimensions: u32, count: usize) -> Vec<Vec<f32>> {
    let dimensions = dimensions as usize;
    if dimensions == 0 || flat.len() != dimensions * count {
        return Vec::new();
    }
    flat.chunks_exact(dimensions).map(<[f32]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_answer_of_the_wrong_length_gives_no_vector() {
        assert_eq!(unflatten(&[1., 2., 3., 4.], 2, 2), [[1., 2.], [3., 4.]]);
        for (dimensions, count) in [(2, 3), (0, 2), (4, 2)] {
            assert!(unflatten(&[1., 2., 3., 4.], dimensions, count).is_empty());
        }
    }
}
