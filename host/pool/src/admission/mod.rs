//! Who may open a socket, who is lent a connection, and who waits.
//!
//! [`Admission`] is the pool's bookkeeping and nothing else: it holds no socket and awaits nothing, so every order of
//! events can be tried. It is told what happened and answers with [`Decision`]s, which [`crate::core`] carries out.
//!
//! Every socket holds one of `max_connections` permits from before its dial until the socket itself is gone:
//!
//! | phase | begins with | counted as |
//! |---|---|---|
//! | dialling | [`Decision::Dial`] | `connecting` |
//! | open | [`Admission::opened`] | `active` while lent, else `idle` |
//! | closing | [`Decision::Close`], [`Admission::dial_failed`] | `closing` |
//!
//! The rules: an idle connection first (the most recently used one), then a dial, then a place in line. Callers are
//! served in the order of their arrival. At the cap the least recently used idle connection makes room; where none is
//! idle and all are shared, the least busy one is lent no more until it is. A dial belongs to nobody: whoever is first
//! in line when it ends gets it.

mod allowance;
mod books;
mod queue;
mod resize;
mod settle;
mod socket;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt};
use tokio::time::Instant;

use crate::origin::Origin;
use crate::reason::CloseReason;

pub(crate) use allowance::Allowance;
pub(crate) use queue::Need;
use queue::Queue;
pub(crate) use socket::Protocol;
use socket::{Phase, Socket};

/// A point in the order of events.
pub(crate) type Moment = u64;

/// A socket, from its dial to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub u64);

/// A caller in line. A smaller number has waited longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WaiterId(u64);

/// The part of a pool's settings that admission goes by.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub max_connections: usize,
    pub max_idle: usize,
    pub max_waiters: usize,
    pub keepalive_expiry: Duration,
    /// Whether connections serve more than one request.
    pub keeps: bool,
    /// Whether a secure origin may turn out to speak HTTP/2.
    pub http2: bool,
    /// Whether an origin in clear text speaks HTTP/2.
    pub http2_prior_knowledge: bool,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Hand the connection to this caller, who has left the line.
    Lend {
        waiter: WaiterId,
        connection: ConnectionId,
        reused: bool,
    },
    /// Open a socket, prompted by this caller.
    Dial { connection: ConnectionId, waiter: WaiterId },
    /// Close the socket, or give up its dial.
    Close {
        connection: ConnectionId,
        reason: CloseReason,
    },
    /// Tell this caller, who has left the line, that its deadline has passed.
    GiveUp { waiter: WaiterId },
}

/// How a request was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    Lent { connection: ConnectionId, reused: bool },
    Queued(WaiterId),
}

/// Why a request was turned away at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    LineFull,
    Closed,
}

/// How many sockets are in which state, and how many callers wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub sockets: usize,
    pub active: usize,
    pub idle: usize,
    pub connecting: usize,
    pub closing: usize,
    pub waiting: usize,
}

#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    /// What all pools may open together.
    allowance: Arc<Allowance>,
    /// Whether a dial was held back by the allowance alone.
    starving: bool,
    /// Second sockets of dials that race two addresses.
    spares: usize,
    open: bool,
    clock: Moment,
    sockets: HashMap<ConnectionId, Socket>,
    queues: HashMap<Origin, Queue>,
    waiters: HashMap<WaiterId, Origin>,
    /// Callers whose deadline has passed while a dial for them was under way.
    overdue: BTreeSet<WaiterId>,
    /// The least recently used first.
    idle: BTreeMap<Moment, ConnectionId>,
    dialling: usize,
    closing: usize,
    decisions: Vec<Decision>,
}

impl Admission {
    pub fn new(limits: Limits, allowance: Arc<Allowance>) -> Self {
        Self {
            limits,
            allowance,
            starving: false,
            spares: 0,
            open: true,
            clock: 0,
            sockets: HashMap::new(),
            queues: HashMap::new(),
            waiters: HashMap::new(),
            overdue: BTreeSet::new(),
            idle: BTreeMap::new(),
            dialling: 0,
            closing: 0,
            decisions: Vec::new(),
        }
    }

    /// What has been decided since the last call.
    pub fn take_decisions(&mut self) -> Vec<Decision> {
        std::mem::take(&mut self.decisions)
    }

    pub fn counts(&self) -> Counts {
        let (sockets, idle) = (self.sockets.len(), self.idle.len());
        Counts {
            sockets: sockets + self.spares,
            active: sockets - idle - self.dialling - self.closing,
            idle,
            connecting: self.dialling + self.spares,
            closing: self.closing,
            waiting: self.waiters.len(),
        }
    }

    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether callers wait for a socket that other pools have.
    pub fn is_starving(&self) -> bool {
        self.starving
    }

