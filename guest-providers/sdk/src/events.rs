//! An answer that comes in events: server-sent ones, or the messages of AWS's event stream.

use wit_bindgen::StreamResult;
use wit_bindgen::{FutureReader, StreamReader};

use crate::request::Refusal;
use crate::response::is_success;
use crate::types::HttpError;
use crate::{Error, eventstream, failure, pooled_http, sse};

/// Bytes asked for at once: what one TLS record holds.
const READ_SIZE: usize = 16 << 10;

/// Most bytes read of a refusal: enough for its words.
const MAX_REFUSAL: usize = 64 << 10;

/// How a body is cut into events.
pub trait Framing: Default {
    /// What one event is.
    type Event;

    /// What the answer is asked to be, in the header `accept`.
    const MEDIA_TYPE: &str;

    /// Takes the next bytes; appends the events that are complete with them.
    ///
    /// # Errors
    /// `malformed-response`, after which the answer can't be read on.
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Self::Event>) -> Result<(), Error>;

    /// The event that was under way when the body ended.
    ///
    /// # Errors
    /// `malformed-response` if the body must not end there.
    fn finish(&mut self) -> Result<Option<Self::Event>, Error>;
}

impl Framing for sse::Parser {
    type Event = sse::Event;

    const MEDIA_TYPE: &str = "text/event-stream";

    fn push(&mut self, bytes: &[u8], events: &mut Vec<sse::Event>) -> Result<(), Error> {
        self.push(bytes, events)
            .map_err(|sse::TooLong| failure::malformed("an event of the stream is longer than 16 MiB"))
    }

    fn finish(&mut self) -> Result<Option<sse::Event>, Error> {
        Ok(self.finish())
    }
}

impl Framing for eventstream::Parser {
    type Event = eventstream::Message;

    const MEDIA_TYPE: &str = "application/vnd.amazon.eventstream";

    fn push(&mut self, bytes: &[u8], messages: &mut Vec<eventstream::Message>) -> Result<(), Error> {
        self.push(bytes, messages)
            .map_err(|eventstream::Corrupt(reason)| failure::malformed(format!("the event stream: {reason}")))
    }

    fn finish(&mut self) -> Result<Option<eventstream::Message>, Error> {
        if self.is_between_messages() {
            Ok(None)
        } else {
            Err(failure::malformed("the event stream ended inside a message"))
        }
    }
}

/// The events of an answer of status 2xx. Dropping it cancels the exchange.
#[derive(Debug)]
pub struct Events<F = sse::Parser> {
    /// None once it has ended: to read on would trap.
    body: Option<StreamReader<u8>>,
    done: Option<FutureReader<Result<(), HttpError>>>,
    buffer: Vec<u8>,
    parser: F,
}

impl<F: Framing> Events<F> {
    /// The answer's events, or the error it means.
    ///
    /// # Errors
    /// What `refusal` reads in an answer of another status than 2xx.
    pub async fn accept(answer: pooled_http::StreamingResponse, refusal: Refusal) -> Result<Self, Error> {
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
            parser: F::default(),
        };
        if is_success(status) {
            return Ok(events);
        }
        let mut words = Vec::new();
        while words.len() < MAX_REFUSAL && events.read_bytes().await {
            words.extend_from_slice(&events.buffer);
        }
        Err(refusal(status, &headers, &words))
    }

    /// The next events, at least one; none at the end of the whole answer.
    ///
    /// # Errors
    /// `http` if the answer broke off, `malformed-response` if it can't be cut into events.
    pub async fn read(&mut self) -> Result<Option<Vec<F::Event>>, Error> {
        let mut events = Vec::new();
        while events.is_empty() {
            if self.read_bytes().await {
                self.parser.push(&self.buffer, &mut events)?;
                continue;
            }
            let Some(done) = self.done.take() else { return Ok(None) };
            done.await.map_err(Error::Http)?;
            match self.parser.finish()? {
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
