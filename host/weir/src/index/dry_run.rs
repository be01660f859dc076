//! What a run would send, counted without a call of any provider.

use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::error::IndexError;
use super::manifest::Manifest;
use super::pipeline::End;
use super::prepare::Prepared;
use super::readers::prepared;
use super::report::{Counts, Event, Reporter};
use super::walk::Tree;

/// Counts files, chunks and estimated tokens. A manifest that is not there is not made: everything is new then.
pub async fn count(
    tree: Tree,
    counts: Counts,
    manifest: PathBuf,
    max_characters: usize,
    reporter: &mut dyn Reporter,
    cancel: &CancellationToken,
) -> (Counts, Result<End, IndexError>) {
    let mut counts = counts;
    let counting = count_into(&mut counts, tree, manifest, max_characters, reporter);
    let ended = tokio::select! {
        biased;
        () = cancel.cancelled() => Ok(End::Interrupted),
        counted = counting => counted.map(|()| End::Complete),
    };
    (counts, ended)
}

async fn count_into(
    counts: &mut Counts,
    tree: Tree,
    manifest: PathBuf,
    max_characters: usize,
    reporter: &mut dyn Reporter,
) -> Result<(), IndexError> {
    let manifest =
        tokio::task::spawn_blocking(move || manifest.exists().then(|| Manifest::open(&manifest)).transpose());
    let manifest = manifest.await??.map(Arc::new);
    let mut noted = match &manifest {
        Some(manifest) => manifest.paths(|_| true)?,
        None => Default::default(),
    };
    let walked_whole = tree.errors.is_empty();
    let mut files = std::pin::pin!(prepared(Arc::new(tree), manifest, max_characters));
    while let Some((_, file)) = files.next().await {
        match file? {
            Prepared::Unchanged { path } => {
                noted.remove(&path);
                counts.unchanged += 1;
            }
            Prepared::Changed(file) => {
                noted.remove(&file.path);
                counts.files += 1;
                counts.chunks += file.chunks.len() as u64;
                counts.tokens += file.tokens();
            }
            Prepared::Skipped { path, reason } => {
                counts.skipped += 1;
                *counts.skipped_by_reason.entry(reason).or_default() += 1;
                reporter.report(Event::Skipped { path, reason });
            }
            Prepared::Unreadable { path, message } => {
                noted.remove(&path);
                counts.failed += 1;
                reporter.report(Event::Failed { path, message });
            }
            Prepared::Gone { .. } => {}
        }
    }
    counts.removed = if walked_whole { noted.len() } else { 0 };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::walk::walk;
    use weir_runtime::estimate;

    struct Silent;

    impl Reporter for Silent {
        fn report(&mut self, _: Event) {}
    }

    #[tokio::test]
    async fn a_dry_run_counts_and_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.rs"), "fn a() {}\n").unwrap();
        std::fs::write(folder.path().join("b.bin"), "\0").unwrap();
        let manifest = folder.path().join("index/c.redb");
        let tree = walk(folder.path()).unwrap();
        let (counts, ended) = count(
            tree,
            Counts::default(),
            manifest.clone(),
            1_500,
            &mut Silent,
            &CancellationToken::new(),
        )
        .await;
        assert_eq!(ended.unwrap(), End::Complete);
        assert_eq!(
            (counts.files, counts.chunks, counts.skipped, counts.requests),
            (1, 1, 1, 0)
        );
        // `a.rs a` and `fn a() {}`: six words and seven marks.
        assert_eq!(counts.tokens, u64::from(estimate::tokens("a.rs a\nfn a() {}\n")));
        assert!(!manifest.exists());
    }
}
