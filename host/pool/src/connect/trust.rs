//! Whom a pool trusts and who it is itself: [`TlsSettings`].

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::error::TlsError;

/// The TLS of a pool. Pools with equal settings resume each other's sessions; others share nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Which certificates vouch for a server.
    pub roots: Roots,
    /// What the pool shows to a server that asks for a certificate. It is not shown to a proxy.
    pub client_certificate: Option<ClientCertificate>,
}

/// Which certificates vouch for a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// Those of the manager: the platform's, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    #[default]
    Shared,
    /// Those of the manager and these.
    Added(Certificates),
    /// These alone.
    Only(Certificates),
}

/// Certificates that vouch for servers.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificates(Arc<[CertificateDer<'static>]>);

impl Certificates {
    /// Reads certificates in PEM from a file. Blocks while it does.
    ///
    /// # Errors
    ///
    /// [`TlsError::Pem`] names the file if it cannot be read, holds no certificate or one that cannot vouch.
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Self, TlsError> {
        let (place, pem) = read(path.as_ref())?;
        Self::read_from(&pem, &place)
    }

    /// Reads certificates in PEM.
    ///
    /// # Errors
    ///
    /// If there is no certificate or one that cannot vouch.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        Self::read_from(pem, IN_MEMORY)
    }

    fn read_from(pem: &[u8], place: &str) -> Result<Self, TlsError> {
        let certificates = certificates(pem, place)?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| unusable(place, error))?;
        }
        Ok(Self(certificates.into()))
    }

    pub(super) fn add_to(&self, roots: &mut RootCertStore) -> Result<(), rustls::Error> {
        self.0.iter().try_for_each(|certificate| roots.add(certificate.clone()))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({})", self.0.len())
    }
}

/// A certificate that tells a server who asks, with those between it and its root, and its private key.
#[derive(Clone)]
pub struct ClientCertificate {
    key: Arc<PrivateKeyDer<'static>>,
    certified: Arc<CertifiedKey>,
}

impl ClientCertificate {
    /// Reads a chain of certificates, the pool's own in front, and its private key in PEM (PKCS #8, PKCS #1 or SEC 1)
    /// from two files, which may be the same. Blocks while it does.
    ///
    /// # Errors
    ///
    /// [`TlsError::Pem`] names the file that cannot be read, holds nothing of the kind, or does not fit the other.
    pub fn from_pem_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let (chain_place, chain) = read(chain.as_ref())?;
        let (key_place, key) = read(key.as_ref())?;
        Self::read_from((&chain, &chain_place), (&key, &key_place))
    }

    /// Reads a chain of certificates, the pool's own in front, and its private key in PEM.
    ///
    /// # Errors
    ///
    /// If one of them is missing, or they do not fit each other.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Self::read_from((chain, IN_MEMORY), (key, IN_MEMORY))
    }

    fn read_from((chain, chain_place): (&[u8], &str), (key, key_place): (&[u8], &str)) -> Result<Self, TlsError> {
        let chain = certificates(chain, chain_place)?;
        // What the reader says about a key it cannot read might show a piece of it.
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| unusable(key_place, "it holds no private key"))?;
        let certified = CertifiedKey::from_der(chain, key.clone_key(), &ring::default_provider())
            .map_err(|error| unusable(key_place, error))?;
        Ok(Self {
            key: Arc::new(key),
            certified: Arc::new(certified),
        })
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert && self.key == other.key
    }
}

impl Eq for ClientCertificate {}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate")
    }
}

const IN_MEMORY: &str = "the PEM text";

fn read(path: &Path) -> Result<(String, Vec<u8>), TlsError> {
    let place = path.display().to_string();
    match std::fs::read(path) {
        Ok(pem) => Ok((place, pem)),
        Err(error) => Err(unusable(&place, error)),
    }
}

fn certificates(pem: &[u8], place: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| unusable(place, error))?;
    if found.is_empty() {
        return Err(unusable(place, "it holds no certificate"));
    }
    Ok(found)
}

fn unusable(place: &str, problem: impl fmt::Display) -> TlsError {
    TlsError::Pem {
        place: place.to_owned(),
        problem: problem.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn client((chain, key): &(String, String)) -> ClientCertificate {
        ClientCertificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
    }

    #[test]
    fn settings_are_equal_when_what_they_hold_is() {
        let (one, other) = (made("one"), made("other"));
        let roots = |(chain, _): &(String, String)| Certificates::from_pem(chain.as_bytes()).unwrap();
        assert_eq!(roots(&one), roots(&one));
        assert_ne!(roots(&one), roots(&other));
        assert_eq!(client(&one), client(&one));
        assert_ne!(client(&one), client(&other));
    }

    #[test]
    fn a_private_key_is_never_shown() {
        let made = made("one");
        let settings = TlsSettings {
            roots: Roots::default(),
            client_certificate: Some(client(&made)),
        };
        assert_eq!(
            format!("{settings:?}"),
            "TlsSettings { roots: Shared, client_certificate: Some(ClientCertificate) }"
        );
        let broken = made.1.replace("PRIVATE KEY-----\n", "PRIVATE KEY-----\n!");
        let error = ClientCertificate::from_pem(made.0.as_bytes(), broken.as_bytes()).unwrap_err();
        let secret = made.1.lines().nth(1).unwrap();
        assert!(!format!("{error} {error:?}").contains(secret));
    }

    #[test]
    fn a_key_that_does_not_fit_its_certificate_is_refused() {
        let (one, other) = (made("one"), made("other"));
        assert!(ClientCertificate::from_pem(one.0.as_bytes(), other.1.as_bytes()).is_err());
        assert!(ClientCertificate::from_pem(one.0.as_bytes(), one.0.as_bytes()).is_err());
    }

    #[test]
    fn an_error_names_the_file() {
        let error = Certificates::from_pem_file("/nowhere/roots.pem").unwrap_err();
        assert!(error.to_string().contains("/nowhere/roots.pem"), "{error}");
        let error = Certificates::from_pem(b"nothing").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the PEM text cannot be used: it holds no certificate"
        );
    }
}
