//! What a search asks of providers, apart from how they are run.

use std::future::Future;

use weir_runtime::types::{EmbeddingRequest, InputKind, SparseVector};
use weir_runtime::vector_store::{QueryRequest, ScoredPoint};
use weir_runtime::{CallError, Provider, reranking};

use crate::index::services::{malformed, unflatten};

/// The providers of one search.
pub trait Backend: Sync {
    /// The query's dense vector, and the model that made it.
    fn embed(&self, query: &str) -> impl Future<Output = Result<(String, Vec<f32>), CallError>> + Send;
    /// The query's sparse vector. None where there is no provider of them.
    fn embed_sparse(&self, query: &str) -> impl Future<Output = Option<Result<SparseVector, CallError>>> + Send;
    /// The store's name.
    fn store_name(&self) -> &str;
    /// Asks the store.
    fn query(&self, request: QueryRequest) -> impl Future<Output = Result<Vec<ScoredPoint>, CallError>> + Send;
    /// Whether hits are ranked again.
    fn has_reranker(&self) -> bool;
    /// Asks the reranker.
    fn rerank(
        &self,
        request: reranking::Request,
    ) -> impl Future<Output = Result<Vec<reranking::Ranked>, CallError>> + Send;
}

/// The runtime's providers.
#[derive(Debug)]
pub struct Providers {
    /// Makes dense vectors.
    pub dense: Provider,
    /// Makes sparse vectors.
    pub sparse: Option<Provider>,
    /// Keeps them.
    pub store: Provider,
    /// Puts hits in order.
    pub reranker: Option<Provider>,
}

impl Backend for Providers {
    async fn embed(&self, query: &str) -> Result<(String, Vec<f32>), CallError> {
        let answer = self.dense.embed(request(query)).await?;
        let vectors = unflatten(&answer.vectors, answer.dimensions, 1);
        let vector = vectors.into_iter().next();
        let none = || malformed(self.dense.name(), "embed", "no vector for the query".to_owned());
        Ok((answer.model, vector.ok_or_else(none)?))
    }

    async fn embed_sparse(&self, query: &str) -> Option<Result<SparseVector, CallError>> {
        let sparse = self.sparse.as_ref()?;
        let answer = match sparse.embed_sparse(request(query)).await {
            Ok(answer) => answer,
            Err(error) => return Some(Err(error)),
        };
        let none = || malformed(sparse.name(), "embed-sparse", "no vector for the query".to_owned());
        Some(answer.vectors.into_iter().next().ok_or_else(none))
    }

    fn store_name(&self) -> &str {
        self.store.name()
    }

    async fn query(&self, request: QueryRequest) -> Result<Vec<ScoredPoint>, CallError> {
        self.store.query(request).await
    }

    fn has_reranker(&self) -> bool {
        self.reranker.is_some()
    }

    async fn rerank(&self, request: reranking::Request) -> Result<Vec<reranking::Ranked>, CallError> {
        match &self.reranker {
            Some(reranker) => Ok(reranker.rerank(request).await?.results),
            None => Ok(Vec::new()),
        }
    }
}

fn request(query: &str) -> EmbeddingRequest {
    EmbeddingRequest {
        inputs: vec![query.to_owned()],
        model: None,
        kind: Some(InputKind::Query),
        dimensions: None,
    }
}
