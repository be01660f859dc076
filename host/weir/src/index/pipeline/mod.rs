//! The way of a tree into the store: prepare, embed, write, note.
//!
//! One task drives it and owns all that is counted; files are read and cut on blocking threads, and each call of a
//! provider is a task of its own, as many at once as the provider's pool lets through at present. What is under way is
//! bounded by chunks (`Plan::window`), so memory is too, whatever the tree's size; only the paths are held all at once.
//!
//! | file | subject |
//! |---|---|
//! | here | what happens when: the loop, the files that are under way |
//! | [`collection`] | the collection before and after: made, checked, dropped, deleted files |
//! | [`notes`] | what is written to the manifest, beside all else |
//! | [`stages`] | the two kinds of calls, and what their ends mean |
//!
//! A file goes through four states: it is noted as pending, its points are sent, what is stale of it is deleted, it is
//! noted as indexed. Ids come from the content, so doing any of these twice is harmless, and a run can end at any moment.
//! A file whose points are sent without dense vectors, since their provider is down, stays pending: the next run sends it
//! again.

mod collection;
mod notes;
mod stages;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::StreamExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use self::notes::Noted;
use self::stages::{Embedding, Piece, Stale, Write, Writing};
use super::batch::BatchLimits;
use super::error::IndexError;
use super::ids::ChunkId;
use super::manifest::{ContentHash, Description, IndexedFile, Manifest};
use super::outlook::Outlook;
use super::prepare::{ChangedFile, Prepared};
use super::queue::{FileKey, Queue};
use super::readers::prepared;
use super::report::{Counts, Event, Progress, Reporter};
use super::services::{Embedder, Store};
use super::space::Wanted;
use super::walk::Tree;

/// Most files that are taken over from the readers at once.
const TAKEN_TOGETHER: usize = 32;

/// Files that fail one after the other, each tried twice, before the run is given up.
const MAX_FAILURES: u32 = 10;

/// How often progress is told. Whoever shows it decides how often that is.
const TICK: Duration = Duration::from_millis(250);

/// What a run does, apart from the providers themselves.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The collection, and whose vectors go into it.
    pub wanted: Wanted,
    /// Chunks are no longer than this.
    pub max_characters: usize,
    /// One call for vectors: weighed in estimated tokens.
    pub embed: BatchLimits,
    /// Most calls for vectors there ever are at once.
    pub embed_calls: usize,
    /// One upsert: weighed in bytes.
    pub upsert: BatchLimits,
    /// Most calls of the store there ever are at once.
    pub store_calls: usize,
    /// One deletion.
    pub delete: BatchLimits,
}

impl Plan {
    /// Chunks under way at once: enough to keep every call busy while the next ones are filled.
    fn window(&self) -> usize {
        self.embed.items * (self.embed_calls + 1) + self.upsert.items * (self.store_calls + 1)
    }
}

/// How a run ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All was done that could be.
    Complete,
    /// It was cancelled.
    Interrupted,
}

/// A run over one tree into one collection.
pub struct Pipeline<'run, E, S> {
    plan: &'run Plan,
    embedder: Arc<E>,
    store: Arc<S>,
    manifest: Arc<Manifest>,
    reporter: &'run mut dyn Reporter,
    /// What was counted so far.
    pub counts: Counts,
    space: Option<Description>,
    /// Whether the provider of dense vectors is down, so that sparse ones alone are made from here on.
    without_dense: bool,
    began: Instant,
    total: usize,
    outlook: Outlook,

    /// Files of the tree that are not indexed, or gone again.
    left_out: HashSet<String>,
    files: HashMap<FileKey, FileUnderWay>,
    next_file: FileKey,
    /// Points of files that are taken over, and stale points, that the store has not acknowledged.
    unacknowledged: usize,
    failures: u32,

    /// To be noted as pending, and then sent.
    changed: Vec<ChangedFile>,
    finished: Vec<IndexedFile>,
    removed: Vec<String>,
    pieces: Queue<Piece>,
    writes: Queue<Write>,
    removals: Queue<Stale>,
    noting: JoinSet<Noted>,
    embedding: JoinSet<Embedding>,
    writing: JoinSet<Writing>,
}

