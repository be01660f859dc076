//! Closing a pool, or letting it go.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use weir_pool::{CloseReport, PoolError, SendError};

use crate::peers::*;
use crate::tls_peers::TlsPeer;

/// Answers once it is told to.
async fn slow() -> (Peer, Arc<Notify>) {
    let go = Arc::new(Notify::new());
    let told = go.clone();
    let peer = Peer::following(move |mut connection, _| {
        let go = told.clone();
        async move {
            while connection.request().await?.is_some() {
                go.notified().await;
                connection.write(OK).await?;
            }
            Ok(())
        }
    })
    .await;
    (peer, go)
}

#[tokio::test]
async fn closing_waits_for_the_requests_under_way() {
    let (peer, go) = slow().await;
    let manager = manager();
    let pool = manager.pool("slow", config(1).into()).unwrap();
    let call = |path| {
        let (pool, uri) = (pool.clone(), peer.uri(path));
        tokio::spawn(async move { fetch(&pool, &uri).await })
    };
    let under_way = call("/first");
    until(&pool, |stats| stats.active == 1).await;
    let in_line = call("/second");
    until(&pool, |stats| stats.waiting == 1).await;

    let closing = manager.clone();
    let closed = tokio::spawn(async move { closing.close("slow", Duration::from_secs(30)).await });
    assert!(matches!(in_line.await.unwrap(), Err(SendError::Closed { pool }) if pool == "slow"));
    assert!(matches!(
        fetch(&pool, &peer.uri("/third")).await,
        Err(SendError::Closed { .. })
    ));
    assert!(matches!(
        manager.pool("slow", config(1).into()),
        Err(PoolError::Closing { .. })
    ));
    assert!(manager.get("slow").is_none());

    go.notify_one();
    assert_eq!(under_way.await.unwrap().unwrap(), "ok");
    let report = closed.await.unwrap();
    assert_eq!((report.pools, report.cut_off), (1, 0));
    assert_eq!(pool.stats().connections_closed["pool-closed"], 1);
    eventually(|| peer.seen.open() == 0).await;

    // The name is free again, for other settings too.
    assert!(manager.pool("slow", config(2).into()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_at_the_deadline_is_cut_off() {
    let (peer, _go) = slow().await;
    let manager = manager();
    let pool = manager.pool("slow", config(2).into()).unwrap();
    let (caller, uri) = (pool.clone(), peer.uri("/"));
    let under_way = tokio::spawn(async move { fetch(&caller, &uri).await });
    until(&pool, |stats| stats.active == 1).await;
    let report = manager.close_all(Duration::from_secs(2)).await;
    assert_eq!(
        report,
        CloseReport {
            pools: 1,
            finished: 0,
            cut_off: 1
        }
    );
    assert!(matches!(under_way.await.unwrap(), Err(SendError::Closed { .. })));
    assert!(at_rest(&pool.stats()));
    assert_eq!(pool.stats().idle, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_over_http2_is_cut_off_with_its_connection() {
    let peer = TlsPeer::http2(100, |exchange| async move {
        let _kept = exchange;
        pending().await
    })
    .await;
    let manager = peer.manager();
    let pool = manager.pool("shared", config(2).into()).unwrap();
    let uri = peer.uri("/");
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let (pool, uri) = (pool.clone(), uri.clone());
            tokio::spawn(async move { fetch(&pool, &uri).await })
        })
        .collect();
    until(&pool, |stats| stats.active == 1 && stats.waiting == 0).await;
    let report = manager.close_all(Duration::from_secs(2)).await;
    assert_eq!(
        report,
        CloseReport {
            pools: 1,
            finished: 0,
            cut_off: 3
        }
    );
    for call in calls {
        assert!(matches!(call.await.unwrap(), Err(SendError::Closed { .. })));
    }
    eventually(|| peer.seen.open() == 0).await;
    assert!(at_rest(&pool.stats()));
}

#[tokio::test(start_paused = true)]
async fn one_pool_that_hangs_does_not_keep_the_others_from_closing() {
    let (peer, _go) = slow().await;
    let other = Peer::answering().await;
    let manager = manager();
    let hanging = manager.pool("hanging", config(1).into()).unwrap();
    let idle = manager.pool("idle", config(1).into()).unwrap();
    fetch(&idle, &other.uri("/")).await.unwrap();
    let uri = peer.uri("/");
    tokio::spawn(async move { fetch(&hanging, &uri).await });
    eventually(|| peer.seen.open() == 1).await;
    let report = manager.close_all(Duration::from_secs(1)).await;
    assert_eq!((report.pools, report.cut_off), (2, 1));
    assert!(manager.stats().is_empty());
    eventually(|| other.seen.open() == 0).await;
}

#[tokio::test]
async fn closing_again_or_what_does_not_exist_does_nothing() {
    let manager = manager();
    manager.pool("once", config(1).into()).unwrap();
    assert_eq!(manager.close("once", Duration::ZERO).await.pools, 1);
    assert_eq!(manager.close("once", Duration::ZERO).await, CloseReport::default());
    assert_eq!(manager.close("never", Duration::ZERO).await, CloseReport::default());
}

#[tokio::test]
async fn a_dial_under_way_is_given_up() {
    let peer = Peer::following(|connection, _| async move {
        let _kept = connection;
        pending().await
    })
    .await;
    let manager = manager();
    let pool = manager.pool("dialling", config(1).into()).unwrap();
    let (caller, uri) = (pool.clone(), format!("https://{}/", peer.address));
    let waiting = tokio::spawn(async move { fetch(&caller, &uri).await });
    until(&pool, |stats| stats.connecting == 1).await;
    manager.close("dialling", Duration::from_secs(30)).await;
    assert!(matches!(waiting.await.unwrap(), Err(SendError::Closed { .. })));
    assert!(at_rest(&until(&pool, at_rest).await));
}

#[tokio::test]
async fn letting_go_of_a_pool_closes_its_idle_connections() {
    let peer = Peer::answering().await;
    let manager = manager();
    let pool = manager.pool("dropped", config(1).into()).unwrap();
    fetch(&pool, &peer.uri("/")).await.unwrap();
    assert_eq!(peer.seen.open(), 1);
    drop((pool, manager));
    eventually(|| peer.seen.open() == 0).await;
}
