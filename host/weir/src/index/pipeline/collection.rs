//! The collection around a run: that it is there, that it is the right one, and that deleted files leave it.

use std::sync::Arc;

use weir_runtime::CallError;
use weir_runtime::vector_store::{Collection, Distance};

use super::{FileUnderWay, Pipeline};
use crate::index::error::IndexError;
use crate::index::manifest::{Description, ManifestError};
use crate::index::report::Event;
use crate::index::services::{Embedded, Embedder, Store};
use crate::index::walk::Tree;
use crate::remedy;

impl<E: Embedder, S: Store> Pipeline<'_, E, S> {
    /// Compares the manifest with the settings and with the store, before anything is sent.
    pub(super) async fn open_collection(&mut self, rebuild: bool) -> Result<(), IndexError> {
        let name = self.plan.wanted.collection.clone();
        let dropping = self.in_manifest(|manifest| manifest.is_dropping()).await?;
        if rebuild || dropping {
            self.in_manifest(|manifest| manifest.begin_drop()).await?;
            self.counts.requests += 1;
            self.store.drop_collection(name.clone()).await.map_err(stopped)?;
            self.in_manifest(|manifest| manifest.clear()).await?;
            self.store_has_answered();
            return Ok(());
        }
        self.space = self.in_manifest(|manifest| manifest.description()).await?;
        if let Some(known) = &self.space {
            self.plan.wanted.check(known)?;
            if known.root != self.plan.wanted.root {
                let (was, now) = (&known.root, &self.plan.wanted.root);
                let message = format!("the collection was made of {was}; files that are not in {now} will leave it");
                self.reporter.report(Event::Warning { message });
            }
        }
        self.counts.requests += 1;
        let is_there = self.store.collections().await.map_err(stopped)?.contains(&name);
        self.store_has_answered();
        match (&self.space, is_there) {
            (Some(_), false) => {
                let message = format!("the store has no collection `{name}` any more; everything is indexed again");
                self.reporter.report(Event::Warning { message });
                self.space = None;
                self.in_manifest(|manifest| manifest.clear()).await?;
            }
            (None, true) => {
                let message = format!(
                    "the store has a collection `{name}` already that is not noted here; points of files that are no \
                     longer in the tree stay in it, unless it is indexed anew (--rebuild)"
                );
                self.reporter.report(Event::Warning { message });
            }
            _ => {}
        }
        Ok(())
    }

    fn store_has_answered(&mut self) {
        self.writes.answered();
        self.removals.answered();
    }

    /// Admits vectors to the collection. The first ones of a new collection decide what it is.
    pub(super) async fn admit(&mut self, embedded: &Embedded) -> Result<(), IndexError> {
        if let Some(known) = &self.space {
            return self.plan.wanted.admit(known, embedded);
        }
        let mut space = self.plan.wanted.describe(embedded);
        if let Err(error) = self.ensure(&space).await {
            if space.sparse.is_none() || error.kind() != "unsupported" {
                return Err(stopped(error));
            }
            let message = format!("the store takes no sparse vectors ({error}); only dense ones are kept");
            self.reporter.report(Event::Warning { message });
            space.sparse = None;
            self.ensure(&space).await.map_err(stopped)?;
        }
        let noted = space.clone();
        self.in_manifest(move |manifest| manifest.describe(&noted)).await?;
        self.space = Some(space);
        Ok(())
    }

    async fn ensure(&mut self, space: &Description) -> Result<bool, CallError> {
        self.counts.requests += 1;
        let collection = Collection {
            name: self.plan.wanted.collection.clone(),
            dimensions: space.dimensions,
            distance: Distance::Cosine,
            sparse: space.sparse.is_some(),
        };
        self.store.ensure(collection).await
    }

    /// Lets the files leave the store that are no longer in the tree, or no longer worth indexing.
    pub(super) async fn queue_deleted_files(&mut self, tree: &Arc<Tree>) -> Result<(), IndexError> {
        let errors = tree.errors.len();
        if errors > 0 {
            let message = format!("{errors} places of the tree could not be read, so no file is taken for deleted");
            self.reporter.report(Event::Warning { message });
            return Ok(());
        }
        let (tree, left_out) = (Arc::clone(tree), std::mem::take(&mut self.left_out));
        // Without a description the collection was never made, and nothing can be in it.
        let is_made = self.space.is_some();
        let gone = self
            .in_manifest(move |manifest| {
                let gone = manifest.paths(|path| !tree.contains(path) || left_out.contains(path))?;
                if gone.is_empty() {
                    return Ok(Vec::new());
                }
                // Should the run end half-way and a file come back, it has to be sent again.
                manifest.begin(gone.iter().map(|path| (path.as_str(), [].as_slice())))?;
                let file = |path: String| {
                    let points = manifest.file(&path)?.all_points();
                    let stale = points.into_iter().filter(|_| is_made).collect();
                    Ok(FileUnderWay {
                        path,
                        hash: None,
                        points: Vec::new(),
                        stale,
                        remaining: 0,
                        is_sparse_only: false,
                    })
                };
                gone.into_iter().map(file).collect::<Result<Vec<_>, ManifestError>>()
            })
            .await?;
        for file in gone {
            self.begin(file);
        }
        Ok(())
    }
}

/// A failure of the store outside of any file ends the run.
fn stopped(error: CallError) -> IndexError {
    let advice = remedy::of(&error).unwrap_or("the store could not be used");
    IndexError::Stopped {
        error: Box::new(error),
        advice: advice.to_owned(),
    }
}
