//! The clients under comparison, as every one of them is asked to do the same.

mod by_itself;
mod guest;
mod hyper;
mod hyper_util;
mod native;
mod reqwest;
mod weir;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::{HeaderValue, Method, Request, Uri, header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

pub use self::by_itself::ByItself;
pub use self::guest::{Fresh, Reused};
pub use self::hyper::Hyper;
pub use self::hyper_util::HyperUtil;
pub use self::native::Native;
pub use self::reqwest::Reqwest;
pub use self::weir::Weir;

/// What a search sends.
const BODY: &str = r#"{"query":[0.12,0.34,0.56,0.78],"limit":3,"with_payload":false}"#;

/// A client, as one of many callers that share it.
pub trait Contender: Sized + Send + 'static {
    /// A client for this task, before it has any connection.
    fn new(task: &Task) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// For one more caller.
    fn caller(&self) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// One request, to the end of its answer. Fails unless that is a 200 with a body.
    fn request(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What all callers do, and how many of them there are.
#[derive(Args, Clone)]
pub struct Task {
    /// Where requests go. `https` means that the certificate is to be checked.
    #[arg(long)]
    pub url: Uri,
    #[arg(long)]
    pub verb: Verb,
    /// Requests at once.
    #[arg(long)]
    pub in_flight: usize,
    /// Most connections, for clients that have such a limit.
    #[arg(long)]
    pub connections: usize,
    /// Offer HTTP/2.
    #[arg(long)]
    pub http2: bool,
    /// The certificate to trust.
    #[arg(long)]
    pub certificate: PathBuf,
    /// Texts to embed in a request; none where it is a search.
    #[arg(long, default_value_t = 0)]
    pub inputs: usize,
    /// The length of a text's vector.
    #[arg(long, default_value_t = 0)]
    pub dimensions: usize,
    /// Bytes of a text.
    #[arg(long, default_value_t = 0)]
    pub input_bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Verb {
    Get,
    Post,
}

impl Task {
    /// The request, with an absolute URI and without what concerns the connection.
    fn request(&self) -> Request<Bytes> {
        let mut request = Request::new(match self.verb {
            Verb::Get => Bytes::new(),
            Verb::Post => Bytes::from_static(BODY.as_bytes()),
        });
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if self.verb == Verb::Post {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.method_mut() = Method::POST;
        }
        request
    }

    fn texts(&self) -> Vec<String> {
        vec!["fn lend(&mut self) ".repeat(self.input_bytes / 19 + 1); self.inputs]
    }

    fn is_secure(&self) -> bool {
        self.url.scheme() == Some(&http::uri::Scheme::HTTPS)
    }

    fn roots(&self) -> anyhow::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.certificate).context("the server's certificate")?)?;
        Ok(roots)
    }

    /// The TLS of every client: ring, and this one certificate. ALPN is left to the client.
    fn tls(&self) -> anyhow::Result<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots()?)
            .with_no_client_auth())
    }
}

/// Holds an answer to what the server sends.
fn check(status: http::StatusCode, body: &[u8]) -> anyhow::Result<()> {
    anyhow::ensure!(
        status == http::StatusCode::OK && !body.is_empty(),
        "{status}, {} bytes",
        body.len()
    );
    Ok(())
}
