//! A proxy that answers in the place of every server: what a program sends to addresses that can't be reached from here.
//!
//! It opens each tunnel that is asked for, shows a certificate for the name, and keeps the request.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::recordings::Sent;
use crate::recordings::player::receive;

/// Nothing is tried again after it, and every adapter passes its words on.
const ANSWER: &[u8] = b"HTTP/1.1 401 Seen\r\ncontent-type: application/json\r\ncontent-length: 18\r\n\
    connection: close\r\n\r\n{\"message\":\"seen\"}";

/// The proxy.
pub struct Intermediary {
    address: SocketAddr,
    /// The server's name and port, and the request.
    seen: Arc<Mutex<Vec<(String, Sent)>>>,
}

impl Intermediary {
    /// Listens on a free port of this machine; leaves the authority to be trusted in `ca_file`.
    ///
    /// # Errors
    /// If there is no port, or no file can be written there.
    pub async fn start(ca_file: &Path) -> anyhow::Result<Intermediary> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        std::fs::write(ca_file, authority.self_signed(&key)?.pem())?;
        let issuer = Arc::new(Issuer::new(authority, key));

        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let intermediary = Intermediary {
            address: listener.local_addr()?,
            seen: Arc::default(),
        };
        let seen = intermediary.seen.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (issuer, seen) = (issuer.clone(), seen.clone());
                tokio::spawn(async move { answer(client, &issuer, &seen).await.ok() });
            }
        });
        Ok(intermediary)
    }

    /// What `HTTPS_PROXY` is to be.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests since the last time, each with the server that it was for: `api.example.com:443`.
    pub fn seen(&self) -> Vec<(String, Sent)> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn answer(
    mut client: TcpStream,
    issuer: &Issuer<'_, KeyPair>,
    seen: &Mutex<Vec<(String, Sent)>>,
) -> anyhow::Result<()> {
    let server = receive(&mut client).await?.target;
    client.write_all(b"HTTP/1.1 200 Opened\r\n\r\n").await?;
    let (name, _) = server.rsplit_once(':').context("no port")?;
    let mut client = TlsAcceptor::from(certified(name, issuer)?).accept(client).await?;
    let sent = receive(&mut client).await?;
    seen.lock().unwrap_or_else(PoisonError::into_inner).push((server, sent));
    client.write_all(ANSWER).await?;
    client.shutdown().await?;
    // Until the client has closed, so that the answer is not lost.
    client.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

fn certified(name: &str, issuer: &Issuer<'_, KeyPair>) -> anyhow::Result<Arc<ServerConfig>> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, issuer)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())?;
    Ok(Arc::new(config))
}
