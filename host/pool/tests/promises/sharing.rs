//! What pools of one manager share: the ceiling on sockets; and limits that change while a pool is at work.

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use tokio::sync::Semaphore;
use weir_pool::{LoadConfig, PoolConfig, PoolError, PoolManager, PoolSettings};

use crate::peers::*;

/// A manager whose pools have at most so many sockets together.
fn below(max_sockets: usize) -> PoolManager {
    let builder = PoolManager::builder().roots(RootCertStore::empty());
    builder.max_sockets(max_sockets).build().unwrap()
}

#[tokio::test]
async fn all_pools_together_stay_under_the_ceiling_and_nobody_starves() {
    let peer = Peer::answering().await;
    let manager = below(3);
    let pools: Vec<_> = (0..4)
        .map(|number| manager.pool(&format!("pool {number}"), config(3).into()).unwrap())
        .collect();
    let uri = peer.uri("/");
    let calls = (0..200).map(|number| fetch(&pools[number % 4], &uri));
    for outcome in futures::future::join_all(calls).await {
        outcome.unwrap();
    }
    assert!(peer.seen.most() <= 3, "{} at once", peer.seen.most());
    for pool in &pools {
        until(pool, at_rest).await;
    }
}

#[tokio::test]
async fn an_idle_connection_of_another_pool_makes_room() {
    let peer = Peer::answering().await;
    let manager = below(1);
    let one = manager.pool("one", config(3).into()).unwrap();
    let two = manager.pool("two", config(3).into()).unwrap();
    fetch(&one, &peer.uri("/")).await.unwrap();
    fetch(&two, &peer.uri("/")).await.unwrap();
    assert_eq!(one.stats().connections_closed["made-room"], 1);
    assert_eq!(peer.seen.most(), 1);
}

#[tokio::test]
async fn a_dropped_pool_gives_its_sockets_back_to_the_others() {
    let peer = Peer::answering().await;
    let manager = below(1);
    let one = manager.pool("one", config(3).into()).unwrap();
    fetch(&one, &peer.uri("/")).await.unwrap();
    manager.close("one", Duration::ZERO).await;
    drop(one);
    let two = manager.pool("two", config(3).into()).unwrap();
    fetch(&two, &peer.uri("/")).await.unwrap();
}

#[tokio::test]
async fn a_pool_is_resized_while_its_requests_go_on() {
    let (peer, gate) = gated().await;
    let manager = manager();
    let pool = manager.pool("pool", config(4).into()).unwrap();
    let uri = peer.uri("/");
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let (pool, uri) = (pool.clone(), uri.clone());
            tokio::spawn(async move { fetch(&pool, &uri).await })
        })
        .collect();
    until(&pool, |stats| (stats.active, stats.waiting) == (4, 6)).await;
    manager.resize("pool", config(6)).unwrap();
    until(&pool, |stats| (stats.active, stats.waiting) == (6, 4)).await;
    manager.resize("pool", config(2)).unwrap();
    gate.add_permits(10);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "ok");
    }
    let stats = until(&pool, at_rest).await;
    assert_eq!((stats.max_connections, stats.connections_closed["resized"]), (2, 4));
    assert_eq!((stats.idle, peer.seen.open()), (2, 2));
    assert_eq!(pool.config(), config(2));
    // The name goes with the settings in force.
    assert!(manager.pool("pool", config(2).into()).is_ok());
}

/// A peer that answers each request when it is let through.
async fn gated() -> (Peer, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let peer = Peer::following(move |mut connection, _| {
        let gate = opened.clone();
        async move {
            while connection.request().await?.is_some() {
                gate.acquire().await.unwrap().forget();
                connection.write(OK).await?;
            }
            Ok(())
        }
    });
    (peer.await, gate)
}

