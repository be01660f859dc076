//! Servers in clear text: one that follows a script byte by byte, and one that behaves; and a caller's shorthands.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use rustls::RootCertStore;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use weir_pool::{Pool, PoolConfig, PoolManager, PoolStats, ResponseBody, SendError, SendOptions};

/// An answer that lets the connection be used again.
pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// How many connections a peer has accepted, has open, and had open at most.
#[derive(Debug, Default)]
pub struct Seen {
    accepted: AtomicUsize,
    open: AtomicUsize,
    most: AtomicUsize,
}

impl Seen {
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    /// Counts a connection; it is open as long as the guard lives. Returns its number, from 0.
    pub fn enter(self: &Arc<Self>) -> (usize, Open) {
        let number = self.accepted.fetch_add(1, Ordering::SeqCst);
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(open, Ordering::SeqCst);
        (number, Open(self.clone()))
    }
}

/// A connection as its peer counts it.
pub struct Open(Arc<Seen>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A server that follows a script for each connection.
pub struct Peer {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
}

impl Peer {
    /// `script` is given the connection and its number, from 0. The connection closes when the script ends.
    pub async fn following<F>(script: impl Fn(Connection, usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let counting = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (number, open) = counting.enter();
                let played = script(Connection::over(stream), number);
                tokio::spawn(async move {
                    let _ = played.await;
                    drop(open);
                });
            }
        });
        Self { address, seen }
    }

    /// Answers every request with the number of the connection it came over.
    pub async fn answering() -> Self {
        Self::following(|mut connection, number| async move {
            while connection.request().await?.is_some() {
                connection.answer(&number.to_string()).await?;
            }
            Ok(())
        })
        .await
    }

    pub fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// The peer's end of a connection.
pub struct Connection<S = TcpStream> {
    pub stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn over(stream: S) -> Self {
        let buffer = Vec::new();
        Self { stream, buffer }
    }

    /// The head of the next request, after its body has been read; `None` at the end of the connection.
    pub async fn request(&mut self) -> io::Result<Option<String>> {
        let Some(head) = self.head().await? else {
            return Ok(None);
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        while self.buffer.len() < length {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
        self.buffer.drain(..length);
        Ok(Some(head))
    }

    /// The head of the next request, its body left where it is.
    pub async fn head(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.buffer.drain(..end + 4).collect();
                return Ok(Some(String::from_utf8(head).unwrap()));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    pub async fn write(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }

    pub async fn answer(&mut self, body: &str) -> io::Result<()> {
        self.write(&format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await
    }

    /// Reads whatever comes until the other side closes.
    pub async fn drain(mut self) -> io::Result<()> {
        tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await?;
        Ok(())
    }
}

impl Connection {
    /// Keeps the connection open and reads nothing until the other side is gone.
    pub async fn hold(self) -> io::Result<()> {
        self.stream.ready(tokio::io::Interest::ERROR).await?;
        Ok(())
    }
}

/// A small pool's settings.
pub fn config(max_connections: usize) -> PoolConfig {
    PoolConfig {
        max_connections: NonZeroUsize::new(max_connections).unwrap(),
        ..PoolConfig::default()
    }
}

/// A manager that trusts nobody.
pub fn manager() -> PoolManager {
    PoolManager::with_roots(RootCertStore::empty()).unwrap()
}

pub fn pool(config: PoolConfig) -> Pool {
    manager().pool("test", config.into()).unwrap()
}

pub fn get(uri: &str) -> Request<Bytes> {
    Request::get(uri).body(Bytes::new()).unwrap()
}

pub fn post(uri: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post(uri).body(body.into()).unwrap()
}

pub async fn fetch(pool: &Pool, uri: &str) -> Result<String, SendError> {
    text(pool.send(get(uri), SendOptions::default()).await?).await
}

pub async fn text(response: Response<ResponseBody>) -> Result<String, SendError> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// Waits until the pool is as it should be; fails with what it is if that does not come.
pub async fn until(pool: &Pool, expected: impl Fn(&PoolStats) -> bool) -> PoolStats {
    for _ in 0..20_000 {
        let stats = pool.stats();
        if expected(&stats) {
            return stats;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the pool did not come to the state expected: {:#?}", pool.stats());
}

/// Waits until what is expected has happened elsewhere.
pub async fn eventually(expected: impl Fn() -> bool) {
    for _ in 0..20_000 {
        if expected() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("what was expected did not happen");
}

/// Nothing under way, nobody waiting, no socket but idle ones.
pub fn at_rest(stats: &PoolStats) -> bool {
    (
        stats.in_flight,
        stats.active,
        stats.connecting,
        stats.closing,
        stats.waiting,
    ) == (0, 0, 0, 0, 0)
}
