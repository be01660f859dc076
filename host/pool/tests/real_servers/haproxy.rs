//! haproxy: idle connections that it closes after a second, and a reload.

use std::time::Duration;

use futures::future::join_all;
use weir_pool::PoolConfig;

use crate::servers::Over;
use crate::servers::haproxy::Haproxy;
use crate::servers::load::{Tally, load, load_while};
use crate::{AROUND_A_SECOND, config};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_crosses_haproxys_farewell_is_answered_all_the_same() {
    join_all(Over::BOTH.map(|over| async move {
        let haproxy = Haproxy::with("timeout http-keep-alive 1s");
        let patient = PoolConfig {
            keepalive_expiry: Duration::from_secs(30),
            ..config(8)
        };
        let subject = haproxy.pool(over, patient);
        let mut tally = Tally::default();
        for pause in AROUND_A_SECOND {
            tally = tally.plus(load(&subject.pool, &haproxy.uri(over, "/"), 8, 3).await);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        tally.assert_all_ok();
        assert_eq!(tally.all(), AROUND_A_SECOND.len() * 24, "{over:?}");
        subject.at_rest(|| haproxy.open(over)).await;
        subject.close(|| haproxy.open(over)).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_of_haproxy_under_load_costs_no_caller_anything() {
    for over in Over::BOTH {
        let haproxy = Haproxy::with("");
        let subject = haproxy.pool(over, config(8));
        let reload = subject.through_a_replacement(haproxy.reload());
        let tally = load_while(&subject.pool, &haproxy.uri(over, "/"), 16, reload).await;
        tally.assert_all_ok();

        subject.at_rest(|| haproxy.open(over)).await;
        subject.close(|| haproxy.open(over)).await;
    }
}
