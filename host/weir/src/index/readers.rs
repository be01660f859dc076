//! The threads that read and cut files.

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
/// Each reader stays on its thread, since an allocator keeps of each thread what it has needed.
pub fn prepared(
    tree: Arc<Tree>,
    manifest: Option<Arc<Manifest>>,
    max_characters: usize,
) -> impl Stream<Item = (u64, Result<Prepared, IndexError>)> {
    let count = thread::available_parallelism().map_or(1, usize::from).min(MAX_READERS);
    let (sender, mut receiver) = mpsc::channel(count);
    // The place of the first file that nobody has.
    let next = Arc::new(AtomicUsize::new(0));
    let reader = |_| {
        let (tree, manifest) = (Arc::clone(&tree), manifest.clone());
        let (next, sender) = (Arc::clone(&next), sender.clone());
        tokio::task::spawn_blocking(move || {
            while let Some(Found { path, bytes }) = tree.files.get(next.fetch_add(1, Ordering::Relaxed)) {
                let prepared = prepare(&tree.base, path.clone(), manifest.as_deref(), max_characters);
                let prepared = prepared.map_err(IndexError::from);
                if sender.blocking_send((*bytes, prepared)).is_err() {
                    // The run is over.
                    return;
                }
            }
        })
    };
    let readers: FuturesUnordered<_> = (0..count).map(reader).collect();
    let panicked = readers.filter_map(async |ended| Some((0, Err(ended.err()?.into()))));
    stream::poll_fn(move |context| receiver.poll_recv(context)).chain(panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_file_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..100 {
            std::fs::write(folder.path().join(format!("{number}.txt")), "text\n").unwrap();
        }
        let tree = crate::index::walk::walk(folder.path()).unwrap();
        let mut paths: Vec<String> = tree.files.iter().map(|file| file.path.clone()).collect();
        let read = prepared(Arc::new(tree), None, 1_500);
        let mut read: Vec<String> = read.map(|(_, file)| file.unwrap().path().to_owned()).collect().await;
        paths.sort();
        read.sort();
        assert_eq!(read, paths);
    }
}
