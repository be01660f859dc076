//! A provider's events passed on to the caller as they come.

use wit_bindgen::rt::async_support::{FutureWriter, StreamWriter};

use crate::events::Framing;
use crate::{Error, Events, sse};

/// A provider's events understood: one event in, any number of items out.
pub trait Decode<E = sse::Event> {
    /// What the capability's stream carries.
    type Item: 'static;

    /// Appends what `event` means.
    ///
    /// # Errors
    /// What the event says went wrong, or `malformed-response`. The stream ends with it.
    fn event(&mut self, event: &E, items: &mut Vec<Self::Item>) -> Result<(), Error>;

    /// Whether nothing of worth can follow.
    fn is_done(&self) -> bool;

    /// Called when the answer has ended; appends what was kept for the end.
    ///
    /// # Errors
    /// `malformed-response` if something is missing.
    fn end(&mut self, items: &mut Vec<Self::Item>) -> Result<(), Error>;
}

/// What events gave: their items, and how far the stream is. Items that came before an error come with it.
pub type Given<T> = (Vec<T>, Result<Progress, Error>);

/// The items of the next events; none at the end of the whole answer.
pub async fn next<F: Framing, D: Decode<F::Event>>(events: &mut Events<F>, decoder: &mut D) -> Given<D::Item> {
    let mut items = Vec::new();
    let progress = match events.read().await {
        Ok(Some(batch)) => decode(&batch, decoder, &mut items),
        Ok(None) => decoder.end(&mut items).map(|()| Progress::Ended),
        Err(error) => Err(error),
    };
    (items, progress)
}

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More may come.
    Going,
    /// All has come, though the body may not have ended.
    Ended,
}

/// Passes on what is left of an answer, after what [`next`] gave already, and tells `done` how it ended.
///
/// Returns at once; the work goes on after the exported function has returned. When the caller drops the stream, the
/// exchange is cancelled.
pub fn forward<F: Framing + 'static, D: Decode<F::Event> + 'static>(
    events: Events<F>,
    decoder: D,
    first: Given<D::Item>,
    writer: StreamWriter<D::Item>,
    done: FutureWriter<Result<(), Error>>,
) {
    wit_bindgen::spawn_local(async move {
        let result = pump(events, decoder, first, writer).await;
        // The one error here is that nobody listens.
        _ = done.write(result).await;
    });
}

async fn pump<F: Framing, D: Decode<F::Event>>(
    mut events: Events<F>,
    mut decoder: D,
    (mut items, mut progress): Given<D::Item>,
    mut writer: StreamWriter<D::Item>,
) -> Result<(), Error> {
    loop {
        if !items.is_empty() && !writer.write_all(items).await.is_empty() {
            return Ok(());
        }
        match progress? {
            Progress::Going => (items, progress) = next(&mut events, &mut decoder).await,
            Progress::Ended => break,
        }
    }
    drop(writer);
    events.drain().await;
    Ok(())
}

fn decode<E, D: Decode<E>>(batch: &[E], decoder: &mut D, items: &mut Vec<D::Item>) -> Result<Progress, Error> {
    for event in batch {
        decoder.event(event, items)?;
        if decoder.is_done() {
            return decoder.end(items).map(|()| Progress::Ended);
        }
    }
    Ok(Progress::Going)
}
