//! A collector of telemetry: takes what OTLP sends as protobuf over HTTP, and keeps it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running collector; ended when dropped.
#[derive(Debug)]
pub struct Collector {
    url: String,
    taken: Arc<Mutex<Vec<Export>>>,
    task: JoinHandle<()>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Export {
    /// `/v1/traces` or `/v1/metrics`.
    pub path: String,
    /// The request's head.
    pub head: String,
    /// Protobuf.
    pub body: Vec<u8>,
}

impl Collector {
    /// One that answers.
    ///
    /// # Errors
    /// Where there is no port.
    pub async fn start() -> anyhow::Result<Collector> {
        Self::listen(true).await
    }

    /// One that takes connections and requests, and never says a word.
    ///
    /// # Errors
    /// Where there is no port.
    pub async fn silent() -> anyhow::Result<Collector> {
        Self::listen(false).await
    }

    async fn listen(answers: bool) -> anyhow::Result<Collector> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let taken = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn({
            let taken = taken.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(take(stream, taken.clone(), answers));
                }
            }
        });
        Ok(Collector { url, taken, task })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What came so far.
    pub fn taken(&self) -> Vec<Export> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(stream: TcpStream, taken: Arc<Mutex<Vec<Export>>>, answers: bool) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let length = head
            .to_ascii_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await?;
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Export { path, head, body });
        if !answers {
            std::future::pending::<()>().await;
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
            .await?;
    }
}
