//! nginx: connections that end after a number of requests, after a time, before a body was read, and at a reload.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::{Request, StatusCode};
use weir_pool::PoolConfig;

use crate::servers::Over;
use crate::servers::load::{Tally, call, get, load, load_while};
use crate::servers::nginx::Nginx;
use crate::{AROUND_A_SECOND, config};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_serves_one_request_a_connection_is_served_by_as_many() {
    let nginx = Nginx::with("keepalive_requests 1;");
    let subject = nginx.pool(Over::Http1, config(4));
    load(&subject.pool, &nginx.uri(Over::Http1, "/"), 8, 50)
        .await
        .assert_all_ok();

    let stats = subject.at_rest(|| nginx.open()).await;
    assert_eq!((stats.connections_opened, stats.idle), (400, 0), "{stats:#?}");
    assert_eq!(stats.connections_closed["server-asked"], 400, "{stats:#?}");
    let served = nginx.requests_by_connection();
    assert_eq!((served.len(), served.values().max()), (400, Some(&1)));
    subject.close(|| nginx.open()).await;
}

/// Over HTTP/2 nginx says with its first answer that it takes no more; what crosses that is refused by the GOAWAY.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http2_what_was_refused_goes_on_and_what_was_served_is_never_sent_again() {
    for callers in [1, 8] {
        let nginx = Nginx::with("keepalive_requests 1;");
        let subject = nginx.pool(Over::Http2, config(4));
        let calls = (0..callers).map(|caller| {
            let (pool, uri) = (subject.pool.clone(), nginx.uri(Over::Http2, ""));
            async move {
                let mut tally = Tally::default();
                for number in 0..1_000 / callers {
                    let request = Request::post(format!("{uri}/{caller}/{number}"));
                    tally.count(&call(&pool, request.body(Bytes::new()).unwrap(), false).await);
                }
                tally
            }
        });
        let tally = join_all(calls).await.into_iter().fold(Tally::default(), Tally::plus);
        tally.assert_all_ok();
        assert_eq!(
            nginx.requests_by_path().values().max(),
            Some(&1),
            "with {callers} callers"
        );
        subject.at_rest(|| nginx.open()).await;
        subject.close(|| nginx.open()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_after_a_number_of_requests_costs_no_caller_anything() {
    for over in Over::BOTH {
        let nginx = Nginx::with("keepalive_requests 100;");
        let subject = nginx.pool(over, config(4));
        load(&subject.pool, &nginx.uri(over, "/"), 8, 250).await.assert_all_ok();

        let stats = subject.at_rest(|| nginx.open()).await;
        let served = nginx.requests_by_connection();
        // Whoever was served twice was sent twice; a connection that ended before it served is in no log.
        let twice = served.values().sum::<usize>() - 2_000;
        assert!(
            twice as u64 <= stats.replays,
            "{over:?}: {twice} served twice, {stats:#?}"
        );
        assert!(served.values().all(|requests| *requests <= 100), "{over:?}: {served:?}");
        assert!(served.len() as u64 <= stats.connections_opened, "{over:?}: {stats:#?}");
        subject.close(|| nginx.open()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_crosses_the_servers_farewell_is_answered_all_the_same() {
    join_all(Over::BOTH.map(|over| async move {
        let nginx = Nginx::with("keepalive_timeout 1s;");
        let patient = PoolConfig {
            keepalive_expiry: Duration::from_secs(30),
            ..config(8)
        };
        let subject = nginx.pool(over, patient);
        let mut tally = Tally::default();
        for pause in AROUND_A_SECOND {
            tally = tally.plus(load(&subject.pool, &nginx.uri(over, "/"), 8, 3).await);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        tally.assert_all_ok();
        assert_eq!(tally.all(), AROUND_A_SECOND.len() * 24, "{over:?}");
        subject.at_rest(|| nginx.open()).await;
        subject.close(|| nginx.open()).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_refusal_of_a_body_that_nginx_does_not_read_reaches_the_caller() {
    let body = Bytes::from(vec![b'x'; 64 * 1024 * 1024]);
    for (over, lingering) in [(Over::Http1, "on"), (Over::Http1, "off"), (Over::Http2, "on")] {
        let nginx = Nginx::with(&format!("client_max_body_size 1k; lingering_close {lingering};"));
        let subject = nginx.pool(over, config(4));
        let request = Request::post(nginx.uri(over, "/")).body(body.clone()).unwrap();
        let status = call(&subject.pool, request, false).await.unwrap();
        assert_eq!(
            status,
            StatusCode::PAYLOAD_TOO_LARGE,
            "{over:?}, lingering_close {lingering}"
        );
        // The connection whose request was cut short serves nobody else by mistake.
        load(&subject.pool, &nginx.uri(over, "/"), 4, 5).await.assert_all_ok();
        subject.at_rest(|| nginx.open()).await;
        subject.close(|| nginx.open()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_under_load_costs_no_caller_anything() {
    for over in Over::BOTH {
        let nginx = Nginx::with("");
        let subject = nginx.pool(over, config(8));
        let reloads = async {
            for _ in 0..4 {
                subject.through_a_replacement(async { nginx.reload() }).await;
            }
        };
        let tally = load_while(&subject.pool, &nginx.uri(over, "/"), 16, reloads).await;
        tally.assert_all_ok();

        let stats = subject.at_rest(|| nginx.open()).await;
        let served = nginx.requests_by_connection();
        // Whoever was served twice was sent twice; a connection that ended before it served is in no log.
        let twice = served.values().sum::<usize>() - tally.all();
        assert!(
            twice as u64 <= stats.replays,
            "{over:?}: {twice} served twice, {stats:#?}"
        );
        assert!(served.len() as u64 <= stats.connections_opened, "{over:?}: {stats:#?}");
        subject.close(|| nginx.open()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_callers_than_streams_share_the_connections_the_cap_allows() {
    let nginx = Nginx::with("http2_max_concurrent_streams 4;");
    let subject = nginx.pool(Over::Http2, config(3));
    let uri = nginx.uri(Over::Http2, "/");
    // Its limit is known from here on.
    call(&subject.pool, get(&uri), false).await.unwrap();
    load(&subject.pool, &uri, 64, 10).await.assert_all_ok();

    let stats = subject.at_rest(|| nginx.open()).await;
    assert_eq!((stats.connections_opened, stats.replays), (3, 0), "{stats:#?}");
    assert_eq!(nginx.requests_by_connection().len(), 3);
    subject.close(|| nginx.open()).await;
}
