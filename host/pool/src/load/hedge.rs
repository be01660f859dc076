//! A second attempt where the first takes long, and the first answer of the two: off unless asked for.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, Either, select};
use http::Response;
use tokio::time::{Instant, sleep};
use tower::util::ServiceExt;
use tower::{Layer, Service};

use super::budget::Budget;
use super::call::Call;
use super::numbers::Numbers;
use crate::error::SendError;

/// When a request is sent a second time before the first has been answered.
///
/// Only requests that may reach the server twice are, and each pays from the budget of the retries. There is no
/// default: the delay has to lie near the slowest answers that are still usual (the 95th percentile, as "The Tail at
/// Scale" has it), and only the operator knows those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HedgeConfig {
    /// How long the server may take to begin its answer, from when the request was given a connection.
    pub after: Duration,
}

/// Sends the requests of a service a second time.
#[derive(Clone, Debug)]
pub(crate) struct HedgeLayer {
    pub config: HedgeConfig,
    pub budget: Arc<Budget>,
    pub numbers: Arc<Numbers>,
}

impl<S> Layer<S> for HedgeLayer {
    type Service = Hedge<S>;

    fn layer(&self, inner: S) -> Hedge<S> {
        Hedge {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service whose requests are sent a second time.
#[derive(Clone)]
pub(crate) struct Hedge<S> {
    inner: S,
    layer: HedgeLayer,
}

impl<S> fmt::Debug for Hedge<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}

impl HedgeLayer {
    async fn run<S, B>(&self, inner: S, call: Call) -> Result<Response<B>, SendError>
    where
        S: Service<Call, Response = Response<B>, Error = SendError> + Clone,
    {
        let mut first = Box::pin(inner.clone().oneshot(call.clone()));
        let late = Box::pin(async {
            call.departed().await;
            sleep(self.config.after).await;
        });
        match select(&mut first, late).await {
            Either::Left((answered, _)) => return answered,
            Either::Right(((), _)) if !self.budget.withdraw() => return first.await,
            Either::Right(((), _)) => {}
        }
        self.numbers.hedged();
        tracing::debug!(origin = %call.origin(), after = ?self.config.after, "sending the request a second time beside the first");
        let second = Box::pin(inner.oneshot(call.again(Instant::now())));
        // A failure is not an answer: the other attempt may still have one.
        match select(first, second).await {
            Either::Left((Err(error), other)) => better(error, other.await),
            Either::Right((Err(error), other)) => better(error, other.await),
            Either::Left((answered, _)) | Either::Right((answered, _)) => answered,
        }
    }
}

/// The later of two outcomes, unless it failed before anything was sent: that says nothing of the other attempt.
fn better<B>(earlier: SendError, later: Result<Response<B>, SendError>) -> Result<Response<B>, SendError> {
    match later {
        Err(error) if error.is_unprocessed() && !earlier.is_unprocessed() => Err(earlier),
        later => later,
    }
}

impl<S, B> Service<Call> for Hedge<S>
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
        if !call.is_replay_safe() {
            return Box::pin(inner.oneshot(call));
        }
        Box::pin(async move { layer.run(inner, call).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::budget::BudgetConfig;
    use crate::load::script::{Script, Step, get, post};

    const SECOND: Duration = Duration::from_secs(1);

    fn hedging(script: &Script, per_second: u32) -> Hedge<Script> {
        let budget = BudgetConfig {
            percent: 0,
            per_second,
            window: SECOND,
        };
        let layer = HedgeLayer {
            config: HedgeConfig { after: SECOND },
            budget: Arc::new(Budget::new(&budget)),
            numbers: Arc::default(),
        };
        layer.layer(script.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_request_is_sent_a_second_time_and_the_first_answer_wins() {
        let script = Script::of([Step::Silent, Step::Answer(200)]);
        let service = hedging(&script, 10);
        let began = Instant::now();
        assert_eq!(service.clone().oneshot(get()).await.unwrap().status(), 200);
        assert_eq!((script.seen(), script.under_way()), (2, 0));
        assert_eq!((began.elapsed(), service.layer.numbers.counted().hedges), (SECOND, 1));

        let script = Script::of([Step::Slow(2 * SECOND, 200), Step::Silent]);
        let answered = hedging(&script, 10).oneshot(get()).await;
        assert_eq!(answered.unwrap().status(), 200);
        assert_eq!((script.seen(), script.under_way()), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_answered_in_time_or_not_safe_is_sent_once() {
        let quick = Script::of([Step::Slow(SECOND / 2, 200)]);
        hedging(&quick, 10).oneshot(get()).await.unwrap();
        let unsafe_one = Script::of([Step::Slow(5 * SECOND, 200)]);
        hedging(&unsafe_one, 10).oneshot(post()).await.unwrap();
        assert_eq!((quick.seen(), unsafe_one.seen()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_of_one_leaves_it_to_the_other() {
        let script = Script::of([Step::Slow(5 * SECOND, 200), Step::Refuse]);
        let answered = hedging(&script, 10).oneshot(get()).await;
        assert_eq!((answered.unwrap().status().as_u16(), script.seen()), (200, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_budget_nothing_is_sent_twice() {
        let script = Script::of([Step::Slow(5 * SECOND, 200)]);
        let service = hedging(&script, 0);
        service.clone().oneshot(get()).await.unwrap();
        assert_eq!((script.seen(), service.layer.numbers.counted().hedges), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_has_no_connection_yet_is_not_sent_twice() {
        // The delay runs from the moment at which the server can be blamed.
        let waiting = tower::service_fn(|call: Call| async move {
            sleep(10 * SECOND).await;
            call.depart();
            Ok::<_, SendError>(Response::new(()))
        });
        let layer = hedging(&Script::of([]), 10).layer;
        layer.layer(waiting).oneshot(get()).await.unwrap();
        assert_eq!(layer.numbers.counted().hedges, 0);
    }
}
