//! Which requests are sent once more, and which are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use weir_pool::{ResetPoint, SendError, SendOptions};

use crate::peers::*;

/// Answers the first request of each connection and closes it on reading the second, while it is `faulty`.
async fn closing_on_the_second_request() -> (Peer, Arc<AtomicBool>) {
    let faulty = Arc::new(AtomicBool::new(true));
    let state = faulty.clone();
    let peer = Peer::following(move |mut connection, _| {
        let faulty = state.clone();
        async move {
            connection.request().await?;
            connection.write(OK).await?;
            while connection.request().await?.is_some() {
                if faulty.load(Ordering::SeqCst) {
                    return Ok(());
                }
                connection.write(OK).await?;
            }
            Ok(())
        }
    })
    .await;
    (peer, faulty)
}

#[tokio::test]
async fn an_idempotent_request_on_a_dead_connection_is_sent_again_on_a_fresh_one() {
    let (peer, _) = closing_on_the_second_request().await;
    let pool = pool(config(5));
    fetch(&pool, &peer.uri("/")).await.unwrap();
    fetch(&pool, &peer.uri("/")).await.unwrap();
    assert_eq!((pool.stats().replays, peer.seen.accepted()), (1, 2));
}

#[tokio::test]
async fn another_request_is_not_and_its_error_says_that_it_may_have_been_seen() {
    let (peer, _) = closing_on_the_second_request().await;
    let pool = pool(config(5));
    fetch(&pool, &peer.uri("/")).await.unwrap();
    let error = pool
        .send(post(&peer.uri("/"), "x"), SendOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            SendError::ConnectionReset {
                when: ResetPoint::BeforeResponse,
                maybe_processed: true,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(!error.is_unprocessed());
    assert_eq!((pool.stats().replays, peer.seen.accepted()), (0, 1));
}

#[tokio::test]
async fn a_request_marked_safe_is_sent_again() {
    let (peer, _) = closing_on_the_second_request().await;
    let pool = pool(config(5));
    fetch(&pool, &peer.uri("/")).await.unwrap();
    let options = SendOptions {
        replay_safe: true,
        ..SendOptions::default()
    };
    let response = pool.send(post(&peer.uri("/"), "x"), options).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "ok");
    assert_eq!(pool.stats().replays, 1);
}

#[tokio::test]
async fn the_second_attempt_never_gets_another_old_connection() {
    let (peer, faulty) = closing_on_the_second_request().await;
    let pool = pool(config(5));
    let uri = peer.uri("/");
    let opened = futures::future::join_all((0..4).map(|_| fetch(&pool, &uri))).await;
    assert!(opened.iter().all(Result::is_ok));
    assert_eq!(pool.stats().idle, 4);
    fetch(&pool, &uri).await.unwrap();
    assert_eq!((pool.stats().replays, peer.seen.accepted()), (1, 5));
    faulty.store(false, Ordering::SeqCst);
}

#[tokio::test]
async fn a_fresh_connection_that_dies_is_not_tried_again() {
    let peer = Peer::following(|mut connection, _| async move { connection.request().await.map(drop) }).await;
    let pool = pool(config(5));
    let error = fetch(&pool, &peer.uri("/")).await.unwrap_err();
    assert!(matches!(error, SendError::ConnectionReset { .. }), "{error:?}");
    assert_eq!((pool.stats().replays, peer.seen.accepted()), (0, 1));
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_asked_for_again() {
    let peer = Peer::following(|mut connection, _| async move {
        connection.request().await?;
        connection.write(OK).await?;
        connection.request().await?;
        connection.write("HTTP/1.1 200 OK\r\ncont").await
    })
    .await;
    let pool = pool(config(5));
    fetch(&pool, &peer.uri("/")).await.unwrap();
    let error = fetch(&pool, &peer.uri("/")).await.unwrap_err();
    assert!(
        matches!(
            error,
            SendError::ConnectionReset {
                when: ResetPoint::InHead,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(pool.stats().replays, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_with_a_server_that_closes_after_each_answer_is_never_lost() {
    let peer = Peer::following(|mut connection, _| async move {
        connection.request().await?;
        connection.write(OK).await
    })
    .await;
    let pool = pool(config(4));
    let callers = (0..4).map(|_| {
        let (pool, uri) = (pool.clone(), peer.uri("/"));
        tokio::spawn(async move {
            for _ in 0..250 {
                assert_eq!(fetch(&pool, &uri).await.unwrap(), "ok");
            }
        })
    });
    for caller in futures::future::join_all(callers).await {
        caller.unwrap();
    }
    let stats = until(&pool, at_rest).await;
    assert_eq!(
        stats.requests_by_operation_and_outcome[&(Arc::from("other"), "2xx")],
        1000
    );
}
