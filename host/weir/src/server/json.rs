//! Request bodies: bounded in size and time, all of them together in memory, read as JSON, with errors that name the place.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::ApiError;
use super::gathered::Gathered;
use super::pace::Pace;

/// The largest body that is read.
///
/// Far above what a provider takes in one request (OpenAI: 300,000 tokens, about 1.2 MB of text); points with vectors
/// are larger, and Qdrant's own bound is 32 MB.
pub(crate) const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// Most bytes of all bodies that are being read and parsed, the beginning of each left out. Twice the largest and more, and
/// what a server of 200 MB has room for. A body that finds no room is told to come again.
const MAX_BYTES_HELD: usize = 96 * 1024 * 1024;

/// How much of a body is read whatever the others take, so that long ones keep no ordinary one out: 40 texts of 1.5 KB.
const ALWAYS_READ: usize = 64 * 1024;

/// Most values of one body: what its bytes make in memory is far more than they are (72 bytes for each zero of a list of
/// zeros). As many as there are numbers in a body full of vectors, each of six characters and a comma.
const MAX_VALUES: usize = 5_000_000;

/// When to come again: most bodies are read in less.
const COME_AGAIN: Duration = Duration::from_secs(1);

/// The room that is left.
static ROOM: Semaphore = Semaphore::const_new(MAX_BYTES_HELD);

/// How long a client may take to send a whole body: [`MAX_BODY_BYTES`] at about 4 Mbit/s.
const BODY_DEADLINE: Duration = Duration::from_secs(60);

/// A body that was JSON of the shape `T`.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !says_json(request.headers()) {
            // Also what keeps web pages of other origins out: a browser sends this type only after a CORS preflight.
            let message = "send the body as JSON, with the header content-type: application/json";
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                message,
            ));
        }
        let reading = tokio::time::timeout(BODY_DEADLINE, read(request.into_body(), &ROOM));
        let Ok(body) = reading.await else {
            let message = format!("the body did not arrive within {BODY_DEADLINE:?}");
            return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message));
        };
        let body = body?;
        parse(body.bytes.as_slice()).map(JsonBody)
    }
}

/// A body, and the room it takes.
struct Held<'a> {
    bytes: Gathered,
    _room: Option<SemaphorePermit<'a>>,
}

/// Reads a body to its end. One whose length is known to be too much is not begun.
async fn read(mut body: Body, room: &Semaphore) -> Result<Held<'_>, ApiError> {
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(too_long());
    }
    let mut bytes = Gathered::new(MAX_BODY_BYTES);
    let mut length = 0;
    let mut taken: Option<SemaphorePermit> = None;
    let mut pace = Pace::new();
    while let Some(frame) = pace.frame(&mut body).await {
        let frame = frame.map_err(|error| {
            let message = format!("the body can't be read: {error}");
            ApiError::new(StatusCode::BAD_REQUEST, "unreadable_body", message)
        })?;
        let Ok(piece) = frame.into_data() else { continue };
        if length + piece.len() > MAX_BODY_BYTES {
            return Err(too_long());
        }
        bytes.push(&piece).map_err(|_| full())?;
        let counted = length.max(ALWAYS_READ);
        length += piece.len();
        // A body is at most MAX_BODY_BYTES.
        let more = length.saturating_sub(counted) as u32;
        let more = room.try_acquire_many(more).map_err(|_| full())?;
        match &mut taken {
            Some(taken) => taken.merge(more),
            None => taken = Some(more),
        }
    }
    Ok(Held { bytes, _room: taken })
}

fn too_long() -> ApiError {
    let message = format!("the body is longer than {MAX_BODY_BYTES} bytes: send it in parts");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
}

fn full() -> ApiError {
    let message = "the server reads as many bytes of other requests as it has room for; try again";
    let mut error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message);
    error.retry_after = Some(COME_AGAIN);
    error
}

/// Takes a field out of an object; null counts as left out.
pub(crate) fn take<T: DeserializeOwned>(fields: &mut Map<String, Value>, name: &str) -> Result<Option<T>, ApiError> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_path_to_error::deserialize(value).map(Some).map_err(|error| {
            let path = error.path().to_string();
            let place = match path.as_str() {
                "." => name.to_owned(),
                path if path.starts_with('[') => format!("{name}{path}"),
                path => format!("{name}.{path}"),
            };
            ApiError::invalid(place.clone(), format!("{place}: {}", error.into_inner()))
        }),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.len() > MAX_VALUES && memchr::memchr3_iter(b',', b'[', b'{', bytes).count() > MAX_VALUES {
        let message = format!("the body has more than {MAX_VALUES} values: send it in parts");
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            message,
        ));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        if error.inner().is_data() {
            let place = if path == "." {
                "the body".to_owned()
            } else {
                path.clone()
            };
            let mut answer = ApiError::invalid(path.clone(), format!("{place}: {}", error.inner()));
            answer.body.param = (path != ".").then_some(path);
            answer
        } else {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "invalid_json",
                format!("the body is no JSON: {}", error.inner()),
            )
        }
    })?;
    let rest = |error| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_json",
            format!("after the JSON: {error}"),
        )
    };
    reader.end().map_err(rest)?;
    Ok(parsed)
}

