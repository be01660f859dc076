//! A server that follows a script, for tests of single layers.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body, Frame};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::call::{Call, Holding};
use super::concurrency::Permit;
use crate::config::PoolConfig;
use crate::destination::Destinations;
use crate::error::SendError;
use crate::options::{Deadlines, SendOptions, Timeouts};
use crate::outgoing::Outgoing;

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Answers with a status.
    Answer(u16),
    /// Answers with a status and one header.
    Tell(u16, &'static str, &'static str),
    /// Answers after a while.
    Slow(Duration, u16),
    /// Accepts no connection.
    Refuse,
    /// Does not begin to answer in time.
    TimeOut,
    /// Never does anything.
    Silent,
}

/// The server. It repeats its last step for ever.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    steps: Arc<Mutex<VecDeque<Step>>>,
    seen: Arc<Mutex<Vec<Instant>>>,
    under_way: Arc<AtomicUsize>,
}

impl Script {
    pub fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: Arc::new(Mutex::new(steps.into_iter().collect())),
            seen: Arc::default(),
            under_way: Arc::default(),
        }
    }

    /// How many requests have arrived.
    pub fn seen(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// When they arrived.
    pub fn moments(&self) -> Vec<Instant> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests have arrived and were neither answered nor dropped.
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }
}

struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service<Call> for Script {
    type Response = Response<Text>;
    type Error = SendError;
    type Future = BoxFuture<'static, Result<Response<Text>, SendError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let step = {
            let mut steps = self.steps.lock().unwrap();
            if steps.len() > 1 {
                steps.pop_front()
            } else {
                steps.front().cloned()
            }
        };
        self.seen.lock().unwrap().push(Instant::now());
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let under_way = UnderWay(self.under_way.clone());
        Box::pin(async move {
            let _under_way = under_way;
            let origin = call.origin().clone();
            let answer = |status| Response::builder().status(status).body(Text::default());
            if !matches!(step, Some(Step::Refuse)) {
                call.depart();
            }
            match step.unwrap() {
                Step::Answer(status) => Ok(answer(status).unwrap()),
                Step::Tell(status, name, value) => {
                    let mut answer = answer(status).unwrap();
                    answer.headers_mut().insert(name, value.parse().unwrap());
                    Ok(answer)
                }
                Step::Slow(wait, status) => {
                    sleep(wait).await;
                    Ok(answer(status).unwrap())
                }
                Step::Refuse => Err(SendError::Connect {
                    origin,
                    source: std::io::ErrorKind::ConnectionRefused.into(),
                }),
                Step::TimeOut => Err(SendError::FirstByteTimeout {
                    origin,
                    limit: Duration::from_secs(60),
                }),
                Step::Silent => pending().await,
            }
        })
    }
}

/// An answer's body.
#[derive(Debug, Default)]
pub(crate) struct Text {
    permit: Option<Permit>,
}

impl Holding for Text {
    fn hold(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }
}

impl Body for Text {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        Poll::Ready(None)
    }
}

/// A request that may reach the server twice.
pub(crate) fn get() -> Call {
    call("GET", Timeouts::default())
}

/// A request that may not.
pub(crate) fn post() -> Call {
    call("POST", Timeouts::default())
}

/// A request with deadlines of its own.
pub(crate) fn call(method: &str, timeouts: Timeouts) -> Call {
    let request = Request::builder().method(method).uri("http://host/").body(Bytes::new());
    let options = SendOptions {
        timeouts,
        ..SendOptions::default()
    };
    Call::new(
        Outgoing::new(request.unwrap(), false, false, &Destinations::default()).unwrap(),
        Deadlines::new(&PoolConfig::default(), &options, Instant::now()),
        0,
        "test".into(),
        Arc::new(CancellationToken::new()),
    )
}
