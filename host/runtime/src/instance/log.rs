//! What a guest writes to its standard streams: lines in the host's log, so many bytes a second of them, and the last
//! of them in a trap's message.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::time::Instant;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{OutputStream, StreamResult};

/// Bytes kept for a trap's message: a panic's text and place.
const KEPT: usize = 1024;

/// Bytes of one line; a longer one is cut into such pieces.
const LONGEST_LINE: usize = 4 << 10;

/// Bytes that a guest may hand over in one write.
const LONGEST_WRITE: usize = 64 << 10;

/// What a line costs beside its text: the time, the level and the names that the host puts in front of it.
const LINE_COST: usize = 200;

/// How often it is told that lines were dropped, at most.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// The standard output and error of one instance, as one log.
#[derive(Debug, Clone)]
pub(crate) struct GuestLog {
    budget: Arc<LogBudget>,
    written: Arc<Mutex<Written>>,
}

#[derive(Debug)]
struct Written {
    operation: &'static str,
    /// A line that has not ended yet.
    line: Vec<u8>,
    /// The end of what was written, for a trap's message.
    kept: VecDeque<u8>,
}

/// Bytes a second of log lines, of all of a provider's instances together.
#[derive(Debug)]
pub(crate) struct LogBudget {
    provider: Arc<str>,
    per_second: usize,
    spent: Mutex<Spent>,
}

#[derive(Debug)]
struct Spent {
    /// Bytes that may be logged now; those of one second at most.
    available: f64,
    counted_at: Instant,
    /// Bytes that were dropped and not told of.
    dropped: u64,
    /// No earlier than this they are told of.
    tell_at: Instant,
}

impl LogBudget {
    pub(crate) fn new(provider: Arc<str>, per_second: usize) -> Self {
        let now = Instant::now();
        LogBudget {
            provider,
            per_second,
            spent: Mutex::new(Spent {
                available: per_second as f64,
                counted_at: now,
                dropped: 0,
                tell_at: now,
            }),
        }
    }

    /// Whether a line of so many bytes may be logged. One that may not is counted.
    fn take(&self, bytes: usize, now: Instant) -> bool {
        let mut spent = self.lock();
        let refilled = now.duration_since(spent.counted_at).as_secs_f64() * self.per_second as f64;
        spent.available = (spent.available + refilled).min(self.per_second as f64);
        spent.counted_at = now;
        let fits = bytes as f64 <= spent.available;
        if fits {
            spent.available -= bytes as f64;
        } else {
            if spent.dropped == 0 {
                // What follows is told of together.
                spent.tell_at = spent.tell_at.max(now + TOLD_EVERY);
            }
            spent.dropped += bytes as u64;
        }
        fits
    }

    /// The bytes that were dropped, when it is time to tell of them.
    fn report(&self, now: Instant) -> Option<u64> {
        let mut spent = self.lock();
        (spent.dropped > 0 && now >= spent.tell_at).then(|| {
            spent.tell_at = now + TOLD_EVERY;
            std::mem::take(&mut spent.dropped)
        })
    }

    fn tell(&self, dropped: u64) {
        tracing::warn!(
            provider = %self.provider,
            dropped,
            "the component wrote more than {} bytes of log a second (limits.log_bytes_per_second)",
            self.per_second,
        );
    }

    fn lock(&self) -> MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LogBudget {
    fn drop(&mut self) {
        let dropped = self.spent.get_mut().unwrap_or_else(PoisonError::into_inner).dropped;
        if dropped > 0 {
            self.tell(dropped);
        }
    }
}

impl GuestLog {
    pub(crate) fn new(budget: Arc<LogBudget>) -> Self {
        GuestLog {
            budget,
            written: Arc::new(Mutex::new(Written {
                operation: "start",
                line: Vec::new(),
                kept: VecDeque::new(),
            })),
        }
    }