/// A file that is not as it should be in the store.
struct FileUnderWay {
    path: String,
    /// The content that its points are of. None: it was deleted, and has no points.
    hash: Option<ContentHash>,
    points: Vec<ChunkId>,
    /// Points that are to leave the store once the others are in it.
    stale: Vec<ChunkId>,
    /// Points that are not acknowledged; then stale ones that are not.
    remaining: usize,
    /// Some of its points have no dense vector.
    is_sparse_only: bool,
}

impl<'run, E: Embedder, S: Store> Pipeline<'run, E, S> {
    /// A run that has not begun.
    pub fn new(
        plan: &'run Plan,
        embedder: Arc<E>,
        store: Arc<S>,
        manifest: Arc<Manifest>,
        reporter: &'run mut dyn Reporter,
    ) -> Self {
        Pipeline {
            plan,
            embedder,
            store,
            manifest,
            reporter,
            counts: Counts::default(),
            space: None,
            without_dense: false,
            began: Instant::now(),
            total: 0,
            outlook: Outlook::default(),
            left_out: HashSet::new(),
            files: HashMap::new(),
            next_file: 0,
            unacknowledged: 0,
            failures: 0,
            changed: Vec::new(),
            finished: Vec::new(),
            removed: Vec::new(),
            pieces: Queue::new(plan.embed),
            writes: Queue::new(plan.upsert),
            removals: Queue::new(plan.delete),
            noting: JoinSet::new(),
            embedding: JoinSet::new(),
            writing: JoinSet::new(),
        }
    }

