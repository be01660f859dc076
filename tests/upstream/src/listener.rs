//! Accepts connections, counts them, and serves HTTP on them until they end or are ended.

use std::{sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api::Routers,
    connection::{Connection, Connections, TrackedStream},
    exchange::{Exchange, Mount},
    state::State,
};

/// Between two attempts to accept when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all listeners of a server share.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) state: Arc<State>,
    pub(crate) routers: Routers,
    pub(crate) connections: Arc<Connections>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) idle_timeout: Option<Duration>,
}

/// A bound port.
pub(crate) struct Listener {
    /// As the counters name it.
    pub(crate) name: &'static str,
    pub(crate) socket: TcpListener,
    pub(crate) mount: Mount,
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Listener {
    /// Accepts until the server stops.
    pub(crate) async fn run(self, service: Service) {
        loop {
            let accepted = tokio::select! {
                () = service.stop.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.spawn(stream, &service),
                Err(error) => {
                    tracing::warn!(listener = self.name, %error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn spawn(&self, stream: TcpStream, service: &Service) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(listener = self.name, %error, "TCP_NODELAY could not be set");
        }
        let connection = service.connections.accept();
        let counted = service.state.counters.connection(self.name);
        let stream = TrackedStream::new(stream, connection.clone(), counted);
        let exchange = Arc::new(Exchange {
            state: service.state.clone(),
            routers: service.routers.clone(),
            mount: self.mount,
            connection: connection.clone(),
        });
        let idle_timeout = service.idle_timeout;
        let tls = self.tls.clone();
        let served = async move {
            match tls {
                None => serve(stream, exchange, idle_timeout, false).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => serve(stream, exchange, idle_timeout, true).await,
                    Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
                },
            }
        };
        service.tasks.spawn(async move {
            tokio::select! {
                () = connection.killed() => {}
                () = served => {}
            }
        });
    }
}

/// HTTP/1.1 in clear text; over TLS whichever of HTTP/2 and HTTP/1.1 was agreed on.
async fn serve<I>(io: I, exchange: Arc<Exchange>, idle_timeout: Option<Duration>, http2: bool)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection: Arc<Connection> = exchange.connection.clone();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if !http2 {
        builder = builder.http1_only();
    }
    let service = service_fn(move |request| exchange.clone().respond(request));
    let served = builder.serve_connection(TokioIo::new(io), service);
    tokio::pin!(served);
    let mut draining = false;
    loop {
        tokio::select! {
            biased;
            outcome = served.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(connection = connection.number, error, "a connection ended early");
                }
                return;
            }
            () = connection.drained(), if !draining => draining = true,
            () = connection.idle_for(idle_timeout), if !draining => draining = true,
        }
        served.as_mut().graceful_shutdown();
    }
}
