//! The right to one exchange on a connection: [`Lease`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tokio::time::Instant;

use super::Core;
use super::control::{Control, Returned};
use crate::admission::Protocol;
use crate::connect::{Sender, Unanswered};
use crate::error::SendError;
use crate::incoming::Incoming;
use crate::outgoing::OutgoingBody;
use crate::reason::CloseReason;

/// A connection, or a stream of one, lent for one exchange.
///
/// Dropping it gives the connection back if it was not used; otherwise an HTTP/1.1 connection is closed, since nobody
/// can tell where the next answer would begin, and an HTTP/2 stream is reset.
#[derive(Debug)]
pub(crate) struct Lease {
    core: Arc<Core>,
    control: Arc<Control>,
    sender: Option<Sender>,
    reused: bool,
    /// Since when something is awaited from the peer; `None` before the request.
    listening: Option<Instant>,
    reason: CloseReason,
}

/// A peer that has been silent for this long may be gone. A caller who goes away sooner has only changed its mind.
const QUIET: Duration = Duration::from_secs(1);

impl Lease {
    pub fn new(core: Arc<Core>, control: Arc<Control>, sender: Sender, reused: bool) -> Self {
        Self {
            core,
            control,
            sender: Some(sender),
            reused,
            listening: None,
            reason: CloseReason::Cancelled,
        }
    }

    pub fn control(&self) -> &Control {
        &self.control
    }

    pub fn closed_error(&self) -> SendError {
        self.core.closed_error()
    }

    pub fn protocol(&self) -> Protocol {
        self.control.protocol()
    }

    /// Whether the connection has served, or lain idle, before.
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Whether the connection has ended since it was lent.
    pub fn is_dead(&self) -> bool {
        self.sender.as_ref().is_none_or(Sender::is_closed)
    }

    /// The reason to give if the exchange does not end well.
    pub fn expect(&mut self, reason: CloseReason) {
        self.reason = reason;
    }

    /// Hands over the request. `None` if the lease is over.
    pub fn send(
        &mut self,
        request: Request<OutgoingBody>,
        now: Instant,
    ) -> Option<impl Future<Output = Result<Response<Incoming>, Unanswered>> + Send + use<>> {
        self.listen(now);
        self.sender.as_mut().map(|sender| sender.send(request))
    }

    /// From here on something is awaited from the peer.
    pub fn listen(&mut self, now: Instant) {
        self.listening = Some(now);
    }

    /// Whether nothing has come from the peer, on any stream, though it was awaited for long.
    fn is_silent(&self) -> bool {
        self.listening.is_some_and(|since| {
            let heard = self.control.meter.last_heard_at();
            let timed_out = self.reason == CloseReason::TimedOut && heard < since;
            timed_out || heard.max(since).elapsed() >= QUIET
        })
    }

    /// The exchange has ended well: the connection goes back. `keep_alive` is what the server said about keeping it.
    pub fn finish(mut self, keep_alive: Option<Duration>, now: Instant) {
        match self.sender.take() {
            Some(sender) if sender.is_closed() => self.core.lost(&self.control, CloseReason::PeerClosed, Some(sender)),
            Some(Sender::Http1(sender)) if !sender.is_ready() => {
                self.control.give_back(Returned { sender, keep_alive });
            }
            Some(sender) => self.core.released(&self.control, sender, keep_alive, now),
            None => {}
        }
    }

    /// The connection takes no more requests. Those under way on it go on.
    pub fn retire(mut self, reason: CloseReason) {
        let sender = self.sender.take();
        self.core.lost(&self.control, reason, sender);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(sender) = self.sender.take() else { return };
        match (self.listening, &sender) {
            (None, sender) if sender.is_closed() => self.core.lost(&self.control, CloseReason::PeerClosed, None),
            (None, _) => self.core.released(&self.control, sender, None, Instant::now()),
            (Some(_), Sender::Http1(_)) => {
                self.control.sever(self.reason);
                self.core.lost(&self.control, self.reason, Some(sender));
            }
            // The stream has been reset by the drop of the exchange.
            (Some(_), Sender::Http2(_)) => {
                if self.is_silent() {
                    self.core.doubt(&self.control);
                }
                self.core.released(&self.control, sender, None, Instant::now());
            }
        }
    }
}
