//! A certificate authority made on the spot, and a server certificate signed by it.

use std::{net::IpAddr, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};

/// What a TLS listener needs, and what its clients must trust.
pub(crate) struct Certificate {
    /// The authority's certificate in PEM.
    pub(crate) ca_pem: String,
    pub(crate) config: Arc<ServerConfig>,
}

/// A certificate for `localhost` and the address, offering HTTP/2 and HTTP/1.1.
pub(crate) fn issue(address: IpAddr) -> anyhow::Result<Certificate> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority
        .distinguished_name
        .push(DnType::CommonName, "weir-upstream test authority");
    let authority_key = KeyPair::generate()?;
    let ca = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let mut server = CertificateParams::new(vec!["localhost".to_owned(), address.to_string()])?;
    server.distinguished_name.push(DnType::CommonName, "weir-upstream");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let server_key = KeyPair::generate()?;
    let certificate = server.signed_by(&server_key, &issuer)?;

    let key = PrivatePkcs8KeyDer::from(server_key.serialize_der());
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Certificate {
        ca_pem: ca.pem(),
        config: Arc::new(config),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_has_an_authority_of_its_own() {
        let address = IpAddr::from([127, 0, 0, 1]);
        let (one, two) = (issue(address).unwrap(), issue(address).unwrap());
        assert!(one.ca_pem.starts_with("-----BEGIN CERTIFICATE-----"));
        assert_ne!(one.ca_pem, two.ca_pem);
        assert_eq!(one.config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    }
}
