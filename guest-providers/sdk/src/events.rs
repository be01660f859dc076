//! An answer that comes in server-sent events.

use wit_bindgen::StreamResult;
use wit_bindgen::{FutureReader, StreamReader};

use crate::response::is_success;
use crate::sse::{Event, Parser};
use crate::types::HttpError;
use crate::{Error, failure, pooled_http};

/// Bytes asked for at once: what one TLS record holds.
const READ_SIZE: usize = 16 << 10;

/// Most bytes read of a refusal: enough for its words.
const MAX_REFUSAL: usize = 64 << 10;

/// The events of an answer of status 2xx. Dropping it cancels the exchange.
#[derive(Debug)]
pub struct Events {
    /// None once it has ended: to read on would trap.
    body: Option<StreamReader<u8>>,
    done: Option<FutureReader<Result<(), HttpError>>>,
    buffer: Vec<u8>,
    parser: Parser,
}

impl Events {
    /// The answer's events, or the error it means.
    ///
    /// # Errors
    /// As [`failure::of_answer`] classes the status.
    pub async fn accept(answer: pooled_http::StreamingResponse) -> Result<Self, Error> {
        let pooled_http::StreamingResponse {
            status,
            headers,
            body,
            done,
        } = answer;
        let mut events = Self {
            body: Some(body),
            done: Some(done),
            buffer: Vec::new(),
            parser: Parser::default(),
        };
        if is_success(status) {
            return Ok(events);
        }
        let mut refusal = Vec::new();
        while refusal.len() < MAX_REFUSAL && events.read_bytes().await {
            refusal.extend_from_slice(&events.buffer);
        }
        Err(failure::of_answer(status, &headers, &refusal))
    }

    /// The next events, at least one; none at the end of the whole answer.
    ///
    /// # Errors
    /// `http` if the answer broke off, `malformed-response` if an event is too long to keep.
    pub async fn read(&mut self) -> Result<Option<Vec<Event>>, Error> {
        let mut events = Vec::new();
        while events.is_empty() {
            if self.read_bytes().await {
                self.parser
                    .push(&self.buffer, &mut events)
                    .map_err(|_| failure::malformed("an event of the stream is longer than 16 MiB"))?;
                continue;
            }
            let Some(done) = self.done.take() else { return Ok(None) };
            done.await.map_err(Error::Http)?;
            match self.parser.finish() {
                Some(last) => events.push(last),
                None => return Ok(None),
            }
        }
        Ok(Some(events))
    }

    /// Reads what is left and regards none of it, so that the connection can be used again.
    pub async fn drain(mut self) {
        while self.read_bytes().await {}
    }

    /// Whether there were more bytes; they are in the buffer then.
    async fn read_bytes(&mut self) -> bool {
        let Some(body) = &mut self.body else { return false };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.reserve(READ_SIZE);
        let (result, buffer) = body.read(buffer).await;
        self.buffer = buffer;
        let more = matches!(result, StreamResult::Complete(_));
        if !more {
            self.body = None;
        }
        more
    }
}
