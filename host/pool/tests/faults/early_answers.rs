//! Answers that come before the request has ended. An answer beats a broken pipe.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::pause;
use weir_pool::SendOptions;

use crate::frames::*;
use crate::line::Line;
use crate::peers::{post, text};
use crate::rig::Rig;
use crate::way::Way;

/// As many as the machine may take of a body that nobody reads, many times over.
const BODY: usize = 64 << 20;
const RUNS: usize = 50;

/// What a server says that will not take the body.
fn refusal(way: Way, stream: u32) -> Vec<u8> {
    if way.http2 {
        let block = [&[STATUS_400][..], &literal("content-length", "8")].concat();
        [headers(stream, &block, 0), data(stream, b"too much", END_STREAM)].concat()
    } else {
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 8\r\n\r\ntoo much".to_vec()
    }
}

async fn refused(rig: &Rig, body: &Bytes) {
    let request = post(&rig.uri(), body.clone());
    let response = rig.pool.send(request, SendOptions::default()).await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(text(response).await.unwrap(), "too much");
}

async fn a_refusal_of_64_megabytes_is_heard_though_the_server_closes_before_it_has_read_them(way: Way) {
    let rig = Rig::following(way, way.config(4), move |mut line| async move {
        if line.number >= RUNS {
            return line.echo().await;
        }
        let Some(stream) = line.head().await? else {
            return Ok(());
        };
        line.write(&refusal(way, stream)).await?;
        if way.http2 {
            line.write(&reset(stream, NO_ERROR)).await?;
            line.write(&goaway(stream, NO_ERROR)).await?;
        }
        if line.number % 2 == 0 {
            line.finish().await?;
        }
        Ok(())
    })
    .await;
    let body = Bytes::from(vec![b'x'; BODY]);
    for _ in 0..RUNS {
        refused(&rig, &body).await;
        assert_eq!(rig.agrees().await.idle, 0);
    }
    let stats = rig.is_sound().await;
    assert_eq!((stats.replays, stats.connections_opened), (0, RUNS as u64));
}

/// RFC 9113, section 8.1: the rest is not wanted, and nothing is wrong.
async fn a_stream_that_is_answered_and_reset_is_an_answer(way: Way) {
    let rig = refusing(way, |mut line, stream| async move {
        line.write(&reset(stream, NO_ERROR)).await?;
        Ok(line)
    })
    .await;
    let body = Bytes::from(vec![b'x'; BODY]);
    for _ in 0..RUNS {
        refused(&rig, &body).await;
    }
    assert_eq!(rig.is_sound().await.replays, 0);
}

/// Refuses this many requests, over whatever connections, then echoes.
async fn refusing<F>(way: Way, then: impl Fn(Line, u32) -> F + Clone + Send + Sync + 'static) -> Rig
where
    F: Future<Output = io::Result<Line>> + Send + 'static,
{
    let refusals = Arc::new(AtomicUsize::new(0));
    Rig::following(way, way.config(4), move |mut line| {
        let (refusals, then) = (refusals.clone(), then.clone());
        async move {
            while refusals.load(Ordering::SeqCst) < RUNS {
                let Some(stream) = line.head().await? else {
                    return Ok(());
                };
                refusals.fetch_add(1, Ordering::SeqCst);
                line.write(&refusal(way, stream)).await?;
                line = then(line, stream).await?;
            }
            line.echo().await
        }
    })
    .await
}

async fn an_answer_to_a_request_that_is_never_read_does_not_strand_the_connection(way: Way) {
    let rig = Rig::new(way, move |mut line| async move {
        let Some(stream) = line.head().await? else {
            return Ok(());
        };
        line.write(&refusal(way, stream)).await?;
        holds(line).await
    })
    .await;
    let body = Bytes::from(vec![b'x'; BODY]);
    pause();
    refused(&rig, &body).await;
    let stats = rig.is_sound().await;
    assert_eq!(stats.connections_closed["request-unfinished"], 1);
}

/// Reads nothing for longer than the pool waits, then sees that the other side has gone.
async fn holds(line: Line) -> io::Result<()> {
    tokio::time::sleep(Duration::from_secs(5)).await;
    line.listen().await
}

async fn an_answer_may_overtake_its_request(way: Way) {
    let rig = refusing(way, |mut line, _| async move {
        line.asked().await?;
        Ok(line)
    })
    .await;
    let body = Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..RUNS {
        refused(&rig, &body).await;
    }
    assert_eq!(rig.is_sound().await.replays, 0);
}

over_every_way!(
    a_refusal_of_64_megabytes_is_heard_though_the_server_closes_before_it_has_read_them,
    an_answer_to_a_request_that_is_never_read_does_not_strand_the_connection,
    an_answer_may_overtake_its_request,
);
over_http2!(a_stream_that_is_answered_and_reset_is_an_answer);
