//! The calls of a run: texts to vectors, points to the store, stale points out of it.

use std::sync::Arc;

use tokio::time::Instant;
use weir_runtime::CallError;
use weir_runtime::types::SparseVector;
use weir_runtime::vector_store::Point;

use super::Pipeline;
use crate::index::chunk::Chunk;
use crate::index::error::IndexError;
use crate::index::ids::ChunkId;
use crate::index::manifest::ContentHash;
use crate::index::payload::Payload;
use crate::index::prepare;
use crate::index::queue::{Batch, Failed, FileKey, Part};
use crate::index::report::Event;
use crate::index::services::{Embedded, Embedder, Store, malformed};
use crate::remedy;

/// Bytes of a number of a vector in JSON, as most stores take it: sign, eight or nine digits, point, comma.
const BYTES_PER_NUMBER: usize = 12;

/// Bytes of a payload besides its texts: names of fields, numbers, the hash.
const BYTES_PER_PAYLOAD: usize = 200;

/// A chunk on its way to its vectors.
#[derive(Debug)]
pub struct Piece {
    file: FileKey,
    part: prepare::Part,
}

impl Piece {
    /// A chunk of a file.
    pub fn new(file: FileKey, part: prepare::Part) -> Piece {
        Piece { file, part }
    }
}

impl Part for Piece {
    fn file(&self) -> FileKey {
        self.file
    }
    fn weight(&self) -> u64 {
        u64::from(self.part.tokens)
    }
}

/// A chunk with its vectors, on its way to the store.
#[derive(Debug)]
pub struct Write {
    file: FileKey,
    id: ChunkId,
    chunk: Chunk,
    hash: ContentHash,
    dense: Option<Vec<f32>>,
    sparse: Option<SparseVector>,
}

impl Write {
    fn point(&self) -> Result<Point, serde_json::Error> {
        let hash = blake3::Hash::from_bytes(self.hash).to_hex().to_string();
        Ok(Point {
            id: self.id.into(),
            vector: self.dense.clone(),
            sparse: self.sparse.clone(),
            payload: serde_json::to_string(&Payload::new(self.chunk.clone(), hash))?,
        })
    }
}

