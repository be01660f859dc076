//! GOAWAY at every point: what it covers is finished, what it does not is sent again, and nothing is done twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::future::join_all;
use weir_pool::ResetPoint;

use crate::frames::*;
use crate::line::Line;
use crate::rig::{Rig, broken_off};
use crate::way::Way;

/// Requests under way when the server says goodbye.
const REQUESTS: usize = 6;

/// What a peer has acted on: how often, by the request's body.
type Done = Arc<Mutex<BTreeMap<Vec<u8>, usize>>>;

fn act_on(done: &Done, body: &[u8]) {
    *done.lock().unwrap().entry(body.to_vec()).or_default() += 1;
}

/// Echoes, and remembers what it has echoed.
async fn echo(mut line: Line, done: Done) -> std::io::Result<()> {
    while let Some(asked) = line.asked().await? {
        act_on(&done, &asked.body);
        line.reply(&asked).await?;
    }
    Ok(())
}

/// The first connection takes all requests and says that it has looked at those up to the `last`th.
async fn parting(way: Way, last: usize, code: u32, answers: bool) -> (Rig, Done) {
    let done = Done::default();
    let counted = done.clone();
    let rig = Rig::following(way, way.config(3), move |mut line| {
        let done = counted.clone();
        async move {
            if line.number > 0 {
                return echo(line, done).await;
            }
            let mut all = Vec::new();
            while all.len() < REQUESTS {
                let Some(asked) = line.asked().await? else {
                    return Ok(());
                };
                all.push(asked);
            }
            all.sort_by_key(|asked| asked.stream);
            let covered = all[..last].last().map_or(0, |asked| asked.stream);
            for asked in &all[..last] {
                act_on(&done, &asked.body);
            }
            line.write(&goaway(covered, code)).await?;
            if !answers {
                return line.finish().await;
            }
            for asked in &all[..last] {
                line.reply(asked).await?;
            }
            line.listen().await
        }
    })
    .await;
    (rig, done)
}

async fn requests_above_the_last_stream_are_sent_again_and_those_below_finish(way: Way) {
    for last in 0..=REQUESTS {
        let (rig, done) = parting(way, last, NO_ERROR, true).await;
        let answers = join_all((0..REQUESTS).map(|number| rig.post(number.to_string()))).await;
        for (number, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.unwrap(), number.to_string());
        }
        assert_eq!(rig.agrees().await.replays, (REQUESTS - last) as u64);
        assert!(done.lock().unwrap().values().all(|times| *times == 1), "{done:?}");
        rig.is_sound().await;
    }
}

/// What the goodbye covers may have been done, whether or not its connection then ends without an answer.
async fn a_goodbye_that_covers_a_request_and_breaks_off_does_not_have_it_sent_again(way: Way) {
    for code in [NO_ERROR, INTERNAL_ERROR] {
        for last in 0..=REQUESTS {
            let (rig, done) = parting(way, last, code, false).await;
            let answers = join_all((0..REQUESTS).map(|number| rig.post(number.to_string()))).await;
            let failed: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
            assert_eq!(failed.len(), last, "code {code}");
            for error in &failed {
                assert_eq!(broken_off(error), (ResetPoint::BeforeResponse, true), "code {code}");
            }
            assert!(
                done.lock().unwrap().values().all(|times| *times == 1),
                "code {code}: {done:?}"
            );
            rig.is_sound().await;
        }
    }
}

/// As a server does that shuts down in two steps (RFC 9113, section 6.8).
async fn a_goodbye_announced_first_loses_nothing(way: Way) {
    let rig = Rig::new(way, |mut line| async move {
        let Some(first) = line.asked().await? else {
            return Ok(());
        };
        line.write(&goaway(u32::MAX >> 1, NO_ERROR)).await?;
        line.write(&goaway(first.stream, NO_ERROR)).await?;
        line.reply(&first).await?;
        line.finish().await?;
        line.listen().await
    })
    .await;
    assert_eq!(rig.post("first").await.unwrap(), "first");
    assert_eq!(rig.post("second").await.unwrap(), "second");
    assert_eq!(rig.is_sound().await.connections_opened, 2);
}

over_http2!(
    requests_above_the_last_stream_are_sent_again_and_those_below_finish,
    a_goodbye_that_covers_a_request_and_breaks_off_does_not_have_it_sent_again,
    a_goodbye_announced_first_loses_nothing,
);
