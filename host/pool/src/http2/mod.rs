//! One exchange on a stream of an HTTP/2 connection, on h2's streams.
//!
//! The exchange does its own work: whoever waits for the answer, or reads its body, also hands over what is left of the
//! request. There is no task behind a stream, so dropping the exchange at any point resets it and leaves nothing running.

mod body;
mod doubt;
mod upload;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{Request, Response};

pub(crate) use body::Http2Body;
pub(crate) use doubt::Doubt;
use upload::Upload;

use crate::outgoing::OutgoingBody;

/// A request whose answer has not begun.
pub(crate) struct Http2Exchange {
    head: ResponseFuture,
    upload: Option<Upload>,
}

impl Http2Exchange {
    /// Opens a stream for the request.
    ///
    /// # Errors
    ///
    /// If the connection takes no more streams, or the request cannot be expressed in HTTP/2; nothing was sent then.
    pub fn open(sender: &mut SendRequest<Bytes>, request: Request<OutgoingBody>) -> Result<Self, h2::Error> {
        let (head, body) = request.into_parts();
        let empty = body.is_empty();
        let (head, stream) = sender.send_request(Request::from_parts(head, ()), empty)?;
        let upload = (!empty).then(|| Upload::new(stream, body));
        Ok(Self { head, upload })
    }
}

impl Future for Http2Exchange {
    type Output = Result<Response<Http2Body>, h2::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        // Nothing is concluded from a request that is not taken any more: the answer tells (RFC 9113, section 8.1).
        upload::advance(&mut this.upload, cx);
        let answer = ready!(Pin::new(&mut this.head).poll(cx))?;
        let upload = this.upload.take();
        let (head, stream) = answer.into_parts();
        let body = Http2Body::new(stream, upload, &head.headers);
        Poll::Ready(Ok(Response::from_parts(head, body)))
    }
}
