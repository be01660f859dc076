//! Whom the pool trusts, and what it offers: one TLS configuration for all pools of a manager.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::TlsError;

/// The names of the protocols in ALPN (RFC 9113, section 3.2; RFC 7301, section 6).
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// TLS towards every server; sessions are resumed across pools.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    offering_http2: Arc<ClientConfig>,
    http1_only: Arc<ClientConfig>,
}

impl Tls {
    pub fn new(roots: RootCertStore) -> Result<Self, TlsError> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![HTTP1.to_vec()];
        let http1_only = Arc::new(config.clone());
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(Self {
            offering_http2: Arc::new(config),
            http1_only,
        })
    }

    /// Agrees on TLS with the server called `host`. Tells whether it chose HTTP/2.
    pub async fn secure<S>(&self, host: &str, socket: S, http2: bool) -> io::Result<(TlsStream<S>, bool)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let config = if http2 { &self.offering_http2 } else { &self.http1_only };
        let stream = TlsConnector::from(config.clone()).connect(name, socket).await?;
        let chose_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
        Ok((stream, chose_http2))
    }
}

/// The certificates the machine trusts, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
///
/// A machine that has none at all can still talk to servers in clear text, so that is a warning and not an error;
/// certificates that are there and cannot be read are one.
pub(crate) fn platform_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, unusable) = roots.add_parsable_certificates(found.certs);
    if usable == 0 && !found.errors.is_empty() {
        return Err(TlsError::Roots {
            problems: found.errors.iter().map(ToString::to_string).collect(),
        });
    }
    if usable == 0 {
        tracing::warn!(
            "no root certificates found: no https server will be trusted; install them or set SSL_CERT_FILE"
        );
    } else {
        tracing::debug!(
            usable,
            unusable,
            problems = found.errors.len(),
            "root certificates read"
        );
    }
    Ok(roots)
}
