//! One request and its answer: find the API, note the request, wait, let an ordered fault happen or the API answer.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, extract::Request, response::IntoResponse};
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Response, StatusCode, Version, header, request::Parts};
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::time::sleep;

use crate::{
    answer::{AnswerBody, Ticket},
    api::{self, Api, Routers, qdrant::LARGEST_BODY},
    connection::Connection,
    faults::FaultKind,
    state::State,
};

/// Which APIs a listener serves, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mount {
    /// Each under its name: `/voyage/v1/…`.
    All,
    /// One, at the root: `/v1/…`.
    Only(Api),
}

impl Mount {
    /// The API a path belongs to, and the path as the provider has it.
    fn locate(self, path: &str) -> Option<(Api, &str)> {
        let (api, path) = match self {
            Self::Only(api) => (api, path),
            Self::All => Api::ALL.into_iter().find_map(|api| {
                let rest = path.strip_prefix('/')?.strip_prefix(api.name())?;
                (rest.is_empty() || rest.starts_with('/')).then_some((api, rest))
            })?,
        };
        // A real Qdrant takes a slash too many.
        let path = if api == Api::Qdrant {
            path.trim_end_matches('/')
        } else {
            path
        };
        Some((api, if path.is_empty() { "/" } else { path }))
    }
}

