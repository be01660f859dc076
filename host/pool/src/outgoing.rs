//! A request made ready for the wire: [`Outgoing`], and its body as HTTP takes it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::admission::Protocol;
use crate::connect::Forward;
use crate::decode;
use crate::destination::{Destination, Destinations};
use crate::error::SendError;
use crate::origin::Origin;

/// How much of the body is handed over at a time: a frame of HTTP/2 (RFC 9113, section 4.2). The smaller the piece, the
/// closer what has been taken is to what has been sent.
const PIECE: usize = 16 * 1024;

/// Headers that speak about the connection or to a proxy, which is the pool's business (RFC 9110, sections 7.6.1 and
/// 11.7.2), the length, which is the body's, and the host, which is the URI's.
const NOT_THE_CALLERS: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    header::HOST,
];

/// A request that can be sent, more than once if need be.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub origin: Origin,
    /// Whether the server may see it twice.
    pub replay_safe: bool,
    /// Whether a compressed answer was asked for on the caller's behalf.
    pub decodes: bool,
    method: Method,
    absolute: Uri,
    relative: Uri,
    host: HeaderValue,
    headers: HeaderMap,
    body: Bytes,
}

impl Outgoing {
    pub fn new(
        request: Request<Bytes>,
        marked_safe: bool,
        decompress: bool,
        destinations: &Destinations,
    ) -> Result<Self, SendError> {
        let invalid = |reason: &str| SendError::InvalidRequest {
            reason: reason.to_owned(),
        };
        let (head, body) = request.into_parts();
        let Destination { origin, host } = destinations.of(&head.uri).map_err(|reason| invalid(&reason))?;
        if head.method == Method::CONNECT {
            return Err(invalid("CONNECT asks for a tunnel, which this pool does not make"));
        }
        let path = head
            .uri
            .path_and_query()
            .cloned()
            .unwrap_or(PathAndQuery::from_static("/"));
        let relative = Uri::from(path);

        let mut headers = head.headers;
        // A few comparisons instead of as many look-ups: hardly anybody sets one of these.
        if headers.keys().any(|name| NOT_THE_CALLERS.contains(name)) {
            for name in &NOT_THE_CALLERS {
                headers.remove(name);
            }
        }
        // For those that are put in here.
        headers.reserve(3);
        // A method that is expected to have a body states that it has none (RFC 9110, section 8.6).
        if !body.is_empty() || matches!(head.method, Method::POST | Method::PUT | Method::PATCH) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let replay_safe = marked_safe || head.method.is_idempotent() || headers.contains_key("idempotency-key");
        Ok(Self {
            origin,
            replay_safe,
            decodes: decompress && decode::offer(&mut headers),
            method: head.method,
            absolute: head.uri,
            relative,
            host,
            headers,
            body,
        })
    }

    /// The request in the form a protocol, or a proxy that passes it on, wants it, and the progress of its body.
    pub fn to_request(
        &self,
        protocol: Protocol,
        forward: Option<Forward<'_>>,
        now: Instant,
    ) -> (Request<OutgoingBody>, Arc<Progress>) {
        let progress = Arc::new(Progress::new(now, self.body.is_empty()));
        let mut request = Request::new(OutgoingBody {
            rest: self.body.clone(),
            progress: progress.clone(),
        });
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        match protocol {
            Protocol::Http1 => {
                request.headers_mut().insert(header::HOST, self.host.clone());
                *request.uri_mut() = if forward.is_some() {
                    &self.absolute
                } else {
                    &self.relative
                }
                .clone();
                if let Some(authorization) = forward.and_then(|forward| forward.authorization) {
                    let headers = request.headers_mut();
                    headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
                }
            }
            Protocol::Http2 => {
                *request.uri_mut() = self.absolute.clone();
                *request.version_mut() = Version::HTTP_2;
            }
        }
        (request, progress)
    }
}

/// How much of a body has been taken for sending, and when.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    nanos: AtomicU64,
    taken: AtomicBool,
}

impl Progress {
    fn new(now: Instant, empty: bool) -> Self {
        Self {
            started: now,
            nanos: AtomicU64::new(0),
            taken: AtomicBool::new(empty),
        }
    }

