//! The calls of a run: texts to vectors, points to the store, stale points out of it.

use std::sync::Arc;

use tokio::time::Instant;
use weir_runtime::CallError;
use weir_runtime::vector_store::Point;

use super::Pipeline;
use crate::index::chunk::Chunk;
use crate::index::error::IndexError;
use crate::index::ids::ChunkId;
use crate::index::payload::Payload;
use crate::index::queue::{Batch, Failed, FileKey, Part};
use crate::index::report::Event;
use crate::index::services::{Embedded, Embedder, Store, malformed};
use weir_runtime::estimate;

/// Bytes of a number of a vector in JSON, as most stores take it: sign, eight or nine digits, point, comma.
const BYTES_PER_NUMBER: usize = 12;

/// A chunk on its way to its vectors.
#[derive(Debug)]
pub struct Piece {
    file: FileKey,
    id: ChunkId,
    chunk: Chunk,
    tokens: u32,
}

impl Piece {
    /// A chunk of a file.
    pub fn new(file: FileKey, id: ChunkId, chunk: Chunk) -> Piece {
        let tokens = estimate::tokens(&chunk.embedded_text());
        Piece {
            file,
            id,
            chunk,
            tokens,
        }
    }
}

impl Part for Piece {
    fn file(&self) -> FileKey {
        self.file
    }
    fn weight(&self) -> u64 {
        u64::from(self.tokens)
    }
}

/// A point on its way to the store.
#[derive(Debug)]
pub struct Write {
    file: FileKey,
    point: Point,
}

impl Part for Write {
    fn file(&self) -> FileKey {
        self.file
    }
    fn weight(&self) -> u64 {
        let dense = self.point.vector.as_ref().map_or(0, Vec::len);
        let sparse = self.point.sparse.as_ref().map_or(0, |sparse| 2 * sparse.values.len());
        (self.point.payload.len() + (dense + sparse) * BYTES_PER_NUMBER) as u64
    }
}

/// A point that is to leave the store.
#[derive(Debug)]
pub struct Stale {
    pub file: FileKey,
    pub id: ChunkId,
}

impl Part for Stale {
    fn file(&self) -> FileKey {
        self.file
    }
    fn weight(&self) -> u64 {
        0
    }
}

/// A call for vectors that has ended.
pub struct Embedding(Batch<Piece>, Result<Embedded, CallError>);

/// A call of the store that has ended.
pub enum Writing {
    Upsert(Batch<Write>, Result<(), CallError>),
    Delete(Batch<Stale>, Result<(), CallError>),
}

