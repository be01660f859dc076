//! A pool and a peer that follows a script, with the question that every test ends with.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::Either;
use http::Request;
use http_body_util::BodyExt;
use tokio::net::{TcpListener, TcpStream};
use weir_pool::{Pool, PoolConfig, PoolManager, PoolStats, ResetPoint, SendError, SendOptions};

use crate::certificates::{Authority, Identity};
use crate::line::{Line, Wire};
use crate::peers::{Seen, at_rest, eventually, get, post, until};
use crate::sockets;
use crate::way::Way;

pub struct Rig {
    pub way: Way,
    pub manager: PoolManager,
    pub pool: Pool,
    authority: Authority,
    /// The first is the one a test is about.
    peers: Vec<Peer>,
}

struct Peer {
    address: SocketAddr,
    seen: Arc<Seen>,
}

impl Peer {
    /// Does with each socket, by its number, what `serve` does.
    async fn accepting<F>(serve: impl Fn(TcpStream, usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let counting = seen.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                let (number, open) = counting.enter();
                let served = serve(tcp, number);
                tokio::spawn(async move {
                    let _ = served.await;
                    drop(open);
                });
            }
        });
        Self { address, seen }
    }

    /// Has each connection follow `script`.
    async fn following<F>(way: Way, authority: &Authority, script: impl Fn(Line) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let acceptor = authority.acceptor(Identity::Good, way.alpn());
        let script = Arc::new(script);
        Self::accepting(move |tcp, number| {
            let (acceptor, script) = (acceptor.clone(), script.clone());
            async move {
                let wire = match way.tls {
                    true => Wire::Tls(Box::new(acceptor.accept(tcp).await?)),
                    false => Wire::Plain(tcp),
                };
                script(Line::new(wire, way.http2, number)).await
            }
        })
        .await
    }
}

impl Rig {
    /// The peer's first connection follows `script`; the others echo.
    pub async fn new<F>(way: Way, script: impl Fn(Line) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        Self::with(way, way.config(4), script).await
    }

    /// As [`Self::new`], with a pool of other settings.
    pub async fn with<F>(way: Way, config: PoolConfig, script: impl Fn(Line) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        Self::following(way, config, move |line| match line.number {
            0 => Either::Left(script(line)),
            _ => Either::Right(line.echo()),
        })
        .await
    }

    /// Every connection of the peer follows `script`.
    pub async fn following<F>(way: Way, config: PoolConfig, script: impl Fn(Line) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let authority = Authority::new();
        let peer = Peer::following(way, &authority, script).await;
        Self::of(way, config, authority, peer)
    }

    /// The peer does with each socket, by its number, what `serve` does. The pool trusts `authority`.
    pub async fn accepting<F>(
        way: Way,
        authority: Authority,
        serve: impl Fn(TcpStream, usize) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        Self::of(way, way.config(4), authority, Peer::accepting(serve).await)
    }

    fn of(way: Way, config: PoolConfig, authority: Authority, peer: Peer) -> Self {
        let manager = PoolManager::with_roots(authority.roots.clone()).unwrap();
        Self {
            way,
            pool: manager.pool("test", config.into()).unwrap(),
            manager,
            authority,
            peers: vec![peer],
        }
    }

    /// One more peer for the same pool. Returns its number.
    pub async fn add_peer<F>(&mut self, script: impl Fn(Line) -> F + Send + Sync + 'static) -> usize
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        self.peers
            .push(Peer::following(self.way, &self.authority, script).await);
        self.peers.len() - 1
    }

    pub fn uri(&self) -> String {
        self.uri_of(0)
    }

    pub fn uri_of(&self, peer: usize) -> String {
        let scheme = if self.way.tls { "https" } else { "http" };
        format!("{scheme}://{}/", self.peers[peer].address)
    }

    pub async fn get(&self) -> Result<Bytes, SendError> {
        self.send(get(&self.uri())).await
    }

    pub async fn post(&self, body: impl Into<Bytes>) -> Result<Bytes, SendError> {
        self.send(post(&self.uri(), body)).await
    }

    pub async fn send(&self, request: Request<Bytes>) -> Result<Bytes, SendError> {
        let response = self.pool.send(request, SendOptions::default()).await?;
        Ok(response.into_body().collect().await?.to_bytes())
    }

    /// At rest nobody waits, nothing is under way, and the pool, the operating system and the peer agree on what is
    /// open; a plain request succeeds; and when the pool is closed, no descriptor is left. Returns the pool's picture
    /// from before the plain request.
    pub async fn is_sound(&self) -> PoolStats {
        let stats = self.agrees().await;
        let echoed = self.post("still there").await.unwrap();
        assert_eq!(echoed, "still there");
        self.agrees().await;

        self.manager.close_all(Duration::from_secs(1)).await;
        assert_eq!(self.agrees().await.idle, 0);
        stats
    }

    /// At rest, the pool, the operating system and the peer agree on what is open.
    pub async fn agrees(&self) -> PoolStats {
        until(&self.pool, at_rest).await;
        eventually(|| {
            let kept = self.pool.stats().idle;
            let counted: usize = self.peers.iter().map(|peer| peer.seen.open()).sum();
            counted == kept && self.held() == (kept, kept)
        })
        .await;
        let stats = until(&self.pool, at_rest).await;
        let closed: u64 = stats.connections_closed.values().sum();
        assert_eq!(stats.connections_opened - closed, stats.idle as u64);
        assert_eq!(
            stats.requests_by_operation_and_outcome.values().sum::<u64>(),
            stats.total_requests,
            "every request has ended once"
        );
        stats
    }

    /// What the operating system has open towards the peers, and on their side.
    fn held(&self) -> (usize, usize) {
        let held = self.peers.iter().map(|peer| sockets::held(peer.address.port()));
        held.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}

/// How far an exchange had come when its connection ended, and whether the server may have acted on it.
#[track_caller]
pub fn broken_off(error: &SendError) -> (ResetPoint, bool) {
    match error {
        SendError::ConnectionReset {
            when, maybe_processed, ..
        } => (*when, *maybe_processed),
        other => panic!("{other:?}"),
    }
}
