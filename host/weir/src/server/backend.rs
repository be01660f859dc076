//! What the routes need of the providers, apart from how they are run: so that the shapes, the statuses and the
//! fallback can be tried without a WebAssembly engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use weir_pool::{Health, PoolStats};
use weir_runtime::{
    CallError, Capability, ProviderStats, chat, embedding, metadata, models, reranking, types, web_search,
};

use super::error::ApiError;
use crate::host::Reloads;

/// Which table of `[routes]` a plain model name is looked up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteTable {
    Embeddings,
    Rerank,
    Chat,
    WebSearch,
}

impl RouteTable {
    /// Its key in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            RouteTable::Embeddings => "embeddings",
            RouteTable::Rerank => "rerank",
            RouteTable::Chat => "chat",
            RouteTable::WebSearch => "web_search",
        }
    }

    /// The operation its routes call.
    pub fn operation(self) -> &'static str {
        match self {
            RouteTable::Embeddings => "embed",
            RouteTable::Rerank => "rerank",
            RouteTable::Chat => "chat",
            RouteTable::WebSearch => "web-search",
        }
    }
}

/// The configured providers.
pub(crate) trait Backend: Send + Sync + 'static {
    /// All that are configured, loaded or not.
    fn provider_names(&self) -> Vec<String>;
    /// Whether it is loaded when the server starts, where that is asked for. One that keeps state waits for its first request: loading takes its
    /// storage away from every other process.
    fn loads_at_start(&self, name: &str) -> bool;
    /// Plain model names, and the providers (`PROVIDER` or `PROVIDER/MODEL`) that are tried for each in turn.
    fn routes(&self, table: RouteTable) -> &BTreeMap<String, Vec<String>>;
    /// Loads a provider if it is not loaded yet.
    fn provider<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<dyn ProviderCalls>, ApiError>>;
    /// Those that are loaded.
    fn loaded(&self) -> Vec<Arc<dyn ProviderCalls>>;
    /// Why providers do not load, or do not serve the newest component of their file.
    fn failures(&self) -> BTreeMap<String, String>;
    /// How often components were replaced, or refused.
    fn reloads(&self) -> Vec<(String, Reloads)>;
    /// Every pool by its name.
    fn pools(&self) -> Vec<PoolReport>;
    /// How often another pool was given than the one asked for, by the name asked for.
    fn pool_fallbacks(&self) -> BTreeMap<String, u64>;
    /// What is counted of each loaded provider.
    fn provider_stats(&self) -> Vec<(String, ProviderStats)>;
    /// The answer of `/v1/providers`.
    fn describe_providers(&self) -> BoxFuture<'_, serde_json::Value>;
    /// One operation of one provider, JSON to JSON: the answer of `/v1/providers/{provider}/{operation}`.
    fn run<'a>(
        &'a self,
        provider: &'a str,
        operation: &'a str,
        input: serde_json::Value,
    ) -> BoxFuture<'a, Result<RunOutput, RunError>>;
}

/// A pool at one moment.
#[derive(Debug, Clone)]
pub(crate) struct PoolReport {
    pub name: String,
    pub stats: PoolStats,
    pub health: Health,
}

/// What an operation gives.
pub(crate) enum RunOutput {
    Whole(serde_json::Value),
    /// An answer as it comes; an error's JSON is the last of it. Dropping it cancels the call.
    Pieces(BoxStream<'static, serde_json::Value>),
}

/// An operation by name failed.
#[derive(Debug)]
pub(crate) struct RunError {
    /// Whether the provider was asked at all.
    pub was_called: bool,
    pub status: axum::http::StatusCode,
    /// `{"error": {"kind", "message", "provider", "operation", …}}`.
    pub body: serde_json::Value,
    pub retry_after: Option<std::time::Duration>,
}

/// The operations of a provider that have routes of their own. Dropping a future cancels the call.
pub(crate) trait ProviderCalls: Send + Sync {
    fn name(&self) -> &str;
    /// `blake3:` and the hash of its component.
    fn digest(&self) -> &str;
    fn capabilities(&self) -> &[Capability];
    fn manifest(&self) -> &metadata::Manifest;
    fn embed(&self, request: types::EmbeddingRequest) -> BoxFuture<'_, Result<embedding::Response, CallError>>;
    fn rerank(&self, request: reranking::Request) -> BoxFuture<'_, Result<reranking::Response, CallError>>;
    fn chat(&self, request: chat::Request) -> BoxFuture<'_, Result<chat::Response, CallError>>;
    fn chat_streaming(&self, request: chat::Request) -> BoxFuture<'_, Result<ChatEvents, CallError>>;
    fn search_web(&self, request: web_search::Request) -> BoxFuture<'_, Result<Vec<web_search::Found>, CallError>>;
    fn list_models(&self) -> BoxFuture<'_, Result<Vec<models::Model>, CallError>>;
}

/// An answer as it comes. Dropping it cancels the call.
pub(crate) struct ChatEvents {
    pub model: String,
    pub events: BoxStream<'static, Result<chat::Event, CallError>>,
}
