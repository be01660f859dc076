//! `weir index`: a tree of files into a vector store, and kept in step with it.
//!
//! | file | subject |
//! |---|---|
//! | [`walk`], [`source`] | which files there are, and which are worth it |
//! | [`language`], [`part`], [`structure`], [`symbol`], [`cut`], [`chunk`] | a file in pieces that follow its structure |
//! | [`weir_runtime::estimate`], [`batch`] | how much goes into one call |
//! | [`names`] | a collection's name, and where its manifest is |
//! | [`ids`], [`payload`] | a point's name and content |
//! | [`manifest`], [`space`] | what is in the store, and whose vectors |
//! | [`prepare`], `readers` | from a path to what has to be sent |
//! | [`verdict`], [`queue`] | batches on their way, and what a failure means |
//! | [`services`], [`providers`] | what is asked of providers, and the ones of the runtime |
//! | [`pipeline`] | all of it, in order |
//! | `dry_run` | the same without a call |
//! | `outlook` | how much a run will have sent at its end |
//! | [`report`], [`progress`] | what a run tells, and how it is shown |
//! | [`watch`] | one run after the other, as files change |

pub mod batch;
pub mod chunk;
pub mod cut;
mod dry_run;
mod error;
pub mod ids;
pub mod language;
pub mod manifest;
pub mod names;
mod outlook;
pub mod part;
pub mod payload;
pub mod pipeline;
pub mod prepare;
pub mod progress;
pub mod providers;
pub mod queue;
mod readers;
pub mod report;
pub mod services;
pub mod source;
pub mod space;
pub mod structure;
pub mod symbol;
pub mod verdict;
pub mod walk;
pub mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_runtime::{Capability, Provider};

pub use self::error::IndexError;
use self::manifest::Manifest;
use self::pipeline::{End, Pipeline};
use self::providers::{Models, VectorStore};
use self::report::{Counts, Event, Outcome, Reporter, Summary};
use self::source::Skip;
use self::walk::Tree;
use crate::host::Host;
use crate::pool_use;

/// For `--sparse`, and in the configuration: no sparse vectors.
pub const NO_PROVIDER: &str = "none";

/// What to index, and where to. What is not given is the configuration's.
#[derive(Debug, Clone, Default)]
pub struct IndexOptions {
    /// The tree: a folder, or a single file.
    pub path: PathBuf,
    /// The collection; by default it is named after the folder.
    pub collection: Option<String>,
    /// Who makes the dense vectors.
    pub embedding: Option<String>,
    /// Who makes the sparse vectors; [`NO_PROVIDER`] for none.
    pub sparse: Option<String>,
    /// Who keeps them.
    pub store: Option<String>,
    /// Only count.
    pub dry_run: bool,
    /// Drop the collection first.
    pub rebuild: bool,
}

/// Brings a collection up to date with a tree. The last event reported is [`Event::Done`], whatever happens after the
/// first.
///
/// # Errors
/// Where nothing can be done, or going on would fail for every file. Single files that fail are counted only.
pub async fn run(
    host: &Host,
    options: &IndexOptions,
    reporter: &mut dyn Reporter,
    cancel: &CancellationToken,
) -> Result<Summary, IndexError> {
    pass(host, options, reporter, cancel).await.summary
}

/// A run, and the folders that its walk looked into.
struct Pass {
    summary: Result<Summary, IndexError>,
    folders: Vec<PathBuf>,
}

async fn pass(host: &Host, options: &IndexOptions, reporter: &mut dyn Reporter, cancel: &CancellationToken) -> Pass {
    let mut folders = Vec::new();
    let summary = pass_over(host, options, &mut folders, reporter, cancel).await;
    Pass { summary, folders }
}

async fn pass_over(
    host: &Host,
    options: &IndexOptions,
    folders: &mut Vec<PathBuf>,
    reporter: &mut dyn Reporter,
    cancel: &CancellationToken,
) -> Result<Summary, IndexError> {
    let began = Instant::now();
    let settings = &host.config().index;
    let collection = names::collection(
        options.collection.as_deref().or(settings.collection.as_deref()),
        &options.path,
    )?;
    let file = names::manifest_file(host.data_dir(), &collection);
    let chosen = Chosen::new(host, options);
    reporter.report(Event::Started {
        root: root_of(&options.path),
        collection: collection.clone(),
        embedding: chosen.embedding.clone(),
        sparse: chosen.sparse.clone(),
        store: chosen.store.clone(),
    });

    // A path that is not there leaves no manifest behind.
    let (counts, ended) = match walked(&options.path, reporter).await {
        Err(error) => (Counts::default(), Err(error)),
        Ok((mut tree, counts)) => {
            *folders = std::mem::take(&mut tree.folders);
            if options.dry_run {
                let most = chosen.max_characters(host).await;
                dry_run::count(tree, counts, file, most, reporter, cancel).await
            } else {
                let target = (collection.as_str(), file.as_path());
                send(host, options, target, chosen, (tree, counts), reporter, cancel).await
            }
        }
    };
    let outcome = match &ended {
        Ok(End::Complete) => Outcome::Complete,
        Ok(End::Interrupted) => Outcome::Interrupted,
        Err(_) => Outcome::Stopped,
    };
    let summary = Summary {
        outcome,
        dry_run: options.dry_run,
        collection,
        counts,
        seconds: began.elapsed().as_secs_f64(),
        pools: pool_use::used(host.runtime().pools()),
    };
    reporter.report(Event::Done(Box::new(summary.clone())));
    ended.map(|_| summary)
}

