//! The operations, by capability. Each is one export called in one leased instance, or in several where a list is sent in
//! parts.

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use futures::FutureExt;

use crate::bindings::v0_1_0::{chat, embedding, models, reranking, sparse_embedding, types, vector_store, web_search};
use crate::capability::Capability;
use crate::error::{CallError, CallErrorKind, Part};
use crate::provider::gen_ai::Asked;
use crate::provider::{Provider, checked, split};

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
    /// Texts to dense vectors. More than the provider takes at once are sent in parts.
    pub async fn embed(&self, request: types::EmbeddingRequest) -> Result<embedding::Response, CallError> {
        let parts = split::parts(self.limits_of("embed"), &request.inputs, "");
        let (provider, request) = (self, Arc::new(request));
        let part = |part| embed(provider.clone(), request.clone(), part);
        let answers = split::side_by_side(parts, self.side_by_side(), part).await;
        self.whole("embed", "inputs", request.inputs.len(), answers, split::dense)
    }

    /// Texts to sparse vectors. More than the provider takes at once are sent in parts.
    pub async fn embed_sparse(
        &self,
        request: types::EmbeddingRequest,
    ) -> Result<sparse_embedding::Response, CallError> {
        let parts = split::parts(self.limits_of("embed-sparse"), &request.inputs, "");
        let (provider, request) = (self, Arc::new(request));
        let part = |part| embed_sparse(provider.clone(), request.clone(), part);
        let answers = split::side_by_side(parts, self.side_by_side(), part).await;
        self.whole("embed-sparse", "inputs", request.inputs.len(), answers, split::sparse)
    }

    /// Documents in order of their worth to a query. More than the provider takes at once are sent in parts, if it
    /// scores each for itself: one that compares them with each other states no limit of them.
    pub async fn rerank(&self, request: reranking::Request) -> Result<reranking::Response, CallError> {
        let limits = self.limits_of("rerank");
        let parts = split::parts(limits, &request.documents, &request.query);
        let (provider, request) = (self, Arc::new(request));
        let part = |part| rerank(provider.clone(), request.clone(), part);
        let answers = if limits == split::Limits::default() {
            let whole = 0..request.documents.len();
            let answer = part(whole.clone()).await;
            answer.map(|answer| vec![(0, answer)]).map_err(|error| (whole, error))
        } else {
            split::side_by_side(parts, self.side_by_side(), part).await
        };
        let merge = |answers| split::ranking(answers, request.top_n);
        self.whole("rerank", "documents", request.documents.len(), answers, merge)
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
        let asked = Asked::new(&self.inner, "chat", request.model.as_deref());
        let call = async { call!(self, "chat", Chat, chat.call_chat(request)) };
        asked.of(pin!(call), |answer| (&answer.model, &answer.usage)).await
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

    fn limits_of(&self, operation: &str) -> split::Limits {
        split::Limits::of(&self.inner.manifest, operation)
    }

    /// Most parts of a list at once: what its pool, or without one the machine, works on.
    fn side_by_side(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let calls = self
            .pool()
            .map_or_else(cores, |pool| pool.config().max_connections.get());
        calls.min(self.inner.instances.max_instances()).min(split::SIDE_BY_SIDE)
    }

    /// The answers of all parts of a list as one.
    fn whole<R>(
        &self,
        operation: &'static str,
        of: &'static str,
        whole: usize,
        answers: split::Answers<R>,
        merge: impl FnOnce(Vec<(usize, R)>) -> Result<R, CallErrorKind>,
    ) -> Result<R, CallError> {
        match answers {
            Ok(answers) => merge(answers).map_err(|kind| self.inner.error(operation, kind)),
            Err((places, error)) => {
                let part = (places.len() < whole).then(|| Box::new(Part { of, places, whole }));
                Err(CallError { part, ..error })
            }
        }
    }
}

/// One call for the inputs at these places.
async fn embed(
    provider: Provider,
    request: Arc<types::EmbeddingRequest>,
    places: Range<usize>,
) -> Result<embedding::Response, CallError> {
    let inputs = places.len();
    let check = move |response| checked::embedding(response, inputs);
    let asked = Asked::new(&provider.inner, "embeddings", request.model.as_deref());
    let call = async {
        call!(
            provider,
            "embed",
            Embedding,
            embedding.call_embed(inputs_at(&request, &places)),
            check
        )
    };
    asked.of(pin!(call), |answer| (&answer.model, &answer.usage)).await
}

/// As [`embed`].
async fn embed_sparse(
    provider: Provider,
    request: Arc<types::EmbeddingRequest>,
    places: Range<usize>,
) -> Result<sparse_embedding::Response, CallError> {
    let inputs = places.len();
    let check = move |response| checked::sparse(response, inputs);
    let asked = Asked::new(&provider.inner, "embeddings", request.model.as_deref());
    let call = async {
        call!(
            provider,
            "embed-sparse",
            SparseEmbedding,
            sparse_embedding.call_embed_sparse(inputs_at(&request, &places)),
            check
        )
    };
    asked.of(pin!(call), |answer| (&answer.model, &answer.usage)).await
}

/// One call for the documents at these places. The best `top_n` of all are among the best `top_n` of each part.
async fn rerank(
    provider: Provider,
    request: Arc<reranking::Request>,
    places: Range<usize>,
) -> Result<reranking::Response, CallError> {
    let (documents, top_n) = (places.len(), request.top_n);
    let check = move |response| checked::ranking(response, documents, top_n);
    let asked = Asked::new(&provider.inner, "rerank", request.model.as_deref());
    let call = async {
        call!(
            provider,
            "rerank",
            Reranking,
            reranking.call_rerank(documents_at(&request, &places)),
            check
        )
    };
    asked.of(pin!(call), |answer| (&answer.model, &answer.usage)).await
}

fn inputs_at(request: &types::EmbeddingRequest, places: &Range<usize>) -> types::EmbeddingRequest {
    types::EmbeddingRequest {
        inputs: at(&request.inputs, places),
        model: request.model.clone(),
        kind: request.kind,
        dimensions: request.dimensions,
    }
}

fn documents_at(request: &reranking::Request, places: &Range<usize>) -> reranking::Request {
    reranking::Request {
        query: request.query.clone(),
        documents: at(&request.documents, places),
        top_n: request
            .top_n
            .map(|top_n| top_n.min(u32::try_from(places.len()).unwrap_or(u32::MAX))),
        model: request.model.clone(),
    }
}

fn at(texts: &[String], places: &Range<usize>) -> Vec<String> {
    texts.get(places.clone()).unwrap_or_default().to_vec()
}
