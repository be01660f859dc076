//! The adapter for Chroma (<https://docs.trychroma.com>), version 2 of its REST API: points with a dense vector.
//!
//! | module | speaks |
//! |---|---|
//! | [`collections`] | collections made, found by name, checked, listed, dropped |
//! | [`payload`] | payloads as Chroma's metadata, and back |
//! | [`points`] | points written, deleted, counted |
//! | [`query`] | points found, their distances as scores |
//! | [`filter`] | conditions on metadata |
//!
//! A server of one's own keeps no sparse vectors, so there are no hybrid queries either; its metadata can't be searched
//! for a part of a text, nor for a field that is missing. All of that is `unsupported`. Seen on Chroma 1.5.9.

mod collections;
mod filter;
mod payload;
mod points;
mod query;

use weir_guest::types::Error;
use weir_guest::{Limits, Manifest, Request, Response, Setting, failure, url};

use collections::Known;
use vector_store::{Collection, Filter, Point, QueryRequest, ScoredPoint, Selection};

struct Chroma;

weir_guest::provider!(
    Chroma,
    "
    package weir:chroma;
    world adapter {
        include weir:provider/vector-store-provider@0.1.0;
    }
"
);

const API_KEY: &str = "api_key";

const BASE_URL: Setting = Setting::new("base_url", "Where the REST API is served.").default("http://localhost:8000");
const AUTH: Setting = Setting::new(
    "auth",
    "`token` sends the key as `x-chroma-token`, `bearer` as a bearer token, `none` sends none. The host says `none` \
     where no key is granted.",
)
.default("token");
const TENANT: Setting = Setting::new("tenant", "The tenant.").default("default_tenant");
const DATABASE: Setting =
    Setting::new("database", "The tenant's database. It must be there.").default("default_database");
const EF_SEARCH: Setting = Setting::new(
    "ef_search",
    "Candidates a query of a collection made from now on looks at: more find more of the nearest, and take longer. \
     Chroma's own choice (100) where none is given.",
);

impl metadata::Guest for Chroma {
    fn describe() -> Manifest {
        Manifest::new(
            "chroma",
            env!("CARGO_PKG_VERSION"),
            "Points kept and searched by Chroma.",
        )
        .origin_of(BASE_URL)
        .optional_secret(API_KEY, "A token of the server's, usually in CHROMA_API_KEY.")
        .setting(BASE_URL)
        .setting(AUTH)
        .setting(TENANT)
        .setting(DATABASE)
        .setting(EF_SEARCH)
        // What Chroma Cloud takes in one write (https://docs.trychroma.com/cloud/quotas-limits).
        .limits(
            "upsert",
            Limits {
                max_items: Some(300),
                ..Limits::NONE
            },
        )
    }
}

impl vector_store::Guest for Chroma {
    async fn ensure_collection(collection: Collection) -> Result<bool, Error> {
        let server = Server::configured("ensure-collection")?;
        let create = collections::create(&collection, ef_search()?)?;
        if let Some(known) = server.find(&collection.name).await? {
            return known.check(&collection).map(|()| false);
        }
        match server.send(Request::post(server.url(&[])?).json(&create)).await {
            Ok(_) => Ok(true),
            // Another call made it in the meantime.
            Err(Error::Upstream(failure)) if failure.status == Some(409) => {
                server.known(&collection.name).await?.check(&collection).map(|()| false)
            }
            Err(error) => Err(error),
        }
    }

    async fn upsert(collection: String, points: Vec<Point>) -> Result<u64, Error> {
        if points.is_empty() {
            return Ok(0);
        }
        let server = Server::configured("upsert")?;
        let mut records = points::Records::of(&points)?;
        let known = server.known(&collection).await?;
        records.check(&known)?;
        // Chroma adds metadata to what a record has; what is not in it any more must be taken away by name.
        let there = server.send(server.post(&known, "get")?.json(&records.lookup())).await?;
        records.replace(there.body())?;
        server.send(server.post(&known, "upsert")?.json(&records)).await?;
        Ok(points.len() as u64)
    }

    async fn query(request: QueryRequest) -> Result<Vec<ScoredPoint>, Error> {
        let server = Server::configured("query")?;
        let body = query::body(&request)?;
        let known = server.known(&request.collection).await?;
        let answer = server.send(server.post(&known, "query")?.json(&body)).await?;
        query::read(answer.body(), known.space)
    }

