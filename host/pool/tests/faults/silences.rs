//! Servers that say nothing, or too slowly. No time passes but the clock's.

use std::time::Duration;

use tokio::time::{Instant, pause, sleep};
use weir_pool::{ConnectStage, SendError};

use crate::certificates::{Authority, Identity};
use crate::frames::{END_STREAM, data};
use crate::rig::Rig;
use crate::tls::stalling;
use crate::way::Way;

async fn a_server_that_accepts_and_never_answers_runs_into_the_first_byte_timeout(way: Way) {
    let rig = Rig::new(way, |mut line| async move {
        line.asked().await?;
        line.listen().await
    })
    .await;
    pause();
    let began = Instant::now();
    let error = rig.post("hello?").await.unwrap_err();
    assert!(
        matches!(error, SendError::FirstByteTimeout { limit, .. } if limit.as_secs() == 60),
        "{error:?}"
    );
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(rig.pool.stats().timeouts["first-byte"], 1);
    if !way.http2 {
        rig.is_sound().await;
    }
}

async fn an_answer_that_trickles_in_is_read_to_its_end(way: Way) {
    let rig = Rig::new(way, move |mut line| async move {
        let asked = line.asked().await?.unwrap();
        let (answer, head) = line.answer(asked.stream, b"drop by drop");
        // The head has a deadline as a whole, the body between its pieces.
        for byte in &answer[..head] {
            sleep(Duration::from_secs(1)).await;
            line.write(&[*byte]).await?;
        }
        for byte in b"drop by drop" {
            sleep(Duration::from_secs(50)).await;
            let piece = line.piece(asked.stream, &[*byte]);
            line.write(&piece).await?;
        }
        if way.http2 {
            line.write(&data(asked.stream, &[], END_STREAM)).await?;
        }
        line.echo().await
    })
    .await;
    pause();
    assert_eq!(rig.get().await.unwrap(), "drop by drop");
    assert_eq!(rig.is_sound().await.connections_opened, 1);
}

async fn a_head_that_trickles_in_too_slowly_runs_into_the_first_byte_timeout(way: Way) {
    let rig = Rig::new(way, move |mut line| async move {
        let asked = line.asked().await?.unwrap();
        let (answer, head) = line.answer(asked.stream, b"");
        for byte in &answer[..head - 1] {
            line.write(&[*byte]).await?;
            sleep(Duration::from_secs(5)).await;
        }
        line.listen().await
    })
    .await;
    pause();
    let began = Instant::now();
    let error = rig.get().await.unwrap_err();
    assert!(matches!(error, SendError::FirstByteTimeout { .. }), "{error:?}");
    assert_eq!(began.elapsed().as_secs(), 60);
    if !way.http2 {
        rig.is_sound().await;
    }
}

async fn a_body_that_stops_runs_into_the_read_timeout(way: Way) {
    let rig = Rig::new(way, move |mut line| async move {
        let asked = line.asked().await?.unwrap();
        let (answer, head) = line.answer(asked.stream, b"half of it");
        line.write(&answer[..head]).await?;
        line.listen().await
    })
    .await;
    pause();
    let began = Instant::now();
    let error = rig.get().await.unwrap_err();
    assert!(
        matches!(error, SendError::ReadTimeout { limit, .. } if limit.as_secs() == 60),
        "{error:?}"
    );
    assert_eq!(began.elapsed().as_secs(), 60);
    if !way.http2 {
        rig.is_sound().await;
    }
}

/// Over HTTP/2 only the stream is given up, so the connection is asked whether it lives before it is lent again.
#[tokio::test]
async fn a_connection_that_has_gone_silent_is_not_trusted_again() {
    let way = Way::HTTP2_TLS;
    // Before an answer, in its head and in its body.
    for said in [0, 3, 25] {
        let rig = Rig::new(way, move |mut line| async move {
            let asked = line.asked().await?.unwrap();
            let (answer, _) = line.answer(asked.stream, b"half of it");
            line.write(&answer[..said]).await?;
            line.listen().await
        })
        .await;
        pause();
        let error = rig.get().await.unwrap_err();
        assert!(
            matches!(
                error,
                SendError::FirstByteTimeout { .. } | SendError::ReadTimeout { .. }
            ),
            "{error:?}"
        );
        assert_eq!(rig.is_sound().await.connections_opened, 1, "after {said} bytes");
        tokio::time::resume();
    }
}

async fn a_handshake_that_stalls_runs_into_the_connect_timeout(way: Way) {
    // After nothing, and after the first bytes of a handshake record.
    for said in [&b""[..], &[22, 3, 3, 0, 100, 2]] {
        let authority = Authority::new();
        let good = authority.acceptor(Identity::Good, way.alpn());
        let rig = Rig::accepting(way, authority, move |tcp, number| {
            let good = good.clone();
            async move { stalling(tcp, said, (number > 0).then_some(good), way).await }
        })
        .await;
        pause();
        let began = Instant::now();
        let error = rig.get().await.unwrap_err();
        assert!(
            matches!(
                error,
                SendError::ConnectTimeout {
                    stage: ConnectStage::Securing,
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!(began.elapsed().as_secs(), 10);
        tokio::time::resume();
        assert_eq!(rig.is_sound().await.timeouts["connect"], 1);
    }
}

over_every_way!(
    a_server_that_accepts_and_never_answers_runs_into_the_first_byte_timeout,
    an_answer_that_trickles_in_is_read_to_its_end,
    a_head_that_trickles_in_too_slowly_runs_into_the_first_byte_timeout,
    a_body_that_stops_runs_into_the_read_timeout,
);
over_tls!(a_handshake_that_stalls_runs_into_the_connect_timeout);
