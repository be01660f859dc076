//! HTTP/2: shared connections, the peer's limits, resets and goodbyes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use h2::Reason;
use http::Response;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use weir_pool::{PoolConfig, SendError, SendOptions};

use crate::peers::*;
use crate::tls_peers::TlsPeer;

/// Answers when the gate lets it.
async fn gated(streams: u32) -> (TlsPeer, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let peer = TlsPeer::http2(streams, move |exchange| {
        let gate = opened.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            exchange.answer()
        }
    })
    .await;
    (peer, gate)
}

#[tokio::test]
async fn fifty_requests_at_once_share_one_connection() {
    let (peer, gate) = gated(100).await;
    let pool = peer.pool(config(10));
    let uri = peer.uri("/");
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (pool, uri) = (pool.clone(), uri.clone());
            tokio::spawn(async move { fetch(&pool, &uri).await })
        })
        .collect();
    until(&pool, |stats| stats.active == 1 && stats.waiting == 0).await;
    gate.add_permits(50);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "0");
    }
    let stats = until(&pool, at_rest).await;
    assert_eq!((stats.connections_opened, stats.peak_in_flight, stats.idle), (1, 50, 1));
    assert_eq!(peer.seen.accepted(), 1);
}

#[tokio::test]
async fn another_connection_is_opened_when_the_peers_limit_is_reached_and_none_above_the_cap() {
    let (peer, gate) = gated(2).await;
    let pool = peer.pool(config(3));
    let uri = peer.uri("/");
    gate.add_permits(1);
    fetch(&pool, &uri).await.unwrap();
    // The limit is known from here on: six requests fit, the rest waits.
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let (pool, uri) = (pool.clone(), uri.clone());
            tokio::spawn(async move { fetch(&pool, &uri).await })
        })
        .collect();
    eventually(|| peer.seen.open() == 3).await;
    gate.add_permits(10);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(peer.seen.most() <= 3);
    until(&pool, at_rest).await;
}

#[tokio::test]
async fn a_cancelled_request_resets_its_stream_and_frees_its_place() {
    let resets = Arc::new(AtomicUsize::new(0));
    let counted = resets.clone();
    let peer = TlsPeer::http2(1, move |mut exchange| {
        let resets = counted.clone();
        async move {
            if exchange.request.uri().path() == "/never" {
                let reason = std::future::poll_fn(|cx| exchange.respond.poll_reset(cx)).await?;
                assert_eq!(reason, Reason::CANCEL);
                resets.fetch_add(1, Ordering::SeqCst);
                return Ok(());
            }
            exchange.answer()
        }
    })
    .await;
    let pool = peer.pool(config(1));
    fetch(&pool, &peer.uri("/")).await.unwrap();
    for _ in 0..3 {
        let uri = peer.uri("/never");
        tokio::time::timeout(std::time::Duration::from_millis(50), fetch(&pool, &uri))
            .await
            .unwrap_err();
        assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), "0");
    }
    eventually(|| resets.load(Ordering::SeqCst) == 3).await;
    assert_eq!(pool.stats().connections_opened, 1);
}

#[tokio::test]
async fn a_body_dropped_early_resets_its_stream_and_keeps_the_connection() {
    let reset = Arc::new(AtomicBool::new(false));
    let told = reset.clone();
    let peer = TlsPeer::http2(100, move |mut exchange| {
        let reset = told.clone();
        async move {
            if exchange.request.uri().path() == "/long" {
                let mut body = exchange.respond.send_response(Response::new(()), false)?;
                body.send_data(Bytes::from_static(b"begin"), false)?;
                let reason = std::future::poll_fn(|cx| body.poll_reset(cx)).await?;
                reset.store(reason == Reason::CANCEL, Ordering::SeqCst);
                return Ok(());
            }
            exchange.answer()
        }
    })
    .await;
    let pool = peer.pool(config(1));
    let mut response = pool
        .send(get(&peer.uri("/long")), SendOptions::default())
        .await
        .unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    eventually(|| reset.load(Ordering::SeqCst)).await;
    assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), "0");
    assert_eq!(until(&pool, at_rest).await.idle, 1);
}

