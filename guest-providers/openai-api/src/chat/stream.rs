//! An answer in events, from its first chunk to the caller.

use weir_guest::types::Error;
use weir_guest::wit_bindgen::rt::async_support::{FutureWriter, StreamWriter};
use weir_guest::{Events, Request, failure, streaming};

use super::Event;
use super::streamed::Chunks;

/// What understands the events of an answer.
pub trait Decoder: streaming::Decode<Item = Event> + Default + 'static {
    /// Whether the answer has begun.
    fn has_begun(&self) -> bool;

    /// The model that answers, where the server tells it.
    fn model(&self) -> Option<String>;
}

/// An answer whose first chunk has come.
pub struct Streamed<D> {
    events: Events,
    decoder: D,
    first: (Vec<Event>, Result<streaming::Progress, Error>),
    model: String,
}

/// Sends `request` and waits for the answer's first chunk. `asked` is the model where the server names none.
///
/// # Errors
/// As [`Request::send_streaming`]; what the server said in the place of a chunk, `malformed-response` where there is none.
pub async fn stream(request: Request, asked: String) -> Result<Streamed<impl Decoder>, Error> {
    stream_as::<Chunks>(request, asked).await
}

/// As [`stream`], of an answer in events of another kind.
///
/// # Errors
/// As [`stream`].
pub async fn stream_as<D: Decoder>(request: Request, asked: String) -> Result<Streamed<D>, Error> {
    let mut events = request.send_streaming().await?;
    let mut decoder = D::default();
    let mut first = streaming::next(&mut events, &mut decoder).await;
    while !decoder.has_begun() && matches!(first.1, Ok(streaming::Progress::Going)) {
        first = streaming::next(&mut events, &mut decoder).await;
    }
    if !decoder.has_begun() {
        first.1?;
        return Err(failure::malformed("the stream ended before its first chunk"));
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
pub fn given_up() -> Result<(), Error> {
    Err(failure::malformed("the answer was given up"))
}

impl<D: Decoder> Streamed<D> {
    /// Passes the events on, and returns the model that answers. Returns at once ([`streaming::forward`]).
    pub fn forward(self, writer: StreamWriter<Event>, done: FutureWriter<Result<(), Error>>) -> String {
        streaming::forward(self.events, self.decoder, self.first, writer, done);
        self.model
    }
}
