//! What a guest writes to its standard streams: lines in the host's log, and the last of them in a trap's message.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// Bytes kept for a trap's message: a panic's text and place.
const KEPT: usize = 1024;

/// The standard output and error of one instance.
#[derive(Debug, Clone)]
pub(crate) struct GuestLog {
    provider: Arc<str>,
    kept: Arc<Mutex<VecDeque<u8>>>,
}

impl GuestLog {
    pub(crate) fn new(provider: Arc<str>) -> Self {
        GuestLog {
            provider,
            kept: Arc::default(),
        }
    }

    /// The last that was written, and forgets it.
    pub(crate) fn take_last(&self) -> String {
        let kept: Vec<u8> = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
            .collect();
        let text = String::from_utf8_lossy(&kept);
        // Rust's advice to whoever can set the environment: here nobody can.
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("note: run with"))
            .collect();
        lines.join("\n").trim().to_owned()
    }

    fn record(&self, bytes: &[u8]) {
        // Escaped, so that a guest can write no line that looks like the host's.
        tracing::debug!(provider = %self.provider, said = ?String::from_utf8_lossy(bytes).trim_end(), "guest");
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes.iter().skip(bytes.len().saturating_sub(KEPT)));
        let excess = kept.len().saturating_sub(KEPT);
        kept.drain(..excess);
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

    #[test]
    fn only_the_last_of_a_flood_is_kept() {
        let log = GuestLog::new("acme".into());
        log.record(&[b'x'; 10 * KEPT]);
        log.record(b"the end\n");
        let last = log.take_last();
        assert!(last.len() <= KEPT && last.ends_with("xthe end"));
        assert_eq!(log.take_last(), "");
    }
}
