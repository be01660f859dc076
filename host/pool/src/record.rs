//! One request in the pool's books, from the call of `send` to its end, however it ends.

use std::sync::Arc;

use tokio::time::Instant;

use crate::core::Core;
use crate::error::SendError;
use crate::outcomes::{Operation, Outcome};

/// Counts a request as under way until it is ended or dropped; dropping it means that the caller went away.
#[derive(Debug)]
pub(crate) struct Record {
    core: Arc<Core>,
    operation: Arc<Operation>,
    started: Instant,
    outcome: Outcome,
}

impl Record {
    pub fn begin(core: Arc<Core>, operation: Option<&Arc<str>>, started: Instant) -> Self {
        core.stats.request_began();
        Self {
            operation: core.stats.operations.get(operation),
            core,
            started,
            outcome: Outcome::CANCELLED,
        }
    }

    /// The request has failed.
    pub fn fail(mut self, error: &SendError) {
        self.core.stats.failed(error);
        self.outcome = Outcome::of_error(error);
    }

    /// The answer has come to its end.
    pub fn succeed(mut self, status: http::StatusCode) {
        self.core
            .stats
            .total
            .record(Instant::now().saturating_duration_since(self.started));
        self.outcome = Outcome::of_status(status);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.operation.ended(self.outcome);
        self.core.stats.request_ended();
        self.core.ebbed.notify_waiters();
    }
}
