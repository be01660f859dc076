//! `weir search`: the chunks of an indexed tree that answer a query, best first.
//!
//! | file | subject |
//! |---|---|
//! | here | what is asked in which order, and what becomes of a failure |
//! | [`backend`] | what is asked of providers, and the ones of the runtime |
//! | [`hit`] | what is found |
//! | [`mod@show`] | how it is shown to people |
//! | [`path`] | which paths are asked for |
//!
//! The query is embedded as the tree was, dense and sparse, and the store ranks by both where it can. A reranker
//! then reads more candidates than are asked for. What fails on the way costs quality, and is said, but not the
//! answer, as long as one kind of vector is left.

mod backend;
mod hit;
mod path;
mod show;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use weir_runtime::types::SparseVector;
use weir_runtime::vector_store::{Condition, Filter, QueryRequest, ScoredPoint, Test, Value};
use weir_runtime::{CallError, Capability, reranking};

pub use self::backend::{Backend, Providers};
pub use self::hit::{Hit, RankedBy, SearchResult};
pub use self::path::{BadPattern, PathFilter};
pub use self::show::{show, show_hit};
use crate::host::{Host, HostError};
use crate::index::manifest::{Description, Manifest, ManifestError};
use crate::index::{IndexError, chunk, names, providers};

/// A reranker reads this many times the hits asked for, since it can only lift what it sees.
const CANDIDATES_PER_HIT: u32 = 5;

/// And at least this many.
const MIN_CANDIDATES: u32 = 50;

/// Most of them: what rerankers take in one call (Voyage, Cohere), and the most hits there can be. To one that takes fewer
/// they go in parts.
const MAX_CANDIDATES: u32 = 1_000;

/// Most points that a store is asked for where paths are matched here: beyond that, a pattern that hardly any path
/// matches would have a large collection read through.
const MOST_MATCHED: u32 = 10_000;

/// What to search, and how.
#[derive(Debug, Clone)]
pub struct SearchOptions {
    /// The question.
    pub query: String,
    /// The collection; by default that of `folder`.
    pub collection: Option<String>,
    /// The working folder.
    pub folder: PathBuf,
    /// Most hits.
    pub limit: u32,
    /// Whether, and by whom, hits are put in order anew.
    pub rerank: Rerank,
    /// Only such paths.
    pub path: Option<PathFilter>,
    /// Only this language.
    pub language: Option<String>,
    /// Only items of this kind: `function`, `struct`, `section`, ….
    pub kind: Option<String>,
}

/// Whether, and by whom, hits are put in order anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rerank {
    /// By the configuration's provider, if it names one.
    Configured,
    /// By this one.
    By(String),
    /// Not at all.
    Off,
}

/// A search failed.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Nothing was indexed that could be meant.
    #[error("{} is not indexed; run `weir index PATH`{}", folder.display(), others(indexed))]
    NotIndexed {
        /// The working folder.
        folder: PathBuf,
        /// The collections there are.
        indexed: Vec<String>,
    },
    /// The store does not have the collection.
    #[error("the store `{store}` has no collection `{collection}`; run `weir index PATH --collection {collection}`")]
    NoCollection {
        /// The provider of the store.
        store: String,
        /// The collection.
        collection: String,
    },
    /// The query's vector can't be compared with those that are there.
    #[error(
        "collection `{collection}` was indexed with {was}, and the query was embedded with {now}; give the provider its \
         former model again, or index anew with `weir index PATH --rebuild`"
    )]
    OtherModel {
        /// The collection.
        collection: String,
        /// Model and dimensions of the collection.
        was: String,
        /// Those of the query.
        now: String,
    },
    /// A provider can't be used.
    #[error(transparent)]
    Host(HostError),
    /// The collection's name can't be one, or a provider does not offer what it is to do.
    #[error(transparent)]
    Index(IndexError),
    /// The manifest can't be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A provider failed, and nothing is left to do without it.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl SearchError {
    /// Whether the command or the configuration is to blame.
    pub fn is_usage(&self) -> bool {
        match self {
            SearchError::OtherModel { .. } => true,
            SearchError::Host(error) => error.is_configuration(),
            SearchError::Index(error) => error.is_usage(),
            _ => false,
        }
    }
}

impl From<IndexError> for SearchError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Host(error) => SearchError::Host(error),
            error => SearchError::Index(error),
        }
    }
}

