//! Callers of a pool, and what came of their calls.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::future::join_all;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use weir_pool::{Pool, SendError, SendOptions};

/// How many calls ended in each way: the status, or the error and its causes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally(pub BTreeMap<String, usize>);

impl Tally {
    pub fn count(&mut self, outcome: &Result<StatusCode, SendError>) {
        let name = match outcome {
            Ok(status) => status.as_str().to_owned(),
            Err(error) => chain(error),
        };
        *self.0.entry(name).or_default() += 1;
    }

    pub fn plus(mut self, other: Self) -> Self {
        for (name, count) in other.0 {
            *self.0.entry(name).or_default() += count;
        }
        self
    }

    pub fn all(&self) -> usize {
        self.0.values().sum()
    }

    pub fn of(&self, status: StatusCode) -> usize {
        self.0.get(status.as_str()).copied().unwrap_or_default()
    }

    /// Fails unless every call was answered with 200.
    #[track_caller]
    pub fn assert_all_ok(&self) {
        assert_eq!(self.of(StatusCode::OK), self.all(), "{self:#?}");
    }
}

fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

pub fn get(uri: &str) -> Request<Bytes> {
    Request::get(uri).body(Bytes::new()).unwrap()
}

/// Sends a request and reads the whole answer.
pub async fn call(pool: &Pool, request: Request<Bytes>, replay_safe: bool) -> Result<StatusCode, SendError> {
    let options = SendOptions {
        replay_safe,
        ..SendOptions::default()
    };
    let response = pool.send(request, options).await?;
    let status = response.status();
    response.into_body().collect().await?;
    Ok(status)
}

/// `callers` at once, each of which makes `calls` GETs one after the other.
pub async fn load(pool: &Pool, uri: &str, callers: usize, calls: usize) -> Tally {
    let going = Arc::new(AtomicBool::new(true));
    tally(pool, uri, callers, calls, &going).await
}

/// As [`load`], for as long as `meanwhile` takes.
pub async fn load_while(pool: &Pool, uri: &str, callers: usize, meanwhile: impl Future<Output = ()>) -> Tally {
    let going = Arc::new(AtomicBool::new(true));
    let done = async {
        meanwhile.await;
        going.store(false, Ordering::Relaxed);
    };
    let (tally, ()) = tokio::join!(tally(pool, uri, callers, usize::MAX, &going), done);
    tally
}

async fn tally(pool: &Pool, uri: &str, callers: usize, calls: usize, going: &Arc<AtomicBool>) -> Tally {
    let callers = (0..callers).map(|_| {
        let (pool, uri, going) = (pool.clone(), uri.to_owned(), going.clone());
        tokio::spawn(async move {
            let mut tally = Tally::default();
            for _ in 0..calls {
                if !going.load(Ordering::Relaxed) {
                    break;
                }
                tally.count(&call(&pool, get(&uri), false).await);
            }
            tally
        })
    });
    let tallies = join_all(callers).await.into_iter().map(Result::unwrap);
    tallies.fold(Tally::default(), Tally::plus)
}