impl<E: Embedder, S: Store> Pipeline<'_, E, S> {
    /// Starts as many calls as may run. A batch that is not full goes out when nothing would fill it soon.
    pub(super) fn dispatch(&mut self, exhausted: bool) {
        let now = Instant::now();
        while self.embedding.len() < self.plan.embed_calls {
            let flush = exhausted || self.embedding.is_empty();
            let Some(mut batch) = self.pieces.next(flush, now) else {
                break;
            };
            batch.items.retain(|piece| self.files.contains_key(&piece.file));
            if !batch.items.is_empty() {
                self.start_embedding(batch);
            }
        }
        while self.writing.len() < self.plan.store_calls {
            let flush = exhausted || self.writing.is_empty();
            let Some(mut batch) = self.removals.next(flush, now) else {
                break;
            };
            batch.items.retain(|stale| self.files.contains_key(&stale.file));
            if !batch.items.is_empty() {
                self.start_deletion(batch);
            }
        }
        while self.writing.len() < self.plan.store_calls {
            let nothing_follows = exhausted && self.embedding.is_empty() && self.pieces.is_empty();
            let flush = nothing_follows || self.writing.is_empty();
            let Some(mut batch) = self.writes.next(flush, now) else {
                break;
            };
            batch.items.retain(|write| self.files.contains_key(&write.file));
            if !batch.items.is_empty() {
                self.start_upsert(batch);
            }
        }
    }

    fn start_embedding(&mut self, batch: Batch<Piece>) {
        let embedder = Arc::clone(&self.embedder);
        let texts = batch.items.iter().map(|piece| piece.chunk.embedded_text()).collect();
        self.embedding.spawn(async move {
            let embedded = embedder.embed(texts).await;
            Embedding(batch, embedded)
        });
    }

    fn start_upsert(&mut self, batch: Batch<Write>) {
        let (store, collection) = (Arc::clone(&self.store), self.plan.wanted.collection.clone());
        self.counts.requests += 1;
        self.writing.spawn(async move {
            let points = batch.items.iter().map(|write| write.point.clone()).collect();
            let written = store.upsert(collection, points).await;
            Writing::Upsert(batch, written.map(|_| ()))
        });
    }

    fn start_deletion(&mut self, batch: Batch<Stale>) {
        let (store, collection) = (Arc::clone(&self.store), self.plan.wanted.collection.clone());
        self.counts.requests += 1;
        self.writing.spawn(async move {
            let ids = batch.items.iter().map(|stale| stale.id.into()).collect();
            let deleted = store.delete(collection, ids).await;
            Writing::Delete(batch, deleted)
        });
    }

    /// A call for vectors has ended.
    pub(super) async fn embedded(&mut self, Embedding(batch, result): Embedding) -> Result<(), IndexError> {
        let count = batch.items.len();
        let result = match result {
            Ok(embedded) if !is_whole(&embedded, count) => Err(self.not_whole(&embedded, count)),
            result => result,
        };
        let embedded = match result {
            Ok(embedded) => embedded,
            Err(error) => {
                self.counts.requests += 1;
                let failed = self.pieces.failed(batch, &error, Instant::now());
                return self.after_failure(failed, &error);
            }
        };
        self.pieces.succeeded();
        self.counts.requests += embedded.calls;
        let estimated = batch.items.iter().map(Part::weight).sum();
        self.counts.tokens += if embedded.tokens > 0 {
            embedded.tokens
        } else {
            estimated
        };
        self.admit(&embedded).await?;
        self.queue_points(batch, embedded);
        Ok(())
    }

    fn not_whole(&self, embedded: &Embedded, count: usize) -> CallError {
        let got = embedded.vectors.len();
        let what = format!("{count} texts were answered with {got} vectors, or with vectors of several lengths");
        malformed(&self.plan.wanted.embedding, "embed", what)
    }

    fn queue_points(&mut self, batch: Batch<Piece>, embedded: Embedded) {
        let takes_sparse = self.space.as_ref().is_some_and(|space| space.sparse.is_some());
        let mut sparse = embedded
            .sparse
            .filter(|_| takes_sparse)
            .map(|(_, vectors)| vectors.into_iter());
        for (piece, vector) in batch.items.into_iter().zip(embedded.vectors) {
            let sparse = sparse.as_mut().and_then(Iterator::next);
            let Some(hash) = self.files.get(&piece.file).and_then(|file| file.hash) else {
                continue;
            };
            let payload = Payload::new(piece.chunk, blake3::Hash::from_bytes(hash).to_hex().to_string());
            let Ok(payload) = serde_json::to_string(&payload) else {
                continue;
            };
            let point = Point {
                id: piece.id.into(),
                vector: Some(vector),
                sparse,
                payload,
            };
            self.writes.push(Write {
                file: piece.file,
                point,
            });
        }
    }

    /// A call of the store has ended.
    pub(super) async fn written(&mut self, ended: Writing) -> Result<(), IndexError> {
        match ended {
            Writing::Upsert(batch, Ok(())) => {
                self.writes.succeeded();
                for write in batch.items {
                    self.counts.chunks += u64::from(self.files.contains_key(&write.file));
                    self.acknowledge(write.file);
                }
            }
            Writing::Delete(batch, Ok(())) => {
                self.removals.succeeded();
                batch.items.iter().for_each(|stale| self.acknowledge(stale.file));
            }
            Writing::Upsert(batch, Err(error)) => {
                let failed = self.writes.failed(batch, &error, Instant::now());
                self.after_failure(failed, &error)?;
            }
            Writing::Delete(batch, Err(error)) => {
                let failed = self.removals.failed(batch, &error, Instant::now());
                self.after_failure(failed, &error)?;
            }
        }
        self.note_finished_if_many().await
    }

    fn after_failure(&mut self, failed: Failed, error: &CallError) -> Result<(), IndexError> {
        match failed {
            Failed::Again => Ok(()),
            Failed::Lost(files) => files.into_iter().try_for_each(|file| self.lose(file, error)),
            Failed::Stop(advice) => Err(IndexError::Stopped {
                error: Box::new(error.clone()),
                advice: advice.to_owned(),
            }),
            Failed::Waits(wait) => {
                self.reporter.report(Event::Waiting {
                    provider: error.provider.clone(),
                    seconds: wait.as_secs_f64(),
                    message: error.to_string(),
                });
                Ok(())
            }
        }
    }
}

/// Whether there is a vector for every text, and all are of one length.
fn is_whole(embedded: &Embedded, count: usize) -> bool {
    let dimensions = embedded.dimensions() as usize;
    let dense = &embedded.vectors;
    let sparse = embedded.sparse.as_ref().map_or(count, |(_, vectors)| vectors.len());
    dense.len() == count && sparse == count && dense.iter().all(|vector| vector.len() == dimensions && dimensions > 0)
}
