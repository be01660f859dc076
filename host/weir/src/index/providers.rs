//! The runtime's providers in the parts of the indexer, and the limits they set.

use tokio::sync::Semaphore;
use weir_runtime::types::{EmbeddingRequest, InputKind, SparseVector};
use weir_runtime::vector_store::{Collection, Point, PointId, Selection};
use weir_runtime::{CallError, Capability, Provider};

use super::batch::BatchLimits;
use super::chunk;
use super::error::IndexError;
use super::pipeline::Plan;
use super::services::{Embedded, Embedder, Store, malformed, unflatten};
use super::space::Wanted;
use crate::host::Host;

/// Most calls of one provider at once: what its pool allows at present, up to this. Each holds its texts, its request and
/// its answer in memory, several MiB where vectors are long: with 16, a run over 600 files held 296 MiB.
const MAX_CALLS: usize = 8;

/// Most texts in one call. Larger calls hold more in memory and are more to repeat when one fails.
const MAX_TEXTS: usize = 128;

/// Most points in all upserts at once, and in one: a store that takes one call at a time gets larger ones, since each costs
/// `memory` a write that waits for the disk.
const MAX_POINTS_UNDER_WAY: usize = 256 * MAX_CALLS;
const MAX_POINTS: usize = 1_024;

/// Most bytes in one upsert: Qdrant refuses bodies over 32 MiB, and the estimate is one.
const MAX_UPSERT_BYTES: u64 = 16 << 20;

/// Most ids in one deletion: 36 characters each.
const MAX_DELETED: usize = 1_000;

/// Loads a provider, and checks that it offers what it was chosen for.
pub async fn load(host: &Host, name: &str, capability: Capability, flag: &'static str) -> Result<Provider, IndexError> {
    let provider = host.provider(name).await?;
    if provider.capabilities().contains(&capability) {
        return Ok(provider);
    }
    Err(IndexError::Lacks {
        provider: name.to_owned(),
        capability,
        flag,
    })
}

/// The dense model that a provider is configured to use, as far as that is known without a call.
pub fn configured_model(host: &Host, provider: &Provider) -> Option<String> {
    let config = host.config().providers.get(provider.name());
    let configured = config
        .and_then(|config| config.config.get("model"))
        .map(|model| model.0.clone());
    let defaults = &provider.manifest().default_models;
    configured.or_else(|| {
        defaults
            .iter()
            .find(|default| default.operation == "embed")
            .map(|model| model.model.clone())
    })
}

/// Most tokens in one text to embed.
pub fn max_item_tokens(provider: &Provider) -> Option<u32> {
    limits(provider, "embed").item_tokens
}

/// The limits of a run with these providers.
pub fn plan(wanted: Wanted, dense: &Provider, sparse: Option<&Provider>, store: &Provider) -> Plan {
    let embed = limits(dense, "embed");
    let terms = sparse.map(|sparse| limits(sparse, "embed-sparse")).unwrap_or_default();
    let upsert = limits(store, "upsert");
    let store_calls = most_calls(store, 1);
    let points = (MAX_POINTS_UNDER_WAY / store_calls).min(MAX_POINTS);
    Plan {
        wanted,
        max_characters: chunk::max_characters(least(embed.item_tokens, terms.item_tokens)),
        embed: BatchLimits {
            items: least(embed.items, terms.items).unwrap_or(MAX_TEXTS).min(MAX_TEXTS),
            weight: least(embed.tokens, terms.tokens).map_or(u64::MAX, u64::from),
        },
        embed_calls: most_calls(dense, cores()),
        upsert: BatchLimits {
            items: upsert.items.unwrap_or(points).min(points),
            weight: MAX_UPSERT_BYTES,
        },
        store_calls,
        delete: BatchLimits {
            items: limits(store, "delete").items.unwrap_or(MAX_DELETED).min(MAX_DELETED),
            weight: u64::MAX,
        },
    }
}

/// What a provider takes in one call; at least one item, whatever its manifest says.
#[derive(Debug, Default)]
struct Limits {
    items: Option<usize>,
    item_tokens: Option<u32>,
    tokens: Option<u32>,
}

