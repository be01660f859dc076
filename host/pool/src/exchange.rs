//! One request on one connection, up to the head of its answer.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Response, header};
use tokio::time::{Instant, sleep_until};

use crate::admission::Protocol;
use crate::connect::Unanswered;
use crate::core::{Control, Core, Lease};
use crate::error::{ResetPoint, SendError, TransportError};
use crate::incoming::Incoming;
use crate::options::{Deadlines, later};
use crate::outgoing::{Outgoing, Progress};
use crate::reason::CloseReason;

/// The head of an answer, its body still to come over the leased connection.
pub(crate) struct Answer {
    pub response: Response<Incoming>,
    pub lease: Lease,
    pub keeping: Keeping,
    /// How far the request has been taken.
    pub progress: Arc<Progress>,
    /// Whether the caller is to get it decompressed.
    pub decodes: bool,
}

/// What the server said about the connection's future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// Nothing, or for how long it keeps it.
    Kept(Option<Duration>),
    /// That it closes it after this answer.
    Closed,
}

/// An exchange that came to nothing, and whether another connection may do better.
#[derive(Debug)]
pub(crate) struct Failure {
    pub error: SendError,
    /// Sending the request once more is safe, and a fresh connection has a chance.
    pub replay: bool,
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        Self { error, replay: false }
    }
}

/// Sends the request and waits for the head of its answer.
pub(crate) async fn exchange(
    core: &Core,
    mut lease: Lease,
    outgoing: &Outgoing,
    deadlines: &Deadlines,
    now: Instant,
) -> Result<Answer, Failure> {
    let (request, progress) = outgoing.to_request(lease.protocol(), core.forwarding(&outgoing.origin), now);
    let watch = Watch::new(&lease, progress, deadlines, now);
    let Some(answer) = lease.send(request, now) else {
        return Err(core.closed_error().into());
    };
    let mut answer = std::pin::pin!(answer);
    // Declared after the answer, so that it is dropped first: hyper closes the connection when the answer is dropped, and
    // the lease knows why.
    let mut lease = lease;
    let mut timer = std::pin::pin!(sleep_until(watch.first_look()));
    let answered = loop {
        tokio::select! {
            biased;
            answered = &mut answer => break answered,
            () = &mut timer => match watch.look(lease.control(), Instant::now()) {
                Ok(next) => timer.as_mut().reset(next),
                Err(overdue) => {
                    lease.expect(CloseReason::TimedOut);
                    return Err(overdue.named(outgoing, deadlines).into());
                }
            },
        }
    };
    match answered {
        Ok(response) => {
            core.stats
                .first_byte
                .record(Instant::now().saturating_duration_since(now));
            let keeping = keeping(lease.protocol(), response.headers());
            Ok(Answer {
                response,
                lease,
                keeping,
                progress: watch.progress,
                decodes: outgoing.decodes,
            })
        }
        Err(Unanswered { source, untouched }) => {
            let failure = watch.diagnose(core, &lease, outgoing, source, untouched);
            lease.expect(match &failure.error {
                SendError::HeadersTooLarge { .. } => CloseReason::TooLarge,
                SendError::Protocol { .. } | SendError::InvalidRequest { .. } => CloseReason::ProtocolError,
                _ => lease.control().reason(),
            });
            if untouched {
                let reason = lease.control().reason();
                lease.retire(reason);
            }
            Err(failure)
        }
    }
}

/// Which deadline of an exchange has run out.
enum Overdue {
    Write,
    FirstByte,
}

impl Overdue {
    fn named(self, outgoing: &Outgoing, deadlines: &Deadlines) -> SendError {
        let origin = outgoing.origin.clone();
        match self {
            Self::Write => SendError::WriteTimeout {
                origin,
                limit: deadlines.write,
            },
            Self::FirstByte => SendError::FirstByteTimeout {
                origin,
                limit: deadlines.first_byte,
            },
        }
    }
}

/// Where an exchange began, to tell how far it has come.
struct Watch {
    progress: Arc<Progress>,
    protocol: Protocol,
    started: Instant,
    write: Duration,
    first_byte: Duration,
    written_before: u64,
    answered_before: u64,
}

impl Watch {
    fn new(lease: &Lease, progress: Arc<Progress>, deadlines: &Deadlines, now: Instant) -> Self {
        let meter = &lease.control().meter;
        Self {
            progress,
            protocol: lease.protocol(),
            started: now,
            write: deadlines.write,
            first_byte: deadlines.first_byte,
            written_before: meter.written(),
            answered_before: meter.answered(),
        }
    }

    fn first_look(&self) -> Instant {
        later(self.started, self.write.min(self.first_byte))
    }

