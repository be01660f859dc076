//! Callers who go away at every point at which they can, and at random ones under load; and what is left: nothing.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tokio::time::{Instant, timeout};
use weir_pool::SendOptions;

use crate::line::Line;
use crate::peers::{post, text};
use crate::rig::Rig;
use crate::way::Way;

const SHORT: usize = 3_000;
const LONG: usize = 100_000;

/// Requests of a storm that are under way together.
const AT_ONCE: usize = 200;

/// Peers of a storm: each dropped request may cost a connection, and a port is used again only after a minute.
const PEERS: usize = 8;

/// How long a plain request may take of an idle server after the storm.
const AT_ONCE_AGAIN: Duration = Duration::from_millis(100);

/// Polls a future this often, each time when it asks for it, and drops it then.
async fn polled<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Dropped after its first poll, its second, and so on to its last: on a pool that has no connection, on one that has,
/// and on one whose connections are all taken.
async fn a_request_dropped_at_any_await_leaves_nothing_behind(way: Way) {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Before {
        Nothing,
        Idle,
        Taken,
    }
    for before in [Before::Nothing, Before::Idle, Before::Taken] {
        let mut polls = 1;
        loop {
            let rig = Rig::following(way, way.config(1), Line::echo).await;
            let mut held = None;
            if before != Before::Nothing {
                held = Some(
                    rig.pool
                        .send(post(&rig.uri(), "held"), SendOptions::default())
                        .await
                        .unwrap(),
                );
            }
            if before == Before::Idle {
                text(held.take().unwrap()).await.unwrap();
            }
            let release = async {
                if let Some(held) = held {
                    tokio::task::yield_now().await;
                    text(held).await.unwrap();
                }
            };
            let (done, ()) = tokio::join!(polled(rig.post("dropped"), polls), release);
            rig.is_sound().await;
            if let Some(outcome) = done {
                assert_eq!(outcome.unwrap(), "dropped");
                break;
            }
            polls += 1;
        }
        assert!(polls >= 2, "{before:?}: it was dropped at {polls} points");
    }
}

async fn storm(way: Way, requests: usize) -> Rig {
    let mut rig = Rig::following(way, way.config(8), Line::echo).await;
    while rig.add_peer(Line::echo).await < PEERS - 1 {}
    let uris: Vec<_> = (0..PEERS).map(|peer| rig.uri_of(peer)).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for wave in 0..requests / AT_ONCE {
        let callers = (0..AT_ONCE).map(|number| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let (pool, uri, random) = (rig.pool.clone(), uris[wave % PEERS].clone(), random >> 33);
            tokio::spawn(async move {
                let body = Bytes::from(vec![b'x'; number % 7 * 20_000]);
                let request = async {
                    let response = pool.send(post(&uri, body), SendOptions::default()).await?;
                    if number % 3 == 0 {
                        drop(response);
                        return Ok(());
                    }
                    text(response).await.map(drop)
                };
                if number % 2 == 0 {
                    let _ = polled(request, random as usize % 24).await;
                } else {
                    let _ = timeout(Duration::from_micros(random % 4_000), request).await;
                }
            })
        });
        for caller in join_all(callers).await {
            caller.unwrap();
        }
        let stats = rig.pool.stats();
        assert!(stats.active + stats.idle + stats.connecting + stats.closing <= stats.max_connections);
    }
    let stats = rig.agrees().await;
    assert_eq!(stats.waiting, 0);
    let outcomes = &stats.requests_by_operation_and_outcome;
    let of = |name| {
        outcomes
            .iter()
            .filter(|((_, outcome), _)| *outcome == name)
            .map(|(_, count)| *count as usize)
            .sum()
    };
    let (cancelled, answered): (usize, usize) = (of("cancelled"), of("2xx"));
    assert!(
        cancelled > requests / 10 && answered > requests / 100,
        "{cancelled} cancelled, {answered} answered"
    );
    assert_eq!(
        cancelled + answered,
        outcomes.values().sum::<u64>() as usize,
        "{outcomes:?}"
    );
    rig
}

macro_rules! storms {
    ($($short:ident $long:ident $way:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $short() {
            storm(Way::$way, SHORT).await.is_sound().await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "a hundred thousand requests"]
        async fn $long() {
            let rig = storm(Way::$way, LONG).await;
            for _ in 0..3 {
                let began = Instant::now();
                assert_eq!(rig.post("at once").await.unwrap(), "at once");
                assert!(began.elapsed() < AT_ONCE_AGAIN, "{:?}", began.elapsed());
            }
            rig.is_sound().await;
        }
    )+};
}

storms!(
    a_storm_of_dropped_requests_over_http1 soak_a_storm_of_dropped_requests_over_http1 HTTP1,
    a_storm_of_dropped_requests_over_http1_under_tls soak_a_storm_of_dropped_requests_over_http1_under_tls HTTP1_TLS,
    a_storm_of_dropped_requests_over_http2_under_tls soak_a_storm_of_dropped_requests_over_http2_under_tls HTTP2_TLS,
);
over_every_way!(a_request_dropped_at_any_await_leaves_nothing_behind);