    async fn delete(collection: String, selection: Selection) -> Result<Option<u64>, Error> {
        if matches!(&selection, Selection::Ids(ids) if ids.is_empty()) {
            return Ok(Some(0));
        }
        let server = Server::configured("delete")?;
        let body = points::delete(&selection)?;
        let known = server.known(&collection).await?;
        let answer = server.send(server.post(&known, "delete")?.json(&body)).await?;
        points::read_deleted(answer.body(), &selection)
    }

    async fn count(collection: String, filter: Option<Filter>) -> Result<u64, Error> {
        let server = Server::configured("count")?;
        let filter = filter.as_ref().map_or(Ok(None), filter::filter)?;
        let known = server.known(&collection).await?;
        let Some(filter) = filter else {
            let request = Request::get(server.url(&[&known.id, "count"])?).replay_safe();
            return server.send(request).await?.json();
        };
        let mut count = 0;
        loop {
            let page = server
                .send(server.post(&known, "get")?.json(&points::page(&filter, count)))
                .await?;
            let found = points::read_page(page.body())?;
            count += found;
            if found < points::PAGE {
                return Ok(count);
            }
        }
    }

    async fn list_collections() -> Result<Vec<String>, Error> {
        let server = Server::configured("list-collections")?;
        let mut names = Vec::new();
        loop {
            let url = format!("{}?{}", server.url(&[])?, collections::page(names.len()));
            let page = server.send(Request::get(url).replay_safe()).await?;
            let found = collections::read_page(page.body())?;
            let is_last = found.len() < collections::PAGE;
            names.extend(found);
            if is_last {
                return Ok(names);
            }
        }
    }

    async fn drop_collection(name: String) -> Result<bool, Error> {
        let server = Server::configured("drop-collection")?;
        match server.send(Request::delete(server.url(&[&name])?)).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The server as the operator configured it, for one operation.
struct Server {
    /// The collections of the database.
    collections: String,
    auth: Auth,
    operation: &'static str,
}

enum Auth {
    Token,
    Bearer,
    None,
}

impl Server {
    fn configured(operation: &'static str) -> Result<Self, Error> {
        let auth = match AUTH.text()?.as_str() {
            "token" => Auth::Token,
            "bearer" => Auth::Bearer,
            "none" => Auth::None,
            other => {
                return Err(failure::refused(format!(
                    "the setting `auth` is `token`, `bearer` or `none`, not `{other}`"
                )));
            }
        };
        let (tenant, database) = (url::segment(&TENANT.text()?)?, url::segment(&DATABASE.text()?)?);
        Ok(Self {
            collections: format!(
                "{}/api/v2/tenants/{tenant}/databases/{database}/collections",
                BASE_URL.url()?
            ),
            auth,
            operation,
        })
    }

    /// The URL of the collections, or of what is below them.
    fn url(&self, below: &[&str]) -> Result<String, Error> {
        below.iter().try_fold(self.collections.clone(), |url, name| {
            Ok(format!("{url}/{}", url::segment(name)?))
        })
    }

    /// The collection of this name, if it is there.
    async fn find(&self, name: &str) -> Result<Option<Known>, Error> {
        match self.known(name).await {
            Ok(known) => Ok(Some(known)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The collection of this name: all but its name is asked for by its id.
    async fn known(&self, name: &str) -> Result<Known, Error> {
        let answer = self.send(Request::get(self.url(&[name])?).replay_safe()).await?;
        Known::read(answer.body())
    }

    /// A request to what is below a collection. All of it does no more when it is done twice.
    fn post(&self, known: &Known, what: &str) -> Result<Request, Error> {
        Ok(Request::post(self.url(&[&known.id, what])?).replay_safe())
    }

    async fn send(&self, request: Request) -> Result<Response, Error> {
        let request = request.operation(self.operation);
        match self.auth {
            Auth::Token => request.key_header("x-chroma-token", API_KEY),
            Auth::Bearer => request.bearer(API_KEY),
            Auth::None => request,
        }
        .send()
        .await
    }
}

fn ef_search() -> Result<Option<u32>, Error> {
    let given = EF_SEARCH.get()?;
    given
        .map(|text| {
            text.parse()
                .map_err(|_| failure::refused(format!("the setting `ef_search` is a whole number, not `{text}`")))
        })
        .transpose()
}