    /// There may be more sockets to be had from the allowance.
    pub fn go_on(&mut self, now: Instant) {
        self.settle(None, now);
    }

    /// Closes the least recently used idle connection, for another pool's sake. Returns whether there was one.
    pub fn close_one_idle(&mut self) -> bool {
        let Some((_, id)) = self.idle.first_key_value() else {
            return false;
        };
        self.close(*id, CloseReason::MadeRoom);
        true
    }

    /// Takes a permit for the second socket of a dial, unless somebody waits who needs it.
    pub fn take_spare(&mut self) -> bool {
        let spare = self.open && self.first_uncovered().is_none() && self.below_the_cap() > 0 && self.allowance.take();
        self.spares += usize::from(spare);
        spare
    }

    /// The second socket of a dial is gone. Its place in the allowance has been given back.
    pub fn give_back_spare(&mut self, now: Instant) {
        self.spares -= 1;
        self.settle(None, now);
    }

    /// The present point in the order of events, for [`Need::OpenedAfter`].
    pub fn moment(&self) -> Moment {
        self.clock
    }

    /// Whom a socket leads to.
    pub fn origin(&self, id: ConnectionId) -> Option<&Origin> {
        self.sockets.get(&id).map(|socket| &socket.origin)
    }

    /// A caller asks for a connection.
    pub fn request(&mut self, origin: &Origin, need: Need, now: Instant) -> Result<Admitted, Refusal> {
        if !self.open {
            return Err(Refusal::Closed);
        }
        // Nobody of this origin waits, so the only ones who could have an older claim to an idle connection are callers
        // of other origins, and for them it would have been closed already.
        if self.queues.get(origin).is_some_and(|queue| queue.waiting.is_empty())
            && let Some(connection) = self.pick(origin, need, now)
        {
            return Ok(Admitted::Lent {
                connection,
                reused: self.lend(connection),
            });
        }
        let waiter = WaiterId(self.tick());
        self.queue(origin).waiting.insert(waiter, need);
        self.waiters.insert(waiter, origin.clone());
        self.settle(Some(origin), now);
        if self.waiters.contains_key(&waiter) && self.in_line() > self.limits.max_waiters {
            self.leave(waiter);
            self.settle(None, now);
            return Err(Refusal::LineFull);
        }
        Ok(Admitted::Queued(waiter))
    }

    /// A caller in line has gone away.
    pub fn cancelled(&mut self, waiter: WaiterId, now: Instant) {
        if self.leave(waiter) {
            self.settle(None, now);
        }
    }

    /// The deadline of a caller in line has passed. Returns whether they leave the line now; otherwise a dial for them
    /// is under way, and they leave when that ends without serving them.
    pub fn overdue(&mut self, waiter: WaiterId, now: Instant) -> bool {
        let Some(queue) = self.waiters.get(&waiter).and_then(|origin| self.queues.get(origin)) else {
            return false;
        };
        if queue.covers(waiter) {
            self.overdue.insert(waiter);
            return false;
        }
        self.cancelled(waiter, now);
        true
    }

