//! One request of a guest: checked, given its credential, sent on the provider's pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::Instrument as _;
use weir_pool::{Pool, ResponseBody, SendOptions, Timeouts};

use crate::bindings::v0_1_0::pooled_http::{self, Request, Response};
use crate::bindings::v0_1_0::types::{Header, HttpError};
use crate::capability::Capability;
use crate::instance::state::CallContext;
use crate::lend::credential::{Secrets, Signed};
use crate::lend::egress::Egress;
use crate::lend::failure::http_error;
use crate::lend::headers;
use crate::lend::redact::Redactor;
use crate::lend::trace::Upstream;

/// HTTP as one provider is lent it.
#[derive(Debug)]
pub(crate) struct LentHttp {
    pub(crate) provider: Arc<str>,
    pub(crate) pool: Pool,
    pub(crate) egress: Egress,
    pub(crate) secrets: Secrets,
    pub(crate) redactor: Redactor,
    pub(crate) max_request_bytes: usize,
    pub(crate) denied: Arc<AtomicU64>,
}

/// An answer whose body is still under way.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<Header>,
    pub(super) body: ResponseBody,
    /// Counts as a request in flight until the body has ended.
    pub(super) permit: OwnedSemaphorePermit,
}

impl LentHttp {
    /// Sends a request and waits for the whole answer.
    pub(super) async fn send(&self, call: &CallContext, request: Request) -> Result<Response, HttpError> {
        let answer = self.send_streaming(call, request).await?;
        let body = answer.body.collect().await.map_err(http_error)?.to_bytes();
        Ok(Response {
            status: answer.status,
            headers: answer.headers,
            body: self.redactor.redact(body).into(),
        })
    }

    /// Sends a request and returns when the answer's headers are there.
    pub(super) async fn send_streaming(&self, call: &CallContext, request: Request) -> Result<Answer, HttpError> {
        let permit = call.permit()?;
        self.send_permitted(call, request, permit).await
    }

    /// The same, for who has the permit already.
    pub(super) async fn send_permitted(
        &self,
        call: &CallContext,
        request: Request,
        permit: OwnedSemaphorePermit,
    ) -> Result<Answer, HttpError> {
        let options = self.options(call, &request);
        let upstream = Upstream::begin(&request);
        let answer = match self.admit(request, &upstream) {
            Ok(request) => {
                call.act();
                let sent = self.pool.send(request, options).instrument(upstream.span()).await;
                sent.map_err(http_error)
            }
            Err(error) => Err(error),
        };
        upstream.answered(answer.as_ref().map(http::Response::status));
        let answer = answer.inspect_err(|error| self.tell_denial(call, error))?;
        let (parts, body) = answer.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: headers::returned(&parts.headers, &self.redactor),
            body,
            permit,
        })
    }

    /// Checks the request, then puts the credential in, and its place in the trace.
    fn admit(&self, request: Request, upstream: &Upstream) -> Result<http::Request<Bytes>, HttpError> {
        let mut url = self.egress.admit(&request.url)?;
        let method = Method::from_bytes(request.method.as_bytes())
            .ok()
            // CONNECT makes a tunnel; TRACE is answered with the request, credential included.
            .filter(|method| *method != Method::CONNECT && *method != Method::TRACE)
            .ok_or_else(|| HttpError::InvalidRequest(format!("the method `{}`", request.method.escape_debug())))?;
        let mut headers = headers::admit(&request.headers)?;
        upstream.strip(&mut headers);
        let body = Bytes::from(request.body.unwrap_or_default());
        if body.len() > self.max_request_bytes {
            let (bytes, limit) = (body.len(), self.max_request_bytes);
            return Err(HttpError::TooLarge(format!(
                "the request has {bytes} bytes, more than {limit} (limits.max_request_bytes)"
            )));
        }
        if let Some(credential) = &request.credential {
            let signed = Signed {
                method: method.as_str(),
                body: &body,
                now: SystemTime::now(),
            };
            self.secrets.apply(credential, &mut url, &mut headers, &signed)?;
        }
        upstream.tell(&mut headers);
        let mut admitted = http::Request::new(body);
        *admitted.method_mut() = method;
        *admitted.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|_| HttpError::InvalidRequest("the URL is invalid".to_owned()))?;
        *admitted.headers_mut() = headers;
        Ok(admitted)
    }

    fn options(&self, call: &CallContext, request: &Request) -> SendOptions {
        // Labels of its own would let a guest make as many time series as it likes.
        let operation = Capability::operation(&request.operation).unwrap_or(call.operation);
        SendOptions {
            operation: Some(operation.into()),
            replay_safe: request.replay_safe,
            timeouts: wishes(request.timeouts.as_ref()),
            // A provider that asks to come back after the call's end is answered for now: what it said is worth more to
            // the caller than the call's own time-out.
            patience: Some(call.deadline.saturating_duration_since(Instant::now())),
            tokens: estimated_tokens(request.body.as_deref()),
        }
    }

    fn tell_denial(&self, call: &CallContext, error: &HttpError) {
        if let HttpError::EgressDenied(reason) = error {
            self.denied.fetch_add(1, Ordering::Relaxed);
            if !call.told_denial.swap(true, Ordering::Relaxed) {
                let reason: String = reason.chars().take(200).collect();
                tracing::warn!(provider = %self.provider, operation = call.operation, ?reason, "a request was denied");
            }
        }
    }
}

/// The guest's own time-outs. The pool lets them shorten the operator's and never lengthen them
/// ([`weir_pool::CallerTimeouts::Shorten`]).
fn wishes(timeouts: Option<&pooled_http::Timeouts>) -> Timeouts {
    let wish = |of: fn(&pooled_http::Timeouts) -> Option<u64>| timeouts.and_then(of).map(Duration::from_nanos);
    Timeouts {
        pool: None,
        connect: wish(|timeouts| timeouts.connect),
        write: wish(|timeouts| timeouts.write),
        first_byte: wish(|timeouts| timeouts.first_byte),
        read: wish(|timeouts| timeouts.read),
        total: wish(|timeouts| timeouts.total),
    }
}

/// What a request counts as under `tokens_per_minute`: the host knows no provider's tokenizer. Four bytes a token is
/// OpenAI's rule of thumb for English text; JSON around it makes the estimate high rather than low.
fn estimated_tokens(body: Option<&[u8]>) -> u32 {
    const BYTES_A_TOKEN: usize = 4;
    let bytes = body.map_or(0, <[u8]>::len);
    u32::try_from(bytes.div_ceil(BYTES_A_TOKEN)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_as_a_token_for_every_four_bytes() {
        let tokens = [None, Some(&b"x"[..]), Some(&[b'x'; 4_000][..])].map(estimated_tokens);
        assert_eq!(tokens, [0, 1, 1_000]);
    }

    #[test]
    fn each_wish_of_a_guest_reaches_the_pool() {
        let guest = pooled_http::Timeouts {
            connect: Some(1),
            write: Some(2),
            first_byte: Some(3),
            read: Some(4),
            total: Some(5),
        };
        let wishes = wishes(Some(&guest));
        let nanoseconds = |wish: Option<Duration>| wish.map(|wish| wish.as_nanos());
        assert_eq!(
            [
                wishes.connect,
                wishes.write,
                wishes.first_byte,
                wishes.read,
                wishes.total
            ]
            .map(nanoseconds),
            [Some(1), Some(2), Some(3), Some(4), Some(5)]
        );
    }
}
