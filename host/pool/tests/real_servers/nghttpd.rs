//! nghttpd: its limit of streams, and its end under load.

use std::time::Duration;

use http::StatusCode;

use crate::config;
use crate::servers::load::{call, get, load, load_while};
use crate::servers::nghttpd::Nghttpd;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_streams_is_kept_and_no_more_connections_are_opened_than_the_cap_allows() {
    let nghttpd = Nghttpd::with(&["--max-concurrent-streams=4"]);
    let subject = nghttpd.pool(config(3));
    let uri = nghttpd.uri("/index.html");
    // The limit is known from here on.
    call(&subject.pool, get(&uri), false).await.unwrap();
    load(&subject.pool, &uri, 64, 10).await.assert_all_ok();

    let stats = subject.at_rest(|| nghttpd.open()).await;
    assert_eq!((stats.connections_opened, stats.replays), (3, 0), "{stats:#?}");
    subject.close(|| nghttpd.open()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_under_load_leaves_nothing_behind_and_is_found_again() {
    let mut nghttpd = Nghttpd::with(&[]);
    let subject = nghttpd.pool(config(4));
    let uri = nghttpd.uri("/index.html");
    let replaced = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::task::block_in_place(|| nghttpd.replace());
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    // What was under way as the server went may have failed, and so may what came before it was back.
    let tally = load_while(&subject.pool, &uri, 16, replaced).await;
    assert!(tally.of(StatusCode::OK) > 0, "{tally:#?}");

    subject.at_rest(|| nghttpd.open()).await;
    load(&subject.pool, &uri, 16, 10).await.assert_all_ok();
    subject.at_rest(|| nghttpd.open()).await;
    subject.close(|| nghttpd.open()).await;
}
