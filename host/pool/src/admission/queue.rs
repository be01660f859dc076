//! One origin's share of the bookkeeping: who waits for it, what could serve them, what is being dialled.

use std::collections::BTreeMap;

use super::{ConnectionId, Moment, Protocol, WaiterId};

/// What a caller can do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Any live connection.
    Any,
    /// A connection opened after this moment, and over HTTP/1.1 one that nobody has used: the caller's request has
    /// died on an older one.
    OpenedAfter(Moment),
}

#[derive(Debug)]
pub(super) struct Queue {
    /// In the order of arrival.
    pub waiting: BTreeMap<WaiterId, Need>,
    /// Connections with room, the most recently used last.
    pub available: Vec<ConnectionId>,
    /// Dials in flight.
    pub dials: usize,
    /// Sockets of this origin, in any state.
    pub sockets: usize,
    /// What the origin speaks, once a handshake has told.
    pub protocol: Option<Protocol>,
    /// How many requests one connection carries at once.
    pub streams: usize,
    /// Whether a connection carries more than one request, ever.
    keeps: bool,
}

impl Queue {
    pub fn new(protocol: Option<Protocol>, keeps: bool) -> Self {
        Self {
            waiting: BTreeMap::new(),
            available: Vec::new(),
            dials: 0,
            sockets: 0,
            protocol,
            streams: 1,
            keeps,
        }
    }

    /// How many of the longest-waiting callers the dials in flight are expected to serve.
    pub fn covered(&self) -> usize {
        match self.protocol {
            _ if self.dials == 0 => 0,
            // The first handshake tells whether one connection will do for everybody.
            None if self.keeps => usize::MAX,
            Some(Protocol::Http2) if self.keeps => self.dials.saturating_mul(self.streams),
            _ => self.dials,
        }
    }

    /// How many callers neither have a connection nor a dial that is expected to serve them.
    pub fn uncovered(&self) -> usize {
        self.waiting.len().saturating_sub(self.covered())
    }

    /// How many more dials those callers need.
    pub fn dials_wanted(&self) -> usize {
        self.dials_for(self.uncovered())
    }

    /// How many more dials the callers older than `waiter` need.
    pub fn dials_wanted_before(&self, waiter: WaiterId) -> usize {
        self.dials_for(self.waiting.range(..waiter).count().saturating_sub(self.covered()))
    }

    fn dials_for(&self, callers: usize) -> usize {
        match self.protocol {
            None if self.keeps => callers.min(1),
            Some(Protocol::Http2) if self.keeps => callers.div_ceil(self.streams.max(1)),
            _ => callers,
        }
    }

    /// The longest-waiting caller without a dial that is expected to serve them.
    pub fn first_uncovered(&self) -> Option<WaiterId> {
        (self.uncovered() > 0)
            .then(|| self.waiting.keys().nth(self.covered()).copied())
            .flatten()
    }

    /// Whether a dial in flight is expected to serve this caller.
    pub fn covers(&self, waiter: WaiterId) -> bool {
        self.dials > 0 && self.waiting.range(..waiter).count() < self.covered()
    }

    pub fn is_forgotten(&self) -> bool {
        self.waiting.is_empty() && self.sockets == 0
    }
}