type Ended = (Counts, Result<End, IndexError>);

async fn send(
    host: &Host,
    options: &IndexOptions,
    (collection, file): (&str, &Path),
    chosen: Chosen,
    (tree, counts): (Tree, Counts),
    reporter: &mut dyn Reporter,
    cancel: &CancellationToken,
) -> Ended {
    let opened = async {
        let (dense, sparse, store) = chosen.load(host, reporter).await?;
        let manifest = file.to_owned();
        let manifest = tokio::task::spawn_blocking(move || Manifest::open(&manifest)).await??;
        Ok((dense, sparse, store, manifest))
    };
    let (dense, sparse, store, manifest) = tokio::select! {
        biased;
        () = cancel.cancelled() => return (counts, Ok(End::Interrupted)),
        opened = opened => match opened {
            Ok(opened) => opened,
            Err(error) => return (counts, Err(error)),
        },
    };
    let model = providers::configured_model(host, &dense);
    let wanted = space::Wanted {
        collection: collection.to_owned(),
        root: root_of(&options.path),
        store: store.name().to_owned(),
        embedding: dense.name().to_owned(),
        model,
        sparse: sparse.as_ref().map(|sparse| sparse.name().to_owned()),
    };
    let plan = providers::plan(wanted, &dense, sparse.as_ref(), &store);
    let models = Arc::new(Models::new(dense, sparse));
    let store = Arc::new(VectorStore::new(store));
    let mut pipeline = Pipeline::new(&plan, models, store, Arc::new(manifest), reporter);
    pipeline.counts = counts;
    let ended = pipeline.run(tree, options.rebuild, cancel).await;
    (pipeline.counts, ended)
}

/// The tree, and what its walk alone counted.
async fn walked(root: &Path, reporter: &mut dyn Reporter) -> Result<(Tree, Counts), IndexError> {
    let root = root.to_owned();
    let tree = tokio::task::spawn_blocking(move || walk::walk(&root)).await??;
    reporter.report(Event::Walked {
        files: tree.files.len() + tree.unnameable.len(),
    });
    let mut counts = Counts {
        skipped: tree.unnameable.len(),
        ..Counts::default()
    };
    for path in &tree.unnameable {
        *counts.skipped_by_reason.entry(Skip::Name).or_default() += 1;
        reporter.report(Event::Skipped {
            path: path.display().to_string(),
            reason: Skip::Name,
        });
    }
    for error in &tree.errors {
        reporter.report(Event::Warning { message: error.clone() });
    }
    Ok((tree, counts))
}

/// The providers of a run, by name.
struct Chosen {
    embedding: String,
    sparse: Option<String>,
    /// Whether the one for sparse vectors was asked for on the command line, and so has to be there.
    sparse_is_asked_for: bool,
    store: String,
}

impl Chosen {
    fn new(host: &Host, options: &IndexOptions) -> Chosen {
        let settings = &host.config().index;
        let sparse = options.sparse.clone().or_else(|| settings.sparse_embedding.clone());
        Chosen {
            embedding: options.embedding.clone().unwrap_or_else(|| settings.embedding.clone()),
            sparse: sparse.filter(|name| name != NO_PROVIDER),
            sparse_is_asked_for: options.sparse.is_some(),
            store: options.store.clone().unwrap_or_else(|| settings.store.clone()),
        }
    }

    async fn load(
        &self,
        host: &Host,
        reporter: &mut dyn Reporter,
    ) -> Result<(Provider, Option<Provider>, Provider), IndexError> {
        let dense = providers::load(host, &self.embedding, Capability::Embedding, "embedding").await?;
        let store = providers::load(host, &self.store, Capability::VectorStore, "store").await?;
        let Some(name) = &self.sparse else {
            return Ok((dense, None, store));
        };
        match providers::load(host, name, Capability::SparseEmbedding, "sparse").await {
            Ok(sparse) => Ok((dense, Some(sparse), store)),
            Err(error) if self.sparse_is_asked_for => Err(error),
            Err(error) => {
                reporter.report(Event::Warning {
                    message: format!("no sparse vectors: {error}"),
                });
                Ok((dense, None, store))
            }
        }
    }

    /// For a dry run, which needs no key: a provider that can't be loaded counts as one without a limit.
    async fn max_characters(&self, host: &Host) -> usize {
        let dense = host.provider(&self.embedding).await.ok();
        chunk::max_characters(dense.and_then(|dense| providers::max_item_tokens(&dense)))
    }
}

fn root_of(path: &Path) -> String {
    path.canonicalize()
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string()
}
