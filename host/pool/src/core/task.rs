//! The task that is a connection: it dials, then works until the connection ends.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::future::pending;
use h2::client::SendRequest;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tracing::Instrument;

use super::Core;
use super::control::{Control, Permit, Returned, Stage};
use crate::connect::{Connector, Driver, Sender};
use crate::http2::Doubt;
use crate::outgoing::OutgoingBody;
use crate::reason::CloseReason;
use crate::wire::Stream;

type Io = TokioIo<Stream<Arc<Permit>>>;

/// How long a connection that is being closed may take to say goodbye before its socket is closed regardless: enough
/// for a round trip on any path in use, and short, since the socket holds a permit meanwhile.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a connection may go on writing a request whose answer has ended already, for the same reason.
const SETTLING: Duration = Duration::from_secs(1);

/// Opens the connection and keeps it going until it ends.
pub(super) async fn run(
    core: Weak<Core>,
    connector: Connector,
    limit: Duration,
    permit: Arc<Permit>,
    control: Arc<Control>,
) {
    let began = Instant::now();
    let dialling = tracing::debug_span!("connect", origin = %control.origin, connection = control.id.0);
    let dialled = tokio::select! {
        biased;
        // Closed before it was open.
        () = control.changed() => return,
        dialled = connector.dial(&control.origin, limit, control.meter.clone(), permit.clone(), &core).instrument(dialling) => dialled,
    };
    let Some(strong) = core.upgrade() else { return };
    let dialled = match dialled {
        Ok(dialled) => dialled,
        // The permit is held until the failure has found the caller it belongs to.
        Err(error) => return strong.dial_failed(&control, error),
    };
    drop(permit);
    control.open(dialled.protocol, Instant::now());
    strong.opened(&control, dialled.sender, dialled.streams, began.elapsed());
    drop(strong);
    match dialled.driver {
        Driver::Http1(connection) => drive_http1(&core, &control, connection).await,
        Driver::Http2(connection, sender) => drive_http2(&core, &control, connection, sender).await,
    }
}

async fn drive_http1(core: &Weak<Core>, control: &Control, mut connection: Box<http1::Connection<Io, OutgoingBody>>) {
    let mut settling: Option<Returned> = None;
    let mut until: Option<Pin<Box<Sleep>>> = None;
    loop {
        // By hand, since the connection moves with every request and the rest hardly ever does.
        let event = poll_fn(|cx| {
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(Event::Ended(ended));
            }
            if control.poll_changed(cx).is_ready() {
                return Poll::Ready(Event::Told);
            }
            if let Some(back) = &mut settling
                && let Poll::Ready(ready) = back.sender.poll_ready(cx)
            {
                return Poll::Ready(Event::Settled(ready.is_ok()));
            }
            match &mut until {
                Some(until) => until.as_mut().poll(cx).map(|()| Event::Overdue),
                None => Poll::Pending,
            }
        });
        match event.await {
            Event::Ended(ended) => {
                if !control.meter.has_ended() && !control.meter.has_failed() {
                    // It was not the socket that ended, so it was what came over it.
                    control.note(if ended.is_ok() {
                        CloseReason::ServerAsked
                    } else {
                        CloseReason::UnexpectedData
                    });
                }
                break;
            }
            Event::Told => {
                match control.stage() {
                    Stage::Living => {}
                    Stage::Leaving => until = Some(Box::pin(sleep(FAREWELL))),
                    Stage::Severed | Stage::Gone => break,
                }
                if let Some(back) = control.take_returned() {
                    settling = Some(back);
                    until.get_or_insert_with(|| Box::pin(sleep(SETTLING)));
                }
            }
            Event::Settled(well) => {
                until = None;
                let (Some(core), Some(back)) = (core.upgrade(), settling.take()) else {
                    break;
                };
                if well {
                    core.released(control, Sender::Http1(back.sender), back.keep_alive, Instant::now());
                } else {
                    core.lost(control, CloseReason::PeerClosed, None);
                }
            }
            Event::Overdue => {
                control.note(CloseReason::RequestUnfinished);
                break;
            }
        }
    }
    if let (Some(core), Some(_)) = (core.upgrade(), settling) {
        core.lost(control, control.reason(), None);
    }
}

/// What happens to an HTTP/1.1 connection.
enum Event {
    Ended(hyper::Result<()>),
    /// The pool, or whoever had it, has told it something.
    Told,
    /// It can be lent again, or not.
    Settled(bool),
    Overdue,
}

async fn drive_http2(
    core: &Weak<Core>,
    control: &Control,
    mut connection: Box<h2::client::Connection<Stream<Arc<Permit>>, Bytes>>,
    sender: SendRequest<Bytes>,
) {
    control.meter.listen();
    let mut doubt = Doubt::new(connection.ping_pong());
    // Held to ask after the connection, until it is to end: it lives as long as somebody could send on it.
    let mut sender = Some(sender);
    let mut reported = None;
    let mut until: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = ended(core, control, &mut connection, &mut sender, &mut reported) => break,
            () = control.changed() => match control.stage() {
                Stage::Living => {
                    if control.take_doubt() {
                        tracing::debug!(origin = %control.origin, connection = control.id.0, "the connection is silent: a ping asks whether it is there");
                        doubt.raise(Instant::now());
                    }
                }
                Stage::Leaving => {
                    sender = None;
                    until = Some(Instant::now() + FAREWELL);
                }
                Stage::Severed | Stage::Gone => break,
            },
            answered = doubt.settled() => match core.upgrade() {
                Some(core) if answered => core.trust(control),
                _ => {
                    control.note(CloseReason::Unresponsive);
                    break;
                }
            },
            () = at(until) => break,
        }
    }
    if let Some(core) = core.upgrade() {
        core.retire(control, control.reason());
    }
}

/// Works on the connection until it has ended. Tells how many streams the peer allows whenever that changes, and when
/// the connection takes no more of them (RFC 9113, section 6.8).
async fn ended(
    core: &Weak<Core>,
    control: &Control,
    connection: &mut h2::client::Connection<Stream<Arc<Permit>>, Bytes>,
    sender: &mut Option<SendRequest<Bytes>>,
    reported: &mut Option<usize>,
) {
    poll_fn(|cx| {
        if Pin::new(&mut *connection).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        // The peer's settings are the first that comes from it (RFC 9113, section 3.4).
        let allowed = (control.meter.answered() > 0).then(|| connection.max_concurrent_send_streams());
        if let Some(allowed) = allowed
            && *reported != Some(allowed)
        {
            *reported = Some(allowed);
            if let Some(core) = core.upgrade() {
                core.streams_changed(control, allowed);
            }
        }
        if let Some(asking) = sender
            && let Poll::Ready(Err(_)) = asking.poll_ready(cx)
        {
            *sender = None;
            if let Some(core) = core.upgrade() {
                core.retire(control, CloseReason::PeerClosed);
            }
            // Without its last sender the connection ends once its streams have: it is to see that.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}
