//! How a run is shown: a bar on a terminal, a line now and then elsewhere, an event a line for programs.
//!
//! Progress goes to standard error, JSON to standard output. Skipped files are named in the log (`-v`).

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::report::{Event, Progress, Reporter, Summary};
use crate::pool_use;

/// Between two lines, or two events, of progress.
const LINE_INTERVAL: Duration = Duration::from_secs(3);

/// A bar, for people at a terminal.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar on standard error. Nothing is drawn where that is no terminal.
    pub fn new() -> Bar {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} files  {msg}");
        let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Bar { bar }
    }
}

impl Default for Bar {
    fn default() -> Self {
        Bar::new()
    }
}

impl Reporter for Bar {
    fn report(&mut self, event: Event) {
        match &event {
            Event::Walked { files } => {
                // With `--watch` one run follows the other.
                self.bar.reset();
                self.bar.set_length(*files as u64);
            }
            Event::Progress(progress) => {
                self.bar.set_length(progress.total as u64);
                self.bar.set_position(progress.files as u64);
                self.bar.set_message(figures(progress));
            }
            Event::Done(_) => self.bar.finish_and_clear(),
            _ => {}
        }
        if let Some(line) = line(&event) {
            self.bar.suspend(|| write_line(&mut io::stderr(), &line));
        }
        log(&event);
    }
}

/// Lines, for logs.
#[derive(Debug, Default)]
pub struct Lines {
    last: Option<Instant>,
}

impl Reporter for Lines {
    fn report(&mut self, event: Event) {
        if let Event::Progress(progress) = &event
            && is_due(&mut self.last)
        {
            let line = format!("{}/{} files, {}", progress.files, progress.total, figures(progress));
            write_line(&mut io::stderr(), &line);
        }
        if let Some(line) = line(&event) {
            write_line(&mut io::stderr(), &line);
        }
        log(&event);
    }
}

/// Events, for programs.
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    last: Option<Instant>,
}

impl<W: Write + Send> Json<W> {
    /// Events to this.
    pub fn new(out: W) -> Json<W> {
        Json { out, last: None }
    }
}

impl<W: Write + Send> Reporter for Json<W> {
    fn report(&mut self, event: Event) {
        if matches!(event, Event::Progress(_)) && !is_due(&mut self.last) {
            return;
        }
        if let Ok(json) = serde_json::to_string(&event) {
            write_line(&mut self.out, &json);
        }
    }
}

/// The first progress is due an interval after the beginning: a short run needs none.
fn is_due(last: &mut Option<Instant>) -> bool {
    let now = Instant::now();
    let since = last.get_or_insert(now);
    let due = now.duration_since(*since) >= LINE_INTERVAL;
    if due {
        *since = now;
    }
    due
}

/// What a person has to know at once.
fn line(event: &Event) -> Option<String> {
    match event {
        Event::Failed { path, message } => Some(format!("failed: {path}: {message}")),
        Event::Waiting { seconds, message, .. } => Some(format!("waiting {seconds:.1} s: {message}")),
        Event::Warning { message } => Some(format!("warning: {message}")),
        Event::Watching { folders } => Some(format!("watching {folders} folders for changes; Ctrl-C ends it")),
        _ => None,
    }
}

fn log(event: &Event) {
    match event {
        Event::Skipped { path, reason } => tracing::info!(path, reason = reason.as_str(), "skipped"),
        Event::Indexed { path, chunks } => tracing::debug!(path, chunks, "indexed"),
        Event::SparseOnly { path } => tracing::info!(path, "indexed without dense vectors"),
        Event::Removed { path } => tracing::info!(path, "removed"),
        _ => {}
    }
}

