//! Which path leads where.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::app::App;
use super::dashboard::{events, page};
use super::error::ApiError;
use super::{
    auth, chat, embed, embeddings, health, metrics, models, observe, openapi, operation, pools, providers, rerank,
    web_search,
};

/// Every route. `/livez`, `/readyz` and `/openapi.json` are open: a probe has no key, and they tell nothing of this server.
/// So is the dashboard's page, which asks for the key that its data needs.
pub(crate) fn router(app: Arc<App>) -> Router {
    let guarded = Router::new()
        .route("/v1/embeddings", post(embeddings::embeddings))
        .route("/v1/rerank", post(rerank::rerank))
        .route("/v2/rerank", post(rerank::rerank))
        .route("/v2/embed", post(embed::embed))
        .route("/v1/web-search", post(web_search::web_search))
        .route("/v1/chat/completions", post(chat::completions))
        .route("/v1/models", get(models::models))
        .route("/v1/providers", get(providers::providers))
        .route("/v1/providers/{provider}/{operation}", post(operation::operation))
        .route("/v1/pools", get(pools::pools))
        .route("/v1/events", get(events::events))
        .route("/health", get(health::health))
        .route("/metrics", get(metrics::metrics))
        .route_layer(from_fn_with_state(app.clone(), auth::authenticate));
    Router::new()
        .merge(guarded)
        .route("/", get(page::page))
        .route("/dashboard.css", get(page::style))
        .route("/dashboard.js", get(page::script))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/openapi.json", get(openapi::openapi))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(from_fn_with_state(app.clone(), observe::observe))
        .with_state(app)
}

async fn not_found(method: Method, uri: Uri) -> ApiError {
    let message = format!("there is no route {method} {}", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::auth::ApiKeys;
    use crate::server::fake::{Answer, FakeBackend, FakeProvider, answer, get, post, refusal, send};
    use crate::server::json::MAX_BODY_BYTES;
    use axum::body::Body;
    use axum::http::Request;
    use serde_json::json;
    use weir_runtime::types::{Error, Failure};

    async fn raw(request: axum::http::request::Builder, body: impl Into<Body>) -> Answer {
        let backend = FakeBackend::default().provider(FakeProvider::new("voyage"));
        let router = router(App::new(Arc::new(backend), ApiKeys::default()));
        let (head, text) = send(router, request.body(body.into()).unwrap()).await;
        answer(head, text)
    }

    #[tokio::test]
    async fn every_refusal_has_the_shape_that_clients_know() {
        let json = |path| Request::post(path).header("content-type", "application/json");
        for (answer, status, code) in [
            (raw(Request::get("/v1/nothing"), "").await, 404, "not_found"),
            (raw(Request::get("/v1/embeddings"), "").await, 405, "method_not_allowed"),
            (
                raw(Request::post("/v1/embeddings"), "{}").await,
                415,
                "unsupported_media_type",
            ),
            (raw(json("/v1/embeddings"), "{").await, 400, "invalid_json"),
            (
                raw(json("/v1/embeddings"), r#"{"model": "voyage"}"#).await,
                400,
                "invalid-input",
            ),
            (raw(json("/v1/chat/completions"), "[]").await, 400, "invalid-input"),
            (
                raw(json("/v1/embeddings"), vec![b' '; MAX_BODY_BYTES + 1]).await,
                413,
                "request_too_large",
            ),
            (
                raw(json("/v1/rerank"), r#"{"model": "x", "query": "q", "documents": []}"#).await,
                404,
                "model_not_found",
            ),
        ] {
            assert_eq!(
                (answer.status, answer.json["error"]["code"].as_str()),
                (status, Some(code))
            );
            assert!(answer.json["error"]["message"].is_string() && answer.json["error"]["type"].is_string());
            assert!(answer.headers.contains_key("x-request-id"), "{code}");
        }
    }

    #[tokio::test]
    async fn every_answer_says_who_gave_it() {
        let answer = get(FakeBackend::default(), "/livez").await;
        for (name, value) in [("x-weir-provider", "none"), ("x-weir-attempts", "0")] {
            assert_eq!(answer.headers[name], value);
        }
        assert!(
            answer.headers["x-weir-overhead-ms"]
                .to_str()
                .unwrap()
                .parse::<f64>()
                .unwrap()
                >= 0.0
        );

        let request = Request::get("/livez").header("x-request-id", "mine-1");
        assert_eq!(raw(request, "").await.headers["x-request-id"], "mine-1");
    }

    #[tokio::test]
    async fn a_limited_provider_is_passed_on_with_its_wait() {
        let failure = Failure {
            retry_after: Some(1_500_000_000),
            ..refusal(429)
        };
        let limited = || FakeProvider::new("voyage").failing(Error::RateLimited(failure.clone()));
        let body = json!({"model": "voyage", "input": "a"});
        let answer = post(
            FakeBackend::default().provider(limited()),
            "/v1/embeddings",
            body.clone(),
        )
        .await;
        assert_eq!(
            (answer.status, &answer.headers["retry-after"]),
            (429, &"2".parse().unwrap())
        );
        assert_eq!(answer.headers["x-weir-provider"], "voyage");

        let route = FakeBackend::default()
            .provider(limited())
            .provider(FakeProvider::new("local"))
            .route(
                super::super::backend::RouteTable::Embeddings,
                "voyage",
                ["voyage", "local"],
            );
        let answer = post(route, "/v1/embeddings", body).await;
        assert_eq!(
            (answer.status, &answer.headers["x-weir-provider"]),
            (200, &"local".parse().unwrap())
        );
        assert_eq!(answer.headers["x-weir-attempts"], "2");
    }

    #[tokio::test]
    async fn any_operation_can_be_called_by_name() {
        let path = "/v1/providers/qdrant/count";
        let answer = post(FakeBackend::default(), path, json!({"collection": "c"})).await;
        let expected = json!({"provider": "qdrant", "operation": "count", "input": {"collection": "c"}});
        assert_eq!((answer.status, &answer.json), (200, &expected));
        assert_eq!(answer.headers["x-weir-provider"], "qdrant");

        let answer = post(
            FakeBackend::default(),
            "/v1/providers/openai/chat",
            json!({"stream": [{"a": 1}, {"b": 2}]}),
        )
        .await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "{\"a\":1}\n{\"b\":2}\n"));
        assert_eq!(answer.headers["content-type"], "application/x-ndjson");

        let answer = post(FakeBackend::default(), path, json!(7)).await;
        assert_eq!(
            (answer.status, &answer.headers["retry-after"]),
            (429, &"3".parse().unwrap())
        );
        assert_eq!(answer.json["error"]["kind"], "rate-limited");
    }

    #[tokio::test]
    async fn a_key_opens_every_guarded_route() {
        let keys = ApiKeys::new(&["k".into()]).unwrap();
        let router = router(App::new(Arc::new(FakeBackend::default()), keys));
        let ask = async |key: &str| {
            let request = Request::get("/v1/models").header("authorization", format!("Bearer {key}"));
            send(router.clone(), request.body(Body::empty()).unwrap()).await.0
        };
        assert_eq!(ask("k").await.status, 200);
        let refused = ask("wrong").await;
        assert_eq!(
            (refused.status.as_u16(), &refused.headers["www-authenticate"]),
            (401, &"Bearer".parse().unwrap())
        );
    }
}
