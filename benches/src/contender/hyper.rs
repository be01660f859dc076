//! hyper's connections and nothing around them: every caller has an HTTP/1.1 connection of its own, or, with HTTP/2, a
//! place among the streams of one. It is the floor, not something one would use.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::{Contender, Task, check};
use crate::scenario::STREAMS;

type Body = Full<Bytes>;

pub struct Hyper {
    task: Task,
    request: Request<Body>,
    sender: Sender,
    filling: Arc<Mutex<Option<Filling>>>,
}

/// The HTTP/2 connection that still has room, and how many callers it has.
struct Filling {
    sender: http2::SendRequest<Body>,
    callers: usize,
}

enum Sender {
    None,
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Contender for Hyper {
    async fn new(task: &Task) -> anyhow::Result<Self> {
        let mut request = task.request().map(Full::new);
        if !task.http2 {
            let authority = task.url.authority().context("a URL with a host")?;
            let host = HeaderValue::from_str(authority.as_str())?;
            request.headers_mut().insert(HOST, host);
            *request.uri_mut() = task.url.path().parse()?;
        }
        Ok(Self {
            task: task.clone(),
            request,
            sender: Sender::None,
            filling: Arc::default(),
        })
    }

    async fn caller(&self) -> anyhow::Result<Self> {
        let sender = if self.task.http2 {
            Sender::Http2(self.stream().await?)
        } else {
            Sender::Http1(self.connection().await?)
        };
        Ok(Self {
            task: self.task.clone(),
            request: self.request.clone(),
            sender,
            filling: self.filling.clone(),
        })
    }

    async fn request(&mut self) -> anyhow::Result<()> {
        let request = self.request.clone();
        let response = match &mut self.sender {
            Sender::None => anyhow::bail!("nobody's connection"),
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let status = response.status();
        check(status, &response.into_body().collect().await?.to_bytes())
    }
}

impl Hyper {
    async fn connection(&self) -> anyhow::Result<http1::SendRequest<Body>> {
        let (sender, connection) = http1::handshake(TokioIo::new(self.dial().await?)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn stream(&self) -> anyhow::Result<http2::SendRequest<Body>> {
        let mut filling = self.filling.lock().await;
        if let Some(connection) = filling.as_mut().filter(|connection| connection.callers < STREAMS) {
            connection.callers += 1;
            return Ok(connection.sender.clone());
        }
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(self.dial().await?)).await?;
        tokio::spawn(connection);
        *filling = Some(Filling {
            sender: sender.clone(),
            callers: 1,
        });
        Ok(sender)
    }

    async fn dial(&self) -> anyhow::Result<Box<dyn Io>> {
        let authority = self.task.url.authority().context("a URL with a host")?;
        let tcp = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
        tcp.set_nodelay(true)?;
        if !self.task.is_secure() {
            return Ok(Box::new(tcp));
        }
        let mut tls = self.task.tls()?;
        tls.alpn_protocols = vec![if self.task.http2 {
            b"h2".to_vec()
        } else {
            b"http/1.1".to_vec()
        }];
        let name = ServerName::try_from(authority.host().to_owned())?;
        Ok(Box::new(TlsConnector::from(Arc::new(tls)).connect(name, tcp).await?))
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
