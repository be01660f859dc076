//! Answers whose length is not what it is said to be, and answers that are far too long.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use weir_pool::{PoolConfig, ResetPoint, SendError};

use crate::frames::*;
use crate::rig::{Rig, broken_off};
use crate::way::Way;

const KEPT_OPEN: [bool; 2] = [true, false];

async fn a_body_shorter_than_its_length_is_an_error(way: Way) {
    let rig = Rig::new(way, |mut line| async move {
        line.asked().await?;
        line.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nnot so many")
            .await?;
        line.finish().await
    })
    .await;
    let error = rig.get().await.unwrap_err();
    assert_eq!(broken_off(&error), (ResetPoint::InBody, true));
    rig.is_sound().await;
}

async fn what_follows_a_body_is_never_taken_for_the_next_answer(way: Way) {
    for kept_open in KEPT_OPEN {
        for extra in ["and more", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlie!"] {
            let rig = Rig::new(way, move |mut line| async move {
                line.asked().await?;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{extra}");
                line.write(answer.as_bytes()).await?;
                if kept_open {
                    line.listen().await
                } else {
                    line.finish().await
                }
            })
            .await;
            assert_eq!(rig.get().await.unwrap(), "ok");
            assert_eq!(rig.post("mine").await.unwrap(), "mine");
            let stats = rig.is_sound().await;
            assert_eq!(stats.connections_opened, 2, "{extra:?} {kept_open}");
        }
    }
}

async fn a_chunk_that_is_not_one_breaks_the_body(way: Way) {
    let rig = Rig::new(way, |mut line| async move {
        line.asked().await?;
        line.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nmany\r\n")
            .await?;
        line.listen().await
    })
    .await;
    let error = rig.get().await.unwrap_err();
    assert!(!error.is_unprocessed());
    assert!(
        matches!(
            error,
            SendError::Protocol { .. }
                | SendError::ConnectionReset {
                    when: ResetPoint::InBody,
                    ..
                }
        ),
        "{error:?}"
    );
    rig.is_sound().await;
}

async fn a_stream_whose_length_is_wrong_is_an_error_and_the_connection_is_kept(way: Way) {
    for length in ["1", "100"] {
        let rig = Rig::new(way, move |mut line| async move {
            let asked = line.asked().await?.unwrap();
            let block = [&[STATUS_200][..], &literal("content-length", length)].concat();
            line.write(&headers(asked.stream, &block, 0)).await?;
            line.write(&data(asked.stream, b"ten bytes.", END_STREAM)).await?;
            line.echo().await
        })
        .await;
        let error = rig.get().await.unwrap_err();
        assert!(
            matches!(
                error,
                SendError::Protocol { .. }
                    | SendError::ConnectionReset {
                        when: ResetPoint::InBody,
                        ..
                    }
            ),
            "{error:?}"
        );
        assert!(!error.is_unprocessed());
        assert_eq!(rig.is_sound().await.idle, 1);
    }
}

async fn a_megabyte_of_headers_is_refused(way: Way) {
    // In one header, and in many.
    for (count, size) in [(1, 1 << 20), (128, 8 << 10)] {
        let rig = Rig::new(way, move |mut line| async move {
            let asked = line.asked().await?.unwrap();
            let value = "x".repeat(size);
            if !way.http2 {
                line.write(b"HTTP/1.1 200 OK\r\n").await?;
                for number in 0..count {
                    line.write(format!("x-{number}: {value}\r\n").as_bytes()).await?;
                }
                line.write(b"\r\n").await?;
                return line.listen().await;
            }
            let mut block = vec![STATUS_200];
            for number in 0..count {
                block.extend(literal(&format!("x-{number}"), &value));
            }
            let mut pieces = block.chunks(16_384).peekable();
            let mut kind = HEADERS;
            while let Some(piece) = pieces.next() {
                let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
                line.write(&frame(kind, flags, asked.stream, piece)).await?;
                kind = CONTINUATION;
            }
            line.echo().await
        })
        .await;
        let error = rig.get().await.unwrap_err();
        let expected = if way.http2 {
            ["protocol", "headers-too-large"]
        } else {
            ["headers-too-large"; 2]
        };
        assert!(expected.contains(&error.kind()), "{error:?}");
        assert!(!error.is_unprocessed());
        let stats = rig.is_sound().await;
        assert!(stats.bytes_received < 2 << 20);
    }
}

/// What counts is what comes out, not what goes in.
async fn a_gzip_bomb_runs_into_the_limit(way: Way) {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![0; 64 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    const LIMIT: u64 = 1 << 20;
    let config = PoolConfig {
        max_response_bytes: LIMIT,
        ..way.config(4)
    };
    let sent = bomb.clone();
    let rig = Rig::with(way, config, move |mut line| {
        let bomb = sent.clone();
        async move {
            let asked = line.asked().await?.unwrap();
            if way.http2 {
                let block = [&[STATUS_200][..], &literal("content-encoding", "gzip")].concat();
                line.write(&headers(asked.stream, &block, 0)).await?;
                for piece in bomb.chunks(16_384) {
                    line.write(&data(asked.stream, piece, 0)).await?;
                }
                line.write(&data(asked.stream, &[], END_STREAM)).await?;
            } else {
                let length = bomb.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n");
                line.write(head.as_bytes()).await?;
                line.write(&bomb).await?;
            }
            line.echo().await
        }
    })
    .await;
    let error = rig.get().await.unwrap_err();
    let too_large = |error: &SendError| matches!(error, SendError::ResponseTooLarge { limit: LIMIT, .. });
    assert!(too_large(&error), "{error:?}");
    rig.is_sound().await;
}

over_every_way!(a_megabyte_of_headers_is_refused, a_gzip_bomb_runs_into_the_limit);
over_http1!(
    a_body_shorter_than_its_length_is_an_error,
    what_follows_a_body_is_never_taken_for_the_next_answer,
    a_chunk_that_is_not_one_breaks_the_body,
);
over_http2!(a_stream_whose_length_is_wrong_is_an_error_and_the_connection_is_kept);