/// Whether the media type is `application/json` or `…+json` (RFC 6839, 3.1).
fn says_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Shape {
        list: Vec<u32>,
    }

    async fn read_json(content_type: &str, body: impl Into<Body>) -> Result<JsonBody<Shape>, ApiError> {
        let request = Request::post("/")
            .header("content-type", content_type)
            .body(body.into())
            .unwrap();
        JsonBody::from_request(request, &()).await
    }

    #[tokio::test]
    async fn json_is_read_under_each_of_its_media_types() {
        for content_type in [
            "application/json",
            "application/json; charset=utf-8",
            "application/vnd.api+json",
        ] {
            assert_eq!(read_json(content_type, r#"{"list": [1]}"#).await.unwrap().0.list, [1]);
        }
        assert_eq!(
            read_json("text/plain", r#"{"list": [1]}"#).await.unwrap_err().status,
            415
        );
    }

    #[tokio::test]
    async fn an_error_names_the_place() {
        let error = read_json("application/json", r#"{"list": [1, "two"]}"#)
            .await
            .unwrap_err();
        assert_eq!(
            (error.status.as_u16(), error.body.param.as_deref()),
            (400, Some("list[1]"))
        );
        let error = read_json("application/json", r#"{"list": [1"#).await.unwrap_err();
        assert_eq!(
            (error.status.as_u16(), error.body.code.as_deref()),
            (400, Some("invalid_json"))
        );
        let error = read_json("application/json", r#"{"list": []} {}"#).await.unwrap_err();
        assert_eq!(error.body.code.as_deref(), Some("invalid_json"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let endless = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read_json("application/json", endless).await.unwrap_err().status, 408);
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_refused_before_it_is_read() {
        struct Long;
        impl axum::body::HttpBody for Long {
            type Data = Bytes;
            type Error = std::io::Error;

            fn poll_frame(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
                panic!("it is read")
            }

            fn size_hint(&self) -> http_body::SizeHint {
                http_body::SizeHint::with_exact(1 << 30)
            }
        }
        let error = read(Body::new(Long), &ROOM).await.err().unwrap();
        assert_eq!(error.status, 413);
    }

    #[tokio::test]
    async fn bodies_take_no_more_room_than_there_is_and_give_it_back() {
        let room = Semaphore::new(10);
        let body = |counted: usize| Body::from(vec![b' '; ALWAYS_READ + counted]);
        let held = read(body(6), &room).await.unwrap();
        let error = read(body(5), &room).await.err().unwrap();
        assert_eq!((error.status.as_u16(), error.retry_after), (503, Some(COME_AGAIN)));
        assert!(read(body(4), &room).await.is_ok());
        let full = read(body(4), &room).await.unwrap();
        assert!(read(body(0), &room).await.is_ok(), "an ordinary one");
        drop((held, full));
        assert!(read(body(10), &room).await.is_ok());
        assert_eq!(room.available_permits(), 10);
    }

    #[tokio::test]
    async fn more_values_than_there_is_memory_for_are_refused_unparsed() {
        let many = format!("{{\"list\": [0{}", ",0".repeat(MAX_VALUES));
        let error = read_json("application/json", many).await.unwrap_err();
        assert_eq!(
            (error.status.as_u16(), error.body.code.as_deref()),
            (413, Some("request_too_large"))
        );
        let many = format!("{{\"list\": [0{}]}}", ",0".repeat(MAX_VALUES - 2));
        let read = read_json("application/json", many).await.unwrap();
        assert_eq!(read.0.list.len(), MAX_VALUES - 1);
    }

    #[test]
    fn a_field_that_is_null_counts_as_left_out() {
        let mut fields = serde_json::json!({"a": null, "b": 1, "c": [1, "x"]})
            .as_object()
            .unwrap()
            .clone();
        assert_eq!(take::<u32>(&mut fields, "a").unwrap(), None);
        assert_eq!(take::<u32>(&mut fields, "b").unwrap(), Some(1));
        let error = take::<Vec<u32>>(&mut fields, "c").unwrap_err();
        assert_eq!(error.body.param.as_deref(), Some("c[1]"));
        assert!(fields.is_empty());
    }
}
