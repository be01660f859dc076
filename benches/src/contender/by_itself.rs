//! An embedding through the `voyage` adapter made a `wasi:http` component, which sends by itself as under
//! `wasmtime serve`: an instance a call, and a connection a request.

use anyhow::Context as _;
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_config::{WasiConfig, WasiConfigVariables};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView, default_hooks};

use self::bindings::exports::weir::provider::embedding::EmbeddingRequest;
use self::bindings::{Adapter, AdapterPre};
use super::{Contender, Task};
use crate::component;

#[allow(missing_docs, clippy::all, reason = "generated from the contract")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/v0.1.0",
        inline: "
            package benches:host;
            world adapter {
                import wasi:config/store@0.2.0-rc.1;
                export weir:provider/embedding@0.1.0;
            }
        ",
        exports: { default: async },
    });
}

#[derive(Clone)]
pub struct ByItself {
    adapter: AdapterPre<State>,
    engine: Engine,
    base_url: String,
    texts: Vec<String>,
    dimensions: usize,
}

impl Contender for ByItself {
    async fn new(task: &Task) -> anyhow::Result<Self> {
        let url = task.url.to_string();
        let base_url = url.strip_suffix("/embeddings").context("the URL of an embedding")?;
        let mut config = Config::new();
        config
            .wasm_component_model_async(true)
            // Memory stays with its slot from call to call, as in weir.
            .allocation_strategy(InstanceAllocationStrategy::Pooling({
                let mut pooling = PoolingAllocationConfig::new();
                pooling
                    .linear_memory_keep_resident(2 << 20)
                    .table_keep_resident(64 << 10)
                    .async_stack_keep_resident(64 << 10);
                pooling
            }));
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_config::add_to_linker(&mut linker, |state: &mut State| WasiConfig::from(&state.config))?;
        let component = Component::new(&engine, composed()?)?;
        Ok(Self {
            adapter: AdapterPre::new(linker.instantiate_pre(&component)?)?,
            engine,
            base_url: base_url.to_owned(),
            texts: task.texts(),
            dimensions: task.dimensions,
        })
    }

    async fn caller(&self) -> anyhow::Result<Self> {
        Ok(self.clone())
    }

    async fn request(&mut self) -> anyhow::Result<()> {
        let mut store = Store::new(&self.engine, State::new(&self.base_url));
        let adapter: Adapter = self.adapter.instantiate_async(&mut store).await?;
        let request = EmbeddingRequest {
            inputs: self.texts.clone(),
            model: None,
            kind: None,
            dimensions: None,
        };
        let embedding = adapter.weir_provider_embedding();
        let answer = store
            .run_concurrent(async |store| embedding.call_embed(store, request).await)
            .await??;
        let answer = answer.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        anyhow::ensure!(
            answer.vectors.len() == self.texts.len() * self.dimensions,
            "{} numbers",
            answer.vectors.len()
        );
        Ok(())
    }
}

/// The adapter with `pooled-http` made of `wasi:http`.
fn composed() -> anyhow::Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let adapter = std::fs::read(component::adapter("voyage")).context("voyage.wasm: run `just build-guests`")?;
    let sender = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/over-wasi-http/target/wasm32-wasip2/release/over_wasi_http.wasm"
    ))
    .context("over_wasi_http.wasm: run `just bench`")?;
    let adapter = Package::from_bytes("weir:voyage", None, adapter, graph.types_mut())?;
    let adapter = graph.register_package(adapter)?;
    let sender = Package::from_bytes("benches:over-wasi-http", None, sender, graph.types_mut())?;
    let sender = graph.register_package(sender)?;
    wac_graph::plug(&mut graph, vec![sender], adapter)?;
    Ok(graph.encode(EncodeOptions::default())?)
}

struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    config: WasiConfigVariables,
}

impl State {
    fn new(base_url: &str) -> Self {
        let settings = [("base_url".to_owned(), base_url.to_owned())];
        Self {
            table: ResourceTable::new(),
            wasi: WasiCtxBuilder::new().build(),
            http: WasiHttpCtx::new(),
            config: settings.into_iter().collect(),
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: default_hooks(),
        }
    }
}
