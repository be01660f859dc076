//! Limits that change while the pool is at work.

use tokio::time::Instant;

use super::socket::Phase;
use super::{Admission, Limits};
use crate::reason::CloseReason;

impl Admission {
    /// Goes by other limits from here on. Nothing under way is cut off: sockets above a lowered cap are closed when they
    /// come back.
    pub fn resize(&mut self, limits: Limits, now: Instant) {
        self.limits = limits;
        self.settle(None, now);
    }

    /// Above the cap, which only a resize brings about: idle connections are closed, then others are not lent again.
    pub(super) fn shrink(&mut self) {
        if self.sockets.len() <= self.limits.max_connections {
            return;
        }
        let staying = |admission: &Self| {
            let open = admission.sockets.values();
            open.filter(|socket| socket.phase != Phase::Closing && socket.retiring.is_none())
                .count()
        };
        let mut over = staying(self).saturating_sub(self.limits.max_connections);
        while over > 0
            && let Some((_, id)) = self.idle.first_key_value()
        {
            self.close(*id, CloseReason::Resized);
            over -= 1;
        }
        let busy: Vec<_> = self
            .sockets
            .iter()
            .filter(|(_, socket)| socket.phase == Phase::Open && socket.in_use > 0 && socket.retiring.is_none())
            .map(|(id, _)| *id)
            .take(over)
            .collect();
        for id in busy {
            self.retire_now(id, CloseReason::Resized);
        }
    }
}
