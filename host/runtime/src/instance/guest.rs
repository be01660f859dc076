//! A linked component, from which instances are made.

use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Store, UpdateDeadline};

use crate::bindings::v0_1_0::{
    chat, embedding, metadata, models, reranking, sparse_embedding, vector_store, web_search,
};
use crate::capability::Capability;
use crate::instance::state::{Grants, InstanceState};

/// Slices of processor time between two yields.
const SLICES: u64 = 1;

/// A component, linked; and the places of its exports.
pub(crate) struct Guest {
    engine: Engine,
    pre: InstancePre<InstanceState>,
    metadata: metadata::GuestIndices,
    embedding: Option<embedding::GuestIndices>,
    sparse_embedding: Option<sparse_embedding::GuestIndices>,
    reranking: Option<reranking::GuestIndices>,
    vector_store: Option<vector_store::GuestIndices>,
    web_search: Option<web_search::GuestIndices>,
    chat: Option<chat::GuestIndices>,
    models: Option<models::GuestIndices>,
}

/// The exports of one instance.
pub(crate) struct Exports {
    pub(crate) embedding: Option<embedding::Guest>,
    pub(crate) sparse_embedding: Option<sparse_embedding::Guest>,
    pub(crate) reranking: Option<reranking::Guest>,
    pub(crate) vector_store: Option<vector_store::Guest>,
    pub(crate) web_search: Option<web_search::Guest>,
    pub(crate) chat: Option<chat::Guest>,
    pub(crate) models: Option<models::Guest>,
}

/// One instance, alone in its store.
pub(crate) struct Instance {
    pub(crate) store: Store<InstanceState>,
    pub(crate) exports: Exports,
}

impl Guest {
    /// Links a component and finds the exports it was admitted with.
    pub(crate) fn new(
        linker: &Linker<InstanceState>,
        component: &Component,
        capabilities: &[Capability],
    ) -> wasmtime::Result<Guest> {
        let pre = linker.instantiate_pre(component)?;
        macro_rules! find {
            ($capability:ident, $export:ident) => {
                capabilities
                    .contains(&Capability::$capability)
                    .then(|| $export::GuestIndices::new(&pre))
                    .transpose()?
            };
        }
        Ok(Guest {
            engine: component.engine().clone(),
            metadata: metadata::GuestIndices::new(&pre)?,
            embedding: find!(Embedding, embedding),
            sparse_embedding: find!(SparseEmbedding, sparse_embedding),
            reranking: find!(Reranking, reranking),
            vector_store: find!(VectorStore, vector_store),
            web_search: find!(WebSearch, web_search),
            chat: find!(Chat, chat),
            models: find!(Models, models),
            pre,
        })
    }

    /// A fresh instance. Its start runs the component's own code: put it under the call's limits.
    pub(crate) async fn instantiate(&self, grants: &Grants) -> wasmtime::Result<Instance> {
        let mut store = self.store(grants);
        let instance = self.pre.instantiate_async(&mut store).await?;
        macro_rules! load {
            ($indices:expr) => {
                $indices
                    .as_ref()
                    .map(|indices| indices.load(&mut store, &instance))
                    .transpose()?
            };
        }
        let exports = Exports {
            embedding: load!(self.embedding),
            sparse_embedding: load!(self.sparse_embedding),
            reranking: load!(self.reranking),
            vector_store: load!(self.vector_store),
            web_search: load!(self.web_search),
            chat: load!(self.chat),
            models: load!(self.models),
        };
        Ok(Instance { store, exports })
    }

    /// The component's description of itself, from an instance of its own.
    pub(crate) async fn describe(&self, grants: &Grants) -> wasmtime::Result<metadata::Manifest> {
        let mut store = self.store(grants);
        let instance = self.pre.instantiate_async(&mut store).await?;
        let metadata = self.metadata.load(&mut store, &instance)?;
        metadata.call_describe(&mut store).await
    }

    fn store(&self, grants: &Grants) -> Store<InstanceState> {
        let mut store = Store::new(&self.engine, InstanceState::new(grants));
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(grants.host_call_bytes);
        store.set_max_component_handles(grants.handles);
        store.set_epoch_deadline(SLICES);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::YieldCustom(SLICES, Box::pin(tokio::task::yield_now()))));
        store
    }
}
