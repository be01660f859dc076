//! Why there is no way through a proxy: [`ProxyError`].

use std::io;

/// What a proxy, or what was said about it, has come to. No variant carries a user name or a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The URL names no proxy that can be used. Correct the setting or the variable.
    #[error("it cannot be used: {problem}")]
    Invalid {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The proxy's name did not resolve.
    #[error("its name could not be resolved")]
    Unresolved(#[source] io::Error),
    /// No address of the proxy accepted a connection.
    #[error("it cannot be connected to")]
    Unreachable(#[source] io::Error),
    /// The proxy's certificate or its TLS was not acceptable.
    #[error("no secure connection to it: {0}")]
    Tls(#[source] io::Error),
    /// The proxy asks for a user name and a password (HTTP status 407), and none are given. Put them into its URL.
    ///
    /// A request to an `http` origin, which is passed on without a tunnel, has the proxy's 407 for an answer instead.
    #[error("it asks for a user name and a password")]
    AuthenticationRequired,
    /// The proxy does not accept the user name and the password (HTTP status 407). Correct them in its URL.
    #[error("it does not accept the user name and the password")]
    AuthenticationFailed,
    /// The proxy answered CONNECT with this status and opened no tunnel.
    #[error("it refused the tunnel with status {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// The proxy answered with an error of SOCKS.
    #[error("it refused the tunnel: {reason}")]
    SocksRefused {
        /// What the reply code means.
        reason: String,
    },
    /// The proxy closed the connection or does not speak the protocol of its URL.
    #[error("it broke off before there was a tunnel")]
    Broken(#[source] io::Error),
}

impl ProxyError {
    /// The same failure for another caller.
    pub(crate) fn again(&self) -> Self {
        let again = |source: &io::Error| io::Error::new(source.kind(), source.to_string());
        match self {
            Self::Invalid { problem } => Self::Invalid { problem },
            Self::Unresolved(source) => Self::Unresolved(again(source)),
            Self::Unreachable(source) => Self::Unreachable(again(source)),
            Self::Tls(source) => Self::Tls(again(source)),
            Self::AuthenticationRequired => Self::AuthenticationRequired,
            Self::AuthenticationFailed => Self::AuthenticationFailed,
            Self::Refused { status } => Self::Refused { status: *status },
            Self::SocksRefused { reason } => Self::SocksRefused { reason: reason.clone() },
            Self::Broken(source) => Self::Broken(again(source)),
        }
    }
}
