//! One attempt at a request: a connection, an exchange on it, and a second one where the first connection was dead.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Response;
use tokio::time::{Instant, sleep, timeout_at};
use tower::Service;
use tracing::Instrument;

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
    let limit = core.settings().config.max_response_bytes;
    ResponseBody::new(answer, Record::default(), outgoing.origin.clone(), deadlines, limit)
}

/// What a server has refused without looking at it goes out again until `pool_timeout` has passed: a server that ends
/// its connections refuses all but one of those who share the next. What it may have acted on goes out once more.
async fn answer(
    core: &Arc<Core>,
    outgoing: &Outgoing,
    deadlines: &Deadlines,
    departed: impl Fn(),
) -> Result<Answer, SendError> {
    let mut need = Need::Any;
    let mut earlier: Option<SendError> = None;
    let mut pauses = Pauses::default();
    loop {
        let failure = match on_one_connection(core, outgoing, deadlines, need, &departed).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let again = failure.replay && (earlier.is_none() || failure.error.is_unprocessed());
        let error = match earlier {
            // The last time may have failed before anything was sent: that says nothing of the times before.
            Some(earlier) if failure.error.is_unprocessed() && !earlier.is_unprocessed() => earlier,
            Some(earlier) if matches!(failure.error, SendError::PoolTimeout { .. }) => earlier,
            _ => failure.error,
        };
        let pause = pauses.next_pause();
        if !again || (!pause.is_zero() && Instant::now() + pause >= deadlines.pool_at()) {
            return Err(error);
        }
        tracing::debug!(%error, "sending the request once more on a fresh connection");
        core.stats.replayed();
        sleep(pause).await;
        need = core.need_fresh();
        earlier = Some(error);
    }
}

/// How long to wait before a request goes out again: not at all at first, since a fresh connection is likely to serve
/// it; then twice as long each time, so that a server that refuses everything is not asked as fast as it can refuse.
#[derive(Default)]
struct Pauses {
    taken: u32,
}

impl Pauses {
    /// Pauses left out: enough for the callers who share a connection that serves one of them.
    const NONE: u32 = 3;
    const FIRST: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_millis(128);

    fn next_pause(&mut self) -> Duration {
        self.taken += 1;
        match self.taken.checked_sub(Self::NONE + 1) {
            None => Duration::ZERO,
            Some(doubled) => Self::FIRST
                .saturating_mul(2_u32.saturating_pow(doubled))
                .min(Self::LONGEST),
        }
    }
}

async fn on_one_connection(
    core: &Arc<Core>,
    outgoing: &Outgoing,
    deadlines: &Deadlines,
    need: Need,
    departed: &impl Fn(),
) -> Result<Answer, Failure> {
    let asked = Instant::now();
    let waiting = tracing::debug_span!("wait_for_connection");
    let (lease, granted) = core
        .acquire(&outgoing.origin, need, deadlines, asked)
        .instrument(waiting)
        .await?;
    core.stats.wait.record(granted.saturating_duration_since(asked));
    departed();
    // A request counts once, however often it is sent.
    if lease.is_reused() && need == Need::Any {
        core.stats.reused();
    }
    let exchanging = tracing::debug_span!(
        "exchange",
        connection = lease.control().id.0,
        reused = lease.is_reused()
    );
    exchange(core, lease, outgoing, deadlines, granted)
        .instrument(exchanging)
        .await
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