fn limits(provider: &Provider, operation: &str) -> Limits {
    let limits = provider
        .manifest()
        .limits
        .iter()
        .find(|limits| limits.operation == operation);
    limits.map_or_else(Limits::default, |limits| Limits {
        items: limits.max_items.map(|items| items.max(1) as usize),
        item_tokens: limits.max_item_tokens,
        tokens: limits.max_tokens,
    })
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Without a pool an embedder computes here: a call a core.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How many calls of a provider there are ever at once.
fn most_calls(provider: &Provider, without_pool: usize) -> usize {
    let calls = provider
        .pool()
        .map_or(without_pool, |pool| pool.config().max_connections.get());
    calls.clamp(1, MAX_CALLS)
}

/// How many calls of a provider its pool lets through at present: its limit of concurrency follows what the server bears.
fn calls(provider: &Provider, without_pool: usize) -> usize {
    let calls = provider.pool().map_or(without_pool, |pool| {
        let stats = pool.stats();
        stats.concurrency_limit.unwrap_or(stats.max_connections)
    });
    calls.clamp(1, MAX_CALLS)
}

/// The models of a run: dense vectors, and sparse ones beside them.
#[derive(Debug)]
pub struct Models {
    dense: Provider,
    sparse: Option<Provider>,
    /// For calls of the sparse model: one that computes here gains nothing by more of them than there are cores, and an
    /// instance each has its tables in memory.
    turns: Semaphore,
}

impl Models {
    /// Models of providers that offer them.
    pub fn new(dense: Provider, sparse: Option<Provider>) -> Models {
        let computes_here = sparse.as_ref().is_some_and(|sparse| sparse.pool().is_none());
        let turns = Semaphore::new(if computes_here { cores() } else { MAX_CALLS });
        Models { dense, sparse, turns }
    }
}

impl Models {
    /// The sparse vectors of texts, one each, and their model.
    async fn terms(&self, provider: &Provider, texts: Vec<String>) -> Result<(String, Vec<SparseVector>), CallError> {
        let count = texts.len();
        // It is never closed.
        let _turn = self.turns.acquire().await;
        let terms = provider.embed_sparse(request(texts)).await?;
        if terms.vectors.len() != count {
            let what = format!("{} sparse vectors for {count} texts", terms.vectors.len());
            return Err(malformed(provider.name(), "embed-sparse", what));
        }
        Ok((terms.model, terms.vectors))
    }
}

impl Embedder for Models {
    fn calls(&self) -> usize {
        calls(&self.dense, cores())
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Embedded, CallError> {
        let count = texts.len();
        let (dense, sparse) = match &self.sparse {
            None => (self.dense.embed(request(texts)).await?, None),
            Some(sparse) => {
                let both = futures::try_join!(self.dense.embed(request(texts.clone())), self.terms(sparse, texts));
                let (dense, terms) = both?;
                (dense, Some(terms))
            }
        };
        Ok(Embedded {
            vectors: unflatten(&dense.vectors, dense.dimensions, count),
            model: dense.model,
            tokens: dense.usage.input_tokens,
            calls: 1 + u64::from(sparse.is_some()),
            sparse,
        })
    }

    async fn embed_sparse(&self, texts: Vec<String>) -> Result<Embedded, CallError> {
        let sparse = match &self.sparse {
            Some(sparse) => Some(self.terms(sparse, texts).await?),
            None => None,
        };
        Ok(Embedded {
            vectors: Vec::new(),
            model: String::new(),
            tokens: 0,
            calls: u64::from(sparse.is_some()),
            sparse,
        })
    }
}

fn request(inputs: Vec<String>) -> EmbeddingRequest {
    EmbeddingRequest {
        inputs,
        model: None,
        kind: Some(InputKind::Document),
        dimensions: None,
    }
}

/// A provider that keeps vectors.
#[derive(Debug)]
pub struct VectorStore(Provider);

impl VectorStore {
    /// The store of a provider that offers one.
    pub fn new(provider: Provider) -> VectorStore {
        VectorStore(provider)
    }
}

impl Store for VectorStore {
    fn calls(&self) -> usize {
        calls(&self.0, 1)
    }

    async fn collections(&self) -> Result<Vec<String>, CallError> {
        self.0.list_collections().await
    }

    async fn ensure(&self, collection: Collection) -> Result<bool, CallError> {
        self.0.ensure_collection(collection).await
    }

    async fn drop_collection(&self, name: String) -> Result<bool, CallError> {
        self.0.drop_collection(name).await
    }

    async fn upsert(&self, collection: String, points: Vec<Point>) -> Result<u64, CallError> {
        self.0.upsert(collection, points).await
    }

    async fn delete(&self, collection: String, ids: Vec<PointId>) -> Result<(), CallError> {
        self.0.delete(collection, Selection::Ids(ids)).await.map(|_| ())
    }
}