#[tokio::test]
async fn a_pool_goes_by_prepared_settings_when_they_are_installed_and_those_in_line_go_by_them_too() {
    let (peer, gate) = gated().await;
    let manager = manager();
    let settings = |most| PoolSettings {
        config: PoolConfig {
            load: LoadConfig::recommended(),
            ..config(most)
        },
        ..PoolSettings::default()
    };
    let pool = manager.pool("pool", settings(1)).unwrap();
    let uri = peer.uri("/");
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let (pool, uri) = (pool.clone(), uri.clone());
            tokio::spawn(async move { fetch(&pool, &uri).await })
        })
        .collect();
    until(&pool, |stats| (stats.active, stats.waiting) == (1, 3)).await;
    let prepared = manager.prepare("pool", settings(3)).unwrap();
    assert_eq!(pool.stats().max_connections, 1, "nothing has changed yet");
    prepared.install();
    until(&pool, |stats| (stats.active, stats.waiting) == (3, 1)).await;
    gate.add_permits(4);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "ok");
    }
    let idle = pool.stats().idle;
    manager.prepare("pool", settings(3)).unwrap().install();
    assert_eq!(pool.stats().idle, idle, "the same settings change nothing");
}

#[tokio::test]
async fn a_pool_that_cannot_be_resized_gives_its_name_away_and_ends_with_its_last_request() {
    let (peer, gate) = gated().await;
    let manager = manager();
    let old = manager.pool("pool", config(2).into()).unwrap();
    let uri = peer.uri("/");
    let call = tokio::spawn({
        let (old, uri) = (old.clone(), uri.clone());
        async move { fetch(&old, &uri).await }
    });
    until(&old, |stats| stats.active == 1).await;

    let other = PoolConfig {
        enable_http2: false,
        ..config(2)
    };
    let prepared = manager.prepare("pool", other.clone().into()).unwrap();
    assert_eq!(
        manager.get("pool").unwrap().stats().active,
        1,
        "nothing has changed yet"
    );
    let new = prepared.pool().clone();
    prepared.install();
    assert_eq!(manager.get("pool").unwrap().stats().active, 0);
    assert!(
        manager.pool("pool", other.into()).is_ok(),
        "the name goes with the new settings"
    );

    drop(old);
    gate.add_permits(2);
    assert_eq!(call.await.unwrap().unwrap(), "ok");
    assert_eq!(fetch(&new, &uri).await.unwrap(), "ok");
    until(&new, |stats| stats.idle == 1 && peer.seen.open() == 1).await;

    manager.release("pool");
    assert!(manager.get("pool").is_none() && manager.stats().is_empty());
    gate.add_permits(1);
    assert_eq!(fetch(&new, &uri).await.unwrap(), "ok", "who holds it goes on with it");
    assert_eq!(peer.seen.accepted(), 2);
}

#[test]
fn what_connections_have_agreed_on_is_not_changed_under_them() {
    let manager = manager();
    manager.pool("pool", config(4).into()).unwrap();
    let other = PoolConfig {
        enable_http2: false,
        enabled: false,
        ..config(5)
    };
    let error = manager.resize("pool", other).unwrap_err();
    assert!(matches!(&error, PoolError::SettingsDiffer { differing, .. } if *differing == ["enabled", "enable_http2"]));
    assert!(matches!(
        manager.resize("pond", config(1)),
        Err(PoolError::Unknown { .. })
    ));
}

#[tokio::test]
async fn where_a_pool_cannot_be_had_as_asked_each_request_has_a_connection_of_its_own() {
    let peer = Peer::answering().await;
    let pools = manager();
    let wanted = PoolConfig {
        read_timeout: Duration::from_secs(7),
        ..config(2)
    };
    let first = pools.pool_or_unpooled("test", config(2).into()).unwrap();
    assert_eq!((first.name(), pools.fallbacks().is_empty()), ("test", true));

    let instead = pools.pool_or_unpooled("test", wanted.clone().into()).unwrap();
    for _ in 0..2 {
        fetch(&instead, &peer.uri("/")).await.unwrap();
    }
    let unpooled = PoolConfig {
        enabled: false,
        ..wanted
    };
    assert_eq!((instead.name(), instead.config()), ("test-unpooled", unpooled));
    assert_eq!(instead.stats().connections_opened, 2);

    let other = pools.pool_or_unpooled("test", config(3).into()).unwrap();
    assert_eq!(other.name(), "test-unpooled-2");
    assert_eq!(pools.fallbacks()["test"], 2);
}
