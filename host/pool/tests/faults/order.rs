//! Who is served when: a thousand callers in a line, two origins under one cap, and deadlines that come when they are
//! due.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, pause, resume};
use weir_pool::{PoolConfig, SendError};

use crate::frames::MAX_STREAMS;
use crate::line::{Asked, Line};
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
    limit_is_known().await;
    log.lock().unwrap().clear();
    (rig, log)
}

/// After an answer, the connection's task looks at the peer's limit as soon as it is its turn.
async fn limit_is_known() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
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
    // Over HTTP/2 one connection does for all three.
    let made_room = if way.http2 { 1 } else { 3 };
    assert_eq!((stats.idle, stats.connections_closed["made-room"]), (CAP, made_room));
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
    assert_eq!(
        log.lock().unwrap().iter().position(|name| name == "other"),
        Some(BEFORE)
    );
    rig.is_sound().await;
}

/// Two callers take turns so that their connection, if they share one, never lies idle.
async fn a_connection_that_is_never_idle_does_not_keep_another_origin_out(way: Way) {
    const TURNS: usize = 300;
    let mut rig = Rig::following(way, way.config(1), answer_when_the_next_one_asks).await;
    let other = rig.add_peer(Line::echo).await;
    rig.post("first").await.unwrap();
    limit_is_known().await;
    let served = AtomicBool::new(false);
    let takes_turns = || async {
        let mut turns = 0;
        while turns < TURNS && !served.load(Ordering::SeqCst) {
            rig.post("mine").await.unwrap();
            turns += 1;
        }
        turns
    };
    let proceeds = async {
        rig.post("first of all").await.unwrap();
        let answer = rig.send(post(&rig.uri_of(other), "other")).await;
        served.store(true, Ordering::SeqCst);
        answer
    };
    let (one, two, answer) = tokio::join!(takes_turns(), takes_turns(), proceeds);
    assert_eq!(answer.unwrap(), "other");
    assert!(one.max(two) < TURNS, "it waited for {one} and {two} others");
    rig.is_sound().await;
}

/// Answers a request when the next one has arrived, or when none comes for a while.
async fn answer_when_the_next_one_asks(mut line: Line) -> std::io::Result<()> {
    let mut last: Option<Asked> = None;
    loop {
        let next = tokio::time::timeout(Duration::from_millis(5), line.asked()).await;
        if let Some(last) = last.take() {
            line.reply(&last).await?;
        }
        last = match next {
            Ok(Ok(Some(asked))) => Some(asked),
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => None,
        };
    }
}

async fn a_wait_ends_within_a_tenth_of_its_deadline(way: Way) {
    const CALLERS: usize = 200;
    for deadline in [
        Duration::from_millis(100),
        Duration::from_secs(1),
        Duration::from_secs(30),
    ] {
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
        limit_is_known().await;
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
            assert!(
                (deadline..deadline.mul_f64(1.1)).contains(&waited),
                "{waited:?} of {deadline:?}"
            );
        }
        let stats = rig.pool.stats();
        assert_eq!((stats.pool_exhaustions, stats.waiting), (CALLERS as u64, 0));
    }
}

over_every_way!(
    a_thousand_callers_are_served_in_the_order_of_their_arrival,
    idle_connections_that_fill_the_cap_make_room_for_another_origin,
    a_line_that_is_never_empty_does_not_keep_another_origin_out,
    a_connection_that_is_never_idle_does_not_keep_another_origin_out,
    a_wait_ends_within_a_tenth_of_its_deadline,
);
