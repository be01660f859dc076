//! The routes' providers are the host's.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use weir_runtime::{
    CallError, Capability, Provider, ProviderStats, chat, embedding, metadata, models, reranking, types, web_search,
};

use super::backend::{Backend, ChatEvents, PoolReport, ProviderCalls, RouteTable, RunError, RunOutput};
use super::error::{ApiError, status_of};
use crate::config::settings::Isolation;
use crate::host::{Host, HostError, Reloads};
use crate::inventory;
use crate::operations::{self, OperationError};

impl Backend for Host {
    fn provider_names(&self) -> Vec<String> {
        Host::provider_names(self).map(str::to_owned).collect()
    }

    fn loads_at_start(&self, name: &str) -> bool {
        let provider = self.config().providers.get(name);
        provider.is_none_or(|provider| provider.limits.isolation != Isolation::Resident)
    }

    fn routes(&self, table: RouteTable) -> &BTreeMap<String, Vec<String>> {
        let routes = &self.config().routes;
        match table {
            RouteTable::Embeddings => &routes.embeddings,
            RouteTable::Rerank => &routes.rerank,
            RouteTable::Chat => &routes.chat,
            RouteTable::WebSearch => &routes.web_search,
        }
    }

    fn provider<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<dyn ProviderCalls>, ApiError>> {
        async move {
            match Host::provider(self, name).await {
                Ok(provider) => Ok(Arc::new(provider) as Arc<dyn ProviderCalls>),
                Err(error) => Err(ApiError::new(status_of_host(&error), error.kind(), error.to_string())),
            }
        }
        .boxed()
    }

    fn loaded(&self) -> Vec<Arc<dyn ProviderCalls>> {
        Host::loaded(self)
            .into_iter()
            .map(|provider| Arc::new(provider) as Arc<dyn ProviderCalls>)
            .collect()
    }

    fn failures(&self) -> BTreeMap<String, String> {
        Host::failures(self)
    }

    fn reloads(&self) -> Vec<(String, Reloads)> {
        Host::reloads(self)
    }

    fn pools(&self) -> Vec<PoolReport> {
        let pools = self.runtime().pools();
        let mut health: BTreeMap<_, _> = pools.health().into_iter().collect();
        let stats = pools.stats().into_iter();
        stats
            .map(|(name, stats)| PoolReport {
                // One that was made in between has had no time to be ill.
                health: health.remove(&name).unwrap_or_default(),
                name,
                stats,
            })
            .collect()
    }

    fn pool_fallbacks(&self) -> BTreeMap<String, u64> {
        self.runtime().pools().fallbacks()
    }

    fn provider_stats(&self) -> Vec<(String, ProviderStats)> {
        Host::loaded(self)
            .iter()
            .map(|provider| (provider.name().to_owned(), provider.stats()))
            .collect()
    }

    fn describe_providers(&self) -> BoxFuture<'_, Value> {
        async move { json!({ "providers": inventory::configured(self).await }) }.boxed()
    }

    fn run<'a>(
        &'a self,
        provider: &'a str,
        operation: &'a str,
        input: Value,
    ) -> BoxFuture<'a, Result<RunOutput, RunError>> {
        async move {
            let provider = Host::provider(self, provider)
                .await
                .map_err(|error| not_loaded(&error, provider, operation))?;
            if !operations::wants_stream(operation, &input) {
                return operations::run(&provider, operation, input)
                    .await
                    .map(RunOutput::Whole)
                    .map_err(failed);
            }
            let pieces = operations::stream(&provider, operation, input).await.map_err(failed)?;
            Ok(RunOutput::Pieces(
                pieces
                    .map(|piece| piece.unwrap_or_else(|error| error.to_json()))
                    .boxed(),
            ))
        }
        .boxed()
    }
}

impl ProviderCalls for Provider {
    fn name(&self) -> &str {
        Provider::name(self)
    }

    fn digest(&self) -> &str {
        Provider::digest(self)
    }

    fn capabilities(&self) -> &[Capability] {
        Provider::capabilities(self)
    }

    fn manifest(&self) -> &metadata::Manifest {
        Provider::manifest(self)
    }

    fn embed(&self, request: types::EmbeddingRequest) -> BoxFuture<'_, Result<embedding::Response, CallError>> {
        Provider::embed(self, request).boxed()
    }

    fn rerank(&self, request: reranking::Request) -> BoxFuture<'_, Result<reranking::Response, CallError>> {
        Provider::rerank(self, request).boxed()
    }

    fn chat(&self, request: chat::Request) -> BoxFuture<'_, Result<chat::Response, CallError>> {
        Provider::chat(self, request).boxed()
    }

    fn chat_streaming(&self, request: chat::Request) -> BoxFuture<'_, Result<ChatEvents, CallError>> {
        async move {
            let answer = Provider::chat_streaming(self, request).await?;
            Ok(ChatEvents {
                model: answer.model.clone(),
                events: answer.boxed(),
            })
        }
        .boxed()
    }

    fn search_web(&self, request: web_search::Request) -> BoxFuture<'_, Result<Vec<web_search::Found>, CallError>> {
        Provider::search_web(self, request).boxed()
    }

    fn list_models(&self) -> BoxFuture<'_, Result<Vec<models::Model>, CallError>> {
        Provider::list_models(self).boxed()
    }
}

/// A provider that can't be loaded is unavailable, whoever has to mend it.
fn status_of_host(error: &HostError) -> StatusCode {
    match error {
        HostError::UnknownProvider { .. } => StatusCode::NOT_FOUND,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn not_loaded(error: &HostError, provider: &str, operation: &str) -> RunError {
    let fields = json!({
        "kind": error.kind(),
        "message": error.to_string(),
        "provider": provider,
        "operation": operation,
        "attempts": 0,
    });
    RunError {
        was_called: false,
        status: status_of_host(error),
        body: json!({ "error": fields }),
        retry_after: None,
    }
}

fn failed(error: OperationError) -> RunError {
    let call = error.call();
    let body = error.to_json();
    RunError {
        was_called: body["error"]["attempts"] != 0,
        status: status_of(error.kind(), call.and_then(CallError::status)),
        body,
        retry_after: call.and_then(CallError::retry_after),
    }
}
