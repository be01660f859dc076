//! `POST /v1/web-search`: `{query, max_results?, model?}` to `{results: [{title, url, content, score}]}`.
//!
//! `model` chooses as elsewhere. Without one, and without a route `default`, whoever can search is asked, in the order of
//! the names.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use weir_runtime::Capability;
use weir_runtime::web_search::{Found, Request};

use super::app::App;
use super::attempt::first_answer;
use super::backend::{Backend, RouteTable};
use super::error::ApiError;
use super::json::JsonBody;
use super::observe::told;
use super::resolve::{DEFAULT_ROUTE, Target, resolve};

/// What clients send; other fields are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct WebSearchBody {
    query: String,
    max_results: Option<u32>,
    model: Option<String>,
}

#[derive(Debug, Serialize)]
struct Results {
    results: Vec<Page>,
}

#[derive(Debug, Serialize)]
struct Page {
    title: String,
    url: String,
    content: String,
    /// Null where the provider gives none.
    score: Option<f32>,
}

pub(crate) async fn web_search(
    State(app): State<Arc<App>>,
    JsonBody(body): JsonBody<WebSearchBody>,
) -> Result<Response, ApiError> {
    if body.query.trim().is_empty() {
        return Err(ApiError::invalid("query", "query is empty"));
    }
    if body.max_results == Some(0) {
        return Err(ApiError::invalid("max_results", "max_results is at least 1"));
    }
    let backend = app.backend();
    let table = RouteTable::WebSearch;
    let is_routed = body.model.is_some() || backend.routes(table).contains_key(DEFAULT_ROUTE);
    let targets = if is_routed {
        resolve(backend.as_ref(), table, body.model.as_deref())?
    } else {
        searchers(backend.as_ref()).await?
    };
    let (found, answered) = first_answer(backend.as_ref(), &targets, table.operation(), |provider, _| {
        provider.search_web(Request {
            query: body.query.clone(),
            max_results: body.max_results,
        })
    })
    .await?;
    let results = found.into_iter().map(page).collect();
    Ok(told(Json(Results { results }), answered))
}

/// The providers that search the web.
async fn searchers(backend: &dyn Backend) -> Result<Vec<Target>, ApiError> {
    let mut targets = Vec::new();
    for name in backend.provider_names() {
        if backend.loads_at_start(&name)
            && let Ok(provider) = backend.provider(&name).await
            && provider.capabilities().contains(&Capability::WebSearch)
        {
            targets.push(Target {
                provider: name,
                model: None,
            });
        }
    }
    if targets.is_empty() {
        let message = "no configured provider searches the web; add one that does, such as tavily";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message));
    }
    Ok(targets)
}

fn page(found: Found) -> Page {
    Page {
        title: found.title,
        url: found.url,
        content: found.content,
        score: found.score.filter(|score| score.is_finite()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fake::{FakeBackend, FakeProvider, post, refusal};
    use serde_json::json;
    use weir_runtime::types::Error;

    fn searching(name: &str) -> FakeProvider {
        FakeProvider::new(name).capability(Capability::WebSearch)
    }

    #[tokio::test]
    async fn pages_come_in_the_contracts_shape() {
        let backend = FakeBackend::default().provider(searching("tavily"));
        let answer = post(backend, "/v1/web-search", json!({"query": "q", "max_results": 1})).await;
        let expected = json!({"results": [
            {"title": "q", "url": "https://page.example/0", "content": "about q", "score": 0.5},
        ]});
        assert_eq!((answer.status, &answer.json), (200, &expected));
        assert_eq!(answer.headers["x-weir-provider"], "tavily");
    }

    #[tokio::test]
    async fn without_a_route_whoever_searches_is_asked() {
        let backend = FakeBackend::default()
            .provider(FakeProvider::new("a"))
            .provider(searching("b").failing(Error::RateLimited(refusal(429))))
            .provider(searching("c"));
        let answer = post(backend, "/v1/web-search", json!({"query": "q"})).await;
        assert_eq!(
            (answer.status, &answer.headers["x-weir-provider"]),
            (200, &"c".parse().unwrap())
        );

        let nobody = FakeBackend::default().provider(FakeProvider::new("a"));
        assert_eq!(post(nobody, "/v1/web-search", json!({"query": "q"})).await.status, 404);
    }

    #[tokio::test]
    async fn a_route_or_a_model_says_who_is_asked() {
        let backend = || {
            FakeBackend::default()
                .provider(searching("b"))
                .provider(searching("c"))
                .route(RouteTable::WebSearch, "default", ["c"])
        };
        for (body, provider) in [(json!({"query": "q"}), "c"), (json!({"query": "q", "model": "b"}), "b")] {
            let answer = post(backend(), "/v1/web-search", body).await;
            assert_eq!(answer.headers["x-weir-provider"], provider);
        }
    }

    #[tokio::test]
    async fn what_can_not_be_searched_for_is_refused_by_place() {
        for (body, param) in [
            (json!({"query": " "}), "query"),
            (json!({"query": "q", "max_results": 0}), "max_results"),
        ] {
            let answer = post(FakeBackend::default(), "/v1/web-search", body).await;
            assert_eq!(
                (answer.status, answer.json["error"]["param"].as_str()),
                (400, Some(param))
            );
        }
    }
}
