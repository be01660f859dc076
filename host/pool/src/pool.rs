//! A named pool: [`Pool::send`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::admission::Need;
use crate::body::ResponseBody;
use crate::config::PoolConfig;
use crate::connect::Connector;
use crate::core::Core;
use crate::error::SendError;
use crate::exchange::{Answer, Failure, exchange};
use crate::options::{Deadlines, SendOptions};
use crate::outgoing::Outgoing;
use crate::record::Record;
use crate::settings::PoolSettings;
use crate::stats::PoolStats;

/// How long closing a pool waits for its sockets to go after their requests were cut off.
const LAST_SOCKETS: Duration = Duration::from_secs(1);

/// A handle of a named pool. Clones share its connections; dropping the last one closes those that are idle.
#[derive(Clone, Debug)]
pub struct Pool {
    core: Arc<Core>,
}

impl Pool {
    pub(crate) fn new(name: &str, settings: PoolSettings, connector: Connector) -> Self {
        Self {
            core: Core::new(name, settings, connector),
        }
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// The limits and deadlines it was created with.
    pub fn config(&self) -> &PoolConfig {
        &self.core.settings.config
    }

    pub(crate) fn settings(&self) -> &PoolSettings {
        &self.core.settings
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }

    /// How the pool is doing. Takes its lock for as long as it takes to copy a few numbers.
    pub fn stats(&self) -> PoolStats {
        self.core.snapshot()
    }

    /// Sends a request and returns the head of its answer; the body holds the connection until it is read or dropped.
    ///
    /// The URI must be absolute. The pool sets `Host`, the length and whatever else concerns the connection, and
    /// replaces what the caller set of it. A redirect is an answer like any other.
    ///
    /// The request is sent once more, on a fresh connection, if a reused connection turns out to be dead before the
    /// answer begins and the server cannot have acted on the request, or may do so twice (an idempotent method, an
    /// `Idempotency-Key` or [`SendOptions::replay_safe`]). No other failure is retried.
    ///
    /// Dropping the future at any point is safe: the caller leaves the line, and a request under way is cut off.
    ///
    /// # Errors
    ///
    /// [`SendError`] says what happened and whether the server may have acted on the request.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        options: SendOptions,
    ) -> Result<Response<ResponseBody>, SendError> {
        let started = Instant::now();
        let record = Record::begin(self.core.clone(), options.operation.clone(), started);
        let deadlines = Deadlines::new(self.config(), &options.timeouts, started);
        let outgoing = match Outgoing::new(request, options.replay_safe) {
            Ok(outgoing) => outgoing,
            Err(error) => {
                record.fail(&error);
                return Err(error);
            }
        };
        let span = tracing::info_span!(
            "http_request",
            pool = self.name(),
            origin = %outgoing.origin,
            operation = options.operation.as_deref(),
        );
        match self.answer_in_time(&outgoing, &deadlines).instrument(span).await {
            Ok(answer) => {
                let limit = self.config().max_response_bytes;
                ResponseBody::new(answer, record, outgoing.origin, &deadlines, limit)
            }
            Err(error) => {
                record.fail(&error);
                Err(error)
            }
        }
    }

    async fn answer_in_time(&self, outgoing: &Outgoing, deadlines: &Deadlines) -> Result<Answer, SendError> {
        let answer = self.answer(outgoing, deadlines);
        match deadlines.total_at().zip(deadlines.total) {
            None => answer.await,
            Some((at, limit)) => timeout_at(at, answer).await.unwrap_or_else(|_| {
                Err(SendError::TotalTimeout {
                    origin: outgoing.origin.clone(),
                    limit,
                })
            }),
        }
    }

    async fn answer(&self, outgoing: &Outgoing, deadlines: &Deadlines) -> Result<Answer, SendError> {
        let first = match self.attempt(outgoing, deadlines, Need::Any).await {
            Ok(answer) => return Ok(answer),
            Err(Failure { error, replay: false }) => return Err(error),
            Err(Failure { error, replay: true }) => error,
        };
        tracing::debug!(error = %first, "sending the request once more on a fresh connection");
        self.core.stats.replayed();
        let fresh = self.core.need_fresh();
        self.attempt(outgoing, deadlines, fresh).await.map_err(|second| {
            // The second time may have failed before anything was sent: that says nothing of the first.
            if second.error.is_unprocessed() && !first.is_unprocessed() {
                first
            } else {
                second.error
            }
        })
    }

    async fn attempt(&self, outgoing: &Outgoing, deadlines: &Deadlines, need: Need) -> Result<Answer, Failure> {
        let core = &self.core;
        let asked = Instant::now();
        let lease = core.acquire(&outgoing.origin, need, deadlines).await?;
        core.stats.wait.record(Instant::now().saturating_duration_since(asked));
        // A request counts once, however often it is sent.
        if lease.is_reused() && need == Need::Any {
            core.stats.reused();
        }
        exchange(core, lease, outgoing, deadlines).await
    }

    /// Stops admission, waits for the requests under way until `deadline`, then cuts off the rest. Returns how many
    /// ended by themselves and how many were cut off.
    pub(crate) async fn close(&self, deadline: Instant) -> (usize, usize) {
        let core = &self.core;
        let turned_away = core.shut();
        let at_first = core.stats.in_flight().saturating_sub(turned_away);
        let _ = timeout_at(deadline, self.until(|| core.stats.in_flight() == 0)).await;
        let cut_off = core.stats.in_flight();
        core.sever_all();
        let _ = timeout_at(Instant::now() + LAST_SOCKETS, self.until(|| core.sockets() == 0)).await;
        (at_first.saturating_sub(cut_off), cut_off)
    }

    async fn until(&self, reached: impl Fn() -> bool) {
        loop {
            let mut ebbed = std::pin::pin!(self.core.ebbed.notified());
            ebbed.as_mut().enable();
            if reached() {
                return;
            }
            ebbed.await;
        }
    }
}
