//! One connection as everybody sees it who deals with it: [`Control`], and the [`Permit`] of its socket.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use hyper::client::conn::http1;
use tokio::time::Instant;

use super::Core;
use crate::admission::{ConnectionId, Protocol};
use crate::ceiling::Ceiling;
use crate::meter::Meter;
use crate::origin::Origin;
use crate::outgoing::OutgoingBody;
use crate::reason::CloseReason;

/// An HTTP/1.1 connection on its way back, to be lent again once it has finished writing.
#[derive(Debug)]
pub(crate) struct Returned {
    pub sender: http1::SendRequest<OutgoingBody>,
    pub keep_alive: Option<Duration>,
}

/// How near its end a connection is. It only ever comes nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    Living,
    /// It is to say goodbye and go.
    Leaving,
    /// It is to go at once.
    Severed,
    /// Its socket is closed.
    Gone,
}

/// What is shared between a connection's task, its socket, the pool and those it is lent to.
#[derive(Debug)]
pub(crate) struct Control {
    pub id: ConnectionId,
    pub origin: Origin,
    pub meter: Arc<Meter>,
    opened: OnceLock<(Instant, Protocol)>,
    reason: OnceLock<CloseReason>,
    stage: AtomicU8,
    doubted: AtomicBool,
    returned: Mutex<Option<Returned>>,
    /// Whether there is something for the connection's task to look at.
    changed: AtomicBool,
    task: AtomicWaker,
}

impl Control {
    pub fn new(id: ConnectionId, origin: Origin, meter: Meter) -> Arc<Self> {
        Arc::new(Self {
            id,
            origin,
            meter: Arc::new(meter),
            opened: OnceLock::new(),
            reason: OnceLock::new(),
            stage: AtomicU8::new(Stage::Living as u8),
            doubted: AtomicBool::new(false),
            returned: Mutex::default(),
            changed: AtomicBool::new(false),
            task: AtomicWaker::new(),
        })
    }

    pub fn open(&self, protocol: Protocol, now: Instant) {
        let _ = self.opened.set((now, protocol));
    }

    /// When the connection was opened, and what it speaks; `None` while it is being dialled.
    pub fn opened(&self) -> Option<(Instant, Protocol)> {
        self.opened.get().copied()
    }

    pub fn protocol(&self) -> Protocol {
        self.opened().map_or(Protocol::Http1, |(_, protocol)| protocol)
    }

    /// Why the connection ends. The first reason given is the one that counts.
    pub fn note(&self, reason: CloseReason) {
        let _ = self.reason.set(reason);
    }

    /// Why the connection has ended, as far as it is known.
    pub fn reason(&self) -> CloseReason {
        let observed = if self.meter.has_failed() {
            CloseReason::IoError
        } else {
            CloseReason::PeerClosed
        };
        self.reason.get().copied().unwrap_or(observed)
    }

    pub fn is_closed_with_the_pool(&self) -> bool {
        self.reason.get() == Some(&CloseReason::PoolClosed)
    }

    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Living,
            1 => Stage::Leaving,
            2 => Stage::Severed,
            _ => Stage::Gone,
        }
    }

    /// Moves the connection nearer to its end and wakes its task.
    pub fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
        self.stir();
    }

    /// Makes the connection's task find out whether the peer is still there.
    pub fn doubt(&self) {
        self.doubted.store(true, Ordering::Release);
        self.stir();
    }

    /// Whether the connection has come into doubt since this was last asked.
    pub fn take_doubt(&self) -> bool {
        self.doubted.swap(false, Ordering::AcqRel)
    }

    /// Ends the connection at once, whatever it is doing.
    pub fn sever(&self, reason: CloseReason) {
        self.note(reason);
        self.advance(Stage::Severed);
    }

    /// Whether the connection has been told something since this was last ready; for the connection's task alone.
    pub fn poll_changed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.task.register(cx.waker());
        // Looked at before it is written to: this is asked whenever the connection moves.
        if self.changed.load(Ordering::Acquire) && self.changed.swap(false, Ordering::AcqRel) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Waits for [`Self::poll_changed`].
    pub async fn changed(&self) {
        poll_fn(|cx| self.poll_changed(cx)).await;
    }

    /// Hands a connection that has not finished writing to its task, which returns it to the pool once it has.
    pub fn give_back(&self, returned: Returned) {
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = Some(returned);
        self.stir();
    }

    /// A connection that was handed back since this was last asked.
    pub fn take_returned(&self) -> Option<Returned> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn stir(&self) {
        self.changed.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// The right to have one socket open. It goes when the socket has.
#[derive(Debug)]
pub(crate) struct Permit {
    core: Weak<Core>,
    control: Arc<Control>,
    ceiling: Arc<Ceiling>,
}

impl Permit {
    pub fn new(core: &Arc<Core>, control: Arc<Control>) -> Arc<Self> {
        Arc::new(Self {
            core: Arc::downgrade(core),
            control,
            ceiling: core.ceiling.clone(),
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.control.advance(Stage::Gone);
        self.ceiling.allowance.give_back();
        if let Some(core) = self.core.upgrade() {
            core.socket_gone(&self.control);
        }
        self.ceiling.feed();
    }
}
