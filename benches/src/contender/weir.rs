//! weir-pool with its cap, its deadlines and its metrics, which cannot be turned off.

use std::num::NonZeroUsize;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use weir_pool::{Pool, PoolConfig, PoolManager, SendOptions};

use super::{Contender, Task, check};

pub struct Weir {
    pool: Pool,
    request: Request<Bytes>,
}

impl Contender for Weir {
    async fn new(task: &Task) -> anyhow::Result<Self> {
        let config = PoolConfig {
            max_connections: NonZeroUsize::new(task.connections).unwrap_or(NonZeroUsize::MIN),
            max_keepalive_connections: task.connections,
            enable_http2: task.http2,
            ..PoolConfig::default()
        };
        let pool = PoolManager::with_roots(task.roots()?)?.pool("bench", config.into())?;
        Ok(Self {
            pool,
            request: task.request(),
        })
    }

    async fn caller(&self) -> anyhow::Result<Self> {
        Ok(Self {
            pool: self.pool.clone(),
            request: self.request.clone(),
        })
    }

    async fn request(&mut self) -> anyhow::Result<()> {
        let response = self.pool.send(self.request.clone(), SendOptions::default()).await?;
        let status = response.status();
        check(status, &response.into_body().collect().await?.to_bytes())
    }
}
