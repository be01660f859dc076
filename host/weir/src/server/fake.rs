//! Providers without WebAssembly, and requests without a socket.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, response};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use weir_pool::{Health, HealthReason, PoolStats};
use weir_runtime::types::{EmbeddingRequest, Error, Failure, InputKind, Usage};
use weir_runtime::{
    CallError, CallErrorKind, Capability, ProviderStats, chat, embedding, metadata, models, reranking, web_search,
};

use super::app::App;
use super::auth::ApiKeys;
use super::backend::{Backend, ChatEvents, PoolReport, ProviderCalls, RouteTable, RunError, RunOutput};
use super::error::ApiError;
use super::routes::router;
use crate::host::Reloads;

#[derive(Default)]
pub(crate) struct FakeBackend {
    providers: Vec<Arc<FakeProvider>>,
    broken: BTreeMap<String, String>,
    /// Those of the broken ones that were asked for, and those that serve an old component.
    tried: Mutex<BTreeMap<String, String>>,
    routes: [BTreeMap<String, Vec<String>>; 4],
    pools: Vec<PoolReport>,
}

impl FakeBackend {
    pub fn with_providers<const N: usize>(names: [&str; N]) -> Self {
        names.into_iter().fold(Self::default(), |backend, name| {
            backend.provider(FakeProvider::new(name))
        })
    }

    pub fn provider(mut self, provider: FakeProvider) -> Self {
        self.providers.push(Arc::new(provider));
        self
    }

    /// A provider that does not load.
    pub fn broken(mut self, name: &str, why: &str) -> Self {
        self.broken.insert(name.to_owned(), why.to_owned());
        self
    }

    /// A provider whose new component was refused.
    pub fn outdated(self, name: &str, why: &str) -> Self {
        self.tried.lock().unwrap().insert(name.to_owned(), why.to_owned());
        self.provider(FakeProvider::new(name))
    }

    pub fn route<const N: usize>(mut self, table: RouteTable, name: &str, entries: [&str; N]) -> Self {
        self.routes[table as usize].insert(name.to_owned(), entries.map(str::to_owned).to_vec());
        self
    }

    pub fn pool(self, name: &str, stats: PoolStats) -> Self {
        self.ailing_pool(name, stats, Vec::new())
    }

    pub fn ailing_pool(mut self, name: &str, stats: PoolStats, reasons: Vec<HealthReason>) -> Self {
        self.pools.push(PoolReport {
            name: name.to_owned(),
            stats,
            health: Health { reasons },
        });
        self
    }
}

impl Backend for FakeBackend {
    fn provider_names(&self) -> Vec<String> {
        let loaded = self.providers.iter().map(|provider| provider.name.clone());
        self.broken.keys().cloned().chain(loaded).collect()
    }

    fn loads_at_start(&self, name: &str) -> bool {
        name != "stateful"
    }

    fn routes(&self, table: RouteTable) -> &BTreeMap<String, Vec<String>> {
        &self.routes[table as usize]
    }

    fn provider<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<dyn ProviderCalls>, ApiError>> {
        let found = self.providers.iter().find(|provider| provider.name == name);
        let found = found.map(|provider| provider.clone() as Arc<dyn ProviderCalls>);
        let why = self.broken.get(name).cloned().unwrap_or_default();
        if found.is_none() {
            self.tried.lock().unwrap().insert(name.to_owned(), why.clone());
        }
        async move { found.ok_or_else(|| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_loaded", why)) }.boxed()
    }

    fn loaded(&self) -> Vec<Arc<dyn ProviderCalls>> {
        self.providers
            .iter()
            .map(|provider| provider.clone() as Arc<dyn ProviderCalls>)
            .collect()
    }

    fn failures(&self) -> BTreeMap<String, String> {
        self.tried.lock().unwrap().clone()
    }

    fn reloads(&self) -> Vec<(String, Reloads)> {
        Vec::new()
    }

    fn pools(&self) -> Vec<PoolReport> {
        self.pools.clone()
    }

    fn pool_fallbacks(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }

    fn provider_stats(&self) -> Vec<(String, ProviderStats)> {
        Vec::new()
    }

    fn describe_providers(&self) -> BoxFuture<'_, Value> {
        async move { json!({ "failures": self.failures() }) }.boxed()
    }

    fn run<'a>(
        &'a self,
        provider: &'a str,
        operation: &'a str,
        input: Value,
    ) -> BoxFuture<'a, Result<RunOutput, RunError>> {
        async move {
            if let Some(pieces) = input.get("stream") {
                let pieces = pieces.as_array().unwrap().clone();
                return Ok(RunOutput::Pieces(futures::stream::iter(pieces).boxed()));
            }
            if input.is_object() {
                return Ok(RunOutput::Whole(
                    json!({"provider": provider, "operation": operation, "input": input}),
                ));
            }
            Err(RunError {
                was_called: true,
                status: StatusCode::TOO_MANY_REQUESTS,
                body: json!({"error": {"kind": "rate-limited"}}),
                retry_after: Some(std::time::Duration::from_secs(3)),
            })
        }
        .boxed()
    }
}

