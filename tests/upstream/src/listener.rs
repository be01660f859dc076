//! Accepts connections, counts them, and serves HTTP on them until they end or are ended.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api::Routers,
    connection::{Connection, Connections, TrackedStream},
    exchange::{Exchange, Mount},
    state::State,
};

/// Between two attempts to accept when there are no descriptors left, or to listen where another program does.
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
    /// Whether the server is up.
    pub(crate) up: watch::Receiver<bool>,
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
    /// Accepts until the server stops. While it is down, nothing listens on the port.
    pub(crate) async fn run(mut self, service: Service) {
        let mut up = service.up.clone();
        let Ok(address) = self.socket.local_addr() else { return };
        loop {
            tokio::select! {
                () = service.stop.cancelled() => return,
                _ = up.wait_for(|up| !up) => {}
                never = self.accept(&service) => match never {},
            }
            drop(self.socket);
            self.socket = tokio::select! {
                () = service.stop.cancelled() => return,
                socket = listen_again(&mut up, address) => socket,
            };
        }
    }

    async fn accept(&self, service: &Service) -> std::convert::Infallible {
        loop {
            match self.socket.accept().await {
                Ok((stream, _)) => self.spawn(stream, service),
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

/// Once the server is up again.
async fn listen_again(up: &mut watch::Receiver<bool>, address: SocketAddr) -> TcpListener {
    // An error: nobody is left who could bring it up.
    if up.wait_for(|up| *up).await.is_err() {
        std::future::pending::<()>().await;
    }
    loop {
        match TcpListener::bind(address).await {
            Ok(socket) => return socket,
            Err(error) => {
                tracing::warn!(%address, %error, "the port could not be listened on again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
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