/// Searches a collection.
///
/// # Errors
/// Where nothing is indexed, or neither kind of vector could be made or compared.
pub async fn run(host: &Host, options: &SearchOptions) -> Result<SearchResult, SearchError> {
    let settings = &host.config().index;
    let named = options.collection.as_ref().or(settings.collection.as_ref());
    let collection = match named {
        Some(name) => names::collection(Some(name), &options.folder)?,
        None => names::of_folder(host.data_dir(), &options.folder).ok_or_else(|| SearchError::NotIndexed {
            folder: options.folder.clone(),
            indexed: names::indexed(host.data_dir()),
        })?,
    };
    let mut warnings = Vec::new();
    let known = Manifest::peek(&names::manifest_file(host.data_dir(), &collection))?;
    let backend = load(host, known.as_ref(), &options.rerank, &mut warnings).await?;
    let mut result = search(&backend, &collection, known.as_ref(), options).await?;
    result.warnings.splice(0..0, warnings);
    Ok(result)
}

/// The providers that the collection was made with, or else the configured ones.
async fn load(
    host: &Host,
    known: Option<&Description>,
    rerank: &Rerank,
    warnings: &mut Vec<String>,
) -> Result<Providers, SearchError> {
    let settings = &host.config().index;
    let embedding = known.map_or(&settings.embedding, |known| &known.embedding.provider);
    let store = known.map_or(&settings.store, |known| &known.store);
    let sparse = match known {
        Some(known) => known.sparse.as_ref().map(|model| &model.provider),
        None => settings.sparse_embedding.as_ref(),
    };
    let dense = providers::load(host, embedding, Capability::Embedding, "embedding").await?;
    let store = providers::load(host, store, Capability::VectorStore, "store").await?;
    let sparse = match sparse {
        None => None,
        Some(name) => match providers::load(host, name, Capability::SparseEmbedding, "sparse").await {
            Ok(sparse) => Some(sparse),
            Err(error) => {
                warnings.push(format!("ranked by dense vectors alone: {error}"));
                None
            }
        },
    };
    let reranker = match rerank {
        Rerank::Off => None,
        // One that was asked for has to be there; the configured one only ought to be.
        Rerank::By(name) => Some(providers::load(host, name, Capability::Reranking, "rerank").await?),
        Rerank::Configured => match &settings.rerank {
            None => None,
            Some(name) => match providers::load(host, name, Capability::Reranking, "rerank").await {
                Ok(reranker) => Some(reranker),
                Err(error) => {
                    warnings.push(format!("not reranked: {error}"));
                    None
                }
            },
        },
    };
    Ok(Providers {
        dense,
        sparse,
        store,
        reranker,
    })
}

/// Embed, query, rerank.
async fn search(
    backend: &impl Backend,
    collection: &str,
    known: Option<&Description>,
    options: &SearchOptions,
) -> Result<SearchResult, SearchError> {
    let mut warnings = Vec::new();
    let (vector, sparse) = vectors(backend, collection, known, &options.query, &mut warnings).await?;
    let request = QueryRequest {
        collection: collection.to_owned(),
        vector,
        sparse,
        filter: filter(options),
        limit: candidates(options.limit, backend.has_reranker()),
        fusion: None, // the store's choice: not every store knows every way
    };
    let (mut hits, mut ranked_by) = hits(backend, request, options.path.as_ref(), &mut warnings).await?;

    if backend.has_reranker() && !hits.is_empty() {
        match rerank(backend, &options.query, &hits, options.limit).await {
            Ok(reranked) => {
                hits = reranked;
                ranked_by = RankedBy::Rerank;
            }
            Err(error) => warnings.push(format!("not reranked: {error}")),
        }
    }
    hits.truncate(options.limit as usize);
    Ok(SearchResult {
        hits,
        ranked_by,
        warnings,
    })
}

/// The store's hits. Where it can't tell which paths are asked for, it is asked for more until there are enough.
async fn hits(
    backend: &impl Backend,
    mut request: QueryRequest,
    path: Option<&PathFilter>,
    warnings: &mut Vec<String>,
) -> Result<(Vec<Hit>, RankedBy), SearchError> {
    let pattern = path.filter(|path| path.is_pattern());
    let wanted = request.limit as usize;
    loop {
        let mut said = Vec::new();
        let (points, ranked_by) = query(backend, request.clone(), &mut said).await?;
        let found = points.len();
        let mut hits: Vec<Hit> = points
            .into_iter()
            .filter_map(|point| Hit::new(point, &mut said))
            .filter(|hit| pattern.is_none_or(|pattern| pattern.matches(&hit.path)))
            .collect();
        let all = found < request.limit as usize;
        let most = request.limit >= MOST_MATCHED;
        if pattern.is_none() || hits.len() >= wanted || all || most {
            if let Some(pattern) = pattern.filter(|_| most && !all && hits.len() < wanted) {
                said.push(format!(
                    "only the {found} best points were looked at for paths like `{pattern}`"
                ));
            }
            hits.truncate(wanted);
            warnings.append(&mut said);
            return Ok((hits, ranked_by));
        }
        request.limit = request.limit.saturating_mul(8).min(MOST_MATCHED);
    }
}

