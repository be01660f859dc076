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

/// Files of more bytes are read by the first reader alone, before all others. A syntax tree takes up to 120 bytes a byte (35 MB
/// were seen): so there is one such tree at once, and a run needs the most memory at its beginning.
const LONG: u64 = 128 << 10;

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
    let order = Arc::new(Order::of(&tree));
    let reader = |number: usize| {
        let (tree, manifest) = (Arc::clone(&tree), manifest.clone());
        let (order, sender) = (Arc::clone(&order), sender.clone());
        tokio::task::spawn_blocking(move || {
            for Found { path, bytes } in order.of_reader(number).filter_map(|place| tree.files.get(place)) {
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

/// Who reads which file of a tree, by their places in it.
struct Order {
    long: Vec<usize>,
    short: Vec<usize>,
    /// The first of the short ones that nobody has.
    next: AtomicUsize,
}

impl Order {
    fn of(tree: &Tree) -> Order {
        let is_long = |place: &usize| tree.files.get(*place).is_some_and(|file| file.bytes > LONG);
        let (long, short) = (0..tree.files.len()).partition(is_long);
        Order {
            long,
            short,
            next: AtomicUsize::new(0),
        }
    }

    /// For the first reader the long ones, then for each what nobody else has.
    fn of_reader(&self, number: usize) -> impl Iterator<Item = usize> {
        let long = if number == 0 { self.long.as_slice() } else { &[] };
        let short = iter::from_fn(|| self.short.get(self.next.fetch_add(1, Ordering::Relaxed)));
        long.iter().chain(short).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_file_is_read_once_and_the_long_ones_by_the_first_reader() {
        let folder = tempfile::tempdir().unwrap();
        let files = (0..100).map(|number| {
            let (path, bytes) = (format!("{number}.txt"), if number % 10 == 3 { LONG + 1 } else { 10 });
            std::fs::write(folder.path().join(&path), "text\n").unwrap();
            Found { path, bytes }
        });
        let tree = Tree {
            files: files.collect(),
            ..crate::index::walk::walk(folder.path()).unwrap()
        };
        let order = Order::of(&tree);
        let first: Vec<usize> = order.of_reader(0).take(10).collect();
        assert!(first.iter().all(|place| place % 10 == 3), "{first:?}");
        assert!(order.of_reader(1).all(|place| place % 10 != 3));

        let mut paths: Vec<String> = tree.files.iter().map(|file| file.path.clone()).collect();
        let read = prepared(Arc::new(tree), None, 1_500);
        let mut read: Vec<String> = read.map(|(_, file)| file.unwrap().path().to_owned()).collect().await;
        paths.sort();
        read.sort();
        assert_eq!(read, paths);
    }
}
