//! How a server is set up, and its start.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Upstream, endpoints::Endpoints};
use crate::{
    api::{Api, Routers},
    certificate,
    connection::Connections,
    control,
    exchange::Mount,
    listener::{Listener, Service},
    model::Model,
    state::{Keys, State},
};

/// The key clients must present where none was set.
pub const DEFAULT_API_KEY: &str = "upstream-key-b41f9e07c2";

/// The settings of a server to start.
#[derive(Debug, Clone)]
pub struct Builder {
    address: IpAddr,
    port: u16,
    control_port: u16,
    keys: Keys,
    latency: Duration,
    idle_timeout: Option<Duration>,
    tls: bool,
    ca_file: Option<PathBuf>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            control_port: 0,
            keys: Keys {
                common: DEFAULT_API_KEY.to_owned(),
                own: BTreeMap::new(),
                read_only: None,
            },
            latency: Duration::ZERO,
            idle_timeout: None,
            tls: false,
            ca_file: None,
        }
    }

    /// The address of every port; 127.0.0.1 if not set.
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = address;
        self
    }

    /// The port that serves all APIs; a free one if not set.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The control port; a free one if not set.
    pub fn control_port(mut self, port: u16) -> Self {
        self.control_port = port;
        self
    }

    /// The key of every API that has none of its own; [`DEFAULT_API_KEY`] if not set.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.keys.common = key.into();
        self
    }

    /// The key of one API.
    pub fn api_key_of(mut self, api: Api, key: impl Into<String>) -> Self {
        self.keys.own.insert(api, key.into());
        self
    }

    /// A key that may only read at Qdrant; none if not set.
    pub fn qdrant_read_only_key(mut self, key: impl Into<String>) -> Self {
        self.keys.read_only = Some(key.into());
        self
    }

    /// How long every answer takes, besides the work; nothing if not set.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// After how long without a request a connection is closed; never if not set. A real Qdrant: 5 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// Whether there is a TLS port too.
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// Where to write the certificate authority of the TLS port, in PEM, as `SSL_CERT_FILE` takes it.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Binds every port and serves.
    ///
    /// # Errors
    /// A port is taken, or the authority's file can't be written.
    pub async fn start(self) -> anyhow::Result<Upstream> {
        let state = Arc::new(State::new(self.keys.clone(), Model::load()?));
        state.latency.set(None, self.latency);
        let (kill, drain) = (CancellationToken::new(), CancellationToken::new());
        let connections = Arc::new(Connections::new(&kill, &drain));
        let tasks = TaskTracker::new();
        let (up, is_up) = watch::channel(true);
        let service = Service {
            routers: Routers::new(&state),
            state: state.clone(),
            connections: connections.clone(),
            stop: drain.clone(),
            tasks: tasks.clone(),
            idle_timeout: self.idle_timeout,
            up: is_up,
        };
        let (tls, ca_pem) = self.certificate()?;

        let mut listeners = vec![self.listener("all", self.port, Mount::All, None).await?];
        for api in Api::ALL {
            listeners.push(self.listener(api.name(), 0, Mount::Only(api), None).await?);
        }
        if tls.is_some() {
            listeners.push(self.listener("tls", 0, Mount::All, tls).await?);
        }
        let ports = listeners
            .iter()
            .map(|listener| Ok((listener.name, listener.socket.local_addr()?)))
            .collect::<std::io::Result<BTreeMap<_, _>>>()?;
        let control = self.bind(self.control_port).await?;
        let control_address = control.local_addr()?;
        for listener in listeners {
            tasks.spawn(listener.run(service.clone()));
        }
        let served = axum::serve(control, control::router(state.clone(), connections.clone()))
            .with_graceful_shutdown(drain.clone().cancelled_owned());
        tasks.spawn(async move {
            if let Err(error) = served.await {
                tracing::warn!(%error, "the control port failed");
            }
        });
        let endpoints = Endpoints::new(&ports, control_address, self.ca_file.clone())?;
        Ok(Upstream {
            state,
            connections,
            endpoints,
            ca_pem,
            kill,
            drain,
            up,
            tasks,
        })
    }

    fn certificate(&self) -> anyhow::Result<(Option<TlsAcceptor>, Option<String>)> {
        if !self.tls {
            return Ok((None, None));
        }
        let certificate = certificate::issue(self.address)?;
        if let Some(path) = &self.ca_file {
            std::fs::write(path, &certificate.ca_pem)
                .with_context(|| format!("the certificate authority can't be written to {}", path.display()))?;
        }
        Ok((Some(TlsAcceptor::from(certificate.config)), Some(certificate.ca_pem)))
    }

    async fn listener(
        &self,
        name: &'static str,
        port: u16,
        mount: Mount,
        tls: Option<TlsAcceptor>,
    ) -> anyhow::Result<Listener> {
        Ok(Listener {
            name,
            socket: self.bind(port).await?,
            mount,
            tls,
        })
    }

    async fn bind(&self, port: u16) -> anyhow::Result<TcpListener> {
        let address = SocketAddr::new(self.address, port);
        TcpListener::bind(address)
            .await
            .with_context(|| format!("{address} can't be listened on"))
    }
}
