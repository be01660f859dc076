//! The requests received, so that a test can see what arrived: method, path, headers (keys included) and body.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, request::Parts};
use serde::{Serialize, Serializer};

use crate::Api;

/// Requests remembered; older ones are forgotten.
const KEPT: usize = 1_000;
/// Bodies up to this size are kept with the request, in bytes.
const LARGEST_BODY: usize = 256 * 1024;

/// A request as it arrived.
#[derive(Debug, Clone, Serialize)]
pub struct RequestRecord {
    /// Its number since the start, from 1.
    pub number: u64,
    /// The connection it came on, by the order of acceptance from 1.
    pub connection: u64,
    /// The API it was for, if its path belongs to one.
    pub api: Option<Api>,
    /// `GET`, `POST`, …
    pub method: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// The path as sent, with the API's prefix if it had one.
    pub path: String,
    /// The query string, without the question mark.
    pub query: Option<String>,
    /// The headers as sent. Credentials are in the clear: they are the test's own.
    #[serde(serialize_with = "pairs")]
    pub headers: HeaderMap,
    /// The length of the body in bytes.
    pub body_bytes: usize,
    /// The body, unless it is longer than 256 KiB or was never read. In JSON a string.
    #[serde(serialize_with = "text")]
    pub body: Option<Bytes>,
}

impl RequestRecord {
    /// A header's value, if it is there and plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON, if it is kept and is JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(self.body.as_ref()?).ok()
    }
}

/// The last requests.
#[derive(Debug, Default)]
pub(crate) struct Records(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    received: u64,
    last: VecDeque<RequestRecord>,
}

impl Records {
    /// Notes a request; `body` is `None` where it was answered before its body was read.
    pub(crate) fn note(&self, connection: u64, api: Option<Api>, parts: &Parts, body: Option<&Bytes>) {
        let mut kept = self.lock();
        kept.received += 1;
        let record = RequestRecord {
            number: kept.received,
            connection,
            api,
            method: parts.method.to_string(),
            version: format!("{:?}", parts.version),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers.clone(),
            body_bytes: body.map_or(0, Bytes::len),
            body: body.filter(|body| body.len() <= LARGEST_BODY).cloned(),
        };
        kept.last.push_back(record);
        if kept.last.len() > KEPT {
            kept.last.pop_front();
        }
    }

    /// The requests to an API, or to any, oldest first.
    pub(crate) fn of(&self, api: Option<Api>) -> Vec<RequestRecord> {
        self.lock()
            .last
            .iter()
            .filter(|record| api.is_none() || record.api == api)
            .cloned()
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pairs<S: Serializer>(headers: &HeaderMap, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))),
    )
}

fn text<S: Serializer>(body: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
    body.as_ref()
        .map(|body| String::from_utf8_lossy(body))
        .serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &str) -> Parts {
        let request = http::Request::post(path)
            .header("authorization", "Bearer k")
            .body(())
            .unwrap();
        request.into_parts().0
    }

    #[test]
    fn a_request_is_found_under_its_api_with_its_headers_and_body() {
        let records = Records::default();
        let body = Bytes::from_static(br#"{"input": ["x"]}"#);
        records.note(1, Some(Api::Voyage), &parts("/voyage/v1/embeddings?a=b"), Some(&body));
        records.note(2, None, &parts("/nowhere"), None);
        let seen = records.of(Some(Api::Voyage));
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].header("authorization"), Some("Bearer k"));
        assert_eq!(seen[0].json().unwrap()["input"][0], "x");
        assert_eq!(
            (seen[0].path.as_str(), seen[0].query.as_deref()),
            ("/voyage/v1/embeddings", Some("a=b"))
        );
        assert_eq!(
            records.of(None).last().map(|record| (record.number, record.connection)),
            Some((2, 2))
        );
    }

    #[test]
    fn the_oldest_requests_and_the_largest_bodies_are_forgotten() {
        let records = Records::default();
        let large = Bytes::from(vec![b' '; LARGEST_BODY + 1]);
        for _ in 0..=KEPT {
            records.note(1, None, &parts("/"), Some(&large));
        }
        let seen = records.of(None);
        assert_eq!((seen.len(), seen[0].number), (KEPT, 2));
        assert_eq!((seen[0].body_bytes, &seen[0].body), (LARGEST_BODY + 1, &None));
    }
}
