//! Request bodies: bounded in size and time, read as JSON, with errors that name the place.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::ApiError;

/// The largest body that is read.
///
/// Far above what a provider takes in one request (OpenAI: 300,000 tokens, about 1.2 MB of text); points with vectors
/// are larger, and Qdrant's own bound is 32 MB.
pub(crate) const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// How long a client may take to send a whole body: [`MAX_BODY_BYTES`] at about 4 Mbit/s.
const BODY_DEADLINE: Duration = Duration::from_secs(60);

/// A body that was JSON of the shape `T`.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !says_json(request.headers()) {
            // Also what keeps web pages of other origins out: a browser sends this type only after a CORS preflight.
            let message = "send the body as JSON, with the header content-type: application/json";
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                message,
            ));
        }
        let bytes = match tokio::time::timeout(BODY_DEADLINE, Bytes::from_request(request, state)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let message = format!("the body is longer than {MAX_BODY_BYTES} bytes: send it in parts");
                return Err(ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "request_too_large",
                    message,
                ));
            }
            Ok(Err(rejection)) => {
                return Err(ApiError::new(
                    rejection.status(),
                    "unreadable_body",
                    rejection.body_text(),
                ));
            }
            Err(_) => {
                let message = format!("the body did not arrive within {BODY_DEADLINE:?}");
                return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message));
            }
        };
        parse(&bytes).map(JsonBody)
    }
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
    use axum::body::Body;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Shape {
        list: Vec<u32>,
    }

    async fn read(content_type: &str, body: impl Into<Body>) -> Result<JsonBody<Shape>, ApiError> {
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
            assert_eq!(read(content_type, r#"{"list": [1]}"#).await.unwrap().0.list, [1]);
        }
        assert_eq!(read("text/plain", r#"{"list": [1]}"#).await.unwrap_err().status, 415);
    }

    #[tokio::test]
    async fn an_error_names_the_place() {
        let error = read("application/json", r#"{"list": [1, "two"]}"#).await.unwrap_err();
        assert_eq!(
            (error.status.as_u16(), error.body.param.as_deref()),
            (400, Some("list[1]"))
        );
        let error = read("application/json", r#"{"list": [1"#).await.unwrap_err();
        assert_eq!(
            (error.status.as_u16(), error.body.code.as_deref()),
            (400, Some("invalid_json"))
        );
        let error = read("application/json", r#"{"list": []} {}"#).await.unwrap_err();
        assert_eq!(error.body.code.as_deref(), Some("invalid_json"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let endless = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read("application/json", endless).await.unwrap_err().status, 408);
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
