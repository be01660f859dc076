//! Load control through the pool and over sockets: what is sent again, what is refused, and what the books say of it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use weir_pool::{
    AdaptiveConcurrency, BreakerConfig, BreakerState, BudgetConfig, HealthReason, HealthStatus, HedgeConfig,
    LoadConfig, Pool, PoolConfig, ProbeConfig, RateConfig, RetryConfig, SendError, SendOptions, Timeouts,
};

use crate::peers::*;

/// A server that answers each request, counted over all connections from 0, with what `answer` says.
async fn counting(answer: impl Fn(usize) -> String + Send + Sync + 'static) -> (Peer, Arc<AtomicUsize>) {
    let (requests, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
    let counted = requests.clone();
    let peer = Peer::following(move |mut connection, _| {
        let (requests, answer) = (requests.clone(), answer.clone());
        async move {
            while connection.request().await?.is_some() {
                let number = requests.fetch_add(1, Ordering::SeqCst);
                connection.write(&answer(number)).await?;
            }
            Ok(())
        }
    })
    .await;
    (peer, counted)
}

fn status(status: u16) -> String {
    format!("HTTP/1.1 {status} -\r\ncontent-length: 4\r\n\r\nbody")
}

fn loaded(load: LoadConfig) -> Pool {
    pool(PoolConfig { load, ..config(4) })
}

fn retrying() -> LoadConfig {
    LoadConfig {
        retry: Some(RetryConfig::default()),
        ..LoadConfig::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_unavailable_twice_answers_the_third_time_on_the_same_connection() {
    let (peer, requests) = counting(|number| status(if number < 2 { 503 } else { 200 })).await;
    let pool = loaded(retrying());
    assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), "body");
    let stats = until(&pool, at_rest).await;
    // The discarded answers were read, and their connection was used again.
    assert_eq!((requests.load(Ordering::SeqCst), peer.seen.accepted()), (3, 1));
    // One caller, one request.
    assert_eq!((stats.total_requests, stats.retries["503"]), (1, 2));
    assert_eq!(stats.requests_by_operation_and_outcome[&(Arc::from("other"), "2xx")], 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_that_nobody_wants_costs_its_connection_and_not_the_callers_time() {
    let peer = Peer::following(|mut connection, number| async move {
        connection.request().await?;
        if number == 0 {
            connection
                .write("HTTP/1.1 503 -\r\ncontent-length: 1000000\r\n\r\nx")
                .await?;
            return connection.drain().await;
        }
        connection.write(OK).await?;
        connection.drain().await
    })
    .await;
    let pool = loaded(retrying());
    let began = Instant::now();
    assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), "ok");
    assert!(began.elapsed() <= Duration::from_millis(501));
    assert_eq!(peer.seen.accepted(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_have_been_processed_reaches_the_server_once() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let resetting = Peer::following(move |mut connection, _| {
        let requests = requests.clone();
        async move {
            connection.request().await?;
            requests.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    })
    .await;
    let pool = loaded(retrying());
    let send = |safe| {
        let options = SendOptions {
            replay_safe: safe,
            ..SendOptions::default()
        };
        pool.send(post(&resetting.uri("/"), "x"), options)
    };
    let error = send(false).await.unwrap_err();
    assert!(
        matches!(
            error,
            SendError::ConnectionReset {
                maybe_processed: true,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(counted.load(Ordering::SeqCst), 1);
    // Marked as safe it is sent as often as any other.
    send(true).await.unwrap_err();
    assert_eq!(counted.load(Ordering::SeqCst), 1 + 5);
    assert_eq!(pool.stats().retries["connection-reset"], 4);

    let (failing, requests) = counting(|_| status(503)).await;
    let answer = pool
        .send(post(&failing.uri("/"), "x"), SendOptions::default())
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), requests.load(Ordering::SeqCst)), (503, 1));
    let (busy, requests) = counting(|number| status(if number == 0 { 429 } else { 200 })).await;
    let answer = pool
        .send(post(&busy.uri("/"), "x"), SendOptions::default())
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), requests.load(Ordering::SeqCst)), (200, 2));
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_spans_every_attempt() {
    let (peer, requests) =
        counting(|_| "HTTP/1.1 503 -\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
    let pool = pool(PoolConfig {
        total_timeout: Some(Duration::from_secs(7)),
        load: retrying(),
        ..config(1)
    });
    let began = Instant::now();
    let answer = pool.send(get(&peer.uri("/")), SendOptions::default()).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(began.elapsed() < Duration::from_secs(7));
    let requests = requests.load(Ordering::SeqCst);
    assert!((3..=4).contains(&requests), "{requests}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_multiplied_by_those_who_wait_for_its_end() {
    let (peer, requests) = counting(|_| status(503)).await;
    let retry = RetryConfig {
        budget: BudgetConfig {
            percent: 20,
            per_second: 0,
            ..BudgetConfig::default()
        },
        ..RetryConfig::default()
    };
    let pool = loaded(LoadConfig {
        retry: Some(retry),
        ..LoadConfig::default()
    });
    let uri = peer.uri("/");
    for told in join_all((0..50).map(|_| fetch(&pool, &uri))).await {
        assert_eq!(told.unwrap(), "body");
    }
    assert_eq!(requests.load(Ordering::SeqCst), 50 + 10);
    assert_eq!(pool.stats().retries["503"], 10);
    assert!(pool.stats().retries_denied > 0);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_stops_asking_and_finds_out_when_the_server_is_well() {
    let (peer, requests) = counting(|number| status(if number < 6 { 500 } else { 200 })).await;
    let (other, _) = counting(|_| status(200)).await;
    let pool = loaded(LoadConfig {
        breaker: Some(BreakerConfig::default()),
        ..LoadConfig::default()
    });
    let (uri, origin) = (peer.uri("/"), format!("http://{}", peer.address));
    for _ in 0..5 {
        fetch(&pool, &uri).await.unwrap();
    }
    let retry_after = |outcome| match outcome {
        Err(SendError::BreakerOpen { retry_after, .. }) => retry_after,
        outcome => panic!("{outcome:?}"),
    };
    assert!(retry_after(fetch(&pool, &uri).await) <= Duration::from_secs(30));
    assert_eq!(pool.health().status(), HealthStatus::Unhealthy);
    // Another origin is nobody's fault.
    fetch(&pool, &other.uri("/")).await.unwrap();
    let health = pool.health();
    assert_eq!(health.status(), HealthStatus::Degraded);
    assert!(
        matches!(
            &health.reasons[..],
            [HealthReason::BreakerOpen { everywhere: false, .. }]
        ),
        "{health:?}"
    );
    let stats = pool.stats();
    assert_eq!(
        (stats.breakers[&origin], stats.breaker_refusals),
        (BreakerState::Open, 1)
    );

    tokio::time::advance(Duration::from_secs(30)).await;
    fetch(&pool, &uri).await.unwrap();
    // The probe failed: a minute this time.
    let wait = retry_after(fetch(&pool, &uri).await);
    assert!(
        wait > Duration::from_secs(59) && wait <= Duration::from_secs(60),
        "{wait:?}"
    );
    assert_eq!(requests.load(Ordering::SeqCst), 6);
    tokio::time::advance(Duration::from_secs(60)).await;
    fetch(&pool, &uri).await.unwrap();
    assert_eq!(pool.stats().breakers[&origin], BreakerState::Closed);
    assert_eq!(pool.health().status(), HealthStatus::Healthy);
    // A refusal is an outcome like any other.
    let outcomes = pool.stats().requests_by_operation_and_outcome;
    assert_eq!(outcomes[&(Arc::from("other"), "breaker-open")], 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_swallows_requests_opens_the_breaker_by_the_total_timeout_alone() {
    let peer = Peer::following(|connection, _| connection.drain()).await;
    let pool = pool(PoolConfig {
        total_timeout: Some(Duration::from_secs(1)),
        load: LoadConfig {
            breaker: Some(BreakerConfig::default()),
            ..LoadConfig::default()
        },
        ..config(1)
    });
    for _ in 0..5 {
        assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap_err().kind(), "total-timeout");
    }
    assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap_err().kind(), "breaker-open");
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_left_alone_until_it_is_ready_whoever_asks() {
    let (peer, requests) = counting(|number| match number {
        0 => "HTTP/1.1 429 -\r\nretry-after: 20\r\ncontent-length: 0\r\n\r\n".to_owned(),
        _ => status(200),
    })
    .await;
    let pool = loaded(LoadConfig {
        rate: Some(RateConfig::default()),
        ..LoadConfig::default()
    });
    let uri = peer.uri("/");
    fetch(&pool, &uri).await.unwrap();
    assert!(matches!(
        &pool.health().reasons[..],
        [HealthReason::Throttled { wait, .. }] if wait.as_secs() >= 19
    ));
    let began = Instant::now();
    join_all((0..3).map(|_| fetch(&pool, &uri))).await;
    // The wait is not one for a connection, so `pool_timeout` did not end it.
    assert_eq!(began.elapsed().as_secs(), 20);
    assert_eq!((requests.load(Ordering::SeqCst), pool.stats().rate_limit_waits), (4, 3));
    let impatient = SendOptions {
        timeouts: Timeouts {
            total: Some(Duration::from_secs(1)),
            ..Timeouts::default()
        },
        ..SendOptions::default()
    };
    pool.send(get(&uri), impatient).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_concurrency_holds_until_the_bodies_end_and_follows_the_server() {
    let (peer, requests) = counting(|number| status(if number == 0 { 429 } else { 200 })).await;
    let pool = pool(PoolConfig {
        max_concurrent_requests: NonZeroUsize::new(4),
        load: LoadConfig {
            adaptive_concurrency: Some(AdaptiveConcurrency::default()),
            ..LoadConfig::default()
        },
        ..config(10)
    });
    assert_eq!(pool.stats().concurrency_limit, Some(4));
    fetch(&pool, &peer.uri("/")).await.unwrap();
    assert_eq!(pool.stats().concurrency_limit, Some(2));
    assert!(matches!(
        &pool.health().reasons[..],
        [HealthReason::ConcurrencyLowered { limit: 2 }]
    ));
    let uri = peer.uri("/");
    let held = [
        pool.send(get(&uri), SendOptions::default()).await.unwrap(),
        pool.send(get(&uri), SendOptions::default()).await.unwrap(),
    ];
    let waiting = tokio::spawn({
        let (pool, uri) = (pool.clone(), uri.clone());
        async move { fetch(&pool, &uri).await }
    });
    until(&pool, |stats| stats.waiting == 1).await;
    assert_eq!(requests.load(Ordering::SeqCst), 3);
    for response in held {
        assert_eq!(text(response).await.unwrap(), "body");
    }
    assert_eq!(waiting.await.unwrap().unwrap(), "body");
    until(&pool, at_rest).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_is_hedged_once_and_the_server_sees_both() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let peer = Peer::following(move |mut connection, _| {
        let requests = requests.clone();
        async move {
            connection.request().await?;
            if requests.fetch_add(1, Ordering::SeqCst) == 0 {
                return connection.drain().await;
            }
            connection.write(OK).await?;
            connection.drain().await
        }
    })
    .await;
    let pool = loaded(LoadConfig {
        hedge: Some(HedgeConfig {
            after: Duration::from_secs(1),
        }),
        ..LoadConfig::default()
    });
    assert_eq!(fetch(&pool, &peer.uri("/")).await.unwrap(), "ok");
    assert_eq!((counted.load(Ordering::SeqCst), pool.stats().hedges), (2, 1));
    let stats = until(&pool, at_rest).await;
    // The one that lost was cut off, and stands in no book.
    assert_eq!((stats.total_requests, stats.connections_closed["cancelled"]), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_probe_tells_that_the_server_is_ill_and_ends_with_the_pool() {
    let (peer, requests) = counting(|number| status(if number < 3 { 500 } else { 200 })).await;
    let pools = manager();
    let probe = ProbeConfig {
        interval: Duration::from_secs(1),
        ..ProbeConfig::of(peer.uri("/health").parse().unwrap())
    };
    let load = LoadConfig {
        probe: Some(probe),
        ..LoadConfig::default()
    };
    let pool = pools.pool("test", PoolConfig { load, ..config(1) }.into()).unwrap();
    let asked = |number| {
        let requests = requests.clone();
        move || requests.load(Ordering::SeqCst) >= number
    };
    eventually(asked(3)).await;
    eventually(|| pool.health().status() == HealthStatus::Unhealthy).await;
    assert!(matches!(
        &pool.health().reasons[..],
        [HealthReason::ProbeFailing { failures: 3 }]
    ));
    eventually(asked(4)).await;
    eventually(|| pool.health().status() == HealthStatus::Healthy).await;
    assert_eq!(
        pool.stats().requests_by_operation_and_outcome[&(Arc::from("health-probe"), "5xx")],
        3
    );
    drop(pool);
    pools.close("test", Duration::from_secs(1)).await;
    let before = requests.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(requests.load(Ordering::SeqCst), before);
}

#[tokio::test(start_paused = true)]
async fn closing_a_pool_ends_every_wait_of_its_callers() {
    let (peer, _) = counting(|_| "HTTP/1.1 429 -\r\nretry-after: 50\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
    let pools = manager();
    let settings = PoolConfig {
        max_concurrent_requests: NonZeroUsize::new(1),
        load: LoadConfig::recommended(),
        ..config(1)
    };
    let pool = pools.pool("test", settings.into()).unwrap();
    let uri = peer.uri("/");
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let (pool, uri) = (pool.clone(), uri.clone());
            tokio::spawn(async move { fetch(&pool, &uri).await })
        })
        .collect();
    until(&pool, |stats| stats.retries.contains_key("429")).await;
    let began = Instant::now();
    pools.close("test", Duration::from_secs(30)).await;
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap_err().kind(), "closed");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(pool.health().reasons[0], HealthReason::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_go_away_anywhere_leave_nothing_behind_in_any_layer() {
    let (peer, _) = counting(|number| status(if number % 3 == 0 { 503 } else { 200 })).await;
    let pool = pool(PoolConfig {
        max_concurrent_requests: NonZeroUsize::new(8),
        load: LoadConfig {
            retry: Some(RetryConfig {
                base_delay: Duration::from_millis(1),
                ..RetryConfig::default()
            }),
            hedge: Some(HedgeConfig {
                after: Duration::from_micros(300),
            }),
            breaker: Some(BreakerConfig {
                consecutive_failures: None,
                failure_percent: None,
                ..BreakerConfig::default()
            }),
            rate: Some(RateConfig::default()),
            adaptive_concurrency: None,
            probe: None,
        },
        ..config(4)
    });
    let callers = (0..500_u64).map(|number| {
        let (pool, uri) = (pool.clone(), peer.uri("/"));
        tokio::spawn(async move {
            let patience = Duration::from_micros(number * 37 % 3_000);
            let _ = tokio::time::timeout(patience, fetch(&pool, &uri)).await;
        })
    });
    for caller in join_all(callers).await {
        caller.unwrap();
    }
    let stats = until(&pool, at_rest).await;
    assert_eq!(stats.total_requests, 500);
    for _ in 0..3 {
        fetch(&pool, &peer.uri("/")).await.unwrap();
    }
    // All eight places are there.
    let uri = peer.uri("/");
    let eight = join_all((0..8).map(|_| fetch(&pool, &uri))).await;
    assert!(eight.iter().all(Result::is_ok));
    assert_eq!(until(&pool, at_rest).await.concurrency_limit, Some(8));
}
