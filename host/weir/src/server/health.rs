//! `GET /health`, `/livez`, `/readyz`.
//!
//! | `status` | when | HTTP |
//! |---|---|---|
//! | `healthy` | every provider is loaded or stands by, and every pool is healthy | 200 |
//! | `degraded` | a provider did not load, or serves an old component since the new one was refused, or the configuration was refused that is there now, or a pool is not healthy | 200 |
//! | `unhealthy` | every provider failed to load, or the server is stopping | 503 |
//!
//! A pool is degraded or unhealthy for the reasons that it gives itself ([`weir_pool::HealthReason`]). A pool that can
//! serve nobody does not make the server unhealthy: another server would find the same provider. Latencies are those of
//! the last minute; the server reads its counters every second.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use weir_pool::HealthStatus;

use super::app::App;
use super::backend::{Backend, PoolReport};
use super::dashboard::history::Latency;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Healthy,
    Degraded,
    Unhealthy,
}

impl From<HealthStatus> for Status {
    fn from(status: HealthStatus) -> Self {
        match status {
            HealthStatus::Healthy => Status::Healthy,
            HealthStatus::Degraded => Status::Degraded,
            HealthStatus::Unhealthy => Status::Unhealthy,
        }
    }
}

/// What `/health` answers.
#[derive(Debug, Serialize)]
pub(crate) struct Health {
    status: Status,
    /// What speaks against `healthy`, the gravest first.
    reasons: Vec<String>,
    uptime_seconds: f64,
    configuration: Configuration,
    services: BTreeMap<String, Service>,
    http_pools: BTreeMap<String, PoolHealth>,
}

/// Whether the server goes by the configuration that is there.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum Configuration {
    Healthy,
    /// It goes by the one before.
    Degraded {
        error: String,
    },
}

/// A provider.
#[derive(Debug, Serialize)]
struct Service {
    #[serde(flatten)]
    state: ServiceState,
    /// Of its calls.
    latency_seconds: Latency,
}

/// How far a provider is loaded.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum ServiceState {
    Healthy,
    /// Loaded with its first request.
    Standby,
    Loading,
    /// It serves, and the component that is there now was refused.
    Degraded {
        error: String,
    },
    Failed {
        error: String,
    },
}

#[derive(Debug, Serialize)]
struct PoolHealth {
    active: usize,
    idle: usize,
    total_requests: u64,
    /// Deadlines that ran out, of every kind.
    timeouts: u64,
    pool_exhaustions: u64,
    state: Status,
    /// Of its requests.
    latency_seconds: Latency,
    breakers: BTreeMap<String, &'static str>,
    /// What speaks against it, the gravest first.
    reasons: Vec<String>,
}

pub(crate) async fn health(State(app): State<Arc<App>>) -> Response {
    let health = of(&app);
    let status = match health.status {
        Status::Healthy | Status::Degraded => StatusCode::OK,
        Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(health)).into_response()
}

/// The process answers.
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether requests should be sent here.
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.lifecycle.is_ready() {
        (StatusCode::OK, "ready\n")
    } else if app.lifecycle.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "loading providers\n")
    }
}

/// How the server is.
pub(crate) fn of(app: &App) -> Health {
    let backend = app.backend();
    let configuration = match app.reloads.refusal() {
        None => Configuration::Healthy,
        Some(error) => Configuration::Degraded { error },
    };
    let services = services(app, backend.as_ref());
    let http_pools: BTreeMap<_, _> = backend
        .pools()
        .into_iter()
        .map(|report| {
            let latency = app.history.of_pool(&report.name).latency;
            (report.name.clone(), pool(&report, latency))
        })
        .collect();
    let failed = services
        .values()
        .filter(|service| matches!(service.state, ServiceState::Failed { .. }))
        .count();
    let stopping = app.lifecycle.is_draining();
    let reasons = reasons(stopping, &configuration, &services, &http_pools);
    let status = if stopping || (failed > 0 && failed == services.len()) {
        Status::Unhealthy
    } else if !reasons.is_empty() {
        Status::Degraded
    } else {
        Status::Healthy
    };
    Health {
        status,
        reasons,
        uptime_seconds: app.lifecycle.uptime().as_secs_f64(),
        configuration,
        services,
        http_pools,
    }
}

