//! Each deadline is its own, and its error says which it was. No time passes but the clock's.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use weir_pool::{CallerTimeouts, ConnectStage, PoolConfig, SendError, SendOptions, Timeouts};

use crate::peers::*;

async fn silent() -> Peer {
    Peer::following(|connection, _| connection.drain()).await
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_more_of_the_request_runs_into_the_write_timeout() {
    let peer = Peer::following(|connection, _| async move {
        let _kept = connection;
        pending().await
    })
    .await;
    let pool = pool(config(1));
    let body = Bytes::from(vec![b'x'; 64 * 1024 * 1024]);
    let error = pool
        .send(post(&peer.uri("/"), body), SendOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, SendError::WriteTimeout { limit, .. } if limit.as_secs() == 10),
        "{error:?}"
    );
    assert!(!error.is_unprocessed());
    let stats = until(&pool, at_rest).await;
    assert_eq!((stats.timeouts["write"], stats.connections_closed["timed-out"]), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_runs_into_the_first_byte_timeout() {
    let (peer, pool) = (silent().await, pool(config(1)));
    let began = Instant::now();
    let error = fetch(&pool, &peer.uri("/")).await.unwrap_err();
    assert!(
        matches!(error, SendError::FirstByteTimeout { limit, .. } if limit.as_secs() == 60),
        "{error:?}"
    );
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(until(&pool, at_rest).await.timeouts["first-byte"], 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_falls_silent_runs_into_the_read_timeout() {
    let peer = Peer::following(|mut connection, _| async move {
        connection.request().await?;
        connection
            .write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
            .await?;
        for _ in 0..3 {
            // Slow is not silent.
            tokio::time::sleep(Duration::from_secs(50)).await;
            connection.write("x").await?;
        }
        connection.drain().await
    })
    .await;
    let pool = pool(config(1));
    let began = Instant::now();
    let error = fetch(&pool, &peer.uri("/")).await.unwrap_err();
    assert!(
        matches!(error, SendError::ReadTimeout { limit, .. } if limit.as_secs() == 60),
        "{error:?}"
    );
    assert_eq!(began.elapsed().as_secs(), 150 + 60);
    assert_eq!(until(&pool, at_rest).await.timeouts["read"], 1);
}

#[tokio::test(start_paused = true)]
async fn time_in_which_nobody_reads_is_not_the_servers_silence() {
    let peer = Peer::following(|mut connection, _| async move {
        connection.request().await?;
        connection
            .write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no")
            .await?;
        tokio::time::sleep(Duration::from_secs(90)).await;
        connection.write("k").await
    })
    .await;
    let pool = pool(config(1));
    let response = pool.send(get(&peer.uri("/")), SendOptions::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_eq!(text(response).await.unwrap(), "ok");
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_covers_head_and_body() {
    let peer = Peer::following(|mut connection, _| async move {
        if connection.request().await?.is_some_and(|head| head.contains("/body")) {
            connection
                .write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx")
                .await?;
        }
        connection.drain().await
    })
    .await;
    let pool = pool(PoolConfig {
        total_timeout: Some(Duration::from_secs(3)),
        ..config(1)
    });
    for path in ["/head", "/body"] {
        let began = Instant::now();
        let error = fetch(&pool, &peer.uri(path)).await.unwrap_err();
        assert!(matches!(error, SendError::TotalTimeout { .. }), "{path}: {error:?}");
        assert_eq!(began.elapsed().as_secs(), 3, "{path}");
    }
    assert_eq!(until(&pool, at_rest).await.timeouts["total"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_runs_into_the_connect_timeout() {
    let (peer, pool) = (silent().await, pool(config(1)));
    let began = Instant::now();
    let error = fetch(&pool, &format!("https://{}/", peer.address)).await.unwrap_err();
    let SendError::ConnectTimeout { stage, limit, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (*stage, limit.as_secs(), began.elapsed().as_secs()),
        (ConnectStage::Securing, 10, 10)
    );
    assert!(error.is_unprocessed());
    assert_eq!(until(&pool, at_rest).await.timeouts["connect"], 1);
}

#[tokio::test(start_paused = true)]
async fn callers_behind_a_dial_that_fails_late_do_not_wait_for_another() {
    let (peer, pool) = (silent().await, pool(config(4)));
    let uri = format!("https://{}/", peer.address);
    let began = Instant::now();
    let outcomes = futures::future::join_all((0..4).map(|_| fetch(&pool, &uri))).await;
    let kinds: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_err().kind())
        .collect();
    assert_eq!(kinds, ["connect-timeout"; 4]);
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn each_deadline_can_be_set_for_one_request() {
    let (peer, pool) = (silent().await, pool(config(1)));
    let second = Some(Duration::from_secs(1));
    let cases = [
        (
            peer.uri("/"),
            Timeouts {
                first_byte: second,
                ..Timeouts::default()
            },
            "first-byte-timeout",
        ),
        (
            peer.uri("/"),
            Timeouts {
                total: second,
                ..Timeouts::default()
            },
            "total-timeout",
        ),
        (
            format!("https://{}/", peer.address),
            Timeouts {
                connect: second,
                ..Timeouts::default()
            },
            "connect-timeout",
        ),
    ];
    for (uri, timeouts, kind) in cases {
        let began = Instant::now();
        let options = SendOptions {
            timeouts,
            ..SendOptions::default()
        };
        assert_eq!(pool.send(get(&uri), options).await.unwrap_err().kind(), kind);
        assert_eq!(began.elapsed().as_secs(), 1, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_has_deadlines_of_its_own_which_a_caller_can_be_kept_from_lengthening() {
    let peer = silent().await;
    let seconds = |number| Timeouts {
        first_byte: Some(Duration::from_secs(number)),
        ..Timeouts::default()
    };
    for (caller_timeouts, wish, expected) in [
        (CallerTimeouts::Shorten, 90, 3),
        (CallerTimeouts::Shorten, 2, 2),
        (CallerTimeouts::Replace, 90, 90),
    ] {
        let pool = pool(PoolConfig {
            operations: [("query".to_owned(), seconds(3))].into(),
            caller_timeouts,
            ..config(1)
        });
        let options = SendOptions {
            operation: Some("query".into()),
            timeouts: seconds(wish),
            ..SendOptions::default()
        };
        let began = Instant::now();
        let error = pool.send(get(&peer.uri("/")), options).await.unwrap_err();
        assert_eq!(error.kind(), "first-byte-timeout");
        assert_eq!(began.elapsed().as_secs(), expected);
    }
}

#[tokio::test]
async fn the_total_deadline_holds_however_fast_the_pieces_come() {
    let peer = Peer::following(|mut connection, _| async move {
        connection.request().await?;
        connection
            .write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await?;
        loop {
            connection.write("4\r\nmore\r\n").await?;
        }
    })
    .await;
    let pool = pool(PoolConfig {
        total_timeout: Some(Duration::from_millis(100)),
        ..config(1)
    });
    assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap_err().kind(), "total-timeout");
}
