//! One request of a guest: checked, given its credential, sent on the provider's pool.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use weir_pool::{Pool, PoolConfig, ResponseBody, SendOptions, Timeouts};

use crate::bindings::v0_1_0::pooled_http::{self, Request, Response};
use crate::bindings::v0_1_0::types::{Header, HttpError};
use crate::capability::Capability;
use crate::instance::state::CallContext;
use crate::lend::credential::{Secrets, Signed};
use crate::lend::egress::Egress;
use crate::lend::failure::http_error;
use crate::lend::headers;
use crate::lend::redact::Redactor;

/// HTTP as one provider is lent it.
#[derive(Debug)]
pub(crate) struct LentHttp {
    pub(crate) provider: Arc<str>,
    pub(crate) pool: Pool,
    pub(crate) egress: Egress,
    pub(crate) secrets: Secrets,
    pub(crate) redactor: Redactor,
    /// The operator's time-outs by operation.
    pub(crate) operations: BTreeMap<String, Timeouts>,
    pub(crate) max_request_bytes: usize,
    pub(crate) denied: AtomicU64,
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
        let permit = call.requests.clone().try_acquire_owned().map_err(|_| {
            HttpError::Overloaded("too many requests of one call in flight (limits.max_concurrent_requests)".to_owned())
        })?;
        let options = self.options(call, &request);
        let request = self.admit(request).inspect_err(|error| self.tell_denial(call, error))?;
        let answer = self
            .pool
            .send(request, options)
            .await
            .map_err(http_error)
            .inspect_err(|error| self.tell_denial(call, error))?;
        let (parts, body) = answer.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: headers::returned(&parts.headers, &self.redactor),
            body,
            permit,
        })
    }

    /// Checks the request, then puts the credential in.
    fn admit(&self, request: Request) -> Result<http::Request<Bytes>, HttpError> {
        let mut url = self.egress.admit(&request.url)?;
        let method = Method::from_bytes(request.method.as_bytes())
            .ok()
            // CONNECT makes a tunnel; TRACE is answered with the request, credential included.
            .filter(|method| *method != Method::CONNECT && *method != Method::TRACE)
            .ok_or_else(|| HttpError::InvalidRequest(format!("the method `{}`", request.method.escape_debug())))?;
        let mut headers = headers::admit(&request.headers)?;
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
        let granted = self.operations.get(operation).copied().unwrap_or_default();
        SendOptions {
            operation: Some(operation.into()),
            replay_safe: request.replay_safe,
            timeouts: clamp(request.timeouts.as_ref(), granted, self.pool.config()),
            ..SendOptions::default()
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

/// The guest's wish, where it asks for less than the operator allows; else what the operator allows.
fn clamp(wish: Option<&pooled_http::Timeouts>, granted: Timeouts, config: &PoolConfig) -> Timeouts {
    let least = |wish: Option<u64>, granted: Option<Duration>, most: Option<Duration>| {
        let allowed = granted.or(most);
        match (wish.map(Duration::from_nanos), allowed) {
            (Some(wish), Some(allowed)) => Some(wish.min(allowed)),
            (wish, allowed) => wish.or(allowed),
        }
    };
    Timeouts {
        pool: granted.pool,
        connect: least(
            wish.and_then(|wish| wish.connect),
            granted.connect,
            Some(config.connect_timeout),
        ),
        write: least(
            wish.and_then(|wish| wish.write),
            granted.write,
            Some(config.write_timeout),
        ),
        first_byte: least(
            wish.and_then(|wish| wish.first_byte),
            granted.first_byte,
            Some(config.read_timeout),
        ),
        read: least(wish.and_then(|wish| wish.read), granted.read, Some(config.read_timeout)),
        total: least(wish.and_then(|wish| wish.total), granted.total, config.total_timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_can_shorten_its_time_outs_and_never_lengthen_them() {
        let config = PoolConfig::default();
        let granted = Timeouts {
            read: Some(Duration::from_secs(120)),
            ..Timeouts::default()
        };
        let wish = |read: u64, write: u64| pooled_http::Timeouts {
            connect: None,
            write: Some(write * 1_000_000_000),
            first_byte: None,
            read: Some(read * 1_000_000_000),
            total: Some(1_000_000_000),
        };
        let short = clamp(Some(&wish(1, 2)), granted, &config);
        assert_eq!(
            (short.read, short.write),
            (Some(Duration::from_secs(1)), Some(Duration::from_secs(2)))
        );
        assert_eq!(short.total, Some(Duration::from_secs(1)));
        let long = clamp(Some(&wish(9_000, 9_000)), granted, &config);
        assert_eq!(long.read, Some(Duration::from_secs(120)));
        assert_eq!(long.write, Some(config.write_timeout));
    }
}
