//! `GET /openapi.json`: what this API takes and gives.
//!
//! Written by hand, since its shapes are those of other APIs as their clients read them; tests hold it to the routes here,
//! and to what the built program answers.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// The document.
pub(crate) const DOCUMENT: &str = include_str!("openapi.json");

pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use serde_json::Value;
    use weir_runtime::Capability;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    fn documented() -> BTreeSet<(String, String)> {
        let document = document();
        let paths = document["paths"].as_object().unwrap().iter();
        paths
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                methods.map(|method| (method.clone(), path.clone()))
            })
            .collect()
    }

    /// The routes as they are written: a router does not tell them.
    fn routed() -> BTreeSet<(String, String)> {
        let source = include_str!("routes.rs").split("#[cfg(test)]").next().unwrap();
        let routes = source.split(".route(").skip(1).map(|route| {
            let (path, handler) = route.trim_start().split_once("\", ").unwrap();
            let method = handler.split_once('(').unwrap().0;
            (method.trim().to_owned(), path.trim_start_matches('"').to_owned())
        });
        // The pages for people, and what only they read, are none of an API.
        routes
            .filter(|(_, path)| path != "/" && !path.starts_with("/dashboard"))
            .collect()
    }

    #[test]
    fn every_route_is_documented_and_nothing_else() {
        assert_eq!(documented(), routed());
    }

    #[test]
    fn every_operation_is_documented() {
        let document = document();
        let parameters = &document["paths"]["/v1/providers/{provider}/{operation}"]["post"]["parameters"];
        let documented: BTreeSet<&str> = parameters[1]["schema"]["enum"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        let operations = Capability::ALL
            .into_iter()
            .flat_map(|capability| capability.operations());
        assert_eq!(documented, operations.copied().collect());
    }

    #[test]
    fn every_reference_leads_somewhere_and_the_version_is_the_programs() {
        fn follow(value: &Value, document: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(reference)) = fields.get("$ref") {
                        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
                    }
                    fields.values().for_each(|value| follow(value, document));
                }
                Value::Array(items) => items.iter().for_each(|value| follow(value, document)),
                _ => {}
            }
        }
        let document = document();
        follow(&document, &document);
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
