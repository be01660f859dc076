//! An answer in events, from its first chunk to the caller.

use weir_guest::types::Error;
use weir_guest::wit_bindgen::rt::async_support::{FutureWriter, StreamWriter};
use weir_guest::{Events, Request, failure, streaming};

use super::Event;
use super::streamed::Decoder;

/// An answer whose first chunk has come.
pub struct Streamed {
    events: Events,
    decoder: Decoder,
    first: (Vec<Event>, Result<streaming::Progress, Error>),
    model: String,
}

/// Sends `request` and waits for the answer's first chunk. `asked` is the model where the server names none.
///
/// # Errors
/// As [`Request::send_streaming`]; what the server said in the place of a chunk, `malformed-response` where there is none.
pub async fn stream(request: Request, asked: String) -> Result<Streamed, Error> {
    let mut events = request.send_streaming().await?;
    let mut decoder = Decoder::default();
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

impl Streamed {
    /// Passes the events on, and returns the model that answers. Returns at once ([`streaming::forward`]).
    pub fn forward(self, writer: StreamWriter<Event>, done: FutureWriter<Result<(), Error>>) -> String {
        streaming::forward(self.events, self.decoder, self.first, writer, done);
        self.model
    }
}
