//! The server from its first moment to its last: bind, load, serve, drain, close.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::app::App;
use super::auth::{ApiKeys, EmptyKey};
use super::connections::Connections;
use super::dashboard::history::History;
use super::reload::Reloader;
use super::routes::router;
use crate::config::{ConfigError, SecretError, Sources};
use crate::host::Host;

/// How long a pool's connections are given to end when the server has stopped.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// The server can't start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Without keys, an address that others reach.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// One of `server.api_keys` is not where the configuration says.
    #[error("server.api_keys: {0}")]
    MissingKey(#[from] SecretError),
    /// One of `server.api_keys` is empty.
    #[error(transparent)]
    EmptyKey(#[from] EmptyKey),
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        source: std::io::Error,
    },
}

/// A server that listens. Clients can connect; they are served by [`Server::run`].
pub struct Server {
    listener: TcpListener,
    url: String,
    app: Arc<App>,
    host: Arc<Host>,
}

impl Server {
    /// Listens where the configuration says; port 0 takes a free one.
    ///
    /// # Errors
    /// Without keys only a loopback address may be listened on.
    pub async fn bind(host: Arc<Host>) -> Result<Self, ServeError> {
        host.effective_config().check_server()?;
        let keys = ApiKeys::limited(&host.effective_config().api_keys()?)?;
        let address = host.config().server.address();
        let failed = |source| ServeError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        let app = App::new(host.clone(), keys);
        Ok(Self {
            listener,
            url,
            app,
            host,
        })
    }

    /// Where it listens: `http://127.0.0.1:8787`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What keeps it current with its configuration. Where the server is to be `eager`, so is this.
    pub fn reloader(&self, sources: Sources, eager: bool) -> Reloader {
        Reloader::new(self.app.clone(), self.host.clone(), sources, eager)
    }

    /// Serves until `shutdown`. Where it is `eager`, it loads the providers meanwhile; else each is loaded by its first
    /// request. Then stops: takes no more connections, lets the requests in flight end within 30 s or until `cut_short`,
    /// closes the pools.
    ///
    /// Returns how many requests were cut off.
    pub async fn run(
        self,
        eager: bool,
        shutdown: impl Future<Output = ()>,
        cut_short: impl Future<Output = ()>,
    ) -> usize {
        let Self {
            listener, app, host, ..
        } = self;
        let pools = host.runtime().pools().clone();
        // A provider that another configuration does away with ends when nobody holds it.
        drop(host);
        let loading = if eager {
            let app = app.clone();
            let load_all = async move { app.lifecycle.load_all(app.backend().as_ref()).await };
            Some(AbortOnDropHandle::new(tokio::spawn(load_all)))
        } else {
            app.lifecycle.load_none();
            None
        };
        let _reading = AbortOnDropHandle::new(tokio::spawn(History::keep(app.clone())));
        let connections = Connections::accept(listener, router(app.clone()), shutdown).await;
        drop(loading);
        app.lifecycle.start_draining();
        let cut = connections.drain(&app.lifecycle, cut_short).await;
        pools.close_all(CLOSE_DEADLINE).await;
        cut
    }
}
