//! One attempt at a request: a connection, an exchange on it, and a second one where the first connection was dead.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::Response;
use tokio::time::{Instant, timeout_at};
use tower::Service;

use crate::admission::Need;
use crate::body::ResponseBody;
use crate::core::Core;
use crate::error::SendError;
use crate::exchange::{Answer, Failure, exchange};
use crate::load::call::{Call, Holding};
use crate::load::concurrency::Permit;
use crate::options::Deadlines;
use crate::outgoing::Outgoing;
use crate::record::Record;

/// Sends a request and waits for the head of its answer. `departed` is called as it is given a connection.
pub(crate) async fn attempt(
    core: &Arc<Core>,
    outgoing: &Outgoing,
    deadlines: &Deadlines,
    departed: impl Fn(),
) -> Result<Response<ResponseBody>, SendError> {
    let answer = answer(core, outgoing, deadlines, departed);
    let answer = match deadlines.total_at().zip(deadlines.total) {
        None => answer.await?,
        Some((at, limit)) => timeout_at(at, answer).await.unwrap_or_else(|_| {
            Err(SendError::TotalTimeout {
                origin: outgoing.origin.clone(),
                limit,
            })
        })?,
    };
    let limit = core.settings.config.max_response_bytes;
    ResponseBody::new(answer, Record::default(), outgoing.origin.clone(), deadlines, limit)
}

async fn answer(
    core: &Arc<Core>,
    outgoing: &Outgoing,
    deadlines: &Deadlines,
    departed: impl Fn(),
) -> Result<Answer, SendError> {
    let first = match on_one_connection(core, outgoing, deadlines, Need::Any, &departed).await {
        Ok(answer) => return Ok(answer),
        Err(Failure { error, replay: false }) => return Err(error),
        Err(Failure { error, replay: true }) => error,
    };
    tracing::debug!(error = %first, "sending the request once more on a fresh connection");
    core.stats.replayed();
    let fresh = core.need_fresh();
    on_one_connection(core, outgoing, deadlines, fresh, &departed)
        .await
        .map_err(|second| {
            // The second time may have failed before anything was sent: that says nothing of the first.
            if second.error.is_unprocessed() && !first.is_unprocessed() {
                first
            } else {
                second.error
            }
        })
}

async fn on_one_connection(
    core: &Arc<Core>,
    outgoing: &Outgoing,
    deadlines: &Deadlines,
    need: Need,
    departed: &impl Fn(),
) -> Result<Answer, Failure> {
    let asked = Instant::now();
    let lease = core.acquire(&outgoing.origin, need, deadlines).await?;
    core.stats.wait.record(Instant::now().saturating_duration_since(asked));
    departed();
    // A request counts once, however often it is sent.
    if lease.is_reused() && need == Need::Any {
        core.stats.reused();
    }
    exchange(core, lease, outgoing, deadlines).await
}

/// The innermost service, below every layer of load control.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    pub core: Arc<Core>,
}

impl Service<Call> for Attempts {
    type Response = Response<ResponseBody>;
    type Error = SendError;
    type Future = BoxFuture<'static, Result<Response<ResponseBody>, SendError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let core = self.core.clone();
        Box::pin(async move { attempt(&core, call.outgoing(), &call.deadlines, || call.depart()).await })
    }
}

impl Holding for ResponseBody {
    fn hold(&mut self, permit: Permit) {
        // One that has ended already holds nothing.
        if let Some(record) = self.record() {
            record.hold(permit);
        }
    }
}
