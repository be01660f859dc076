//! Callers who go away, at any point, and what is left behind: nothing.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use weir_pool::{Pool, SendError, SendOptions};

use crate::peers::*;
use crate::tls_peers::TlsPeer;

#[tokio::test]
async fn a_dial_whose_caller_has_gone_serves_the_next_one() {
    let peer = TlsPeer::http2(100, |exchange| async { exchange.answer() }).await;
    peer.door.forget_permits(usize::MAX);
    let pool = peer.pool(config(5));
    let gone = caller(&pool, peer.uri("/"));
    until(&pool, |stats| stats.connecting == 1).await;
    leave(gone).await;
    assert_eq!((pool.stats().connecting, pool.stats().waiting), (1, 0));

    let (next, uri) = (pool.clone(), peer.uri("/"));
    let next = tokio::spawn(async move { fetch(&next, &uri).await });
    until(&pool, |stats| stats.waiting == 1).await;
    peer.door.add_permits(1);
    assert_eq!(next.await.unwrap().unwrap(), "0");
    assert_eq!((pool.stats().connections_opened, peer.seen.accepted()), (1, 1));
}

#[tokio::test]
async fn a_dial_that_nobody_waits_for_any_more_is_kept() {
    let peer = TlsPeer::http2(100, |exchange| async { exchange.answer() }).await;
    peer.door.forget_permits(usize::MAX);
    let pool = peer.pool(config(5));
    let gone = caller(&pool, peer.uri("/"));
    until(&pool, |stats| stats.connecting == 1).await;
    leave(gone).await;
    peer.door.add_permits(1);
    until(&pool, |stats| stats.idle == 1).await;
    assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), "0");
}

fn caller(pool: &Pool, uri: String) -> JoinHandle<Result<String, SendError>> {
    let pool = pool.clone();
    tokio::spawn(async move { fetch(&pool, &uri).await })
}

async fn leave(caller: JoinHandle<Result<String, SendError>>) {
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
}

/// A thousand requests, each dropped after its own number of steps, from before its first to after its last.
async fn storm(pool: &Pool, uri: &str) {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut callers = Vec::new();
    for number in 0..1000_u64 {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (pool, uri, microseconds) = (pool.clone(), uri.to_owned(), (seed >> 33) % 4_000);
        callers.push(tokio::spawn(async move {
            let request = async {
                let response = pool.send(
                    post(&uri, vec![b'x'; (number % 7) as usize * 20_000]),
                    SendOptions::default(),
                );
                if number % 3 == 0 {
                    response.await.map(drop)
                } else {
                    text(response.await?).await.map(drop)
                }
            };
            let _ = timeout(Duration::from_micros(microseconds), request).await;
        }));
    }
    for caller in callers {
        caller.await.unwrap();
        let stats = pool.stats();
        assert!(stats.active + stats.idle + stats.connecting + stats.closing <= stats.max_connections);
    }
}

async fn nothing_is_left(pool: &Pool, uri: &str, open: impl Fn() -> usize) {
    let stats = until(pool, at_rest).await;
    assert!(stats.connections_opened > 0);
    eventually(|| open() == pool.stats().idle).await;
    for _ in 0..3 {
        fetch(pool, uri).await.unwrap();
    }
    let stats = until(pool, at_rest).await;
    assert_eq!(stats.total_requests, 1003);
    assert_eq!(stats.requests_by_operation_and_outcome.values().sum::<u64>(), 1003);
    let closed: u64 = stats.connections_closed.values().sum();
    assert_eq!(stats.connections_opened - closed, stats.idle as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_dropped_at_random_leave_nothing_behind() {
    let peer = Peer::answering().await;
    let pool = pool(config(8));
    storm(&pool, &peer.uri("/")).await;
    nothing_is_left(&pool, &peer.uri("/"), || peer.seen.open()).await;
}

#[tokio::test]
async fn nor_in_a_single_thread() {
    let peer = Peer::answering().await;
    let pool = pool(config(8));
    storm(&pool, &peer.uri("/")).await;
    nothing_is_left(&pool, &peer.uri("/"), || peer.seen.open()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_over_http2() {
    let peer = TlsPeer::http2(10, |exchange| async { exchange.answer() }).await;
    let pool = peer.pool(config(4));
    storm(&pool, &peer.uri("/")).await;
    nothing_is_left(&pool, &peer.uri("/"), || peer.seen.open()).await;
}

#[tokio::test]
async fn a_request_cut_off_before_its_answer_closes_its_connection() {
    let peer = Peer::following(|connection, _| connection.drain()).await;
    let pool = pool(config(1));
    let gone = caller(&pool, peer.uri("/"));
    until(&pool, |stats| stats.active == 1).await;
    leave(gone).await;
    let stats = until(&pool, at_rest).await;
    assert_eq!((stats.idle, stats.connections_closed["cancelled"]), (0, 1));
    eventually(|| peer.seen.open() == 0).await;
}
