//! An answer in events, from its first one to the caller.

use wit_bindgen::rt::async_support::{FutureWriter, StreamWriter};

use super::Event;
use crate::events::Framing;
use crate::streaming::{self, Given, Progress};
use crate::{Error, Events, failure, sse};

/// The events of a provider's stream understood as those of a conversation.
pub trait Decoder<E = sse::Event>: streaming::Decode<E, Item = Event> {
    /// Whether the answer has begun: what fails before that is an error of the call, not of its stream.
    fn has_begun(&self) -> bool;

    /// The model that answers, where the provider tells it.
    fn model(&self) -> Option<String>;
}

/// An answer that has begun.
#[derive(Debug)]
pub struct Streamed<F, D> {
    events: Events<F>,
    decoder: D,
    first: Given<Event>,
    model: String,
}

/// Waits for an answer to begin. `asked` is the model where the provider names none.
///
/// # Errors
/// What was said in the place of an answer; `malformed-response` if nothing was.
pub async fn begin<F: Framing, D: Decoder<F::Event>>(
    mut events: Events<F>,
    mut decoder: D,
    asked: String,
) -> Result<Streamed<F, D>, Error> {
    let mut first = streaming::next(&mut events, &mut decoder).await;
    while !decoder.has_begun() && matches!(first.1, Ok(Progress::Going)) {
        first = streaming::next(&mut events, &mut decoder).await;
    }
    if !decoder.has_begun() {
        first.1?;
        return Err(failure::malformed("the stream ended before the answer began"));
    }
    let model = decoder.model().unwrap_or(asked);
    Ok(Streamed {
        events,
        decoder,
        first,
        model,
    })
}

/// What an answer ends with that nobody told the end of.
///
/// # Errors
/// Always.
pub fn given_up() -> Result<(), Error> {
    Err(failure::malformed("the answer was given up"))
}

impl<F: Framing + 'static, D: Decoder<F::Event> + 'static> Streamed<F, D> {
    /// Passes the events on, and returns the model that answers. Returns at once ([`streaming::forward`]).
    pub fn forward(self, writer: StreamWriter<Event>, done: FutureWriter<Result<(), Error>>) -> String {
        streaming::forward(self.events, self.decoder, self.first, writer, done);
        self.model
    }
}
