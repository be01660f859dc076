//! An answer in events, from the request to its first chunk.

use weir_guest::chat::{Decoder, begin};
use weir_guest::types::Error;
use weir_guest::{Request, sse};

use super::streamed::Chunks;

/// An answer whose first chunk has come.
pub type Streamed<D> = weir_guest::chat::Streamed<sse::Parser, D>;

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
pub async fn stream_as<D: Decoder + Default>(request: Request, asked: String) -> Result<Streamed<D>, Error> {
    begin(request.send_streaming().await?, D::default(), asked).await
}
