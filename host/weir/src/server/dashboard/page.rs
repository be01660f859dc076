//! `GET /`: the page, which holds no data of its own: a script asks [`super::events`] for it, with a key where one is
//! needed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::server::app::App;

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// What the page tells its script in place of this: whether a key has to be asked for.
const KEY_NEEDED: &str = "{{key-needed}}";

/// From the server itself, and nothing else: no other host, no script or style within the page, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) async fn page(State(app): State<Arc<App>>) -> Response {
    let needed = if app.serving().keys.are_needed() { "yes" } else { "no" };
    asset("text/html; charset=utf-8", PAGE.replace(KEY_NEEDED, needed))
}

pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(crate) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

fn asset(content_type: &'static str, text: impl IntoResponse) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version of the program has another page.
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::auth::ApiKeys;
    use crate::server::fake::{FakeBackend, get_from};
    use crate::server::routes::router;

    #[tokio::test]
    async fn the_page_needs_no_key_and_says_whether_its_data_does() {
        for (keys, said) in [
            (vec![], "data-key-needed=\"no\""),
            (vec!["k".into()], "data-key-needed=\"yes\""),
        ] {
            let keys = ApiKeys::new(&keys).unwrap();
            let router = router(App::new(Arc::new(FakeBackend::default()), keys));
            let page = get_from(router.clone(), "/").await;
            assert_eq!(page.status, 200);
            assert!(page.text.contains(said), "{said}");
            for (path, kind) in [("/dashboard.css", "text/css"), ("/dashboard.js", "text/javascript")] {
                assert!(page.text.contains(&format!("\"{}\"", path.trim_start_matches('/'))));
                let asset = get_from(router.clone(), path).await;
                assert!(asset.headers["content-type"].to_str().unwrap().starts_with(kind));
            }
        }
    }

    #[test]
    fn the_page_names_no_other_host_and_nothing_its_policy_forbids() {
        for text in [PAGE, STYLE, SCRIPT] {
            let foreign = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!foreign.contains("http://") && !foreign.contains("https://") && !foreign.contains("@import"));
        }
        for forbidden in ["<style", " style=", "onclick=", "<script>", "javascript:"] {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
        for forbidden in [
            "innerHTML",
            "eval(",
            "localStorage",
            "sessionStorage",
            "document.cookie",
        ] {
            assert!(!SCRIPT.contains(forbidden), "{forbidden}");
        }
    }
}
