//! What a `model` means: which provider to ask, for which of its models, and whom to ask next.
//!
//! | `model` | asks |
//! |---|---|
//! | the name of a route | the route's providers, in turn |
//! | `PROVIDER/MODEL` | that provider for that model (which may have slashes of its own) |
//! | `PROVIDER` | that provider for its default model |
//! | nothing | the route `default`, if there is one |
//!
//! A route's name wins over a provider's: the operator wrote it down. A route's entry is `PROVIDER` or
//! `PROVIDER/MODEL`, never another route.

use axum::http::StatusCode;

use super::backend::{Backend, RouteTable};
use super::error::ApiError;

/// The route that is taken where a request names no model.
pub(crate) const DEFAULT_ROUTE: &str = "default";

/// One provider to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub provider: String,
    /// None: the provider's default.
    pub model: Option<String>,
}

/// Whom to ask, in turn: at least one.
pub(crate) fn resolve(backend: &dyn Backend, table: RouteTable, model: Option<&str>) -> Result<Vec<Target>, ApiError> {
    let routes = backend.routes(table);
    let providers = backend.provider_names();
    let wanted = model.unwrap_or(DEFAULT_ROUTE);
    if let Some(entries) = routes.get(wanted).filter(|entries| !entries.is_empty()) {
        return entries
            .iter()
            .map(|entry| target(entry, &providers).ok_or_else(|| broken_route(table, wanted, entry, &providers)))
            .collect();
    }
    if model.is_none() {
        let message = format!(
            "model is missing, and there is no route [routes.{}] {DEFAULT_ROUTE}; {}",
            table.as_str(),
            what_exists(&providers, routes.keys())
        );
        return Err(ApiError::invalid("model", message));
    }
    match target(wanted, &providers) {
        Some(target) => Ok(vec![target]),
        None => {
            let message = format!(
                "there is no model {wanted:?}: write PROVIDER/MODEL, PROVIDER or a route's name; {}",
                what_exists(&providers, routes.keys())
            );
            let mut error = ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message);
            error.body.param = Some("model".to_owned());
            Err(error)
        }
    }
}

fn target(name: &str, providers: &[String]) -> Option<Target> {
    let (provider, model) = match name.split_once('/') {
        Some((_, "")) => return None,
        Some((provider, model)) => (provider, Some(model.to_owned())),
        None => (name, None),
    };
    providers.iter().any(|known| known == provider).then(|| Target {
        provider: provider.to_owned(),
        model,
    })
}

fn broken_route(table: RouteTable, route: &str, entry: &str, providers: &[String]) -> ApiError {
    let message = format!(
        "the route [routes.{}] {route} names {entry:?}, which is no provider; {}",
        table.as_str(),
        what_exists(providers, std::iter::empty())
    );
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "invalid_route", message)
}

fn what_exists<'a>(providers: &[String], routes: impl Iterator<Item = &'a String>) -> String {
    let routes: Vec<&str> = routes.map(String::as_str).collect();
    let list = |names: String| if names.is_empty() { "none".to_owned() } else { names };
    format!(
        "providers: {}; routes: {}",
        list(providers.join(", ")),
        list(routes.join(", "))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fake::FakeBackend;

    fn backend() -> FakeBackend {
        FakeBackend::with_providers(["voyage", "local", "openrouter"])
            .route(RouteTable::Embeddings, "default", ["voyage", "local"])
            .route(RouteTable::Embeddings, "BAAI/bge-m3", ["openrouter/baai/bge-m3"])
            .route(RouteTable::Embeddings, "local", ["local/hash", "voyage"])
            .route(RouteTable::Embeddings, "broken", ["gone"])
    }

    fn names(model: Option<&str>) -> Vec<String> {
        let targets = resolve(&backend(), RouteTable::Embeddings, model).unwrap();
        targets
            .into_iter()
            .map(|t| t.model.map_or(t.provider.clone(), |m| format!("{}+{m}", t.provider)))
            .collect()
    }

    #[test]
    fn a_provider_and_its_model_are_split_at_the_first_slash() {
        assert_eq!(names(Some("voyage/voyage-code-3")), ["voyage+voyage-code-3"]);
        assert_eq!(names(Some("openrouter/meta/llama-3")), ["openrouter+meta/llama-3"]);
    }

    #[test]
    fn a_bare_provider_means_its_default_model() {
        assert_eq!(names(Some("voyage")), ["voyage"]);
    }

    #[test]
    fn a_route_gives_its_providers_in_turn() {
        assert_eq!(names(Some("default")), ["voyage", "local"]);
        assert_eq!(names(Some("BAAI/bge-m3")), ["openrouter+baai/bge-m3"]);
    }

    #[test]
    fn a_route_wins_over_a_provider_of_its_name() {
        assert_eq!(names(Some("local")), ["local+hash", "voyage"]);
    }

    #[test]
    fn no_model_means_the_default_route_if_there_is_one() {
        assert_eq!(names(None), ["voyage", "local"]);
        let error = resolve(&backend(), RouteTable::Chat, None).unwrap_err();
        assert_eq!(error.status, 400);
        assert_eq!(error.body.param.as_deref(), Some("model"));
    }

    #[test]
    fn an_unknown_model_is_not_found_and_the_answer_lists_what_exists() {
        for unknown in ["nobody/gpt", "gpt", "voyage/", ""] {
            let error = resolve(&backend(), RouteTable::Embeddings, Some(unknown)).unwrap_err();
            assert_eq!(error.status, 404, "{unknown}");
            assert_eq!(error.body.code.as_deref(), Some("model_not_found"));
            assert!(
                error.body.message.contains("providers: voyage, local, openrouter"),
                "{}",
                error.body.message
            );
            assert!(error.body.message.contains("default"), "{}", error.body.message);
        }
    }

    #[test]
    fn a_route_of_another_operation_is_not_taken() {
        assert_eq!(
            resolve(&backend(), RouteTable::Rerank, Some("default"))
                .unwrap_err()
                .status,
            404
        );
    }

    #[test]
    fn a_route_that_names_no_provider_is_the_operators_mistake() {
        let error = resolve(&backend(), RouteTable::Embeddings, Some("broken")).unwrap_err();
        assert_eq!(error.status, 500);
        assert!(error.body.message.contains("\"gone\""), "{}", error.body.message);
    }
}
