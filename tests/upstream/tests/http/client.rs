//! The client the tests drive the server with: one connection, plain or TLS, and nothing clever.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use weir_upstream::DEFAULT_API_KEY;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// One connection to a server, and the key it presents.
pub struct Client {
    sender: Sender,
    base: String,
    pub key: String,
}

fn address(url: &str) -> String {
    url.parse::<Uri>().unwrap().authority().unwrap().to_string()
}

impl Client {
    /// A connection in clear text to the server of a base URL.
    pub async fn to(base: &str) -> Self {
        let stream = TcpStream::connect(address(base)).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self {
            sender: Sender::Http1(sender),
            base: base.to_owned(),
            key: DEFAULT_API_KEY.to_owned(),
        }
    }

    /// A connection with TLS and HTTP/2, trusting one authority.
    pub async fn with_http2(base: &str, ca_pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap())
            .unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(address(base)).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self {
            sender: Sender::Http2(sender),
            base: base.to_owned(),
            key: DEFAULT_API_KEY.to_owned(),
        }
    }

    /// The same connection, another key.
    pub fn key(mut self, key: &str) -> Self {
        self.key = key.to_owned();
        self
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, Value::Null).await.unwrap()
    }

    pub async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, body).await.unwrap()
    }

    /// Sends a request and reads its answer; `Value::Null` is no body.
    pub async fn send(&mut self, method: Method, path: &str, body: Value) -> Result<Answer, hyper::Error> {
        let body = if body.is_null() {
            Bytes::new()
        } else {
            body.to_string().into()
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("host", address(&self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json")
            .body(Full::new(body))
            .unwrap();
        let answer = match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                // A server speaking HTTP/1.1 is asked for a path, not a URL.
                let (mut parts, body) = request.into_parts();
                parts.uri = parts.uri.path_and_query().unwrap().as_str().parse().unwrap();
                sender.send_request(Request::from_parts(parts, body)).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (parts, body) = answer.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    /// Waits until the server has closed the connection.
    pub async fn closed(&mut self) {
        match &mut self.sender {
            Sender::Http1(sender) => {
                while sender.ready().await.is_ok() {
                    tokio::task::yield_now().await
                }
            }
            Sender::Http2(sender) => {
                while sender.ready().await.is_ok() {
                    tokio::task::yield_now().await
                }
            }
        }
    }
}

/// What comes back to one embeddings request over a bare socket, until its end: the bytes, and the error it ended with.
pub async fn raw(base: &str) -> (String, Option<std::io::ErrorKind>) {
    let body = r#"{"model": "voyage-code-3", "input": ["open a file"]}"#;
    let path = base.parse::<Uri>().unwrap().path().to_owned();
    let head = format!(
        "POST {path}/embeddings HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {DEFAULT_API_KEY}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address(base)).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    let ended = stream.read_to_end(&mut read).await;
    (
        String::from_utf8_lossy(&read).into_owned(),
        ended.err().map(|error| error.kind()),
    )
}