    /// When to look again, or what has taken too long.
    ///
    /// The request counts as written once its body has been taken and the socket takes bytes. On a connection that
    /// carries several requests, only a blocked socket tells something about this one.
    fn look(&self, control: &Control, now: Instant) -> Result<Instant, Overdue> {
        let blocked = control.meter.is_blocked();
        let mut since = self.started.max(self.progress.last_at());
        if blocked || self.protocol == Protocol::Http1 {
            since = since.max(control.meter.last_written_at());
        }
        let writing = blocked || !self.progress.is_complete();
        let due = later(since, if writing { self.write } else { self.first_byte });
        match (due > now, writing) {
            (true, _) => Ok(due),
            (false, true) => Err(Overdue::Write),
            (false, false) => Err(Overdue::FirstByte),
        }
    }

    /// What a failed exchange means for the caller.
    fn diagnose(
        &self,
        core: &Core,
        lease: &Lease,
        outgoing: &Outgoing,
        source: TransportError,
        untouched: bool,
    ) -> Failure {
        let (control, origin) = (lease.control(), outgoing.origin.clone());
        if control.is_closed_with_the_pool() {
            return core.closed_error().into();
        }
        let limit = core.settings().config.max_response_header_bytes;
        let verdict = Verdict::of(&source);
        match verdict {
            Verdict::HeadTooLarge => return SendError::HeadersTooLarge { origin, limit }.into(),
            Verdict::Misbehaved => return SendError::Protocol { origin, source }.into(),
            Verdict::BadRequest => return SendError::InvalidRequest { reason: chain(&source) }.into(),
            Verdict::Refused | Verdict::Ended => {}
        }
        let meter = &control.meter;
        let nothing_written = self.protocol == Protocol::Http1 && meter.written() == self.written_before;
        let nothing_answered = self.protocol == Protocol::Http2 || meter.answered() == self.answered_before;
        let unprocessed = untouched || nothing_written || verdict == Verdict::Refused;
        let when = match (untouched || nothing_written, nothing_answered) {
            (true, _) => ResetPoint::BeforeRequest,
            (false, true) => ResetPoint::BeforeResponse,
            (false, false) => ResetPoint::InHead,
        };
        let stale = lease.is_reused() && nothing_answered && (unprocessed || outgoing.replay_safe);
        Failure {
            error: SendError::ConnectionReset {
                origin,
                when,
                maybe_processed: !unprocessed,
                source,
            },
            replay: verdict == Verdict::Refused || stale,
        }
    }
}

/// What hyper's error says about the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The server has not looked at the request and says so: REFUSED_STREAM, or GOAWAY with a lower last stream
    /// (RFC 9113, sections 8.7 and 6.8).
    Refused,
    /// The connection ended.
    Ended,
    HeadTooLarge,
    /// What the server sent makes no sense, or it reset the stream.
    Misbehaved,
    /// The request cannot be expressed in HTTP/2.
    BadRequest,
}

impl Verdict {
    fn of(error: &TransportError) -> Self {
        match error {
            TransportError::Http1(error) if error.is_parse_too_large() => Self::HeadTooLarge,
            TransportError::Http1(error) if error.is_parse() => Self::Misbehaved,
            // Also what hyper blames on its user: that the connection's task has gone.
            TransportError::Http1(_) => Self::Ended,
            TransportError::Http2(error) if error.is_io() => Self::Ended,
            TransportError::Http2(error) => {
                let refused = error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM);
                if error.is_remote() && refused {
                    Self::Refused
                } else if error.reason().is_none() {
                    Self::BadRequest
                } else {
                    Self::Misbehaved
                }
            }
        }
    }
}

fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// What the head of the answer says about the connection (RFC 9112, section 9.6; RFC 2068, section 19.7.1).
pub(crate) fn keeping(protocol: Protocol, headers: &HeaderMap) -> Keeping {
    if protocol == Protocol::Http2 {
        return Keeping::Kept(None);
    }
    let words = |name| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
    };
    if words(header::CONNECTION).any(|word| word.trim().eq_ignore_ascii_case("close")) {
        return Keeping::Closed;
    }
    let timeout = words(header::HeaderName::from_static("keep-alive")).find_map(|word| {
        let (name, value) = word.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("timeout")
            .then(|| value.trim().parse().ok())?
    });
    Keeping::Kept(timeout.map(Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &'static str, value: &'static str) -> Keeping {
        let headers = HeaderMap::from_iter([(
            header::HeaderName::from_static(name),
            header::HeaderValue::from_static(value),
        )]);
        keeping(Protocol::Http1, &headers)
    }

    #[test]
    fn what_the_server_says_about_the_connection_is_understood() {
        assert_eq!(
            said("keep-alive", "max=100, Timeout=5"),
            Keeping::Kept(Some(Duration::from_secs(5)))
        );
        assert_eq!(said("keep-alive", "timeout=soon"), Keeping::Kept(None));
        assert_eq!(said("connection", "Keep-Alive, Close"), Keeping::Closed);
        assert_eq!(said("content-type", "text/plain"), Keeping::Kept(None));
    }
}
