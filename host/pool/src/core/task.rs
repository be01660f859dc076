//! The task that is a connection: it dials, then works until the connection ends.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use futures::future::pending;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::Core;
use super::control::{Control, Permit, Returned, Stage};
use crate::connect::{Connector, Driver, Sender};
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
    let dialled = tokio::select! {
        biased;
        // Closed before it was open.
        () = control.changed() => return,
        dialled = connector.dial(&control.origin, limit, control.meter.clone(), permit.clone()) => dialled,
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
        Driver::Http2(connection) => drive_http2(&core, &control, connection).await,
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

/// HTTP/2 keeps its socket in a task of its own, so the connection ends when the socket does.
async fn drive_http2(
    core: &Weak<Core>,
    control: &Control,
    connection: Box<http2::Connection<Io, OutgoingBody, TokioExecutor>>,
) {
    let mut connection = Some(connection);
    let mut reported = None;
    let mut until: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = requests_taken(core, control, &mut connection, &mut reported) => {
                connection = None;
                if let Some(core) = core.upgrade() {
                    core.retire(control, CloseReason::PeerClosed);
                }
            }
            () = control.changed() => match control.stage() {
                Stage::Living => {}
                Stage::Leaving => until = Some(Instant::now() + FAREWELL),
                Stage::Severed => control.meter.sever(),
                Stage::Gone => return,
            },
            () = at(until) => {
                until = None;
                control.meter.sever();
            }
        }
    }
}

/// Takes requests until the connection takes no more, and watches how many streams the peer allows. hyper does not
/// tell when that changes or when the peer has said goodbye, so both are looked at whenever a request comes or goes.
async fn requests_taken(
    core: &Weak<Core>,
    control: &Control,
    connection: &mut Option<Box<http2::Connection<Io, OutgoingBody, TokioExecutor>>>,
    reported: &mut Option<usize>,
) {
    let Some(connection) = connection else {
        return pending().await;
    };
    poll_fn(|cx| {
        let polled = Pin::new(&mut *connection).poll(cx);
        // The peer's settings are the first that comes from it (RFC 9113, section 3.4).
        let allowed = (control.meter.answered() > 0).then(|| connection.current_max_send_streams());
        if let Some(allowed) = allowed
            && *reported != Some(allowed)
        {
            *reported = Some(allowed);
            if let Some(core) = core.upgrade() {
                core.streams_changed(control, allowed);
            }
        }
        match polled {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
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
