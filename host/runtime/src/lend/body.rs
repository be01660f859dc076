//! An answer's body as a guest may see it: [`LentBody`]; and as a stream of the contract.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, FutureProducer, StreamProducer, StreamResult};
use weir_pool::{ResponseBody, SendError};

use crate::bindings::v0_1_0::types::HttpError;
use crate::instance::state::{CallContext, InstanceState};
use crate::lend::failure::http_error;
use crate::lend::http::{Answer, LentHttp};
use crate::lend::redact::Pieces;

/// The two ends a guest is given: the bytes, and how they ended.
pub(super) fn stream(answer: Answer, http: Arc<LentHttp>, call: Arc<CallContext>) -> (BodyProducer, Done) {
    let (sender, receiver) = oneshot::channel();
    (
        BodyProducer {
            body: LentBody::new(answer, http, call),
            done: Some(sender),
        },
        Done(receiver),
    )
}

/// The body without the provider's secrets. It counts as a request of its call in flight.
pub(super) struct LentBody {
    body: ResponseBody,
    _permit: OwnedSemaphorePermit,
    _call: Arc<CallContext>,
    http: Arc<LentHttp>,
    pieces: Pieces,
}

impl LentBody {
    pub(super) fn new(answer: Answer, http: Arc<LentHttp>, call: Arc<CallContext>) -> Self {
        LentBody {
            body: answer.body,
            _permit: answer.permit,
            _call: call,
            http,
            pieces: Pieces::default(),
        }
    }
}

impl Body for LentBody {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let LentBody { body, http, pieces, .. } = &mut *self;
        loop {
            let piece = match ready!(Pin::new(&mut *body).poll_frame(context)) {
                // Trailers and empty frames carry nothing for the guest.
                Some(Ok(frame)) => pieces.redact(&http.redactor, frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => match pieces.last() {
                    Some(last) => last,
                    None => return Poll::Ready(None),
                },
            };
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
    }
}

/// Reads the body as the guest asks for it, so that a guest that does not read holds the peer back.
pub(super) struct BodyProducer {
    body: LentBody,
    done: Option<oneshot::Sender<Result<(), HttpError>>>,
}

impl BodyProducer {
    fn finish(&mut self, result: Result<(), HttpError>) -> Poll<wasmtime::Result<StreamResult>> {
        if let Some(done) = self.done.take() {
            // The guest may have dropped its end.
            let _ = done.send(result);
        }
        Poll::Ready(Ok(StreamResult::Dropped))
    }
}

impl StreamProducer<InstanceState> for BodyProducer {
    type Item = u8;
    type Buffer = Bytes;

    fn poll_produce(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        _store: StoreContextMut<InstanceState>,
        mut destination: Destination<'_, u8, Bytes>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                destination.set_buffer(frame.into_data().unwrap_or_default());
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(Some(Err(error))) => self.finish(Err(http_error(error))),
            Poll::Ready(None) => self.finish(Ok(())),
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// How the body ended.
pub(super) struct Done(oneshot::Receiver<Result<(), HttpError>>);

impl FutureProducer<InstanceState> for Done {
    type Item = Result<(), HttpError>;

    fn poll_produce(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        _store: StoreContextMut<InstanceState>,
        finish: bool,
    ) -> Poll<wasmtime::Result<Option<Self::Item>>> {
        match Pin::new(&mut self.0).poll(context) {
            Poll::Ready(Ok(result)) => Poll::Ready(Ok(Some(result))),
            // The guest dropped the body before its end: it knows how the exchange ended.
            Poll::Ready(Err(_)) => Poll::Ready(Ok(Some(Ok(())))),
            Poll::Pending if finish => Poll::Ready(Ok(None)),
            Poll::Pending => Poll::Pending,
        }
    }
}
