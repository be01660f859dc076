//! What a pool offers in TLS: one configuration for all pools of a manager whose settings are equal.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::trust::{Roots, TlsSettings};
use crate::error::TlsError;

/// The names of the protocols in ALPN (RFC 9113, section 3.2; RFC 7301, section 6).
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The TLS of all pools of a manager.
#[derive(Debug)]
pub(crate) struct SharedTls {
    roots: RootCertStore,
    /// What has been made for the settings of the pools there are. Few settings differ, so they are searched.
    made: Mutex<Vec<(TlsSettings, Weak<Configurations>)>>,
}

impl SharedTls {
    pub fn new(roots: RootCertStore) -> Self {
        Self {
            roots,
            made: Mutex::default(),
        }
    }

    /// The TLS of a pool, the same for all pools with equal settings.
    pub fn of(&self, settings: &TlsSettings) -> Result<Tls, TlsError> {
        // It holds what is in use at every moment.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|(_, tls)| tls.strong_count() > 0);
        let known = made.iter().find(|(known, _)| known == settings);
        if let Some(known) = known.and_then(|(_, known)| known.upgrade()) {
            return Ok(Tls(known));
        }
        let tls = Arc::new(Configurations::new(&self.roots, settings)?);
        made.push((settings.clone(), Arc::downgrade(&tls)));
        Ok(Tls(tls))
    }
}

/// TLS towards every server of a pool. Sessions are resumed by all pools that share it.
#[derive(Clone, Debug)]
pub(crate) struct Tls(Arc<Configurations>);

#[derive(Debug)]
struct Configurations {
    offering_http2: Arc<ClientConfig>,
    http1_only: Arc<ClientConfig>,
    towards_proxies: Arc<ClientConfig>,
}

impl Configurations {
    fn new(shared: &RootCertStore, settings: &TlsSettings) -> Result<Self, TlsError> {
        let mut roots = match settings.roots {
            Roots::Only(_) => RootCertStore::empty(),
            Roots::Shared | Roots::Added(_) => shared.clone(),
        };
        if let Roots::Added(certificates) | Roots::Only(certificates) = &settings.roots {
            certificates.add_to(&mut roots)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        // A proxy is no server: who asks is none of its business, and its sessions are its own.
        let mut towards_proxies = builder.clone().with_no_client_auth();
        towards_proxies.alpn_protocols = vec![HTTP1.to_vec()];
        let mut config = match &settings.client_certificate {
            Some(client) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(client.certified()))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![HTTP1.to_vec()];
        let http1_only = Arc::new(config.clone());
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(Self {
            offering_http2: Arc::new(config),
            http1_only,
            towards_proxies: Arc::new(towards_proxies),
        })
    }
}

impl Tls {
    /// Agrees on TLS with the server called `host`. Tells whether it chose HTTP/2.
    pub async fn secure<S>(&self, host: &str, socket: S, http2: bool) -> io::Result<(TlsStream<S>, bool)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = if http2 {
            &self.0.offering_http2
        } else {
            &self.0.http1_only
        };
        let stream = agree(config, host, socket).await?;
        let chose_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
        Ok((stream, chose_http2))
    }

    /// Agrees on TLS with the proxy called `host`.
    pub async fn secure_proxy(&self, host: &str, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        agree(&self.0.towards_proxies, host, socket).await
    }
}

async fn agree<S>(config: &Arc<ClientConfig>, host: &str, socket: S) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(config.clone()).connect(name, socket).await
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
