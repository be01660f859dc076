//! What admission knows about one socket.

use std::time::Duration;

use tokio::time::Instant;

use super::{Moment, Need};
use crate::options::later;
use crate::origin::Origin;
use crate::reason::CloseReason;

/// A `Keep-Alive: timeout=N` counts from when the server sent its answer, in whole seconds. A request that leaves
/// within the last one may arrive after the server has closed.
const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(1);

/// What was agreed on in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Dialling,
    Open,
    Closing,
}

/// Since when, and until when, a connection lies idle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    pub since: Moment,
    until: Instant,
}

impl Rest {
    pub fn new(since: Moment, now: Instant, expiry: Duration, keep_alive: Option<Duration>) -> Self {
        let said = keep_alive.map_or(Duration::MAX, |said| said.saturating_sub(KEEP_ALIVE_MARGIN));
        Self {
            since,
            until: later(now, expiry.min(said)),
        }
    }
}

#[derive(Debug)]
pub(super) struct Socket {
    pub origin: Origin,
    pub phase: Phase,
    pub opened: Moment,
    /// How many requests it carries at once.
    pub streams: usize,
    pub in_use: usize,
    /// How often it has been lent.
    pub uses: u64,
    pub rest: Option<Rest>,
    /// Whether it has lain idle since it was opened.
    pub has_rested: bool,
    pub keep_alive: Option<Duration>,
    /// When it is too old to be lent again.
    pub retire_at: Option<Instant>,
    /// Whether the peer may be gone.
    pub in_doubt: bool,
    /// It is not to be lent again, for this reason.
    pub retiring: Option<CloseReason>,
}

impl Socket {
    pub fn dialling(origin: Origin) -> Self {
        Self {
            origin,
            phase: Phase::Dialling,
            opened: 0,
            streams: 0,
            in_use: 0,
            uses: 0,
            rest: None,
            has_rested: false,
            keep_alive: None,
            retire_at: None,
            in_doubt: false,
            retiring: None,
        }
    }

    pub fn is_full(&self) -> bool {
        self.in_use >= self.streams
    }

    pub fn serves(&self, need: Need) -> bool {
        match need {
            Need::Any => true,
            Need::OpenedAfter(moment) => self.opened > moment && (self.streams > 1 || self.uses == 0),
        }
    }

    pub fn is_aged(&self, now: Instant) -> bool {
        self.retire_at.is_some_and(|at| at <= now)
    }

    /// Why it must not be lent any more, if its time is over.
    pub fn is_over(&self, now: Instant) -> Option<CloseReason> {
        // Just opened: however short its time, it is lent once.
        if self.uses == 0 && !self.has_rested {
            return None;
        }
        if self.rest.is_some_and(|rest| rest.until <= now) {
            Some(CloseReason::Expired)
        } else {
            self.is_aged(now).then_some(CloseReason::Aged)
        }
    }

    pub fn over_at(&self) -> Option<Instant> {
        let until = self.rest?.until;
        Some(self.retire_at.map_or(until, |at| until.min(at)))
    }
}