/// Where nobody reads it any more, progress is of no use, and no reason to stop.
fn write_line(out: &mut impl Write, line: &str) {
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn figures(progress: &Progress) -> String {
    let (chunks, tokens) = (HumanCount(progress.chunks), HumanCount(progress.tokens));
    let whole = progress
        .total_chunks
        .map_or_else(String::new, |total| format!(" of about {}", HumanCount(total)));
    let rate = if progress.seconds > 0.0 {
        progress.chunks as f64 / progress.seconds
    } else {
        0.0
    };
    let elapsed = HumanDuration(Duration::from_secs_f64(progress.seconds));
    let left = progress
        .seconds_left
        .and_then(|left| Duration::try_from_secs_f64(left).ok())
        .map_or_else(String::new, |left| format!(", {:#} left", HumanDuration(left)));
    format!(
        "{chunks}{whole} chunks, {tokens} tokens, {rate:.0} chunks/s, {} calls in flight, {elapsed:#}{left}",
        progress.in_flight
    )
}

/// A run that is over, for people.
pub fn summary(summary: &Summary) -> String {
    let counts = &summary.counts;
    let (chunks, tokens) = (HumanCount(counts.chunks), HumanCount(counts.tokens));
    let (verb, about) = if summary.dry_run {
        ("would index", "about ")
    } else {
        ("indexed", "")
    };
    let mut text = format!(
        "{verb} {}: {chunks} chunks, {about}{tokens} tokens into `{}`, {:.1} s\n{} unchanged, {} removed, {} skipped",
        files(counts.files),
        summary.collection,
        summary.seconds,
        counts.unchanged,
        counts.removed,
        counts.skipped,
    );
    if !counts.skipped_by_reason.is_empty() {
        let reasons: Vec<String> = counts
            .skipped_by_reason
            .iter()
            .map(|(reason, count)| format!("{count} {}", reason.as_str()))
            .collect();
        text += &format!(" ({})", reasons.join(", "));
    }
    text += &format!(", {} failed", counts.failed);
    if counts.sparse_only > 0 {
        text += &format!(", {} without dense vectors", counts.sparse_only);
    }
    if !summary.pools.is_empty() {
        text += &format!("\n\n{}", pool_use::show(&summary.pools));
    }
    text
}

fn files(count: usize) -> String {
    if count == 1 {
        "1 file".to_owned()
    } else {
        format!("{} files", HumanCount(count as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::index::report::{Counts, Outcome};
    use crate::index::source::Skip;
    use crate::pool_use::PoolUse;

    fn done() -> Summary {
        Summary {
            outcome: Outcome::Complete,
            dry_run: false,
            collection: "c".into(),
            counts: Counts {
                files: 2,
                unchanged: 3,
                chunks: 1_234,
                skipped: 3,
                skipped_by_reason: BTreeMap::from([(Skip::Binary, 2), (Skip::Huge, 1)]),
                tokens: 99,
                requests: 4,
                ..Counts::default()
            },
            seconds: 1.5,
            pools: BTreeMap::from([(
                "voyage".into(),
                PoolUse {
                    requests: 4,
                    opened: 2,
                    reused: 2,
                    waits: 0,
                    exhaustions: 0,
                    timeouts: 1,
                    retries: 3,
                    peak_in_flight: 2,
                },
            )]),
        }
    }

    #[test]
    fn the_last_event_has_the_fields_that_programs_read() {
        let mut out = Vec::new();
        Json::new(&mut out).report(Event::Done(Box::new(done())));
        let event: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = serde_json::json!({
            "event": "done", "outcome": "complete", "dry_run": false, "collection": "c", "files": 2, "unchanged": 3,
            "removed": 0, "chunks": 1234, "skipped": 3, "skipped_by_reason": {"binary": 2, "huge": 1}, "failed": 0, "sparse_only": 0,
            "tokens": 99, "requests": 4, "seconds": 1.5,
            "pools": {"voyage": {
                "requests": 4, "opened": 2, "reused": 2, "waits": 0, "exhaustions": 0, "timeouts": 1, "retries": 3,
                "peak_in_flight": 2,
            }},
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn a_person_reads_a_sentence_and_a_table() {
        assert_eq!(
            summary(&done()),
            "indexed 2 files: 1,234 chunks, 99 tokens into `c`, 1.5 s\n\
             3 unchanged, 0 removed, 3 skipped (2 binary, 1 huge), 0 failed\n\n\
             POOL    REQUESTS  OPENED  REUSED  WAITS  EXHAUSTIONS  TIMEOUTS  RETRIES  PEAK IN FLIGHT\n\
             voyage  4         2       2       0      0            1         3        2"
        );
    }

    #[test]
    fn a_line_tells_the_rate_and_the_time_left() {
        let progress = Progress {
            files: 1,
            total: 2,
            chunks: 3_000,
            total_chunks: Some(9_000),
            tokens: 4,
            in_flight: 5,
            seconds: 10.0,
            seconds_left: Some(20.0),
        };
        assert_eq!(
            figures(&progress),
            "3,000 of about 9,000 chunks, 4 tokens, 300 chunks/s, 5 calls in flight, 10s, 20s left"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn progress_is_told_every_few_seconds_only() {
        let progress = Progress {
            files: 1,
            total: 2,
            chunks: 3,
            total_chunks: Some(6),
            tokens: 4,
            in_flight: 5,
            seconds: 1.0,
            seconds_left: Some(1.0),
        };
        let mut out = Vec::new();
        let mut json = Json::new(&mut out);
        for _ in 0..40 {
            json.report(Event::Progress(progress));
            tokio::time::advance(Duration::from_millis(250)).await;
        }
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), 3);
    }
}
