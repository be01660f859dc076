//! One request in the pool's books, from the call of `send` to its end, however it ends and however many attempts it
//! takes.

use std::sync::Arc;

use tokio::time::Instant;

use crate::core::Core;
use crate::error::SendError;
use crate::load::concurrency::Permit;
use crate::outcomes::{Operation, Outcome};

/// Counts a request as under way until it is ended or dropped; dropping it means that the caller went away.
#[derive(Debug)]
pub(crate) struct Entry {
    core: Arc<Core>,
    operation: Arc<Operation>,
    started: Instant,
    outcome: Outcome,
}

impl Entry {
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
    pub fn succeed(mut self, status: http::StatusCode, now: Instant) {
        self.core
            .stats
            .total
            .record(now.saturating_duration_since(self.started));
        self.outcome = Outcome::of_status(status);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.operation.ended(self.outcome);
        self.core.stats.request_ended();
        self.core.ebb();
    }
}

/// What ends with an answer: its request's entry in the books, once it is known to be the answer that counts, and its
/// place under the limit of concurrency.
#[derive(Debug, Default)]
pub(crate) struct Record {
    entry: Option<Entry>,
    permit: Option<Permit>,
}

impl Record {
    /// The answer is the caller's: its end is the request's.
    pub fn enter(&mut self, entry: Entry) {
        self.entry = Some(entry);
    }

    /// Keeps the place until the answer has ended.
    pub fn hold(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// The answer has broken off.
    pub fn fail(self, error: &SendError) {
        if let Some(mut permit) = self.permit {
            permit.failed(error, true);
        }
        if let Some(entry) = self.entry {
            entry.fail(error);
        }
    }

    /// The answer has come to its end.
    pub fn succeed(self, status: http::StatusCode, now: Instant) {
        // The place is free before the request is over, for those who look at the books.
        drop(self.permit);
        if let Some(entry) = self.entry {
            entry.succeed(status, now);
        }
    }
}
