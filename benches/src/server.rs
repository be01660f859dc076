//! The server everybody is measured on.
//!
//! It answers every request alike, with a small JSON body, and counts the connections it accepts. HTTP/1.1 is answered
//! without a library: a client can only be compared with others while the server has time to spare, and a server on
//! hyper needs as much of it as a client on hyper.

use std::io::{BufRead as _, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::process;

/// The answer to a search.
const FOUND: &str = r#"{"result":[{"id":7,"score":0.93}],"status":"ok","time":0.0004}"#;

#[derive(Args)]
pub struct Options {
    /// The core it keeps to.
    #[arg(long)]
    core: usize,
    /// What a request takes, in milliseconds, from its arrival to its answer.
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// The certificate made at the start goes here, for clients to trust.
    #[arg(long)]
    certificate: std::path::PathBuf,
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    #[arg(long)]
    streams: u32,
    /// Vectors in an answer; none where a search is answered.
    #[arg(long)]
    inputs: usize,
    /// A vector's length.
    #[arg(long)]
    dimensions: usize,
}

/// What the server says first.
#[derive(Deserialize, Serialize)]
pub struct Started {
    pub plain: u16,
    pub tls: u16,
}

/// What the server says of itself when asked.
#[derive(Deserialize, Serialize)]
pub struct Seen {
    pub accepted: u64,
    pub cpu: Duration,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    process::settle(options.core)?;
    let acceptor = TlsAcceptor::from(Arc::new(certified(&options.certificate)?));
    let accepted = Arc::new(AtomicU64::new(0));
    let (delay, streams) = (Duration::from_millis(options.delay), options.streams);
    let body = if options.inputs == 0 {
        Bytes::from_static(FOUND.as_bytes())
    } else {
        embeddings(options.inputs, options.dimensions).into()
    };

    process::runtime()?.block_on(async {
        let (plain, tls) = (
            TcpListener::bind("127.0.0.1:0").await?,
            TcpListener::bind("127.0.0.1:0").await?,
        );
        tell(&Started {
            plain: plain.local_addr()?.port(),
            tls: tls.local_addr()?.port(),
        })?;
        let counted = accepted.clone();
        let ended = tokio::task::spawn_blocking(move || answer_questions(&counted));
        tokio::select! {
            ended = ended => ended?,
            result = accept(&plain, &accepted, |stream| serve_http1(stream, delay, body.clone())) => result,
            result = accept(&tls, &accepted, |stream| {
                let (acceptor, body) = (acceptor.clone(), body.clone());
                async move {
                    let stream = acceptor.accept(stream).await?;
                    match stream.get_ref().1.alpn_protocol() {
                        Some(b"h2") => serve_http2(stream, delay, streams, body).await,
                        _ => serve_http1(stream, delay, body).await,
                    }
                }
            }) => result,
        }
    })
}

/// A server's TLS, with a certificate made now. Clients find it in the file.
fn certified(file: &std::path::Path) -> anyhow::Result<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    std::fs::write(file, made.cert.pem()).with_context(|| file.display().to_string())?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// What Voyage answers, by its documents, with vectors in base64.
fn embeddings(inputs: usize, dimensions: usize) -> String {
    let vector: Vec<u8> = (0..dimensions)
        .flat_map(|place| (1.0 / (1.0 + place as f32)).to_le_bytes())
        .collect();
    let vector = STANDARD.encode(vector);
    let data: Vec<_> = (0..inputs)
        .map(|index| json!({"object": "embedding", "embedding": vector, "index": index}))
        .collect();
    json!({"object": "list", "data": data, "model": "voyage-code-3", "usage": {"total_tokens": 8 * inputs}}).to_string()
}

/// Until standard input ends, which is when whoever started the server has gone.
fn answer_questions(accepted: &AtomicU64) -> anyhow::Result<()> {
    for line in stdin().lock().lines() {
        line?;
        tell(&Seen {
            accepted: accepted.load(Ordering::Relaxed),
            cpu: process::cpu_time(),
        })?;
    }
    Ok(())
}

fn tell(what: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(what)?);
    Ok(())
}

async fn accept<F>(listener: &TcpListener, accepted: &AtomicU64, serve: impl Fn(TcpStream) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        accepted.fetch_add(1, Ordering::Relaxed);
        // A client that goes away in the middle is no concern of the server's.
        tokio::spawn(serve(stream));
    }
}

/// Reads requests with a `Content-Length` or none and answers each.
async fn serve_http1(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    delay: Duration,
    body: Bytes,
) -> anyhow::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = [head.as_bytes(), &body].concat();
    let mut received = Vec::with_capacity(4096);
    while stream.read_buf(&mut received).await? > 0 {
        while let Some(length) = request_length(&received) {
            received.drain(..length);
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            stream.write_all(&answer).await?;
            stream.flush().await?;
        }
    }
    Ok(())
}

/// The length of the first request, if all of it is there.
pub fn request_length(received: &[u8]) -> Option<usize> {
    const LENGTH: &[u8] = b"\r\ncontent-length: ";
    let head = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let body = received
        .get(..head)?
        .windows(LENGTH.len())
        .position(|name| name.eq_ignore_ascii_case(LENGTH))
        .and_then(|at| {
            let digits = received
                .get(at + LENGTH.len()..head)?
                .split(|byte| *byte == b'\r')
                .next()?;
            std::str::from_utf8(digits).ok()?.parse::<usize>().ok()
        });
    let length = head + body.unwrap_or(0);
    (received.len() >= length).then_some(length)
}

async fn serve_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    delay: Duration,
    streams: u32,
    body: Bytes,
) -> anyhow::Result<()> {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut response = Response::new(Full::new(body.clone()));
        async move {
            request.into_body().collect().await?;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            response.headers_mut().insert(
                http::header::CONTENT_TYPE,
                http::HeaderValue::from_static("application/json"),
            );
            anyhow::Ok(response)
        }
    });
    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(streams)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}
