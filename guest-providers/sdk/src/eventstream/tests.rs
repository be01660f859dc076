//! The reader against messages put together here, cut, shortened and damaged everywhere.

use super::*;

/// A message as the protocol wants it.
fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(u8::try_from(name.len()).unwrap());
        block.extend_from_slice(name.as_bytes());
        block.push(7);
        block.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    framed(&block, payload)
}

fn framed(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(PRELUDE + headers.len() + payload.len() + CHECKSUM).unwrap();
    let mut message = length.to_be_bytes().to_vec();
    message.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&checksum(&message).to_be_bytes());
    message.extend_from_slice(headers);
    message.extend_from_slice(payload);
    message.extend_from_slice(&checksum(&message).to_be_bytes());
    message
}

/// Everything read of `bytes`, given in pieces of `size`, and whether the end came between two messages.
fn read(bytes: &[u8], size: usize) -> Result<(Vec<Message>, bool), Corrupt> {
    let mut parser = Parser::default();
    let mut messages = Vec::new();
    for piece in bytes.chunks(size) {
        parser.push(piece, &mut messages)?;
    }
    Ok((messages, parser.is_between_messages()))
}

fn stream() -> Vec<u8> {
    [
        message(
            &[(":message-type", "event"), (":event-type", "messageStart")],
            b"{\"role\":\"assistant\"}",
        ),
        message(&[(":message-type", "event"), (":event-type", "größe")], &[7; 300]),
        message(&[], b""),
        message(
            &[
                (":message-type", "exception"),
                (":exception-type", "throttlingException"),
            ],
            b"{}",
        ),
    ]
    .concat()
}

/// The first example of the specification's own test vectors: no headers, no payload.
#[test]
fn the_smallest_message_is_that_of_the_specification() {
    let published = [
        0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff,
    ];
    assert_eq!(framed(b"", b""), published);
    assert_eq!(read(&published, 16).unwrap().0.len(), 1);
}

#[test]
fn the_same_messages_come_out_however_the_bytes_are_cut() {
    let bytes = stream();
    let (whole, ended) = read(&bytes, bytes.len()).unwrap();
    assert!(ended);
    assert_eq!(whole.len(), 4);
    assert_eq!(whole[0].header(":event-type"), Some("messageStart"));
    assert_eq!(whole[0].payload, b"{\"role\":\"assistant\"}");
    assert_eq!(whole[1].header(":event-type"), Some("größe"));
    assert_eq!(whole[2].header(":event-type"), None);
    for size in [1, 2, 3, 7, 64, 500] {
        assert_eq!(
            read(&bytes, size).unwrap(),
            (whole.clone(), true),
            "in pieces of {size}"
        );
    }
}

#[test]
fn a_stream_cut_short_gives_its_whole_messages_and_says_that_it_was_cut() {
    let bytes = stream();
    let (whole, _) = read(&bytes, bytes.len()).unwrap();
    let mut ends = vec![0];
    for message in [0, 1, 2, 3] {
        let start = ends[message];
        ends.push(start + number(&bytes[start..start + 4]) as usize);
    }
    for end in 0..=bytes.len() {
        let (messages, ended) = read(&bytes[..end], 64).unwrap();
        let expected = ends.iter().filter(|known| **known != 0 && **known <= end).count();
        assert_eq!(messages, whole[..expected], "cut at {end}");
        assert_eq!(ended, ends.contains(&end), "cut at {end}");
    }
}

#[test]
fn no_damaged_byte_passes() {
    let bytes = stream();
    let (whole, _) = read(&bytes, bytes.len()).unwrap();
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            // A damaged length may ask for more than there is: then the end comes inside a message.
            let untouched = match read(&damaged, 64) {
                Err(_) => continue,
                Ok((messages, ended)) => {
                    assert!(!ended, "byte {at} damaged by {flip}: taken for a whole stream");
                    messages
                }
            };
            assert_eq!(untouched, whole[..untouched.len()], "byte {at} damaged by {flip}");
        }
    }
}

#[test]
fn headers_of_every_type_are_told_apart() {
    let mut block = Vec::new();
    let values: [&[u8]; 10] = [
        &[0],
        &[1],
        &[2, 9],
        &[3, 0, 9],
        &[4, 0, 0, 0, 9],
        &[5, 0, 0, 0, 0, 0, 0, 0, 9],
        &[6, 0, 2, 9, 9],
        &[7, 0, 1, b'x'],
        &[8, 0, 0, 0, 0, 0, 0, 0, 9],
        &[9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    ];
    for value in values {
        block.extend_from_slice(&[1, b'a']);
        block.extend_from_slice(value);
    }
    let (messages, _) = read(&framed(&block, b"p"), 7).unwrap();
    assert_eq!(messages[0].headers, [("a".to_owned(), "x".to_owned())]);
    assert_eq!(messages[0].payload, b"p");
}

#[test]
fn headers_that_lie_about_themselves_are_refused() {
    let blocks: [&[u8]; 6] = [
        &[5, b'a'],
        &[1, b'a'],
        &[1, b'a', 7, 0],
        &[1, b'a', 7, 0, 9, b'x'],
        &[1, b'a', 10],
        &[1, b'a', 7, 0, 1, 0xff],
    ];
    for block in blocks {
        let error = read(&framed(block, b"payload"), 64).unwrap_err();
        assert!(error.0.contains("headers"), "{block:?}: {error:?}");
    }
}

#[test]
fn lengths_no_message_has_are_refused_before_it_is_waited_for() {
    let prelude = |length: u32, headers: u32| {
        let mut prelude = [length.to_be_bytes(), headers.to_be_bytes()].concat();
        prelude.extend_from_slice(&checksum(&prelude).to_be_bytes());
        prelude
    };
    assert!(read(&prelude(u32::MAX, 0), 64).unwrap_err().0.contains("16 MiB"));
    assert!(read(&prelude(0, 0), 64).unwrap_err().0.contains("shorter"));
    assert!(read(&prelude(20, 5), 64).unwrap_err().0.contains("shorter"));
    assert!(read(&prelude(20, u32::MAX), 64).unwrap_err().0.contains("shorter"));
    assert!(read(&prelude(20, 4), 64).is_ok());
    assert!(read(b"<html><body>no</body></html>", 64).is_err());
}
