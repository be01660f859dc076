//! `--watch`: a run, and another one whenever something in the tree has changed.
//!
//! Each run looks at the whole tree, as any run does, so no change is missed for how it was made, and none needs an event of
//! its own: a burst of them is one run. What is watched are the folders that the walk looked into; what is ignored is not.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::IndexError;
use super::pipeline::End;
use super::report::{Event, Outcome, Reporter, Summary};
use super::{IndexOptions, Pass, pass};
use crate::host::{Host, Watch};

/// After a run that left something to do, the next begins without a change: what was wrong may have passed. So it is
/// where folders can't be watched.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Keeps a collection in step with a tree until it is cancelled. `done` is told of each run that changed something.
///
/// # Errors
/// Where a first run can't begin, or its settings are wrong. What goes wrong later is reported, and tried again.
pub async fn run(
    host: &Host,
    options: &IndexOptions,
    reporter: &mut dyn Reporter,
    cancel: &CancellationToken,
    mut done: impl FnMut(&Summary),
) -> Result<End, IndexError> {
    let mut watch = Watch::start("the tree is looked at every minute")
        .map_err(|error| IndexError::Task(format!("files can't be watched: {error}")))?;
    let (mut is_first, mut to_be_told) = (true, false);
    loop {
        let mut told = Changes::new(reporter, is_first);
        let Pass { summary, folders } = pass(host, options, &mut told, cancel).await;
        let has_news = told.has_news;
        to_be_told |= has_news;
        let (is_whole, has_begun) = match summary {
            Ok(summary) if summary.outcome == Outcome::Interrupted => return Ok(End::Interrupted),
            Ok(summary) => {
                if has_news {
                    done(&summary);
                }
                (summary.counts.failed + summary.counts.sparse_only == 0, true)
            }
            Err(error) if is_first && (error.is_usage() || matches!(error, IndexError::Walk(_))) => return Err(error),
            Err(error) => {
                let seconds = RETRY_AFTER.as_secs();
                let message = format!("{error}. The next try is made in {seconds} s, or when a file changes");
                reporter.report(Event::Warning { message });
                (false, !folders.is_empty())
            }
        };
        is_first = false;
        // Where the walk failed, the folders of the last one are still watched.
        if has_begun {
            let folders: BTreeSet<PathBuf> = folders.into_iter().collect();
            if watch.follow_folders(folders) && is_whole {
                // Something may have changed in the new ones before they were watched.
                continue;
            }
        }
        if std::mem::take(&mut to_be_told) {
            reporter.report(Event::Watching {
                folders: watch.watched(),
            });
        }
        let notices_all = is_whole && !watch.is_partial();
        let again = async {
            if notices_all {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(RETRY_AFTER).await;
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(End::Complete),
            () = again => {}
            () = watch.changed() => {}
        }
    }
}

/// Passes the events of a run on, once something is to be told that was not before.
struct Changes<'a> {
    reporter: &'a mut dyn Reporter,
    has_news: bool,
    is_first: bool,
    held: Vec<Event>,
}

impl<'a> Changes<'a> {
    /// Of the first run everything is told.
    fn new(reporter: &'a mut dyn Reporter, is_first: bool) -> Self {
        Changes {
            reporter,
            has_news: is_first,
            is_first,
            held: Vec::new(),
        }
    }
}

impl Reporter for Changes<'_> {
    fn report(&mut self, event: Event) {
        match &event {
            // The files that are skipped are the same every time, nearly.
            Event::Skipped { .. } if !self.is_first => return,
            Event::Started { .. } | Event::Walked { .. } if !self.has_news => return self.held.push(event),
            Event::Progress(_) | Event::Done(_) if !self.has_news => return,
            _ => {}
        }
        self.has_news = true;
        self.held.drain(..).for_each(|event| self.reporter.report(event));
        self.reporter.report(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Told(Vec<Event>);

    impl Reporter for Told {
        fn report(&mut self, event: Event) {
            self.0.push(event);
        }
    }

    fn removed() -> Event {
        Event::Removed { path: "a".into() }
    }

    #[test]
    fn of_a_run_without_changes_nothing_is_told_unless_it_is_the_first() {
        let walked = || Event::Walked { files: 1 };
        for (is_first, is_told) in [(true, true), (false, false)] {
            let mut told = Told::default();
            Changes::new(&mut told, is_first).report(walked());
            assert_eq!(!told.0.is_empty(), is_told);
        }
        let mut told = Told::default();
        let mut changes = Changes::new(&mut told, false);
        changes.report(walked());
        changes.report(removed());
        assert!(changes.has_news);
        assert_eq!(told.0, [walked(), removed()]);
    }
}
