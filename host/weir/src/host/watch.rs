//! When files were changed, whoever changes them in whatever way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

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
    changes: Changes,
    watcher: RecommendedWatcher,
    /// Those that are watched, and those that can't be.
    folders: BTreeMap<PathBuf, Option<Identity>>,
    unwatched: BTreeSet<PathBuf>,
    /// What makes up for a folder that can't be watched.
    instead: &'static str,
}

impl Watch {
    /// Watches nothing yet. `instead` tells what makes up for a folder that can't be watched.
    ///
    /// # Errors
    /// Where the system has no watches left.
    pub fn start(instead: &'static str) -> Result<Self, notify::Error> {
        let (told, changes) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: Result<Event, notify::Error>| {
            // An error is perhaps a lost event. Reading is no change, and is what a look at the files does.
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                // Full: a change is already to be told.
                let _ = told.try_send(());
            }
        })?;
        Ok(Self {
            changes: Changes(changes),
            watcher,
            folders: BTreeMap::new(),
            unwatched: BTreeSet::new(),
            instead,
        })
    }

    /// Watches these files and no others from here on: the folders they are in, since who replaces a file leaves the
    /// watched one behind. As [`Watch::follow_folders`].
    pub fn follow(&mut self, files: &[PathBuf]) -> bool {
        self.follow_folders(files.iter().map(|file| folder_of(file).to_owned()).collect())
    }

    /// Watches what is in these folders, not below, and no others from here on. Who replaces a folder leaves the watched one
    /// behind: another one of its name is watched anew. That some can't be watched is told of once.
    ///
    /// Returns whether a folder is watched that was not before: a change in it may have gone unnoticed.
    pub fn follow_folders(&mut self, wanted: BTreeSet<PathBuf>) -> bool {
        let is_same = |folder: &PathBuf, known: &Option<Identity>| {
            wanted.contains(folder) && known.is_some() && *known == identity(folder)
        };
        let (same, gone) = std::mem::take(&mut self.folders)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(folder, known)| is_same(folder, known));
        for folder in gone.keys() {
            // One that is not there any more is not watched either.
            let _ = self.watcher.unwatch(folder);
        }
        self.folders = same;
        let untold = std::mem::take(&mut self.unwatched);
        let mut is_new = false;
        let mut failed = None;
        for folder in wanted {
            if self.folders.contains_key(&folder) {
                continue;
            }
            // Taken first: what takes its name meanwhile is then found to be another.
            let identity = identity(&folder);
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    is_new = true;
                    self.folders.insert(folder, identity);
                }
                Err(error) => {
                    if !untold.contains(&folder) {
                        failed.get_or_insert((folder.clone(), error));
                    }
                    self.unwatched.insert(folder);
                }
            }
        }
        if let Some((folder, error)) = failed {
            let (folder, unwatched) = (folder.display(), self.unwatched.len());
            let instead = self.instead;
            tracing::warn!(%folder, %error, unwatched, "changes in this folder are not noticed; {instead}");
        }
        is_new
    }

    /// How many folders are watched.
    pub fn watched(&self) -> usize {
        self.folders.len()
    }

    /// Whether there are folders that can't be watched.
    pub fn is_partial(&self) -> bool {
        !self.unwatched.is_empty()
    }

    /// Waits for a change, and for the end of the writing.
    pub async fn changed(&mut self) {
        self.changes.settled().await;
    }
}

/// Tells of changes as they come.
#[derive(Debug)]
struct Changes(mpsc::Receiver<()>);

impl Changes {
    async fn settled(&mut self) {
        if self.0.recv().await.is_none() {
            // Nothing tells of changes any more.
            return std::future::pending().await;
        }
        let latest = tokio::time::Instant::now() + PATIENCE;
        loop {
            let quiet = tokio::time::Instant::now() + QUIET;
            if !matches!(timeout_at(quiet.min(latest), self.0.recv()).await, Ok(Some(()))) {
                return;
            }
        }
    }
}

/// Device, number and birth: a number is given again.
type Identity = (u64, u64, Option<SystemTime>);

/// What tells a folder from another one that takes its name.
fn identity(folder: &Path) -> Option<Identity> {
    let found = std::fs::metadata(folder).ok()?;
    #[cfg(unix)]
    let (device, number) = {
        use std::os::unix::fs::MetadataExt as _;
        (found.dev(), found.ino())
    };
    #[cfg(not(unix))]
    let (device, number) = (0, 0);
    Some((device, number, found.created().ok()))
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    /// How long after the first change the files are looked at, where one comes every `step` for so long.
    async fn looked_at_after(step: Duration, writing: Duration) -> Duration {
        let (told, changes) = mpsc::channel(1);
        let began = Instant::now();
        tokio::spawn(async move {
            while began.elapsed() <= writing {
                let _ = told.try_send(());
                sleep(step).await;
            }
            told.closed().await;
        });
        Changes(changes).settled().await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_looked_at_when_nothing_was_written_for_a_while() {
        let millis = Duration::from_millis;
        assert_eq!(looked_at_after(millis(50), millis(500)).await, millis(500) + QUIET);
        assert_eq!(looked_at_after(millis(500), millis(100)).await, QUIET);
    }

    #[tokio::test]
    async fn a_folder_that_takes_the_place_of_another_is_watched_too() {
        let parent = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let folder = parent.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            folder
        };
        let keys = folder("keys");
        let files = [keys.join("key")];
        let mut watch = Watch::start("").unwrap();
        assert!(watch.follow(&files));
        assert!(!watch.follow(&files));
        std::fs::rename(&keys, parent.path().join("old")).unwrap();
        std::fs::rename(folder("new"), &keys).unwrap();
        watch.changed().await;
        assert!(watch.follow(&files));
        std::fs::write(&files[0], "k").unwrap();
        let changed = tokio::time::timeout(Duration::from_secs(10), watch.changed());
        assert!(changed.await.is_ok(), "the change went unnoticed");

        // One that is made again may be given the number of the one before.
        std::fs::remove_dir_all(&keys).unwrap();
        folder("keys");
        watch.changed().await;
        assert!(watch.follow(&files));
        assert!(!watch.follow(&files));
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_looked_at_though_the_writing_does_not_end() {
        assert_eq!(looked_at_after(QUIET / 2, PATIENCE * 3).await, PATIENCE);
    }
}
