//! What a run writes to the manifest: one transaction at a time, while everything else goes on.
//!
//! A transaction costs a sync of the disk, whatever is in it. So what there is to note gathers while one is under way, and
//! goes into the next: files that are about to be sent as soon as may be, since they wait for it; finished ones with them,
//! or once there are many.

use std::sync::Arc;

use super::Pipeline;
use crate::index::error::IndexError;
use crate::index::ids::ChunkId;
use crate::index::manifest::{Manifest, ManifestError};
use crate::index::prepare::ChangedFile;
use crate::index::services::{Embedder, Store};

/// Most finished files that wait to be noted. Those that are not when a run ends are sent again by the next.
pub(super) const FINISHED_TOGETHER: usize = 32;

/// A transaction that has ended, and the files that are noted as pending by it.
pub(super) type Noted = Result<Vec<ChangedFile>, ManifestError>;

impl<E: Embedder, S: Store> Pipeline<'_, E, S> {
    /// Starts a transaction, if none is under way and there is enough to note.
    pub(super) fn start_noting(&mut self) {
        let done = self.finished.len() + self.removed.len();
        if self.noting.is_empty() && (!self.changed.is_empty() || done >= FINISHED_TOGETHER) {
            self.note();
        }
    }

    /// A transaction has ended: its files can be sent.
    pub(super) fn noted(&mut self, noted: Noted) -> Result<(), IndexError> {
        for file in noted? {
            self.queue(file);
        }
        Ok(())
    }

    /// Notes what is finished at the end of a run.
    pub(super) async fn note_the_rest(&mut self) -> Result<(), IndexError> {
        while let Some(noted) = self.noting.join_next().await {
            noted??;
        }
        if !self.finished.is_empty() || !self.removed.is_empty() {
            self.changed.clear();
            self.note();
        }
        while let Some(noted) = self.noting.join_next().await {
            noted??;
        }
        Ok(())
    }

    fn note(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        let finished = std::mem::take(&mut self.finished);
        let removed = std::mem::take(&mut self.removed);
        let manifest = Arc::clone(&self.manifest);
        self.noting.spawn_blocking(move || {
            let begun: Vec<(&str, Vec<ChunkId>)> =
                changed.iter().map(|file| (file.path.as_str(), file.ids())).collect();
            let begun = begun.iter().map(|(path, ids)| (*path, ids.as_slice()));
            manifest.note(begun, &finished, &removed)?;
            Ok(changed)
        });
    }

    /// Runs a transaction on a thread that may block, while everything else waits.
    pub(super) async fn in_manifest<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Manifest) -> Result<T, ManifestError> + Send + 'static,
    ) -> Result<T, IndexError> {
        let manifest = Arc::clone(&self.manifest);
        Ok(tokio::task::spawn_blocking(move || act(&manifest)).await??)
    }
}
