//! Messages of AWS's event stream (<https://smithy.io/2.0/aws/amazon-eventstream.html>) out of bytes that come in pieces
//! of any size.
//!
//! | bytes | are |
//! |---|---|
//! | 4, 4 | length of the message, length of its headers |
//! | 4 | CRC-32 of the bytes before |
//! | … | headers: name's length (1), name, type (1), value |
//! | … | payload |
//! | 4 | CRC-32 of the whole message before |
//!
//! Own code: `aws-smithy-eventstream` would bring the runtime types of AWS's SDK along, two dozen crates.

use crc::{CRC_32_ISO_HDLC, Crc};

use crate::sse::MAX_EVENT;

const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;

/// One message, whose checksums were right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The headers that are text. What the protocol says of a message is text: its kind, its type, its error.
    headers: Vec<(String, String)>,
    /// The payload, JSON as a rule.
    pub payload: Vec<u8>,
}

/// What can't be a message, in words. The stream can't be read on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt(pub &'static str);

/// The reader's place in the stream.
#[derive(Debug, Default)]
pub struct Parser {
    buffer: Vec<u8>,
}

impl Message {
    /// A message that did not come over the wire.
    pub fn new(headers: &[(&str, &str)], payload: &[u8]) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            headers: headers.collect(),
            payload: payload.to_vec(),
        }
    }

    /// The text of the header of that name (`:event-type`).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Parser {
    /// Takes the next bytes; appends the messages that are complete with them.
    ///
    /// # Errors
    /// [`Corrupt`], after which the stream can't be read on.
    pub fn push(&mut self, bytes: &[u8], messages: &mut Vec<Message>) -> Result<(), Corrupt> {
        self.buffer.extend_from_slice(bytes);
        let mut rest = self.buffer.as_slice();
        while let Some((message, after)) = next(rest)? {
            messages.push(message);
            rest = after;
        }
        let taken = self.buffer.len() - rest.len();
        self.buffer.drain(..taken);
        Ok(())
    }

    /// Whether the stream may end here: after a whole message.
    pub fn is_between_messages(&self) -> bool {
        self.buffer.is_empty()
    }
}

/// The first message and what follows it; none if it is not all there.
fn next(bytes: &[u8]) -> Result<Option<(Message, &[u8])>, Corrupt> {
    let Some((prelude, _)) = bytes.split_first_chunk::<PRELUDE>() else {
        return Ok(None);
    };
    let (summed, told) = prelude.split_at(PRELUDE - CHECKSUM);
    if checksum(summed) != number(told) {
        return Err(Corrupt("the checksum of a message's lengths is wrong"));
    }
    let (length, headers_length) = summed.split_at(4);
    let (length, headers_length) = (number(length) as usize, number(headers_length) as usize);
    if length > MAX_EVENT {
        return Err(Corrupt("a message is longer than 16 MiB"));
    }
    // The lengths are the message's own, so the headers must fit into it.
    let Some(payload_length) = length.checked_sub(PRELUDE + CHECKSUM + headers_length) else {
        return Err(Corrupt("a message is shorter than its headers"));
    };
    let Some((message, after)) = bytes.split_at_checked(length) else {
        return Ok(None);
    };
    let (summed, told) = message.split_at(length - CHECKSUM);
    if checksum(summed) != number(told) {
        return Err(Corrupt("the checksum of a message is wrong"));
    }
    let (head, payload) = summed.split_at(summed.len() - payload_length);
    let headers = head
        .get(PRELUDE..)
        .and_then(headers)
        .ok_or(Corrupt("a message's headers can't be read"))?;
    Ok(Some((
        Message {
            headers,
            payload: payload.to_vec(),
        },
        after,
    )))
}

/// The headers that are text, if all can be told apart.
fn headers(mut bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let mut headers = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (kind, rest) = rest.split_first()?;
        let (length, rest) = match kind {
            0 | 1 => (0, rest),
            2 => (1, rest),
            3 => (2, rest),
            4 => (4, rest),
            5 | 8 => (8, rest),
            9 => (16, rest),
            6 | 7 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        if *kind == 7 {
            let text = |bytes: &[u8]| str::from_utf8(bytes).map(str::to_owned).ok();
            headers.push((text(name)?, text(value)?));
        }
        bytes = rest;
    }
    Some(headers)
}

/// CRC-32 as in Ethernet and gzip. With a table of 1 KB: a faster one has 16 KB, and messages are short.
fn checksum(bytes: &[u8]) -> u32 {
    const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
    CRC.checksum(bytes)
}

/// A big-endian number of at most four bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests;