#[tokio::test]
async fn a_stream_the_peer_refused_is_sent_again_whatever_its_method() {
    let refused = Arc::new(AtomicBool::new(false));
    let state = refused.clone();
    let peer = TlsPeer::http2(100, move |mut exchange| {
        let refused = state.clone();
        async move {
            if refused.swap(true, Ordering::SeqCst) {
                return exchange.answer();
            }
            exchange.respond.send_reset(Reason::REFUSED_STREAM);
            Ok(())
        }
    })
    .await;
    let pool = peer.pool(config(2));
    let response = pool
        .send(post(&peer.uri("/"), "x"), SendOptions::default())
        .await
        .unwrap();
    assert_eq!(text(response).await.unwrap(), "1");
    assert_eq!(pool.stats().replays, 1);
}

#[tokio::test]
async fn a_stream_reset_for_another_reason_is_not_sent_again() {
    let peer = TlsPeer::http2(100, |mut exchange| async move {
        exchange.respond.send_reset(Reason::INTERNAL_ERROR);
        Ok(())
    })
    .await;
    let pool = peer.pool(config(2));
    let error = fetch(&pool, &peer.uri("/")).await.unwrap_err();
    assert!(matches!(error, SendError::Protocol { .. }), "{error:?}");
    assert_eq!((pool.stats().replays, peer.seen.accepted()), (0, 1));
}

#[tokio::test]
async fn a_goodbye_lets_requests_finish_and_the_next_one_gets_a_new_connection() {
    let (peer, gate) = gated(100).await;
    let pool = peer.pool(config(3));
    let (first, uri) = (pool.clone(), peer.uri("/"));
    let under_way = tokio::spawn(async move { fetch(&first, &uri).await });
    until(&pool, |stats| stats.active == 1).await;
    peer.leave();
    // Long enough for the goodbye to have arrived: both ends run in this thread.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let (second, uri) = (pool.clone(), peer.uri("/"));
    let next = tokio::spawn(async move {
        let response = second.send(post(&uri, "x"), SendOptions::default()).await?;
        text(response).await
    });
    eventually(|| peer.seen.accepted() == 2).await;
    gate.add_permits(2);
    assert_eq!(under_way.await.unwrap().unwrap(), "0");
    assert_eq!(next.await.unwrap().unwrap(), "1");
    until(&pool, |stats| stats.idle == 1 && at_rest(stats)).await;
}

#[tokio::test]
async fn a_goodbye_on_an_idle_connection_ends_it() {
    let peer = TlsPeer::http2(100, |exchange| async { exchange.answer() }).await;
    let pool = peer.pool(config(3));
    fetch(&pool, &peer.uri("/")).await.unwrap();
    assert_eq!(pool.stats().idle, 1);
    peer.leave();
    let stats = until(&pool, |stats| stats.idle == 0 && at_rest(stats)).await;
    assert_eq!(stats.connections_closed["peer-closed"], 1);
    assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), "1");
}

