//! The pool's errors in the contract's words.

use std::error::Error as _;

use weir_pool::SendError;

use crate::bindings::v0_1_0::types::{ConnectionReset, HttpError, Unavailable};

/// What the guest is told. The messages name the origin and never a secret: the pool's errors carry neither headers
/// nor queries.
pub(super) fn http_error(error: SendError) -> HttpError {
    let message = message(&error);
    match error {
        SendError::InvalidRequest { .. } => HttpError::InvalidRequest(message),
        SendError::PoolTimeout { .. } => HttpError::PoolTimeout(message),
        SendError::TooManyWaiters { .. } => HttpError::Overloaded(message),
        SendError::BreakerOpen { retry_after, .. } | SendError::RateLimited { retry_after, .. } => {
            HttpError::Unavailable(Unavailable {
                message,
                retry_after: u64::try_from(retry_after.as_nanos()).ok(),
            })
        }
        SendError::Closed { .. } => HttpError::Closed,
        SendError::AddressDenied { .. } => HttpError::EgressDenied(format!(
            "{message}; a private address needs a grant (egress.allow_private)"
        )),
        SendError::ConnectTimeout { .. } => HttpError::ConnectTimeout(message),
        SendError::Dns { .. } | SendError::Connect { .. } | SendError::Proxy { .. } | SendError::Tls { .. } => {
            HttpError::ConnectFailed(message)
        }
        SendError::WriteTimeout { .. } => HttpError::WriteTimeout(message),
        SendError::FirstByteTimeout { .. } => HttpError::FirstByteTimeout(message),
        SendError::ReadTimeout { .. } => HttpError::ReadTimeout(message),
        SendError::TotalTimeout { .. } => HttpError::TotalTimeout(message),
        SendError::ConnectionReset { maybe_processed, .. } => HttpError::ConnectionReset(ConnectionReset {
            message,
            maybe_processed,
        }),
        SendError::ResponseTooLarge { .. } | SendError::HeadersTooLarge { .. } => HttpError::TooLarge(message),
        // What cannot be decompressed is as malformed as what is no HTTP.
        _ => HttpError::Protocol(message),
    }
}

/// The error with its causes, each said once.
fn message(error: &SendError) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = next.source();
    }
    message
}
