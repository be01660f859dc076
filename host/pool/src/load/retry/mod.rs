//! Sends a request again whose server was busy, broken or out of reach, where that is safe and may help.
//!
//! [`reason`] says what may be sent again, [`crate::load::budget`] how much of it; the layer here waits and counts.

mod reason;

use std::fmt;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::Response;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};
use tower::util::ServiceExt;
use tower::{Layer, Service};

use super::budget::{Budget, BudgetConfig};
use super::call::Call;
use super::headers;
use super::jitter::Jitter;
use super::numbers::Numbers;
use crate::error::SendError;
use crate::options::later;
pub(crate) use reason::Reason;

/// How much of a discarded answer is read so that its connection can be used again, and for how long. As much as Go's
/// client reads of a body that was closed early (`maxPostCloseReadBytes`, `maxPostCloseReadTime`).
const DRAINED: (usize, Duration) = (256 * 1024, Duration::from_millis(50));

/// When a request is sent again.
///
/// After 408, 429, 500, 502, 503 and 504, a failure to connect, and a connection that was lost. A request that must not
/// reach the server twice is sent again only after 429 and after errors which prove that it was not processed. The wait
/// is random between nothing and an exponentially growing limit ("full jitter"), and never goes past the request's
/// total deadline or the caller's patience ([`crate::SendOptions::patience`]). The last answer or error is the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryConfig {
    /// Most times a request is sent, the first included. The default is 5.
    pub max_tries: NonZeroU32,
    /// The limit of the first wait; it doubles with each. The default, half a second, is that of OpenAI's clients.
    pub base_delay: Duration,
    /// The limit of any wait. The default, 8 s, is that of OpenAI's clients.
    pub max_delay: Duration,
    /// Longest time that `Retry-After` (of 429 and 503) is followed, before some of `base_delay` is added so that
    /// callers do not come back all at once. The default, a minute, is that of OpenAI's clients.
    pub max_retry_after: Duration,
    /// Whether a 429 that tells no time to wait is sent again. The default is yes; Qdrant answers so a request larger than
    /// its whole quota, which would fare no better.
    pub retry_429_without_retry_after: bool,
    /// How much of the traffic may be sent again.
    pub budget: BudgetConfig,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_tries: NonZeroU32::MIN.saturating_add(4),
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(8),
            max_retry_after: Duration::from_secs(60),
            retry_429_without_retry_after: true,
            budget: BudgetConfig::default(),
        }
    }
}

impl RetryConfig {
    /// How long to wait after the `tries`-th try, of which the server may have asked for a part.
    fn delay(&self, tries: u32, asked: Option<Duration>, jitter: &Jitter) -> Duration {
        match asked {
            Some(asked) => asked.min(self.max_retry_after) + jitter.up_to(self.base_delay),
            None => {
                let growth = 2_u32.saturating_pow(tries.saturating_sub(1));
                jitter.up_to(self.base_delay.saturating_mul(growth).min(self.max_delay))
            }
        }
    }
}

/// Sends the requests of a service again.
#[derive(Clone, Debug)]
pub(crate) struct RetryLayer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: RetryConfig,
    budget: Arc<Budget>,
    jitter: Jitter,
    numbers: Arc<Numbers>,
}

impl RetryLayer {
    pub fn new(config: RetryConfig, budget: Arc<Budget>, jitter: Jitter, numbers: Arc<Numbers>) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                budget,
                jitter,
                numbers,
            }),
        }
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry {
            inner,
            shared: self.shared.clone(),
        }
    }
}

/// A service whose requests are sent again.
#[derive(Clone)]
pub(crate) struct Retry<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> fmt::Debug for Retry<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

impl<S, B> Service<Call> for Retry<S>
where
    S: Service<Call, Response = Response<B>, Error = SendError> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<B>;
    type Error = SendError;
    type Future = BoxFuture<'static, Result<Response<B>, SendError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let (inner, shared) = (self.inner.clone(), self.shared.clone());
        Box::pin(async move { shared.run(inner, call).await })
    }
}

impl Shared {
    async fn run<S, B>(&self, inner: S, call: Call) -> Result<Response<B>, SendError>
    where
        S: Service<Call, Response = Response<B>, Error = SendError> + Clone,
        B: Body<Data = Bytes>,
    {
        let mut attempt = call.clone();
        let mut maybe_processed = None;
        for tries in 1.. {
            let ended = inner.clone().oneshot(attempt).await;
            let Some(at) = self.again_at(&call, &ended, tries) else {
                return told(ended, maybe_processed);
            };
            match ended {
                Ok(response) => drain(response.into_body(), at).await,
                Err(error) if !error.is_unprocessed() => maybe_processed = Some(error),
                Err(_) => {}
            }
            if call.sleep_until(at).await.is_err() {
                break;
            }
            attempt = call.again(Instant::now());
        }
        Err(maybe_processed.unwrap_or_else(|| call.closed_error()))
    }

    /// When to send the request again; `None` if it is not to be.
    fn again_at<B>(&self, call: &Call, ended: &Result<Response<B>, SendError>, tries: u32) -> Option<Instant> {
        let reason = Reason::of(ended, call.is_replay_safe())?;
        if tries >= self.config.max_tries.get() {
            return None;
        }
        let asked = match ended {
            Ok(response) if reason.heeds_the_server() => headers::retry_after(response.headers(), SystemTime::now()),
            _ => None,
        };
        let is_told = asked.is_some() || self.config.retry_429_without_retry_after;
        if reason == Reason::TooManyRequests && !is_told {
            return None;
        }
        let delay = self.config.delay(tries, asked, &self.jitter);
        let at = later(Instant::now(), delay);
        if call.is_over_at(at) {
            return None;
        }
        if !self.budget.withdraw() {
            self.numbers.retry_denied();
            tracing::debug!(
                origin = %call.origin(), reason = reason.as_str(),
                "not sent again: too much of the traffic has been"
            );
            return None;
        }
        self.numbers.retried(reason);
        tracing::debug!(origin = %call.origin(), reason = reason.as_str(), tries, ?delay, "sending the request again");
        Some(at)
    }
}

/// What the caller is told. A last try that failed before anything was sent says nothing of those before it.
fn told<B>(last: Result<Response<B>, SendError>, earlier: Option<SendError>) -> Result<Response<B>, SendError> {
    match (last, earlier) {
        (Err(last), Some(earlier)) if last.is_unprocessed() => Err(earlier),
        (last, _) => last,
    }
}

/// Reads the rest of an answer that nobody wants, if it is short and comes soon; else its connection is not kept.
async fn drain<B: Body<Data = Bytes>>(body: B, until: Instant) {
    let mut body = pin!(body);
    let mut left = DRAINED.0;
    if body.size_hint().lower() > left as u64 {
        return;
    }
    let until = until.min(later(Instant::now(), DRAINED.1));
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    let _ = timeout_at(until, read).await;
}

#[cfg(test)]
mod tests;
