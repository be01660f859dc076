//! How a request comes by its connection: at once, or after a wait in line.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::{Core, Lease, Waiter};
use crate::admission::{Admitted, Need, Refusal, WaiterId};
use crate::error::SendError;
use crate::options::Deadlines;
use crate::origin::Origin;

impl Core {
    /// A connection to `origin`, within the caller's deadline, and when it was granted. Dropping the future leaves the
    /// line.
    pub async fn acquire(
        self: &Arc<Self>,
        origin: &Origin,
        need: Need,
        deadlines: &Deadlines,
        mut now: Instant,
    ) -> Result<(Lease, Instant), SendError> {
        self.enter_runtime();
        loop {
            let lease = match self.ask(origin, need, deadlines, now)? {
                Ticket::Served(lease) => lease,
                Ticket::InLine(place) => {
                    let lease = place.served(deadlines.pool_at()).await?;
                    now = Instant::now();
                    lease
                }
            };
            // A kept one may have ended since it was put away; the next one is asked for then. One that was just opened and
            // is dead already says something of the server: a third and a fourth would be no better.
            if !lease.is_dead() || !lease.is_reused() {
                return Ok((lease, now));
            }
        }
    }

    fn ask(
        self: &Arc<Self>,
        origin: &Origin,
        need: Need,
        deadlines: &Deadlines,
        now: Instant,
    ) -> Result<Ticket, SendError> {
        self.transact(|state, _| match state.admission.request(origin, need, now) {
            Ok(Admitted::Lent { connection, reused }) => state
                .lease(self, connection, reused)
                .map(Ticket::Served)
                .ok_or_else(|| self.closed_error()),
            Ok(Admitted::Queued(id)) => {
                let (reply, served) = oneshot::channel();
                let waiter = Waiter {
                    reply,
                    origin: origin.clone(),
                    deadlines: *deadlines,
                };
                state.waiters.insert(id, waiter);
                Ok(Ticket::InLine(Place {
                    core: self.clone(),
                    id,
                    served,
                    left: false,
                }))
            }
            Err(Refusal::LineFull) => Err(SendError::TooManyWaiters {
                origin: origin.clone(),
                limit: self.settings().config.max_waiters,
            }),
            Err(Refusal::Closed) => Err(self.closed_error()),
        })
    }

    pub(super) fn pool_timeout(&self, waiter: &Waiter) -> SendError {
        SendError::PoolTimeout {
            origin: waiter.origin.clone(),
            waited: Instant::now().saturating_duration_since(waiter.deadlines.started),
            limit: self.settings().config.max_connections.get(),
        }
    }
}

enum Ticket {
    Served(Lease),
    InLine(Place),
}

/// A place in line. Dropping it leaves the line.
struct Place {
    core: Arc<Core>,
    id: WaiterId,
    served: oneshot::Receiver<Result<Lease, SendError>>,
    /// Whether the line has been left already, with or without a connection.
    left: bool,
}

impl Place {
    async fn served(mut self, deadline: Instant) -> Result<Lease, SendError> {
        let early = tokio::select! {
            biased;
            served = &mut self.served => Some(served),
            () = sleep_until(deadline) => None,
        };
        let served = match early {
            Some(served) => served,
            None => {
                // Either the line is left now, with an error to be received, or a dial is under way for this caller,
                // whose own deadline applies.
                self.core.give_up(self.id);
                (&mut self.served).await
            }
        };
        self.left = true;
        served.unwrap_or_else(|_| Err(self.core.closed_error()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.left {
            self.core.leave(self.id);
        }
    }
}

impl Core {
    fn give_up(self: &Arc<Self>, id: WaiterId) {
        self.transact(|state, effects| {
            if state.admission.overdue(id, Instant::now())
                && let Some(waiter) = state.waiters.get(&id)
            {
                let error = self.pool_timeout(waiter);
                effects.extend(state.tell(id, Err(error)));
            }
        });
    }

    fn leave(self: &Arc<Self>, id: WaiterId) {
        self.transact(|state, _| {
            if state.waiters.remove(&id).is_some() {
                state.admission.cancelled(id, Instant::now());
            }
        });
    }
}