/// There will be no answer: the connection, or on HTTP/2 the stream, is given up.
#[derive(Debug, thiserror::Error)]
#[error("the exchange was given up: {0}")]
pub(crate) struct GivenUp(&'static str);

/// What the exchanges of one connection share.
pub(crate) struct Exchange {
    pub(crate) state: Arc<State>,
    pub(crate) routers: Routers,
    pub(crate) mount: Mount,
    pub(crate) connection: Arc<Connection>,
}

impl Exchange {
    /// Answers a request.
    pub(crate) async fn respond(
        self: Arc<Self>,
        request: http::Request<Incoming>,
    ) -> Result<Response<AnswerBody>, GivenUp> {
        let busy = self.connection.busy();
        let (parts, incoming) = request.into_parts();
        let located = self
            .mount
            .locate(parts.uri.path())
            .map(|(api, path)| (api, path.to_owned()));
        let api = located.as_ref().map(|(api, _)| *api);
        let path = located.as_ref().map_or(parts.uri.path(), |(_, path)| path);
        let open = self.state.counters.request(api, &parts.method, path);
        let fault = self.state.faults.take(api, path);
        let ticket = Ticket::new(open, busy);

        if let Some(early) = self.early(&fault, api, &parts) {
            self.state.records.note(self.connection.number, api, &parts, None);
            return Ok(ticket.with(early));
        }
        let limit = usize::try_from(LARGEST_BODY).unwrap_or(usize::MAX);
        let body = match Limited::new(incoming, limit).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                self.state.records.note(self.connection.number, api, &parts, None);
                return Ok(ticket.with(too_large(api, LARGEST_BODY + 1)));
            }
            Err(_) => return Err(GivenUp("the request's body broke off")),
        };
        self.state
            .records
            .note(self.connection.number, api, &parts, Some(&body));
        if let Some(api) = api {
            sleep(self.state.latency.of(api)).await;
        }
        if let Some(FaultKind::Close | FaultKind::Reset) = fault {
            // The request has ended before its client can see the connection end.
            drop(ticket);
            return self.disconnect(fault == Some(FaultKind::Reset)).await;
        }
        let version = parts.version;
        let mut answer = match self.instead(&fault, api).await {
            Some(answer) => answer,
            None => self.answer(located, parts, body).await,
        };
        if api == Some(Api::OpenAi) {
            api::openai::number(&self.state, answer.headers_mut());
        }
        Ok(ticket.with(self.spoiled(answer, &fault, version).await))
    }

    /// Ends the connection, and with it this exchange.
    async fn disconnect<T>(&self, reset: bool) -> T {
        if reset {
            self.connection.reset();
        } else {
            self.connection.close();
        }
        std::future::pending().await
    }

    /// An answer given before the request's body is read.
    fn early(&self, fault: &Option<FaultKind>, api: Option<Api>, parts: &Parts) -> Option<Response<Body>> {
        if let Some(FaultKind::AnswerEarly { code }) = fault {
            return Some(status_answer(api, *code, None));
        }
        let length = parts.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
        (length > LARGEST_BODY).then(|| too_large(api, length))
    }

    /// What a fault gives instead of the API's answer; a fault that gives nothing never returns.
    async fn instead(&self, fault: &Option<FaultKind>, api: Option<Api>) -> Option<Response<Body>> {
        match fault.as_ref()? {
            FaultKind::Status { code, headers, body } => {
                let mut answer = status_answer(api, *code, body.as_deref());
                for (name, value) in headers {
                    if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), HeaderValue::from_str(value)) {
                        answer.headers_mut().insert(name, value);
                    }
                }
                Some(answer)
            }
            FaultKind::MalformedJson => Some(typed(StatusCode::OK, "application/json", r#"{"data": [{"index": 0, "#)),
            FaultKind::Html => {
                let page = "<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>";
                Some(typed(StatusCode::BAD_GATEWAY, "text/html", page))
            }
            FaultKind::Hang => std::future::pending().await,
            FaultKind::Delay { millis } => {
                sleep(Duration::from_millis(*millis)).await;
                None
            }
            FaultKind::AnswerEarly { .. }
            | FaultKind::Close
            | FaultKind::Reset
            | FaultKind::CutMidBody
            | FaultKind::ResetMidBody
            | FaultKind::Slow { .. } => None,
        }
    }

    async fn answer(&self, located: Option<(Api, String)>, mut parts: Parts, body: Bytes) -> Response<Body> {
        let Some((api, mut path)) = located else {
            let text = "no API here: paths begin with /voyage, /cohere, /openai or /qdrant";
            return typed(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", text);
        };
        if let Some(query) = parts.uri.query() {
            path.push('?');
            path.push_str(query);
        }
        match path.parse() {
            Ok(uri) => parts.uri = uri,
            Err(_) => return status_answer(Some(api), 400, None),
        }
        self.routers
            .answer(api, &self.state, Request::from_parts(parts, Body::from(body)))
            .await
    }

    /// The answer with its body spoiled by a fault.
    async fn spoiled(&self, answer: Response<Body>, fault: &Option<FaultKind>, version: Version) -> Response<Body> {
        let Some(fault @ (FaultKind::CutMidBody | FaultKind::ResetMidBody | FaultKind::Slow { .. })) = fault else {
            return answer;
        };
        let (mut parts, body) = answer.into_parts();
        if let Some(length) = body.size_hint().exact() {
            parts.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        let whole = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let body = match fault {
            FaultKind::Slow { bytes, millis } => slow(whole, *bytes, Duration::from_millis(*millis)),
            _ => {
                // On HTTP/2 the connection is other streams' too: giving up the body resets this one alone.
                let reset = *fault == FaultKind::ResetMidBody && version < Version::HTTP_2;
                broken(whole.slice(..whole.len() / 2), reset.then(|| self.connection.clone()))
            }
        };
        Response::from_parts(parts, body)
    }
}

/// The bytes in pieces with a pause after each.
fn slow(whole: Bytes, piece: usize, pause: Duration) -> Body {
    Body::from_stream(stream::unfold((whole, false), move |(mut rest, later)| async move {
        if rest.is_empty() {
            return None;
        }
        if later {
            sleep(pause).await;
        }
        let first = rest.split_to(piece.max(1).min(rest.len()));
        Some((Ok::<_, GivenUp>(first), (rest, true)))
    }))
}

/// The bytes, and then the end of everything.
fn broken(half: Bytes, reset: Option<Arc<Connection>>) -> Body {
    Body::from_stream(stream::unfold(Some(half), move |half| {
        let reset = reset.clone();
        async move {
            if let Some(half) = half {
                return Some((Ok(half), None));
            }
            // While the body has nothing more, what it gave is written out.
            tokio::task::yield_now().await;
            if let Some(connection) = reset {
                connection.reset_when_closed();
            }
            Some((Err(GivenUp("an ordered fault broke the body off")), None))
        }
    }))
}

fn status_answer(api: Option<Api>, code: u16, body: Option<&str>) -> Response<Body> {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match (api, body) {
        (_, Some(body)) => typed(status, "application/json", body),
        (Some(api), None) => api::error(api, status, "This is an ordered fault."),
        (None, None) => typed(status, "text/plain; charset=utf-8", "This is an ordered fault."),
    }
}

fn too_large(api: Option<Api>, length: u64) -> Response<Body> {
    let message = format!("JSON payload ({length} bytes) is larger than allowed (limit: {LARGEST_BODY} bytes).");
    match api {
        Some(Api::Qdrant) => api::error(Api::Qdrant, StatusCode::BAD_REQUEST, &message),
        Some(api) => api::error(api, StatusCode::PAYLOAD_TOO_LARGE, &message),
        None => typed(StatusCode::PAYLOAD_TOO_LARGE, "text/plain; charset=utf-8", &message),
    }
}

fn typed(status: StatusCode, content_type: &'static str, body: &str) -> Response<Body> {
    (status, [(header::CONTENT_TYPE, content_type)], body.to_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_the_api_it_begins_with() {
        assert_eq!(
            Mount::All.locate("/voyage/v1/embeddings"),
            Some((Api::Voyage, "/v1/embeddings"))
        );
        assert_eq!(Mount::All.locate("/qdrant"), Some((Api::Qdrant, "/")));
        assert_eq!(
            Mount::All.locate("/qdrant/collections/"),
            Some((Api::Qdrant, "/collections"))
        );
        assert_eq!(Mount::All.locate("/voyages/v1"), None);
        assert_eq!(Mount::All.locate("/v1/embeddings"), None);
        assert_eq!(
            Mount::Only(Api::OpenAi).locate("/v1/embeddings"),
            Some((Api::OpenAi, "/v1/embeddings"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_whole_in_the_end() {
        let body = slow(Bytes::from_static(b"abcdefg"), 3, Duration::from_secs(1));
        let started = tokio::time::Instant::now();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abcdefg");
        assert_eq!(started.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_broken_body_gives_its_bytes_before_it_fails() {
        let mut body = broken(Bytes::from_static(b"abc"), None);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
        assert!(body.frame().await.unwrap().is_err());
    }
}