/// Every vector is 0.1, -0.5, 0.1, …; ranks are last to first; a chat answer repeats the first message.
pub(crate) struct FakeProvider {
    name: String,
    manifest: metadata::Manifest,
    capabilities: Vec<Capability>,
    models: Vec<String>,
    error: Option<Error>,
    /// Calls never end, and cancel this when they are dropped.
    hangs: Option<Dropped>,
    events: Vec<chat::Event>,
}

/// Cancelled when a call was dropped before it ended.
pub(crate) type Dropped = CancellationToken;

impl FakeProvider {
    pub fn new(name: &str) -> Self {
        let manifest = metadata::Manifest {
            name: name.to_owned(),
            version: "0.0.0".to_owned(),
            description: String::new(),
            origins: Vec::new(),
            secrets: Vec::new(),
            settings: Vec::new(),
            default_models: Vec::new(),
            limits: Vec::new(),
            stateful: false,
        };
        Self {
            name: name.to_owned(),
            manifest,
            capabilities: vec![Capability::Embedding, Capability::Reranking, Capability::Chat],
            models: Vec::new(),
            error: None,
            hangs: None,
            events: Vec::new(),
        }
    }

    pub fn capability(mut self, capability: Capability) -> Self {
        self.capabilities.push(capability);
        self
    }

    pub fn failing(mut self, error: Error) -> Self {
        self.error = Some(error);
        self
    }

    pub fn hanging(mut self) -> (Self, Dropped) {
        let dropped = Dropped::new();
        self.hangs = Some(dropped.clone());
        (self, dropped)
    }

    /// What a stream gives before it ends, hangs or fails.
    pub fn streaming(self, events: Vec<chat::Event>) -> Self {
        Self { events, ..self }
    }

    pub fn default_model(mut self, operation: &str, model: &str) -> Self {
        let default = metadata::DefaultModel {
            operation: operation.to_owned(),
            model: model.to_owned(),
        };
        self.manifest.default_models.push(default);
        self
    }

    pub fn models<const N: usize>(mut self, models: [&str; N]) -> Self {
        self.capabilities.push(Capability::Models);
        self.models = models.map(str::to_owned).to_vec();
        self
    }

    fn answer<'a, T: Send + 'a>(&self, operation: &'static str, answer: T) -> BoxFuture<'a, Result<T, CallError>> {
        if let Some(dropped) = self.hangs.clone() {
            let guard = dropped.drop_guard();
            return async move {
                let _guard = guard;
                std::future::pending().await
            }
            .boxed();
        }
        let failure = self.error.clone().map(CallErrorKind::Provider);
        let failure = failure.map(|kind| CallError::new(&self.name, operation, kind));
        async move { failure.map_or(Ok(answer), Err) }.boxed()
    }
}

impl ProviderCalls for FakeProvider {
    fn name(&self) -> &str {
        &self.name
    }

    fn digest(&self) -> &str {
        "blake3:00"
    }

    fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    fn manifest(&self) -> &metadata::Manifest {
        &self.manifest
    }

    fn embed(&self, request: EmbeddingRequest) -> BoxFuture<'_, Result<embedding::Response, CallError>> {
        let dimensions = request.dimensions.unwrap_or(2);
        let vector = [0.1, -0.5].into_iter().cycle().take(dimensions as usize);
        let mut model = request.model.unwrap_or_else(|| "default".to_owned());
        if request.kind == Some(InputKind::Query) {
            model += " as a query";
        }
        let usage = Usage {
            input_tokens: request.inputs.len() as u64,
            output_tokens: 0,
        };
        let vectors = request.inputs.iter().flat_map(|_| vector.clone()).collect();
        self.answer(
            "embed",
            embedding::Response {
                model,
                dimensions,
                vectors,
                usage,
            },
        )
    }

