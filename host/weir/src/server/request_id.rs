//! The name of a request, in `x-request-id`, in logs and in answers: the client's own if it is fit to print, else made.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// `x-request-id`
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer names are replaced. A UUID has 36 characters; this leaves room for prefixes.
const MAX_LENGTH: usize = 128;

/// The name of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// A name that no other request has: a count, hashed with keys drawn at the start.
    pub fn new() -> Self {
        static KEYS: LazyLock<(RandomState, RandomState)> = LazyLock::new(Default::default);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!(
            "req_{:016x}{:016x}",
            KEYS.0.hash_one(count),
            KEYS.1.hash_one(count)
        ))
    }

    /// The client's name for it, or a new one.
    pub fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        given
            .filter(|id| is_printable(id))
            .map_or_else(Self::new, |id| Self(id.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn header_value(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

/// Letters, digits and the marks that identifiers use: nothing that could forge a log line or a header.
fn is_printable(id: &str) -> bool {
    let fit = |c: char| c.is_ascii_alphanumeric() || "-_.:+=/@".contains(c);
    !id.is_empty() && id.len() <= MAX_LENGTH && id.chars().all(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        RequestId::of(&headers)
    }

    #[test]
    fn the_clients_own_name_is_kept() {
        for id in ["7f0c1a5e-5d0e-4a7a-9b63-3a3a4f6f0e11", "trace:1/span=2"] {
            assert_eq!(of(id).as_str(), id);
        }
    }

    #[test]
    fn a_name_that_is_not_fit_to_print_is_replaced() {
        for id in ["", "two words", "\u{e9}", "<script>", &"a".repeat(MAX_LENGTH + 1)] {
            assert!(of(id).as_str().starts_with("req_"), "{id:?}");
        }
    }

    #[test]
    fn made_names_differ() {
        assert_ne!(RequestId::new(), RequestId::new());
    }
}