impl Part for Write {
    fn file(&self) -> FileKey {
        self.file
    }
    fn weight(&self) -> u64 {
        let dense = self.dense.as_ref().map_or(0, Vec::len);
        let sparse = self.sparse.as_ref().map_or(0, |sparse| 2 * sparse.values.len());
        let payload = self.chunk.path.len() + self.chunk.text.len() + BYTES_PER_PAYLOAD;
        (payload + (dense + sparse) * BYTES_PER_NUMBER) as u64
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
pub struct Embedding {
    batch: Batch<Piece>,
    /// Whether sparse vectors alone were asked for.
    without_dense: bool,
    result: Result<Embedded, CallError>,
}

/// A call of the store that has ended.
pub enum Writing {
    Upsert(Batch<Write>, Result<(), CallError>),
    Delete(Batch<Stale>, Result<(), CallError>),
}

impl<E: Embedder, S: Store> Pipeline<'_, E, S> {
    /// Starts as many calls as may run. A batch that is not full goes out when nothing would fill it soon.
    pub(super) fn dispatch(&mut self, exhausted: bool) {
        self.start_noting();
        let now = Instant::now();
        let exhausted = exhausted && self.changed.is_empty() && self.noting.is_empty();
        let embed_calls = self.embedder.calls().min(self.plan.embed_calls);
        let store_calls = self.store.calls().min(self.plan.store_calls);
        while self.embedding.len() < embed_calls {
            let flush = exhausted || self.embedding.is_empty();
            let Some(mut batch) = self.pieces.next(flush, now) else {
                break;
            };
            batch.items.retain(|piece| self.files.contains_key(&piece.file));
            if !batch.items.is_empty() {
                self.start_embedding(batch);
            }
        }
        while self.writing.len() < store_calls {
            let flush = exhausted || self.writing.is_empty();
            let Some(mut batch) = self.removals.next(flush, now) else {
                break;
            };
            batch.items.retain(|stale| self.files.contains_key(&stale.file));
            if !batch.items.is_empty() {
                self.start_deletion(batch);
            }
        }
        while self.writing.len() < store_calls {
            let nothing_comes = self.embedding.is_empty();
            let nothing_follows = exhausted && nothing_comes && self.pieces.is_empty();
            // A store that takes one call at a time is given full ones while there is more to come.
            let flush = nothing_follows || self.writing.is_empty() && (nothing_comes || store_calls > 1);
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
        let (embedder, without_dense) = (Arc::clone(&self.embedder), self.without_dense);
        self.embedding.spawn(async move {
            let texts = batch
                .items
                .iter()
                .map(|piece| piece.part.chunk.embedded_text())
                .collect();
            let result = if without_dense {
                embedder.embed_sparse(texts).await
            } else {
                embedder.embed(texts).await
            };
            Embedding {
                batch,
                without_dense,
                result,
            }
        });
    }

    fn start_upsert(&mut self, batch: Batch<Write>) {
        let (store, collection) = (Arc::clone(&self.store), self.plan.wanted.collection.clone());
        let name = self.plan.wanted.store.clone();
        self.counts.requests += 1;
        self.writing.spawn(async move {
            let points: Result<Vec<Point>, _> = batch.items.iter().map(Write::point).collect();
            let written = match points {
                Ok(points) => store.upsert(collection, points).await.map(|_| ()),
                Err(error) => Err(malformed(
                    &name,
                    "upsert",
                    format!("a payload can't be written as JSON: {error}"),
                )),
            };
            Writing::Upsert(batch, written)
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
    pub(super) async fn embedded(&mut self, ended: Embedding) -> Result<(), IndexError> {
        let Embedding {
            batch,
            without_dense,
            result,
        } = ended;
        let count = batch.items.len();
        let result = match result {
            Ok(embedded) if !is_whole(&embedded, count, without_dense) => Err(self.not_whole(&embedded, count)),
            result => result,
        };
        let embedded = match result {
            Ok(embedded) => embedded,
            Err(error) => {
                self.counts.requests += 1;
                let failed = self.pieces.failed(batch, &error, Instant::now());
                let is_dense = error.provider == self.plan.wanted.embedding && !without_dense;
                if failed == Failed::Down && is_dense && self.has_sparse() {
                    self.go_on_without_dense(&error);
                    return Ok(());
                }
                return self.after_failure(failed, &error);
            }
        };
        self.pieces.succeeded();
        self.counts.requests += embedded.calls;
        if !without_dense {
            let estimated = batch.items.iter().map(Part::weight).sum();
            self.counts.tokens += if embedded.tokens > 0 {
                embedded.tokens
            } else {
                estimated
            };
            self.admit(&embedded).await?;
        }
        self.queue_points(batch, embedded);
        Ok(())
    }

    /// Whether sparse vectors alone can be kept: where the collection is made, and has them. What length its dense vectors
    /// have only their provider tells.
    fn has_sparse(&self) -> bool {
        self.space.as_ref().is_some_and(|space| space.sparse.is_some())
    }

    /// A call that was under way when the provider was found down is tried again without, too.
    fn go_on_without_dense(&mut self, error: &CallError) {
        self.pieces.begin_anew();
        if std::mem::replace(&mut self.without_dense, true) {
            return;
        }
        let message = format!(
            "{error}; from here on files are kept with sparse vectors alone. Run the same command again once it is back: \
             they are completed then"
        );
        self.reporter.report(Event::Warning { message });
    }

    fn not_whole(&self, embedded: &Embedded, count: usize) -> CallError {
        let got = embedded.vectors.len();
        let what = format!("{count} texts were answered with {got} vectors, or with vectors of several lengths");
        malformed(&self.plan.wanted.embedding, "embed", what)
    }

    fn queue_points(&mut self, batch: Batch<Piece>, embedded: Embedded) {
        let takes_sparse = self.space.as_ref().is_some_and(|space| space.sparse.is_some());
        let sparse = embedded.sparse.filter(|_| takes_sparse);
        let mut sparse = sparse.map(|(_, vectors)| vectors.into_iter());
        let mut dense = embedded.vectors.into_iter();
        for Piece { file: key, part } in batch.items {
            let (dense, sparse) = (dense.next(), sparse.as_mut().and_then(Iterator::next));
            let Some(file) = self.files.get_mut(&key) else {
                continue;
            };
            file.is_sparse_only |= dense.is_none();
            let Some(hash) = file.hash else { continue };
            self.writes.push(Write {
                file: key,
                id: part.id,
                chunk: part.chunk,
                hash,
                dense,
                sparse,
            });
        }
    }

    /// A call of the store has ended.
    pub(super) fn written(&mut self, ended: Writing) -> Result<(), IndexError> {
        match ended {
            Writing::Upsert(batch, Ok(())) => {
                self.writes.succeeded();
                for write in batch.items {
                    self.counts.chunks += u64::from(self.files.contains_key(&write.file));
                    self.acknowledge(write.file);
                }
                Ok(())
            }
            Writing::Delete(batch, Ok(())) => {
                self.removals.succeeded();
                batch.items.iter().for_each(|stale| self.acknowledge(stale.file));
                Ok(())
            }
            Writing::Upsert(batch, Err(error)) => {
                let failed = self.writes.failed(batch, &error, Instant::now());
                self.after_failure(failed, &error)
            }
            Writing::Delete(batch, Err(error)) => {
                let failed = self.removals.failed(batch, &error, Instant::now());
                self.after_failure(failed, &error)
            }
        }
    }

    fn after_failure(&mut self, failed: Failed, error: &CallError) -> Result<(), IndexError> {
        let stopped = |advice: &str| {
            Err(IndexError::Stopped {
                error: Box::new(error.clone()),
                advice: advice.to_owned(),
            })
        };
        match failed {
            Failed::Again => Ok(()),
            Failed::Lost(files) => files.into_iter().try_for_each(|file| self.lose(file, error)),
            Failed::Stop(advice) => stopped(advice),
            Failed::Down => stopped(remedy::of(error).unwrap_or("it was waited for in vain")),
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

/// Whether there is a vector of each kind that was asked for, for every text, and all dense ones are of one length.
fn is_whole(embedded: &Embedded, count: usize, without_dense: bool) -> bool {
    let dimensions = embedded.dimensions() as usize;
    let dense = &embedded.vectors;
    let sparse = embedded.sparse.as_ref().map_or(count, |(_, vectors)| vectors.len());
    sparse == count
        && (without_dense
            || dense.len() == count && dense.iter().all(|vector| vector.len() == dimensions && dimensions > 0))
}
