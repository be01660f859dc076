//! The task that is a connection: it dials, then works until the connection ends.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::future::pending;
use h2::client::SendRequest;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
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
    returned: mpsc::UnboundedReceiver<Returned>,
) {
    let began = Instant::now();
    let dialling = tracing::debug_span!("connect", origin = %control.origin, connection = control.id.0);
    let dialled = tokio::select! {
        biased;
        // Closed before it was open.
        () = control.changed() => return,
        dialled = connector.dial(&control.origin, limit, control.meter.clone(), permit.clone()).instrument(dialling) => dialled,
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
        Driver::Http1(connection) => drive_http1(&core, &control, connection, returned).await,
        Driver::Http2(connection, sender) => drive_http2(&core, &control, connection, sender).await,
    }
}

async fn drive_http1(
    core: &Weak<Core>,
    control: &Control,
    mut connection: Box<http1::Connection<Io, OutgoingBody>>,
    mut returned: mpsc::UnboundedReceiver<Returned>,
) {
    let mut settling: Option<Returned> = None;
    let mut until: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            ended = &mut connection => {
                if !control.meter.has_ended() && !control.meter.has_failed() {
                    // It was not the socket that ended, so it was what came over it.
                    control.note(if ended.is_ok() { CloseReason::ServerAsked } else { CloseReason::UnexpectedData });
                }
                break;
            }
            () = control.changed() => match control.stage() {
                Stage::Living => {}
                Stage::Leaving => until = Some(Instant::now() + FAREWELL),
                Stage::Severed | Stage::Gone => break,
            },
            Some(back) = returned.recv(), if settling.is_none() => {
                settling = Some(back);
                until.get_or_insert(Instant::now() + SETTLING);
            }
            ready = settled(&mut settling) => {
                until = None;
                let (Some(core), Some(back)) = (core.upgrade(), settling.take()) else { break };
                match ready {
                    Ok(()) => core.released(control, Sender::Http1(back.sender), back.keep_alive),
                    Err(_) => core.lost(control, CloseReason::PeerClosed, None),
                }
            }
            () = at(until) => {
                control.note(CloseReason::RequestUnfinished);
                break;
            }
        }
    }
    if let (Some(core), Some(_)) = (core.upgrade(), settling) {
        core.lost(control, control.reason(), None);
    }
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

async fn settled(settling: &mut Option<Returned>) -> hyper::Result<()> {
    match settling {
        Some(back) => back.sender.ready().await,
        None => pending().await,
    }
}

async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}
