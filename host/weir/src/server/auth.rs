//! Who may ask, and how much. With keys: whoever sends one, as much as it is allowed. Without: whoever is on this machine,
//! and says so.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use secrecy::{ExposeSecret, SecretString};

use super::allowance::{Allowance, Spending, UsedUp};
use super::app::App;
use super::error::ApiError;
use crate::config::KeyLimits;

/// The keys that open the API.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ApiKeys(Vec<Key>);

/// A key, hashed: so that comparing takes the same time whatever a guess has right, its length included.
#[derive(Debug, Clone)]
struct Key {
    hash: blake3::Hash,
    allowance: Arc<Allowance>,
}

/// Of the same secret, with the same limits.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.allowance.limits() == other.allowance.limits()
    }
}

/// A key that anyone could send. Keys count from 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {0} of server.api_keys is empty: anyone could send it")]
pub struct EmptyKey(usize);

impl ApiKeys {
    /// # Errors
    /// A key is empty.
    pub fn limited(keys: &[(SecretString, KeyLimits)]) -> Result<Self, EmptyKey> {
        let keys = keys.iter().enumerate();
        let hashed = keys.map(|(index, (key, limits))| match key.expose_secret() {
            "" => Err(EmptyKey(index + 1)),
            key => Ok(Key {
                hash: blake3::hash(key.as_bytes()),
                allowance: Arc::new(Allowance::new(*limits)),
            }),
        });
        hashed.collect::<Result<_, _>>().map(Self)
    }

    /// Keys without limits.
    #[cfg(test)]
    pub fn new(keys: &[SecretString]) -> Result<Self, EmptyKey> {
        let keys: Vec<_> = keys.iter().map(|key| (key.clone(), KeyLimits::default())).collect();
        Self::limited(&keys)
    }

    /// These keys, those of them that were there before with what is left of their minute.
    pub fn after(mut self, before: &ApiKeys) -> Self {
        for key in &mut self.0 {
            if let Some(same) = before.0.iter().find(|same| *same == key) {
                key.allowance = same.allowance.clone();
            }
        }
        self
    }

    /// Whether a request needs a key.
    pub fn are_needed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Compares with every key, each in constant time (`blake3::Hash` does).
    fn find(&self, given: &str) -> Option<&Key> {
        let given = blake3::hash(given.as_bytes());
        self.0
            .iter()
            .fold(None, |found, key| if key.hash == given { Some(key) } else { found })
    }
}

/// Lets a request through, or answers 401, 403 or 429. What asks a provider for something is a POST, and is counted.
pub(crate) async fn authenticate(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let spending = admit(&app.serving().keys, request.headers())?;
    if request.method() == Method::POST
        && let Some(allowance) = &spending.0
    {
        allowance.take().map_err(used_up)?;
    }
    request.extensions_mut().insert(spending);
    Ok(next.run(request).await)
}

/// Whether a request with these headers may come in, and whose allowance it is on.
pub(crate) fn admit(keys: &ApiKeys, headers: &HeaderMap) -> Result<Spending, ApiError> {
    if !keys.are_needed() {
        return if asks_for_this_machine(headers) {
            Ok(Spending::default())
        } else {
            Err(foreign_host())
        };
    }
    let Some(given) = given_key(headers) else {
        return Err(unauthorized(
            "no API key was sent: add the header Authorization: Bearer KEY",
        ));
    };
    match keys.find(given) {
        Some(key) => Ok(Spending(Some(key.allowance.clone()))),
        None => Err(unauthorized("the API key is not one of server.api_keys")),
    }
}

/// `Authorization: Bearer` (RFC 6750, 2.1; the scheme in any case, RFC 9110, 11.1), or the headers of Anthropic's and
/// Azure's clients.
fn given_key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
        });
    let plain = |name| headers.get(name).and_then(|value| value.to_str().ok());
    bearer.or_else(|| plain("x-api-key")).or_else(|| plain("api-key"))
}

/// A page on another site can point its own name at 127.0.0.1 and have a browser ask in its name (DNS rebinding); its
/// requests carry that name in `Host`.
fn asks_for_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else {
        return true;
    };
    let Some(authority) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn unauthorized(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
}

fn used_up(used_up: UsedUp) -> ApiError {
    let UsedUp { what, a_minute, wait } = used_up;
    let message = format!("this key's {a_minute} {what} a minute are used up; try again in {wait:.1?}");
    let mut error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message);
    error.retry_after = Some(wait);
    error
}

fn foreign_host() -> ApiError {
    let message =
        "without server.api_keys only localhost may be asked for, and the Host header names another; set a key";
    ApiError::new(StatusCode::FORBIDDEN, "foreign_host", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn keys() -> ApiKeys {
        ApiKeys::new(&["first-key".into(), "second-key".into()]).unwrap()
    }

    fn status(keys: &ApiKeys, name: &'static str, value: &'static str) -> u16 {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        admit(keys, &headers).map_or_else(|error| error.status.as_u16(), |_| 200)
    }

    #[test]
    fn each_key_opens_in_each_of_its_headers() {
        for (name, value) in [
            ("authorization", "Bearer first-key"),
            ("authorization", "bearer  second-key"),
            ("x-api-key", "second-key"),
            ("api-key", "first-key"),
        ] {
            assert_eq!(status(&keys(), name, value), 200, "{name}: {value}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (name, value) in [
            ("authorization", "Bearer first-ke"),
            ("authorization", "Bearer first-key1"),
            ("authorization", "Bearer "),
            ("authorization", "Basic first-key"),
            ("authorization", "first-key"),
            ("x-api-key", ""),
            ("accept", "first-key"),
        ] {
            assert_eq!(status(&keys(), name, value), 401, "{name}: {value}");
        }
    }

    #[test]
    fn without_keys_only_this_machine_may_be_asked_for() {
        let none = ApiKeys::default();
        for host in [
            "127.0.0.1:8787",
            "localhost",
            "LOCALHOST:1",
            "weir.localhost:80",
            "[::1]:8787",
        ] {
            assert_eq!(status(&none, "host", host), 200, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "[::2]:1",
            "not a host",
        ] {
            assert_eq!(status(&none, "host", host), 403, "{host}");
        }
        assert_eq!(status(&keys(), "host", "evil.example"), 401);
    }

    #[tokio::test]
    async fn what_is_left_of_a_minute_outlives_a_reload() {
        let limited = |requests| {
            let limits = KeyLimits {
                requests_per_minute: std::num::NonZeroU32::new(requests),
                tokens_per_minute: None,
            };
            ApiKeys::limited(&[("k".into(), limits)]).unwrap()
        };
        let before = limited(1);
        before.find("k").unwrap().allowance.take().unwrap();
        assert!(limited(1).after(&before).find("k").unwrap().allowance.take().is_err());
        assert!(limited(2).after(&before).find("k").unwrap().allowance.take().is_ok());
        assert!(limited(1) != limited(2));
    }

    #[test]
    fn an_empty_key_is_refused_at_the_start() {
        assert_eq!(ApiKeys::new(&["a".into(), "".into()]).unwrap_err(), EmptyKey(2));
    }
}
