//! What follows from a change: who is served, what is dialled, what makes room.

use std::ops::Bound;

use tokio::time::Instant;

use super::queue::Queue;
use super::socket::{Phase, Socket};
use super::{Admission, ConnectionId, Decision, WaiterId};
use crate::origin::Origin;
use crate::reason::CloseReason;

impl Admission {
    /// Draws every conclusion from what has changed; `origin` is the one whose connections have.
    pub(super) fn settle(&mut self, origin: Option<&Origin>, now: Instant) {
        if self.waiters.is_empty() {
            self.starving = false;
            return self.settle_unwaited(origin);
        }
        if let Some(origin) = origin {
            self.serve(origin, now);
        }
        // Before new dials are made: a caller whose deadline has passed waits for the dial it had, not for another.
        self.give_up_overdue();
        self.shrink();
        self.dial_while_permitted();
        self.make_room();
        self.drain_shared();
        if let Some(origin) = origin {
            self.serve(origin, now);
        }
        self.settle_unwaited(origin);
    }

    /// What is to be concluded though nobody waits.
    fn settle_unwaited(&mut self, origin: Option<&Origin>) {
        self.shrink();
        self.trim_idle();
        if let Some(origin) = origin
            && self.queues.get(origin).is_some_and(Queue::is_forgotten)
        {
            self.queues.remove(origin);
        }
    }

    /// Hands out the origin's connections, the longest-waiting caller first.
    fn serve(&mut self, origin: &Origin, now: Instant) {
        while let Some((waiter, connection)) = self.next_match(origin, now) {
            let idle = self.sockets.get(&connection).is_some_and(|socket| socket.in_use == 0);
            // Somebody of another origin was here first and needs this socket's permit: `make_room` will see to it.
            if idle && self.is_stranded_before(waiter) {
                return;
            }
            self.leave(waiter);
            let reused = self.lend(connection);
            self.decisions.push(Decision::Lend {
                waiter,
                connection,
                reused,
            });
        }
    }

    fn next_match(&mut self, origin: &Origin, now: Instant) -> Option<(WaiterId, ConnectionId)> {
        let mut passed = None;
        loop {
            let queue = self.queues.get(origin)?;
            if queue.available.is_empty() {
                return None;
            }
            let after = passed.map_or(Bound::Unbounded, Bound::Excluded);
            let (waiter, need) = queue.waiting.range((after, Bound::Unbounded)).next()?;
            let (waiter, need) = (*waiter, *need);
            if let Some(connection) = self.pick(origin, need, now) {
                return Some((waiter, connection));
            }
            passed = Some(waiter);
        }
    }

    /// Whether callers older than `waiter` need more permits than are free or about to be.
    fn is_stranded_before(&self, waiter: WaiterId) -> bool {
        let older: usize = self
            .queues
            .values()
            .map(|queue| queue.dials_wanted_before(waiter))
            .sum();
        older > self.free() + self.closing
    }

    fn dial_while_permitted(&mut self) {
        self.starving = false;
        while self.open && self.below_the_cap() > 0 {
            let Some((waiter, origin)) = self.first_uncovered() else {
                return;
            };
            let origin = origin.clone();
            if !self.allowance.take() {
                self.starving = true;
                return;
            }
            let connection = ConnectionId(self.tick());
            let queue = self.queue(&origin);
            queue.dials += 1;
            queue.sockets += 1;
            self.dialling += 1;
            self.sockets.insert(connection, Socket::dialling(origin));
            self.decisions.push(Decision::Dial { connection, waiter });
        }
    }

    /// The longest-waiting caller without a dial that is expected to serve them, and whom they wait for.
    pub(super) fn first_uncovered(&self) -> Option<(WaiterId, &Origin)> {
        let first = |(origin, queue): (_, &Queue)| Some((queue.first_uncovered()?, origin));
        self.queues.iter().filter_map(first).min_by_key(|found| found.0)
    }

    /// At the cap, closes idle connections that serve none of the callers in line.
    fn make_room(&mut self) {
        let wanted: usize = self.queues.values().map(Queue::dials_wanted).sum();
        while wanted > self.closing {
            let Some((_, id)) = self.idle.first_key_value() else {
                return;
            };
            self.close(*id, CloseReason::MadeRoom);
        }
    }

    /// At the cap, where every connection is shared by many requests and may never lie idle, lends the least busy one no
    /// more, so that it makes room for the longest-waiting caller if it cannot serve them.
    fn drain_shared(&mut self) {
        let ends_by_itself =
            |socket: &Socket| socket.phase != Phase::Open || socket.retiring.is_some() || socket.streams <= 1;
        if self.waiters.is_empty() || self.free() > 0 || self.sockets.values().any(ends_by_itself) {
            return;
        }
        let Some((waiter, origin)) = self.first_uncovered() else {
            return;
        };
        let need = self.queues.get(origin).and_then(|queue| queue.waiting.get(&waiter));
        let serves = |socket: &Socket| socket.origin == *origin && need.is_some_and(|need| socket.serves(*need));
        let others = self.sockets.iter().filter(|(_, socket)| !serves(socket));
        let least_busy = others
            .min_by_key(|(id, socket)| (socket.in_use, **id))
            .map(|(id, _)| *id);
        if let Some(id) = least_busy {
            self.retire_now(id, CloseReason::MadeRoom);
        }
    }

    fn trim_idle(&mut self) {
        let max_idle = if self.limits.keeps { self.limits.max_idle } else { 0 };
        while self.idle.len() > max_idle {
            let Some((_, id)) = self.idle.first_key_value() else {
                return;
            };
            let reason = if self.limits.keeps {
                CloseReason::IdleLimit
            } else {
                CloseReason::NotKept
            };
            self.close(*id, reason);
        }
    }

    fn give_up_overdue(&mut self) {
        let over: Vec<_> = self
            .overdue
            .iter()
            .copied()
            .filter(|waiter| {
                let queue = self.waiters.get(waiter).and_then(|origin| self.queues.get(origin));
                !queue.is_some_and(|queue| queue.covers(*waiter))
            })
            .collect();
        for waiter in over {
            if self.leave(waiter) {
                self.decisions.push(Decision::GiveUp { waiter });
            }
        }
    }
}
