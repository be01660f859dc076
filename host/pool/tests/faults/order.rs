//! Who is served when: a thousand callers in a line, two origins under one cap, and deadlines that come when they are
//! due.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, pause, resume};
use weir_pool::{PoolConfig, SendError};

use crate::frames::MAX_STREAMS;
use crate::line::Line;
use crate::peers::post;
use crate::rig::Rig;
use crate::way::Way;

type Log = Arc<Mutex<Vec<String>>>;

/// Answers one request at a time, and writes down which.
async fn echo_one_by_one(mut line: Line, log: Log) -> std::io::Result<()> {
    line.greet(&[(MAX_STREAMS, 1)]).await?;
    while let Some(asked) = line.asked().await? {
        log.lock().unwrap().push(String::from_utf8(asked.body.clone()).unwrap());
        line.reply(&asked).await?;
    }
    Ok(())
}

async fn rig_with_log(way: Way, config: PoolConfig) -> (Rig, Log) {
    let log = Log::default();
    let shared = log.clone();
    let rig = Rig::following(way, config, move |line| echo_one_by_one(line, shared.clone())).await;
    rig.post("first").await.unwrap();
    // The peer's limit is known from here on.
    rig.agrees().await;
    log.lock().unwrap().clear();
    (rig, log)
}

async fn a_thousand_callers_are_served_in_the_order_of_their_arrival(way: Way) {
    const CALLERS: usize = 1_000;
    let config = PoolConfig {
        pool_timeout: Duration::from_secs(600),
        ..way.config(1)
    };
    let (rig, log) = rig_with_log(way, config).await;
    let names: Vec<_> = (0..CALLERS).map(|number| number.to_string()).collect();
    let answers = join_all(names.iter().map(|name| rig.post(name.clone()))).await;
    for (name, answer) in names.iter().zip(answers) {
        assert_eq!(answer.unwrap(), name.as_bytes());
    }
    assert_eq!(*log.lock().unwrap(), names);
    assert_eq!(rig.is_sound().await.connections_opened, 1);
}

async fn idle_connections_that_fill_the_cap_make_room_for_another_origin(way: Way) {
    const CAP: usize = 10;
    let (mut rig, log) = rig_with_log(way, way.config(CAP)).await;
    let shared = log.clone();
    let other = rig.add_peer(move |line| echo_one_by_one(line, shared.clone())).await;
    let filling = join_all((0..CAP).map(|_| rig.post("filling"))).await;
    assert!(filling.iter().all(Result::is_ok));
    assert_eq!(rig.agrees().await.idle, CAP);
    let proceeding = join_all((0..3).map(|_| rig.send(post(&rig.uri_of(other), "proceeding")))).await;
    assert!(proceeding.iter().all(Result::is_ok), "{proceeding:?}");
    let stats = rig.is_sound().await;
    assert_eq!((stats.idle, stats.connections_closed["made-room"]), (CAP, 3));
}

async fn a_line_that_is_never_empty_does_not_keep_another_origin_out(way: Way) {
    const BEFORE: usize = 50;
    let (mut rig, log) = rig_with_log(way, way.config(1)).await;
    let shared = log.clone();
    let other = rig.add_peer(move |line| echo_one_by_one(line, shared.clone())).await;
    let of_one = |name: &'static str| join_all([name; BEFORE].map(|name| rig.post(name)));
    let (before, proceeds, after) = tokio::join!(
        of_one("before"),
        rig.send(post(&rig.uri_of(other), "other")),
        of_one("after"),
    );
    assert_eq!(proceeds.unwrap(), "other");
    assert!(before.into_iter().chain(after).all(|answer| answer.is_ok()));
    assert_eq!(log.lock().unwrap().iter().position(|name| name == "other"), Some(BEFORE));
    rig.is_sound().await;
}

async fn a_wait_ends_within_a_tenth_of_its_deadline(way: Way) {
    const CALLERS: usize = 200;
    for deadline in [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(30)] {
        let config = PoolConfig {
            pool_timeout: deadline,
            ..way.config(1)
        };
        let rig = Rig::with(way, config, |mut line| async move {
            line.greet(&[(MAX_STREAMS, 1)]).await?;
            // One to learn the limit by, one that takes the only place.
            if let Some(asked) = line.asked().await? {
                line.reply(&asked).await?;
            }
            line.asked().await?;
            line.listen().await
        })
        .await;
        rig.get().await.unwrap();
        rig.agrees().await;
        pause();
        let waiting = join_all((0..CALLERS).map(|_| async {
            let began = Instant::now();
            (rig.get().await, began.elapsed())
        }));
        let holding = tokio::time::timeout(Duration::from_secs(50), rig.get());
        let (holding, waiting) = tokio::join!(biased; holding, waiting);
        resume();
        assert!(holding.is_err());
        for (outcome, waited) in waiting {
            let error = outcome.unwrap_err();
            assert!(matches!(error, SendError::PoolTimeout { .. }), "{error:?}");
            assert!((deadline..deadline.mul_f64(1.1)).contains(&waited), "{waited:?} of {deadline:?}");
        }
        let stats = rig.pool.stats();
        assert_eq!((stats.pool_exhaustions, stats.waiting), (CALLERS as u64, 0));
    }
}

over_every_way!(
    a_thousand_callers_are_served_in_the_order_of_their_arrival,
    idle_connections_that_fill_the_cap_make_room_for_another_origin,
    a_line_that_is_never_empty_does_not_keep_another_origin_out,
    a_wait_ends_within_a_tenth_of_its_deadline,
);
