//! The cap, the line, reuse and expiry.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use weir_pool::{AddressFilter, PoolConfig, PoolError, PoolSettings, SendError, SendOptions, Timeouts};

use crate::peers::*;

/// Answers a request when a permit of the gate is added.
async fn gated() -> (Peer, Arc<Semaphore>, mpsc::UnboundedReceiver<String>) {
    let gate = Arc::new(Semaphore::new(0));
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let opened = gate.clone();
    let peer = Peer::following(move |mut connection, _| {
        let (gate, arrived) = (opened.clone(), arrived.clone());
        async move {
            while let Some(head) = connection.request().await? {
                let path = head.split(' ').nth(1).unwrap().to_owned();
                let _ = arrived.send(path);
                gate.acquire().await.unwrap().forget();
                connection.write(OK).await?;
            }
            Ok(())
        }
    })
    .await;
    (peer, gate, arrivals)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cap_is_never_exceeded() {
    let peer = Peer::answering().await;
    let pool = pool(config(5));
    let uri = peer.uri("/");
    let requests = (0..300).map(|_| fetch(&pool, &uri));
    for outcome in futures::future::join_all(requests).await {
        outcome.unwrap();
    }
    let stats = until(&pool, at_rest).await;
    assert!(peer.seen.most() <= 5, "{} at once", peer.seen.most());
    assert_eq!((stats.total_requests, stats.idle), (300, peer.seen.open()));
    assert!(stats.peak_in_flight > 5);
    assert_eq!(
        stats.requests_by_operation_and_outcome[&(Arc::from("other"), "2xx")],
        300
    );
}

#[tokio::test]
async fn the_most_recently_used_connection_is_used_again() {
    let peer = Peer::answering().await;
    let pool = pool(config(5));
    let uri = peer.uri("/");
    let (first, second) = tokio::join!(fetch(&pool, &uri), fetch(&pool, &uri));
    assert_ne!(first.unwrap(), second.unwrap());
    let last = fetch(&pool, &uri).await.unwrap();
    for _ in 0..10 {
        assert_eq!(fetch(&pool, &uri).await.unwrap(), last);
    }
    assert_eq!(pool.stats().connections_opened, 2);
    assert_eq!(pool.stats().reused_requests, 11);
}

#[tokio::test(start_paused = true)]
async fn an_expired_connection_is_never_lent() {
    let peer = Peer::answering().await;
    let pool = pool(config(5));
    assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), "0");
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), "1");
    assert_eq!(pool.stats().connections_closed["expired"], 1);
}

