//! An embedding as a Rust program asks for it: on the same pool as the adapter, with serde and base64.

use std::num::NonZeroUsize;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use weir_pool::{Pool, PoolConfig, PoolManager, SendOptions};

use super::{Contender, Task};

#[derive(Clone)]
pub struct Native {
    pool: Pool,
    url: Uri,
    texts: Vec<String>,
    dimensions: usize,
}

#[derive(Serialize)]
struct Asked<'a> {
    model: &'a str,
    input: &'a [String],
    encoding_format: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: String,
}

impl Contender for Native {
    async fn new(task: &Task) -> anyhow::Result<Self> {
        Ok(Self {
            pool: PoolManager::with_roots(task.roots()?)?.pool("bench", pool_config(task).into())?,
            url: task.url.clone(),
            texts: task.texts(),
            dimensions: task.dimensions,
        })
    }

    async fn caller(&self) -> anyhow::Result<Self> {
        Ok(self.clone())
    }

    async fn request(&mut self) -> anyhow::Result<()> {
        let asked = serde_json::to_vec(&Asked {
            model: "voyage-code-3",
            input: &self.texts,
            encoding_format: "base64",
        })?;
        let mut request = Request::new(Bytes::from(asked));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer bench-key"));
        let response = self.pool.send(request, SendOptions::default()).await?;
        anyhow::ensure!(response.status().is_success(), "{}", response.status());
        let answer: Answer = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
        let mut vectors = vec![0_f32; self.texts.len() * self.dimensions];
        anyhow::ensure!(answer.data.len() == self.texts.len(), "{} vectors", answer.data.len());
        for item in answer.data {
            let bytes = STANDARD.decode(item.embedding)?;
            let first = item.index * self.dimensions;
            let place = vectors.get_mut(first..first + self.dimensions).context("an index")?;
            anyhow::ensure!(bytes.len() == 4 * self.dimensions, "{} bytes", bytes.len());
            for (number, four) in place.iter_mut().zip(bytes.as_chunks().0) {
                *number = f32::from_le_bytes(*four);
            }
        }
        std::hint::black_box(vectors);
        Ok(())
    }
}

/// The pool that the adapter is lent, too.
pub(super) fn pool_config(task: &Task) -> PoolConfig {
    PoolConfig {
        max_connections: NonZeroUsize::new(task.connections).unwrap_or(NonZeroUsize::MIN),
        max_keepalive_connections: task.connections,
        enable_http2: task.http2,
        ..PoolConfig::default()
    }
}
