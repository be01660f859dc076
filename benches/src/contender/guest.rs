//! An embedding through the `voyage` adapter in its sandbox.

use anyhow::Context as _;
use weir_pool::PoolManager;
use weir_runtime::types::EmbeddingRequest;
use weir_runtime::{Isolation, Provider, Runtime, RuntimeOptions};

use super::native::pool_config;
use super::{Contender, Task};
use crate::component;

/// Through instances that are kept from call to call.
pub struct Reused(Guest);

/// Through an instance made for the call.
pub struct Fresh(Guest);

#[derive(Clone)]
struct Guest {
    provider: Provider,
    texts: Vec<String>,
    dimensions: usize,
    /// Keeps the engine.
    _runtime: Runtime,
}

impl Guest {
    async fn new(task: &Task, isolation: Isolation) -> anyhow::Result<Self> {
        let runtime = Runtime::new(RuntimeOptions {
            cache_dir: Some(component::cache()),
            pools: PoolManager::with_roots(task.roots()?)?,
        })?;
        let url = task.url.to_string();
        let base_url = url.strip_suffix("/embeddings").context("the URL of an embedding")?;
        let mut spec = component::spec("voyage", base_url)?;
        spec.limits.isolation = isolation;
        spec.pool = pool_config(task).into();
        Ok(Self {
            provider: runtime.load(spec).await?,
            texts: task.texts(),
            dimensions: task.dimensions,
            _runtime: runtime,
        })
    }

    async fn request(&self) -> anyhow::Result<()> {
        let request = EmbeddingRequest {
            inputs: self.texts.clone(),
            model: None,
            kind: None,
            dimensions: None,
        };
        let answer = self.provider.embed(request).await?;
        anyhow::ensure!(
            answer.vectors.len() == self.texts.len() * self.dimensions,
            "{} numbers",
            answer.vectors.len()
        );
        Ok(())
    }
}

impl Contender for Reused {
    async fn new(task: &Task) -> anyhow::Result<Self> {
        Guest::new(task, Isolation::Reuse).await.map(Self)
    }

    async fn caller(&self) -> anyhow::Result<Self> {
        Ok(Self(self.0.clone()))
    }

    async fn request(&mut self) -> anyhow::Result<()> {
        self.0.request().await
    }
}

impl Contender for Fresh {
    async fn new(task: &Task) -> anyhow::Result<Self> {
        Guest::new(task, Isolation::Call).await.map(Self)
    }

    async fn caller(&self) -> anyhow::Result<Self> {
        Ok(Self(self.0.clone()))
    }

    async fn request(&mut self) -> anyhow::Result<()> {
        self.0.request().await
    }
}
