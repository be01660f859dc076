//! One request on its way through the layers: [`Call`].

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::concurrency::Permit;
use crate::error::SendError;
use crate::options::Deadlines;
use crate::origin::Origin;
use crate::outgoing::Outgoing;

/// A request, what its caller decided about it, and how far this attempt has come. Clones are the same attempt.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub deadlines: Deadlines,
    /// What the request will cost of `tokens_per_minute`, as its caller estimates it.
    pub tokens: u32,
    request: Arc<Requested>,
    departure: Arc<Departure>,
}

/// What all attempts at a request share.
#[derive(Debug)]
struct Requested {
    outgoing: Outgoing,
    pool: Arc<str>,
    /// Cancelled when the pool closes: nobody waits any longer then. Behind a pointer of ours, since a token takes a
    /// lock to be cloned.
    closing: Arc<CancellationToken>,
}

/// Whether an attempt has been given a connection.
#[derive(Debug, Default)]
struct Departure {
    left: AtomicBool,
    told: Notify,
}

/// Why a wait has ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closing;

impl Call {
    pub fn new(
        outgoing: Outgoing,
        deadlines: Deadlines,
        tokens: u32,
        pool: Arc<str>,
        closing: Arc<CancellationToken>,
    ) -> Self {
        let request = Requested {
            outgoing,
            pool,
            closing,
        };
        Self {
            deadlines,
            tokens,
            request: Arc::new(request),
            departure: Arc::default(),
        }
    }

    pub fn outgoing(&self) -> &Outgoing {
        &self.request.outgoing
    }

    pub fn origin(&self) -> &Origin {
        &self.outgoing().origin
    }

    pub fn is_replay_safe(&self) -> bool {
        self.outgoing().replay_safe
    }

    /// The same request, to be sent once more: its wait for a connection begins now, its end stays where it is.
    pub fn again(&self, now: Instant) -> Self {
        Self {
            deadlines: self.deadlines.restarted(now),
            departure: Arc::default(),
            ..self.clone()
        }
    }

    /// Whether the request has to be over by `at`.
    pub fn is_over_at(&self, at: Instant) -> bool {
        self.deadlines.waits_end_at().is_some_and(|end| end <= at)
    }

    /// The attempt has a connection; what happens now is the server's doing.
    pub fn depart(&self) {
        self.departure.left.store(true, Ordering::Release);
        self.departure.told.notify_one();
    }

    pub fn has_departed(&self) -> bool {
        self.departure.left.load(Ordering::Acquire)
    }

    /// Waits until the attempt has a connection. For one waiter alone.
    pub async fn departed(&self) {
        if !self.has_departed() {
            self.departure.told.notified().await;
        }
    }

    /// Sleeps, unless the pool closes meanwhile.
    pub async fn sleep_until(&self, at: Instant) -> Result<(), Closing> {
        self.unless_closing(sleep_until(at)).await
    }

    /// What `waited` comes to, unless the pool closes before.
    pub async fn unless_closing<T>(&self, waited: impl Future<Output = T>) -> Result<T, Closing> {
        tokio::select! {
            biased;
            () = self.request.closing.cancelled() => Err(Closing),
            output = waited => Ok(output),
        }
    }

    /// The pool was closed while the request waited.
    pub fn closed_error(&self) -> SendError {
        SendError::Closed {
            pool: self.request.pool.to_string(),
        }
    }

    /// The caller's time is over.
    pub fn total_timeout(&self) -> SendError {
        SendError::TotalTimeout {
            origin: self.origin().clone(),
            limit: self.deadlines.total.unwrap_or_default(),
        }
    }
}

/// A body that can hold the request's place under the limit of concurrency until it has ended.
pub(crate) trait Holding {
    /// Keeps `permit` until the body has ended or is dropped.
    fn hold(&mut self, permit: Permit);
}
