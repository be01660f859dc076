//! From a socket to an HTTP connection: TLS where the origin asks for it, then the beginning of HTTP.

use std::future::Future;
use std::io;

use bytes::Bytes;
use futures::future::Either;
use http::{Request, Response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::Connector;
use crate::admission::Protocol;
use crate::error::{SendError, TransportError};
use crate::http2::Http2Exchange;
use crate::incoming::Incoming;
use crate::origin::Origin;
use crate::outgoing::OutgoingBody;
use crate::wire::{Stream, Wire};

/// Streams assumed before the peer has said how many it takes: the least that RFC 9113, section 6.5.2, recommends.
const ASSUMED_STREAMS: usize = 100;

/// How much of one answer may be under way before the reader asks for more, and of all answers of a connection
/// together: hyper's defaults (`http2_initial_stream_window_size`), which keep 20 ms and a gigabit a second busy.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 5 * 1024 * 1024;

/// The end of a connection that takes requests.
pub(crate) enum Sender {
    Http1(http1::SendRequest<OutgoingBody>),
    Http2(h2::client::SendRequest<Bytes>),
}

/// Why handing over a request came to nothing.
pub(crate) struct Unanswered {
    pub source: TransportError,
    /// Whether nothing of the request has been sent.
    pub untouched: bool,
}

impl Sender {
    /// Hands the request over. Over HTTP/1.1 the connection works on it whether or not the future is polled.
    pub fn send(
        &mut self,
        request: Request<OutgoingBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, Unanswered>> + Send + use<> {
        match self {
            Self::Http1(sender) => {
                let answer = sender.try_send_request(request);
                Either::Left(async move {
                    match answer.await {
                        Ok(answer) => Ok(answer.map(Incoming::Http1)),
                        Err(mut failed) => Err(Unanswered {
                            untouched: failed.take_message().is_some(),
                            source: TransportError::Http1(failed.into_error()),
                        }),
                    }
                })
            }
            Self::Http2(sender) => {
                let opened = Http2Exchange::open(sender, request);
                Either::Right(async move {
                    let failed = |untouched| {
                        move |source| Unanswered {
                            source: TransportError::Http2(source),
                            untouched,
                        }
                    };
                    let answer = opened.map_err(failed(true))?.await;
                    answer.map(|answer| answer.map(Incoming::Http2)).map_err(failed(false))
                })
            }
        }
    }

    /// Whether the connection has ended, as far as this end of it can tell. An HTTP/2 connection is retired by its task
    /// when it ends.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(_) => false,
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

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Http1(_) => "Sender::Http1",
            Self::Http2(_) => "Sender::Http2",
        })
    }
}

/// The end of a connection that does the work, to be polled until it ends. It owns the socket.
pub(crate) enum Driver<P: Unpin + Send + 'static> {
    Http1(Box<http1::Connection<TokioIo<Stream<P>>, OutgoingBody>>),
    Http2(
        Box<h2::client::Connection<Stream<P>, Bytes>>,
        h2::client::SendRequest<Bytes>,
    ),
}

/// A connection as the dial left it.
pub(crate) struct Dialled<P: Unpin + Send + 'static> {
    pub sender: Sender,
    pub driver: Driver<P>,
    pub protocol: Protocol,
    /// How many requests it carries at once.
    pub streams: usize,
}

impl Connector {
    /// TLS where the origin asks for it, then the beginning of HTTP.
    pub(super) async fn agree<P: Unpin + Send + 'static>(
        &self,
        origin: &Origin,
        wire: Wire<P>,
    ) -> Result<Dialled<P>, SendError> {
        let (stream, http2) = if origin.is_secure() {
            let secured = self.tls.secure(origin.host(), wire, self.http2).await;
            let (stream, http2) = secured.map_err(|source| SendError::Tls {
                origin: origin.clone(),
                source,
            })?;
            (Stream::Tls(Box::new(stream)), http2)
        } else {
            (Stream::Plain(wire), self.http2_prior_knowledge)
        };
        let begun = if http2 {
            self.begin_http2(stream).await.map_err(io::Error::other)
        } else {
            self.begin_http1(stream).await.map_err(io::Error::other)
        };
        begun.map_err(|source| SendError::Connect {
            origin: origin.clone(),
            source,
        })
    }

    async fn begin_http1<P: Unpin + Send + 'static>(&self, stream: Stream<P>) -> hyper::Result<Dialled<P>> {
        let mut builder = http1::Builder::new();
        builder.max_header_size(self.max_header_bytes);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Dialled {
            sender: Sender::Http1(sender),
            driver: Driver::Http1(Box::new(connection)),
            protocol: Protocol::Http1,
            streams: 1,
        })
    }

    async fn begin_http2<P: Unpin + Send + 'static>(&self, stream: Stream<P>) -> Result<Dialled<P>, h2::Error> {
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(ASSUMED_STREAMS)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(self.max_header_bytes).unwrap_or(u32::MAX));
        let (sender, connection) = builder.handshake(stream).await?;
        Ok(Dialled {
            sender: Sender::Http2(sender.clone()),
            driver: Driver::Http2(Box::new(connection), sender),
            protocol: Protocol::Http2,
            streams: ASSUMED_STREAMS,
        })
    }
}
