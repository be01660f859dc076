//! Streams the peer refuses or resets, and limits it lowers while they are in use.

use std::io;
use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::Semaphore;
use weir_pool::{ResetPoint, SendError};

use crate::frames::*;
use crate::line::Line;
use crate::rig::{Rig, broken_off};
use crate::way::Way;

async fn a_refused_stream_is_sent_again_whatever_its_method(way: Way) {
    let rig = Rig::new(way, |mut line| async move {
        let Some(asked) = line.asked().await? else {
            return Ok(());
        };
        line.write(&reset(asked.stream, REFUSED_STREAM)).await?;
        line.echo().await
    })
    .await;
    assert_eq!(rig.post("once more").await.unwrap(), "once more");
    assert_eq!(rig.is_sound().await.replays, 1);
}

/// A server that ends its connections refuses all but one of those who share the next.
async fn what_is_refused_again_and_again_goes_on_until_it_is_served(way: Way) {
    const CONNECTIONS: usize = 5;
    let rig = Rig::following(way, way.config(4), |mut line| async move {
        if line.number < CONNECTIONS {
            refuse(&mut line).await?;
        }
        line.echo().await
    })
    .await;
    assert_eq!(rig.post("please").await.unwrap(), "please");
    assert_eq!(rig.is_sound().await.replays, CONNECTIONS as u64);
}

async fn a_peer_that_refuses_everything_is_asked_ever_more_slowly_and_the_error_says_that_nothing_was_done(way: Way) {
    let rig = Rig::following(way, way.config(4), |mut line| async move {
        while refuse(&mut line).await? {}
        Ok(())
    })
    .await;
    let error = rig.post("please").await.unwrap_err();
    assert!(error.is_unprocessed(), "{error:?}");
    assert!(!broken_off(&error).1);
    // Five seconds of pool_timeout, with pauses that grow to an eighth of a second.
    let replays = rig.pool.stats().replays;
    assert!((10..100).contains(&replays), "{replays} times");
}

async fn refuse(line: &mut Line) -> io::Result<bool> {
    let Some(asked) = line.asked().await? else {
        return Ok(false);
    };
    line.write(&reset(asked.stream, REFUSED_STREAM)).await?;
    Ok(true)
}

async fn a_stream_reset_with_any_other_code_is_not_sent_again_and_the_connection_is_kept(way: Way) {
    for code in codes() {
        let rig = Rig::new(way, move |mut line| async move {
            let Some(asked) = line.asked().await? else {
                return Ok(());
            };
            line.write(&reset(asked.stream, code)).await?;
            line.echo().await
        })
        .await;
        let error = rig.post("once").await.unwrap_err();
        assert!(matches!(error, SendError::Protocol { .. }), "{code}: {error:?}");
        assert!(!error.is_unprocessed(), "{code}: {error:?}");
        let stats = rig.is_sound().await;
        assert_eq!((stats.replays, stats.connections_opened), (0, 1), "{code}");
    }
}

/// Every code of RFC 9113, section 7, but the one that has a meaning to the pool; and one that nobody knows.
fn codes() -> impl Iterator<Item = u32> {
    (0..=0x0d).chain([0x1234]).filter(|code| *code != REFUSED_STREAM)
}

async fn a_body_cut_by_a_reset(way: Way, code: u32) {
    let rig = Rig::new(way, move |mut line| async move {
        let Some(asked) = line.asked().await? else {
            return Ok(());
        };
        let (answer, head) = line.answer(asked.stream, b"only begun");
        line.write(&answer[..head]).await?;
        line.write(&data(asked.stream, b"only", 0)).await?;
        line.write(&reset(asked.stream, code)).await?;
        line.echo().await
    })
    .await;
    let error = rig.post("once").await.expect_err("half a body is no body");
    assert!(
        matches!(
            error,
            SendError::Protocol { .. }
                | SendError::ConnectionReset {
                    when: ResetPoint::InBody,
                    ..
                }
        ),
        "{code}: {error:?}"
    );
    assert!(!error.is_unprocessed(), "{code}: {error:?}");
    let stats = rig.is_sound().await;
    assert_eq!((stats.replays, stats.connections_opened), (0, 1), "{code}");
}

