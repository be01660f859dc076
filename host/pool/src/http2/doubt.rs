//! Whether a connection that has fallen silent is still there: [`Doubt`].

use std::future::poll_fn;
use std::time::Duration;

use futures::future::pending;
use h2::{Ping, PingPong};
use tokio::time::{Instant, sleep_until};

/// How long a peer may take to answer a ping: the `PingTimeout` of Go's HTTP/2 transport. The connection is not lent
/// meanwhile, so the wait costs nobody but its permit.
const PONG_WITHIN: Duration = Duration::from_secs(15);

/// A connection's pings. One is sent when the connection is in doubt, and none otherwise: servers count them against
/// clients (ENHANCE_YOUR_CALM).
pub(crate) struct Doubt {
    pings: Option<PingPong>,
    until: Option<Instant>,
}

impl Doubt {
    pub fn new(pings: Option<PingPong>) -> Self {
        Self { pings, until: None }
    }

    /// Sends a ping, unless one is out.
    pub fn raise(&mut self, now: Instant) {
        let Some(pings) = self.pings.as_mut().filter(|_| self.until.is_none()) else {
            return;
        };
        // What keeps a ping from being sent ends the connection as well, and is told there.
        let _ = pings.send_ping(Ping::opaque());
        self.until = Some(now + PONG_WITHIN);
    }

    /// Whether the peer has answered; waits for ever while no ping is out.
    pub async fn settled(&mut self) -> bool {
        let Some((pings, until)) = self.pings.as_mut().zip(self.until) else {
            return pending().await;
        };
        let answered = tokio::select! {
            biased;
            pong = poll_fn(|cx| pings.poll_pong(cx)) => pong.is_ok(),
            () = sleep_until(until) => false,
        };
        self.until = None;
        answered
    }
}