type Vectors = (Option<Vec<f32>>, Option<SparseVector>);

/// The query's vectors: both where possible, one where the other failed.
async fn vectors(
    backend: &impl Backend,
    collection: &str,
    known: Option<&Description>,
    query: &str,
    warnings: &mut Vec<String>,
) -> Result<Vectors, SearchError> {
    let (dense, sparse) = futures::join!(backend.embed(query), backend.embed_sparse(query));
    let sparse = sparse.transpose().unwrap_or_else(|error| {
        warnings.push(format!("ranked by dense vectors alone: {error}"));
        None
    });
    match (dense, sparse) {
        (Ok((model, vector)), sparse) => {
            if let Some(known) = known {
                let was = (known.embedding.model.as_str(), known.dimensions as usize);
                let now = (model.as_str(), vector.len());
                if was != now {
                    let name = |(model, dimensions): (&str, usize)| format!("{model} ({dimensions} dimensions)");
                    return Err(SearchError::OtherModel {
                        collection: collection.to_owned(),
                        was: name(was),
                        now: name(now),
                    });
                }
            }
            Ok((Some(vector), sparse))
        }
        (Err(error), Some(sparse)) => {
            warnings.push(format!("ranked by sparse vectors alone: {error}"));
            Ok((None, Some(sparse)))
        }
        (Err(error), None) => Err(error.into()),
    }
}

/// Asks the store by both kinds of vectors, or by dense ones alone where it refuses that.
async fn query(
    backend: &impl Backend,
    mut request: QueryRequest,
    warnings: &mut Vec<String>,
) -> Result<(Vec<ScoredPoint>, RankedBy), SearchError> {
    let ranked_by = match (&request.vector, &request.sparse) {
        (Some(_), Some(_)) => RankedBy::Hybrid,
        (None, Some(_)) => RankedBy::Sparse,
        _ => RankedBy::Dense,
    };
    let missing = |collection: &str| SearchError::NoCollection {
        store: backend.store_name().to_owned(),
        collection: collection.to_owned(),
    };
    match backend.query(request.clone()).await {
        Ok(points) => Ok((points, ranked_by)),
        Err(error) if error.kind() == "not-found" => Err(missing(&request.collection)),
        Err(error) if ranked_by == RankedBy::Hybrid && matches!(error.kind(), "unsupported" | "invalid-input") => {
            warnings.push(format!("ranked by dense vectors alone: {error}"));
            request.sparse = None;
            Ok((backend.query(request).await?, RankedBy::Dense))
        }
        Err(error) => Err(error.into()),
    }
}

/// The hits in the reranker's order, with its scores.
async fn rerank(backend: &impl Backend, query: &str, hits: &[Hit], limit: u32) -> Result<Vec<Hit>, CallError> {
    let documents = hits
        .iter()
        .map(|hit| chunk::with_header(&hit.path, hit.symbol.as_deref(), &hit.text))
        .collect();
    let request = reranking::Request {
        query: query.to_owned(),
        documents,
        top_n: Some(limit),
        model: None,
    };
    let ranked = backend.rerank(request).await?;
    let hit = |ranked: reranking::Ranked| {
        hits.get(ranked.index as usize).map(|hit| Hit {
            score: ranked.score,
            ..hit.clone()
        })
    };
    Ok(ranked.into_iter().filter_map(hit).collect())
}

/// How many hits to ask the store for.
fn candidates(limit: u32, has_reranker: bool) -> u32 {
    if has_reranker {
        let wanted = limit.saturating_mul(CANDIDATES_PER_HIT);
        wanted.clamp(MIN_CANDIDATES, MAX_CANDIDATES)
    } else {
        limit
    }
}

fn filter(options: &SearchOptions) -> Option<Filter> {
    let path = options.path.iter().filter_map(PathFilter::contained);
    let path = path.map(|part| ("path", Test::Contains(part.to_owned())));
    let is = |key, name: &String| (key, Test::Equals(Value::Text(name.to_lowercase())));
    let language = options.language.iter().map(|name| is("language", name));
    let kind = options.kind.iter().map(|name| is("kind", name));
    let must: Vec<Condition> = path
        .chain(language)
        .chain(kind)
        .map(|(key, test)| Condition {
            key: key.to_owned(),
            test,
        })
        .collect();
    (!must.is_empty()).then(|| Filter {
        must,
        should: Vec::new(),
        must_not: Vec::new(),
    })
}

fn others(indexed: &[String]) -> String {
    match indexed {
        [] => String::new(),
        names => format!(", or choose one with --collection: {}", names.join(", ")),
    }
}
