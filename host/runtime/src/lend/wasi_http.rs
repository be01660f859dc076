//! A second door to the pool, for components that were written for `wasi:http` (0.2 or 0.3).
//!
//! A request that comes through it is put in the contract's words and sent as one of `pooled-http` is: the same
//! checks, pool, limits and time-outs, one path for both. What is its own is here:
//!
//! - It can't name a credential. If the provider is granted the secret `api_key`, the host puts it into each request as
//!   `Authorization: Bearer`, after the egress check.
//! - Its body arrives while the request is already under way. It is collected, up to `limits.max_request_bytes`.
//! - What the guest leaves half made lies in the host's memory, so handles, headers and pieces have bounds of their own.

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::{HeaderName, Response, header};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::bindings::v0_1_0::pooled_http::{Credential, Request, Timeouts};
use crate::bindings::v0_1_0::types::HttpError;
use crate::instance::state::{CallContext, InstanceState};
use crate::lend::body::LentBody;
use crate::lend::headers;
use crate::lend::http::LentHttp;

/// Live handles of an instance that uses this door. A request and its answer need about ten, and a call can have 32 of
/// them in flight; with [`FIELD_BYTES`], headers that are never sent take no more than the default `limits.memory`.
pub(crate) const MAX_HANDLES: usize = 1_000;

/// Bytes of one set of headers, the map's own cost included.
const FIELD_BYTES: usize = 64 << 10;

/// Bytes of a body that wait to be collected, at most twice: the piece in which the pool sends.
const PIECE: usize = 16 << 10;

/// The secret that goes with every request.
const API_KEY: &str = "api_key";

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(Response<WasiBody>, Io), Error>;

/// What an instance sends with.
pub(crate) struct SecondDoor {
    context: WasiHttpCtx,
    sender: Sender,
}

struct Sender {
    http: Option<Arc<LentHttp>>,
    /// The call that is served. What is under way for it holds it; this does not.
    call: Weak<CallContext>,
}

impl SecondDoor {
    pub(crate) fn new(http: Option<Arc<LentHttp>>) -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(FIELD_BYTES);
        SecondDoor {
            context,
            sender: Sender {
                http,
                call: Weak::new(),
            },
        }
    }

    /// Turns to a new call.
    pub(crate) fn begin_call(&mut self, call: &Arc<CallContext>) {
        self.sender.call = Arc::downgrade(call);
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.second_door.sender,
            table: &mut self.table,
            ctx: &mut self.second_door.context,
        }
    }
}

impl WasiHttpHooks for Sender {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        // Whoever wrote for `wasi:http` may state the length; it is held against the body and not sent on.
        Arc::new(|name: &HeaderName| headers::is_reserved(name) && *name != header::CONTENT_LENGTH)
    }

    /// The pool sets it.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        PIECE
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        PIECE
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Io,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let borrowed = self.borrowed();
        Box::new(async move { send(borrowed?, request, options.unwrap_or_default()).await })
    }
}

/// What the instance was lent, the call that uses it, and the request's place among the call's.
struct Borrowed {
    http: Arc<LentHttp>,
    call: Arc<CallContext>,
    permit: OwnedSemaphorePermit,
}

impl Sender {
    /// Before the body is collected: so many are held at once and no more.
    fn borrowed(&self) -> Result<Borrowed, Error> {
        let (Some(http), Some(call)) = (self.http.clone(), self.call.upgrade()) else {
            return Err(Error::HttpRequestDenied);
        };
        let permit = call.permit().map_err(in_their_words)?;
        Ok(Borrowed { http, call, permit })
    }
}

async fn send(borrowed: Borrowed, request: http::Request<WasiBody>, options: RequestOptions) -> Sent {
    let Borrowed { http, call, permit } = borrowed;
    let (head, body) = request.into_parts();
    let length = stated_length(&head.headers);
    let body = collect(body, length, http.max_request_bytes).await?;
    let mut fields = head.headers;
    fields.remove(header::CONTENT_LENGTH);
    let request = Request {
        operation: call.operation.to_owned(),
        method: head.method.as_str().to_owned(),
        url: head.uri.to_string(),
        headers: headers::of_map(&fields),
        credential: http
            .secrets
            .holds(API_KEY)
            .then(|| Credential::Bearer(API_KEY.to_owned())),
        body: Some(body),
        // Nobody said so; the method or an `Idempotency-Key` may.
        replay_safe: false,
        timeouts: Some(timeouts(&options)),
    };
    let answer = http
        .send_permitted(&call, request, permit)
        .await
        .map_err(in_their_words)?;
    let mut response = Response::new(());
    *response.status_mut() = answer.status.try_into().map_err(|_| Error::HttpProtocolError)?;
    *response.headers_mut() = headers::to_map(&answer.headers);
    let body = LentBody::new(answer, http, call);
    let body = body.map_err(|error| in_their_words(super::failure::http_error(error)));
    Ok((response.map(|()| body.boxed_unsync()), Box::new(async { Ok(()) })))
}

fn stated_length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The whole body, as the guest writes it. At the first byte too many the guest's stream is closed.
async fn collect(mut body: WasiBody, stated: Option<u64>, limit: usize) -> Result<Vec<u8>, Error> {
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        // Trailers are dropped: no provider's interface has any.
        let piece = frame?.into_data().unwrap_or_default();
        let length = collected.len() + piece.len();
        if length > limit {
            return Err(Error::HttpRequestBodySize(Some(length as u64)));
        }
        collected.extend_from_slice(&piece);
    }
    let length = collected.len() as u64;
    match stated {
        // A guest that drops the body unfinished meant to send more.
        Some(stated) if stated != length => Err(Error::HttpRequestBodySize(Some(length))),
        _ => Ok(collected),
    }
}

fn timeouts(options: &RequestOptions) -> Timeouts {
    let nanoseconds = |wish: Option<Duration>| wish.and_then(|wish| u64::try_from(wish.as_nanos()).ok());
    Timeouts {
        connect: nanoseconds(options.connect_timeout),
        write: None,
        first_byte: nanoseconds(options.first_byte_timeout),
        read: nanoseconds(options.between_bytes_timeout),
        total: None,
    }
}

/// The error codes of `wasi:http`. Where they have no word for it, the contract's message goes along.
fn in_their_words(error: HttpError) -> Error {
    match error {
        HttpError::EgressDenied(_) => Error::HttpRequestDenied,
        HttpError::PoolTimeout(_) | HttpError::Overloaded(_) | HttpError::Unavailable(_) => {
            Error::ConnectionLimitReached
        }
        HttpError::ConnectTimeout(_) => Error::ConnectionTimeout,
        HttpError::ConnectFailed(_) | HttpError::Closed => Error::DestinationUnavailable,
        HttpError::WriteTimeout(_) => Error::ConnectionWriteTimeout,
        HttpError::ReadTimeout(_) => Error::ConnectionReadTimeout,
        HttpError::FirstByteTimeout(_) | HttpError::TotalTimeout(_) => Error::HttpResponseTimeout,
        HttpError::ConnectionReset(_) => Error::ConnectionTerminated,
        HttpError::Protocol(_) => Error::HttpProtocolError,
        HttpError::InvalidRequest(text) | HttpError::CredentialDenied(text) | HttpError::TooLarge(text) => {
            Error::InternalError(Some(text))
        }
    }
}
