//! A breaker for each origin: it stops asking a server that does not work.
//!
//! [`state`] decides; the layer here asks it before a request and tells it afterwards how that went.

mod state;

use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Response, StatusCode};
use tokio::time::Instant;
use tower::util::ServiceExt;
use tower::{Layer, Service};

use super::call::Call;
use super::numbers::Numbers;
use super::origins::{Forgettable, Origins};
use crate::error::SendError;
use crate::origin::Origin;
pub use state::BreakerState;
use state::{Machine, Outcome, Pass};

/// When a breaker opens, and for how long.
///
/// A failure is a dial that came to nothing, a connection that ended early, a deadline that ran out while the server
/// was at work, an answer that is no HTTP, or a status of 500 and above other than 501. Anything else the server
/// answers shows that it works, except 429, which says nothing either way. What the caller or the pool did (a request
/// dropped, or refused before it was sent) says nothing of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Opens after so many failures in a row. The default, 5, is Envoy's (`consecutive_5xx`).
    pub consecutive_failures: Option<NonZeroU32>,
    /// Opens when so many of a hundred requests within the window fail. The default, 50, is Hystrix's.
    pub failure_percent: Option<NonZeroU8>,
    /// Requests within the window below which their rate of failures says nothing. The default, 20, is Hystrix's.
    pub min_requests: u32,
    /// How long an outcome counts for the rate. The default, 10 s, is Hystrix's.
    pub window: Duration,
    /// How long it stays open at first: 30 s, as Envoy ejects a host (`base_ejection_time`).
    pub open_for: Duration,
    /// How long it stays open after a first probe has failed (60 s); twice as long after each further one.
    pub open_after_failed_probe: Duration,
    /// The longest it stays open: 300 s, as Envoy ejects a host (`max_ejection_time`).
    pub longest_open: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            consecutive_failures: NonZeroU32::new(5),
            failure_percent: NonZeroU8::new(50),
            min_requests: 20,
            window: Duration::from_secs(10),
            open_for: Duration::from_secs(30),
            open_after_failed_probe: Duration::from_secs(60),
            longest_open: Duration::from_secs(300),
        }
    }
}

/// The breakers of one pool.
#[derive(Debug)]
pub(crate) struct Breakers {
    config: BreakerConfig,
    origins: Origins<Breaker>,
}

/// The breaker of one origin.
#[derive(Debug)]
struct Breaker {
    origin: Origin,
    machine: Mutex<Machine>,
}

impl Breakers {
    pub fn new(config: BreakerConfig) -> Arc<Self> {
        Arc::new(Self {
            config,
            origins: Origins::new(),
        })
    }

    /// The state of every breaker there is.
    pub fn states(&self) -> Vec<(Origin, BreakerState)> {
        let now = Instant::now();
        let all = self.origins.all().into_iter();
        all.map(|(origin, breaker)| (origin, breaker.with(|machine| machine.state(now))))
            .collect()
    }

    fn admit(&self, origin: &Origin) -> Result<Ticket, Duration> {
        let breaker = self.origins.of(origin, || Breaker {
            origin: origin.clone(),
            machine: Mutex::new(Machine::new(self.config.clone(), Instant::now())),
        });
        let pass = breaker.with(|machine| machine.admit(Instant::now()))?;
        Ok(Ticket {
            breaker,
            pass,
            outcome: Outcome::Neutral,
        })
    }
}

impl Breaker {
    fn with<R>(&self, act: impl FnOnce(&mut Machine) -> R) -> R {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let before = machine.epoch();
        let result = act(&mut machine);
        let changed = (machine.epoch() != before).then(|| machine.state(Instant::now()));
        drop(machine);
        if let Some(state) = changed {
            tracing::warn!(origin = %self.origin, state = state.as_str(), "a breaker changed its state");
        }
        result
    }
}

impl Forgettable for Breaker {
    fn is_at_rest(&self) -> bool {
        self.with(|machine| machine.is_at_rest(Instant::now()))
    }
}

/// A request that has passed. Dropped with its request, it says nothing of the server and makes room for another probe.
struct Ticket {
    breaker: Arc<Breaker>,
    pass: Pass,
    outcome: Outcome,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let (pass, outcome) = (&self.pass, self.outcome);
        self.breaker
            .with(|machine| machine.settle(pass, outcome, Instant::now()));
    }
}

fn outcome_of_status(status: StatusCode) -> Outcome {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Outcome::Neutral,
        // It says that the server does not know the method.
        StatusCode::NOT_IMPLEMENTED => Outcome::Healthy,
        status if status.is_server_error() => Outcome::Failed,
        _ => Outcome::Healthy,
    }
}

fn outcome_of_error(error: &SendError, call: &Call) -> Outcome {
    match error {
        SendError::Dns { .. }
        | SendError::Connect { .. }
        | SendError::ConnectTimeout { .. }
        | SendError::Tls { .. }
        | SendError::WriteTimeout { .. }
        | SendError::FirstByteTimeout { .. }
        | SendError::ReadTimeout { .. }
        | SendError::ConnectionReset { .. }
        | SendError::Protocol { .. } => Outcome::Failed,
        SendError::TotalTimeout { .. } if call.has_departed() => Outcome::Failed,
        _ => Outcome::Neutral,
    }
}

/// Puts a breaker before a service.
#[derive(Clone, Debug)]
pub(crate) struct BreakerLayer {
    pub breakers: Arc<Breakers>,
    pub numbers: Arc<Numbers>,
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service behind a breaker.
#[derive(Clone)]
pub(crate) struct Guarded<S> {
    inner: S,
    layer: BreakerLayer,
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}

impl<S, B> Service<Call> for Guarded<S>
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
            let mut ticket = layer.breakers.admit(call.origin()).map_err(|retry_after| {
                layer.numbers.refused_by_breaker();
                SendError::BreakerOpen {
                    origin: call.origin().clone(),
                    retry_after,
                }
            })?;
            let answered = inner.oneshot(call.clone()).await;
            ticket.outcome = match &answered {
                Ok(response) => outcome_of_status(response.status()),
                Err(error) => outcome_of_error(error, &call),
            };
            answered
        })
    }
}

#[cfg(test)]
mod tests;
