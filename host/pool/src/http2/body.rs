//! The body of an answer as a stream brings it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};

use super::upload::{self, Upload};

/// A stream's incoming half, and what is left of the request.
pub(crate) struct Http2Body {
    stream: RecvStream,
    upload: Option<Upload>,
    data_ended: bool,
    /// What is still to come, where the peer has said. h2 holds the peer to it.
    rest: Option<u64>,
}

impl Http2Body {
    pub(super) fn new(stream: RecvStream, upload: Option<Upload>, headers: &HeaderMap) -> Self {
        let data_ended = stream.is_end_stream();
        let said = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        Self {
            stream,
            upload,
            data_ended,
            rest: if data_ended { Some(0) } else { said },
        }
    }
}

impl Http2Body {
    /// Whether the peer still awaits a part of the request.
    pub fn is_uploading(&self) -> bool {
        self.upload.is_some()
    }
}

impl Body for Http2Body {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = &mut *self;
        upload::advance(&mut this.upload, cx);
        if !this.data_ended {
            match ready!(this.stream.poll_data(cx)) {
                Some(data) => {
                    let data = data?;
                    // Whoever asked for the piece has room for it; the connection's window is shared with others.
                    this.stream.flow_control().release_capacity(data.len())?;
                    this.rest = this.rest.map(|rest| rest.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                None => this.data_ended = true,
            }
        }
        let trailers = ready!(this.stream.poll_trailers(cx))?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
