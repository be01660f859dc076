//! What may be sent again: [`Reason::of`].

use http::{Response, StatusCode};

use crate::error::SendError;

/// Why a request is sent again, as a label in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    RequestTimeout,
    TooManyRequests,
    Internal,
    BadGateway,
    Unavailable,
    GatewayTimeout,
    Connect,
    Reset,
}

impl Reason {
    /// Every reason, in the order of the declaration.
    pub const ALL: [Self; 8] = [
        Self::RequestTimeout,
        Self::TooManyRequests,
        Self::Internal,
        Self::BadGateway,
        Self::Unavailable,
        Self::GatewayTimeout,
        Self::Connect,
        Self::Reset,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::RequestTimeout => "408",
            Self::TooManyRequests => "429",
            Self::Internal => "500",
            Self::BadGateway => "502",
            Self::Unavailable => "503",
            Self::GatewayTimeout => "504",
            Self::Connect => "connect",
            Self::Reset => "connection-reset",
        }
    }

    /// Why a request that ended like this may be sent again; `None` if it may not, or would fare no better.
    ///
    /// A request that must not reach the server twice is sent again only after what proves that it was not acted on:
    /// 429 (RFC 6585, section 4), or an error that says so.
    pub fn of<B>(ended: &Result<Response<B>, SendError>, replay_safe: bool) -> Option<Self> {
        match ended {
            Ok(response) => {
                Self::of_status(response.status()).filter(|reason| replay_safe || *reason == Self::TooManyRequests)
            }
            Err(error) => Self::of_error(error).filter(|_| replay_safe || error.is_unprocessed()),
        }
    }

    /// Whether the answer's `Retry-After` is followed.
    pub fn heeds_the_server(self) -> bool {
        matches!(self, Self::TooManyRequests | Self::Unavailable)
    }

    fn of_status(status: StatusCode) -> Option<Self> {
        Some(match status {
            StatusCode::REQUEST_TIMEOUT => Self::RequestTimeout,
            StatusCode::TOO_MANY_REQUESTS => Self::TooManyRequests,
            StatusCode::INTERNAL_SERVER_ERROR => Self::Internal,
            StatusCode::BAD_GATEWAY => Self::BadGateway,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            StatusCode::GATEWAY_TIMEOUT => Self::GatewayTimeout,
            _ => return None,
        })
    }

    fn of_error(error: &SendError) -> Option<Self> {
        match error {
            SendError::Dns { .. } | SendError::Connect { .. } | SendError::ConnectTimeout { .. } => Some(Self::Connect),
            // A certificate that is refused now is refused in a second.
            SendError::Tls { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => None,
            SendError::Tls { .. } => Some(Self::Connect),
            SendError::ConnectionReset { .. } => Some(Self::Reset),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Result<Response<()>, SendError> {
        Ok(Response::builder().status(status).body(()).unwrap())
    }

    #[test]
    fn a_request_that_must_not_reach_the_server_twice_is_sent_again_after_429_alone() {
        let again = |safe| {
            (100..600)
                .filter(|status| Reason::of(&answered(*status), safe).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(again(false), [429]);
        assert_eq!(again(true), [408, 429, 500, 502, 503, 504]);
    }
}