    /// Brings the collection up to date with the tree. With `rebuild`, drops it first.
    ///
    /// # Errors
    /// Where going on would fail for every file. What was acknowledged is noted; the next run goes on from there.
    pub async fn run(&mut self, tree: Tree, rebuild: bool, cancel: &CancellationToken) -> Result<End, IndexError> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(End::Interrupted),
            opened = self.open_collection(rebuild) => opened?,
        }
        let tree = Arc::new(tree);
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(End::Interrupted),
            ended = self.send(&tree) => ended.map(|()| End::Complete),
        };
        self.embedding.shutdown().await;
        self.writing.shutdown().await;
        self.note_the_rest().await?;
        ended
    }

    /// The loop: fill what has room, then wait for whatever comes next.
    async fn send(&mut self, tree: &Arc<Tree>) -> Result<(), IndexError> {
        self.total = tree.files.len() + tree.unnameable.len();
        self.outlook = Outlook::of(tree);
        let manifest = Some(Arc::clone(&self.manifest));
        let source = prepared(Arc::clone(tree), manifest, self.plan.max_characters);
        let mut source = std::pin::pin!(source.ready_chunks(TAKEN_TOGETHER));
        let mut exhausted = false;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            self.dispatch(exhausted);
            if exhausted && self.is_idle() {
                self.tell_progress();
                return Ok(());
            }
            let now = Instant::now();
            let has_room = self.unacknowledged < self.plan.window();
            tokio::select! {
                Some(ended) = self.embedding.join_next() => self.embedded(ended?).await?,
                Some(ended) = self.writing.join_next() => self.written(ended?)?,
                Some(noted) = self.noting.join_next() => self.noted(noted?)?,
                files = source.next(), if !exhausted && has_room => match files {
                    Some(files) => self.accept(files)?,
                    None => {
                        exhausted = true;
                        self.queue_deleted_files(tree).await?;
                    }
                },
                () = until(self.pieces.held_until(now)) => {}
                () = until(self.writes.held_until(now)) => {}
                () = until(self.removals.held_until(now)) => {}
                _ = ticks.tick() => self.tell_progress(),
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.noting.is_empty()
            && self.embedding.is_empty()
            && self.writing.is_empty()
            && self.changed.is_empty()
            && self.pieces.is_empty()
            && self.writes.is_empty()
            && self.removals.is_empty()
    }

    /// Takes files over. Those that have to be sent are noted before they are queued.
    fn accept(&mut self, files: Vec<(u64, Result<Prepared, IndexError>)>) -> Result<(), IndexError> {
        for (bytes, file) in files {
            let file = file?;
            let (chunks, tokens) = match &file {
                Prepared::Changed(file) => (file.chunks.len(), file.tokens()),
                _ => (0, 0),
            };
            self.outlook.prepared(file.path(), bytes, chunks as u64, tokens);
            match file {
                Prepared::Changed(file) => {
                    self.unacknowledged += chunks;
                    self.changed.push(file);
                }
                Prepared::Unchanged { .. } => self.counts.unchanged += 1,
                Prepared::Skipped { path, reason } => {
                    self.left_out.insert(path.clone());
                    self.counts.skipped += 1;
                    *self.counts.skipped_by_reason.entry(reason).or_default() += 1;
                    self.reporter.report(Event::Skipped { path, reason });
                }
                Prepared::Unreadable { path, message } => {
                    self.counts.failed += 1;
                    self.reporter.report(Event::Failed { path, message });
                }
                Prepared::Gone { path } => {
                    self.left_out.insert(path);
                    self.total -= 1;
                }
            }
        }
        Ok(())
    }

    fn queue(&mut self, file: ChangedFile) {
        let points = file.ids();
        let key = self.begin(FileUnderWay {
            path: file.path,
            hash: Some(file.hash),
            remaining: points.len(),
            points,
            stale: file.stale,
            is_sparse_only: false,
        });
        for part in file.chunks {
            self.pieces.push(Piece::new(key, part));
        }
    }

    fn begin(&mut self, file: FileUnderWay) -> FileKey {
        let key = self.next_file;
        self.next_file += 1;
        self.files.insert(key, file);
        self.settle(key);
        key
    }

    /// Something of a file was acknowledged.
    fn acknowledge(&mut self, key: FileKey) {
        let Some(file) = self.files.get_mut(&key) else { return };
        file.remaining -= 1;
        self.unacknowledged -= 1;
        self.settle(key);
    }

    /// Moves a file on if nothing of its present state remains to be acknowledged.
    fn settle(&mut self, key: FileKey) {
        let Some(file) = self.files.get_mut(&key).filter(|file| file.remaining == 0) else {
            return;
        };
        if !file.stale.is_empty() {
            let stale = std::mem::take(&mut file.stale);
            file.remaining = stale.len();
            self.unacknowledged += stale.len();
            stale
                .into_iter()
                .for_each(|id| self.removals.push(Stale { file: key, id }));
            return;
        }
        let Some(file) = self.files.remove(&key) else { return };
        self.failures = 0;
        match file.hash {
            Some(_) if file.is_sparse_only => {
                self.counts.sparse_only += 1;
                self.reporter.report(Event::SparseOnly { path: file.path });
            }
            Some(hash) => {
                self.counts.files += 1;
                self.reporter.report(Event::Indexed {
                    path: file.path.clone(),
                    chunks: file.points.len(),
                });
                self.finished.push(IndexedFile {
                    path: file.path,
                    hash,
                    points: file.points,
                });
            }
            None => {
                self.counts.removed += 1;
                self.reporter.report(Event::Removed {
                    path: file.path.clone(),
                });
                self.removed.push(file.path);
            }
        }
    }

    /// Gives a file up for this run. What is pending of it stays noted, for the next.
    fn lose(&mut self, key: FileKey, error: &weir_runtime::CallError) -> Result<(), IndexError> {
        let Some(file) = self.files.remove(&key) else {
            return Ok(());
        };
        self.unacknowledged -= file.remaining;
        self.counts.failed += 1;
        self.failures += 1;
        self.reporter.report(Event::Failed {
            path: file.path,
            message: error.to_string(),
        });
        if self.failures < MAX_FAILURES {
            return Ok(());
        }
        let advice = format!("{MAX_FAILURES} files have failed one after the other, so the rest is not tried");
        Err(IndexError::Stopped {
            error: Box::new(error.clone()),
            advice,
        })
    }

    fn tell_progress(&mut self) {
        let (counts, whole) = (&self.counts, self.outlook.whole());
        let seconds = self.began.elapsed().as_secs_f64();
        let left = whole.map(|whole| whole.chunks.saturating_sub(counts.chunks) as f64);
        let rate = counts.chunks as f64 / seconds;
        self.reporter.report(Event::Progress(Progress {
            files: counts.files + counts.unchanged + counts.skipped + counts.failed + counts.sparse_only,
            total: self.total,
            chunks: counts.chunks,
            total_chunks: whole.map(|whole| whole.chunks.max(counts.chunks)),
            tokens: counts.tokens,
            in_flight: self.embedding.len() + self.writing.len(),
            seconds,
            seconds_left: left.map(|left| left / rate).filter(|left| left.is_finite()),
        }));
    }
}

/// Waits for a moment, or for ever where there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
