//! One request in the pool's books, from the call of `send` to its end, however it ends.

use std::sync::Arc;

use tokio::time::Instant;

use crate::core::Core;
use crate::error::SendError;

/// The operation of a request whose caller named none.
const UNNAMED: &str = "other";

/// Counts a request as under way until it is ended or dropped; dropping it means that the caller went away.
#[derive(Debug)]
pub(crate) struct Record {
    core: Arc<Core>,
    operation: Arc<str>,
    started: Instant,
    outcome: &'static str,
}

impl Record {
    pub fn begin(core: Arc<Core>, operation: Option<Arc<str>>, started: Instant) -> Self {
        core.stats.request_began();
        Self {
            core,
            operation: operation.unwrap_or_else(|| UNNAMED.into()),
            started,
            outcome: "cancelled",
        }
    }

    /// The request has failed.
    pub fn fail(mut self, error: &SendError) {
        self.core.stats.failed(error);
        self.outcome = error.kind();
    }

    /// The answer has come to its end.
    pub fn succeed(mut self, status: http::StatusCode) {
        self.core
            .stats
            .total
            .record(Instant::now().saturating_duration_since(self.started));
        self.outcome = match status.as_u16() / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.core.stats.request_ended(&self.operation, self.outcome);
        self.core.ebbed.notify_waiters();
    }
}