    /// A dial has ended in a connection that is assumed to carry `streams` requests at once, or as many as the origin's
    /// others. Returns whether it is still wanted.
    pub fn opened(
        &mut self,
        id: ConnectionId,
        protocol: Protocol,
        streams: usize,
        retire_at: Option<Instant>,
        now: Instant,
    ) -> bool {
        let opened = self.tick();
        let streams = if self.limits.keeps { streams } else { streams.min(1) };
        let Some(socket) = self.sockets.get(&id).filter(|socket| socket.phase == Phase::Dialling) else {
            return false;
        };
        let origin = socket.origin.clone();
        let queue = self.queue(&origin);
        let streams = if queue.protocol == Some(Protocol::Http2) {
            streams.min(queue.streams)
        } else {
            streams
        };
        queue.dials -= 1;
        queue.protocol = Some(protocol);
        queue.streams = streams.max(1);
        self.dialling -= 1;
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.phase = Phase::Open;
            socket.opened = opened;
            socket.streams = streams;
            socket.retire_at = retire_at;
        }
        self.make_available(id, now);
        self.settle(Some(&origin), now);
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.has_rested = socket.rest.is_some();
        }
        true
    }

    /// A dial has failed. Returns the caller to tell, who has left the line: the one who has waited longest.
    pub fn dial_failed(&mut self, id: ConnectionId, now: Instant) -> Option<WaiterId> {
        let origin = self
            .sockets
            .get(&id)
            .filter(|socket| socket.phase == Phase::Dialling)?
            .origin
            .clone();
        self.begin_closing(id);
        let told = self.first_waiter(&origin);
        self.settle(Some(&origin), now);
        told
    }

    /// An exchange has ended well. `keep_alive` is what the server said about keeping the connection.
    pub fn released(&mut self, id: ConnectionId, keep_alive: Option<Duration>, now: Instant) {
        let keeps = self.limits.keeps;
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        socket.in_use = socket.in_use.saturating_sub(1);
        socket.keep_alive = keep_alive.or(socket.keep_alive);
        let origin = socket.origin.clone();
        if !keeps {
            socket.retiring.get_or_insert(CloseReason::NotKept);
        } else if socket.is_aged(now) {
            socket.retiring.get_or_insert(CloseReason::Aged);
        }
        self.make_available(id, now);
        self.settle(Some(&origin), now);
    }

    /// A connection is not to be lent again. It is closed once nobody uses it.
    pub fn retire(&mut self, id: ConnectionId, reason: CloseReason, now: Instant) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        socket.retiring.get_or_insert(reason);
        let origin = socket.origin.clone();
        if let Some(queue) = self.queues.get_mut(&origin) {
            queue.available.retain(|other| *other != id);
        }
        self.make_available(id, now);
        self.settle(Some(&origin), now);
    }

    /// An exchange has ended badly, and its connection with it.
    pub fn lost(&mut self, id: ConnectionId, reason: CloseReason, now: Instant) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.in_use = socket.in_use.saturating_sub(1);
        }
        self.retire(id, reason, now);
    }

    /// The peer has changed how many requests a connection may carry at once.
    pub fn streams_changed(&mut self, id: ConnectionId, streams: usize, now: Instant) {
        let Some(socket) = self.sockets.get_mut(&id).filter(|socket| socket.phase == Phase::Open) else {
            return;
        };
        if !self.limits.keeps || socket.streams == streams {
            return;
        }
        socket.streams = streams;
        let (origin, full) = (socket.origin.clone(), socket.is_full());
        let queue = self.queue(&origin);
        queue.streams = streams.max(1);
        if full {
            queue.available.retain(|other| *other != id);
        }
        self.make_available(id, now);
        self.settle(Some(&origin), now);
    }

    /// The peer may be gone. The connection is not lent until it is trusted again; until then nobody counts on it, and it
    /// makes room like any other if nobody uses it.
    pub fn doubt(&mut self, id: ConnectionId) {
        let Some(socket) = self.sockets.get_mut(&id).filter(|socket| socket.phase == Phase::Open) else {
            return;
        };
        socket.in_doubt = true;
        if let Some(queue) = self.queues.get_mut(&socket.origin) {
            queue.available.retain(|other| *other != id);
        }
    }

    /// The peer has shown that it is there.
    pub fn trust(&mut self, id: ConnectionId, now: Instant) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        socket.in_doubt = false;
        let origin = socket.origin.clone();
        self.make_available(id, now);
        self.settle(Some(&origin), now);
    }

    /// The socket is gone, and its permit free. Returns the caller to tell if it was still being dialled.
    pub fn closed(&mut self, id: ConnectionId, now: Instant) -> Option<WaiterId> {
        let phase = self.sockets.get(&id)?.phase;
        self.begin_closing(id);
        let socket = self.sockets.remove(&id)?;
        self.closing -= 1;
        self.queue(&socket.origin).sockets -= 1;
        let told = if phase == Phase::Dialling {
            self.first_waiter(&socket.origin)
        } else {
            None
        };
        self.settle(Some(&socket.origin), now);
        told
    }

    /// Closes the idle connections whose time is over.
    pub fn expire(&mut self, now: Instant) {
        let over: Vec<_> = self
            .idle
            .values()
            .filter_map(|id| Some((*id, self.sockets.get(id)?.is_over(now)?)))
            .collect();
        for (id, reason) in over {
            self.close(id, reason);
        }
    }

    /// When the next idle connection's time is over.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.idle
            .values()
            .filter_map(|id| self.sockets.get(id)?.over_at())
            .min()
    }

    /// Admits nobody any more. Idle connections and dials are given up; lent ones close when they come back. Returns
    /// the callers in line, who have left it.
    pub fn shut(&mut self) -> Vec<WaiterId> {
        self.open = false;
        let mut waiters: Vec<_> = self.waiters.keys().copied().collect();
        waiters.sort_unstable();
        for waiter in &waiters {
            self.leave(*waiter);
        }
        let ids: Vec<_> = self.sockets.keys().copied().collect();
        for id in ids {
            let Some(socket) = self.sockets.get_mut(&id) else {
                continue;
            };
            match socket.phase {
                Phase::Open if socket.in_use > 0 => {
                    socket.retiring.get_or_insert(CloseReason::PoolClosed);
                }
                Phase::Closing => {}
                Phase::Open | Phase::Dialling => self.close(id, CloseReason::PoolClosed),
            }
        }
        for queue in self.queues.values_mut() {
            queue.available.clear();
        }
        waiters
    }
}
