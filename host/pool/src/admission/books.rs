//! The bookkeeping itself: how a socket or a caller gets from one place to the next. Nothing is concluded here; that is
//! done in [`super::settle`].

use tokio::time::Instant;

use super::queue::Queue;
use super::socket::{Phase, Protocol, Rest};
use super::{Admission, ConnectionId, Decision, Limits, Moment, Need, WaiterId};
use crate::origin::Origin;
use crate::reason::CloseReason;

impl Admission {
    pub(super) fn tick(&mut self) -> Moment {
        self.clock += 1;
        self.clock
    }

    pub(super) fn queue(&mut self, origin: &Origin) -> &mut Queue {
        let Limits {
            http2,
            http2_prior_knowledge,
            keeps,
            ..
        } = self.limits;
        self.queues.entry(origin.clone()).or_insert_with(|| {
            let protocol = match origin.is_secure() {
                true if http2 => None,
                // How many streams it carries is for the first connection to tell.
                false if http2_prior_knowledge => None,
                _ => Some(Protocol::Http1),
            };
            Queue::new(protocol, keeps)
        })
    }

    pub(super) fn leave(&mut self, waiter: WaiterId) -> bool {
        self.overdue.remove(&waiter);
        let Some(origin) = self.waiters.remove(&waiter) else {
            return false;
        };
        if let Some(queue) = self.queues.get_mut(&origin) {
            queue.waiting.remove(&waiter);
            if queue.is_forgotten() {
                self.queues.remove(&origin);
            }
        }
        true
    }

    pub(super) fn first_waiter(&mut self, origin: &Origin) -> Option<WaiterId> {
        let waiter = *self.queues.get(origin)?.waiting.keys().next()?;
        self.leave(waiter);
        Some(waiter)
    }

    /// Callers who neither have a dial under way nor a socket that is being closed for them.
    pub(super) fn in_line(&self) -> usize {
        let uncovered: usize = self.queues.values().map(Queue::uncovered).sum();
        uncovered.saturating_sub(self.closing)
    }

    pub(super) fn free(&self) -> usize {
        self.below_the_cap().min(self.allowance.free())
    }

    pub(super) fn below_the_cap(&self) -> usize {
        self.limits
            .max_connections
            .saturating_sub(self.sockets.len() + self.spares)
    }

    /// A connection of this origin that serves `need`, closing those whose time is over on the way.
    pub(super) fn pick(&mut self, origin: &Origin, need: Need, now: Instant) -> Option<ConnectionId> {
        loop {
            let available = &self.queues.get(origin)?.available;
            let id = available
                .iter()
                .rev()
                .copied()
                .find(|id| self.sockets.get(id).is_some_and(|s| s.serves(need)))?;
            match self.sockets.get(&id)?.is_over(now) {
                None => return Some(id),
                Some(reason) => self.retire_now(id, reason),
            }
        }
    }

    /// Takes a place in the connection. Returns whether it has served, or lain idle, before.
    pub(super) fn lend(&mut self, id: ConnectionId) -> bool {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return false;
        };
        let reused = socket.uses > 0 || socket.has_rested;
        socket.uses += 1;
        socket.in_use += 1;
        if let Some(rest) = socket.rest.take() {
            self.idle.remove(&rest.since);
        }
        if socket.is_full()
            && let Some(queue) = self.queues.get_mut(&socket.origin)
        {
            queue.available.retain(|other| *other != id);
        }
        reused
    }

    /// Puts a connection with room on top of its origin's, and among the idle ones if nobody uses it.
    pub(super) fn make_available(&mut self, id: ConnectionId, now: Instant) {
        let since = self.tick();
        let expiry = self.limits.keepalive_expiry;
        let Some(socket) = self.sockets.get_mut(&id).filter(|socket| socket.phase == Phase::Open) else {
            return;
        };
        if let Some(reason) = socket.retiring {
            if socket.in_use == 0 {
                self.close(id, reason);
            }
            return;
        }
        if socket.in_use == 0 && socket.rest.is_none() {
            socket.rest = Some(Rest::new(since, now, expiry, socket.keep_alive));
            self.idle.insert(since, id);
        }
        if !socket.is_full()
            && !socket.in_doubt
            && let Some(queue) = self.queues.get_mut(&socket.origin)
            && !queue.available.contains(&id)
        {
            queue.available.push(id);
        }
    }

    pub(super) fn retire_now(&mut self, id: ConnectionId, reason: CloseReason) {
        match self.sockets.get_mut(&id) {
            Some(socket) if socket.in_use > 0 => {
                socket.retiring.get_or_insert(reason);
                if let Some(queue) = self.queues.get_mut(&socket.origin) {
                    queue.available.retain(|other| *other != id);
                }
            }
            _ => self.close(id, reason),
        }
    }

    pub(super) fn close(&mut self, id: ConnectionId, reason: CloseReason) {
        if self.begin_closing(id) {
            self.decisions.push(Decision::Close { connection: id, reason });
        }
    }

    /// Moves a socket into its last phase. Returns whether it was in an earlier one.
    pub(super) fn begin_closing(&mut self, id: ConnectionId) -> bool {
        let Some(socket) = self
            .sockets
            .get_mut(&id)
            .filter(|socket| socket.phase != Phase::Closing)
        else {
            return false;
        };
        let was = std::mem::replace(&mut socket.phase, Phase::Closing);
        if let Some(rest) = socket.rest.take() {
            self.idle.remove(&rest.since);
        }
        self.closing += 1;
        if was == Phase::Dialling {
            self.dialling -= 1;
        }
        if let Some(queue) = self.queues.get_mut(&socket.origin) {
            queue.available.retain(|other| *other != id);
            if was == Phase::Dialling {
                queue.dials -= 1;
            }
        }
        true
    }
}
