//! Connections that end: as a request arrives, in the middle of an answer, at every byte of it.

use weir_pool::ResetPoint;

use crate::line::{End, answer};
use crate::rig::{Rig, broken_off};
use crate::way::Way;

async fn a_fresh_connection_that_ends_as_the_request_arrives_fails_it_once(way: Way) {
    for end in End::ALL {
        let rig = Rig::new(way, move |mut line| async move {
            line.asked().await?;
            end.befalls(line).await
        })
        .await;
        let error = rig.get().await.unwrap_err();
        assert_eq!(broken_off(&error), (ResetPoint::BeforeResponse, true), "{end:?}");
        let stats = rig.is_sound().await;
        assert_eq!((stats.replays, stats.connections_opened), (0, 1), "{end:?}");
    }
}

async fn a_kept_connection_that_ends_as_the_request_arrives_fails_only_what_must_not_be_sent_twice(way: Way) {
    for end in End::ALL {
        for idempotent in [true, false] {
            let rig = Rig::new(way, move |mut line| async move {
                if let Some(asked) = line.asked().await? {
                    line.reply(&asked).await?;
                }
                line.asked().await?;
                end.befalls(line).await
            })
            .await;
            rig.get().await.unwrap();
            if idempotent {
                rig.get().await.unwrap();
            } else {
                let error = rig.post("once").await.unwrap_err();
                assert_eq!(broken_off(&error), (ResetPoint::BeforeResponse, true), "{end:?}");
            }
            let stats = rig.is_sound().await;
            assert_eq!(stats.replays, u64::from(idempotent), "{end:?}");
        }
    }
}

async fn an_answer_cut_at_any_byte_is_told_from_a_whole_one(way: Way) {
    const BODY: &[u8] = b"an answer";
    let (answer, head) = answer(way.http2, 1, BODY);
    let whole = answer.len();
    for end in End::ALL {
        // Each connection cuts its answer one byte later than the one before.
        let answer = answer.clone();
        let rig = Rig::following(way, way.config(4), move |mut line| {
            let answer = answer.clone();
            async move {
                match answer.get(..line.number) {
                    None => line.echo().await,
                    Some(cut) => {
                        line.asked().await?;
                        line.write(cut).await?;
                        end.befalls(line).await
                    }
                }
            }
        })
        .await;
        for at in 0..whole {
            let error = rig.get().await.unwrap_err();
            let expected = match at {
                0 => ResetPoint::BeforeResponse,
                at if at >= head => ResetPoint::InBody,
                // What has arrived may be frames of other streams.
                _ if way.http2 => ResetPoint::BeforeResponse,
                _ => ResetPoint::InHead,
            };
            assert_eq!(
                broken_off(&error),
                (expected, true),
                "{end:?} after {at} bytes of {whole}"
            );
            assert_eq!(rig.agrees().await.idle, 0);
        }
        assert_eq!(rig.get().await.unwrap(), BODY);
        assert_eq!(rig.is_sound().await.replays, 0);
    }
}

over_every_way!(
    a_fresh_connection_that_ends_as_the_request_arrives_fails_it_once,
    a_kept_connection_that_ends_as_the_request_arrives_fails_only_what_must_not_be_sent_twice,
    an_answer_cut_at_any_byte_is_told_from_a_whole_one,
);
