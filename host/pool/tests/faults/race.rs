//! The server closes exactly as the request arrives. What it may have acted on it never sees again, unless the caller
//! said it may; and what may be sent again does not fail.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use tokio::task::yield_now;
use weir_pool::{SendError, SendOptions};

use crate::line::{End, Line};
use crate::peers::post;
use crate::rig::Rig;
use crate::way::Way;

/// Enough to meet every moment and every end many times.
const SHORT: usize = 300;
const LONG: usize = 10_000;

/// How a request is told from another: the first bytes of its body.
const NAME: usize = 8;

/// When the server closes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// Before it has read anything of the request.
    Unread,
    /// With the rest of the body still to come or unread.
    Begun,
    /// With all of it read, and acted on.
    Whole,
}

const MOMENTS: [Moment; 3] = [Moment::Unread, Moment::Begun, Moment::Whole];

#[derive(Default)]
struct Ledger {
    /// How often the server may have acted on a request.
    seen: Mutex<BTreeMap<Vec<u8>, usize>>,
    closed: [AtomicUsize; MOMENTS.len()],
}

impl Ledger {
    fn see(&self, name: &[u8]) {
        *self.seen.lock().unwrap().entry(name.to_vec()).or_default() += 1;
    }

    fn times(&self, name: &[u8]) -> usize {
        self.seen.lock().unwrap().get(name).copied().unwrap_or_default()
    }
}

/// Answers the first request, and up to two more; then closes as the next one arrives.
async fn close_as_it_arrives(mut line: Line, ledger: Arc<Ledger>) -> io::Result<()> {
    let (moment, end) = (line.number % 3, End::ALL[line.number / 3 % End::ALL.len()]);
    for _ in 0..=(line.number / 12 % 3) {
        let Some(asked) = line.asked().await? else {
            return Ok(());
        };
        ledger.see(&asked.body[..NAME]);
        line.reply(&asked).await?;
    }
    match MOMENTS[moment] {
        Moment::Unread => {
            for _ in 0..line.number / 36 % 16 {
                yield_now().await;
            }
        }
        Moment::Begun => match line.beginning(NAME).await? {
            Some(name) => ledger.see(&name),
            None => return Ok(()),
        },
        Moment::Whole => match line.asked().await? {
            Some(asked) => ledger.see(&asked.body[..NAME]),
            None => return Ok(()),
        },
    }
    ledger.closed[moment].fetch_add(1, Ordering::SeqCst);
    end.befalls(line).await
}

async fn race(way: Way, runs: usize) {
    let ledger = Arc::new(Ledger::default());
    let shared = ledger.clone();
    let rig = Rig::following(way, way.config(2), move |line| {
        close_as_it_arrives(line, shared.clone())
    })
    .await;
    let mut failed = 0;
    for run in 0..runs {
        let name = format!("{run:0NAME$}").into_bytes();
        let replay_safe = run % 2 == 0;
        let body = [&name[..], &vec![b'.'; run % 5 * 20_000]].concat();
        let options = SendOptions {
            replay_safe,
            ..SendOptions::default()
        };
        let outcome = match rig.pool.send(post(&rig.uri(), body), options).await {
            Ok(response) => response.into_body().collect().await.map(drop),
            Err(error) => Err(error),
        };
        let times = ledger.times(&name);
        match outcome {
            Ok(()) if replay_safe => assert!((1..=2).contains(&times), "run {run} seen {times} times"),
            Ok(()) => assert_eq!(times, 1, "run {run} may not be sent twice"),
            Err(error) => {
                assert!(!replay_safe, "run {run} could have been sent again: {error:?}");
                assert!(
                    matches!(error, SendError::ConnectionReset { .. }),
                    "run {run}: {error:?}"
                );
                assert!(
                    times <= usize::from(!error.is_unprocessed()),
                    "run {run} seen {times} times: {error:?}"
                );
                failed += 1;
            }
        }
    }
    // It was a race: every moment has come, and requests were lost to it.
    for closed in &ledger.closed {
        assert!(closed.load(Ordering::SeqCst) > runs / 20, "{:?}", ledger.closed);
    }
    let stats = rig.agrees().await;
    assert!(
        failed > runs / 20 && stats.replays > runs as u64 / 20,
        "{failed} failed, {} replays",
        stats.replays
    );
}

macro_rules! races {
    ($($short:ident $long:ident $way:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $short() {
            race(Way::$way, SHORT).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "ten thousand runs"]
        async fn $long() {
            race(Way::$way, LONG).await;
        }
    )+};
}

races!(
    a_request_is_never_done_twice_over_http1 soak_a_request_is_never_done_twice_over_http1 HTTP1,
    a_request_is_never_done_twice_over_http1_under_tls soak_a_request_is_never_done_twice_over_http1_under_tls HTTP1_TLS,
    a_request_is_never_done_twice_over_http2_under_tls soak_a_request_is_never_done_twice_over_http2_under_tls HTTP2_TLS,
);