    fn rerank(&self, request: reranking::Request) -> BoxFuture<'_, Result<reranking::Response, CallError>> {
        let sent = request.documents.len() as u32;
        let scores = (1..).map(|rank| 0.5f32.powi(rank));
        let ranked = (0..sent)
            .rev()
            .zip(scores)
            .map(|(index, score)| reranking::Ranked { index, score });
        let response = reranking::Response {
            model: request.model.unwrap_or_else(|| "default".to_owned()),
            results: ranked.take(request.top_n.unwrap_or(sent) as usize).collect(),
            usage: Usage {
                input_tokens: u64::from(sent),
                output_tokens: 0,
            },
        };
        self.answer("rerank", response)
    }

    fn chat(&self, request: chat::Request) -> BoxFuture<'_, Result<chat::Response, CallError>> {
        let said = request.messages.first().and_then(|message| message.content.first());
        let said = if let Some(chat::Part::Text(text)) = said {
            text.as_str()
        } else {
            "nothing"
        };
        let response = chat::Response {
            id: None,
            model: request.model.unwrap_or_else(|| "default".to_owned()),
            text: format!("you said {said}"),
            tool_calls: Vec::new(),
            finish: chat::Finish::Stop,
            usage: Usage {
                input_tokens: 1,
                output_tokens: 3,
            },
        };
        self.answer("chat", response)
    }

    /// Begins in any case; hangs or fails after its events.
    fn chat_streaming(&self, _: chat::Request) -> BoxFuture<'_, Result<ChatEvents, CallError>> {
        let events = futures::stream::iter(self.events.clone()).map(Ok);
        let end = self.answer("chat", ());
        let end = futures::stream::once(end).filter_map(async |end| end.err().map(Err));
        let events = events.chain(end).boxed();
        async move {
            Ok(ChatEvents {
                model: "default".to_owned(),
                events,
            })
        }
        .boxed()
    }

    fn search_web(&self, request: web_search::Request) -> BoxFuture<'_, Result<Vec<web_search::Found>, CallError>> {
        let pages = (0..request.max_results.unwrap_or(2)).map(|number| web_search::Found {
            title: request.query.clone(),
            url: format!("https://page.example/{number}"),
            content: format!("about {}", request.query),
            score: Some(0.5),
        });
        self.answer("web-search", pages.collect())
    }

    fn list_models(&self) -> BoxFuture<'_, Result<Vec<models::Model>, CallError>> {
        let models = self.models.iter().map(|id| models::Model {
            id: id.clone(),
            owner: None,
            created: None,
        });
        self.answer("models", models.collect())
    }
}

/// What a provider says when it answers with this status.
pub(crate) fn refusal(status: u16) -> Failure {
    Failure {
        message: "no".to_owned(),
        status: Some(status),
        code: None,
        request_id: None,
        retry_after: None,
    }
}

/// Those of a pool that was never used.
pub(crate) fn pool_stats() -> PoolStats {
    let pools = weir_pool::PoolManager::new().unwrap();
    pools.pool("any", weir_pool::PoolSettings::default()).unwrap().stats()
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// Null where the text is no JSON.
    pub json: Value,
}

pub(crate) async fn get(backend: FakeBackend, path: &str) -> Answer {
    get_from(router(App::new(Arc::new(backend), ApiKeys::default())), path).await
}

pub(crate) async fn get_from(router: Router, path: &str) -> Answer {
    let (head, text) = send(router, Request::get(path).body(Body::empty()).unwrap()).await;
    answer(head, text)
}

pub(crate) async fn post(backend: FakeBackend, path: &str, body: Value) -> Answer {
    let (head, text) = post_raw(backend, path, body).await;
    answer(head, text)
}

pub(crate) async fn post_raw(backend: FakeBackend, path: &str, body: Value) -> (response::Parts, String) {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()));
    send(
        router(App::new(Arc::new(backend), ApiKeys::default())),
        request.unwrap(),
    )
    .await
}

pub(crate) async fn send(router: Router, request: Request<Body>) -> (response::Parts, String) {
    let (head, body) = router.oneshot(request).await.unwrap().into_parts();
    let mut chunks = pin!(body.into_data_stream());
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    (head, String::from_utf8(bytes).unwrap())
}

pub(crate) fn answer(head: response::Parts, text: String) -> Answer {
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        text,
        json,
    }
}
