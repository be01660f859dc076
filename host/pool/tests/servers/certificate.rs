//! A certificate for 127.0.0.1 that one test trusts.

use std::fs;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;

/// A certificate and its key as files, as servers want them, and the roots by which a pool trusts it.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Both in one file.
    pub bundle: PathBuf,
    pub roots: RootCertStore,
}

impl Certificate {
    pub fn made_in(folder: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let write = |name, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            path
        };
        Self {
            bundle: write("bundle.pem", &format!("{certificate}{key}")),
            certificate: write("certificate.pem", &certificate),
            key: write("key.pem", &key),
            roots,
        }
    }
}
