//! Answers that come early, end early, or are too large; and what becomes of their connections.

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use weir_pool::{PoolConfig, ResetPoint, SendError, SendOptions};

use crate::peers::*;

const REFUSAL: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 8\r\n\r\ntoo much";

fn large() -> Bytes {
    Bytes::from(vec![b'x'; 16 * 1024 * 1024])
}

#[tokio::test]
async fn a_refusal_before_the_body_is_read_wins_when_the_server_closes_for_writing() {
    let peer = Peer::following(|mut connection, _| async move {
        connection.head().await?;
        connection.write(REFUSAL).await?;
        connection.stream.shutdown().await?;
        connection.drain().await
    })
    .await;
    let pool = pool(config(1));
    for _ in 0..5 {
        let response = pool
            .send(post(&peer.uri("/"), large()), SendOptions::default())
            .await
            .unwrap();
        assert_eq!(response.status(), 400);
        assert_eq!(text(response).await.unwrap(), "too much");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_before_the_body_is_read_wins_when_the_server_closes_at_once() {
    // The unread body makes the server's system reset the connection right behind the answer.
    let peer = Peer::following(|mut connection, _| async move {
        connection.head().await?;
        connection.write(REFUSAL).await
    })
    .await;
    let pool = pool(config(1));
    for _ in 0..20 {
        let response = pool
            .send(post(&peer.uri("/"), large()), SendOptions::default())
            .await
            .unwrap();
        assert_eq!(response.status(), 400);
        assert_eq!(text(response).await.unwrap(), "too much");
    }
    assert!(at_rest(&until(&pool, at_rest).await));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_ends_while_the_request_stalls_does_not_strand_the_connection() {
    let peer = Peer::following(|mut connection, number| async move {
        connection.head().await?;
        connection.write(REFUSAL).await?;
        if number == 0 {
            connection.hold().await
        } else {
            connection.drain().await
        }
    })
    .await;
    let pool = pool(config(1));
    for _ in 0..2 {
        let response = pool
            .send(post(&peer.uri("/"), large()), SendOptions::default())
            .await
            .unwrap();
        assert_eq!(text(response).await.unwrap(), "too much");
    }
    assert_eq!(pool.stats().connections_closed["request-unfinished"], 1);
}

#[tokio::test]
async fn a_body_dropped_early_closes_its_connection() {
    let peer = Peer::following(|mut connection, _| async move {
        connection.request().await?;
        connection
            .write("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nbegin")
            .await?;
        connection.drain().await
    })
    .await;
    let pool = pool(config(1));
    let mut response = pool.send(get(&peer.uri("/")), SendOptions::default()).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(pool.stats().active, 1);
    drop(response);
    let stats = until(&pool, at_rest).await;
    assert_eq!((stats.idle, stats.connections_closed["body-dropped"]), (0, 1));
    eventually(|| peer.seen.open() == 0).await;
}

#[tokio::test]
async fn the_connection_goes_back_with_the_last_byte_not_with_the_handle() {
    let peer = Peer::answering().await;
    let pool = pool(config(1));
    let mut response = pool.send(get(&peer.uri("/")), SendOptions::default()).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    fetch(&pool, &peer.uri("/")).await.unwrap();
    assert_eq!(peer.seen.accepted(), 1);
    assert!(response.body_mut().frame().await.is_none());
}

#[tokio::test]
async fn a_server_that_says_it_will_close_is_believed() {
    let peer = Peer::following(|mut connection, _| async move {
        connection.request().await?;
        connection
            .write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
            .await?;
        connection.drain().await
    })
    .await;
    let pool = pool(config(1));
    for _ in 0..3 {
        fetch(&pool, &peer.uri("/")).await.unwrap();
    }
    let stats = until(&pool, at_rest).await;
    assert_eq!((stats.connections_closed["server-asked"], stats.replays), (3, 0));
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_its_connection() {
    let peer = Peer::following(|mut connection, _| async move {
        connection.request().await?;
        connection.write("HTTP/1.1 200 OK\r\n\r\nall of it").await
    })
    .await;
    let pool = pool(config(1));
    assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), "all of it");
    assert!(at_rest(&until(&pool, |stats| stats.idle == 0 && at_rest(stats)).await));
}

#[tokio::test]
async fn a_body_cut_short_is_an_error_and_not_an_end() {
    let peer = Peer::following(|mut connection, _| async move {
        connection.request().await?;
        connection
            .write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
            .await
    })
    .await;
    let error = fetch(&pool(config(1)), &peer.uri("/")).await.unwrap_err();
    assert!(
        matches!(
            error,
            SendError::ConnectionReset {
                when: ResetPoint::InBody,
                maybe_processed: true,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_by_its_length_or_when_it_gets_there() {
    let peer = Peer::following(|mut connection, _| async move {
        let head = connection.request().await?.unwrap_or_default();
        let encoding = if head.contains("/stated") {
            "content-length: 9"
        } else {
            "transfer-encoding: chunked"
        };
        connection
            .write(&format!("HTTP/1.1 200 OK\r\n{encoding}\r\n\r\n"))
            .await?;
        connection
            .write(if head.contains("/stated") {
                "123456789"
            } else {
                "5\r\n12345\r\n4\r\n6789\r\n0\r\n\r\n"
            })
            .await?;
        connection.drain().await
    })
    .await;
    let pool = pool(PoolConfig {
        max_response_bytes: 8,
        ..config(1)
    });
    for path in ["/stated", "/unstated"] {
        let error = fetch(&pool, &peer.uri(path)).await.unwrap_err();
        assert!(
            matches!(error, SendError::ResponseTooLarge { limit: 8, .. }),
            "{path}: {error:?}"
        );
    }
    let stats = until(&pool, at_rest).await;
    assert_eq!((stats.idle, stats.connections_closed["too-large"]), (0, 2));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let peer = Peer::following(|mut connection, _| async move {
        connection.request().await?;
        let padding = "x".repeat(100_000);
        connection
            .write(&format!("HTTP/1.1 200 OK\r\nx-padding: {padding}\r\n\r\n"))
            .await?;
        connection.drain().await
    })
    .await;
    let error = fetch(&pool(config(1)), &peer.uri("/")).await.unwrap_err();
    assert!(
        matches!(error, SendError::HeadersTooLarge { limit: 65_536, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_is_not_http_is_said_to_be_so() {
    let peer = Peer::following(|mut connection, _| async move {
        connection.request().await?;
        connection.write("SSH-2.0-OpenSSH_9.6\r\n\r\n").await
    })
    .await;
    let error = fetch(&pool(config(1)), &peer.uri("/")).await.unwrap_err();
    assert_eq!(error.kind(), "protocol", "{error:?}");
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_refused_with_its_reason() {
    let error = fetch(&pool(config(1)), "/only/a/path").await.unwrap_err();
    assert!(error.to_string().contains("absolute"), "{error}");
    assert!(error.is_unprocessed());
}

#[tokio::test]
async fn bytes_are_counted_as_they_pass_the_socket() {
    let peer = Peer::answering().await;
    let pool = pool(config(1));
    let response = pool
        .send(post(&peer.uri("/"), large()), SendOptions::default())
        .await
        .unwrap();
    text(response).await.unwrap();
    let stats = pool.stats();
    assert!(stats.bytes_sent > 16 * 1024 * 1024);
    assert_eq!(
        stats.bytes_received,
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n0".len() as u64
    );
    for histogram in [&stats.wait, &stats.connect, &stats.first_byte, &stats.total] {
        assert_eq!(histogram.count, 1);
    }
}
