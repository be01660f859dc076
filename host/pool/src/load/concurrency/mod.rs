//! How many requests are under way at once, bodies included: a fixed limit, or one that follows the server.
//!
//! [`aimd`] moves the limit; [`Limiter`] holds callers to it, in the order of their arrival. One limit for the pool.

mod aimd;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tower::util::ServiceExt;
use tower::{Layer, Service};

use self::aimd::Aimd;
use super::call::{Call, Closing, Holding};
use crate::error::SendError;

/// A limit of concurrency that follows the server: halved when it answers 429 or 503 or lets a deadline run out, one
/// more after as many successes as the limit. It moves between the floor and `max_concurrent_requests`, or
/// `max_connections` where that is not set.
///
/// It does not follow round-trip times: an embedding's time grows with its batch, which a gradient reads as overload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdaptiveConcurrency {
    /// The least it falls to. The default, 1, is the least that still notices the server's recovery.
    pub floor: NonZeroUsize,
}

impl Default for AdaptiveConcurrency {
    fn default() -> Self {
        Self {
            floor: NonZeroUsize::MIN,
        }
    }
}

/// The limit of one pool, and who is held to it.
#[derive(Debug)]
pub(crate) struct Limiter {
    places: Arc<Semaphore>,
    max_waiters: AtomicUsize,
    waiting: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` where the limit is fixed.
    aimd: Option<Aimd>,
    limit: usize,
    in_flight: usize,
    /// Places to be taken away as they are given back, since the limit has fallen below what is in use.
    owed: usize,
}

impl Limiter {
    /// At most `most` at once; no fewer than the floor where it adapts.
    pub fn new(most: NonZeroUsize, adaptive: Option<&AdaptiveConcurrency>, max_waiters: usize) -> Arc<Self> {
        let limit = most.get().min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            places: Arc::new(Semaphore::new(limit)),
            max_waiters: AtomicUsize::new(max_waiters),
            waiting: AtomicUsize::new(0),
            state: Mutex::new(State {
                aimd: adaptive.map(|adaptive| Aimd::new(adaptive.floor.get(), limit)),
                limit,
                in_flight: 0,
                owed: 0,
            }),
        })
    }

    /// Goes by another limit from here on. Nobody loses a place, or the turn in line.
    pub fn resize(&self, most: NonZeroUsize, adaptive: Option<&AdaptiveConcurrency>, max_waiters: usize) {
        self.max_waiters.store(max_waiters, Ordering::Relaxed);
        let most = most.get().min(Semaphore::MAX_PERMITS);
        let mut state = self.lock();
        let limit = match (&mut state.aimd, adaptive) {
            (Some(aimd), Some(adaptive)) => {
                aimd.resize(adaptive.floor.get(), most);
                aimd.limit()
            }
            (aimd, adaptive) => {
                *aimd = adaptive.map(|adaptive| Aimd::new(adaptive.floor.get(), most));
                most
            }
        };
        state.move_to(limit, &self.places);
    }

    /// How many may be under way now.
    pub fn limit(&self) -> usize {
        self.lock().limit
    }

    /// How many callers wait for a place.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether the server has complained, so that fewer are under way than the operator allows.
    pub fn is_lowered(&self) -> bool {
        self.lock().aimd.as_ref().is_some_and(Aimd::is_lowered)
    }

    async fn acquire(self: &Arc<Self>, call: &Call) -> Result<Permit, SendError> {
        let place = match self.places.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => self.wait(call).await?,
        };
        let mut state = self.lock();
        state.in_flight += 1;
        let in_flight = state.in_flight;
        let epoch = state.aimd.as_mut().map_or(0, |aimd| {
            aimd.began(in_flight);
            aimd.epoch()
        });
        drop(state);
        Ok(Permit {
            limiter: self.clone(),
            place: Some(place),
            epoch,
            succeeded: false,
        })
    }

    async fn wait(&self, call: &Call) -> Result<OwnedSemaphorePermit, SendError> {
        let _waiting = Waiting::join(self).ok_or_else(|| SendError::TooManyWaiters {
            origin: call.origin().clone(),
            limit: self.max_waiters.load(Ordering::Relaxed),
        })?;
        let pool_at = call.deadlines.pool_at();
        let until = call.deadlines.total_at().map_or(pool_at, |total| total.min(pool_at));
        match call
            .unless_closing(timeout_at(until, self.places.clone().acquire_owned()))
            .await
        {
            Ok(Ok(Ok(place))) => Ok(place),
            Ok(Err(_)) if until < pool_at => Err(call.total_timeout()),
            Ok(Err(_)) => Err(SendError::PoolTimeout {
                origin: call.origin().clone(),
                waited: Instant::now().saturating_duration_since(call.deadlines.started),
                limit: self.limit(),
            }),
            Ok(Ok(Err(_))) | Err(Closing) => Err(call.closed_error()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Brings the number of places in line with what the limit has become.
    fn follow(&mut self, places: &Semaphore) {
        if let Some(target) = self.aimd.as_ref().map(Aimd::limit) {
            self.move_to(target, places);
        }
    }

    fn move_to(&mut self, target: usize, places: &Semaphore) {
        if target > self.limit {
            let more = target - self.limit;
            let forgiven = more.min(self.owed);
            self.owed -= forgiven;
            places.add_permits(more - forgiven);
        } else {
            let fewer = self.limit - target;
            self.owed += fewer - places.forget_permits(fewer);
        }
        if target != self.limit {
            tracing::debug!(from = self.limit, to = target, "the limit of concurrency moved");
        }
        self.limit = target;
    }
}

/// A caller in line for a place.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn join(limiter: &'a Limiter) -> Option<Self> {
        let waiting = Self(&limiter.waiting);
        let ahead = limiter.waiting.fetch_add(1, Ordering::Relaxed);
        (ahead < limiter.max_waiters.load(Ordering::Relaxed)).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place under the limit, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    limiter: Arc<Limiter>,
    place: Option<OwnedSemaphorePermit>,
    epoch: u64,
    succeeded: bool,
}

impl Permit {
    /// The answer says that the server keeps up, or that it does not.
    fn answered(&mut self, status: StatusCode) {
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => self.overloaded(),
            status => self.succeeded = !status.is_server_error(),
        }
    }

    /// The exchange has failed, before or after its head.
    pub fn failed(&mut self, error: &SendError, departed: bool) {
        self.succeeded = false;
        if departed
            && matches!(
                error,
                SendError::WriteTimeout { .. }
                    | SendError::FirstByteTimeout { .. }
                    | SendError::ReadTimeout { .. }
                    | SendError::TotalTimeout { .. }
            )
        {
            self.overloaded();
        }
    }

    fn overloaded(&mut self) {
        self.succeeded = false;
        let mut state = self.limiter.lock();
        if let Some(aimd) = &mut state.aimd {
            aimd.overloaded(self.epoch);
        }
        state.follow(&self.limiter.places);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        if let (true, Some(aimd)) = (self.succeeded, &mut state.aimd) {
            aimd.succeeded(self.epoch);
        }
        state.follow(&self.limiter.places);
        state.in_flight -= 1;
        if state.owed > 0
            && let Some(place) = self.place.take()
        {
            state.owed -= 1;
            place.forget();
        }
    }
}

/// Holds the requests of a service to a limit.
#[derive(Clone, Debug)]
pub(crate) struct ConcurrencyLayer {
    pub limiter: Arc<Limiter>,
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        let limiter = self.limiter.clone();
        Limited { inner, limiter }
    }
}

/// A service whose requests are held to a limit.
#[derive(Clone)]
pub(crate) struct Limited<S> {
    inner: S,
    limiter: Arc<Limiter>,
}

impl<S> fmt::Debug for Limited<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited")
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}

impl<S, B> Service<Call> for Limited<S>
where
    S: Service<Call, Response = Response<B>, Error = SendError> + Clone + Send + 'static,
    S::Future: Send,
    B: Holding + Send + 'static,
{
    type Response = Response<B>;
    type Error = SendError;
    type Future = BoxFuture<'static, Result<Response<B>, SendError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let (inner, limiter) = (self.inner.clone(), self.limiter.clone());
        Box::pin(async move {
            let mut permit = limiter.acquire(&call).await?;
            match inner.oneshot(call.clone()).await {
                Ok(mut response) => {
                    permit.answered(response.status());
                    response.body_mut().hold(permit);
                    Ok(response)
                }
                Err(error) => {
                    permit.failed(&error, call.has_departed());
                    Err(error)
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
