//! HTTP/2 connections whose peer has fallen silent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};
use weir_pool::{Pool, PoolConfig, SendError, SendOptions, Timeouts};

use crate::peers::*;
use crate::tls_peers::{Exchange, TlsPeer};

/// Asks for an answer that does not come.
async fn in_vain(pool: &Pool, uri: &str) -> SendError {
    let timeouts = Timeouts {
        first_byte: Some(Duration::from_millis(50)),
        ..Timeouts::default()
    };
    let options = SendOptions {
        timeouts,
        ..SendOptions::default()
    };
    pool.send(get(uri), options).await.unwrap_err()
}

/// Serves `/` until it is told to stop working on its first connection, which it keeps open.
async fn freezing() -> (TlsPeer, Arc<Notify>) {
    let freeze = Arc::new(Notify::new());
    let told = freeze.clone();
    let peer = TlsPeer::serving(&[b"h2"], move |tls, number, open| {
        let freeze = told.clone();
        async move {
            let mut connection = h2::server::handshake(tls).await.unwrap();
            let _open = open;
            loop {
                tokio::select! {
                    accepted = connection.accept() => {
                        let Some(Ok((request, respond))) = accepted else { return };
                        Exchange { request, respond, connection: number }.answer().unwrap();
                    }
                    () = freeze.notified() => std::future::pending().await,
                }
            }
        }
    })
    .await;
    (peer, freeze)
}

#[tokio::test]
async fn a_slow_answer_costs_no_connection_whose_peer_is_there() {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let peer = TlsPeer::http2(100, move |exchange| {
        let gate = held.clone();
        async move {
            if exchange.request.uri().path() == "/slow" {
                gate.acquire().await.unwrap().forget();
            }
            exchange.answer()
        }
    })
    .await;
    let pool = peer.pool(config(2));
    assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), "0");
    let error = in_vain(&pool, &peer.uri("/slow")).await;
    assert!(matches!(error, SendError::FirstByteTimeout { .. }), "{error:?}");
    // Requests go elsewhere until the ping is answered, then to the connection that has just been trusted again.
    while fetch(&pool, &peer.uri("/")).await.unwrap() != "0" {}
    let stats = pool.stats();
    assert!(stats.connections_opened <= 2 && stats.connections_closed.is_empty());
}

#[tokio::test]
async fn a_silent_connection_is_not_lent_while_its_ping_is_out_and_closed_when_it_is_not_answered() {
    let (peer, freeze) = freezing().await;
    let pool = peer.pool(PoolConfig {
        keepalive_expiry: Duration::from_secs(60),
        ..config(2)
    });
    let uri = peer.uri("/");
    assert_eq!(fetch(&pool, &uri).await.unwrap(), "0");
    freeze.notify_one();
    in_vain(&pool, &uri).await;
    assert_eq!(fetch(&pool, &uri).await.unwrap(), "1");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(pool.stats().connections_closed.get("unresponsive"), None);
    tokio::time::advance(Duration::from_secs(20)).await;
    tokio::time::resume();
    let stats = until(&pool, |stats| stats.connections_closed.contains_key("unresponsive")).await;
    assert_eq!(stats.connections_closed["unresponsive"], 1);
}

#[tokio::test]
async fn a_silent_connection_makes_room_at_the_cap() {
    let (peer, freeze) = freezing().await;
    let pool = peer.pool(config(1));
    let uri = peer.uri("/");
    assert_eq!(fetch(&pool, &uri).await.unwrap(), "0");
    freeze.notify_one();
    in_vain(&pool, &uri).await;
    assert_eq!(fetch(&pool, &uri).await.unwrap(), "1");
    let stats = until(&pool, at_rest).await;
    assert_eq!(stats.connections_closed["made-room"], 1);
}

#[tokio::test]
async fn no_ping_is_sent_on_a_connection_that_is_not_in_doubt() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    // Answers every HEADERS frame with `:status: 204` and remembers what kinds of frames have come.
    let kinds = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = kinds.clone();
    let peer = TlsPeer::serving(&[b"h2"], move |mut tls, _, open| {
        let seen = seen.clone();
        async move {
            let mut preface = [0; 24];
            tls.read_exact(&mut preface).await.unwrap();
            tls.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
            let mut head = [0; 9];
            while tls.read_exact(&mut head).await.is_ok() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let mut payload = vec![0; length];
                tls.read_exact(&mut payload).await.unwrap();
                seen.lock().unwrap().push(head[3]);
                if head[3] == 1 {
                    let answer = [&[0, 0, 1, 1, 5], &head[5..], &[0x89]].concat();
                    tls.write_all(&answer).await.unwrap();
                }
            }
            drop(open);
        }
    })
    .await;
    let pool = peer.pool(config(1));
    for _ in 0..20 {
        let response = pool
            .send(post(&peer.uri("/"), Bytes::new()), SendOptions::default())
            .await
            .unwrap();
        assert_eq!(response.status(), 204);
    }
    let kinds = kinds.lock().unwrap();
    assert_eq!(kinds.iter().filter(|kind| **kind == 1).count(), 20);
    assert!(!kinds.contains(&6), "a PING was sent: {kinds:?}");
}