    /// From now on it is this operation that writes.
    pub(crate) fn begin_call(&self, operation: &'static str) {
        self.lock().operation = operation;
        self.take_last();
    }

    /// Logs a line that was not ended.
    pub(crate) fn flush_line(&self) {
        let (operation, line) = {
            let mut written = self.lock();
            (written.operation, std::mem::take(&mut written.line))
        };
        self.log(operation, &line);
    }

    /// The last that was written, and forgets it.
    pub(crate) fn take_last(&self) -> String {
        let kept: Vec<u8> = self.lock().kept.drain(..).collect();
        let text = String::from_utf8_lossy(&kept);
        // Rust's advice to whoever can set the environment: here nobody can.
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("note: run with"))
            .collect();
        lines.join("\n").trim().to_owned()
    }

    fn record(&self, bytes: &[u8]) {
        let mut written = self.lock();
        written.kept.extend(bytes.iter().skip(bytes.len().saturating_sub(KEPT)));
        let excess = written.kept.len().saturating_sub(KEPT);
        written.kept.drain(..excess);
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let operation = written.operation;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = piece;
            while !rest.is_empty() {
                let room = LONGEST_LINE.saturating_sub(written.line.len()).max(1);
                let (taken, left) = rest.split_at(room.min(rest.len()));
                written.line.extend_from_slice(taken);
                rest = left;
                if written.line.ends_with(b"\n") || written.line.len() >= LONGEST_LINE {
                    self.log(operation, &written.line);
                    written.line.clear();
                }
            }
        }
    }

    fn log(&self, operation: &'static str, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        if text.trim_end().is_empty() {
            return;
        }
        // Escaped, so that a guest can write no line that looks like the host's.
        let said = format!("{:?}", text.trim_end());
        let now = Instant::now();
        if self.budget.take(said.len() + LINE_COST, now) {
            tracing::debug!(provider = %self.budget.provider, operation, %said, "guest");
        }
        if let Some(dropped) = self.budget.report(now) {
            self.budget.tell(dropped);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for GuestLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    /// Written where the guest writes, at the cost of its call, and not in a task beside it.
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for GuestLog {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.record(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LONGEST_WRITE)
    }
}

#[async_trait]
impl Pollable for GuestLog {
    async fn ready(&mut self) {}
}

impl AsyncWrite for GuestLog {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.record(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(per_second: usize) -> LogBudget {
        LogBudget::new("acme".into(), per_second)
    }

    #[test]
    fn only_the_last_of_a_flood_is_kept() {
        let log = GuestLog::new(Arc::new(budget(1000)));
        log.record(&[b'x'; 10 * KEPT]);
        log.record(b"the end\n");
        let last = log.take_last();
        assert!(last.len() <= KEPT && last.ends_with("xthe end"));
        assert_eq!(log.take_last(), "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_brings_a_seconds_bytes_and_idleness_saves_up_no_more() {
        let budget = budget(1000);
        let begun = Instant::now();
        assert!(budget.take(600, begun) && budget.take(400, begun));
        assert!(!budget.take(1, begun));
        let later = begun + Duration::from_millis(500);
        assert!(!budget.take(501, later) && budget.take(500, later));
        let much_later = begun + Duration::from_secs(60);
        assert!(budget.take(1000, much_later) && !budget.take(1, much_later));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_dropped_is_told_once_a_second_and_to_the_byte() {
        let budget = budget(100);
        let begun = Instant::now();
        let (mut told, mut reports, mut dropped) = (0, 0, 0);
        for tick in 0..3_000 {
            let now = begun + Duration::from_millis(tick);
            if !budget.take(50, now) {
                dropped += 50;
            }
            if let Some(bytes) = budget.report(now) {
                told += bytes;
                reports += 1;
            }
        }
        assert_eq!(reports, 2);
        let end = begun + Duration::from_secs(4);
        assert_eq!(told + budget.report(end).unwrap(), dropped);
        assert_eq!(budget.report(end + Duration::from_secs(9)), None);
    }
}
