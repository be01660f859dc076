//! The operations, by capability. Each is one export called in one leased instance.

use futures::FutureExt;

use crate::bindings::v0_1_0::{chat, embedding, models, reranking, sparse_embedding, types, vector_store, web_search};
use crate::capability::Capability;
use crate::error::{CallError, CallErrorKind};
use crate::provider::{Provider, checked};

/// Calls one function of one export, or says that the component does not have it.
macro_rules! call {
    ($self:ident, $operation:literal, $capability:ident, $export:ident.$function:ident($($argument:expr),*)) => {
        call!($self, $operation, $capability, $export.$function($($argument),*), Ok)
    };
    ($self:ident, $operation:literal, $capability:ident, $export:ident.$function:ident($($argument:expr),*), $check:expr) => {{
        let inner = &$self.inner;
        if !inner.capabilities.contains(&Capability::$capability) {
            let kind = CallErrorKind::Unsupported { capability: Capability::$capability };
            return Err(inner.error($operation, kind));
        }
        inner
            .call($operation, move |accessor, exports| {
                async move {
                    match &exports.$export {
                        Some(export) => Ok(export.$function(accessor, $($argument),*).await?.and_then($check)),
                        None => Err(wasmtime::format_err!("the export vanished")),
                    }
                }
                .boxed()
            })
            .await
    }};
}

impl Provider {
    /// Texts to dense vectors.
    pub async fn embed(&self, request: types::EmbeddingRequest) -> Result<embedding::Response, CallError> {
        let inputs = request.inputs.len();
        let check = move |response| checked::embedding(response, inputs);
        call!(self, "embed", Embedding, embedding.call_embed(request), check)
    }

    /// Texts to sparse vectors.
    pub async fn embed_sparse(
        &self,
        request: types::EmbeddingRequest,
    ) -> Result<sparse_embedding::Response, CallError> {
        let inputs = request.inputs.len();
        let check = move |response| checked::sparse(response, inputs);
        call!(
            self,
            "embed-sparse",
            SparseEmbedding,
            sparse_embedding.call_embed_sparse(request),
            check
        )
    }

    /// Documents in order of their worth to a query.
    pub async fn rerank(&self, request: reranking::Request) -> Result<reranking::Response, CallError> {
        let (documents, top_n) = (request.documents.len(), request.top_n);
        let check = move |response| checked::ranking(response, documents, top_n);
        call!(self, "rerank", Reranking, reranking.call_rerank(request), check)
    }

    /// The web, searched.
    pub async fn search_web(&self, request: web_search::Request) -> Result<Vec<web_search::Found>, CallError> {
        call!(self, "web-search", WebSearch, web_search.call_search(request))
    }

    /// The models the provider offers.
    pub async fn list_models(&self) -> Result<Vec<models::Model>, CallError> {
        call!(self, "models", Models, models.call_list_models())
    }

    /// A conversation's next message, whole.
    pub async fn chat(&self, request: chat::Request) -> Result<chat::Response, CallError> {
        call!(self, "chat", Chat, chat.call_chat(request))
    }

    /// Makes a collection if it is not there; true if this call made it.
    pub async fn ensure_collection(&self, collection: vector_store::Collection) -> Result<bool, CallError> {
        call!(
            self,
            "ensure-collection",
            VectorStore,
            vector_store.call_ensure_collection(collection)
        )
    }

    /// Writes points; they are durable when this returns.
    pub async fn upsert(&self, collection: String, points: Vec<vector_store::Point>) -> Result<u64, CallError> {
        call!(
            self,
            "upsert",
            VectorStore,
            vector_store.call_upsert(collection, points)
        )
    }

    /// The points nearest to a vector.
    pub async fn query(
        &self,
        request: vector_store::QueryRequest,
    ) -> Result<Vec<vector_store::ScoredPoint>, CallError> {
        call!(self, "query", VectorStore, vector_store.call_query(request))
    }

    /// Deletes points; how many, where the store tells.
    pub async fn delete(
        &self,
        collection: String,
        selection: vector_store::Selection,
    ) -> Result<Option<u64>, CallError> {
        call!(
            self,
            "delete",
            VectorStore,
            vector_store.call_delete(collection, selection)
        )
    }

    /// How many points there are, or pass the filter.
    pub async fn count(&self, collection: String, filter: Option<vector_store::Filter>) -> Result<u64, CallError> {
        call!(self, "count", VectorStore, vector_store.call_count(collection, filter))
    }

    /// The names of the collections.
    pub async fn list_collections(&self) -> Result<Vec<String>, CallError> {
        call!(
            self,
            "list-collections",
            VectorStore,
            vector_store.call_list_collections()
        )
    }

    /// Drops a collection; whether it was there.
    pub async fn drop_collection(&self, name: String) -> Result<bool, CallError> {
        call!(
            self,
            "drop-collection",
            VectorStore,
            vector_store.call_drop_collection(name)
        )
    }
}
