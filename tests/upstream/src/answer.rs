//! An answer's body, and what is held until its last byte.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};

use crate::{connection::Busy, counters::OpenRequest};

/// What is held while a request is being answered.
#[derive(Debug)]
pub(crate) struct Ticket {
    open: OpenRequest,
    _busy: Busy,
}

impl Ticket {
    pub(crate) fn new(open: OpenRequest, busy: Busy) -> Self {
        Self { open, _busy: busy }
    }

    /// The answer, holding the ticket until its last byte.
    pub(crate) fn with(self, answer: Response<Body>) -> Response<AnswerBody> {
        answer.map(|body| AnswerBody::new(body, self))
    }
}

/// An answer's body, which ends the count of its request with its last byte.
pub(crate) struct AnswerBody {
    body: Body,
    ticket: Option<Ticket>,
}

impl AnswerBody {
    fn new(body: Body, ticket: Ticket) -> Self {
        let mut answer = Self {
            body,
            ticket: Some(ticket),
        };
        answer.finish_at_the_end();
        answer
    }

    fn finish_at_the_end(&mut self) {
        if self.body.is_end_stream()
            && let Some(ticket) = self.ticket.take()
        {
            ticket.open.finish();
        }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(_))) => self.finish_at_the_end(),
            Poll::Ready(None) => {
                if let Some(ticket) = self.ticket.take() {
                    ticket.open.finish();
                }
            }
            Poll::Ready(Some(Err(_))) => drop(self.ticket.take()),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