/// What speaks against the server, in sentences: its stopping, then its configuration, its providers, its pools.
fn reasons(
    stopping: bool,
    configuration: &Configuration,
    services: &BTreeMap<String, Service>,
    pools: &BTreeMap<String, PoolHealth>,
) -> Vec<String> {
    let mut reasons = Vec::new();
    if stopping {
        reasons.push("the server is stopping".to_owned());
    }
    if let Configuration::Degraded { error } = configuration {
        reasons.push(format!("the configuration that is there now was refused: {error}"));
    }
    reasons.extend(services.iter().filter_map(|(name, service)| match &service.state {
        ServiceState::Healthy | ServiceState::Standby => None,
        ServiceState::Loading => Some(format!("provider {name} is being loaded")),
        ServiceState::Degraded { error } => Some(format!("provider {name} serves an old component: {error}")),
        ServiceState::Failed { error } => Some(format!("provider {name} does not load: {error}")),
    }));
    for (name, pool) in pools {
        let said = pool.reasons.iter();
        reasons.extend(said.map(|reason| format!("pool {name}: {reason}")));
    }
    reasons
}

fn services(app: &App, backend: &dyn Backend) -> BTreeMap<String, Service> {
    let loaded = backend.loaded();
    let mut failures = backend.failures();
    let service = |name: String| {
        let serves = loaded.iter().any(|provider| provider.name() == name);
        let state = match failures.remove(&name) {
            Some(error) if serves => ServiceState::Degraded { error },
            Some(error) => ServiceState::Failed { error },
            None if serves => ServiceState::Healthy,
            None if app.lifecycle.is_loading() && backend.loads_at_start(&name) => ServiceState::Loading,
            None => ServiceState::Standby,
        };
        let latency_seconds = app.history.of_provider(&name).latency;
        (name, Service { state, latency_seconds })
    };
    backend.provider_names().into_iter().map(service).collect()
}

