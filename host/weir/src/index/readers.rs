//! The threads that read and cut files.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use futures::stream::{self, FuturesUnordered, Stream, StreamExt};
use tokio::sync::mpsc;

use super::error::IndexError;
use super::manifest::Manifest;
use super::prepare::{Prepared, prepare};
use super::walk::{Found, Tree};

/// Most of them. There is one a processor, since cutting keeps one busy.
const MAX_READERS: usize = 4;

/// The tree's files, a few ahead of need, each with its bytes; not quite in the tree's order. Without a manifest every file
/// is new.
///
/// Each reader stays on its thread: a long file's syntax tree is up to some 100 MB of small pieces, and glibc's malloc keeps
/// the most that each thread ever had. On whichever thread was free, 24,000 files took twice the memory of 10,000.
pub fn prepared(
    tree: Arc<Tree>,
    manifest: Option<Arc<Manifest>>,
    max_characters: usize,
) -> impl Stream<Item = (u64, Result<Prepared, IndexError>)> {
    let count = thread::available_parallelism().map_or(1, usize::from).min(MAX_READERS);
    let (sender, mut receiver) = mpsc::channel(count);
    let next = Arc::new(AtomicUsize::new(0));
    let reader = || {
        let (tree, manifest) = (Arc::clone(&tree), manifest.clone());
        let (next, sender) = (Arc::clone(&next), sender.clone());
        tokio::task::spawn_blocking(move || {
            while let Some(Found { path, bytes }) = tree.files.get(next.fetch_add(1, Ordering::Relaxed)).cloned() {
                let prepared = prepare(&tree.base, path, manifest.as_deref(), max_characters);
                if sender
                    .blocking_send((bytes, prepared.map_err(IndexError::from)))
                    .is_err()
                {
                    // The run is over.
                    return;
                }
            }
        })
    };
    let readers: FuturesUnordered<_> = iter::repeat_with(reader).take(count).collect();
    let panicked = readers.filter_map(async |ended| Some((0, Err(ended.err()?.into()))));
    stream::poll_fn(move |context| receiver.poll_recv(context)).chain(panicked)
}
