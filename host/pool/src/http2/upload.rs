//! The body of a request on its way into a stream.

use std::task::{Context, Poll};

use bytes::Bytes;
use h2::SendStream;

use crate::outgoing::OutgoingBody;

/// What is left of a request's body, and the stream it goes into. A stream is reset when both its halves are dropped
/// and this one has not ended.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    body: OutgoingBody,
}

impl Upload {
    pub fn new(stream: SendStream<Bytes>, body: OutgoingBody) -> Self {
        Self { stream, body }
    }

    /// Hands over what the peer's windows take. Ready when nothing more is to be sent: all of it has been taken, or the
    /// peer wants no more of it.
    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.body.is_empty() {
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(());
            }
            self.stream.reserve_capacity(self.body.next_length());
            let granted = match self.stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(granted))) => granted,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            };
            if granted == 0 {
                continue;
            }
            let piece = self.body.take(granted);
            if self.stream.send_data(piece, self.body.is_empty()).is_err() {
                return Poll::Ready(());
            }
        }
        Poll::Ready(())
    }
}

/// Works on the upload, and lets go of it when nothing more is to be sent.
pub(super) fn advance(upload: &mut Option<Upload>, cx: &mut Context<'_>) {
    if upload.as_mut().is_some_and(|upload| upload.poll_taken(cx).is_ready()) {
        *upload = None;
    }
}
