//! When files were changed, whoever changes them in whatever way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

/// How long nothing must have been written before a file is read. A file that is still half written then is refused,
/// and read again at the next write.
const QUIET: Duration = Duration::from_millis(200);

/// After which it is read though something is written in its folder all the time.
const PATIENCE: Duration = Duration::from_secs(2);

/// Files that are watched as long as this lives.
#[derive(Debug)]
pub struct Watch {
    changes: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches the folders that the files are in: who replaces a file leaves the watched one behind.
    pub(super) fn start(files: &[PathBuf]) -> Result<Self, notify::Error> {
        let (told, changes) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: Result<Event, notify::Error>| {
            // An error is perhaps a lost event. Reading is no change, and is what a look at the files does.
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                // Full: a change is already to be told.
                let _ = told.try_send(());
            }
        })?;
        let folders: BTreeSet<&Path> = files.iter().map(|file| folder_of(file)).collect();
        for folder in folders {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self {
            changes,
            _watcher: watcher,
        })
    }

    /// Waits for a change, and for the end of the writing.
    pub async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            // Nothing tells of changes any more.
            return std::future::pending().await;
        }
        let latest = tokio::time::Instant::now() + PATIENCE;
        loop {
            let quiet = tokio::time::Instant::now() + QUIET;
            if !matches!(timeout_at(quiet.min(latest), self.changes.recv()).await, Ok(Some(()))) {
                return;
            }
        }
    }
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
