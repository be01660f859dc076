//! The adapter for Qdrant (<https://api.qdrant.tech>): points with a dense vector named `dense` and a sparse one named
//! `sparse`.
//!
//! | module | speaks |
//! |---|---|
//! | [`collections`] | collections made, checked, listed, dropped |
//! | [`points`] | points written, deleted, counted |
//! | [`query`] | points found, by one vector or by both |
//! | [`filter`] | conditions on payloads |
//! | [`substring`] | one of their words, by the server's version |
//! | [`answer`] | what Qdrant wraps around every answer |

mod answer;
mod collections;
mod filter;
mod points;
mod query;
mod substring;
mod vectors;

use weir_guest::types::Error;
use weir_guest::{Limits, Manifest, Request, Setting, failure, url};

use substring::Substring;
use vector_store::{Collection, Filter, Point, QueryRequest, ScoredPoint, Selection};

struct Qdrant;

weir_guest::provider!(
    Qdrant,
    "
    package weir:qdrant;
    world adapter {
        include weir:provider/vector-store-provider@0.1.0;
    }
"
);

const API_KEY: &str = "api_key";

const BASE_URL: Setting = Setting::new("base_url", "Where the REST API is served.").default("http://localhost:6333");
const AUTH: Setting = Setting::new(
    "auth",
    "`api-key` sends the key, `none` sends none. The host says `none` where no key is granted.",
)
.default("api-key");

impl metadata::Guest for Qdrant {
    fn describe() -> Manifest {
        Manifest::new(
            "qdrant",
            env!("CARGO_PKG_VERSION"),
            "Points kept and searched by Qdrant.",
        )
        .origin_of(BASE_URL)
        .optional_secret(API_KEY, "The server's API key, usually in QDRANT_API_KEY.")
        .setting(BASE_URL)
        .setting(AUTH)
        // Qdrant's own clients send 64 to 100 points a request; a request is at most 32 MiB.
        .limits(
            "upsert",
            Limits {
                max_items: Some(100),
                ..Limits::NONE
            },
        )
    }
}

impl vector_store::Guest for Qdrant {
    async fn ensure_collection(collection: Collection) -> Result<bool, Error> {
        let server = Server::configured()?;
        let info = || server.request("ensure-collection", collections::info(&server.url, &collection.name)?);
        match info()?.send().await {
            Ok(answer) => return collections::check(answer.body(), &collection).map(|()| false),
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        let create = server.request("ensure-collection", collections::create(&server.url, &collection)?)?;
        match create.send().await {
            Ok(answer) => answer::read::<bool>(answer.body()),
            // Another call made it in the meantime.
            Err(Error::Upstream(failure)) if failure.status == Some(409) => {
                collections::check(info()?.send().await?.body(), &collection).map(|()| false)
            }
            Err(error) => Err(error),
        }
    }

    async fn upsert(collection: String, points: Vec<Point>) -> Result<u64, Error> {
        if points.is_empty() {
            return Ok(0);
        }
        let server = Server::configured()?;
        let request = server.request("upsert", points::upsert(&server.url, &collection, &points)?)?;
        points::completed(request.send().await?.body())?;
        Ok(points.len() as u64)
    }

    async fn query(request: QueryRequest) -> Result<Vec<ScoredPoint>, Error> {
        let server = Server::configured()?;
        let substring = server.substring("query", request.filter.as_ref()).await?;
        let Some(query) = query::query(&server.url, &request, substring)? else {
            return Ok(Vec::new());
        };
        query::read(server.request("query", query)?.send().await?.body())
    }

    async fn delete(collection: String, selection: Selection) -> Result<Option<u64>, Error> {
        if matches!(&selection, Selection::Ids(ids) if ids.is_empty()) {
            return Ok(Some(0));
        }
        let server = Server::configured()?;
        let filter = match &selection {
            Selection::Filter(filter) => Some(filter),
            Selection::Ids(_) => None,
        };
        let substring = server.substring("delete", filter).await?;
        let request = points::delete(&server.url, &collection, &selection, substring)?;
        let request = server.request("delete", request)?;
        points::completed(request.send().await?.body())?;
        // Qdrant does not tell how many there were.
        Ok(None)
    }

    async fn count(collection: String, filter: Option<Filter>) -> Result<u64, Error> {
        let server = Server::configured()?;
        let substring = server.substring("count", filter.as_ref()).await?;
        let request = points::count(&server.url, &collection, filter.as_ref(), substring)?;
        let request = server.request("count", request)?;
        points::read_count(request.send().await?.body())
    }

    async fn list_collections() -> Result<Vec<String>, Error> {
        let server = Server::configured()?;
        let request = server.request("list-collections", collections::list(&server.url))?;
        collections::read_list(request.send().await?.body())
    }

    async fn drop_collection(name: String) -> Result<bool, Error> {
        let server = Server::configured()?;
        let request = server.request("drop-collection", collections::delete(&server.url, &name)?)?;
        answer::read::<bool>(request.send().await?.body())
    }
}

/// The server as the operator configured it.
struct Server {
    url: String,
    keyed: bool,
}

impl Server {
    fn configured() -> Result<Self, Error> {
        let keyed = match AUTH.text()?.as_str() {
            "api-key" => true,
            "none" => false,
            other => {
                return Err(failure::refused(format!(
                    "the setting `auth` is `api-key` or `none`, not `{other}`"
                )));
            }
        };
        Ok(Self {
            url: BASE_URL.url()?,
            keyed,
        })
    }

