//! What a component costs besides its calls: to load it, and to keep an instance of it.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::time::Instant;
use weir_pool::{PoolConfig, PoolManager};
use weir_runtime::types::EmbeddingRequest;
use weir_runtime::{EgressGrant, Limits, ProviderSpec, Runtime, RuntimeOptions, WasiMode};

use crate::process;

/// The bundled adapters.
const ADAPTERS: [&str; 17] = [
    "anthropic",
    "azure",
    "bedrock",
    "chroma",
    "cohere",
    "google",
    "huggingface",
    "jina",
    "local",
    "memory",
    "mistral",
    "openai",
    "perplexity",
    "qdrant",
    "tavily",
    "tei",
    "voyage",
];

/// How often each is loaded.
const LOADS: usize = 21;

/// Instances that are kept at once.
const INSTANCES: usize = 256;

/// Where nobody listens: loading reaches nothing.
const NOWHERE: &str = "http://127.0.0.1:9/v1";

/// What was measured of components.
#[derive(Deserialize, Serialize)]
pub struct Components {
    adapters: Vec<Loaded>,
    /// Memory in RAM for one idle instance of `voyage`, in KiB.
    idle_instance: f64,
}

#[derive(Deserialize, Serialize)]
struct Loaded {
    name: String,
    bytes: usize,
    /// Milliseconds: the compiled code from the cache, the description of itself, and all it is granted.
    median: f64,
    lowest: f64,
    highest: f64,
}

impl Components {
    /// In milliseconds; the tables of `local` and the file of `memory` are no adapter's code and are left out.
    pub fn slowest_load(&self) -> Option<f64> {
        let code_alone = |adapter: &&Loaded| adapter.name != "local" && adapter.name != "memory";
        let loads = self.adapters.iter().filter(code_alone);
        loads.map(|adapter| adapter.median).max_by(f64::total_cmp)
    }
}

impl fmt::Display for Components {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "| component | bytes | load from the cache, ms | lowest–highest |\n|---|---|---|---|"
        )?;
        for Loaded {
            name,
            bytes,
            median,
            lowest,
            highest,
        } in &self.adapters
        {
            writeln!(
                formatter,
                "| {name} | {bytes} | {median:.2} | {lowest:.2}–{highest:.2} |"
            )?;
        }
        write!(
            formatter,
            "\nAn idle instance of `voyage` keeps {:.0} KiB in RAM, the mean of {INSTANCES}.",
            self.idle_instance
        )
    }
}

/// Where compiled components are kept between runs.
pub fn cache() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/target/component-cache").into()
}

/// A bundled adapter, with a key and all it needs to send requests to this machine.
pub fn spec(adapter: &str, base_url: &str) -> anyhow::Result<ProviderSpec> {
    let file = self::adapter(adapter);
    let component = std::fs::read(&file).with_context(|| format!("{file}: run `just build-guests`"))?;
    let remote = !matches!(adapter, "local" | "memory");
    let key = if adapter == "bedrock" {
        "bearer_token"
    } else {
        "api_key"
    };
    let (config, secrets) = if remote {
        (
            BTreeMap::from([("base_url".to_owned(), base_url.to_owned())]),
            BTreeMap::from([(key.to_owned(), "bench-key".into())]),
        )
    } else {
        Default::default()
    };
    Ok(ProviderSpec {
        name: adapter.to_owned(),
        component: component.into(),
        wasi: WasiMode::Closed.into(),
        config,
        secrets,
        pool: PoolConfig::default().into(),
        egress: EgressGrant {
            allow_private: vec!["127.0.0.1/32".parse()?],
            ..EgressGrant::default()
        },
        limits: Limits::default(),
        call_limits: BTreeMap::new(),
        storage: (adapter == "memory").then(|| cache().join("memory.redb")),
    })
}

/// Where a bundled adapter is.
pub fn adapter(name: &str) -> String {
    format!(
        concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-providers/dist/{}.wasm"),
        name
    )
}

/// Where one of the tests' components is.
pub fn fixture(name: &str) -> String {
    format!(
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fixtures/target/wasm32-wasip2/release/{}.wasm"
        ),
        name
    )
}

pub fn run() -> anyhow::Result<()> {
    process::runtime()?.block_on(async {
        let mut adapters = Vec::new();
        for adapter in ADAPTERS {
            adapters.push(load(adapter).await.context(adapter)?);
        }
        let idle_instance = idle_instance().await?;
        println!(
            "{}",
            serde_json::to_string(&Components {
                adapters,
                idle_instance
            })?
        );
        Ok(())
    })
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(Runtime::new(RuntimeOptions {
        cache_dir: Some(cache()),
        pools: PoolManager::new()?,
    })?)
}

async fn load(adapter: &str) -> anyhow::Result<Loaded> {
    let runtime = runtime()?;
    let mut took = Vec::new();
    let bytes = spec(adapter, NOWHERE)?.component.len();
    // The first may compile, and makes the pool.
    for _ in 0..=LOADS {
        let spec = spec(adapter, NOWHERE)?;
        let began = Instant::now();
        drop(runtime.load(spec).await?);
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    took.remove(0);
    took.sort_by(f64::total_cmp);
    let at = |place: usize| took.get(place).copied().unwrap_or(f64::NAN);
    Ok(Loaded {
        name: adapter.to_owned(),
        bytes,
        median: at(LOADS / 2),
        lowest: at(0),
        highest: at(LOADS - 1),
    })
}

/// Calls that all wait for the one connection to be made need an instance each. Nobody listens where it leads: each call
/// ends with an error of its own, and its instance is kept.
async fn idle_instance() -> anyhow::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let runtime = runtime()?;
    let mut spec = spec("voyage", &format!("http://{}/v1", listener.local_addr()?))?;
    spec.limits.max_instances = INSTANCES;
    let pool = PoolConfig {
        max_connections: NonZeroUsize::MIN,
        ..PoolConfig::default()
    };
    spec.pool = pool.into();
    let provider = runtime.load(spec).await?;
    let calls = |count: usize| {
        join_all((0..count).map(|_| {
            provider.embed(EmbeddingRequest {
                inputs: vec!["x".to_owned()],
                model: None,
                kind: None,
                dimensions: None,
            })
        }))
    };
    drop(listener);
    calls(1).await;
    let before = resident()?;
    calls(INSTANCES).await;
    let kept = provider.stats().instances.idle;
    anyhow::ensure!(kept >= INSTANCES / 2, "{kept} instances are kept");
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok((resident()? - before) / (kept - 1) as f64)
}

/// The memory that this process has in RAM, in KiB.
fn resident() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(number.context("VmRSS")?.parse()?)
}