#[tokio::test(start_paused = true)]
async fn an_expired_connection_is_closed_though_nobody_asks() {
    let peer = Peer::answering().await;
    let pool = pool(config(5));
    fetch(&pool, &peer.uri("/")).await.unwrap();
    assert_eq!(pool.stats().idle, 1);
    tokio::time::sleep(Duration::from_secs(6)).await;
    eventually(|| peer.seen.open() == 0).await;
    assert_eq!(pool.stats().idle, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_kept_longer_than_the_server_keeps_it() {
    let peer = Peer::following(|mut connection, _| async move {
        while connection.request().await?.is_some() {
            connection
                .write("HTTP/1.1 200 OK\r\nkeep-alive: timeout=3\r\ncontent-length: 0\r\n\r\n")
                .await?;
        }
        Ok(())
    })
    .await;
    let pool = pool(config(5));
    fetch(&pool, &peer.uri("/")).await.unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    fetch(&pool, &peer.uri("/")).await.unwrap();
    assert_eq!(peer.seen.accepted(), 2);
}

#[tokio::test]
async fn callers_are_served_in_the_order_of_their_arrival() {
    let (peer, gate, mut arrivals) = gated().await;
    let pool = pool(config(1));
    let mut calls = Vec::new();
    for number in 0..6 {
        let (pool, uri) = (pool.clone(), peer.uri(&format!("/{number}")));
        calls.push(tokio::spawn(async move { fetch(&pool, &uri).await }));
        tokio::task::yield_now().await;
    }
    gate.add_permits(6);
    for number in 0..6 {
        assert_eq!(arrivals.recv().await.unwrap(), format!("/{number}"));
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(peer.seen.accepted(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_pools_deadline_and_is_counted() {
    let (peer, gate, mut arrivals) = gated().await;
    let pool = pool(config(1));
    let (first, uri) = (pool.clone(), peer.uri("/first"));
    let held = tokio::spawn(async move { fetch(&first, &uri).await });
    arrivals.recv().await.unwrap();

    let error = fetch(&pool, &peer.uri("/second")).await.unwrap_err();
    let SendError::PoolTimeout { waited, limit, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((waited.as_secs(), *limit), (5, 1));
    assert!(error.is_unprocessed());
    let stats = pool.stats();
    assert_eq!(
        (stats.pool_exhaustions, stats.timeouts["pool"], stats.waiting),
        (1, 1, 0)
    );

    // The one who gave up is not handed the connection, and nobody else is kept from it.
    gate.add_permits(2);
    held.await.unwrap().unwrap();
    fetch(&pool, &peer.uri("/third")).await.unwrap();
    assert_eq!(arrivals.recv().await.unwrap(), "/third");
    assert_eq!(peer.seen.accepted(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_deadline_replaces_the_pools() {
    let (peer, _gate, mut arrivals) = gated().await;
    let pool = pool(config(1));
    let (first, uri) = (pool.clone(), peer.uri("/"));
    let _held = tokio::spawn(async move { fetch(&first, &uri).await });
    arrivals.recv().await.unwrap();
    let timeouts = Timeouts {
        pool: Some(Duration::from_secs(2)),
        ..Timeouts::default()
    };
    let options = SendOptions {
        timeouts,
        ..SendOptions::default()
    };
    let error = pool.send(get(&peer.uri("/")), options).await.unwrap_err();
    assert!(
        matches!(error, SendError::PoolTimeout { waited, .. } if waited.as_secs() == 2),
        "{error}"
    );
}

#[tokio::test]
async fn a_line_that_is_full_refuses_the_next_one_at_once() {
    let (peer, _gate, mut arrivals) = gated().await;
    let pool = pool(PoolConfig {
        max_waiters: 0,
        ..config(1)
    });
    let (first, uri) = (pool.clone(), peer.uri("/"));
    let _held = tokio::spawn(async move { fetch(&first, &uri).await });
    arrivals.recv().await.unwrap();
    let error = fetch(&pool, &peer.uri("/")).await.unwrap_err();
    assert!(matches!(error, SendError::TooManyWaiters { limit: 0, .. }), "{error}");
}

#[tokio::test]
async fn idle_connections_of_one_origin_do_not_starve_another() {
    let (one, other) = (Peer::answering().await, Peer::answering().await);
    let pool = pool(config(2));
    let uri = one.uri("/");
    let (first, second) = tokio::join!(fetch(&pool, &uri), fetch(&pool, &uri));
    first.and(second).unwrap();
    assert_eq!(pool.stats().idle, 2);
    fetch(&pool, &other.uri("/")).await.unwrap();
    assert_eq!(pool.stats().connections_closed["made-room"], 1);
    assert_eq!(pool.stats().idle, 2);
}

#[tokio::test]
async fn the_end_of_an_idle_connection_is_seen_when_it_happens() {
    let peer = Peer::following(|mut connection, _| async move {
        connection.request().await?;
        connection.write(OK).await
    })
    .await;
    let pool = pool(config(5));
    fetch(&pool, &peer.uri("/")).await.unwrap();
    let stats = until(&pool, |stats| stats.idle == 0 && at_rest(stats)).await;
    assert_eq!(stats.connections_closed["peer-closed"], 1);
}

#[tokio::test]
async fn words_nobody_asked_for_end_an_idle_connection() {
    let peer = Peer::following(|mut connection, _| async move {
        connection.request().await?;
        connection.write(OK).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
        connection.write(OK).await?;
        connection.drain().await
    })
    .await;
    let pool = pool(config(5));
    fetch(&pool, &peer.uri("/")).await.unwrap();
    let stats = until(&pool, |stats| stats.idle == 0 && at_rest(stats)).await;
    assert_eq!(stats.connections_closed["unexpected-data"], 1);
}

#[tokio::test]
async fn a_disabled_pool_opens_a_connection_for_every_request() {
    let peer = Peer::answering().await;
    let pool = pool(PoolConfig {
        enabled: false,
        ..config(2)
    });
    for number in 0..4 {
        assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), number.to_string());
    }
    let stats = until(&pool, at_rest).await;
    assert_eq!((stats.connections_opened, stats.idle, stats.reused_requests), (4, 0, 0));
    assert_eq!(stats.connections_closed["not-kept"], 4);
    assert!(peer.seen.most() <= 2);
}

#[tokio::test]
async fn a_name_means_one_pool_with_one_set_of_settings() {
    let manager = manager();
    let pool = manager.pool("voyage", config(2).into()).unwrap();
    assert_eq!(
        manager.pool("voyage", config(2).into()).unwrap().config(),
        pool.config()
    );
    let error = manager.pool("voyage", config(3).into()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the pool `voyage` exists with other settings: max_connections"
    );
    let filtered = PoolSettings {
        config: config(2),
        address_filter: Some(Arc::new(Nowhere::default())),
        ..PoolSettings::default()
    };
    let error = manager.pool("voyage", filtered).unwrap_err();
    assert!(matches!(error, PoolError::SettingsDiffer { differing, .. } if differing == ["address_filter"]));
    assert_eq!(manager.stats().len(), 1);
}

/// Permits no address, and remembers what it was asked.
#[derive(Debug, Default)]
struct Nowhere {
    asked: Mutex<Vec<IpAddr>>,
}

impl AddressFilter for Nowhere {
    fn permits(&self, address: IpAddr) -> bool {
        self.asked.lock().unwrap().push(address);
        false
    }
}

#[tokio::test]
async fn an_address_that_is_not_permitted_is_not_dialled() {
    let peer = Peer::answering().await;
    let filter = Arc::new(Nowhere::default());
    let settings = PoolSettings {
        config: config(2),
        address_filter: Some(filter.clone()),
        ..PoolSettings::default()
    };
    let pool = manager().pool("test", settings).unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let error = fetch(&pool, &format!("http://{host}:{}/", peer.address.port()))
            .await
            .unwrap_err();
        assert!(
            matches!(error, SendError::AddressDenied { address, .. } if address.is_loopback()),
            "{error}"
        );
        assert!(error.is_unprocessed());
    }
    assert!(filter.asked.lock().unwrap().len() >= 2);
    assert_eq!(peer.seen.accepted(), 0);
    assert!(at_rest(&until(&pool, at_rest).await));
}

#[tokio::test]
async fn a_host_by_name_is_reached() {
    let peer = Peer::answering().await;
    let pool = pool(config(2));
    let uri = format!("http://localhost:{}/", peer.address.port());
    assert_eq!(fetch(&pool, &uri).await.unwrap(), "0");
}

#[tokio::test]
async fn a_refused_connection_is_told_to_every_caller() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let pool = pool(config(2));
    let uri = format!("http://{gone}/");
    for outcome in futures::future::join_all((0..8).map(|_| fetch(&pool, &uri))).await {
        assert!(matches!(outcome, Err(SendError::Connect { .. })));
    }
    let stats = until(&pool, at_rest).await;
    assert_eq!((stats.connections_opened, stats.dials_failed), (0, 8));
}

#[tokio::test]
async fn an_expiry_of_nothing_keeps_no_connection_and_fails_no_request() {
    let peer = Peer::answering().await;
    let pool = pool(PoolConfig {
        keepalive_expiry: Duration::ZERO,
        ..config(5)
    });
    for number in 0..3 {
        assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), number.to_string());
    }
    assert_eq!(pool.stats().connections_opened, 3);
}

#[tokio::test]
async fn a_server_that_closes_whatever_it_accepts_is_dialled_no_more_than_twice_for_a_request() {
    let peer = Peer::following(|connection, _| async move {
        drop(connection);
        Ok(())
    })
    .await;
    let pool = pool(config(5));
    for _ in 0..20 {
        assert_eq!(
            fetch(&pool, &peer.uri("/")).await.unwrap_err().kind(),
            "connection-reset"
        );
    }
    assert!(pool.stats().connections_opened <= 40, "{:?}", pool.stats());
}