fn pool(PoolReport { stats, health, .. }: &PoolReport, latency_seconds: Latency) -> PoolHealth {
    let breakers = stats.breakers.iter();
    PoolHealth {
        active: stats.active,
        idle: stats.idle,
        total_requests: stats.total_requests,
        timeouts: stats.timeouts.values().sum(),
        pool_exhaustions: stats.pool_exhaustions,
        state: health.status().into(),
        latency_seconds,
        breakers: breakers
            .map(|(origin, state)| (origin.clone(), state.as_str()))
            .collect(),
        reasons: health.reasons.iter().map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::auth::ApiKeys;
    use crate::server::fake::{Answer, FakeBackend, FakeProvider, get_from, pool_stats};
    use crate::server::routes::router;
    use serde_json::json;
    use weir_pool::{BreakerState, HealthReason};

    async fn app(backend: FakeBackend) -> Arc<App> {
        let app = App::new(Arc::new(backend), ApiKeys::default());
        app.lifecycle.load_all(app.backend().as_ref()).await;
        app
    }

    async fn health_of(app: &Arc<App>) -> Answer {
        get_from(router(app.clone()), "/health").await
    }

    #[tokio::test]
    async fn all_is_well() {
        let mut stats = pool_stats();
        (stats.active, stats.idle, stats.total_requests, stats.pool_exhaustions) = (2, 3, 70, 1);
        stats.timeouts.extend([("pool", 1), ("read", 4)]);
        stats.breakers.insert("https://a".to_owned(), BreakerState::HalfOpen);
        let backend = |stats| {
            let backend = FakeBackend::default().provider(FakeProvider::new("voyage"));
            backend.pool("voyage", stats)
        };
        let app = app(backend(stats.clone())).await;
        let mut earlier = stats.clone();
        stats.total.counts[4] = 10;
        earlier.total.counts[4] = 0;
        app.history.read(&backend(earlier));
        app.history.read(&backend(stats));
        let mut answer = health_of(&app).await;
        assert!(answer.json["uptime_seconds"].take().is_f64());
        let expected = json!({
            "status": "healthy",
            "reasons": [],
            "uptime_seconds": null,
            "configuration": {"state": "healthy"},
            "services": {"voyage": {"state": "healthy", "latency_seconds": {"p50": null, "p99": null}}},
            "http_pools": {"voyage": {
                "active": 2, "idle": 3, "total_requests": 70, "timeouts": 5, "pool_exhaustions": 1, "state": "healthy",
                "reasons": [], "latency_seconds": {"p50": 0.0175, "p99": 0.02485}, "breakers": {"https://a": "half-open"},
            }},
        });
        assert_eq!((answer.status, &answer.json), (200, &expected));
    }

    #[tokio::test]
    async fn a_provider_that_does_not_load_degrades_and_is_told() {
        let backend = FakeBackend::default()
            .provider(FakeProvider::new("up"))
            .broken("down", "no secret");
        let answer = health_of(&app(backend).await).await;
        assert_eq!((answer.status, &answer.json["status"]), (200, &json!("degraded")));
        let service = &answer.json["services"]["down"];
        assert_eq!(
            (&service["state"], &service["error"]),
            (&json!("failed"), &json!("no secret"))
        );
        assert_eq!(
            answer.json["reasons"],
            json!(["provider down does not load: no secret"])
        );
    }

    #[tokio::test]
    async fn a_provider_that_serves_an_old_component_degrades_and_tells_why() {
        let answer = health_of(&app(FakeBackend::default().outdated("acme", "no component")).await).await;
        assert_eq!((answer.status, &answer.json["status"]), (200, &json!("degraded")));
        let service = &answer.json["services"]["acme"];
        assert_eq!(
            (&service["state"], &service["error"]),
            (&json!("degraded"), &json!("no component"))
        );
        assert_eq!(
            answer.json["reasons"],
            json!(["provider acme serves an old component: no component"])
        );
    }

    #[tokio::test]
    async fn a_configuration_that_was_refused_degrades_and_is_told_until_a_good_one_comes() {
        let app = app(FakeBackend::default().provider(FakeProvider::new("up"))).await;
        app.reloads.refuse("weir.toml:3:1: no".to_owned());
        let answer = health_of(&app).await;
        assert_eq!((answer.status, &answer.json["status"]), (200, &json!("degraded")));
        let told = json!({"state": "degraded", "error": "weir.toml:3:1: no"});
        assert_eq!(answer.json["configuration"], told);
        for good in [
            super::super::reloads::Reloads::apply,
            super::super::reloads::Reloads::is_current,
        ] {
            app.reloads.refuse("no".to_owned());
            good(&app.reloads);
            assert_eq!(health_of(&app).await.json["status"], json!("healthy"));
        }
    }

    #[tokio::test]
    async fn a_provider_that_nobody_asked_for_stands_by_and_is_no_failure() {
        let app = App::new(
            Arc::new(FakeBackend::default().broken("asleep", "no secret")),
            ApiKeys::default(),
        );
        app.lifecycle.load_none();
        let answer = health_of(&app).await;
        assert_eq!(answer.json["services"]["asleep"]["state"], json!("standby"));
        assert_eq!((answer.status, &answer.json["status"]), (200, &json!("healthy")));
    }

    #[tokio::test]
    async fn what_a_pool_says_against_itself_degrades_and_is_told() {
        let reasons = [
            (HealthReason::Exhausted { waiting: 3 }, "degraded", "3 requests wait"),
            (
                HealthReason::ProbeFailing { failures: 4 },
                "unhealthy",
                "the last 4 probes failed",
            ),
        ];
        for (reason, state, said) in reasons {
            let backend = FakeBackend::default()
                .provider(FakeProvider::new("voyage"))
                .ailing_pool("voyage", pool_stats(), vec![reason]);
            let answer = health_of(&app(backend).await).await;
            let voyage = &answer.json["http_pools"]["voyage"];
            assert_eq!((&voyage["state"], &voyage["reasons"]), (&json!(state), &json!([said])));
            assert_eq!(answer.json["reasons"], json!([format!("pool voyage: {said}")]));
            assert_eq!((answer.status, &answer.json["status"]), (200, &json!("degraded")));
        }
    }

    #[tokio::test]
    async fn with_no_provider_loaded_or_while_stopping_it_is_unhealthy() {
        let answer = health_of(&app(FakeBackend::default().broken("down", "no secret")).await).await;
        assert_eq!((answer.status, &answer.json["status"]), (503, &json!("unhealthy")));

        let stopping = app(FakeBackend::default().provider(FakeProvider::new("up"))).await;
        stopping.lifecycle.start_draining();
        let answer = health_of(&stopping).await;
        assert_eq!(
            (answer.status, &answer.json["reasons"]),
            (503, &json!(["the server is stopping"]))
        );
        assert_eq!(get_from(router(stopping), "/readyz").await.status, 503);
    }

    #[tokio::test]
    async fn probes_need_no_key_and_health_does() {
        let keys = ApiKeys::new(&["k".into()]).unwrap();
        let app = App::new(Arc::new(FakeBackend::default()), keys);
        let status = async |path| get_from(router(app.clone()), path).await.status;
        assert_eq!(status("/livez").await, 200);
        assert_eq!(status("/readyz").await, 503, "the providers were not tried yet");
        app.lifecycle.load_all(app.backend().as_ref()).await;
        assert_eq!(status("/readyz").await, 200);
        for path in ["/health", "/metrics", "/v1/models", "/v1/pools", "/v1/providers"] {
            assert_eq!(status(path).await, 401, "{path}");
        }
    }
}
