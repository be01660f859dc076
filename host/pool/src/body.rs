//! The body of an answer, which holds the lease of its connection until the last byte.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::admission::Protocol;
use crate::core::Lease;
use crate::decode::{Decoder, Undecoded};
use crate::error::{ResetPoint, SendError, TransportError};
use crate::exchange::{Answer, Keeping};
use crate::incoming::Incoming;
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
    decoder: Option<Decoder>,
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
            decodes,
        } = answer;
        let (mut head, incoming) = response.into_parts();
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
        // The answer to a HEAD has none of the body that its head speaks of.
        let decodes = decodes && !incoming.is_end_stream();
        let mut body = Self {
            decoder: decodes.then(|| Decoder::of(&mut head.headers)).flatten(),
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
        let now = Instant::now();
        let unfinished = self.incoming.as_ref().is_some_and(Incoming::is_uploading);
        if lease.protocol() == Protocol::Http2 && !progress.is_complete() {
            // The answer came before the request was taken: its stream is reset before its place is free for another.
            self.incoming = None;
        }
        match keeping {
            // The peer has not said that it wants no more of the request (RFC 9113, section 8.1), and it may have stopped
            // reading: whoever comes next would wait behind that.
            Keeping::Kept(_) if unfinished => lease.retire(CloseReason::RequestUnfinished),
            Keeping::Kept(keep_alive) => lease.finish(keep_alive, now),
            Keeping::Closed => lease.retire(CloseReason::ServerAsked),
        }
        record.succeed(status, now);
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

    /// A piece as the caller gets it: decompressed, and counted. The last one ends the exchange.
    fn taken(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, SendError> {
        let mut frame = self.decoded(frame)?;
        let ended = self.incoming.as_ref().is_none_or(Body::is_end_stream);
        if ended && let Some(rest) = self.rest()? {
            frame = frame.map_data(|data| [data, rest].concat().into());
        }
        if let Some(held) = &mut self.held
            && !held.take(&frame)
        {
            let (origin, limit) = (held.origin.clone(), held.limit);
            return Err(self.fail(CloseReason::TooLarge, SendError::ResponseTooLarge { origin, limit }));
        }
        self.finish_if_ended();
        Ok(frame)
    }

    fn decoded(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, SendError> {
        let (Some(decoder), Some(held)) = (&mut self.decoder, &self.held) else {
            return Ok(frame);
        };
        match frame.into_data() {
            Err(trailers) => Ok(trailers),
            Ok(data) => match decoder.decode(&data, held.limit.saturating_sub(held.taken)) {
                Ok(decoded) => Ok(Frame::data(decoded)),
                Err(undecoded) => {
                    let (origin, limit) = (held.origin.clone(), held.limit);
                    Err(self.undecoded(undecoded, origin, limit))
                }
            },
        }
    }

    /// What a compressed body stands for beyond its last piece, or that it is incomplete.
    fn rest(&mut self) -> Result<Option<Bytes>, SendError> {
        let (Some(mut decoder), Some(held)) = (self.decoder.take(), &self.held) else {
            return Ok(None);
        };
        match decoder.finish() {
            Ok(rest) => Ok(Some(rest).filter(|rest| !rest.is_empty())),
            Err(undecoded) => {
                let (origin, limit) = (held.origin.clone(), held.limit);
                Err(self.undecoded(undecoded, origin, limit))
            }
        }
    }

    fn undecoded(&mut self, undecoded: Undecoded, origin: Origin, limit: u64) -> SendError {
        match undecoded {
            Undecoded::TooLarge => self.fail(CloseReason::TooLarge, SendError::ResponseTooLarge { origin, limit }),
            Undecoded::Malformed(source) => self.fail(CloseReason::ProtocolError, SendError::Decode { origin, source }),
        }
    }

    fn broken(&mut self, source: TransportError) -> Option<SendError> {
        let held = self.held.as_ref()?;
        let (control, origin) = (held.lease.control(), held.origin.clone());
        let reason = control.reason();
        let error = if control.is_closed_with_the_pool() {
            held.lease.closed_error()
        } else if matches!(&source, TransportError::Http1(source) if source.is_parse()) {
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
        let origin = || self.origin.clone();
        (at <= Instant::now()).then(|| SendError::TotalTimeout {
            origin: origin(),
            limit,
        })
    }

    /// Waits for the nearer of the two deadlines.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<SendError> {
        loop {
            let now = Instant::now();
            let silent_since = *self.silent_since.get_or_insert_with(|| {
                self.lease.listen(now);
                now
            });
            let silent_until = later(silent_since, self.read);
            if let Some((at, limit)) = self.total
                && at <= now
            {
                let origin = self.origin.clone();
                return Poll::Ready(SendError::TotalTimeout { origin, limit });
            }
            if silent_until <= now {
                return Poll::Ready(SendError::ReadTimeout {
                    origin: self.origin.clone(),
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
        loop {
            let Some(incoming) = &mut this.incoming else {
                return Poll::Ready(None);
            };
            return match Pin::new(incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match this.taken(frame) {
                    // Its beginning alone stands for nothing yet.
                    Ok(frame) if this.held.is_some() && frame.data_ref().is_some_and(Bytes::is_empty) => continue,
                    taken => Poll::Ready(Some(taken)),
                },
                Poll::Ready(Some(Err(source))) => Poll::Ready(this.broken(source).map(Err)),
                Poll::Ready(None) => Poll::Ready(match this.rest() {
                    Ok(rest) => {
                        this.finish();
                        rest.map(|rest| Ok(Frame::data(rest)))
                    }
                    Err(error) => Some(Err(error)),
                }),
                Poll::Pending => {
                    let Some(held) = &mut this.held else {
                        return Poll::Ready(None);
                    };
                    match held.poll_overdue(cx) {
                        Poll::Ready(error) => Poll::Ready(Some(Err(this.fail(CloseReason::TimedOut, error)))),
                        Poll::Pending => Poll::Pending,
                    }
                }
            };
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() || self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        if self.decoder.is_some() && self.held.is_some() {
            return SizeHint::default();
        }
        self.incoming
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
