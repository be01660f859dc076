//! Keeps within what a server allows a minute: the operator's numbers, and what the server itself says is left.
//!
//! Quotas are an origin's. [`throttle`] decides when a request may go; the layer here waits for it, and hands it what
//! the answer's headers tell.

mod throttle;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use http::{Response, StatusCode};
use tokio::time::Instant;
use tower::util::ServiceExt;
use tower::{Layer, Service};

use self::throttle::{Held, Throttle};
use super::call::Call;
use super::headers;
use super::numbers::Numbers;
use super::origins::Origins;
use crate::error::SendError;
use crate::options::later;
use crate::origin::Origin;

/// What may be asked of an origin a minute, and how long a caller waits for its turn.
///
/// Answers that say a quota is used up, and a 429's `Retry-After`, hold further requests back until it is renewed,
/// whether or not numbers are given here. The default gives none: only the server's word counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateConfig {
    /// Requests a minute to one origin, spread evenly: at most a second's worth at once.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens a minute to one origin, as callers estimate them ([`crate::SendOptions::tokens`]).
    pub tokens_per_minute: Option<NonZeroU32>,
    /// How long a caller waits for its turn. A wait that is known to be longer fails at once. The default is a minute:
    /// the quotas are a minute's, so who waits longer is behind others who wait.
    pub max_wait: Duration,
    /// Longest time that a server's word holds requests back, after which one is sent to see. The default is a minute,
    /// for the same reason.
    pub max_hold: Duration,
}

impl Default for RateConfig {
    fn default() -> Self {
        Self {
            requests_per_minute: None,
            tokens_per_minute: None,
            max_wait: Duration::from_secs(60),
            max_hold: Duration::from_secs(60),
        }
    }
}

/// A turn that comes sooner was not waited for: what waits sleeps, and a sleep takes no less (tokio's timer counts
/// milliseconds).
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The throttles of one pool.
#[derive(Debug)]
pub(crate) struct Throttles {
    config: RateConfig,
    origins: Origins<Throttle>,
}

impl Throttles {
    pub fn new(config: RateConfig) -> Arc<Self> {
        Arc::new(Self {
            config,
            origins: Origins::new(),
        })
    }

    /// The origins that take no request at present, and for how long.
    pub fn held(&self) -> Vec<(Origin, Duration)> {
        let all = self.origins.all().into_iter();
        all.map(|(origin, throttle)| (origin, throttle.held_for()))
            .filter(|(_, wait)| !wait.is_zero())
            .collect()
    }

    fn of(&self, origin: &Origin) -> Arc<Throttle> {
        self.origins.of(origin, || Throttle::new(&self.config, Instant::now()))
    }
}

/// Holds the requests of a service to their rate.
#[derive(Clone, Debug)]
pub(crate) struct RateLayer {
    pub throttles: Arc<Throttles>,
    pub numbers: Arc<Numbers>,
}

impl<S> Layer<S> for RateLayer {
    type Service = Paced<S>;

    fn layer(&self, inner: S) -> Paced<S> {
        Paced {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service whose requests are held to a rate.
#[derive(Clone)]
pub(crate) struct Paced<S> {
    inner: S,
    layer: RateLayer,
}

impl<S> fmt::Debug for Paced<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paced")
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}

impl RateLayer {
    /// The call once it may go, and the throttle to tell of its answer.
    async fn admit(&self, mut call: Call) -> Result<(Call, Arc<Throttle>), SendError> {
        let throttle = self.throttles.of(call.origin());
        let asked = Instant::now();
        let patience = later(asked, self.throttles.config.max_wait);
        let give_up_at = call.deadlines.waits_end_at().map_or(patience, |end| end.min(patience));
        match throttle.admit(&call, give_up_at).await {
            Ok(()) => {}
            Err(Held::Closing) => return Err(call.closed_error()),
            Err(Held::TooLong(retry_after)) => {
                self.numbers.rate_limit_refused();
                return Err(SendError::RateLimited {
                    origin: call.origin().clone(),
                    retry_after,
                });
            }
        }
        let now = Instant::now();
        if now.saturating_duration_since(asked) >= SHORTEST_WAIT {
            self.numbers.rate_limit_waited();
            tracing::debug!(origin = %call.origin(), waited = ?now - asked, "the request was held to its rate");
            // The wait for a connection begins now.
            call.deadlines = call.deadlines.restarted(now);
        }
        Ok((call, throttle))
    }
}

/// How long the server takes no request, if its answer says so.
fn told<B>(response: &Response<B>) -> Option<Duration> {
    let (headers, now) = (response.headers(), SystemTime::now());
    let refused = response.status() == StatusCode::TOO_MANY_REQUESTS;
    let asked = refused.then(|| headers::retry_after(headers, now)).flatten();
    asked.max(headers::quota_exhausted_for(headers, now))
}

impl<S, B> Service<Call> for Paced<S>
where
    S: Service<Call, Response = Response<B>, Error = SendError> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = SendError;
    type Future = BoxFuture<'static, Result<Response<B>, SendError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let (inner, layer) = (self.inner.clone(), self.layer.clone());
        Box::pin(async move {
            let (call, throttle) = layer.admit(call).await?;
            let response = inner.oneshot(call.clone()).await?;
            if let Some(wait) = told(&response).filter(|wait| !wait.is_zero()) {
                tracing::debug!(origin = %call.origin(), ?wait, "the server takes no request for a while");
                throttle.hold(wait);
            }
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests;
