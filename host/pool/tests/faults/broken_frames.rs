//! Frames that break HTTP/2, and frames that are only a nuisance.

use weir_pool::SendError;

use crate::frames::*;
use crate::rig::Rig;
use crate::way::Way;

/// What the protocol forbids, with the section of RFC 9113 that says so.
fn forbidden(stream: u32) -> [(&'static str, Vec<u8>); 12] {
    [
        ("DATA of no stream (6.1)", data(0, b"lost", 0)),
        ("HEADERS of no stream (6.2)", headers(0, &[STATUS_200], END_STREAM)),
        (
            "HEADERS of a stream nobody opened (5.1.1)",
            headers(stream + 2, &[STATUS_200], END_STREAM),
        ),
        (
            "RST_STREAM of a stream nobody opened (6.4)",
            reset(stream + 2, NO_ERROR),
        ),
        ("RST_STREAM without its code (6.4)", frame(RST_STREAM, 0, stream, &[])),
        ("SETTINGS of half a setting (6.5)", frame(SETTINGS, 0, 0, &[0, 3, 0])),
        ("SETTINGS of a stream (6.5)", frame(SETTINGS, 0, stream, &[])),
        ("a window too large (6.5.2)", settings(&[(4, u32::MAX)])),
        ("PUSH_PROMISE though it was not allowed (8.4)", push_promise(stream)),
        ("PING of seven bytes (6.7)", frame(PING, 0, 0, &[0; 7])),
        (
            "CONTINUATION of nothing (6.10)",
            frame(CONTINUATION, END_HEADERS, stream, &[STATUS_200]),
        ),
        (
            "a head that cannot be unpacked (4.3)",
            headers(stream, &[0xff, 0xff, 0xff, 0xff, 0xff], END_STREAM),
        ),
    ]
}

fn push_promise(stream: u32) -> Vec<u8> {
    frame(
        PUSH_PROMISE,
        END_HEADERS,
        stream,
        &[&2_u32.to_be_bytes()[..], &[0x82]].concat(),
    )
}

async fn a_frame_that_breaks_the_protocol_fails_the_request_once_and_ends_the_connection(way: Way) {
    for which in 0..forbidden(1).len() {
        let (name, _) = forbidden(1)[which];
        let rig = Rig::new(way, move |mut line| async move {
            let Some(asked) = line.asked().await? else {
                return Ok(());
            };
            line.write(&forbidden(asked.stream)[which].1).await?;
            line.listen().await
        })
        .await;
        let error = rig.post("once").await.unwrap_err();
        assert!(matches!(error, SendError::Protocol { .. }), "{name}: {error:?}");
        assert!(!error.is_unprocessed(), "{name}");
        let stats = rig.is_sound().await;
        assert_eq!(
            (stats.replays, stats.connections_opened, stats.idle),
            (0, 1, 0),
            "{name}"
        );
    }
}

/// Errors of one stream are its own affair (RFC 9113, section 5.4.2).
async fn a_frame_that_breaks_one_stream_leaves_the_connection_usable(way: Way) {
    let broken = |stream| {
        [
            (
                "an answer without a status (8.3.2)",
                headers(stream, &literal("x", "y"), END_STREAM),
            ),
            (
                "a header in capitals (8.2.1)",
                headers(stream, &[&[STATUS_200][..], &literal("X", "y")].concat(), END_STREAM),
            ),
            ("a window moved by nothing (6.9)", window_update(stream, 0)),
            ("DATA before the head (8.1)", data(stream, b"early", END_STREAM)),
        ]
    };
    for which in 0..broken(1).len() {
        let (name, _) = broken(1)[which];
        let rig = Rig::new(way, move |mut line| async move {
            let Some(asked) = line.asked().await? else {
                return Ok(());
            };
            line.write(&broken(asked.stream)[which].1).await?;
            line.echo().await
        })
        .await;
        let error = rig.post("once").await.unwrap_err();
        assert!(matches!(error, SendError::Protocol { .. }), "{name}: {error:?}");
        assert_eq!(rig.is_sound().await.replays, 0, "{name}");
    }
}

async fn frames_that_are_only_a_nuisance_do_not_keep_an_answer_away(way: Way) {
    const MANY: usize = 5_000;
    let nuisances = [
        ("pings", frame(PING, 0, 0, &[7; 8])),
        ("settings", settings(&[])),
        ("frames of an unknown kind", frame(0xbe, 0xff, 0, b"whatever")),
        ("windows moved", window_update(0, 1)),
    ];
    for (name, nuisance) in nuisances {
        let flood = nuisance.repeat(MANY);
        let rig = Rig::new(way, move |mut line| {
            let flood = flood.clone();
            async move {
                let Some(asked) = line.asked().await? else {
                    return Ok(());
                };
                line.write(&flood).await?;
                line.reply(&asked).await?;
                line.echo().await
            }
        })
        .await;
        assert_eq!(rig.post("patience").await.unwrap(), "patience", "{name}");
        assert_eq!(rig.is_sound().await.connections_opened, 1, "{name}");
    }
}

over_http2!(
    a_frame_that_breaks_the_protocol_fails_the_request_once_and_ends_the_connection,
    a_frame_that_breaks_one_stream_leaves_the_connection_usable,
    frames_that_are_only_a_nuisance_do_not_keep_an_answer_away,
);
