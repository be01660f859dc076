//! From an origin to a live HTTP connection: name, address, TCP, TLS, HTTP, all under one deadline.

mod names;
mod proxies;
mod race;
mod resolve;
mod route;
mod socket;
mod system;
mod target;
mod tls;
mod trust;
mod tunnel;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::{Instant, timeout_at};

use crate::admission::Protocol;
use crate::error::{ConnectStage, SendError};
use crate::meter::Meter;
use crate::options::later;
use crate::origin::Origin;
use crate::outgoing::OutgoingBody;
use crate::settings::AddressFilter;
use crate::wire::{Stream, Wire};
use route::NoWay;

pub(crate) use names::Names;
pub use proxies::Proxies;
pub(crate) use proxies::{Forward, Rules as ProxyRules};
pub use resolve::{Resolve, Resolved};
pub(crate) use socket::Socket;
pub(crate) use system::SystemResolver;
pub(crate) use tls::{SharedTls, Tls, platform_roots};
pub use trust::{Certificates, ClientCertificate, Roots, TlsSettings};

/// Streams assumed before the peer has said how many it takes: the least that RFC 9113, section 6.5.2, recommends.
pub(crate) const ASSUMED_STREAMS: usize = 100;

/// The end of a connection that takes requests.
#[derive(Debug)]
pub(crate) enum Sender {
    Http1(http1::SendRequest<OutgoingBody>),
    Http2(http2::SendRequest<OutgoingBody>),
}

/// What comes of handing over a request: its answer, or why there is none, perhaps with the untouched request.
type Handed = Result<Response<Incoming>, TrySendError<Request<OutgoingBody>>>;

impl Sender {
    /// Hands the request over; the connection works on it whether or not the future is polled.
    pub fn send(&mut self, request: Request<OutgoingBody>) -> impl Future<Output = Handed> + Send + use<> {
        match self {
            Self::Http1(sender) => Either::Left(sender.try_send_request(request)),
            Self::Http2(sender) => Either::Right(sender.try_send_request(request)),
        }
    }

    pub fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// A second sender for another stream; none where a connection carries one request at a time.
    pub fn another(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }
}

/// The end of a connection that does the work, to be polled until it ends. It owns the socket, or started what does.
pub(crate) enum Driver<P: Unpin + Send + 'static> {
    Http1(Box<http1::Connection<TokioIo<Stream<P>>, OutgoingBody>>),
    Http2(Box<http2::Connection<TokioIo<Stream<P>>, OutgoingBody, TokioExecutor>>),
}

/// A connection as the dial left it.
pub(crate) struct Dialled<P: Unpin + Send + 'static> {
    pub sender: Sender,
    pub driver: Driver<P>,
    pub protocol: Protocol,
    /// How many requests it carries at once.
    pub streams: usize,
}

/// How a pool connects.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub tls: Tls,
    pub names: Arc<Names>,
    pub proxies: Arc<ProxyRules>,
    pub address_filter: Option<Arc<dyn AddressFilter>>,
    pub http2: bool,
    pub max_header_bytes: usize,
}

impl Connector {
    /// Opens a connection within `limit`. The socket holds `permit` as long as it lives.
    pub async fn dial<P: Unpin + Send + 'static>(
        &self,
        origin: &Origin,
        limit: Duration,
        meter: Arc<Meter>,
        permit: P,
    ) -> Result<Dialled<P>, SendError> {
        let deadline = later(Instant::now(), limit);
        let late = |stage| SendError::ConnectTimeout {
            origin: origin.clone(),
            limit,
            stage,
        };

        let socket = self.reach(origin, deadline).await.map_err(|error| match error {
            NoWay::Late(stage) => late(stage),
            NoWay::Failed(error) => error,
        })?;
        let wire = Wire::new(socket, meter, permit);
        timeout_at(deadline, self.agree(origin, wire))
            .await
            .map_err(|_| late(ConnectStage::Securing))?
    }

    /// TLS where the origin asks for it, then the beginning of HTTP.
    async fn agree<P: Unpin + Send + 'static>(&self, origin: &Origin, wire: Wire<P>) -> Result<Dialled<P>, SendError> {
        let (stream, http2) = if origin.is_secure() {
            let secured = self.tls.secure(origin.host(), wire, self.http2).await;
            let (stream, http2) = secured.map_err(|source| SendError::Tls {
                origin: origin.clone(),
                source,
            })?;
            (Stream::Tls(Box::new(stream)), http2)
        } else {
            (Stream::Plain(wire), false)
        };
        let failed = |source: hyper::Error| SendError::Connect {
            origin: origin.clone(),
            source: io::Error::other(source),
        };
        let io = TokioIo::new(stream);
        if http2 {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.initial_max_send_streams(ASSUMED_STREAMS);
            builder.max_header_list_size(u32::try_from(self.max_header_bytes).unwrap_or(u32::MAX));
            let (sender, driver) = builder.handshake(io).await.map_err(failed)?;
            let (sender, driver) = (Sender::Http2(sender), Driver::Http2(Box::new(driver)));
            Ok(Dialled {
                sender,
                driver,
                protocol: Protocol::Http2,
                streams: ASSUMED_STREAMS,
            })
        } else {
            let mut builder = http1::Builder::new();
            builder.max_header_size(self.max_header_bytes);
            let (sender, driver) = builder.handshake(io).await.map_err(failed)?;
            let (sender, driver) = (Sender::Http1(sender), Driver::Http1(Box::new(driver)));
            Ok(Dialled {
                sender,
                driver,
                protocol: Protocol::Http1,
                streams: 1,
            })
        }
    }
}
