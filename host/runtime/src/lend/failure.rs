//! The pool's errors in the contract's words.

use std::error::Error as _;

use weir_pool::SendError;

use crate::bindings::v0_1_0::types::{ConnectionReset, HttpError};

/// What the guest is told. The messages name the origin and never a secret: the pool's errors carry neither headers
/// nor queries.
pub(super) fn http_error(error: SendError) -> HttpError {
    let message = message(&error);
    match error {
        SendError::InvalidRequest { .. } => HttpError::InvalidRequest(message),
        SendError::PoolTimeout { .. } => HttpError::PoolTimeout(message),
        SendError::TooManyWaiters { .. } | SendError::BreakerOpen { .. } | SendError::RateLimited { .. } => {
            HttpError::Overloaded(message)
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