    /// Whether all of it has been taken.
    pub fn is_complete(&self) -> bool {
        self.taken.load(Ordering::Acquire)
    }

    /// When the last piece was taken; the beginning of the exchange before that.
    pub fn last_at(&self) -> Instant {
        self.started + Duration::from_nanos(self.last_nanos())
    }

    fn last_nanos(&self) -> u64 {
        self.nanos.load(Ordering::Acquire)
    }

    fn complete(&self) {
        self.taken.store(true, Ordering::Release);
    }

    fn advance(&self, complete: bool) {
        let since = Instant::now().saturating_duration_since(self.started);
        self.nanos
            .store(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX), Ordering::Release);
        self.taken.store(complete, Ordering::Release);
    }
}

/// A request's body, handed over piece by piece so that its progress can be told.
#[derive(Debug)]
pub(crate) struct OutgoingBody {
    rest: Bytes,
    progress: Arc<Progress>,
}

impl OutgoingBody {
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How much of it is best handed over next.
    pub fn next_length(&self) -> usize {
        self.rest.len().min(PIECE)
    }

    /// Hands over the next piece, of `most` bytes at most.
    pub fn take(&mut self, most: usize) -> Bytes {
        let piece = self.rest.split_to(self.next_length().min(most));
        self.progress.advance(self.rest.is_empty());
        piece
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_empty() {
            return Poll::Ready(None);
        }
        if self.rest.len() <= PIECE && self.progress.last_nanos() == 0 {
            // Its only piece goes with the head: no need to ask the clock.
            self.progress.complete();
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest)))));
        }
        Poll::Ready(Some(Ok(Frame::data(self.take(PIECE)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(request: http::request::Builder) -> Outgoing {
        Outgoing::new(
            request.body(Bytes::from_static(b"{}")).unwrap(),
            false,
            true,
            &Destinations::default(),
        )
        .unwrap()
    }

    #[test]
    fn the_pool_decides_about_host_length_and_connection() {
        let outgoing = outgoing(
            Request::post("http://Qdrant.local:6333/points?wait=true")
                .header("host", "elsewhere")
                .header("content-length", "7")
                .header("connection", "close")
                .header("api-key", "k"),
        );
        let (request, _) = outgoing.to_request(Protocol::Http1, None, Instant::now());
        assert_eq!(request.uri(), "/points?wait=true");
        assert_eq!(request.headers()["host"], "qdrant.local:6333");
        assert_eq!(request.headers()["content-length"], "2");
        assert!(!request.headers().contains_key("connection"));
        assert_eq!(request.headers()["api-key"], "k");

        let (request, _) = outgoing.to_request(Protocol::Http2, None, Instant::now());
        assert!(request.uri().authority().is_some());
        assert!(!request.headers().contains_key("host"));
    }

    #[test]
    fn what_a_proxy_passes_on_tells_it_where_to_and_who_asks() {
        let outgoing =
            outgoing(Request::post("http://qdrant.local:6333/points?wait=true").header("proxy-authorization", "x"));
        let authorization = HeaderValue::from_static("Basic bTpw");
        let forward = Forward {
            authorization: Some(&authorization),
        };
        let (request, _) = outgoing.to_request(Protocol::Http1, Some(forward), Instant::now());
        assert_eq!(request.uri(), "http://qdrant.local:6333/points?wait=true");
        assert_eq!(request.headers()["host"], "qdrant.local:6333");
        assert_eq!(request.headers()["proxy-authorization"], "Basic bTpw");
        let (request, _) = outgoing.to_request(Protocol::Http1, None, Instant::now());
        assert!(!request.headers().contains_key("proxy-authorization"));
    }

    #[test]
    fn only_idempotent_or_marked_requests_may_reach_the_server_twice() {
        assert!(outgoing(Request::put("http://h/")).replay_safe);
        assert!(!outgoing(Request::post("http://h/")).replay_safe);
        assert!(outgoing(Request::post("http://h/").header("Idempotency-Key", "1")).replay_safe);
        let marked = Outgoing::new(
            Request::post("http://h/").body(Bytes::new()).unwrap(),
            true,
            true,
            &Destinations::default(),
        )
        .unwrap();
        assert!(marked.replay_safe);
    }
}