#[tokio::test]
async fn a_request_the_peer_has_not_looked_at_is_sent_again_whatever_its_method() {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // The last stream it may have acted on is none.
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const HEADERS: u8 = 1;

    let peer = TlsPeer::serving(&[b"h2"], |mut tls, number, open| async move {
        let _open = open;
        if number > 0 {
            let mut connection = h2::server::handshake(tls).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                respond.send_response(Response::new(()), true).unwrap();
            }
            return;
        }
        tls.write_all(&SETTINGS).await.unwrap();
        tls.read_exact(&mut [0; 24]).await.unwrap();
        loop {
            let mut head = [0; 9];
            tls.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            tls.read_exact(&mut vec![0; length as usize]).await.unwrap();
            if head[3] == HEADERS {
                tls.write_all(&GOAWAY).await.unwrap();
            }
            if head[3] == GOAWAY[3] {
                return;
            }
        }
    })
    .await;
    let pool = peer.pool(config(3));
    let response = pool
        .send(post(&peer.uri("/"), "x"), SendOptions::default())
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!((pool.stats().replays, peer.seen.accepted()), (1, 2));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_the_connection_kept() {
    let peer = TlsPeer::http2(100, |mut exchange| async move {
        if exchange.request.uri().path() == "/large" {
            let mut response = Response::new(());
            for number in 0..9 {
                let name = http::HeaderName::try_from(format!("x-padding-{number}")).unwrap();
                response.headers_mut().insert(name, "a".repeat(8_000).parse().unwrap());
            }
            return exchange.respond.send_response(response, true).map(drop);
        }
        exchange.answer()
    })
    .await;
    let pool = peer.pool(config(1));
    let error = fetch(&pool, &peer.uri("/large")).await.unwrap_err();
    assert_eq!(error.kind(), "protocol", "{error:?}");
    assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), "0");
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_window_stays_shut_runs_into_the_write_timeout() {
    let peer = TlsPeer::http2(100, |exchange| async move {
        if exchange.request.uri().path() == "/stall" {
            let _kept = exchange;
            return std::future::pending().await;
        }
        exchange.answer()
    })
    .await;
    let pool = peer.pool(config(2));
    let body = vec![b'x'; 1024 * 1024];
    let error = pool
        .send(post(&peer.uri("/stall"), body), SendOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, SendError::WriteTimeout { .. }), "{error:?}");
    // Only the stream is given up; the connection is asked whether it lives.
    fetch(&pool, &peer.uri("/")).await.unwrap();
    assert!(pool.stats().connections_closed.is_empty());
}

#[tokio::test]
async fn a_peer_that_speaks_http1_only_is_spoken_to_in_http1() {
    let peer = TlsPeer::serving(&[b"http/1.1"], |mut tls, number, open| async move {
        let _open = open;
        let mut request = [0; 1024];
        while matches!(tls.read(&mut request).await, Ok(length) if length > 0) {
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
            if tls.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await;
    let pool = peer.pool(config(2));
    for _ in 0..2 {
        assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), "0");
    }
}

#[tokio::test]
async fn http2_is_not_offered_where_it_is_switched_off() {
    let peer = TlsPeer::serving(&[b"h2"], |_, _, _| async {}).await;
    let pool = peer.pool(PoolConfig {
        enable_http2: false,
        ..config(2)
    });
    let error = fetch(&pool, &peer.uri("/")).await.unwrap_err();
    assert!(matches!(error, SendError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused() {
    let peer = TlsPeer::http2(100, |exchange| async { exchange.answer() }).await;
    let error = fetch(&pool(config(1)), &peer.uri("/")).await.unwrap_err();
    assert!(matches!(error, SendError::Tls { .. }), "{error:?}");
    assert!(error.is_unprocessed());
}

#[tokio::test]
async fn a_disabled_pool_gives_every_request_its_own_connection_here_too() {
    let peer = TlsPeer::http2(100, |exchange| async { exchange.answer() }).await;
    let pool = peer.pool(PoolConfig {
        enabled: false,
        ..config(4)
    });
    let uri = peer.uri("/");
    let answers = futures::future::join_all((0..4).map(|_| fetch(&pool, &uri))).await;
    assert!(answers.iter().all(Result::is_ok));
    let stats = until(&pool, at_rest).await;
    assert_eq!((stats.connections_opened, stats.idle), (4, 0));
    eventually(|| peer.seen.open() == 0).await;
}

#[tokio::test]
async fn a_large_body_passes_in_both_directions() {
    let peer = TlsPeer::http2(100, |mut exchange| async move {
        let mut length = 0;
        while let Some(piece) = exchange.request.body_mut().data().await {
            let piece = piece?;
            length += piece.len();
            exchange
                .request
                .body_mut()
                .flow_control()
                .release_capacity(piece.len())?;
        }
        let mut body = exchange.respond.send_response(Response::new(()), false)?;
        body.send_data(Bytes::from(vec![b'y'; length]), true)
    })
    .await;
    let pool = peer.pool(config(1));
    let sent = vec![b'x'; 4 * 1024 * 1024];
    let response = pool
        .send(post(&peer.uri("/"), sent), SendOptions::default())
        .await
        .unwrap();
    assert_eq!(text(response).await.unwrap().len(), 4 * 1024 * 1024);
}
