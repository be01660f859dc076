//! The body of an answer, which holds the lease of its connection until the last byte.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::admission::Protocol;
use crate::core::Lease;
use crate::error::{ResetPoint, SendError};
use crate::exchange::{Answer, Keeping};
use crate::options::{Deadlines, later};
use crate::origin::Origin;
use crate::outgoing::Progress;
use crate::reason::CloseReason;
use crate::record::Record;

/// The body of an answer.
///
/// It holds the connection: reading it to its end gives the connection back, dropping it early closes an HTTP/1.1
/// connection and resets an HTTP/2 stream. While it is read, the deadlines between bytes and in total apply, and the
/// limit on its length. Time in which nobody asks for more is not counted as the server's silence.
#[derive(Debug)]
pub struct ResponseBody {
    /// `None` once the body has ended, well or badly. Dropped first: hyper closes the connection when the incoming body
    /// is dropped, and the lease knows why.
    held: Option<Held>,
    incoming: Option<Incoming>,
}

/// What goes when the body ends.
#[derive(Debug)]
struct Held {
    lease: Lease,
    record: Record,
    keeping: Keeping,
    progress: Arc<Progress>,
    status: StatusCode,
    origin: Origin,
    read: Duration,
    total: Option<(Instant, Duration)>,
    taken: u64,
    limit: u64,
    /// Since when the caller waits for the next piece.
    silent_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl ResponseBody {
    /// The body of `answer`, or why it is not accepted. An empty one gives the connection back at once.
    pub(crate) fn new(
        answer: Answer,
        record: Record,
        origin: Origin,
        deadlines: &Deadlines,
        limit: u64,
    ) -> Result<http::Response<Self>, SendError> {
        let Answer {
            response,
            mut lease,
            keeping,
            progress,
        } = answer;
        let (head, incoming) = response.into_parts();
        if incoming.size_hint().lower() > limit {
            lease.expect(CloseReason::TooLarge);
            let error = SendError::ResponseTooLarge { origin, limit };
            record.fail(&error);
            return Err(error);
        }
        lease.expect(CloseReason::BodyDropped);
        let held = Held {
            lease,
            record,
            keeping,
            progress,
            status: head.status,
            origin,
            read: deadlines.read,
            total: deadlines.total_at().zip(deadlines.total),
            taken: 0,
            limit,
            silent_since: None,
            timer: None,
        };
        let mut body = Self {
            incoming: Some(incoming),
            held: Some(held),
        };
        body.finish_if_ended();
        Ok(http::Response::from_parts(head, body))
    }

    /// What ends with the body; `None` if it has ended already.
    pub(crate) fn record(&mut self) -> Option<&mut Record> {
        self.held.as_mut().map(|held| &mut held.record)
    }

    fn finish_if_ended(&mut self) {
        if self.incoming.as_ref().is_none_or(Body::is_end_stream) {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let Some(Held {
            lease,
            record,
            keeping,
            progress,
            status,
            ..
        }) = self.held.take()
        else {
            return;
        };
        match keeping {
            // The answer came before the request was taken, and the rest of it would wait on the stream for ever.
            Keeping::Kept(_) if lease.protocol() == Protocol::Http2 && !progress.is_complete() => {
                lease.retire(CloseReason::RequestUnfinished);
            }
            Keeping::Kept(keep_alive) => lease.finish(keep_alive),
            Keeping::Closed => lease.retire(CloseReason::ServerAsked),
        }
        record.succeed(status);
    }

    fn fail(&mut self, reason: CloseReason, error: SendError) -> SendError {
        if let Some(Held { mut lease, record, .. }) = self.held.take() {
            if lease.protocol() == Protocol::Http2 {
                // The stream is reset before its place is free for another.
                self.incoming = None;
            }
            lease.expect(reason);
            record.fail(&error);
        }
        error
    }

    fn broken(&mut self, source: hyper::Error) -> Option<SendError> {
        let held = self.held.as_ref()?;
        let (control, origin) = (held.lease.control(), held.origin.clone());
        let reason = control.reason();
        let error = if control.is_closed_with_the_pool() {
            held.lease.closed_error()
        } else if source.is_parse() {
            SendError::Protocol { origin, source }
        } else {
            SendError::ConnectionReset {
                origin,
                when: ResetPoint::InBody,
                maybe_processed: true,
                source,
            }
        };
        Some(self.fail(reason, error))
    }
}

impl Held {
    /// Counts a piece. Returns whether the body is still within its limit.
    fn take(&mut self, frame: &Frame<Bytes>) -> bool {
        self.silent_since = None;
        self.taken += frame.data_ref().map_or(0, |data| data.len() as u64);
        self.taken <= self.limit
    }

    /// The whole exchange has taken too long, however fast its pieces come.
    fn out_of_time(&self) -> Option<SendError> {
        let (at, limit) = self.total?;
        let origin = self.origin.clone();
        (at <= Instant::now()).then_some(SendError::TotalTimeout { origin, limit })
    }

    /// Waits for the nearer of the two deadlines.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<SendError> {
        loop {
            let now = Instant::now();
            let silent_until = later(*self.silent_since.get_or_insert(now), self.read);
            let origin = self.origin.clone();
            if let Some((at, limit)) = self.total
                && at <= now
            {
                return Poll::Ready(SendError::TotalTimeout { origin, limit });
            }
            if silent_until <= now {
                return Poll::Ready(SendError::ReadTimeout {
                    origin,
                    limit: self.read,
                });
            }
            let due = self.total.map_or(silent_until, |(at, _)| at.min(silent_until));
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            // A timer that goes off too early is set again then; moving it for every piece would cost more.
            if due < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let this = &mut *self;
        if this.held.is_none() {
            return Poll::Ready(None);
        }
        if let Some(error) = this.held.as_ref().and_then(Held::out_of_time) {
            return Poll::Ready(Some(Err(this.fail(CloseReason::TimedOut, error))));
        }
        let Some(incoming) = &mut this.incoming else {
            return Poll::Ready(None);
        };
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(held) = &mut this.held
                    && !held.take(&frame)
                {
                    let (origin, limit) = (held.origin.clone(), held.limit);
                    let error = SendError::ResponseTooLarge { origin, limit };
                    return Poll::Ready(Some(Err(this.fail(CloseReason::TooLarge, error))));
                }
                this.finish_if_ended();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(source))) => Poll::Ready(this.broken(source).map(Err)),
            Poll::Ready(None) => {
                this.finish();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let Some(held) = &mut this.held else {
                    return Poll::Ready(None);
                };
                match held.poll_overdue(cx) {
                    Poll::Ready(error) => Poll::Ready(Some(Err(this.fail(CloseReason::TimedOut, error)))),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() || self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