    /// The word for a part of a text; the server is asked only if a filter has one.
    async fn substring(&self, operation: &str, filter: Option<&Filter>) -> Result<Substring, Error> {
        if !filter.is_some_and(substring::is_in) {
            return Ok(Substring::Text);
        }
        let root = self.request(operation, substring::request(&self.url))?;
        substring::read(root.send().await?.body())
    }

    fn request(&self, operation: &str, request: Request) -> Result<Request, Error> {
        let request = request.operation(operation).classify(classify);
        Ok(if self.keyed {
            request.key_header("api-key", API_KEY)
        } else {
            request
        })
    }
}

/// The URL of a collection, or of what is below it.
fn collection_url(base_url: &str, collection: &str, below: &str) -> Result<String, Error> {
    Ok(format!("{base_url}/collections/{}{below}", url::segment(collection)?))
}

/// What Qdrant means by its statuses, seen on 1.18.
fn classify(error: Error) -> Error {
    match error {
        // Larger than the whole quota: no waiting would help.
        Error::RateLimited(failure) if failure.message.contains("larger than rate limiter capacity") => {
            Error::TooLarge(failure)
        }
        other => failure::too_large_if(other, |failure| failure.message.contains("larger than allowed")),
    }
}

#[cfg(test)]
mod tests {
    use weir_guest::types::Header;

    use super::*;

    #[test]
    fn a_request_larger_than_the_limits_asks_for_smaller_parts() {
        let error = |message: &str| format!(r#"{{"status": {{"error": "{message}"}}, "time": 0.0}}"#);
        let body = error("JSON payload (34603074 bytes) is larger than allowed (limit: 33554432 bytes).");
        assert!(matches!(
            classify(failure::of_answer(400, &[], body.as_bytes())),
            Error::TooLarge(_)
        ));

        let body = error(
            "Rate limiting exceeded: Write rate limit exceeded, request larger than rate limiter capacity, please try to \
             split your request",
        );
        assert!(matches!(
            classify(failure::of_answer(429, &[], body.as_bytes())),
            Error::TooLarge(_)
        ));
        let body = error("Rate limiting exceeded");
        assert!(matches!(
            classify(failure::of_answer(429, &[], body.as_bytes())),
            Error::RateLimited(_)
        ));
        let wait = [Header {
            name: "retry-after".to_owned(),
            value: "60".to_owned(),
        }];
        assert!(matches!(
            classify(failure::of_answer(429, &wait, body.as_bytes())),
            Error::RateLimited(_)
        ));
    }

    #[test]
    fn a_refusal_in_plain_text_keeps_its_words() {
        for status in [401, 403] {
            let error = classify(failure::of_answer(status, &[], b"Invalid API key or JWT"));
            assert!(matches!(error, Error::Unauthorized(failure) if failure.message == "Invalid API key or JWT"));
        }
    }

    #[test]
    fn a_collections_name_cannot_leave_its_place() {
        assert_eq!(
            collection_url("http://q", "a/b", "/points").unwrap(),
            "http://q/collections/a%2Fb/points"
        );
        assert!(collection_url("http://q", "..", "/points").is_err());
    }
}