async fn a_body_cut_by_a_reset_is_an_error(way: Way) {
    for code in codes()
        .chain([REFUSED_STREAM])
        .filter(|code| !TAKEN_FOR_AN_END.contains(code))
    {
        a_body_cut_by_a_reset(way, code).await;
    }
}

/// NO_ERROR and CANCEL: hyper takes them for the end of the body, whatever its length was said to be.
const TAKEN_FOR_AN_END: [u32; 2] = [NO_ERROR, 8];

#[tokio::test]
async fn a_body_cut_by_a_reset_that_sounds_harmless_is_an_error_too() {
    for code in TAKEN_FOR_AN_END {
        a_body_cut_by_a_reset(Way::HTTP2_TLS, code).await;
    }
}

async fn a_limit_lowered_while_streams_are_in_use_does_not_deadlock(way: Way) {
    const BEFORE: usize = 6;
    const AFTER: usize = 12;
    for (limit, max_connections) in [(1, 1), (1, 3), (0, 1), (0, 3)] {
        let arrived = Arc::new(Semaphore::new(0));
        let go_on = Arc::new(Semaphore::new(0));
        let (told, gate) = (arrived.clone(), go_on.clone());
        let rig = Rig::with(way, way.config(max_connections), move |mut line| {
            let (arrived, go_on) = (told.clone(), gate.clone());
            async move {
                line.greet(&[(MAX_STREAMS, 100)]).await?;
                let mut all = Vec::new();
                while all.len() < BEFORE {
                    let Some(asked) = line.asked().await? else {
                        return Ok(());
                    };
                    all.push(asked);
                }
                line.write(&settings(&[(MAX_STREAMS, limit)])).await?;
                arrived.add_permits(1);
                go_on.acquire().await.unwrap().forget();
                for asked in &all {
                    line.reply(asked).await?;
                }
                if limit == 0 {
                    line.write(&settings(&[(MAX_STREAMS, 10)])).await?;
                }
                line.echo().await
            }
        })
        .await;
        let before = join_all((0..BEFORE).map(|number| rig.post(format!("before {number}"))));
        let after = async {
            arrived.acquire().await.unwrap().forget();
            let after = join_all((0..AFTER).map(|number| rig.post(format!("after {number}"))));
            go_on.add_permits(1);
            after.await
        };
        let (before, after) = tokio::join!(before, after);
        for (number, answer) in before.into_iter().enumerate() {
            assert_eq!(answer.unwrap(), format!("before {number}"));
        }
        for (number, answer) in after.into_iter().enumerate() {
            assert_eq!(
                answer.unwrap(),
                format!("after {number}"),
                "limit {limit} of {max_connections}"
            );
        }
        rig.is_sound().await;
    }
}

async fn a_limit_of_none_is_waited_for_no_longer_than_the_pools_deadline(way: Way) {
    let rig = Rig::following(way, way.config(1), |mut line| async move {
        // Nobody is let in until the third connection.
        let limit = if line.number < 2 { 0 } else { 100 };
        line.greet(&[(MAX_STREAMS, limit)]).await?;
        line.echo().await
    })
    .await;
    tokio::time::pause();
    let outcome = tokio::time::timeout(std::time::Duration::from_secs(30), rig.post("let me in")).await;
    match outcome.expect("a deadline ends the wait") {
        Ok(answer) => assert_eq!(answer, "let me in"),
        Err(error) => assert!(error.is_unprocessed() || error.timeout().is_some(), "{error:?}"),
    }
    tokio::time::resume();
    rig.agrees().await;
}

over_http2!(
    a_refused_stream_is_sent_again_whatever_its_method,
    what_is_refused_again_and_again_goes_on_until_it_is_served,
    a_peer_that_refuses_everything_is_asked_ever_more_slowly_and_the_error_says_that_nothing_was_done,
    a_body_cut_by_a_reset_is_an_error,
    a_stream_reset_with_any_other_code_is_not_sent_again_and_the_connection_is_kept,
    a_limit_lowered_while_streams_are_in_use_does_not_deadlock,
    a_limit_of_none_is_waited_for_no_longer_than_the_pools_deadline,
);
