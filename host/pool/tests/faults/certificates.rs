//! An authority of the tests' own, and the good and bad certificates it vouches for.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// How a server presents itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    Good,
    Expired,
    OfAnotherName,
    OfAnUnknownIssuer,
}

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub roots: RootCertStore,
}

impl Authority {
    pub fn new() -> Self {
        Self::named("the authority")
    }

    fn named(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            roots,
        }
    }

    /// A server at 127.0.0.1 that presents itself like this and speaks this protocol.
    pub fn acceptor(&self, identity: Identity, protocol: &[u8]) -> TlsAcceptor {
        if identity == Identity::OfAnUnknownIssuer {
            return Self::named("another").acceptor(Identity::Good, protocol);
        }
        let name = if identity == Identity::OfAnotherName {
            "elsewhere.test"
        } else {
            "127.0.0.1"
        };
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        if identity == Identity::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}
