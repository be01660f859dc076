//! `GET /v1/models`: what can be put into `model`, as OpenAI lists it.
//!
//! Every provider gives its default models, and its own list where it has one: it is loaded for that if need be, except
//! where it keeps state, which no route asks for. A list that fails or takes too long costs its own entries only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use futures::future::join_all;
use serde::Serialize;
use weir_runtime::Capability;
use weir_runtime::models::Model;

use super::app::App;
use super::backend::{ProviderCalls, RouteTable};

/// How long a provider's own list may take. A list is a convenience; clients ask for it at their start.
const LIST_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize)]
pub(crate) struct ModelList {
    object: &'static str,
    data: Vec<ModelEntry>,
}

#[derive(Debug, Serialize)]
struct ModelEntry {
    id: String,
    object: &'static str,
    /// Seconds since 1970; 0 where the provider does not say, since clients require a number.
    created: u64,
    owned_by: String,
}

pub(crate) async fn models(State(app): State<Arc<App>>) -> Json<ModelList> {
    let backend = app.backend();
    let mut names = backend.provider_names();
    names.retain(|name| backend.loads_at_start(name));
    let lists = join_all(names.iter().map(async |name| match backend.provider(name).await {
        Ok(provider) if has_a_route(provider.as_ref()) => of_provider(&provider).await,
        _ => Vec::new(),
    }))
    .await;
    Json(ModelList {
        object: "list",
        data: lists.into_iter().flatten().collect(),
    })
}

fn has_a_route(provider: &dyn ProviderCalls) -> bool {
    let routed = |capability| {
        matches!(
            capability,
            Capability::Embedding | Capability::Reranking | Capability::Chat
        )
    };
    provider.capabilities().iter().copied().any(routed)
}

async fn of_provider(provider: &Arc<dyn ProviderCalls>) -> Vec<ModelEntry> {
    let routed = [RouteTable::Embeddings, RouteTable::Rerank, RouteTable::Chat].map(RouteTable::operation);
    let defaults = provider.manifest().default_models.iter();
    let defaults = defaults.filter(|default| routed.contains(&default.operation.as_str()));
    let mut models: BTreeMap<String, ModelEntry> = defaults
        .map(|default| {
            (
                default.model.clone(),
                entry(provider.name(), &default.model, None, None),
            )
        })
        .collect();
    for Model { id, owner, created } in own_list(provider.as_ref()).await {
        let entry = entry(provider.name(), &id, owner, created);
        models.insert(id, entry);
    }
    models.into_values().collect()
}

async fn own_list(provider: &dyn ProviderCalls) -> Vec<Model> {
    if !provider.capabilities().contains(&Capability::Models) {
        return Vec::new();
    }
    match tokio::time::timeout(LIST_DEADLINE, provider.list_models()).await {
        Ok(Ok(models)) => models,
        Ok(Err(error)) => {
            tracing::warn!(provider = provider.name(), %error, "its models can't be listed");
            Vec::new()
        }
        Err(_) => {
            tracing::warn!(
                provider = provider.name(),
                "its models could not be listed within {LIST_DEADLINE:?}"
            );
            Vec::new()
        }
    }
}

fn entry(provider: &str, model: &str, owner: Option<String>, created: Option<u64>) -> ModelEntry {
    ModelEntry {
        id: format!("{provider}/{model}"),
        object: "model",
        created: created.unwrap_or(0),
        owned_by: owner.unwrap_or_else(|| provider.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use crate::server::fake::{FakeBackend, FakeProvider, get};
    use serde_json::{Value, json};

    async fn ids(backend: FakeBackend) -> Vec<Value> {
        let answer = get(backend, "/v1/models").await;
        assert_eq!((answer.status, &answer.json["object"]), (200, &json!("list")));
        answer.json["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["id"].clone())
            .collect()
    }

    #[tokio::test]
    async fn default_models_and_the_providers_own_list_are_named_by_provider() {
        let backend = FakeBackend::default()
            .provider(FakeProvider::new("voyage").default_model("embed", "code"))
            .provider(
                FakeProvider::new("openai")
                    .default_model("chat", "gpt")
                    .models(["gpt", "tiny"]),
            )
            .provider(FakeProvider::new("qdrant").default_model("query", "none"));
        assert_eq!(ids(backend).await, ["voyage/code", "openai/gpt", "openai/tiny"]);
    }

    #[tokio::test]
    async fn a_list_that_fails_costs_its_own_entries_only() {
        let down = weir_runtime::types::Error::Upstream(crate::server::fake::refusal(500));
        let backend = FakeBackend::default()
            .provider(
                FakeProvider::new("down")
                    .default_model("chat", "gpt")
                    .models(["x"])
                    .failing(down),
            )
            .provider(FakeProvider::new("up").models(["y"]));
        assert_eq!(ids(backend).await, ["down/gpt", "up/y"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_never_comes_is_not_waited_for() {
        let backend = FakeBackend::default()
            .provider(FakeProvider::new("slow").models(["x"]).hanging().0)
            .provider(FakeProvider::new("up").models(["y"]));
        assert_eq!(ids(backend).await, ["up/y"]);
    }

    #[tokio::test]
    async fn an_entry_has_openais_fields() {
        let backend = FakeBackend::default().provider(FakeProvider::new("openai").models(["gpt"]));
        let answer = get(backend, "/v1/models").await;
        let expected = json!({"id": "openai/gpt", "object": "model", "created": 0, "owned_by": "openai"});
        assert_eq!(answer.json["data"], json!([expected]));
    }
}
